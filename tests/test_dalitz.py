"""Dalitz plots of D decays against published fit fractions, spin factors in closed form, and events."""

from __future__ import annotations

import numpy as np
import pytest

from fei_lite.generator.generate import generate
from fei_lite.generator.matrix_elements.dalitz import Plot, Resonance, pair_13, plots, table_of
from fei_lite.generator.matrix_elements.kinematics import breakup_momentum, mass_of

K, KS, PI, PI0, D0 = 0.49368, 0.49761, 0.13957, 0.13498, 1.86484

#: Fit fractions with their errors up and down (statistical, experimental and of the model): S. Kopp et al., Phys. Rev.
#: D 63 (2001) 092001; H. Muramatsu et al., Phys. Rev. Lett. 89 (2002) 251802; numbers as the PDG's listings of 2026
#: quote them. "flat" is the constant part. Without the rho(1700)+, see below.
PUBLISHED = {
    1: ((K, PI, PI0), {"rho(770)+": (0.788, 0.052, 0.052), "K*(892)-": (0.161, 0.028, 0.013),
                       "K*(892)0": (0.127, 0.018, 0.018), "K0*(1430)-": (0.033, 0.015, 0.015),
                       "K0*(1430)0": (0.041, 0.033, 0.011), "K*(1680)-": (0.013, 0.005, 0.005),
                       "flat": (0.075, 0.057, 0.014)}),
    2: ((KS, PI, PI), {"K*(892)-": (0.657, 0.022, 0.042), "rho(770)0": (0.264, 0.013, 0.028),
                       "omega(782)": (0.0072, 0.0021, 0.0020), "f0(980)": (0.043, 0.013, 0.008),
                       "f0(1370)": (0.099, 0.030, 0.045), "f2(1270)": (0.0027, 0.0040, 0.0023),
                       "K0*(1430)-": (0.073, 0.032, 0.013), "K2*(1430)-": (0.011, 0.007, 0.004),
                       "K*(1680)-": (0.022, 0.018, 0.016), "K*(892)+": (0.0034, 0.0043, 0.0014),
                       "flat": (0.009, 0.020, 0.006)})}


def phase_space(masses, n=200_000, seed=1):
    """Flat proposals in mass and angle, with their weights: s12, s13, weight."""
    rng = np.random.default_rng(seed)
    m, cos = rng.uniform(masses[0] + masses[1], D0 - masses[2], n), rng.uniform(-1.0, 1.0, n)
    weight = breakup_momentum(m, masses[0], masses[1]) * breakup_momentum(D0, m, masses[2])
    return m**2, pair_13(m, cos, mass=D0, masses=masses), weight


def fractions_of(number, masses, parts):
    """Integrals of some parts of a plot (lists of names, "flat" for the constant) over that of the whole."""
    s12, s13, weight = phase_space(masses)
    plot = plots()[number]

    def integral(names):
        taken = plot.model_copy(update={"resonances": [r for r in plot.resonances if r.name in names],
                                        "flat": plot.flat if "flat" in names else (0.0, 0.0)})
        return np.sum(weight * taken.density(s12, s13, mass=D0, masses=masses))

    whole = integral(["flat", *(r.name for r in plot.resonances)])
    return [integral(names) / whole for names in parts]


@pytest.mark.parametrize("number", PUBLISHED)
def test_fit_fractions(number):
    """Would catch a wrong amplitude, phase, pair or barrier factor: every fraction is the paper's within its errors."""
    masses, fractions = PUBLISHED[number]
    names = {"flat", *(r.name for r in plots()[number].resonances)} - {"rho(1700)+"}
    assert names == set(fractions)
    parts = fractions_of(number, masses, [[name] for name in fractions])
    for (name, (value, up, down)), found in zip(fractions.items(), parts, strict=True):
        assert -2.0 * down < found - value < 2.0 * up, name
        if value > 0.1:
            assert found == pytest.approx(value, rel=0.10), name


def test_resonance_above_the_limit():
    """Would catch a rho(1700)+ that EvtGen has not: without momentum of the D at its mass, its barrier is that of 0.

    With the momentum's modulus it would have the fraction of the paper.
    """
    found, = fractions_of(1, (K, PI, PI0), [["rho(1700)+"]])
    q2 = ((D0**2 - 1.7**2 - K**2) ** 2 / 4.0 - 1.7**2 * K**2) / D0**2
    assert q2 < 0.0
    assert found * (1.0 + 25.0 * abs(q2)) == pytest.approx(0.057, abs=0.012)


