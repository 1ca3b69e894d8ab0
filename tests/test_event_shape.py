"""Event shapes: against the naive twin, known events, and the symmetries of space."""

from __future__ import annotations

import math

import naive_event_shape as naive
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from fei_lite.errors import MomentaError
from fei_lite.event_shape import (
    Momenta,
    cleo_cones,
    continuum_suppression,
    cos_between,
    event_shape,
    fox_wolfram,
    fox_wolfram_ratios,
    harmonic_moments,
    join,
    ksfw_moments,
    sphericity,
    thrust,
)

SQRT_S = 10.58


def momenta(events, charges=None):
    """Momenta from a list of (n_i, 3) arrays, as pions."""
    counts = [len(p) for p in events]
    p3 = np.concatenate([np.reshape(p, (-1, 3)) for p in events]).astype(float)
    energy = np.sqrt((p3**2).sum(axis=1) + 0.13957**2)
    charge = np.zeros(len(p3)) if charges is None else np.concatenate(charges)
    return Momenta(np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
                   np.column_stack([p3, energy]), charge.astype(np.int8))


def random_events(rng, n, low=1, high=10):
    """Events of ``low`` to ``high`` particles, from isotropic to pencil-like."""
    events = []
    for _ in range(n):
        stretch = np.diag([1.0, 1.0, rng.uniform(0.3, 4.0)])
        turn = Rotation.random(random_state=rng).as_matrix()
        events.append(rng.normal(0.0, 0.4, (rng.integers(low, high + 1), 3)) @ stretch @ turn)
    return events


def pair(rng, n):
    """Candidates and rests of ``n`` events, with charges."""
    events = [[scale * p for p in random_events(rng, n, 2, 7)] for scale in (0.5, 1.0)]
    return [momenta(side, [rng.integers(-1, 2, len(p)) for p in side]) for side in events]


def particles(side, row):
    a, b = side.offsets[row], side.offsets[row + 1]
    return [(side.p4[k], int(side.charge[k])) for k in range(a, b)]


def degenerate_events(rng):
    """Events in which many particles share a line or a plane, where signs are undecided."""
    line = rng.normal(size=(1, 3))
    first, second = rng.normal(size=(2, 3))
    plane = rng.normal(size=(8, 2)) @ np.stack([first, second])
    grid = np.array([[x, y, z] for x in (-1, 0, 1) for y in (-1, 0, 1) for z in (-1, 1)], float)[:11]
    sheaves = []  # lines in a plane, with several particles each, and particles off the plane
    for _ in range(40):
        lines = rng.normal(size=(3, 2)) @ rng.normal(size=(2, 3))
        sheaves.append(np.concatenate([rng.choice([-2, -1, 1, 3], (rng.integers(1, 3), 1)) * p for p in lines]
                                      + [rng.normal(0.0, 1.5, (rng.integers(0, 4), 3))]))
    return [
        *sheaves,
        rng.normal(size=(6, 1)) * line,                                            # one line
        np.concatenate([rng.normal(size=(3, 1)) * first, rng.normal(size=(4, 1)) * second]),  # two lines
        plane, np.concatenate([plane, rng.normal(size=(2, 3))]),                   # a plane, and others
        np.concatenate([plane, -plane[:3]]),                                       # and mirrored particles
        grid, np.eye(3), np.concatenate([np.eye(3), -np.eye(3)]),                  # lattices: all ties
        np.concatenate([rng.normal(size=(5, 3)), np.zeros((2, 3))]),               # particles at rest
        np.concatenate([p := rng.normal(size=(2, 3)), -p.sum(axis=0, keepdims=True)]),  # three-body decay
    ]


def test_thrust_against_all_signs():
    """Would catch a local maximum, or a division of the particles that no plane of the kernel meets."""
    rng = np.random.default_rng(1)
    events = random_events(rng, 150) + random_events(rng, 3, 12, 12)
    for turn in Rotation.random(3, random_state=rng).as_matrix():
        events += [event @ turn for event in degenerate_events(rng)]
    events += degenerate_events(rng)
    axis, value = thrust(momenta(events))
    for k, event in enumerate(events):
        assert value[k] == pytest.approx(np.linalg.norm(naive.thrust(event)), rel=1e-12), k
        assert np.abs(event @ axis[k]).sum() / np.linalg.norm(event, axis=1).sum() == pytest.approx(value[k], rel=1e-12)
    assert np.allclose(np.linalg.norm(axis, axis=1), 1.0) and np.all(axis[:, 2] >= 0)


