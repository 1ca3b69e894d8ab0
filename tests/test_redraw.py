"""Generated events after semileptonic decays were drawn anew: angles, conservation laws, flavours, repeats."""

from __future__ import annotations

import numpy as np
import pytest
from generated_decays import Events, cosine, mass2, rest
from test_semileptonic import BGL_D, BGL_DST, M_B, M_D, M_DST, M_MU, probability

from fei_lite.generator.generate import generate
from fei_lite.generator.matrix_elements.kinematics import boost_matrices, breakup_momentum, carried, inverse
from fei_lite.generator.matrix_elements.models import transition
from fei_lite.generator.matrix_elements.semileptonic import differential_rate

N = 5000
PAIRS = "Decay Upsilon(4S)\n1.0 B0 anti-B0 B0sig anti-B0sig VSS_BMIX dm;\nEnddecay\n"


def signal(folder, text, n, seed):
    path = folder / "signal.dec"
    path.write_text(text)
    return next(generate("signal", n, seed=seed, dec_file=path, batch_size=n))


@pytest.fixture(scope="module")
def d_mu_nu(tmp_path_factory):
    text = (PAIRS + "Decay B0sig\n1.0 D- mu+ nu_mu BGL " + " ".join(map(str, BGL_D))
            + ";\nEnddecay\nCDecay anti-B0sig\nEnd\n")
    return Events(signal(tmp_path_factory.mktemp("d"), text, N, 11))


@pytest.fixture(scope="module")
def dst_mu_nu(tmp_path_factory):
    text = ("Alias myD*- D*-\nAlias myD*+ D*+\nChargeConj myD*- myD*+\n"
            + PAIRS + "Decay B0sig\n1.0 myD*- mu+ nu_mu BGL " + " ".join(map(str, BGL_DST)) + ";\nEnddecay\n"
            "CDecay anti-B0sig\nDecay myD*-\n1.0 anti-D0 pi- VSS;\nEnddecay\nCDecay myD*+\nEnd\n")
    return Events(signal(tmp_path_factory.mktemp("dst"), text, N, 12))


