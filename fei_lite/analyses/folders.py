"""An analysis is a folder: where it is, and what its files say together."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

from fei_lite.analyses.candidates.pairs import check_pair
from fei_lite.analyses.physics import Physics
from fei_lite.analyses.recipes.recipe import Recipe, findings
from fei_lite.analyses.recipes.variants import MARK, parted, varied
from fei_lite.analyses.systematics import Line, WeightLine, load_systematics
from fei_lite.channels import ChannelSet, load_channel_set
from fei_lite.data_files import Strict, read_toml, validated
from fei_lite.errors import AnalysisError, ChannelFileError, FeiLiteError, nearest
from fei_lite.roe import load_masks
from fei_lite.roe.masks import Mask

HERE = Path(__file__).parent
RECIPE, SYSTEMATICS, PHYSICS = "recipe.toml", "systematics.toml", "physics.py"


@dataclass(frozen=True, repr=False)
class Analysis:
    """The content of a folder, checked: ``settings`` is the recipe's [physics] as ``physics`` wants it.

    ``variant`` names the changes of the recipe (``[controls.variants]``) that it stands with; "" as it is.
    """

    name: str
    folder: Path
    recipe: Recipe
    systematics: tuple[Line, ...]
    physics: Physics
    settings: Strict
    signal_set: ChannelSet
    masks: Mapping[str, Mask]
    variant: str = ""

    def __repr__(self) -> str:
        return f"<analysis '{self.name}' in {self.folder}: {self.recipe!r}>"

    @cached_property
    def identity(self) -> str:
        """Hash of what candidates depend on: 16 hexadecimal digits."""
        recipe, path = self.recipe, self.folder / PHYSICS
        content = {
            "signal_side": self.signal_set.hash, "pair": recipe.signal_side.pair,
            "best": [rule.model_dump() for rule in recipe.signal_side.best],
            **({"each": recipe.signal_side.each} if recipe.signal_side.each else {}),
            "columns": recipe.columns(self.physics.event_columns), "truth": recipe.truth,
            "masks": {name: repr(mask) for name, mask in self.masks.items()},
            "samples": [(line.name, line.processes, line.where) for line in recipe.sample],
            "physics": path.read_text(encoding="utf-8") if path.is_file() else ""}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def reference(self) -> Path:
        """What :func:`load_analysis` reads it from: its folder, with the variant."""
        return self.folder if not self.variant else self.folder.with_name(f"{self.folder.name}{MARK}{self.variant}")

    def decay_file(self, process: str) -> str:
        """Decay file of a signal process: beside the recipe, or the name of a shipped one."""
        return self.beside(self.recipe.signal_decays[process].decay_file)

    def beside(self, name: str) -> str:
        """A file or folder beside the recipe, or the name of a shipped one."""
        return str(self.folder / name) if (self.folder / name).exists() else name


def shipped_analyses() -> tuple[str, ...]:
    """Names of the analyses that come with fei-lite.

    >>> "hta" in shipped_analyses()
    True
    """
    return tuple(sorted(path.parent.name for path in HERE.glob(f"*/{RECIPE}")))


def find_analysis(name_or_folder: str | os.PathLike[str]) -> Path:
    """The folder of an analysis: a shipped one's name, or a path; a variant (``hta:pion``) stays at the end.

    Raises :class:`AnalysisError`.
    """
    (given, variant), known = parted(Path(name_or_folder)), shipped_analyses()
    for folder in (HERE / given if len(given.parts) == 1 else given, given):
        if (folder / RECIPE).is_file():
            found = folder.resolve()
            return found if not variant else found.with_name(f"{found.name}{MARK}{variant}")
    if given.is_dir():
        raise AnalysisError(f"{given}: no {RECIPE} in this folder.")
    raise AnalysisError(f"no analysis '{name_or_folder}': neither a shipped one ({', '.join(known)}) nor a folder with "
                        f"a {RECIPE}.{nearest(str(name_or_folder), known)}")


def load_analysis(name_or_folder: str | os.PathLike[str], *, recipe: str | os.PathLike[str] | None = None,
                  systematics: str | os.PathLike[str] | None = None) -> Analysis:
    """Read the folder of an analysis and check all of it; other files may stand for its recipe and systematics.

    ``NAME:VARIANT`` is the analysis with the changes of ``[controls.variants.VARIANT]`` in its recipe. Raises
    :class:`AnalysisError` with every defect, each with its file and key path.

    >>> load_analysis("hta").recipe
    <recipe 'B+ -> K+ nu nubar, hadronic tag': 31 variables, 8 cuts, 4 samples, regions hta>
    """
    folder, variant = parted(find_analysis(name_or_folder))
    path = Path(recipe or folder / RECIPE)
    read = read_toml(path, Recipe, error=AnalysisError)
    physics = _physics(folder)
    settings = _settings(read, physics, f"{path}: physics")
    wrong = findings(read, physics.event_columns, physics.variables)
    name, own = folder.name, physics.systematics
    if variant:
        name, read, physics = _with_changes(name, read, physics, variant, path)
        wrong = list(dict.fromkeys([*wrong, *findings(read, physics.event_columns, physics.variables)]))
    signal_set = _signal_set(folder, read, wrong)
    masks = load_masks() | ({} if read.masks is None else load_masks(folder / read.masks))
    for process, decay in read.signal_decays.items():
        if decay.decay_file.endswith(".dec") and not (folder / decay.decay_file).is_file():
            wrong.append(f"signal_decays.{process}.decay_file: no '{decay.decay_file}' in {folder}.")
    if wrong:
        raise AnalysisError("\n  ".join(f"{path}: {line}" for line in wrong))
    lines = load_systematics(systematics or folder / SYSTEMATICS, own=own,
                             samples=[line.name for line in read.sample], recipe=path)
    if own and not physics.systematics:  # they are the physics of another signal
        lines = tuple(line for line in lines if line.kind not in own)
    analysis = Analysis(name, folder, read, lines, physics, settings, signal_set, masks, variant)
    _check_columns(analysis, Path(systematics or folder / SYSTEMATICS))
    return analysis


def _with_changes(name: str, recipe: Recipe, physics: Physics, variant: str,
                  path: Path) -> tuple[str, Recipe, Physics]:
    """Name, recipe and physics of a variant: a name of its own if it has candidates of its own."""
    changed, line = varied(recipe, variant, str(path)), recipe.controls.variants[variant]
    if line.signal_decays:
        physics = replace(physics, systematics={}, summary=None, files=None, figures=None, lines=None)
    return (f"{name}_{variant}" if line.new_candidates else name), changed, physics


def _settings(recipe: Recipe, physics: Physics, where: str) -> Strict:
    """The recipe's [physics] as the folder's physics.py wants it."""
    try:
        return validated(recipe.physics, physics.settings, where=where, error=AnalysisError)
    except AnalysisError as error:
        raise AnalysisError(str(error).replace(f"{where}: ", f"{where}.")) from None


def _signal_set(folder: Path, recipe: Recipe, wrong: list[str]) -> ChannelSet:
    """The channel set of the signal side; what is wrong with it goes to ``wrong``."""
    beside = folder / recipe.signal_side.channel_set
    try:
        found = load_channel_set(beside if beside.is_dir() else recipe.signal_side.channel_set)
    except ChannelFileError as error:
        raise AnalysisError(f"{folder / RECIPE}: signal_side.channel_set: {error}") from None
    if line := check_pair(found, recipe.signal_side.pair):
        wrong.append(f"signal_side.pair: {line}")
    return found


def _check_columns(analysis: Analysis, path: Path) -> None:
    """Columns that weight lines (of the file ``path``) need."""
    recipe = analysis.recipe
    there = {*recipe.columns(analysis.physics.event_columns), *recipe.truth, *analysis.physics.event_columns}
    for i, line in enumerate(analysis.systematics):
        for name in line.per if isinstance(line, WeightLine) else ():
            if name not in there:
                raise AnalysisError(f"{path}: systematic[{i}].per: no column '{name}'.{nearest(name, there)}")


def _physics(folder: Path) -> Physics:
    """The object ``PHYSICS`` of the folder's ``physics.py``; nothing of its own where there is no such file."""
    path = folder / PHYSICS
    if not path.is_file():
        return Physics()
    if folder.parent == HERE:
        return _of_module(importlib.import_module(f"fei_lite.analyses.{folder.name}.physics"), path)
    name = f"fei_lite_analysis_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pydantic look their module up
    try:
        spec.loader.exec_module(module)
    except FeiLiteError:
        raise
    except Exception as error:
        raise AnalysisError(f"{path}: {type(error).__name__}: {error}") from error
    return _of_module(module, path)


def _of_module(module: ModuleType, path: Path) -> Physics:
    found: Any = getattr(module, "PHYSICS", None)
    if not isinstance(found, Physics):
        raise AnalysisError(f"{path}: no object PHYSICS = Physics(...); got {found!r}.")
    return found


def with_models(analysis: Analysis, models: str | None) -> Analysis:
    """The analysis with another model set of the tagger."""
    if models is None:
        return analysis
    tag = analysis.recipe.tag.model_copy(update={"models": models})
    return replace(analysis, recipe=analysis.recipe.model_copy(update={"tag": tag}))
