"""The mass recoiling against tag, K and l: M_tau of B -> K tau l, against exact kinematics and the tables by hand."""

from __future__ import annotations

import numpy as np
import pytest
from signal_events import Truth, true_tags

from fei_lite.analyses.candidates.pairs import Pairs, best_of_each_event
from fei_lite.analyses.k_tau_l.generated import MODES, generated_decays
from fei_lite.candidates import CandidateTable
from fei_lite.channels import load_channel_set
from fei_lite.events import concatenate
from fei_lite.particles import mass
from fei_lite.production.simulate import simulate
from fei_lite.reconstruction.engine import NoClassifiers, Reconstruction, reconstruct
from fei_lite.roe.kinematics import mass_squared, recoil_mass_squared
from fei_lite.roe.masks import load_masks

ROOTS, M_B, M_TAU = 10.58, mass("B0"), mass("tau+")
N = 250


def boosted(p4, velocity):
    """Four-vectors (n, 4) boosted by a velocity (n, 3)."""
    b2 = np.sum(velocity**2, axis=1)
    gamma = 1.0 / np.sqrt(1.0 - b2)
    along = np.sum(velocity * p4[:, :3], axis=1)
    factor = ((gamma - 1.0) / b2 * along + gamma * p4[:, 3])[:, None]
    return np.column_stack([p4[:, :3] + factor * velocity, gamma * (p4[:, 3] + along)])


def decays(n, rng):
    """Tags (n, 4), what is seen (n, 4) and the tau (n, 4) of B -> (K l) tau, M(K l) anything, centre-of-mass frame."""
    m_kl = rng.uniform(0.6, M_B - M_TAU - 0.01, n)
    p = np.sqrt((M_B**2 - (m_kl + M_TAU) ** 2) * (M_B**2 - (m_kl - M_TAU) ** 2)) / (2 * M_B)
    u = rng.normal(size=(n, 3))
    u /= np.linalg.norm(u, axis=1, keepdims=True)
    seen = np.column_stack([u * p[:, None], np.hypot(p, m_kl)])
    tau = np.column_stack([-u * p[:, None], np.hypot(p, M_TAU)])
    v = rng.normal(size=(n, 3))
    v /= np.linalg.norm(v, axis=1, keepdims=True)
    momentum = np.sqrt(ROOTS**2 / 4 - M_B**2)
    velocity = v * momentum / (ROOTS / 2)
    tag = np.column_stack([-v * momentum, np.full(n, ROOTS / 2)])
    return tag, boosted(seen, velocity), boosted(tau, velocity)


def test_tau_mass_on_exact_kinematics():
    """Would catch a wrong sign of the angle, a wrong energy or mass in the formula: the tau has its mass to 1e-9."""
    tag, seen, tau = decays(500, np.random.default_rng(1))
    np.testing.assert_allclose(-tag[:, :3], (seen + tau)[:, :3], atol=1e-12)
    found = np.sqrt(recoil_mass_squared(tag, seen, ROOTS, M_B))
    np.testing.assert_allclose(found, M_TAU, atol=1e-9)


def test_equal_to_the_four_vector_under_the_constraint():
    """Would catch a formula that is not the recoil's four-vector: with any tag, the signal B has (E_beam, -p_tag); the
    squares differ by m_B^2 - Mbc^2, and by nothing where Mbc is m_B."""
    rng = np.random.default_rng(2)
    _, seen, _ = decays(300, rng)
    tag = np.column_stack([rng.normal(0.0, 0.3, (300, 3)), rng.normal(5.29, 0.05, 300)])
    signal_b = np.column_stack([-tag[:, :3], np.full(300, ROOTS / 2)])
    mbc2 = ROOTS**2 / 4 - np.sum(tag[:, :3] ** 2, axis=1)
    four_vector = mass_squared(signal_b - seen)
    np.testing.assert_allclose(recoil_mass_squared(tag, seen, ROOTS, M_B), four_vector + M_B**2 - mbc2, atol=1e-9)
    for i in range(20):
        np.testing.assert_allclose(recoil_mass_squared(tag[i:i + 1], seen[i:i + 1], ROOTS, np.sqrt(mbc2[i])),
                                   four_vector[i], atol=1e-9)


class LeptonTruth(Truth):
    """Signal B and tag B of B+ -> K+ tau l events."""

    def __init__(self, batch):
        self.batch, g = batch, batch.generated
        first = g.offsets[:-1][g.event_index]
        self.mother = np.where(g["mother"] >= 0, g["mother"] + first, -1)
        self.pdg, self.signal, self.tag = g["pdg"], [], []
        for e in range(batch.n_events):
            rows = np.arange(g.offsets[e], g.offsets[e + 1])
            bs = rows[np.abs(self.pdg[rows]) == 521]
            for b in bs:
                products = {int(abs(c)) for c in self.pdg[rows][self.mother[rows] == b]} - {22}
                if products in ({321, 15, 11}, {321, 15, 13}):
                    self.signal.append(int(b))
                    self.tag.append(int(bs[bs != b][0]))


@pytest.fixture(scope="module")
def batch():
    return concatenate(list(simulate("signal", N, seed=5, dec_file="k_tau_l")))


@pytest.fixture(scope="module")
def pairs(batch):
    table = true_tags(batch, LeptonTruth(batch))["B+"]
    none = table.select(np.zeros(len(table), dtype=bool))
    tags = {"B+": table, "B0": CandidateTable("B0", none.offsets, none.columns)}
    signal_set = load_channel_set("k_tau_l")
    found = reconstruct(batch, signal_set, NoClassifiers(), btags=tags)
    assert isinstance(found, Reconstruction)
    return Pairs(found, np.arange(len(found.tables["Upsilon(4S)"])), "Upsilon(4S)", tags=found, masks=load_masks(),
                 own={})