def test_moments_cones_and_sphericity_against_the_twin():
    """Would catch a wrong polynomial, a pair counted once or thrice, a cone's edge, eigenvalues out of order."""
    rng = np.random.default_rng(2)
    events = random_events(rng, 60)
    given = momenta(events)
    axis, _ = thrust(given)
    moments, tensor = fox_wolfram(given, l_max=8), sphericity(given)
    cones, harmonics = cleo_cones(given, axis), harmonic_moments(given, axis, sqrt_s=SQRT_S)
    for k, event in enumerate(events):
        assert moments[k] == pytest.approx([naive.fox_wolfram(event, order) for order in range(9)], rel=1e-9)
        assert tensor.eigenvalues[k] == pytest.approx(naive.sphericity(event), abs=1e-6)
        assert cones[k] == pytest.approx(naive.cleo_cones(event, axis[k]), rel=1e-12)
        assert harmonics[k] == pytest.approx([naive.harmonic(event, axis[k], order, SQRT_S) for order in range(9)],
                                             rel=1e-9, abs=1e-12)
        matrix = event.T @ event / (event**2).sum()
        assert np.allclose(matrix @ tensor.axes[k, 0], tensor.eigenvalues[k, 0] * tensor.axes[k, 0])


def test_ksfw_against_the_twin():
    """Would catch neutral and charged exchanged, a missing charge product, a pair twice, a wrong norm."""
    candidate, rest = pair(np.random.default_rng(3), 60)
    found = ksfw_moments(candidate, rest, sqrt_s=SQRT_S).columns()
    wanted = [naive.ksfw(particles(candidate, k), particles(rest, k), SQRT_S) for k in range(len(candidate))]
    assert set(found) == set(wanted[0])
    for name, values in found.items():
        assert values == pytest.approx([w[name] for w in wanted], rel=1e-9, abs=1e-12), name
    assert any(w["mm2"] < 0 for w in wanted) and any(w["mm2"] > 0 for w in wanted)


def test_missing_energy_below_zero():
    """Would catch a missing mass squared that calls an event of too much energy a good one."""
    candidate, rest = momenta([[[0, 0, 4.0]]]), momenta([[[0, 6.0, -4.0]]])
    found = ksfw_moments(candidate, rest, sqrt_s=SQRT_S)
    energy = SQRT_S - candidate.p4[0, 3] - rest.p4[0, 3]
    assert energy < -0.5
    assert found.mm2[0] == pytest.approx(-energy**2 - 36.0)


def test_two_back_to_back_particles():
    """Would catch any shape that does not know the most jet-like event: T = 1, R_2 = R_4 = 1, S = 0."""
    rng = np.random.default_rng(4)
    p = rng.normal(size=(20, 3))
    columns = event_shape(momenta([np.stack([q, -q]) for q in p]), sqrt_s=SQRT_S)
    ones, zeros = np.ones(20), np.zeros(20)
    known = {"thrust": ones, "foxWolframR1": zeros, "foxWolframR2": ones, "foxWolframR3": zeros,
             "foxWolframR4": ones, "sphericity": zeros, "aplanarity": zeros,
             "thrustAxisCosTheta": np.abs(p[:, 2]) / np.linalg.norm(p, axis=1)}
    for name, values in known.items():
        assert columns[name] == pytest.approx(values, abs=1e-12), name
    flow = 2 * np.linalg.norm(p, axis=1)
    assert columns["cleoConeThrust0"] == pytest.approx(flow)
    assert columns["harmonicMomentThrust2"] == pytest.approx(flow / SQRT_S)
    assert columns["harmonicMomentThrust1"] == pytest.approx(zeros, abs=1e-12)


