"""Look at the decay channels of a set: check, list, count or draw them.

A set is a folder of TOML files, one per particle: a shipped one by its name,
or your own by its path. Examples:

    fei-lite channels check --set hadronic
    fei-lite channels list --format json
    fei-lite channels chains
    fei-lite channels draw -o graph.svg
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fei_lite.channels import ChannelSet

HELP = "check, list, count or draw the decay channels of a set"

_FIGURES = (".svg", ".png", ".pdf")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``fei-lite channels``."""
    parser.add_argument("action", choices=sorted(_ACTIONS), help="check: exit code 1 if there are findings; "
                        "chains: number of exclusive decay chains; draw: GraphViz text, or a figure with -o")
    parser.add_argument("--set", dest="channel_set", default="hadronic", metavar="NAME_OR_PATH",
                        help="channel set (default: %(default)s)")
    parser.add_argument("--format", choices=("table", "json"), default="table", help="default: %(default)s")
    parser.add_argument("-o", "--output", type=Path, default=None,
                        help="write to this file (draw: .svg, .png, .pdf, else GraphViz text)")
    parser.add_argument("--force", action="store_true", help="overwrite the output")


def run(arguments: argparse.Namespace) -> int:
    """Run ``fei-lite channels``."""
    from fei_lite.channels import load_channel_set
    from fei_lite.outputs import check_suffix

    if arguments.action == "check":
        return _check(arguments)
    channel_set = load_channel_set(arguments.channel_set)
    if arguments.action == "draw" and arguments.output is not None:
        check_suffix(arguments.output, (*_FIGURES, ".dot", ".gv", ".txt", ".json", ""))
    if arguments.action == "draw" and arguments.output is not None and arguments.output.suffix in _FIGURES:
        from fei_lite.channels.drawing import draw
        from fei_lite.outputs import atomic_output

        with atomic_output(arguments.output, force=arguments.force, inputs=[arguments.channel_set]) as temporary:
            draw(channel_set, temporary)
        return 0
    content, text = _ACTIONS[arguments.action](channel_set)
    _write(json.dumps(content) + "\n" if arguments.format == "json" else text, arguments)
    return 0


def _check(arguments: argparse.Namespace) -> int:
    from fei_lite.channels import load_channel_set
    from fei_lite.errors import ChannelFileError

    findings: tuple[str, ...] = ()
    try:
        channel_set = load_channel_set(arguments.channel_set)
        content: dict[str, Any] = {"set": channel_set.name, "findings": [], "warnings": list(channel_set.warnings)}
        summary = (f"{channel_set.name}: {len(channel_set.particles)} particles, {channel_set.n_channels} channels, "
                   f"{len(channel_set.stages)} stages; no findings.\n")
    except ChannelFileError as error:
        findings = error.findings
        if not findings:  # there is no such set: wrong use, not a finding
            print(f"fei-lite channels: {error}", file=sys.stderr)
            return 2
        content = {"set": str(arguments.channel_set), "findings": list(findings), "warnings": []}
        summary = f"{arguments.channel_set}: {len(findings)} finding{'s' if len(findings) > 1 else ''}.\n"
    lines = [*findings, *(f"warning: {text}" for text in content["warnings"])]
    text = "".join(f"{line}\n" for line in lines) + summary
    _write(json.dumps(content) + "\n" if arguments.format == "json" else text, arguments)
    return 1 if findings else 0


def _list(channel_set: ChannelSet) -> tuple[Any, str]:
    keys = ("particle", "decayModeID", "daughters", "stage", "n_features", "fit", "unflavoured", "identifier")
    rows = [
        (c.particle, c.index, " ".join(c.daughters), channel_set.particles[c.particle].stage,
         len(c.features), c.fit or "-", "yes" if c.unflavoured else "", c.identifier)
        for c in channel_set.channels()]
    content = [
        dict(zip(keys, row, strict=True)) | {"daughters": list(c.daughters), "fit": c.fit, "unflavoured": c.unflavoured}
        for row, c in zip(rows, channel_set.channels(), strict=True)]
    return content, aligned(keys, rows)


def _chains(channel_set: ChannelSet) -> tuple[Any, str]:
    from fei_lite.channels import count_chains

    chains = count_chains(channel_set)
    content = {"set": channel_set.name, "n_channels": channel_set.n_channels,
               "n_chains": {name: chains[name] for name in channel_set.tags}}
    rows = [(name, len(config.channels), chains[name]) for name, config in channel_set.particles.items()]
    total = f"{channel_set.name}: {channel_set.n_channels} channels\n"
    return content, aligned(("particle", "channels", "chains"), rows) + total


def _draw(channel_set: ChannelSet) -> tuple[Any, str]:
    from fei_lite.channels.drawing import to_dot, uses

    content = {"set": channel_set.name, "stages": [list(names) for names in channel_set.stages],
               "edges": [[*edge, n] for edge, n in sorted(uses(channel_set).items())]}
    return content, to_dot(channel_set)


_ACTIONS: dict[str, Any] = {"check": None, "list": _list, "chains": _chains, "draw": _draw}


def aligned(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A text table; numbers to the right.

    >>> print(aligned(("name", "n"), [("B+", 13515)]), end="")
    name      n
    B+    13515
    """
    cells = [tuple(map(str, row)) for row in (header, *rows)]
    right = [all(isinstance(row[i], int | float) for row in rows) for i in range(len(header))]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    lines = ("  ".join(c.rjust(w) if r else c.ljust(w) for c, w, r in zip(row, widths, right, strict=True)).rstrip()
             for row in cells)
    return "\n".join(lines) + "\n"


def _write(text: str, arguments: argparse.Namespace) -> None:
    if arguments.output is None:
        sys.stdout.write(text)
        return
    from fei_lite.outputs import atomic_output

    with atomic_output(arguments.output, force=arguments.force, inputs=[arguments.channel_set]) as temporary:
        temporary.write_text(text, encoding="utf-8")
