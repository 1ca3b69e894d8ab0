"""The page: numbers and figures put into the template."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from functools import cache
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fei_lite.particles import pdg_code
from fei_lite.performance.best_tags import B_TYPES
from fei_lite.performance.comparison import PURITIES
from fei_lite.performance.sculpting import SIDEBAND, SIGNAL_WINDOW
from fei_lite.performance.working_points import WORKING_POINTS
from fei_lite.report.steps import CHANNEL_STEPS

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

_THIN = "\N{NARROW NO-BREAK SPACE}"
_NONE = "\N{EN DASH}"


def render(numbers: Mapping[str, Any], figures: Mapping[str, Any]) -> str:
    """The page as text. The numbers are embedded as JSON (``<script id="numbers">``)."""
    # "</script>" inside a name would end the block
    embedded = json.dumps(numbers, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    rows_of = {row["name"]: [numbers["channels"][name] for name in row["channels"]] for row in numbers["particles"]}
    return _environment().get_template("report.html.j2").render(
        n=numbers, figures=figures, rows_of=rows_of, embedded=embedded, b_types=list(B_TYPES),
        window=SIGNAL_WINDOW, sideband=SIDEBAND,
        event_types={b_type: event_type for b_type, (_, event_type) in B_TYPES.items()}, points=WORKING_POINTS,
        rows_of_points=_points(), channel_steps=CHANNEL_STEPS, purities=[str(p) for p in PURITIES],
        cutflow=cutflow_table(numbers["cutflow"] or []))


def _points() -> list[tuple[str, str, int | str | None]]:
    """Rows of the table of working points: title, key, and which of the key's entries."""
    return [("no cut", "no_cut", None), *((f"above {p:g}", "working_points", i) for i, p in enumerate(WORKING_POINTS)),
            *((f"purity {100 * p:g} %", "at_purity", str(p)) for p in PURITIES)]


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True,
                              undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {
        "count": count, "percent": percent, "measured": measured, "auc": auc, "particle": particle, "events": events,
        "decay": decay, "size": size, "signed": signed, "number": plain}
    return environment


def count(value: int | None) -> str:
    """A whole number in groups of three.

    >>> count(12345).replace(_THIN, " ")
    '12 345'
    """
    return _NONE if value is None else f"{value:,}".replace(",", _THIN)


def percent(value: float | None, digits: int = 3) -> str:
    """A fraction in per cent.

    >>> percent(0.012345), percent(0.5)
    ('1.23', '50')
    """
    return _NONE if value is None else f"{100 * value:.{digits}g}"


def measured(value: Mapping[str, float | None] | None, factor: float = 100.0) -> str:
    """A number with its interval, to the digits that the interval allows (in per cent by default).

    >>> measured({"value": 0.0123, "lower": 0.0111, "upper": 0.0136})
    '1.23 [1.11, 1.36]'
    """
    if value is None or value["value"] is None:
        return _NONE
    v = factor * value["value"]
    if value["lower"] is None or value["upper"] is None:
        return f"{v:.3g}"
    low, high = factor * value["lower"], factor * value["upper"]
    half = 0.5 * (high - low)
    digits = min(max(1 - math.floor(math.log10(half)), 0), 3 if v > 1.0 else 6) if half > 0.0 else 3
    return f"{v:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def auc(value: float | None, uncertainty: float | None = None) -> str:
    """An AUC with its standard deviation.

    >>> auc(0.98765, 0.0012)
    '0.9877 ± 0.0012'
    """
    if value is None:
        return _NONE
    return f"{value:.4f}" + ("" if uncertainty is None else f" ± {uncertainty:.4f}")


def signed(value: float | None) -> str:
    """A pull."""
    return _NONE if value is None else f"{value:+.1f}".replace("-", "\N{MINUS SIGN}")


def plain(value: float | None, digits: int = 2) -> str:
    """A number to some significant digits."""
    return _NONE if value is None else f"{value:.{digits}g}"


def size(n: int) -> str:
    """Bytes for people.

    >>> size(5_400_000)
    '5.4 MB'
    """
    return f"{n / 1e6:.1f} MB" if n > 100_000 else f"{n / 1e3:.1f} kB"


def particle(name: str) -> Markup:
    """The name of a particle in HTML; the list of a leaf is named in words.

    >>> str(particle("D*+"))
    'D<sup>*+</sup>'
    """
    from markupsafe import Markup
    from particle import Particle

    species, _, label = name.partition(":")
    html = re.sub(r"</?SU[BP]>", lambda tag: tag[0].lower(), Particle.from_pdgid(pdg_code(species)).html_name)
    html = re.sub(r"\(\w+\)", "", html).replace("</sup><sup>", "")  # D*(2010)+ is our D*+
    lists = {"FSP": " (list)", "V0": " (V0 list)", "": ""}
    return Markup(html + lists.get(label, f" ({escape(label)})"))


def events(name: str) -> Markup:
    """An event type in HTML.

    >>> str(events("B+B-"))
    'B<sup>+</sup>B<sup>-</sup>'
    """
    from markupsafe import Markup

    pairs = {"B+B-": ("B+", "B-"), "B0B0bar": ("B0", "anti-B0")}
    return Markup("").join(particle(b) for b in pairs[name]) if name in pairs else Markup(escape(name))


def decay(row: Mapping[str, Any]) -> Markup:
    """A channel in HTML: mother, arrow, daughters; a leaf alone."""
    from markupsafe import Markup

    daughters = Markup(" ").join(particle(name) for name in row["daughters"])
    return daughters if row["leaf"] else particle(row["particle"]) + Markup(" &rarr; ") + daughters


def cutflow_table(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The cut-flow in blocks: events, particles, channels; each name with its steps in their order."""
    blocks: dict[str, dict[tuple[str, str], dict[str, int]]] = {"events": {}, "particles": {}, "channels": {}}
    names: dict[tuple[str, str], dict[str, int]] = {}
    for row in rows:
        names.setdefault((row["stage"], row["name"]), {})[row["step"]] = row["count"]
    for (stage, name), steps in names.items():
        block = "events" if stage == "events" else ("particles" if "kept" in steps else "channels")
        blocks[block][stage, name] = steps
    columns = {block: list(dict.fromkeys(step for steps in found.values() for step in steps))
               for block, found in blocks.items()}
    return {"rows": {block: list(found.items()) for block, found in blocks.items()}, "columns": columns}
