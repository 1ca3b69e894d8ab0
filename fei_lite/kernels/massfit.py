"""Least-squares fit of a four-momentum to an invariant mass."""

from __future__ import annotations

import numpy as np

from fei_lite.kernels.jit import kernel
from fei_lite.kernels.linalg import chi2_survival


@kernel
def fit_mass(p4, cov, mass, max_iterations, out_p4, out_cov, out_chi2, out_prob):
    """Pull the four-momenta (n, 4) with covariance (n, 4, 4) to the invariant mass ``mass``."""
    half = np.zeros(4)
    for i in range(p4.shape[0]):
        out_p4[i] = p4[i]
        chi2, variance, done = np.nan, np.nan, False
        for step in range(max_iterations + 1):
            s = out_p4[i]
            h = s[3] * s[3] - s[0] * s[0] - s[1] * s[1] - s[2] * s[2] - mass * mass
            done = step > 0 and abs(h) < 1e-10 * s[3] * s[3]
            if done or not np.isfinite(h) or step == max_iterations:
                break
            variance = 0.0
            r = h
            for c in range(4):
                half[c] = 2.0 * (cov[i, c, 3] * s[3] - cov[i, c, 0] * s[0] - cov[i, c, 1] * s[1]
                                 - cov[i, c, 2] * s[2])
            for c in range(4):
                d = 2.0 * (s[3] if c == 3 else -s[c])
                variance += d * half[c]
                r += d * (p4[i, c] - s[c])
            if not variance > 0.0:
                break
            for c in range(4):
                out_p4[i, c] = p4[i, c] - half[c] * r / variance
            chi2 = r * r / variance
        fitted = chi2 < np.inf and done
        out_chi2[i] = chi2 if fitted else np.nan
        out_prob[i] = chi2_survival(out_chi2[i], 1)
        for c in range(4):
            if not fitted:
                out_p4[i, c] = p4[i, c]
            for d in range(4):
                out_cov[i, c, d] = cov[i, c, d] - (half[c] * half[d] / variance if fitted else 0.0)
