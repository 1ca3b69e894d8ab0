"""Generated events against the decay table, closed forms, conservation laws and the Belle II software's histograms."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kstest

from fei_lite.constants import SPEED_OF_LIGHT
from fei_lite.errors import SimulationError
from fei_lite.events.schema import STATUS
from fei_lite.generator.beams import Beams, boost
from fei_lite.generator.decay_file import read_signal_decay
from fei_lite.generator.decay_table import belle2_table, fragments
from fei_lite.generator.fragmentation import accepted_shares, parton_modes
from fei_lite.generator.generate import generate
from fei_lite.generator.pair_sources import mixed_fraction
from fei_lite.generator.processes import CHI_D, DELTA_M_D, TAU_B0
from fei_lite.generator.pythia import COPIES, INCLUSIVE, left_out, relabel
from fei_lite.generator.records import conjugated
from fei_lite.generator.validation import (
    MULTIPLICITIES,
    DecayCounter,
    compare_multiplicities,
    count_particles,
    kl_products,
)
from fei_lite.particles import charge

N_EVENTS = 60_000  # of each kind: 120 000 decays of B+ and of B0
KINDS = {"charged": 521, "mixed": 511}
DATA = os.environ.get("FEI_LITE_TEST_DATA")


@pytest.fixture(scope="module", params=KINDS)
def counted(request):
    """Decays and multiplicities of one kind: (kind, counter, particles per event)."""
    counter, counts = DecayCounter((KINDS[request.param], 421, 411, 431)), []
    for batch in generate(request.param, N_EVENTS, seed=41):
        counter.add(batch.generated)
        counts.append(count_particles(batch.generated, list(MULTIPLICITIES.values())))
    return request.param, counter, np.concatenate(counts)


def test_branching_fractions(counted):
    """Would catch modes lost in the translation, conjugation wrong, and fragmentation that feeds exclusive modes."""
    kind, counter, _ = counted
    assert sum(counter.counts[KINDS[kind]].values()) == 2 * N_EVENTS
    for code in counter.counts:
        comparison = counter.compare(code)
        assert len(comparison.modes) == 51
        assert comparison.n_decays > 10_000
        assert comparison.p_value > 0.001, f"{kind}: {code} chi2 {comparison.chi2}"


def test_comparison_sees_a_wrong_fraction(counted):
    """Would catch a comparison that cannot fail: 10 % more of one frequent mode."""
    kind, counter, _ = counted
    code = KINDS[kind]
    counts = counter.counts[code]
    frequent = max(counter.compare(code).modes[:-1], key=lambda mode: mode.seen)
    key = next(k for k, n in counts.items() if n == frequent.seen)
    changed = DecayCounter((code,))
    changed.counts[code] = {**counts, key: round(1.1 * counts[key])}
    assert changed.compare(code).p_value < 0.001


@pytest.mark.skipif(DATA is None, reason="FEI_LITE_TEST_DATA is not set: no histograms to compare with")
def test_multiplicities(counted):
    """Would catch fragmentation or resonances that make too many or few particles: 5 %, two excepted."""
    kind, _, counts = counted
    reference = Path(DATA) / "basf2_validation" / "generators" / f"MultiplicityPlots{kind.title()}.root"
    for row in compare_multiplicities(counts, reference):
        tolerance = {"nJPSI": 0.2, "nKp": 0.06}.get(row.name, 0.05)  # why: scripts/validate_generator.py
        assert abs(row.ratio - 1.0) < tolerance, row


def test_kl_products_conserve_charge_and_lepton_number():
    """Would catch a K_L correction with particles from nowhere: leptons pair with neutrinos or Dalitz partners."""
    products = kl_products()
    unpaired = products[11] + products[13] - products[12] - products[14]
    assert unpaired / products[111] == pytest.approx(2 * 0.0117, abs=0.001)  # pi0 -> e+ e- gamma
    assert products[11] + products[13] < products[211] < 2.0
    assert products[22] / products[111] == pytest.approx(1.988, abs=0.01)


@pytest.fixture(scope="module", params=["charged", "mixed", "ccbar", "taupair"])
def sample(request):
    """One batch of events."""
    n = 4000 if request.param in KINDS else 500
    return next(generate(request.param, n, seed=3, batch_size=n))


def charge_of_code(code):
    """Charge of a PDG code, also of the inclusive systems that are particles only in the decay table."""
    if abs(code) in INCLUSIVE:
        return (1 if code > 0 else -1) * INCLUSIVE[abs(code)][2] // 3
    if abs(code) in (300553, 20413):  # the Upsilon(4S), and the D'1+, which the particle table lacks
        return 0 if abs(code) == 300553 else code // 20413
    return (1 if code > 0 else -1) * charge(abs(code))


def test_four_momentum_and_charge_at_every_vertex(sample):
    """Would catch lost daughters, wrong mothers, and boosts of one but not the other."""
    g = sample.generated
    first = g.offsets[:-1][g.event_index]
    mother = g["mother"]
    rows = np.flatnonzero(mother >= 0)
    sums = np.zeros((len(mother), 4))
    charges = np.zeros(len(mother))
    np.add.at(sums, (mother + first)[rows], g["p4"][rows])
    codes, where = np.unique(g["pdg"], return_inverse=True)
    charge_of = np.array([charge_of_code(int(c)) for c in codes])[where]
    np.add.at(charges, (mother + first)[rows], charge_of[rows])
    decayed = np.unique((mother + first)[rows])
    assert np.array_equal(charges[decayed], charge_of[decayed])
    assert np.abs(sums - g["p4"])[decayed].max() < 1e-6


def test_particles_start_where_their_mother_ends(sample):
    """Would catch wrong units of vertices: daughters of one mother share a vertex; flight is along the momentum."""
    g = sample.generated
    first = g.offsets[:-1][g.event_index]
    rows = np.flatnonzero((g["mother"] >= 0) & (g["status"] & STATUS["photos_photon"] == 0))
    above = (g["mother"] + first)[rows]
    flight = g["vertex"][rows] - g["vertex"][above]
    time = g["time"][rows] - g["time"][above]
    p4 = g["p4"][above]
    moved = np.linalg.norm(flight, axis=1) > 1e-6
    velocity = p4[moved, :3] / p4[moved, 3:]
    assert np.allclose(flight[moved], velocity * (time[moved] * SPEED_OF_LIGHT)[:, None], atol=2e-4, rtol=2e-3)


@pytest.mark.parametrize("kind, code, tau", [("charged", 521, 1.638e-3), ("charged", 421, 0.4101e-3),
                                             ("mixed", 511, 1.517e-3), ("mixed", 411, 1.033e-3)])
def test_lifetimes(kind, code, tau):
    """Would catch mm for cm, or times in the laboratory: proper times (ns) are exponential with the PDG's mean."""
    g = next(generate(kind, 4000, seed=5, batch_size=4000)).generated
    first = g.offsets[:-1][g.event_index]
    rows = np.flatnonzero(g["mother"] >= 0)
    above, daughter = np.unique((g["mother"] + first)[rows], return_index=True)
    daughter = rows[daughter]
    mine = np.abs(g["pdg"][above]) == code
    p4 = g["p4"][above[mine]]
    gamma = p4[:, 3] / np.sqrt(p4[:, 3] ** 2 - np.sum(p4[:, :3] ** 2, axis=1))
    flight = np.linalg.norm(g["vertex"][daughter[mine]] - g["vertex"][above[mine]], axis=1)
    proper = flight / SPEED_OF_LIGHT / np.sqrt(gamma**2 - 1.0)
    assert proper.mean() == pytest.approx(tau, rel=5 / np.sqrt(len(proper)))
    assert kstest(proper, "expon", args=(0.0, proper.mean())).pvalue > 1e-4


