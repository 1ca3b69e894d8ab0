"""The grammar of feature names: what may be asked of a candidate, and how it nests.

Pure Python, so that channel files can be checked without compiling anything.
A name is a variable of :data:`VARIABLES` or one of the functions below, with
basf2's spelling (``extraInfo(x)`` may be written ``x``):

- ``abs(x)``: absolute value;
- ``useCMSFrame(x)``, ``useRestFrame(x)``: ``x`` in the frame of e+e- or of the candidate;
- ``daughter(i,x)``: ``x`` of the i-th daughter (from 0); ``daughterProductOf(x)``: product over all;
- ``daughterAngle(i,j)``, ``decayAngle(i)``, ``daughterInvariantMass(i,j,...)``.

Frames do not nest, and stand outside of ``daughter``: the rest frame is always
that of the candidate itself. Daughters of daughters are out of reach.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from fei_lite.errors import UnknownNameError, nearest

# What the kernel computes. COLUMN is a value that stands ready, one per candidate.
(COLUMN, P, PT, PX, PY, PZ, ENERGY, THETA, DX, DY, DZ, DR, DISTANCE, POINTING, Q_VALUE, MBC, DELTA_E,
 DAUGHTER_ANGLE, DECAY_ANGLE, INVARIANT_MASS) = range(20)

#: The frames: laboratory, centre of mass of e+e-, rest frame of the candidate.
LAB, CMS, REST = range(3)

#: The subject ``daughterProductOf`` stands for; 0 is the candidate, 1 + i its i-th daughter.
ALL_DAUGHTERS = -1

#: Variables of one particle -> what the kernel does for them.
VARIABLES = {
    "p": P, "pt": PT, "px": PX, "py": PY, "pz": PZ, "E": ENERGY, "theta": THETA, "M": COLUMN, "dM": COLUMN,
    "Q": Q_VALUE, "dQ": Q_VALUE, "Mbc": MBC, "deltaE": DELTA_E,
    "dx": DX, "dy": DY, "dz": DZ, "dr": DR, "distance": DISTANCE, "significanceOfDistance": COLUMN,
    "cosAngleBetweenMomentumAndVertexVector": POINTING,
    "chiProb": COLUMN, "preCut_rank": COLUMN, "SignalProbability": COLUMN, "decayModeID": COLUMN,
    "electronID": COLUMN, "muonID": COLUMN, "pionID": COLUMN, "kaonID": COLUMN, "protonID": COLUMN,
    "deuteronID": COLUMN,
    "nCDCHits": COLUMN, "nSVDHits": COLUMN, "nPXDHits": COLUMN,
    "clusterReg": COLUMN, "clusterNHits": COLUMN, "clusterTiming": COLUMN, "clusterE9E25": COLUMN,
    "clusterE9E21": COLUMN,
}

#: Variables that only the candidate itself has: they need its daughters, or its cluster.
OWN = ("Q", "dQ", "clusterReg", "clusterNHits", "clusterTiming", "clusterE9E25", "clusterE9E21")

#: Functions of daughter numbers -> (code, fewest, most numbers).
OF_DAUGHTERS = {"daughterAngle": (DAUGHTER_ANGLE, 2, 2), "decayAngle": (DECAY_ANGLE, 1, 1),
                "daughterInvariantMass": (INVARIANT_MASS, 1, 62)}

_FRAMES = {"useCMSFrame": CMS, "useRestFrame": REST}
_FUNCTIONS = ("abs", "extraInfo", "daughter", "daughterProductOf", *_FRAMES, *OF_DAUGHTERS)


class Feature(NamedTuple):
    """A parsed name: ``code`` of ``variable`` in ``frame`` of ``subject``.

    ``arguments`` are the daughter numbers of a function of daughters.
    """

    code: int
    variable: str
    frame: int
    subject: int
    arguments: tuple[int, ...]
    absolute: bool

    @property
    def n_daughters(self) -> int:
        """How many daughters a candidate must have at least.

        >>> parse_feature("daughterAngle(0,2)").n_daughters
        3
        """
        return max([self.subject, 1 if self.subject == ALL_DAUGHTERS else 0, *(i + 1 for i in self.arguments)])


@lru_cache(maxsize=4096)
def parse_feature(name: str) -> Feature:
    """Parse an expanded feature name.

    Raises :class:`UnknownNameError` with the nearest name, or with the rule that is broken.

    >>> parse_feature("useRestFrame(daughter(1, p))")
    Feature(code=1, variable='p', frame=2, subject=2, arguments=(), absolute=False)
    """
    return _parse(name, name.strip(), Feature(-1, "", LAB, 0, (), False))


def known(name: str) -> bool:
    """Whether ``name`` is a feature.

    >>> known("abs(dM)"), known("dm")
    (True, False)
    """
    try:
        parse_feature(name)
    except UnknownNameError:
        return False
    return True


def _parse(whole: str, name: str, outer: Feature) -> Feature:
    """Parse ``name`` inside what ``outer`` has collected of ``whole`` so far."""
    function, bracket, rest = name.partition("(")
    function = function.strip()
    if not bracket:
        return _variable(whole, name, outer)
    if function not in _FUNCTIONS:
        raise UnknownNameError(f"feature '{whole}': unknown function '{function}'.{nearest(function, _FUNCTIONS)}")
    if not rest.endswith(")"):
        raise UnknownNameError(f"feature '{whole}': '{function}(' is not closed.")
    inner = rest[:-1].strip()
    if function == "abs":
        return _parse(whole, inner, outer._replace(absolute=True))
    if function == "extraInfo":
        return _variable(whole, inner, outer)
    if function in _FRAMES:
        if outer.frame != LAB or outer.subject != 0:
            raise UnknownNameError(f"feature '{whole}': {function} must be outside of daughter(...) and other frames.")
        return _parse(whole, inner, outer._replace(frame=_FRAMES[function]))
    if outer.subject != 0:
        raise UnknownNameError(f"feature '{whole}': {function} of a daughter is out of reach.")
    if function == "daughterProductOf":
        return _parse(whole, inner, outer._replace(subject=ALL_DAUGHTERS))
    if function == "daughter":
        number, comma, inner = inner.partition(",")
        if not comma:
            raise UnknownNameError(f"feature '{whole}': daughter takes a number and a variable: daughter(0,p).")
        return _parse(whole, inner.strip(), outer._replace(subject=1 + _number(whole, number)))
    code, fewest, most = OF_DAUGHTERS[function]
    numbers = tuple(_number(whole, part) for part in inner.split(","))
    if not fewest <= len(numbers) <= most:
        raise UnknownNameError(f"feature '{whole}': {function} takes {fewest} daughter(s), got {len(numbers)}.")
    if len(set(numbers)) != len(numbers) or max(numbers) > 61:
        raise UnknownNameError(f"feature '{whole}': daughters must differ, and be below 62.")
    return outer._replace(code=code, variable=function, arguments=numbers)


def _number(whole: str, text: str) -> int:
    if not re.fullmatch(r"\s*\d{1,3}\s*", text):
        raise UnknownNameError(f"feature '{whole}': expected the number of a daughter, got '{text}'.")
    return int(text)


def _variable(whole: str, name: str, outer: Feature) -> Feature:
    if name not in VARIABLES:
        inside = "" if name == whole else f"feature '{whole}': "
        raise UnknownNameError(f"{inside}unknown variable '{name}'.{nearest(name, VARIABLES)}")
    if name in OWN and outer.subject != 0:
        raise UnknownNameError(f"feature '{whole}': {name} is known of the candidate itself only, not of daughters.")
    return outer._replace(code=VARIABLES[name], variable=name)
