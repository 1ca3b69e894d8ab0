"""Uncertainties that only B -> Xs nu nubar has: fragmentation, Fermi motion, the form factor of K nu nubar."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fei_lite.analyses.k_nunu.form_factor import FormFactor
from fei_lite.analyses.systematics import Line
from fei_lite.analyses.xs_nunu.fragmentation import fragmentation
from fei_lite.errors import AnalysisError
from fei_lite.generator.matrix_elements.dineutrino import FermiMotion

Floats = NDArray[np.float64]

_M_B = 5.2795      # GeV, of B+ and B0
_DRAWS = 400_000   # of M(Xs), for the effect of the Fermi motion
_MASS_EDGES = np.linspace(1.1, 3.9, 29)


class FragmentationLine(Line):
    """The fraction of one category of Xs final states (or ``missing``: of those not reconstructed) by its error.

    The others make up for it: the rate at each M(Xs) stays.
    """

    kind: Literal["fragmentation"]
    category: str

    def factors(self, columns: Mapping[str, NDArray[Any]]) -> tuple[Floats, Floats]:
        """Factors on the weights of non-resonant Xs; 1 for all others. Raises :class:`AnalysisError`."""
        known = (*fragmentation().names, "missing")
        if self.category not in known:
            raise AnalysisError(f"systematic '{self.name}': no category '{self.category}'; known: {', '.join(known)}.")
        down, up = (fragmentation().factor(self.category, sign, columns["modeKL_generated"], columns["mXs_generated"],
                                           columns["nonResonant_generated"] == 1) for sign in (-1.0, 1.0))
        return down, up


class FermiMotionLine(Line):
    """The Fermi momentum of the b quark moves by ``size`` GeV: the spectrum of M(Xs) of non-resonant Xs."""

    kind: Literal["fermi_motion"]
    size: Annotated[float, Field(gt=0.0, lt=0.4)]

    def factors(self, columns: Mapping[str, NDArray[Any]]) -> tuple[Floats, Floats]:
        """Ratio of two spectra of M(Xs) of equal area, in bins of 0.1 GeV; 1 for all others."""
        at = np.searchsorted(_MASS_EDGES, columns["mXs_generated"], side="right").clip(1, len(_MASS_EDGES) - 1) - 1
        chosen = columns["nonResonant_generated"] == 1
        down, up = (np.where(chosen, _mass_ratio(sign * self.size)[at], 1.0) for sign in (-1.0, 1.0))
        return down, up


@cache
def _mass_spectrum(p_f: float) -> Floats:
    drawn = FermiMotion(30343, p_f=p_f).draw(_DRAWS, _M_B, np.random.default_rng(20))[0]
    return np.histogram(drawn.clip(_MASS_EDGES[0], _MASS_EDGES[-1]), _MASS_EDGES)[0] / len(drawn)


def _mass_ratio(shift: float) -> Floats:
    """Spectrum of M(Xs) with the Fermi momentum shifted over that without."""
    nominal = FermiMotion(30343).p_f
    here = _mass_spectrum(nominal)
    return np.divide(_mass_spectrum(nominal + shift), here, out=np.ones_like(here), where=here > 0.0)


class KNunuFormFactor(FormFactor):
    """The coefficient a_k of f+ of B -> K nu nubar moves by ``size``; K* and Xs stay."""

    kind: Literal["k_nunu_form_factor"]  # type: ignore[assignment]

    def factors(self, columns: Mapping[str, NDArray[Any]]) -> tuple[Floats, Floats]:
        """Ratio of two spectra of equal area at the generated q2 of K nu nubar; 1 for all others."""
        q2 = np.where(columns["mXs_generated"] < 0.6, columns["q2_generated"], np.nan)
        return self.ratio(q2, -1.0), self.ratio(q2, 1.0)
