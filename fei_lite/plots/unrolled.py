"""All regions of a fit side by side, bin after bin: samples stacked, data, before and after the fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fei_lite.plots.canvas import INK, PathLike, new_figure, save
from fei_lite.statistics.by_sample import Expected

Floats = NDArray[np.float64]

#: Colours of stacked samples from below: backgrounds, then signals (Okabe and Ito's, and shades of them).
STACK = ("#56B4E9", "#0072B2", "#009E73", "#F0E442", "#E69F00", "#999999", "#CC79A7", "#D55E00", "#882255", "#117733",
         "#332288", "#AA4499")

#: Fewest events that are shown, on a logarithmic scale.
_LEAST = 0.2


@dataclass(frozen=True)
class Unrolled:
    """What is drawn: regions in their order, samples from below with their titles, and events that were seen."""

    regions: Sequence[str]
    samples: Mapping[str, str]
    data: Mapping[str, Floats] = field(repr=False)
    label: str = "data"


def plot_unrolled(shown: Unrolled, stages: Mapping[str, Expected], path: PathLike, *, luminosity: float) -> None:
    """One row per stage (title -> expectation): stacked samples with the error of the sum, and data."""
    import mplhep

    figure = new_figure(len(stages), 1, size=(10.0, 4.2))
    sizes = [len(shown.data[name]) for name in shown.regions]
    bins, ends = np.arange(sum(sizes) + 1), np.cumsum(sizes)
    data = np.concatenate([shown.data[name] for name in shown.regions])
    for axes, (title, found) in zip(list(figure.axes), stages.items(), strict=True):
        stack = [np.concatenate([found.samples[r].get(name, np.zeros(n)) for r, n in zip(
            shown.regions, sizes, strict=True)]) for name in shown.samples]
        total, error = (np.concatenate([part[r] for r in shown.regions]) for part in (found.total, found.errors))
        mplhep.histplot(stack, bins, stack=True, histtype="fill", ax=axes, label=list(shown.samples.values()),
                        color=[STACK[i % len(STACK)] for i in range(len(stack))], edgecolor=INK, linewidth=0.4)
        axes.stairs(total + error, bins, baseline=np.maximum(total - error, 0.1 * _LEAST), fill=True, facecolor="none",
                    edgecolor=INK, hatch="////", linewidth=0.0, label="error")
        mplhep.histplot(data, bins, yerr=np.sqrt(data), histtype="errorbar", ax=axes, color="black", markersize=5,
                        label=shown.label)
        top = float(np.max(np.maximum(total + error, data), initial=1.0))
        axes.set(ylabel=f"events in {luminosity:g}/fb", xlim=(bins[0], bins[-1]), yscale="log",
                 ylim=(_LEAST, top * (top / _LEAST) ** 0.4))
        axes.set_title(title, loc="left", fontsize=10)
        axes.set_xticks(bins[:-1] + 0.5, [str(i + 1) for n in sizes for i in range(n)], fontsize=8)
        for end in ends[:-1]:
            axes.axvline(end, color=INK, linewidth=0.8, linestyle="--")
        for name, last, n in zip(shown.regions, ends, sizes, strict=True):
            axes.text(last - 0.5 * n, 0.02, name, transform=axes.get_xaxis_transform(), ha="center", fontsize=9)
    figure.axes[0].legend(fontsize=7, ncols=4, loc="upper right", frameon=False)
    figure.axes[-1].set_xlabel("bin of O(BDT) in each region")
    save(figure, path)
