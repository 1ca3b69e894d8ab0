"""The HTA after the candidates: selection, BDT_h, eta, histograms, templates, joint number density."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.analyses.classifier import FoldClassifier, flat_transform, fold_of, train_folds
from fei_lite.analyses.k_nunu.density import Density
from fei_lite.analyses.k_nunu.spectrum import fractions
from fei_lite.analyses.ntuple import Columns
from fei_lite.analyses.recipe import Recipe
from fei_lite.analyses.samples import Normalisation, Source, generated_of
from fei_lite.analyses.selection import FlowRow, cut_flow, step
from fei_lite.analyses.systematics import Systematic
from fei_lite.errors import AnalysisError
from fei_lite.templates import Template

Floats = NDArray[np.float64]
SIGNAL = "signal"


@dataclass(frozen=True)
class Inputs:
    """Candidates of some sources: columns with ``source`` (row of ``sources``), and the counts before them."""

    columns: Columns
    sources: tuple[Source, ...]
    counts: tuple[Mapping[str, Sequence[float]], ...]

    def decay(self) -> NDArray[np.int64]:
        """Number of the generated event, (n,), that the first B decay of each candidate is from.

        Equal within a source where decays were reused in several combinations.
        """
        reuse = np.array([int(source.options.get("reuse", 1)) for source in self.sources], dtype=np.int64)
        return np.asarray(self.columns["event"].astype(np.int64) // reuse[self.columns["source"]])

    def process(self) -> NDArray[np.str_]:
        """Process of each candidate, (n,)."""
        names = np.array([source.process for source in self.sources], dtype=str)
        return np.asarray(names[self.columns["source"]])


@dataclass(frozen=True)
class SampleResult:
    """One sample after the selection.

    ``entries`` candidates with a sum of weights ``expected`` (events at the
    wanted luminosity). ``luminosity`` (1/fb) is what the generated events stand
    for, the least of the sample's processes; ``effective_luminosity`` what
    those in the bins of the fit are worth: that of unweighted events with their
    relative statistical error (NaN without any).
    """

    name: str
    processes: tuple[str, ...]
    n_generated: int
    expected: float
    entries: int
    luminosity: float
    effective_luminosity: float
    flow: tuple[FlowRow, ...] = field(repr=False)


@dataclass(frozen=True)
class Result:
    """What the HTA ends in: selected candidates, cut-flows, templates, density."""

    recipe: Recipe
    normalisation: Normalisation
    columns: Columns
    sample: NDArray[np.str_]
    classifier: FoldClassifier
    samples: tuple[SampleResult, ...]
    templates: tuple[Template, ...]
    density: Density
    missing: tuple[str, ...]
    floored: tuple[int, ...] = ()

    @property
    def signal_efficiency(self) -> float:
        """Selected over generated signal, with the standard model's spectrum, before the cut on eta."""
        result = next(s for s in self.samples if s.name == SIGNAL)
        return result.expected / self.normalisation.expected(SIGNAL)


def analyse(inputs: Inputs, recipe: Recipe, systematics: Sequence[Systematic], *, luminosity: float | None = None,
            classifier: FoldClassifier | None = None) -> Result:
    """The whole analysis on candidates; trains BDT_h unless a ``classifier`` is given.

    ``luminosity`` in 1/fb (default: the recipe's). Raises :class:`AnalysisError`
    without signal, or with too few candidates to train.
    """
    norm = Normalisation(luminosity or recipe.luminosity, recipe.luminosity, recipe.n_upsilon4s,
                         recipe.branching_fraction)
    process, generated = inputs.process(), generated_of(inputs.sources)
    if SIGNAL not in generated:
        raise AnalysisError("no signal among the inputs: simulate it with fei-lite simulate signal --dec k_nunu.")
    scale = {name: norm.expected(name) / n for name, n in generated.items()}
    weight = inputs.columns["weight"] * np.array([scale[name] for name in process.tolist()])
    sample = np.array([recipe.sample_of(name) for name in process.tolist()], dtype=str)
    keep, _ = cut_flow(recipe.cuts, inputs.columns, weight)
    flows = _flows(inputs, recipe, norm, scale, sample, weight)
    columns = {name: values[keep] for name, values in inputs.columns.items()}
    columns |= {"event_weight": weight[keep], "decay": inputs.decay()[keep]}
    sample = sample[keep]
    classifier, score = _classified(columns, sample, recipe, inputs.sources, classifier)
    columns |= {"BDTh": score, "eta": classifier.transform(score)}
    templates = tuple(_template(name, columns, sample, recipe, systematics) for name in flows)
    templates, floored = with_floor(templates, recipe.floor)
    samples = tuple(_sample_result(template, recipe, generated, norm,
                                   columns["event_weight"][sample == template.name], flows[template.name])
                    for template in templates)
    of_signal = sample == SIGNAL
    density = Density.of(columns["eta"][of_signal], columns["q2_generated"][of_signal],
                         columns["event_weight"][of_signal], recipe.eta_edges, recipe.q2_edges)
    absent = tuple(p for processes in recipe.samples.values() for p in processes
                   if p not in generated and p != "taupair")
    return Result(recipe, norm, columns, sample, classifier, samples, templates, density, absent, floored)


