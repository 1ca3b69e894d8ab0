"""Workspaces of the templates that an analysis ends in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fei_lite.errors import WorkspaceError
from fei_lite.statistics.checks import check_workspace
from fei_lite.statistics.workspaces import Workspace
from fei_lite.templates import Template, bins_without_background

Floats = NDArray[np.float64]

#: Name of a strength where the templates give none.
POI = "mu"

#: How many standard deviations (statistical, and of normalisations) the bounds of a strength reach.
REACH = 20.0


@dataclass(frozen=True)
class Channel:
    """Templates of one histogram; ``observed`` (n_bins,) events, or None: what the templates expect."""

    name: str
    samples: Sequence[Template]
    observed: ArrayLike | None = None

    @property
    def data(self) -> Floats:
        """Observed events, or the sum of the templates (Asimov data)."""
        if self.observed is None:
            return np.asarray(np.sum([t.values for t in self.samples], axis=0), dtype=np.float64)
        return np.asarray(self.observed, dtype=np.float64)


def workspace_of(regions: Mapping[str, Sequence[Template]], *, statistics: str = "sample") -> Workspace:
    """Region -> templates as a workspace; the observation is their sum (Asimov data).

    The statistics of the templates has a nuisance per bin and sample, or per bin alone (``statistics="bin"``: of the
    sum of all samples, Barlow and Beeston's light version).

    The parameter of interest is the first strength of the templates; of each further one there is a measurement of
    its own, and ``fei-lite fit --poi`` can ask for it. Raises :class:`WorkspaceError` without a signal, and for bins
    where only signal is expected.
    """
    strengths = list(dict.fromkeys(t.strength or POI for templates in regions.values() for t in templates if t.signal))
    if not strengths:
        raise WorkspaceError("no template is a signal: nothing scales with a strength.")
    return build_workspace([Channel(name, templates) for name, templates in regions.items()], poi=strengths[0],
                           statistics=statistics)


def build_workspace(channels: Sequence[Channel], *, poi: str = POI, allow_empty: bool = False,
                    statistics: str = "sample") -> Workspace:
    """The workspace of some channels, checked; write it with :func:`~fei_lite.statistics.workspaces.save_workspace`.

    Signals scale with their strength (``poi`` where they name none). Bounds of
    strengths are stated: from 0, as pyhf's q-tilde asks, to far above any limit.
    Raises :class:`WorkspaceError` for arrays of different length, numbers that
    are not finite, everything else that :func:`check_workspace` finds, and,
    unless ``allow_empty``, for bins where signal is expected but no background.
    """
    for channel in channels:
        _check_lengths(channel)
        empty = bins_without_background(channel.samples)
        if empty and not allow_empty:
            bins = ", ".join(map(str, empty))
            raise WorkspaceError(f"the new workspace: channel '{channel.name}': bins {bins} expect signal but no "
                                 "background: an event there has no likelihood without signal. Merge bins, or give "
                                 "the backgrounds a floor.")
    strengths = list(dict.fromkeys([poi, *(t.strength or poi for c in channels for t in c.samples if t.signal)]))
    settings = [_setting(channels, name, poi) for name in strengths]
    names = ["measurement"] + [f"measurement_{name}" for name in strengths[1:]]
    spec: Workspace = {
        "version": "1.0.0",
        "channels": [{"name": c.name, "samples": [_sample(t, c.name, poi, statistics) for t in c.samples]}
                     for c in channels],
        "observations": [{"name": c.name, "data": c.data.tolist()} for c in channels],
        "measurements": [{"name": name, "config": {"poi": strength, "parameters": settings}}
                         for name, strength in zip(names, strengths)]}
    check_workspace(spec, name="the new workspace")
    return spec


def _check_lengths(channel: Channel) -> None:
    for template in channel.samples:
        n = len(channel.samples[0].values)
        arrays = [template.values, template.errors, *(side for shape in template.shapes.values() for side in shape)]
        if any(len(array) != n for array in arrays):
            raise WorkspaceError(f"the new workspace: channel '{channel.name}', sample '{template.name}': arrays of "
                                 f"{', '.join(str(len(array)) for array in arrays)} bins, expected {n} each.")


def _setting(channels: Sequence[Channel], strength: str, poi: str) -> dict[str, Any]:
    """Start and bounds of a strength, in units of its error: a branching fraction need not be of order 1."""
    information = distance = 0.0
    for channel in channels:
        signal = np.sum([t.values for t in channel.samples if t.signal and (t.strength or poi) == strength], axis=0)
        others = [t for t in channel.samples if not (t.signal and (t.strength or poi) == strength)]
        expected = np.sum([t.values for t in others], axis=0)
        variance = np.maximum(expected, 1.0) + np.sum([_variance(t) for t in others], axis=0)
        information += float(np.sum(signal**2 / variance))
        distance += float(np.sum(signal * (channel.data - expected) / variance))
    if not (information > 0.0 and np.isfinite(information)):
        return {"name": strength, "inits": [1.0], "bounds": [[0.0, 10.0]]}
    error = information**-0.5
    reach = max(REACH * error + 2.0 * max(distance / information, 0.0), 5.0 * error)
    digit = 10.0 ** np.floor(np.log10(reach))
    upper = float(f"{np.ceil(reach / digit) * digit:.1e}")
    return {"name": strength, "inits": [1.0 if upper > 1.0 else float(f"{error:.1e}")], "bounds": [[0.0, upper]]}


def _variance(template: Template) -> Floats:
    sizes = [0.5 * (high - low) * template.values for low, high in template.normalisations.values()]
    sizes += [0.5 * (high - low) for low, high in template.shapes.values()]
    return np.asarray(template.errors**2 + np.sum([size**2 for size in sizes], axis=0))


def _sample(template: Template, channel: str, poi: str, statistics: str) -> dict[str, Any]:
    scaling = [template.strength or poi] if template.signal else []
    modifiers: list[dict[str, Any]] = [{"name": n, "type": "normfactor", "data": None}
                                       for n in [*scaling, *template.free]]
    if np.any(template.errors != 0.0):
        name = f"mcstat_{channel}" if statistics == "bin" else f"mcstat_{channel}_{template.name}"
        modifiers.append({"name": name, "type": "staterror", "data": template.errors.tolist()})
    for name, (low, high) in template.normalisations.items():
        modifiers.append({"name": name, "type": "normsys", "data": {"lo": low, "hi": high}})
    for name, (down, up) in template.shapes.items():
        modifiers.append({"name": name, "type": "histosys", "data": {"lo_data": down.tolist(), "hi_data": up.tolist()}})
    return {"name": template.name, "data": template.values.tolist(), "modifiers": modifiers}
