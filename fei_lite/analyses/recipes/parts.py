"""Parts of a recipe that stand in several of its tables."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fei_lite.data_files import Strict

Positive = Annotated[float, Field(gt=0.0)]
Text = Annotated[str, Field(min_length=1)]


class Best(Strict):
    """The one candidate of an event: that with the highest (lowest) value of a variable."""

    by: Text
    keep: Literal["highest", "lowest"] = "highest"


class SignalDecay(Strict):
    """A signal process: decay file (beside the recipe, or a shipped one), the B that decays so, and how often.

    ``meson`` B+ takes f+- of the Upsilon(4S), B0 f00. Strength 1 is ``branching_fraction``.
    """

    decay_file: Text
    meson: Literal["B+", "B0"]
    branching_fraction: Positive
    origin: Text
