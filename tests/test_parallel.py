"""Several processes: the same Btags, the same errors, and nothing left behind when stopped."""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from fei_lite import errors
from fei_lite.channels import load_channel_set
from fei_lite.classifiers.fitting import FEI_DEFAULT, fit_channel
from fei_lite.classifiers.writer import ModelSetWriter
from fei_lite.errors import EventFileError, FeiLiteError
from fei_lite.events import EventWriter, read_events
from fei_lite.parallel import Context, map_in_context, ordered_map
from fei_lite.parallel.processes import processors
from fei_lite.production.simulate import simulate_file
from fei_lite.tagging.driver import tag_files
from fei_lite.tagging.output import read_tags

N = 40


@pytest.fixture(scope="module")
def events(tmp_path_factory):
    path = tmp_path_factory.mktemp("events") / "mixed.root"
    simulate_file("mixed", path, n=N, seed=5)
    return path


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A set with a small forest for every channel, fitted to noise: any probability will do."""
    channel_set, folder = load_channel_set("hadronic"), tmp_path_factory.mktemp("models")
    rng = np.random.default_rng(1)
    writer = ModelSetWriter(folder, name="noise", channel_set="hadronic", channel_set_hash=channel_set.hash, seed=1,
                            parameters=FEI_DEFAULT, sample={"files": []}, date="2026-01-01")
    for channel in channel_set.channels():
        X = rng.normal(0.5, 1.0, size=(300, len(channel.features)))
        y = rng.random(300) < 1.0 / (1.0 + np.exp(1.0 - X[:, 0] - 2.0 * X[:, 1]))
        fitted = fit_channel(X, y, np.ones(300), names=channel.features, seed=1, min_entries=10,
                             parameters={"n_trees": 4, "min_data_in_leaf": 5})
        writer.add(channel.identifier, fitted, stage=0)
    return folder


def children():
    return [child for child in multiprocessing.active_children() if child.is_alive()]


def task(number, *, fail_at=None, die_at=None):
    """Square a number; the later the task the sooner it is done."""
    if number == fail_at:
        raise EventFileError(f"task {number}: no events")
    if number == die_at:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.01 * (8 - number))
    return number**2


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_order(workers):
    """Would catch results in the order of their completion, lost or repeated ones."""
    assert list(ordered_map(task, range(8), workers=workers)) == [i**2 for i in range(8)]
    assert list(ordered_map(task, [], workers=workers)) == []
    assert not children()


def opened(path):
    """What a process makes for itself: the number in a file, and a mark that it was read."""
    with open(path + ".read", "a") as marks:
        marks.write(f"{os.getpid()}\n")
    return int(Path(path).read_text())


def scaled(number, scale):
    time.sleep(0.05)
    return number * scale


@pytest.mark.parametrize("workers", [1, 2])
def test_context_is_made_once_per_process_and_run(tmp_path, workers):
    """Would catch a context made for every task, one sent ready-made to the workers, and one that outlives its run."""
    path = tmp_path / "scale"
    for scale in (3, 5):
        path.write_text(str(scale))
        context = Context(partial(opened, str(path)))
        assert context.value == scale and pickle.loads(pickle.dumps(context))._made == []
        assert list(map_in_context(scaled, range(12), context, workers=workers)) == [scale * i for i in range(12)]
    readers = Path(f"{path}.read").read_text().split()
    here = readers.count(str(os.getpid()))
    assert here == 2  # once a run
    assert (len(set(readers)) > 1) == (workers == 2)
    assert all(readers.count(other) == 1 for other in set(readers) - {str(os.getpid())})


@pytest.mark.parametrize("workers", [1, 2])
def test_errors_of_workers_reach_the_caller(workers):
    """Would catch a foreign exception, a hang, or results handed on after the failed one."""
    seen = []
    with pytest.raises(EventFileError, match="task 3: no events"):
        for result in ordered_map(partial(task, fail_at=3), range(8), workers=workers):
            seen.append(result)
    assert seen == [0, 1, 4]
    assert not children()


def failing_or_long(i):
    if i == 1:
        raise EventFileError("task 1: no events")
    time.sleep(90.0 if i else 0.0)


def test_an_error_does_not_wait_for_other_tasks():
    """Would catch a command that is ended, by an error or a job scheduler, and works on for minutes."""
    begun = time.monotonic()
    with pytest.raises(EventFileError, match="task 1"):
        list(ordered_map(failing_or_long, range(6), workers=2))
    assert time.monotonic() - begun < 60.0
    assert not children()


def test_stopping_early_ends_the_workers():
    """Would catch processes that live on after the caller has had enough."""
    results = ordered_map(task, range(8), workers=2)
    assert [next(results), next(results)] == [0, 1]
    assert children()
    results.close()
    assert not children()


@pytest.mark.parametrize("fail_at", [3, None], ids=["an error", "closed"])
def test_stopping_ends_on_a_busy_machine(fail_at, monkeypatch):
    """Would catch waiting for ever where all workers are idle and the last task is cancelled before it was sent."""
    ready = multiprocessing.connection.wait

    def late(*arguments, **keywords):
        found = ready(*arguments, **keywords)
        time.sleep(0.1)  # before the pool's thread goes on, the caller has cancelled
        return found

    def consume():
        results = ordered_map(partial(task, fail_at=fail_at), range(8), workers=2)
        with contextlib.suppress(EventFileError):
            for result in results:
                if result == 4 and fail_at is None:
                    results.close()
                time.sleep(1.5)  # every task handed out is done

    monkeypatch.setattr(multiprocessing.connection, "wait", late)
    consumer = threading.Thread(target=consume, daemon=True)
    consumer.start()
    consumer.join(30.0)
    hangs = consumer.is_alive()
    for child in children():
        child.kill()
    assert not hangs


@pytest.mark.parametrize("kind", [c for c in vars(errors).values() if isinstance(c, type)
                                  and issubclass(c, FeiLiteError)], ids=lambda kind: kind.__name__)
def test_errors_survive_the_way_between_processes(kind):
    """Would catch an error class that cannot be rebuilt from its message: the pool would break instead."""
    error = kind("a.toml: key: wrong")
    if hasattr(error, "findings"):
        error.findings = ("one", "two")
    twin = pickle.loads(pickle.dumps(error))
    assert type(twin) is kind and str(twin) == "a.toml: key: wrong"
    assert vars(twin) == vars(error) and twin.exit_code == error.exit_code


def test_any_number_of_workers_writes_the_same_file(events, models, tmp_path):
    """Would catch candidates, cut-flow or entry numbers that depend on the processes or the batches."""
    inputs = [events, events]
    one, two, other = tmp_path / "one.parquet", tmp_path / "two.parquet", tmp_path / "other.root"
    progress = []
    run = partial(tag_files, inputs, models=str(models), distinct=False)
    totals = [run(one, batch_size=15), run(two, batch_size=15, workers=2, progress=lambda *n: progress.append(n)),
              run(other, batch_size=N)]
    assert one.read_bytes() == two.read_bytes()
    assert totals[0] == totals[1] == totals[2] and totals[0].n_events == 2 * N
    assert progress == [(n, 2 * N) for n in (15, 30, 40, 55, 70, 80)]
    (columns, flow, about), (columns_of_other, flow_of_other, about_other) = read_tags(one), read_tags(other)
    assert sorted(flow) == sorted(flow_of_other) and about == about_other
    assert list(columns) == list(columns_of_other) and len(columns["Mbc"]) > 100
    for name, values in columns.items():
        pairs = zip(values, columns_of_other[name], strict=True) if isinstance(values, tuple) else [
            (values, columns_of_other[name])]
        for ours, theirs in pairs:
            np.testing.assert_array_equal(ours, theirs, err_msg=name)
    assert set(columns["entry"] // N) == {0, 1}
    assert not children()


def test_damaged_input_leaves_nothing(events, models, tmp_path):
    """Would catch a foreign error, a half-written file or a process left over when a worker meets a damaged file."""
    data = bytearray(events.read_bytes())
    data[len(data) // 4 : 3 * len(data) // 4] = bytes(len(data) // 2)
    damaged = tmp_path / "damaged.root"
    damaged.write_bytes(data)
    with pytest.raises(EventFileError, match=r"damaged\.root"):
        tag_files([events, damaged], tmp_path / "btag.root", models=str(models), batch_size=N // 2, workers=2)
    assert os.listdir(tmp_path) == ["damaged.root"]
    assert not children()


# The command line, stopped from outside.

_COMMAND = "import sys; from fei_lite.cli import main; sys.exit(main())"


def processes_of(session):
    """Processes of a session that still run: {pid: parent}."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent, _, its_session = stat.read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(its_session) == session and state != "Z":
            found[int(stat.parent.name)] = int(parent)
    return found


