"""The same function over many pieces of work, in one process or several."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

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
    """
    if workers <= 1 or len(tasks) <= 1:
        yield from map(function, tasks)
        return
    from concurrent.futures import Future, ProcessPoolExecutor
    from multiprocessing import get_context

    yield function(tasks[0])
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        waiting: deque[Future[Result]] = deque()
        try:
            for task in tasks[1:]:
                waiting.append(pool.submit(function, task))
                if len(waiting) >= 2 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
