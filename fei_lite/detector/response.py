"""The response of the detector: one data file, read, checked and frozen.

``response.toml`` holds every number with its source. :func:`load_response`
compares it with the fields below: sections, keys, types, lengths and ranges.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from importlib.resources import files
from typing import Any, get_type_hints

import numpy as np

from fei_lite.data_files import parsed_toml, read_text
from fei_lite.detector.response_sections import (
    V0,
    BackgroundClusters,
    Calorimeter,
    ChargedCluster,
    Decay,
    Klm,
    NeutralHadron,
    Nuclear,
    Pid,
    Tracker,
    Tracking,
)
from fei_lite.errors import SimulationError, nearest, shortened


@dataclass(frozen=True, eq=False)
class Response:
    """The sections of ``response.toml``; see there for meaning, unit and source of each number."""

    tracker: Tracker
    tracking: Tracking
    decay: Decay
    nuclear: Nuclear
    pid: Pid
    calorimeter: Calorimeter
    charged_cluster: ChargedCluster
    neutral_hadron: NeutralHadron
    klm: Klm
    background_clusters: BackgroundClusters
    v0: V0


#: Names that mark numbers between 0 and 1.
_PROBABILITIES = ("efficiency", "probability", "fraction", "wrong", "blind", "miss", "share", "cumulative", "match",
                  "branching")
#: Keys whose values may be negative.
_SIGNED = ("z_backward", "cos_theta")
#: Arrays that must increase, and those that go with them entry by entry.
_KNOTS = {
    "tracker.radius": ("material", "kind", "hits", "hit_efficiency", "sigma_rphi", "sigma_z"),
    "tracking.pt": ("efficiency",), "tracking.flight": ("flight_efficiency",),
    "pid.ecl_momentum": ("ecl_electron", "ecl_muon"), "pid.klm_momentum": ("klm_muon",),
    "calorimeter.energy": ("photon_efficiency", "energy_resolution", "theta_resolution", "phi_resolution",
                           "timing_error", "crystals", "crystals_hadron", "e9e21_one_fraction"),
    "calorimeter.edges_deg": (), "background_clusters.energy": ("energy_cumulative",),
    "background_clusters.cos_theta": ("cos_theta_cumulative",),
}
#: Lengths that are fixed by the meaning.
_LENGTHS = {
    "pid.bethe": 4, "pid.top_theta_deg": 2, "pid.arich_theta_deg": 2, "pid.klm_theta_deg": 2,
    "calorimeter.crystals_spread": 2, "calorimeter.edges_deg": 6, "calorimeter.region_energy": 3,
    "calorimeter.region_efficiency": 3,
    "calorimeter.region_theta": 3,
    "calorimeter.region_phi": 3, "nuclear.proton_momentum": 2, "charged_cluster.match": 5,
    "charged_cluster.split_off": 5, "neutral_hadron.probability": 3, "neutral_hadron.energy": 3,
    "neutral_hadron.klm_probability": 3, "klm.probability": 5, "klm.timing": 2, "decay.branching_K": 6,
    "decay.r_lost": 2, "decay.r_found": 2, "v0.mass_K_S0": 2, "v0.mass_Lambda": 2, "v0.mass_photon": 2,
}


@cache
def default_response() -> Response:
    """The response that fei-lite ships.

    >>> float(default_response().calorimeter.radius)
    125.0
    """
    name = "response.toml"
    return parse_response(files("fei_lite.detector").joinpath(name).read_text(encoding="utf-8"), source=name)


def load_response(path: str | os.PathLike[str]) -> Response:
    """Read a response file; :class:`SimulationError` names the key that is wrong."""
    return parse_response(read_text(path, error=SimulationError), source=str(path))


def parse_response(text: str, *, source: str = "response") -> Response:
    """The response written in ``text`` (TOML); ``source`` stands in messages."""
    response: Response = _section(Response, parsed_toml(text, where=source, error=SimulationError), source, "")
    return response


def _section(kind: Any, values: Any, source: str, path: str) -> Any:
    """An object of dataclass ``kind`` from a TOML table."""
    if not isinstance(values, dict):
        raise SimulationError(f"{source}: {path}: expected a table, got {shortened(values)}.")
    hints, known = get_type_hints(kind), [f.name for f in fields(kind)]
    dot = f"{path}." if path else ""
    for key in values:
        if key not in known:
            raise SimulationError(f"{source}: {dot}{key}: unknown key.{nearest(key, known)}")
    made = {}
    for key in known:
        if key not in values:
            raise SimulationError(f"{source}: {dot}{key}: missing. Add it; the response shipped with fei-lite has it.")
        hint = hints[key]
        made[key] = (_section(hint, values[key], source, dot + key) if is_dataclass(hint)
                     else _value(hint, values[key], source, dot + key))
    if path:
        _check_lengths(made, source, path)
    return kind(**made)


def _value(hint: Any, value: Any, source: str, path: str) -> Any:
    """One number or list of numbers, checked for its type and range."""
    where = f"{source}: {path}"
    is_list = hint not in (float, int)
    numbers = value if is_list and isinstance(value, list) else [value]
    allowed = (int,) if hint is int else (int, float)
    if (is_list and not isinstance(value, list)) or not numbers or not all(
            isinstance(x, allowed) and not isinstance(x, bool) for x in numbers):
        expected = "a list of numbers" if is_list else "a whole number" if hint is int else "a number"
        raise SimulationError(f"{where}: expected {expected}, got {shortened(value)}.")
    array = np.asarray(numbers, dtype=np.float64)
    key = path.rsplit(".", 1)[1]
    low = -np.inf if key in _SIGNED else 0.0
    high = 1.0 if any(word in key for word in _PROBABILITIES) and not key.endswith("_spread") else np.inf
    if not (np.isfinite(array).all() and (array >= low).all() and (array <= high).all()):
        raise SimulationError(f"{where}: expected {'numbers' if is_list else 'a number'} from {low:g} to {high:g}, "
                              f"got {shortened(value)}.")
    array.setflags(write=False)
    return array if is_list else hint(value)


def _check_lengths(made: dict[str, Any], source: str, section: str) -> None:
    for key, value in made.items():
        path = f"{section}.{key}"
        if path in _LENGTHS and len(value) != _LENGTHS[path]:
            raise SimulationError(f"{source}: {path}: expected {_LENGTHS[path]} numbers, got {len(value)}.")
        if path not in _KNOTS:
            continue
        if not (np.diff(value) > 0).all():
            raise SimulationError(f"{source}: {path}: expected increasing numbers, got {value.tolist()}.")
        for other in _KNOTS[path]:
            if len(made[other]) != len(value):
                raise SimulationError(f"{source}: {section}.{other}: expected {len(value)} numbers as in "
                                      f"{path}, got {len(made[other])}.")
