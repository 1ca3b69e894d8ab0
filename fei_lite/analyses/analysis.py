"""An analysis after the candidates: selection, classifiers, histograms of every region, templates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.analyses.candidates.inputs import Inputs
from fei_lite.analyses.candidates.ntuple import Columns
from fei_lite.analyses.candidates.samples import Expectation, check_no_control, generated_of, process_of
from fei_lite.analyses.classification import Candidates, classified
from fei_lite.analyses.classifier import FoldClassifier
from fei_lite.analyses.folders import Analysis
from fei_lite.analyses.histograms import Region, fill_region, inside_region, with_bin_floor
from fei_lite.analyses.recipes.columns import passes
from fei_lite.analyses.recipes.recipe import Recipe
from fei_lite.analyses.selection import FlowRow, cut_flow, step
from fei_lite.errors import AnalysisError

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class SampleResult:
    """One sample after the selection.

    ``entries`` candidates with a sum of weights ``expected`` (events at the wanted luminosity). ``luminosity``
    (1/fb) is that of the generated events, the least of the sample's processes; ``effective_luminosity`` that of
    unweighted events with the relative statistical error of those in the bins of the fit (NaN without any).
    ``efficiency``: selected over generated expectation, before the fit's bins.
    """

    name: str
    processes: tuple[str, ...]
    n_generated: int
    expected: float
    entries: int
    luminosity: float
    effective_luminosity: float
    efficiency: float
    flow: tuple[FlowRow, ...] = field(repr=False)


@dataclass(frozen=True, repr=False)
class Result:
    """What an analysis ends in: selected candidates (``columns``, ``sample``), classifiers, cut-flows, regions.

    ``generated`` are the events of each process, ``missing`` processes of the recipe of which there were none.
    """

    analysis: Analysis
    expectation: Expectation
    columns: Columns
    sample: NDArray[np.str_]
    classifiers: tuple[FoldClassifier, ...]
    samples: tuple[SampleResult, ...]
    regions: tuple[Region, ...]
    generated: Mapping[str, int]
    missing: tuple[str, ...]

    def __repr__(self) -> str:
        return (f"<result of '{self.analysis.name}': {len(self.sample)} candidates; "
                f"{', '.join(f'{s.name} {s.expected:.4g}' for s in self.samples)}; "
                f"{', '.join(f'{r.name} in {len(r.edges) - 1} bins' for r in self.regions)}>")

    @property
    def recipe(self) -> Recipe:
        """The recipe of the analysis."""
        return self.analysis.recipe

    def of(self, sample: str) -> SampleResult:
        """The result of one sample."""
        return next(s for s in self.samples if s.name == sample)

    def in_region(self, name: str) -> NDArray[np.bool_]:
        """Candidates (n,) inside of a region: where it holds, between the first and the last of its edges."""
        return inside_region(next(line for line in self.recipe.region if line.name == name), self.columns)

    def region(self, name: str) -> Region:
        """One region."""
        return next(r for r in self.regions if r.name == name)


def analyse(inputs: Inputs, analysis: Analysis, *, luminosity: float | None = None,
            classifiers: Sequence[FoldClassifier] | None = None) -> Result:
    """The whole analysis on candidates; trains its classifiers unless ``classifiers`` (one per line) are given.

    ``luminosity`` in 1/fb (default: the recipe's). Raises :class:`AnalysisError`
    without signal, or with too few candidates to train.
    """
    recipe, decays = analysis.recipe, analysis.recipe.signal_decays
    check_no_control(inputs.sources)
    norm = Expectation(luminosity or recipe.normalisation.luminosity_fb, recipe.normalisation.luminosity_fb,
                       recipe.normalisation.n_upsilon4s, decays)
    generated = generated_of(inputs.sources, decays)
    for line in recipe.signals:
        if not set(line.processes) & set(generated):
            ways = [f"fei-lite simulate signal --dec {analysis.decay_file(name)}" for name in line.processes]
            raise AnalysisError(f"no signal among the inputs: sample '{line.name}' needs {' or '.join(ways)}.")
    scale = {name: norm.expected(name) / n for name, n in generated.items()}
    every = _weighted(inputs, recipe, scale)
    flows = _flows(inputs, recipe, norm, scale, every.sample, every.columns["event_weight"])
    chosen = every.where(cut_flow(recipe.cut, every.columns, every.columns["event_weight"])[0])
    columns, sample = chosen.columns, chosen.sample
    used = _classifiers(inputs, recipe, generated, every, chosen, given=classifiers)
    regions = tuple(fill_region(line, list(flows), columns, sample, recipe, analysis.systematics)
                    for line in recipe.region)
    if recipe.fit == "binned":
        events = [(scale[p], line.name) for line in recipe.sample if line.strength is None
                  for p in line.processes if p in scale]
        regions = with_bin_floor(regions, recipe.bin_floor, otherwise=(min(events)[1], min(events)[0]) if events
                                 else None)
    samples = tuple(_sample_result(name, regions, recipe, generated, norm, columns["event_weight"][sample == name],
                                   flow) for name, flow in flows.items())
    absent = tuple(p for line in recipe.sample for p in line.processes if p not in generated and p != "taupair")
    return Result(analysis, norm, columns, sample, used, samples, regions, generated,
                  tuple(dict.fromkeys(absent)))


def trained_classifiers(inputs: Inputs, analysis: Analysis) -> tuple[FoldClassifier, ...]:
    """The classifiers of an analysis trained on candidates, each left out (no forest) where there are too few yet."""
    recipe = analysis.recipe
    recipe = recipe.model_copy(update={"classifier": tuple(line.model_copy(update={"optional": True})
                                                           for line in recipe.classifier)})
    generated = generated_of(inputs.sources, recipe.signal_decays)
    every = _weighted(inputs, recipe, {name: 1.0 for name in generated})
    chosen = every.where(cut_flow(recipe.cut, every.columns, every.columns["event_weight"])[0])
    return _classifiers(inputs, recipe, generated, every, chosen, given=None)


def _weighted(inputs: Inputs, recipe: Recipe, scale: Mapping[str, float]) -> Candidates:
    """All candidates, with the expected events that each stands for and its decays."""
    process = inputs.process(recipe.signal_decays)
    weight = inputs.columns["weight"] * np.array([scale[name] for name in process.tolist()])
    columns = inputs.columns | {"event_weight": weight, "decay": inputs.decay()}
    if (second := inputs.second()) is not None:
        columns["second"] = second
    return Candidates(columns, sample_of(recipe, process, inputs.columns), process)


def _classifiers(inputs: Inputs, recipe: Recipe, generated: Mapping[str, int], every: Candidates, chosen: Candidates, *,
                 given: Sequence[FoldClassifier] | None) -> tuple[FoldClassifier, ...]:
    """The classifiers in their order, each with its scores among the columns of the chosen candidates."""
    return tuple(classified(line, chosen, recipe, inputs.sources, generated, every=every,
                            given=None if given is None else given[i]) for i, line in enumerate(recipe.classifier))


def sample_of(recipe: Recipe, process: NDArray[np.str_], columns: Columns) -> NDArray[np.str_]:
    """Sample of each candidate, (n,), from its process and what was generated."""
    found = np.full(len(process), "", dtype=object)
    for name in np.unique(process).tolist():
        for line in recipe.samples_of(name):
            here = process == name
            if line.where is not None:
                here &= passes(line.where, columns, f"sample '{line.name}'")
            found[here] = line.name
    return found.astype(str)


def _flows(inputs: Inputs, recipe: Recipe, norm: Expectation, scale: Mapping[str, float], sample: NDArray[np.str_],
           weight: Floats) -> dict[str, tuple[FlowRow, ...]]:
    """Cut-flow of each sample: generated (where that is known of it), read, candidates, then the cuts."""
    flows = {}
    processes = [process_of(source, recipe.signal_decays) for source in inputs.sources]
    for line in recipe.sample:
        of = [i for i, process in enumerate(processes) if process in line.processes]
        if not of:
            continue
        rows: list[FlowRow] = []
        if line.where is None:
            here = {processes[i] for i in of}
            rows.append(step("generated", None, sum(inputs.sources[i].n_generated for i in of),
                             sum(norm.expected(process) for process in here)))
        for key in inputs.counts[of[0]][line.name]:
            n = sum(int(inputs.counts[i][line.name][key][0]) for i in of)
            total = sum(inputs.counts[i][line.name][key][1] * scale[processes[i]] for i in of)
            rows.append(step(key, rows[-1] if rows else None, n, total))
        chosen = sample == line.name
        _, cuts = cut_flow(recipe.cut, {k: v[chosen] for k, v in inputs.columns.items()}, weight[chosen])
        flows[line.name] = (*rows, *cuts)
    return flows


def _sample_result(name: str, regions: Sequence[Region], recipe: Recipe, generated: Mapping[str, int],
                   norm: Expectation, weight: Floats, flow: tuple[FlowRow, ...]) -> SampleResult:
    processes = tuple(p for p in recipe.line(name).processes if p in generated)
    luminosity = min(norm.luminosity * generated[p] / norm.expected(p) for p in processes)
    templates = [region.template(name) for region in regions]
    squares = sum(float(np.sum(t.errors**2)) for t in templates)
    inside = sum(float(t.values.sum()) for t in templates)
    effective = norm.luminosity * inside / squares if squares > 0.0 else float("nan")
    started = flow[0].passed_weight
    return SampleResult(name, processes, sum(generated[p] for p in processes), float(weight.sum()), len(weight),
                        luminosity, effective, float(weight.sum()) / started if started else float("nan"), flow)


def summary(result: Result) -> dict[str, Any]:
    """Yields, luminosities and efficiencies as JSON, and what the analysis's physics adds."""
    recipe, physics = result.recipe, result.analysis.physics
    own = {} if physics.summary is None else physics.summary(result)
    return {
        **own, "luminosity_fb": result.expectation.luminosity,
        "efficiency": {line.name: result.of(line.name).efficiency for line in recipe.signals
                       if line.name in {s.name for s in result.samples}},
        "classifiers": {line.name: dict(used.summary) for line, used in zip(recipe.classifier, result.classifiers,
                                                                            strict=True)},
        "missing_processes": list(result.missing),
        "samples": {s.name: {
            "processes": list(s.processes), "n_generated": s.n_generated, "expected": s.expected, "entries": s.entries,
            "luminosity_fb": s.luminosity,
            "effective_luminosity_fb": s.effective_luminosity if np.isfinite(s.effective_luminosity) else None}
            for s in result.samples}}
