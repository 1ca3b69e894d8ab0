"""The options that say who does the work: processes of this machine, or a Dask cluster."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from fei_lite.parallel import Processes, Workers
from fei_lite.parallel.cluster import CLUSTERS, connected, started


def add_workers(parser: argparse.ArgumentParser, *, journal: str | None = None) -> None:
    """Add ``--workers``, ``--scheduler``, ``--cluster`` and, if ``journal`` says of what, ``--journal``."""
    parser.add_argument("--workers", type=int, default=1,
                        help="processes; with --cluster: workers to start (default: %(default)s)")
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--scheduler", metavar="ADDRESS",
                       help="work on the Dask cluster whose scheduler is at tcp://HOST:PORT")
    place.add_argument("--cluster", choices=CLUSTERS,
                       help="start a Dask cluster for this run: here, or as jobs of a batch system (docs/scaling.md)")
    if journal is not None:
        parser.add_argument("--journal", action="store_true",
                            help=f"keep finished pieces of work in {journal} until all is done, so that after a kill "
                                 "the same command goes on there (on a cluster always)")


@contextmanager
def workers_of(arguments: argparse.Namespace) -> Iterator[Workers]:
    """What the options ask for; a cluster that was started ends with the block."""
    def tell(text: str) -> None:
        print(text, file=sys.stderr)

    if arguments.scheduler is not None:
        with connected(arguments.scheduler, notice=tell) as executor:
            yield executor
    elif arguments.cluster is not None:
        with started(arguments.cluster, arguments.workers, notice=tell) as executor:
            yield executor
    else:
        yield Processes(arguments.workers)


def wants_journal(arguments: argparse.Namespace) -> bool:
    """Whether a journal is to be kept: asked for, or on a cluster."""
    return bool(arguments.journal or arguments.scheduler or arguments.cluster)