def angles(events, hadron, *, first=N // 2):
    """q2, cos(theta_l), flavour of the signal decays; the lepton with the photons of the decay."""
    rows, photons = events.decays((511,), (hadron, 13, 14))
    assert len(rows) >= first
    b, had, muon, neutrino = (events.p4[rows[:, k]] for k in range(4))
    muon = muon + photons
    pair = muon + neutrino
    muon, pair = rest(muon, b), rest(pair, b)
    return mass2(pair), cosine(rest(muon, pair), pair), np.sign(events.pdg[rows[:, 0]]), rows, had, b


@pytest.mark.parametrize("flavour", [1, -1])
def test_b_to_d_mu_nu(d_mu_nu, flavour):
    """Would catch events that lose the model between its draw and the record: q2 and sin^2 of the lepton."""
    q2, cos, sign, *_ = angles(d_mu_nu, 411)
    mask = sign == flavour
    found = transition("BGL", BGL_D, 511, 411)

    def rate(x):
        return differential_rate(found, M_B, M_MU, np.full(len(x), M_D), x)

    assert probability(q2[mask], 0.0, (M_B - M_D) ** 2 + 0.01, rate, bins=20) > 0.001
    assert probability(cos[mask], -1, 1, lambda c: 1.0 - 0.985 * c**2, bins=20) > 0.001  # m_mu^2 / q2: 1.5 %


@pytest.mark.parametrize("flavour", [1, -1])
def test_b_to_dst_mu_nu(dst_mu_nu, flavour):
    """Would catch a D* without the polarisation of its model, and a lepton angle of the wrong sign for a flavour."""
    q2, cos, sign, rows, dst, b = angles(dst_mu_nu, 413)
    mask = sign == flavour
    found = transition("BGL", BGL_DST, 511, 413)
    points = np.linspace(M_MU**2, (M_B - M_DST) ** 2, 5001)[1:-1]
    plus, zero, minus, _ = found.amplitudes(M_B, np.full(len(points), M_DST), points)
    common = breakup_momentum(M_B, M_DST, np.sqrt(points)) * points
    right, long, left = (np.sum(common * h**2) for h in (plus, zero, minus))
    assert probability(q2[mask], 0.0, (M_B - M_DST) ** 2 + 0.01,
                       lambda x: differential_rate(found, M_B, M_MU, np.full(len(x), M_DST), x), bins=20) > 0.001
    assert probability(cos[mask], -1, 1, lambda c: right * (1 - c) ** 2 + left * (1 + c) ** 2 + 2 * long * (1 - c**2),
                       bins=20) > 0.001
    d0, _ = dst_mu_nu.decays((413,), (421, 211))
    place = {row: k for k, row in enumerate(rows[:, 1].tolist())}
    chosen = [(place[row], d) for row, d, _ in d0.tolist() if row in place and mask[place[row]]]
    which, d = np.array(chosen).T
    frame = rest(dst[which], b[which])
    cos_v = cosine(rest(rest(dst_mu_nu.p4[d], b[which]), frame), frame)
    fraction = long / (right + long + left)
    assert probability(cos_v, -1, 1, lambda c: 2 * fraction * c**2 + (1 - fraction) * (1 - c**2), bins=20) > 0.001


def test_four_momentum_at_every_vertex(dst_mu_nu):
    """Would catch a tree that is not carried along, or a lepton with another mass."""
    events = dst_mu_nu
    total = np.zeros_like(events.p4)
    has = events.mother >= 0
    np.add.at(total, events.mother[has], events.p4[has])
    decayed = np.unique(events.mother[has])
    np.testing.assert_allclose(total[decayed], events.p4[decayed], atol=2e-7)
    for code, mass in ((13, M_MU), (14, 0.0), (211, 0.13957), (321, 0.49368)):
        np.testing.assert_allclose(mass2(events.p4[np.abs(events.pdg) == code]), mass**2, atol=2e-5)


def test_trees_keep_proper_times_and_masses():
    """Would catch a boost of places without the point they start from: flight over p/m is the invariant proper time."""
    p4 = np.array([[0.1, 0.2, 0.3, 5.3], [0.5, -0.2, 1.0, 0.0], [0.2, 0.1, 0.4, 0.0], [0.3, -0.3, 0.6, 0.0]])
    mass = np.array([0.0, 1.9, 0.5, 0.7])
    p4[1:, 3] = np.sqrt(np.sum(p4[1:, :3] ** 2, axis=1) + mass[1:] ** 2)
    mother, times = np.array([-1, 0, 1, 1]), np.array([0.0, 0.12, 0.3, 0.4])
    x4 = np.zeros((4, 4))
    x4[1] = [1.0, 2.0, 3.0, 4.0]
    x4[2:] = x4[1] + p4[1] / mass[1] * times[1]
    new = np.array([[-0.7, 0.1, 0.2, np.sqrt(0.54 + mass[1] ** 2)]])
    change = boost_matrices(new) @ inverse(boost_matrices(p4[1:2]))
    out_p4, out_x4 = carried(mother, p4, x4, np.array([1]), new, change)
    np.testing.assert_allclose(out_p4[1], new[0])
    np.testing.assert_allclose(out_x4[:2], x4[:2])
    np.testing.assert_allclose(out_x4[2] - out_x4[1], new[0] / mass[1] * times[1], rtol=1e-12)
    pairs = mass2(out_p4[2:3] + out_p4[3:4]), mass2(p4[2:3] + p4[3:4])
    np.testing.assert_allclose(*pairs, rtol=1e-12)
    np.testing.assert_allclose(rest(out_p4[2:], out_p4[[1, 1]]), rest(p4[2:], p4[[1, 1]]), atol=1e-12)


def test_charm_decays_have_their_spectra():
    """Would catch charm that is left in phase space: D -> K mu nu in generic events has mean q2 of its pole form."""
    events = Events(next(generate("charged", 6000, seed=14, batch_size=6000)))
    rows, photons = events.decays((421,), (321, 13, 14))
    q2 = mass2(events.p4[rows[:, 0]] - events.p4[rows[:, 1]])
    assert len(rows) > 150 and len(photons) == len(rows)
    found = transition("SLBKPOLE", (1.0, 0.303, 1.0, 2.112), 421, 321)
    points = np.linspace(M_MU**2, (1.8648 - 0.49368) ** 2, 4001)
    density = differential_rate(found, 1.8648, M_MU, np.full(4001, 0.49368), points)
    mean = np.trapezoid(density * points, points) / np.trapezoid(density, points)
    assert q2.mean() == pytest.approx(mean, abs=4 * q2.std() / np.sqrt(len(q2)))


def test_same_seed_same_decays():
    """Would catch angles that depend on how events are put into batches."""
    whole = next(generate("mixed", 1500, seed=15, batch_size=1500))
    parts = list(generate("mixed", 1500, seed=15, batch_size=400))
    np.testing.assert_array_equal(whole.generated["p4"], np.concatenate([p.generated["p4"] for p in parts]))
