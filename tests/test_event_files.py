"""Event files: what is written is what other programs and we read, batch by batch."""

from __future__ import annotations

import os

import awkward as ak
import numpy as np
import pyarrow.parquet as pq
import pytest
import uproot
from toy_events import assert_same, toy_batch

import fei_lite
from fei_lite.errors import EventFileError
from fei_lite.events import (
    EventWriter,
    concatenate,
    count_events,
    files,
    inspect_events,
    iterate_events,
    read_events,
    schema,
)
from fei_lite.events import opened as opened_files
from fei_lite.events.layout import branches

SUFFIXES = pytest.mark.parametrize("suffix", ["root", "parquet"])


def write(path, *batches, **options):
    with EventWriter(path, **options) as writer:
        for batch in batches:
            writer.write(batch)
    return path


@SUFFIXES
def test_round_trip_by_batches(tmp_path, suffix, monkeypatch):
    """Would catch baskets, batches or entry ranges that lose, double or shift events or objects."""
    monkeypatch.setattr(files, "BASKET", 7)
    parts = [toy_batch(n, seed=n, means=(3, 4, 1, 1, 6)) for n in (1, 9, 0, 4, 20)]
    path = write(tmp_path / f"events.{suffix}", *parts)
    whole = concatenate(parts)
    assert count_events(path) == whole.n_events == 34
    assert_same(read_events(path), whole)
    for size in (1, 5, 7, 14, 100):
        batches = list(iterate_events(path, batch_size=size))
        assert [b.start for b in batches] == list(range(0, 34, size))
        assert_same(concatenate(batches), whole)
    assert_same(read_events(path, entry_start=6, entry_stop=22), whole.slice(6, 22))
    assert read_events(path, entry_start=34).n_events == 0


def test_root_file_as_uproot_sees_it(tmp_path):
    """Would catch a layout that only our reader understands, swapped components or a wrong counter."""
    batch = toy_batch(20)
    path = write(tmp_path / "events.root", batch)
    tree = uproot.open(path)["events"]
    assert ak.num(tree["tracks_d0"].array()).to_list() == batch.tracks.counts.tolist()
    assert tree["ntracks"].array().to_list() == batch.tracks.counts.tolist()
    for name, expected in (
        ("tracks_tanLambda", batch.tracks["helix"][:, 4]), ("tracks_cov_00", batch.tracks["helix_cov"][:, 0]),
        ("tracks_cov_12", batch.tracks["helix_cov"][:, 6]), ("tracks_cov_44", batch.tracks["helix_cov"][:, 14]),
        ("tracks_logl_K", batch.tracks["pid_logl"][:, 3]), ("generated_E", batch.generated["p4"][:, 3]),
        ("generated_y", batch.generated["vertex"][:, 1]), ("clusters_E", batch.clusters["E"]),
        ("v0s_negative_omega", batch.v0s["negative_helix"][:, 2]),
    ):
        np.testing.assert_array_equal(ak.flatten(tree[name].array()), expected, err_msg=name)
    np.testing.assert_array_equal(tree["beam_pz"].array(), batch.events["beam_p4"][:, 2])
    for index, name in enumerate(("xx", "xy", "xz", "yy", "yz", "zz")):  # the order of the schema's text
        np.testing.assert_array_equal(tree[f"ip_cov_{name}"].array(), batch.events["ip_cov"][:, index])


def test_parquet_file_as_pyarrow_sees_it(tmp_path):
    """Would catch list offsets that differ from the counts, or narrowed types."""
    batch = toy_batch(20)
    table = pq.read_table(write(tmp_path / "events.parquet", batch))
    expected = [batch.clusters["E"][a:b].tolist()
                for a, b in zip(batch.clusters.offsets[:-1], batch.clusters.offsets[1:], strict=True)]
    assert table.column("clusters_E").to_pylist() == expected
    assert str(table.schema.field("tracks_charge").type) == "list<element: int8>"


def test_branch_names_are_unique_and_cover_the_schema():
    """Would catch a new vector column without component names, or two columns of one name."""
    names = [b.name for name in ("events", *schema.LISTS) for b in branches(name)]
    assert len(names) == len(set(names))
    columns = [c for group in (schema.EVENT, *schema.LISTS.values()) for c in group]
    assert len(names) == sum(int(np.prod(c.shape, dtype=int)) for c in columns)


@SUFFIXES
def test_no_truth_metadata_and_no_events(tmp_path, suffix):
    """Would catch data treated as simulation, lost metadata, and an empty sample as an error."""
    batch = toy_batch(4, truth=False)
    path = write(tmp_path / f"data.{suffix}", batch, metadata={"process": "charged", "seed": 7, "scale": 0.5})
    assert_same(read_events(path), batch)
    about = inspect_events(path)
    assert not about.has_truth and about.version == schema.VERSION and about.n_events == 4
    assert about.metadata == {"process": "charged", "seed": 7, "scale": 0.5}
    nothing = write(tmp_path / f"nothing.{suffix}")
    assert count_events(nothing) == 0 and list(iterate_events(nothing)) == []
    assert read_events(nothing).n_events == 0


