"""Numbers of every channel and particle, as plain data: sizes, AUC, reliability, importances, efficiency of the cuts.

A channel is flagged where its AUC on events that it was not trained on differs
from that of its training sample by more than :data:`LIMIT` standard deviations.
The deviation expected if nothing is wrong is that of both samples; that of the
independent one is taken as not smaller than the training's, scaled to its
number of true candidates: a handful of true candidates that all lie above the
background would otherwise claim to know the AUC exactly.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from fei_lite.channels import Channel, ParticleConfig
from fei_lite.classifiers.quality import Reliability, reliability, weighted_auc
from fei_lite.fractions import UNDEFINED, Sums
from fei_lite.plain import as_plain
from fei_lite.report.importance import gains, ordered_fractions, read_forest, split_counts
from fei_lite.report.observed import Featured, Observed, Scored
from fei_lite.report.steps import STEPS, Counts
from fei_lite.report.training import Training

#: Standard deviations beyond which two AUC count as different.
LIMIT = 3.0
#: True candidates below which a sample does not judge a channel.
MIN_TRUE = 10

N_BINS = 10


def number(value: float | None) -> float | None:
    """JSON knows no NaN: undefined is None."""
    return None if value is None or not math.isfinite(value) else float(value)


def pull(training: Mapping[str, Any], auc: float | None, uncertainty: float | None, n_true: int) -> float | None:
    """AUC on other events minus AUC on the training sample, in standard deviations; None if not judged.

    >>> sample = {"auc": 0.95, "auc_uncertainty": 0.003, "n_signal": 900}
    >>> round(pull(sample, 0.945, 0.004, 100), 3)  # sqrt(0.003^2 + 0.009^2), not sqrt(0.003^2 + 0.004^2)
    -0.527
    """
    sigma = training["auc_uncertainty"]
    if auc is None or sigma is None or n_true < MIN_TRUE:
        return None
    expected = max(uncertainty or 0.0, sigma * math.sqrt(training["n_signal"] / n_true))
    total = math.hypot(sigma, expected)
    return (auc - training["auc"]) / total if total > 0.0 else None


def reliability_of(scored: Scored) -> Reliability:
    """Reliability of a channel's candidates, before the cut on the probability."""
    truth, probability, weight, _ = scored.arrays()
    return reliability(truth, probability, weight=weight, n_bins=N_BINS)


def measured_on_events(scored: Scored, counts: Counts) -> dict[str, Any]:
    """AUC and calibration of a classifier on independent events."""
    truth, probability, weight, event = scored.arrays()
    auc, uncertainty = weighted_auc(truth, probability, weight=weight, group=event)
    bins = reliability(truth, probability, weight=weight, n_bins=N_BINS)
    ranked = counts.steps["ranked"]
    return {"n_signal": ranked.true.n, "n_background": ranked.candidates.n - ranked.true.n,
            "n_used": len(truth), "auc": number(auc), "auc_uncertainty": number(uncertainty),
            "calibration_error": number(bins.calibration_error),
            "expected_error": number(bins.error_from_fluctuations),
            "promised": number(float(np.average(probability, weights=weight)) if len(weight) else float("nan")),
            "right": number(float(np.average(truth, weights=weight)) if len(weight) else float("nan"))}


def channel_numbers(training: Training, channel: Channel, observed: Observed | None) -> dict[str, Any]:
    """Everything about one channel."""
    identifier = channel.identifier
    manifest = training.models.manifest
    row: dict[str, Any] = {
        "identifier": identifier, "particle": channel.particle, "daughters": list(channel.daughters),
        "leaf": channel.leaf, "fit": channel.fit, "n_features": len(channel.features), "held_out": None,
        "pull_held_out": None, "on_events": None, "pull": None, "flag": False, "importance": [],
        "importance_source": None}
    if identifier in manifest["channels"]:
        entry = manifest["channels"][identifier]
        row |= {"status": "trained", "n_trees": entry["n_trees"], "training": entry["training"],
                "held_out": entry["validation"]}
        if held := entry["validation"]:
            row["pull_held_out"] = pull(entry["training"], held["auc"], held["auc_uncertainty"], held["n_signal"])
    elif identifier in manifest["untrained"]:
        entry = manifest["untrained"][identifier]
        row |= {"status": "untrained", "reason": entry["reason"], "training": entry["training"]}
    elif not channel.features:
        row |= {"status": "untrained", "reason": "it has no features: all candidates are kept", "training": None}
    else:
        row |= {"status": "not yet", "reason": "the training has not come to it", "training": None}
    if observed is not None and identifier in observed.channels:
        row |= _counted(observed.channels[identifier])
        if identifier in observed.scored:
            found = row["on_events"] = measured_on_events(observed.scored[identifier], observed.channels[identifier])
            row["pull"] = pull(row["training"], found["auc"], found["auc_uncertainty"], found["n_signal"])
    row["flag"] = any(p is not None and abs(p) > LIMIT for p in (row["pull"], row["pull_held_out"]))
    if row["status"] == "trained":
        row |= _importance(training, identifier, None if observed is None else observed.featured.get(identifier))
    return row