def start(events, models, folder, talk):
    """A long ``fei-lite reconstruct`` in a session of its own, with its workers at work."""
    many = [events.with_name(f"{i}.root") for i in range(12)]
    for i, path in enumerate(many):  # the same file twelve times is refused
        if not path.exists():
            with EventWriter(path, metadata={"process": "mixed", "seed": i}) as writer:
                writer.write(read_events(events))
    command = [sys.executable, "-c", _COMMAND, "reconstruct", *map(str, many), "--models", str(models),
               "-o", str(folder / "btag.root"), "--workers", "2", "--batch-size", "2", "--quiet"]
    with open(talk, "wb") as stderr:
        process = subprocess.Popen(command, stderr=stderr, start_new_session=True)
    wait_for(lambda: len(processes_of(process.pid)) >= 4 or process.poll() is not None)  # with the resource tracker
    time.sleep(1.0)
    assert process.poll() is None, talk.read_text()
    assert any(name.endswith(".part.root") for name in os.listdir(folder))
    return process


def end_all(process):
    for pid in processes_of(process.pid):
        os.kill(pid, signal.SIGKILL)


def wait_for(condition, *, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return condition()


@pytest.fixture
def stopped(events, models, tmp_path, tmp_path_factory):
    """Stop a run with ``kill(process)``: (exit code, stderr), after checking that nothing is left."""
    def stop(kill):
        talk = tmp_path_factory.mktemp("talk") / "stderr.txt"
        process = start(events, models, tmp_path, talk)
        try:
            kill(process)
            code = process.wait(timeout=10)
            assert wait_for(lambda: not processes_of(process.pid), seconds=5), processes_of(process.pid)
        finally:
            end_all(process)
        assert os.listdir(tmp_path) == []
        return code, talk.read_text()
    return stop


linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are counted in /proc")


@linux
def test_ctrl_c(stopped):
    """Would catch a traceback, a half-written file or orphans after Ctrl-C, which reaches all processes."""
    code, talk = stopped(lambda process: os.killpg(process.pid, signal.SIGINT))
    assert code == 130
    assert talk == "fei-lite reconstruct: interrupted; no half-written file was left.\n"


def test_ctrl_c_that_a_background_job_ignores():
    """Would catch workers that end while their parent, told to ignore Ctrl-C, goes on."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        results = ordered_map(task, range(8), workers=2)
        found = [next(results), next(results)]
        for child in children():
            os.kill(child.pid, signal.SIGINT)
        assert found + list(results) == [i**2 for i in range(8)]
    finally:
        signal.signal(signal.SIGINT, before)


@linux
def test_termination(stopped):
    """Would catch a half-written file or orphans after SIGTERM to the parent: job schedulers send it."""
    code, talk = stopped(lambda process: process.terminate())
    assert code == 143 and "Traceback" not in talk


@linux
def test_killed_parent(events, models, tmp_path, tmp_path_factory):
    """Would catch workers that wait for ever for a parent that had no time to say goodbye."""
    process = start(events, models, tmp_path, tmp_path_factory.mktemp("talk") / "stderr.txt")
    try:
        process.kill()
        process.wait()
        assert wait_for(lambda: not processes_of(process.pid), seconds=5), processes_of(process.pid)
        assert not (tmp_path / "btag.root").exists()
    finally:
        end_all(process)


@linux
def test_killed_worker(stopped):
    """Would catch a hang or a bare traceback when the system kills a worker, as it does if memory runs out."""
    def kill_worker(process):
        parents = processes_of(process.pid)
        os.kill(max(pid for pid, parent in parents.items() if parent == process.pid), signal.SIGKILL)

    code, talk = stopped(kill_worker)
    assert code == 2 and "Traceback" not in talk and "Take fewer workers" in talk


# A cluster of two workers here.

def test_cluster_writes_the_same_file(events, models, tmp_path):
    """Would catch Btags of a cluster that differ from the plain run's, also with a worker killed in the middle."""
    pytest.importorskip("distributed", reason="Dask is not installed (extra fei-lite[dask])")
    from fei_lite.parallel.cluster import started

    inputs, plain, there = [events, events], tmp_path / "plain.parquet", tmp_path / "there.parquet"
    work = partial(tag_files, inputs, models=str(models), distinct=False, batch_size=8)
    work(plain)
    with started("local", 2) as workers:
        pids = list(workers.run_on_workers(os.getpid).values())

        def kill_one(done, _):
            if done == 16:
                os.kill(pids[0], signal.SIGKILL)

        work(there, workers=workers, journal=True, progress=kill_one)
    assert plain.read_bytes() == there.read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["plain.parquet", "there.parquet"]


def test_killed_run_goes_on_with_its_journal(events, models, tmp_path):
    """Would catch a journal that gives other Btags than a run without one, or none of what was done."""
    plain, again, calls = tmp_path / "plain.parquet", tmp_path / "again.parquet", []
    work = partial(tag_files, [events], models=str(models), batch_size=8)
    work(plain)

    def give_up(done, _):
        if done == 24:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work(again, journal=True, progress=give_up)
    assert sorted(os.listdir(tmp_path)) == ["again.parquet.journal", "plain.parquet"]
    work(again, journal=True, notice=calls.append)
    assert plain.read_bytes() == again.read_bytes() and not Path(f"{again}.journal").exists()
    assert [text for text in calls if "3 finished pieces of work are there already" in text]


def test_no_more_processors_than_were_given(monkeypatch):
    """Would catch a job with one processor of a large host that takes all of it."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    there = processors()
    for told, expected in (("1", 1), ("1,4", 1), (str(there + 5), there), ("0", there), ("many", there), ("", there)):
        monkeypatch.setenv("OMP_NUM_THREADS", told)
        assert processors() == expected
