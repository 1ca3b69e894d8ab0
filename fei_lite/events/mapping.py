"""Mapping files: which branches of an ntuple of any layout are our columns, in which unit and convention (TOML).

See docs/inputs.md. ``extends = "edm4hep"`` starts from a shipped mapping; ``[names]`` fills the ``{words}`` in it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from importlib import resources
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from fei_lite.data_files import Strict, toml_content, validated
from fei_lite.errors import EventFileError, nearest
from fei_lite.events.conversion import DIMENSIONS, QUANTITIES, UNITS, dimension_of
from fei_lite.events.layout import HELIX, branches
from fei_lite.events.schema import LISTS
from fei_lite.outputs import PathLike

#: Columns without which a list is not used, by list.
REQUIRED = {
    "events": ("experiment", "run", "event"),
    "tracks": HELIX, "clusters": ("E", "theta", "phi", "r", "E_error", "theta_error", "phi_error"),
    "klm": ("x", "y", "z"), "generated": ("pdg", "mother", "px", "py", "pz", "E", "x", "y", "z"),
    "v0s": ("pdg", "positive_index", "negative_index", *(f"{side}_{name}" for side in ("positive", "negative")
                                                         for name in HELIX)),
}
#: What it costs that other columns are missing (the beginning of a name stands for all that begin so).
COSTS = {
    "tracks": {"cov": "only the errors of the helix are known: vertex fits take its parameters as uncorrelated",
               "logl": "no particle identification: all hypotheses are equally likely, kaonID is 1/6 for every track",
               "p_value": "chiProb of tracks is undefined", "n_": "hits are 0",
               "mc_index": "tracks have no truth"},
    "clusters": {"region": "Belle II's regions, from theta", "n_hits": "clusterNHits is undefined",
                 "E9E21": "clusterE9E21 is undefined", "timing": "clusterTiming and its error are undefined",
                 "min_track": "clusterTrackDist is undefined", "is_track": "all clusters count as neutral",
                 "is_photon": "all clusters are photon candidates", "mc_index": "clusters have no truth"},
    "klm": {"p": "no momentum of K_L0", "timing": "no time", "layers": "0", "innermost": "0", "mc_index": "no truth"},
    "generated": {"status": "all generated particles count as primary", "time": "times are 0"},
    "v0s": {},
    "events": {"weight": "all weights are 1"},
}
#: What it costs that a whole list is missing.
LIST_COSTS = {"klm": "no K_L0 clusters: none as a veto, and none in the rest of the event",
              "v0s": "no V0s: K_S0 and Lambda0 from pairs of tracks alone, no converted photons",
              "generated": "no truth: no training, no efficiency"}


class Column(Strict):
    """One column of ours: their branch (of several names the first that is there), or a constant ``value``.

    ours = factor * theirs * unit + offset, after ``quantity`` was turned into ours. ``at``: branch with, for each
    object, the index in its event of the entry of ``branch`` that belongs to it; ``end``: where those of the object
    end (``end`` = ``at``: none). ``element``: of a branch with several numbers an object, which one, from 0.
    """

    branch: str | tuple[str, ...] = ""
    value: float | None = None
    unit: str = ""
    factor: float = 1.0
    offset: float = 0.0
    quantity: str = ""
    at: str = ""
    end: str = ""
    element: int | None = Field(default=None, ge=0)

    @property
    def names(self) -> tuple[str, ...]:
        """The names that the branch may have."""
        return (self.branch,) if isinstance(self.branch, str) else self.branch

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.value is None) != any(self.names):
            raise ValueError("expected a branch or a value.")
        if self.unit and self.unit not in UNITS:
            raise ValueError(f"unit: got '{self.unit}', expected {', '.join(UNITS)}.{nearest(self.unit, UNITS)}")
        if self.factor == 0.0:
            raise ValueError("factor: got 0.")
        if self.end and not self.at:
            raise ValueError("end: needs at, the branch with the first index.")
        return self


class Covariance(Strict):
    """The covariance of a helix, packed in one branch: signs and units are those of the helix' columns.

    ``order``: "upper" (00 01 02 ... 11 12 ...) or "lower" (00 10 11 20 21 22 ...); ``parameters``: what its rows are.
    """

    branch: str | tuple[str, ...]
    order: Literal["upper", "lower"] = "upper"
    parameters: tuple[str, ...] = HELIX
    at: str = ""

    @model_validator(mode="after")
    def _all_five(self) -> Self:
        if len(set(self.parameters)) < len(self.parameters) or not set(HELIX) <= set(self.parameters):
            raise ValueError(f"parameters: expected each of {', '.join(HELIX)} once, and what else there is.")
        return self


class Condition(Strict):
    """Objects with one value of a branch only."""

    branch: str
    equals: float


class Truth(Strict):
    """Links from objects to generated particles: branches of their indices in the event, a link a place (of several
    names the first that is there).

    Of several links of an object the one with the largest ``weight`` counts, if it has at least ``least``.
    """

    object: tuple[str, ...]
    particle: tuple[str, ...]
    weight: str = ""
    least: float = 0.0


class Objects(Strict):
    """A list of objects: its ``tree``, the objects ``where`` a branch has a value, and its columns.

    ``errors``: standard deviations of the helix, in its units, where there is no covariance. ``position``: x, y, z of
    clusters in place of theta, phi and r. ``zero``: branches that must be 0, such as a reference point. ``truth``:
    where the matched generated particle stands, if it is no column of the objects.
    """

    tree: str = ""
    where: Condition | None = None
    zero: tuple[str, ...] = ()
    zero_at: str = ""
    columns: dict[str, str | float | Column] = Field(default_factory=dict)
    covariance: Covariance | None = None
    errors: dict[str, str | float | Column] = Field(default_factory=dict)
    position: dict[str, str | float | Column] = Field(default_factory=dict)
    truth: Truth | None = None


class Mapping(Strict):
    """A mapping file. ``rows``: what a row of a tree is, an "event" with lists, or one "object".

    ``place``: where it was read from; set by :func:`load_mapping`.
    """

    name: str
    rows: Literal["event", "object"] = "event"
    tree: str = ""
    candidate: str = ""
    n_candidates: str = ""
    events: dict[str, str | float | Column]
    tracks: Objects
    clusters: Objects | None = None
    klm: Objects | None = None
    v0s: Objects | None = None
    generated: Objects | None = None
    place: str = ""

    @model_validator(mode="after")
    def _meaning(self) -> Self:
        problems = [*self._problems()]
        if problems:
            raise ValueError(problems[0] if len(problems) == 1 else "; ".join(problems[:5]))
        return self

    def _problems(self) -> Iterator[str]:
        for name, columns in (("events", self.events), *((n, o.columns) for n, o in self.lists.items())):
            known = {b.name.removeprefix(f"{name}_"): b for b in branches(name)}
            for key, given in columns.items():
                if key not in known:
                    yield f"{name}: unknown column '{key}'.{nearest(key, known)}"
                else:
                    yield from (f"{name}.{key}: {text}" for text in _mismatch(name, key, as_column(given)))
        for name, objects in self.lists.items():
            known_names = {*objects.columns, *({"theta", "phi", "r"} if objects.position else ())}
            lacking = [key for key in REQUIRED[name] if key not in known_names]
            if lacking:
                yield f"{name}: columns {', '.join(lacking)} are missing"
            if name == "tracks" and objects.covariance is None and set(objects.errors) != set(HELIX) and \
                    not any(key.startswith("cov_") for key in objects.columns):
                yield f"tracks: neither covariance, columns cov_00 ... cov_44 nor errors of {', '.join(HELIX)}"
            if objects.truth is not None and ("mc_index" in objects.columns or self.rows == "object" or
                                              name not in ("tracks", "clusters", "klm")):
                yield f"{name}.truth: expected with rows = \"event\", for tracks, clusters or klm without mc_index"
            if objects.position and set(objects.position) != {"x", "y", "z"}:
                yield f"{name}.position: expected x, y and z"
            if all(as_column(c).value is not None for c in (*objects.columns.values(), *objects.position.values())):
                yield f"{name}: constants only, expected a branch: it says how many there are"
        if lacking := [key for key in REQUIRED["events"] if key not in self.events and self.rows == "object"]:
            yield f"events: {', '.join(lacking)} are missing: they say which rows are of one event"
        if "event" not in self.events:
            yield "events.event is missing"

    @property
    def lists(self) -> dict[str, Objects]:
        """The lists that the mapping fills."""
        return {name: found for name in LISTS if (found := getattr(self, name)) is not None}

    @property
    def trees(self) -> tuple[str, ...]:
        """The trees that the mapping reads."""
        return tuple(dict.fromkeys(found.tree or self.tree for found in self.lists.values()))

    @property
    def digest(self) -> str:
        """SHA-256 of what it says."""
        return hashlib.sha256(json.dumps(self.model_dump(exclude={"place"}), sort_keys=True).encode()).hexdigest()


def as_column(given: str | float | Column) -> Column:
    """A column from a branch's name or a constant."""
    if isinstance(given, Column):
        return given
    return Column(branch=given) if isinstance(given, str) else Column(value=float(given))