def test_directions_and_beams():
    """Would catch a wrong angle, boost or spread: sin^2(theta*) about the beam, sqrt(s) at the Upsilon(4S)."""
    batch = next(generate("charged", 20_000, seed=6, batch_size=20_000))
    g, beams = batch.generated, Beams()
    total = g["p4"][g.offsets[:-1]]
    sqrt_s = np.sqrt(total[:, 3] ** 2 - np.sum(total[:, :3] ** 2, axis=1))
    spread = np.hypot(beams.electron_spread / beams.electron_energy,
                      beams.positron_spread / beams.positron_energy) / 2 * 10.5796
    assert sqrt_s.mean() == pytest.approx(10.5796, abs=5e-4)
    assert sqrt_s.std() == pytest.approx(spread, rel=0.05)
    second = g["p4"][g.offsets[:-1] + 1]
    to_rest = total * np.array([-1.0, -1.0, -1.0, 1.0])
    b = boost(second, to_rest)[:, :3]
    cos = b @ beams.axis_cms / np.linalg.norm(b, axis=1)
    assert np.allclose(2 * np.sqrt(np.sum(b**2, axis=1) + 5.27934**2), sqrt_s, atol=2e-3)
    assert kstest(cos, lambda c: (2 + 3 * c - c**3) / 4).pvalue > 1e-4
    assert batch.events["beam_p4"][0] == pytest.approx(beams.nominal)


