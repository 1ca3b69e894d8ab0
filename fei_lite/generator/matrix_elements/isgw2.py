"""Form factors of the quark model ISGW2: D. Scora, N. Isgur, Phys. Rev. D 52, 2783 (1995), appendix.

Ground states and P waves; radial excitations are left to phase space. Parameters
are in `isgw2.toml`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fei_lite.data_files import Strict, read_toml
from fei_lite.errors import SimulationError
from fei_lite.generator.matrix_elements.form_factors import (
    Transition,
    isgw_vector_amplitudes,
    scalar_amplitudes,
    tensor_amplitudes,
)

Array = NDArray[np.float64]

_SPINS = {"1S0": 0, "3S1": 1, "1P1": 1, "3P1": 1, "3P0": 0, "3P2": 2}
_SCALE, _LAMBDA2, _FROZEN = 0.1, 0.04, 0.6  # GeV, GeV^2, coupling below 0.6 GeV


@dataclass(frozen=True)
class Quarks:
    """Quark-model quantities of one transition, in the paper's notation (GeV).

    ``mb, mq, md`` quark masses, ``bb, bx`` squares of the sizes, ``tb, tx`` sums
    of quark masses (tilde), ``bar_b, bar_x`` averaged masses, ``factor`` C_f.
    """

    mb: float
    mq: float
    md: float
    bb: float
    bx: float
    bar_b: float
    bar_x: float
    flavours: tuple[int, int]
    factor: float

    @property
    def tb(self) -> float:
        """Sum of the masses of the mother's quarks."""
        return self.mb + self.md

    @property
    def tx(self) -> float:
        """Sum of the masses of the daughter's quarks."""
        return self.mq + self.md

    @property
    def bbx(self) -> float:
        """Mean of the squared sizes."""
        return 0.5 * (self.bb + self.bx)

    def reduced(self, sign: float) -> float:
        """mu_+ or mu_-."""
        return 1.0 / (1.0 / self.mq + sign / self.mb)

    def form(self, t: Array, end: Array, power: float, order: int) -> Array:
        """F_n: overlap of the wave functions and its fall from q2 = ``end``."""
        r2 = (3.0 / (4.0 * self.mb * self.mq) + 3.0 * self.md**2 / (2.0 * self.bar_b * self.bar_x * self.bbx)
              + 16.0 / (self.bar_b * self.bar_x * (33.0 - 2.0 * self.flavours[1]))
              * np.log(coupling(_SCALE, _SCALE) / coupling(self.mq, self.mq)))
        overlap = np.sqrt(self.tx / self.tb) * (np.sqrt(self.bx * self.bb) / self.bbx) ** power
        return np.asarray(overlap / (1.0 + r2 * (end - t) / (6.0 * order)) ** order)

    def scaled(self, form: Array, mother: float, daughter: float) -> Array:
        """A form factor times powers of (averaged mass / sum of quark masses) of mother and daughter."""
        return np.asarray(form * (self.bar_b / self.tb) ** mother * (self.bar_x / self.tx) ** daughter)

    def matching(self) -> float:
        """C_ji: the current runs from the heavy to the lighter quark's mass."""
        ratio = coupling(self.mb, self.mb) / coupling(self.mq, self.mq)
        return float(ratio ** (-6.0 / (33.0 - 2.0 * self.flavours[0])))

    def gamma(self) -> float:
        """gamma_ji of the radiative corrections."""
        z = self.mq / self.mb
        return float(-2.0 - 2.0 * z / (1.0 - z) * np.log(z))


def coupling(quark: float, scale: float) -> float:
    """alpha_s of the model: frozen below 0.6 GeV; three flavours for quarks below 1.85 GeV, else four."""
    if scale <= 0.6:
        return _FROZEN
    flavours = 3.0 if quark < 1.85 else 4.0
    return float(12.0 * np.pi / (33.0 - 2.0 * flavours) / np.log(scale**2 / _LAMBDA2))


