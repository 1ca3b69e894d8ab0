"""The vertex fit against toys with known truth and a naive scipy fit."""

from __future__ import annotations

import doctest

import naive_vertex as naive
import numpy as np
import pytest
from scipy import stats
from vertex_toys import (
    BZ,
    IP,
    MASS,
    b_to_d_pi,
    batch_of,
    directions,
    fit,
    photon_table,
    prompt_toy,
    table,
    track_table,
    v0_toy,
)

from fei_lite.kernels.linalg import chi2_survival, invert_symmetric3
from fei_lite.reconstruction import vertexing

N = 50_000


# --- known truth -----------------------------------------------------------------------------------

def check_pulls(result, p3, vertex, failures=0.001, far=0.0):
    """Pulls of the fitted; at most ``failures`` unfitted, at most ``far`` beyond six standard deviations."""
    ok = ~np.isnan(result.chiProb)
    assert np.mean(~ok) <= failures
    sigma = np.sqrt(np.einsum("nii->ni", result.cov))
    off = np.abs(result.vertex - vertex).max(axis=1) > 6 * sigma[:, 4:].max(axis=1)
    assert np.mean(off) <= far
    ok &= ~off
    sigma = np.sqrt(np.einsum("nii->ni", result.cov[ok]))
    pulls = np.concatenate([(result.p4[ok, :3] - p3[ok]) / sigma[:, :3],
                            (result.vertex[ok] - vertex[ok]) / sigma[:, 4:]], axis=1)
    assert np.abs(pulls.mean(axis=0)).max() < 0.02, pulls.mean(axis=0)
    assert np.abs(pulls.std(axis=0) - 1).max() < 0.05, pulls.std(axis=0)
    # the whole covariance, correlations included: chi2 of the six components is that of 6 degrees of freedom
    keep = [0, 1, 2, 4, 5, 6]
    delta = np.concatenate([result.p4[:, :3] - p3, result.vertex - vertex], axis=1)[ok]
    cov = result.cov[ok][:, keep][:, :, keep]
    distance = np.einsum("ni,ni->n", delta, np.linalg.solve(cov, delta[..., None])[..., 0])
    assert np.median(distance) == pytest.approx(stats.chi2(6).median(), rel=0.03)
    assert stats.kstest(result.chiProb[ok], "uniform").pvalue > 0.001
    return ok


@pytest.mark.parametrize("k", [2, 3, 4])
def test_prompt_vertices(k):
    """Biased vertices or momenta, wrong errors or correlations, a wrong number of degrees of freedom."""
    p3, vertex, tables = prompt_toy(np.random.default_rng(100 + k), k, n=N)
    result = fit("D0" if k % 2 == 0 else "D+", tables)
    ok = check_pulls(result, p3, vertex)
    assert set(result.ndf[ok]) == {2 * k - 3}


@pytest.mark.parametrize("mother", ["K_S0", "Lambda0"])
def test_displaced_vertices(mother):
    """A wrong crossing of the two circles, a momentum not turned to the vertex, no relinearisation."""
    p3, vertex, tables = v0_toy(np.random.default_rng(5), mother, n=N)
    result = fit(mother, tables)
    # coplanar decays cross twice: the wrong crossing is taken for a few
    check_pulls(result, p3, vertex, failures=0.001, far=0.0008)
    measured = np.sqrt(result.p4[:, 3] ** 2 - np.sum(result.p4[:, :3] ** 2, axis=1))
    assert np.nanmedian(measured) == pytest.approx(MASS[mother], abs=0.0002)


def test_composite_daughter():
    """A composite followed without its covariance, on a straight line, or with a wrong charge."""
    p3, vertex, tables, fitted, truth = b_to_d_pi(np.random.default_rng(9), N)
    check_pulls(fitted, *truth)
    check_pulls(fit("B0", tables), p3, vertex)


# --- naive twin ------------------------------------------------------------------------------------

def compare(result, i, twin, rel=2e-3):
    vertex, p4, cov, chi2 = twin
    sigma = np.sqrt(np.diag(cov))
    assert result.chi2[i] == pytest.approx(chi2, rel=rel, abs=rel)
    assert np.abs((result.vertex[i] - vertex) / sigma[4:]).max() < 10 * rel
    assert np.abs((result.p4[i] - p4) / sigma[:4]).max() < 10 * rel
    np.testing.assert_allclose(result.cov[i] / np.outer(sigma, sigma), cov / np.outer(sigma, sigma), atol=5 * rel)


