"""The overtraining table of a report in plain text: AUC on the training sample and on other events, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: Columns of the table: key of the report's rows, key of the pull, heading.
_SAMPLES = (("held_out", "pull_held_out", "held out"), ("on_events", "pull", "independent"))
#: A channel with fewer true candidates in its training sample is named at the end.
FEW = 1000


def overtraining_table(numbers: Mapping[str, Any]) -> str:
    """Every channel with a classifier, and the summary, of the numbers of a report.

    ``true`` are true candidates; ``pull`` is (AUC - AUC on the training sample) over the
    uncertainty of the difference; ``-`` is not measured, or too few true candidates to judge. Channels with
    fewer than :data:`FEW` true candidates to train on are listed at the end, those without a classifier among them.
    """
    channels = numbers["channels"].values()
    rows = [row for row in channels if row["status"] == "trained"]
    lines = [f"{'AUC':<48} {'training':>9} {'true':>7}"
             + "".join(f" {heading:>20} {'true':>7} {'pull':>6}" for *_, heading in _SAMPLES)]
    for row in rows:
        training = row["training"]
        text = f"{row['identifier']:<48} {_fixed(training['auc'], 9, 4)} {training['n_signal']:7d}"
        for key, pull, _ in _SAMPLES:
            found = row[key] or {"auc": None, "auc_uncertainty": None, "n_signal": 0}
            text += (f" {_fixed(found['auc'], 10, 4)} +- {_fixed(found['auc_uncertainty'], 6, 4)}"
                     f" {found['n_signal']:7d} {_fixed(row[pull], 6, 2)}")
        lines.append(text + (" *" if row["flag"] else ""))
    together = numbers["overtraining"]
    for _, key, heading in _SAMPLES:
        found = together[key]
        if found["n"]:
            lines.append(f"{heading}: {found['n']} channels judged, pulls {_fixed(found['mean'], 0, 2)} on average, "
                         f"width {_fixed(found['width'], 0, 2)}, lowest {_fixed(found['lowest'], 0, 2)}, "
                         f"{found['beyond']} beyond {together['limit']:g} "
                         f"({found['by_chance']:.1f} by chance)")
    lines.append(f"* differs by more than {together['limit']:g} standard deviations: "
                 f"{len(together['flagged'])} channels")
    few = {row["identifier"]: row["training"]["n_signal"] for row in channels
           if row["training"] is not None and row["training"]["n_signal"] < FEW}
    lines.append(f"fewer than {FEW} true candidates to train on: {len(few)} of {len(numbers['channels'])} channels"
                 + "".join(f"\n  {name} {n}" for name, n in few.items()))
    return "\n".join(lines)


def _fixed(value: float | None, width: int, digits: int) -> str:
    return f"{'-':>{width}}" if value is None else f"{value:{width}.{digits}f}"
