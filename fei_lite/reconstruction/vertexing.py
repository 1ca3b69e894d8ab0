"""Vertex fits of candidates, and the mass fit of the pi0."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from fei_lite import particles
from fei_lite.candidates import CandidateTable
from fei_lite.constants import CURVATURE_TO_PT
from fei_lite.events import EventBatch
from fei_lite.kernels import massfit
from fei_lite.kernels import vertex as kernels

#: Linearisations before a fit counts as not converged (a few are usual).
MAX_ITERATIONS = 10

_CHUNK = 2048           # candidates gathered at a time, to stay in the processor's cache
_PROMPT_FLIGHT = 1e-3   # cm; c tau below which a particle decays where it is made
_COLLINEAR_MASS = 0.9   # share of the mother's mass above which a daughter flies along with it
_DISPLACED_FLIGHT = 1.0  # cm; c tau above which the fit starts from the tracks' crossing
_GAMMA = 22


@dataclass(frozen=True)
class VertexFit:
    """Result of a fit of n candidates; laboratory frame, GeV and cm.

    ``p4`` (n, 4) and ``vertex`` (n, 3) at the decay vertex with ``cov``
    (n, 7, 7) of (px, py, pz, E, x, y, z); ``chi2``, ``chiProb`` (n,) and
    ``ndf`` (n,). Where there is no fit, or it failed: chi2 and chiProb NaN, ndf
    0, p4 the plain sum (for long-lived mothers, of the momenta at the guessed
    vertex), vertex the best guess; the position part of ``cov`` is NaN unless
    the vertex is measured.
    """

    p4: NDArray[np.float64]
    vertex: NDArray[np.float64]
    cov: NDArray[np.float64]
    chi2: NDArray[np.float64]
    ndf: NDArray[np.int64]
    chiProb: NDArray[np.float64]


@cache
def _flight(name: str) -> float:
    """c tau in cm; 0 where it is not known (resonances whose width only has a limit)."""
    from particle import Particle  # takes a third of a second: only when needed

    flight = Particle.from_pdgid(particles.pdg_code(name)).ctau
    return 0.0 if flight is None else float(flight) / 10.0


def fit_vertices(
    candidates: CandidateTable, daughters: Sequence[CandidateTable], batch: EventBatch, *, fit: bool = True,
) -> VertexFit:
    """Fit a common vertex to the daughters of each candidate of one channel.

    ``candidates["daughters"][:, j]`` are rows of ``daughters[j]``, of which
    ``p4``, ``vertex``, ``cov``, ``sign`` and the particle's charge are used. A
    daughter with NaN position covariance (photon, pi0, unfitted composite)
    adds its momentum only. The others are followed to the vertex, tracks and
    charged composites on their helix; ndf = 2 n - 3.

    With fewer than two of them, a singular matrix or no convergence, chiProb
    is NaN. The vertex is then that of the only daughter that has one, else the
    starting point: the interaction point (for long-lived mothers, and photons,
    the crossing of the two tracks). A resonance that decays where it is made,
    and whose only daughter with a vertex flies along with it (D*0 -> D0 pi0),
    takes over the position covariance as well, so that its mother can still be
    fitted. ``fit=False`` fits nothing.
    """
    n = len(candidates)
    width = len(daughters)
    rows = np.ascontiguousarray(candidates["daughters"].T)
    mother = candidates.particle
    event = candidates.event_index
    bz, ip = batch.events["bz"][event], batch.events["ip"][event]
    flight = _flight(mother)
    cross = flight > _DISPLACED_FLIGHT or particles.pdg_code(mother) == _GAMMA
    collinear = _COLLINEAR_MASS * particles.mass(mother) if flight < _PROMPT_FLIGHT else np.inf
    hands_on = np.array([particles.mass(t.particle) > collinear for t in daughters], np.bool_)
    charge = [particles.charge(t.particle) for t in daughters]
    cov = np.full((n, 7, 7), np.nan)
    cov[:, :4, :4] = 0.0
    result = VertexFit(np.zeros((n, 4)), ip.astype(np.float64), cov, np.empty(n), np.empty(n, np.int64), np.empty(n))
    lanes = np.zeros((width, -(-min(n, _CHUNK) // kernels.LANES), kernels.VALUES * kernels.LANES))
    for first in range(0, n, _CHUNK):
        part = slice(first, min(first + _CHUNK, n))
        for j, table in enumerate(daughters):
            kernels.load(table["p4"], table["vertex"], table["cov"], table["sign"], rows[j, part], bz[part],
                         -CURVATURE_TO_PT * charge[j], lanes[j], result.p4[part], result.cov[part])
        kernels.fit_candidates(lanes, cross, hands_on, MAX_ITERATIONS if fit else 0,
                               result.p4[part], result.vertex[part], result.cov[part],
                               result.chi2[part], result.ndf[part], result.chiProb[part])
    return result


def fit_masses(
    candidates: CandidateTable, daughters: Sequence[CandidateTable], batch: EventBatch,
) -> VertexFit:
    """Constrain the daughters' total four-momentum to the mother's mass (pi0 -> gamma gamma).

    One degree of freedom. Vertex: the interaction point, with NaN position
    covariance. Where the fit fails: p4 the plain sum, chi2 and chiProb NaN.
    """
    rows = candidates["daughters"]
    total = np.zeros((len(candidates), 4))
    cov = np.zeros((len(candidates), 4, 4))
    for j, table in enumerate(daughters):
        total += table["p4"].take(rows[:, j], axis=0)
        cov += table["cov"].take(rows[:, j], axis=0)[:, :4, :4]
    p4, cov4, chi2, probability = mass_fit(total, cov, mass=particles.mass(candidates.particle))
    full = np.full((len(candidates), 7, 7), np.nan)
    full[:, :4, :4] = cov4
    vertex = batch.events["ip"][candidates.event_index].astype(np.float64)
    return VertexFit(p4, vertex, full, chi2, np.isfinite(chi2).astype(np.int64), probability)


def mass_fit(
    p4: NDArray[np.float64], cov: NDArray[np.float64], *, mass: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Least-squares fit of four-momenta (n, 4) with covariance (n, 4, 4) to E^2 - p^2 = mass^2.

    Only the sum of the daughters enters the constraint, so fitting the sum
    with the summed covariance is the fit of the daughters. Returns p4, its
    covariance, chi2 and chiProb (1 degree of freedom; NaN where it failed).

    >>> p4, *_ = mass_fit(np.array([[0., 0., 1., 1.02]]), np.diag([1e-9, 1e-9, 1e-9, 1e-4])[None], mass=0.135)
    >>> bool(abs(p4[0, 3] ** 2 - p4[0, 2] ** 2 - 0.135 ** 2) < 1e-9)
    True
    """
    out_p4, out_cov, chi2, probability = np.empty_like(p4), np.empty_like(cov), np.empty(len(p4)), np.empty(len(p4))
    massfit.fit_mass(p4, cov, mass, MAX_ITERATIONS, out_p4, out_cov, chi2, probability)
    return out_p4, out_cov, chi2, probability
