"""Channel files: where they are, and what they hold, checked for structure.

A channel set is a folder with one TOML file per particle. This module turns
them into drafts (plain values, types checked); :mod:`fei_lite.channels.checks`
looks at their meaning. Nothing stops at the first defect: all are collected.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from fei_lite.channels.cut_strings import CUT_ERRORS, OldCutError, read_cut
from fei_lite.data_files import Strict, read_toml
from fei_lite.errors import ChannelFileError, nearest
from fei_lite.variables.cuts import Cut

PACKAGE = Path(__file__).resolve().parents[1]

#: The two places of shipped sets: in the installed package, beside it in a checkout.
PLACES = (PACKAGE / "decay_channels", PACKAGE.parent / "decay_channels")

def _text_or_tables(value: Any) -> Any:
    if isinstance(value, str) or (isinstance(value, list) and all(isinstance(entry, dict) for entry in value)):
        return value
    raise ValueError(f"got {value!r}, expected a text like \"1.7 < M < 1.95\".")


_Cuts = Annotated[Any, AfterValidator(_text_or_tables)]
_Number = Annotated[int, Field(ge=1)]
_Fit = Literal["auto", "vertex", "mass", "none"]
_Names = tuple[str, ...]


class _Rank(Strict):
    by: str
    keep: Literal["highest", "lowest"]
    best: _Number


class _Post(Strict):
    min_signal_probability: Annotated[float | None, Field(ge=0.0, lt=1.0)] = None
    best: _Number
    same_objects: Literal["best", "all"] = "best"


class _ChannelTable(Strict):
    daughters: _Names
    invisible: _Names = ()
    cuts: _Cuts | None = None
    post_fit_cuts: str | None = None
    features: _Names | None = None
    fit: _Fit | None = None


class _File(Strict):
    particle: str
    target: str
    cuts: _Cuts
    post_fit_cuts: str = ""
    rank: _Rank
    post: _Post
    features: _Names = ()
    fit: _Fit = "auto"
    classifier: Literal["model", "none"] = "model"
    channel: tuple[_ChannelTable, ...]


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
    cuts: Cut | None
    post_fit_cuts: Cut | None
    features: list[str] | None
    fit: str | None


@dataclass
class ParticleDraft:
    """One channel file, types checked; ``where`` is its name for messages."""

    where: str
    name: str
    target: str
    cuts: Cut
    post_fit_cuts: Cut
    rank_by: str
    rank_highest: bool
    best_pre: int
    min_signal_probability: float | None
    best_post: int
    same_objects: bool
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
        where = (shown / path.name).as_posix()
        try:
            content = read_toml(path, _File, where=where, error=ChannelFileError)
        except ChannelFileError as error:
            findings.errors += str(error).split("\n  ")
            complete = False
        else:
            drafts.append(_draft(content, where, findings))
    return drafts, complete


def _draft(content: _File, where: str, findings: Findings) -> ParticleDraft:
    if not content.channel:
        findings.error(f"{where}: channel", "no channels. Give at least one [[channel]].")
    return ParticleDraft(
        where=where, name=content.particle.removesuffix(":generic"), target=content.target,
        cuts=_cut(content.cuts, f"{where}: cuts", findings),
        post_fit_cuts=_cut(content.post_fit_cuts, f"{where}: post_fit_cuts", findings),
        rank_by=content.rank.by, rank_highest=content.rank.keep == "highest", best_pre=content.rank.best,
        min_signal_probability=content.post.min_signal_probability, best_post=content.post.best,
        same_objects=content.post.same_objects == "all",
        features=list(content.features), fit=content.fit, classified=content.classifier == "model",
        channels=[_channel(table, f"{where}: channel[{i}]", findings) for i, table in enumerate(content.channel)])


def _channel(table: _ChannelTable, at: str, findings: Findings) -> ChannelDraft:
    if not table.daughters:
        findings.error(f"{at}.daughters", "no daughters. Give at least one.")
    after = table.post_fit_cuts
    return ChannelDraft(
        where=at, daughters=[name.removesuffix(":generic") for name in table.daughters],
        invisible=list(table.invisible),
        cuts=None if table.cuts is None else _cut(table.cuts, f"{at}.cuts", findings),
        post_fit_cuts=None if after is None else _cut(after, f"{at}.post_fit_cuts", findings),
        features=None if table.features is None else list(table.features), fit=table.fit)


def _cut(value: str | Sequence[Mapping[str, Any]], where: str, findings: Findings) -> Cut:
    """The cut; one that cannot be read becomes a finding, and none."""
    try:
        return read_cut(value, where)
    except CUT_ERRORS as error:
        findings.errors += error.findings if isinstance(error, OldCutError) else [str(error)]
        return Cut("")
