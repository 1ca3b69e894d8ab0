"""All kernels of a reconstruction compiled before their first call, in several processes at once.

Numba compiles a kernel when it is called, one after the other: half a minute where the cache is empty. The kernels and
the types of their arguments stand in ``ahead.json`` (``scripts/write_signatures.py``), so that each process takes a
part of them; the cache brings them together. It is a head start and no more: what the list lacks is compiled when it
is called, and what it has too much is passed over.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from importlib import import_module
from importlib.resources import files
from typing import Any, NamedTuple

from numba import types
from numba.core.errors import NumbaError

from fei_lite.kernels.jit import CACHE, is_cached
from fei_lite.parallel import processors

#: Processes at most: the largest kernel takes a quarter of the time of all.
_PROCESSES = 4
_LIST = "ahead.json"
#: This module, which is __main__ where a helper, or CI, runs it.
_MODULE = "fei_lite.kernels.ahead"


class Entry(NamedTuple):
    """A kernel by the names of its module and function, the types of its arguments (:func:`written`), and the seconds
    that its compilation takes after those before it in the list."""

    kernel: str
    arguments: list[Any]
    seconds: float

    def dispatcher(self) -> Any:
        """The kernel."""
        module, _, name = self.kernel.partition(".")
        return getattr(import_module(f"fei_lite.kernels.{module}"), name)

    def compile(self) -> None:
        """Compile the kernel, or take it from the cache."""
        with suppress(NumbaError, AttributeError):  # the list is of another version
            self.dispatcher().compile(tuple(read(argument) for argument in self.arguments))


@cache
def entries() -> tuple[Entry, ...]:
    """The list."""
    return tuple(Entry(**entry) for entry in json.loads((files("fei_lite.kernels") / _LIST).read_text("utf-8")))


def written(kind: types.Type) -> str | list[Any]:
    """A type as text, a tuple as a list. Raises :class:`ValueError` for what is neither a number, array nor tuple.

    >>> written(types.Tuple((types.int64, types.float64[:, ::1])))
    ['int64', 'float64 2C']
    """
    if isinstance(kind, types.BaseTuple):
        return [written(one) for one in kind]
    if isinstance(kind, types.Array):
        return f"{kind.dtype} {kind.ndim}{kind.layout}{'' if kind.mutable else 'r'}"
    if isinstance(kind, types.Number | types.Boolean):
        return str(kind)
    raise ValueError(f"{kind}: neither a number, an array nor a tuple of them.")


def read(text: str | list[Any]) -> types.Type:
    """The type that :func:`written` wrote.

    >>> read("bool 1Cr")
    Array(bool, 1, 'C', True, aligned=True)
    """
    if isinstance(text, list):
        return types.Tuple([read(one) for one in text])
    name, _, shape = text.partition(" ")
    number = types.boolean if name == "bool" else getattr(types, name)
    return types.Array(number, int(shape[0]), shape[1], readonly=shape.endswith("r")) if shape else number


def missing() -> list[Entry]:
    """Entries whose kernels are not in the cache."""
    return [entry for entry in entries() if not is_cached(entry.dispatcher())]


def parts(wanted: Sequence[Entry], n: int) -> list[list[Entry]]:
    """The entries in ``n`` parts that take about the same time: the longest first, each to who has least to do."""
    found: list[list[Entry]] = [[] for _ in range(n)]
    for entry in sorted(wanted, key=lambda one: -one.seconds):
        min(found, key=lambda part: sum(one.seconds for one in part)).append(entry)
    return [part for part in found if part]


def compile_ahead(notice: Callable[[str], None] | None = None) -> None:
    """Compile what is missing, one part here, the others in processes of their own, as many as there are processors.

    ``notice`` gets a sentence if there is something to do. Without a cache only that is done: what other processes
    compile could not be handed on.
    """
    wanted = missing()
    if not wanted:
        return
    if notice is not None:
        notice("compiling the reconstruction, once on this machine: up to half a minute ...")
    if not CACHE:
        return
    own, *others = parts(wanted, min(processors(), _PROCESSES))
    helpers = [subprocess.Popen([sys.executable, "-m", _MODULE, json.dumps([one._asdict() for one in part])],
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for part in others]
    try:
        for entry in own:
            entry.compile()
        for helper in helpers:
            helper.wait()
    finally:
        for helper in helpers:
            if helper.poll() is None:
                helper.kill()
                helper.wait()


if __name__ == "__main__":
    if len(sys.argv) == 1:
        compile_ahead()
    else:  # a helper, with its part of the list
        for given in json.loads(sys.argv[1]):
            Entry(**given).compile()