def test_mixing():
    """Would catch incoherent mixing: the integrated probability, and equal flavours only at different times."""
    batch = next(generate("mixed", 40_000, seed=8, batch_size=40_000))
    g = batch.generated
    codes = np.stack([g["pdg"][g.offsets[:-1] + 1], g["pdg"][g.offsets[:-1] + 2]], axis=1)
    assert np.all(np.abs(codes) == 511)
    equal = codes[:, 0] == codes[:, 1]
    error = np.sqrt(CHI_D * (1 - CHI_D) / len(equal))
    assert abs(equal.mean() - mixed_fraction(DELTA_M_D, TAU_B0)) < 4 * error
    assert abs(equal.mean() - CHI_D) < 4 * error + 0.002
    times = []
    for row in (1, 2):
        mother = g.offsets[:-1] + row
        daughter = np.array([np.flatnonzero(g["mother"][a:b] == row)[0] + a
                             for a, b in zip(g.offsets[:-1], g.offsets[1:], strict=True)])
        p4 = g["p4"][mother]
        gamma = p4[:, 3] / 5.27966
        times.append((g["time"][daughter] - g["time"][mother]) / gamma * 1000.0)  # ps
    dt = np.abs(times[0] - times[1])
    near, far = dt < 0.5, np.abs(dt - np.pi / DELTA_M_D) < 0.7
    assert equal[near].mean() < 0.02
    assert equal[far].mean() > 0.9
    assert abs((codes[equal] > 0).mean() - 0.5) < 0.03


def test_same_seed_same_events():
    """Would catch random numbers that depend on the batches, or a seed without effect."""
    one = next(generate("mixed", 2500, seed=9, batch_size=2500))
    parts = list(generate("mixed", 2500, seed=9, batch_size=400))
    assert [p.n_events for p in parts] == [400] * 6 + [100]
    assert np.array_equal(one.generated["p4"], np.concatenate([p.generated["p4"] for p in parts]))
    assert np.array_equal(one.events["event"], np.arange(2500))
    other = next(generate("mixed", 100, seed=10))
    assert not np.array_equal(other.generated["pdg"][:50], one.generated["pdg"][:50])


SIGNAL = """
Decay Upsilon(4S)
0.5 B+sig B- VSS;
0.5 B-sig B+ VSS;
Enddecay
Alias MyK*+ K*+
Alias MyK*- K*-
ChargeConj MyK*+ MyK*-
Decay B+sig
1.0 MyK*+ nu_tau anti-nu_tau PHSP;
Enddecay
CDecay B-sig
Decay MyK*+
1.0 K+ pi0 VSS;
Enddecay
CDecay MyK*-
End
"""


