"""Measure fei_lite/generator/enrichment_NAME.json: how often each decay mode of a B makes which channel.

    python scripts/measure_enrichment.py generate charged --seed 11 --events 250000   # into a work folder,
    python scripts/measure_enrichment.py generate mixed   --seed 12 --events 250000   # as often as liked
    python scripts/measure_enrichment.py boost                                        # boosts from all of it
    ... generate again with --decays FILE of a first pass: D_s+, Lambda_c+, J/psi decay as enriched
    python scripts/measure_enrichment.py check charged --seed 13 --events 50000       # what they do

Each ``generate`` adds a file (one to two minutes), with other seeds other events. The modes of a B are
drawn more evenly there than in the decay table. To be run again when the decay table, Pythia or the
channel set change; older data stay right, but spend events less well. ``boost`` prints for every channel
the true complete decays in 1.5 million events of each B type, generic and enriched; of those the ones that a
detector finds, about; and as many of equal weight.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from fei_lite.channels import load_channel_set
from fei_lite.channels.covered_decays import Acceptance, covered_particles
from fei_lite.channels.model import ChannelSet
from fei_lite.events import Jagged
from fei_lite.generator import enrichment
from fei_lite.generator.beams import Beams
from fei_lite.generator.decay_table import belle2_table, fragments, require_modes, table_hash
from fei_lite.generator.fragmentation import drawn_modes
from fei_lite.generator.generate import GeneratedBatch, b_rows, generate, laboratory_batch
from fei_lite.generator.groups import Groups, codes_of, group_copy, install_copy
from fei_lite.generator.pair_sources import UPSILON_SETTINGS, start_pairs
from fei_lite.generator.processes import find_process
from fei_lite.generator.pythia import Generator, initialised, new_pythia
from fei_lite.generator.records import blocks, conjugated, decays_of, has_antiparticle, hashed, mode_hash
from fei_lite.particles import pdg_code
from fei_lite.production.simulate import stratified

#: Particles whose every decay is enriched.
ENRICHED = (431, 4122, 443)
#: Wanted true complete decays of D, D_s, Lambda_c ... per channel, in how many events of each B type.
WANTED, EVENTS = 2000, 1_500_000
TRACKS = (11, 13, 211, 321, 2212)
#: Channels with that many are not kept more often than others if this share is enough.
LEAST_KEPT = 0.03
#: Boost of J/psi -> l+ l-: a third of its decays.
LEPTONS = 4.0
#: Shares of the tracks and photons inside the acceptance that end in a candidate, about: a decay into seven
#: particles is wanted more often than one into two.
FOUND_TRACK, FOUND_PHOTON = 0.92, 0.83
#: Boosts relative to the generic mode: powers of two in this range, 0 below.
EXPONENTS = (-3, 12)


class Channels:
    """The channels of a set with daughters, numbered; B channels have the B's code."""

    def __init__(self, channel_set: ChannelSet) -> None:
        self.set = channel_set
        self.channels = [c for c in channel_set.channels() if c.leaf is None]
        self.codes = np.array([abs(pdg_code(c.particle)) for c in self.channels])
        self.modes = np.array([c.index for c in self.channels])
        self.number = {(int(code), int(mode)): i
                       for i, (code, mode) in enumerate(zip(self.codes, self.modes, strict=True))}

    def decays(self, batch: GeneratedBatch) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
        """Rows of complete decays in the acceptance, their channels, and the fraction that is found, about."""
        generated = batch.generated
        modes = covered_particles(self.set, generated, acceptance=Acceptance())
        codes = np.abs(generated["pdg"])
        rows = np.flatnonzero((modes >= 0) & np.isin(codes, self.codes))
        channel = np.array([self.number.get((int(code), int(mode)), -1)
                            for code, mode in zip(codes[rows], modes[rows], strict=True)], dtype=np.intp)
        found = FOUND_TRACK ** final_state(generated, TRACKS) * FOUND_PHOTON ** final_state(generated, (22,))
        rows, channel = rows[channel >= 0], channel[channel >= 0]
        return rows, channel, found[rows]


def final_state(generated: Jagged, codes: tuple[int, ...]) -> NDArray[np.int64]:
    """How many particles of absolute PDG codes descend from each generated particle (n,)."""
    start = generated.offsets[:-1][generated.event_index]
    above = np.where(generated["mother"] >= 0, generated["mother"] + start, -1)
    count = np.zeros(len(above), dtype=np.int64)
    reached = above[np.isin(np.abs(generated["pdg"]), codes)]
    while len(reached := reached[reached >= 0]):
        np.add.at(count, reached, 1)
        reached = above[reached]
    return count


