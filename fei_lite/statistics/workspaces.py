"""HistFactory workspaces: built from templates, read with checks, combined.

The format is pyhf's JSON (schema 1.0.0). A nuisance parameter is a name: two
modifiers of one name, in one sample or in two channels, are one parameter and
so fully correlated. :func:`combine` therefore asks which names are to stay one.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from fei_lite.errors import WorkspaceError, nearest
from fei_lite.statistics.checks import check_workspace

if TYPE_CHECKING:
    from fei_lite.statistics.likelihood import Likelihood

Workspace = dict[str, Any]

@dataclass(frozen=True)
class Sample:
    """A template: expected events per bin, and what may change them.

    ``values`` (n_bins,) expected events; ``errors`` (n_bins,) their statistical
    errors, the root of the sum of squared weights: one nuisance per bin
    (None: none). ``signal`` scales with the parameter of interest.
    ``normalisations``: nuisance -> relative error, or (down, up) factors.
    ``shapes``: nuisance -> (down, up), both (n_bins,) expected events.
    ``free``: names of unconstrained normalisations.
    """

    name: str
    values: ArrayLike
    errors: ArrayLike | None = None
    signal: bool = False
    normalisations: Mapping[str, float | tuple[float, float]] = field(default_factory=dict)
    shapes: Mapping[str, tuple[ArrayLike, ArrayLike]] = field(default_factory=dict)
    free: Collection[str] = ()


@dataclass(frozen=True)
class Channel:
    """Samples of one histogram; ``observed`` (n_bins,) events, or None: what the samples expect."""

    name: str
    samples: Sequence[Sample]
    observed: ArrayLike | None = None


def build_workspace(channels: Sequence[Channel], *, poi: str = "mu") -> Workspace:
    """The workspace of some channels, checked; write it with :func:`save_workspace`.

    Raises :class:`WorkspaceError` for arrays of different length, numbers that
    are not finite, and everything else that :func:`check_workspace` finds.
    """
    spec: Workspace = {
        "version": "1.0.0",
        "channels": [{"name": c.name, "samples": [_sample(s, c.name, poi) for s in c.samples]} for c in channels],
        "observations": [], "measurements": [{"name": "measurement", "config": {"poi": poi, "parameters": []}}]}
    for channel in channels:
        observed = channel.observed
        if observed is None:
            observed = np.sum([np.asarray(s.values, dtype=np.float64) for s in channel.samples], axis=0)
        spec["observations"].append({"name": channel.name, "data": _list(observed)})
    check_workspace(spec, name="the new workspace")
    return spec


def _list(values: ArrayLike) -> list[float]:
    return [float(x) for x in np.asarray(values, dtype=np.float64).ravel()]


def _sample(sample: Sample, channel: str, poi: str) -> dict[str, Any]:
    modifiers: list[dict[str, Any]] = [{"name": n, "type": "normfactor", "data": None}
                                       for n in ([poi] if sample.signal else []) + list(sample.free)]
    if sample.errors is not None:
        modifiers.append({"name": f"mcstat_{channel}_{sample.name}", "type": "staterror", "data": _list(sample.errors)})
    for name, size in sample.normalisations.items():
        down, up = size if isinstance(size, tuple) else (1.0 - size, 1.0 + size)
        modifiers.append({"name": name, "type": "normsys", "data": {"lo": float(down), "hi": float(up)}})
    for name, (low, high) in sample.shapes.items():
        modifiers.append({"name": name, "type": "histosys", "data": {"lo_data": _list(low), "hi_data": _list(high)}})
    return {"name": sample.name, "data": _list(sample.values), "modifiers": modifiers}


def save_workspace(workspace: Workspace, path: str | os.PathLike[str], *, force: bool = False) -> None:
    """Write a workspace as JSON, whole or not at all; raises :class:`OutputError`."""
    from fei_lite.outputs import atomic_output

    with atomic_output(path, force=force) as temporary:
        temporary.write_text(json.dumps(workspace, indent=1) + "\n", encoding="utf-8")


def read_workspace(path: str | os.PathLike[str]) -> Workspace:
    """Read and check a workspace; every complaint names the file and the place in it."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "is not a text file, and so not a workspace (JSON)"
        raise WorkspaceError(f"{path}: {reason}.") from None
    try:
        spec = json.loads(text)
    except json.JSONDecodeError as error:
        raise WorkspaceError(f"{path}: line {error.lineno}, column {error.colno}: not JSON: {error.msg}. "
                             "Expected a workspace of pyhf.") from None
    check_workspace(spec, name=str(path))
    return dict(spec)


def published_templates(path: str | os.PathLike[str], bins: Mapping[str, int]) -> dict[str, dict[str, Any]]:
    """Expected events per bin of each sample of a published workspace: region -> sample -> (n_bins,).

    ``bins`` has the number of bins of each of our regions; a workspace of one channel is that of our one region,
    whatever its name. Raises :class:`WorkspaceError` if they do not fit.
    """
    channels = read_workspace(path)["channels"]
    names = list(bins) if len(channels) == len(bins) == 1 else [str(c["name"]) for c in channels]
    found: dict[str, dict[str, Any]] = {}
    for i, (name, channel) in enumerate(zip(names, channels, strict=True)):
        if name not in bins:
            continue
        found[name] = {s["name"]: np.array(s["data"], dtype=np.float64) for s in channel["samples"]}
        n = len(channel["samples"][0]["data"])
        if n != bins[name]:
            raise WorkspaceError(f"{path}: channels[{i}] has {n} bins, the analysis {bins[name]}.")
    if not found:
        raise WorkspaceError(f"{path}: channels {', '.join(names)}, expected {', '.join(bins)}.")
    return found


