"""All features of all candidates of a channel in one pass.

Candidates are worked on in groups of ``LANES`` side by side: each step is a loop
over the lanes of a group, which the compiler turns into vector instructions.
"""

from __future__ import annotations

import numpy as np

from fei_lite.kernels import feature_codes as codes
from fei_lite.kernels.jit import kernel
from fei_lite.kernels.lorentz import boost_lanes, contract_lanes, polar_angle

# Numba wants plain global constants.
COLUMN, P, PT, PX, PY, PZ, ENERGY = (codes.COLUMN, codes.P, codes.PT, codes.PX, codes.PY, codes.PZ, codes.ENERGY)
DX, DY, DZ, DR, DISTANCE = codes.DX, codes.DY, codes.DZ, codes.DR, codes.DISTANCE
POINTING, Q_VALUE, MBC, DELTA_E = codes.POINTING, codes.Q_VALUE, codes.MBC, codes.DELTA_E
DAUGHTER_ANGLE, DECAY_ANGLE, INVARIANT_MASS = codes.DAUGHTER_ANGLE, codes.DECAY_ANGLE, codes.INVARIANT_MASS
THETA = codes.THETA
LAB, CMS, REST, ALL_DAUGHTERS = codes.LAB, codes.CMS, codes.REST, codes.ALL_DAUGHTERS

LANES = 128  # candidates at a time: what one group needs stays in the processor's nearest cache


@kernel
def _of_particle(code, q, r, q_lab, r_lab, q_cms, sqrt_s, n, out):
    """A variable of one particle per lane; ``q`` (4, LANES) and ``r`` (3, LANES) are in the wanted frame."""
    if code == P:
        for i in range(n):
            out[i] = np.sqrt(q[0, i] * q[0, i] + q[1, i] * q[1, i] + q[2, i] * q[2, i])
    elif code == PT:
        for i in range(n):
            out[i] = np.sqrt(q[0, i] * q[0, i] + q[1, i] * q[1, i])
    elif PX <= code <= ENERGY:
        for i in range(n):
            out[i] = q[code - PX, i]
    elif code == THETA:
        for i in range(n):
            out[i] = polar_angle(np.sqrt(q[0, i] * q[0, i] + q[1, i] * q[1, i]), q[2, i])
    elif DX <= code <= DZ:
        for i in range(n):
            out[i] = r[code - DX, i]
    elif code == DR:
        for i in range(n):
            out[i] = np.sqrt(r[0, i] * r[0, i] + r[1, i] * r[1, i])
    elif code == DISTANCE:
        for i in range(n):
            out[i] = np.sqrt(r[0, i] * r[0, i] + r[1, i] * r[1, i] + r[2, i] * r[2, i])
    elif code == DELTA_E:
        for i in range(n):
            out[i] = q_cms[3, i] - 0.5 * sqrt_s[i]
    elif code == MBC:
        for i in range(n):
            m2 = 0.25 * sqrt_s[i] * sqrt_s[i] - (q_cms[0, i] * q_cms[0, i] + q_cms[1, i] * q_cms[1, i]
                                                 + q_cms[2, i] * q_cms[2, i])
            out[i] = np.sqrt(m2) if m2 > 0.0 else np.nan
    elif code == POINTING:
        for i in range(n):
            dot = q_lab[0, i] * r_lab[0, i] + q_lab[1, i] * r_lab[1, i] + q_lab[2, i] * r_lab[2, i]
            p2 = q_lab[0, i] * q_lab[0, i] + q_lab[1, i] * q_lab[1, i] + q_lab[2, i] * q_lab[2, i]
            r2 = r_lab[0, i] * r_lab[0, i] + r_lab[1, i] * r_lab[1, i] + r_lab[2, i] * r_lab[2, i]
            out[i] = dot / np.sqrt(p2 * r2)
    else:
        out[:n] = np.nan


@kernel
def _angles(a, b, n, out):
    """Angle between the 3-vectors of each lane, 0..pi; NaN if one has no direction.

    The arc tangent is exact at 0 and pi, where an arc cosine loses half its digits.
    """
    for i in range(n):
        x = a[1, i] * b[2, i] - a[2, i] * b[1, i]
        y = a[2, i] * b[0, i] - a[0, i] * b[2, i]
        z = a[0, i] * b[1, i] - a[1, i] * b[0, i]
        along = a[0, i] * b[0, i] + a[1, i] * b[1, i] + a[2, i] * b[2, i]
        out[i] = polar_angle(np.sqrt(x * x + y * y + z * z), along)


@kernel
def _masses(q, n, out):
    """Invariant mass of each lane; 0 where rounding makes its square negative (photons)."""
    for i in range(n):
        m2 = q[3, i] * q[3, i] - (q[0, i] * q[0, i] + q[1, i] * q[1, i] + q[2, i] * q[2, i])
        out[i] = np.sqrt(m2) if not m2 < 0.0 else 0.0


@kernel
def one_particle(code, q, r, q_lab, r_lab, q_cms, sqrt_s, n, out):
    """The same of ``n`` particles at once, for callers outside of this module."""
    _of_particle(code, q, r, q_lab, r_lab, q_cms, sqrt_s, n, out)


@kernel
def angle_lanes(a, b, n, out):
    """Angles between the 3-vectors of ``n`` lanes, 0..pi; NaN if one has no direction."""
    _angles(a, b, n, out)


@kernel
def mass_lanes(q, n, out):
    """Invariant masses of ``n`` lanes; 0 where rounding makes the square negative."""
    _masses(q, n, out)


