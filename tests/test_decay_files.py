"""Decay files against EvtGen's rules: which block counts for whom, fractions of chains, what is refused and where."""

from __future__ import annotations

import json
from collections import Counter, defaultdict

import numpy as np
import pytest
from scipy.stats import binom, kstest

from fei_lite.cli import main
from fei_lite.errors import SimulationError
from fei_lite.events.schema import STATUS
from fei_lite.generator.decay_file import read_signal_decay, signal_decay
from fei_lite.generator.decay_files.checks import baryon_thirds, lepton_number, three_charge
from fei_lite.generator.decay_files.grammar import statements_of
from fei_lite.generator.decay_files.models import models
from fei_lite.generator.decay_table import belle2_table, table_state
from fei_lite.generator.generate import generate
from fei_lite.generator.particle_names import known_names

N = 1000
RADIATED = STATUS["photos_photon"] | STATUS["fsr_photon"]
ONE_B = "Decay Upsilon(4S)\n0.5 B+sig B- VSS;\n0.5 B-sig B+ VSS;\nEnddecay\n"
D_ALIASES = "Alias MyD+ D+\nAlias MyD- D-\nChargeConj MyD+ MyD-\n"
PI, K, D, DSTAR = 211, 321, 411, 413


def generated(text, n=N, seed=5):
    """Events of a decay file."""
    return next(generate("signal", n, seed=seed, dec_file=signal_decay(text, "x.dec"), batch_size=n)).generated


def decays(g):
    """All decays: (code of the mother, code of its mother, sorted products without radiated photons)."""
    first = g.offsets[:-1][g.event_index]
    above = np.where(g["mother"] >= 0, g["mother"] + first, -1)
    products = defaultdict(list)
    for row in np.flatnonzero((above >= 0) & (g["status"] & RADIATED == 0)):
        products[int(above[row])].append(int(g["pdg"][row]))
    return [(int(g["pdg"][row]), int(g["pdg"][above[row]]) if above[row] >= 0 else 0, tuple(sorted(found)))
            for row, found in products.items()]


def assert_fractions(found, expected):
    """Counted decays have the fractions of a file: each within what a binomial exceeds once in 10 000."""
    n = sum(found.values())
    assert n > 0 and set(found) <= set(expected), found
    for products, fraction in expected.items():
        low, high = binom.ppf([5e-5, 1.0 - 5e-5], n, fraction)
        assert low <= found[products] <= high, (products, found, fraction)


CHAIN = ("Decay MyD+\n0.7 K- pi+ pi+ PHSP;\n0.3 K- pi+ pi+ pi0 PHSP;\nEnddecay\n")
CONJUGATE = ("Decay MyD-\n0.7 K+ pi- pi- PHSP;\n0.3 K+ pi- pi- pi0 PHSP;\nEnddecay\n")
B_DECAY = "Decay B0sig\n0.6 MyD- pi+ PHSP;\n0.4 MyD- K+ PHSP;\nEnddecay\nCDecay anti-B0sig\n"
B0_PAIRS = "Decay Upsilon(4S)\n1.0 B0sig anti-B0sig B0 anti-B0 VSS_BMIX dm;\nEnddecay\n"


