"""B -> Xs nu nubar: its modes, the generated final states, fragmentation, and the HTA's mode inside of it."""

from __future__ import annotations

from collections import Counter
from itertools import product

import numpy as np
import pytest
from scipy.stats import chi2
from signal_events import Truth, signal_batch

from fei_lite.analyses.candidates.inputs import Inputs
from fei_lite.analyses.candidates.pairs import SIGNAL, all_pairs, has_any, side_names, with_signal_side, without_tag
from fei_lite.analyses.candidates.samples import Source
from fei_lite.analyses.candidates.true_tags import true_tags as tags_of_truth
from fei_lite.analyses.folders import load_analysis
from fei_lite.analyses.systematics import Line
from fei_lite.analyses.xs_nunu.crossfeed import cross_feed
from fei_lite.analyses.xs_nunu.final_states import OTHER, final_states, modes
from fei_lite.analyses.xs_nunu.fragmentation import MISSING, fragmentation
from fei_lite.analyses.xs_nunu.limits import branching_fractions
from fei_lite.events import concatenate
from fei_lite.generator.matrix_elements.dineutrino import FermiMotion, quark_rate
from fei_lite.production.simulate import simulate
from fei_lite.reconstruction.engine import NoClassifiers, reconstruct

XS, HTA = load_analysis("xs_nunu"), load_analysis("hta")
N = 400


@pytest.fixture(scope="module")
def batch():
    return concatenate([b for seed, name in ((71, "xs_nunu"), (72, "xs_nunu_neutral"))
                        for b in simulate("signal", N, seed=seed, dec_file=name)])


def test_events_with_a_signal_side(batch):
    """Would catch an event that is left out because the shortest modes were looked for first."""
    kept = with_signal_side(batch, XS.signal_set, "Upsilon(4S)")
    whole = reconstruct(batch, without_tag(XS.signal_set), NoClassifiers())
    wanted = has_any(whole, side_names(XS.signal_set, "Upsilon(4S)", SIGNAL))
    assert kept.tolist() == np.flatnonzero(wanted).tolist()
    assert 0.3 * len(wanted) < len(kept) < len(wanted)


def by_rule(charge):
    """All final states of the rule: a kaon and up to four pions, two of them pi0, or three kaons and up to a pion."""
    found = set()
    for kaons, strange in ((("K+",), 1), (("K_S0",), 0), (("K+", "K-", "K+"), 1), (("K+", "K-", "K_S0"), 0)):
        most = 4 if len(kaons) == 1 else 1
        for n in range(most + 1):
            for pions in product(("pi+", "pi-", "pi0"), repeat=n):
                total = strange + pions.count("pi+") - pions.count("pi-")
                if total == charge and pions.count("pi0") <= 2:
                    found.add((tuple(sorted(kaons)), tuple(sorted(pions))))
    return found


@pytest.mark.parametrize(("half", "charge"), [(slice(0, 15), 1), (slice(15, 30), 0)])
def test_modes_are_those_of_the_rule(half, charge):
    """Would catch a mode that is missing, twice, or of another charge: the rule of arXiv:2511.10980 written out."""
    listed = [(tuple(sorted(d for d in mode if d[0] == "K")), tuple(sorted(d for d in mode if d[0] == "p")))
              for mode in modes()[half]]
    assert len(set(listed)) == len(listed) == 15
    assert set(listed) == by_rule(charge)