def _flows(inputs: Inputs, recipe: Recipe, norm: Normalisation, scale: Mapping[str, float], sample: NDArray[np.str_],
           weight: Floats) -> dict[str, tuple[FlowRow, ...]]:
    """Cut-flow of each sample: generated, read, candidates, then the cuts."""
    flows = {}
    for name, processes in recipe.samples.items():
        of = [i for i, source in enumerate(inputs.sources) if source.process in processes]
        if not of:
            continue
        here = {inputs.sources[i].process for i in of}
        rows = [step("generated", None, sum(inputs.sources[i].n_generated for i in of),
                     sum(norm.expected(process) for process in here))]
        for key in inputs.counts[of[0]]:
            n = sum(int(inputs.counts[i][key][0]) for i in of)
            total = sum(inputs.counts[i][key][1] * scale[inputs.sources[i].process] for i in of)
            rows.append(step(key, rows[-1], n, total))
        chosen = sample == name
        _, cuts = cut_flow(recipe.cuts, {k: v[chosen] for k, v in inputs.columns.items()}, weight[chosen])
        flows[name] = (*rows, *cuts)
    return flows


def _classified(columns: Columns, sample: NDArray[np.str_], recipe: Recipe, sources: Sequence[Source],
                classifier: FoldClassifier | None) -> tuple[FoldClassifier, Floats]:
    """BDT_h of each candidate, and the classifier: trained here unless given."""
    X = np.column_stack([columns[name].astype(np.float64) for name in recipe.features])
    signal, weight = sample == SIGNAL, columns["event_weight"]
    fold = fold_of(columns["decay"], np.array([source.seed for source in sources])[columns["source"]],
                   recipe.folds if classifier is None else classifier.folds)
    if classifier is not None:
        return classifier, classifier.scores(X, fold)
    texts, score, summary = train_folds(X, signal, weight, fold, names=recipe.features, folds=recipe.folds,
                                        seed=recipe.seed, parameters=recipe.parameters)
    transform = flat_transform(score[signal], weight[signal])
    return FoldClassifier(recipe.features, texts, transform, summary), score


def _sample_result(template: Template, recipe: Recipe, generated: Mapping[str, int], norm: Normalisation,
                   weight: Floats, flow: tuple[FlowRow, ...]) -> SampleResult:
    processes = tuple(p for p in recipe.samples[template.name] if p in generated)
    luminosity = min(norm.luminosity * generated[p] / norm.expected(p) for p in processes)
    squares = float(np.sum(template.errors**2))
    worth = norm.luminosity * float(template.values.sum()) / squares if squares > 0.0 else float("nan")
    return SampleResult(template.name, processes, sum(generated[p] for p in processes), float(weight.sum()),
                        len(weight), luminosity, worth, flow)


def _template(name: str, columns: Columns, sample: NDArray[np.str_], recipe: Recipe,
              systematics: Sequence[Systematic]) -> Template:
    """The histogram of eta of one sample with its variations."""
    chosen = sample == name
    part = {key: values[chosen] for key, values in columns.items()}
    weight, edges = part["event_weight"], np.array(recipe.eta_edges)

    def histogram(w: Floats) -> Floats:
        return np.histogram(part["eta"], edges, weights=w)[0].astype(np.float64)

    normalisations, shapes = {}, {}
    for line in systematics:
        if name not in line.samples:
            continue
        if line.kind == "normalisation":
            normalisations[line.name] = (1.0 - line.size, 1.0 + line.size)
            continue
        sides = []
        for factor in line.factors(part):
            moved = weight * factor
            if line.keep_yield and moved.sum() > 0.0:
                moved *= weight.sum() / moved.sum()
            sides.append(histogram(moved))
        shapes[line.name] = (sides[0], sides[1])
    errors = np.sqrt(bin_variances(part["eta"], weight, part["source"], part["decay"], edges))
    return Template(name, histogram(weight), errors, name == SIGNAL, normalisations, shapes)


