"""Compiled kernels in a cache that several processes fill at once."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from numba import types
from numba.core.caching import IndexDataCacheFile

import fei_lite
from fei_lite.kernels.ahead import Entry, entries, parts, read, written
from fei_lite.kernels.cache import STALE, UniqueCacheFiles

#: Compiles one small kernel for two types of array, in an order of its own, and one for trees;
#: prints values to compare, and what the cache had.
PROGRAM = """
import sys
import numpy as np
from fei_lite.kernels.jit import is_cached
from fei_lite.kernels.trees import logistic, sum_walking
cached = is_cached(logistic)
for width in ((1, 2), (2, 1))[int(sys.argv[1]) % 2]:
    score = np.linspace(-3.0, 3.0, 60 * width)[::width]
    logistic(score, 1.0, probability := np.empty(60))
    np.testing.assert_allclose(probability, 1.0 / (1.0 + np.exp(-score)), rtol=1e-14)
print(cached, sum(logistic.stats.cache_hits.values()), sum(logistic.stats.cache_misses.values()))
"""


def start(folder, number):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(folder), "FEI_LITE_JIT_CACHE": "1"}
    return subprocess.Popen([sys.executable, "-c", PROGRAM, str(number)], env=environment, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


def test_cold_starts_at_once(tmp_path):
    """Would catch a process that dies on, or runs, what another has half written."""
    running = [start(tmp_path, i) for i in range(5)]
    for process in running:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        assert out.split()[0] in ("True", "False")
    for number in (0, 1):  # whatever entries they took from each other come back
        start(tmp_path, number).communicate(timeout=60)
    warm = start(tmp_path, 0)
    assert warm.communicate(timeout=60)[0].split() == ["True", "2", "0"]


@pytest.mark.parametrize("kind, safe", [(UniqueCacheFiles, True), (IndexDataCacheFile, False)])
def test_two_signatures_saved_at_the_same_moment(tmp_path, kind, safe):
    """Would catch code found under another signature; Numba's own files, for comparison, do exactly that."""
    first, second = (kind(str(tmp_path), "kernel", "stamp") for _ in range(2))
    write = first._save_index

    def interrupted(overloads):
        read_before = second._load_index()  # another process has read, too, and is the last to write the index
        write(overloads)
        second._load_index = lambda: read_before
        second.save("two", "code of two")
        del second._load_index

    first._save_index = interrupted
    first.save("one", "code of one")
    found = {key: first.load(key) for key in ("one", "two")}
    assert all(code in (None, f"code of {key}") for key, code in found.items()) == safe
    if safe:
        assert list(found.values()) == [None, "code of two"]  # lost, so compiled once more
        first._save_index = write
        first.save("one", "code of one")
        assert [second.load(key) for key in ("one", "two")] == ["code of one", "code of two"]


def test_old_versions_are_not_used_and_removed_in_time(tmp_path):
    """Would catch code of an edited kernel that runs on, a folder that only grows, and the loss of fresh files."""
    old, new = (UniqueCacheFiles(str(tmp_path), "kernel", stamp) for stamp in ("old", "new"))
    old.save("one", "old code")
    assert new.empty and new.load("one") is None
    new.save("one", "new code")
    assert new.load("one") == "new code" and not new.empty
    assert len(list(tmp_path.glob("*.nbc"))) == 2  # another process may still read the old one
    for path in tmp_path.glob("*.nbc"):
        os.utime(path, times=(0, path.stat().st_mtime - 2 * STALE))
    new.save("two", "more code")
    assert {pickle.loads(path.read_bytes()[16:]) for path in tmp_path.glob("*.nbc")} == {"new code", "more code"}


def test_switched_off(tmp_path):
    """Would catch FEI_LITE_JIT_CACHE=0 being ignored."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "FEI_LITE_JIT_CACHE": "0"}
    done = subprocess.run([sys.executable, "-c", PROGRAM, "0"], env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith("False")
    assert not list(tmp_path.rglob("*.nb?"))


def test_a_changed_helper_is_compiled_into_its_callers(tmp_path):
    """Numba compares a kernel's own file only: an edited helper would go on as it was, in silence."""
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / "caller.py").write_text("from fei_lite.kernels.jit import kernel\nfrom helper import number\n\n"
                                       "@kernel\ndef call():\n    return number()\n")
    found = []
    for value in (1, 1, 22):
        (modules / "helper.py").write_text("from fei_lite.kernels.jit import kernel\n\n"
                                           f"@kernel\ndef number():\n    return {value}\n")
        os.utime(modules / "helper.py", (value, value))
        environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache"), "PYTHONPATH": str(modules),
                       "FEI_LITE_JIT_CACHE": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        out = subprocess.run([sys.executable, "-c", "from caller import call\n"
                              "print(call(), sum(call.stats.cache_hits.values()))"], env=environment, text=True,
                             capture_output=True, check=True).stdout
        found.append(out.split())
    assert found == [["1", "0"], ["1", "1"], ["22", "0"]]


