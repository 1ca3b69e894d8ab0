"""A function over tasks, results in order: bounded, tried again, kept in a journal, on any executor."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from fei_lite.errors import FeiLiteError
from fei_lite.parallel.context import Context, nothing
from fei_lite.parallel.executor import Executor, Outcome, Session
from fei_lite.parallel.journal import Journal, OpenJournal, Record
from fei_lite.parallel.processes import Processes

Task = TypeVar("Task")
Result = TypeVar("Result")
Value = TypeVar("Value")

#: What drivers take: a number of processes on this machine, or an executor.
Workers = int | Executor

#: Results that may wait on disk for one before them.
_ON_DISK = 10_000


def executor_of(workers: Workers) -> Executor:
    """The executor of a number of processes, or the one given; :class:`FeiLiteError` for a number below 1.

    >>> executor_of(3)
    Processes(workers=3, retries=0)
    """
    return Processes(workers) if isinstance(workers, int) else workers


def threads_of(workers: Workers) -> int:
    """Processors that this process itself may take between two calls of :func:`map_in_context`."""
    return executor_of(workers).threads


def map_in_context(function: Callable[[Task, Value], Result], tasks: Iterable[Task], context: Context[Value], *,
                   workers: Workers = 1, journal: Journal | None = None) -> Iterator[Result]:
    """:func:`ordered_map` of ``function(task, context.value)``; each worker makes the value once.

    With a ``journal`` every result is written down as soon as it is there, and those that a run before this
    one wrote down are not calculated again.
    """
    executor = executor_of(workers)
    if journal is None:
        with executor.session(function, context) as session:
            yield from _Line(session, executor.retries, None).results(tasks)
        return
    recorded = partial(_recorded, function, journal.classes)
    with journal.opened() as opened, executor.session(recorded, context) as session:
        yield from _Line(session, executor.retries, opened).results(tasks)


def ordered_map(function: Callable[[Task], Result], tasks: Iterable[Task], *, workers: Workers = 1) -> Iterator[Result]:
    """Results of ``function(task)`` in the order of the tasks.

    With several workers the function and the tasks are sent to other processes
    (both must be picklable) and at most two results per worker wait in memory;
    a task is taken from its iterator when a process is free for it.
    On this machine the first task runs here, so that compiled kernels are in the cache before
    others look for them.

    An error of a task is raised here, after the results of the tasks before
    it; :class:`WorkerError` if the system ended a process. Nothing goes on
    when the iterator ends, is closed or is interrupted.
    """
    yield from map_in_context(partial(_without_context, function), tasks, Context(nothing), workers=workers)


def _without_context(function: Callable[[Task], Result], task: Task, _value: None) -> Result:
    return function(task)


def _recorded(function: Callable[[Task, Value], Result], classes: tuple[type, ...], task: Task, value: Value) -> Record:
    """A result as its record, made by the worker: the one process that writes the journal has less to do."""
    return Record.of(function(task, value), classes)


@dataclass
class _Line:
    """The tasks of a run: those that are under way, and results that wait for their turn."""

    session: Session
    retries: int
    journal: OpenJournal | None
    under_way: dict[int, tuple[Any, int]] = field(default_factory=dict)
    #: Outcomes, or None for a result that stands in the journal.
    waiting: dict[int, Outcome | None] = field(default_factory=dict)
    turn: int = 0
    failed: bool = False

    def results(self, tasks: Iterable[Any]) -> Iterator[Any]:
        """What the tasks gave, in their order."""
        rest = enumerate(tasks)
        more = True
        while True:
            more = more and self._fill(rest)
            if self.turn in self.waiting:
                outcome = self.waiting.pop(self.turn)
                value = self._value(outcome)
                self.turn += 1
                yield value
            elif self.under_way:
                self._collect(self.session.next_done())
            elif not more:
                return

    def _fill(self, rest: Iterator[tuple[int, Any]]) -> bool:
        """Hand out tasks as long as there is room; False if there are no more."""
        while not self.failed and self._has_room():
            number, task = next(rest, (-1, None))
            if number < 0:
                return False
            if self.journal is not None and self.journal.has(number, task):
                self.waiting[number] = None
                if number == self.turn:
                    break
            else:
                self.under_way[number] = task, 0
                self.session.submit(number, task)
        return True

    def _has_room(self) -> bool:
        room = self.session.room
        at_once = room if self.journal is None else _ON_DISK
        return len(self.under_way) < room and len(self.under_way) + len(self.waiting) < at_once

    def _collect(self, outcome: Outcome) -> None:
        """Take an outcome: write it down, or try again."""
        task, tries = self.under_way.pop(outcome.number)
        if outcome.error is not None:
            if tries < self.retries and not isinstance(outcome.error, FeiLiteError):
                self.under_way[outcome.number] = task, tries + 1
                self.session.submit(outcome.number, task)
                return
            self.failed = True
        elif self.journal is not None:
            self.journal.write(outcome.number, task, outcome.value)
            if outcome.number != self.turn:
                self.waiting[outcome.number] = None
                return
        self.waiting[outcome.number] = outcome

    def _value(self, outcome: Outcome | None) -> Any:
        if outcome is None:
            assert self.journal is not None
            return self.journal.read(self.turn)
        if outcome.error is not None:
            raise outcome.error
        return outcome.value if self.journal is None else self.journal.value(outcome.value)
