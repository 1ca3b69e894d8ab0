"""What a production remembers in order to learn: arrays beside its pieces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from fei_lite.analyses.candidates.files import read_candidates
from fei_lite.analyses.folders import Analysis
from fei_lite.analyses.production.records import read_record
from fei_lite.analyses.production.scores import Classifiers, candidates_of, with_scores
from fei_lite.analyses.selected import likeness
from fei_lite.outputs import atomic_output, make_folder
from fei_lite.production.learn_selection import Experience

Arrays = TypeVar("Arrays")


def experience_file(folder: Path, name: str) -> Path:
    """Where the experience of a piece is."""
    return folder / "experience" / f"{name}.npz"


def save_arrays(path: Path, arrays: Any) -> None:
    """Write a dataclass of arrays, whole or not at all."""
    make_folder(path.parent)
    with atomic_output(path, force=True) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, allow_pickle=False, **{item.name: getattr(arrays, item.name)
                                                         for item in fields(arrays)})


def read_arrays(path: Path, kind: type[Arrays]) -> Arrays:
    """What :func:`save_arrays` wrote."""
    with np.load(path, allow_pickle=False) as file:
        return kind(**{item.name: file[item.name] for item in fields(kind)})  # type: ignore[arg-type]


def joined_arrays(parts: Sequence[Arrays]) -> Arrays:
    """All of several dataclasses of arrays, one after the other."""
    kind = type(parts[0])
    return kind(**{item.name: np.concatenate([getattr(part, item.name) for part in parts])
                   for item in fields(kind)})  # type: ignore[arg-type]


def read_experience(folder: Path, record: dict[str, Any], analyses: Sequence[tuple[Analysis, Classifiers]],
                    ) -> Experience:
    """The experience of a piece, with the likeness of its candidates as these analyses and classifiers have it now."""
    found = read_arrays(experience_file(folder, f"{record['process']}_{record['seed']}"), Experience)
    made_for = list(read_record(folder / "pieces" / f"{record['process']}_{record['seed']}.json")["analyses"])
    found = replace(found, like=found.like[:, [made_for.index(analysis.name) for analysis, _ in analyses]])
    for i, (analysis, classifiers) in enumerate(analyses):
        rows = np.flatnonzero(found.like[:, i] > 0.0)  # in the order of the candidates' events
        if len(rows):
            inputs = read_candidates([candidates_of(folder, analysis, record)], analysis)
            columns = with_scores(inputs, analysis, classifiers)
            event = np.cumsum(np.diff(columns["event"], prepend=columns["event"][0]) != 0)
            nearest = np.zeros(len(rows))
            np.maximum.at(nearest, event, likeness(analysis.recipe, columns))
            found.like[rows, i] = nearest
    return found
