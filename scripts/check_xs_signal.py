"""The signal model of B -> Xs nu nubar against closed forms: rates, q2 and M(Xs) of generated events by chi2.

    python scripts/check_xs_signal.py --events 50000

K nu nubar: dB/dq2 ~ p_K^3 f+^2 (arXiv:1409.4557); K* nu nubar: the sum of its three helicities (arXiv:1503.05534);
non-resonant Xs: the Fermi motion and dGamma/ds of b -> s nu nubar integrated on a grid of momentum, s and angle. Rates
are those of the decay files, half of the K0 are K_S0. Exit code 1 if a probability is below 0.001.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from scipy.stats import chi2

from fei_lite.analyses.k_nunu.spectrum import spectrum
from fei_lite.analyses.xs_nunu.final_states import final_states
from fei_lite.generator.generate import generate
from fei_lite.generator.matrix_elements.dineutrino import KST_A1, KST_A12, KST_V, quark_rate
from fei_lite.particles import mass

#: Rates of the decay files: K, K*, non-resonant.
RATES = {"xs_nunu": (5.04e-6, 9.92e-6, 1.404e-5), "xs_nunu_neutral": (4.67e-6, 9.19e-6, 1.514e-5)}
B = {"xs_nunu": "B+", "xs_nunu_neutral": "B0"}


def probability(found: np.ndarray, wanted: np.ndarray) -> tuple[float, int, float]:
    """chi2, degrees of freedom and probability; bins with fewer than ten are joined to the last."""
    wanted = wanted * found.sum() / wanted.sum()
    few = wanted < 10
    found, wanted = (np.append(x[~few], x[few].sum()) if few.any() else x for x in (found, wanted))
    used = wanted > 0
    distance = float(np.sum((found[used] - wanted[used]) ** 2 / wanted[used]))
    return distance, int(used.sum()) - 1, float(chi2.sf(distance, used.sum() - 1))


def kstar_spectrum(q2: np.ndarray, m_b: float, m: float) -> np.ndarray:
    """dB/dq2 of B -> K* nu nubar up to a factor: p_K* q2 (|H+|^2 + |H-|^2 + |H0|^2), written out."""
    lam = np.maximum((m_b**2 - m**2 - q2) ** 2 - 4 * m**2 * q2, 0.0)

    def z(t):
        plus, minus = (m_b + m) ** 2, (m_b - m) ** 2
        t0 = plus * (1.0 - np.sqrt(1.0 - minus / plus))
        return (np.sqrt(plus - t) - np.sqrt(plus - t0)) / (np.sqrt(plus - t) + np.sqrt(plus - t0))

    def form(coefficients):
        values, pole = coefficients
        x = z(q2) - z(0.0)
        return (values[0] + values[1] * x + values[2] * x**2) / (1.0 - q2 / pole**2)

    v, a1, a12 = (form(part) for part in (KST_V, KST_A1, KST_A12))
    perpendicular = 2 * lam * v**2 / (m_b + m) ** 2
    parallel = 2 * (m_b + m) ** 2 * a1**2
    longitudinal = 64 * m**2 * m_b**2 * a12**2 / np.maximum(q2, 1e-9)
    return np.sqrt(lam) * q2 * (perpendicular + parallel + longitudinal)


def system_grid(m_b0: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """M(Xs), q2 and weight on a grid of the momentum of the b, s and the angle (masses of the decay files)."""
    p, s, cos = np.meshgrid(np.linspace(0.0, 2.2, 300), np.linspace(0.0, (1.0 - 0.2 / 4.8) ** 2, 300),
                            np.linspace(-1.0, 1.0, 101), indexing="ij")
    b2 = m_b0**2 - 2.0 * m_b0 * p
    b, q2 = np.sqrt(np.maximum(b2, 0.0)), s * b2
    root = np.sqrt(np.maximum(q2, 0.0))
    k = np.sqrt(np.maximum((b2 - (0.2 + root) ** 2) * (b2 - (0.2 - root) ** 2), 0.0)) / np.maximum(2 * b, 1e-9)
    e_s, e_b = np.sqrt(k**2 + 0.04), np.sqrt(p**2 + np.maximum(b2, 0.0))
    energy, along = (e_b * e_s + p * k * cos) / np.maximum(b, 1e-9), (p * e_s + e_b * k * cos) / np.maximum(b, 1e-9)
    m = np.sqrt(np.maximum((energy + p) ** 2 - (along - p) ** 2 - k**2 * (1 - cos**2), 0.0))
    weight = p**2 * np.exp(-((p / 0.461) ** 2)) * quark_rate(s, 0.2 / 4.8)
    weight[(b2 <= 0) | (root + 0.2 >= b) | (m < 1.1) | (m + root > m_b0)] = 0.0
    return m, q2, weight


def check(name: str, events: int, seed: int) -> bool:
    """Generate a decay file's events and print the comparisons."""
    parts = []
    for batch in generate("signal", events, seed=seed, dec_file=Path(name), batch_size=5000):
        found = final_states(batch)
        short = np.bincount(batch.generated.event_index[np.abs(batch.generated["pdg"]) == 310],
                            minlength=batch.n_events)
        parts.append(np.stack([found.mass, found.q2, found.non_resonant, found.mode_with_kl, short]))
    m, q2, fragmented, mode, _ = np.concatenate(parts, axis=1)
    m_b = mass(B[name])
    kaon = (fragmented == 0) & (np.isin(mode, (0, 15)))
    star = (fragmented == 0) & ~kaon
    results = {"rates": probability(np.array([kaon.sum(), star.sum(), (fragmented == 1).sum()], dtype=float),
                                    np.array(RATES[name]))}
    edges = np.linspace(0.0, (m_b - 0.4977) ** 2, 26)
    fine = np.linspace(0.0, edges[-1], 25 * 400 + 1)
    middle = 0.5 * (fine[1:] + fine[:-1])
    results["q2 of K"] = probability(np.histogram(q2[kaon], edges)[0], spectrum(middle).reshape(25, -1).sum(axis=1))
    # a K* has a width: the spectrum at the mass of each event's
    wanted = np.zeros(25)
    for value in np.quantile(m[star], (np.arange(200) + 0.5) / 200):
        here = kstar_spectrum(middle, m_b, value)
        here[middle > (m_b - value) ** 2] = 0.0
        wanted += (here / here.sum()).reshape(25, -1).sum(axis=1)
    results["q2 of K*"] = probability(np.histogram(q2[star], edges)[0], wanted)
    grid_m, grid_q2, weight = system_grid(m_b)
    chosen = fragmented == 1
    for label, values, grid, bins in (("M(Xs)", m, grid_m, np.linspace(1.1, 3.7, 27)),
                                      ("q2 of Xs", q2, grid_q2, np.linspace(0.0, 16.0, 26))):
        results[label] = probability(np.histogram(values[chosen], bins)[0], np.histogram(grid, bins, weights=weight)[0])
    inside = (m[chosen] >= 1.1 - 1e-3) & (m[chosen] + np.sqrt(q2[chosen]) <= m_b + 0.01)
    print(f"{name}: {events} events; outside of phase space {np.count_nonzero(~inside)}")
    for label, (distance, n, p) in results.items():
        print(f"  {label:12s} chi2 {distance:7.1f} / {n:3d}   p = {p:.3f}")
    # an event in which the other B decays so as well has the mass of one and the fragmentation of the other
    return bool(np.mean(inside) > 0.9999) and all(p > 1e-3 for _, _, p in results.values())


def main() -> int:
    """Parse the command line, check both decay files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=50_000, help="of each decay file (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=61)
    arguments = parser.parse_args()
    return 0 if all([check(name, arguments.events, arguments.seed + k) for k, name in enumerate(RATES)]) else 1


if __name__ == "__main__":
    raise SystemExit(main())
