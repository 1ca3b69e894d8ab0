"""The recipe of the HTA as data: normalisation, samples, cuts, classifier, bins."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

from fei_lite.analyses.selection import NamedCut, read_cuts
from fei_lite.errors import AnalysisError, nearest

_TABLES = {"normalisation": dict, "samples": dict, "fit": dict, "classifier": dict, "cut": list}


@dataclass(frozen=True)
class Recipe:
    """What the HTA does; see ``recipe.toml`` for the meaning and the origin of each number.

    ``luminosity`` in 1/fb with ``n_upsilon4s`` Upsilon(4S) in it;
    ``samples`` maps templates to processes; ``floor`` is the number of entries
    that a bin without any background counts as; edges rise (eta without unit, q2 in GeV^2).
    """

    luminosity: float
    n_upsilon4s: float
    branching_fraction: float
    samples: Mapping[str, tuple[str, ...]]
    eta_edges: tuple[float, ...]
    floor: float
    q2_edges: tuple[float, ...]
    features: tuple[str, ...]
    folds: int
    seed: int
    parameters: Mapping[str, Any]
    cuts: tuple[NamedCut, ...]

    def sample_of(self, process: str) -> str:
        """The template that a process belongs to; raises :class:`AnalysisError`."""
        for name, processes in self.samples.items():
            if process in processes:
                return name
        known = [p for processes in self.samples.values() for p in processes]
        raise AnalysisError(f"process '{process}' belongs to no sample of the analysis; known: {', '.join(known)}."
                            f"{nearest(process, known)}")


def load_recipe(path: str | os.PathLike[str] | None = None) -> Recipe:
    """The recipe of a TOML file; without ``path`` the shipped one. Raises :class:`AnalysisError`.

    >>> recipe = load_recipe()
    >>> len(recipe.features), recipe.luminosity, recipe.sample_of("mixed")
    (12, 362.0, 'bbbar')
    """
    where = "recipe.toml" if path is None else str(path)
    try:
        source = files("fei_lite.analyses.hta") / "recipe.toml" if path is None else Path(path)
        content = tomllib.loads(source.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise AnalysisError(f"{where}: cannot be read as TOML: {error}") from None
    for key, kind in _TABLES.items():
        if not isinstance(content.get(key), kind):
            raise AnalysisError(f"{where}: {key}: missing, or not a {'table' if kind is dict else 'list of tables'}.")
    try:
        norm, fit, classifier = content["normalisation"], content["fit"], content["classifier"]
        recipe = Recipe(
            luminosity=float(norm["luminosity_fb"]), n_upsilon4s=float(norm["n_upsilon4s"]),
            branching_fraction=float(norm["branching_fraction"]),
            samples={name: tuple(processes) for name, processes in content["samples"].items()},
            eta_edges=tuple(map(float, fit["eta_edges"])), q2_edges=tuple(map(float, fit["q2_edges"])),
            floor=float(fit["floor"]),
            features=tuple(classifier["features"]), folds=int(classifier["folds"]), seed=int(classifier["seed"]),
            parameters=dict(classifier["parameters"]), cuts=read_cuts(content["cut"], f"{where}: cut"))
    except KeyError as error:
        raise AnalysisError(f"{where}: {error.args[0]}: missing.") from None
    except (TypeError, ValueError) as error:
        if isinstance(error, AnalysisError):
            raise
        raise AnalysisError(f"{where}: {error}.") from None
    for name, edges in (("fit.eta_edges", recipe.eta_edges), ("fit.q2_edges", recipe.q2_edges)):
        if len(edges) < 2 or any(b <= a for a, b in pairwise(edges)):
            raise AnalysisError(f"{where}: {name}: expected two or more rising numbers, got {list(edges)}.")
    if recipe.folds < 2:
        raise AnalysisError(f"{where}: classifier.folds: got {recipe.folds}, expected 2 or more.")
    return recipe