class _Mother(Strict):
    codes: tuple[int, ...]
    heavy: float
    spectator: float
    beta: float
    mass: float
    flavours: int


class _Daughter(Strict):
    mother: str
    state: Literal["1S0", "3S1", "1P1", "3P1", "3P0", "3P2"]
    codes: tuple[int, ...]
    quark: float
    beta: float
    mass: float
    flavours: int
    factor: float = 1.0


class _Table(Strict):
    mother: dict[str, _Mother]
    daughter: tuple[_Daughter, ...]


@cache
def _parameters() -> Mapping[tuple[int, int], tuple[str, Quarks]]:
    """State and parameters by (mother, daughter), absolute PDG codes."""
    table = read_toml(files("fei_lite.generator.matrix_elements") / "isgw2.toml", _Table, error=SimulationError)
    found = {}
    for item in table.daughter:
        mother = table.mother[item.mother]
        quarks = Quarks(mother.heavy, item.quark, mother.spectator, mother.beta**2, item.beta**2, mother.mass,
                        item.mass, (mother.flavours, item.flavours), item.factor)
        found.update({(code, daughter): (item.state, quarks) for code in mother.codes for daughter in item.codes})
    return found


def isgw2(mother: int, daughter: int) -> Transition | None:
    """The transition of absolute PDG codes; None if the model (or this module) has none."""
    found = _parameters().get((mother, daughter))
    if found is None:
        return None
    kind, quarks = found
    form = _FORMS[kind]

    def amplitudes(mass: float, m: Array, q2: Array) -> Array:
        end = (mass - m) ** 2
        t = np.where(q2 > end, 0.99 * end, q2)
        return form(quarks, mass, m, q2, t)
    return Transition(_SPINS[kind], amplitudes)


def _recoil(q: Quarks, t: Array, end: Array) -> Array:
    return np.asarray(1.0 + (end - t) / (2.0 * q.bar_b * q.bar_x))


def _from_plus_minus(mass: float, m: Array, q2: Array, total: Array, difference: Array) -> Array:
    """Scalar amplitudes from f+ + f- and f+ - f-."""
    plus, minus = 0.5 * (total + difference), 0.5 * (total - difference)
    return scalar_amplitudes(mass, m, q2, plus, plus + minus * q2 / (mass**2 - m**2))


def _singlet_s(q: Quarks, mass: float, m: Array, q2: Array, t: Array) -> Array:
    f3 = q.form(t, (mass - m) ** 2, 1.5, 2)
    z, gamma = q.mq / q.mb, q.gamma()
    chi = -1.0 - gamma / (1.0 - z)
    strength = coupling(q.mq, np.sqrt(q.mb * q.mq)) / np.pi
    r_plus, r_minus = (q.matching() * (1.0 + (gamma + sign * 2.0 / 3.0 * chi) * strength) for sign in (-1.0, 1.0))
    x = 1.0 - q.md * q.mq * q.bb / (2.0 * q.reduced(1.0) * q.tx * q.bbx)
    total = q.scaled(f3, -0.5, 0.5) * r_plus * (2.0 - q.tx / q.mq * x)
    difference = q.scaled(f3, 0.5, -0.5) * r_minus * q.tb / q.mq * x
    return _from_plus_minus(mass, m, q2, total, difference)