def _mismatch(name: str, key: str, column: Column) -> Iterator[str]:
    """What is wrong with the unit or the quantity of a column."""
    if column.quantity and (key, column.quantity) not in QUANTITIES:
        known = [quantity for target, quantity in QUANTITIES if target == key]
        yield (f"quantity: got '{column.quantity}', expected {', '.join(known) or 'none for this column'}."
               f"{nearest(column.quantity, known)}")
        return
    wanted = QUANTITIES[key, column.quantity].unit if column.quantity else dimension_of(name, key)
    if column.unit and UNITS[column.unit][0] != wanted:
        fit = [unit for unit, (dimension, _) in UNITS.items() if dimension == wanted]
        yield f"unit: got '{column.unit}', expected {' or '.join(fit) or 'none'} ({DIMENSIONS[wanted]})."


def shipped_mappings() -> tuple[str, ...]:
    """Names of the shipped mappings."""
    folder = resources.files("fei_lite.events") / "mappings"
    return tuple(sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml")))


def mapping_names(name: str) -> dict[str, str]:
    """The ``[names]`` of a shipped mapping, filled: what stands for its words in braces."""
    names: dict[str, str] = _content(name, ("",)).get("names", {})
    filled = {key: _filled(value, names) for key, value in names.items()}
    return {key: str(value) for key, value in filled.items()}


def load_mapping(path: PathLike) -> Mapping:
    """A mapping from a TOML file, or a shipped one by name; raises :class:`EventFileError` with every defect."""
    content = _content(str(path), ())
    return validated({**content, "place": str(path)}, Mapping, where=str(path), error=EventFileError)


def _content(path: str, above: tuple[str, ...]) -> dict[str, Any]:
    if path in shipped_mappings():
        content = toml_content(resources.files("fei_lite.events") / "mappings" / f"{path}.toml", where=path,
                               error=EventFileError)
    elif "/" not in path and not path.endswith(".toml"):
        raise EventFileError(f"{path}: no such mapping: expected a TOML file, or {' or '.join(shipped_mappings())}."
                             f"{nearest(path, shipped_mappings())}")
    else:
        content = toml_content(path, where=path, error=EventFileError)
    base = content.pop("extends", None)
    names = content.pop("names", {})
    if not isinstance(names, dict) or not all(isinstance(value, str) for value in names.values()):
        raise EventFileError(f"{path}: names: expected a table of texts.")
    if base is not None:
        if not isinstance(base, str) or base in above or base not in shipped_mappings():
            raise EventFileError(f"{path}: extends: got {base!r}, expected {' or '.join(shipped_mappings())}."
                                 f"{nearest(str(base), shipped_mappings())}")
        below = _content(base, (*above, path))
        names = {**below.pop("names", {}), **names}
        content = _merged(below, content)
    if above:
        return content | {"names": names}
    filled = _filled(content, names)
    assert isinstance(filled, dict)
    return filled


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Tables of two files; the values of the upper one count."""
    found = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(found.get(key), dict)
        found[key] = _merged(found[key], value) if both and key != "where" else value
    return found


def _filled(value: Any, names: dict[str, str]) -> Any:
    """Texts with the words in braces replaced."""
    if isinstance(value, dict):
        return {key: _filled(inner, names) for key, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, names) for inner in value]
    if isinstance(value, str):
        for key, name in names.items():
            value = value.replace("{" + key + "}", name)
    return value
