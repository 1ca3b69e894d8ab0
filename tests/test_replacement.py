"""Signal embedding: what is put in place of a control decay, against sums by hand and against signal itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ks_2samp

from fei_lite.analyses.candidates.pairs import without_tag
from fei_lite.analyses.controls.embedding import find_particle, with_track_distances, without_found
from fei_lite.analyses.controls.replacement import (
    Decays,
    decays_in,
    embedded,
    generate_decays,
    moved,
    signal_mesons,
    with_added,
)
from fei_lite.analyses.k_nunu.generated import generated_q2
from fei_lite.channels import load_channel_set
from fei_lite.constants import SPEED_OF_LIGHT
from fei_lite.errors import AnalysisError
from fei_lite.events import Jagged, concatenate, offsets_of
from fei_lite.events.schema import STATUS
from fei_lite.generator.decay_file import read_signal_decay
from fei_lite.generator.generate import generate
from fei_lite.production.simulate import simulate
from fei_lite.reconstruction.engine import NoClassifiers, reconstruct
from fei_lite.variables.subject import Subject

SIGNAL = read_signal_decay(Path("k_nunu"), process="signal")
N = 150


def listed(*events, seed=1):
    """Generated particles from (code, mother) pairs per event, with random momenta, places and times."""
    rng, flat = np.random.default_rng(seed), [pair for event in events for pair in event]
    n = len(flat)
    p3 = rng.normal(size=(n, 3))
    p4 = np.column_stack([p3, np.sqrt(np.sum(p3**2, axis=1) + rng.uniform(0.1, 5.0, n) ** 2)])
    status = np.full(n, STATUS["primary"])
    status[[code == 22 for code, _ in flat]] |= STATUS["photos_photon"]
    return Jagged(offsets_of([len(event) for event in events]), {
        "pdg": np.array([code for code, _ in flat], dtype=np.int32),
        "mother": np.array([mother for _, mother in flat], dtype=np.int32), "status": status.astype(np.int32),
        "p4": p4, "vertex": rng.normal(size=(n, 3)), "time": rng.uniform(0.0, 1.0, n).astype(np.float32)})


#: Two events: K+ nu nubar beside a decay of its own; the conjugate with a radiated photon beside K+ pi0; and none.
EVENTS = ([(300553, -1), (521, 0), (-521, 0), (-321, 2), (111, 2), (321, 1), (16, 1), (-16, 1), (-13, 5), (14, 5)],
          [(300553, -1), (521, 0), (-521, 0), (321, 1), (111, 1), (22, 2), (-321, 2), (16, 2), (-16, 2)],
          [(300553, -1), (521, 0), (-521, 0), (321, 1), (16, 1), (-16, 1), (111, 1), (-211, 2)])


def test_signal_b_of_each_event():
    """Would catch the other B, a B with another product besides, and photons that hide a signal decay."""
    assert signal_mesons(listed(*EVENTS), SIGNAL).tolist() == [1, 12]


def test_decays_by_hand():
    """Would catch a product that is left behind or taken from the other B, and mothers that are numbered wrong."""
    found = decays_in(listed(*EVENTS), np.array([1, 12]))
    assert found.code.tolist() == [521, -521] and found.generated.counts.tolist() == [6, 5]
    assert found.generated["pdg"].tolist() == [521, 321, 16, -16, -13, 14, -521, 22, -321, 16, -16]
    assert found.generated["mother"].tolist() == [-1, 0, 0, 0, 1, 1, -1, 0, 0, 0, 0]


def invariant(a, b):
    """Minkowski products of four-vectors (n, 4), time last."""
    return a[:, 3] * b[:, 3] - np.sum(a[:, :3] * b[:, :3], axis=1)


def test_moved_decays_keep_their_invariants():
    """Would catch a boost in the wrong direction, one of momenta alone, a mass that changes, and another vertex."""
    decays = decays_in(listed(*EVENTS), np.array([1, 12]))
    rng = np.random.default_rng(3)
    chosen, p3, vertex = np.array([1, 0, 1]), rng.normal(size=(3, 3)), rng.normal(size=(3, 3))
    found = moved(decays, chosen, p3, vertex)
    first = found.offsets[:-1]
    np.testing.assert_allclose(found["p4"][first, :3], p3, atol=1e-12)
    np.testing.assert_allclose(found["vertex"][first + 1], vertex, atol=1e-12)
    for i, k in enumerate(chosen):
        old, new = decays.generated.slice(k, k + 1), found.slice(i, i + 1)
        assert new["pdg"].tolist() == old["pdg"].tolist() and new["mother"].tolist() == old["mother"].tolist()
        four = [np.column_stack([x["vertex"] - x["vertex"][1], SPEED_OF_LIGHT * (x["time"] - x["time"][1])])
                for x in (old, new)]
        for j in range(len(old["pdg"])):
            np.testing.assert_allclose(invariant(new["p4"], np.roll(new["p4"], j, axis=0)),
                                       invariant(old["p4"], np.roll(old["p4"], j, axis=0)), rtol=1e-9, atol=1e-9)
            np.testing.assert_allclose(invariant(new["p4"], np.roll(four[1], j, axis=0)),
                                       invariant(old["p4"], np.roll(four[0], j, axis=0)), rtol=1e-4, atol=1e-4)


def test_no_decay_of_the_charge():
    """Would catch a K- in place of a K+: the Btag would have the wrong charge."""
    decays = decays_in(listed(EVENTS[0]), np.array([1]))
    batch = concatenate(list(simulate("signal", 5, seed=3, dec_file="k_jpsi")))
    found = find_particle(batch, load_channel_set("k_jpsi"), "K+")
    assert np.any(found.sign < 0)
    with pytest.raises(AnalysisError, match="sign -1"):
        embedded(batch, found, decays, rng=np.random.default_rng(1))


def test_no_signal_in_the_decay_file():
    """Would catch a decay file without a B of its own, which would put nothing in place of what was removed."""
    both = read_signal_decay(Path("xs_jpsi"), process="signal")
    nothing = type(both)(**{**{f: getattr(both, f) for f in both.__dataclass_fields__}, "copies": {}})
    empty = Decays(listed(), np.zeros(0, dtype=np.int64))
    assert len(signal_mesons(listed(*EVENTS), nothing)) == 0 and len(empty) == 0


@pytest.fixture(scope="module")
def control():
    """B+ -> K+ J/psi events with what was found in them, and signal decays."""
    batch = concatenate(list(simulate("signal", N, seed=21, dec_file="k_jpsi")))
    return batch, find_particle(batch, load_channel_set("k_jpsi"), "B+"), generate_decays(SIGNAL, N, seed=22)


def test_embedded_events(control):
    """Would catch muons that stay, a kaon that is not the signal's, other objects that change, and wrong truth."""
    batch, found, decays = control
    new = embedded(batch, found, decays, rng=np.random.default_rng(5))
    left = without_found(batch, found)
    assert 40 < new.n_events == len(found.event) < N
    before, kaons = left.generated.counts, 0
    for e in range(new.n_events):
        old, now = (range(x.tracks.offsets[e], x.tracks.offsets[e + 1]) for x in (left, new))
        np.testing.assert_array_equal(left.tracks["helix"][list(old)], new.tracks["helix"][list(now)[:len(old)]])
        for i in list(now)[len(old):]:
            particle = new.tracks["mc_index"][i]
            assert particle >= before[e] or particle == -1
            row = new.generated.offsets[e] + particle
            kaons += particle >= 0 and new.generated["pdg"][row] == 321 * int(found.sign[e])
    assert kaons > 0.5 * new.n_events
    q2, drawn = generated_q2(new), generated_q2(concatenate(list(simulate("signal", 5, seed=1, dec_file="k_nunu"))))
    assert not np.isnan(q2).any() and not np.isnan(drawn).any()
    rows = np.flatnonzero(np.abs(new.generated["pdg"]) == 521)
    event = new.generated.event_index[rows]
    added = rows[rows - new.generated.offsets[event] >= before[event]]
    np.testing.assert_allclose(new.generated["p4"][added, :3], found.p4[:, :3], atol=1e-9)
    assert np.all(new.generated["pdg"][added] == 521 * found.sign.astype(np.int64))


