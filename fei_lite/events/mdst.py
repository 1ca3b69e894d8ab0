"""Belle II mDST files as :class:`EventBatch` (to come with the next commit)."""

from __future__ import annotations

from collections.abc import Iterator

from fei_lite.errors import EventFileError
from fei_lite.events.batch import EventBatch
from fei_lite.events.files import PathLike

TREE = "tree"


def count_events(path: PathLike) -> int:
    raise EventFileError(f"{path}: mDST cannot be read yet.")


def iterate_mdst(path: PathLike, *, batch_size: int = 2000, entry_start: int | None = None,
                 entry_stop: int | None = None) -> Iterator[EventBatch]:
    raise EventFileError(f"{path}: mDST cannot be read yet.")