def test_isotropic_events():
    """Would catch a bias: many isotropic particles have T = 1/2, R_l = 1/n, S = 1, flow by solid angle."""
    rng = np.random.default_rng(5)
    n, events = 300, 20
    p = rng.normal(size=(events, n, 3))
    p /= np.linalg.norm(p, axis=2, keepdims=True)
    given = momenta(list(p))
    columns = event_shape(given, sqrt_s=SQRT_S)
    assert columns["thrust"].min() > 0.5 and columns["thrust"].mean() < 0.5 + 1.5 / math.sqrt(n)
    ratios = np.mean([columns[f"foxWolframR{k}"] for k in range(1, 5)], axis=1)
    # pairs average to 0, with a spread of sqrt(2 / (2 l + 1)) / n per event
    assert ratios == pytest.approx(1 / n, abs=4 * math.sqrt(2 / 3 / events) / n)
    assert columns["sphericity"].mean() > 0.9 and columns["sphericity"].max() < 1
    # about a fixed axis: the thrust axis itself draws the flow away from 90 degrees
    cones = cleo_cones(given, np.tile([0.0, 0.0, 1.0], (events, 1))).mean(axis=0) / n
    edges = np.cos(np.radians(np.arange(0, 91, 10)))
    assert cones == pytest.approx(edges[:-1] - edges[1:], abs=0.02)


def test_plane_has_no_aplanarity():
    """Would catch eigenvalues in the wrong order: of three equal momenta at 120 degrees S = 3/4, A = 0."""
    turn = np.arange(3) * 2 * np.pi / 3
    tensor = sphericity(momenta([np.stack([np.cos(turn), np.sin(turn), 0 * turn], axis=1)]))
    assert tensor.sphericity[0] == pytest.approx(0.75)
    assert tensor.aplanarity[0] == pytest.approx(0.0, abs=1e-15)
    assert np.abs(tensor.axes[0, 2]) == pytest.approx([0, 0, 1])


@pytest.mark.parametrize("what", ["rotation", "permutation", "reflection", "scale"])
def test_symmetries(what):
    """Would catch a dependence on the axes, the order, the handedness or the unit."""
    rng = np.random.default_rng(6)
    candidate, rest = pair(rng, 30)
    turn = Rotation.random(random_state=rng).as_matrix() if what == "rotation" else np.eye(3)
    if what == "reflection":
        turn = -np.eye(3)

    def changed(side):
        factor = 3.0 if what == "scale" else 1.0
        p4 = factor * np.column_stack([side.p4[:, :3] @ turn.T, side.p4[:, 3]])
        order = np.lexsort((rng.random(len(p4)) if what == "permutation" else np.arange(len(p4)), side.row_index))
        return Momenta(side.offsets, p4[order], side.charge[order])

    axis = np.array([0.0, 0.0, 1.0])
    sqrt_s = 3 * SQRT_S if what == "scale" else SQRT_S
    before = (event_shape(join(candidate, rest), sqrt_s=SQRT_S, beam_axis=axis)
              | continuum_suppression(candidate, rest, sqrt_s=SQRT_S, beam_axis=axis))
    candidate, rest = changed(candidate), changed(rest)
    after = (event_shape(join(candidate, rest), sqrt_s=sqrt_s, beam_axis=turn @ axis)
             | continuum_suppression(candidate, rest, sqrt_s=sqrt_s, beam_axis=turn @ axis))
    scaled = {"KSFWVariables(et)": 3.0, "KSFWVariables(mm2)": 9.0} if what == "scale" else {}
    for name, values in before.items():
        if name == "KSFWVariables(et)" and what == "rotation":
            continue  # the one variable that knows the z axis
        if "one" in name and what == "scale":
            scaled[name] = 3.0
        if "harmonic" in name and int(name[-1]) % 2:  # the axis has no direction
            values, after[name] = np.abs(values), np.abs(after[name])
        assert after[name] == pytest.approx(scaled.get(name, 1.0) * values, rel=1e-7, abs=1e-9), name


