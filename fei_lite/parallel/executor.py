"""What can do pieces of work: the one interface of processes here and of a cluster.

An executor opens a session for a function and its context. Tasks with a number are handed to the session and come
back as outcomes, in the order in which they are done. Order, bounds, retries and the journal are the business of
:mod:`fei_lite.parallel.mapping`, the same for all.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from fei_lite.parallel.context import Context


@dataclass(frozen=True)
class Outcome:
    """What became of the task with this number: a value, or an error."""

    number: int
    value: Any = None
    error: BaseException | None = None


class Session(Protocol):
    """A run of one function on an executor."""

    @property
    def room(self) -> int:
        """How many tasks are to be in its hands at present."""

    def submit(self, number: int, task: Any) -> None:
        """Take a task."""

    def next_done(self) -> Outcome:
        """Wait for a task that is done, and hand it back; called only while there are some."""


class Executor(Protocol):
    """Does ``function(task, context.value)`` for many tasks."""

    @property
    def workers(self) -> int:
        """How many tasks it works on at a time."""

    @property
    def threads(self) -> int:
        """Processors that work of this process itself (fits) may take meanwhile."""

    @property
    def retries(self) -> int:
        """How often a task is tried again after an error that is not fei-lite's own (a network, a disk)."""

    def session(self, function: Callable[[Any, Any], Any], context: Context[Any]) -> AbstractContextManager[Session]:
        """A run; when it ends, in whatever way, nothing of it goes on."""
