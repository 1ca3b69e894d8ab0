"""An executor of this machine: this process, or several."""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fei_lite.errors import FeiLiteError, WorkerError
from fei_lite.parallel.context import Context
from fei_lite.parallel.executor import Outcome, Session

if TYPE_CHECKING:
    from concurrent.futures import Future, ProcessPoolExecutor

#: The context of a worker process, which serves one run and ends with it; elsewhere there is none.
_of_worker: list[Context[Any]] = []


def checked_workers(workers: int) -> int:
    """The number of processes; :class:`FeiLiteError` unless it is 1 or more."""
    if workers < 1:
        raise FeiLiteError(f"workers: got {workers}, expected 1 or more processes.")
    return workers


def processors() -> int:
    """The processors that this process may use: no more than ``OMP_NUM_THREADS``, which batch systems set."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    told = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    return min(there, int(told)) if told.isdecimal() and int(told) > 0 else there


@dataclass(frozen=True)
class Processes:
    """An executor of ``workers`` processes on this machine; with one, all is done in this process.

    >>> Processes(2).workers
    2
    """

    workers: int = 1
    retries: int = 0

    def __post_init__(self) -> None:
        checked_workers(self.workers)

    @property
    def threads(self) -> int:
        """As many as the processes, which wait meanwhile."""
        return self.workers

    @contextmanager
    def session(self, function: Callable[[Any, Any], Any], context: Context[Any]) -> Iterator[Session]:
        """A run; no process is left when it ends."""
        if self.workers == 1:
            yield _Here(function, context)
            return
        pool = _Pool(function, context, self.workers)
        try:
            yield pool
        except BaseException:
            pool.end_workers()  # a job scheduler waits for seconds, a task may take minutes
            raise
        finally:
            pool.close()


class _Here:
    """One task at a time, in this process."""

    room = 1

    def __init__(self, function: Callable[[Any, Any], Any], context: Context[Any]) -> None:
        self._function, self._context = function, context
        self._waiting: deque[tuple[int, Any]] = deque()

    def submit(self, number: int, task: Any) -> None:
        self._waiting.append((number, task))

    def next_done(self) -> Outcome:
        number, task = self._waiting.popleft()
        try:
            return Outcome(number, self._function(task, self._context.value))
        except Exception as error:  # raised by the caller in its turn
            return Outcome(number, error=error)


class _Pool(_Here):
    """The first task here, so that compiled kernels are in the cache before others look for them; then processes."""

    def __init__(self, function: Callable[[Any, Any], Any], context: Context[Any], workers: int) -> None:
        super().__init__(function, context)
        self._workers = workers
        self._pool: ProcessPoolExecutor | None = None
        self._futures: dict[Future[Any], int] = {}
        self._begun = False

    @property
    def room(self) -> int:  # type: ignore[override]
        return 2 * self._workers if self._begun else 1

    def submit(self, number: int, task: Any) -> None:
        if not self._begun:
            super().submit(number, task)
            return
        from concurrent.futures import ProcessPoolExecutor
        from concurrent.futures.process import BrokenProcessPool
        from multiprocessing import get_context

        if self._pool is None:
            self._pool = ProcessPoolExecutor(self._workers, mp_context=get_context("spawn"), initializer=_start_worker)
        try:
            self._futures[self._pool.submit(_in_worker, self._function, self._context, task)] = number
        except BrokenProcessPool:
            raise self._ended() from None

    def next_done(self) -> Outcome:
        if self._waiting:
            self._begun = True
            return super().next_done()
        from concurrent.futures import FIRST_COMPLETED, wait
        from concurrent.futures.process import BrokenProcessPool

        done, _ = wait(self._futures, return_when=FIRST_COMPLETED)
        future = min(done, key=lambda one: self._futures[one])
        number, error = self._futures.pop(future), future.exception()
        if isinstance(error, BrokenProcessPool):
            raise self._ended()
        return Outcome(number, error=error) if error is not None else Outcome(number, future.result())

    def _ended(self) -> WorkerError:
        return WorkerError(
            f"one of {self._workers} worker processes was ended from outside, most often for lack of memory. "
            "Take fewer workers (--workers) or smaller batches.")

    def end_workers(self) -> None:
        """End the processes in the middle of their tasks. What they did is lost."""
        if self._pool is not None:
            for process in list((self._pool._processes or {}).values()):
                process.terminate()
            # One may have ended within a result: its reader here would wait for the rest as long as anyone can write.
            with suppress(AttributeError, OSError):
                self._pool._result_queue._writer.close()  # type: ignore[attr-defined]

    def close(self) -> None:
        """End the processes when their tasks are done."""
        if self._pool is not None:
            # Futures cancelled one by one could make this wait for ever (CPython's issue 94440, before 3.11.4): the
            # pool's thread woke up to nothing but these, took them away and waited for a result.
            self._pool.shutdown(cancel_futures=True)


def _in_worker(function: Callable[[Any, Any], Any], context: Context[Any], task: Any) -> Any:
    """A task in a worker process: the context that came with the first one serves all."""
    if not _of_worker:
        _of_worker.append(context)
    return function(task, _of_worker[0].value)


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
