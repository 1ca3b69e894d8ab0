"""All features of a channel's candidates at once: what the compiled kernel knows it computes, the rest is asked for.

Names are those of :mod:`fei_lite.variables` (``fei-lite variables`` lists them, with definitions): any registered
variable, and any expression of them. The kernel works on what is of the candidate or of one of its daughters, in the
laboratory, the centre-of-mass frame or the candidate's rest frame; values of other variables come from their
providers, of other expressions from :func:`fei_lite.variables.evaluate`. Undefined values, in and out, are NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fei_lite.candidates import CandidateTable
from fei_lite.errors import UnknownNameError
from fei_lite.events import EventBatch
from fei_lite.kernels import feature_codes as codes
from fei_lite.kernels import features as kernels
from fei_lite.particles import mass
from fei_lite.variables.names import check, needed_daughters
from fei_lite.variables.registry import registered, version
from fei_lite.variables.subject import Result, Subject
from fei_lite.variables.tree import Call, Name, Node, Number

_FRAMES = {"useCMSFrame": codes.CMS, "useRestFrame": codes.REST}
_OF_DAUGHTERS = (codes.DAUGHTER_ANGLE, codes.DECAY_ANGLE, codes.INVARIANT_MASS)


class Opcode(NamedTuple):
    """What the kernel computes for a feature: ``code`` of ``variable`` in ``frame`` of ``subject``.

    ``subject`` is 0 (the candidate), 1 + i (its i-th daughter) or ALL_DAUGHTERS (the product over them);
    ``arguments`` are the daughters of a function of daughters. A COLUMN is what the provider of ``variable`` gives.
    """

    code: int
    variable: str
    frame: int = codes.LAB
    subject: int = 0
    arguments: tuple[int, ...] = ()
    absolute: bool = False


def opcode(name: str) -> Opcode | None:
    """The kernel's part of a feature; None if all of it is for the general evaluator.

    >>> opcode("useRestFrame(daughter(1, p))")
    Opcode(code=1, variable='p', frame=2, subject=2, arguments=(), absolute=False)
    >>> opcode("daughter(0, daughter(1, p))") is None
    True
    """
    node, found = check(name), Opcode(codes.COLUMN, "")
    while isinstance(node, Call):
        inner, kernel = node.arguments[-1] if node.arguments else node, registered(node.name)
        if node.name == "abs":
            found = found._replace(absolute=True)
        elif found.subject != 0 or kernel is None:
            return None
        elif node.name in _FRAMES and found.frame == codes.LAB:
            found = found._replace(frame=_FRAMES[node.name])
        elif node.name in ("daughter", "daughterProductOf"):
            found = found._replace(subject=codes.ALL_DAUGHTERS if node.name != "daughter" else 1 + _index(node))
        elif kernel.code in _OF_DAUGHTERS:
            numbers = tuple(int(part.value) for part in node.arguments if isinstance(part, Number))
            few = max(numbers) < codes.MOST_DAUGHTERS
            return found._replace(code=kernel.code, variable=node.name, arguments=numbers) if few else None
        else:
            return None
        node = inner
    return _of_name(node, found)


def _index(node: Call) -> int:
    number = node.arguments[0]
    assert isinstance(number, Number)
    return int(number.value)


def _of_name(node: Node, outer: Opcode) -> Opcode | None:
    kernel = registered(node.name) if isinstance(node, Name) else None
    if kernel is None or (kernel.code == codes.Q_VALUE and outer.subject != 0):
        return None
    if kernel.code == codes.COLUMN and outer.frame != codes.LAB:  # its provider may depend on the frame
        return None
    return outer._replace(code=kernel.code, variable=kernel.name)


def feature_matrix(
    names: Sequence[str], candidates: CandidateTable, daughters: Sequence[CandidateTable], batch: EventBatch, *,
    result: Result | None = None,
) -> NDArray[np.float64]:
    """Features (n candidates, n names) of one channel's candidates, C-contiguous.

    ``names`` are expanded; ``daughters[j]`` is the table of the j-th daughter,
    of which ``candidates["daughters"][:, j]`` are rows; leaves have none,
    except that the two tracks of a V0 count as daughters 0 (positive) and 1.
    ``result`` is the reconstruction, for daughters of daughters. NaN is undefined. Raises
    :class:`UnknownNameError` for a name that does not exist, a daughter that
    the channel does not have, or a column that its table does not have (yet).
    """
    subject = Subject(candidates, batch=batch, result=result, daughters=daughters)
    subjects = [subject, *subject.daughters_of()]
    features, needed = _plan(tuple(names), version())
    if max(needed, default=0) > len(subjects) - 1:
        name, most = max(zip(names, needed, strict=True), key=lambda pair: pair[1])
        raise UnknownNameError(f"{candidates.particle}: feature '{name}' needs {most} daughters, "
                               f"the candidates have {len(subjects) - 1}.")
    out = np.empty((len(candidates), len(names)))
    if out.size == 0:
        return out
    columns: list[NDArray[np.float64]] = []
    opcodes = np.array([_row(feature, subjects, columns) for feature in features], dtype=np.int64)
    offset = np.array([_offset(feature, subjects) for feature in features])
    used = {f.code for f in features}
    kernels.fill(
        opcodes, offset, _p4(subjects), _places(subjects, any(codes.DX <= code <= codes.POINTING for code in used)),
        np.asarray(subject.value("M")) if codes.Q_VALUE in used else np.empty(0), subject.event,
        batch.events["beam_p4"], np.stack(columns) if columns else np.empty((0, 0)),
        any(f.frame == codes.CMS or f.code in (codes.MBC, codes.DELTA_E) for f in features),
        any(f.frame == codes.REST or f.code == codes.DECAY_ANGLE for f in features), out)
    return out


@lru_cache(maxsize=2048)
def _plan(names: tuple[str, ...], _: int) -> tuple[tuple[Opcode, ...], tuple[int, ...]]:
    """What the kernel does for each feature, and how many daughters it needs; for one version of the registry."""
    return (tuple(opcode(name) or Opcode(codes.COLUMN, name) for name in names),
            tuple(needed_daughters(check(name)) for name in names))


def _row(feature: Opcode, subjects: Sequence[Subject], columns: list[NDArray[np.float64]]) -> tuple[int, ...]:
    """The kernel's row for a feature; appends the columns that it reads."""
    first, second = 0, 0
    if feature.code == codes.COLUMN:
        first = len(columns)
        chosen = subjects[1:] if feature.subject == codes.ALL_DAUGHTERS else [subjects[feature.subject]]
        plain = feature.variable.isidentifier()  # no expression
        columns.extend(np.asarray(one.provide(feature.variable, ()) if plain else one.value(feature.variable),
                                  dtype=np.float64) for one in chosen)
    elif feature.code == codes.INVARIANT_MASS:
        first = sum(1 << i for i in feature.arguments)
    elif feature.arguments:
        first, second = feature.arguments[0], feature.arguments[-1]
    return feature.code, feature.frame, feature.subject, first, second, int(feature.absolute)


