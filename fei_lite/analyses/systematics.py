"""Systematic uncertainties as data, and what they do to the weights of candidates."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from fei_lite.data_files import Source, Strict, findings, toml_content
from fei_lite.errors import AnalysisError, UnknownNameError, nearest

Floats = NDArray[np.float64]
Text = Annotated[str, Field(min_length=1)]
#: A relative change below one.
Change = Annotated[float, Field(gt=-1.0, lt=1.0)]


class Line(Strict):
    """A nuisance ``name`` that moves some ``samples``; lines of one name move together.

    Derived classes give ``factors``: what multiplies the weights. ``keep = "yield"`` moves the shape alone: the
    sample's yield before the fit's bins stays.
    """

    name: Text
    samples: Annotated[tuple[Text, ...], Field(min_length=1)]
    kind: str
    origin: Text
    keep: Literal["yield"] | None = None

    def factors(self, columns: Mapping[str, NDArray[Any]]) -> tuple[Floats, Floats]:
        """What multiplies the weight of each candidate, one standard deviation (down, up), each (n,)."""
        raise NotImplementedError(self.kind)


class NormalisationLine(Line):
    """A relative error ``size`` of the yield."""

    kind: Literal["normalisation"]
    size: Change

    def factors(self, columns: Mapping[str, NDArray[Any]]) -> tuple[Floats, Floats]:
        """1 -+ size for all."""
        n = len(columns["weight"])
        return np.full(n, 1.0 - self.size), np.full(n, 1.0 + self.size)


class WeightLine(Line):
    """``per``: column -> relative change of the weight per unit of the column, one standard deviation up."""

    kind: Literal["weight"]
    per: Annotated[dict[str, Change], Field(min_length=1)]

    def factors(self, columns: Mapping[str, NDArray[Any]]) -> tuple[Floats, Floats]:
        """The product over columns of (1 -+ change) to the power of the column.

        Raises :class:`UnknownNameError` for a column that is missing.
        """
        down, up = (np.ones(len(columns["weight"])) for _ in range(2))
        for name, change in self.per.items():
            if name not in columns:
                raise UnknownNameError(f"systematic '{self.name}': no column '{name}'.{nearest(name, columns)}")
            count = np.asarray(columns[name], dtype=np.float64)
            down *= max(1.0 - change, 0.0) ** count
            up *= max(1.0 + change, 0.0) ** count
        return down, up


#: Kinds of lines that every analysis has.
SHARED: Mapping[str, type[Line]] = {"normalisation": NormalisationLine, "weight": WeightLine}


def load_systematics(source: Source, *, where: str = "", own: Mapping[str, type[Line]] | None = None,
                     samples: Sequence[str] | None = None, recipe: Source = "the recipe") -> tuple[Line, ...]:
    """Lines of a TOML file; ``own`` are kinds that the analysis adds, ``samples`` the names that ``recipe`` knows.

    Raises :class:`AnalysisError` with every defect and its key path.
    """
    where, kinds = where or str(source), {**SHARED, **(own or {})}
    content = toml_content(source, where=where, error=AnalysisError)
    wrong = [f"{where}: {key}: unknown key '{key}'.{nearest(key, ['systematic'])}" for key in content
             if key != "systematic"]
    entries = content.get("systematic")
    if not isinstance(entries, list):
        raise AnalysisError("\n  ".join([*wrong, f"{where}: systematic: missing. Give at least one [[systematic]]."]))
    lines = []
    for i, entry in enumerate(entries):
        at = f"{where}: systematic[{i}]"
        kind = entry.get("kind") if isinstance(entry, dict) else entry
        if not isinstance(kind, str) or kind not in kinds:
            shown = str(kind)[:60]
            wrong.append(f"{at}.kind: expected one of {', '.join(kinds)}, got {shown!r}.{nearest(shown, kinds)}")
            continue
        try:
            lines.append(kinds[kind].model_validate_json(json.dumps(entry, default=str), strict=True))
        except ValidationError as error:
            wrong += [f"{at}.{line}" for line in findings(error, kinds[kind])]
            continue
        wrong += [f"{at}.samples[{k}]: no sample '{name}' in {recipe}.{nearest(name, samples or ())}"
                  for k, name in enumerate(lines[-1].samples) if samples is not None and name not in samples]
    if wrong:
        raise AnalysisError("\n  ".join(wrong))
    return tuple(lines)
