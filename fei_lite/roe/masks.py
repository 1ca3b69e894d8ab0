"""Named masks of the rest of the event: cuts as data, each with its origin."""

from __future__ import annotations

import math
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.candidates import CandidateTable
from fei_lite.channels.model import REGIONS, Cut
from fei_lite.errors import MaskError, UnknownNameError, nearest
from fei_lite.events import EventBatch
from fei_lite.variables.registry import known
from fei_lite.reconstruction.final_state import passes

#: What a mask may cut on.
OBJECTS = ("tracks", "photons", "K_S0", "pi0", "Lambda0")

#: Variables of tracks and photons beyond those of candidates: list and column of the event schema.
_COLUMNS = {
    "nCDCHits": ("tracks", "n_cdc_hits"), "nSVDHits": ("tracks", "n_svd_hits"), "nPXDHits": ("tracks", "n_pxd_hits"),
    "clusterTheta": ("clusters", "theta"), "minC2TDist": ("clusters", "min_track_distance"),
}
_LIST = {"tracks": "tracks", "photons": "clusters"}
_CUT_KEYS = ("variable", "minimum", "maximum", "region", "origin")


@dataclass(frozen=True)
class MaskCut(Cut):
    """A cut with the paper, the basf2 name or the assumption it comes from."""

    origin: str = ""


@dataclass(frozen=True)
class Mask:
    """A named selection of the objects of the rest of the event.

    ``cuts`` maps names of :data:`OBJECTS` to their cuts, all of which an object
    must pass (cuts with a region: one of them); an object without cuts counts
    as it is, but K_S0, pi0 and Lambda0 are only looked for where there are cuts.
    """

    name: str
    origin: str
    cuts: Mapping[str, tuple[MaskCut, ...]] = field(default_factory=dict)


