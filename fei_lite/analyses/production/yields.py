"""What a production is good for: effective luminosity per process and analysis, and the gain over plain simulation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fei_lite.analyses.candidates.files import read_candidates
from fei_lite.analyses.folders import Analysis
from fei_lite.analyses.histograms import bin_variances
from fei_lite.analyses.production.records import counted, of_analyses, read_trials, records_of
from fei_lite.analyses.production.scores import candidates_of, latest_classifiers, with_scores
from fei_lite.analyses.selected import likeness, selected

Floats = NDArray[np.float64]

#: Groups of families of which one at a time is left out, for intervals.
_GROUPS = 20
#: Candidates without which there is no interval.
_FEW = 10
#: Likeness to a signal from which a selected candidate counts as near it: one step of what signal has little of.
_NEAR = 0.7


@dataclass(frozen=True)
class Yield:
    """Selected candidates of a process in an analysis.

    ``luminosity`` (1/fb) was generated; ``effective`` is that of unweighted, independent events with the same relative
    error (decays and events used several times are correlated), with its interval (68 %); ``near`` that of the
    candidates like a signal. ``seconds`` of processor time were spent on all analyses together (in the pieces
    that count; :func:`learning_seconds` are besides); in them ``plain`` (1/fb) is what plain simulation makes. NaN
    without candidates. With few (the interval is NaN then) all of it says little: what is rare and has a large weight
    has not been found yet.
    """

    analysis: str
    process: str
    luminosity: float
    selected: int
    sum_of_weights: float
    effective: float
    interval: tuple[float, float]
    near: float
    seconds: float
    plain: float

    @property
    def gain(self) -> float:
        """Effective luminosity per second over that of plain simulation."""
        return self.effective / self.plain

    @property
    def gain_interval(self) -> tuple[float, float]:
        """The interval of the gain."""
        return self.interval[0] / self.plain, self.interval[1] / self.plain


@dataclass(frozen=True)
class Families:
    """Weighted candidates (n,), and numbers of the source and of both decays that each shares with others."""

    weight: Floats
    source: NDArray[np.int64]
    first: NDArray[np.int64]
    second: NDArray[np.int64] | None

    def where(self, mask: NDArray[np.bool_]) -> Families:
        """Some of the candidates."""
        return Families(self.weight[mask], self.source[mask], self.first[mask],
                        None if self.second is None else self.second[mask])

    def effective(self, luminosity: float) -> float:
        """The effective luminosity of the sum of weights."""
        variance = bin_variances(np.zeros(len(self.weight)), self.weight, self.source, self.first,
                                 np.array([-1.0, 1.0]), second=self.second)[0]
        return effective_luminosity(float(self.weight.sum()), float(variance), luminosity)

    def interval(self, luminosity: float) -> tuple[float, float]:
        """The effective luminosity times and over its relative error: a jackknife of groups of first decays.

        NaN with few candidates.
        """
        if len(self.weight) < _FEW:
            return float("nan"), float("nan")
        _, family = np.unique(np.stack([self.source, self.first], axis=1), axis=0, return_inverse=True)
        group = np.random.default_rng(7).permutation(int(family.max(initial=0)) + 1)[family.ravel()] % _GROUPS
        found = np.array([self.where(group != k).effective(luminosity) for k in np.unique(group)])
        found = np.log(found[np.isfinite(found)])
        if len(found) < 2:
            return float("nan"), float("nan")
        error = np.sqrt((len(found) - 1) / len(found) * np.sum((found - found.mean()) ** 2))
        middle = np.log(self.effective(luminosity))
        return float(np.exp(middle - error)), float(np.exp(middle + error))


def effective_luminosity(weight: float, variance: float, luminosity: float) -> float:
    """Of a sum of weights with its variance, made from a luminosity: that of unweighted events of that error.

    >>> effective_luminosity(100.0, 50.0, 10.0)
    20.0
    """
    return luminosity * weight / variance if variance > 0.0 else float("nan")


def yields_of(folders: Sequence[Path], analysis: Analysis, plain: Mapping[str, float]) -> list[Yield]:
    """The yields of an analysis in productions, process by process.

    Selected are, where the latest selection of the first folder knew classifiers, those in the bins of the fit.
    ``plain`` are the processor seconds that plain simulation takes for an event of each process, and all analyses.
    """
    records = [(folder, record) for folder in folders
               for record in counted(of_analyses(records_of(folder), [analysis.name]))
               if record["luminosity_fb"] is not None]
    latest = latest_classifiers(records, analysis)
    found = []
    for process in dict.fromkeys(record["process"] for _, record in records):
        own = [(folder, record) for folder, record in records if record["process"] == process]
        inputs = read_candidates([candidates_of(folder, analysis, record) for folder, record in own], analysis)
        columns = with_scores(inputs, analysis, latest)
        keep = selected(analysis.recipe, columns)
        families = Families(columns["weight"], columns["source"], inputs.decay(), inputs.second())
        near = keep & (likeness(analysis.recipe, columns) > _NEAR)
        luminosity = sum(record["luminosity_fb"] for _, record in own)
        seconds = sum(sum(record["seconds"].values()) for _, record in own)
        of_one = luminosity / sum(record["n_generated"] for _, record in own)
        chosen = families.where(keep)
        found.append(Yield(analysis.name, process, luminosity, len(chosen.weight), float(chosen.weight.sum()),
                           chosen.effective(luminosity), chosen.interval(luminosity),
                           families.where(near).effective(luminosity), seconds,
                           seconds / plain.get(process, np.nan) * of_one))
    return found


def learning_seconds(folder: Path) -> float:
    """Processor seconds of a production for what does not count: trials of single B's, first pieces, guides."""
    records = records_of(folder)
    kept = [id(record) for record in counted(records)]
    first = sum(sum(record["seconds"].values()) for record in records if id(record) not in kept)
    return float(first + sum(trial["seconds"].get("trials", 0.0) for trial in read_trials(folder)))
