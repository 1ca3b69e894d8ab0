"""Several event files as one mixture: B+B-, B0B0bar and continuum as they come from the collider."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from fei_lite.errors import EventFileError
from fei_lite.events import EventBatch
from fei_lite.events.ranges import EntryRange, read_range
from fei_lite.events.reading import origin_of

#: What the event weights of each file are multiplied with; files that are not listed: 1.
Factors = Mapping[str, float]


def luminosity_factors(shares: Sequence[tuple[Path, float]]) -> dict[str, float]:
    """Factors by file that give every process the luminosity of the first one.

    ``shares`` are files and the share of their events that is used. Files of one
    process add up. Raises :class:`EventFileError` for a file that does not know
    its process and luminosity.
    """
    process: dict[str, str] = {}
    luminosity: dict[str, float] = {}
    for path, share in shares:
        origin = origin_of(path)
        value, process[str(path)] = origin.get("luminosity_fb"), str(origin.get("process"))
        if not isinstance(value, (int, float)) or not value > 0.0:
            raise EventFileError(f"{path}: luminosity_fb: got {value}, expected a positive number: samples without a "
                                 "luminosity cannot be brought to the same one. fei-lite simulate writes it for "
                                 "every process with a cross section.")
        luminosity[process[str(path)]] = luminosity.get(process[str(path)], 0.0) + share * float(value)
    first = next(iter(luminosity.values()), 1.0)
    return {path: first / luminosity[of] for path, of in process.items()}


def read_weighted(entries: EntryRange, factors: Factors) -> Iterator[EventBatch]:
    """The events of a range, with the weights that they have in the mixture."""
    factor = factors.get(str(entries.path), 1.0)
    for batch in read_range(entries):
        if batch.generated is None:
            raise EventFileError(f"{entries.path}: no list 'generated': training needs events with truth.")
        weight = batch.events["weight"]
        if batch.n_events and not (weight.min() >= 0.0 and weight.sum() > 0.0):
            raise EventFileError(f"{entries.path}: column 'weight': entries {entries.start} to {entries.stop}: the "
                                 f"smallest is {weight.min():g}, their sum {weight.sum():g}; training needs weights of "
                                 "0 or more with a positive sum.")
        batch.events["weight"] = batch.events["weight"] * factor
        yield batch
