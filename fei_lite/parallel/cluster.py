"""An executor of a Dask cluster (extra ``fei-lite[dask]``): one that runs, or one that is started for the run."""

from __future__ import annotations

import os
import queue
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from fei_lite.errors import FeiLiteError, WorkerError
from fei_lite.parallel.context import Context
from fei_lite.parallel.executor import Outcome, Session
from fei_lite.parallel.processes import processors
from fei_lite.parallel.worker import Terms, check_identity, do_piece, files_of, identity

#: Kinds of clusters that can be started: on this machine, or as jobs of a batch system.
CLUSTERS = ("local", "htcondor", "slurm", "lsf")
#: Tasks per worker that wait or run: one to begin with when another ends.
_PER_WORKER = 2
#: Seconds to wait for an answer of the scheduler, and after which a lost one is not waited for.
_REACH, _LOST = 10.0, 10.0
#: What is asked of a job where Dask's own configuration (jobqueue.yaml) says nothing.
_JOB = {"cores": 1, "processes": 1, "memory": "3GB"}
#: Watching what workers do costs some percent of their time, and only a dashboard shows it.
_QUIET = {"distributed.worker.profile.enabled": False, "distributed.admin.system-monitor.gil.enabled": False,
          "distributed.admin.system-monitor.interval": "5s", "distributed.admin.tick.interval": "1s",
          "distributed.admin.tick.limit": "30s"}

Notice = Callable[[str], None]


def _dask() -> Any:
    """The package ``distributed``."""
    try:
        import distributed
    except ImportError:
        raise FeiLiteError("no package 'distributed': Dask is an extra of fei-lite. Install it: "
                           "pip install 'fei-lite[dask]'") from None
    return distributed


def _ignore(_: str) -> None:
    """No one to tell."""


@contextmanager
def connected(address: str, *, notice: Notice = _ignore) -> Iterator[DaskExecutor]:
    """An executor of the cluster whose scheduler is at ``address`` (``tcp://host:8786``).

    Raises :class:`WorkerError` if there is none, and for workers of another version.
    """
    dask = _dask()
    try:
        client = dask.Client(address, timeout=_REACH, set_as_default=False)
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        said = str(error).strip().splitlines() or [type(error).__name__]
        raise WorkerError(f"scheduler {address}: not reachable within {_REACH:.0f} s ({said[0][:200]}). Is it running "
                          "(dask scheduler), and does no firewall stand between?") from None
    try:
        yield DaskExecutor(client, notice=notice)
    finally:
        with suppress(Exception):  # a lost scheduler cannot be said goodbye to
            client.close(timeout=2)


@contextmanager
def started(kind: str, workers: int, *, notice: Notice = _ignore) -> Iterator[DaskExecutor]:
    """An executor of a cluster with ``workers`` workers that lives as long as the block.

    ``kind`` is one of :data:`CLUSTERS`. Jobs of a batch system ask for what ``jobqueue.yaml`` of Dask says, which
    otherwise is a core and 3 GB.
    """
    cluster = make_cluster(kind, workers)
    try:
        notice(f"cluster '{kind}': scheduler {cluster.scheduler_address}, {workers} workers asked for")
        with connected(cluster.scheduler_address, notice=notice) as executor:
            yield executor
    finally:
        with suppress(Exception):
            cluster.close(timeout=10)


def make_cluster(kind: str, workers: int) -> Any:
    """A Dask cluster of single-threaded workers."""
    if kind not in CLUSTERS:
        raise FeiLiteError(f"cluster: got '{kind}', expected one of {', '.join(CLUSTERS)}.")
    if workers < 1:
        raise FeiLiteError(f"workers: got {workers}, expected 1 or more.")
    dask = _dask()
    if kind == "local":
        import dask as configuration

        with configuration.config.set(_QUIET):  # workers are given it when they start
            return dask.LocalCluster(n_workers=workers, threads_per_worker=1, processes=True,
                                     dashboard_address=None, silence_logs=50)
    try:
        import dask_jobqueue
    except ImportError:
        raise FeiLiteError("no package 'dask_jobqueue'. Install it: pip install 'fei-lite[dask]'") from None
    import dask as configuration

    name, command = {"htcondor": ("HTCondorCluster", "condor_submit"), "slurm": ("SLURMCluster", "sbatch"),
                     "lsf": ("LSFCluster", "bsub")}[kind]
    if shutil.which(command) is None:
        raise WorkerError(f"cluster '{kind}': there is no {command} on this machine. Run the command on a host from "
                          "which jobs are sent, or give a running scheduler (--scheduler).")
    said = configuration.config.get(f"jobqueue.{kind}", {}) or {}
    asked: dict[str, Any] = {key: value for key, value in _JOB.items() if said.get(key) is None}
    if kind == "htcondor" and said.get("disk") is None:
        asked["disk"] = "2GB"
    try:
        cluster = getattr(dask_jobqueue, name)(**asked, scheduler_options={"dashboard_address": ":0"})
        cluster.scale(jobs=workers)
    except (RuntimeError, ValueError, OSError) as error:
        raise WorkerError(f"cluster '{kind}': {str(error).splitlines()[0]}. See docs/scaling.md on what Dask must be "
                          "told of your batch system.") from None
    return cluster


