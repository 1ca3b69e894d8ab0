"""Helices, momenta and covariances against the Lorentz force, finite differences and brute force."""

from __future__ import annotations

import doctest
import os
from pathlib import Path

import naive_vertex as naive
import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.optimize import minimize_scalar

from fei_lite.events.mdst import read_mdst
from fei_lite.reconstruction import kinematics

BZ = 1.5
PI = 0.13957


@pytest.fixture
def helices():
    rng = np.random.default_rng(7)
    n = 40
    return np.stack([rng.normal(0, 2, n), rng.uniform(-np.pi, np.pi, n),
                     rng.choice([-1, 1], n) * rng.uniform(0.0015, 0.012, n), rng.normal(0, 3, n),
                     rng.normal(0.3, 1, n)], axis=1)


def test_doctests():
    """A number in a docstring that is no longer what the code gives."""
    assert doctest.testmod(kinematics).failed == 0


def test_lorentz_force(helices):
    """A wrong sense of rotation, sign of charge or field factor: integrate dp/dt = q v x B instead."""
    p4, x, _ = kinematics.track_kinematics(helices, np.zeros((len(helices), 15)), BZ, PI)
    path = 60.0  # cm in the transverse plane
    end = kinematics.helix_position(helices, path)
    for i in range(len(helices)):
        charge = np.sign(helices[i, 2])

        def motion(_, state, charge=charge):
            direction = state[3:] / np.hypot(state[3], state[4])
            # dp = q c (dx x B): GeV, cm, T
            force = charge * naive.C * np.cross(direction, [0, 0, BZ])
            return np.concatenate([direction, force])

        track = solve_ivp(motion, (0, path), np.concatenate([x[i], p4[i, :3]]), rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(end[i], track.y[:3, -1], atol=1e-6)


def test_closure_from_anywhere_on_the_helix(helices):
    """Momentum or position at the perigee that do not lead back to the helix, from any of its points."""
    p4, _, _ = kinematics.track_kinematics(helices, np.zeros((len(helices), 15)), BZ, PI)
    for arc in (0.0, 5.0, -5.0, 40.0):
        turn = -helices[:, 2] * arc
        p3 = np.stack([p4[:, 0] * np.cos(turn) - p4[:, 1] * np.sin(turn),
                       p4[:, 0] * np.sin(turn) + p4[:, 1] * np.cos(turn), p4[:, 2]], axis=1)
        point = kinematics.helix_position(helices, arc)
        charge = np.sign(helices[:, 2])
        for back in (kinematics.helix_from_cartesian(p3, point, charge=charge, bz=BZ),
                     naive.helix_of(p3, point, charge, BZ)):
            np.testing.assert_allclose(back, helices, atol=1e-9)


def test_perigee_is_the_closest_point(helices):
    """dr, dz that are not those of the closest approach to the IP in the transverse plane."""
    ip = np.array([0.5, -0.3, 0.7])
    dr, dz = kinematics.impact_parameters(helices, ip)
    for i, helix in enumerate(helices):
        radius = 1 / abs(helix[2])

        def distance(s, helix=helix):
            point = kinematics.helix_position(helix[None], s)[0] - ip
            return np.hypot(point[0], point[1])

        best = minimize_scalar(distance, bounds=(-radius, radius), method="bounded", options={"xatol": 1e-11})
        assert dr[i] == pytest.approx(best.fun, abs=1e-9)
        assert dz[i] == pytest.approx(kinematics.helix_position(helix[None], best.x)[0, 2] - ip[2], abs=1e-4)
    moved = kinematics.perigee(helices, ip)
    x = np.stack([moved[:, 0] * np.sin(moved[:, 1]), -moved[:, 0] * np.cos(moved[:, 1])], axis=1) + ip[:2]
    centre = (1 / helices[:, 2] + helices[:, 0])[:, None] * np.stack(
        [np.sin(helices[:, 1]), -np.cos(helices[:, 1])], axis=1)
    np.testing.assert_allclose(np.linalg.norm(x - centre, axis=1), 1 / np.abs(helices[:, 2]))  # on the circle


def _packed(rng, n):
    root = rng.normal(size=(n, 5, 5)) * np.array([0.01, 0.003, 1e-5, 0.02, 0.004])[:, None]
    full = root @ root.transpose(0, 2, 1)
    return full, full[:, naive.UPPER[0], naive.UPPER[1]]


def test_covariance_by_finite_differences(helices):
    """A wrong or missing derivative, or a wrong order of the packed covariance."""
    full, packed = _packed(np.random.default_rng(3), len(helices))
    zero = np.zeros_like(packed)
    _, _, cov = kinematics.track_kinematics(helices, packed, BZ, PI)
    jacobian = np.empty((len(helices), 7, 5))
    for j, step in enumerate((1e-5, 1e-6, 1e-8, 1e-5, 1e-6)):
        ends = []
        for side in (1, -1):
            moved = helices.copy()
            moved[:, j] += side * step
            p4, x, _ = kinematics.track_kinematics(moved, zero, BZ, PI)
            ends.append(np.concatenate([p4, x], axis=1))
        jacobian[:, :, j] = (ends[0] - ends[1]) / (2 * step)
    expected = jacobian @ full @ jacobian.transpose(0, 2, 1)
    scale = np.sqrt(np.einsum("nii->ni", expected))
    scale = scale[:, :, None] * scale[:, None, :]
    np.testing.assert_allclose(cov / scale, expected / scale, atol=1e-6)


def test_energy_and_mass(helices):
    """An energy that does not belong to the mass hypothesis."""
    p4, _, _ = kinematics.track_kinematics(helices, np.zeros((len(helices), 15)), BZ, 0.493677)
    np.testing.assert_allclose(p4[:, 3] ** 2 - np.sum(p4[:, :3] ** 2, axis=1), 0.493677**2)
    np.testing.assert_allclose(np.hypot(p4[:, 0], p4[:, 1]), naive.C * BZ / np.abs(helices[:, 2]))


def test_undefined_helices(helices):
    """Something raised, or a number made up, for NaN, infinite or straight tracks."""
    bad = helices[:5].copy()
    bad[0, 0], bad[1, 1], bad[2, 2], bad[3, 4] = np.nan, np.inf, 0.0, -np.inf
    p4, x, cov = kinematics.track_kinematics(bad, np.zeros((5, 15)), BZ, PI)
    assert np.isnan(p4[:4]).all() and np.isnan(x[:4]).all() and np.isnan(cov[:4]).all()
    assert np.isfinite(p4[4]).all() and np.isfinite(cov[4]).all()
    dr, _ = kinematics.impact_parameters(bad[:2], (0, 0, 0))
    assert np.isnan(dr).all()


def test_photon_points_from_the_interaction_point():
    """A photon direction seen from the origin instead of the IP; a wrong covariance."""
    rng = np.random.default_rng(11)
    n = 30
    ip = np.array([0.3, -0.2, 1.0])
    energy, theta = rng.uniform(0.05, 3, n), rng.uniform(0.4, 2.5, n)
    phi, r = rng.uniform(-3, 3, n), rng.uniform(120, 200, n)
    errors = np.stack([0.03 * energy, np.full(n, 0.012), np.full(n, 0.015)], axis=1)

    def momentum(e, t, f):
        flight = np.stack([r * np.sin(t) * np.cos(f), r * np.sin(t) * np.sin(f), r * np.cos(t)], axis=1) - ip
        return np.concatenate([e[:, None] * flight / np.linalg.norm(flight, axis=1)[:, None], e[:, None]], axis=1)

    p4, vertex, cov = kinematics.photon_kinematics(energy, theta, phi, r, errors, ip)
    np.testing.assert_allclose(p4, momentum(energy, theta, phi))
    np.testing.assert_array_equal(vertex, np.tile(ip, (n, 1)))
    step = 1e-6
    columns = [(momentum(energy + step * (j == 0), theta + step * (j == 1), phi + step * (j == 2))
                - momentum(energy - step * (j == 0), theta - step * (j == 1), phi - step * (j == 2))) / (2 * step)
               for j in range(3)]
    jacobian = np.stack(columns, axis=2) * errors[:, None, :]
    np.testing.assert_allclose(cov[:, :4, :4], jacobian @ jacobian.transpose(0, 2, 1), atol=1e-9)
    assert np.isnan(cov[:, 4:]).all()


def test_signs_are_those_of_basf2():
    """A sign of the helix that is not basf2's: primary tracks of mDST files against their generated particles."""
    folder = os.environ.get("FEI_LITE_TEST_DATA")
    files = sorted(Path(folder, "basf2_mdst").glob("*.root")) if folder else []
    if not files:
        pytest.skip("FEI_LITE_TEST_DATA is not set, or has no basf2_mdst/*.root")
    pulls = []
    for file in files:
        batch = read_mdst(file)
        tracks, event = batch.tracks, batch.tracks.event_index
        seen = np.flatnonzero(tracks["mc_index"] >= 0)
        row = tracks["mc_index"][seen] + batch.generated.offsets[event[seen]]
        p4, vertex = batch.generated["p4"][row], batch.generated["vertex"][row]
        keep = (np.hypot(vertex[:, 0], vertex[:, 1]) < 0.5) & (np.abs(batch.generated["pdg"][row]) == 211)
        seen, p4, vertex = seen[keep], p4[keep], vertex[keep]
        true = kinematics.helix_from_cartesian(p4[:, :3], vertex, charge=tracks["charge"][seen],
                                               bz=batch.events["bz"][event[seen]])
        delta = tracks["helix"][seen] - true
        delta[:, 1] = (delta[:, 1] + np.pi) % (2 * np.pi) - np.pi
        pulls.append(delta / np.sqrt(tracks["helix_cov"][seen][:, [0, 5, 9, 12, 14]]))
    low, middle, high = np.percentile(np.concatenate(pulls), [16, 50, 84], axis=0)
    assert np.abs(middle).max() < 0.3  # 250 tracks: 0.08 expected, and a simulation that is not ideal
    assert np.all((high - low > 1.6) & (high - low < 2.8))


def test_empty():
    """An exception for a batch without tracks or clusters."""
    p4, x, cov = kinematics.track_kinematics(np.empty((0, 5)), np.empty((0, 15)), np.empty(0), PI)
    assert p4.shape == (0, 4) and x.shape == (0, 3) and cov.shape == (0, 7, 7)
    none = np.empty(0)
    p4, _, _ = kinematics.photon_kinematics(none, none, none, none, np.empty((0, 3)), np.empty((0, 3)))
    assert p4.shape == (0, 4)