@kernel
def _of_daughters(code, first, second, q, q_lab, q_rest, mass, beam_rest, n, total, out):
    """A variable of several daughters, or of the candidate and its daughters, per lane."""
    n_subjects = q.shape[0]
    if code == DAUGHTER_ANGLE:
        _angles(q[1 + first], q[1 + second], n, out)
    elif code == DECAY_ANGLE:
        _angles(beam_rest, q_rest[1 + first], n, out)
        for i in range(n):
            out[i] = np.pi - out[i]
    elif code == INVARIANT_MASS:
        total[:] = 0.0
        for s in range(1, n_subjects):
            if (first >> (s - 1)) & 1:
                for c in range(4):
                    for i in range(n):
                        total[c, i] += q_lab[s, c, i]
        _masses(total, n, out)
    elif code == Q_VALUE:
        own = total[0]
        out[:n] = mass[:n]
        for s in range(1, n_subjects):
            _masses(q_lab[s], n, own)
            for i in range(n):
                out[i] -= own[i]
    else:
        out[:n] = np.nan


@kernel
def _see_from_frames(q, r, beam, sqrt_s, need_cms, need_rest, n, own, away, beam_rest):
    """Fill the momenta ``q`` (3, s, 4, LANES) and places ``r`` (3, s, 3, LANES) of the frames that are needed.

    Those of the laboratory are given. In the rest frame places are relative to
    the candidate's; ``beam_rest`` is the beams' momentum there.
    """
    n_subjects = q.shape[1]
    if need_cms:
        for s in range(n_subjects):
            boost_lanes(q[LAB, s], beam, sqrt_s, n, q[CMS, s])
            contract_lanes(r[LAB, s], beam, sqrt_s, n, r[CMS, s])
    if need_rest:
        frame = q[LAB, 0]
        _masses(frame, n, own)
        for i in range(n):
            own[i] = own[i] if own[i] > 0.0 else np.nan  # a photon is nowhere at rest
        boost_lanes(beam, frame, own, n, beam_rest)
        for s in range(n_subjects):
            boost_lanes(q[LAB, s], frame, own, n, q[REST, s])
            for c in range(3):
                for i in range(n):
                    away[c, i] = r[LAB, s, c, i] - r[LAB, 0, c, i]
            contract_lanes(away, frame, own, n, r[REST, s])


@kernel
def fill(opcodes, offset, p4, place, mass, event, beam_p4, columns, need_cms, need_rest, out):
    """Write every feature of every candidate.

    ``opcodes`` (m, 6): code, frame, subject, first and second argument,
    whether the absolute value is wanted; ``offset`` (m,) is subtracted (a
    nominal mass). ``p4`` (s, 4, n) and ``place`` (s, 3, n), relative to the
    interaction point, hold the candidate and then its daughters; ``mass`` (n,)
    is the candidate's. ``columns[opcodes[f, 3], i]`` is a ready value;
    daughters' values of a product stand in consecutive columns. ``out`` (n, m).
    """
    n_subjects, n_candidates = p4.shape[0], p4.shape[2]
    q, r = np.full((3, n_subjects, 4, LANES), np.nan), np.full((3, n_subjects, 3, LANES), np.nan)
    beam, beam_rest, total = np.empty((4, LANES)), np.full((4, LANES), np.nan), np.empty((4, LANES))
    sqrt_s, own_mass, factor, value = np.empty(LANES), np.full(LANES, np.nan), np.empty(LANES), np.empty(LANES)
    for start in range(0, n_candidates, LANES):
        n = min(LANES, n_candidates - start)
        for s in range(n_subjects):
            for c in range(4):
                q[LAB, s, c, :n] = p4[s, c, start:start + n]
            for c in range(3):
                r[LAB, s, c, :n] = place[s, c, start:start + n]
        for i in range(n):
            for c in range(4):
                beam[c, i] = beam_p4[event[start + i], c]
        if len(mass):
            own_mass[:n] = mass[start:start + n]
        _masses(beam, n, sqrt_s)
        _see_from_frames(q, r, beam, sqrt_s, need_cms, need_rest, n, factor, total[:3], beam_rest)
        for f in range(opcodes.shape[0]):
            code, frame, subject = opcodes[f, 0], opcodes[f, 1], opcodes[f, 2]
            if code == COLUMN and subject != ALL_DAUGHTERS:
                value[:n] = columns[opcodes[f, 3], start:start + n]
            elif code >= DAUGHTER_ANGLE or code == Q_VALUE:
                _of_daughters(code, opcodes[f, 3], opcodes[f, 4], q[frame], q[LAB], q[REST], own_mass,
                              beam_rest, n, total, value)
            elif subject == ALL_DAUGHTERS:
                value[:n] = 1.0
                for s in range(1, n_subjects):
                    if code == COLUMN:
                        factor[:n] = columns[opcodes[f, 3] + s - 1, start:start + n]
                    else:
                        _of_particle(code, q[frame, s], r[frame, s], q[LAB, s], r[LAB, s], q[CMS, s], sqrt_s,
                                     n, factor)
                    for i in range(n):
                        value[i] *= factor[i]
            else:
                _of_particle(code, q[frame, subject], r[frame, subject], q[LAB, subject], r[LAB, subject],
                             q[CMS, subject], sqrt_s, n, value)
            shift, absolute = offset[f], opcodes[f, 5] != 0
            for i in range(n):
                shifted = value[i] - shift
                out[start + i, f] = abs(shifted) if absolute else shifted


@kernel
def gather(values, rows, out):
    """``out[c, i] = values[rows[i], c]``: rows of a table side by side, one line per component."""
    for i in range(rows.shape[0]):
        row = rows[i]
        for c in range(values.shape[1]):
            out[c, i] = values[row, c]


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
