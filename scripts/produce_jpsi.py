"""Control candidates of B -> Xs nu nubar: B -> Xs J/psi with the leptons of the J/psi removed from the event.

    python scripts/produce_jpsi.py --events 50000 --seed 7000 -o production/jpsi

Makes OUTPUT/xs_jpsi.parquet and OUTPUT/xs_jpsi_neutral.parquet: events of these decay files (--events of each), in
which J/psi -> l l is found (decay_channels/j_psi) and taken out before the tag; then as in the analysis.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tqdm import tqdm

from fei_lite.analyses.candidate_files import Setup, write_candidates
from fei_lite.analyses.candidates import Counts, candidates
from fei_lite.analyses.embedding import without_particle
from fei_lite.analyses.folders import find_analysis
from fei_lite.analyses.samples import Source
from fei_lite.channels import load_channel_set
from fei_lite.production.simulate import simulate

FILES = ("xs_jpsi", "xs_jpsi_neutral")


def main() -> int:
    """Parse the command line, simulate, remove, tag, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, required=True, help="of each decay file")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--settings", default="belle2", help="Pythia's settings (default: %(default)s)")
    parser.add_argument("--models", default=None, help="model set of the tagger (default: the recipe's)")
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    sets = Setup(find_analysis("xs_nunu"), models=arguments.models).load()
    channels, n = load_channel_set("j_psi"), arguments.events
    arguments.output.mkdir(parents=True, exist_ok=True)
    for k, name in enumerate(FILES):
        parts, counts, read = [], Counts(), 0
        bar = tqdm(desc=name, total=n, unit="event")
        for batch in simulate("signal", n, seed=arguments.seed + k, dec_file=name, settings=arguments.settings):
            bar.update(batch.n_events)
            read += batch.n_events
            columns, found = candidates(without_particle(batch, channels, "J/psi"), sets.analysis, sets.tags,
                                        process="charged")
            parts.append(columns)
            counts.merge(found.steps)
        source = Source(f"{name}_{arguments.seed + k}", "charged", arguments.seed + k, n, read,
                        {"control": name, "settings": arguments.settings})
        write_candidates(arguments.output / f"{name}.parquet", parts, source, counts, sets.identity)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
