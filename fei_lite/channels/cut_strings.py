"""Cuts of channel files and masks: cut strings, the tables of earlier versions, and what a cut means for a hash."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from fei_lite.errors import ExpressionError, FeiLiteError, UnknownNameError, nearest
from fei_lite.variables.cuts import Cut, Interval, from_interval, parse_cut
from fei_lite.variables.tree import Both, Comparison, Either, Node, canonical

#: Regions of the calorimeter by the names of earlier versions, and their code in clusterReg.
REGIONS = {"forward": 1, "barrel": 2, "backward": 3}

_KEYS = ("variable", "minimum", "maximum", "region", "origin")


class OldCutError(FeiLiteError, ValueError):
    """A cut of the earlier form that cannot be read; ``findings`` are its defects, each with its place."""

    def __init__(self, findings: Sequence[str]) -> None:
        super().__init__("\n  ".join(findings))
        self.findings = tuple(findings)


def read_cut(value: str | Sequence[Mapping[str, Any]], where: str) -> Cut:
    """The cut of a data file: a cut string, or a list of tables of the earlier form, read with a notice.

    ``where`` is the file and the key path. Raises :class:`UnknownNameError`, :class:`ExpressionError` or
    :class:`OldCutError`.
    """
    if isinstance(value, str):
        return parse_cut(value, where)
    if not value:
        return Cut("")
    text = old_text(value, where)
    warnings.warn(f"{where}: write the cut as a text: \"{text}\". The list of tables is read for the last time in "
                  "this version.", FutureWarning, stacklevel=2)
    return parse_cut(text, where)


def old_text(entries: Sequence[Mapping[str, Any]], where: str) -> str:
    """The cut string of tables with variable, minimum, maximum and region (cuts with a region are alternatives).

    >>> old_text([{"variable": "dr", "maximum": 2.0}, {"variable": "E", "minimum": 0.1, "region": "barrel"}], "")
    'dr < 2.0 and [clusterReg == 2 and E > 0.1]'
    """
    findings: list[str] = []
    plain, regional = [], []
    for i, entry in enumerate(entries):
        text = _entry(entry, f"{where}[{i}]", findings)
        region = entry.get("region")
        if text and region is None:
            plain.append(text)
        elif text:
            regional.append(f"[clusterReg == {REGIONS[str(region)]} and {text}]")
    if findings:
        raise OldCutError(findings)
    alternatives = " or ".join(regional)
    return " and ".join([*plain, *([f"[{alternatives}]" if len(regional) > 1 and plain else alternatives]
                                   if regional else [])])


def _entry(entry: Mapping[str, Any], at: str, findings: list[str]) -> str:
    before = len(findings)
    findings += [f"{at}.{key}: unknown key '{key}'.{nearest(key, _KEYS)}" for key in entry if key not in _KEYS]
    if not isinstance(entry.get("variable"), str):
        findings.append(f"{at}.variable: missing, or not a name.")
    region = entry.get("region")
    if region is not None and region not in REGIONS:
        findings.append(f"{at}.region: unknown region '{region}'.{nearest(str(region), REGIONS)}")
    limits = [entry[key] for key in ("minimum", "maximum") if key in entry]
    if not limits:
        findings.append(f"{at}: cuts nothing. Give a minimum or a maximum.")
    elif any(isinstance(x, bool) or not isinstance(x, int | float) or not math.isfinite(x) for x in limits):
        findings.append(f"{at}: minimum and maximum: expected finite numbers, got {limits}.")
    if len(findings) > before:
        return ""
    return from_interval(Interval(str(entry["variable"]), float(entry.get("minimum", -math.inf)),
                                  float(entry.get("maximum", math.inf))))


def intervals(cut: Cut) -> dict[str, Interval]:
    """The intervals that a cut asks for, one for each variable: what all its single comparisons leave."""
    found: dict[str, Interval] = {}
    for part in cut.conjuncts:
        if (one := part.interval) is not None:
            found[one.variable] = found[one.variable] & one if one.variable in found else one
    return found


def meaning(cut: Cut) -> list[dict[str, Any]]:
    """What a cut means, as plain data: equal for cuts that are written differently but say the same.

    Intervals and alternatives by region are as in the tables of earlier versions, so that channel sets keep the hash
    that their models were trained for.

    >>> meaning(parse_cut("M > 0.4 and M < 0.6"))
    [{'variable': 'M', 'minimum': 0.4, 'maximum': 0.6, 'region': None}]
    """
    single = intervals(cut)
    found: list[dict[str, Any]] = []
    for part in cut.conjuncts:
        if (one := part.interval) is not None:
            if one.variable in single:
                found.append(_as_table(single.pop(one.variable), None))
        elif (regional := _by_region(part.node)) is not None:
            found += regional
        else:
            found.append({"cut": str(part)})
    return found


def _as_table(interval: Interval, region: str | None) -> dict[str, Any]:
    return {"variable": interval.variable, "minimum": None if math.isinf(interval.low) else interval.low,
            "maximum": None if math.isinf(interval.high) else interval.high, "region": region}


def _by_region(node: Node | None) -> list[dict[str, Any]] | None:
    """Alternatives of the form ``clusterReg == 1 and E > 0.1``; None for anything else."""
    names = {f"clusterReg == {code}": name for name, code in REGIONS.items()}
    found = []
    for option in node.parts if isinstance(node, Either) else () if node is None else (node,):
        if not isinstance(option, Both) or len(option.parts) != 2 or not isinstance(option.parts[1], Comparison):
            return None
        region, interval = names.get(canonical(option.parts[0])), Cut("", option.parts[1]).interval
        if region is None or interval is None:
            return None
        found.append(_as_table(interval, region))
    return found


#: What reading a cut may raise.
CUT_ERRORS = (UnknownNameError, ExpressionError, OldCutError)

