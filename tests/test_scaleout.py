"""Work on a Dask cluster: the same results in the same order, whoever is killed on the way."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from scaleout_tasks import factor, journal_of, marked, page_faults, times_calculated

from fei_lite.errors import EventFileError, FeiLiteError, OutputError, WorkerError
from fei_lite.events.ranges import EntryRange, name_of
from fei_lite.parallel import Context, map_in_context
from fei_lite.parallel.packing import packed, unpacked
from fei_lite.parallel.worker import Terms, do_piece, identity
from fei_lite.production.event_files import simulate_files
from fei_lite.production.simulate import simulate_file

HERE = Path(__file__).parent
TALK = dict(os.environ, PYTHONPATH=f"{HERE}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
            DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES="1")


def run(n, *, workers, folder, journal=None, **options):
    """The tasks 0 to n, their results as numbers and lists."""
    found = map_in_context(partial(marked, folder=str(folder), **options), range(n), Context(factor),
                           workers=workers, journal=journal)
    return [(one["number"], one["values"].tolist()) for one in found]


def expected(n):
    return [(i, [3 * k for k in range(i)]) for i in range(n)]


class Cluster:
    """A scheduler and workers, each a process that can be killed."""

    def __init__(self, folder, n=2):
        self.folder, self.processes = folder, {}
        self.start("scheduler", "--port", "0", "--host", "127.0.0.1", "--scheduler-file", str(folder / "where.json"),
                   "--no-dashboard")
        for i in range(n):
            self.add_worker(f"worker{i}")

    def start(self, name, *arguments):
        command = [sys.executable, "-m", "distributed.cli.dask_scheduler", *arguments]
        if name != "scheduler":
            command[2] = "distributed.cli.dask_worker"
        with open(self.folder / f"{name}.log", "wb") as log:
            self.processes[name] = subprocess.Popen(command, stdout=log, stderr=log, env=TALK, cwd=self.folder)

    def add_worker(self, name):
        self.start(name, "--scheduler-file", str(self.folder / "where.json"), "--nthreads", "1", "--name", name,
                   "--no-dashboard", "--death-timeout", "60")

    @property
    def address(self):
        import json

        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                return json.loads((self.folder / "where.json").read_text())["address"]
            except (OSError, ValueError):
                time.sleep(0.05)
        raise AssertionError((self.folder / "scheduler.log").read_text())

    def kill(self, name):
        self.processes[name].kill()
        self.processes.pop(name).wait()

    def close(self):
        for name in list(self.processes):
            self.kill(name)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    pytest.importorskip("distributed", reason="Dask is not installed (extra fei-lite[dask])")
    found = Cluster(tmp_path_factory.mktemp("cluster"))
    yield found
    found.close()


@pytest.fixture(scope="module")
def executor(cluster):
    from fei_lite.parallel.cluster import connected

    with connected(cluster.address) as found:
        found._client.wait_for_workers(2, timeout=60)
        found._counted = -100.0
        yield found


# The journal, on any executor.

def test_packed_values_come_back():
    """Would catch a value that changes on its way through a journal: NaN, types, empty arrays, texts, tuples."""
    value = {"a": [1, 2.5, None, True, "é"], ("b", 2): (np.float64(0.1), np.int32(3)),
             "arrays": [np.array([np.nan, 1e-300]), np.zeros((0, 3), np.int16), np.array(["x", "yy"]),
                        np.array(["text", ""], dtype=object), np.array([[True], [False]])]}
    again = unpacked(packed(value))
    assert list(again) == list(value) and again["a"] == value["a"] and again[("b", 2)] == value[("b", 2)]
    assert [type(one) for one in again[("b", 2)]] == [np.float64, np.int32]
    for ours, theirs in zip(value["arrays"], again["arrays"], strict=True):
        np.testing.assert_array_equal(ours, theirs)
        assert ours.dtype == theirs.dtype and ours.shape == theirs.shape
    with pytest.raises(TypeError, match="set"):
        packed({1, 2})


@pytest.mark.parametrize("workers", [1, 2])
def test_journal_keeps_what_was_done(tmp_path, workers):
    """Would catch finished work done again, results lost, doubled or in another order, an error that spoils all."""
    path, known = tmp_path / "run.journal", partial(run, 9, workers=workers, folder=tmp_path)
    with pytest.raises(EventFileError, match="task 6"):
        known(journal=journal_of(path), fail_at=6)
    assert known(journal=journal_of(path)) == expected(9)
    times = times_calculated(tmp_path)
    assert all(times[i] == 1 for i in range(6)) and times[6] == 2
    assert known(journal=journal_of(path)) == expected(9) and times_calculated(tmp_path) == times
    assert known(journal=journal_of(path, other=2)) == expected(9)  # of another run: all again
    assert all(times_calculated(tmp_path)[i] == times[i] + 1 for i in range(9))


def test_torn_and_damaged_journal(tmp_path):
    """Would catch a result that was half written when the power went, or a damaged one, taken for a result."""
    path = tmp_path / "run.journal"
    run(6, workers=1, folder=tmp_path, journal=journal_of(path))
    whole = path.read_bytes()
    for left in range(len(whole) - 150, len(whole), 10):
        path.write_bytes(whole[:left])
        assert run(6, workers=1, folder=tmp_path, seconds=0.0, journal=journal_of(path)) == expected(6)
        assert path.read_bytes() == whole
    for place in (3, len(whole) // 2, len(whole) - 5):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1:])
        assert run(6, workers=1, folder=tmp_path, seconds=0.0, journal=journal_of(path)) == expected(6)


def test_one_run_at_a_time_has_the_journal(tmp_path):
    """Would catch two runs that write into one journal."""
    journal = journal_of(tmp_path / "run.journal")
    with journal.opened(), pytest.raises(WorkerError, match="another run"):
        run(2, workers=1, folder=tmp_path, journal=journal)
    with pytest.raises(OutputError, match="journal"):
        run(2, workers=1, folder=tmp_path, journal=journal_of(tmp_path / "nowhere" / "run.journal"))


def test_another_file_of_the_same_name_is_another_task(tmp_path):
    """Would catch results of an old file taken for those of the new one under its name."""
    path = tmp_path / "a.root"
    names = set()
    for content in (b"a" * 100_000, b"b" + b"a" * 99_999, b"a" * 99_999 + b"b", b"a" * 100_001):
        path.write_bytes(content)
        names.add(name_of(EntryRange(path, 0, 10, 0)))
        time.sleep(0.01)
    assert len(names) == 4
    assert name_of(EntryRange(path, 0, 11, 0)) not in names and name_of(EntryRange(path, 0, 10, 5)) not in names


# A worker looks at what it was given.

def test_worker_of_another_version_is_refused():
    """Would catch results of another fei-lite or Python among the others."""
    for name in identity():
        terms = Terms("run", os.getcwd(), {**identity(), name: "0.0"})
        with pytest.raises(WorkerError, match=f"{name} is .* there and 0.0 here"):
            do_piece(terms, marked, Context(factor), 1, [])


def test_worker_that_sees_other_disks(tmp_path):
    """Would catch a worker without the input, the models or the folder that answers with a riddle."""
    def ask(folder, files, make=factor):
        do_piece(Terms(str(time.time()), str(folder), identity()), partial(marked, folder="."), Context(make), 1, files)

    def no_models():
        raise FeiLiteError("mine: no such model set.")

    with pytest.raises(WorkerError, match=r"events\.root: is there for this process and not for the worker on"):
        ask(tmp_path, [tmp_path / "events.root"])
    with pytest.raises(WorkerError, match=r"folder .*gone, where the command was given"):
        ask(tmp_path / "gone", [])
    with pytest.raises(WorkerError, match=r"no such model set\. The models, channels and other files"):
        ask(tmp_path, [], no_models)
    assert os.listdir(tmp_path) == []


# A cluster.

def test_cluster_gives_results_in_order(executor, tmp_path):
    """Would catch the order of completion, one worker that does all, and an error that comes before its turn."""
    assert run(20, workers=executor, folder=tmp_path) == expected(20)
    assert len({path.read_text() for path in tmp_path.glob("*.marks")}) == 2
    seen = []
    with pytest.raises(EventFileError, match="task 7: no events"):
        seen.extend(map_in_context(partial(marked, folder=str(tmp_path), fail_at=7), range(9), Context(factor),
                                   workers=executor))
    assert run(12, workers=executor, folder=tmp_path, break_at=5) == expected(12)  # tried again


def test_tasks_are_taken_when_there_is_room(executor, tmp_path):
    """Would catch a list of a hundred thousand tasks that is sent, or made, at once."""
    taken = []

    def tasks():
        for i in range(100_000):
            taken.append(i)
            yield i

    results = map_in_context(partial(marked, folder=str(tmp_path)), tasks(), Context(factor), workers=executor)
    for _ in range(5):
        next(results)
    results.close()
    assert len(taken) <= 5 + 2 * 2


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc alone lets memory be kept")
def test_workers_use_freed_memory_again(executor):
    """Dask has them give it back: every array of every batch would cost its page faults anew."""
    faults = list(map_in_context(page_faults, range(4), Context(factor), workers=executor))
    assert max(faults) < 5 * 2048  # 50 * 2048 where each array is given back


def test_killed_worker_changes_nothing(cluster, executor, tmp_path):
    """Would catch a result lost or doubled when the system kills a worker (its nanny starts another)."""
    assert run(20, workers=executor, folder=tmp_path, die_at=6) == expected(20)
    assert times_calculated(tmp_path)[6] == 2


def test_result_lost_with_its_worker(executor, tmp_path):
    """Would catch a worker's end taken for the scheduler's: it is killed with a result that nobody has fetched yet."""
    with executor.session(partial(marked, folder=str(tmp_path)), Context(factor)) as run:
        run.submit(0, 0)
        run.submit(1, 1)
        future = next(iter(run.futures))
        end = time.monotonic() + 60
        while future.status == "pending" and time.monotonic() < end:
            time.sleep(0.01)
        os.kill(int((tmp_path / "0.marks").read_text()), signal.SIGKILL)
        while times_calculated(tmp_path)[0] < 2 and time.monotonic() < end:
            time.sleep(0.01)
        found = {done.number: done for done in (run.next_done(), run.next_done())}
    assert [found[k].error for k in range(2)] == [None, None]
    assert [found[k].value["number"] for k in range(2)] == [0, 1]
    assert times_calculated(tmp_path)[0] == 2


def test_killed_client_goes_on(cluster, executor, tmp_path):
    """Would catch finished work lost with the client: only what was under way may be done again."""
    journal, n = tmp_path / "run.journal", 24
    (marks := tmp_path / "marks").mkdir()
    command = [sys.executable, str(HERE / "scaleout_tasks.py"), cluster.address, str(marks), str(journal), str(n)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=TALK, text=True) as client:
        while client.stdout.readline().strip() != "8":
            assert client.poll() is None
        client.send_signal(signal.SIGKILL)
    time.sleep(0.5)
    assert run(n, workers=executor, folder=marks, journal=journal_of(journal)) == expected(n)
    again = {number for number, times in times_calculated(marks).items() if times > 1}
    assert len(again) <= 4 and min(again, default=9) > 8


def test_killed_scheduler_goes_on(executor, tmp_path):
    """Would catch a client that hangs without its scheduler, and one that begins again with the next one."""
    from fei_lite.parallel.cluster import connected

    (first := tmp_path / "first").mkdir()
    (marks := tmp_path / "marks").mkdir()
    own, n = Cluster(first, 1), 24
    try:
        command = [sys.executable, str(HERE / "scaleout_tasks.py"), own.address, str(marks),
                   str(tmp_path / "run.journal"), str(n)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=TALK, text=True) as client:
            while client.stdout.readline().strip() != "5":
                assert client.poll() is None
            own.kill("scheduler")
            talk = client.stdout.read()
            assert client.wait(timeout=60) == 2
        assert "WorkerError the scheduler was lost" in talk and "goes on" in talk
    finally:
        own.close()
    with connected(executor._client.scheduler.address) as other:
        assert run(n, workers=other, folder=marks, journal=journal_of(tmp_path / "run.journal")) == expected(n)
    assert all(times_calculated(marks)[i] == 1 for i in range(6))


def test_no_scheduler():
    """Would catch a traceback, or a wait without end, where nothing listens."""
    from fei_lite.parallel import cluster

    before, cluster._REACH = cluster._REACH, 1.0
    try:
        with pytest.raises(WorkerError, match=r"scheduler tcp://127\.0\.0\.1:9: not reachable"), \
                cluster.connected("tcp://127.0.0.1:9"):
            pass
    finally:
        cluster._REACH = before


def test_another_fei_lite_on_a_worker(cluster, tmp_path):
    """Would catch a worker with an old fei-lite, or none, found out after hours and in a traceback."""
    from fei_lite.parallel.cluster import connected

    (tmp_path / "fei_lite").mkdir()
    (tmp_path / "fei_lite" / "__init__.py").write_text("__version__ = '0.0.1'")
    other = Cluster(tmp_path, 0)
    try:
        other.address  # noqa: B018
        before = TALK["PYTHONPATH"]
        TALK["PYTHONPATH"] = f"{tmp_path}{os.pathsep}{before}"
        other.add_worker("old")
        TALK["PYTHONPATH"] = before
        with pytest.raises(WorkerError, match=r"fei-lite is (missing there, or another version|0\.0\.1 there)"):
            end = time.monotonic() + 30
            while time.monotonic() < end:  # until the worker is there
                with connected(other.address):
                    time.sleep(0.2)
    finally:
        other.close()


def test_jobs_of_a_batch_system(tmp_path, monkeypatch):
    """Would catch workers that are asked for in words that a batch system does not understand, and jobs left over."""
    pytest.importorskip("dask_jobqueue", reason="dask-jobqueue is not installed (extra fei-lite[dask])")
    from fei_lite.parallel.cluster import started

    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(WorkerError, match="there is no sbatch on this machine"), started("slurm", 1):
        pass
    monkeypatch.undo()
    for name, text in {"sbatch": 'cp "$1" job.sh; setsid bash job.sh >job.log 2>&1 & echo "Submitted batch job $!"',
                       "scancel": 'kill -9 -- -"$1"'}.items():  # as Slurm's, on this machine
        (tmp_path / name).write_text(f"#!/bin/bash\n{text}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", TALK["PYTHONPATH"])
    monkeypatch.chdir(tmp_path)
    with started("slurm", 1) as workers:
        assert run(4, workers=workers, folder=tmp_path) == expected(4)
        pids = {int(path.read_text().split()[0]) for path in tmp_path.glob("*.marks")}
    assert os.getpid() not in pids
    job = (tmp_path / "job.sh").read_text()
    assert "#SBATCH --cpus-per-task=1" in job and "--nthreads 1" in job and sys.executable in job
    end = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < end:
        time.sleep(0.1)
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def test_event_files_are_those_of_single_runs(tmp_path):
    """Would catch events that depend on who makes them, a file made twice, and a folder with two simulations."""
    simulate_file("mixed", tmp_path / "one.parquet", n=20, seed=8)
    made = partial(simulate_files, "mixed", tmp_path / "many", n=50, per_file=30, seed=7, suffix=".parquet")
    assert made(workers=2).n_generated == 50
    names = [f"mixed_{seed}.parquet" for seed in (7, 8)]
    assert sorted(os.listdir(tmp_path / "many")) == [*names, "simulation.txt"]
    assert (tmp_path / "many" / names[1]).read_bytes() == (tmp_path / "one.parquet").read_bytes()
    before = [(tmp_path / "many" / name).stat().st_mtime_ns for name in names]
    (tmp_path / "many" / names[0]).unlink()
    assert made().n_events == 50
    assert [(tmp_path / "many" / name).stat().st_mtime_ns for name in names][1] == before[1]
    for change in ({"settings": "monash"}, {"per_file": 20}):
        with pytest.raises(OutputError, match="a folder of another simulation"):
            made(**change)