def naive_state(batch, event):
    """(M, q2, counter of final particles, B code, whether by fragmentation) of an event by walking down the tree."""
    g = batch.generated
    rows = range(g.offsets[event], g.offsets[event + 1])
    first = g.offsets[event]
    daughters = {i: [j for j in rows if g["mother"][j] == i - first] for i in rows}
    signal = [i for i in rows if abs(g["pdg"][i]) in (511, 521)
              and sum(abs(g["pdg"][j]) in (12, 14, 16) for j in daughters[i]) == 2]
    assert len(signal) == 1
    b = signal[0]
    pair = sum(g["p4"][j] for j in daughters[b] if abs(g["pdg"][j]) in (12, 14, 16))
    rest = g["p4"][b] - pair
    names = {321: "K", 310: "K_S0", 130: "K_L0", 211: "pi", 111: "pi0"}
    found = Counter()

    def walk(i):
        code, primary = abs(int(g["pdg"][i])), [j for j in daughters[i] if g["status"][j] & 1]
        if code in names:
            found[names[code]] += 1
        elif primary:
            for j in primary:
                walk(j)
        elif not g["status"][i] & (128 | 256):
            found["other"] += 1

    for j in daughters[b]:
        if g["status"][j] & 1 and abs(g["pdg"][j]) not in (12, 14, 16):
            walk(j)
    mass, q2 = (p[3]**2 - p[:3] @ p[:3] for p in (rest, pair))
    return np.sqrt(mass), q2, found, abs(int(g["pdg"][b])), any(abs(g["pdg"][j]) in (30343, 30353) for j in
                                                                 daughters[b])


def test_final_states_by_walking_down_the_tree(batch):
    """Would catch a resonance that is not looked through, a K_L0 taken for a K_S0, radiated photons that count."""
    found = final_states(batch)
    seen = Counter()
    for event in range(batch.n_events):
        mass, q2, counts, code, fragmented = naive_state(batch, event)
        assert found.mass[event] == pytest.approx(mass, abs=1e-5)
        assert found.q2[event] == pytest.approx(q2, abs=1e-4)
        assert found.non_resonant[event] == fragmented
        for wanted, short in ((found.mode, counts["K_S0"]), (found.mode_with_kl, counts["K_S0"] + counts["K_L0"])):
            lost = counts["other"] or (short == counts["K_S0"] and wanted is found.mode and counts["K_L0"])
            key = Counter({"K": counts["K"], "K_S0": short, "pi": counts["pi"], "pi0": counts["pi0"]})
            number = OTHER
            for i, mode in enumerate(modes()):
                if (i >= 15) == (code == 511) and Counter(d.rstrip("+-") for d in mode) == +key and not lost:
                    number = i
            assert wanted[event] == number
            seen[number] += 1
    assert len(seen) > 15 and seen[OTHER] > 50


def test_generic_events_have_no_signal():
    """Would catch a decay of another B taken for the signal."""
    generic = next(iter(simulate("mixed", 100, seed=3)))
    found = final_states(generic)
    assert np.isnan(found.mass).all() and (found.mode == OTHER).all() and not found.non_resonant.any()


def test_spectrum_of_xs_by_integration():
    """Would catch a wrong Fermi motion, rate or boost: M(Xs) and q2 of 40 000 draws against an integral on a grid of
    momentum, s and angle; and the limits of phase space."""
    m_b0, strange, p_f, least = 5.2795, 0.2, 0.461, 1.1
    p, s, cos = np.meshgrid(np.linspace(0.0, 2.2, 240), np.linspace(0.0, (1.0 - 0.2 / 4.8)**2, 240),
                            np.linspace(-1.0, 1.0, 81), indexing="ij")
    b2 = m_b0**2 - 2.0 * m_b0 * p
    b = np.sqrt(np.maximum(b2, 0.0))
    q2 = s * b2
    lam = np.maximum((b2 - (strange + np.sqrt(np.maximum(q2, 0)))**2) * (b2 - (strange - np.sqrt(np.maximum(
        q2, 0)))**2), 0.0)
    k = np.divide(np.sqrt(lam), 2.0 * b, out=np.zeros_like(b), where=b > 0)
    e_b = np.sqrt(p**2 + b2)
    # quark boosted along p with gamma = E_b / m_b; the spectator is massless and flies back
    energy, along = (e_b * np.sqrt(k**2 + strange**2) + p * k * cos) / np.maximum(b, 1e-9), \
        (p * np.sqrt(k**2 + strange**2) + e_b * k * cos) / np.maximum(b, 1e-9)
    mass = np.sqrt(np.maximum((energy + p)**2 - (along - p)**2 - k**2 * (1 - cos**2), 0.0))
    weight = p**2 * np.exp(-(p / p_f)**2) * quark_rate(s, 0.2 / 4.8)
    weight[(b2 <= 0) | (np.sqrt(np.maximum(q2, 0)) + strange >= b) | (mass < least)
           | (mass + np.sqrt(np.maximum(q2, 0)) > m_b0)] = 0.0
    drawn = FermiMotion(30343).draw(40_000, m_b0, np.random.default_rng(8))
    assert drawn[0].min() >= least and (drawn[0] + np.sqrt(drawn[1])).max() <= m_b0
    for values, grid, edges in ((drawn[0], mass, np.linspace(1.1, 3.5, 13)), (drawn[1], q2, np.linspace(0, 15, 13))):
        wanted = np.histogram(grid, edges, weights=weight)[0]
        found = np.histogram(values, edges)[0]
        wanted *= found.sum() / wanted.sum()
        distance = float(np.sum((found - wanted)**2 / (wanted + (0.004 * wanted)**2)))  # the grid is good to 0.4 %
        assert chi2.sf(distance, len(wanted) - 1) > 1e-3, (found, wanted)


