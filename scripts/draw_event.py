"""The picture of the documentation that no page draws itself: an event by its sides.

    python scripts/draw_event.py signal_side -o docs/pictures/event.png

``signal_side`` is the folder in which the commands of docs/signal_side.md were run (scripts/draw_documentation does).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
from matplotlib.axes import Axes

import fei_lite
from fei_lite.plots.canvas import COLOURS, INK, new_figure, save
from fei_lite.reconstruction.chains import Chains
from fei_lite.reconstruction.engine import NoClassifiers, Reconstruction
from fei_lite.used_objects import object_indices

ROOT = Path(__file__).resolve().parents[1]
SIGNAL_SIDE = ROOT / "scripts" / "examples" / "d_l_nu" / "signal_side"
#: Outer radius of the drift chamber and inner one of the calorimeter, cm, and length of a cluster's bar, cm / GeV.
R_CDC, R_ECL, PER_GEV = 113.0, 125.0, 60.0
#: Ends of the drift chamber in z, cm.
Z_CDC = (-83.0, 157.0)
SIDES = {"tag": COLOURS[0], "signal side": COLOURS[1], "rest of the event": "#AAAAAA"}


def main() -> None:
    """Parse the command line and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("signal_side", type=Path, help="folder with semileptonic.root and pairs.parquet")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the picture")
    arguments = parser.parse_args()
    draw_event(arguments.signal_side, arguments.output)


def draw_event(folder: Path, path: Path) -> None:
    """The right pair with the most probable tag, along the beams."""
    table = pyarrow.parquet.read_table(folder / "pairs.parquet")
    pairs = {name: table[name].to_numpy() for name in table.column_names}
    row = int(np.argmax(np.where(pairs["isSignal"] == 1, pairs["tagProbability"], -1.0)))
    entry = int(pairs["file_entry"][row])
    batch = next(iter(fei_lite.open(folder / "semileptonic.root", entry_range=(entry, entry + 1))))
    tags = fei_lite.reconstruct(batch, fei_lite.load_channel_set("hadronic"), fei_lite.load_model_set("fei_default"))
    result = fei_lite.reconstruct(batch, fei_lite.load_channel_set(SIGNAL_SIDE), NoClassifiers(), btags=tags)
    pair = result.tables["Upsilon(4S)"]
    best = int(np.argmax(np.where(pair["isSignal"] == 1, pair["SignalProbability"], -1.0)))
    tag, signal = pair["daughters"][best, :2]
    figure = new_figure(1, 1, size=(6.4, 6.6))
    axes = figure.axes[0]
    _draw_objects(axes, batch, {"tag": result.tables["B+:tag"]["used"][tag],
                                "signal side": result.tables["B+:sig"]["used"][signal]})
    missing = batch.events["beam_p4"][0] - pair["p4"][best]
    end = R_CDC * missing[:2] / np.linalg.norm(missing[:2])
    axes.annotate("", end, (0, 0), arrowprops={"arrowstyle": "->", "linestyle": ":", "color": INK})
    axes.text(*(0.75 * end), r" $\nu$", fontsize=13, color=INK)
    _finish(axes, _texts(result, tags, tag, signal))
    save(figure, path)


def _draw_objects(axes: Axes, batch: fei_lite.EventBatch, used: dict[str, Any]) -> None:
    """Tracks as arcs, photons as bars outside, coloured by the side that uses them."""
    side = {kind: np.full(len(getattr(batch, kind)["mc_index"]), "rest of the event", dtype="U20")
            for kind in ("tracks", "clusters")}
    for name, bits in used.items():
        for kind, sides in side.items():
            sides[object_indices(batch, bits[None], np.zeros(1, int), kind)[1]] = name
    for (d0, phi0, omega, z0, slope), name in zip(batch.tracks["helix"], side["tracks"], strict=True):
        axes.plot(*_arc(d0, phi0, omega, z0, slope), color=SIDES[name], linewidth=1.6)
    clusters = batch.clusters
    photons = (clusters["is_track"] == 0) & (clusters["is_photon"] == 1)
    of_photons = clusters["phi"][photons], clusters["E"][photons], side["clusters"][photons]
    for phi, energy, name in zip(*of_photons, strict=True):
        ends = np.array([R_ECL, R_ECL + PER_GEV * energy])
        axes.plot(ends * np.cos(phi), ends * np.sin(phi), color=SIDES[name], linewidth=5, solid_capstyle="butt")


def _arc(d0: float, phi0: float, omega: float, z0: float, slope: float) -> tuple[Any, Any]:
    """Points (x, y), cm, of a track from its perigee to the end of the drift chamber, at most half a turn."""
    s = np.linspace(0.0, min(3.0 * R_CDC, np.pi / abs(omega)), 400)
    phi = phi0 - omega * s  # a positive particle turns clockwise in a field along z
    x = d0 * np.sin(phi0) + (np.sin(phi0) - np.sin(phi)) / omega
    y = -d0 * np.cos(phi0) + (np.cos(phi) - np.cos(phi0)) / omega
    z = z0 + slope * s
    outside = (np.hypot(x, y) > R_CDC) | (z < Z_CDC[0]) | (z > Z_CDC[1])
    stop = int(np.argmax(outside)) if outside.any() else len(s)
    return x[:stop], y[:stop]


def _texts(result: Reconstruction, tags: Reconstruction, tag: int, signal: int) -> dict[str, str]:
    """The decay of each side."""
    row = result.tables["B+:tag"]["object"][tag]  # of the Btag in the tagger's table
    return {"tag": Chains(tags).texts("B+")[row], "signal side": Chains(result).texts("B+:sig")[signal]}


def _finish(axes: Axes, texts: dict[str, str]) -> None:
    """Outlines of the detector, legend, scale."""
    turn = np.linspace(0.0, 2.0 * np.pi, 200)
    for radius in (R_CDC, R_ECL):
        axes.plot(radius * np.cos(turn), radius * np.sin(turn), color=INK, linewidth=0.6)
    for name, colour in SIDES.items():
        axes.plot([], [], color=colour, linewidth=3, label=f"{name}: {texts[name]}" if name in texts else name)
    axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), fontsize=8, frameon=False)
    axes.set(aspect="equal", xlabel="x [cm]", ylabel="y [cm]", xlim=(-220, 220), ylim=(-220, 220))


if __name__ == "__main__":
    main()
