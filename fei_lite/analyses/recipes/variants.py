"""Variants of an analysis: its recipe with the changes that ``[controls.variants.NAME]`` says."""

from __future__ import annotations

from pathlib import Path

from fei_lite.analyses.recipes.controls import Controls, Variant
from fei_lite.analyses.recipes.recipe import CutLine, Recipe, SampleLine
from fei_lite.errors import AnalysisError, nearest

#: Between an analysis and its variant: ``hta:pion``.
MARK = ":"


def parted(given: Path) -> tuple[Path, str]:
    """An analysis and the name of its variant; "" where there is none.

    >>> parted(Path("hta:pion")), parted(Path("mine/b_mu_nu"))
    ((PosixPath('hta'), 'pion'), (PosixPath('mine/b_mu_nu'), ''))
    """
    if MARK not in given.name or given.is_dir():
        return given, ""
    name, _, variant = given.name.rpartition(MARK)
    return given.with_name(name) if name else given, variant if name else ""


def varied(recipe: Recipe, name: str, where: str) -> Recipe:
    """A recipe with the changes of one of its variants. Raises :class:`AnalysisError` where there is none so called."""
    known = recipe.controls.variants
    if name not in known:
        raise AnalysisError(f"{where}: controls.variants: no '{name}'; known: {', '.join(known) or 'none'}."
                            f"{nearest(name, known)}")
    variant = known[name]
    changes: dict[str, object] = {
        "title": f"{recipe.title}: {variant.title}", "cut": _cuts(recipe, variant),
        "truth": recipe.truth | variant.truth, "controls": Controls()}
    if variant.channel_set is not None:
        changes["signal_side"] = recipe.signal_side.model_copy(update={"channel_set": variant.channel_set})
    if variant.signal_decays:
        other = dict(zip(recipe.signal_decays, variant.signal_decays, strict=False))
        changes["signal_decays"] = variant.signal_decays
        changes["sample"] = tuple(_sample(line, other) for line in recipe.sample)
    if variant.selection is not None:
        changes["production"] = recipe.production.model_copy(update={"selection": variant.selection or None})
    return recipe.model_copy(update=changes)


def _cuts(recipe: Recipe, variant: Variant) -> tuple[CutLine, ...]:
    """The cuts with the variant's texts; those with an empty one are left out."""
    new = {line.name: variant.cuts.get(line.name, line.cut) for line in recipe.cut}
    return tuple(line.model_copy(update={"cut": new[line.name]}) for line in recipe.cut if new[line.name])


def _sample(line: SampleLine, other: dict[str, str]) -> SampleLine:
    return line.model_copy(update={"processes": tuple(other.get(process, process) for process in line.processes)})