def test_fragmentation_gives_the_measured_fractions():
    """Would catch weights of another bin or category: generated fractions times weights are the measured ones, and no
    shift of a category changes the rate at any mass."""
    table = fragmentation()
    for at, mass in enumerate((1.12, 1.3, 1.7, 2.2, 2.8)):
        number = np.array([int(np.flatnonzero(table.of_mode == i)[0]) for i in range(len(table.names))])
        ones = np.ones(len(number), dtype=bool)
        weight = table.weight(number, np.full(len(number), mass), ones)
        moved = table.generated[:, at] * weight
        known = table.generated[:, at] > 0
        np.testing.assert_allclose(moved[known], table.measured[known, at], rtol=1e-12)
        state, fraction = np.append(number, OTHER), np.append((1 - table.missing[at]) * table.measured[:, at],
                                                              table.missing[at])
        for name in (*table.names, MISSING):
            for sign in (-1.0, 1.0):
                factor = table.factor(name, sign, state, np.full(len(state), mass), np.ones(len(state), dtype=bool))
                assert np.sum(factor * fraction) == pytest.approx(1.0, abs=1e-12)
                row = len(table.names) if name == MISSING else table.names.index(name)
                if 0 < fraction[row] * (1 + table.errors[row, at]) < 1 and table.errors[row, at] < 1:
                    assert factor[row] == pytest.approx(1 + sign * table.errors[row, at])
    resonant = table.weight(number, np.full(len(number), 1.7), ~ones)
    assert (resonant == 1.0).all()


def test_every_uncertainty_of_the_signal_keeps_the_rate(batch):
    """Would catch a form factor or Fermi motion that moves the branching fraction: all generated events together."""
    columns = XS.physics.of_events(batch, "xs_nunu")
    weight = XS.physics.event_weights(columns, "xs_nunu", "-")
    columns = columns | {"weight": weight}
    for line in XS.systematics:
        if line.kind in ("fragmentation", "fermi_motion", "k_nunu_form_factor"):
            assert isinstance(line, Line)
            for factor in line.factors(columns):
                assert np.sum(weight * factor) / weight.sum() == pytest.approx(1.0, abs=0.06), line.name
                assert (factor >= 0.0).all() and np.any(factor != 1.0) == any(factor != 1.0)


def test_true_tags(batch):
    """Would catch the signal B as a tag, or objects of the signal side in it."""
    found = tags_of_truth(batch)
    n = {name: len(table) for name, table in found.tables.items()}
    assert n == {"B+": N, "B0": N}
    for name, code in (("B+", 521), ("B0", 511)):
        table = found.tables[name]
        assert (np.abs(batch.generated["pdg"][table["mc"]]) == code).all()
        np.testing.assert_allclose(table["M"], 5.279, atol=0.002)
    charged = signal_batch(150, seed=11)
    truth = Truth(charged)
    table = tags_of_truth(charged).tables["B+"]
    np.testing.assert_array_equal(table["mc"], truth.tag)
    np.testing.assert_array_equal(table["used"], truth.used(truth.tag))


