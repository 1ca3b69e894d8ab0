"""``fei-lite evaluate`` with several Btag files: model sets compared on the same events."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fei_lite.evaluation import Measured
    from fei_lite.validation.best_tags import BestTags, Choice
    from fei_lite.validation.ceiling import Ceiling
    from fei_lite.validation.efficiency import Comparison, SetOfKind


def compare(arguments: argparse.Namespace) -> str:
    """Compare the Btag files of the arguments; draws the figure, returns the result as text."""
    comparison, ceilings = compare_files(
        arguments.btags, choose=arguments.choose, purities=arguments.purities, replicas=arguments.replicas,
        seed=arguments.seed, events=arguments.ceiling, in_bb=arguments.in_bb)
    if arguments.figure is not None:
        from fei_lite.plots.validation import draw_comparison

        draw_comparison(comparison, arguments.figure, ceilings=ceilings, force=arguments.force)
    return as_json(comparison, ceilings) if arguments.format == "json" else table(
        comparison, ceilings, in_bb=arguments.in_bb)


def compare_files(
    paths: Sequence[Path], *, choose: Choice = "event", purities: Sequence[float] | None = None, replicas: int = 400,
    seed: int = 1, events: Sequence[Path] | None = None, in_bb: bool = False,
) -> tuple[Comparison, dict[str, dict[str, Ceiling]]]:
    """Sets compared, and their ceilings in ``events`` (none: in the Btag files' own inputs; None: not asked for).

    ``in_bb``: tags are ordered by ``probabilityInBB`` where a set has it (events without continuum).
    """
    import numpy as np

    from fei_lite.validation.best_tags import read_best_tags
    from fei_lite.validation.efficiency import PURITIES, compare_sets

    read = [read_best_tags(path, choose=choose, in_bb=in_bb) for path in paths]
    sets = dict(zip(set_names(paths, read), read, strict=True))
    comparison = compare_sets(sets, purities=purities or PURITIES, replicas=replicas, rng=np.random.default_rng(seed))
    return comparison, {} if events is None else _ceilings(sets, events)


def as_json(comparison: Comparison, ceilings: Mapping[str, Mapping[str, Ceiling]]) -> str:
    """The comparison and the ceilings as JSON."""
    from fei_lite.validation.plain import as_plain

    return json.dumps({"comparison": as_plain(comparison), "ceiling": as_plain(ceilings)}, indent=1)


def set_names(paths: Sequence[Path], tags: Sequence[BestTags]) -> list[str]:
    """A name per file: that of its model set if it is one of its own, else the file's."""
    for names in ([Path(str(t.metadata.get("models", ""))).name for t in tags], [p.stem for p in paths]):
        if len(set(names)) == len(names) and all(names):
            return names
    return [str(p) for p in paths]


def _ceilings(sets: Mapping[str, BestTags], events: Sequence[Path]) -> dict[str, dict[str, Ceiling]]:
    """The ceiling of each set's channels, in the events given or in those that the Btag files name."""
    from tqdm import tqdm

    from fei_lite.channels import load_channel_set
    from fei_lite.validation.ceiling import find_ceiling

    found: dict[str, dict[str, Ceiling]] = {}  # by channel set
    for tags in sets.values():
        name = str(tags.metadata["channel_set"])
        if name not in found:
            with tqdm(total=tags.events.n, unit=" events", file=sys.stderr, disable=None, leave=False) as bar:
                found[name] = find_ceiling(list(events) or [Path(p) for p in tags.metadata["inputs"]],
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


def table(comparison: Comparison, ceilings: Mapping[str, Mapping[str, Ceiling]], *, in_bb: bool = False) -> str:
    """Efficiencies at the purities, the maximum and the ceiling of each set, by kind; ``in_bb``: how they were read."""
    from fei_lite.validation.ceiling import of_same_channels

    lines = ["tag-side efficiency: correct best Btags over all events of the kind, %; intervals of 68.3 %",
             f"ratio: to {comparison.baseline}, on the same events ({comparison.replicas} bootstrap replicas of the "
             "events)"]
    lines += ["P: probabilityInBB where a set has it, else SignalProbability"] if in_bb else []
    for kind, sets in comparison.sets.items():
        events = comparison.events[kind]
        lines += ["", f"{kind}, {events.n} events", f"  {'':20} {'set':20} {'tag-side efficiency %':>24} "
                  f"{'ratio':>24} {'P >':>9}"]
        for label, rows in _rows(sets).items():
            for name, (efficiency, ratio, threshold) in rows.items():
                times = "1 (baseline)" if name == comparison.baseline else _times(ratio)
                lines.append(f"  {label:20} {name:20} {_percent(efficiency):>24} {times:>24} {threshold:9.4g}")
        lines += [f"  {'any candidate right':20} {name:20} {_percent(of_kind.listed):>24}"
                  for name, of_kind in sets.items()]
        for names, ceiling in of_same_channels(ceilings, kind):
            lines += [f"  {'ceiling':20} {names:20} {_percent(ceiling.covered):>24}",
                      f"  {'  inside acceptance':20} {names:20} {_percent(ceiling.in_acceptance):>24}"]
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