def test_variable_by_hand(pairs):
    """Would catch another daughter, another frame, or another B's mass in the variable: every pair, one at a time."""
    result = pairs.result
    both, tag, side = (result.tables[n] for n in ("Upsilon(4S)", "B+:tag", "B+:k"))
    squares = pairs.value("m2RecoilOfTagAndDaughters(0, 1)")
    masses = pairs.value("mRecoilOfTagAndDaughters(1, 0)")
    leptons = {0: "e+:sig", 1: "mu+:sig", 2: "e+:sig", 3: "mu+:sig"}
    assert len(both) > 30
    for i in range(len(both)):
        beam = result.batch.events["beam_p4"][both.event_index[i]]
        first, second = both["daughters"][i, :2]
        kaon, lepton = side["daughters"][second, :2]
        seen = result.tables["K+:sig"]["p4"][kaon] + result.tables[leptons[int(side["decayModeID"][second])]]["p4"][
            lepton]
        roots = np.sqrt(beam[3] ** 2 - beam[:3] @ beam[:3])
        cms = boosted(np.stack([tag["p4"][first], seen]), np.tile(-beam[:3] / beam[3], (2, 1)))
        p, q = cms
        m2 = q[3] ** 2 - q[:3] @ q[:3]
        cos = p[:3] @ q[:3] / np.linalg.norm(p[:3]) / np.linalg.norm(q[:3])
        hand = mass("B+") ** 2 + m2 - 2 * (roots / 2 * q[3] + np.linalg.norm(p[:3]) * np.linalg.norm(q[:3]) * cos)
        assert squares[i] == pytest.approx(hand, abs=1e-9)
        assert (np.isnan(masses[i]) and hand < 0) or masses[i] == pytest.approx(np.sqrt(hand), abs=1e-9)


def test_undefined_where_negative(pairs):
    """Would catch a mass of 0, or of the absolute value, where the square is negative, and one without its daughter."""
    squares, masses = pairs.value("m2RecoilOfTagAndDaughters(0, 1)"), pairs.value("mRecoilOfTagAndDaughters(0, 1)")
    everything = pairs.value("m2RecoilOfTagAndDaughters(0, 1, 2)")
    np.testing.assert_array_equal(np.isnan(masses), squares < 0.0)
    assert np.all(np.isfinite(squares)) and np.all(np.isfinite(everything))
    negative = everything < 0.0
    assert negative.any() and np.isnan(pairs.value("mRecoilOfTagAndDaughters(0, 1, 2)")[negative]).all()
    assert np.isnan(pairs.value("m2RecoilOfTagAndDaughters(3)")).all()


def test_peak_and_modes(batch, pairs):
    """Would catch a signal whose M_tau is not the tau's mass, and modes or charges that are mixed up."""
    modes = generated_decays(batch)
    assert np.all(modes.mode >= 0) and set(modes.mode) == set(range(len(MODES)))
    best = best_of_each_event(pairs, [(pairs.value("daughter(0, isSignal)"), True),
                                      (pairs.value("daughter(1, daughter(1, useCMSFrame(p)))"), True)])
    right = best.value("daughter(0, isSignal)") == 1
    right &= np.isin(best.value("decayModeID"), 3)
    x, mode = best.value("mRecoilOfTagAndDaughters(0, 1)")[right], best.value("daughter(1, decayModeID)")[right]
    assert right.sum() > 30
    assert abs(np.nanmedian(x) - M_TAU) < 0.02
    good = np.abs(x - M_TAU) < 0.05
    assert good.mean() > 0.5 and np.mean(mode[good] == modes.mode[best.event[right]][good]) > 0.85


def test_one_for_each(pairs):
    """Would catch candidates of different searches that compete, or two of one search in an event."""
    value = pairs.value("daughter(1, decayModeID)")
    best = best_of_each_event(pairs, [(pairs.value("daughter(1, daughter(1, p))"), True)], each=value)
    wanted = {(int(e), int(v)): -1.0 for e, v in zip(pairs.event, value, strict=True)}
    for e, v, p in zip(pairs.event, value, pairs.value("daughter(1, daughter(1, p))"), strict=True):
        wanted[int(e), int(v)] = max(wanted[int(e), int(v)], float(p))
    found = dict(zip(zip(best.event.tolist(), best.value("daughter(1, decayModeID)").tolist(), strict=True),
                     best.value("daughter(1, daughter(1, p))").tolist(), strict=True))
    assert len(found) == len(best) and found == wanted and len(best) > len(np.unique(pairs.event))


def test_photons_are_added_back(pairs):
    """Would catch radiated photons that are lost: with them the electrons' M_tau is nearer to the tau's mass."""
    table = pairs.result.tables["e+:sig"]
    assert set(np.unique(table["decayModeID"])) >= {0, 1}
    radiated = np.flatnonzero(table["decayModeID"] == 1)
    tracks = pairs.result.tables["e+:track"]["p4"][table["daughters"][radiated, 0]]
    photons = pairs.result.tables["gamma:brems"]["p4"][table["daughters"][radiated, 1]]
    np.testing.assert_allclose(table["p4"][radiated], tracks + photons, rtol=1e-12)
    angle = np.sum(tracks[:, :3] * photons[:, :3], axis=1) / np.linalg.norm(tracks[:, :3], axis=1) / np.linalg.norm(
        photons[:, :3], axis=1)
    assert np.all(np.arccos(np.clip(angle, -1, 1)) < 0.05) and len(radiated) > 5
