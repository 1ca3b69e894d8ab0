"""EvtGen's decay models: which are followed, which become phase space, which are refused.

The list is `evtgen_models.toml` in the folder above; the first user of a file is told about
every line (:func:`summary`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

from pydantic import Field, RootModel

from fei_lite.data_files import Strict, toml_content, validated
from fei_lite.errors import SimulationError

FOLLOWED, APPROXIMATED, REFUSED = "followed", "approximated", "refused"


@dataclass(frozen=True)
class Model:
    """An EvtGen model: its class, why, and in which circumstances only (empty: always) it is followed."""

    name: str
    treatment: str
    reason: str
    only: str = ""


class _Entry(Strict):
    """An entry of the list."""

    treatment: Literal["followed", "approximated", "refused"] = Field(alias="class")
    reason: str
    only: Literal["", "aligned", "plot", "spinless", "upsilon"] = ""


class _Models(RootModel[dict[str, _Entry]]):
    """The list, by name."""


@dataclass(frozen=True)
class TreatedLine:
    """What becomes of one line of a decay file: ``treatment`` is followed, approximated or refused."""

    line: int
    mother: str
    products: str
    model: str
    treatment: str
    reason: str


@cache
def models() -> Mapping[str, Model]:
    """Every model of EvtGen that is known here, by name."""
    where = "evtgen_models.toml"
    content = toml_content(files("fei_lite.generator") / where, where=where, error=SimulationError)
    return {name: Model(name, entry.treatment, entry.reason, entry.only)
            for name, entry in validated(content, _Models, where=where, error=SimulationError).root.items()}


def known_models() -> tuple[str, ...]:
    """Names of the models.

    >>> "PHSP" in known_models(), "BTOSLLBALL" in known_models()
    (True, True)
    """
    return tuple(models())


def treatment(name: str, circumstances: Iterable[str]) -> tuple[str, str]:
    """Class and reason of a model in its circumstances.

    >>> treatment("VSS", ["aligned"])
    ('followed', 'aligned with the vector')
    >>> treatment("VSS", [])
    ('approximated', 'isotropic; elsewhere: aligned with the vector')
    """
    model = models()[name]
    if model.only and model.only not in circumstances:
        return APPROXIMATED, f"{'phase space' if model.only == 'plot' else 'isotropic'}; elsewhere: {model.reason}"
    return model.treatment, model.reason


def summary(lines: Iterable[TreatedLine]) -> list[str]:
    """One sentence for each class and reason, with its lines.

    >>> one = TreatedLine(4, "D0", "K- pi+ pi0", "D_DALITZ", "approximated", "phase space")
    >>> summary([one, TreatedLine(5, "D0", "K- pi+", "PHSP", "followed", "phase space")])
    ['followed: PHSP (line 5)', 'approximated: D_DALITZ: phase space (line 4)']
    """
    grouped: dict[tuple[str, str, str], list[int]] = {}
    for item in lines:
        reason = "" if item.treatment == FOLLOWED else f": {item.reason}"
        grouped.setdefault((item.treatment, item.model, reason), []).append(item.line)
    out = []
    for wanted in (FOLLOWED, APPROXIMATED, REFUSED):
        parts = [f"{model}{reason} ({ranges(numbers)})" for (kind, model, reason), numbers in grouped.items()
                 if kind == wanted]
        if parts:
            out.append(f"{wanted}: " + "; ".join(parts))
    return out


def ranges(numbers: Iterable[int]) -> str:
    """Line numbers in short.

    >>> ranges([3, 4, 5, 9]), ranges([2])
    ('lines 3-5, 9', 'line 2')
    """
    ordered = sorted(set(numbers))
    runs: list[list[int]] = []
    for number in ordered:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    text = ", ".join(f"{a}-{b}" if b > a else str(a) for a, b in runs)
    return f"line{'s' if len(ordered) > 1 else ''} {text}"