def test_lists_side_by_side(control):
    """Would catch objects in another event, and V0s or mothers that point into the wrong list."""
    batch, found, _ = control
    first = without_found(batch, found).slice(0, 40)
    second = concatenate(list(simulate("signal", 40, seed=31, dec_file="xs_jpsi_neutral")))
    both = with_added(first, second)
    pairs = 0
    for e in range(40):
        one, two, new = (x.slice(e, e + 1) for x in (first, second, both))
        for name in ("tracks", "clusters", "klm", "v0s", "generated"):
            assert len(getattr(new, name)) == len(getattr(one, name)) + len(getattr(two, name))
        n, g = len(one.tracks), len(one.generated)
        np.testing.assert_array_equal(new.clusters["E"], np.concatenate([one.clusters["E"], two.clusters["E"]]))
        for i in range(len(two.v0s)):
            pairs += 1
            np.testing.assert_array_equal(
                new.tracks["helix"][new.v0s["positive_index"][len(one.v0s) + i]],
                two.tracks["helix"][two.v0s["positive_index"][i]])
        for i, particle in enumerate(two.tracks["mc_index"]):
            expected = -1 if particle < 0 else particle + g
            assert new.tracks["mc_index"][n + i] == expected
        mothers = new.generated["mother"][g:]
        np.testing.assert_array_equal(np.where(mothers < 0, -1, mothers - g), two.generated["mother"])
    assert pairs > 5


