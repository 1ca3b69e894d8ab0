"""Figures of channels and particles, as data URIs: part of the page, nothing to fetch."""

from __future__ import annotations

import base64
import io
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fei_lite.classifiers.quality import Reliability
from fei_lite.plots import tags as plots
from fei_lite.report.channels import LIMIT

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# The palette of fei_lite.plots (Okabe-Ito): the set blue, the baseline grey, warnings vermilion.
OURS, THEIRS, WARNING, INK, FAINT = "#0072B2", "#7A7A7A", "#D55E00", "#333333", "#F0C987"
SERIES = ("#56B4E9", "#009E73", "#E69F00", "#CC79A7")


def new_figure(columns: int, *, size: tuple[float, float], bottom: float = 0.5) -> Figure:
    """A row of panels, ``size`` inches each with its labels, free of pyplot's global state.

    Margins are fixed: matplotlib's own layout takes as long as drawing all else.
    """
    from matplotlib.figure import Figure

    width, height = size
    left, right, top = 0.72, 0.13, 0.32
    figure = Figure(figsize=(width * columns, height))
    figure.subplots(1, columns)
    figure.subplots_adjust(left=left / (width * columns), right=1.0 - right / (width * columns), bottom=bottom / height,
                           top=1.0 - top / height, wspace=(left + right) / (width - left - right))
    return figure


def data_uri(content: bytes, kind: str) -> str:
    """Bytes of a picture as a URI; ``kind`` is ``svg+xml`` or ``png``."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def as_svg(figure: Figure) -> str:
    """A figure as an SVG data URI, the same for the same content."""
    import matplotlib

    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "fei-lite"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return data_uri(buffer.getvalue(), "svg+xml")


def png_of(path: Path) -> str:
    """A PNG file as a data URI."""
    return data_uri(path.read_bytes(), "png")


def draw_channels(numbers: Mapping[str, Any], panels: Mapping[str, Reliability]) -> dict[str, Any]:
    """Every figure of channels and particles that the numbers allow, by name; per particle in a dictionary."""
    figures: dict[str, Any] = {"steps": {}, "reliability": {}}
    if rows := [row for row in numbers["channels"].values() if _compared(row)]:
        figures["overtraining"] = as_svg(draw_overtraining(rows))
    for particle in numbers["particles"]:
        if particle["steps"]:
            figures["steps"][particle["name"]] = as_svg(draw_steps(particle))
        own = {name: panels[name] for name in particle["channels"] if name in panels}
        if own:
            figures["reliability"][particle["name"]] = draw_reliability(own)
    return figures


def _compared(row: Mapping[str, Any]) -> bool:
    return row["pull"] is not None or row["pull_held_out"] is not None


def draw_overtraining(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """1 - AUC on training and on other events, and the distribution of the differences."""
    figure = new_figure(2, size=(5.0, 4.0))
    left, right = figure.axes
    series = (("pull_held_out", "held_out", "held out of the samples", FAINT),
              ("pull", "on_events", "independent events", OURS))
    for key, block, label, colour in series:
        chosen = [row for row in rows if row[key] is not None]
        if not chosen:
            continue
        x = np.array([1 - row["training"]["auc"] for row in chosen])
        y = np.array([1 - row[block]["auc"] for row in chosen])
        error = np.array([row[block]["auc_uncertainty"] or 0.0 for row in chosen])
        left.errorbar(x, np.maximum(y, 1e-6), yerr=np.minimum(error, 0.95 * np.maximum(y, 1e-6)), fmt="o", color=colour,
                      markersize=3.5, linewidth=0.7, label=label)
        pulls = np.clip([row[key] for row in chosen], -4.9, 4.9)
        solid = key != "pull"
        right.hist(pulls, np.linspace(-5, 5, 21).tolist(), histtype="stepfilled" if solid else "step", color=colour,
                   linewidth=1.4, alpha=0.7 if solid else 1.0, label=f"{label}: {len(chosen)}")
        beyond = np.array([abs(row[key]) > LIMIT for row in chosen])
        left.plot(x[beyond], np.maximum(y[beyond], 1e-6), "o", markerfacecolor="none", color=WARNING, markersize=9)
    n = max(sum(row[key] is not None for row in rows) for key, *_ in series)
    at = np.linspace(-5, 5, 201)
    right.plot(at, n * 0.5 * np.exp(-0.5 * at**2) / np.sqrt(2 * np.pi), color=INK, linewidth=0.9, label="unit Gaussian")
    low = 0.5 * min(1 - row["training"]["auc"] for row in rows)
    left.plot([low, 1], [low, 1], color=INK, linewidth=0.7)
    left.set(xscale="log", yscale="log", xlabel="1 - AUC, training sample", ylabel="1 - AUC, other events",
             title="one point per channel")
    right.set(xlabel="difference of the AUC in standard deviations", ylabel="channels",
              title="below 0: worse than in training")
    for axes in (left, right):
        axes.legend(fontsize=8, frameon=False)
    return figure


def draw_steps(particle: Mapping[str, Any]) -> Figure:
    """Efficiency and purity of a particle after each step, with intervals."""
    figure = new_figure(2, size=(4.2, 2.6), bottom=0.75)
    steps = particle["steps"]
    at = np.arange(len(steps))
    for axes, key, colour in zip(figure.axes, ("efficiency", "purity"), (OURS, SERIES[1]), strict=True):
        defined = [i for i in at if steps[i][key]["value"] is not None]
        value, low, high = (np.array([100 * steps[i][key][part] for i in defined])
                            for part in ("value", "lower", "upper"))
        axes.errorbar(defined, value, yerr=[value - low, high - value], color=colour, marker="o", markersize=4,
                      linewidth=1.2)
        axes.set_xticks(at, [step["step"] for step in steps], rotation=35, ha="right", fontsize=8)
        axes.set_ylabel(f"{key} [%]", fontsize=9)
        axes.tick_params(axis="y", labelsize=8)
        axes.grid(alpha=0.25, linewidth=0.5)
        if key == "purity" and len(value) and value.min() > 0.0 and value.max() > 20 * value.min():
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter("{x:g}")
            axes.yaxis.set_minor_formatter("")
        else:
            axes.set_ylim(bottom=0.0, top=1.1 * max(axes.get_ylim()[1], 1e-6))
    return figure


def draw_reliability(panels: Mapping[str, Reliability]) -> list[dict[str, Any]]:
    """Reliability of a particle's classifiers, as pages of panels: URI and width in inches."""
    columns = min(6, len(panels))
    with tempfile.TemporaryDirectory() as folder:
        files = plots.plot_reliability(panels, Path(folder) / "figure.png", columns=columns, rows=5)
        return [{"uri": png_of(file), "inches": 2.3 * columns + 0.6} for file in files]
