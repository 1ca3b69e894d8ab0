"""The choice of the Btag, and Mbc and deltaE against closed forms."""

from __future__ import annotations

import numpy as np

from fei_lite.particles import mass
from fei_lite.reconstruction.frames import beam_constrained
from fei_lite.tagging.best import rank_tags

BEAM = np.array([0.457, 0.0, 2.999, 11.005])


def boosted_b(direction, sqrt_s):
    """Laboratory momentum of a B of half the beam energy that flies along ``direction`` in the CMS."""
    energy = sqrt_s / 2
    p3 = np.sqrt(energy**2 - mass("B+") ** 2) * direction
    gamma_beta = BEAM[:3] / sqrt_s
    gamma = BEAM[3] / sqrt_s
    along = p3 @ gamma_beta
    return np.append(p3 + gamma_beta * (along / (gamma + 1) + energy), gamma * energy + along)


def test_mbc_and_delta_e_of_a_true_b():
    """Would catch a wrong boost or frame: a B of half the energy has Mbc = m_B and deltaE = 0."""
    sqrt_s = np.sqrt(BEAM[3] ** 2 - BEAM[:3] @ BEAM[:3])
    directions = np.random.default_rng(3).normal(size=(50, 3))
    directions /= np.linalg.norm(directions, axis=1)[:, None]
    p4 = np.array([boosted_b(d, sqrt_s) for d in directions])
    mbc, delta_e = beam_constrained(p4, np.tile(BEAM, (50, 1)))
    np.testing.assert_allclose(mbc, mass("B+"), atol=1e-9)
    np.testing.assert_allclose(delta_e, 0.0, atol=1e-9)
    mbc, delta_e = beam_constrained(BEAM[None, :], BEAM[None, :])
    np.testing.assert_allclose([mbc[0], delta_e[0]], sqrt_s / 2, atol=1e-9)


def test_unphysical_momentum_is_nan():
    """Would catch a fake Mbc of 0 for a momentum above the beam energy."""
    mbc, _ = beam_constrained(np.array([[0.0, 9.0, 0.0, 9.5]]), BEAM[None, :])
    assert np.isnan(mbc[0])


def test_best_and_tie_break():
    """Would catch a tie broken at random, or an undefined vertex preferred to a defined one."""
    event = np.array([0, 0, 0, 1, 1, 3, 3])
    probability = np.array([0.2, 0.9, 0.9, 0.4, 0.4, 0.1, 0.1])
    chi = np.array([0.9, np.nan, 0.1, 0.3, 0.3, 0.2, 0.5])
    order, rank = rank_tags(event, probability, chi)
    assert order.tolist() == [2, 1, 0, 3, 4, 6, 5]
    assert rank.tolist() == [1, 2, 3, 1, 2, 1, 2]