def b_above(batch: GeneratedBatch) -> NDArray[np.intp]:
    """Which B of its event (0, 1; -1: none) each particle is or descends from."""
    generated = batch.generated
    above = np.where(np.isin(np.arange(len(generated["mother"])), b_rows(generated)), -1, generated["mother"])
    number = np.arange(len(above)) - generated.offsets[:-1][generated.event_index]
    b = np.where((number == 1) | (number == 2), number - 1, -1)
    while np.any(climbing := above > 2):
        rows = np.flatnonzero(climbing)
        above[rows] = generated["mother"][generated.offsets[generated.event_index[rows]] + above[rows]]
    return np.where(b >= 0, b, np.where((above == 1) | (above == 2), above - 1, -1))


class Decays:
    """Decays of :data:`ENRICHED` particles: counts per mode (of the table), and complete ones by channel."""

    def __init__(self, code: int, n_channels: int) -> None:
        self.code, modes = code, require_modes(belle2_table(), code)
        self.lines: dict[int, int] = {}
        for sign in (1, -1) if has_antiparticle(code) else (1,):
            for i, mode in enumerate(modes):
                if not fragments(mode):
                    products = np.array(mode.products) if sign > 0 else conjugated(np.array(mode.products))
                    key = int(mode_hash(np.array([sign * code]), hashed(products).sum(keepdims=True))[0])
                    self.lines.setdefault(key, i)
        self.counts = np.zeros((len(modes), 1 + n_channels))

    def add(self, records: Jagged, channel: NDArray[np.intp], found: NDArray[np.float64]) -> None:
        """Count the decays of a block; ``channel``, ``found`` (rows): those of complete decays, else -1 and 0."""
        rows, hashes = decays_of(records, {self.code: self.code})
        line = np.array([self.lines.get(int(h), -1) for h in hashes], dtype=np.intp)
        rows, line = rows[line >= 0], line[line >= 0]
        np.add.at(self.counts, (line, 0), 1)
        complete = channel[rows] >= 0
        np.add.at(self.counts, (line[complete], 1 + channel[rows[complete]]),
                  found[rows[complete]])


class Lines:
    """The modes of a B as the record shows them; modes with equal products are one line."""

    def __init__(self, code: int) -> None:
        self.code, modes = code, drawn_modes(code)
        hashes = np.array([self.hash(mode.products) for mode in modes])
        known: dict[int, int] = {}
        self.line = np.array([known.setdefault(int(h), i) if not fragments(mode) else i
                              for i, (h, mode) in enumerate(zip(hashes, modes, strict=True))])
        exclusive = np.array([h for h, mode in zip(hashes, modes, strict=True) if not fragments(mode)])
        self.hashes, first = np.unique(exclusive, return_index=True)
        self.first = np.array([i for i, mode in enumerate(modes) if not fragments(mode)])[first]
        self.modes = modes

    def hash(self, products: tuple[int, ...]) -> np.uint64:
        """Hash of the decay of the particle."""
        return np.uint64(mode_hash(np.array([self.code]), hashed(np.array(products)).sum(keepdims=True))[0])

    def install(self, generator: Generator) -> Groups:
        """Teach Pythia an exclusive copy with even fractions, and a copy per parton mode."""
        drawn = np.array([mode.fraction for mode in self.modes])
        even = np.sqrt(drawn) / np.sqrt(drawn).sum() + 1.0 / len(drawn)
        parton = np.array([fragments(mode) for mode in self.modes])
        even[parton] *= 10.0 * even[~parton].sum() / even[parton].sum() / 20.0
        members = [np.flatnonzero(~parton), *(np.array([i]) for i in np.flatnonzero(parton))]
        copies = [group_copy(self.code, number) for number in range(len(members))]
        for copy, some in zip(copies, members, strict=True):
            install_copy(generator.pythia, copy, self.code,
                         [replace(self.modes[i], fraction=float(even[i])) for i in some])
        self.of_copy = {copy: int(some[0]) for copy, some in zip(copies[1:], members[1:], strict=True)}
        share = np.array([even[some].sum() for some in members]) / even.sum()
        groups = Groups(self.code, np.array(copies), share, share, np.ones(len(copies)))
        generator.copies = codes_of({self.code: groups})
        generator.vetoed = {copy: self.code for copy in copies[1:]}
        return groups

    def of(self, records: Jagged, copies: Mapping[int, int]) -> NDArray[np.intp]:
        """Line (n, 2) of the two B's of each event; -1 if it is not in the table."""
        rows = b_rows(records)
        code = np.abs(records["pdg"])
        line = np.full(len(code), -1)
        for copy, i in self.of_copy.items():
            line[rows[code[rows] == copy]] = i
        found, hashes = decays_of(conjugate_negative(records), {c: self.code for c in copies})
        place = np.searchsorted(self.hashes, hashes).clip(max=len(self.hashes) - 1)
        exclusive = (self.hashes[place] == hashes) & (line[found] < 0) & np.isin(code[found], list(copies))
        line[found[exclusive]] = self.first[place[exclusive]]
        return line[rows]


