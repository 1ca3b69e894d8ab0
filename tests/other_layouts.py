"""Events in the layouts of other programs: basf2's VariablesToNtuple, and EDM4hep as podio writes it."""

from __future__ import annotations

import awkward as ak
import numpy as np
import uproot

from fei_lite.tagging.file_tables import root_name

_PDG = (11, 13, 211, 321, 2212, 1000010020)


def _keys(batch, objects, rows):
    """The columns that VariablesToNtuple writes before the variables: four-byte integers, then the weight."""
    event = objects.event_index[rows]
    counts = np.bincount(event, minlength=batch.n_events)
    first = np.concatenate([[0], np.cumsum(counts)])[:-1]
    whole = {f"__{name}__": batch.events[name][event].astype(np.int32) for name in ("experiment", "run", "event")}
    whole |= {"__candidate__": (np.arange(len(rows)) - first[event]).astype(np.int32),
              "__ncandidates__": counts[event].astype(np.int32)}
    return whole | {"__weight__": np.ones(len(rows))}, event


def basf2_columns(batch):
    """Tree -> columns of pi+:all and gamma:all, in basf2's order and types (all variables are doubles)."""
    tracks, clusters, events = batch.tracks, batch.clusters, batch.events
    keys, event = _keys(batch, tracks, np.arange(len(tracks)))
    variables = {"charge": tracks["charge"]}
    variables |= dict(zip(("d0", "phi0", "omega", "z0", "tanLambda"), tracks["helix"].T, strict=True))
    pairs = [(i, j) for i in range(5) for j in range(i, 5)]
    variables |= {f"trackFitCovariance({i}, {j})": tracks["helix_cov"][:, k] for k, (i, j) in enumerate(pairs)}
    variables |= {f"{name}Err": np.sqrt(tracks["helix_cov"][:, pairs.index((i, i))])
                  for i, name in enumerate(("d0", "phi0", "omega", "z0", "tanLambda"))}
    variables |= {"pValue": tracks["p_value"], "nCDCHits": tracks["n_cdc_hits"], "nSVDHits": tracks["n_svd_hits"],
                  "nPXDHits": tracks["n_pxd_hits"]}
    variables |= {f"pidLogLikelihoodValueExpert({pdg}, ALL)": tracks["pid_logl"][:, k] for k, pdg in enumerate(_PDG)}
    variables |= {f"beam{name}": events["beam_p4"][event, k] for k, name in enumerate(("Px", "Py", "Pz", "E"))}
    variables |= {f"IP{name}": events["ip"][event, k] for k, name in enumerate("XYZ")}
    variables |= {f"IPCov({i},{j})": events["ip_cov"][event, k]
                  for k, (i, j) in enumerate(((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)))}
    neutral = np.flatnonzero((clusters["is_track"] == 0) & (clusters["is_photon"] == 1))
    names = {"clusterE": "E", "clusterTheta": "theta", "clusterPhi": "phi", "clusterR": "r", "clusterErrorE": "E_error",
             "clusterErrorTheta": "theta_error", "clusterErrorPhi": "phi_error", "clusterReg": "region",
             "clusterNHits": "n_hits", "clusterE9E21": "E9E21", "clusterTiming": "timing",
             "clusterErrorTiming": "timing_error", "minC2TDist": "min_track_distance", "clusterTrackMatch": "is_track",
             "clusterHasNPhotons": "is_photon"}
    photon_keys, _ = _keys(batch, clusters, neutral)
    photons = {name: clusters[own][neutral] for name, own in names.items()}
    return {"tracks": keys | {root_name(n): np.asarray(v, np.float64) for n, v in variables.items()},
            "clusters": photon_keys | {root_name(n): np.asarray(v, np.float64) for n, v in photons.items()}}, neutral


def write_trees(path, trees):
    """Flat trees."""
    with uproot.recreate(path) as file:
        for name, columns in trees.items():
            file.mktree(name, {n: v.dtype for n, v in columns.items()})
            if len(next(iter(columns.values()))):
                file[name].extend(columns)


def _lists(offsets, values):
    counts = np.diff(offsets)
    return ak.unflatten(np.ascontiguousarray(values), counts)


