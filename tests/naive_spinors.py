"""Matrix elements from Dirac matrices, one decay at a time: slow, plain, and free of helicity conventions.

Four-vectors here are (E, px, py, pz), upper index.
"""

from __future__ import annotations

from itertools import permutations

import numpy as np

METRIC = np.diag([1.0, -1.0, -1.0, -1.0])
_PAULI = (np.array([[0, 1], [1, 0]], complex), np.array([[0, -1j], [1j, 0]]), np.diag([1, -1]).astype(complex))
_ZERO, _ONE = np.zeros((2, 2)), np.eye(2)
GAMMA = [np.block([[_ONE, _ZERO], [_ZERO, -_ONE]]).astype(complex)]
GAMMA += [np.block([[_ZERO, s], [-s, _ZERO]]) for s in _PAULI]
GAMMA5 = 1j * GAMMA[0] @ GAMMA[1] @ GAMMA[2] @ GAMMA[3]
UNIT = np.eye(4)
LEFT = UNIT - GAMMA5

#: eps_{abcd} with lower indices; eps_{0123} = -1, tr(g5 a b c d) = -4i eps.
EPSILON = np.zeros((4, 4, 4, 4))
for _p in permutations(range(4)):
    EPSILON[_p] = -round(np.linalg.det(np.eye(4)[list(_p)]))


def slash(p):
    """gamma_mu p^mu."""
    return sum(METRIC[i, i] * p[i] * GAMMA[i] for i in range(4))


def standard(p):
    """(px, py, pz, E) -> (E, px, py, pz)."""
    return np.array([p[3], p[0], p[1], p[2]])


def boosted(p, frame):
    """``p`` from the rest frame of ``frame`` into the frame where that is given; both (E, px, py, pz)."""
    mass = np.sqrt(frame @ METRIC @ frame)
    along = p[1:] @ frame[1:]
    energy = (frame[0] * p[0] + along) / mass
    return np.concatenate([[energy], p[1:] + frame[1:] * (p[0] + energy) / (frame[0] + mass)])


def squared(line_out, vertex, line_in):
    """tr(line_out vertex line_in vertex-bar): the squared matrix element of one fermion line."""
    bar = GAMMA[0] @ vertex.conj().T @ GAMMA[0]
    return np.trace(line_out @ vertex @ line_in @ bar).real


def projected(p, mass, spin, *, anti=False):
    """u ubar (or v vbar) of a fermion of momentum p; ``spin`` a four-vector, zeros for the half sum."""
    return (slash(p) + (-mass if anti else mass) * UNIT) @ (UNIT + GAMMA5 @ slash(spin)) / 2


def vector_current(p, k, form):
    """T_{mu nu} of <V(k)|V - A|P(p)> = T_{mu nu} eps*^nu (Wirbel, Stech, Bauer); ``form`` has v, a0, a1, a2."""
    m_p, m = (np.sqrt(x @ METRIC @ x) for x in (p, k))
    q = p - k
    q2, low_sum, low_q = q @ METRIC @ q, METRIC @ (p + k), METRIC @ q
    a3 = (m_p + m) / (2 * m) * form["a1"] - (m_p - m) / (2 * m) * form["a2"]
    vector = 2 * form["v"] / (m_p + m) * np.einsum("mnab,a,b->mn", EPSILON, p, k)
    axial = ((m_p + m) * form["a1"] * METRIC - form["a2"] / (m_p + m) * np.outer(low_sum, low_q)
             - 2 * m * (a3 - form["a0"]) / q2 * np.outer(low_q, low_q))
    return 1j * vector - axial


def scalar_current(p, k, form):
    """<P'(k)|V|P(p)>_mu; ``form`` has f_plus, f_zero."""
    q = p - k
    q2 = q @ METRIC @ q
    part = (p @ METRIC @ p - k @ METRIC @ k) / q2 * q
    return METRIC @ (form["f_plus"] * (p + k - part) + form["f_zero"] * part)


def tau_rate(current, tau, neutrino, spin, mass, *, anti=False):
    """|M|^2 of tau -> nu + hadrons with a current J^mu (upper index), for a spin four-vector."""
    vertex = sum(METRIC[i, i] * current[i] * GAMMA[i] for i in range(4)) @ LEFT
    if anti:
        return squared(projected(tau, mass, spin, anti=True), vertex, slash(neutrino))
    return squared(slash(neutrino), vertex, projected(tau, mass, spin))


def tau_pair_rate(beam, minus, plus, spin_minus, spin_plus, mass):
    """|M|^2 of e+e- -> photon -> tau- tau+, beams unpolarised and massless, for spin four-vectors."""
    e_minus, e_plus = beam
    out = 0.0
    for mu in range(4):
        for nu in range(4):
            lepton = np.trace(slash(e_plus) @ GAMMA[mu] @ slash(e_minus) @ GAMMA[nu])
            tau = np.trace(projected(minus, mass, spin_minus) @ GAMMA[mu]
                           @ projected(plus, mass, spin_plus, anti=True) @ GAMMA[nu])
            out += METRIC[mu, mu] * METRIC[nu, nu] * (lepton * tau).real
    return out
