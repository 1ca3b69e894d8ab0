"""Defects of event files: each is named, single bad objects are dropped and counted."""

from __future__ import annotations

import json

import awkward as ak
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import uproot
from toy_events import assert_same, toy_batch

import fei_lite
from fei_lite.errors import EventFileError
from fei_lite.events import EventBatch, EventWriter, Jagged, count_events, read_events
from fei_lite.events.checks import clean, is_covariance

SMALL = (3, 4, 1, 1, 6)


@pytest.fixture(scope="module", params=["root", "parquet"])
def good_file(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("good") / f"events.{request.param}"
    with EventWriter(path) as writer:
        writer.write(toy_batch(10, means=SMALL))
    return path


def read_all(path):
    return sum(batch.n_events for batch in fei_lite.open(path))


def message(path):
    """The error of reading a file, through both public ways in."""
    with pytest.raises(EventFileError) as caught:
        read_all(path)
    with pytest.raises(EventFileError):
        count_events(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_missing_empty_and_foreign_files(tmp_path):
    """Would catch a traceback of uproot, or an empty result, for a file that is no event file."""
    assert "no such file" in message(tmp_path / "missing.root")
    for name, content, expected in (("empty.root", b"", "empty (0 bytes)"),
                                    ("a.root", b"hello world", "not a ROOT file"),
                                    ("short.root", b"root", "truncated"), ("b.parquet", b"PAR1xx", "damaged")):
        (tmp_path / name).write_bytes(content)
        assert expected in message(tmp_path / name)
    assert "cannot be read" in message(tmp_path)  # a folder


def test_every_truncation_is_noticed(good_file, tmp_path):
    """Would catch a truncated copy that is read as a shorter sample."""
    data = good_file.read_bytes()
    damaged = tmp_path / good_file.name
    for size in np.linspace(0, len(data) - 1, 25).astype(int):
        damaged.write_bytes(data[:size])
        with pytest.raises(EventFileError):
            read_all(damaged)


def test_damage_never_escapes_as_another_error(good_file, tmp_path):
    """Would catch struct, zlib or index errors of the libraries below reaching the user."""
    data = good_file.read_bytes()
    damaged = tmp_path / good_file.name
    rng = np.random.default_rng(5)
    noticed = 0
    for start in rng.integers(0, len(data) - 400, 25):
        damaged.write_bytes(data[:start] + bytes(400) + data[start + 400:])
        try:
            read_all(damaged)
        except EventFileError:
            noticed += 1
    assert noticed > 15  # ROOT has no checksum where a basket could not be compressed


def test_foreign_root_files(tmp_path):
    """Would catch a file of another experiment read as events, or an unhelpful message."""
    path = tmp_path / "other.root"
    with uproot.recreate(path) as file:
        file.mktree("Events", {"x": "f8"}).extend({"x": np.arange(3.0)})
    assert "found 'Events' (TTree)" in message(path)
    with uproot.recreate(path) as file:
        file.mktree("events", {"x": "f8"}).extend({"x": np.arange(3.0)})
    assert "found no schema version" in message(path)
    with uproot.recreate(path) as file:
        file["note"] = "nothing here"
    assert "found 'note' (TObjString)" in message(path)
    with uproot.recreate(path) as file:
        file.mkrntuple("events", {"x": np.arange(3.0)})
    assert "found 'events' (ROOT::RNTuple)" in message(path)


def rewrite(source, target, change):
    """Copy a ROOT event file with plain uproot, its branches changed by ``change(arrays, metadata)``."""
    with uproot.open(source) as file:
        tree = file["events"]
        arrays = {b.name: b.array() for b in tree.branches if not b.name.startswith("n")}
        metadata = json.loads(str(file["fei_lite_metadata"]))
    change(arrays, metadata)
    with uproot.recreate(target) as file:
        types = {name: a.dtype if isinstance(a, np.ndarray) else a.type.content for name, a in arrays.items()}
        file.mktree("events", types).extend(arrays)
        file["fei_lite_metadata"] = json.dumps(metadata)
    return target


def pop(name):
    return lambda arrays, _: arrays.pop(name)


def cast(name, dtype):
    return lambda arrays, _: arrays.update({name: ak.values_astype(arrays[name], dtype)})


DEFECTS = {
    "missing track branch": (pop("tracks_z0"), ["'tracks_z0' is missing", "a list of float64 per event"]),
    "missing event branch": (pop("bz"), ["'bz' is missing"]),
    "misspelled branch": (lambda a, _: a.update(tracks_phi=a.pop("tracks_phi0")),
                          ["'tracks_phi0' is missing", "Nearest known: 'tracks_phi'"]),
    "some truth missing": (pop("generated_mother"), ["'generated_mother' is missing"]),
    "double as float": (cast("tracks_omega", "float32"),
                        ["'tracks_omega': found float", "expected a list of float64"]),
    "int as double": (cast("tracks_charge", "float64"), ["'tracks_charge': found double", "int8"]),
    "list as number": (lambda a, _: a.update(clusters_E=np.zeros(10, "f4")),
                       ["'clusters_E': found float", "a list of"]),
    "number as list": (lambda a, _: a.update(run=ak.Array([[np.int32(1)]] * 10)), ["'run'", "expected int32"]),
    "other lengths": (lambda a, _: a.update(klm_z=a["klm_z"][:, :0]), ["'klm_z'", "different numbers of objects"]),
    "newer version": (lambda _, m: m.update(schema_version=99),
                      ["found schema version 99", "expected schema version 1"]),
    "odd metadata": (lambda _, m: m.pop("schema_version"), ["metadata unreadable"]),
}


@pytest.mark.parametrize("defect", DEFECTS)
def test_defective_root_files(tmp_path, defect):
    """Would catch a missing or mistyped branch that is skipped, cast or blamed on another one."""
    good = tmp_path / "good.root"
    with EventWriter(good) as writer:
        writer.write(toy_batch(10, means=SMALL))
    change, expected = DEFECTS[defect]
    bad = rewrite(good, tmp_path / "bad.root", change)
    with pytest.raises(EventFileError) as caught:
        read_all(bad)
    for text in (*expected, str(bad)):
        assert text in str(caught.value)


def test_unchanged_copy_is_read(tmp_path):
    """Would catch tests above that pass because every rewritten file is refused."""
    good = tmp_path / "good.root"
    with EventWriter(good) as writer:
        writer.write(toy_batch(10, means=SMALL))
    assert_same(read_events(rewrite(good, tmp_path / "copy.root", lambda *_: None)), toy_batch(10, means=SMALL))


def test_defective_parquet_files(tmp_path):
    """Would catch nulls read as numbers, and missing or mistyped columns."""
    good = tmp_path / "good.parquet"
    with EventWriter(good) as writer:
        writer.write(toy_batch(10, means=SMALL))
    table = pq.read_table(good)
    bad = tmp_path / "bad.parquet"
    at = table.schema.get_field_index
    runs = pa.array([None, *range(9)], pa.int32())
    for changed, expected in (
        (table.drop_columns(["clusters_phi"]), "'clusters_phi' is missing"),
        (table.set_column(at("run"), "run", runs), "'run' holds nulls"),
        (table.set_column(at("run"), "run", pa.array([str(i) for i in range(10)])), "'run': found string"),
        (table.replace_schema_metadata({}), "found no schema version"),
    ):
        pq.write_table(changed, bad)
        with pytest.raises(EventFileError) as caught:
            read_all(bad)
        assert expected in str(caught.value)


def test_ranges_outside_the_file(good_file):
    """Would catch a range beyond the end that quietly gives fewer events."""
    for start, stop in ((0, 11), (-1, 5), (7, 3)):
        with pytest.raises(EventFileError, match="the file has 0 to 10"):
            read_events(good_file, entry_start=start, entry_stop=stop)


# --- single bad objects -------------------------------------------------------------------------------------------

def with_column(batch, name, column, values):
    objects = getattr(batch, name)
    changed = Jagged(objects.offsets, {**objects.columns, column: values})
    parts = {n: getattr(batch, n) for n in ("tracks", "clusters", "klm", "v0s", "generated")}
    return EventBatch(batch.events, **{**parts, name: changed})


def one_changed(batch, name, column, row, value):
    values = getattr(batch, name)[column].copy()
    values[row] = value
    return with_column(batch, name, column, values)


IMPOSSIBLE = np.zeros(15)
IMPOSSIBLE[[0, 5, 9, 12, 14]] = 1.0
IMPOSSIBLE[1] = 2.0  # a correlation of 200 %
BAD_OBJECTS = [
    ("tracks", "helix", [0, np.nan, 0.01, 0, 0], "helix not finite"),
    ("tracks", "helix", [np.inf, 0, 0.01, 0, 0], "helix not finite"),
    ("tracks", "helix", [0, 0, 0, 0, 0], "omega is 0"),
    ("tracks", "charge", 0, "charge is not +1 or -1"),
    ("tracks", "charge", 2, "charge is not +1 or -1"),
    ("tracks", "helix_cov", np.nan, "covariance not finite"),
    ("tracks", "helix_cov", -IMPOSSIBLE, "impossible covariance"),
    ("tracks", "helix_cov", IMPOSSIBLE, "impossible covariance"),
    ("clusters", "E", np.nan, "energy not finite"),
    ("clusters", "E", -0.1, "energy not positive"),
    ("clusters", "phi", np.inf, "position not finite"),
    ("clusters", "E_error", np.nan, "errors not finite"),
    ("klm", "z", np.nan, "position not finite"),
    ("v0s", "positive_helix", np.nan, "helix or covariance not finite"),
    ("v0s", "negative_index", 99, "track index outside the event's tracks"),
]


@pytest.mark.parametrize("where", BAD_OBJECTS, ids=lambda w: f"{w[0]} {w[3]}")
@pytest.mark.parametrize("suffix", ["root", "parquet"])
def test_bad_objects_are_dropped_and_counted(tmp_path, suffix, where):
    """Would catch a NaN that reaches the fits, a whole event lost for one object, or a silent drop."""
    name, column, value, reason = where
    batch = toy_batch(12, seed=3, means=SMALL)
    row = len(getattr(batch, name)) // 2
    path = tmp_path / f"bad.{suffix}"
    with EventWriter(path) as writer:
        writer.write(one_changed(batch, name, column, row, value))
    found = read_events(path)
    assert found.notes[f"{name} dropped: {reason}"] == 1
    assert found.n_events == 12
    assert len(getattr(found, name)) == len(getattr(batch, name)) - 1
    key = {"tracks": "p_value", "clusters": "timing", "klm": "p", "v0s": "negative_helix"}[name]
    np.testing.assert_array_equal(getattr(found, name)[key], np.delete(getattr(batch, name)[key], row, axis=0))


def test_v0_indices_follow_dropped_tracks():
    """Would catch V0s that point at the wrong track, or at one that was dropped."""
    batch = toy_batch(40, seed=8, means=(6, 1, 1, 3, 2))
    rng = np.random.default_rng(1)
    charge = np.where(rng.random(len(batch.tracks)) < 0.3, 0, batch.tracks["charge"]).astype(np.int8)
    marked = with_column(batch, "tracks", "charge", charge)
    found = clean(marked)
    kept = []  # plain twin: walk through the events and name tracks by their p_value
    for event in range(batch.n_events):
        tracks, v0s = batch.tracks.offsets[event], batch.v0s.offsets
        for v0 in range(v0s[event], v0s[event + 1]):
            rows = [tracks + batch.v0s[f"{side}_index"][v0] for side in ("positive", "negative")]
            if all(charge[row] != 0 for row in rows):
                kept.append([batch.tracks["p_value"][row] for row in rows])
    first = found.tracks.offsets[found.v0s.event_index]
    names = np.stack([found.tracks["p_value"][first + found.v0s[f"{side}_index"]] for side in ("positive", "negative")],
                     axis=1)
    np.testing.assert_array_equal(names, np.array(kept))
    assert found.notes["v0s dropped: a track of it was dropped"] == len(batch.v0s) - len(kept) > 0


def test_indices_never_leave_their_event():
    """Would catch compiled code reading foreign memory through a wild match or mother index."""
    batch = toy_batch(10, seed=4)
    for name, column, note in (("tracks", "mc_index", "tracks: match outside the generated particles"),
                               ("clusters", "mc_index", "clusters: match outside the generated particles"),
                               ("generated", "mother", "generated: mother outside the event")):
        found = clean(one_changed(batch, name, column, [0, 1], [100_000, -7]))
        assert found.notes[note] == 2
        assert (getattr(found, name)[column][:2] == -1).all()
    assert clean(toy_batch(3, truth=False)).notes == {}


def test_mother_cycles_are_cut():
    """Would catch a walk up the decay tree that never ends; honest trees in any order stay."""
    counts = {"generated": np.array([6, 5])}
    batch = toy_batch(2, counts=counts)
    mother = np.array([3, 0, 1, -1, 2, 4, 1, 2, 0, 0, 3], dtype=np.int32)  # a tree; then a cycle 0-1-2 with tails
    found = clean(with_column(batch, "generated", "mother", mother))
    assert found.generated["mother"].tolist() == [3, 0, 1, -1, 2, 4, -1, -1, -1, -1, -1]
    assert found.notes["generated: mother chain is a cycle"] == 5


def test_covariance_test_agrees_with_eigenvalues():
    """Would catch an elimination that accepts a negative variance in some direction, or drops good tracks."""
    rng = np.random.default_rng(2)
    a = rng.normal(size=(400, 5, 5))
    scale = 10.0 ** rng.uniform(-6, 1, size=(400, 5, 1))  # helix parameters differ by orders of magnitude
    shift = np.where(np.arange(400) < 200, 0.0, rng.uniform(0.5, 3.0, 400))
    matrix = a @ a.transpose(0, 2, 1) - shift[:, None, None] * np.eye(5)
    matrix = scale * matrix * scale.transpose(0, 2, 1)
    sigma = np.sqrt(np.abs(np.diagonal(matrix, axis1=1, axis2=2)))
    smallest = np.linalg.eigvalsh(matrix / sigma[:, :, None] / sigma[:, None, :])[:, 0]
    clear = np.abs(smallest) > 1e-4
    found = is_covariance(matrix[:, *np.triu_indices(5)])
    np.testing.assert_array_equal(found[clear], smallest[clear] > 0)
    assert 100 < found.sum() < 300 and not is_covariance(np.zeros((1, 15)))[0]


@pytest.mark.parametrize(("column", "value"), [("bz", np.nan), ("bz", 0.0), ("weight", np.inf), ("ip", np.nan)])
def test_event_level_numbers_must_be_finite(column, value):
    """Would catch a field of NaN, which would make every momentum of the event NaN without a word."""
    batch = toy_batch(5)
    batch.events[column][3] = value
    with pytest.raises(EventFileError, match=f"'{column}': entry 3"):
        clean(batch)
