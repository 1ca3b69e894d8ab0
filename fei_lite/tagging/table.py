"""Btags as a table: columns by name, and the way to awkward and pandas."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.errors import FeiLiteError, UnknownNameError, nearest

#: A column: flat (n,), or a list per candidate as (offsets (n + 1,), values).
Column = NDArray[Any] | tuple[NDArray[Any], NDArray[Any]]
CutFlowRows = list[tuple[str, str, int]]


class TagTable:
    """Columns of Btags: ``tags["Mbc"]``, ``len(tags)``, ``tags.to_pandas()``, ``to_awkward()``, ``to_arrow()``."""

    columns: Mapping[str, Column]

    def __len__(self) -> int:
        raise NotImplementedError

    def _per_event(self) -> NDArray[np.integer]:
        """Number of Btags of every event."""
        raise NotImplementedError

    def __getitem__(self, name: str) -> Column:
        """A column: (n,), or (offsets, values) of one with a list per Btag. Raises :class:`UnknownNameError`."""
        try:
            return self.columns[name]
        except (KeyError, TypeError):
            raise UnknownNameError(f"no Btag column {name!r}.{nearest(str(name), self.columns)} There are "
                                   f"{', '.join(self.columns)}.") from None

    def _ipython_key_completions_(self) -> list[str]:
        return list(self.columns)

    def to_awkward(self) -> Any:
        """The Btags as an awkward array: one list per event, best first, fields by basf2 name.

        Field ``p4`` has records named ``Momentum4D``: after ``vector.register_awkward()`` they are four-vectors (px,
        py, pz, E; laboratory, GeV). (The Btags themselves cannot be: vector takes their ``M`` for another energy.)
        """
        import awkward as ak

        fields = {}
        for name, values in self.columns.items():
            if isinstance(values, tuple):
                offsets, content = values
                fields[name] = ak.unflatten(content, np.diff(offsets))
            else:
                fields[name] = ak.Array(values.tolist()) if values.dtype.kind in "UO" else values
        if {"px", "py", "pz", "E"} <= fields.keys():
            fields["p4"] = ak.zip({name: fields[name] for name in ("px", "py", "pz", "E")}, with_name="Momentum4D")
        records = ak.zip(fields, depth_limit=1)
        return ak.unflatten(records, self._per_event())

    def to_arrow(self) -> Any:
        """The Btags as a table of pyarrow, one row each, in memory; columns with a list per Btag are lists."""
        import pyarrow as pa

        arrays = {}
        for name, values in self.columns.items():
            if isinstance(values, tuple):
                arrays[name] = pa.LargeListArray.from_arrays(pa.array(np.asarray(values[0], np.int64)),
                                                             pa.array(values[1]))
            else:
                arrays[name] = pa.array([str(text) for text in values], pa.string()) if values.dtype.kind in "UOT" \
                    else pa.array(values)
        return pa.table(arrays)

    def to_pandas(self) -> Any:
        """The Btags as a pandas DataFrame, one row each; columns with a list per Btag hold arrays.

        Raises :class:`FeiLiteError` if pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError:
            raise FeiLiteError("to_pandas() needs pandas, which is not installed: pip install pandas, "
                               "or use to_awkward().") from None
        data: dict[str, Any] = {}
        for name, values in self.columns.items():
            if isinstance(values, tuple):
                lists = np.empty(len(self), dtype=object)
                lists[:] = np.split(values[1], values[0][1:-1]) if len(self) else []
                data[name] = lists
            else:
                data[name] = values
        return pd.DataFrame(data, copy=True)


@dataclass(frozen=True, eq=False)
class BtagFile(TagTable):
    """The content of a Btag file: ``columns`` by name, ``cutflow`` (stage, step, count) and ``metadata``.

    It unpacks into these three: ``columns, cutflow, metadata = read_tags(path)``. ``n_btags`` counts the
    rows of the file.
    """

    columns: dict[str, Column]
    cutflow: CutFlowRows
    metadata: dict[str, Any]
    path: str
    n_btags: int

    def __repr__(self) -> str:
        events = self.metadata.get("n_events", "unknown number of")
        return (f"BtagFile('{self.path}': {self.n_btags} Btags of {events} events, cut-flow of {len(self.cutflow)} "
                f"rows: {', '.join(self.columns)})")

    def __len__(self) -> int:
        return self.n_btags

    def __iter__(self) -> Iterator[Any]:
        return iter((self.columns, self.cutflow, self.metadata))

    def _per_event(self) -> NDArray[np.integer]:
        entry = self.columns.get("entry")
        if not isinstance(entry, np.ndarray):
            raise UnknownNameError(f"{self.path}: to_awkward() makes one list per event and needs the column 'entry', "
                                   f"which was not read: columns=[{', '.join(map(repr, self.columns))}, 'entry'].")
        return np.bincount(entry, minlength=int(self.metadata.get("n_events", 0)))
