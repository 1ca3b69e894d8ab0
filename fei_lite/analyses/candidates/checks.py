"""Candidates of a file, checked before an analysis relies on them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fei_lite.analyses.candidates.inputs import Steps
from fei_lite.analyses.candidates.ntuple import Columns
from fei_lite.analyses.candidates.samples import Source, process_of
from fei_lite.analyses.recipes.recipe import Recipe
from fei_lite.errors import AnalysisError
from fei_lite.events.checks import LARGEST_WEIGHT
from fei_lite.events.files import PathLike


def check_candidates(path: PathLike, columns: Columns, sources: Sequence[Source], counts: Sequence[Steps],
                     recipe: Recipe) -> None:
    """Raise :class:`AnalysisError` with the file and the place of the first thing that candidates cannot have."""
    for name, values in columns.items():
        if values.dtype.kind not in "biuf":
            raise AnalysisError(f"{path}: column '{name}': got {_kind(values)}, expected numbers. Make the file again.")
    for name in ("event", "source"):
        if name not in columns or columns[name].dtype.kind not in "iu":
            raise AnalysisError(f"{path}: no column of whole numbers '{name}'. Make the file again.")
    weight, source = columns["weight"], columns["source"]
    wrong = np.flatnonzero(~(np.abs(weight) <= LARGEST_WEIGHT))
    if len(wrong):
        raise AnalysisError(f"{path}: column 'weight': row {wrong[0]}: got {weight[wrong[0]]:g}, expected a number, at "
                            f"most {LARGEST_WEIGHT:g}.")
    wrong = np.flatnonzero((source < 0) | (source >= len(sources)))
    if len(wrong):
        raise AnalysisError(f"{path}: column 'source': row {wrong[0]}: got {source[wrong[0]]}, the file has "
                            f"{len(sources)} sources.")
    for i, (one, steps) in enumerate(zip(sources, counts, strict=True)):
        where = f"{path}: sources[{i}]"
        reuse, family = (one.options.get(key, 1) for key in ("reuse", "family"))
        for key, value in (("n_generated", one.n_generated), ("options.reuse", reuse), ("options.family", family)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise AnalysisError(f"{where}.source.{key}: got {str(value)[:60]}, expected 1 or more.")
        try:
            needed = [line.name for line in recipe.samples_of(process_of(one, recipe.signal_decays))]
        except AnalysisError as error:
            raise AnalysisError(f"{where}.source: {error}") from None
        for name in {*needed, *steps}:
            _check_steps(steps.get(name), f"{where}.counts.{str(name)[:60]}")


def check_columns_agree(paths: Sequence[PathLike], parts: Sequence[Columns]) -> None:
    """Raise :class:`AnalysisError` if a file lacks a column that another has: it would be missing in all."""
    for path, columns in zip(paths, parts, strict=True):
        for other, theirs in zip(paths, parts, strict=True):
            lacking = sorted(theirs.keys() - columns.keys())
            if lacking:
                raise AnalysisError(f"{path}: no column '{lacking[0]}', which {other} has. Make the files with one "
                                    "version.")


def check_steps_agree(paths: Sequence[PathLike], counts: Sequence[Steps]) -> None:
    """Raise :class:`AnalysisError` if sources have other steps of a sample's cut-flow before the candidates."""
    first: dict[str, tuple[PathLike, list[str]]] = {}
    for path, steps in zip(paths, counts, strict=True):
        for name, rows in steps.items():
            other, expected = first.setdefault(name, (path, list(rows)))
            if list(rows) != expected:
                raise AnalysisError(f"{path}: counts.{name}: the steps are {', '.join(rows)[:200]}; {other} has "
                                    f"{', '.join(expected)[:200]}. Make the files with one version.")


def _check_steps(steps: Any, where: str) -> None:
    if not isinstance(steps, Mapping) or not steps:
        raise AnalysisError(f"{where}: missing, expected the steps before the candidates.")
    for name, row in steps.items():
        numbers: Sequence[Any] = row if isinstance(row, Sequence) and len(row) == 2 else (float("nan"), 0.0)
        if not all(isinstance(x, int | float) and not isinstance(x, bool) and math.isfinite(x)
                   for x in numbers) or numbers[0] < 0 or numbers[0] != int(numbers[0]):
            raise AnalysisError(f"{where}['{name[:60]}']: got {str(row)[:60]}, expected events and sum of weights.")


def _kind(values: np.ndarray[Any, Any]) -> str:
    return f"{type(values[0]).__name__}" if len(values) else str(values.dtype)