class DaskExecutor:
    """An executor of a Dask cluster, by its client. A worker that is killed costs what it was doing."""

    retries = 2

    def __init__(self, client: Any, *, notice: Notice = _ignore) -> None:
        self._client, self._notice = client, notice
        self._counted, self._n = -100.0, 0
        self._check_workers()

    def __repr__(self) -> str:
        return f"DaskExecutor({self._client.scheduler.address if self._client.scheduler else 'closed'}, "\
               f"{self._n} workers)"

    def _check_workers(self) -> None:
        """Compare the workers that are there with this process; later ones look at themselves."""
        here = identity()
        for address, said in self._client.get_versions()["workers"].items():
            python = ".".join(str(said["packages"]["python"]).split(".")[:2])
            check_identity({"Python": here["Python"]}, {"Python": python}, f"worker {address}")
        for address, got in self._client.run(identity, on_error="return").items():
            if not isinstance(got, dict):
                raise WorkerError(f"worker {address}: fei-lite is missing there, or another version ({got}). Start "
                                  "workers in the same environment.")
            check_identity(here, got, f"worker {address}")
        if not self.workers:
            self._notice(f"scheduler {self._client.scheduler.address}: no workers yet; waiting for the first ones")

    def run_on_workers(self, function: Callable[[], Any]) -> dict[str, Any]:
        """What a function gives on every worker, by address: for measurements."""
        return dict(self._client.run(function))

    @property
    def workers(self) -> int:
        """Worker processes that are there now (counted every few seconds); 0 before the first one."""
        if time.monotonic() - self._counted > 3.0:
            self._n, self._counted = len(self._client.nthreads()), time.monotonic()
        return self._n

    @property
    def threads(self) -> int:
        """All of this machine: the others wait."""
        return processors()

    @contextmanager
    def session(self, function: Callable[[Any, Any], Any], context: Context[Any]) -> Iterator[Session]:
        """A run; what is under way when it ends is cancelled."""
        run = _Run(self, self._client, function, context)
        try:
            yield run
        finally:
            with suppress(Exception):
                self._client.cancel(list(run.futures))


class _Run:
    """A run of a function on a cluster."""

    def __init__(self, executor: DaskExecutor, client: Any, function: Callable[[Any, Any], Any],
                 context: Context[Any]) -> None:
        self._executor, self._client, self._function, self._context = executor, client, function, context
        self._terms = Terms(secrets.token_hex(8), os.getcwd(), identity())
        self._done: queue.Queue[Any] = queue.Queue()
        self._lost_since: float | None = None
        #: Those whose results were lost with a worker before they were fetched: Dask calculates them again.
        self._again: list[Any] = []
        self.futures: dict[Any, int] = {}
        self._submitted = 0

    @property
    def room(self) -> int:
        with self._scheduler_there():
            return _PER_WORKER * max(self._executor.workers, 1)

    def submit(self, number: int, task: Any) -> None:
        files = [path for path in files_of(task) if path.exists()]
        self._submitted += 1
        with self._scheduler_there():
            future = self._client.submit(do_piece, self._terms, self._function, self._context, task, files,
                                         pure=False, key=f"fei-lite-{self._terms.run}-{self._submitted}")
            self.futures[future] = number
            future.add_done_callback(self._done.put)

    @contextmanager
    def _scheduler_there(self) -> Iterator[None]:
        try:
            yield
        except FeiLiteError:
            raise
        except Exception as error:  # of connections, in many classes
            raise self._lost(error) from None

    def next_done(self) -> Outcome:
        future = self._next_future()
        number = self.futures.pop(future)
        if future.status == "cancelled":
            raise self._lost(future.status)
        try:
            return Outcome(number, future.result(timeout=600))
        except Exception as error:
            return Outcome(number, error=self._told(error))

    def _next_future(self) -> Any:
        while True:
            future = next((one for one in self._again if one.status != "lost"), None)
            if future is not None:
                self._again.remove(future)
                return future
            try:
                future = self._done.get(timeout=0.5)
            except queue.Empty:
                self._look_for_scheduler()
                continue
            if future.status != "lost":
                return future
            self._again.append(future)

    def _told(self, error: Exception) -> Exception:
        """An error of a worker, in fei-lite's words where the cluster made it."""
        dask = _dask()
        if isinstance(error, dask.scheduler.KilledWorker):
            return WorkerError(f"a piece of work ended several workers ({str(error).splitlines()[0][:200]}), most "
                               "often for lack of memory. Take smaller batches or workers with more memory.")
        if isinstance(error, ImportError | AttributeError) or "deserializ" in str(error):
            return WorkerError(f"a worker cannot read its task ({type(error).__name__}: {str(error)[:200]}): fei-lite "
                               "is missing there, or another version. Start workers in the same environment.")
        if type(error).__name__ in ("FutureCancelledError", "CancelledError", "CommClosedError"):
            return self._lost(type(error).__name__)
        return error

    def _look_for_scheduler(self) -> None:
        if self._client.status == "running":
            self._lost_since = None
            return
        self._lost_since = self._lost_since or time.monotonic()
        if self._client.status == "closed" or time.monotonic() - self._lost_since > _LOST:
            raise self._lost(self._client.status)

    def _lost(self, what: object) -> WorkerError:
        return WorkerError(f"the scheduler was lost ({str(what)[:120]}). Start it (and workers) again; the same "
                           "command goes on with what stands in the journal beside its output.")

