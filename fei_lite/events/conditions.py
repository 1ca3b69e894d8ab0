"""Detector and beam conditions from a small TOML file, for event files that lack them: field, beams, luminous region.

::

    bz = 1.5                              # T, at the interaction point
    [beams]                               # or p4 = [px, py, pz, E] of the pair, GeV
    her = 7.007                           # GeV, electrons
    ler = 4.000                           # GeV, positrons
    crossing_angle = 0.083                # rad, halved about the z axis in the x-z plane
    [interaction_point]
    position = [-0.05, 0.017, -0.02]      # cm
    size = [12.5e-4, 1.0e-4, 300e-4]      # cm; or covariance = [xx, xy, xz, yy, yz, zz], cm^2
    [[period]]                            # of an experiment and its runs, where it differs
    experiment = 26
    runs = [100, 250]
    bz = 1.4534

They replace what is assumed for mDST files and what a mapping leaves open; event files of fei-lite carry their own.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from fei_lite.data_files import Strict, parsed_toml, read_text, validated
from fei_lite.errors import EventFileError
from fei_lite.events.batch import EventBatch
from fei_lite.outputs import PathLike

#: Mass of the electron, GeV (PDG).
_ELECTRON = 0.51099895e-3


class Beams(Strict):
    """The colliding pair: energies and crossing angle, or its four-momentum in the laboratory."""

    her: float | None = Field(default=None, gt=0.1, lt=1000.0)
    ler: float | None = Field(default=None, gt=0.1, lt=1000.0)
    crossing_angle: float = Field(default=0.0, ge=0.0, lt=math.pi)
    p4: tuple[float, float, float, float] | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.p4 is None) == (self.her is None and self.ler is None) or (self.her is None) != (self.ler is None):
            raise ValueError("expected her and ler (GeV), or p4 = [px, py, pz, E] (GeV).")
        px, py, pz, energy = self.total
        if energy <= math.sqrt(px * px + py * py + pz * pz):
            raise ValueError(f"got p4 {list(self.total)}, expected an energy above the momentum.")
        return self

    @property
    def total(self) -> tuple[float, float, float, float]:
        """Four-momentum (px, py, pz, E) of the pair, laboratory, GeV.

        The z axis halves the angle between the electrons' direction and the one opposite to the positrons'.

        >>> [round(x, 3) for x in Beams(her=7.004, ler=4.002, crossing_angle=0.083).total]
        [0.457, 0.0, 2.999, 11.006]
        """
        if self.p4 is not None:
            return self.p4
        assert self.her is not None and self.ler is not None
        electron, positron = (math.sqrt(max(energy**2 - _ELECTRON**2, 0.0)) for energy in (self.her, self.ler))
        half = self.crossing_angle / 2
        return ((electron + positron) * math.sin(half), 0.0, (electron - positron) * math.cos(half),
                self.her + self.ler)


class InteractionPoint(Strict):
    """The luminous region: its centre (cm), and standard deviations (cm) or covariance (cm^2)."""

    position: tuple[float, float, float] = (0.0, 0.0, 0.0)
    size: tuple[float, float, float] | None = None
    covariance: tuple[float, float, float, float, float, float] | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.size is None) == (self.covariance is None):
            raise ValueError("expected size = [x, y, z] (cm), or covariance = [xx, xy, xz, yy, yz, zz] (cm^2).")
        xx, xy, xz, yy, yz, zz = self.packed
        matrix = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
        if not (np.diag(matrix) > 0).all() or np.linalg.eigvalsh(matrix).min() < -1e-9 * max(xx, yy, zz):
            raise ValueError("no covariance: a direction of it has a variance of 0 or less.")
        return self

    @property
    def packed(self) -> tuple[float, ...]:
        """Covariance xx xy xz yy yz zz, cm^2."""
        if self.covariance is not None:
            return self.covariance
        assert self.size is not None
        x, y, z = (s * s for s in self.size)
        return (x, 0.0, 0.0, y, 0.0, z)


class _Some(Strict):
    bz: float | None = Field(default=None, ge=-10.0, le=10.0)
    beams: Beams | None = None
    interaction_point: InteractionPoint | None = None

    @model_validator(mode="after")
    def _a_field(self) -> Self:
        if self.bz == 0.0:
            raise ValueError("bz: got 0 T: no momentum follows from a helix without a field.")
        return self


class Period(_Some):
    """Conditions of an experiment, in its runs ``runs`` = [first, last] (default: all)."""

    experiment: int
    runs: tuple[int, int] | None = None


class Conditions(_Some):
    """Conditions of all events, and of periods where they differ; later periods count."""

    period: tuple[Period, ...] = ()

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.bz is None and self.beams is None and self.interaction_point is None and not self.period:
            raise ValueError("says nothing, expected bz, [beams], [interaction_point] or [[period]].")
        return self

    @property
    def digest(self) -> str:
        """SHA-256 of what they say."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def text(self) -> str:
        """As JSON, without what they leave open."""
        return json.dumps(self.model_dump(exclude_none=True), sort_keys=True)

    def applied(self, events: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Event columns with these conditions in place of those that are there."""
        found = {name: np.array(events[name], dtype=np.float64) for name in ("bz", "beam_p4", "ip", "ip_cov")}
        for some in (self, *self.period):
            rows = np.ones(len(events["event"]), dtype=bool)
            if isinstance(some, Period):
                rows = events["experiment"] == some.experiment
                if some.runs is not None:
                    rows &= (events["run"] >= some.runs[0]) & (events["run"] <= some.runs[1])
            if some.bz is not None:
                found["bz"][rows] = some.bz
            if some.beams is not None:
                found["beam_p4"][rows] = some.beams.total
            if some.interaction_point is not None:
                found["ip"][rows] = some.interaction_point.position
                found["ip_cov"][rows] = some.interaction_point.packed
        return events | found


def load_conditions(path: PathLike) -> Conditions:
    """Conditions from a TOML file; raises :class:`EventFileError` with every defect."""
    text = read_text(path, error=EventFileError)
    return validated(parsed_toml(text, where=str(path), error=EventFileError), Conditions, where=str(path),
                     error=EventFileError)


def with_conditions(batch: EventBatch, conditions: Conditions | None) -> EventBatch:
    """The batch with these conditions; those of None are its own."""
    return batch if conditions is None else replace(batch, events=conditions.applied(batch.events))
