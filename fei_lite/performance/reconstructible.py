"""The reconstructible fraction of the tag-side efficiency, from generator truth."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fei_lite.channels import ChannelSet
from fei_lite.channels.covered_decays import complete_in_acceptance, covered
from fei_lite.errors import EventFileError
from fei_lite.events import open_events
from fei_lite.events.files import PathLike
from fei_lite.events.types import event_types
from fei_lite.performance.working_points import B_TYPES, Measured, fraction


@dataclass(frozen=True)
class Reconstructible:
    """Shares of the events of one b_type in which a tag is there to be found.

    ``covered``: at least one of the two B decays through the channel set;
    ``in_acceptance``: with all its final-state particles inside the detector
    (:class:`fei_lite.channels.covered_decays.Acceptance`).
    """

    n_events: int
    covered: Measured
    in_acceptance: Measured


def find_reconstructible(paths: Sequence[PathLike], channel_set: ChannelSet, *, batch_size: int = 2000,
                 progress: Callable[[int], None] | None = None) -> dict[str, Reconstructible]:
    """The reconstructible fraction for ``"B+"`` (B+B- events) and ``"B0"`` (B0B0bar events) in event files with truth.

    ``progress`` is called with the number of events done. Raises
    :class:`EventFileError` for files without truth.
    """
    # number, weight, squared weight, covered weight, covered weight in acceptance
    sums = {b_type: np.zeros(5) for b_type in B_TYPES}
    done = 0
    for batch in open_events(list(paths), batch_size=batch_size):
        if batch.generated is None:
            raise EventFileError(f"{batch.source}: no list 'generated': the reconstructible fraction is known "
                                 "from truth alone.")
        types, weight = event_types(batch), batch.events["weight"].astype(np.float64)
        all_of, inside = (find(channel_set, batch.generated) for find in (covered, complete_in_acceptance))
        for b_type, (_, event_type) in B_TYPES.items():
            w = np.where(types == event_type, weight, 0.0)
            sums[b_type] += [np.count_nonzero(types == event_type), w.sum(), (w**2).sum(), w[all_of].sum(),
                           w[inside].sum()]
        done += batch.n_events
        if progress is not None:
            progress(done)
    return {b_type: Reconstructible(int(n), fraction(found, total, n_effective=total**2 / squares),
                          fraction(in_acceptance, total, n_effective=total**2 / squares))
            for b_type, (n, total, squares, found, in_acceptance) in sums.items() if n > 0}


def of_same_channels(reconstructible: Mapping[str, Mapping[str, Reconstructible]],
                     b_type: str) -> list[tuple[str, Reconstructible]]:
    """Reconstructible fractions of one B type, each with the names of the sets that share it."""
    names: dict[Reconstructible, list[str]] = {}
    for name, of_set in reconstructible.items():
        if b_type in of_set:
            names.setdefault(of_set[b_type], []).append(name)
    return [("all" if len(group) == len(reconstructible) > 1 else ", ".join(group), fraction)
            for fraction, group in names.items()]
