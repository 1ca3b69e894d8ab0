#!/usr/bin/env python
"""Simulate, reconstruct and count with b2luigi: each step runs only if its output is missing.

    b2luigi_tag.py --events 2000 --seeds 1 2 3
    b2luigi_tag.py --events 2000 --seeds 1 2 3 --batch --batch-system htcondor
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import b2luigi

from fei_lite import read_tags, tag_files
from fei_lite.constants import DEFAULT_MODELS
from fei_lite.production.simulate import simulate_file


class Simulate(b2luigi.Task):
    """Events of one process and seed."""

    process = b2luigi.Parameter()
    seed = b2luigi.IntParameter()
    n = b2luigi.IntParameter()

    def output(self) -> Iterator[Any]:
        """An event file."""
        yield self.add_to_output("events.root")

    def run(self) -> None:
        """Simulate; the file is whole or not there."""
        simulate_file(self.process, self.get_output_file_name("events.root"), n=self.n, seed=self.seed)


@b2luigi.requires(Simulate)
class Reconstruct(b2luigi.Task):
    """Btags of these events."""

    models = b2luigi.Parameter(default=DEFAULT_MODELS)

    def output(self) -> Iterator[Any]:
        """A Btag file."""
        yield self.add_to_output("btag.root")

    def run(self) -> None:
        """Reconstruct; an interrupted run goes on with its journal."""
        tag_files([Path(path) for path in self.get_input_file_names("events.root")],
                  Path(self.get_output_file_name("btag.root")), models=self.models, journal=True)


class Summary(b2luigi.Task):
    """How many events got a Btag, over all seeds."""

    processes = b2luigi.ListParameter()
    seeds = b2luigi.ListParameter()
    n = b2luigi.IntParameter()

    def requires(self) -> Iterator[Any]:
        """The Btags of every process and seed."""
        for process in self.processes:
            for seed in self.seeds:
                yield Reconstruct(process=process, seed=seed, n=self.n)

    def output(self) -> Iterator[Any]:
        """A summary in JSON."""
        yield self.add_to_output("summary.json")

    def run(self) -> None:
        """Add up."""
        found = [read_tags(path) for path in self.get_input_file_names("btag.root")]
        summary = {"files": len(found), "events": sum(one.metadata["n_events"] for one in found),
                   "events with a Btag": sum(int(one.columns["best"].sum()) for one in found)}
        Path(self.get_output_file_name("summary.json")).write_text(json.dumps(summary, indent=1), encoding="utf-8")


def main() -> None:
    """Read the options that are not b2luigi's own, and hand over."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=2000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--processes", nargs="+", default=["charged", "mixed"])
    parser.add_argument("--results", default="results")
    arguments, own = parser.parse_known_args()
    b2luigi.set_setting("result_dir", str(Path(arguments.results).resolve()))
    sys.argv[1:] = own
    b2luigi.process(Summary(processes=arguments.processes, seeds=arguments.seeds, n=arguments.events), workers=1)


if __name__ == "__main__":
    main()
