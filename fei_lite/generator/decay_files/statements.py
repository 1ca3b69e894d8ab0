"""What a decay file consists of: statements and, in the blocks, decay lines."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DecayLine:
    """One line of a ``Decay`` block, as written: fraction, daughters, model and its parameters.

    ``line`` counts from 1 in the file of its text; ``own`` is false for lines of the table.
    """

    line: int
    fraction: float
    daughters: tuple[str, ...]
    model: str
    parameters: tuple[str, ...] = ()
    own: bool = True

    def __str__(self) -> str:
        return " ".join(self.daughters) or "(no products)"


@dataclass(frozen=True)
class Statement:
    """A statement: its keyword, its words, and the lines of the block it opens."""

    keyword: str
    line: int
    words: tuple[str, ...]
    modes: tuple[DecayLine, ...] = ()


@dataclass(frozen=True)
class Notice:
    """Something that the author of a file should know; ``line`` 0 if it belongs to no line."""

    line: int
    text: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.text}" if self.line else self.text