def conjugate_negative(records: Jagged) -> Jagged:
    """Records in which all decays of anti-B's, and the B's themselves, are conjugated: one hash for both."""
    rows = np.flatnonzero(records["mother"] >= 0)
    above = records["mother"] + records.offsets[:-1][records.event_index]
    codes = records["pdg"].copy()
    turned = rows[records["pdg"][above[rows]] < 0]
    codes[turned] = conjugated(records["pdg"][turned])
    b = b_rows(records)
    codes[b] = np.abs(codes[b])
    return Jagged(records.offsets, {**records.columns, "pdg": codes})


def measured(process: str, n: int, seed: int, channels: Channels,
             enriched: enrichment.Enrichment) -> dict[str, NDArray]:
    """Decays of each line (lines); complete decays by channel in them (lines, channels), weighted, and to be found."""
    chosen, beams = find_process(process), Beams()
    generator = new_pythia(seed=seed, settings=UPSILON_SETTINGS)
    lines = Lines(chosen.code)
    groups = lines.install(generator)
    enrichment.install_decays(generator, enriched)
    start_pairs(generator, [(chosen.code, -chosen.code)], code=chosen.code, groups={chosen.code: groups}, beams=beams,
                rng=np.random.default_rng([seed, 3]))
    rng = np.random.default_rng([seed, 1])
    size = len(lines.modes)
    decays, counts = np.zeros(size), np.zeros((3, size, len(channels.channels)))
    others = [Decays(code, len(channels.channels)) for code in ENRICHED]
    with tqdm(total=n, unit="event") as bar:
        for records in blocks(initialised(generator), n):
            line = lines.of(records, generator.copies)
            batch = laboratory_batch(records, chosen, beams, rng, first=0, copies=generator.copies)
            np.add.at(decays, line[line >= 0], 1)
            rows, channel, found = channels.decays(batch)
            above = b_above(batch)
            b = above[rows]
            mine = line[batch.generated.event_index[rows], np.maximum(b, 0)]
            good = (b >= 0) & (mine >= 0)
            weight = enrichment.decay_weights(records, enriched)[batch.generated.event_index[rows]]
            for part, values in zip(counts, (np.ones(len(weight)), weight, found), strict=True):
                np.add.at(part, (mine[good], channel[good]), values[good])
            complete, share = np.full(len(above), -1), np.zeros(len(above))
            complete[rows], share[rows] = channel, found
            for other in others:
                other.add(records, complete, share)
            bar.update(len(line))
    if (lost := 1.0 - decays.sum() / (2 * n)) > 0.001:
        print(f"{lost:.2%} of the decays belong to no line")
    return {"decays": decays, "counts": counts[0], "weighted": counts[1], "found": counts[2],
            **{f"decays_{other.code}": other.counts for other in others}}


def load(folder: Path, code: int) -> tuple[NDArray, ...]:
    """Complete decays per decay of a B by its modes and channels, generic ones, and those to be found."""
    parts = [np.load(path) for path in sorted(folder.glob(f"{find_name(code)}_*.npz"))]
    decays = sum(part["decays"] for part in parts)
    lines, norm = Lines(code).line, np.maximum(decays, 1)[:, None]
    return tuple((sum(part[name] for part in parts) / norm)[lines] for name in ("counts", "weighted", "found"))


def fractions(code: int) -> NDArray:
    """Fractions of a particle's modes in the table, normalised."""
    found = np.array([mode.fraction for mode in require_modes(belle2_table(), code)])
    return np.asarray(found / found.sum())


