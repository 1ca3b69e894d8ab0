"""Efficiency, purity and cross-feed of the 30 modes of B -> Xs nu nubar, each from a sample of its own.

    python scripts/check_modes.py --events 1000 --generate 200000 -o trained/xs_nunu

Events of fei-lite's signal decay files are generated until each mode has as many (or --generate is used up: rare ones
have fewer), simulated and reconstructed. The Btag is the true one, with all its objects: this is the signal side's
efficiency with the cuts of the analysis, without the BDT. Also counts what the modes cover of all B -> Xs nu nubar,
beside the published 93 % (arXiv:2511.10980; K0 half K_S0, half K_L0). Writes modes.txt, modes.json, plots/modes.png.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from tqdm import tqdm

from fei_lite.analyses.candidates.making import candidates
from fei_lite.analyses.candidates.true_tags import true_tags
from fei_lite.analyses.folders import load_analysis
from fei_lite.analyses.selection import cut_flow
from fei_lite.analyses.xs_nunu.crossfeed import CrossFeed, cross_feed
from fei_lite.analyses.xs_nunu.final_states import OTHER, final_states, modes, title
from fei_lite.analyses.xs_nunu.fragmentation import fragmentation
from fei_lite.detector.response import default_response
from fei_lite.detector.simulate import simulate_detector
from fei_lite.generator.generate import generate, select
from fei_lite.plots.analysis import plot_panels

PUBLISHED_COVERAGE = 0.93


def run(process: str, seed: int, wanted: int, most: int, analysis, counts) -> list[np.ndarray]:
    """Columns (generated mode, reconstructed mode) of the candidates of one decay file; ``counts`` are added to."""
    taken, generated, covered = counts
    rng, response, found = np.random.default_rng([seed, 10]), default_response(), []
    here = np.zeros(len(modes()) + 1)
    for batch in tqdm(generate("signal", most, seed=seed, dec_file=Path(process), batch_size=4000), desc=process,
                      total=-(-most // 4000)):
        states = final_states(batch)
        weight = fragmentation().weight(states.mode_with_kl, states.mass, states.non_resonant)
        row = np.where(states.mode == OTHER, len(modes()), states.mode)
        np.add.at(generated, row, weight)
        covered += np.array([weight.sum(), weight[states.mode_with_kl != OTHER].sum(), len(weight),
                             np.count_nonzero(states.mode_with_kl != OTHER)])
        keep = np.zeros(len(row), dtype=bool)
        for i in np.unique(row):
            chosen = np.flatnonzero(row == i)[:int(wanted - here[i])]
            keep[chosen] = True
            here[i] += len(chosen)
        if keep.any():
            events = simulate_detector(select(batch, keep, np.ones(len(keep))), response, rng=rng)
            columns, _ = candidates(events, analysis, true_tags, process=process)
            passed, _ = cut_flow(analysis.recipe.cut, columns, columns["weight"])
            found.append(np.stack([columns["mode_generated"][passed], columns["mode"][passed]]))
    taken += here
    return found


def main() -> int:
    """Parse the command line, generate, reconstruct, count, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1000, help="wanted of each mode (default: %(default)s)")
    parser.add_argument("--generate", type=int, default=200_000, help="most of B+ and B0 each (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=500)
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder")
    arguments = parser.parse_args()
    analysis, n = load_analysis("xs_nunu"), len(modes()) + 1
    counts = np.zeros(n), np.zeros(n), np.zeros(4)
    parts = []
    for k, process in enumerate(analysis.recipe.signal_decays):
        parts += run(process, arguments.seed + k, arguments.events, arguments.generate, analysis, counts)
    taken, generated, covered = counts
    both = np.concatenate(parts, axis=1) if parts else np.zeros((2, 0), dtype=int)
    table = cross_feed(both[0], both[1], np.ones(both.shape[1]), events=taken, rate=generated / covered[0])
    text = table.text() + (
        f"covered by the modes, K_L0 as K_S0: {100 * covered[1] / covered[0]:.1f} % "
        f"({100 * covered[3] / covered[2]:.1f} % before the weights of fragmentation); published: "
        f"{100 * PUBLISHED_COVERAGE:.0f} %\nwith K_S0 alone: {100 * (1 - generated[-1] / covered[0]):.1f} %\n\n"
        + table.matrix())
    print(text, end="")
    write(arguments, table, text, covered)
    return 0


def write(arguments: argparse.Namespace, table: CrossFeed, text: str, covered: np.ndarray) -> None:
    """The table as text, JSON and picture."""
    arguments.output.mkdir(parents=True, exist_ok=True)
    (arguments.output / "modes.txt").write_text(text, encoding="utf-8")
    (arguments.output / "modes.json").write_text(json.dumps({
        "command": f"check_modes.py --events {arguments.events} --generate {arguments.generate} --seed "
                   f"{arguments.seed}",
        "modes": [title(i) for i in range(len(modes()))], "events": table.generated.tolist(),
        "rate": table.rate.tolist(), "efficiency_generated_rows_found_columns": table.efficiency.tolist(),
        "purity": table.purity.tolist(), "covered": covered[1] / covered[0],
        "covered_before_weights": covered[3] / covered[2]}, indent=1) + "\n", encoding="utf-8")
    (arguments.output / "plots").mkdir(exist_ok=True)
    plot_panels([table.panel()], arguments.output / "plots" / "modes.png")


if __name__ == "__main__":
    raise SystemExit(main())
