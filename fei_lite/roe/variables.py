"""Variables of the rest of the event as columns."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.errors import UnknownNameError, nearest
from fei_lite.reconstruction.frames import invariant_mass, to_cms
from fei_lite.renamed import renamed, warn
from fei_lite.roe.kinematics import missing, momentum_transfer, recoil, signal_b_cms
from fei_lite.roe.rest import RestOfEvent

Columns = dict[str, NDArray[Any]]


class _WithOldNames(Columns):
    """Columns that are found by their names of earlier versions as well, with a notice."""

    def __missing__(self, name: str) -> NDArray[Any]:
        new = renamed("rest_variables").get(name)
        if new is None or new not in self:
            raise UnknownNameError(f"rest of the event: no column '{name}'.{nearest(name, self)}")
        warn(name, new, "rest of the event")
        return self[new]


def rest_variables(rest: RestOfEvent, tag_p4: NDArray[np.float64],
                   signal_p4: NDArray[np.float64] | None = None) -> Columns:
    """The rest of the event and what is missing from it, one entry per row.

    ``tag_p4`` and ``signal_p4`` (n, 4): what the sides carry away, laboratory,
    GeV; without a signal side, what is missing is what tag and rest leave. GeV
    and rad; roeEextra, nROE_Tracks, nROE_Photons, nROE_KLMClusters, roeCharge,
    roeM and mRecoil are basf2's names:

    =============================================  ======================================================
    ``roeEextra``                                  summed energy of the photons of the mask (laboratory)
    ``nROE_Tracks``, ``nROE_Photons``              objects of the mask
    ``nROE_KLMClusters``                           unused K_L clusters
    ``nROE_K_S0``, ``nROE_pi0``, ``nROE_Lambda0``  composites of unused objects, if the mask defines them
    ``roeCharge``, ``roeM``                        charge and mass of tracks and photons
    ``roe_p4_lab``                                 (n, 4)
    ``missing_p4_lab``, ``missing_p4_cms``         (n, 4): beams - tag - signal side - rest
    ``missingMass2OfTagSignalAndRest``             (beams - tag - signal side - rest)^2, GeV^2
    ``missing_E_plus_p_cms``                       E*_miss + p*_miss
    ``missing_theta_lab``                          polar angle, NaN without missing momentum
    ``recoil_p4_lab``                              (n, 4): beams - tag
    ``mRecoil``                                    its mass, 0 where the square is negative
    =============================================  ======================================================

    With a signal side also, in GeV^2, ``missingMass2OfTagAndSignal`` = (beams - tag - signal side)^2, which peaks at 0
    where one neutrino is missing, and ``missingMass2FromTagDirection`` = (signal B - signal side)^2 with the signal B
    opposite to the tag (:func:`signal_b_cms`): the q2 of B -> K nu nubar. A NaN four-momentum gives NaN in all that
    depends on it. The names of earlier versions (q2, q2_recoil, missing_mass2) are read with a notice.
    """
    beam = rest.beam_p4
    roe_p4 = rest.p4_lab()
    seen = tag_p4 + roe_p4 if signal_p4 is None else tag_p4 + signal_p4 + roe_p4
    lost = missing(seen, beam)
    back = recoil(tag_p4, beam)
    columns: Columns = {
        "roeEextra": rest.extra_energy(), "nROE_Tracks": rest.count("tracks"), "nROE_Photons": rest.count("photons"),
        "nROE_KLMClusters": rest.n_klm(), "roeCharge": rest.charge(), "roeM": invariant_mass(roe_p4),
        "roe_p4_lab": roe_p4, "missing_p4_lab": lost.p4_lab, "missing_p4_cms": lost.p4_cms,
        "missingMass2OfTagSignalAndRest": lost.mass2, "missing_E_plus_p_cms": lost.energy_plus_momentum,
        "missing_theta_lab": lost.theta_lab, "recoil_p4_lab": back, "mRecoil": invariant_mass(back),
    }
    columns |= {f"nROE_{name}": rest.count(name) for name in rest.composites}
    if signal_p4 is not None:
        columns["missingMass2FromTagDirection"] = momentum_transfer(signal_b_cms(tag_p4, beam), to_cms(signal_p4, beam))
        columns["missingMass2OfTagAndSignal"] = momentum_transfer(back, signal_p4)
    return _WithOldNames(columns)
