"""Belle II mDST files as :class:`EventBatch`, with uproot alone.

The beams, the luminous region and the field are in no mDST file:
:mod:`fei_lite.events.mdst_conditions` says where they come from.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.errors import EventFileError
from fei_lite.events.batch import EventBatch, Jagged, offsets_of
from fei_lite.events.checks import clean
from fei_lite.events.files import BASKET, PathLike, entry_bounds
from fei_lite.events.mdst_conditions import Conditions, conditions_of, field_of, generated_vectors
from fei_lite.events.mdst_tree import TREE, MdstTree, cdc_hits, pxd_hits, svd_hits
from fei_lite.events.rootio import damage_reported, get_tree, open_root
from fei_lite.particles import v0_tracks

#: Fit hypotheses in the order of preference: pion, then the nearest mass (mu, e, K, p, deuteron).
_FIT_PREFERENCE = (2, 1, 0, 3, 4, 5)
#: Bit of the photon hypothesis in ECLCluster::m_hypotheses; its number in the older m_hypothesisId.
_PHOTON_BIT, _PHOTON_ID = 1 << 4, 5
#: V0 hypothesis from the (positive, negative) fit hypotheses.
#: Hypotheses of a V0; mDST files name those of its tracks without sign.
_V0_CODES = (310, 3122, -3122, 22)
#: Edges in theta (rad) of the calorimeter's regions, and the regions (basf2's clusterReg).
_REGION_EDGES = (0.2164208, 0.5480334, 0.561996, 2.2462387, 2.2811453, 2.7070057)
_REGIONS = np.array([0, 1, 11, 2, 13, 3, 0], dtype=np.int8)


def cluster_region(theta: NDArray[Any]) -> NDArray[np.int8]:
    """Calorimeter region of a polar angle: 1 forward, 2 barrel, 3 backward, 11 and 13 gaps, 0 outside.

    >>> cluster_region(np.radians([20.0, 90.0, 129.0, 140.0])).tolist()
    [1, 2, 13, 3]
    """
    region: NDArray[np.int8] = _REGIONS[np.digitize(theta, _REGION_EDGES)]
    return region


def _tracks(tree: MdstTree, n_generated: NDArray[np.int64], notes: dict[str, int]) -> Jagged:
    fits = tree.values("Tracks", "m_trackFitIndices").astype(np.int64)
    offsets = tree.offsets("Tracks", "m_trackFitIndices")
    counts = np.diff(offsets)
    preference = [h for h in _FIT_PREFERENCE if h < fits.shape[1]]
    ordered = fits[:, preference]
    chosen = ordered[np.arange(len(fits)), np.argmax(ordered >= 0, axis=1)] if len(fits) else np.zeros(0, np.int64)
    if (fallback := int(np.count_nonzero((fits[:, 2] < 0) & (chosen >= 0)))):
        notes["tracks: no pion fit, another hypothesis taken"] = fallback
    if (unfitted := int(np.count_nonzero(chosen < 0))):
        notes["tracks: no fit of any hypothesis"] = unfitted
    event = np.repeat(np.arange(len(counts)), counts)
    columns = _fit_columns(tree, event, chosen)
    likelihoods = tree.values("PIDLikelihoods", "m_logl")
    n_detectors = int(np.prod(likelihoods.shape[1:])) // 6
    summed = likelihoods.reshape(len(likelihoods), n_detectors, 6).sum(axis=1, dtype=np.float64)
    n_pid = np.diff(tree.offsets("PIDLikelihoods", "m_logl"))
    related = tree.relation("Tracks", "PIDLikelihoods", counts, n_pid)
    columns["pid_logl"] = _take(summed, n_pid, event, related, np.nan).astype(np.float32)
    columns["mc_index"] = tree.relation("Tracks", "MCParticles", counts, n_generated).astype(np.int32)
    return Jagged(offsets, columns)


def _take(values: NDArray[Any], counts: NDArray[np.int64], event: NDArray[np.int64], index: NDArray[np.int64],
          missing: float) -> NDArray[Any]:
    """``values`` of objects by their index in their event; ``missing`` where the index is not in the event."""
    first = offsets_of(counts)[event]
    valid = (index >= 0) & (index < counts[event])
    taken = np.full((len(index), *values.shape[1:]), missing, dtype=np.result_type(values.dtype, type(missing)))
    taken[valid] = values[(first + index)[valid]]
    return taken


def _fit_columns(tree: MdstTree, event: NDArray[np.int64], fit: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    """Track columns from the fit results ``fit`` (index in the event; a NaN helix where there is none)."""
    name = "TrackFitResults"
    n_fits = np.diff(tree.offsets(name, "m_tau"))
    helix = _take(tree.values(name, "m_tau").astype(np.float64), n_fits, event, fit, np.nan)
    cdc, vxd = (tree.values(name, f"m_hitPattern{d}Initializer") for d in ("CDC", "VXD"))
    return {
        "charge": np.nan_to_num(np.sign(helix[:, 2])).astype(np.int8),
        "helix": helix,
        "helix_cov": _take(tree.values(name, "m_cov5").astype(np.float64), n_fits, event, fit, np.nan),
        "p_value": _take(tree.values(name, "m_pValue"), n_fits, event, fit, np.nan).astype(np.float32),
        "n_cdc_hits": _take(cdc_hits(cdc), n_fits, event, fit, 0).astype(np.int16),
        "n_svd_hits": _take(svd_hits(vxd), n_fits, event, fit, 0).astype(np.int16),
        "n_pxd_hits": _take(pxd_hits(vxd), n_fits, event, fit, 0).astype(np.int16),
    }


def _clusters(tree: MdstTree, n_generated: NDArray[np.int64]) -> Jagged:
    def get(*members: str) -> NDArray[Any]:
        return tree.values("ECLClusters", *members).astype(np.float32)

    kind, stored = tree.member("ECLClusters", "m_logEnergy", "m_sqrtEnergy")
    energy = np.exp(stored) if kind == "m_logEnergy" else stored**2
    kind, hypothesis = tree.member("ECLClusters", "m_hypotheses", "m_hypothesisId")
    photon = hypothesis & _PHOTON_BIT != 0 if kind == "m_hypotheses" else hypothesis == _PHOTON_ID
    # the file holds 0 for the errors of clusters without the photon hypothesis: they are not determined
    errors = {name: np.where(photon, get(member), np.float32(np.nan)) for name, member in (
        ("E_error", "m_sqrtcovmat_00"), ("theta_error", "m_sqrtcovmat_22"), ("phi_error", "m_sqrtcovmat_11"))}
    theta = get("m_theta")
    region = tree.values("ECLClusters", "m_detectorRegion") if tree.has("ECLClusters", "m_detectorRegion") \
        else cluster_region(theta)
    offsets = tree.offsets("ECLClusters", "m_theta")
    matched = tree.relation("ECLClusters", "MCParticles", np.diff(offsets), n_generated)
    return Jagged(offsets, {
        "E": energy.astype(np.float32), "theta": theta, "phi": get("m_phi"), "r": get("m_r"),
        **errors, "region": region.astype(np.int8),
        "n_hits": get("m_numberOfCrystals"), "E9E21": get("m_E9oE21", "m_E9oE25"),
        "timing": get("m_time"), "timing_error": get("m_deltaTime99"), "min_track_distance": get("m_minTrkDistance"),
        "is_track": tree.values("ECLClusters", "m_isTrack").astype(np.int8), "is_photon": photon.astype(np.int8),
        "mc_index": matched.astype(np.int32),
    })


def _klm(tree: MdstTree, n_generated: NDArray[np.int64]) -> Jagged:
    if not tree.has("KLMClusters"):
        n_events = len(n_generated)
        empty = {c: np.zeros(0, np.float32) for c in ("x", "y", "z", "p", "timing")}
        whole = {c: np.zeros(0, t) for c, t in (("layers", "i2"), ("innermost_layer", "i2"), ("mc_index", "i4"))}
        return Jagged(np.zeros(n_events + 1, np.int64), {**empty, **whole})
    members = {"x": "m_globalX", "y": "m_globalY", "z": "m_globalZ", "p": "m_p", "timing": "m_time"}
    columns = {c: tree.values("KLMClusters", m).astype(np.float32) for c, m in members.items()}
    for column, member in (("layers", "m_layers"), ("innermost_layer", "m_innermostLayer")):
        columns[column] = tree.values("KLMClusters", member).astype(np.int16)
    offsets = tree.offsets("KLMClusters", "m_p")
    matched = tree.relation("KLMClusters", "MCParticles", np.diff(offsets), n_generated)
    return Jagged(offsets, {**columns, "mc_index": matched.astype(np.int32)})


def _v0s(tree: MdstTree, n_events: int, notes: dict[str, int]) -> Jagged:
    present = tree.has("V0s")
    offsets = tree.offsets("V0s", "m_trackIndexPositive") if present else np.zeros(n_events + 1, np.int64)
    event = np.repeat(np.arange(n_events), np.diff(offsets))
    n_fits = np.diff(tree.offsets("TrackFitResults", "m_pdg"))
    hypotheses = tree.values("TrackFitResults", "m_pdg").astype(np.int64)
    columns: dict[str, NDArray[Any]] = {}
    daughters = []
    for side in ("positive", "negative"):
        index, fit = (tree.values("V0s", f"m_{kind}{side.title()}").astype(np.int64) if present
                      else np.zeros(0, np.int64) for kind in ("trackIndex", "trackFitResultIndex"))
        found = _fit_columns(tree, event, fit)
        columns |= {f"{side}_index": index.astype(np.int32), f"{side}_helix": found["helix"],
                    f"{side}_cov": found["helix_cov"]}
        daughters.append(_take(hypotheses, n_fits, event, fit, 0))
    pdg = np.zeros(len(event), dtype=np.int32)
    for code in _V0_CODES:
        positive, negative = (abs(track) for track in v0_tracks(code))
        pdg[(daughters[0] == positive) & (daughters[1] == negative)] = code
    if (unknown := int(np.count_nonzero(pdg == 0))):
        notes["v0s: hypothesis neither K_S0, Lambda0 nor photon"] = unknown
    return Jagged(offsets, {"pdg": pdg, **columns})


def _generated(tree: MdstTree) -> Jagged | None:
    if not tree.has("MCParticles"):
        return None
    p4, vertex = generated_vectors(tree)
    return Jagged(tree.offsets("MCParticles", "m_energy"), {
        "pdg": tree.values("MCParticles", "m_pdg").astype(np.int32),
        "mother": tree.values("MCParticles", "m_mother").astype(np.int32) - 1,
        "status": tree.values("MCParticles", "m_status").astype(np.int32),
        "p4": p4, "vertex": vertex,
        "time": tree.values("MCParticles", "m_productionTime").astype(np.float32),
    })


def _batch(tree: MdstTree, conditions: Conditions, notes: dict[str, int]) -> EventBatch:
    n_events = tree.stop - tree.start
    generated = _generated(tree)
    n_generated = np.zeros(n_events, np.int64) if generated is None else generated.counts
    weight = "m_generatedWeight"
    events: dict[str, NDArray[Any]] = {
        "experiment": tree.event("EventMetaData", "m_experiment").astype(np.int32),
        "run": tree.event("EventMetaData", "m_run").astype(np.int32),
        "event": tree.event("EventMetaData", "m_event").astype(np.int64),
        "weight": tree.event("EventMetaData", weight).astype(np.float64)
        if tree.has("EventMetaData", weight) else np.ones(n_events),
        **{name: np.tile(getattr(conditions, name), (n_events, 1)) for name in ("beam_p4", "ip", "ip_cov")},
        "bz": np.full(n_events, conditions.bz),
    }
    return clean(EventBatch(
        events, _tracks(tree, n_generated, notes), _clusters(tree, n_generated), _klm(tree, n_generated),
        _v0s(tree, n_events, notes), generated, source=str(tree.path), start=tree.start, notes=notes))


def count_events(path: PathLike) -> int:
    """Number of events in an mDST file."""
    with open_root(path) as file:
        return int(get_tree(file, path, TREE).num_entries)


def iterate_mdst(path: PathLike, *, batch_size: int = BASKET, entry_start: int | None = None,
                 entry_stop: int | None = None) -> Iterator[EventBatch]:
    """Batches of an mDST file, in order; memory depends on ``batch_size`` only.

    Tracks are the pion fits (another hypothesis where there is none: counted
    in ``notes``); a log-likelihood is the sum over the detectors; the match of
    a track or cluster is the generated particle with the largest weight.
    Raises :class:`EventFileError` naming the objects or members that are missing.
    """
    with open_root(path) as file:
        tree = get_tree(file, path, TREE)
        n_events = int(tree.num_entries)
        first, last = entry_bounds(path, n_events, entry_start, entry_stop)
        notes: dict[str, int] = {}
        with damage_reported(path, "reading its metadata"):
            bz = field_of(file, notes)
        conditions = conditions_of(MdstTree(tree, path, 0, min(n_events, 1000)), bz)
        for start in range(first, last, batch_size):
            yield _batch(MdstTree(tree, path, start, min(start + batch_size, last)), conditions, notes)
            notes = {}


def read_mdst(path: PathLike, *, entry_start: int | None = None, entry_stop: int | None = None) -> EventBatch:
    """Entries ``entry_start`` to ``entry_stop`` (excluded; all by default) of an mDST file as one batch."""
    n_events = count_events(path)
    if n_events == 0:
        raise EventFileError(f"{path}: the mDST file has no events.")
    return next(iterate_mdst(path, batch_size=n_events, entry_start=entry_start, entry_stop=entry_stop))
