"""Every number of our ROOT files is compared with its checksum when it is read."""

from __future__ import annotations

import json

import awkward as ak
import numpy as np
import pytest
import uproot
import xxhash
from toy_events import assert_same, toy_batch

from fei_lite.errors import EventFileError
from fei_lite.events import EventWriter, files, read_events
from fei_lite.events.checksums import CHECKSUMS
from fei_lite.tagging import output, streaming
from fei_lite.tagging.output import TagWriter, read_tags

SMALL = (3, 4, 1, 1, 6)


@pytest.fixture
def events(tmp_path, monkeypatch):
    """A file of four baskets."""
    monkeypatch.setattr(files, "BASKET", 5)
    with EventWriter(tmp_path / "events.root", metadata={"process": "charged"}) as writer:
        writer.write(toy_batch(17, means=SMALL))
    return tmp_path / "events.root"


def basket(path, tree, branch, number):
    """Where the bytes of a basket lie in the file, and whether they are as they were (not compressed)."""
    with uproot.open(path) as file:
        seek = int(file[tree][branch].member("fBasketSeek")[number])
        key = file[tree][branch].basket_key(number)
        start, length = seek + int(key.fKeylen), int(key.fNbytes) - int(key.fKeylen)
        return start, length, int(key.fObjlen) == length


def test_one_flipped_bit_in_a_track_is_noticed(events, tmp_path):
    """Would catch what ROOT lets pass: a changed number in a basket without compression; the message says where."""
    with uproot.open(events) as file:
        names = [b.name for b in file["events"].branches if b.name.startswith("tracks_") and "cov" not in b.name]
    damaged = tmp_path / "damaged.root"
    silent = 0
    for name in names:
        start, length, plain = basket(events, "events", name, 2)
        if not plain or length < 8:
            continue
        data = bytearray(events.read_bytes())
        data[start + 3] ^= 1
        damaged.write_bytes(data)
        with uproot.open(damaged) as file:  # ROOT reads it
            file["events"][name].array()
        silent += 1
        assert len(read_events(damaged, entry_start=0, entry_stop=10).events["run"]) == 10  # other baskets are fine
        with pytest.raises(EventFileError, match=rf"damaged\.root: branch '{name}': entries 10 to 15: damaged"):
            read_events(damaged)
        with pytest.raises(EventFileError, match="entries 10 to 15"):  # whatever part of the basket is asked for
            read_events(damaged, entry_start=12, entry_stop=13)
    assert silent >= 5


def test_any_range_is_the_same_as_of_the_whole(events):
    """Would catch whole baskets handed out where a part was asked for, or offsets that are not moved."""
    whole = read_events(events)
    for start, stop in ((0, 17), (0, 5), (3, 4), (4, 6), (5, 15), (7, 7), (16, 17), (0, 0), (17, 17)):
        assert_same(read_events(events, entry_start=start, entry_stop=stop), whole.slice(start, stop))


def test_checksums_are_as_documented(events):
    """Would catch a checksum of something else: XXH3 of the numbers, little-endian, by basket; as documented."""
    with uproot.open(events) as file:
        said = json.loads(str(file[CHECKSUMS]))
        assert said["edges"] == [0, 5, 10, 15, 17]
        weight = file["events"]["weight"].array(library="np")
        energy = file["events"]["clusters_E"].array()
    for i, (a, b) in enumerate(zip(said["edges"], said["edges"][1:])):
        assert said["sums"]["weight"][i] == xxhash.xxh3_64(weight[a:b].astype("<f8").tobytes()).hexdigest()
        counts = xxhash.xxh3_64(ak.to_numpy(ak.num(energy[a:b])).astype("<i8").tobytes()).intdigest()
        flat = ak.to_numpy(ak.flatten(energy[a:b])).astype("<f4").tobytes()
        assert said["sums"]["clusters_E"][i] == xxhash.xxh3_64(flat, seed=counts).hexdigest()


def test_files_without_checksums_are_read(tmp_path, monkeypatch):
    """Would catch files of earlier versions refused."""
    monkeypatch.setattr("fei_lite.events.rootio.CHECKSUMS", "something_else")
    with EventWriter(tmp_path / "old.root") as writer:
        writer.write(batch := toy_batch(7, means=SMALL))
    monkeypatch.undo()
    assert_same(read_events(tmp_path / "old.root"), batch)


def btags(path, n=50):
    rng = np.random.default_rng(3)
    with TagWriter(path) as writer:
        for part in range(2):
            writer.write({"entry": np.arange(n) + n * part, "Mbc": rng.normal(5.28, 0.01, n),
                          "decayChain": np.array([f"chain {i}" for i in rng.integers(0, 10**6, n)], dtype=object),
                          "track_index": (np.arange(n + 1) * 2, rng.integers(0, 9, 2 * n).astype(np.int32))})
        writer.finish([("events", "all: read", 10)], {"n_events": 10})
    return path


@pytest.mark.parametrize("name", ["Mbc", "decayChain", "track_index"])
def test_one_flipped_bit_in_a_btag_is_noticed(name, tmp_path, monkeypatch):
    """Would catch a Btag file whose numbers, texts or lists change without a word, read whole or in pieces."""
    monkeypatch.setattr(output, "ROWS", 50)
    path = btags(tmp_path / "btag.root")
    columns = read_tags(path).columns
    pieces = list(streaming.iterate_columns(path, ["Mbc", "track_index"], rows=30))
    np.testing.assert_array_equal(np.concatenate([piece["Mbc"] for piece in pieces]), columns["Mbc"])
    np.testing.assert_array_equal(np.concatenate([piece["track_index"][1] for piece in pieces]),
                                  columns["track_index"][1])
    start, _, plain = basket(path, "btag", name, 1)
    data = bytearray(path.read_bytes())
    if not plain:  # in a compressed one the flip may fail to unpack: an error either way
        start += 9
    data[start + 5] ^= 4
    path.write_bytes(data)
    with pytest.raises(EventFileError, match="damaged"):
        read_tags(path)
    if name != "decayChain":
        with pytest.raises(EventFileError, match="damaged"):
            list(streaming.iterate_columns(path, [name], rows=30))
    assert len(read_tags(path, columns=["entry"]).columns["entry"]) == 100
