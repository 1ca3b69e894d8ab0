"""Several measurements of one strength as one workspace.

A nuisance parameter is a name: two modifiers of one name, in one sample or in
two channels, are one parameter and so fully correlated. :func:`combine`
therefore asks which names are to stay one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from copy import deepcopy
from typing import Any

from fei_lite.errors import WorkspaceError, nearest
from fei_lite.statistics.checks import check_workspace
from fei_lite.statistics.workspaces import Workspace, measured_poi


def combine(workspaces: Mapping[str, Workspace], *, correlated: Collection[str] = (), poi: str = "mu") -> Workspace:
    """One workspace of several: label -> workspace, one common parameter of interest.

    Nuisances named in ``correlated`` stay one parameter; others that occur in
    several workspaces become ``name_label``, as do channels. The first
    measurement of each workspace counts; bounds of the strength are joined. Raises :class:`WorkspaceError`, also
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
        if poi != measured_poi(spec, spec["measurements"][0]["name"], None, label):
            raise WorkspaceError(f"{label}: measurements[0].config.poi: "
                                 f"'{spec['measurements'][0]['config']['poi']}', expected the common '{poi}'")
        # pyhf knows a luminosity by this name only
        stays = {poi, "lumi", *correlated}
        renamed = {n: f"{n}_{label}" for n in _parameters(spec) if occurs[n] > 1 and n not in stays}
        _append(joined, deepcopy(spec), renamed, {n: f"{n}_{label}" for n, k in channels.items() if k > 1})
        for setting in spec["measurements"][0]["config"]["parameters"]:
            new = {**setting, "name": renamed.get(setting["name"], setting["name"])}
            known = settings.setdefault(new["name"], new)
            if new["name"] == poi and "bounds" in known and "bounds" in new:
                settings[poi] = new = {**known, "bounds": [[min(a, c), max(b, d)] for (a, b), (c, d)
                                                           in zip(known["bounds"], new["bounds"])]}
            elif known != new:
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
