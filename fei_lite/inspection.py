"""What a file holds, and what is missing for a reconstruction."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fei_lite.data_files import json_content, read_text, toml_content
from fei_lite.errors import EventFileError, FeiLiteError
from fei_lite.events.files import inspect_events
from fei_lite.events.formats import FileLook, format_of, look_at
from fei_lite.events.inputs import EventInput
from fei_lite.events.mapping import Mapping as MappingFile
from fei_lite.events.mapping import load_mapping, mapping_names
from fei_lite.events.mdst_tree import TREE as MDST_TREE
from fei_lite.events.podio import is_podio, podio_collections
from fei_lite.events.reading import open_events
from fei_lite.events.remote import is_url
from fei_lite.events.rootio import damage_reported, open_root
from fei_lite.events.schema import LISTS
from fei_lite.outputs import PathLike

#: What a reconstruction takes.
_EVENTS = "Reconstruct it: fei-lite reconstruct"


@dataclass(frozen=True)
class Inspection:
    """What a file is (``holds``), facts on it, what it ``lacks`` for a reconstruction, and what to do (``advice``).

    ``usable``: whether a command of fei-lite takes it as it is.
    """

    path: str
    holds: str
    usable: bool
    facts: dict[str, Any] = field(default_factory=dict)
    lacks: tuple[str, ...] = ()
    advice: str = ""

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


def inspection_text(found: Inspection) -> str:
    """An inspection as lines."""
    lines = [f"{found.path}: {found.holds}"]
    lines += [f"  {name.replace('_', ' ')}: {_shown(value)}" for name, value in found.facts.items()]
    lines += [f"  lacks: {one}" for one in found.lacks]
    return "\n".join([*lines, f"  {found.advice}"] if found.advice else lines)


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_shown(inner)}" for key, inner in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(_shown, value[:12])) + (f" and {len(value) - 12} more" if len(value) > 12 else "")
    return str(value)


def inspect_file(path: PathLike) -> Inspection:
    """What a file or folder holds. Raises :class:`EventFileError` if it is not there or damaged."""
    name = str(path)
    if not is_url(path):
        if os.path.isdir(path):
            return _folder(Path(os.fspath(path)))
        if name.endswith((".json", ".toml", ".dec", ".gz", ".txt", ".csv", ".npz")):
            return _text(Path(os.fspath(path)))
    look = look_at(path)
    if look.parquet:
        return _parquet(path, look)
    if (look.ours and "btag" in look.root) or ("ntuple" in look.root and look.ours):
        return _btags(path, "btag" if "btag" in look.root else "ntuple")
    if look.ours or (isinstance(path, EventInput) and path.mappings):
        return _events(path, format_of(path).name)
    return _foreign_root(path, look)


def _events(path: PathLike, kind: str, holds: str = "", facts: Mapping[str, Any] | None = None) -> Inspection:
    """A file of events, tried on its first ones."""
    known: dict[str, Any] = dict(facts or {})
    if kind == "events":
        said = inspect_events(path)
        holds = f"events of fei-lite, schema version {said.version}"
        known |= {"n_events": said.n_events, "truth": said.has_truth, **said.metadata}
    try:
        files = open_events(path)
        known.setdefault("n_events", files.n_events)
        n = min(files.n_events, 100)
        batch = next(iter(open_events(path, entry_range=(0, n)))) if n else None
    except FeiLiteError as error:
        text = str(error)
        return Inspection(str(path), holds or kind, False, known, (text.removeprefix(f"{path}: "),),
                          "It cannot be reconstructed as it is.")
    if batch is not None:
        there = {name: getattr(batch, name) for name in LISTS}
        lists = {name: len(objects) for name, objects in there.items() if objects is not None}
        lists["events"] = n
        known["in_first_events"] = lists
        taken: dict[str, Any] = {name: batch.events[name][0].tolist() for name in ("bz", "beam_p4", "ip")}
        known["conditions"] = taken
    notes: dict[str, int] = {} if batch is None else batch.notes
    lacks = tuple(note.removeprefix("mapping: ") for note in notes)
    if batch is not None and batch.generated is None and not any("truth" in one for one in lacks):
        lacks += ("truth: data, or a simulation without it; efficiencies and training need it",)
    return Inspection(str(path), holds or f"events, read as '{kind}'", True, known, lacks, f"{_EVENTS} {path} ...")


def _btags(path: PathLike, kind: str) -> Inspection:
    from fei_lite.tagging.output import read_tags

    if kind == "ntuple":
        return Inspection(str(path), "ntuple of fei-lite", True, {}, (), "Read it with uproot or pandas.")
    found = read_tags(path, columns=())
    said = found.metadata
    keys = ("n_events", "models", "channel_set", "inputs", "event_types", "provenance", "mappings", "conditions")
    facts: dict[str, Any] = {"n_btags": found.n_btags}
    facts |= {key: said[key] for key in keys if key in said}
    return Inspection(str(path), "Btags", True, facts, (), f"fei-lite evaluate {path}, or fei-lite skim {path}.")


def _parquet(path: PathLike, look: FileLook) -> Inspection:
    from fei_lite.analyses.candidates.ntuple import is_ntuple, read_ntuple
    from fei_lite.tagging.output import read_tags

    if "tracks_d0" in look.columns and look.ours:
        return _events(path, "events")
    if isinstance(path, EventInput) and path.mappings and not look.ours:
        return _events(path, format_of(path).name)
    if not is_url(path) and is_ntuple(Path(os.fspath(path))):
        columns, metadata = read_ntuple(Path(os.fspath(path)))
        return Inspection(str(path), f"candidates of the analysis '{metadata.get('analysis')}'", True,
                          {"n_candidates": len(columns["weight"]), "models": metadata.get("models")}, (),
                          f"fei-lite analyse {metadata.get('analysis')} {path} ...")
    if look.ours:
        if "decayModeID" in look.columns and "best" in look.columns:
            return _btags(path, "btag")
        return Inspection(str(path), "ntuple of fei-lite", True,
                          {"n_rows": read_tags(path, columns=()).n_btags, "columns": look.columns}, (), "")
    return Inspection(str(path), "a Parquet table of others", False, {"columns": look.columns},
                      ("a mapping: which columns are tracks and clusters",),
                      "Write one (docs/inputs.md), then --mapping FILE.")


def _foreign_root(path: PathLike, look: FileLook) -> Inspection:
    trees = {}
    with open_root(path) as file, damage_reported(path, "listing its branches"):
        for name, kind in look.root.items():
            if kind == "TTree":
                trees[name] = tuple(branch.name for branch in file[name].branches)
        release = _release(file) if MDST_TREE in trees else ""
        podio = podio_collections(file) if "events" in trees and is_podio(file) else None
    if "EventMetaData" in trees.get(MDST_TREE, ()):
        return _mdst(path, trees[MDST_TREE], release)
    rows = {name: columns for name, columns in trees.items() if "__experiment__" in columns}
    if rows:
        return _basf2(path, rows)
    if podio is not None:
        return _podio(path, podio)
    if trees:
        facts = {"trees": {name: len(columns) for name, columns in trees.items()}}
        return Inspection(str(path), "ROOT trees of others", False, facts,
                          ("a mapping: which branches are tracks and clusters",),
                          "Write one (docs/inputs.md), then --mapping FILE.")
    return Inspection(str(path), "a ROOT file without events", False, {"content": dict(look.root)}, (), "")


def _release(file: Any) -> str:
    if "persistent" not in file:
        return ""
    names = [b for b in file["persistent"].keys(recursive=True) if b.endswith("m_release")]
    return str(file["persistent"][names[0]].array()[0]) if names else ""


def _mdst(path: PathLike, containers: tuple[str, ...], release: str) -> Inspection:
    facts = {"release": release or "unknown", "objects": [name for name in containers if "To" not in name]}
    found = _events(path, "mdst", f"Belle II mDST{f', {release}' if release else ''}", facts)
    assumed = isinstance(path, EventInput) and path.conditions is not None
    lacks = found.lacks if assumed else (*found.lacks, "beams, field and luminous region: those of Belle II's "
                                         "simulation are taken (or of its truth); --conditions FILE for data")
    return Inspection(found.path, found.holds, found.usable, found.facts, lacks, found.advice)


def _missing(mapping: MappingFile, columns: tuple[str, ...], name: str) -> list[str]:
    from fei_lite.events.mapping import as_column

    objects = mapping.lists[name]
    given = {**objects.columns, **(objects.errors if name == "tracks" else {})}
    return [as_column(c).names[0] for c in given.values()
            if as_column(c).value is None and not set(as_column(c).names) & set(columns)]


def _basf2(path: PathLike, trees: dict[str, tuple[str, ...]]) -> Inspection:
    mapping = load_mapping("basf2_ntuple")
    lacks = []
    for name in ("tracks", "clusters"):
        if name not in trees:
            lacks.append(f"a tree '{name}': found {', '.join(map(repr, trees))}; name yours in a mapping with extends "
                         f"= \"basf2_ntuple\" and [names] {name} = ...")
        elif absent := _missing(mapping, trees[name], name):
            lacks.append(f"variables of '{name}': {', '.join(absent[:8])}{' ...' if len(absent) > 8 else ''}; add them "
                         "to variablesToNtuple, those of docs/inputs.md")
    try:
        tried = _events(EventInput(str(path), (mapping,)), mapping.name)
        usable = tried.usable
        lacks += [one for one in tried.lacks if one not in lacks]
    except EventFileError:
        usable, tried = False, None
    facts = {"trees": {name: f"{len(columns)} variables" for name, columns in trees.items()},
             **(tried.facts if tried else {})}
    return Inspection(str(path), "basf2 VariablesToNtuple, one row a candidate", usable, facts, tuple(lacks),
                      f"{_EVENTS} {path} --mapping basf2_ntuple ...")


def _podio(path: PathLike, collections: dict[str, list[str]]) -> Inspection:
    mapping = load_mapping("edm4hep")
    names = mapping_names("edm4hep")
    found = _events(EventInput(str(path), (mapping,)), "EDM4hep")
    lacks = list(found.lacks)
    other = [f"{word} = {' or '.join(map(repr, known))}" for word, known in collections.items()
             if known and names[word] not in known]
    if other:
        lacks.append(f"names of the collections: a mapping with extends = \"edm4hep\" and [names] {', '.join(other)}")
    lacks += [f"a collection of {word}" for word in ("tracks", "header") if not collections[word]]
    return Inspection(str(path), "EDM4hep (podio)", found.usable,
                      {"collections": {word: known for word, known in collections.items() if known}}, tuple(lacks),
                      f"{_EVENTS} {path} --mapping {'FILE' if other else 'edm4hep'} --conditions FILE ...")


def _folder(path: Path) -> Inspection:
    manifest = path / "manifest.json"
    if manifest.is_file():
        content = json_content(read_text(manifest), where=str(manifest), error=EventFileError)
        if isinstance(content, dict) and "channels" in content and "channel_set" in content:
            facts = {key: content[key] for key in ("name", "date", "channel_set") if key in content}
            return Inspection(str(path), "model set", True, facts | {"n_channels": len(content["channels"])}, (),
                              f"fei-lite reconstruct EVENTS --models {path} ...")
        return Inspection(str(path), "a folder with a manifest: a production, or results", True, {}, (),
                          "fei-lite produce goes on with it, fei-lite analyse reads it.")
    names = sorted(entry.name for entry in path.iterdir())[:12]
    if names and all(name.endswith(".toml") for name in names):
        return Inspection(str(path), "channel set", True, {"files": names}, (), f"fei-lite channels check {path}")
    return Inspection(str(path), "a folder", False, {"files": names}, (), "Name its files, or a pattern: *.root.")


def _text(path: Path) -> Inspection:
    if path.suffix == ".json":
        content = json_content(read_text(path, error=EventFileError), where=str(path), error=EventFileError)
        keys = set(content) if isinstance(content, dict) else set()
        if {"channels", "measurements"} <= keys:
            names = [str(channel.get("name")) for channel in content["channels"] if isinstance(channel, dict)]
            return Inspection(str(path), "statistical workspace (HistFactory)", True, {"channels": names}, (),
                              f"fei-lite fit {path}")
        if keys and content.get("format") == "fei-lite tagged events":
            return Inspection(str(path), "list of tagged events", True, {"n_events": content.get("n_events")}, (),
                              "uproot takes its entries, basf2's RootInput its entrySequences.")
    if path.suffix == ".toml":
        keys = set(toml_content(path, error=EventFileError))
        for what, known in (("mapping", {"events", "tracks", "extends"}), ("conditions", {"bz", "beams", "period"})):
            if keys & known:
                return Inspection(str(path), f"{what} file", True, {}, (), f"--{what} {path}")
    if not path.is_file():
        raise EventFileError(f"{path}: no such file.")
    return Inspection(str(path), "something else: no events", False, {"bytes": path.stat().st_size}, (), "")
