"""What every process of a run makes once for itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Context(Generic[Value]):
    """What every process of a run makes once for itself, such as the classifiers that it reads from their folder.

    ``make`` is called when ``value`` is first asked for, here or in a worker, which is sent
    ``make`` and not the value. The next run has a context of its own, so that files that
    changed in between are read again.

    >>> context = Context(lambda: [])
    >>> context.value is context.value, Context(lambda: []).value is context.value
    (True, False)
    """

    def __init__(self, make: Callable[[], Value]) -> None:
        self._make = make
        self._made: list[Value] = []

    @property
    def value(self) -> Value:
        """What this process made."""
        if not self._made:
            self._made.append(self._make())
        return self._made[0]

    def __reduce__(self) -> tuple[type[Context[Value]], tuple[Callable[[], Value]]]:
        return Context, (self._make,)


def nothing() -> None:
    """The context of functions that need none."""
