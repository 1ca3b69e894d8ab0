"""The cut-flow: what entered and left every step, counted, nothing lost silently."""

from __future__ import annotations

from collections.abc import Iterator


class CutFlow:
    """Counts by (stage, name, step), in the order of their first appearance.

    ``stage`` is the stage of the decay graph (``"stage 3"``) or ``"events"``,
    ``name`` a particle or channel, ``step`` what was counted.
    """

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str, str], int] = {}

    def __repr__(self) -> str:
        rows = "".join(f"\n  {stage:9s} {name}: {step} {count}" for stage, name, step, count in self)
        return f"CutFlow({len(self._counts)} rows){rows}"

    def _ipython_key_completions_(self) -> list[tuple[str, str, str]]:
        return list(self._counts)

    def add(self, stage: str, name: str, step: str, count: int) -> None:
        """Add ``count`` to a row."""
        key = (stage, name, step)
        self._counts[key] = self._counts.get(key, 0) + int(count)

    def merge(self, other: CutFlow) -> None:
        """Add the counts of another cut-flow."""
        for (stage, name, step), count in other._counts.items():
            self.add(stage, name, step, count)

    def __iter__(self) -> Iterator[tuple[str, str, str, int]]:
        for (stage, name, step), count in self._counts.items():
            yield stage, name, step, count

    def __getitem__(self, key: tuple[str, str, str]) -> int:
        return self._counts.get(key, 0)
