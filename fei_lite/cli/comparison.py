"""``fei-lite evaluate`` with several Btag files: model sets compared on the same events."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fei_lite.performance.best_tags import BestTags, Choice
    from fei_lite.performance.efficiency import Comparison, SetOfKind
    from fei_lite.performance.reconstructible import Reconstructible
    from fei_lite.performance.working_points import Measured


def compare(arguments: argparse.Namespace) -> str:
    """Compare the Btag files of the arguments; draws the figure, returns the result as text."""
    comparison, reconstructible = compare_files(
        arguments.btags, choose=arguments.choose, purities=arguments.purities, replicas=arguments.replicas,
        seed=arguments.seed, events=arguments.reconstructible, given_bb=arguments.given_bb)
    if arguments.figure is not None:
        from fei_lite.plots.validation import draw_comparison

        draw_comparison(comparison, arguments.figure, reconstructible=reconstructible, force=arguments.force)
    return as_json(comparison, reconstructible) if arguments.format == "json" else table(
        comparison, reconstructible, given_bb=arguments.given_bb)


def compare_files(
    paths: Sequence[Path], *, choose: Choice = "event", purities: Sequence[float] | None = None, replicas: int = 400,
    seed: int = 1, events: Sequence[Path] | None = None, given_bb: bool = False,
) -> tuple[Comparison, dict[str, dict[str, Reconstructible]]]:
    """Sets compared, and their reconstructible fractions in ``events``.

    No ``events``: in the Btag files' own inputs; None: not asked for.

    ``given_bb``: tags are ordered by ``SignalProbabilityGivenBB`` where a set has it (events without continuum).
    """
    import numpy as np

    from fei_lite.performance.best_tags import read_best_tags
    from fei_lite.performance.efficiency import PURITIES, compare_sets

    read = [read_best_tags(path, choose=choose, given_bb=given_bb) for path in paths]
    sets = dict(zip(set_names(paths, read), read, strict=True))
    comparison = compare_sets(sets, purities=purities or PURITIES, replicas=replicas, rng=np.random.default_rng(seed))
    return comparison, {} if events is None else _reconstructible(sets, events)


def as_json(comparison: Comparison, reconstructible: Mapping[str, Mapping[str, Reconstructible]]) -> str:
    """The comparison and the reconstructible as JSON."""
    from fei_lite.performance.plain import as_plain

    return json.dumps({"comparison": as_plain(comparison), "reconstructible": as_plain(reconstructible)}, indent=1)


def set_names(paths: Sequence[Path], tags: Sequence[BestTags]) -> list[str]:
    """A name per file: that of its model set if it is one of its own, else the file's."""
    for names in ([Path(str(t.metadata.get("models", ""))).name for t in tags], [p.stem for p in paths]):
        if len(set(names)) == len(names) and all(names):
            return names
    return [str(p) for p in paths]


def _reconstructible(sets: Mapping[str, BestTags], events: Sequence[Path]) -> dict[str, dict[str, Reconstructible]]:
    """The reconstructible fraction of each set's channels, in the events given or in those that the Btag files name."""
    from tqdm import tqdm

    from fei_lite.channels import load_channel_set
    from fei_lite.performance.reconstructible import find_reconstructible

    found: dict[str, dict[str, Reconstructible]] = {}  # by channel set
    for tags in sets.values():
        name = str(tags.metadata["channel_set"])
        if name not in found:
            with tqdm(total=tags.events.n, unit=" events", file=sys.stderr, disable=None, leave=False) as bar:
                found[name] = find_reconstructible(list(events) or [Path(p) for p in tags.metadata["inputs"]],
                                           load_channel_set(name), progress=lambda n: bar.update(n - bar.n))
    return {name: found[str(tags.metadata["channel_set"])] for name, tags in sets.items()}


def _percent(measured: Measured) -> str:
    if measured.value != measured.value:
        return "-"
    return f"{100 * measured.value:.3f} [{100 * measured.lower:.3f}, {100 * measured.upper:.3f}]"


def _times(measured: Measured) -> str:
    if measured.value != measured.value:
        return "-"
    return f"{measured.value:.3f} [{measured.lower:.3f}, {measured.upper:.3f}]"


def table(comparison: Comparison, reconstructible: Mapping[str, Mapping[str, Reconstructible]], *,
          given_bb: bool = False) -> str:
    """Efficiencies at the purities, the maximum and the reconstructible fraction of each set, by B type.

    ``given_bb``: how the Btags were read.
    """
    from fei_lite.performance.reconstructible import of_same_channels

    lines = ["tag-side efficiency: correct best Btags over all events of the B type, %; intervals of 68.3 %",
             f"ratio: to {comparison.baseline}, on the same events ({comparison.replicas} bootstrap replicas of the "
             "events)"]
    lines += ["P: SignalProbabilityGivenBB where a set has it, else SignalProbability"] if given_bb else []
    for b_type, sets in comparison.sets.items():
        events = comparison.events[b_type]
        lines += ["", f"{b_type}, {events.n} events", f"  {'':20} {'set':20} {'tag-side efficiency %':>24} "
                  f"{'ratio':>24} {'P >':>9}"]
        for label, rows in _rows(sets).items():
            for name, (efficiency, ratio, threshold) in rows.items():
                times = "1 (baseline)" if name == comparison.baseline else _times(ratio)
                lines.append(f"  {label:20} {name:20} {_percent(efficiency):>24} {times:>24} {threshold:9.4g}")
        lines += [f"  {'any candidate right':20} {name:20} {_percent(of_b_type.listed):>24}"
                  for name, of_b_type in sets.items()]
        for names, fraction in of_same_channels(reconstructible, b_type):
            lines += [f"  {'reconstructible':20} {names:20} {_percent(fraction.covered):>24}",
                      f"  {'  inside acceptance':20} {names:20} {_percent(fraction.in_acceptance):>24}"]
    return "\n".join(lines)


def _rows(sets: Mapping[str, SetOfKind]) -> dict[str, dict[str, tuple[Measured, Measured, float]]]:
    rows: dict[str, dict[str, tuple[Measured, Measured, float]]] = {}
    for name, found in sets.items():
        for at in found.at_purity:
            row = rows.setdefault(f"at {100 * at.purity:g} % purity", {})
            row[name] = at.efficiency, at.ratio, at.threshold
        rows.setdefault("maximum", {})[name] = found.maximum, found.maximum_ratio, 0.0
    # the maximum, of all sets, comes last
    return {label: rows[label] for label in sorted(rows, key=lambda label: label == "maximum")}
