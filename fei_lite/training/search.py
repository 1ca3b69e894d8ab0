"""Settings of the classifiers of a stage, found by trying some on held-out events.

A few channels of the stage, from the one with the most true candidates to the
one with the fewest, are fitted with every choice. The stage's is the simplest that
tells as much of the truth of held-out candidates as the best one, within one
standard error of their difference: what a few channels cannot prove to be better is
not worth the events that a larger classifier learns by heart (Breiman et al.,
Classification and Regression Trees, 1984). It is written into the manifest with what all of them reached.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from fei_lite.classifiers.fitting import fit_channel
from fei_lite.classifiers.quality import Quality
from fei_lite.training.sampling import ChannelSample, SampleArrays

#: Trees are taken only while the classifier knows held-out events about as well as its own.
RESTRAINT: Mapping[str, Any] = MappingProxyType({"max_overtraining": 0.5})

#: What is tried, as changes of the FEI's settings, by name, the simplest first.
CHOICES: Mapping[str, Mapping[str, Any]] = MappingProxyType({
    "depth 2, rate 0.1": {"max_depth": 2, "num_leaves": 4, **RESTRAINT},
    "depth 3, rate 0.1": {**RESTRAINT},
    "depth 3, rate 0.05, smooth": {"learning_rate": 0.05, "min_data_in_leaf": 200, "lambda_l2": 10.0,
                                   "feature_fraction": 0.5, **RESTRAINT},
    "depth 5, rate 0.05": {"max_depth": 5, "num_leaves": 16, "learning_rate": 0.05, **RESTRAINT},
})

#: Channels of a stage that are fitted with every choice, and candidates of a class that they are fitted on at most;
#: half as many held-out ones judge.
N_CHANNELS, N_CANDIDATES = 4, 40_000


def search(samples: Mapping[str, ChannelSample], *, seed: int, min_entries: int, num_threads: int = 1,
           report: Callable[[int, int], None] | None = None) -> dict[str, Any]:
    """Try :data:`CHOICES` on the samples of a stage's channels; the result as plain data.

    ``chosen`` names the choice; ``tried`` has for each the mean over channels of
    the information (:func:`information`) beyond that of the first choice, and its
    standard error. Without a channel to try on, the first is chosen.
    """
    names = representative({name: int(sample.counts()["training signal"]["kept"]) for name, sample in samples.items()},
                           at_least=min_entries)
    gained: dict[str, list[float]] = {choice: [] for choice in CHOICES}
    used = []
    for i, name in enumerate(names):
        training, held = samples[name].arrays()
        training, held = (fewer(some, limit, seed=seed) for some, limit in ((training, N_CANDIDATES),
                                                                            (held, N_CANDIDATES // 2)))
        features = [f"feature {k}" for k in range(training[0].shape[1])]
        fits = {choice: fit_channel(*training, names=features, seed=seed, validation=held, min_entries=min_entries,
                                    num_threads=num_threads, parameters=parameters)
                for choice, parameters in CHOICES.items()}
        reached = {choice: information(fit.validation) for choice, fit in fits.items()}
        reference = reached[next(iter(CHOICES))]
        if all(np.isfinite(value) for value in reached.values()):
            used.append(name)
            for choice, value in reached.items():
                gained[choice].append(value - reference)
        if report is not None:
            report(i + 1, len(names))
    tried = {choice: _mean(values) for choice, values in gained.items()}
    chosen = simplest(gained)
    return {"chosen": chosen, "parameters": dict(CHOICES[chosen]), "channels": used, "tried": tried}


def simplest(gained: Mapping[str, Sequence[float]]) -> str:
    """The first choice that is worse than the best by no more than a standard error; ``gained`` is by channel.

    >>> simplest({"plain": [0.0, 0.0, 0.0], "larger": [0.01, -0.01, 0.03]})
    'plain'
    >>> simplest({"plain": [0.0, 0.0, 0.0], "larger": [0.01, 0.02, 0.03]})
    'larger'
    """
    best = max(gained, key=lambda choice: _mean(gained[choice])["gain"])
    for choice, values in gained.items():
        missed = _mean([top - value for top, value in zip(gained[best], values, strict=True)])
        if missed["gain"] <= missed["uncertainty"]:
            return choice
    return best


def fewer(sample: SampleArrays, limit: int, *, seed: int) -> SampleArrays:
    """At most ``limit`` candidates of each class, chosen at random; their weights are scaled to the sum of the class.

    Background stands first, as in a :class:`ChannelSample`'s arrays.
    """
    X, y, weight = sample
    rng = np.random.default_rng(seed)
    rows, scaled = [], weight.copy()
    for of_class in (~y, y):
        every = np.flatnonzero(of_class)
        some = np.sort(rng.choice(every, limit, replace=False)) if len(every) > limit else every
        scaled[some] *= weight[every].sum() / max(weight[some].sum(), np.finfo(float).tiny)
        rows.append(some)
    chosen = np.concatenate(rows)
    return X[chosen], y[chosen], scaled[chosen]


def representative(sizes: Mapping[str, int], *, at_least: int, n: int = N_CHANNELS) -> list[str]:
    """Names of ``n`` channels spread evenly from the largest to the smallest that has enough.

    >>> representative({"a": 900, "b": 20, "c": 300, "d": 700, "e": 500}, at_least=100, n=2)
    ['a', 'c']
    """
    order = sorted((name for name, size in sizes.items() if size >= at_least), key=lambda name: (-sizes[name], name))
    places: Sequence[int] = np.unique(np.linspace(0, len(order) - 1, min(n, len(order))).round().astype(int)).tolist()
    return [order[place] for place in places]


def information(quality: Quality | None) -> float:
    """Share of what the truth would tell that the classifier tells: 1 - log-loss / entropy of the prior; 1 is best.

    >>> information(Quality(1, 1, 1.0, 1.0, log_loss=0.25 * np.log(2)))
    0.75
    """
    if quality is None or not (quality.weight_signal > 0.0 and quality.weight_background > 0.0):
        return float("nan")
    prior = quality.weight_signal / (quality.weight_signal + quality.weight_background)
    entropy = -prior * np.log(prior) - (1.0 - prior) * np.log1p(-prior)
    return float(1.0 - quality.log_loss / entropy)


def _mean(values: Sequence[float]) -> dict[str, float]:
    """Mean and its standard error (0 of fewer than two values)."""
    error = float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0
    return {"gain": float(np.mean(values)) if values else 0.0, "uncertainty": error}