def load_masks(path: str | os.PathLike[str] | None = None) -> dict[str, Mask]:
    """Masks of a TOML file, by name; without ``path`` those that are shipped.

    Raises :class:`MaskError` with all defects, each with its key path.

    >>> sorted(load_masks())
    ['all', 'hta', 'ita', 'skim']
    >>> load_masks()["hta"].cuts["photons"][1].minimum
    0.06
    """
    where = "masks.toml" if path is None else str(path)
    try:
        text = files("fei_lite.roe") / "masks.toml" if path is None else Path(path)
        content = tomllib.loads(text.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise MaskError(f"{where}: cannot be read as TOML: {error}") from None
    findings: list[str] = []
    masks = {name: _mask(name, table, findings) for name, table in content.items()}
    if not masks:
        findings.append("no mask. Give at least one table like [hta].")
    if findings:
        raise MaskError("\n  ".join(f"{where}: {finding}" for finding in findings))
    return masks


def find_mask(name: str | Mask, masks: Mapping[str, Mask] | None = None) -> Mask:
    """A mask by its name; a mask is handed back. Raises :class:`UnknownNameError`."""
    if isinstance(name, Mask):
        return name
    masks = load_masks() if masks is None else masks
    if name not in masks:
        raise UnknownNameError(f"no mask '{name}'; there are {', '.join(masks)}.{nearest(name, masks)}")
    return masks[name]


def _mask(name: str, table: Any, findings: list[str]) -> Mask:
    if not isinstance(table, dict):
        findings.append(f"{name}: expected a table [{name}], got {table!r}.")
        return Mask(name, "")
    if not isinstance(table.get("origin"), str):
        findings.append(f"{name}.origin: missing. Say where the mask comes from.")
    cuts = {}
    for key, value in table.items():
        if key == "origin":
            continue
        if key not in OBJECTS:
            findings.append(f"{name}.{key}: unknown key '{key}'.{nearest(key, OBJECTS)}")
        elif not isinstance(value, list):
            findings.append(f"{name}.{key}: expected a list of cuts, got {value!r}.")
        else:
            made = [_cut(f"{name}.{key}[{i}]", key, entry, findings) for i, entry in enumerate(value)]
            cuts[key] = tuple(cut for cut in made if cut is not None)
    return Mask(name, str(table.get("origin", "")), cuts)


def _cut(at: str, kind: str, entry: Any, findings: list[str]) -> MaskCut | None:
    """One cut; a defect becomes a finding and None."""
    if not isinstance(entry, dict):
        findings.append(f"{at}: expected a table like {{ variable = \"E\", minimum = 0.1, origin = \"...\" }}, "
                        f"got {entry!r}.")
        return None
    before = len(findings)
    findings.extend(f"{at}.{key}: unknown key '{key}'.{nearest(key, _CUT_KEYS)}"
                    for key in entry if key not in _CUT_KEYS)
    findings.extend(f"{at}.{key}: missing, or not a text." for key in ("variable", "origin")
                    if not isinstance(entry.get(key), str))
    findings.extend(limit_findings(entry, at))
    region, variable = entry.get("region"), entry.get("variable")
    if region is not None and (region not in REGIONS or kind != "photons"):
        findings.append(f"{at}.region: expected one of {', '.join(REGIONS)}, for photons only, got {region!r}.")
    if isinstance(variable, str) and not _can_cut(kind, variable):
        findings.append(f"{at}.variable: unknown variable '{variable}' of {kind}.{nearest(variable, _COLUMNS)}")
    if isinstance(variable, str) and region is not None and not known(variable):
        findings.append(f"{at}.region: cuts on '{variable}' cannot be limited to a region.")
    if len(findings) > before:
        return None
    return MaskCut(variable=str(variable), minimum=entry.get("minimum"), maximum=entry.get("maximum"), region=region,
                   origin=entry["origin"])


def limit_findings(entry: Mapping[str, Any], at: str) -> list[str]:
    """What is wrong with ``minimum`` and ``maximum`` of a cut in a data file; ``at`` is its place there."""
    limits = [entry[key] for key in ("minimum", "maximum") if key in entry]
    if not limits:
        return [f"{at}: cuts nothing. Give a minimum or a maximum."]
    if any(isinstance(x, bool) or not isinstance(x, int | float) or not math.isfinite(x) for x in limits):
        return [f"{at}: minimum and maximum: expected finite numbers, got {limits}."]
    if len(limits) == 2 and limits[0] >= limits[1]:
        return [f"{at}: minimum {limits[0]} is not below maximum {limits[1]}."]
    return []


def _can_cut(kind: str, variable: str) -> bool:
    if variable in _COLUMNS:
        return _LIST.get(kind) == _COLUMNS[variable][0]
    return variable == "theta" or known(variable)


def inside(table: CandidateTable, cuts: tuple[MaskCut, ...], batch: EventBatch) -> NDArray[np.bool_]:
    """Which candidates pass the cuts of a mask, (n,); NaN fails.

    ``minC2TDist`` is infinite where it is undefined: without a track, none is near.
    """
    own = [cut for cut in cuts if cut.variable in _COLUMNS or cut.variable == "theta"]
    keep = passes(table, [cut for cut in cuts if cut not in own], batch)
    for cut in own:
        value = _value(cut.variable, table, batch)
        keep &= ~np.isnan(value)
        if cut.minimum is not None:
            keep &= value > cut.minimum
        if cut.maximum is not None:
            keep &= value < cut.maximum
    return keep


def _value(variable: str, table: CandidateTable, batch: EventBatch) -> NDArray[np.float64]:
    """One of the variables that tables of candidates do not have."""
    if variable == "theta":
        p4 = table["p4"]
        return np.asarray(np.arctan2(np.hypot(p4[:, 0], p4[:, 1]), p4[:, 2]))
    kind, column = _COLUMNS[variable]
    value = getattr(batch, kind)[column][table["object"]].astype(np.float64)
    return np.where(np.isnan(value), np.inf, value) if variable == "minC2TDist" else value