def test_distances_are_those_of_the_simulation(control):
    """Would catch another distance than the detector's own: unchanged events keep every bit."""
    batch = control[0]
    np.testing.assert_array_equal(with_track_distances(batch).clusters["min_track_distance"],
                                  batch.clusters["min_track_distance"])
    fewer = without_found(batch, control[1])
    now = with_track_distances(fewer).clusters["min_track_distance"]
    assert np.all((now >= fewer.clusters["min_track_distance"] - 1e-3) | np.isnan(now))
    assert np.count_nonzero(now > fewer.clusters["min_track_distance"] + 1.0) > 50


def test_kaons_are_those_of_signal():
    """Would catch kaons that are not boosted, or boosted twice: in B mesons of other events they are like signal's."""
    decays = generate_decays(SIGNAL, 1500, seed=41)
    others = next(generate("signal", 1500, seed=42, dec_file=read_signal_decay(Path("k_jpsi"),
                                                                               process="signal"))).generated
    mesons = np.flatnonzero(others["pdg"] == 521)[:700]
    chosen = np.random.default_rng(1).permutation(np.flatnonzero(decays.code == 521))[:600]
    p3 = others["p4"][mesons[:len(chosen)], :3]
    found = moved(decays, chosen, p3, np.zeros_like(p3))
    old = decays.generated["p4"][decays.generated["pdg"] == 321]
    new = found["p4"][found["pdg"] == 321]
    for quantity in (lambda p: p[:, 3], lambda p: p[:, 2], lambda p: np.hypot(p[:, 0], p[:, 1])):
        assert ks_2samp(quantity(old), quantity(new)).pvalue > 0.01
    at_rest = moved(decays, chosen, np.zeros_like(p3), np.zeros_like(p3))
    assert ks_2samp(old[:, 2], at_rest["p4"][at_rest["pdg"] == 321][:, 2]).pvalue < 1e-6


@pytest.mark.parametrize("dec_file, decay", [("pi_k0", (521, 211, 311)), ("k_jpsi", (443, 13, 13)),
                                             ("k_jpsi", (521, 321, 443))])
def test_generated_decays_are_counted(dec_file, decay):
    """Would catch radiated photons that hide a decay, a third daughter that does not, and decays of other events."""
    batch = concatenate([*simulate("signal", 15, seed=51, dec_file=dec_file), *simulate("charged", 15, seed=52)])
    result = reconstruct(batch, without_tag(load_channel_set("k_nunu_pion")), NoClassifiers())
    name = result.channel_set.resolve("pi+:sig")
    subject = Subject(result.tables[name], result=result)
    wanted, generated = np.zeros(batch.n_events, dtype=int), batch.generated
    for e in range(batch.n_events):
        one = generated.slice(e, e + 1)
        for i in np.flatnonzero(np.abs(one["pdg"]) == decay[0]):
            of = (one["mother"] == i) & ((one["status"] & STATUS["photos_photon"]) == 0)
            wanted[e] += sorted(np.abs(one["pdg"][of]).tolist()) == sorted(decay[1:])
    assert np.all(wanted[:15] >= 1) and len(subject.event) > 20
    found = subject.value(f"nGeneratedDecays({decay[0]}, {decay[1]}, {decay[2]})")
    np.testing.assert_array_equal(found, wanted[subject.event])
