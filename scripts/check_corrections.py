"""Correction factors on pseudo-data with known differences: pulls, and chi2 with the full covariance.

    python scripts/check_corrections.py --toys 200

Every toy draws its own simulation and data: nine modes, the peak of the data shifted by 0.3 MeV and 8 % wider,
factors from 0.5 to 1.4, and a real scale that is off by its error. Pulls should have mean 0 and width 1.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
from scipy.stats import argus, crystalball
from tqdm import trange

from fei_lite.corrections.factors import derive_factors
from fei_lite.corrections.samples import Options, Tags

#: (b_type, mode): signal and background in simulation, slope of the background, factor in data.
MODES = {(521, 0): (4000, 4000, -25, 0.8), (521, 1): (2500, 6000, -40, 1.1), (521, 2): (1200, 4000, -20, 0.5),
         (521, 3): (600, 900, -15, 1.0), (521, 4): (120, 300, -30, 1.0), (521, 5): (100, 200, -30, 1.0),
         (511, 0): (3000, 3000, -25, 1.4), (511, 1): (1500, 5000, -35, 0.9), (511, 2): (700, 2000, -20, 1.0)}
SCALE, SCALE_ERROR, LOW, ENDPOINT = 0.3, 0.02, 5.22, 5.2897
GRID = np.linspace(LOW, ENDPOINT, 4001)


def draw(rng: np.random.Generator, n: int, cumulative: np.ndarray) -> np.ndarray:
    """``n`` values of a distribution given on GRID."""
    return np.interp(rng.random(n), (cumulative - cumulative[0]) / (cumulative[-1] - cumulative[0]), GRID)


def sample(rng: np.random.Generator, scale: float, *, mean: float, sigma: float, is_data: bool) -> Tags:
    """A control sample: Poisson numbers of correct and false Btags per mode."""
    b_types, modes, values, peaking = [], [], [], []
    peak = crystalball.cdf(GRID, 1.4, 6.0, mean, sigma)
    for (b_type, mode), (signal, background, slope, factor) in MODES.items():
        n, m = rng.poisson(scale * signal * (factor if is_data else 1.0)), rng.poisson(scale * background)
        values += [draw(rng, n, peak), draw(rng, m, argus.cdf(GRID, np.sqrt(-2.0 * slope), scale=ENDPOINT))]
        b_types.append(np.full(n + m, b_type, dtype=np.int32))
        modes.append(np.full(n + m, mode, dtype=np.int32))
        peaking.append(np.arange(n + m) < n)
    size = sum(map(len, b_types))
    return Tags(np.concatenate(b_types), np.concatenate(modes), np.concatenate(values), np.ones(size),
                None if is_data else np.concatenate(peaking))


def main() -> None:
    """Draw, fit, compare with what went in."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--toys", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    pulls, chi2, names = [], [], []
    for toy in trange(arguments.toys, file=sys.stderr, disable=None):
        rng = np.random.default_rng([arguments.seed, toy])
        simulation = sample(rng, 1.0, mean=5.2794, sigma=0.0027, is_data=False)
        real_scale = SCALE * (1.0 + SCALE_ERROR * rng.normal())
        data = sample(rng, real_scale, mean=5.2797, sigma=1.08 * 0.0027, is_data=True)
        found = derive_factors(data, simulation, options=Options(
            scale=SCALE, scale_error=SCALE_ERROR, min_expected=100.0, endpoint_error=0.0))
        truth = np.array([np.average([MODES[521 if m.b_type == "B+" else 511, i][3] for i in m.modes],
                                     weights=[MODES[521 if m.b_type == "B+" else 511, i][0] for i in m.modes])
                          for m in found.modes])
        difference = found.factors - truth
        pulls.append(difference / np.sqrt(np.diag(found.covariance)))
        chi2.append(difference @ np.linalg.solve(found.covariance, difference))
        names = [f"{m.b_type} {','.join(map(str, m.modes))}" for m in found.modes]
    every = np.array(pulls)
    for name, column in zip(names, every.T, strict=True):
        print(f"{name:12} pull {column.mean():6.3f} +- {column.std() / np.sqrt(len(column)):.3f}, width "
              f"{column.std(ddof=1):.3f} +- {column.std(ddof=1) / np.sqrt(2 * len(column)):.3f}")
    print(f"{'all':12} pull {every.mean():6.3f}, width {every.std():.3f}; chi2 {np.mean(chi2):.2f} +- "
          f"{np.std(chi2) / np.sqrt(len(chi2)):.2f} for {every.shape[1]} degrees of freedom")


if __name__ == "__main__":
    main()
