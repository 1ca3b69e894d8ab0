"""The public face: the same names at run time and for type checkers, which read them through the package."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import fei_lite

ROOT = Path(__file__).resolve().parents[1]

#: What a user's first script looks like.
SCRIPT = """
import fei_lite

channels = fei_lite.load_channel_set("hadronic")
models = fei_lite.load_model_set("fei_default")
source = fei_lite.open(["charged.root", "mixed.root"], batch_size=1000)
for batch in source:
    tags: fei_lite.Btags = fei_lite.select_tags(fei_lite.reconstruct(batch, channels, models))
    print(len(source), len(tags), batch.n_events)
"""


def names_for_type_checkers():
    """Names imported under TYPE_CHECKING."""
    tree = ast.parse((ROOT / "fei_lite" / "__init__.py").read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    return {alias.asname for node in block.body for alias in node.names}


def test_every_public_name_is_there():
    """Would catch a name that was moved or renamed, or that type checkers do not see."""
    assert sorted(fei_lite.__all__) == fei_lite.__all__ == dir(fei_lite)
    assert names_for_type_checkers() | {"__version__"} == set(fei_lite.__all__) == {*fei_lite._PUBLIC, "__version__"}
    for name in fei_lite.__all__:
        assert getattr(fei_lite, name) is not None


def test_an_unknown_name_is_answered_with_the_nearest():
    """Would catch a typing error that is answered by a bare name."""
    with pytest.raises(AttributeError, match=r"no attribute 'reconstuct'\. Nearest known: 'reconstruct'"):
        fei_lite.reconstuct  # noqa: B018


@pytest.mark.slow
def test_a_users_script_passes_mypy(tmp_path):
    """Would catch names that a type checker cannot call, or a package that is not typed for its users."""
    (tmp_path / "good.py").write_text(SCRIPT)
    (tmp_path / "bad.py").write_text(SCRIPT.replace("len(tags)", "tags.no_such_thing").replace("[\"charged", "3, [\"c"))
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports", "silent", "good.py", "bad.py",
               "--cache-dir", str(tmp_path / "cache")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False,
                          env={**os.environ, "MYPYPATH": str(ROOT)})  # mypy does not follow editable installs
    assert "good.py" not in done.stdout, done.stdout
    assert "no_such_thing" in done.stdout and "multiple values for keyword argument" in done.stdout, done.stdout