def tag_classifier_numbers(training: Training) -> dict[str, Any] | None:
    """The tag classifier, which judges the tag candidates of an event against each other; None in a set without."""
    manifest = training.models.manifest
    if "no_tag_classifier" in manifest:
        return {"reason": manifest["no_tag_classifier"]}
    if "tag_classifier" not in manifest:
        return None
    entry = manifest["tag_classifier"]
    held = entry["validation"]
    return {"reason": None, "n_trees": entry["n_trees"], "features": list(entry["features"]),
            "training": entry["training"], "held_out": held,
            "pull_held_out": held and pull(entry["training"], held["auc"], held["auc_uncertainty"], held["n_signal"])}


def _counted(counts: Counts) -> dict[str, Any]:
    """Candidates of a channel on independent events."""
    ranked, kept = counts.steps["ranked"], counts.steps["kept"]
    generated = counts.generated
    steps = {name: {"candidates": step.candidates.n, "true": step.true.n, "found": step.found.n,
                    "purity": _ratio(step.true, step.candidates), "efficiency": _ratio(step.found, generated)}
             for name, step in counts.steps.items()}
    return {"generated": None if generated is None else generated.n, "steps": steps,
            "n_candidates": ranked.candidates.n, "n_true": ranked.true.n,
            "n_kept": kept.candidates.n, "n_kept_true": kept.true.n,
            "purity": _ratio(kept.true, kept.candidates), "efficiency": _ratio(kept.found, generated)}


def _ratio(part: Sums, whole: Sums | None) -> dict[str, float | None]:
    """A fraction with its interval; undefined without a whole."""
    found: dict[str, float | None] = as_plain(UNDEFINED if whole is None else whole.fraction(part.weight))
    return found


def _importance(training: Training, identifier: str, featured: Featured | None) -> dict[str, Any]:
    """Features by their fraction of the gain: the training's, else on independent events, else of the splits."""
    model = training.models.models[identifier]
    forest = read_forest(model)
    splits = split_counts(forest)
    result: dict[str, Any] = {"splits": {f: int(n) for f, n in zip(model.features, splits, strict=True) if n}}
    if gain := model.entry.get("gain"):
        return result | {"importance_source": "gain in the training",
                         "importance": ordered_fractions(model.features, np.asarray(gain))}
    if featured is not None:
        X, truth, weight = featured.arrays()
        if truth.sum() >= MIN_TRUE:
            return result | {"importance_source": f"gain on {int(truth.sum())} true and {int((~truth).sum())} false "
                             "candidates of the independent events",
                             "importance": ordered_fractions(model.features, gains(forest, X, truth, weight))}
    return result | {"importance_source": "number of splits", "importance": ordered_fractions(model.features, splits)}


def particle_numbers(training: Training, config: ParticleConfig, chains: int,
                     observed: Observed | None) -> dict[str, Any]:
    """Choices of a particle, and its efficiency and purity at every step."""
    row: dict[str, Any] = {
        "name": config.name, "pdg": config.pdg, "stage": config.stage, "target": config.target, "chains": chains,
        "cuts": sorted({str(cut) for channel in config.channels for which in (channel.cuts, channel.post_fit_cuts)
                        for cut in which.conjuncts}),
        "rank_by": config.rank_by, "rank_highest": config.rank_highest, "best_pre": config.best_pre,
        "min_signal_probability": config.min_signal_probability, "best_post": config.best_post,
        "channels": [channel.identifier for channel in config.channels], "generated": None, "steps": []}
    if observed is None or config.name not in observed.particles:
        return row
    counts = observed.particles[config.name]
    before = counts.generated
    row["generated"] = None if before is None else before.n
    for name in STEPS:
        step = counts.steps[name]
        row["steps"].append({
            "step": name, "candidates": step.candidates.n, "true": step.true.n, "found": step.found.n,
            "purity": _ratio(step.true, step.candidates), "efficiency": _ratio(step.found, counts.generated),
            "step_efficiency": _ratio(step.found, before)})
        before = step.found
    return row
