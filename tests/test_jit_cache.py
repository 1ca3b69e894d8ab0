"""Compiled kernels in a cache that several processes fill at once."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys

import pytest
from numba.core.caching import IndexDataCacheFile

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


def test_ten_cold_starts_at_once(tmp_path):
    """Would catch a process that dies on, or runs, what another has half written."""
    running = [start(tmp_path, i) for i in range(10)]
    for process in running:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        assert out.split()[0] in ("True", "False")
    for number in (0, 1):  # whatever entries the ten took from each other come back
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
    assert {pickle.loads(path.read_bytes()) for path in tmp_path.glob("*.nbc")} == {"new code", "more code"}


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
