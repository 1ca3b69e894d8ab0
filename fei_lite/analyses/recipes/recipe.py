"""The recipe of an analysis as data: what ``recipe.toml`` in its folder may say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import Field

from fei_lite.analyses.recipes.columns import defect, is_condition, needed
from fei_lite.analyses.recipes.controls import Controls, control_findings
from fei_lite.analyses.recipes.parts import Best, Positive, SignalDecay, Text
from fei_lite.data_files import Strict
from fei_lite.errors import AnalysisError, ExpressionError, nearest
from fei_lite.generator.processes import PROCESSES

#: Columns that all candidates have, whatever the recipe says.
ALWAYS = ("experiment", "run", "event", "weight")


class SignalSide(Strict):
    """Channel set of the signal side (a folder beside the recipe, or a shipped set) and the pair that it ends in.

    ``best`` chooses the one pair of an event; of equal ones by the next rule, then the first. With ``each``, a variable
    of the pair, one is chosen for each of its values: searches for several decays that do not compete.
    """

    channel_set: Text
    pair: Text = "Upsilon(4S)"
    best: Annotated[tuple[Best, ...], Field(min_length=1)]
    each: Text | None = None


class Tag(Strict):
    """Model set of the tagger."""

    models: Text


class Normalisation(Strict):
    """Integrated luminosity (1/fb) to scale to, and the Upsilon(4S) in it."""

    luminosity_fb: Positive
    n_upsilon4s: Positive
    origin: Text


class SampleLine(Strict):
    """A template: events of some processes, or the part of them ``where`` a condition on generated quantities holds.

    ``strength`` names the parameter that a signal scales with.
    """

    name: Text
    processes: Annotated[tuple[Text, ...], Field(min_length=1)]
    strength: Text | None = None
    where: Text | None = None
    title: str = ""


class CutLine(Strict):
    """A named cut with the paper or the assumption it is from; candidates ``where`` does not hold for pass it."""

    name: Text
    cut: Text
    origin: Text
    where: Text | None = None


class ClassifierLine(Strict):
    """A classifier: column ``name`` is its score, column ``flat`` the score made flat in signal.

    It judges the selected candidates ``where`` a condition holds (default: all) and is trained on them, or on those
    for which ``train`` holds: more of a kind; ``before_cuts`` takes those that the cuts reject, too. With too few an
    ``optional`` one is left out: its columns are NaN.
    In its training a candidate counts by its weight, but no more than this quantile of its class's weights
    (``weights_up_to``; default: all candidates of a class count alike).
    """

    name: Text
    features: Annotated[tuple[Text, ...], Field(min_length=1)]
    flat: Text | None = None
    where: Text | None = None
    train: Text | None = None
    optional: bool = False
    before_cuts: bool = False
    weights_up_to: Annotated[float, Field(gt=0.0, le=1.0)] | None = None
    folds: Annotated[int, Field(ge=2)]
    seed: int
    parameters: dict[str, int | float] = Field(default_factory=dict)


class RegionLine(Strict):
    """A histogram of the fit: the candidates ``where`` a condition holds, in bins of ``variable``.

    ``signal`` is the sample whose strength an unbinned fit of the region gives (default: that of the region's name, or
    the first).
    """

    name: Text
    variable: Text
    edges: Annotated[tuple[float, ...], Field(min_length=2)]
    where: Text | None = None
    signal: Text | None = None
    title: str = ""


class Production(Strict):
    """Generator-level selection of background events, and how often each B decay is used.

    ``little`` names columns of which signal has little, each with a step: what is looked for first in a production is
    background below one step of each.
    """

    selection: Text | None = None
    reuse: Annotated[int, Field(ge=1)] = 1
    little: dict[str, Positive] = Field(default_factory=dict)


class Recipe(Strict):
    """All of a recipe; see the README of the analyses for each part.

    ``variables`` are columns of each candidate, ``truth`` those that need generated particles;
    ``bin_floor`` is the number of entries that a bin without any background counts as;
    ``statistics``: a nuisance for the statistics of the templates per bin and ``sample``, or per ``bin``;
    ``physics`` is for ``physics.py`` of the folder, ``controls`` are checks of the analysis.
    """

    title: Text
    fit: Literal["binned", "unbinned"] = "binned"
    bin_floor: Annotated[float, Field(ge=0.0)] = 0.5
    statistics: Literal["sample", "bin"] = "sample"
    signal_side: SignalSide
    tag: Tag
    normalisation: Normalisation
    masks: Text | None = None
    signal_decays: dict[str, SignalDecay]
    sample: Annotated[tuple[SampleLine, ...], Field(min_length=1)]
    variables: dict[str, Text]
    truth: dict[str, Text] = Field(default_factory=dict)
    cut: tuple[CutLine, ...] = ()
    classifier: tuple[ClassifierLine, ...] = ()
    region: Annotated[tuple[RegionLine, ...], Field(min_length=1)]
    production: Production = Production()
    physics: dict[str, Any] = Field(default_factory=dict)
    controls: Controls = Controls()

    def __repr__(self) -> str:
        return (f"<recipe '{self.title}': {len(self.variables)} variables, {len(self.cut)} cuts, "
                f"{len(self.sample)} samples, regions {', '.join(r.name for r in self.region)}>")

    __str__ = __repr__

    @property
    def signals(self) -> tuple[SampleLine, ...]:
        """The samples with a strength."""
        return tuple(line for line in self.sample if line.strength is not None)

    def samples_of(self, process: str) -> tuple[SampleLine, ...]:
        """The samples that events of a process go to; raises :class:`AnalysisError`."""
        found = tuple(line for line in self.sample if process in line.processes)
        if not found:
            known = [p for line in self.sample for p in line.processes]
            raise AnalysisError(f"process '{process}' belongs to no sample of the analysis; known: "
                                f"{', '.join(known)}.{nearest(process, known)}")
        return found

    def line(self, sample: str) -> SampleLine:
        """The sample of that name."""
        return next(line for line in self.sample if line.name == sample)

    def signal_of(self, region: RegionLine) -> str:
        """The sample whose strength an unbinned fit of a region gives."""
        names = [line.name for line in self.signals]
        return region.signal or (region.name if region.name in names else names[0])

    def expressions(self) -> Iterator[tuple[str, str]]:
        """(key path, text) of all that is calculated of columns after the candidates are made."""
        for i, cut in enumerate(self.cut):
            yield f"cut[{i}].cut", cut.cut
            if cut.where:
                yield f"cut[{i}].where", cut.where
        for i, classifier in enumerate(self.classifier):
            yield from ((f"classifier[{i}].features[{k}]", name) for k, name in enumerate(classifier.features))
            if classifier.where:
                yield f"classifier[{i}].where", classifier.where
            if classifier.train:
                yield f"classifier[{i}].train.where", classifier.train
        for i, region in enumerate(self.region):
            yield f"region[{i}].variable", region.variable
            if region.where:
                yield f"region[{i}].where", region.where

    @property
    def made(self) -> set[str]:
        """Columns that classifiers make."""
        return {name for line in self.classifier for name in (line.name, line.flat) if name}

    def columns(self, of_events: Mapping[str, Any] | tuple[str, ...]) -> dict[str, str]:
        """Column -> variable of pairs: those of the recipe, and what cuts and the like name beyond them."""
        found = dict(self.variables)
        there = {*self.variables, *self.truth, *of_events, *self.made, *ALWAYS}
        for _, text in self.expressions():
            for name in needed(text, there):
                found.setdefault(name, name)
        return found


def findings(recipe: Recipe, of_events: tuple[str, ...], own: Mapping[str, Any]) -> list[str]:
    """What is wrong with the meaning of a recipe: lines "key path: defect".

    ``of_events`` are the columns that ``physics.py`` makes of every event, ``own`` its variables.
    """
    there = {*recipe.variables, *recipe.truth, *of_events, *recipe.made, *ALWAYS}
    lines = [*_names(recipe), *_samples(recipe, of_events), *_edges(recipe), *control_findings(
        recipe.controls, columns=there, cuts=[line.name for line in recipe.cut], decays=recipe.signal_decays)]
    for part in ("variables", "truth"):
        for name, text in getattr(recipe, part).items():
            if wrong := defect(text, own):
                lines.append(f"{part}.{name}: {wrong}")
    lines += [f"production.little.{name}: no such column.{nearest(name, recipe.variables)}"
              for name in recipe.production.little if name not in recipe.variables]
    for at, text in recipe.expressions():
        try:
            condition, unknown = is_condition(text), needed(text, there)
        except ExpressionError as error:
            lines.append(f"{at}: {error}")
            continue
        if condition != at.endswith(("cut", "where")):
            lines.append(f"{at}: '{text}' is {'a condition' if condition else 'no condition'}.")
        if any(defect(name, own) for name in unknown):
            lines.append(f"{at}: {defect(text, {*there, *own})}")
    lines += [f"signal_side.best[{i}].by: {wrong}" for i, rule in enumerate(recipe.signal_side.best)
              if (wrong := defect(rule.by, own))]
    if recipe.signal_side.each and (wrong := defect(recipe.signal_side.each, own)):
        lines.append(f"signal_side.each: {wrong}")
    return lines


def _names(recipe: Recipe) -> Iterator[str]:
    for part in ("sample", "cut", "classifier", "region"):
        counts = Counter(line.name for line in getattr(recipe, part))
        yield from (f"{part}: two are called '{name}'." for name, n in counts.items() if n > 1)
    both = {*recipe.variables} & {*recipe.truth, *recipe.made, *ALWAYS}
    yield from (f"variables.{name}: there is another column of this name." for name in sorted(both))


def _samples(recipe: Recipe, of_events: tuple[str, ...]) -> Iterator[str]:
    known = [*(name for name in PROCESSES if name != "signal"), *recipe.signal_decays]
    if not recipe.signals:
        yield "sample: none has a strength. Name the parameter that the signal scales with."
    yield from (f"signal_decays.{name}: the name is that of a process of the simulation."
                for name in recipe.signal_decays if name in PROCESSES)
    whole: dict[str, str] = {}
    for i, line in enumerate(recipe.sample):
        for k, process in enumerate(line.processes):
            at = f"sample[{i}].processes[{k}]"
            if process not in known:
                yield f"{at}: no process '{process}'.{nearest(process, known)}"
            if process in whole and (line.where is None or recipe.line(whole[process]).where is None):
                yield f"{at}: '{process}' belongs to sample '{whole[process]}' already. Split it with 'where'."
            whole.setdefault(process, line.name)
            if line.strength is not None and process not in recipe.signal_decays:
                yield f"{at}: '{process}' is no signal decay, but the sample has a strength."
        if line.where is not None:
            try:
                missing = needed(line.where, of_events)
            except ExpressionError as error:
                yield f"sample[{i}].where: {error}"
                continue
            yield from (f"sample[{i}].where: no column '{name}' of events.{nearest(name, of_events)} physics.py has to "
                        "make it." for name in missing)


def _edges(recipe: Recipe) -> Iterator[str]:
    signals = [line.name for line in recipe.signals]
    for i, line in enumerate(recipe.region):
        if line.signal is not None and line.signal not in signals:
            yield f"region[{i}].signal: no signal '{line.signal}'.{nearest(line.signal, signals)}"
        if any(b <= a for a, b in pairwise(line.edges)):
            yield f"region[{i}].edges: expected rising numbers, got {list(line.edges)}."
