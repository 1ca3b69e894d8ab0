"""Too few candidates: which process lacks how much."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fei_lite.analyses.classifier import MIN_ENTRIES
from fei_lite.errors import AnalysisError
from fei_lite.generator.processes import PROCESSES

if TYPE_CHECKING:
    from fei_lite.analyses.analysis import Result


#: Expectation of which none is seen in one case of ten.
_NONE = -float(np.log(0.1))


def check_entries(what: str, signal: NDArray[np.bool_], process: NDArray[np.str_],
                  generated: Mapping[str, int]) -> None:
    """Raise :class:`AnalysisError` if a class has too few candidates to train on, with what each process lacks."""
    short = []
    for name, of in (("signal", signal), ("background", ~signal)):
        n = int(of.sum())
        if n < MIN_ENTRIES:
            short.append(f"{n} candidates of {name} pass the selection, expected {MIN_ENTRIES} or more: "
                         f"{_lacking(process[of], _processes(name, generated), generated, n)}")
    if short:
        raise AnalysisError(f"training of {what}: {'; '.join(short)}. Or give a trained classifier (--classifier).")


def _processes(name: str, generated: Mapping[str, int]) -> list[str]:
    """Processes of a class, also those of which no candidate is left."""
    return [p for p in generated if (p not in PROCESSES) == (name == "signal")]


def _lacking(process: NDArray[np.str_], names: Sequence[str], generated: Mapping[str, int], n: int) -> str:
    """Candidates of each process, and about how many events more it takes if all grow alike."""
    times = (MIN_ENTRIES + 2.0 * MIN_ENTRIES**0.5) / n if n else float("inf")
    parts = []
    for name in names:
        left = int(np.count_nonzero(process == name))
        more = f", lacks about {generated[name] * (times - 1.0):.2g} more" if left else ""
        parts.append(f"{name} {left} of {generated[name]} generated{more}")
    return ", ".join(parts) or "no events at all"


def empty_bins(result: Result) -> list[str]:
    """Lines on the bins that no background reaches, and on the luminosity of each background there is."""
    lines, entries = [], result.recipe.bin_floor
    for region in result.regions:
        if region.floored:
            lines.append(f"{region.name}: no background in the bins {', '.join(str(i + 1) for i in region.floored)}; "
                         f"they got the bin floor, {entries:g} +- {entries:g} entries")
    if lines:
        of_signal = {line.name for line in result.recipe.signals}
        lines.append("generated backgrounds, of " + f"{result.expectation.luminosity:g}/fb: " + ", ".join(
            f"{process} {_luminosity(result, process):.3g}/fb" for s in result.samples if s.name not in of_signal
            for process in s.processes) + ". Give more events of those with least")
    return lines


def empty_templates(result: Result) -> list[str]:
    """A line for each background without a candidate in any bin: what may be there all the same, and what it takes."""
    of_signal = {line.name for line in result.recipe.signals}
    signal = sum(float(t.values.sum()) for region in result.regions for t in region.templates if t.signal)
    lines = []
    for sample in result.samples:
        templates = [t for region in result.regions for t in region.templates if t.name == sample.name]
        if sample.name in of_signal or not templates or any(t.values.sum() > 0.0 for t in templates):
            continue
        weight = (sample.expected / sample.entries if sample.entries
                  else result.expectation.luminosity / sample.luminosity)
        most = _NONE * weight
        lines.append(
            f"{sample.name}: none of {sample.entries} selected candidates is in the bins, and its template is 0; up to "
            f"{most:.3g} events of {result.expectation.luminosity:g}/fb are compatible with that (90 % CL; mean "
            f"weight {weight:.3g}). Less than the signal's {signal:.3g} events takes about "
            f"{sample.luminosity * most / signal:.2g}/fb of it, made as the {sample.luminosity:.3g}/fb there are")
    return lines


def _luminosity(result: Result, process: str) -> float:
    return result.expectation.luminosity * result.generated[process] / result.expectation.expected(process)
