"""Formats of event files: told apart by content, open to more; files that know their length."""

from __future__ import annotations

import json

import pytest
from toy_events import toy_batch

import fei_lite
from fei_lite.errors import EventFileError
from fei_lite.events import EventWriter, formats
from fei_lite.events.reading import count_events, origin_of


@pytest.fixture
def paths(tmp_path):
    """Two files, ROOT and Parquet, of 7 and 4 events."""
    for name, n in (("a.root", 7), ("b.parquet", 4)):
        with EventWriter(tmp_path / name, metadata={"process": name}) as writer:
            writer.write(toy_batch(n_events=n))
    return [tmp_path / "a.root", tmp_path / "b.parquet"]


def test_length_and_content(paths):
    """Would catch a length that is not the number of batches, and a second loop that finds nothing."""
    opened = fei_lite.open(paths, batch_size=3)
    assert repr(opened) == "<EventFiles a.root, b.parquet: batches of at most 3 events>"
    for _ in range(2):
        assert [batch.n_events for batch in opened] == [3, 3, 1, 3, 1]
    assert (len(opened), opened.n_events, opened.counts) == (5, 11, (7, 4))
    assert repr(opened) == "<EventFiles a.root, b.parquet: 11 events in 5 batches>"
    some = fei_lite.open(paths[0], batch_size=3, entry_range=(1, 6))
    assert len(some) == len(list(some)) == 2 and some.n_events == 5


@pytest.mark.parametrize("wrong", [3, b"a.root", ["a.root", 3], {"a.root"}, None])
def test_wrong_arguments_get_a_sentence(wrong):
    """Would catch an AttributeError or a loop over the bytes of a name."""
    with pytest.raises(TypeError, match=r"fei_lite\.open takes"):
        fei_lite.open(wrong)


def test_a_format_of_ones_own(paths, tmp_path, monkeypatch):
    """Would catch a reader that a user adds and that commands then do not ask."""
    monkeypatch.setattr(formats, "_FORMATS", list(formats._FORMATS))

    class Shorter(formats.FeiLiteFormat):
        """Parquet files of fei-lite, the first two events alone."""

        name = "shorter"

        def is_compatible(self, look):
            return look.parquet

        def count(self, path):
            return 2

        def iterate(self, path, *, batch_size, entry_start=None, entry_stop=None):
            return super().iterate(path, batch_size=batch_size, entry_start=0, entry_stop=2)

    formats.register_format(Shorter())
    assert [count_events(path) for path in paths] == [7, 2]
    assert sum(batch.n_events for batch in fei_lite.open(paths)) == 9
    assert origin_of(paths[1]) == {"process": "b.parquet"}
    with pytest.raises(ValueError, match="a format 'shorter' is there already"):
        formats.register_format(Shorter())


def test_foreign_files_are_named_with_what_was_expected(tmp_path):
    """Would catch a foreign file taken for one of ours."""
    (tmp_path / "a.root").write_text(json.dumps({"a": 1}))
    with pytest.raises(EventFileError, match=r"a\.root"):
        count_events(tmp_path / "a.root")
