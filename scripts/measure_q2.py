"""Resolution of q2 and missing mass squared with hadronic tags, on simulated events.

    python scripts/measure_q2.py --models fei_default --events 20000

Half of the signal B decay to K nu nubar, half to mu nu (phase space). The tag is the best Btag with Mbc > 5.27 GeV
and a signal probability above ``--probability``; the signal side is the track of the true kaon or muon, if the tag
left it and has the opposite charge. Of q2 (found minus generated) and of the missing mass squared (0 for mu nu) the
table has median, half the central 68 % and the fraction beyond 1 GeV^2. Memory depends on the batch, not on the
number of events.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

import fei_lite
from fei_lite.analyses.k_nunu.resolution import DECAYS, resolution_rows, resolution_table
from fei_lite.classifiers.tagger import load_tagger


def main() -> int:
    """Parse the command line, simulate, reconstruct, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="fei_default", help="name or folder of a model set")
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--probability", type=float, default=0.001)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()

    tagger = load_tagger(arguments.models)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "signal.dec"
        path.write_text(DECAYS)
        rows = np.concatenate([
            resolution_rows(batch, tagger, probability=arguments.probability)
            for batch in fei_lite.simulate("signal", arguments.events, seed=arguments.seed, dec_file=path)])
    print(resolution_table(rows))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
