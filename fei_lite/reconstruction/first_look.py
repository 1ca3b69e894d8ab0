"""A first look at combinations: most of them cannot be part of a right tag, and need no vertex fit.

A small forest per stage of the graph says, from what is known before any fit, how probable it is that a
combination is part of a right tag, all the way up to the B. What does not reach ``least`` is dropped there. The
number means the same in all channels and stages, so that time is spent where a tag can be.

================  ========================================================================
particle          number of the particle, and of its channel
channel
preCut_rank       rank in its channel, event and conjugate
nDaughters        number of daughters
logProduct        logarithm of the product of their SignalProbability
logOddsWorst      log-odds of the least probable daughter
logOddsSecond     of the next
logOddsFirst      of the first (in channels of the B its charmed one)
leastE            least energy of a daughter [GeV]
deltaE            of a tag
dM                M - nominal mass, of all but tags [GeV]
Q                 M - sum of the daughters' masses, of all but tags [GeV]
p                 momentum, of all but tags [GeV]
================  ========================================================================

In the frame of e+e-, from the sum of the daughters. NaN where there is no such number. Only the candidate's own
objects count, never the rest of the event, and of a tag neither mass nor momentum: Mbc of false tags keeps its shape.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fei_lite.candidates import CandidateTable
from fei_lite.channels import Channel, ChannelSet
from fei_lite.errors import ModelSetError
from fei_lite.kernels import first_look as kernels
from fei_lite.reconstruction.classifiers import BoundedForest, Classifiers
from fei_lite.reconstruction.pool import Pool

Floats = NDArray[np.float64]

#: In the order of the models.
FEATURES = ("particle", "channel", "preCut_rank", "nDaughters", "logProduct", "logOddsWorst", "logOddsSecond",
            "logOddsFirst", "leastE", "deltaE", "dM", "Q", "p")
#: Number of those before ``logProduct``, which the kernel does not fill.
_OWN = FEATURES.index("logProduct")


@dataclass(frozen=True)
class FirstLook:
    """Which combinations a reconstruction goes on with.

    ``forests`` by stage (a stage without one keeps all); combinations, and tag candidates after their channel's
    classifier, have to be right with more than the probability ``least``. ``min_product`` (by channel): where the
    product of the daughters' probabilities is not above it hardly a combination would come through, and none is made.
    """

    forests: Mapping[int, BoundedForest]
    least: float
    min_product: Mapping[str, float] = field(default_factory=dict)

    def bound(self, channel: Channel) -> float:
        """What the product of the daughters' probabilities has to exceed; negative if nothing."""
        return self.min_product.get(channel.identifier, -1.0)

    def passes(self, stage: int, X: Floats) -> NDArray[np.bool_]:
        """Combinations (n,) of a stage to go on with, by their features (n, :data:`FEATURES`)."""
        forest = self.forests.get(stage)
        if forest is None:
            return np.ones(len(X), dtype=bool)
        return np.asarray(forest.predict(X, above=self.least) > self.least)


def first_look_of(models: Classifiers, level: int | None = None) -> FirstLook | None:
    """The first look of a model set at a level: 1 is the slowest, 0 none at all (None); without one, the set's own.

    Classifiers that are no model set may have none. Raises :class:`ModelSetError` for a level that the set does not
    have, or forests of other features.
    """
    level = getattr(models, "speed", 0) if level is None else level
    if level == 0:
        return None
    levels, source = getattr(models, "levels", ()), getattr(models, "source", type(models).__name__)
    if not 0 < level <= len(levels):
        has = f"it has levels 1 to {len(levels)}, and 0 for none" if levels else "it has no first look"
        raise ModelSetError(f"{source}: speed {level}: {has}. fei-lite train EVENTS --first-look SET -o NEW adds one "
                            "to a set.")
    forests = getattr(models, "first_look", {})
    for stage, forest in forests.items():
        if tuple(forest.features) != FEATURES:
            raise ModelSetError(f"{forest.source}: the first look of stage {stage} has features that this fei-lite "
                                "does not know. Add it anew (fei-lite train --first-look), or use the fei-lite that "
                                "did.")
    chosen = levels[level - 1]
    return FirstLook(forests, float(chosen["least"]), chosen["min_product"])


def first_features(table: CandidateTable, names: tuple[str, ...], channel: Channel, channel_set: ChannelSet,
                   pool: Pool) -> Floats:
    """:data:`FEATURES` (n, 13) of the combinations of a channel; ``names`` are the tables of its daughters."""
    config = channel_set.particles[channel.particle]
    out = np.empty((len(table), len(FEATURES)))
    out[:, 0] = list(channel_set.particles).index(channel.particle)
    out[:, 1], out[:, 2], out[:, 3] = channel.index, table["preCut_rank"], len(names)
    start = np.array([pool.start[pool.tables[name]] for name in names], dtype=np.int64)
    kernels.fill(np.ascontiguousarray(table["daughters"]), start, table.event_index, pool.p4_cms, pool.probability,
                 pool.mass, pool.sqrt_s, config.mass, channel.particle in channel_set.tags, out[:, _OWN:])
    return out
