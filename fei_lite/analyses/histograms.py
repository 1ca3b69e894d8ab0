"""Templates of a region: histograms with statistical errors and variations, and the bin floor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.analyses.candidates.ntuple import Columns
from fei_lite.analyses.recipes.columns import calculate, passes
from fei_lite.analyses.recipes.recipe import Recipe, RegionLine
from fei_lite.analyses.systematics import Line, NormalisationLine
from fei_lite.templates import Template

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Region:
    """One histogram of the fit: a template per sample, and the bins (from 0) that got the bin floor."""

    name: str
    variable: str
    edges: tuple[float, ...]
    templates: tuple[Template, ...] = field(repr=False)
    floored: tuple[int, ...] = ()
    title: str = ""

    def template(self, sample: str) -> Template:
        """The template of a sample."""
        return next(t for t in self.templates if t.name == sample)

    def to_json(self) -> dict[str, Any]:
        """The fields by name."""
        return {"variable": self.variable, "edges": list(self.edges), "floored_bins": list(self.floored),
                "templates": [t.to_json() for t in self.templates]}


def inside_region(line: RegionLine, columns: Columns) -> NDArray[np.bool_]:
    """Candidates (n,) inside of a region: where it holds, between the first and the last of its edges."""
    where = f"region '{line.name}'"
    x = np.asarray(calculate(line.variable, columns, where), dtype=np.float64)
    inside = (x >= line.edges[0]) & (x <= line.edges[-1])
    return inside if line.where is None else inside & passes(line.where, columns, where)


def fill_region(line: RegionLine, names: Sequence[str], columns: Columns, sample: NDArray[np.str_], recipe: Recipe,
                systematics: Sequence[Line]) -> Region:
    """The templates of the samples ``names`` in one region."""
    where = f"region '{line.name}'"
    chosen = np.ones(len(sample), dtype=bool) if line.where is None else passes(line.where, columns, where)
    inside = {key: values[chosen] for key, values in columns.items()}
    x = np.asarray(calculate(line.variable, inside, where), dtype=np.float64)
    templates = []
    for name in names:
        of = sample[chosen] == name
        part = {key: values[of] for key, values in inside.items()}
        templates.append(_template(name, x[of], part, np.array(line.edges), recipe.line(name).strength, systematics))
    return Region(line.name, line.variable, line.edges, tuple(templates), (), line.title)


def _template(name: str, x: Floats, part: Columns, edges: Floats, strength: str | None,
              systematics: Sequence[Line]) -> Template:
    """The histogram of one sample with its variations."""
    weight = part["event_weight"]

    def histogram(w: Floats) -> Floats:
        return np.histogram(x, edges, weights=w)[0].astype(np.float64)

    normalisations, shapes = {}, {}
    for line in systematics:
        if name not in line.samples:
            continue
        if isinstance(line, NormalisationLine):
            normalisations[line.name] = (1.0 - line.size, 1.0 + line.size)
            continue
        sides = []
        for factor in line.factors(part):
            moved = weight * factor
            if line.keep == "yield" and moved.sum() > 0.0:
                moved *= weight.sum() / moved.sum()
            sides.append(histogram(moved))
        shapes[line.name] = (sides[0], sides[1])
    errors = np.sqrt(bin_variances(x, weight, part["source"], part["decay"], edges, second=part.get("second")))
    return Template(name, histogram(weight), errors, strength is not None, normalisations, shapes, strength or "")


def with_bin_floor(regions: Sequence[Region], entries: float, *,
                   otherwise: tuple[str, float] | None = None) -> tuple[Region, ...]:
    """Regions that expect some background in every bin; ``floored`` are the bins where that had to be assumed.

    A bin where no background is left gets ``entries`` +- ``entries`` of the background whose entries weigh least
    in the region; where the region has none at all, of that in all regions; where these have none, of ``otherwise``,
    a sample and the weight of one of its events. What is not seen is not zero, and a likelihood of zero has no fit.
    """
    seen = _lightest([t for region in regions for t in region.templates]) or otherwise
    if seen is None:
        return tuple(regions)
    return tuple(_with_bin_floor(region, entries, _lightest(region.templates) or seen) for region in regions)


def _lightest(templates: Sequence[Template]) -> tuple[str, float] | None:
    """The background whose entries weigh least, with their mean weight: sum of squared weights over sum of weights."""
    found = [(float((t.errors**2).sum() / t.values.sum()), i) for i, t in enumerate(templates)
             if not t.signal and t.values.sum() > 0.0]
    return (templates[min(found)[1]].name, min(found)[0]) if found else None


def _with_bin_floor(region: Region, entries: float, lightest: tuple[str, float]) -> Region:
    raised, size = region.template(lightest[0]), entries * lightest[1]
    empty = np.sum([t.values for t in region.templates if not t.signal], axis=0) <= 0.0
    values, errors = (np.where(empty, size, x) for x in (raised.values, raised.errors))
    shapes = {name: (np.where(empty, size, low), np.where(empty, size, high))
              for name, (low, high) in raised.shapes.items()}
    new = replace(raised, values=values, errors=errors, shapes=shapes)
    return replace(region, templates=tuple(new if t is raised else t for t in region.templates),
                   floored=tuple(np.flatnonzero(empty).tolist()))


def bin_variances(x: Floats, weight: Floats, source: NDArray[np.integer], decay: NDArray[np.integer],
                  edges: Floats, *, second: NDArray[np.integer] | None = None) -> Floats:
    """Variance (n_bins,) of sums of weights, candidates that share a generated decay being correlated.

    Of combinations with the same first B decay the sum counts as one, and likewise of those with the same ``second``
    decay (what shares both is not counted twice). Without a record of the second B's (None, or a number below 0),
    what the first ones add to the sum of squared weights counts twice, for both are shared alike.
    """
    if second is not None and np.any(second < 0):  # of other sources, so that the two parts are independent
        without = second < 0
        return np.asarray(sum(
            bin_variances(x[rows], weight[rows], source[rows], decay[rows], edges, second=of)
            for rows, of in ((without, None), (~without, second[~without]))))
    n = len(edges) - 1
    inside = (x >= edges[0]) & (x <= edges[-1])
    place = np.searchsorted(edges[1:-1], x[inside], side="right")
    squares = np.bincount(place, weight[inside] ** 2, minlength=n)

    def clustered(*shared: NDArray[np.integer]) -> Floats:
        keys = np.stack([place, source[inside], *(numbers[inside] for numbers in shared)], axis=1)
        groups, which = np.unique(keys, axis=0, return_inverse=True)
        sums = np.bincount(which.ravel(), weight[inside], minlength=len(groups))
        return np.asarray(np.bincount(groups[:, 0].astype(np.int64), sums**2, minlength=n), dtype=np.float64)

    if second is None:
        return np.asarray(squares + 2.0 * (clustered(decay) - squares))
    return np.asarray(clustered(decay) + clustered(second) - clustered(decay, second))