def test_the_kaon_mode_is_that_of_the_hta():
    """Would catch a signal side that finds another kaon, tag or rest of the event than the HTA: the candidates of both
    with the cuts of both."""
    charged = signal_batch(300, seed=12)
    tags, found = tags_of_truth(charged), []
    for analysis in (HTA, XS):
        pairs = all_pairs(charged, tags, analysis.signal_set, "Upsilon(4S)", masks=analysis.masks)
        kaon = "daughter(1, daughter(0, {}))"
        keep = np.ones(len(pairs), dtype=bool)
        if analysis is XS:
            keep &= np.abs(pairs.value("daughter(1, PDG)")) == 521
            keep &= pairs.value("daughter(1, decayModeID)") == 0
        for name, low, high in (("kaonID", 0.9, 2.0), ("nCDCHits", 20, 1e3), ("nPXDHits", 0, 1e3), ("dr", -1, 0.5),
                                ("abs(dz)", -1, 2.0), ("theta", 0.2967, 2.6180)):
            value = pairs.value(kaon.format(name))
            keep &= (value > low) & (value < high)
        for text in ("nROE_Tracks(hta)", "nROE_pi0(hta)", "nROE_K_S0(hta)"):
            keep &= pairs.value(text) == 0
        keep &= pairs.value("daughter(0, Mbc)") > 5.27
        found.append({(int(e), round(float(p), 9), round(float(px), 9), round(float(extra), 9))
                      for e, p, px, extra, k in zip(
                          pairs.event, pairs.value("daughter(0, px)"), pairs.value(kaon.format("px")),
                          pairs.value("roeEextra(hta)"), keep, strict=True) if k})
    assert found[0] == found[1]
    assert len(found[0]) > 60


def test_cross_feed_by_hand():
    """Would catch rows and columns exchanged, and a purity without the rates of the modes."""
    n = len(modes())
    events, rate = np.full(n + 1, 10.0), np.zeros(n + 1)
    rate[[0, 1]] = 0.75, 0.25
    table = cross_feed(np.array([0, 0, 1, OTHER]), np.array([0, 1, 1, 0]), np.ones(4), events=events, rate=rate)
    assert table.right[[0, 1]].tolist() == [0.1, 0.1] and table.efficiency[0, 1] == 0.1
    assert table.purity[1] == pytest.approx(0.25 / (0.25 + 0.75)) and table.purity[0] == 1.0
    assert np.isnan(table.purity[5])
    assert np.all(table.right_errors > 0.0)  # none found of few is not none for certain
    rows = [line.split()[2:] for line in table.matrix().splitlines()[1:]]
    shown = np.array([[0.0 if x == "." else float(x) for x in row] for row in rows])
    np.testing.assert_allclose(shown, 100 * table.efficiency, atol=0.005)



def test_branching_fractions_of_the_strengths():
    """Would catch strengths in units of another rate: parts of B+ and B0 by hand."""
    sources = tuple(Source(f"{name}.root", "signal", seed, 100, 100, {"decay_file": name})
                    for seed, name in ((1, "xs_nunu"), (2, "xs_nunu_neutral")))
    counts = tuple({f"signal_{r}": {"events read": [n, n]} for r, n in zip(("low", "mid", "high"), row, strict=True)}
                   for row in ((20, 30, 50), (10, 30, 60)))
    found = branching_fractions(XS.recipe, Inputs({"weight": np.ones(0)}, sources, counts))
    share = 0.5113 / (0.5113 + 0.4861)
    assert found["signal_low"] == pytest.approx(2.9e-5 * (0.2 * share + 0.1 * (1 - share)))
    assert found["all"] == pytest.approx(2.9e-5)
