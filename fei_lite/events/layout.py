"""How the schema's columns are laid out as flat branches of a file.

A scalar column is one branch (``tracks_charge``); a vector column is one
branch per component, with basf2-like names (``tracks_d0``, ``tracks_cov_01``,
``generated_px``). ROOT and Parquet files use the same names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.events import schema

HELIX = ("d0", "phi0", "omega", "z0", "tanLambda")
_MOMENTUM = ("px", "py", "pz", "E")
_POSITION = ("x", "y", "z")
_COV5 = tuple(f"cov_{i}{j}" for i in range(5) for j in range(i, 5))

#: Names of the components of each vector column, by (list, column).
COMPONENTS: dict[tuple[str, str], tuple[str, ...]] = {
    ("events", "beam_p4"): tuple(f"beam_{c}" for c in _MOMENTUM),
    ("events", "ip"): tuple(f"ip_{c}" for c in _POSITION),
    ("events", "ip_cov"): tuple(f"ip_cov_{c}" for c in ("xx", "xy", "xz", "yy", "yz", "zz")),
    ("tracks", "helix"): HELIX,
    ("tracks", "helix_cov"): _COV5,
    ("tracks", "pid_logl"): tuple(f"logl_{c}" for c in ("e", "mu", "pi", "K", "p", "d")),
    ("v0s", "positive_helix"): tuple(f"positive_{c}" for c in HELIX),
    ("v0s", "positive_cov"): tuple(f"positive_{c}" for c in _COV5),
    ("v0s", "negative_helix"): tuple(f"negative_{c}" for c in HELIX),
    ("v0s", "negative_cov"): tuple(f"negative_{c}" for c in _COV5),
    ("generated", "p4"): _MOMENTUM,
    ("generated", "vertex"): _POSITION,
}


@dataclass(frozen=True)
class Branch:
    """One branch: its name in the file, its list, and its place in the column."""

    name: str
    list: str
    column: str
    component: int  # -1: the column is a scalar
    dtype: np.dtype


def branches(list_name: str) -> tuple[Branch, ...]:
    """The branches of a list (``"events"`` for the event-level columns), in schema order.

    >>> [branch.name for branch in branches("generated")][:5]
    ['generated_pdg', 'generated_mother', 'generated_status', 'generated_px', 'generated_py']
    """
    columns = schema.EVENT if list_name == "events" else schema.LISTS[list_name]
    prefix = "" if list_name == "events" else f"{list_name}_"
    found = []
    for column in columns:
        names = COMPONENTS[list_name, column.name] if column.shape else (column.name,)
        for i, name in enumerate(names):
            found.append(Branch(prefix + name, list_name, column.name, i if column.shape else -1,
                                np.dtype(column.dtype)))
    return tuple(found)


def split(list_name: str, columns: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Branch arrays, contiguous and of the schema's type, from column arrays."""
    return {
        b.name: np.ascontiguousarray(columns[b.column] if b.component < 0 else columns[b.column][:, b.component],
                                     dtype=b.dtype)
        for b in branches(list_name)
    }


def join(list_name: str, arrays: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Column arrays from branch arrays: the inverse of :func:`split`."""
    columns = schema.EVENT if list_name == "events" else schema.LISTS[list_name]
    size = len(arrays[branches(list_name)[0].name])
    joined = {column.name: column.empty(size) for column in columns}
    for b in branches(list_name):
        target = joined[b.column] if b.component < 0 else joined[b.column][:, b.component]
        target[...] = arrays[b.name]
    return joined
