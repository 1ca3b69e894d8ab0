"""A workspace whose signal is replaced: by parts that scale with strengths of their own.

A part is the signal with another number of events in each bin, which is all that another theory of the same final
state changes (arXiv:2402.08417). Relative uncertainties of the signal stay what they are in each bin. The result is
a plain workspace, for every program that reads such.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.errors import WorkspaceError
from fei_lite.statistics.checks import check_workspace
from fei_lite.statistics.workspaces import Workspace

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class SignalPart:
    """One part of the new signal.

    ``ratios``: channel -> events at strength 1 over those of the workspace's signal at strength 1 (n_bins,).
    ``errors``: channel -> relative errors of the ratios (n_bins,), independent bin by bin; none: exact.
    ``strength`` is the parameter that scales it, between ``bounds``; None: it does not scale. ``normalisations`` are
    more nuisances (name -> factors at one standard deviation down and up); modifiers of the signal whose name fits a
    pattern of ``without`` are left out.
    """

    name: str
    ratios: Mapping[str, Floats]
    strength: str | None = None
    bounds: tuple[float, float] = (0.0, 10.0)
    errors: Mapping[str, Floats] = field(default_factory=dict)
    normalisations: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    without: Collection[str] = ()


def signal_of(spec: Workspace, *, name: str = "workspace") -> dict[str, Floats]:
    """Channel -> events of its signal at strength 1 (n_bins,); raises :class:`WorkspaceError` for none or several.

    The signal is what the parameter of interest of the first measurement scales.
    """
    poi = spec["measurements"][0]["config"]["poi"]
    found: dict[str, Floats] = {}
    for channel in spec["channels"]:
        scaled = [s for s in channel["samples"] if _scales(s, poi)]
        if len(scaled) > 1:
            raise WorkspaceError(f"{name}: channel '{channel['name']}': '{poi}' scales the samples "
                                 f"{', '.join(s['name'] for s in scaled)}, expected one signal.")
        if scaled:
            found[channel["name"]] = np.array(scaled[0]["data"], dtype=np.float64)
    if not found:
        raise WorkspaceError(f"{name}: measurements[0].config.poi: '{poi}' scales no sample: there is no signal.")
    return found


def with_parts(spec: Workspace, parts: Sequence[SignalPart], *, name: str = "workspace") -> Workspace:
    """The workspace with its signal replaced by ``parts``; the first with a strength has the parameter of interest.

    The statistical error of the signal is shared: the sum of the parts has the relative error that the signal had.
    The observed data stay. Raises :class:`WorkspaceError` for ratios that do not fit, and for a signal with a
    ``shapesys``, which no two samples can share.
    """
    strengths = [part for part in parts if part.strength is not None]
    if not strengths:
        raise WorkspaceError(f"{name}: no part of the new signal has a strength: nothing would be measured.")
    signal = signal_of(spec, name=name)
    poi = spec["measurements"][0]["config"]["poi"]
    channels = []
    for channel in spec["channels"]:
        samples: list[Any] = []
        for sample in channel["samples"]:
            samples += _parts_of(channel, sample, parts, name) if _scales(sample, poi) else [sample]
        channels.append({**channel, "samples": samples})
    settings = [p for p in spec["measurements"][0]["config"].get("parameters", ()) if p["name"] != poi]
    settings = [{"name": part.strength, "inits": [float(np.clip(1.0, *part.bounds))],
                 "bounds": [list(map(float, part.bounds))]} for part in strengths] + settings
    made: Workspace = {**spec, "channels": channels, "measurements": [
        {"name": "measurement", "config": {"poi": strengths[0].strength, "parameters": settings}}]}
    missing = [f"'{c}'" for part in parts for c in signal if c not in part.ratios]
    if missing:
        raise WorkspaceError(f"{name}: no events are given for the signal of channel {missing[0]}.")
    check_workspace(made, name=f"{name} with another signal")
    return made


def _scales(sample: Any, poi: str) -> bool:
    return any(m["type"] == "normfactor" and m["name"] == poi for m in sample["modifiers"])


def _parts_of(channel: Any, sample: Any, parts: Sequence[SignalPart], name: str) -> list[Any]:
    """The samples that replace the signal of a channel."""
    place = f"{name}: channel '{channel['name']}', sample '{sample['name']}'"
    if any(m["type"] == "shapesys" for m in sample["modifiers"]):
        raise WorkspaceError(f"{place}: has a shapesys, which no two samples can share. Give its error as staterror.")
    nominal, new = np.array(sample["data"], dtype=np.float64), []
    for part in parts:
        ratio = np.asarray(part.ratios.get(channel["name"], np.empty(0)), dtype=np.float64)
        if ratio.shape != nominal.shape or not np.all(np.isfinite(ratio) & (ratio >= 0.0)):
            raise WorkspaceError(f"{place}: '{part.name}' has {ratio.size} ratios {ratio[:3]}, expected "
                                 f"{nominal.size} numbers of 0 or more.")
        new.append(nominal * ratio)
    total, made = np.sum(new, axis=0), []
    for i, (part, values) in enumerate(zip(parts, new, strict=True)):
        modifiers = [_modifier(m, part.ratios[channel["name"]], _shared(channel, m, total, place) if i == 0
                               else np.zeros_like(nominal)) for m in sample["modifiers"] if _kept(m, part)]
        if part.strength is not None:
            modifiers.append({"name": part.strength, "type": "normfactor", "data": None})
        modifiers += [{"name": k, "type": "normsys", "data": {"lo": float(lo), "hi": float(hi)}}
                      for k, (lo, hi) in part.normalisations.items()]
        errors = np.asarray(part.errors.get(channel["name"], np.zeros_like(nominal))) * values
        if np.any(errors > 0.0):
            modifiers.append({"name": f"template_{part.name}_{channel['name']}", "type": "staterror",
                              "data": errors.tolist()})
        made.append({"name": f"{sample['name']}_{part.name}", "data": values.tolist(), "modifiers": modifiers})
    return made


def _kept(modifier: Any, part: SignalPart) -> bool:
    return modifier["type"] != "normfactor" and not any(fnmatchcase(modifier["name"], p) for p in part.without)


def _modifier(modifier: Any, ratio: Floats, errors: Floats) -> Any:
    """A modifier of the signal as one of a part: what is absolute scales with the events."""
    if modifier["type"] == "histosys":
        return {**modifier, "data": {key: (np.array(modifier["data"][key]) * ratio).tolist()
                                     for key in ("lo_data", "hi_data")}}
    return {**modifier, "data": errors.tolist()} if modifier["type"] == "staterror" else modifier


def _shared(channel: Any, modifier: Any, total: Floats, place: str) -> Floats:
    """Statistical errors of the first part, such that the relative error of all samples that share them stays."""
    if modifier["type"] != "staterror":
        return np.zeros_like(total)
    own, square, events, other_events = (np.zeros_like(total) for _ in range(4))
    for sample in channel["samples"]:
        for m in sample["modifiers"]:
            if m["type"] == "staterror" and m["name"] == modifier["name"]:
                square += np.array(m["data"]) ** 2
                events += np.array(sample["data"])
                if m is modifier:
                    own = np.array(m["data"]) ** 2
                else:
                    other_events += np.array(sample["data"])
    relative = np.divide(square, events**2, out=np.zeros_like(total), where=events > 0.0)
    wanted = relative * (total + other_events) ** 2 - (square - own)
    if np.any(wanted < -1e-9 * np.maximum(square, 1.0)):
        raise WorkspaceError(f"{place}: '{modifier['name']}': the new signal has too few events to carry its share of "
                             "the statistical error.")
    return np.sqrt(np.maximum(wanted, 0.0))
