"""Tagged events of event files: written as an event file, or listed so that uproot and basf2 find them."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.errors import EventFileError
from fei_lite.events import EventWriter, open_events
from fei_lite.events.reading import origin_of
from fei_lite.events.same_events import DistinctFiles
from fei_lite.outputs import PathLike, atomic_output, check_suffix
from fei_lite.provenance import provenance
from fei_lite.tagging.output import read_tags
from fei_lite.tagging.streaming import iterate_tags

#: What a list of entries may be called, and an event file.
LISTS, EVENTS = (".json", ".csv"), (".root", ".parquet")
_KEYS = ("experiment", "run", "event", "file", "file_entry")


@dataclass(frozen=True)
class TaggedEvents:
    """Events with a Btag: ``files`` that they are in, and per event (n,) experiment, run, event, file, file_entry."""

    files: tuple[str, ...]
    columns: Mapping[str, NDArray[Any]]

    def __len__(self) -> int:
        return len(self.columns["event"])

    def of_file(self, number: int) -> NDArray[np.int64]:
        """Entries in a file, rising."""
        return np.unique(self.columns["file_entry"][self.columns["file"] == number])


def tagged_events(paths: Sequence[PathLike], *, min_signal_probability: float = 0.0, min_mbc: float = 0.0,
                  max_abs_delta_e: float = np.inf) -> TaggedEvents:
    """The events whose best Btag passes: SignalProbability and Mbc (GeV) at least, abs(deltaE) (GeV) at most.

    Raises :class:`EventFileError` for Btag files of one event file, whose events would come twice.
    """
    distinct, files, parts = DistinctFiles(), list[str](), []
    for path in paths:
        distinct.add_path(path)
        inputs = read_tags(path, columns=()).metadata.get("inputs") or []
        if twice := set(inputs) & set(files):
            raise EventFileError(f"{path}: holds Btags of {min(twice)}, as another of the Btag files does: its events "
                                 "would come twice. Leave one out.")
        for piece in iterate_tags(path, ["SignalProbability", "Mbc", "deltaE", "best", *_KEYS[:3]],
                                  optional=["file", "file_entry"]):
            if "file" not in piece or "file_entry" not in piece:
                raise EventFileError(f"{path}: no columns 'file' and 'file_entry': made by an earlier version, which "
                                     "did not say which entries its Btags are of. Reconstruct again.")
            rows = ((piece["best"] == 1) & (piece["SignalProbability"] >= min_signal_probability)
                    & (piece["Mbc"] >= min_mbc) & (np.abs(piece["deltaE"]) <= max_abs_delta_e))
            if len(piece["file"]) and (piece["file"].min() < 0 or piece["file"].max() >= len(inputs)):
                raise EventFileError(f"{path}: column 'file': found {piece['file'].max()}, expected 0 to "
                                     f"{len(inputs) - 1}: the metadata name so many inputs. Copy or make it again.")
            parts.append({name: piece[name][rows].astype(np.int64) for name in _KEYS})
            parts[-1]["file"] += len(files)
        files += inputs
    return TaggedEvents(tuple(files), {name: np.concatenate([part[name] for part in parts]) for name in _KEYS})


def ranges_text(entries: NDArray[np.int64]) -> str:
    """Rising entries as basf2's ``entrySequences`` has them.

    >>> ranges_text(np.array([0, 1, 2, 7]))
    '0:2,7'
    """
    if not len(entries):
        return ""
    edges = np.flatnonzero(np.diff(entries) > 1)
    first, last = entries[np.append(0, edges + 1)], entries[np.append(edges, len(entries) - 1)]
    return ",".join(str(a) if a == b else f"{a}:{b}" for a, b in zip(first, last, strict=True))


def write_list(events: TaggedEvents, output: PathLike, *, force: bool = False, inputs: Sequence[PathLike] = (),
               origin: Mapping[str, Any] | None = None) -> None:
    """A list of the events, JSON or CSV by the suffix; whole or not at all.

    JSON: per file its name, its ``entries`` as basf2's RootInput takes them (``entrySequences``), and lists of
    experiment, run, event and entry. CSV: experiment, run, event, file, entry, a line an event.
    """
    check_suffix(output, LISTS)
    with atomic_output(output, force=force, inputs=inputs) as temporary:
        if temporary.suffix == ".csv":
            with temporary.open("w", newline="", encoding="utf-8") as file:
                writer = csv.writer(file)
                writer.writerow(["experiment", "run", "event", "file", "entry"])
                names = np.array(events.files, dtype=object)[events.columns["file"]] if len(events) else []
                writer.writerows(zip(*(events.columns[k].tolist() for k in _KEYS[:3]), names,
                                     events.columns["file_entry"].tolist(), strict=True))
            return
        found = []
        for i, name in enumerate(events.files):
            rows = np.flatnonzero(events.columns["file"] == i)
            order = rows[np.argsort(events.columns["file_entry"][rows])]
            found.append({"file": name, "entries": ranges_text(events.of_file(i)),
                          **{key: events.columns[key][order].tolist() for key in _KEYS[:3]},
                          "entry": events.columns["file_entry"][order].tolist()})
        content = {"format": "fei-lite tagged events", "n_events": len(events), "origin": dict(origin or {}),
                   "provenance": provenance(), "files": found}
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def write_events(events: TaggedEvents, output: PathLike, *, files: Sequence[PathLike] = (), force: bool = False,
                 inputs: Sequence[PathLike] = (), origin: Mapping[str, str | int | float] | None = None) -> int:
    """The events as an event file, in the order of the files; returns how many.

    ``files`` take the place of those that the Btag files name, one for one (other places, or read through a mapping).
    What the file of a single input says of its events stays: they are the same events. Raises
    :class:`EventFileError` if an entry is of another event than the Btag file says.
    """
    check_suffix(output, EVENTS)
    places: Sequence[PathLike] = files or events.files
    if len(places) != len(events.files):
        raise EventFileError(f"got {len(places)} event files, expected the {len(events.files)} that the Btag files "
                             f"name, in their order: {', '.join(events.files[:5])}.")
    said: dict[str, str | int | float] = dict(origin_of(places[0])) if len(places) == 1 else {}
    said |= {**(origin or {}), "n_tagged": len(events)}
    with EventWriter(output, force=force, metadata=said, inputs=[*places, *inputs]) as writer:
        for i, place in enumerate(places):
            entries = events.of_file(i)
            if not len(entries):
                continue
            for batch in open_events(place):
                rows = entries[(entries >= batch.start) & (entries < batch.start + batch.n_events)] - batch.start
                if len(rows):
                    chosen = batch.select(rows)
                    _check_same(events, i, rows + batch.start, chosen.events, place)
                    writer.write(chosen)
        return len(events)


def _check_same(events: TaggedEvents, number: int, entries: NDArray[np.int64], found: Mapping[str, NDArray[Any]],
                place: PathLike) -> None:
    mine = np.flatnonzero(events.columns["file"] == number)
    mine = mine[np.argsort(events.columns["file_entry"][mine])]
    mine = mine[np.searchsorted(events.columns["file_entry"][mine], entries)]
    for name in _KEYS[:3]:
        wrong = np.flatnonzero(events.columns[name][mine] != found[name])
        if len(wrong):
            raise EventFileError(f"{place}: entry {entries[wrong[0]]}: found {name} {found[name][wrong[0]]}, the Btag "
                                 f"file says {events.columns[name][mine][wrong[0]]}: not the file that was "
                                 "reconstructed.")


def default_output_is_list(output: Path) -> bool:
    """Whether an output is a list of entries, by its suffix; raises for what is neither list nor event file."""
    check_suffix(output, (*LISTS, *EVENTS))
    return output.suffix in LISTS
