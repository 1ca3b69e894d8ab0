"""Event batches drawn from simple distributions: valid columns, no physics."""

from __future__ import annotations

import numpy as np

from fei_lite.events import EventBatch, Jagged, schema

#: Mean number of objects per event in tracks, clusters, klm, v0s, generated.
MEANS = (11, 25, 1, 0.5, 80)


def random_column(rng, column, size):
    if column.dtype.startswith("f"):
        return rng.normal(1.0, 0.3, size=(size, *column.shape)).astype(column.dtype)
    return rng.integers(0, 2, size=(size, *column.shape)).astype(column.dtype)


def random_covariances(rng, size):
    """Packed covariances of order 5: A A^T of random A, so positive definite by construction."""
    a = rng.normal(size=(size, 5, 5)) * 0.01
    matrix = a @ a.transpose(0, 2, 1) + 1e-8 * np.eye(5)
    return matrix[:, *np.triu_indices(5)]


def toy_batch(n_events=5, *, seed=0, truth=True, means=MEANS, counts=None):
    """A valid batch; ``counts`` maps list names to objects per event (else Poisson of ``means``)."""
    rng = np.random.default_rng(seed)
    events = {column.name: random_column(rng, column, n_events) for column in schema.EVENT}
    lists = {}
    for (name, columns), mean in zip(schema.LISTS.items(), means, strict=True):
        number = (counts or {}).get(name, rng.poisson(mean, n_events))
        if name == "v0s":
            number = np.where(lists["tracks"].counts > 0, number, 0)  # a V0 needs tracks
        offsets = np.concatenate([[0], np.cumsum(number)]).astype(np.int64)
        lists[name] = Jagged(offsets, {c.name: random_column(rng, c, offsets[-1]) for c in columns})
    tracks, clusters, v0s, generated = (lists[name].columns for name in ("tracks", "clusters", "v0s", "generated"))
    tracks["charge"] = rng.choice([-1, 1], len(tracks["charge"])).astype(np.int8)
    tracks["helix"][:, 2] = tracks["charge"] * np.abs(tracks["helix"][:, 2])
    tracks["helix_cov"] = random_covariances(rng, len(tracks["charge"]))
    for name in ("E", "E_error", "theta_error", "phi_error"):
        clusters[name] = np.abs(clusters[name]) + np.float32(1e-3)
    clusters["is_photon"][:] = 1
    n_tracks = lists["tracks"].counts[lists["v0s"].event_index]
    for side, sign in (("positive", 1), ("negative", -1)):
        v0s[f"{side}_helix"][:, 2] = sign * np.abs(v0s[f"{side}_helix"][:, 2])
        v0s[f"{side}_cov"] = random_covariances(rng, len(n_tracks))
        v0s[f"{side}_index"] = rng.integers(0, np.maximum(n_tracks, 1)).astype(np.int32)
    for name in ("tracks", "clusters", "klm"):
        lists[name].columns["mc_index"] = np.full(len(lists[name]), -1, dtype=np.int32)
    generated["mother"] = np.full(len(lists["generated"]), -1, dtype=np.int32)
    return EventBatch(events, lists["tracks"], lists["clusters"], lists["klm"], lists["v0s"],
                      lists["generated"] if truth else None)


def assert_same(found, expected):
    """Every column of two batches is equal, in value and type."""
    assert set(found.events) == set(expected.events)
    for name, values in expected.events.items():
        np.testing.assert_array_equal(found.events[name], values, err_msg=name)
        assert found.events[name].dtype == values.dtype, name
    for name in schema.LISTS:
        ours, theirs = getattr(found, name), getattr(expected, name)
        assert (ours is None) == (theirs is None), name
        if ours is None:
            continue
        np.testing.assert_array_equal(ours.offsets, theirs.offsets, err_msg=name)
        for column, values in theirs.columns.items():
            np.testing.assert_array_equal(ours[column], values, err_msg=f"{name}.{column}")
            assert ours[column].dtype == values.dtype, f"{name}.{column}"
