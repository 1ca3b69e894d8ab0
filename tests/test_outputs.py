"""Outputs are whole or not there at all, and nothing is overwritten by accident."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fei_lite import outputs
from fei_lite.errors import OutputError
from fei_lite.outputs import atomic_output


def test_appears_whole_under_its_name(tmp_path):
    """Would catch a file that is visible before it is complete, or a forgotten temporary."""
    target = tmp_path / "a.txt"
    with atomic_output(target) as temporary:
        temporary.write_text("half")
        assert not target.exists()
        assert temporary.parent == target.parent and temporary.suffix == ".txt"
        temporary.write_text("whole")
    assert target.read_text() == "whole"
    assert os.listdir(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("error", [RuntimeError("x"), KeyboardInterrupt(), SystemExit(1), GeneratorExit()])
def test_nothing_is_left_after_an_exception(tmp_path, error):
    """Would catch clean-up that only covers Exception, not Ctrl-C."""
    with pytest.raises(type(error)), atomic_output(tmp_path / "a.txt") as temporary:
        temporary.write_text("half")
        raise error
    assert os.listdir(tmp_path) == []


def test_existing_file_survives_a_failure_and_refusal(tmp_path):
    """Would catch truncating the old file first, or overwriting without force."""
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(OutputError, match="never overwritten without --force"), atomic_output(target):
        pass
    with pytest.raises(KeyboardInterrupt), atomic_output(target, force=True) as temporary:
        temporary.write_text("new")
        raise KeyboardInterrupt
    assert target.read_text() == "old"
    with atomic_output(target, force=True) as temporary:
        temporary.write_text("new")
    assert target.read_text() == "new"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_faster_job_is_not_overwritten(tmp_path):
    """Would catch checking for the target only at the start of hours of work."""
    target = tmp_path / "a.txt"
    with pytest.raises(OutputError, match="exists"), atomic_output(target):
        target.write_text("of another job")
    assert target.read_text() == "of another job"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_targets_that_cannot_be(tmp_path):
    """Would catch a traceback instead of a message that says what to do, before any work is done."""
    (tmp_path / "file").write_text("")
    for target, message in (
        (tmp_path / "no" / "a.txt", "does not exist. Make it first"),
        (tmp_path / "file" / "a.txt", "is not a folder"),
        (tmp_path, "is a folder"),
        (Path("/dev/null"), "not a regular file"),
    ):
        with pytest.raises(OutputError, match=message), atomic_output(target, force=True):
            pytest.fail("the block must not run")
    assert Path("/dev/null").is_char_device()


def test_unwritable_folder(tmp_path, monkeypatch):
    """Would catch a bare PermissionError; root may write anywhere, so the refusal is injected."""
    def refuse(*_args, **_kwargs):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(OutputError, match="not writable"), atomic_output(tmp_path / "a.txt"):
        pass


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO])
def test_failed_writes_say_why(tmp_path, code):
    """Would catch a full disk shown as a traceback, or a half-written file kept."""
    with pytest.raises(OutputError, match="could not be written") as caught, atomic_output(tmp_path / "a.txt"):
        raise OSError(code, os.strerror(code))
    assert "Nothing was left behind" in str(caught.value)
    assert os.listdir(tmp_path) == []


def test_a_disk_that_fills_on_sync(tmp_path, monkeypatch):
    """Would catch a rename of a file whose last bytes never reached the disk."""
    def full(_descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(outputs.os, "fsync", full)
    with pytest.raises(OutputError, match="disk is full"), atomic_output(tmp_path / "a.txt") as temporary:
        temporary.write_text("data")
    assert os.listdir(tmp_path) == []


def test_errors_of_the_input_are_not_blamed_on_the_output(tmp_path):
    """Would catch every OSError in the block being reported as a failed write."""
    with pytest.raises(FileNotFoundError), atomic_output(tmp_path / "a.txt"):
        (tmp_path / "missing input").read_text()
    assert os.listdir(tmp_path) == []


def test_a_link_is_followed(tmp_path):
    """Would catch a link to a big disk replaced by a file on the small one."""
    (tmp_path / "disk").mkdir()
    link = tmp_path / "a.txt"
    link.symlink_to(tmp_path / "disk" / "real.txt")
    with atomic_output(link, force=True) as temporary:
        temporary.write_text("data")
    assert link.is_symlink() and (tmp_path / "disk" / "real.txt").read_text() == "data"


#: Writes 2000 events where files may not exceed 100 kB: a real failure of the operating system.
_LIMITED = """
import resource, sys
sys.path.insert(0, sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
from toy_events import toy_batch
from fei_lite.errors import OutputError
from fei_lite.events import EventWriter
try:
    with EventWriter(sys.argv[1]) as writer:
        writer.write(toy_batch(500))
except OutputError as error:
    print(error)
    sys.exit(2)
"""


@pytest.mark.parametrize("suffix", ["root", "parquet"])
def test_event_file_that_cannot_grow(tmp_path, suffix):
    """Would catch a writer (uproot, pyarrow) that swallows the operating system's refusal."""
    target = tmp_path / f"events.{suffix}"
    run = subprocess.run([sys.executable, "-c", _LIMITED, str(target), str(Path(__file__).parent)],
                         capture_output=True, text=True, check=False)
    assert run.returncode == 2, run.stderr
    assert "larger than allowed" in run.stdout
    assert os.listdir(tmp_path) == []
