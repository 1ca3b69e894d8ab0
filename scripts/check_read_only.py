"""A read-only installation, without a home, for another user: what works, and how fast.

    python scripts/check_read_only.py --files 2000

Builds the wheel, installs it where nobody may write, and runs it from a read-only folder without HOME and
NUMBA_CACHE_DIR (as root: as user "nobody"): channels, simulate, reconstruct twice, again with a damaged cache, and
with a temporary folder that is not writable either. Then many files: seconds to the first event. Exit code 1 if
something fails, compiles twice, or if the first event takes more than 5 s.
"""

from __future__ import annotations

import argparse
import os
import pwd
import re
import signal
import stat
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from fei_lite.events import EventWriter, open_events

ROOT = Path(__file__).resolve().parents[1]
COMMAND = [sys.executable, "-P", "-c", "import sys; from fei_lite.cli import main; sys.exit(main())"]

#: Seconds to the first event that are allowed.
FIRST_EVENT = 5.0


def _nobody() -> list[int]:
    """The number of the user "nobody", if this one may become it."""
    return [pwd.getpwnam("nobody").pw_uid] if os.geteuid() == 0 else []


def _as_nobody() -> list[str]:
    """What makes a command one of that user: it may read what this one may (where Python is), and write nowhere."""
    return [word for uid in _nobody() for word in (
        "setpriv", "--reuid", str(uid), "--regid", str(pwd.getpwuid(uid).pw_gid), "--clear-groups",
        "--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search")]


@dataclass
class Place:
    """Folders of the check."""

    folder: Path

    def start(self, *words: str, temporary: Path | None = None) -> subprocess.Popen[str]:
        """A command as the other user, from a folder that is not writable."""
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(self.folder / "site"),
                       "TMPDIR": str(temporary or self.folder / "tmp")}
        return subprocess.Popen([*_as_nobody(), *COMMAND, *words], env=environment, cwd=self.folder / "site", text=True,
                                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def run(self, what: str, *words: str, temporary: Path | None = None) -> str:
        """Run a command, say how long it took; its talk. Ends the check if it fails."""
        begin = time.monotonic()
        process = self.start(*words, temporary=temporary)
        talk = process.communicate()[1]
        print(f"{what}: exit code {process.returncode}, {time.monotonic() - begin:.1f} s", flush=True)
        if process.returncode != 0 or "Traceback" in talk:
            raise SystemExit(f"{what}: {talk[-2000:]}")
        return talk


def install(folder: Path) -> None:
    """The wheel in ``folder``/site, readable for all and writable for none."""
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "-w", str(folder / "wheel"), str(ROOT)], check=True)
    subprocess.run([*pip, "install", "--no-deps", "--target", str(folder / "site"),
                    *map(str, (folder / "wheel").glob("*.whl"))], check=True)
    for path in (folder / "site", *(folder / "site").rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)


def damage_cache(folder: Path) -> int:
    """Cut every index of compiled code short; how many."""
    found = list(folder.rglob("*.nbi"))
    for path in found:
        path.write_bytes(path.read_bytes()[:20])
    return len(found)


def seconds_to_first_event(place: Place, events: Path, n: int) -> float:
    """Time of a reconstruction of ``n`` files of different events until its progress bar counts one."""
    folder = place.folder / "many"
    folder.mkdir(mode=0o755)
    batch = next(iter(open_events(events))).slice(0, 5)
    for i in range(n):
        with EventWriter(folder / f"{i}.parquet", metadata={"process": "charged", "seed": i, "n_generated": 5}) as file:
            file.write(batch)
    files = [str(folder / f"{i}.parquet") for i in range(n)]
    words = ["reconstruct", *files, "-o", str(place.folder / "out/many.root")]
    begin = time.monotonic()
    process = place.start(*words)
    said, found = "", float("inf")
    assert process.stderr is not None
    while piece := process.stderr.read(1):
        said += piece
        if re.search(r"\b[1-9][0-9]*/[0-9]+ \[|\b[1-9][0-9]*event", said):
            found = time.monotonic() - begin
            break
    process.send_signal(signal.SIGTERM)
    process.communicate()
    return found


def main() -> int:
    """Parse the command line, run the check, print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=2000, help="event files of the last part (default: %(default)s)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fei-lite-read-only-") as name:
        place = Place(Path(name))
        place.folder.chmod(0o755)
        for writable in ("out", "tmp"):
            (place.folder / writable).mkdir()
            (place.folder / writable).chmod(0o777 | stat.S_ISVTX)
        install(place.folder)
        place.run("channels", "channels", "check")
        events = place.folder / "out" / "events.root"
        place.run("simulate", "simulate", "charged", "-n", "50", "--seed", "1", "-o", str(events))
        reconstruct = ["reconstruct", str(events), "--force", "-o", str(place.folder / "out/btag.root")]
        cold = place.run("reconstruct, nothing compiled", *reconstruct)
        warm = place.run("reconstruct again", *reconstruct)
        n = damage_cache(place.folder / "tmp")
        place.run(f"reconstruct, {n} files of the cache damaged", *reconstruct)
        mended = place.run("reconstruct, the cache mended", *reconstruct)
        closed = place.folder / "closed"  # the name of the cache in the temporary folder is taken by another user
        for path in (closed, *(closed / f"fei_lite_kernels_{uid}" for uid in (os.geteuid(), *_nobody()))):
            path.mkdir()
            path.chmod(0o777 | stat.S_ISVTX)
        memory = place.run("reconstruct, nothing writable but the output", *reconstruct, temporary=closed)
        first = seconds_to_first_event(place, events, arguments.files)
        print(f"{arguments.files} files: first event after {first:.1f} s")
        sound = ("compiling" in cold and "compiling" not in warm + mended and n > 0 and first < FIRST_EVENT
                 and len(memory.splitlines()) > len(warm.splitlines()))
    print("as it should be" if sound else f"WRONG:\n{cold}\n{warm}\n{mended}\n{memory}")
    return 0 if sound else 1


if __name__ == "__main__":
    raise SystemExit(main())
