"""What :mod:`fei_lite.performance` found, as tables in plain text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fei_lite.fractions import Measured
from fei_lite.performance.best_tags import B_TYPES
from fei_lite.performance.calibration import Calibration
from fei_lite.performance.comparison import Comparison, SetOfBType
from fei_lite.performance.files import FileEvaluation
from fei_lite.performance.lost import LostOfBType
from fei_lite.performance.reconstructible import Reconstructible, of_same_channels
from fei_lite.performance.sculpting import Sculpting


def measured(value: Measured | None, digits: int = 3, *, factor: float = 1.0) -> str:
    """A number with its interval; ``-`` where it is undefined.

    >>> measured(Measured(0.0123, 0.0111, 0.0136), 2, factor=100.0)
    '1.23 [1.11, 1.36]'
    """
    if value is None or value.value != value.value:
        return "-"
    middle, low, high = (f"{factor * x:.{digits}f}" for x in (value.value, value.lower, value.upper))
    return f"{middle} [{low}, {high}]"


def percent(value: Measured | None) -> str:
    """A fraction with its interval in per cent."""
    return measured(value, factor=100.0)


def evaluation_table(found: FileEvaluation, *, channels: bool = False) -> str:
    """Working points by B type, the Mbc peak and the cut-flow, with ``channels`` that of every channel."""
    result = found.evaluation
    lines = [f"{result.n_events} events" + (", weighted" if result.weighted else ""), "",
             f"{'':4} {'P >':>6} {'tags':>8} {'tagging efficiency %':>26} {'tag-side efficiency %':>26} "
             f"{'purity %':>26}"]
    for b_type, points in result.working_points.items():
        for point in points:
            lines.append(
                f"{b_type:4} {point.min_signal_probability:6g} {point.n_tagged:8d} "
                f"{_aligned(point.tagging_efficiency):>26} {_aligned(point.tag_side_efficiency):>26} "
                f"{_aligned(point.purity):>26}")
        if b_type in result.own_events:
            fractions = ", ".join(percent(point.of_own_events) for point in points)
            lines.append(f"     of {B_TYPES[b_type][1]} events alone: tag-side efficiency % {fractions}")
    peak = result.mbc_of_correct_tags
    if peak is None:
        lines.append("no truth in the file: tag-side efficiency and purity are unknown")
    elif peak.median == peak.median:
        lines += ["", f"Mbc of {peak.n} correct best tags: median {peak.median:.4f} GeV, "
                  f"half of the central 68 % {1e3 * peak.width:.2f} MeV; Gaussian core {peak.core_mean:.4f} GeV, "
                  f"sigma {1e3 * peak.core_sigma:.2f} MeV"]
    lines += ["", *_cutflow(found.cutflow, channels)]
    return "\n".join(lines)


def _aligned(value: Measured | None) -> str:
    """In per cent, the value in a column of its own."""
    number, _, interval = percent(value).partition(" ")
    return f"{number:>8} {interval}" if interval else f"{number:>22}"


def _cutflow(cutflow: Sequence[tuple[str, str, int]], channels: bool) -> list[str]:
    """The cut-flow per stage and particle; of channels only on request."""
    rows: dict[tuple[str, str], dict[str, int]] = {}
    for stage, text, count in cutflow:
        name, _, step = text.rpartition(": ")
        rows.setdefault((stage, name), {})[step] = count
    events = rows.pop(("events", "all"), {})
    lines = [f"cut-flow: read {events.get('read', 0)} = tagged {events.get('tagged', 0)} + "
             f"untagged {events.get('untagged', 0)}"]
    for (_, name), steps in [item for item in rows.items() if item[0][0] == "events"]:
        lines += [f"  {name}: {step}: {count}" for step, count in steps.items()]
    shown = ("events with a candidate", "events without", "classified", "duplicates dropped", "kept", "kept true")
    lines.append(f"{'stage':8} {'particle':10} " + " ".join(f"{s:>24}" for s in shown))
    for (stage, name), steps in rows.items():
        if stage != "events" and "kept" in steps:
            lines.append(f"{stage:8} {name:10} " + " ".join(f"{steps.get(s, 0):>24}" for s in shown))
    if channels:
        for (stage, name), steps in rows.items():
            if stage != "events" and "kept" not in steps:
                lines.append(f"{stage:8} {name}: " + ", ".join(f"{step} {count}" for step, count in steps.items()))
    return lines


def comparison_table(comparison: Comparison, reconstructible: Mapping[str, Mapping[str, Reconstructible]], *,
                     given_bb: bool = False) -> str:
    """Tag-side efficiencies at the purities, the maximum and the reconstructible fraction of each set, by B type.

    ``given_bb``: how the Btags were read.
    """
    lines = ["tag-side efficiency: correct best Btags over all events of the B type, %; intervals of 68.3 %",
             f"ratio: to {comparison.baseline}, on the same events ({comparison.replicas} bootstrap replicas of the "
             "events)"]
    lines += ["P: SignalProbabilityGivenBB where a set has it, else SignalProbability"] if given_bb else []
    for b_type, sets in comparison.sets.items():
        lines += ["", f"{b_type}, {comparison.events[b_type].n} events",
                  f"  {'':20} {'set':20} {'tag-side efficiency %':>24} {'ratio':>24} {'P >':>9}"]
        for label, rows in _rows(sets).items():
            for name, (efficiency, ratio, threshold) in rows.items():
                times = "1 (baseline)" if name == comparison.baseline else measured(ratio)
                lines.append(f"  {label:20} {name:20} {percent(efficiency):>24} {times:>24} {threshold:9.4g}")
        lines += [f"  {'any candidate right':20} {name:20} {percent(of_b_type.listed):>24}"
                  for name, of_b_type in sets.items()]
        for names, found in of_same_channels(reconstructible, b_type):
            lines += [f"  {'reconstructible':20} {names:20} {percent(found.covered):>24}",
                      f"  {'  inside acceptance':20} {names:20} {percent(found.in_acceptance):>24}"]
    return "\n".join(lines)


def _rows(sets: Mapping[str, SetOfBType]) -> dict[str, dict[str, tuple[Measured, Measured, float]]]:
    rows: dict[str, dict[str, tuple[Measured, Measured, float]]] = {}
    for name, found in sets.items():
        for at in found.at_purity:
            row = rows.setdefault(f"at {100 * at.purity:g} % purity", {})
            row[name] = at.tag_side_efficiency, at.ratio, at.threshold
        rows.setdefault("maximum", {})[name] = found.maximum, found.maximum_ratio, 0.0
    # the maximum, of all sets, comes last
    return {label: rows[label] for label in sorted(rows, key=lambda label: label == "maximum")}


def sculpting_table(found: Sculpting) -> str:
    """Window over sideband per slice, relative to the lowest, and the two-sample test."""
    lines = ["Mbc of false best Btags: signal window over sideband, and that relative to the lowest slice"]
    for b_type, backgrounds in found.slices.items():
        for name, slices in backgrounds.items():
            lines += ["", f"{b_type}, {name}", f"{'SignalProbability':>18} {'number':>7} {'window / sideband':>22} "
                      f"{'relative':>22} {'KS distance':>12} {'p-value':>9}"]
            lines += [f"{part.low:9g} to {part.high:5g} {part.n:7d} {measured(part.ratio):>22} "
                      f"{measured(part.relative):>22} {part.distance:12.4f} {part.p_value:9.2g}" for part in slices]
    return "\n".join(lines)


def calibration_table(groups: Mapping[str, Sequence[Calibration]]) -> str:
    """Promised and kept, and the expected calibration error."""
    lines = ["Calibration of the best Btag",
             f"{'':5} {'P >':>6} {'number':>8} {'promised':>9} {'right':>24} {'calibration error':>26} "
             f"{'by chance':>9}"]
    for name, rows in groups.items():
        lines += [f"{name:5} {row.min_signal_probability:6g} {row.n:8d} {row.promised:9.4f} "
                  f"{measured(row.right, 4):>24} {measured(row.error, 4):>26} {row.from_fluctuations:9.4f}"
                  for row in rows]
    return "\n".join(lines)


def lost_table(found: Mapping[str, LostOfBType], *, names: int = 3) -> str:
    """The truth cut-flow: per cent of all events left and lost, and the particles and channels that lose most.

    Steps that lose nothing are left out.
    """
    lines = []
    for b_type, counts in found.items():
        lines += [f"{b_type}: per cent of {counts.events.n} {B_TYPES[b_type][1]} events in which a right tag is left",
                  f"{'':10} {'':22} {'left %':>20} {'lost %':>20}  most lost"]
        for i, row in enumerate(counts.fractions()):
            if i and not row.lost.value > 0.0:
                continue
            lost = percent(row.lost) if i else ""
            lines.append(f"{row.stage:10} {row.step:22} {percent(row.left):>20} {lost:>20}  "
                         f"{_most(row.particles, names)}".rstrip())
            if set(row.channels) != set(row.particles):
                lines.append(f"{'':77}{_most(row.channels, names)}")
        if counts.chosen_beside.n:
            beside = 100.0 * counts.chosen_beside.weight / counts.events.weight
            lines.append(f"{'':10} right by another chain than those counted: {beside:.3f} %")
        lines.append("")
    return "\n".join(lines).rstrip()


def _most(fractions: Mapping[str, float], number: int) -> str:
    """The first names, with per cent."""
    return ", ".join(f"{name} {100.0 * value:.3f}" for name, value in list(fractions.items())[:number])
