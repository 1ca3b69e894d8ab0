"""List the quantities that channel files, cuts, masks, trainings and ntuples may ask for.

PATTERN is a shell pattern; an expression is checked, and its unit told. Examples:

    fei-lite variables
    fei-lite variables "roe*" --format json
    fei-lite variables "daughter(0, useCMSFrame(p))"
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fei_lite.variables.table import Row

HELP = "list variables with unit and definition"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``fei-lite variables``."""
    parser.add_argument("pattern", nargs="?", default="*", metavar="PATTERN",
                        help="names to list, or an expression (default: all)")
    parser.add_argument("--format", choices=("table", "json", "markdown"), default="table",
                        help="default: %(default)s")


def run(arguments: argparse.Namespace) -> int:
    """Run ``fei-lite variables``."""
    from fei_lite.variables.table import as_markdown, rows

    found = rows(arguments.pattern) or (_expression(arguments.pattern),)
    if arguments.format == "json":
        sys.stdout.write(json.dumps([asdict(row) for row in found]) + "\n")
    elif arguments.format == "markdown":
        sys.stdout.write(as_markdown(arguments.pattern))
    else:
        sys.stdout.write("".join(_text(row) for row in found))
    return 0


def _expression(text: str) -> Row:
    """What an expression is; raises :class:`UnknownNameError` for one that does not exist."""
    from fei_lite.variables.names import find, known_of
    from fei_lite.variables.table import Row

    found = find(text)
    return Row(found.name, found.unit, found.meaning, found.nan, found.source, found.of, known_of(text))


def _text(row: Row) -> str:
    unit = f" [{row.unit}]" if row.unit else ""
    known = "" if row.known == "always" else f"; known {row.known}"
    return f"{row.name}{unit}\n    {row.definition}\n    NaN if {row.nan}{known}. Source: {row.source or '-'}.\n"
