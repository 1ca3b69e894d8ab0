"""Names of earlier versions: which there are, and that they are read."""

from __future__ import annotations

import json
import shutil
import tomllib
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from fei_lite.classifiers.manifest import MANIFEST, read_manifest
from fei_lite.cli import build_parser, main
from fei_lite.renamed import renamed
from fei_lite.tagging.output import TagWriter, read_tags

SECTIONS = tomllib.loads((files("fei_lite") / "renamed.toml").read_text(encoding="utf-8"))
TRAINED = Path(__file__).resolve().parents[1] / "trained"


def test_old_names_are_old():
    """Would catch an old name that a renaming of the whole project renamed as well."""
    for section, table in SECTIONS.items():
        assert table and not set(table) & set(table.values()), section


def test_options_of_now():
    """Would catch a new name that no command has, and an old one that still is one."""
    commands = build_parser()._subparsers._group_actions[0].choices.values()
    options = {option for command in commands for option in command._option_string_actions}
    assert set(renamed("options").values()) <= options and not set(renamed("options")) & options


@pytest.mark.parametrize("old", sorted(renamed("options")))
def test_old_options_are_read(old, capsys):
    """Would catch an option of an earlier version that is refused, or read without a word."""
    with pytest.raises(SystemExit):  # what else is missing, or not known to this command, is not its name
        main(["train", old])
    said = capsys.readouterr().err
    assert f"{old} is called {renamed('options')[old]} now" in said and f"unrecognized arguments: {old}" not in said


def test_old_manifest_is_read(tmp_path):
    """Would catch a model set of an earlier version that is not read as it was meant."""
    old_of = {new: old for old, new in renamed("manifest").items()}
    shutil.copytree(TRAINED / "extended" / "models", tmp_path / "models")
    text = (TRAINED / "extended" / MANIFEST).read_text(encoding="utf-8")
    content = json.loads(text)
    (tmp_path / MANIFEST).write_text(json.dumps({old_of.get(key, key): value for key, value in content.items()}))
    assert "deciding" in json.loads((tmp_path / MANIFEST).read_text())
    with pytest.warns(FutureWarning, match="'deciding' is called 'tag_classifier' now"):
        assert read_manifest(tmp_path) == read_manifest(TRAINED / "extended")


@pytest.mark.parametrize("suffix", [".root", ".parquet"])
def test_old_columns_are_read(suffix, tmp_path):
    """Would catch a Btag file of an earlier version without its probability given B Bbar."""
    path = tmp_path / f"btag{suffix}"
    old, new = next(iter(renamed("columns").items()))
    with TagWriter(path) as writer:
        writer.write({"event": np.arange(3), old: np.array([0.1, 0.2, 0.3])})
        writer.finish([], {"n_events": 3})
    with pytest.warns(FutureWarning, match=new):
        np.testing.assert_array_equal(read_tags(path, columns=[new]).columns[new], [0.1, 0.2, 0.3])