def _triplet_s(q: Quarks, mass: float, m: Array, q2: Array, t: Array) -> Array:
    end = (mass - m) ** 2
    w, f3 = _recoil(q, t, end), q.form(t, end, 1.5, 2)
    z, gamma, c = q.mq / q.mb, q.gamma(), q.matching()
    chi = -1.0 - gamma / (1.0 - z)
    strength = coupling(q.mq, np.sqrt(mass * q.mq)) / np.pi
    part = 4.0 / (3.0 * (1.0 - z)) + 2.0 * (1.0 + z) * gamma / (3.0 * (1.0 - z) ** 2)
    beta_plus, beta_minus = -1.0 - chi + part, 1.0 / 3.0 - chi - part + gamma
    r_g, r_f, r_minus = (c * (1.0 + beta * strength) for beta in (2 / 3 + gamma, -2 / 3 + gamma, beta_minus))
    f = q.factor * q.tb * (1.0 + w + q.md * (w - 1.0) / (2.0 * q.reduced(1.0))) * q.scaled(f3, 0.5, 0.5) * r_f
    g = (0.5 * (1.0 / q.mq - q.md * q.bb / (2.0 * q.reduced(-1.0) * q.tx * q.bbx))
         * q.scaled(f3, -0.5, -0.5) * r_g)
    y = q.md * q.bx * (1.0 - q.md * q.bx / (2.0 * q.tb * q.bbx)) / ((1.0 + w) * q.mq * q.mb * q.bbx)
    total = c * (y - beta_plus * strength / q.tb) * q.scaled(f3, -1.5, 0.5)
    difference = (-(q.tb / q.mb - q.md * q.bx / (2.0 * q.reduced(1.0) * q.bbx) + w * q.tb * y)
                  * q.scaled(f3, -0.5, -0.5) * r_minus / q.tx)
    return isgw_vector_amplitudes(mass, m, q2, f, g, 0.5 * (total + difference), 0.5 * (total - difference))


def _singlet_p(q: Quarks, mass: float, m: Array, q2: Array, t: Array) -> Array:
    end = (mass - m) ** 2
    w, f5 = _recoil(q, t, end), q.form(t, end, 2.5, 3)
    size, up, down = np.sqrt(q.bb), q.reduced(1.0), q.reduced(-1.0)
    v, r, s_plus, s_minus = (q.scaled(f5, *powers) for powers in ((-.5, -.5), (.5, .5), (-1.5, .5), (-.5, -.5)))
    if q.mq == q.md:
        v = v * (q.tb * size / (4.0 * np.sqrt(2.0) * q.mb * q.mq * q.tx)
                 + (w - 1.0) * q.md / (6.0 * np.sqrt(2.0) * size * q.tx))
        r = r * q.tb * size / np.sqrt(2.0) * (1.0 / up + q.md * q.tx * (w - 1.0) ** 2 / (3.0 * q.mq * q.bb))
        s_plus = s_plus * q.md / (np.sqrt(2.0) * size * q.tb) * (1.0 - q.md / q.mq + q.md * q.bb / (2.0 * up * q.bbx))
        s_minus = (s_minus * q.md / (np.sqrt(2.0) * size * q.mq)
                   * ((4.0 - w) / 3.0 - q.md * q.mq * q.bb / (2.0 * q.tx * up * q.bbx)))
    else:
        x = q.md * q.bb / q.bbx * (1.0 / (2.0 * down) - 1.0 / up)
        v = -v * q.md / (2.0 * np.sqrt(3.0) * size * q.tx) * ((w + 1.0) / 2.0
                                                             + q.bb * q.tb / (2.0 * q.md * q.mq * q.mb))
        r = (-2.0 * r * q.tb * size / np.sqrt(3.0) * (1.0 / q.mq + q.tx * q.md * (w - 1.0) / (2.0 * q.bb) * (
            (w + 1.0) / (2.0 * q.mq) - q.md * q.bb / (2.0 * down * q.tx * q.bbx))))
        s_plus = -s_plus * np.sqrt(3.0) * q.md / (2.0 * size * q.tb) * (1.0 - q.md / (3.0 * q.mq) - x / 3.0)
        s_minus = -s_minus * q.md / (2.0 * np.sqrt(3.0) * size * q.tx) * ((2.0 - w) * q.tx / q.mq + x)
    return isgw_vector_amplitudes(mass, m, q2, r, v, 0.5 * (s_plus + s_minus), 0.5 * (s_plus - s_minus))


