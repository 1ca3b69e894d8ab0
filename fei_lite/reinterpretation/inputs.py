"""What a reinterpretation starts from: a workspace and a joint number density for each channel of its signal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.analyses.k_nunu.density import Density, read_density
from fei_lite.errors import WorkspaceError, nearest
from fei_lite.statistics.signal_parts import signal_of
from fei_lite.statistics.workspaces import Workspace

Floats = NDArray[np.float64]

#: How far a density may be off the template of the workspace, bin by bin: one simulated event may lie in the next bin.
AGREEMENT = 1e-3

#: Nuisances of the vector form factor, in Belle II's workspaces and in ours: other decays leave them out.
VECTOR_ONLY = ("corr_ff_*", "form_factor_*")


@dataclass(frozen=True)
class Inputs:
    """``spec``, a workspace; ``densities``: channel -> density of its signal; ``deviation``: channel -> relative
    difference (n_bins,) of the density's standard model to the signal template, whose events are kept."""

    spec: Workspace
    densities: Mapping[str, Density]
    deviation: Mapping[str, Floats]
    name: str = "workspace"

    @property
    def strength(self) -> str:
        """Name of the strength of the signal in the workspace."""
        return str(self.spec["measurements"][0]["config"]["poi"])

    @property
    def branching_fraction(self) -> float:
        """That of strength 1."""
        return next(iter(self.densities.values())).branching_fraction

    @property
    def form_factor(self) -> str:
        """The vector form factor of the standard model that the densities have."""
        return next(iter(self.densities.values())).form_factor


def matched(spec: Workspace, densities: Mapping[str, Density] | Density, *, normalise: bool = False,
            name: str = "workspace") -> Inputs:
    """Check that densities and workspace fit; raises :class:`WorkspaceError` with what differs.

    One density alone is that of the one channel with signal. The density must sum up to the signal template, unless
    ``normalise`` says that only its dependence on q2 is used, bin by bin: for a density of another selection.
    """
    signal = signal_of(spec, name=name)
    if isinstance(densities, Density):
        if len(signal) > 1:
            raise WorkspaceError(f"{name}: the signal has the channels {', '.join(signal)}: give a density for each "
                                 "(CHANNEL=FILE).")
        densities = {next(iter(signal)): densities}
    for channel in densities:
        if channel not in signal:
            raise WorkspaceError(f"{name}: a density is given for channel '{channel}', which has no signal. Channels "
                                 f"with signal: {', '.join(signal)}.{nearest(channel, list(signal))}")
    deviation = {}
    for channel, template in signal.items():
        if channel not in densities:
            raise WorkspaceError(f"{name}: no density is given for the signal of channel '{channel}' (CHANNEL=FILE).")
        deviation[channel] = _deviation(template, densities[channel], f"{name}: channel '{channel}'")
        worst = float(np.max(np.abs(deviation[channel])))
        if worst > AGREEMENT and not normalise:
            raise WorkspaceError(f"{name}: channel '{channel}': the density's sum over q2 differs from the signal "
                                 f"template by up to {100 * worst:.2g} %: they are not of one selection. With "
                                 "--normalise only the density's dependence on q2 is used, bin by bin.")
    first = next(iter(densities.values()))
    for channel, density in densities.items():
        if (density.form_factor, density.branching_fraction) != (first.form_factor, first.branching_fraction):
            raise WorkspaceError(f"{name}: channel '{channel}': the densities stand for different standard models.")
    return Inputs(spec, dict(densities), deviation, name)


def _deviation(template: Floats, density: Density, where: str) -> Floats:
    own = density.values.sum(axis=1)
    if own.shape != template.shape:
        raise WorkspaceError(f"{where}: has {len(template)} bins, the density {len(own)}.")
    if np.any((own <= 0.0) & (template > 0.0)):
        raise WorkspaceError(f"{where}: bins {np.flatnonzero((own <= 0.0) & (template > 0.0)).tolist()} have signal, "
                             "but none in the density.")
    return np.asarray(np.divide(own, template, out=np.ones_like(own), where=template > 0.0) - 1.0)


def read_densities(names: Sequence[str]) -> dict[str, Density] | Density:
    """Densities of FILE, "published", or CHANNEL=FILE for each of several channels."""
    if len(names) == 1 and "=" not in names[0]:
        return read_density(names[0])
    found: dict[str, Density] = {}
    for text in names:
        channel, equals, file = text.partition("=")
        if not equals or channel in found:
            raise WorkspaceError(f"--density {text}: expected CHANNEL=FILE, each channel once, if there are several.")
        found[channel] = read_density(file)
    return found


def origin(inputs: Inputs) -> dict[str, Any]:
    """What results say of their inputs."""
    return {"workspace": inputs.name, "branching_fraction_at_strength_1": inputs.branching_fraction,
            "form_factor": inputs.form_factor,
            "density_over_template_minus_1": {channel: [round(float(x), 6) for x in values]
                                              for channel, values in inputs.deviation.items()}}