@pytest.mark.parametrize("suffix, damage", [
    ("nbi", lambda data: data[:20]), ("nbi", lambda data: b"\x80garbage" * 9),
    ("nbc", lambda data: data[:len(data) // 2] + b"\0\0\0" + data[len(data) // 2 + 3:])])
def test_a_damaged_cache_mends_itself(suffix, damage, tmp_path):
    """Would catch a truncated index that ends every later run, and damaged code that is run."""
    first = start(tmp_path, 0)
    assert first.communicate(timeout=120)[0].split()[0] == "False"
    for path in tmp_path.rglob(f"*.{suffix}"):
        path.write_bytes(damage(path.read_bytes()))
    for _ in range(2):  # the first compiles, the second finds what it wrote
        process = start(tmp_path, 0)
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
    assert out.split() == ["True", "2", "0"]


def unprivileged(command, **environment):
    """Run as a user to whom permissions apply: root without its capabilities, or whoever runs the tests."""
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("root ignores permissions, and there is no setpriv to give that up")
        command = ["setpriv", "--inh-caps=-all", "--bounding-set=-all", *command]
    variables = {key: value for key, value in os.environ.items() if key not in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME")}
    return subprocess.run(command, env={**variables, "HOME": "/proc/none", "PYTHONDONTWRITEBYTECODE": "1",
                                        "FEI_LITE_JIT_CACHE": "1", **environment}, capture_output=True, text=True,
                          cwd="/")  # not from a checkout


def test_a_read_only_installation_without_a_home(tmp_path):
    """Would catch 'no locator available' in every command of a user who can write neither here nor there."""
    package = Path(fei_lite.__file__).parent
    shutil.copytree(package, tmp_path / "lib" / "fei_lite", ignore=shutil.ignore_patterns("__pycache__"))
    for folder in [tmp_path / "lib", *(p for p in (tmp_path / "lib").rglob("*") if p.is_dir())]:
        folder.chmod(0o555)
    (tmp_path / "tmp").mkdir()
    try:
        runs = [unprivileged([sys.executable, "-c", PROGRAM, "0"], PYTHONPATH=str(tmp_path / "lib"),
                             TMPDIR=str(tmp_path / "tmp")) for _ in range(2)]
        own = next((tmp_path / "tmp").iterdir())
        own.chmod(0o777)  # another user could put code there: it is not taken
        runs.append(unprivileged([sys.executable, "-c", PROGRAM, "0"], PYTHONPATH=str(tmp_path / "lib"),
                                 TMPDIR=str(tmp_path / "tmp")))
    finally:
        for folder in [tmp_path / "lib", *(p for p in (tmp_path / "lib").rglob("*") if p.is_dir())]:
            folder.chmod(0o755)
    assert [run.returncode for run in runs] == [0, 0, 0], runs[0].stderr
    assert [run.stdout.split()[0] for run in runs] == ["False", "True", "False"]
    assert [run.stderr.count("compiled code is kept in") for run in runs] == [1, 1, 0]
    assert runs[2].stderr.count("compiled code is not kept") == 1


def test_what_is_compiled_ahead():
    """Would catch a kernel whose arguments changed: it would be compiled twice, and late."""
    script = Path(__file__).resolve().parents[1] / "scripts/write_signatures.py"
    for _ in range(2):  # the first one may have to compile, which loads kernels that others call
        done = subprocess.run([sys.executable, str(script), "--step", "find"], stdout=subprocess.PIPE, text=True,
                              check=True)
        found = sorted(json.loads(done.stdout.splitlines()[-1]))
        if found == (listed := sorted([entry.kernel, entry.arguments] for entry in entries())):
            return
    assert found == listed, f"run python {script}"


def test_parts_to_compile():
    """Would catch a kernel that no process compiles, and one process that has all the work."""
    wanted = [Entry(f"m.k{i}", [], seconds) for i, seconds in enumerate((1.0, 5.0, 3.0, 2.0, 1.0))]
    found = parts(wanted, 2)
    assert sorted(entry for part in found for entry in part) == sorted(wanted)
    assert [sum(entry.seconds for entry in part) for part in found] == [6.0, 6.0]
    assert parts(wanted[:1], 4) == [wanted[:1]]


def test_types_to_compile_ahead():
    """Would catch a kernel compiled for other types than those it is called with."""
    for entry in entries():
        assert [written(read(argument)) for argument in entry.arguments] == entry.arguments
        assert callable(entry.dispatcher())
    for kind in (types.Array(types.bool_, 3, "A", readonly=True), types.UniTuple(types.int8, 2), types.uint64):
        assert read(written(kind)) == kind
    with pytest.raises(ValueError, match="neither"):
        written(types.unicode_type)


@pytest.mark.parametrize("as_program", [True, False])
def test_helpers_compile_their_part(tmp_path, as_program):
    """Would catch helpers that die unseen: all would be compiled later, one after the other."""
    names = ("trees.logistic", "truth.number_particles")
    code = f"""
import sys
import fei_lite.kernels.ahead as ahead
small = tuple(one for one in ahead.entries() if one.kernel in {names})
ahead.entries, ahead.processors, ahead.Entry.compile = lambda: small, lambda: 3, lambda self: None
if {as_program}:
    ahead.__name__ = "__main__"
ahead.compile_ahead()  # what is compiled now was compiled by helpers: this process compiles nothing
print(*(one.kernel for one in ahead.missing()))
"""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "FEI_LITE_JIT_CACHE": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True, check=True)
    assert len(done.stdout.split()) == 1 and done.stdout.split()[0] in names
