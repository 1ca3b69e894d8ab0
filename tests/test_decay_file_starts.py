"""What is made for a decay file: continuum, virtual photons, other modes of the Upsilon(4S); particles that it adds."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pytest
from scipy.stats import binom

from fei_lite.errors import SimulationError
from fei_lite.events.schema import STATUS
from fei_lite.generator.decay_file import signal_decay
from fei_lite.generator.decay_files.models import models
from fei_lite.generator.generate import generate

RADIATED = STATUS["photos_photon"] | STATUS["fsr_photon"]
ONE_B = "Decay Upsilon(4S)\n0.5 B+sig B- VSS;\n0.5 B-sig B+ VSS;\nEnddecay\n"
CHARM = ("Alias D0s D0\nAlias anti-D0s anti-D0\nChargeConj D0s anti-D0s\nDecay D*+\n1.0 D0s pi+ VSS;\nEnddecay\n"
         "Decay D0s\n1.0 K- pi+ PHSP;\nEnddecay\n")
LFV = ("Alias tau-s tau-\nAlias tau+s tau+\nChargeConj tau-s tau+s\nDecay vpho\n0.3 tau-s tau+ VLL;\n"
       "0.7 tau- tau+s VLL;\nEnddecay\nDecay tau-s\n1.0 mu- gamma PHSP;\nEnddecay\nCDecay tau+s\n")


def made(text, n, process="signal", seed=5):
    """Events of a decay file for a process."""
    signal = signal_decay(text, "x.dec", process=process)
    return next(generate(process, n, seed=seed, dec_file=signal, batch_size=n)).generated


def decays(g):
    """Products without radiated photons by row of the mother, which is a number of the whole block."""
    above = np.where(g["mother"] >= 0, g["mother"] + g.offsets[:-1][g.event_index], -1)
    products = defaultdict(list)
    for row in np.flatnonzero((above >= 0) & (g["status"] & RADIATED == 0)):
        products[int(above[row])].append(int(g["pdg"][row]))
    return above, {row: tuple(sorted(found)) for row, found in products.items()}


def test_charm_of_continuum():
    """Would catch decays of a charm file that reach no c cbar event, reach antiparticles, or generic D0's."""
    g = made(CHARM, 400, "ccbar")
    above, products = decays(g)
    vectors = np.flatnonzero(g["pdg"] == 413)
    assert len(vectors) > 50
    assert {products[row] for row in vectors.tolist()} == {(211, 421)}
    chain = [products[row] for row in np.flatnonzero((g["pdg"] == 421) & (g["pdg"][above] == 413)).tolist()]
    assert set(chain) == {(-321, 211)}
    others = Counter(products[row] for row in np.flatnonzero((g["pdg"] == 421) & (g["pdg"][above] != 413)).tolist())
    assert len(others) > 10  # generic
    anti = Counter(products[row] for row in np.flatnonzero(g["pdg"] == -413).tolist())
    assert len(anti) > 1
    first = g.offsets[:-1]
    assert np.all(g["pdg"][first] == 22) and np.all(g["status"][first] & STATUS["virtual"])


def test_virtual_photon_of_quarks_is_the_process():
    """Would catch 'Decay vpho: c anti-c' fragmented without the beams' radiation: it is the process ccbar."""
    text = "Decay vpho\n1.0 c anti-c PYTHIA 91;\nEnddecay\n" + CHARM
    signal = signal_decay(text, "x.dec")
    assert signal.process == "ccbar"
    assert not [notice for notice in signal.notices if "vpho" in notice.text]
    one, other = made(text, 50), made(CHARM, 50, "ccbar")
    assert np.array_equal(one["pdg"], other["pdg"]) and np.allclose(one["p4"], other["p4"])


def test_one_tau_of_a_pair():
    """Would catch both taus or none decayed by the file, or fractions of vpho's lines that do not hold."""
    g = made(LFV, 600)
    above, products = decays(g)
    signal = Counter(int(g["pdg"][row]) for row, found in products.items() if sorted(map(abs, found)) == [13, 22])
    assert sum(signal.values()) == 600
    low, high = binom.ppf([1e-4, 1.0 - 1e-4], 600, 0.3)
    assert low <= signal[15] <= high
    taus = np.flatnonzero(np.abs(g["pdg"]) == 15)
    assert len(taus) == 1200 and np.all(above[taus] >= 0)


def test_tau_files_are_about_pairs():
    """Would catch a file that decays the tau- by its own name refused, or its tau+ decayed so, too."""
    text = "Decay tau-\n1.0 mu- mu+ mu- PHSP;\nEnddecay\n"
    for process in ("signal", "taupair"):
        g = made(text, 50, process)
        _, products = decays(g)
        found = [found for row, found in products.items() if g["pdg"][row] == 15]
        assert found == [(-13, 13, 13)] * 50
        assert (-13, -13, 13) not in [found for row, found in products.items() if g["pdg"][row] == -15]


