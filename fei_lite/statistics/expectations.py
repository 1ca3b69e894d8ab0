"""What the bins of a workspace expect: its modifiers as flat arrays for the compiled kernel.

pyhf reads the workspace and names the parameters, their starts, bounds and
constraints; the sums and products over samples are done here, with exact
derivatives, some hundred times faster than in pyhf's tensors. Whoever opens a
workspace compares the two (:func:`fei_lite.statistics.workspaces.open_likelihood`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fei_lite.events.batch import offsets_of
from fei_lite.kernels.histfactory import expected_bins

Floats = NDArray[np.float64]

#: Modifiers with one parameter per bin.
_PER_BIN = ("staterror", "shapesys", "shapefactor")


class Expectations:
    """Expected events of the bins of a pyhf model, in its order of bins and parameters."""

    def __init__(self, model: Any) -> None:
        config = model.config
        self.n_bins, self.n_parameters = int(config.nmaindata), int(config.npars)
        cells: list[tuple[int, float]] = []
        additions: list[list[tuple[int, float, float]]] = []
        factors: list[list[tuple[int, int]]] = []
        rows: list[Floats] = []
        positions = _positions(model)
        for channel in model.spec["channels"]:
            first = config.channel_slices[channel["name"]].start
            for sample in channel["samples"]:
                row_of = {}
                for m, modifier in enumerate(sample["modifiers"]):
                    if modifier["type"] == "normsys":
                        row_of[m] = len(rows)
                        rows.append(normsys_row(modifier["data"]["lo"], modifier["data"]["hi"]))
                for i, nominal in enumerate(sample["data"]):
                    cells.append((first + i, float(nominal)))
                    added, scaled = [], []
                    for m, modifier in enumerate(sample["modifiers"]):
                        start, kind = config.par_slice(modifier["name"]).start, modifier["type"]
                        if kind == "histosys":
                            data = modifier["data"]
                            added.append((start, data["lo_data"][i] - nominal, data["hi_data"][i] - nominal))
                        elif kind in _PER_BIN:
                            scaled.append((start + positions[modifier["name"]][first + i], -1))
                        else:
                            scaled.append((start, row_of.get(m, -1)))
                    additions.append(added)
                    factors.append(scaled)
        self.arrays: tuple[Any, ...] = (
            np.array([c[0] for c in cells], dtype=np.int64), np.array([c[1] for c in cells], dtype=np.float64),
            _first(additions), *_columns(additions, (np.int64, np.float64, np.float64)),
            _first(factors), *_columns(factors, (np.int64, np.int64)), np.array(rows, dtype=np.float64).reshape(-1, 8))
        self._nothing = np.empty((0, self.n_parameters))

    def events(self, parameters: ArrayLike) -> Floats:
        """Expected events (n_bins,)."""
        events = np.empty(self.n_bins)
        expected_bins(np.asarray(parameters, dtype=np.float64), self.arrays, events, self._nothing)
        return events

    def derivatives(self, parameters: ArrayLike) -> Floats:
        """Derivatives (n_bins, n_parameters) of the expected events."""
        events, derivatives = np.empty(self.n_bins), np.empty((self.n_bins, self.n_parameters))
        expected_bins(np.asarray(parameters, dtype=np.float64), self.arrays, events, derivatives)
        return derivatives


def normsys_row(low: float, high: float) -> Floats:
    """Coefficients of a normsys: ln high, ln low, and a polynomial of order 6 between -1 and 1.

    The polynomial joins value, slope and curvature of the exponentials at -1
    and +1, and is 1 in the middle (pyhf's interpolation code 4).

    >>> row = normsys_row(0.8, 1.2)
    >>> round(float(1.0 + row[2:].sum()), 12)
    1.2
    """
    up, down = np.log(high), np.log(low)
    powers = np.arange(1, 7)
    signs = (-1.0) ** powers
    conditions = np.array([np.ones(6), signs, powers, -signs * powers, powers * (powers - 1),
                           signs * powers * (powers - 1)])
    wanted = np.array([high - 1.0, low - 1.0, high * up, -low * down, high * up**2, low * down**2])
    return np.concatenate([[up, down], np.linalg.solve(conditions, wanted)])


def _positions(model: Any) -> Mapping[str, Mapping[int, int]]:
    """For each modifier with one parameter per bin: bin of the model -> number of its parameter."""
    bins: dict[str, set[int]] = {}
    for channel in model.spec["channels"]:
        first = model.config.channel_slices[channel["name"]].start
        for sample in channel["samples"]:
            for modifier in sample["modifiers"]:
                if modifier["type"] in _PER_BIN:
                    bins.setdefault(modifier["name"], set()).update(range(first, first + len(sample["data"])))
    shared = {m["name"] for c in model.spec["channels"] for s in c["samples"] for m in s["modifiers"]
              if m["type"] == "shapefactor"}
    found = {}
    for name, where in bins.items():
        n = model.config.param_set(name).n_parameters
        # a shapefactor in several channels is one factor per number of the bin
        found[name] = {b: (k % n if name in shared else k) for k, b in enumerate(sorted(where))}
    return found


def _first(lists: list[list[Any]]) -> NDArray[np.int64]:
    return offsets_of([len(one) for one in lists])


def _columns(lists: list[list[Any]], types: tuple[Any, ...]) -> list[NDArray[Any]]:
    flat = [item for one in lists for item in one]
    return [np.array([item[k] for item in flat], dtype=kind) for k, kind in enumerate(types)]
