"""The sections of ``response.toml``: what is known of each part of the detector, as frozen numbers and arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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
