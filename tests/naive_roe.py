"""The rest of the event with Python sets, one row and one object at a time: the slow twin."""

from __future__ import annotations

import itertools
import math

import numpy as np

from fei_lite.particles import mass
from fei_lite.reconstruction.kinematics import impact_parameters

BZ_TO_PT = 0.00299792458
HYPOTHESES = ("e-", "mu-", "pi+", "K+", "p+")


def objects(batch, event):
    """All objects of an event as (list, index)."""
    return {(kind, i) for kind in ("tracks", "clusters", "klm") for i in range(getattr(batch, kind).counts[event])}


def of_bits(batch, event, words):
    """The objects of a bit set: tracks first, then clusters, then K_L clusters."""
    order = [(kind, i) for kind in ("tracks", "clusters", "klm") for i in range(getattr(batch, kind).counts[event])]
    value = sum(int(word) << (64 * k) for k, word in enumerate(words))
    return {item for k, item in enumerate(order) if value >> k & 1}


def track(batch, event, i):
    """Four-momentum with the most likely mass, and the variables of the masks."""
    row = batch.tracks.offsets[event] + i
    _, phi0, omega, _, tan_lambda = batch.tracks["helix"][row]
    pt = BZ_TO_PT * batch.events["bz"][event] / abs(omega)
    logl = batch.tracks["pid_logl"][row][:5]
    best = "pi+" if logl[2] == max(logl) else HYPOTHESES[int(np.argmax(logl))]
    p = np.array([pt * math.cos(phi0), pt * math.sin(phi0), pt * tan_lambda])
    dr, dz = impact_parameters(batch.tracks["helix"][row:row + 1], batch.events["ip"][event])
    p4 = np.append(p, math.sqrt(p @ p + mass(best)**2))
    return p4, {"dr": dr[0], "dz": dz[0], "pt": pt, "E": p4[3], "theta": math.acos(p[2] / math.sqrt(p @ p))}


def photon(batch, event, i):
    """Four-momentum from the interaction point, the variables of the masks; None if it is no photon."""
    c, row = batch.clusters, batch.clusters.offsets[event] + i
    if c["is_track"][row] or not c["is_photon"][row]:
        return None
    energy, theta, phi, r = (float(c[name][row]) for name in ("E", "theta", "phi", "r"))
    flight = r * np.array([math.sin(theta) * math.cos(phi), math.sin(theta) * math.sin(phi), math.cos(theta)])
    flight -= batch.events["ip"][event]
    p4 = np.append(energy * flight / math.sqrt(flight @ flight), energy)
    return p4, {"E": energy, "clusterTheta": theta, "minC2TDist": float(c["min_track_distance"][row]),
                "clusterReg": int(c["region"][row])}


def passes(values, cut):
    """The mask's cut, as Python itself understands it."""
    return cut is None or bool(eval(str(cut), {"abs": abs}, values))


def rest(batch, event, used, mask):
    """Momenta and counts of what a row leaves."""
    left = objects(batch, event) - used
    tracks, photons = {}, {}
    for kind, i in left:
        if kind == "tracks":
            p4, values = track(batch, event, i)
            if passes(values, mask.cuts.get("tracks")):
                tracks[i] = p4
        elif kind == "clusters" and (made := photon(batch, event, i)) is not None:
            p4, values = made
            if passes(values, mask.cuts.get("photons")):
                photons[i] = p4
    pairs = [photons[i] + photons[j] for i, j in itertools.combinations(photons, 2)]
    pi0 = [p for p in pairs if passes({"M": math.sqrt(max(p[3]**2 - p[:3] @ p[:3], 0)), "p": math.sqrt(p[:3] @ p[:3])},
                                      mask.cuts.get("pi0"))]
    return {"left": left, "tracks": list(tracks.values()), "photons": list(photons.values()), "n_pi0": len(pi0),
            "charge": sum(int(batch.tracks["charge"][batch.tracks.offsets[event] + i]) for i in tracks),
            "n_klm": sum(kind == "klm" for kind, _ in left)}