@pytest.mark.parametrize("text", [
    D_ALIASES + B0_PAIRS + B_DECAY + CHAIN + CONJUGATE,
    D_ALIASES + B0_PAIRS + B_DECAY + CHAIN + "CDecay MyD-\n",
    D_ALIASES + "Alias A D-\nAlias MyMyD- MyD-\nAlias MyMyD+ MyD+\nChargeConj MyMyD- MyMyD+\n" + B0_PAIRS
    + B_DECAY.replace("MyD-", "MyMyD-") + CHAIN.replace("MyD+", "MyMyD+") + "CDecay MyMyD-\n",
    D_ALIASES + "Alias Other+ D+\nAlias Other- D-\nChargeConj Other+ Other-\n" + B0_PAIRS
    + B_DECAY.replace("MyD-", "Other-") + CHAIN + "CDecay MyD-\nCopyDecay Other- MyD-\nCopyDecay Other+ MyD+\n",
], ids=["Decay", "CDecay", "nested alias", "CopyDecay"])
def test_fractions_of_a_chain(text):
    """Would catch an alias of any kind that decays generically, and fractions that are not the file's."""
    found = decays(generated(text))
    signal = {sign: Counter(p for code, _, p in found if code == sign * 511
                            and p in [tuple(sorted((-sign * D, sign * h))) for h in (PI, K)]) for sign in (1, -1)}
    assert sum(map(sum, (c.values() for c in signal.values()))) == pytest.approx(N, abs=N // 50)  # one B per event
    for sign, counts in signal.items():
        modes = [tuple(sorted((-sign * D, sign * other))) for other in (PI, K)]
        assert_fractions(counts, dict(zip(modes, (0.6, 0.4), strict=True)))
    first = [tuple(sorted((s * K, -s * PI, -s * PI))) for s in (1, -1)]
    mine = Counter(p in first for code, above, p in found if abs(code) == D and abs(above) == 511
                   and p in [*first, *(tuple(sorted((*f, 111))) for f in first)])
    assert sum(mine.values()) >= N  # generic D's have these modes, too, but 9 and 6 % only
    assert_fractions(mine, {True: 0.7, False: 0.3})


def test_the_table_can_be_copied_and_changed():
    """Would catch modes of the table checked like the user's (some are above threshold), or all of them lost."""
    signal = signal_decay(ONE_B + "CopyDecay B+sig B+\nCDecay B-sig\n", "x.dec")
    assert signal.pairs[0].first == 521  # nothing of a B+ has changed
    text = B0_PAIRS + "CopyDecay B0sig B0\nRemoveDecay B0sig\n1.0 D- pi+ PHSP;\nEnddecay\nCDecay anti-B0sig\n"
    found = Counter(p for code, _, p in decays(generated(text, 200)) if abs(code) == 511)
    assert len(found) > 100


def test_both_b_are_signal_if_the_file_says_so():
    """Would catch one B that stays generic although the Upsilon(4S) block names both by an alias."""
    text = ("Decay Upsilon(4S)\n1.0 B+sig B-sig VSS;\nEnddecay\nDecay B+sig\n"
            "1.0 K+ nu_tau anti-nu_tau PHSP;\nEnddecay\nCDecay B-sig\n")
    found = [(code, p) for code, _, p in decays(generated(text, 300)) if abs(code) == 521]
    assert Counter(found) == {(521, (-16, 16, 321)): 300, (-521, (-321, -16, 16)): 300}


def test_fractions_of_the_upsilon_block():
    """Would catch pairs drawn in turn although their fractions differ."""
    text = ("Decay Upsilon(4S)\n0.9 B+sig B- VSS;\n0.1 B-sig B+ VSS;\nEnddecay\nDecay B+sig\n"
            "1.0 K+ nu_e anti-nu_e PHSP;\nEnddecay\nCDecay B-sig\n")
    kaons = Counter(code for code, _, p in decays(generated(text, 1000)) if sorted(map(abs, p)) == [12, 12, 321])
    assert_fractions(kaons, {521: 0.9, -521: 0.1})


def test_mixing_follows_the_model():
    """Would catch mixing of VSS pairs, none of VSS_BMIX pairs, and an alias on both sides or on none."""
    block = "Decay B0sig\n1.0 K+ pi- PHSP;\nEnddecay\nDecay anti-B0sig\n1.0 K- pi+ PHSP;\nEnddecay\n"
    for text, mixes in ((B0_PAIRS, True), ("Decay Upsilon(4S)\n1.0 B0sig anti-B0 VSS;\nEnddecay\n", False)):
        g = generated(text + block)
        first, second = g["pdg"][g.offsets[:-1] + 1], g["pdg"][g.offsets[:-1] + 2]
        equal = np.mean(first == second)
        assert abs(equal - 0.187) < 4 * np.sqrt(0.187 * 0.813 / N) if mixes else equal == 0.0
        signal = Counter(code for code, _, p in decays(g) if abs(code) == 511 and p in ((-PI, K), (-K, PI)))
        assert 0 <= sum(signal.values()) - N < 5  # generic B0 -> K+ pi-: 2e-5


def test_broad_products_near_threshold():
    """Would catch Pythia dropping D+ -> K*0 a1+, for which most masses leave no room, and D+ left undecayed."""
    text = D_ALIASES + ONE_B + ("Decay B+sig\n0.5 MyD+ pi0 PHSP;\n0.5 MyD+ anti-K*0 K+ PHSP;\nEnddecay\n"
                                "Decay B-sig\n1.0 MyD- pi0 PHSP;\nEnddecay\nDecay MyD+\n0.5 anti-K*0 a_1+ PHSP;\n"
                                "0.5 K- pi+ pi+ PHSP;\nEnddecay\nCDecay MyD-\n")
    found = decays(generated(text.replace("anti-K*0 K+", "K0 anti-K0")))
    both = Counter(p for code, above, p in found if code == D and above == 521)
    assert_fractions(Counter({p: n for p, n in both.items() if p in ((-313, 20213), (-K, PI, PI))}),
                     {(-313, 20213): 0.5, (-K, PI, PI): 0.5})
    signal = Counter(p == (111, D) for code, _, p in found if code == 521 and p in ((111, D), (-311, 311, D)))
    assert_fractions(signal, {True: 0.5, False: 0.5})


def test_mother_heavier_only_in_its_tail():
    """Would catch D_0* -> D eta, above the nominal mass, left undecayed or without a width."""
    text = ("Alias S D_0*0\nAlias T anti-D_0*0\nChargeConj S T\n" + ONE_B
            + "Decay B-sig\n1.0 S e- anti-nu_e PHSP;\nEnddecay\nCDecay B+sig\n"
              "Decay S\n1.0 D0 eta PHSP;\nEnddecay\nCDecay T\n")
    g = generated(text, 300)
    found = Counter(p for code, above, p in decays(g) if abs(code) == 10421 and abs(above) == 521)
    assert found[(221, 421)] + found[(-421, 221)] >= 300
    p4 = g["p4"][np.abs(g["pdg"]) == 10421]
    masses = np.sqrt(p4[:, 3] ** 2 - np.sum(p4[:, :3] ** 2, axis=1))
    assert np.std(masses) > 0.005


def test_particle_statement():
    """Would catch a mass and width that are ignored: a K*+ of 1.2 GeV without width, for the generic ones as well."""
    g = generated("Particle K*+ 1.2 0.0\nDecay B+\n1.0 K*+ gamma PHSP;\nEnddecay\n", 200)
    p4 = g["p4"][np.abs(g["pdg"]) == 323]
    assert len(p4) >= 200
    assert np.allclose(np.sqrt(p4[:, 3] ** 2 - np.sum(p4[:, :3] ** 2, axis=1)), 1.2, atol=1e-5)


def test_a_searched_particle_has_the_file_mass():
    """Would catch A0 as Pythia's heavy boson; without a block it is stable, with one it decays."""
    text = ("Particle A0 1.5 0.0\nAlias A0sig A0\n" + ONE_B + "Decay B+sig\n0.5 K+ A0 PHSP;\n0.5 K+ A0sig PHSP;\n"
            "Enddecay\nCDecay B-sig\nDecay A0sig\n1.0 gamma gamma PHSP;\nEnddecay\n")
    g = generated(text, 400)
    rows = np.flatnonzero(g["pdg"] == 36)
    p4 = g["p4"][rows]
    assert len(rows) == 400
    assert np.allclose(np.sqrt(p4[:, 3] ** 2 - np.sum(p4[:, :3] ** 2, axis=1)), 1.5, atol=1e-5)
    assert_fractions(Counter((g["status"][rows] & STATUS["stable"] > 0).tolist()), {True: 0.5, False: 0.5})


def test_redefined_particle_decays_so_everywhere_its_antiparticle_does_not():
    """Would catch a Decay of a real particle that counts for the signal only, or for its antiparticle as well."""
    text = "Decay D0\n1.0 K- pi+ PHSP;\nEnddecay\nDecay B+\n1.0 anti-D0 pi+ PHSP;\nEnddecay\n"
    found = decays(generated(text))
    assert {p for code, _, p in found if code == 421} == {(-K, PI)}
    assert len({p for code, _, p in found if code == -421}) > 20


def test_vectors_are_aligned_where_it_is_said():
    """Would catch VSS called followed but isotropic: cos(theta) of B -> D* pi, D* -> D pi has density 3/2 cos^2."""
    text = (ONE_B + "Decay B+sig\n1.0 anti-D*0sig pi+ SVS;\nEnddecay\nCDecay B-sig\n"
            "Decay anti-D*0sig\n1.0 anti-D0 pi0 VSS;\nEnddecay\nCDecay D*0sig\nnoPhotos\n")
    signal = signal_decay(text, "x.dec")
    assert [line.treatment for line in signal.lines] == ["followed"] * 4
    g = generated(text)
    above = np.where(g["mother"] >= 0, g["mother"] + g.offsets[:-1][g.event_index], 0)
    cos = []
    for row in np.flatnonzero(np.abs(g["pdg"]) == 421):
        vector, b = above[row], above[above[row]]
        chain = abs(g["pdg"][vector]) == 423 and abs(g["pdg"][b]) == 521
        if chain and np.sum(above == b) == 2 and PI in np.abs(g["pdg"][above == b]) and (
                111 in g["pdg"][above == vector]):
            cos.append(helicity_cosine(g["p4"][b], g["p4"][vector], g["p4"][row]))
    assert N <= len(cos) < 1.02 * N  # a few generic ones
    assert kstest(cos, lambda c: 0.5 * (1.0 + c**3)).pvalue > 1e-3


def helicity_cosine(mother, vector, daughter):
    """cos of the angle between daughter and vector's flight, from invariants."""
    def dot(a, b):
        return a[3] * b[3] - a[:3] @ b[:3]
    m2 = dot(vector, vector)
    energy, parent = dot(vector, daughter) / np.sqrt(m2), dot(vector, mother) / np.sqrt(m2)
    p = np.sqrt(energy**2 - dot(daughter, daughter))
    q = np.sqrt(parent**2 - dot(mother, mother))
    return (energy * parent - dot(mother, daughter)) / (p * q) * -1.0


def test_aliased_tau_has_michel_spectrum():
    """Would catch an aliased tau in phase space: mean 2 E / m of the electron is 0.700 (0.652 in phase space)."""
    text = ("Alias t+ tau+\nAlias t- tau-\nChargeConj t+ t-\n" + ONE_B + "Decay B+sig\n1.0 t+ nu_tau PHSP;\nEnddecay\n"
            "CDecay B-sig\nDecay t-\n1.0 e- anti-nu_e nu_tau TAULNUNU;\nEnddecay\nCDecay t+\nnoPhotos\n")
    g = generated(text)
    first = g.offsets[:-1][g.event_index]
    above = g["mother"] + first
    electrons = [row for row in np.flatnonzero(np.abs(g["pdg"]) == 11) if abs(g["pdg"][above[row]]) == 15
                 and abs(g["pdg"][above[above[row]]]) == 521]
    tau, e = g["p4"][above[electrons]], g["p4"][electrons]
    x = 2.0 * (tau[:, 3] * e[:, 3] - np.sum(tau[:, :3] * e[:, :3], axis=1)) / 1.77686**2
    assert len(x) >= N
    assert abs(x.mean() - 0.700) < 4 * 0.198 / np.sqrt(len(x))
    assert not np.any(g["status"] & STATUS["photos_photon"])  # noPhotos


@pytest.mark.parametrize("text, line, words", [
    ("Decay B+\n1.0 K- pi0 PHSP;\nEnddecay\n", 2, "charge"),
    ("Decay B+\n\n1.0 Lambda_c+ anti-Lambda_c- Lambda_c+ PHSP;\nEnddecay\n", 3, "heavier than the B+"),
    ("Decay B0\n1.0 D*- D*- D+ D+ PHSP;\nEnddecay\n", 2, "heavier than the B0"),
    ("Decay B+\n1.0 p+ pi0 PHSP;\nEnddecay\n", 2, "baryon number"),
    ("Decay B+\n1.0 K+ nu_e nu_e PHSP;\nEnddecay\n", 2, "lepton number"),
    ("Decay B+\n1.0 K+ pi0 PHSP;\n-0.1 pi+ pi0 PHSP;\nEnddecay\n", 3, "negative"),
    ("Decay B+\n1.0 K+ PHSP;\nEnddecay\n", 2, "one product"),
    ("Decay B+\n1.0 B+ pi0 PHSP;\nEnddecay\n", 2, "into itself"),
    ("Decay B+\n1.0 pi+ " + 22 * "gamma " + "PHSP;\nEnddecay\n", 2, "23 products"),
    ("Decay B+\n1.0 K+ nonsense PHSP;\nEnddecay\n", 2, "nonsense"),
    ("Decay B+\n1.0 K+ pi0 FOOBAR 1.0;\nEnddecay\n", 2, "no decay model"),
    ("Decay B+\n1.0 K+ pi0 PHSB;\nEnddecay\n", 2, "PHSP"),
    ("Decay B+\n0.0 K+ pi0 PHSP;\nEnddecay\n", 1, "positive branching fraction"),
    ("Alias A nothing\n", 1, "unknown particle 'nothing'"),
    ("Alias A D+\nAlias C D0\nChargeConj A C\n", 3, "not conjugates"),
    ("Alias A D+\nDecay B0\n1.0 A pi- PHSP;\nEnddecay\nCDecay anti-B0\n", 5, "no ChargeConj"),
    ("CDecay B-\nDecay B0\n1.0 K+ pi- PHSP;\nEnddecay\nCopyDecay B+sig nothing\n", 5, "nothing"),
    ("Decay vpho\n1.0 pi+ pi0 PHSP;\nEnddecay\n", 2, "charge"),
    ("Decay vpho\n1.0 Upsilon(4S) pi0 PHSP;\nEnddecay\n", 2, "heavier than the vpho"),
    ("Decay vpho\n1.0 pi+ Zb(10610)- PHSP;\nEnddecay\n", 2, "the Z_b"),
    ("Decay Upsilon(6S)\n1.0 B+ B- VSS;\nEnddecay\n", 1, "Upsilon\\(6S\\)"),
    ("Decay B+sig\n1.0 K+ pi0 PHSP;\nEnddecay\n", 1, "never made"),
    ("Decay Upsilon(4S)\n1.0 B*+ B*- VSS;\nEnddecay\n", 2, "heavier than the Upsilon"),
    ("Decay Upsilon(4S)\n1.0 nonsense pi- VSS;\nEnddecay\n", 2, "nonsense"),
    ("Decay Upsilon(4S)\n1.0 B+ B+ VSS;\nEnddecay\n", 2, "antiparticle"),
    ("Decay B0\n1.0 pi+ pi- PYCONT;\nEnddecay\n", 2, "PYCONT is refused"),
    ("PythiaBothParam Nothing:atAll=3\nDecay B0\n1.0 pi+ pi- PHSP;\nEnddecay\n", 1, "does not accept"),
    ("Particle B+ -5.0 0.0\n", 1, "not negative"),
])
def test_refused_with_the_line(text, line, words):
    """Would catch a mode that cannot be (charge, baryons, masses ...) simulated all the same; errors without place."""
    with pytest.raises(SimulationError, match=f"x.dec: line {line}: .*{words}"):
        generated(text, 10)


def test_searches_may_violate_what_they_search():
    """Would catch lepton flavour or number searches refused: B -> K tau mu, B+ -> D- e+ mu+, B0 -> Lambda_c+ mu-."""
    for mode, notices in (("K+ tau+ mu-", 0), ("D- e+ mu+", 1), ("anti-Lambda_c- e+ e+ p+ anti-Delta-", 0)):
        text = ONE_B + f"Decay B+sig\n1.0 {mode} PHSP;\nEnddecay\nCDecay B-sig\n"
        if "Delta" in mode:
            with pytest.raises(SimulationError):
                signal_decay(text, "x.dec")
        else:
            assert len([n for n in signal_decay(text, "x.dec").notices if "number" in n.text]) == notices
    text = B0_PAIRS + "Decay B0sig\n1.0 Lambda_c+ mu- PHSP;\nEnddecay\nCDecay anti-B0sig\n"
    assert any("baryon number" in notice.text for notice in signal_decay(text, "x.dec").notices)


def test_numbers_of_particles():
    """Would catch wrong quark digits: charge and baryon number of all names against the particle table and the PDG."""
    from particle import InvalidParticle, Particle, ParticleNotFound
    from particle.pdgid import is_baryon

    checked = 0
    for name, code in known_names().items():
        try:
            charge = Particle.from_pdgid(code).three_charge
        except (InvalidParticle, ParticleNotFound):
            continue
        if abs(code) < 10_000_000 and not name.startswith(("rho(3S)", "Higgs", "W", "L")):
            assert three_charge(code) == charge, name
            if abs(code) > 100 and code not in (10022, 20022):
                assert abs(baryon_thirds(code)) == 3 * is_baryon(code) or abs(code) // 10 % 10 == 0, name
            checked += 1
    assert checked > 300
    assert lepton_number(-16) == -1


TWO = "Decay B+\n1.0 K+ pi0 PHSP;\nEnddecay\nDecay B+\n1.0 pi+ pi0 PHSP;\nEnddecay\n"


def test_the_last_block_counts():
    """Would catch the first of two blocks of a name taken, or no word about it."""
    signal = signal_decay(TWO, "x.dec")
    assert any("line 4" in str(notice) and "line 1" in str(notice) for notice in signal.notices)
    assert {p for code, _, p in decays(generated(TWO, 50)) if code == 521} == {(111, 211)}


@pytest.mark.parametrize("text", [
    "Decay B+\n1.0 K+ nu_tau anti-nu_tau PHSP;\nEnddecay\nEnd\nwhatever follows ; Decay\n",
    "Decay B+ 1.0 K+ nu_tau anti-nu_tau PHOTOS PHOTOS PHSP; Enddecay",
    "Decay B+\r\n1.0\tK+\tnu_tau anti-nu_tau\r\n PHSP;;\r\nEnddecay\r\nEnd\r\n",
    "\ufeffyesPhotos\nnormalPhotos\nDecay B+ # comment ; End\n1. K+ nu_tau anti-nu_tau VERBOSE PHSP ;\nEnddecay\n",
    "ModelAlias MINE PHSP;\nDecay B+\n1.0 K+ nu_tau\nanti-nu_tau MINE;\nEnddecay\nIncludeBirthFactor a_1+ no\n"
    "LSFLAT a_1+\nJetSetPar PARJ(21)=0.36\nPythiaBothParam StringPT:sigma=0.3\nSetLineshapePW D_1+ D*+ pi0 2\n"
    "BlattWeisskopf rho0 0.0\n",
    "Define x 0.3\nDecay B+\n0.5 K+ nu_tau anti-nu_tau PHSP;\n0.5 pi+ pi0 PHSP;\nEnddecay\n"
    "RemoveDecay B+\n1.0 pi+ pi0 PHSP;\nEnddecay\n",
], ids=["after End", "one line", "Windows", "flags", "other statements", "RemoveDecay"])
def test_layouts(text):
    """Would catch layout that EvtGen does not mind refused: all say B+ -> K+ nu nubar."""
    (copy,) = signal_decay(text, "x.dec").copies.values()
    assert [mode.products for mode in copy.modes] == [(321, 16, -16)]


def test_parameters_are_put_in():
    """Would catch Define, its sign, or a ModelAlias that does not reach the model."""
    text = ("Define x -0.3\nModelAlias M SVV_HELAMP 1.0 x -x +x beta;\nDecay B+\n1.0 K*+ rho0 M;\nEnddecay\n")
    (copy,) = signal_decay(text, "x.dec").copies.values()
    assert copy.modes[0].parameters == ("1.0", "-0.3", "0.3", "-0.3", "0.39")  # beta: of the table


def test_the_head_of_the_table_is_there():
    """Would catch names that only the table declares: aliases, their conjugates, definitions."""
    state = table_state()
    assert state.aliases["B+sig"] == "B+" and state.conjugates["B0sig"] == "anti-B0sig"
    assert state.defines["dm"] == "0.507e12" and state.aliases["J/psisig"] == "J/psi"
    assert sum(len(modes) for modes in belle2_table().modes.values()) > 4000


def test_every_model_has_a_class():
    """Would catch a model of decaylanguage's list, or of the table, without a class."""
    from decaylanguage.dec.enums import known_decay_models

    assert set(known_decay_models) <= set(models())
    assert {line.model for block in table_state().blocks.values() for line in block.modes} <= set(models())


def test_never_made_is_said():
    """Would catch a block that no event reaches dropped in silence."""
    text = "Alias SB0 B0\nDecay anti-B0\n1.0 D*+ e- anti-nu_e PHSP;\nEnddecay\nDecay SB0\n1.0 K+ pi- PHSP;\nEnddecay\n"
    notices = signal_decay(text, "x.dec").notices
    assert any("SB0 is never made" in notice.text and notice.line == 5 for notice in notices)


def test_statements_have_their_lines():
    """Would catch line numbers of the text that was laid out anew instead of the file's."""
    text = "# head\n\nAlias A D+ # c\nDecay A 1.0\n K- pi+\npi+ PHSP; 2.0 K0 pi+ PHSP;\nEnddecay CDecay B-\n"
    alias, decay, conjugate = statements_of(text, "x.dec")
    assert (alias.line, decay.line, conjugate.line) == (3, 4, 7)
    assert [mode.line for mode in decay.modes] == [4, 6]


def test_command_line(tmp_path, capsys, monkeypatch):
    """Would catch approximations that nobody is told of, --strict without effect, --quiet that talks, half a file."""
    import uproot

    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.dec").write_text(ONE_B + "Decay B+sig\n1.0 D0sig K+ PHSP;\nEnddecay\nCDecay B-sig\nDecay D0sig\n"
                                    "0.5 pi- pi+ pi0 D_DALITZ;\n0.5 K- pi+ pi0 D_DALITZ;\nEnddecay\n"
                                    "CDecay anti-D0sig\n")
    command = ["simulate", "signal", "--dec", "x.dec", "-n", "20", "--seed", "1", "--no-background", "-o", "x.root"]
    assert main([*command, "--strict"]) == 2
    assert "strict: only approximated: line 10" in capsys.readouterr().err
    assert not list(tmp_path.glob("x.root*"))
    assert main(command) == 0
    told = capsys.readouterr().err
    assert told.count("approximated: D_DALITZ: phase space; elsewhere: resonances of K- pi+ pi+") == 1
    assert main([*command, "--force", "--quiet"]) == 0
    assert capsys.readouterr().err == ""
    with uproot.open("x.root") as file:
        metadata = json.loads(str(file["fei_lite_metadata"]))["metadata"]
    lines = json.loads(metadata["decay_lines"])
    assert [line["treatment"] for line in lines if line["model"] == "D_DALITZ"] == ["approximated", "followed"]
    (tmp_path / "bad.dec").write_text("Decay B+\n1.0 K- pi0 PHSP;\nEnddecay\n")
    assert main(["simulate", "signal", "--dec", "bad.dec", "-n", "5", "--seed", "1", "-o", "y.root"]) == 2
    assert "bad.dec: line 2: B+ -> K- pi0: charge +1 becomes -1" in capsys.readouterr().err
    assert not list(tmp_path.glob("y.root*"))


def test_shipped_decay_has_one_signal_b():
    """Would catch the shipped K nu nubar sample with two signal B's, or with one charge only."""
    signal = read_signal_decay("k_nunu")
    assert [(signal.meant.get(abs(p.first), p.first), p.second) for p in signal.pairs] == [(521, -521), (-521, 521)]


def test_partons_that_pythia_would_never_fragment():
    """Would catch a matrix element that does not fit its partons: Pythia tries for ever (element 23, two diquarks)."""
    text = ONE_B + "Decay B+sig\n1.0 anti-cd_1 uu_1 PYTHIA 23;\nEnddecay\nCDecay B-sig\n"
    lines = [line for line in signal_decay(text, "x.dec").lines if line.model == "PYTHIA"]
    assert [line.treatment for line in lines] == ["approximated"] and "PYTHIA 63" in lines[0].reason
    assert len(generated(text, 10).counts) == 10
    with pytest.raises(SimulationError, match=r"x.dec: line 6: .*no such partons"):
        signal_decay(text.replace("anti-cd_1 uu_1", "u anti-d g"), "x.dec")
