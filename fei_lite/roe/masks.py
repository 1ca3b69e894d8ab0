"""Named masks of the rest of the event: cuts as data, each with its origin."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Annotated, Any

from pydantic import AfterValidator

from fei_lite.channels.cut_strings import CUT_ERRORS, OldCutError, read_cut
from fei_lite.data_files import Strict, toml_content, validated
from fei_lite.errors import MaskError, UnknownNameError, nearest
from fei_lite.variables.cuts import Cut, joined, parse_cut
from fei_lite.variables.registry import KNOWN

#: What a mask may cut on.
OBJECTS = ("tracks", "photons", "K_S0", "pi0", "Lambda0")


@dataclass(frozen=True)
class Mask:
    """A named selection of the objects of the rest of the event.

    ``cuts`` maps names of :data:`OBJECTS` to what an object must pass; an object without cuts counts
    as it is, but K_S0, pi0 and Lambda0 are only looked for where there are cuts. ``origins`` has, for each, the
    papers, basf2 names and assumptions that the cuts come from: (cut, origin).
    """

    name: str
    origin: str
    cuts: Mapping[str, Cut] = field(default_factory=dict)
    origins: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)


def _text_or_tables(value: Any) -> Any:
    if isinstance(value, str) or (isinstance(value, list) and all(isinstance(entry, dict) for entry in value)):
        return value
    raise ValueError(f"got {value!r}, expected a text or a list like [{{ cut = \"E > 0.1\", origin = \"...\" }}].")


_Cuts = Annotated[Any, AfterValidator(_text_or_tables)]


class _Table(Strict):
    origin: str
    tracks: _Cuts | None = None
    photons: _Cuts | None = None
    K_S0: _Cuts | None = None
    pi0: _Cuts | None = None
    Lambda0: _Cuts | None = None


class _Line(Strict):
    cut: str
    origin: str


def load_masks(path: str | os.PathLike[str] | None = None) -> dict[str, Mask]:
    """Masks of a TOML file, by name; without ``path`` those that are shipped.

    Raises :class:`MaskError` with all defects, each with its key path.

    >>> sorted(load_masks())
    ['all', 'hta', 'ita', 'skim']
    >>> str(load_masks()["hta"].cuts["tracks"])
    'dr < 2 and abs(dz) < 4'
    """
    return dict(_shipped()) if path is None else _read(path, str(path))


@cache
def _shipped() -> Mapping[str, Mask]:
    return _read(files("fei_lite.roe") / "masks.toml", "masks.toml")


def _read(source: Any, where: str) -> dict[str, Mask]:
    content = toml_content(source, where=where, error=MaskError)
    findings: list[str] = [] if content else [f"{where}: no mask. Give at least one table like [hta]."]
    masks = {}
    for name, table in content.items():
        try:
            masks[name] = _mask(name, validated(table, _Table, where=f"{where}: {name}", error=MaskError),
                                f"{where}: {name}", findings)
        except MaskError as error:
            findings += str(error).split("\n  ")
    if findings:
        raise MaskError("\n  ".join(findings))
    return masks


def find_mask(name: str | Mask, masks: Mapping[str, Mask] | None = None) -> Mask:
    """A mask by its name; a mask is handed back. Raises :class:`UnknownNameError`."""
    if isinstance(name, Mask):
        return name
    masks = load_masks() if masks is None else masks
    if name not in masks:
        raise UnknownNameError(f"no mask '{name}'; there are {', '.join(masks)}.{nearest(name, masks)}")
    return masks[name]


def _mask(name: str, table: _Table, where: str, findings: list[str]) -> Mask:
    cuts, origins = {}, {}
    for kind in OBJECTS:
        value = getattr(table, kind)
        if value is not None:
            made = _lines(value, f"{where}: {kind}", table.origin, findings)
            cuts[kind] = joined(cut for cut, _ in made)
            origins[kind] = tuple((cut.text, origin) for cut, origin in made)
            findings += [f"{where}: {kind}: '{part}' is known {part.known} only." for part in cuts[kind].conjuncts
                         if KNOWN.index(part.known) > KNOWN.index("after the fit")]
    return Mask(name, table.origin, cuts, origins)


def _lines(value: str | Sequence[Mapping[str, Any]], where: str, origin: str, findings: list[str],
           ) -> list[tuple[Cut, str]]:
    """The cuts of one kind of object with their origins; a defect becomes a finding."""
    try:
        if isinstance(value, str):
            return [(parse_cut(value, where), origin)]
        if not any("cut" in entry for entry in value):  # the tables of earlier versions
            findings += [f"{where}[{i}].origin: missing, or not a text." for i, entry in enumerate(value)
                         if not isinstance(entry.get("origin"), str)]
            found = read_cut(value, where)
            return [(found, "; ".join(dict.fromkeys(str(entry.get("origin")) for entry in value)))] if found else []
        lines = [validated(entry, _Line, where=f"{where}[{i}]", error=MaskError) for i, entry in enumerate(value)]
        return [(parse_cut(line.cut, f"{where}[{i}].cut"), line.origin) for i, line in enumerate(lines)]
    except (*CUT_ERRORS, MaskError) as error:
        findings += error.findings if isinstance(error, OldCutError) else str(error).split("\n  ")
        return []
