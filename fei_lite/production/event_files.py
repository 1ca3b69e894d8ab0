"""Many event files of one process, each with a seed of its own: work that can be shared out, and gone on with."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from fei_lite.errors import OutputError, SimulationError
from fei_lite.events.reading import describe, open_events
from fei_lite.outputs import atomic_output, make_folder
from fei_lite.parallel import Context, Workers, map_in_context
from fei_lite.parallel.context import nothing
from fei_lite.parallel.worker import identity
from fei_lite.production.simulate import BATCH_SIZE, Report, Simulated, simulate_file

#: What says which simulation the files of a folder are of.
RECORD = "simulation.txt"


@dataclass(frozen=True)
class EventFile:
    """A file to make: ``n`` generated events from a seed."""

    output: Path
    n: int
    seed: int


def simulate_files(process: str, folder: str | os.PathLike[str], *, n: int, per_file: int, seed: int,
                   suffix: str = ".root", workers: Workers = 1, report: Report | None = None,
                   **options: Any) -> Simulated:
    """Simulate ``n`` events into files of ``per_file`` generated events: FOLDER/PROCESS_SEED.root.

    Each is what :func:`simulate_file` writes with these ``options`` and the seed ``seed``, ``seed + 1`` ..., whoever
    makes it; files that are there are kept, so that an interrupted call goes on. Raises :class:`OutputError` for a
    folder of another simulation, and what :func:`simulate_file` raises.
    """
    if n < 1 or per_file < 1:
        raise SimulationError(f"number of events: got {n} in files of {per_file}, expected 1 or more each.")
    place = make_folder(folder)
    _claim(place, process, per_file, suffix, options)
    files = [EventFile(place / f"{process}_{seed + i}{suffix}", min(per_file, n - i * per_file), seed + i)
             for i in range(-(-n // per_file))]
    done, kept, weights = 0, 0, 0.0
    work = partial(_make, process=process, options=options)
    for made in map_in_context(work, files, Context(nothing), workers=workers):
        done, kept, weights = done + made.n_generated, kept + made.n_events, weights + made.sum_of_weights
        if report is not None:
            report(done, n)
    return Simulated(done, kept, weights)


def _claim(folder: Path, process: str, per_file: int, suffix: str, options: Mapping[str, Any]) -> None:
    """Write what all files of a folder have in common, or compare with what is there."""
    said = sorted(f"{name} = {value}" for name, value in options.items() if name not in ("inputs", "response"))
    said += [f"process = {process}", f"events of a file = {per_file}", f"format = {suffix}",
             f"fei-lite = {identity()['fei-lite']}",
             f"response = {hashlib.sha256(repr(options.get('response')).encode()).hexdigest()[:16]}"]
    if (decays := options.get("dec_file")) is not None and Path(str(decays)).is_file():
        said.append(f"content of the decay file = {hashlib.sha256(Path(str(decays)).read_bytes()).hexdigest()[:16]}")
    text, path = "\n".join(said) + "\n", folder / RECORD
    if not path.exists():
        with atomic_output(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
        return
    other = sorted(set(path.read_text(encoding="utf-8").splitlines()) ^ set(said))
    if other:
        raise OutputError(f"{path}: a folder of another simulation ({other[0][:200]}). Choose another folder.")


def _make(file: EventFile, _: None, *, process: str, options: Mapping[str, Any]) -> Simulated:
    """Make a file, unless it is there with all that was generated."""
    if file.output.exists():
        n_events, origin = describe(file.output)
        wanted = file.n * int(options.get("reuse", 1))
        if int(origin.get("seed", -1)) == file.seed and int(origin.get("n_generated", -1)) == wanted:
            return Simulated(wanted, n_events, _weights(file.output))
        raise OutputError(f"{file.output}: exists with other events (a last file that was shorter?). Remove it, or "
                          "choose another folder.")
    return simulate_file(process, file.output, n=file.n, seed=file.seed, **options)


def _weights(path: Path) -> float:
    """The sum of the weights of a file's events, added up as when they were simulated."""
    return sum(float(batch.events["weight"].sum()) for batch in open_events([path], batch_size=BATCH_SIZE))
