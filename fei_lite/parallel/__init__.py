"""The same function over many pieces of work: in this process, in several, or on a Dask cluster.

Drivers call :func:`map_in_context` and know nothing of what is behind it: ``workers`` is a number of processes or
an :class:`Executor`.
"""

from fei_lite.parallel.context import Context
from fei_lite.parallel.executor import Executor, Outcome, Session
from fei_lite.parallel.journal import Journal
from fei_lite.parallel.mapping import Workers, executor_of, map_in_context, ordered_map, threads_of
from fei_lite.parallel.processes import Processes, checked_workers, processors

__all__ = ["Context", "Executor", "Journal", "Outcome", "Processes", "Session", "Workers", "checked_workers",
           "executor_of", "map_in_context", "ordered_map", "processors", "threads_of"]
