"""Channel files: where they are, and what they hold, checked for structure.

A channel set is a folder with one TOML file per particle. This module turns
them into drafts (plain values, types checked); :mod:`fei_lite.channels.checks`
looks at their meaning. Nothing stops at the first defect: all are collected.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fei_lite.channels.model import Cut
from fei_lite.errors import ChannelFileError, nearest

PACKAGE = Path(__file__).resolve().parents[1]

#: The two places of shipped sets: in the installed package, beside it in a checkout.
PLACES = (PACKAGE / "decay_channels", PACKAGE.parent / "decay_channels")

_KEYS = ("particle", "target", "cuts", "rank", "post", "features", "fit", "classifier", "channel")
_OPTIONAL = ("fit", "classifier")
_CHANNEL_KEYS = ("daughters", "invisible", "cuts", "features", "fit")
FITS = ("auto", "vertex", "mass", "none")
CLASSIFIERS = ("model", "none")


@dataclass
class Findings:
    """Collected defects (``errors``) and doubts (``warnings``), as lines of text."""

    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def error(self, where: str, text: str) -> None:
        """Add a defect; ``where`` is the file and the key path."""
        self.errors.append(f"{where}: {text}")

    def warn(self, where: str, text: str) -> None:
        """Add a doubt."""
        self.warnings.append(f"{where}: {text}")


@dataclass
class ChannelDraft:
    """One ``[[channel]]``; None stands for what its particle says."""

    where: str
    daughters: list[str]
    invisible: list[str]
    cuts: list[Cut] | None
    features: list[str] | None
    fit: str | None


@dataclass
class ParticleDraft:
    """One channel file, types checked; ``where`` is its name for messages."""

    where: str
    name: str
    target: str
    cuts: list[Cut]
    rank_by: str
    rank_highest: bool
    best_pre: int
    min_signal_probability: float | None
    best_post: int
    features: list[str]
    fit: str
    classified: bool
    channels: list[ChannelDraft]


def shipped_sets() -> tuple[str, ...]:
    """Names of the channel sets that come with fei-lite."""
    return tuple(sorted({path.parent.name for place in PLACES for path in place.glob("*/*.toml")}))


def find_channel_set(name_or_path: str | Path) -> Path:
    """Folder of a channel set: a shipped name, or the path of a folder.

    Raises :class:`ChannelFileError` if there is none, or no TOML file in it.
    """
    given = Path(name_or_path)
    candidates = [place / given for place in PLACES] if len(given.parts) == 1 else []
    for folder in (*candidates, given):
        if folder.is_dir() and any(folder.glob("*.toml")):
            return folder
    if given.is_dir():
        raise ChannelFileError(f"{given}: no channel files (*.toml) in this folder.")
    known = shipped_sets()
    raise ChannelFileError(
        f"no channel set '{name_or_path}': neither a shipped set ({', '.join(known)}) nor a folder."
        f"{nearest(str(name_or_path), known)}")


def read_drafts(folder: Path, findings: Findings) -> tuple[list[ParticleDraft], bool]:
    """Read every file of a set; False if one could not be read, so that its particle is not known."""
    shown = folder if folder.parent not in PLACES else Path("decay_channels") / folder.name
    drafts, complete = [], True
    for path in sorted(folder.glob("*.toml")):
        reader = _Reader(f"{(shown / path.name).as_posix()}", findings)
        draft = reader.read(path)
        if draft is None:
            complete = False
        else:
            drafts.append(draft)
    return drafts, complete


class _Reader:
    """Turns one file into a draft; a bad value becomes a finding and a harmless default."""

    def __init__(self, where: str, findings: Findings) -> None:
        self.where = where
        self.findings = findings

    def read(self, path: Path) -> ParticleDraft | None:
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
            self.findings.error(self.where, f"cannot be read as TOML: {error}")
            return None
        classified = self._one_of("classifier", content.get("classifier", "model"), CLASSIFIERS) == "model"
        self._keys("", content, _KEYS, optional=_OPTIONAL if classified else (*_OPTIONAL, "features"))
        if content.get("channel") == []:
            self._wrong("channel", "at least one [[channel]]", [])
        if not isinstance(content.get("particle"), str):
            if "particle" in content:
                self._wrong("particle", "a name", content["particle"])
            return None
        rank = self._table("rank", content.get("rank"), ("by", "keep", "best"))
        post = self._table("post", content.get("post"), ("min_signal_probability", "best"),
                           optional=("min_signal_probability",))
        keep = self._one_of("rank.keep", rank.get("keep", "highest"), ("highest", "lowest"))
        return ParticleDraft(
            where=self.where, name=content["particle"].removesuffix(":generic"),
            target=self._text("target", content.get("target", "")),
            cuts=self._cuts("cuts", content.get("cuts", [])),
            rank_by=self._text("rank.by", rank.get("by", "")), rank_highest=keep == "highest",
            best_pre=self._count("rank.best", rank.get("best", 1)),
            min_signal_probability=self._probability("post.min_signal_probability",
                                                     post.get("min_signal_probability")),
            best_post=self._count("post.best", post.get("best", 1)),
            features=self._names("features", content.get("features", [])),
            fit=self._one_of("fit", content.get("fit", "auto"), FITS), classified=classified,
            channels=self._channels(content.get("channel", [])),
        )

    def _channels(self, value: Any) -> list[ChannelDraft]:
        if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
            self._wrong("channel", "[[channel]] tables", value)
            return []
        drafts = []
        for i, entry in enumerate(value):
            at = f"channel[{i}]"
            self._keys(at, entry, _CHANNEL_KEYS, optional=_CHANNEL_KEYS[1:])
            daughters = self._names(f"{at}.daughters", entry.get("daughters", []))
            if "daughters" in entry and entry["daughters"] == []:
                self.findings.error(f"{self.where}: {at}.daughters", "no daughters. Give at least one.")
            drafts.append(ChannelDraft(
                where=f"{self.where}: {at}", daughters=[d.removesuffix(":generic") for d in daughters],
                invisible=self._names(f"{at}.invisible", entry.get("invisible", [])),
                cuts=self._cuts(f"{at}.cuts", entry["cuts"]) if "cuts" in entry else None,
                features=self._names(f"{at}.features", entry["features"]) if "features" in entry else None,
                fit=self._one_of(f"{at}.fit", entry["fit"], FITS) if "fit" in entry else None))
        return drafts

    def _wrong(self, at: str, expected: str, got: object) -> None:
        self.findings.error(f"{self.where}: {at}", f"expected {expected}, got {got!r}.")

    def _keys(self, at: str, content: dict[str, Any], known: Collection[str], *,
              optional: Collection[str] = ()) -> None:
        dot = f"{at}." if at else ""
        for key in content:
            if key not in known:
                self.findings.error(f"{self.where}: {dot}{key}", f"unknown key '{key}'.{nearest(key, known)}")
        for key in known:
            if key not in content and key not in optional:
                self.findings.error(f"{self.where}: {dot}{key}", "missing.")

    def _table(self, at: str, value: Any, known: Collection[str], *,
               optional: Collection[str] = ()) -> dict[str, Any]:
        if value is None:
            return {}
        if not isinstance(value, dict):
            self._wrong(at, "a table", value)
            return {}
        self._keys(at, value, known, optional=optional)
        return value

    def _text(self, at: str, value: Any) -> str:
        if isinstance(value, str):
            return value
        self._wrong(at, "a name", value)
        return ""

    def _one_of(self, at: str, value: Any, known: Collection[str]) -> str:
        if isinstance(value, str) and value in known:
            return value
        self._wrong(at, f"one of {', '.join(known)}", value)
        return next(iter(known))

    def _names(self, at: str, value: Any) -> list[str]:
        if isinstance(value, list) and all(isinstance(entry, str) for entry in value):
            return value
        self._wrong(at, "a list of names", value)
        return []

    def _count(self, at: str, value: Any) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
            return value
        self._wrong(at, "a whole number, at least 1", value)
        return 1

    def _number(self, at: str, value: Any) -> float | None:
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            return float(value)
        self._wrong(at, "a finite number", value)
        return None

    def _probability(self, at: str, value: Any) -> float | None:
        number = None if value is None else self._number(at, value)
        if number is not None and not 0.0 <= number < 1.0:
            self._wrong(at, "a number from 0 to below 1", value)
        return number

    def _cuts(self, at: str, value: Any) -> list[Cut]:
        if not isinstance(value, list):
            self._wrong(at, "a list of tables like { variable = \"M\", minimum = 1.7, maximum = 1.95 }", value)
            return []
        cuts = []
        for i, entry in enumerate(value):
            here = f"{at}[{i}]"
            table = self._table(here, entry, ("variable", "minimum", "maximum", "region"),
                                optional=("minimum", "maximum", "region"))
            low, high = (self._number(f"{here}.{k}", table[k]) if k in table else None for k in ("minimum", "maximum"))
            if low is not None and high is not None and low >= high:
                self.findings.error(f"{self.where}: {here}", f"minimum {low} is not below maximum {high}.")
            if table and "minimum" not in table and "maximum" not in table:
                self.findings.error(f"{self.where}: {here}", "cuts nothing. Give a minimum or a maximum.")
            if isinstance(table.get("variable"), str):
                cuts.append(Cut(table["variable"], low, high, table.get("region")))
            elif "variable" in table:
                self._wrong(f"{here}.variable", "a name", table["variable"])
        return cuts