def test_modes_of_a_virtual_photon():
    """Would catch exclusive modes in other proportions, or with an energy other than that of the beams."""
    text = ("Decay vpho\n0.7 pi+ pi- J/psisig PHSP;\n0.3 eta phi PARTWAVE 0.0 0.0 1.0 0.0 0.0 0.0;\nEnddecay\n"
            "Decay J/psisig\n1.0 e+ e- VLL;\nEnddecay\n")
    g = made(text, 500)
    above, products = decays(g)
    first = g.offsets[:-1]
    counts = Counter(products[row] for row in first.tolist())
    assert set(counts) == {(-211, 211, 443), (221, 333)}
    low, high = binom.ppf([1e-4, 1.0 - 1e-4], 500, 0.7)
    assert low <= counts[-211, 211, 443] <= high
    assert np.all(g["pdg"][first] == 22) and np.all(g["status"][first] & STATUS["virtual"])
    sums = np.zeros((500, 4))
    direct = np.flatnonzero(np.isin(above, first))
    np.add.at(sums, g.event_index[direct], g["p4"][direct])
    assert np.allclose(sums, g["p4"][first], atol=1e-5)
    assert {products[row] for row in np.flatnonzero(g["pdg"] == 443).tolist()} == {(-11, 11)}
    sqrt_s = np.sqrt(g["p4"][first, 3] ** 2 - np.sum(g["p4"][first, :3] ** 2, axis=1))
    assert abs(sqrt_s.mean() - 10.58) < 0.01


def test_other_modes_of_the_upsilon():
    """Would catch modes of the Upsilon(4S) that are no B pairs refused, left out, or in other proportions."""
    text = "Decay Upsilon(4S)\n0.4 Upsilon pi+ pi- PHSP;\n0.2 h_b eta PHSP;\n0.4 B0 anti-B0 VSS_BMIX dm;\nEnddecay\n"
    g = made(text, 600)
    _, products = decays(g)
    counts = Counter(products[row] for row in g.offsets[:-1].tolist())
    pairs = sum(n for found, n in counts.items() if set(map(abs, found)) == {511})
    for n, fraction in ((counts[-211, 211, 553], 0.4), (counts[221, 10553], 0.2), (pairs, 0.4)):
        low, high = binom.ppf([1e-4, 1.0 - 1e-4], 600, fraction)
        assert low <= n <= high, counts
    assert np.all(g["pdg"][g.offsets[:-1]] == 300553)


@pytest.mark.parametrize("text, process, words", [
    (ONE_B + "Decay B+sig\n1.0 K+ pi0 PHSP;\nEnddecay\nCDecay B-sig\n", "ccbar",
     "about 'signal' events, not about ccbar"),
    ("Decay vpho\n1.0 c anti-c PYTHIA 91;\nEnddecay\n" + CHARM, "uubar", "about 'ccbar' events, not about uubar"),
    ("Decay phi\n1.0 K+ K- VSS;\nEnddecay\n", "signal", "no 'Decay' of a B\\+ or B0"),
    ("Decay Upsilon(5S)\n1.0 Upsilon pi+ pi- PHSP;\nEnddecay\n", "signal",
     "line 1: .*the Upsilon\\(5S\\): not simulated"),
    ("Decay B_s0\n1.0 gamma gamma PHSP;\nEnddecay\n", "signal", "line 1: .*B_s mesons: not simulated"),
    ("Alias D D*+\nDecay D\n1.0 D0 pi+ VSS;\nEnddecay\n", "signal", "found D"),
    ("# add_particle(X, 17443, 3.8)\nDecay B+\n1.0 X K+ PHSP;\nEnddecay\n", "signal", "line 1: add_particle: expected"),
    ("# add_particle('X', 17443, 5.0, 0.0, 0, 1)\nDecay B+\n1.0 X K+ PHSP;\nEnddecay\n", "signal",
     "line 3: .*heavier than the B\\+"),
    ("# add_particle('X', 17443, 3.0, 0.0, 1, 1)\nDecay B+\n1.0 X K+ PHSP;\nEnddecay\n", "signal",
     "line 3: .*charge \\+1 becomes \\+2"),
])
def test_refused_with_a_word(text, process, words):
    """Would catch files simulated that are about something else, or refused without saying what is missing."""
    with pytest.raises(SimulationError, match=words):
        made(text, 10, process)