@pytest.mark.parametrize("k", [2, 3, 4])
def test_naive_twin_of_tracks(k):
    """Any wrong derivative: the fit differs from the minimum of chi2 in helix parameters."""
    _, _, tables = prompt_toy(np.random.default_rng(k), k, n=12, scale=0.1)
    result = fit("D0" if k % 2 == 0 else "D+", tables)
    for i in range(12):
        tracks = [(t["helix"][i], t["full"][i], MASS[t.particle]) for t in tables]
        compare(result, i, naive.fit(tracks, [], BZ, IP))


def test_naive_twin_of_displaced_tracks():
    """A term that only matters where tracks turn between perigee and vertex."""
    _, vertex, tables = v0_toy(np.random.default_rng(6), "Lambda0", n=14, scale=0.05)
    result = fit("Lambda0", tables)
    assert len(vertex) > 8
    for i in range(len(vertex)):
        tracks = [(t["helix"][i], t["full"][i], MASS[t.particle]) for t in tables]
        compare(result, i, naive.fit(tracks, [], BZ, vertex[i]))


def test_naive_twin_of_composites():
    """The same with a charged composite, whose measured energy has a covariance of its own."""
    _, _, tables, _, _ = b_to_d_pi(np.random.default_rng(2), 40, scale=0.1)
    result = fit("B0", tables)
    d, pion = tables
    for i in range(12):
        measured = np.concatenate([d["p4"][i], d["vertex"][i]])
        twin = naive.fit([(pion["helix"][i], pion["full"][i], MASS["pi+"])], [(measured, d["cov"][i], 1)], BZ, IP)
        compare(result, i, twin)


# --- what cannot be fitted -------------------------------------------------------------------------

def test_photons_add_momentum_only():
    """A photon that moves the vertex, or whose momentum or covariance is lost."""
    _, _, tables = prompt_toy(np.random.default_rng(4), 2, n=50)
    photons = photon_table(50)
    bare, full = fit("D0", tables), fit("D0", [tables[0], photons, tables[1]])
    np.testing.assert_array_equal(full.vertex, bare.vertex)
    np.testing.assert_array_equal(full.chiProb, bare.chiProb)
    np.testing.assert_allclose(full.p4, bare.p4 + photons["p4"])
    np.testing.assert_allclose(full.cov[:, :4, :4], bare.cov[:, :4, :4] + photons["cov"][:, :4, :4], atol=1e-15)


def test_too_few_vertices():
    """A made-up chiProb or position error with one or no daughter that has a vertex."""
    _, _, (kaon, pion) = prompt_toy(np.random.default_rng(4), 2, n=5)
    one = fit("D0", [kaon, photon_table(5)])
    assert np.isnan(one.chiProb).all() and np.isnan(one.cov[:, 4:]).all() and (one.ndf == 0).all()
    np.testing.assert_array_equal(one.vertex, kaon["vertex"])
    np.testing.assert_allclose(one.p4, kaon["p4"] + photon_table(5)["p4"])
    none = fit("D0", [photon_table(5), photon_table(5)])
    np.testing.assert_array_equal(none.vertex, np.tile(IP, (5, 1)))
    skipped = fit("D0", [kaon, pion], fit=False)
    assert np.isnan(skipped.chiProb).all()
    np.testing.assert_allclose(skipped.p4, kaon["p4"] + pion["p4"])


def test_a_resonance_hands_on_its_only_vertex():
    """B+ -> anti-D*0 pi+, anti-D*0 -> anti-D0 gamma left without a fit, as the D*0 has one daughter with a vertex."""
    p3, vertex, tables, _, _ = b_to_d_pi(np.random.default_rng(8), 3000)
    n = len(p3)
    # the D+ serves as the daughter of a D*+ -> D+ gamma
    star = fit("D*+", [tables[0], photon_table(n, 0.14)])
    assert np.isnan(star.chiProb).all() and np.isfinite(star.cov).all()
    d_star = table("D*+", n, sign=np.ones(n, np.int8), p4=star.p4, vertex=star.vertex, cov=star.cov)
    result = fit("B0", [d_star, tables[1]])
    pull = (result.vertex - vertex) / np.sqrt(np.einsum("nii->ni", result.cov)[:, 4:])
    assert np.nanmean(np.isnan(result.chiProb)) < 0.01
    np.testing.assert_allclose(np.nanstd(pull, axis=0), 1.0, atol=0.1)


