"""All features of all candidates of a channel in one pass."""

from __future__ import annotations

import numpy as np

from fei_lite.kernels import feature_codes as codes
from fei_lite.kernels.jit import kernel
from fei_lite.kernels.lorentz import angle, boost, contract, rest_mass

# Numba wants plain global constants.
COLUMN, P, PT, PX, PY, PZ, ENERGY = (codes.COLUMN, codes.P, codes.PT, codes.PX, codes.PY, codes.PZ, codes.ENERGY)
DX, DY, DZ, DR, DISTANCE = codes.DX, codes.DY, codes.DZ, codes.DR, codes.DISTANCE
POINTING, Q_VALUE, MBC, DELTA_E = codes.POINTING, codes.Q_VALUE, codes.MBC, codes.DELTA_E
DAUGHTER_ANGLE, DECAY_ANGLE, INVARIANT_MASS = codes.DAUGHTER_ANGLE, codes.DECAY_ANGLE, codes.INVARIANT_MASS
THETA = codes.THETA
LAB, CMS, REST, ALL_DAUGHTERS = codes.LAB, codes.CMS, codes.REST, codes.ALL_DAUGHTERS


@kernel
def _of_particle(code, q, r, q_lab, r_lab, q_cms, sqrt_s):
    """A variable of one particle; ``q`` and ``r`` are in the wanted frame."""
    if code == P:
        return np.sqrt(q[0] * q[0] + q[1] * q[1] + q[2] * q[2])
    if code == PT:
        return np.sqrt(q[0] * q[0] + q[1] * q[1])
    if PX <= code <= ENERGY:
        return q[code - PX]
    if code == THETA:
        return np.arctan2(np.sqrt(q[0] * q[0] + q[1] * q[1]), q[2])
    if DX <= code <= DZ:
        return r[code - DX]
    if code == DR:
        return np.sqrt(r[0] * r[0] + r[1] * r[1])
    if code == DISTANCE:
        return np.sqrt(r[0] * r[0] + r[1] * r[1] + r[2] * r[2])
    if code == DELTA_E:
        return q_cms[3] - 0.5 * sqrt_s
    if code == MBC:
        m2 = 0.25 * sqrt_s * sqrt_s - (q_cms[0] * q_cms[0] + q_cms[1] * q_cms[1] + q_cms[2] * q_cms[2])
        return np.sqrt(m2) if m2 > 0.0 else np.nan
    if code == POINTING:
        dot = q_lab[0] * r_lab[0] + q_lab[1] * r_lab[1] + q_lab[2] * r_lab[2]
        p2 = q_lab[0] * q_lab[0] + q_lab[1] * q_lab[1] + q_lab[2] * q_lab[2]
        r2 = r_lab[0] * r_lab[0] + r_lab[1] * r_lab[1] + r_lab[2] * r_lab[2]
        return dot / np.sqrt(p2 * r2)
    return np.nan


@kernel
def _of_daughters(code, first, second, q, q_lab, q_rest, mass, beam_rest):
    """A variable of several daughters, or of the candidate and its daughters."""
    n = q.shape[0]
    if code == DAUGHTER_ANGLE:
        return angle(q[1 + first], q[1 + second])
    if code == DECAY_ANGLE:
        return np.pi - angle(beam_rest, q_rest[1 + first])
    if code == INVARIANT_MASS:
        px, py, pz, energy = 0.0, 0.0, 0.0, 0.0
        for s in range(1, n):
            if (first >> (s - 1)) & 1:
                px += q_lab[s, 0]
                py += q_lab[s, 1]
                pz += q_lab[s, 2]
                energy += q_lab[s, 3]
        return rest_mass((px, py, pz, energy))
    if code == Q_VALUE:
        q_value = mass
        for s in range(1, n):
            q_value -= rest_mass(q_lab[s])
        return q_value
    return np.nan