def decay_boosts(folder: Path, code: int) -> NDArray:
    """Boosts of the modes of a particle whose every decay is enriched: 70 % of the decays stay generic.

    Where some modes are partons, only decays to leptons are boosted: the others cannot be told apart.
    """
    counts = sum(np.load(path)[f"decays_{code}"] for path in sorted(folder.glob("*.npz")))
    modes, p = require_modes(belle2_table(), code), fractions(code)
    if any(fragments(mode) for mode in modes):
        leptons = [sorted(map(abs, mode.products)) in ([11, 11], [13, 13]) for mode in modes]
        return np.where(leptons, LEPTONS, 1.0)
    products = [tuple(sorted(mode.products)) for mode in modes]
    first = np.array([products.index(mine) for mine in products])
    rate = (counts[:, 1:] / np.maximum(counts[:, :1], 1))[first]
    q = best_shares({code: p}, {code: rate}, 0.4)[code]
    boosts = 2.0 ** np.round(np.log2(1.0 + 0.3 * q / q.sum() / (0.7 * p)))
    return np.asarray(boosts[first])


def find_name(code: int) -> str:
    """The process that makes a B."""
    return {521: "charged", 511: "mixed"}[code]


def best_shares(share: dict[int, NDArray], rate: dict[int, NDArray], generic: float) -> dict[int, NDArray]:
    """Probabilities q of the lines for an enriched B that level what the channels' true decays are worth.

    A line of generic probability p that is drawn s times per event has weight
    2 p / s, and a channel with rates c is worth N = (sum p c)^2 / sum (p^2 c / s)
    decays of equal weight per event. Minimises the sum of N^-3/4 over the
    channels: s is proportional to the root of p^2 sum(c N^1/4 / (sum p c)^2),
    but not less than generic B's give. So all lines of a channel grow together.
    """
    least = {code: (1.0 + generic) * p for code, p in share.items()}
    s = {code: 2.0 * p for code, p in share.items()}
    usual = sum(p @ rate[code] for code, p in share.items())
    used = usual > 0.0
    for _ in range(100):
        worth = effective(share, s, rate)
        value = np.where(used, worth**0.25 / np.where(used, usual, 1.0) ** 2, 0.0)
        for code, p in share.items():
            wish = p * np.sqrt(rate[code] @ value)
            s[code] = np.sqrt(s[code] * filled(wish, least[code], 2.0))  # damped
            s[code] *= 2.0 / s[code].sum()
    return {code: np.maximum(s[code] - least[code], 0.0) for code in share}


def effective(share: dict[int, NDArray], s: dict[int, NDArray], rate: dict[int, NDArray]) -> NDArray:
    """Decays of equal weight that each channel's are worth, per event."""
    total = sum(p @ rate[code] for code, p in share.items())
    squares = sum((p**2 / np.maximum(s[code], 1e-12)) @ rate[code] for code, p in share.items())
    return np.divide(total**2, squares, out=np.zeros(len(total)), where=squares > 0.0)


def filled(wish: NDArray, least: NDArray, total: float) -> NDArray:
    """Numbers proportional to ``wish``, none below ``least``, with the sum ``total`` (by bisection)."""
    low, high = 0.0, total / wish.sum()
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if np.maximum(least, middle * wish).sum() < total else (low, middle)
    return np.asarray(np.maximum(least, low * wish))


def expected_per_event(p: NDArray, q: NDArray, rate: NDArray, generic: float) -> NDArray:
    """Complete decays per event by channel."""
    return np.asarray((2.0 * p + (1.0 - generic) * (q - p)) @ rate)


def boosts_of(p: NDArray, q: NDArray) -> NDArray:
    """Boosts as powers of two."""
    with np.errstate(divide="ignore"):
        exponent = np.round(np.log2(q / p))
    low, high = EXPONENTS
    return np.where(exponent < low, 0.0, 2.0 ** np.clip(exponent, low, high))


