"""Two simulated samples side by side: event shapes before tagging, and with --models what a tagger makes of them.

    python scripts/compare_simulations.py before.root after.root [--models fei_default] [--plot FILE.png]

Weighted means with errors, and the pull of their difference. Of all events: charged
multiplicity (tracks), photon candidates, visible energy and R2 (all tracks with their
most likely mass, and all photon candidates; centre-of-mass frame). With --models: cosTBTO
and R2 of the best Btag of every event that has one, the fraction of events with a best
Btag above the signal probability, and that with a correct one.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import fei_lite
from fei_lite.event_shape.variables import continuum_suppression, event_shape
from fei_lite.roe.objects import masked_objects
from fei_lite.roe.rest import rest_of_event, side_momenta_cms
from fei_lite.roe.sides import tag_side
from fei_lite.used_objects import everything

#: Quantities of all events, with the range of their histograms.
OF_EVENTS = {"charged multiplicity": (-0.5, 19.5), "photon candidates": (-0.5, 29.5), "visible energy": (0.0, 13.0),
             "R2": (0.0, 1.0)}
OF_TAGS = {"cosTBTO of the best Btag": (0.0, 1.0), "R2 of the best Btag": (0.0, 1.0)}

Columns = dict[str, list[np.ndarray]]


def sqrt_s(beam_p4: np.ndarray) -> np.ndarray:
    """Mass of e+e- from its four-momentum (n, 4)."""
    return np.sqrt(beam_p4[:, 3] ** 2 - np.sum(beam_p4[:, :3] ** 2, axis=1))


def of_events(batch) -> dict[str, np.ndarray]:  # type: ignore[no-untyped-def]
    """Shapes of whole events."""
    full = everything(batch)
    rest = rest_of_event(masked_objects(batch, "all"), np.arange(batch.n_events), tag=np.zeros_like(full))
    momenta = rest.momenta_cms()
    shape = event_shape(momenta, sqrt_s=sqrt_s(batch.events["beam_p4"]))
    return {"charged multiplicity": rest.count("tracks").astype(float),
            "photon candidates": rest.count("photons").astype(float), "visible energy": momenta.sum()[:, 3],
            "R2": shape["foxWolframR2"]}


def of_tags(batch, channels, models,  # type: ignore[no-untyped-def]
            threshold: float) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Shapes with the best Btag as candidate, NaN without one; and whether it is above the threshold, and correct."""
    result = fei_lite.reconstruct(batch, channels, models)
    tags = fei_lite.select_tags(result)
    side = tag_side(result, tags)
    rest = rest_of_event(masked_objects(batch, "all"), side.event, tag=side.used)
    found = continuum_suppression(side_momenta_cms(batch, side.event, side.used), rest.momenta_cms(),
                                  sqrt_s=sqrt_s(batch.events["beam_p4"][side.event]))
    columns = {name: np.full(batch.n_events, np.nan) for name in OF_TAGS}
    columns["cosTBTO of the best Btag"][side.event] = found["cosTBTO"]
    columns["R2 of the best Btag"][side.event] = found["R2"]
    best = np.asarray(tags.columns["best"]) == 1
    good = best & (np.asarray(tags.columns["SignalProbability"]) > threshold)
    flags = np.zeros((batch.n_events, 2))
    flags[tags.event[good], 0] = 1.0
    flags[tags.event[good & (np.asarray(tags.columns["isSignal"]) == 1)], 1] = 1.0
    return columns, flags


def measured(path: Path, models: str | None, threshold: float) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Name, values and weights of every quantity of a sample."""
    if models is not None:
        from fei_lite.classifiers.tagger import load_tagger

        channels, model_set = load_tagger(models)
    columns: Columns = {}
    weights = []
    for batch in fei_lite.open([str(path)]):
        found = of_events(batch)
        if models is not None:
            shapes, flags = of_tags(batch, channels, model_set, threshold)
            found |= shapes | {f"fraction with a Btag above {threshold:g}": flags[:, 0],
                               "fraction with a correct one": flags[:, 1]}
        for name, values in found.items():
            columns.setdefault(name, []).append(values)
        weights.append(np.asarray(batch.events["weight"]))
    for name, parts in columns.items():
        values, weight = np.concatenate(parts), np.concatenate(weights)
        there = np.isfinite(values)
        yield name, values[there], weight[there]


def mean_and_error(values: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    """Weighted mean and its standard error; NaN of nothing."""
    if not len(values):
        return float("nan"), float("nan")
    mean = float(np.average(values, weights=weight))
    return mean, float(np.sqrt(np.sum(weight**2 * (values - mean) ** 2)) / np.sum(weight))


def plot(samples: list[dict[str, tuple[np.ndarray, np.ndarray]]], names: list[str], path: Path) -> None:
    """Normalised distributions of both samples."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    shown = [name for name in {**OF_EVENTS, **OF_TAGS} if name in samples[0]]
    figure, axes = plt.subplots(1, len(shown), figsize=(3.4 * len(shown), 3.2), layout="constrained")
    for axis, name in zip(np.atleast_1d(axes), shown, strict=True):
        low, high = {**OF_EVENTS, **OF_TAGS}[name]
        bins = np.arange(low, high + 1) if low < 0 else np.linspace(low, high, 41)
        for label, sample in zip(names, samples, strict=True):
            values, weight = sample[name]
            axis.hist(values, bins=bins, weights=weight, density=True, histtype="step", label=label)
        axis.set_xlabel(name + (" [GeV]" if "energy" in name else ""))
        axis.set_ylabel("normalised events")
        axis.legend(frameon=False, fontsize=7)
    figure.savefig(path, dpi=120)


def main() -> None:
    """Parse the command line, measure both samples, print, plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", type=Path)
    parser.add_argument("second", type=Path)
    parser.add_argument("--models", help="model set: also cosTBTO and tagging efficiency")
    parser.add_argument("--min-signal-probability", type=float, default=0.01)
    parser.add_argument("--plot", type=Path)
    arguments = parser.parse_args()
    paths = [arguments.first, arguments.second]
    samples = [{name: (values, weight) for name, values, weight
                in measured(path, arguments.models, arguments.min_signal_probability)} for path in paths]
    print(f"{'':34s} {paths[0].stem:>22s} {paths[1].stem:>22s} {'ratio':>7s} {'pull':>6s}")
    for name in samples[0]:
        (a, da), (b, db) = (mean_and_error(*sample[name]) for sample in samples)
        error = float(np.hypot(da, db))
        print(f"{name:34s} {a:12.5f} +- {da:7.5f} {b:12.5f} +- {db:7.5f} {b / a if a else float('nan'):7.3f} "
              f"{(b - a) / error if error else 0.0:6.1f}")
    if arguments.plot is not None:
        plot(samples, [path.stem for path in paths], arguments.plot)


if __name__ == "__main__":
    main()
