"""How to reconstruct, and who looks on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fei_lite.candidates import CandidateTable
from fei_lite.channels import Channel
from fei_lite.reconstruction.first_look import FirstLook
from fei_lite.reconstruction.timing import Stopwatch

#: Sees every channel's candidates before they are classified: (channel, table, features).
Observer = Callable[[Channel, CandidateTable, NDArray[np.float64]], None]
#: Rows (ascending) of a channel's candidates to go on with, by their truth and event, before any fit.
Sampler = Callable[[Channel, CandidateTable], NDArray[np.intp]]


@dataclass(frozen=True)
class ReconstructionOptions:
    """What a user may choose.

    ``with_truth``: match to generated particles at every stage (None: where the
    batch has them). ``last_stage`` ends after that stage of the graph. ``prune``
    gives up partial combinations that cannot pass the cuts, ``early_exit``
    candidates that cannot pass the cut on the probability while their trees are
    added; neither changes the result. ``speed``, a level of the models' first look, drops combinations that a tag is
    improbable to be made of (:mod:`fei_lite.reconstruction.first_look`): faster, with fewer candidates; 0 drops none,
    None takes the level that the models name. ``first_look`` is one in place of theirs.
    """

    with_truth: bool | None = None
    last_stage: int | None = None
    prune: bool = True
    early_exit: bool = True
    speed: int | None = None
    first_look: FirstLook | None = None


@dataclass(frozen=True)
class Hooks:
    """What training and benchmarks hang in.

    ``observer`` sees the candidates and features of every channel of
    ``observe_stage`` (all stages if None) before the classifier; there ``sampler``
    may choose some of a channel's candidates: the others are neither fitted nor
    seen. ``looker`` sees the combinations of every channel before the sampler and any fit, with the features of
    the first look; candidates then have their row there as column ``look_row``.
    ``stopwatch`` adds up the seconds of each step.
    """

    observer: Observer | None = None
    observe_stage: int | None = None
    sampler: Sampler | None = None
    looker: Observer | None = None
    stopwatch: Stopwatch | None = None

    def at(self, stage: int) -> Hooks:
        """The hooks that act in a stage of the graph."""
        return self if self.observe_stage in (None, stage) else Hooks(stopwatch=self.stopwatch)


#: The options and the hooks of a call that names none.
DEFAULT_OPTIONS = ReconstructionOptions()
NO_HOOKS = Hooks()
