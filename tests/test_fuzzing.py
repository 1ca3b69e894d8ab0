"""Damaged inputs of every kind are answered by an error of one line; thousands: scripts/fuzz_inputs.py."""

from __future__ import annotations

import json

import numpy as np
import pytest
from fuzz_damage import raw, structured, toml_text
from fuzz_kinds import EnrichmentFile, Kind
from fuzz_more_kinds import ALL as KINDS
from fuzzing import Results, fuzz, one

from fei_lite import data_files
from fei_lite.errors import FeiLiteError

#: Kinds that are quick to read.
QUICK = tuple(kind.__name__ for kind in KINDS if kind.__name__ not in ("Mdst", "EventsParquet"))


def test_sixty_damaged_inputs(tmp_path):
    """Would catch a traceback, a hang, a half-written output, or a track that changed without a word."""
    results = fuzz(60, seed=7, folder=tmp_path, kinds=QUICK)
    assert not results.findings, results.findings
    assert results.refused > 25 and results.refused + results.read == 60


class Careless(Kind):
    """A kind whose reader has the faults that the fuzzer looks for, by the first letter of the file."""

    def make(self, path):
        path.write_text("good")
        return path

    def damaged(self, rng, path):
        path.write_text(self.letter)
        return self.letter

    def read(self, path):
        letter = path.read_text()
        if letter == "t":
            raise KeyError("x")
        if letter == "h":
            while True:
                pass
        if letter == "n":
            raise FeiLiteError("something is wrong")
        if letter == "l":
            path.with_name(".x.part").touch()
            raise FeiLiteError(f"{path}: wrong")
        if letter == "o":
            raise FeiLiteError(f"{path}: wrong")


@pytest.mark.parametrize("letter, expected", [("t", "KeyError"), ("h", "not ended"), ("n", "no file named"),
                                              ("l", "left behind"), ("o", None)])
def test_each_fault_is_found(letter, expected, tmp_path, monkeypatch):
    """Would catch a fuzzer that finds nothing because it looks at nothing."""
    monkeypatch.setattr("fuzzing.TIME", 0.5)
    kind, results = Careless(tmp_path), Results()
    kind.letter = letter
    one(kind, 1, results)
    assert [expected in finding.what for finding in results.findings] == ([True] if expected else [])


def test_damage_is_damage():
    """Would catch damage that leaves the bytes, or the values, as they were."""
    good = bytes(range(256)) * 4
    content = {"a": [1, 2, {"b": "x"}], "c": 1.5}
    assert sum(raw(good, np.random.default_rng(seed))[0] != good for seed in range(50)) > 40
    changed = [structured(content, np.random.default_rng(seed))[0] for seed in range(50)]
    assert sum(repr(one) != repr(content) for one in changed) > 35
    assert data_files.parsed_toml(toml_text(content), where="x") == content


def test_an_enrichment_that_unpacks_to_gigabytes_is_refused_at_once(tmp_path):
    """Would catch the run length of a boost taken as it stands."""
    kind = EnrichmentFile(tmp_path)
    content = json.loads(kind.good.read_text())
    content["boosts"]["511"] = "0x9999999999"
    path = tmp_path / "e.json"
    path.write_text(json.dumps(content))
    with pytest.raises(FeiLiteError, match=r"e\.json: boosts"):
        kind.read(path)