def edm4hep_branches(batch):
    """Branches of an EDM4hep file: names, types and units of edm4hep.yaml 0.99, two states a track, the first at the
    origin. mm; d0 of LC-DET-2006-004; the lower triangle of (d0, phi, omega, z0, tanLambda, time)."""
    tracks, clusters, generated = batch.tracks, batch.clusters, batch.generated
    n = batch.n_events
    ones = np.arange(n + 1)
    scale = np.array([-10.0, 1.0, 0.1, 10.0, 1.0])
    first = 2 * (np.arange(len(tracks)) - tracks.offsets[tracks.event_index])
    states = 2 * tracks.offsets
    out = {"EventHeader.eventNumber": (ones, batch.events["event"].astype(np.int32)),
           "EventHeader.runNumber": (ones, batch.events["run"].astype(np.int32)),
           "EventHeader.weight": (ones, batch.events["weight"].astype(np.float32)),
           "Tracks.chi2": (tracks.offsets, np.ones(len(tracks), np.float32)),
           "Tracks.trackStates_begin": (tracks.offsets, first.astype(np.uint32)),
           "Tracks.trackStates_end": (tracks.offsets, (first + 2).astype(np.uint32))}

    def with_second(values):
        return np.stack([values, np.full_like(values, 7)], axis=1).reshape(-1, *values.shape[1:])

    for k, name in enumerate(("D0", "phi", "omega", "Z0", "tanLambda")):
        values = (tracks["helix"][:, k] * scale[k]).astype(np.float32)
        out[f"_Tracks_trackStates.{name}"] = (states, with_second(values))
    for name in "xyz":
        out[f"_Tracks_trackStates.referencePoint.{name}"] = (states, with_second(np.zeros(len(tracks), np.float32)))
    out["_Tracks_trackStates.location"] = (states, with_second(np.ones(len(tracks), np.int32)))
    full = np.zeros((len(tracks), 6, 6))
    i, j = np.triu_indices(5)
    full[:, i, j] = full[:, j, i] = tracks["helix_cov"] * scale[i] * scale[j]
    low = np.tril_indices(6)
    packed = with_second(full[:, low[0], low[1]].astype(np.float32))
    out["_Tracks_trackStates.covMatrix.values"] = (21 * states, packed.ravel())  # podio: [21]
    theta, phi, r = (clusters[c].astype(np.float64) for c in ("theta", "phi", "r"))
    xyz = 10 * r[:, None] * np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], axis=1)
    out |= {"Clusters.energy": (clusters.offsets, clusters["E"]),
            "Clusters.energyError": (clusters.offsets, np.nan_to_num(clusters["E_error"], nan=0.1).astype(np.float32))}
    out |= {f"Clusters.position.{c}": (clusters.offsets, xyz[:, k].astype(np.float32)) for k, c in enumerate("xyz")}
    if generated is not None:
        out |= _particles(generated)
    return {name: _lists(*values) for name, values in out.items()}


def _particles(generated):
    p4 = generated["p4"]
    mass = np.sqrt(np.maximum(p4[:, 3]**2 - np.sum(p4[:, :3]**2, axis=1), 0.0))
    has = generated["mother"] >= 0
    before = np.concatenate([[0], np.cumsum(has)])
    first = before[:-1] - before[generated.offsets[generated.event_index]]
    of = generated.offsets
    out = {"MCParticles.PDG": (of, generated["pdg"]), "MCParticles.mass": (of, mass),
           "MCParticles.time": (of, generated["time"]),
           "MCParticles.parents_begin": (of, first.astype(np.uint32)),
           "MCParticles.parents_end": (of, (first + has).astype(np.uint32)),
           "_MCParticles_parents.index": (before[of], generated["mother"][has].astype(np.int32))}
    out |= {f"MCParticles.momentum.{c}": (of, p4[:, k]) for k, c in enumerate("xyz")}
    out |= {f"MCParticles.vertex.{c}": (of, 10 * generated["vertex"][:, k]) for k, c in enumerate("xyz")}
    return out


def write_edm4hep(path, batch):
    """A ROOT file with the tree ``events``."""
    arrays = edm4hep_branches(batch)
    with uproot.recreate(path) as file:
        tree = file.mktree("events", {n: a.type.content for n, a in arrays.items()},
                           counter_name=lambda counted: "n" + counted)
        tree.extend(arrays)
