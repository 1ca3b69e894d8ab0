"""Features one candidate at a time, in plain Python: the slow twin of the kernel.

Written from the definitions with ordinary matrices and vectors, not from the
kernel: boosts are 4 x 4 matrices, contractions go through two events in space
and time, angles through the arc cosine.
"""

from __future__ import annotations

import math

import numpy as np


def boost_matrix(frame):
    """Lorentz matrix into the rest frame of ``frame``, for columns (px, py, pz, E)."""
    beta = np.asarray(frame[:3]) / frame[3]
    b2 = beta @ beta
    gamma = 1.0 / math.sqrt(1.0 - b2)
    matrix = np.eye(4)
    matrix[:3, :3] += (gamma - 1.0) * np.outer(beta, beta) / b2 if b2 > 0 else 0.0
    matrix[3, 3] = gamma
    matrix[:3, 3] = matrix[3, :3] = -gamma * beta
    return matrix


def moved_place(place, frame):
    """Where a point at rest in the laboratory is, at time 0 of the moving frame (ct last)."""
    matrix = boost_matrix(frame)
    event = matrix @ np.append(place, 0.0)
    beta = np.asarray(frame[:3]) / frame[3]
    return event[:3] + beta * event[3]  # the laboratory flies by with -beta


def mass(p4):
    return math.sqrt(max(p4[3] ** 2 - p4[:3] @ p4[:3], 0.0))


def angle(a, b):
    return math.acos(np.clip(a @ b / np.linalg.norm(a) / np.linalg.norm(b), -1.0, 1.0))


class Particle:
    """One particle: four-momentum, place relative to the IP, other values by name, daughters."""

    def __init__(self, p4, place, values, daughters=()):
        self.p4, self.place, self.values, self.daughters = np.asarray(p4), np.asarray(place), values, daughters


def variable(name, part, beam, *, boost=None, origin=None):
    """``name`` of ``part``; with ``boost`` its momentum and place are seen from that frame."""
    p4, place = part.p4, part.place
    if boost is not None:
        p4 = boost_matrix(boost) @ p4
        place = moved_place(place - (0 if origin is None else origin), boost)
    momentum = {"px": p4[0], "py": p4[1], "pz": p4[2], "E": p4[3], "pt": math.hypot(p4[0], p4[1]),
                "p": math.sqrt(p4[:3] @ p4[:3]), "dx": place[0], "dy": place[1], "dz": place[2],
                "dr": math.hypot(place[0], place[1]), "distance": math.sqrt(place @ place)}
    if name in momentum:
        return momentum[name]
    star = boost_matrix(beam) @ part.p4
    half = mass(np.asarray(beam)) / 2
    if name == "deltaE":
        return star[3] - half
    if name == "Mbc":
        square = half ** 2 - star[:3] @ star[:3]
        return math.sqrt(square) if square > 0 else math.nan
    if name == "cosAngleBetweenMomentumAndVertexVector":
        length = np.linalg.norm(part.p4[:3]) * np.linalg.norm(part.place)
        return part.p4[:3] @ part.place / length if length else math.nan
    if name == "Q":
        return part.values["M"] - sum(mass(d.p4) for d in part.daughters)
    if name == "dQ":
        return variable("Q", part, beam) - part.values["nominal"] + sum(d.values["nominal"] for d in part.daughters)
    if name == "dM":
        return part.values["M"] - part.values["nominal"]
    if name == "significanceOfDistance":
        variance = part.place @ part.values["cov"] @ part.place
        return part.place @ part.place / math.sqrt(variance) if variance > 0 else math.nan
    return part.values[name]


def feature(name, part, beam):
    """An expanded feature of ``part``; arguments are cut out of the name by hand."""
    def inside(function):
        return name[len(function) + 1 : -1]

    if name.startswith("abs("):
        return abs(feature(inside("abs"), part, beam))
    if name.startswith("daughterProductOf("):
        return math.prod(variable(inside("daughterProductOf"), d, beam) for d in part.daughters)
    if name.startswith("daughterInvariantMass("):
        return mass(sum(part.daughters[int(i)].p4 for i in inside("daughterInvariantMass").split(",")))
    if name.startswith("daughterAngle("):
        i, j = (part.daughters[int(i)].p4[:3] for i in inside("daughterAngle").split(","))
        return angle(i, j)
    if name.startswith("decayAngle("):
        matrix = boost_matrix(part.p4)
        daughter = part.daughters[int(inside("decayAngle"))]
        return angle((matrix @ daughter.p4)[:3], -(matrix @ np.asarray(beam))[:3])
    boost = origin = None
    if name.startswith("useRestFrame("):
        name, boost, origin = inside("useRestFrame"), part.p4, part.place
    elif name.startswith("useCMSFrame("):
        name, boost = inside("useCMSFrame"), np.asarray(beam)
    if name.startswith("daughterAngle(") and boost is not None:
        i, j = ((boost_matrix(boost) @ part.daughters[int(i)].p4)[:3] for i in inside("daughterAngle").split(","))
        return angle(i, j)
    if name.startswith("daughter("):
        number, inner = inside("daughter").split(",", 1)
        return variable(inner.strip(), part.daughters[int(number)], beam, boost=boost, origin=origin)
    return variable(name, part, beam, boost=boost, origin=origin)
