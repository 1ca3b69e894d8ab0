"""Whether combinations of B decays are like events as they were generated, from particles to candidates.

    python scripts/check_recombination.py charged --events 20000 --seed 5000 -o recombination.json

Every event of a batch is taken as it is, and once more with the second B decay of another one
(fei_lite/generator/recombination.py). Both go through the detector, the tagger and the analyses, all of them, without a
selection. Prints the mean per event of many numbers in both, the ratio, and how far it is from 1: what is generated,
what is recorded, Btags above several probabilities, true Btags, candidates and selected candidates of the analyses.
Both samples have the same decays, so that their differences are smaller than their own errors; the errors are from the
scatter of the batches' differences, which are independent. Tests of momenta, places and mothers, which are exact, are
in tests/test_selections.py. OUTPUT holds the sums of each batch: the same command goes on where it stopped, with more
--events, too.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fei_lite.analyses.candidates.files import Loaded
from fei_lite.analyses.candidates.making import first_look, tagged_candidates
from fei_lite.analyses.folders import find_analysis
from fei_lite.analyses.production.plans import Plan
from fei_lite.analyses.selected import selected
from fei_lite.cli import guarded
from fei_lite.detector.response import default_response
from fei_lite.detector.simulate import simulate_detector
from fei_lite.errors import AnalysisError
from fei_lite.events import EventBatch
from fei_lite.generator.generate import GeneratedBatch, generate
from fei_lite.generator.recombination import recombined, sides_of, with_mixing_times
from fei_lite.outputs import atomic_output
from fei_lite.production.generated_features import SIDE, side_features
from fei_lite.production.recorded_features import RECORDED, recorded_features

#: Events of a batch.
BATCH = 1000
#: SignalProbability of Btags that are counted.
PROBABILITIES = (0.001, 0.01, 0.1)
#: Of what is generated and recorded the numbers whose means are compared.
GENERATED = ("energy", "nCharged", "nKaons", "nLeptons", "nPhotons", "photonEnergy", "nSlowTracks", "nKS", "nKL",
             "nNeutrinos", "lostEnergy", "hardestTrack", "nCoveredD", "nCoveredB", "nCompleteB")
DETECTED = ("rTracks", "rNearTracks", "rImbalance", "rKaons", "rLeptons", "rProtons", "rPhotons", "rSoftPhotons",
            "rPhotonEnergy", "rKS", "rLambda", "rKLM", "rEnergy", "rMissingMomentum", "rMissingMass2", "rHardestTrack",
            "rLeft1", "rWays1", "rLeft2", "rWays2")


def sums_of(batch: GeneratedBatch, analyses: Sequence[Loaded], process: str,
            rng: np.random.Generator) -> dict[str, float]:
    """Sums over a batch of all numbers that are compared."""
    found: dict[str, float] = {}
    features = side_features(batch.generated, batch.events["beam_p4"], batch.generated.event_index, batch.n_events,
                             channel_set=analyses[0].channels)
    found |= {f"generated {name}": float(features[:, SIDE.index(name)].sum()) for name in GENERATED}
    detected = simulate_detector(batch, default_response(), rng=rng)
    recorded = recorded_features(detected)
    found |= {f"recorded {name[1:]}": float(recorded[:, RECORDED.index(name)].sum()) for name in DETECTED}
    found["recorded clusters"] = float(len(detected.clusters))
    return found | _after(detected, analyses, process)


def _after(detected: EventBatch, analyses: Sequence[Loaded], process: str) -> dict[str, float]:
    """Sums over what the tagger and the analyses make of a batch."""
    found: dict[str, float] = {}
    tags = analyses[0].tags(detected)
    every = np.arange(detected.n_events)
    for name in tags.channel_set.tags:
        table = tags.tables[name]
        probability = np.asarray(table["SignalProbability"], dtype=np.float64)
        best = np.zeros(detected.n_events)
        np.maximum.at(best, table.event_index, probability)
        for least in PROBABILITIES:
            found[f"{name} Btags above {least}"] = float(np.count_nonzero(probability > least))
            found[f"events with a {name} Btag above {least}"] = float(np.count_nonzero(best > least))
        found[f"true {name} Btags"] = float(np.count_nonzero(table["isSignal"] > 0))
    for one in analyses:
        look = first_look(detected, one.analysis, process=process)
        columns, _, _ = tagged_candidates(tags, look, every, one.analysis, process=process)
        name = one.analysis.name
        found[f"{name}: events with a signal side"] = float(len(look.with_side))
        found[f"{name}: events with a candidate"] = float(len(np.unique(columns["event"])))
        found[f"{name}: candidates"] = float(len(columns["event"]))
        found[f"{name}: selected"] = float(np.count_nonzero(selected(one.analysis.recipe, columns)))
    return found


def both_of(batch: GeneratedBatch, analyses: Sequence[Loaded], process: str, seed: int,
            number: int) -> tuple[dict[str, float], dict[str, float]]:
    """The sums over a batch as generated, and over its combinations."""
    rngs = [np.random.default_rng([seed, stream, number]) for stream in (20, 21, 22)]
    sides = sides_of(batch)
    partner = list(sides.partners(2, rngs[0]))[1]
    mixed = with_mixing_times(recombined(batch, sides, np.arange(batch.n_events), partner), rngs[0])
    return sums_of(batch, analyses, process, rngs[1]), sums_of(mixed, analyses, process, rngs[2])


def print_table(rows: Sequence[tuple[dict[str, float], dict[str, float]]]) -> None:
    """Means per event, ratios and their distance from 1."""
    n = len(rows)
    print(f"{n * BATCH} events in batches of {BATCH}\n{'per event':44s} {'generated':>10s} {'combined':>10s} "
          f"{'ratio':>17s} {'sigma':>6s}")
    pulls = []
    for name in rows[0][0]:
        old, new = (np.array([row[k][name] for row in rows]) for k in (0, 1))
        error = float(np.std(new - old, ddof=1) * np.sqrt(n)) if n > 1 else float("nan")
        line = f"{name:44s} {old.sum() / (n * BATCH):10.4g} {new.sum() / (n * BATCH):10.4g}"
        if old.sum() != 0.0 and error > 0.0:
            pulls.append(float(new.sum() - old.sum()) / error)
            line += f" {new.sum() / old.sum():8.4f} +- {error / abs(old.sum()):.4f} {pulls[-1]:+6.1f}"
        print(line)
    if pulls:
        print(f"{len(pulls)} numbers (correlated): mean {np.mean(pulls):+.2f}, width {np.std(pulls):.2f} sigma, "
              f"largest {max(pulls, key=abs):+.1f}")


def _read(path: Path, said: dict[str, object]) -> list[tuple[dict[str, float], dict[str, float]]]:
    """The batches that are there."""
    if not path.exists():
        return []
    content = json.loads(path.read_text(encoding="utf-8"))
    if content["of"] != said:
        raise AnalysisError(f"{path}: sums of {content['of']}, not of {said}. Choose another file.")
    return [(one, two) for one, two in content["batches"]]


def main() -> int:
    """Parse the command line, run what is missing, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("process", choices=("charged", "mixed"))
    parser.add_argument("--analysis", nargs="+", default=["hta", "k_tau_l"], metavar="A")
    parser.add_argument("--models", default="fei_default")
    parser.add_argument("--events", type=int, default=20_000, help="in whole batches")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    said: dict[str, object] = {"process": arguments.process, "analyses": arguments.analysis, "seed": arguments.seed,
                               "models": arguments.models}
    rows = _read(arguments.output, said)
    analyses = Plan(tuple(find_analysis(name) for name in arguments.analysis), arguments.models).load().all
    n = max(1, arguments.events // BATCH)
    for number, batch in enumerate(generate(arguments.process, n * BATCH, seed=arguments.seed, batch_size=BATCH)):
        if number < len(rows):
            continue
        rows.append(both_of(batch, analyses, arguments.process, arguments.seed, number))
        print(f"\r{len(rows)} of {n} batches", end="", file=sys.stderr, flush=True)
        with atomic_output(arguments.output, force=True) as temporary:
            temporary.write_text(json.dumps({"of": said, "batches": rows}), encoding="utf-8")
    print(file=sys.stderr)
    print_table(rows)
    return 0


if __name__ == "__main__":
    raise SystemExit(guarded("check_recombination", main))
