"""The uncertainty of the form factor f+ of B -> K nu nubar as a line of systematics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fei_lite.analyses.k_nunu.spectrum import Q2_MAX, STANDARD_MODEL, Couplings, fractions, spectrum
from fei_lite.analyses.systematics import Change, Line

Floats = NDArray[np.float64]


class FormFactor(Line):
    """The coefficient a_k of f+ moves by ``size``; the branching fraction stays."""

    kind: Literal["form_factor"]
    coefficient: Annotated[int, Field(ge=0, le=2)]
    size: Change

    def factors(self, columns: Mapping[str, NDArray[Any]]) -> tuple[Floats, Floats]:
        """Ratio of two spectra of equal area at the generated q2; 1 where there is none."""
        q2 = np.asarray(columns["q2_generated"], dtype=np.float64)
        return self.ratio(q2, -1.0), self.ratio(q2, 1.0)

    def ratio(self, q2: Floats, sign: float) -> Floats:
        """The spectrum with the coefficient moved over that of the standard model, (n,); 1 outside of it."""
        moved = list(STANDARD_MODEL.f_plus)
        moved[self.coefficient] += sign * self.size
        other = replace(STANDARD_MODEL, f_plus=(moved[0], moved[1], moved[2]))
        known = spectrum(q2) > 0.0
        ratio = np.ones(len(q2))
        ratio[known] = spectrum(q2[known], other) / spectrum(q2[known]) / total(other)
        return ratio


def total(couplings: Couplings) -> float:
    """Rate of a theory over that of the standard model."""
    return float(fractions([0.0, Q2_MAX], couplings)[0])
