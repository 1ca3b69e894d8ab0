"""Which EvtGen model means which semileptonic transition."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from fei_lite.generator.matrix_elements import form_factors as ff
from fei_lite.generator.matrix_elements import llsw
from fei_lite.generator.matrix_elements.bcl import bcl_scalar, bcl_vector
from fei_lite.generator.matrix_elements.form_factors import Transition
from fei_lite.generator.matrix_elements.isgw2 import isgw2

#: (model, spin of X) -> numbers of parameters that the model may have, and how it reads them.
_MODELS: Mapping[tuple[str, int], tuple[tuple[int, ...], Callable[..., Transition]]] = {
    ("HQET", 0): ((1, 2), ff.hqet_scalar), ("HQET", 1): ((3, 4), ff.hqet_vector),
    ("HQET2", 0): ((2, 3), ff.cln_scalar), ("HQET2", 1): ((4, 5), ff.cln_vector),
    ("HQET3", 0): ((3,), lambda v1, rho2, delta: ff.cln_scalar(rho2, v1, delta)),
    ("HQET3", 1): ((5,), lambda h, rho2, r0, r1, r2: ff.cln_vector(rho2, h, r1, r2, r0)),
    ("BGL", 0): ((8,), ff.bgl_scalar), ("BGL", 1): ((6,), ff.bgl_vector),
    ("BCL", 0): ((8,), bcl_scalar), ("BCL", 1): ((11,), bcl_vector),
    ("SLPOLE", 0): ((8,), ff.pole_scalar), ("SLPOLE", 1): ((16,), ff.pole_vector),
    ("SLBKPOLE", 0): ((4,), ff.becirevic_kaidalov),
}

#: Daughters of Belle II's LLSW: absolute PDG codes of the charged ones.
_LLSW: Mapping[int, Callable[..., Transition]] = {
    10411: llsw.scalar, 10413: llsw.narrow_axial, 20413: llsw.broad_axial, 415: llsw.tensor,
}

SEMILEPTONIC = frozenset({name for name, _ in _MODELS} | {"ISGW2", "LLSW"})


def spin_of(code: int) -> int:
    """Spin of a meson, from the last digit of its PDG code.

    >>> spin_of(10413), spin_of(-415), spin_of(310)
    (1, 2, 0)
    """
    code = abs(code)
    return 0 if code in (130, 310) else (code % 10 - 1) // 2


def transition(model: str, parameters: Sequence[float], mother: int, daughter: int) -> Transition | None:
    """The transition ``mother`` -> ``daughter`` (PDG codes) of an EvtGen model.

    None if the model is not known here, has none for these particles, or has
    another number of parameters: such decays stay as Pythia made them.
    """
    mother, daughter = abs(mother), abs(daughter)
    if model == "ISGW2":
        return isgw2(mother, daughter)
    if model == "LLSW":
        charm = daughter - daughter // 10 % 10 * 10 + 10 if daughter // 100 % 10 == 4 else 0
        build = _LLSW.get(charm)
        expected = 3 if charm in (10411, 20413) else 4
        if build is None or mother not in (511, 521) or len(parameters) != expected:
            return None
        return build(*parameters)
    known = _MODELS.get((model, spin_of(daughter)))
    if known is None or len(parameters) not in known[0]:
        return None
    return known[1](*parameters)
