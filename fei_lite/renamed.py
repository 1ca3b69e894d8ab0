"""Names that changed in the last version: still read, with a notice (``renamed.toml`` lists them)."""

from __future__ import annotations

import tomllib
import warnings
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any


@cache
def renamed(section: str) -> Mapping[str, str]:
    """Old name -> new name of a section: ``columns``, ``manifest``, ``tag_features`` or ``options``.

    >>> renamed("options")["--ceiling"]
    '--reconstructible'
    """
    content = tomllib.loads((files("fei_lite") / "renamed.toml").read_text(encoding="utf-8"))
    return {str(old): str(new) for old, new in content[section].items()}


def warn(old: str, new: str, where: str) -> None:
    """Say that an old name was read."""
    warnings.warn(f"{where}: '{old}' is called '{new}' now; the old name is read for the last time in this version.",
                  FutureWarning, stacklevel=3)


def current(section: str, names: Iterable[str], where: str) -> dict[str, str]:
    """Each name -> its present name, with a notice for every old one."""
    table = renamed(section)
    found = {name: table.get(name, name) for name in names}
    for old, new in found.items():
        if old != new:
            warn(old, new, where)
    return found


def with_current_keys(section: str, content: Mapping[str, Any], where: str) -> dict[str, Any]:
    """``content`` with its keys under their present names."""
    names = current(section, content, where)
    return {names[key]: value for key, value in content.items()}
