"""Strict reading of data files: every defect is named, and no file can cost more than an error."""

from __future__ import annotations

import json
import os
import threading

import pytest
from pydantic import Field

from fei_lite.data_files import MAX_DEPTH, Strict, json_content, read_json, read_text, read_toml, validated
from fei_lite.errors import AnalysisError, MaskError


class Cut(Strict):
    """A cut."""

    name: str
    expression: str
    limit: float | None = None


class Selection(Strict):
    """A selection of named cuts, with bins."""

    name: str
    cuts: tuple[Cut, ...] = ()
    bins: dict[str, tuple[float, ...]] = Field(default_factory=dict)


GOOD = """
name = "hta"
[[cuts]]
name = "kaon"
expression = "kaonID > 0.9"
limit = 2
[bins]
eta = [0.4, 1]
"""


def test_a_good_file(tmp_path):
    """Would catch a whole number refused where a number is wanted, or lists that are not taken as tuples."""
    (tmp_path / "a.toml").write_text(GOOD)
    found = read_toml(tmp_path / "a.toml", Selection)
    assert found.cuts[0] == Cut(name="kaon", expression="kaonID > 0.9", limit=2.0)
    assert found.bins == {"eta": (0.4, 1.0)}
    (tmp_path / "a.json").write_text(json.dumps(found.model_dump()))
    assert read_json(tmp_path / "a.json", Selection) == found


@pytest.mark.parametrize(("change", "message"), [
    (("[[cuts]]", "[[cutz]]"), r"a.toml: cutz: unknown key 'cutz'. Nearest known: 'cuts'."),
    (("expression =", "expresion ="), r"cuts\[0\].expresion: unknown key 'expresion'. Nearest known: 'expression'."),
    (("expression =", "expresion ="), r"a.toml: cuts\[0\].expression: missing."),
    (("limit = 2", 'limit = "2"'), r"cuts\[0\].limit: got '2', expected: a valid number"),
    (("limit = 2", "limit = true"), r"cuts\[0\].limit: got True, expected: a valid number"),
    (("limit = 2", "limit = inf"), r"cuts\[0\].limit: got inf, expected a finite number"),
    (("limit = 2", "limit = 99999999999999999999"), r"cuts\[0\].limit: a whole number beyond 64 bits"),
    (("limit = 2", "limit = 2020-01-01"), r"a date stands in it"),
    (("[0.4, 1]", "0.4"), r"bins.eta: got 0.4, expected: a valid array"),
    (('name = "hta"', ""), r"a.toml: name: missing"),
    (('name = "hta"', 'name = "hta'), r"a.toml: cannot be read as TOML: .*line 2"),
])
def test_defects_are_named(tmp_path, change, message):
    """Would catch a defect that is lost, or named without its file and place."""
    (tmp_path / "a.toml").write_text(GOOD.replace(*change))
    with pytest.raises(AnalysisError, match=message):
        read_toml(tmp_path / "a.toml", Selection, where="a.toml", error=AnalysisError)


@pytest.mark.parametrize(("text", "message"), [
    ("[" * 100_000 + "]" * 100_000, "nested too deeply"),
    ("[" * (MAX_DEPTH + 2) + "]" * (MAX_DEPTH + 2), "nested too deeply"),
    ('{"a": ' * 100_000, "nested too deeply"),
    ("1" * 100_000, "cannot be read as JSON|beyond 64 bits"),
    ("-9223372036854775809", "beyond 64 bits"),
    ("NaN", "got nan, expected a finite number"), ("[1, Infinity]", r"\[1\]: got inf"), ("1e999", "got inf"),
    ('{"a": 1, "a": 2}', "the key 'a' stands twice"),
    ("", "cannot be read as JSON"), ('{"name": 1', "cannot be read as JSON"),
])
def test_hostile_json(text, message):
    """Would catch a RecursionError, an infinity or a doubled key that goes through."""
    with pytest.raises(MaskError, match=message):
        json_content(text, where="b.json", error=MaskError)


def test_the_largest_numbers_are_taken():
    """Would catch a limit one too strict."""
    assert json_content("[9223372036854775807, -9223372036854775808]", where="x") == [2**63 - 1, -(2**63)]
    deep = json_content("[" * MAX_DEPTH + "]" * MAX_DEPTH, where="x")
    assert json.dumps(deep) == "[" * MAX_DEPTH + "]" * MAX_DEPTH


def test_files_that_are_none(tmp_path):
    """Would catch a pipe that is waited for, a folder or an absent file with a traceback, and bytes taken as text."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    for name, message in (("pipe", "not a regular file"), (".", "not a regular file"), ("absent", "No such file"),
                          ("bytes", "not text in UTF-8"), ("a\0b", "cannot be read")):
        failed = []

        def read(name=name, failed=failed):
            try:
                read_text(f"{tmp_path}/{name}", error=MaskError)
            except MaskError as error:
                failed.append(str(error))

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        thread.join(5)
        assert failed and message in failed[0]


def test_many_defects_are_cut_short():
    """Would catch an error of a megabyte."""
    with pytest.raises(AnalysisError, match=r"\.\.\. and 980 more") as error:
        validated({"name": "x", "cuts": [{"name": "y", "expression": 3}] * 1000}, Selection, where="f",
                  error=AnalysisError)
    assert len(str(error.value)) < 4000