def with_floor(templates: Sequence[Template], entries: float) -> tuple[tuple[Template, ...], tuple[int, ...]]:
    """Templates that expect some background in every bin, and the bins where that had to be assumed.

    A bin where no background is left gets ``entries`` +- ``entries`` of the background
    whose entries weigh least: what is not seen is not zero, and a likelihood of zero has no fit.
    """
    backgrounds = [t for t in templates if not t.signal and t.values.sum() > 0.0]
    if not backgrounds:
        return tuple(templates), ()
    empty = np.sum([t.values for t in backgrounds], axis=0) <= 0.0
    lightest = min(backgrounds, key=lambda t: float((t.errors**2).sum() / t.values.sum()))
    size = entries * float((lightest.errors**2).sum() / lightest.values.sum())
    values, errors = (np.where(empty, size, x) for x in (lightest.values, lightest.errors))
    shapes = {name: (np.where(empty, size, low), np.where(empty, size, high))
              for name, (low, high) in lightest.shapes.items()}
    raised = replace(lightest, values=values, errors=errors, shapes=shapes)
    return tuple(raised if t is lightest else t for t in templates), tuple(np.flatnonzero(empty).tolist())


def bin_variances(x: Floats, weight: Floats, source: NDArray[np.integer], decay: NDArray[np.integer],
                  edges: Floats) -> Floats:
    """Variance (n_bins,) of sums of weights, candidates that share a generated decay being correlated.

    Of combinations with the same first B decay the sum counts as one; what
    that adds to the sum of squared weights counts twice, for the second B's,
    of which there is no record, share alike.
    """
    n = len(edges) - 1
    inside = (x >= edges[0]) & (x <= edges[-1])
    place = np.searchsorted(edges[1:-1], x[inside], side="right")
    squares = np.bincount(place, weight[inside] ** 2, minlength=n)
    keys = np.stack([place, source[inside], decay[inside]], axis=1)
    groups, which = np.unique(keys, axis=0, return_inverse=True)
    sums = np.bincount(which.ravel(), weight[inside], minlength=len(groups))
    clustered = np.bincount(groups[:, 0].astype(np.int64), sums**2, minlength=n)
    return np.asarray(squares + 2.0 * (clustered - squares), dtype=np.float64)


def q2_resolution(result: Result) -> dict[str, float]:
    """q2 from the tag's recoil minus the generated one, of selected signal: median, half of the central 68 %, tails.

    GeV^2; ``beyond_1`` is the share of candidates off by more than 1 GeV^2. All tags, right or wrong.
    """
    of = result.sample == SIGNAL
    difference = result.columns["q2"][of] - result.columns["q2_generated"][of]
    low, median, high = np.quantile(difference, [0.16, 0.5, 0.84]) if of.any() else [float("nan")] * 3
    return {"median": float(median), "half_68": float(high - low) / 2,
            "beyond_1": float(np.mean(np.abs(difference) > 1.0))}


def efficiency_in_q2(result: Result) -> tuple[Floats, Floats]:
    """Selected over expected signal in bins of generated q2, (n,), before the cut on eta; and its error."""
    of, edges = result.sample == SIGNAL, np.array(result.recipe.q2_edges)
    q2, weight = result.columns["q2_generated"][of], result.columns["event_weight"][of]
    expected = result.normalisation.expected(SIGNAL) * fractions(edges)
    found, squares = (np.histogram(q2, edges, weights=w)[0] for w in (weight, weight**2))
    return found / expected, np.sqrt(squares) / expected


def summary(result: Result) -> dict[str, Any]:
    """Yields, luminosities, efficiencies and resolution as JSON."""
    values, errors = efficiency_in_q2(result)
    return {
        "q2_resolution_GeV2": q2_resolution(result),
        "efficiency_in_q2": {"edges_GeV2": list(result.recipe.q2_edges), "values": values.tolist(),
                             "errors": errors.tolist()},
        "luminosity_fb": result.normalisation.luminosity, "signal_efficiency": result.signal_efficiency,
        "classifier": dict(result.classifier.summary), "missing_processes": list(result.missing),
        "floored_bins": list(result.floored),
        "samples": {s.name: {
            "processes": list(s.processes), "n_generated": s.n_generated, "expected": s.expected, "entries": s.entries,
            "luminosity_fb": s.luminosity, "effective_luminosity_fb": s.effective_luminosity}
            for s in result.samples}}