def test_only_a_collinear_daughter_hands_on_its_vertex():
    """K*+ -> K+ pi0 put on a straight line through the kaon's perigee, where it never was."""
    _, _, (kaon, _) = prompt_toy(np.random.default_rng(4), 2, n=5)
    assert np.isnan(fit("K*+", [kaon, photon_table(5)]).cov[:, 4:]).all()


def test_bad_input_is_nan_not_an_error():
    """An exception or an invented number for NaN daughters, zero covariances or parallel tracks."""
    _, _, (kaon, pion) = prompt_toy(np.random.default_rng(6), 2, n=6)
    for column in ("p4", "cov"):
        pion.columns[column] = pion[column].copy()
    pion["p4"][0], pion["vertex"][0], pion["cov"][0] = np.nan, np.nan, np.nan
    kaon["cov"][1], pion["cov"][1] = 0.0, 0.0
    for name in ("p4", "vertex", "cov"):
        pion[name][2] = kaon[name][2]
    pion["sign"][2] = kaon["sign"][2]
    pion["p4"][3], kaon["p4"][3] = 0.0, 0.0
    pion["cov"][4] = np.inf
    result = fit("D0", [kaon, pion])
    assert np.isnan(result.chiProb[:5]).all() and np.isnan(result.chi2[:5]).all()
    assert np.isfinite(result.chiProb[5])
    assert np.isnan(result.p4[0]).all()
    np.testing.assert_allclose(result.p4[1:5], kaon["p4"][1:5] + pion["p4"][1:5])


def test_converted_photon():
    """Tracks parallel at the vertex: something raised, or the momenta of failed fits left at the perigees."""
    rng = np.random.default_rng(12)
    direction = directions(rng, 2000)
    vertex = IP + direction * rng.uniform(1, 12, (2000, 1))
    share = rng.uniform(0.3, 0.7, (2000, 1))
    tables = [track_table(rng, "e+", 1.5 * direction * f, vertex, s) for f, s in ((share, 1), (1 - share, -1))]
    result = fit("gamma", tables)
    assert np.mean(~np.isnan(result.chiProb)) > 0.5
    phi = np.arctan2(result.p4[:, 1], result.p4[:, 0]) - np.arctan2(direction[:, 1], direction[:, 0])
    assert np.percentile(np.abs((phi + np.pi) % (2 * np.pi) - np.pi), 90) < 0.02


def test_unused_rows_and_order():
    """Daughter rows taken in the wrong order, or a result that depends on the order of daughters."""
    _, _, tables = prompt_toy(np.random.default_rng(3), 3, n=30)
    rows = np.random.default_rng(1).permutation(30).astype(np.int32)
    candidates = table("D+", 30, daughters=np.tile(rows[:, None], (1, 3)))
    mixed = vertexing.fit_vertices(candidates, tables, batch_of(30))
    straight = fit("D+", tables)
    np.testing.assert_array_equal(mixed.vertex, straight.vertex[rows])
    swapped = fit("D+", tables[::-1])
    np.testing.assert_allclose(swapped.vertex, straight.vertex, atol=1e-9)
    np.testing.assert_allclose(swapped.chi2, straight.chi2, rtol=1e-7, atol=1e-9)
    assert len(fit("D+", tables, n=0).chiProb) == 0


# --- building blocks --------------------------------------------------------------------------------

def test_doctests():
    """A number in a docstring that is no longer what the code gives."""
    assert doctest.testmod(vertexing).failed == 0


@pytest.mark.parametrize("ndf", [1, 2, 3, 4, 5, 7, 10, 21])
def test_chi2_survival(ndf):
    """A wrong closed form; compare with scipy's incomplete gamma function."""
    x = np.concatenate([[0.0, 1e-8], np.geomspace(1e-3, 500, 40)])
    np.testing.assert_allclose([chi2_survival(v, ndf) for v in x], stats.chi2(ndf).sf(x), rtol=1e-11, atol=1e-300)
    assert np.isnan(chi2_survival(np.nan, ndf)) and np.isnan(chi2_survival(1.0, 0))


def test_inverse():
    """A wrong cofactor; singular, indefinite or NaN matrices taken for good ones."""
    root = np.random.default_rng(0).normal(size=(3, 3))
    matrix, out = root @ root.T, np.empty((3, 3))
    assert invert_symmetric3(matrix, out)
    np.testing.assert_allclose(out @ matrix, np.eye(3), atol=1e-9)
    for bad in (np.ones((3, 3)), np.diag([1.0, -1.0, 1.0]), np.full((3, 3), np.nan), np.zeros((3, 3))):
        assert not invert_symmetric3(bad, out)
