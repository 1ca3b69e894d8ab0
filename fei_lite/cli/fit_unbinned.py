"""fei-lite fit of an unbinned analysis: its values.parquet, or the folder with it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that only unbinned fits take."""
    group = parser.add_argument_group("unbinned fits (values.parquet, or its folder)")
    group.add_argument("--region", action="append", metavar="NAME", help="only this region (may be repeated)")
    group.add_argument("--background", default="exponential", metavar="FAMILY",
                       help="exponential (default), bernstein1 or bernstein2")
    group.add_argument("--peak", type=float, default=1.77693, metavar="GEV",
                       help="where the signal peaks (default: the mass of the tau)")
    group.add_argument("--more", type=float, metavar="FB",
                       help="fit a second data set of FB 1/fb at the same time: a stand-in that is simulated alike")


def is_unbinned(path: Path) -> bool:
    """Whether a path is a file of values, or a folder with one."""
    return path.suffix == ".parquet" or (path.is_dir() and (path / "values.parquet").is_file())


def fit_regions(arguments: argparse.Namespace) -> dict[str, Any]:
    """Expected error and limit of every region, as JSON; regions without an answer say why."""
    from fei_lite.errors import FitError
    from fei_lite.statistics.from_values import read_values

    values = read_values(arguments.workspace)
    found = {}
    for name in arguments.region or list(values.regions):
        try:
            found[name] = _fitted(values, name, arguments)
        except FitError as error:
            found[name] = {"undefined": str(error)}
    return {"values": str(arguments.workspace), "luminosity_fb": values.luminosity, "more_fb": arguments.more,
            "background": arguments.background, "level": arguments.level, "regions": found}


def _fitted(values: Any, name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    from fei_lite.plain import as_plain
    from fei_lite.statistics.unbinned import PeakFit
    from fei_lite.statistics.unbinned_limits import expected_limits

    own = values.region(name)
    more = None if arguments.more is None else {"more": arguments.more}
    model = values.model(name, loc=arguments.peak, family=arguments.background, more=more)
    fit = PeakFit(model, model.asimov())
    total, error = own.background_total
    return {"signal_at_1": float(own.signal_weight.sum()), "signal_entries": len(own.signal),
            "background": total, "background_error": error, "background_entries": len(own.background),
            "peak": model.peak.to_json(), "error_up": as_plain(fit.error(1.0)), "error_down": as_plain(fit.error(-1.0)),
            "expected_limit": as_plain(expected_limits(model, level=arguments.level))}


def table(result: dict[str, Any]) -> str:
    """The result as text, a line per region."""
    more = "" if result["more_fb"] is None else f" and {result['more_fb']:g}/fb more"
    lines = [f"{result['luminosity_fb']:g}/fb{more}, background {result['background']}, expected CLs limits at "
             f"{100 * result['level']:g} % CL",
             f"{'region':16} {'signal at 1':>12} {'background':>20} {'core [GeV]':>11} {'limit':>8} {'68 %':>16}"]
    for name, found in result["regions"].items():
        if "undefined" in found:
            lines.append(f"{name:16} undefined: {found['undefined']}")
            continue
        low, middle, high = found["expected_limit"][1:4]
        lines.append(f"{name:16} {found['signal_at_1']:12.3g} {found['background']:11.4g} +- "
                     f"{found['background_error']:<6.3g} {found['peak']['scale']:10.4f} {middle:8.3g} "
                     f"{low:8.3g}-{high:<8.3g}")
    return "\n".join(lines)
