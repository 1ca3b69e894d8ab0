"""Candidates of some simulated samples, and the counts before them: what an analysis starts from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fei_lite.analyses.candidates.ntuple import Columns
from fei_lite.analyses.candidates.samples import Source, process_of
from fei_lite.analyses.recipes.parts import SignalDecay

#: Sample -> step -> (events, sum of weights).
Steps = Mapping[str, Mapping[str, Sequence[float]]]
#: ``partner`` of combinations of B decays that do not say from which event the second one is.
UNKNOWN = -1


@dataclass(frozen=True)
class Inputs:
    """Candidates of some sources: columns with ``source`` (row of ``sources``), and the counts before them."""

    columns: Columns = field(repr=False)
    sources: tuple[Source, ...]
    counts: tuple[Steps, ...] = field(repr=False)

    def __len__(self) -> int:
        return len(self.columns["weight"])

    def decay(self) -> NDArray[np.int64]:
        """Number of the generated event, (n,), that the first B decay of each candidate is from.

        Equal within a source where decays were reused in several combinations, or events taken several times.
        """
        times = np.array([int(source.options.get("family", source.options.get("reuse", 1)))
                          for source in self.sources], dtype=np.int64)
        return np.asarray(self.columns["event"].astype(np.int64) // times[self.columns["source"]])

    def second(self) -> NDArray[np.int64] | None:
        """Number of the generated event, (n,), that the second B decay is from; None if no file has it.

        :data:`UNKNOWN` for combinations of a file that does not say it. Where decays were not reused it is the number
        of the candidate's own event, which it shares with none.
        """
        if "partner" not in self.columns:
            return None
        reused = np.array(["reuse" in source.options or bool(source.options.get("recombined"))
                           for source in self.sources])[self.columns["source"]]
        return np.where(reused, self.columns["partner"], self.columns["event"]).astype(np.int64)

    def process(self, decays: Mapping[str, SignalDecay]) -> NDArray[np.str_]:
        """Process of each candidate, (n,), as the recipe names it."""
        names = np.array([process_of(source, decays) for source in self.sources], dtype=str)
        return np.asarray(names[self.columns["source"]])
