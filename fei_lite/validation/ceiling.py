"""The ceiling of the tag-side efficiency, from generator truth."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fei_lite.channels import ChannelSet
from fei_lite.channels.coverage import complete_in_acceptance, covered
from fei_lite.errors import EventFileError
from fei_lite.evaluation import KINDS, Measured, share
from fei_lite.events import open_events
from fei_lite.events.files import PathLike
from fei_lite.events.types import event_types


@dataclass(frozen=True)
class Ceiling:
    """Shares of the events of one kind in which a tag is there to be found.

    ``covered``: at least one of the two B decays through the channel set;
    ``in_acceptance``: with all its final-state particles inside the detector
    (:class:`fei_lite.channels.coverage.Acceptance`).
    """

    n_events: int
    covered: Measured
    in_acceptance: Measured


def find_ceiling(paths: Sequence[PathLike], channel_set: ChannelSet, *, batch_size: int = 2000,
                 progress: Callable[[int], None] | None = None) -> dict[str, Ceiling]:
    """The ceiling for ``"B+"`` (B+B- events) and ``"B0"`` (B0B0bar events) in event files with truth.

    ``progress`` is called with the number of events done. Raises
    :class:`EventFileError` for files without truth.
    """
    # number, weight, squared weight, covered weight, covered weight in acceptance
    sums = {kind: np.zeros(5) for kind in KINDS}
    done = 0
    for batch in open_events(list(paths), batch_size=batch_size):
        if batch.generated is None:
            raise EventFileError(f"{batch.source}: no list 'generated': the ceiling is known from truth alone.")
        types, weight = event_types(batch), batch.events["weight"].astype(np.float64)
        all_of, inside = (find(channel_set, batch.generated) for find in (covered, complete_in_acceptance))
        for kind, (_, event_type) in KINDS.items():
            w = np.where(types == event_type, weight, 0.0)
            sums[kind] += [np.count_nonzero(types == event_type), w.sum(), (w**2).sum(), w[all_of].sum(),
                           w[inside].sum()]
        done += batch.n_events
        if progress is not None:
            progress(done)
    return {kind: Ceiling(int(n), share(found, total, n_effective=total**2 / squares),
                          share(in_acceptance, total, n_effective=total**2 / squares))
            for kind, (n, total, squares, found, in_acceptance) in sums.items() if n > 0}


def of_same_channels(ceilings: Mapping[str, Mapping[str, Ceiling]], kind: str) -> list[tuple[str, Ceiling]]:
    """Ceilings of one kind by the names of the sets that share them: (names, ceiling)."""
    names: dict[Ceiling, list[str]] = {}
    for name, of_set in ceilings.items():
        if kind in of_set:
            names.setdefault(of_set[kind], []).append(name)
    return [("all" if len(group) == len(ceilings) > 1 else ", ".join(group), ceiling)
            for ceiling, group in names.items()]
