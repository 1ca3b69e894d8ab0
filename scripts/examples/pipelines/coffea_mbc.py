#!/usr/bin/env python
"""Mbc of the best Btags of many files with coffea: one processor, any of coffea's executors.

    fei-lite simulate charged -n 2000 --seed 1 -o events.root
    fei-lite reconstruct events.root -o btag.root
    coffea_mbc.py btag.root --workers 2
"""

from __future__ import annotations

import argparse
from typing import Any

import hist
from coffea import processor
from coffea.nanoevents import BaseSchema


class BestTags(processor.ProcessorABC):
    """Fills Mbc (GeV) of the best Btag of an event above a signal probability, and counts."""

    def __init__(self, cut: float) -> None:
        self.cut = cut

    def process(self, events: Any) -> dict[str, Any]:
        """A chunk of a Btag file: a row per candidate."""
        rows = events[(events.best == 1) & (events.SignalProbability > self.cut)]
        mbc = hist.Hist.new.StrCat([], growth=True, name="B").Reg(40, 5.25, 5.29, name="Mbc").Weight()
        for name, pdg in (("B+", 521), ("B0", 511)):
            of_type = rows[abs(rows.pdg) == pdg]
            mbc.fill(B=name, Mbc=of_type.Mbc, weight=of_type.weight)
        return {"Mbc": mbc, "candidates": len(events), "best": len(rows)}

    def postprocess(self, accumulator: Any) -> None:
        """Nothing is left to do."""


def main() -> None:
    """Run over the files and print the histogram."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("inputs", nargs="+", help="Btag files (.root)")
    parser.add_argument("--cut", type=float, default=0.01, help="signal probability (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    executor = (processor.IterativeExecutor(status=False) if arguments.workers == 1
                else processor.FuturesExecutor(workers=arguments.workers, status=False))
    run = processor.Runner(executor=executor, schema=BaseSchema)
    found = run({"tags": {"treename": "btag", "files": arguments.inputs}}, BestTags(arguments.cut))
    print(f"{found['candidates']} candidates, {found['best']} best ones above {arguments.cut}")
    print(found["Mbc"].project("Mbc"))


if __name__ == "__main__":
    main()