@SUFFIXES
def test_extreme_multiplicities(tmp_path, suffix):
    """Would catch a reader that assumes at least one track, or at most 64 tracks or clusters."""
    counts = {"tracks": np.array([0, 70, 0, 3]), "clusters": np.array([0, 130, 1, 0]),
              "klm": np.zeros(4, int), "v0s": np.array([0, 5, 0, 0])}
    batch = toy_batch(4, counts=counts)
    found = read_events(write(tmp_path / f"events.{suffix}", batch))
    assert_same(found, batch)
    assert found.tracks.counts.tolist() == [0, 70, 0, 3]
    empty = toy_batch(3, counts={name: np.zeros(3, int) for name in schema.LISTS})
    assert_same(read_events(write(tmp_path / f"empty.{suffix}", empty)), empty)


def test_truth_cannot_come_and_go(tmp_path):
    """Would catch truth dropped silently when a file mixes data and simulation; nothing is left behind."""
    with pytest.raises(ValueError, match="with and without truth"):
        write(tmp_path / "mixed.root", toy_batch(2), toy_batch(2, truth=False))
    assert os.listdir(tmp_path) == []


@SUFFIXES
def test_interruption_leaves_nothing(tmp_path, suffix):
    """Would catch a half-written event file after Ctrl-C, or a lost older file."""
    old = write(tmp_path / f"events.{suffix}", toy_batch(3))
    before = old.read_bytes()
    with pytest.raises(KeyboardInterrupt), EventWriter(old, force=True) as writer:
        writer.write(toy_batch(10))
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == [old.name] and old.read_bytes() == before


def test_open_mixes_files_and_formats(tmp_path):
    """Would catch batches that span files, or wrong source and start."""
    first = write(tmp_path / "a.root", toy_batch(5, seed=1))
    second = write(tmp_path / "no_suffix_needed", toy_batch(3, seed=2))
    third = write(tmp_path / "c.parquet", toy_batch(4, seed=3))
    found = [(b.source, b.start, b.n_events) for b in fei_lite.open([first, second, third], batch_size=3)]
    assert found == [(str(first), 0, 3), (str(first), 3, 2), (str(second), 0, 3),
                     (str(third), 0, 3), (str(third), 3, 1)]
    (only,) = fei_lite.open(first, entry_range=(1, 4))
    assert_same(only, toy_batch(5, seed=1).slice(1, 4))
    with pytest.raises(ValueError, match="exactly one file"):
        fei_lite.open([first, second], entry_range=(0, 1))


def test_selected_events_are_the_events():
    """Any events of a batch against slices of one event each: catches objects that change their event."""
    batch = toy_batch(40, seed=3)
    chosen = np.array([0, 3, 4, 17, 39])
    assert_same(batch.select(chosen), concatenate([batch.slice(int(e), int(e) + 1) for e in chosen]))


@pytest.mark.parametrize("suffix", [".root", ".parquet"])
def test_the_file_read_last_stays_open_as_long_as_it_is_the_same(tmp_path, monkeypatch, suffix):
    """Would catch events of a file that was replaced meanwhile, one handle per file, and one shared by two readers."""
    path = write(tmp_path / f"a{suffix}", toy_batch(6, seed=1))
    other = write(tmp_path / f"b{suffix}", toy_batch(4, seed=2))
    kind = opened_files.ParquetSource if suffix == ".parquet" else opened_files.RootSource
    made, closed = [], []
    monkeypatch.setattr(kind, "__init__", counted(kind.__init__, made))
    monkeypatch.setattr(kind, "__exit__", counted(kind.__exit__, closed))
    parts = [read_events(path, entry_start=i, entry_stop=i + 2) for i in (0, 2, 4)]
    assert len(made) == 1 and [part.start for part in parts] == [0, 2, 4]
    first, second = iterate_events(path, batch_size=2), iterate_events(path, batch_size=2)
    pairs = list(zip(first, second, strict=True))  # at once: each has its own
    assert len(pairs) == 3
    for a, b in pairs:
        assert_same(a, b)
    assert len(made) == 2  # the first goes on with what was open
    read_events(other)
    assert len([source for source in made if source not in closed]) == 1  # one is open, whatever was read
    read_events(path)
    replacement = write(tmp_path / f"c{suffix}", toy_batch(6, seed=3))
    os.replace(replacement, path)
    assert_same(read_events(path), toy_batch(6, seed=3))
    with pytest.raises(EventFileError):
        read_events(path, entry_start=0, entry_stop=99)
    assert not [source for source in made if source not in closed]  # not kept after an error


def counted(function, calls):
    def wrapped(self, *arguments):
        calls.append(self)
        return function(self, *arguments)
    return wrapped
