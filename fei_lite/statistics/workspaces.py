"""HistFactory workspaces: read with checks, opened as a likelihood, written.

The format is pyhf's JSON (schema 1.0.0). A nuisance parameter is a name: two
modifiers of one name, in one sample or in two channels, are one parameter and
so fully correlated.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from fei_lite.data_files import json_content, read_text
from fei_lite.errors import WorkspaceError, nearest
from fei_lite.statistics.checks import check_workspace

if TYPE_CHECKING:
    from fei_lite.statistics.likelihood import Likelihood

Workspace = dict[str, Any]


def save_workspace(workspace: Workspace, path: str | os.PathLike[str], *, force: bool = False) -> None:
    """Write a workspace as JSON, whole or not at all; raises :class:`OutputError`."""
    from fei_lite.outputs import atomic_output

    with atomic_output(path, force=force) as temporary:
        temporary.write_text(json.dumps(workspace, indent=1) + "\n", encoding="utf-8")


def read_workspace(path: str | os.PathLike[str]) -> Workspace:
    """Read and check a workspace; every complaint names the file and the place in it."""
    text = read_text(path, error=WorkspaceError)
    spec = json_content(text, where=str(path), error=WorkspaceError)
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
    first one); it may be any normalisation factor, and the others then are free.
    Strengths, which are the parameters of interest of all measurements, have no
    bounds, other free normalisations those of the workspace (pyhf: 0 to 10
    unless it says otherwise). Raises :class:`WorkspaceError`.
    """
    import pyhf

    from fei_lite.statistics.likelihood import Likelihood

    name = "workspace" if isinstance(source, dict) else str(source)
    if isinstance(source, dict):
        check_workspace(source)
    spec = source if isinstance(source, dict) else read_workspace(source)
    chosen = _measurement(spec, measurement, name)
    poi = measured_poi(spec, chosen, poi, name)
    try:
        workspace = pyhf.Workspace(spec)
        model = workspace.model(measurement_name=chosen, poi_name=poi)
        likelihood = Likelihood(model, workspace.data(model), strengths=_strengths(spec))
    except (pyhf.exceptions.InvalidModel, pyhf.exceptions.InvalidModifier, pyhf.exceptions.InvalidNameReuse,
            pyhf.exceptions.InvalidMeasurement, pyhf.exceptions.InvalidSpecification, ValueError, KeyError,
            AssertionError, IndexError, TypeError, RuntimeError) as error:
        reason = str(error).split("\n")[0] or "one modifier has bins of several channels, in another number each"
        raise WorkspaceError(f"{name}: pyhf builds no model of it: {reason}") from error
    _compare(likelihood, name)
    return likelihood


def with_common_strength(spec: Workspace, name: str = "mu") -> Workspace:
    """The workspace in which all strengths are one parameter ``name``: signals that scale together.

    Strength 1 stays what it is of each. Raises :class:`WorkspaceError` if the name is another modifier's.
    """
    strengths = _strengths(spec)
    others = {m["name"] for c in spec["channels"] for s in c["samples"] for m in s["modifiers"]} - strengths
    if name in others:
        raise WorkspaceError(f"one strength '{name}' for {', '.join(sorted(strengths))}: another modifier has that "
                             "name.")
    new = json.loads(json.dumps(spec))
    for sample in (s for c in new["channels"] for s in c["samples"]):
        for modifier in sample["modifiers"]:
            if modifier["type"] == "normfactor" and modifier["name"] in strengths:
                modifier["name"] = name
    first = new["measurements"][0]
    settings = first["config"].get("parameters", [])
    ours = [p for p in settings if p["name"] in strengths]
    first["config"] = {"poi": name, "parameters": [
        *([ours[0] | {"name": name}] if ours else []), *(p for p in settings if p["name"] not in strengths)]}
    new["measurements"] = [first]
    return dict(new)


def strengths_of(spec: Workspace) -> tuple[str, ...]:
    """Names of the strengths: the parameters of interest of the measurements, in their order."""
    known = _strengths(spec)
    return tuple(dict.fromkeys(m["config"]["poi"] for m in spec["measurements"] if m["config"]["poi"] in known))


def _strengths(spec: Workspace) -> set[str]:
    """Parameters of interest of all measurements that scale something."""
    return {m["config"]["poi"] for m in spec["measurements"]} & set(_scaling(spec))


def _scaling(spec: Workspace) -> list[str]:
    return sorted({m["name"] for c in spec["channels"] for s in c["samples"] for m in s["modifiers"]
                   if m["type"] == "normfactor"})


def _compare(likelihood: Likelihood, name: str) -> None:
    """Our expectations must be pyhf's, at the start and beside it."""
    beside = np.where(likelihood.fixed, 0.0, np.resize([0.31, -0.17, 0.08], len(likelihood.start)))
    for x in (likelihood.start, likelihood.start + beside):
        ours, theirs = likelihood.bins.events(x), np.asarray(likelihood.model.expected_actualdata(x))
        if not np.allclose(ours, theirs, rtol=1e-8, atol=1e-8 * float(np.max(np.abs(theirs), initial=0.0))):
            raise WorkspaceError(f"{name}: its bins expect {ours[ours != theirs][:3]} here, but "
                                 f"{theirs[ours != theirs][:3]} in pyhf: a modifier is used in an unknown way.")


def _measurement(spec: Workspace, wanted: str | None, name: str) -> str:
    known = [m["name"] for m in spec["measurements"]]
    if wanted is not None and wanted not in known:
        raise WorkspaceError(f"{name}: measurements: '{wanted}' is not there; known: {', '.join(known)}."
                             f"{nearest(wanted, known)}")
    return str(wanted or known[0])


def measured_poi(spec: Workspace, measurement: str, wanted: str | None, name: str) -> str:
    """The parameter of interest, which must scale something."""
    i, config = next((i, m["config"]) for i, m in enumerate(spec["measurements"]) if m["name"] == measurement)
    scaling = _scaling(spec)
    poi = wanted or config["poi"]
    place = "--poi" if wanted else f"measurements[{i}].config.poi"
    if poi not in scaling:
        said = f"parameter of interest '{poi}' scales no sample" if poi else "no parameter of interest is named"
        raise WorkspaceError(f"{name}: {place}: {said}. Normalisation factors of the workspace: "
                             f"{', '.join(scaling) or 'none'}.{nearest(poi, scaling)}")
    return str(poi)
