"""The joint number density against closed forms and event-by-event weights."""

from __future__ import annotations

import json

import numpy as np
import pytest

from fei_lite.analyses.k_nunu.density import Density, density_from_json
from fei_lite.analyses.k_nunu.spectrum import Q2_MAX, Couplings, fractions, phase_space, weight
from fei_lite.errors import AnalysisError

X = np.linspace(0.4, 1.0, 7)
THEORIES = [Couplings(), Couplings(1.5), Couplings(0, 1, 0), Couplings(0, 0, 1), Couplings(0.8, 0.6, 0.4)]


@pytest.fixture(scope="module")
def events():
    """Phase-space events with an efficiency that falls with q2, and a variable that depends on it."""
    rng = np.random.default_rng(4)
    q2 = rng.uniform(0, Q2_MAX, 400_000)
    q2 = q2[rng.uniform(size=len(q2)) < phase_space(q2) / phase_space(0.0)]
    n = len(q2)
    q2 = q2[rng.uniform(size=n) < 1 - q2 / 30]
    return n, rng.beta(1 + q2 / 10, 1, len(q2)), q2


@pytest.mark.parametrize("couplings", THEORIES)
def test_efficiency_without_q2(couplings):
    """Would catch weights of the wrong bins: if the efficiency does not depend on q2, only the rate counts."""
    edges = np.linspace(0, Q2_MAX, 9)
    share = np.array([1, 2, 3, 4, 5, 6]) / 21
    density = Density(X, edges, 10.0 * np.outer(share, fractions(edges)), np.zeros((6, 8)))
    np.testing.assert_allclose(density.reweighted()[0], 10.0 * share, rtol=1e-5)
    total = fractions([0, Q2_MAX], couplings)[0]
    np.testing.assert_allclose(density.reweighted(couplings)[0], 10.0 * share * total, rtol=1e-4)


@pytest.mark.parametrize("couplings", THEORIES)
def test_against_weights_of_events(events, couplings):
    """Would catch a sum over q2 that is not the integral: every event weighted with its own q2."""
    n, x, q2 = events
    density = Density.of(x, q2, weight(q2) / n, X, np.linspace(0, Q2_MAX, 24))
    own = weight(q2, couplings) / n
    wanted, squares = (np.histogram(x, X, weights=w)[0] for w in (own, own**2))
    values, errors = density.reweighted(couplings)
    np.testing.assert_allclose(values, wanted, rtol=0.02)
    np.testing.assert_allclose(errors, np.sqrt(squares), rtol=0.1)


def test_data_for_others(events):
    """Would catch a file from which the same prediction does not follow."""
    n, x, q2 = events
    density = Density.of(x, q2, weight(q2) / n, X, np.linspace(0, Q2_MAX, 12))
    read = density_from_json(json.loads(json.dumps(density.to_json())))
    np.testing.assert_array_equal(read.reweighted(Couplings(0, 1, 0))[0], density.reweighted(Couplings(0, 1, 0))[0])
    with pytest.raises(AnalysisError, match="expected x_edges"):
        density_from_json({"x_edges": []})
    with pytest.raises(AnalysisError, match=r"expected \(6, 10\)"):
        density_from_json(density.to_json() | {"q2_edges_GeV2": list(range(11))})