def test_a_file_goes_with_signal_or_continuum():
    """Would catch a decay file that 'charged' takes without using it."""
    signal = signal_decay(CHARM, "x.dec", process="ccbar")
    for process in ("charged", "uubar"):
        with pytest.raises(SimulationError):
            next(generate(process, 5, seed=1, dec_file=signal))
    with pytest.raises(SimulationError, match="needs a decay file"):
        next(generate("signal", 5, seed=1))


def test_particles_of_a_comment():
    """Would catch a particle that a Belle II file adds unknown, with another mass, or stable although it decays."""
    text = ("# Parameters: pdg.add_particle(name='X(3823)', pdgCode=17443, mass=3.823, width=0.0, charge=0, spin=2)\n"
            "# add_particle(Y_2, 9910440, 4014.30e-3, 4.00e-3, 0, 2, max_width=21e-3, lifetime=0, pythiaID=9910440)\n"
            "Alias Xs X(3823)\n" + ONE_B + "Decay B+sig\n0.5 Xs K+ PHSP;\n0.5 Y_2 K+ PHSP;\nEnddecay\nCDecay B-sig\n"
            "Decay Xs\n1.0 gamma chi_c1 PHSP;\nEnddecay\nDecay Y_2\n1.0 J/psi omega PHSP;\nEnddecay\n")
    signal = signal_decay(text, "x.dec")
    assert [notice.line for notice in signal.notices if "added" in notice.text] == [1, 2]
    g = next(generate("signal", 300, seed=2, dec_file=signal, batch_size=300)).generated
    _, products = decays(g)
    mass = np.sqrt(np.maximum(g["p4"][:, 3] ** 2 - np.sum(g["p4"][:, :3] ** 2, axis=1), 0.0))
    narrow, broad = (np.flatnonzero(g["pdg"] == code) for code in (17443, 9910440))
    assert len(narrow) + len(broad) == 300 and min(len(narrow), len(broad)) > 100
    assert np.allclose(mass[narrow], 3.823, atol=1e-5)
    assert np.all(np.abs(mass[broad] - 4.0143) < 0.0211) and np.std(mass[broad]) > 0.001
    assert {products[row] for row in narrow.tolist()} == {(22, 20443)}
    assert {products[row] for row in broad.tolist()} == {(223, 443)}


def test_added_particles_have_no_lepton_number():
    """Would catch heavy neutrinos refused for a lepton number that nobody gave them; conjugates of charged ones."""
    text = ("# add_particle('N', 9000014, 1.5, 0.0, 0, 0.5)\n# add_particle('H+', 9000037, 1.0, 0.0, 1, 0)\n"
            "# add_particle('H-', -9000037, 1.0, 0.0, -1, 0)\nAlias Hs+ H+\nAlias Hs- H-\nChargeConj Hs+ Hs-\n" + ONE_B
            + "Decay B+sig\n0.5 mu+ N HNLSCALARL;\n0.5 Hs+ pi0 PHSP;\nEnddecay\nCDecay B-sig\n"
              "Decay Hs+\n1.0 pi+ pi0 PHSP;\nEnddecay\nCDecay Hs-\n")
    g = made(text, 200)
    _, products = decays(g)
    signs = Counter(found for row, found in products.items() if abs(g["pdg"][row]) == 9000037)
    assert set(signs) == {(111, 211), (-211, 111)}


def test_an_alias_is_taken_once():
    """Would catch a file refused that gives a name of the table's aliases again: EvtGen ignores it with a warning."""
    signal = signal_decay("Alias D+sig D0\n" + ONE_B + "Decay B+sig\n1.0 D+sig anti-D0 PHSP;\nEnddecay\nCDecay B-sig\n",
                          "x.dec")
    assert any(notice.line == 1 and "ignored" in notice.text for notice in signal.notices)


def test_models_of_the_belle_ii_software():
    """Would catch a model that Belle II's software adds to EvtGen without a class."""
    assert {"B0toKsKK", "B0TOK0K0K0", "BCL", "BGL", "BSTD", "BSTD_2HDMTYPE2", "BTODSTARLNUNP", "BTOKK0K0", "BTOKKLKL",
            "BTOXSNUNU_FERMI", "D0ToKpipi0pi0", "D0TopipiEta", "D0Topippim2pi0", "DsToKKpi", "FLAT_DAUGHTER", "HNLBCL",
            "HNLBGL", "HNLHQET3", "HNLLLSW", "HNLSCALARL", "HQET3", "KNUNU", "KSTARNUNU_REV", "LLSW", "PHSP_B_MIX",
            "PHSP_CP", "VSSBMixNP", "BTOSLLNPR", "BGL2"} <= set(models())