@kernel
def _see_from_frames(p4, place, beam, sqrt_s, need_cms, need_rest, q, r, beam_rest):
    """Momenta ``q`` (3, s, 4) and places ``r`` (3, s, 3) of one row in each frame that is needed.

    In the rest frame places are relative to the candidate's; ``beam_rest`` is
    the beams' momentum there.
    """
    n_subjects = p4.shape[0]
    q[LAB] = p4
    r[LAB] = place
    if need_cms:
        for s in range(n_subjects):
            boost(p4[s], beam, sqrt_s, q[CMS, s])
            contract(place[s], beam, sqrt_s, r[CMS, s])
    if need_rest:
        own = rest_mass(p4[0])
        if own == 0.0:
            own = np.nan  # a photon is nowhere at rest
        boost(beam, p4[0], own, beam_rest)
        for s in range(n_subjects):
            boost(p4[s], p4[0], own, q[REST, s])
            for a in range(3):
                r[REST, s, a] = place[s, a] - place[0, a]
            contract(r[REST, s], p4[0], own, r[REST, s])


@kernel
def fill(opcodes, offset, p4, place, mass, event, beam_p4, columns, need_cms, need_rest, out):
    """Write every feature of every candidate.

    ``opcodes`` (m, 6): code, frame, subject, first and second argument,
    whether the absolute value is wanted; ``offset`` (m,) is subtracted (a
    nominal mass). ``p4`` (n, s, 4) and ``place`` (n, s, 3), relative to the
    interaction point, hold the candidate and then its daughters; ``mass`` (n,)
    is the candidate's. ``columns[opcodes[f, 3], i]`` is a ready value;
    daughters' values of a product stand in consecutive columns. ``out`` (n, m).
    """
    n, n_subjects = p4.shape[0], p4.shape[1]
    q = np.full((3, n_subjects, 4), np.nan)
    r = np.full((3, n_subjects, 3), np.nan)
    beam_rest = np.full(4, np.nan)
    for i in range(n):
        beam = beam_p4[event[i]]
        sqrt_s = rest_mass(beam)
        _see_from_frames(p4[i], place[i], beam, sqrt_s, need_cms, need_rest, q, r, beam_rest)
        for f in range(opcodes.shape[0]):
            code, frame, subject = opcodes[f, 0], opcodes[f, 1], opcodes[f, 2]
            if code == COLUMN and subject != ALL_DAUGHTERS:
                value = columns[opcodes[f, 3], i]
            elif code >= DAUGHTER_ANGLE or code == Q_VALUE:
                value = _of_daughters(code, opcodes[f, 3], opcodes[f, 4], q[frame], q[LAB], q[REST],
                                      mass[i], beam_rest)
            elif subject == ALL_DAUGHTERS:
                value = 1.0
                for s in range(1, n_subjects):
                    if code == COLUMN:
                        value *= columns[opcodes[f, 3] + s - 1, i]
                    else:
                        value *= _of_particle(code, q[frame, s], r[frame, s], q[LAB, s], r[LAB, s], q[CMS, s], sqrt_s)
            else:
                value = _of_particle(code, q[frame, subject], r[frame, subject], q[LAB, subject], r[LAB, subject],
                                     q[CMS, subject], sqrt_s)
            value -= offset[f]
            out[i, f] = abs(value) if opcodes[f, 5] else value


@kernel
def distance_significance(place, cov, event, ip_cov, out):
    """Distance over its standard deviation along its direction, r^2 / sqrt(r V r).

    ``place`` (n, 3) relative to the interaction point, ``cov`` (n, 7, 7) of
    (px, py, pz, E, x, y, z), ``ip_cov`` (n_events, 6) packed xx xy xz yy yz zz.
    """
    for i in range(place.shape[0]):
        x, y, z = place[i, 0], place[i, 1], place[i, 2]
        spot = ip_cov[event[i]]
        variance = (x * x * (cov[i, 4, 4] + spot[0]) + y * y * (cov[i, 5, 5] + spot[3])
                    + z * z * (cov[i, 6, 6] + spot[5])
                    + 2.0 * (x * y * (cov[i, 4, 5] + spot[1]) + x * z * (cov[i, 4, 6] + spot[2])
                             + y * z * (cov[i, 5, 6] + spot[4])))
        out[i] = (x * x + y * y + z * z) / np.sqrt(variance) if variance > 0.0 else np.nan
