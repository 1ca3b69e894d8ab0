"""Coverage of generated decays by a channel set: hand-made decays, a naive twin, symmetries."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from naive_coverage import modes_of_event

from fei_lite.channels import load_channel_set
from fei_lite.channels.covered_decays import Acceptance, complete_in_acceptance, covered, covered_particles
from fei_lite.events.batch import Jagged
from fei_lite.particles import conjugate, is_self_conjugate, pdg_code

SET = load_channel_set("hadronic")
PI0 = ("pi0", "gamma", "gamma")
D0BAR = ("anti-D0", "K+", "pi-")
K_S0 = ("K_S0", "pi+", "pi-")


def rows(tree, mother=-1, into=None):
    """A nested tuple (name, daughter, ...) as rows (pdg, mother, status); "fsr" is a radiated photon."""
    into = [] if into is None else into
    name, *daughters = (tree,) if isinstance(tree, str) else tree
    index = len(into)
    into.append((22, mother, 129) if name == "fsr" else (pdg_code(name), mother, 1))
    for daughter in daughters:
        rows(daughter, index, into)
    return into


def events(trees, p4=None):
    lists = [rows(tree) for tree in trees]
    table = np.array([row for event in lists for row in event], dtype=np.int32)
    offsets = np.concatenate([[0], np.cumsum([len(e) for e in lists])]).astype(np.int64)
    if p4 is None:
        p4 = np.tile([0.3, 0.4, 0.0, 0.6], (len(table), 1))
    return Jagged(offsets, {"pdg": table[:, 0], "mother": table[:, 1], "status": table[:, 2], "p4": p4})


def mode(tree, **options):
    return int(covered_particles(SET, events([tree]), **options)[0])


@pytest.mark.parametrize(("tree", "expected"), [
    (("B+", D0BAR, "pi+"), 0),
    (("B-", ("D0", "K-", "pi+"), "pi-"), 0),
    (("B+", D0BAR, "pi+", "fsr", "fsr"), 0),
    (("B+", ("anti-D0", "K+", "pi-", "fsr"), ("rho+", "pi+", PI0)), 1),
    (("B+", ("anti-D*0", D0BAR, "gamma"), ("a_1+", ("rho0", "pi+", "pi-"), "pi+")), 18),
    (("B0", "mu+", "nu_mu", ("D*-", D0BAR, "pi-")), -1),
    (("B+", ("anti-D0", "K+", "e-", "anti-nu_e"), "pi+"), -1),
    (("B+", D0BAR), -1),
    (("B+",), -1),
    (("B+", ("anti-D0",), "pi+"), -1),
    (("B+", ("D0", "K-", "pi+"), "pi+"), -1),
    (("B0", ("J/psi", "mu+", "mu-"), ("K0", K_S0)), 23),
    (("B0", ("J/psi", "mu+", "mu-"), ("K0", "K_L0")), -1),
    (("B0", ("psi(2S)", ("J/psi", "e+", "e-"), "pi+", "pi-"), ("K0", K_S0)), 25),
    (("B+", ("anti-Lambda_c-", ("anti-Lambda0", "anti-p-", "pi+"), "pi-"), "p+", "pi+"), 35),
    (("D0", ("K_S0", "pi+", "pi-"), ("eta", "gamma", "gamma")), -1),
])
def test_hand_made_decays(tree, expected):
    """Would catch a wrong mode, a missed conjugate, counted FSR photons, resonances not looked through."""
    assert mode(tree) == expected


def test_missing_resonances_of_the_set():
    """B+ -> D*- pi+ pi+ has no channel of its own: it counts only as anti-D0 pi+ pi+ pi- without the D*-."""
    tree = ("B+", ("D*-", D0BAR, "pi-"), "pi+", "pi+")
    assert mode(tree) == 3
    assert mode(tree, missing_resonances=False) == -1


def test_the_intact_resonance_wins():
    """D0 -> K_S0 pi+ pi- is also pi- pi+ pi+ pi- without its K_S0: the order of channels must not decide."""
    assert mode(("D0", K_S0, "pi+", "pi-")) == 10


def chain(name, rng, mode_index=None):
    """A random chain of the set below ``name``, as a nested tuple."""
    config = SET.particle(name)
    decays = [c for c in config.channels if c.leaf is None]
    if not decays:
        return name
    channel = config.channels[mode_index] if mode_index is not None else decays[rng.integers(len(decays))]
    turned = name != config.name and not is_self_conjugate(name)
    return (name, *(chain(conjugate(d) if turned else d, rng) for d in channel.daughters))


def test_every_channel_is_found():
    """Would catch a channel that the table of sums loses: each one, made by hand, has its own mode."""
    rng = np.random.default_rng(1)
    for channel in SET.channels():
        if channel.leaf is None:
            for name in {channel.particle, conjugate(channel.particle)}:
                assert mode(chain(name, rng, channel.index)) == channel.index, channel.text


EXTRA = [tuple(line.split()) for line in """
    rho+ pi+ pi0;  rho0 pi+ pi-;  K*0 K+ pi-;  omega pi+ pi- pi0;  phi K+ K-;  eta gamma gamma;  K0 K_S0;  a_1+ rho0 pi+
    D_s+ phi pi+;  D0 anti-K*0 pi0;  D0 K_S0 phi;  D+ K- rho0 pi+ pi+;  B+ anti-D*0 rho+;  B+ D*- pi+ pi+
    B+ J/psi K*0 pi+;  B0 D*- a_1+;  B0 D*- pi+ rho0""".replace("\n", ";").split(";") if line.strip()]


def messy(name, rng, depth=0):
    """A random decay: of the set, through resonances, wrong, or stopped half way."""
    pick = rng.uniform()
    known = SET.resolve(name)
    options = [(e[1:], False) for e in EXTRA if e[0] == name] + [
        (e[1:], True) for e in EXTRA if name == conjugate(e[0]) != e[0]]
    if known is not None:
        options += [(c.daughters, name != known) for c in SET.particles[known].channels if c.leaf is None]
    if not options or depth > 6 or pick < 0.02:
        return name
    daughters, turned = options[rng.integers(len(options))]
    below = [messy(conjugate(d) if turned else d, rng, depth + 1) for d in daughters]
    if pick > 0.95:
        below.append("pi0" if pick > 0.98 else "nu_e")
    if 0.5 < pick < 0.6:
        below.append("fsr")
    return (name, *below)


@pytest.fixture(scope="module")
def sample():
    rng = np.random.default_rng(20)
    starts = ["B+", "B-", "B0", "anti-B0", "D*+", "Lambda_c+"]
    return events([("Upsilon(4S)", messy(starts[rng.integers(6)], rng), messy(starts[rng.integers(6)], rng))
                   for _ in range(400)])


@pytest.mark.parametrize("look_through", [True, False])
def test_naive_twin(sample, look_through):
    """Would catch any slip of the kernel: sums, sizes, order, duplicates, lost daughters."""
    rng = np.random.default_rng(3)
    p4 = rng.normal(0, 0.3, (len(sample), 4))
    p4[:, 3] = np.sqrt((p4[:, :3] ** 2).sum(axis=1))
    sample = Jagged(sample.offsets, {**sample.columns, "p4": p4})
    leaf = np.isin(np.abs(sample["pdg"]), (11, 13, 22, 211, 321, 2212))
    for acceptance, given in ((None, None), (Acceptance(), None), (None, rng.uniform(size=len(sample)) < 0.8)):
        usable = np.ones(len(sample), bool) if given is None else given
        if acceptance is not None:
            usable = ~leaf | acceptance.contains(p4, sample["pdg"] == 22)
        modes = covered_particles(SET, sample, acceptance=acceptance, usable=given, missing_resonances=look_through)
        for e in range(400):
            a, b = sample.offsets[e], sample.offsets[e + 1]
            lists = [sample[c][a:b].tolist() for c in ("pdg", "mother", "status")]
            assert modes[a:b].tolist() == modes_of_event(SET, *lists, usable[a:b], look_through=look_through)
    composite = np.isin(np.abs(sample["pdg"]), (511, 521))
    share = (covered_particles(SET, sample)[composite] >= 0).mean()
    assert 0.05 < share < 0.95, "the sample must hold both kinds"


def test_order_of_rows_and_charge_conjugation(sample):
    """Would catch a dependence on the order of particles, or on the sign."""
    modes = covered_particles(SET, sample)
    flip = np.array([-c if not is_self_conjugate(int(c)) else c for c in sample["pdg"]])
    assert np.array_equal(modes, covered_particles(SET, Jagged(sample.offsets, {**sample.columns, "pdg": flip})))
    rng = np.random.default_rng(5)
    order, mother = [], sample["mother"].copy()
    for e in range(len(sample.offsets) - 1):
        a, b = sample.offsets[e], sample.offsets[e + 1]
        shuffle = rng.permutation(b - a)
        order.append(a + shuffle)
        place = np.argsort(shuffle)
        inside = mother[a:b] >= 0
        mother[a:b][inside] = place[mother[a:b][inside]]
    order = np.concatenate(order)
    shuffled = {k: (mother if k == "mother" else v)[order] for k, v in sample.columns.items()}
    assert np.array_equal(covered_particles(SET, Jagged(sample.offsets, shuffled)), modes[order])


def test_acceptance_is_a_subset_and_cuts_where_it_says():
    """Would catch swapped track and photon limits, degrees for radians, a wrong edge."""
    def p4(theta, p):
        t = np.radians(theta)
        return [p * np.sin(t), 0.0, p * np.cos(t), p]
    box = Acceptance()
    tracks = np.array([p4(16.9, 1), p4(17.1, 1), p4(149.9, 1), p4(150.1, 1), p4(90, 0.049), p4(90, 0.051),
                       [np.nan] * 4])
    assert box.contains(tracks, np.zeros(7, bool)).tolist() == [False, True, True, False, False, True, False]
    photons = np.array([p4(12.3, 1), p4(12.5, 1), p4(155.0, 1), p4(155.2, 1), p4(90, 0.029), p4(90, 0.031)])
    assert box.contains(photons, np.ones(6, bool)).tolist() == [False, True, True, False, False, True]
    tree = ("B+", D0BAR, ("rho+", "pi+", PI0))
    whole = events([tree])
    assert covered(SET, whole).tolist() == complete_in_acceptance(SET, whole).tolist() == [True]
    for lost in np.flatnonzero(np.isin(whole["pdg"], (321, 211, -211, 22))):
        p = whole["p4"].copy()
        p[lost] = (0.01, 0.0, 1.0, 1.0)  # along the beam
        assert not complete_in_acceptance(SET, events([tree], p))[0]


def test_no_events_and_loops():
    """Would catch a crash on an empty list and an endless walk on a loop of mothers."""
    def lists(pdg, mother):
        columns = {"pdg": pdg, "mother": mother, "status": [1] * len(pdg)}
        return Jagged(np.array([0, len(pdg)], np.int64), {k: np.array(v, np.int32) for k, v in columns.items()})
    assert covered(SET, lists([], [])).tolist() == [False]
    loop = lists([521, -421], [1, 0])
    assert covered_particles(SET, loop).tolist() == [-1, -1]


@pytest.mark.skipif("FEI_LITE_TEST_DATA" not in os.environ, reason="FEI_LITE_TEST_DATA is not set: no mDST files")
def test_truth_of_belle2_events():
    """Would catch what our own events do not have: secondaries of the detector simulation, basf2's order and status."""
    from fei_lite.events.reading import open_events

    found = sorted(Path(os.environ["FEI_LITE_TEST_DATA"]).rglob("mdst*.root"))
    if not found:
        pytest.skip("no mDST files in FEI_LITE_TEST_DATA")
    for path in found:
        for batch in open_events(path):
            generated = batch.generated
            modes = covered_particles(SET, generated)
            for e in range(batch.n_events):
                a, b = generated.offsets[e], generated.offsets[e + 1]
                lists = [generated[c][a:b].tolist() for c in ("pdg", "mother", "status")]
                assert modes[a:b].tolist() == modes_of_event(SET, *lists, np.ones(b - a, bool))
            pi0 = generated["pdg"] == 111
            assert (modes[pi0] == 0).mean() > 0.95  # 98.8 % decay to two photons