def test_cos_tbto_and_cos_tbz():
    """Would catch axes of the wrong side: a candidate along x, a rest at 60 degrees to it, the beam along z."""
    candidate = momenta([[[1, 0, 0], [-2, 0, 0]]])
    rest = momenta([[[-0.5, 0, math.sqrt(0.75)], [0.5, 0, -math.sqrt(0.75)]]])
    columns = continuum_suppression(candidate, rest, sqrt_s=SQRT_S)
    assert columns["cosTBTO"][0] == pytest.approx(0.5)
    assert columns["cosTBz"][0] == pytest.approx(0.0)
    assert columns["thrustBm"][0] == columns["thrustOm"][0] == pytest.approx(1.0)
    assert cos_between(thrust(rest)[0], thrust(rest)[0])[0] == pytest.approx(1.0)


def test_candidates_of_two_bodies_look_alike_in_hso():
    """Would catch a candidate's own energy in the moments: two hso_00 differ only by their number of daughters."""
    rest = momenta([[[0.3, -1.0, 0.2]]], [[1]])
    one = ksfw_moments(momenta([[[1, 0, 0]]]), rest, sqrt_s=SQRT_S, energy=5.0)
    two = ksfw_moments(momenta([[[1, 0, 0], [0, 2, 1]]]), rest, sqrt_s=SQRT_S, energy=5.0)
    length = math.sqrt(1.0 + 0.04 + 0.09)
    assert one.hso[0, 0, 0] == pytest.approx(length / (2 * (SQRT_S - 5.0)))
    assert two.hso[0, 0, 0] == pytest.approx(2 * one.hso[0, 0, 0])


def test_empty_sides_are_undefined_where_they_must():
    """Would catch a 0 or a crash for an event in which nothing is left, or nothing was there."""
    nothing, something = momenta([np.empty((0, 3))]), momenta([[[0, 0, 1.0], [0, 1.0, 0]]])
    columns = event_shape(nothing, sqrt_s=SQRT_S)
    assert all(np.isnan(values).all() for values in columns.values())
    columns = continuum_suppression(something, nothing, sqrt_s=SQRT_S)
    assert np.isnan(columns["cosTBTO"][0]) and np.isnan(columns["thrustOm"][0])
    assert columns["KSFWVariables(hso00)"][0] == 0.0 and columns["KSFWVariables(hso20)"][0] > 0.0
    columns = continuum_suppression(nothing, something, sqrt_s=SQRT_S)
    assert np.isnan(columns["KSFWVariables(hso00)"][0]) and np.isnan(columns["cosTBz"][0])
    assert columns["thrustOm"][0] == pytest.approx(math.sqrt(0.5))
    assert fox_wolfram(nothing).tolist() == [[0.0] * 5] and np.isnan(fox_wolfram_ratios(fox_wolfram(nothing))).all()


def test_undefined_momenta_stay_in_their_event():
    """Would catch a NaN that is taken for a number, or that spoils its neighbours."""
    good = np.array([[0, 0, 1.0], [0.2, 0, -1.0]])
    bad = np.array([[0, 0, 1.0], [np.nan, 0, 1.0]])
    mixed = event_shape(momenta([good, bad, good]), sqrt_s=SQRT_S)
    alone = event_shape(momenta([good]), sqrt_s=SQRT_S)
    for name, values in mixed.items():
        assert np.isnan(values[1]), name
        assert values[0] == values[2] == alone[name][0], name
    assert np.isnan(thrust(momenta([[[np.inf, 0, 0], [0, 1, 0]]]))[1][0])


def test_wrong_use_says_what_is_wrong():
    """Would catch a broadcast that pairs a candidate with another event's rest."""
    one, two = momenta([[[0, 0, 1.0]]]), momenta([[[0, 0, 1.0]], [[0, 1.0, 0]]])
    with pytest.raises(MomentaError, match="1 rows in the first list, 2 in the second"):
        ksfw_moments(one, two, sqrt_s=SQRT_S)
    with pytest.raises(MomentaError, match="offsets"):
        Momenta(np.array([0, 2]), np.zeros((1, 4)), np.zeros(1, np.int8))
    with pytest.raises(MomentaError, match="expected \\(2, 3\\)"):
        cleo_cones(two, np.zeros((1, 3)))
