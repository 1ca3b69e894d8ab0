"""One way in for every kind of event file, told apart by content."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fei_lite.errors import EventFileError
from fei_lite.events import files, mdst
from fei_lite.events.batch import EventBatch
from fei_lite.events.files import PathLike
from fei_lite.events.mdst_tree import TREE as MDST_TREE
from fei_lite.events.rootio import TREE, contents, damage_reported, in_words, open_root


def kind_of_file(path: PathLike) -> str:
    """``"events"`` (fei-lite, ROOT or Parquet) or ``"mdst"`` (Belle II), from the content.

    Raises :class:`EventFileError` if the file is missing, damaged or neither.
    """
    if files.is_parquet(path):
        return "events"
    with open_root(path) as file, damage_reported(path, "listing its content"):
        found = contents(file)
    if found.get(TREE) == "TTree":
        return "events"
    if found.get(MDST_TREE) == "TTree":
        return "mdst"
    raise EventFileError(f"{path}: expected a TTree '{TREE}' (fei-lite) or '{MDST_TREE}' (Belle II mDST), "
                         f"found {in_words(found)}.")


def count_events(path: PathLike) -> int:
    """Number of events in a file of either kind."""
    return mdst.count_events(path) if kind_of_file(path) == "mdst" else files.inspect_events(path).n_events


def origin_of(path: PathLike) -> dict[str, str | int | float]:
    """What an event file of fei-lite says about how it was made (process, seed ...); empty for mDST files."""
    return {} if kind_of_file(path) == "mdst" else files.inspect_events(path).metadata


def open_events(paths: PathLike | Sequence[PathLike], *, batch_size: int = files.BASKET,
                entry_range: tuple[int, int] | None = None) -> Iterator[EventBatch]:
    """Batches of at most ``batch_size`` events from one file or from several, in the order given.

    Event files of fei-lite (ROOT, Parquet) and Belle II mDST files may be mixed.
    ``entry_range`` = (first, last + 1) selects entries of a single file. A
    batch never spans two files; its ``source`` and ``start`` say where it is from.

    >>> import fei_lite
    >>> for batch in fei_lite.open("events.root"):      # doctest: +SKIP
    ...     print(batch.n_events)
    """
    given = [paths] if isinstance(paths, (str, bytes)) or hasattr(paths, "__fspath__") else list(paths)
    if batch_size < 1:
        raise ValueError(f"batch_size: found {batch_size}, expected at least 1.")
    if entry_range is not None and len(given) != 1:
        raise ValueError(f"entry_range: needs exactly one file, found {len(given)}.")
    start, stop = entry_range if entry_range is not None else (None, None)
    return _batches(given, batch_size, start, stop)


def _batches(paths: list[PathLike], batch_size: int, start: int | None, stop: int | None) -> Iterator[EventBatch]:
    for path in paths:
        read = mdst.iterate_mdst if kind_of_file(path) == "mdst" else files.iterate_events
        yield from read(path, batch_size=batch_size, entry_start=start, entry_stop=stop)
