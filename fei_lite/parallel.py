"""The same function over many pieces of work, in one process or several."""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain, islice
from typing import Any, Generic, TypeVar

from fei_lite.errors import FeiLiteError, WorkerError

Task = TypeVar("Task")
Result = TypeVar("Result")
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


#: The context of a worker process, which serves one run and ends with it; elsewhere there is none.
_of_worker: list[Context[Any]] = []


def checked_workers(workers: int) -> int:
    """The number of processes; :class:`FeiLiteError` unless it is 1 or more."""
    if workers < 1:
        raise FeiLiteError(f"workers: got {workers}, expected 1 or more processes.")
    return workers


def map_in_context(function: Callable[[Task, Value], Result], tasks: Iterable[Task], context: Context[Value], *,
                   workers: int = 1) -> Iterator[Result]:
    """:func:`ordered_map` of ``function(task, context.value)``; each worker makes the value once."""
    if checked_workers(workers) == 1:
        yield from (function(task, context.value) for task in tasks)
    else:
        yield from _in_processes(function, tasks, workers, context)


def ordered_map(
    function: Callable[[Task], Result], tasks: Iterable[Task], *, workers: int = 1,
) -> Iterator[Result]:
    """Results of ``function(task)`` in the order of the tasks.

    With several workers the function and the tasks are sent to fresh processes
    (both must be picklable) and at most two results per worker wait in memory;
    a task is taken from its iterator when a process is free for it.
    The first task runs here, so that compiled kernels are in the cache before
    others look for them: Numba's cache has one writer only.

    An error of a task is raised here, after the results of the tasks before
    it; :class:`WorkerError` if the system ended a process. No process is left
    when the iterator ends, is closed or is interrupted.
    """
    if checked_workers(workers) == 1:
        yield from map(function, tasks)
    else:
        yield from _in_processes(partial(_without_context, function), tasks, workers, Context(_nothing))


def _nothing() -> None:
    """The context of functions that need none."""


def _without_context(function: Callable[[Task], Result], task: Task, _value: None) -> Result:
    return function(task)


def _in_worker(function: Callable[[Task, Value], Result], context: Context[Value], task: Task) -> Result:
    """A task in a worker process: the context that came with the first one serves all."""
    if not _of_worker:
        _of_worker.append(context)
    return function(task, _of_worker[0].value)


def _in_processes(function: Callable[[Task, Value], Result], tasks: Iterable[Task], workers: int,
                  context: Context[Value]) -> Iterator[Result]:
    """The first task here, the others in processes of their own."""
    from concurrent.futures import Future, ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool
    from multiprocessing import get_context

    rest = iter(tasks)
    first = list(islice(rest, 2))
    for task in first[:1]:
        yield function(task, context.value)
    if len(first) < 2:
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_start_worker) as pool:
        waiting: deque[Future[Result]] = deque()
        try:
            for task in chain(first[1:], rest):
                waiting.append(pool.submit(_in_worker, function, context, task))
                if len(waiting) >= 2 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool:
            raise WorkerError(
                f"one of {workers} worker processes was ended from outside, most often for lack of memory. "
                "Take fewer workers (--workers) or smaller batches.") from None
        finally:
            # Futures cancelled one by one could make this wait for ever (CPython's issue 94440, before 3.11.4): the
            # pool's thread woke up to nothing but these, took them away and waited for a result.
            pool.shutdown(cancel_futures=True)


def _start_worker() -> None:
    """Let a worker end at once on Ctrl-C, and whenever the process that started it is gone."""
    from multiprocessing import parent_process
    from threading import Thread

    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # ignored by a job in the background, as by its parent
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    parent = parent_process()

    def end_with_parent() -> None:
        if parent is not None:
            parent.join()
        os._exit(1)

    Thread(target=end_with_parent, daemon=True).start()
