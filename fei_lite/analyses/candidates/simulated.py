"""What was simulated into event files that do not say it: a TOML file with a process for each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Annotated, Any

from pydantic import Field

from fei_lite.data_files import Strict, read_toml
from fei_lite.errors import EventFileError, nearest
from fei_lite.events.inputs import EventInput
from fei_lite.generator.processes import PROCESSES
from fei_lite.outputs import PathLike

Text = Annotated[str, Field(min_length=1)]


class SimulatedSample(Strict):
    """Files by name or pattern (of the name alone, or of the whole address), and the events that were generated.

    ``process`` is charged, mixed, ccbar ... or signal, which needs the ``decay_file`` of the recipe's signal decay.
    ``generated_per_event``: events that were generated for each that is in the files, 1 if none was left out.
    """

    files: Annotated[tuple[Text, ...], Field(min_length=1)]
    process: Text
    decay_file: str = ""
    generated_per_event: Annotated[float, Field(ge=1.0)] = 1.0

    def holds(self, address: str) -> bool:
        """Whether a file is one of these."""
        names = (address, address.rpartition("/")[2])
        return any(fnmatchcase(name, pattern) for pattern in self.files for name in names)


class SimulatedSamples(Strict):
    """All samples of a file."""

    sample: Annotated[tuple[SimulatedSample, ...], Field(min_length=1)]


def load_simulated(path: PathLike) -> SimulatedSamples:
    """Read a file of samples. Raises :class:`EventFileError` with every defect, each with its key path."""
    found = read_toml(path, SimulatedSamples, error=EventFileError)
    for i, line in enumerate(found.sample):
        if line.process not in PROCESSES:
            raise EventFileError(f"{path}: sample[{i}].process: no process '{line.process}'."
                                 f"{nearest(line.process, PROCESSES)}")
        if (line.process == "signal") != bool(line.decay_file):
            raise EventFileError(f"{path}: sample[{i}].decay_file: got '{line.decay_file}', expected "
                                 f"{'one' if line.process == 'signal' else 'none'} for process '{line.process}'.")
    return found


def with_simulated(inputs: Iterable[PathLike], samples: SimulatedSamples, place: PathLike) -> list[Any]:
    """The inputs, those that a sample holds as :class:`EventInput` that say so.

    Raises :class:`EventFileError` for a file in two samples, and for a sample without a file.
    """
    found, used = [], set()
    for path in inputs:
        one = path if isinstance(path, EventInput) else EventInput(str(path))
        fits = [i for i, line in enumerate(samples.sample) if line.holds(one.address)]
        if len(fits) > 1:
            raise EventFileError(f"{place}: sample[{fits[0]}].files and sample[{fits[1]}].files: both hold {path}.")
        used.update(fits)
        found.append(replace(one, simulated=samples.sample[fits[0]]) if fits else path)
    for i, line in enumerate(samples.sample):
        if i not in used:
            raise EventFileError(f"{place}: sample[{i}].files: none of the inputs is {' or '.join(line.files)}.")
    return found
