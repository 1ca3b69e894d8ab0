"""The same function over many pieces of work, in one process or several."""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from fei_lite.errors import WorkerError

Task = TypeVar("Task")
Result = TypeVar("Result")


def ordered_map(
    function: Callable[[Task], Result], tasks: Sequence[Task], *, workers: int = 1,
) -> Iterator[Result]:
    """Results of ``function(task)`` in the order of the tasks.

    With several workers the function and the tasks are sent to fresh processes
    (both must be picklable) and at most two results per worker wait in memory.
    The first task runs here, so that compiled kernels are in the cache before
    others look for them: Numba's cache has one writer only.

    An error of a task is raised here, after the results of the tasks before
    it; :class:`WorkerError` if the system ended a process. No process is left
    when the iterator ends, is closed or is interrupted.
    """
    if workers <= 1 or len(tasks) <= 1:
        yield from map(function, tasks)
        return
    from concurrent.futures import Future, ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool
    from multiprocessing import get_context

    yield function(tasks[0])
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_start_worker) as pool:
        waiting: deque[Future[Result]] = deque()
        try:
            for task in tasks[1:]:
                waiting.append(pool.submit(function, task))
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