def boost(arguments: argparse.Namespace) -> None:
    """Write the boosts, and the rates that they give."""
    channels = Channels(load_channel_set(Path(arguments.set)))
    generic = enrichment.GENERIC_SHARE
    share, rate, plain, found = {}, {}, {}, {}
    for code in (511, 521):
        share[code] = fractions(code)
        rate[code], plain[code], found[code] = load(arguments.folder, code)
    best = best_shares(share, found, generic)
    boosts = {code: boosts_of(share[code], best[code]) for code in share}
    drawn = {}
    for code, p in share.items():
        q = p * boosts[code]
        drawn[code] = (1.0 + generic) * p + (1.0 - generic) * q / q.sum()
    usual = np.asarray(sum(2.0 * p @ plain[code] for code, p in share.items()))
    expected, to_find = (np.asarray(sum(drawn[code] @ values[code] for code in share)) for values in (rate, found))
    worth = effective(share, drawn, found)
    keep: dict[str, dict[str, float]] = {}
    for i, channel in enumerate(channels.channels):
        print(f"{channel.text:45s} " + " ".join(f"{x[i] * EVENTS:12.1f}" for x in (usual, expected, to_find, worth)))
        if channel.particle not in channels.set.tags and to_find[i] * EVENTS * LEAST_KEPT < WANTED:
            probability = min(1.0, WANTED / max(to_find[i] * EVENTS, 1.0))
            keep.setdefault(str(channels.codes[i]), {})[str(channel.index)] = round(probability, 3)
    data = {
        "name": channels.set.name, "channels": channels.set.decays_hash, "table": table_hash(),
        "decaylanguage": version("decaylanguage"), "pythia8mc": version("pythia8mc"),
        "command": f"python scripts/measure_enrichment.py --set {arguments.set} generate PROCESS --seed SEED "
                   "--events 250000; ... boost",
        "samples": sorted(path.stem for path in arguments.folder.glob("*.npz")),
        "boosts": {str(code): enrichment.packed(values.tolist()) for code, values in boosts.items()},
        "decays": {str(code): enrichment.packed(decay_boosts(arguments.folder, code).tolist()) for code in ENRICHED},
        "keep": keep,
        "rate": "true complete decays in a million charged and a million mixed events: generic, enriched",
        "per_million": {channel.text: f"{usual[i] * 1e6:.0f} {expected[i] * 1e6:.0f}"
                        for i, channel in enumerate(channels.channels)},
    }
    output = arguments.output or Path(enrichment.__file__).with_name(f"enrichment_{channels.set.name}.json")
    output.write_text(json.dumps(data, indent=1) + "\n")


def check(arguments: argparse.Namespace) -> None:
    """Print what enriched events hold, also of those kept by ``--keep-uncovered``."""
    channels, n = Channels(load_channel_set(Path(arguments.set))), arguments.events
    data = enrichment.load_enrichment(arguments.enrich)
    keep = stratified(arguments.keep_uncovered, arguments.set, data)
    counts = np.zeros((3, len(channels.channels)))
    weights: list[NDArray] = [[], []]
    for batch in generate(arguments.process, n, seed=arguments.seed, enrichment=data):
        event = batch.generated.event_index
        kept, factor = keep(batch, np.random.default_rng([arguments.seed, int(batch.events["event"][0])]))
        weight = batch.events["weight"]
        rows, channel, _ = channels.decays(batch)
        for row, values in enumerate((np.ones(len(weight)), kept, weight)):
            np.add.at(counts[row], channel, values[event[rows]])
        weights = [[*weights[0], weight], [*weights[1], (weight * factor)[kept]]]
    print(f"{'':45s} {'enriched':>10s} {'kept':>10s} {'weighted':>10s}  per million {arguments.process} events")
    for i, c in enumerate(channels.channels):
        print(f"{c.text:45s} " + " ".join(f"{x * 1e6 / n:10.0f}" for x in counts[:, i]))
    for name, values in zip(("all", "kept"), map(np.concatenate, weights), strict=True):
        print(f"{name}: {len(values)} of {n} events, mean weight {values.sum() / n:.4f} +- "
              f"{np.sqrt(np.sum(values**2)) / n:.4f}, largest {values.max():.2f}, effective "
              f"{values.sum() ** 2 / np.sum(values**2):.0f}")


def generate_sample(arguments: argparse.Namespace) -> None:
    """Add a sample to the work folder."""
    channels = Channels(load_channel_set(Path(arguments.set)))
    enriched = enrichment.load_enrichment(arguments.decays) if arguments.decays else enrichment.Enrichment("", {}, {})
    found = measured(arguments.process, arguments.events, arguments.seed, channels, enriched)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(arguments.folder / f"{arguments.process}_{arguments.seed}.npz", **found)


def main() -> None:
    """Parse the command line and run one step."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("enrichment"), help="work folder (default: %(default)s)")
    parser.add_argument("--set", default="hadronic", help="channel set (default: %(default)s)")
    steps = parser.add_subparsers(required=True)
    for name, function in (("generate", generate_sample), ("check", check)):
        step = steps.add_parser(name)
        step.add_argument("process", choices=["charged", "mixed"])
        step.add_argument("--seed", type=int, required=True)
        step.add_argument("--events", type=int, required=True)
        step.set_defaults(run=function)
    steps.choices["generate"].add_argument("--decays", metavar="FILE", help="boosts of an earlier pass")
    step.add_argument("--enrich", default="hadronic", help="enrichment to check (default: %(default)s)")
    step.add_argument("--keep-uncovered", type=float, default=0.04, help="(default: %(default)s)")
    step = steps.add_parser("boost")
    step.add_argument("-o", "--output", type=Path, help="default: enrichment_SET.json of the package")
    step.set_defaults(run=boost)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
