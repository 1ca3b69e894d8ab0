"""Values of options that are checked while the command line is parsed."""

from __future__ import annotations

import argparse
import datetime
from collections.abc import Sequence
from typing import Any


def natural(text: str) -> int:
    """A whole number of 0 or more, such as a seed.

    >>> natural("12")
    12
    """
    return _whole(text, least=0)


def positive(text: str) -> int:
    """A whole number of 1 or more."""
    return _whole(text, least=1)


def _whole(text: str, *, least: int) -> int:
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if not least <= value < 2**63:
        raise argparse.ArgumentTypeError(f"got '{text[:40]}', expected a whole number of {least} or more")
    return value


def day(text: str) -> str:
    """A date as ISO 8601 has it, or nothing.

    >>> day("2026-11-29")
    '2026-11-29'
    """
    try:
        return text and datetime.date.fromisoformat(text).isoformat()
    except ValueError:
        raise argparse.ArgumentTypeError(f"got '{text[:40]}', expected a date such as 2026-11-29") from None


def add_event_inputs(parser: argparse.ArgumentParser, name: str | None = "inputs", *, metavar: str = "INPUT",
                     others: str = "") -> None:
    """Add the event files of a command (positional ``name``, unless None), and the options for reading them.

    ``others`` says what besides event files it takes.
    """
    if name is not None:
        parser.add_argument(name, nargs="*", metavar=metavar,
                            help="event files: names, patterns, URLs or @list.txt; fei-lite's (ROOT, Parquet), Belle "
                                 f"II mDST, or what a mapping describes{others}")
    group = parser.add_argument_group("how event files are read (see docs/inputs.md)")
    if name is not None:
        group.add_argument("--files-from", action="append", default=[], metavar="LIST",
                           help="text file with more names, one a line")
    group.add_argument("--mapping", action="append", default=[], metavar="FILE",
                       help="TOML file that says which branches of an ntuple are our columns; or basf2_ntuple, edm4hep")
    group.add_argument("--conditions", default=None, metavar="FILE",
                       help="TOML file with field, beams and luminous region for files that lack them")


def event_inputs_of(arguments: argparse.Namespace, names: Sequence[Any] | None, *,
                    listed: bool = False) -> list[Any]:
    """The event files that a command was given; with ``listed`` also those of --files-from, and at least one."""
    from fei_lite.errors import EventFileError
    from fei_lite.events.inputs import event_inputs

    lists = arguments.files_from if listed else ()
    if listed and not names and not lists:
        raise EventFileError("no event file: name at least one, or give --files-from LIST.")
    return event_inputs(names or (), files_from=lists, mapping=arguments.mapping, conditions=arguments.conditions)


def files_read(arguments: argparse.Namespace) -> list[Any]:
    """The files by which event files are found and read: no output may replace them."""
    return [*getattr(arguments, "files_from", ()), *(name for name in arguments.mapping if "." in name),
            *([] if arguments.conditions is None else [arguments.conditions]),
            *(name[1:] for name in getattr(arguments, "inputs", ()) if str(name).startswith("@"))]
