"""Pythia's settings for the fragmentation of quarks: named sets, each a data file with its origin.

A set has lines for every process (``[all]``: continuum and B decays into quarks)
and more for single continuum processes (``[ccbar]`` ...). Two are shipped:
``belle2``, the default, and ``monash``, Pythia's own tune.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path

from pydantic import Field

from fei_lite.data_files import Strict, read_toml
from fei_lite.errors import SimulationError, nearest

Value = bool | int | float

#: The set that is taken unless told another.
DEFAULT_SETTINGS = "belle2"


class _File(Strict):
    """A file of settings: its name, where the values are from, and tables of Pythia's names and values."""

    name: str = Field(pattern=r"^[A-Za-z0-9_.-]+$")
    origin: str = Field(min_length=1)
    all: dict[str, Value] = Field(default_factory=dict)
    uubar: dict[str, Value] = Field(default_factory=dict)
    ddbar: dict[str, Value] = Field(default_factory=dict)
    ssbar: dict[str, Value] = Field(default_factory=dict)
    ccbar: dict[str, Value] = Field(default_factory=dict)


@dataclass(frozen=True)
class Settings:
    """A set of settings: ``tables["all"]`` for every process, others for the process they are named after.

    >>> settings = load_settings("belle2")
    >>> settings.values("charged")["StringZ:aLund"], "StringFlav:mesonCvector" in settings.values("charged")
    (0.32, False)
    >>> settings.values("ccbar")["StringFlav:mesonCvector"]
    2.8
    """

    name: str
    origin: str
    tables: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)

    def values(self, process: str) -> dict[str, Value]:
        """Pythia's names and values for a process; its own ones before those of all."""
        return {**self.tables["all"], **self.tables.get(process, {})}

    def lines(self, process: str) -> tuple[str, ...]:
        """The same as Pythia reads them."""
        return tuple(f"{name} = {_text(value)}" for name, value in self.values(process).items())

    @property
    def digest(self) -> str:
        """SHA-256 of all names and values, 16 digits: part of what identifies a sample."""
        rows = [f"{table} {name} {_text(value)}" for table in sorted(self.tables)
                for name, value in sorted(self.tables[table].items())]
        return hashlib.sha256("\n".join(rows).encode()).hexdigest()[:16]


def _text(value: Value) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return repr(value)


def shipped_settings() -> tuple[str, ...]:
    """Names of the sets that come with fei-lite.

    >>> shipped_settings()
    ('belle2', 'monash')
    """
    return tuple(sorted(item.name.removeprefix("settings_").removesuffix(".toml")
                        for item in files("fei_lite.generator").iterdir()
                        if item.name.startswith("settings_") and item.name.endswith(".toml")))


@cache
def load_settings(name: str = DEFAULT_SETTINGS) -> Settings:
    """The set ``name``: a shipped one, or a TOML file of one (a name that ends in .toml).

    Raises :class:`SimulationError`.
    """
    if name.endswith(".toml"):
        found = read_toml(Path(name), _File, error=SimulationError)
        if found.name in shipped_settings():
            raise SimulationError(f"{name}: name: got '{found.name}', the name of a shipped set. Choose another name.")
    elif name in shipped_settings():
        found = read_toml(files("fei_lite.generator") / f"settings_{name}.toml", _File, error=SimulationError)
    else:
        raise SimulationError(f"settings '{name}': expected one of {', '.join(shipped_settings())}, or a file (.toml)."
                              f"{nearest(name, shipped_settings())}")
    tables = {table: dict(getattr(found, table)) for table in ("all", "uubar", "ddbar", "ssbar", "ccbar")}
    for table, values in tables.items():
        for key in values:
            if ":" not in key:
                raise SimulationError(f"{name}: {table}: '{key}' is no setting of Pythia (expected Group:name).")
    return Settings(found.name, found.origin, tables)