def _offset(feature: Opcode, subjects: Sequence[Subject]) -> float:
    """Nominal value that dQ is taken from; 0 for all others."""
    if feature.variable == "dQ" and feature.code == codes.Q_VALUE:
        return mass(subjects[0].particle) - sum(mass(daughter.particle) for daughter in subjects[1:])
    return 0.0


def _p4(subjects: Sequence[Subject]) -> NDArray[np.float64]:
    """Four-momenta (1 + daughters, 4, n)."""
    out = np.empty((len(subjects), 4, len(subjects[0])))
    for subject, lines in zip(subjects, out, strict=True):
        _gather(subject.candidates["p4"], subject.rows, lines)
    return out


def _places(subjects: Sequence[Subject], needed: bool) -> NDArray[np.float64]:
    """Vertices, of tracks perigees, relative to the interaction point (1 + daughters, 3, n)."""
    out = np.full((len(subjects), 3, len(subjects[0])), np.nan)
    for subject, lines in zip(subjects if needed else (), out, strict=False):
        _gather(subject.places, subject.rows, lines)
    return out


def _gather(values: NDArray[Any], rows: NDArray[Any] | None, out: NDArray[np.float64]) -> None:
    if rows is None:
        out[:] = values.T
    else:
        kernels.gather(values, rows, out)