def test_signal_decay(tmp_path):
    """Would catch signal on both sides, on one charge only, private codes left over, and an alias for all K*+."""
    path = tmp_path / "signal.dec"
    path.write_text(SIGNAL)
    g = next(generate("signal", 3000, seed=11, dec_file=path, batch_size=3000)).generated
    first = g.offsets[:-1][g.event_index]
    counter = np.zeros((len(g.counts), 2), dtype=int)
    signs = []
    for side in (1, 2):
        for event, start in enumerate(g.offsets[:-1]):
            stop = g.offsets[event + 1]
            daughters = g["pdg"][start:stop][g["mother"][start:stop] == side]
            daughters = daughters[daughters != 22]
            sign = 1 if g["pdg"][start + side] > 0 else -1
            counter[event, side - 1] = sorted(conjugated(daughters) if sign < 0 else daughters) == [-16, 16, 323]
            if counter[event, side - 1]:
                signs.append(sign)
    assert np.array_equal(counter.sum(axis=1), np.ones(3000))
    assert abs(np.mean(signs)) < 0.1
    assert not np.isin(np.abs(g["pdg"]), list(read_signal_decay(path).copies)).any()
    assert not np.isin(np.abs(g["pdg"]), list(COPIES)).any()
    kstars = np.flatnonzero(np.abs(g["pdg"]) == 323)
    from_signal = np.isin(g["mother"][kstars], [1, 2])
    modes = {True: set(), False: set()}
    for row, private in zip(kstars, from_signal, strict=True):
        event = g.event_index[row]
        start, stop = g.offsets[event], g.offsets[event + 1]
        daughters = g["pdg"][start:stop][g["mother"][start:stop] == row - first[row]]
        modes[bool(private)].add(tuple(sorted(abs(c) for c in daughters if c != 22)))
    assert (211, 311) in modes[False]
    assert (111, 321) in modes[True]


def test_continuum_has_no_b_and_the_right_flavour():
    """Would catch a continuum through the Upsilon(4S), or all flavours mixed."""
    g = next(generate("ccbar", 1000, seed=12)).generated
    assert not np.isin(np.abs(g["pdg"]), [511, 521, 300553]).any()
    charm = np.isin(np.abs(g["pdg"]), [411, 421, 431, 4122, 443, 4132, 4232, 4332])
    assert np.bincount(g.event_index[charm], minlength=1000).min() >= 1
    roots = g.offsets[:-1]
    assert np.all(g["pdg"][roots] == 22) and np.all(g["status"][roots] & STATUS["virtual"])


def test_shares_belong_to_the_modes():
    """Would catch shares measured for other modes, or out of (0, 1]."""
    for code in COPIES.values():
        shares = accepted_shares()[code]
        assert len(shares) == len(parton_modes(code)) > 10
        assert all(0.3 < share <= 1.0 for share in shares)
        assert not any(fragments(mode) for mode in belle2_table().modes[code] if mode.model == "PHSP")


def test_relabel_knows_antiparticles():
    """Would catch copies that keep their private code, or lose their sign."""
    assert relabel(np.array([90511, -90521, 211, -511]), COPIES).tolist() == [511, -521, 211, -511]


def test_what_is_left_out_is_listed():
    """Would catch unknown mothers dropped without a word, or one that B mesons need."""
    text = [str(finding) for finding in left_out()]
    assert any("unknown mother" in line for line in text)
    assert not any(line.startswith(("B+", "B0", "D0", "D+", "D_s+", "D*", "J/psi")) for line in text)


@pytest.mark.parametrize("arguments, message", [
    ({"process": "charmed", "n": 1}, "unknown process"),
    ({"process": "charged", "n": -1}, "expected 0 or more"),
    ({"process": "signal", "n": 1}, "--dec"),
    ({"process": "charged", "n": 1, "dec_file": Path("x.dec")}, "--dec"),
    ({"process": "signal", "n": 1, "dec_file": Path("x.dec")}, "x.dec: no such decay file"),
])
def test_wrong_requests(arguments, message):
    """Would catch a traceback, or a request that is ignored."""
    with pytest.raises(SimulationError, match=message):
        next(generate(seed=1, **arguments))


@pytest.mark.parametrize("text, message", [
    ("Decay B+\n1.0 K+ nonsense PHSP;\nEnddecay\nEnd\n", "nonsense"),
    ("Decay pi0\n1.0 gamma gamma PHSP;\nEnddecay\nEnd\n", "no 'Decay' of a B"),
    ("Decay B+\n0.0 K+ pi0 PHSP;\nEnddecay\nEnd\n", "positive branching fraction"),
    ("this is not a decay file", "not an EvtGen decay file"),
])
def test_wrong_decay_files(tmp_path, text, message):
    """Would catch a signal file that is half understood."""
    path = tmp_path / "wrong.dec"
    path.write_text(text)
    with pytest.raises(SimulationError, match=message):
        next(generate("signal", 1, seed=1, dec_file=path))