def _triplet_p1(q: Quarks, mass: float, m: Array, q2: Array, t: Array) -> Array:
    end = (mass - m) ** 2
    w, f5 = _recoil(q, t, end), q.form(t, end, 2.5, 3)
    size, down = np.sqrt(q.bb), q.reduced(-1.0)
    g, f, c_plus, c_minus = (q.scaled(f5, *powers) for powers in ((-.5, -.5), (.5, .5), (-1.5, .5), (-.5, -.5)))
    x = q.md * q.bb / (2.0 * down * q.tx * q.bbx)
    if q.mq == q.md:
        g = -g * q.md * (5.0 + w) / (12.0 * q.tx * size)
        f = -f * q.tb * size * (1.0 / down + q.md * q.tx * (w - 1.0) / q.bb * ((5.0 + w) / (6.0 * q.mq) - x))
        common = q.md * q.tx / (2.0 * q.mq * q.tb * size)
        c_plus = -c_plus * common * (1.0 - q.mq * x)
        c_minus = c_minus * common * ((w + 2.0) / 3.0 - q.mq * x) * q.tb / q.tx
    else:
        g = g * q.md / (np.sqrt(6.0) * size * q.tx) * (1.0 - q.bb * q.tb / (4.0 * q.md * q.mq * q.mb))
        f = f * np.sqrt(2.0 / 3.0) * q.tb * size * (1.0 / (2.0 * q.mq) - 3.0 / (2.0 * q.mb)
                                                    + q.md * q.tx * (w - 1.0) / q.bb * (1.0 / q.mq - x))
        c_plus = c_plus * q.md**2 * q.bx / (np.sqrt(6.0) * q.tb * q.mq * size * q.bbx)
        c_minus = (-c_minus * np.sqrt(2.0 / 3.0) * q.md / (size * q.tx)
                   * (1.0 + q.md * q.bx / (2.0 * q.mq * q.bbx)))
    return isgw_vector_amplitudes(mass, m, q2, f, g, 0.5 * (c_plus + c_minus), 0.5 * (c_plus - c_minus))


def _triplet_p0(q: Quarks, mass: float, m: Array, q2: Array, t: Array) -> Array:
    f5 = q.form(t, (mass - m) ** 2, 2.5, 3)
    common = np.sqrt(2.0 / (3.0 * q.bb)) * q.md
    return _from_plus_minus(mass, m, q2, -q.scaled(f5, -0.5, 0.5) * common,
                            q.scaled(f5, 0.5, -0.5) * common * q.tb / q.tx)


def _triplet_p2(q: Quarks, mass: float, m: Array, q2: Array, t: Array) -> Array:
    end = (mass - m) ** 2
    w, f5 = _recoil(q, t, end), q.form(t, end, 2.5, 3)
    size = np.sqrt(q.bb)
    h = (q.scaled(f5, -1.5, -0.5) * q.md / (np.sqrt(8.0) * size * q.tb)
         * (1.0 / q.mq - q.md * q.bb / (2.0 * q.reduced(-1.0) * q.tx * q.bbx)))
    k = q.scaled(f5, -0.5, 0.5) * q.md / (np.sqrt(2.0) * size) * (1.0 + w)
    x = 1.0 - q.md * q.bx / (2.0 * q.tb * q.bbx)
    total = q.scaled(f5, -2.5, 0.5) * q.md**2 * q.bx * x / (np.sqrt(32.0) * size * q.mq * q.mb * q.tb * q.bbx)
    difference = -(q.scaled(f5, -1.5, -0.5) * q.md / (np.sqrt(2.0) * size * q.mb * q.tx)
                   * (1.0 - q.md * q.mb * q.bx / (2.0 * q.reduced(1.0) * q.tb * q.bbx)
                      + q.md * q.bx * x / (4.0 * q.mq * q.bbx)))
    return tensor_amplitudes(mass, m, q2, k, h, 0.5 * (total + difference), 0.5 * (total - difference))


_FORMS: Mapping[str, Callable[[Quarks, float, Array, Array, Array], Array]] = {
    "1S0": _singlet_s, "3S1": _triplet_s, "1P1": _singlet_p, "3P1": _triplet_p1, "3P0": _triplet_p0,
    "3P2": _triplet_p2,
}
