"""Btag files: what is written is read back by other programs and by us, whole or not at all."""

from __future__ import annotations

import errno
import json
import os

import awkward as ak
import numpy as np
import pyarrow.parquet as pq
import pytest
import uproot

from fei_lite.errors import EventFileError, OutputError, UnknownNameError
from fei_lite.tagging import file_tables, output
from fei_lite.tagging.output import TagWriter, read_tags

SUFFIXES = pytest.mark.parametrize("suffix", ["root", "parquet"])
ROWS = [("tracks", "pi+: all", 17), ("B+", "B+: after cuts", 3), ("events", "μ tagged", 2)]
METADATA = {"n_events": 12, "models": "hadronic", "event_types": {"B+B-": {"n_events": 12}}}


def toy_columns(n, seed=0):
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 6, n)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    chains = [f"B+ -> (anti-D0 -> K+ pi- #{i}) pi+ é" * int(rng.integers(0, 3)) for i in range(n)]
    return {
        "event": np.arange(n, dtype=np.int64), "Mbc": rng.normal(5.28, 0.003, n), "rank": np.ones(n, np.int16),
        "best": rng.integers(0, 2, n).astype(np.int8), "chiProb": np.where(rng.random(n) < 0.5, np.nan, 0.3),
        "decayChain": np.array(chains, dtype=str), "track_index": (offsets, rng.integers(0, 30, offsets[-1], np.int32)),
    }


def write(path, parts, **options):
    with TagWriter(path, **options) as writer:
        for columns in parts:
            writer.write(columns)
        writer.finish(ROWS, METADATA)
    return path


def lists_of(column):
    return [column[1][a:b].tolist() for a, b in zip(column[0][:-1], column[0][1:], strict=True)]


@SUFFIXES
def test_batches_are_appended(tmp_path, suffix, monkeypatch):
    """Would catch lost or repeated candidates, shifted lists, texts cut to the first batch's length, NaN as 0."""
    monkeypatch.setattr(output, "ROWS", 20)
    parts = [toy_columns(n, seed=n) for n in (0, 7, 1, 0, 45, 3)]
    columns, rows, metadata = read_tags(write(tmp_path / f"btag.{suffix}", parts))
    assert rows == ROWS and metadata == METADATA
    assert list(columns) == list(parts[0])
    for name in ("event", "Mbc", "rank", "best", "chiProb", "decayChain"):
        expected = np.concatenate([p[name] for p in parts])
        np.testing.assert_array_equal(columns[name], expected, err_msg=name)
        assert name == "decayChain" or columns[name].dtype == expected.dtype
    assert lists_of(columns["track_index"]) == [row for p in parts for row in lists_of(p["track_index"])]


def test_as_other_programs_see_it(tmp_path):
    """Would catch files only our reader understands: plain uproot and plain pyarrow must agree with the input."""
    columns = toy_columns(30)
    with uproot.open(write(tmp_path / "btag.root", [columns])) as file:
        tree = file["btag"]
        assert tree["decayChain"].array().to_list() == columns["decayChain"].tolist()
        assert tree["track_index"].array().to_list() == lists_of(columns["track_index"])
        np.testing.assert_array_equal(tree["Mbc"].array(), columns["Mbc"])
        assert file["cutflow"]["name"].array().to_list() == [row[1] for row in ROWS]
        assert ak.sum(file["cutflow"]["count"].array()) == 22
        assert json.loads(str(file["fei_lite_metadata"])) == METADATA
    table = pq.read_table(write(tmp_path / "btag.parquet", [columns]))
    assert table.column("track_index").to_pylist() == lists_of(columns["track_index"])
    assert table.column("decayChain").to_pylist() == columns["decayChain"].tolist()


@SUFFIXES
def test_no_candidates_is_a_result(tmp_path, suffix):
    """Would catch an untagged sample treated as an error, or its columns lost."""
    columns, rows, metadata = read_tags(write(tmp_path / f"btag.{suffix}", [toy_columns(0)]))
    assert {name: len(c) for name, c in columns.items() if name != "track_index"} == dict.fromkeys(
        [name for name in toy_columns(0) if name != "track_index"], 0)
    assert columns["track_index"][0].tolist() == [0]
    assert rows == ROWS and metadata["n_events"] == 12


@SUFFIXES
def test_chosen_columns(tmp_path, suffix):
    """Would catch a reader that loads everything, or a misspelled column without a hint."""
    path = write(tmp_path / f"btag.{suffix}", [toy_columns(5)])
    assert list(read_tags(path, columns=["Mbc", "track_index"]).columns) == ["Mbc", "track_index"]
    with pytest.raises(UnknownNameError, match="Nearest known: 'Mbc'"):
        read_tags(path, columns=["mbc"])


@SUFFIXES
def test_nothing_is_left_behind(tmp_path, suffix, monkeypatch):
    """Would catch a half-written Btag file after Ctrl-C, a full disk, or a forgotten cut-flow."""
    path = tmp_path / f"btag.{suffix}"
    with pytest.raises(KeyboardInterrupt), TagWriter(path) as writer:
        writer.write(toy_columns(5))
        raise KeyboardInterrupt
    with pytest.raises(RuntimeError, match="finish"), TagWriter(path) as writer:
        writer.write(toy_columns(5))
    with pytest.raises(OutputError, match="no event in the input"), TagWriter(path) as writer:
        writer.finish([], {})

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    for table in (file_tables.RootTable, file_tables.ParquetTable):
        monkeypatch.setattr(table, "finish", full)
    with pytest.raises(OutputError, match="disk is full"):
        write(path, [toy_columns(5)])
    assert os.listdir(tmp_path) == []


def test_overwriting_needs_force(tmp_path):
    """Would catch yesterday's Btags lost to a mistyped name."""
    path = write(tmp_path / "btag.root", [toy_columns(5)])
    with pytest.raises(OutputError, match="--force"):
        write(path, [toy_columns(6)])
    assert len(read_tags(path).columns["Mbc"]) == 5
    assert len(read_tags(write(path, [toy_columns(6)], force=True)).columns["Mbc"]) == 6


def test_batches_must_agree(tmp_path):
    """Would catch files with and without truth run together into columns of different length."""
    path = tmp_path / "btag.root"
    first = toy_columns(5)
    for second in (first | {"isSignal": np.ones(5, np.int8)}, {k: v for k, v in first.items() if k != "Mbc"},
                   first | {"Mbc": np.ones(5, np.float32)}, first | {"Mbc": np.ones(4)}):
        with pytest.raises(ValueError, match="columns"), TagWriter(path) as writer:
            writer.write(first)
            writer.write(second)
    assert os.listdir(tmp_path) == []


@SUFFIXES
def test_foreign_and_damaged_files(tmp_path, suffix):
    """Would catch a traceback, or a result, from a file that is no Btag file."""
    path = write(tmp_path / f"btag.{suffix}", [toy_columns(50)])
    data = path.read_bytes()
    for size in np.linspace(0, len(data) - 1, 12).astype(int):
        path.write_bytes(data[:size])
        with pytest.raises(EventFileError):
            read_tags(path)
    with uproot.recreate(tmp_path / "other.root") as file:
        file.mktree("events", {"x": "f8"}).extend({"x": np.arange(3.0)})
    with pytest.raises(EventFileError, match="expected a TTree 'btag', found 'events'"):
        read_tags(tmp_path / "other.root")
    with pytest.raises(EventFileError, match="no such file"):
        read_tags(tmp_path / "missing.root")
