"""Candidates of a selection beside plain ones: ratios with right errors, pieces that scatter as they say, the cuts."""

from __future__ import annotations

import numpy as np
import pytest

from fei_lite.analyses.folders import load_analysis
from fei_lite.analyses.inputs import Inputs
from fei_lite.analyses.plain_comparison import Step, compared, fraction_of, scatter_of
from fei_lite.analyses.recipe import CutLine
from fei_lite.analyses.samples import Source

PIECES, N, FAMILY = 12, 4000, 1000


def inputs_of(rng, rate, weight, *, families=1, x=None, scale=1.0):
    """Pieces of N events with ``rate`` candidates each on average, ``families`` of them from one decay."""
    source = np.repeat(np.arange(PIECES), rng.poisson(rate * N / weight / families, PIECES) * families)
    n = len(source)
    decay = np.repeat(np.arange(n // families), families)
    event = decay * FAMILY + np.arange(n) % families
    columns = {"weight": scale * weight * np.ones(n), "source": source, "event": event,
               "partner": np.arange(n), "x": rng.uniform(size=n) if x is None else np.full(n, x)}
    sources = tuple(Source(f"s{k}", "charged", k, N, N, {"family": FAMILY, "recombined": 1}) for k in range(PIECES))
    counts = tuple({"charged": {"events read": [N, scale * float(N)]}} for _ in range(PIECES))
    return Inputs(columns, sources, counts)


def only(inputs):
    return fraction_of(inputs, np.ones(len(inputs), dtype=bool))


def test_ratio_has_the_error_it_states():
    """Would catch a family or a weight that the error forgets: pulls of 200 ratios, families of three of weight 0.5."""
    rng = np.random.default_rng(4)
    pulls, scatters = [], []
    for _ in range(200):
        step = Step("", only(inputs_of(rng, 0.02, 1.0)), only(inputs_of(rng, 0.02, 0.5, families=3)))
        pulls.append((step.ratio - 1.0) / step.error)
        scatters.append(step.selected.scatter)
    assert np.std(pulls) == pytest.approx(1.0, abs=3.5 / np.sqrt(400.0)) and abs(np.mean(pulls)) < 0.3
    assert np.mean(np.square(scatters)) == pytest.approx(1.0, abs=3.5 * np.sqrt(2.0 / (PIECES - 1) / 200.0))


def test_a_bias_of_the_size_that_is_promised_is_seen():
    """Would catch a promise that is too good: a loss of the size ``seen`` is two sigma away, on average of 100."""
    rng = np.random.default_rng(5)
    away = []
    for _ in range(100):
        plain, whole = only(inputs_of(rng, 0.02, 1.0)), only(inputs_of(rng, 0.02, 0.5))
        lost = 1.0 - Step("", plain, whole).seen
        step = Step("", only(inputs_of(rng, 0.02, 1.0)), only(inputs_of(rng, 0.02, 0.5, scale=lost)))
        away.append((step.ratio - 1.0) / step.error)
    assert np.mean(away) == pytest.approx(-2.0 / 0.9, abs=0.4)  # the ratio's own error is smaller, by the loss


def test_pieces_of_unlike_size_scatter_as_one():
    """Would catch pieces that count alike whatever their size: 2000 totals of three pieces of Poisson numbers."""
    rng, sizes = np.random.default_rng(6), np.array([100.0, 300.0, 600.0])
    found = [scatter_of(rng.poisson(0.5 * sizes).astype(float), sizes) ** 2 for _ in range(2000)]
    assert np.mean(found) / (0.5 * sizes.sum()) == pytest.approx(1.0, abs=0.12)
    assert np.isnan(scatter_of(np.array([3.0]), np.array([10.0])))


def test_cuts_of_some_candidates():
    """Would catch a cut that ignores its condition, one on a score that is not there yet, and lost counts."""
    cuts = (CutLine(name="large", cut="x > 0.5", origin="test", where="event < 0"),
            CutLine(name="score", cut="BDT_ks_e > 0.5", origin="test"),
            CutLine(name="none", cut="x > 2", origin="test"))
    recipe = load_analysis("k_tau_l").recipe
    rng = np.random.default_rng(8)
    plain, selected = inputs_of(rng, 0.02, 1.0), inputs_of(rng, 0.02, 0.5, scale=1.01)
    steps = list(compared(plain, selected, recipe.model_copy(update={"cut": cuts})))
    assert [step.name for step in steps] == ["events read", "candidates", "large", "none"]
    assert steps[0].ratio == pytest.approx(1.01) and steps[0].plain.entries == PIECES * N
    assert steps[2].plain == steps[1].plain and steps[1].plain.entries == len(plain)
    assert steps[3].plain.entries == 0 and np.isnan(steps[3].ratio)
