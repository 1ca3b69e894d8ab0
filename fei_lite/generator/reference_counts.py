"""Generated particles per event, beside those of a reference simulation.

The reference is a JSON file: process -> ``n_events`` and ``per_event``, there
species -> ``mean`` and its ``error``. Both charges are counted together, before
any detector; K_S0 and K_L0 are counted as such, and a K_L0 does not decay.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fei_lite.data_files import Strict, json_content, read_text, validated
from fei_lite.errors import SimulationError
from fei_lite.events.batch import Jagged
from fei_lite.events.schema import STATUS
from fei_lite.generator.processes import find_process

#: Photons that no particle decayed into or radiated: those of the beams. A species of the reference.
BEAM_PHOTONS = "photons without a mother (radiated by the beams or quarks)"

#: Species of the reference: name -> absolute PDG code.
SPECIES: Mapping[str, int] = {
    "pi+-": 211, "pi0": 111, "gamma": 22, "K+-": 321, "K_S0": 310, "K_L0": 130, "p": 2212, "n": 2112, "Lambda0": 3122,
    "Sigma-": 3112, "Sigma+": 3222, "D0": 421, "D+": 411, "D_s+": 431, "Lambda_c+": 4122, "D*+": 413, "D*0": 423,
    "D_s*+": 433, "J/psi": 443, "eta": 221, "eta'": 331, "omega": 223, "phi": 333, "rho0": 113, "rho+": 213,
    "K*0": 313, "K*+": 323, "e": 11, "mu": 13, "tau": 15,
}


class _Mean(Strict):
    mean: float = Field(ge=0.0)
    error: float = Field(ge=0.0)


class _Process(Strict):
    n_events: int = Field(gt=0)
    per_event: dict[str, _Mean]


class _Reference(Strict):
    processes: dict[str, _Process]


@dataclass(frozen=True)
class SpeciesCount:
    """Particles of one species per event of a process: here and in the reference, with one-sigma errors."""

    process: str
    species: str
    ours: float
    error: float
    reference: float
    reference_error: float

    @property
    def ratio(self) -> float:
        """Ours over the reference; NaN if the reference has none."""
        return self.ours / self.reference if self.reference > 0.0 else float("nan")

    @property
    def pull(self) -> float:
        """Difference over its error; 0 where neither has any."""
        error = float(np.hypot(self.error, self.reference_error))
        return (self.ours - self.reference) / error if error > 0.0 else 0.0

    def differs(self, *, tolerance: float = 0.07, pulls: float = 5.0) -> bool:
        """Whether it is off by more than ``tolerance`` (relative) and more than ``pulls`` standard deviations."""
        return abs(self.pull) > pulls and not abs(self.ours - self.reference) <= tolerance * self.reference


def load_reference(path: str | os.PathLike[str]) -> dict[str, dict[str, tuple[float, float]]]:
    """Mean and error by process and species; raises :class:`SimulationError`."""
    content = json_content(read_text(path, error=SimulationError), where=str(path), error=SimulationError)
    found = validated({"processes": content}, _Reference, where=str(path), error=SimulationError)
    for name, process in found.processes.items():
        find_process(name)
        for species in process.per_event:
            if species not in SPECIES and species != BEAM_PHOTONS:
                raise SimulationError(f"{path}: {name}: unknown species '{species}', expected one of "
                                      f"{', '.join([*SPECIES, BEAM_PHOTONS])}.")
    return {name: {species: (value.mean, value.error) for species, value in process.per_event.items()}
            for name, process in found.processes.items()}


def count_species(generated: Jagged) -> dict[str, NDArray[np.int64]]:
    """Particles of every species in each event, (events,) each; virtual photons are none."""
    absolute, event, n = np.abs(generated["pdg"]), generated.event_index, len(generated.counts)
    real = generated["status"] & STATUS["virtual"] == 0
    counts = {name: np.bincount(event[real & (absolute == code)], minlength=n) for name, code in SPECIES.items()}
    counts[BEAM_PHOTONS] = np.bincount(event[real & (absolute == 22) & (generated["mother"] < 0)], minlength=n)
    return counts


def compare_counts(process: str, counts: Mapping[str, NDArray[np.int64]],
                   reference: Mapping[str, tuple[float, float]]) -> list[SpeciesCount]:
    """Means of :func:`count_species` of many events beside the reference's of that process."""
    out = []
    for species, (mean, error) in reference.items():
        values = counts[species]
        out.append(SpeciesCount(process, species, float(values.mean()), float(values.std() / np.sqrt(len(values))),
                                mean, error))
    return out