def test_s_wave_of_the_charged_d():
    """Would catch signs of the two K pi pairs or of the constant: how much of D+ -> K- pi+ pi+ is the S wave.

    0.838 +- 0.038 in the paper of this fit (its binned fit), 0.786 +- 0.023 E791, Phys. Rev. D 73 (2006) 032004.
    """
    masses = (K, PI, PI)
    parts = [["flat", "K0*(1430)0", "kappa(800)"], ["K*(892)0"]]
    wave, vector = fractions_of(0, masses, parts)
    assert 0.74 < wave < 0.84
    assert vector == pytest.approx(0.12, abs=0.03)


@pytest.mark.parametrize(("spin", "legendre"), [(0, lambda c: np.ones_like(c)), (1, lambda c: c),
                                                (2, lambda c: 1.5 * c**2 - 0.5)])
def test_spin_factors(spin, legendre):
    """Would catch a spin factor of the wrong spin or pair: at a fixed mass the amplitude is a Legendre polynomial."""
    resonance = Resonance(name="R", pair=(0, 1), spin=spin, mass=0.9, width=0.05, amplitude=1.0, phase=0.0,
                          running=True)
    plot = Plot(mothers=[421], products=(-321, 211, 111), flat=(0.0, 0.0), resonances=[resonance])
    masses, cos = (K, PI, PI0), np.linspace(-1.0, 1.0, 9)
    m = np.full(9, 0.9)
    density = plot.density(m**2, pair_13(m, cos, mass=D0, masses=masses), mass=D0, masses=masses)
    assert np.allclose(density / density[-1], legendre(cos) ** 2, atol=1e-9)


def test_table_is_the_density():
    """Would catch a table that is drawn without phase space, or whose axes are exchanged."""
    masses = (KS, PI, PI)
    m, cos = table_of(2, D0, masses).draw(200_000, np.random.default_rng(3))
    s12, s13, weight = phase_space(masses, 400_000, seed=2)
    weight = weight * plots()[2].density(s12, s13, mass=D0, masses=masses)
    s23 = D0**2 + sum(x * x for x in masses) - s12 - s13
    own13 = pair_13(m, cos, mass=D0, masses=masses)
    own23 = D0**2 + sum(x * x for x in masses) - m**2 - own13
    for drawn, expected in ((m**2, s12), (own13, s13), (own23, s23)):
        edges = np.quantile(drawn, np.linspace(0.0, 1.0, 21))
        inside, squares = (np.histogram(expected, edges, weights=w)[0] for w in (weight, weight**2))
        error = np.sqrt(squares / weight.sum() ** 2 + 0.05 / 200_000)
        assert np.all(np.abs(inside / weight.sum() - 0.05) < 5.0 * error)


def test_events_have_the_resonances():
    """Would catch D0 and anti-D0 exchanged, products in the wrong order, or momentum lost on the way to the event.

    K*(892)- is in K_S0 pi- of the D0 and in K_S0 pi+ of the anti-D0; its helicity angle has density cos^2.
    """
    right, wrong, cosines = [], [], []
    for batch in generate("ccbar", 12_000, seed=11):
        g = batch.generated
        mother = np.where(g["mother"] >= 0, g["mother"] + g.offsets[:-1][g.event_index], -1)
        for row in np.flatnonzero(np.abs(g["pdg"]) == 421):
            rows = row + 1 + np.flatnonzero(mother[row + 1:row + 200] == row)
            codes = g["pdg"][rows]
            if sorted(np.abs(codes).tolist()) != [211, 211, 310]:
                continue
            sign = 1 if g["pdg"][row] > 0 else -1
            kaon, minus, plus = (g["p4"][rows[np.flatnonzero(codes == c)[0]]] for c in (310, -211 * sign, 211 * sign))
            assert np.allclose(kaon + minus + plus, g["p4"][row], atol=1e-6)
            right.append(float(mass_of(kaon + minus)))
            wrong.append(float(mass_of(kaon + plus)))
            if abs(right[-1] - 0.892) < 0.05:
                s13 = float(mass_of(kaon + plus)) ** 2
                low, high = (float(pair_13(np.array([right[-1]]), np.array([c]), mass=D0, masses=(KS, PI, PI))[0])
                             for c in (-1.0, 1.0))
                cosines.append(2.0 * (s13 - low) / (high - low) - 1.0)
    n = len(right)
    assert n > 100
    assert np.mean(np.abs(np.array(right) - 0.892) < 0.05) > 0.35  # phase space: 0.09
    assert np.mean(np.abs(np.array(wrong) - 0.892) < 0.05) < 0.15
    assert np.mean(np.square(cosines)) > 0.45  # cos^2: 0.6; flat: 0.33
