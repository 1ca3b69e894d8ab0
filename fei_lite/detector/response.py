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
from numpy.typing import NDArray

from fei_lite.data_files import parsed_toml, read_text
from fei_lite.errors import SimulationError, nearest, shortened

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Tracker:
    """Layers from inside out (arrays of one length) and the limits of the drift chamber."""

    radius: Array
    material: Array
    kind: Array
    hits: Array
    hit_efficiency: Array
    sigma_rphi: Array
    sigma_z: Array
    theta_low_deg: float
    theta_high_deg: float
    z_forward: float
    z_backward: float
    scattering: float
    tail_fraction: float
    tail_scale: float
    loss: float
    loss_gas: float
    p_value_shift: float
    p_value_mass: float
    p_value_bad: float
    p_value_bad_arc: float


@dataclass(frozen=True, eq=False)
class Tracking:
    """Finding efficiency against pT and flight, clones, second arcs, fakes and background tracks."""

    pt: Array
    efficiency: Array
    flight: Array
    flight_efficiency: Array
    min_hits: int
    clone_probability: float
    second_arc_probability: float
    second_arc_alone_fraction: float
    second_arc_outer_fraction: float
    second_arc_min_hits: int
    second_arc_scale: float
    second_arc_pull: float
    fake_probability: float
    background_tracks: float
    background_pt: float
    background_d0: float
    background_z0: float


@dataclass(frozen=True, eq=False)
class Decay:
    """Decays in flight and photon conversions."""

    ctau_pi: float
    ctau_K: float
    branching_K: Array
    r_lost: Array
    r_found: Array
    volume_r: float
    volume_z: float
    conversion_layers: int


@dataclass(frozen=True, eq=False)
class Nuclear:
    """Interactions of hadrons with the nuclei of the tracker, and what comes out; antinucleons annihilate."""

    per_radiation_length: float
    scattered_fraction: float
    protons: float
    proton_momentum: Array
    annihilation_pions: float
    annihilation_momentum: float


@dataclass(frozen=True, eq=False)
class Pid:
    """Separation power of each identification detector."""

    bethe: Array
    dedx_resolution: float
    dedx_resolution_svd: float
    dedx_wrong: float
    dedx_wrong_spread: float
    top_theta_deg: Array
    top_min_pt: float
    top_resolution: float
    top_blind: float
    top_wrong: float
    top_wrong_spread: float
    arich_theta_deg: Array
    arich_index: float
    arich_resolution: float
    arich_no_light: float
    arich_blind: float
    arich_wrong: float
    ecl_min_pt: float
    ecl_electron: Array
    ecl_muon: Array
    ecl_momentum: Array
    ecl_miss: float
    ecl_wrong: float
    klm_theta_deg: Array
    klm_momentum: Array
    klm_muon: Array
    klm_wrong: float
    klm_miss: float
    tail_start: float
    top_saturation: float
    arich_saturation: float


@dataclass(frozen=True, eq=False)
class Calorimeter:
    """Surface of the calorimeter and its response to photons."""

    radius: float
    z_forward: float
    z_backward: float
    depth: float
    edges_deg: Array
    gap_efficiency: float
    energy: Array
    photon_efficiency: Array
    energy_resolution: Array
    theta_resolution: Array
    phi_resolution: Array
    timing_error: Array
    crystals: Array
    crystals_hadron: Array
    crystals_spread: Array
    crystals_shared_fraction: float
    crystals_step: float
    e9e21_one_fraction: Array
    region_efficiency: Array
    region_energy: Array
    region_theta: Array
    region_phi: Array
    loss_fraction: float
    loss_energy: float
    threshold: float
    timing_core: float
    e9e21_photon: float
    e9e21_hadron: float
    hadron_one_fraction: float
    hadron_timing: float
    hadron_late_fraction: float
    hadron_late: float


@dataclass(frozen=True, eq=False)
class ChargedCluster:
    """Clusters of charged particles and their split-offs; arrays are for e, mu, pi, K, p."""

    match: Array
    mip_energy: float
    mip_width: float
    shower_probability: float
    shower_fraction: float
    split_off: Array
    split_matched: float
    split_energy: float
    split_distance: float
    bad_photon_share: float


@dataclass(frozen=True, eq=False)
class NeutralHadron:
    """Clusters of neutrons, anti-neutrons and K_L (in that order)."""

    probability: Array
    energy: Array
    klm_probability: Array
    klm_scale: float


@dataclass(frozen=True, eq=False)
class Klm:
    """Clusters of the K_L and muon detector; ``probability`` is for e, mu, pi, K, p."""

    probability: Array
    min_momentum: float
    noise: float
    layer_momentum: float
    mean_layers: float
    muon_layers: float
    radius: float
    z_forward: float
    z_backward: float
    resolution: float
    timing: Array


@dataclass(frozen=True, eq=False)
class BackgroundClusters:
    """Number and spectra of calorimeter clusters from the beams."""

    mean: float
    energy: Array
    energy_cumulative: Array
    cos_theta: Array
    cos_theta_cumulative: Array
    timing_spread: float


@dataclass(frozen=True, eq=False)
class V0:
    """Search for pairs of tracks from a displaced vertex."""

    finder_efficiency: float
    min_flight: float
    max_flight: float
    max_gap: float
    max_sigma: float
    hits_removed_probability: float
    loose_sigma: float
    loose_probability: float
    mass_K_S0: Array
    mass_Lambda: Array
    mass_photon: Array


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
