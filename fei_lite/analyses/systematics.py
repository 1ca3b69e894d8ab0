"""Systematic uncertainties of the HTA as data, and what they do to the weights of candidates."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.analyses.k_nunu.spectrum import F_PLUS, Q2_MAX, STANDARD_MODEL, Couplings, fractions, spectrum
from fei_lite.errors import AnalysisError, UnknownNameError, nearest

Floats = NDArray[np.float64]

#: Kinds of lines, and the keys that each needs beside name, samples and origin.
KINDS = {"normalisation": ("size",), "weight": ("per",), "form_factor": ("coefficient", "size")}
_COMMON = ("name", "samples", "kind", "origin")
_OPTIONAL = {"weight": ("keep",)}


@dataclass(frozen=True)
class Systematic:
    """A line of the file: a nuisance ``name`` that moves some ``samples``; see ``systematics.toml``."""

    name: str
    samples: tuple[str, ...]
    kind: str
    origin: str
    size: float = 0.0
    per: Mapping[str, float] = field(default_factory=dict)
    keep_yield: bool = False
    coefficient: int = 0

    def factors(self, columns: Mapping[str, NDArray[Any]]) -> tuple[Floats, Floats]:
        """What multiplies the weight of each candidate, one standard deviation (down, up), each (n,).

        Weight lines: the product over columns of (1 -+ change) to the power of
        the column, not below 0. Raises :class:`UnknownNameError` for a column that is missing.
        """
        if self.kind == "form_factor":
            return self._form_factor(columns, -1.0), self._form_factor(columns, 1.0)
        down, up = (np.ones(len(columns["weight"])) for _ in range(2))
        for name, change in self.per.items():
            if name not in columns:
                raise UnknownNameError(f"systematic '{self.name}': no column '{name}'.{nearest(name, columns)}")
            count = np.asarray(columns[name], dtype=np.float64)
            down *= max(1.0 - change, 0.0) ** count
            up *= max(1.0 + change, 0.0) ** count
        return down, up

    def _form_factor(self, columns: Mapping[str, NDArray[Any]], sign: float) -> Floats:
        """Ratio of two spectra of equal area at the generated q2; 1 where there is none."""
        moved = list(F_PLUS)
        moved[self.coefficient] += sign * self.size
        other = replace(STANDARD_MODEL, f_plus=(moved[0], moved[1], moved[2]))
        q2 = np.asarray(columns["q2_generated"], dtype=np.float64)
        known = spectrum(q2) > 0.0
        ratio = np.ones(len(q2))
        ratio[known] = spectrum(q2[known], other) / spectrum(q2[known]) / _total(other)
        return ratio


def _total(couplings: Couplings) -> float:
    return float(fractions([0.0, Q2_MAX], couplings)[0])


def load_systematics(path: str | os.PathLike[str] | None = None) -> tuple[Systematic, ...]:
    """Lines of a TOML file; without ``path`` the shipped ones.

    Raises :class:`AnalysisError` with every defect and its key path.

    >>> lines = load_systematics()
    >>> lines[0].name, lines[0].size
    ('norm_bbbar', 0.3)
    """
    where = "systematics.toml" if path is None else str(path)
    try:
        source = files("fei_lite.analyses.hta") / "systematics.toml" if path is None else Path(path)
        entries = tomllib.loads(source.read_text(encoding="utf-8")).get("systematic")
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise AnalysisError(f"{where}: cannot be read as TOML: {error}") from None
    if not isinstance(entries, list):
        raise AnalysisError(f"{where}: systematic: missing. Give at least one [[systematic]].")
    findings: list[str] = []
    lines = [_line(entry, f"{where}: systematic[{i}]", findings) for i, entry in enumerate(entries)]
    if findings:
        raise AnalysisError("\n  ".join(findings))
    return tuple(line for line in lines if line is not None)


def _line(entry: Any, at: str, findings: list[str]) -> Systematic | None:
    if not isinstance(entry, dict) or entry.get("kind") not in KINDS:
        kind = entry.get("kind") if isinstance(entry, dict) else entry
        findings.append(f"{at}.kind: expected one of {', '.join(KINDS)}, got {kind!r}.{nearest(str(kind), KINDS)}")
        return None
    before, kind = len(findings), entry["kind"]
    needed, allowed = (*_COMMON, *KINDS[kind]), (*_COMMON, *KINDS[kind], *_OPTIONAL.get(kind, ()))
    findings += [f"{at}.{key}: missing." for key in needed if key not in entry]
    findings += [f"{at}.{key}: unknown key '{key}'.{nearest(key, allowed)}" for key in entry if key not in allowed]
    size, per = entry.get("size", 0.0), entry.get("per", {})
    numbers = [size, *(per.values() if isinstance(per, dict) else [None])]
    if any(isinstance(x, bool) or not isinstance(x, int | float) or not abs(x) < 1.0 for x in numbers):
        findings.append(f"{at}: sizes: expected numbers between -1 and 1, got {numbers}.")
    if entry.get("coefficient", 0) not in (0, 1, 2):
        findings.append(f"{at}.coefficient: expected 0, 1 or 2, got {entry['coefficient']!r}.")
    if entry.get("keep", "yield") != "yield":
        findings.append(f"{at}.keep: expected \"yield\" or nothing, got {entry['keep']!r}.")
    if len(findings) > before:
        return None
    return Systematic(entry["name"], tuple(entry["samples"]), kind, entry["origin"], float(size), dict(per),
                      "keep" in entry, int(entry.get("coefficient", 0)))


def check_samples(lines: Sequence[Systematic], samples: Sequence[str]) -> None:
    """Raise :class:`AnalysisError` for a line that names a sample which the recipe does not have."""
    for line in lines:
        for name in line.samples:
            if name not in samples:
                raise AnalysisError(f"systematic '{line.name}': no sample '{name}'.{nearest(name, samples)}")