def open_likelihood(source: str | os.PathLike[str] | Workspace, *, poi: str | None = None,
                    measurement: str | None = None) -> Likelihood:
    """The likelihood of a workspace: a file, or the JSON object itself.

    ``poi`` replaces the parameter of interest of the measurement (default: the
    first one). Raises :class:`WorkspaceError`.
    """
    import pyhf

    from fei_lite.statistics.likelihood import BATCH, Likelihood

    name = "workspace" if isinstance(source, dict) else str(source)
    if isinstance(source, dict):
        check_workspace(source)
    spec = source if isinstance(source, dict) else read_workspace(source)
    chosen = _measurement(spec, measurement, name)
    poi = _poi(spec, chosen, poi, name)
    try:
        workspace = pyhf.Workspace(spec)
        options = {"measurement_name": chosen, "poi_name": poi}
        model = workspace.model(**options)
        batched = workspace.model(**options, batch_size=min(BATCH, len(model.config.par_names)))
        data = workspace.data(model)
    except (pyhf.exceptions.InvalidModel, pyhf.exceptions.InvalidModifier, pyhf.exceptions.InvalidNameReuse,
            pyhf.exceptions.InvalidMeasurement, pyhf.exceptions.InvalidSpecification, ValueError, KeyError) as error:
        raise WorkspaceError(f"{name}: pyhf builds no model of it: {error}") from error
    return Likelihood(model, batched, data)


def _measurement(spec: Workspace, wanted: str | None, name: str) -> str:
    known = [m["name"] for m in spec["measurements"]]
    if wanted is not None and wanted not in known:
        raise WorkspaceError(f"{name}: measurements: '{wanted}' is not there; known: {', '.join(known)}."
                             f"{nearest(wanted, known)}")
    return str(wanted or known[0])


def _poi(spec: Workspace, measurement: str, wanted: str | None, name: str) -> str:
    """The parameter of interest, which must scale something."""
    i, config = next((i, m["config"]) for i, m in enumerate(spec["measurements"]) if m["name"] == measurement)
    scaling = sorted({m["name"] for c in spec["channels"] for s in c["samples"] for m in s["modifiers"]
                      if m["type"] == "normfactor"})
    poi = wanted or config["poi"]
    place = "--poi" if wanted else f"measurements[{i}].config.poi"
    if poi not in scaling:
        said = f"parameter of interest '{poi}' scales no sample" if poi else "no parameter of interest is named"
        raise WorkspaceError(f"{name}: {place}: {said}. Normalisation factors of the workspace: "
                             f"{', '.join(scaling) or 'none'}.{nearest(poi, scaling)}")
    return str(poi)


def combine(workspaces: Mapping[str, Workspace], *, correlated: Collection[str] = (), poi: str = "mu") -> Workspace:
    """One workspace of several: label -> workspace, one common parameter of interest.

    Nuisances named in ``correlated`` stay one parameter; others that occur in
    several workspaces become ``name_label``, as do channels. The first
    measurement of each workspace counts. Raises :class:`WorkspaceError`, also
    for a correlated name that occurs in fewer than two workspaces.
    """
    for label, spec in workspaces.items():
        check_workspace(spec, name=label)
    occurs = Counter(name for spec in workspaces.values() for name in _parameters(spec))
    for name in correlated:
        if occurs[name] < 2:
            raise WorkspaceError(f"correlated: '{name}' is in {occurs[name]} of {len(workspaces)} workspaces, "
                                 f"expected 2 or more.{nearest(name, [n for n, k in occurs.items() if k > 1])}")
    channels = Counter(c["name"] for spec in workspaces.values() for c in spec["channels"])
    joined: Workspace = {"version": "1.0.0", "channels": [], "observations": [], "measurements": []}
    settings: dict[str, dict[str, Any]] = {}
    for label, spec in workspaces.items():
        if poi != _poi(spec, spec["measurements"][0]["name"], None, label):
            raise WorkspaceError(f"{label}: measurements[0].config.poi: "
                                 f"'{spec['measurements'][0]['config']['poi']}', expected the common '{poi}'")
        # pyhf knows a luminosity by this name only
        stays = {poi, "lumi", *correlated}
        renamed = {n: f"{n}_{label}" for n in _parameters(spec) if occurs[n] > 1 and n not in stays}
        _append(joined, deepcopy(spec), renamed, {n: f"{n}_{label}" for n, k in channels.items() if k > 1})
        for setting in spec["measurements"][0]["config"]["parameters"]:
            new = {**setting, "name": renamed.get(setting["name"], setting["name"])}
            if settings.setdefault(new["name"], new) != new:
                raise WorkspaceError(f"{label}: measurements[0].config.parameters: '{setting['name']}' is set "
                                     "differently in another workspace. One parameter has one setting")
    joined["measurements"] = [{"name": "combination", "config": {"poi": poi, "parameters": list(settings.values())}}]
    check_workspace(joined, name="the combination")
    return joined


def _parameters(spec: Workspace) -> set[str]:
    return {m["name"] for c in spec["channels"] for s in c["samples"] for m in s["modifiers"]}


def _append(joined: Workspace, spec: Workspace, parameters: Mapping[str, str], channels: Mapping[str, str]) -> None:
    """Add a copied workspace under its new names."""
    for channel in spec["channels"]:
        for sample in channel["samples"]:
            for modifier in sample["modifiers"]:
                modifier["name"] = parameters.get(modifier["name"], modifier["name"])
    for kind in ("channels", "observations"):
        for item in spec[kind]:
            item["name"] = channels.get(item["name"], item["name"])
        joined[kind] += spec[kind]
