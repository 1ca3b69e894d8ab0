"""The combination of two channels against the same with awkward arrays.

The plain version makes the whole product of the daughters (``ak.combinations`` and
``ak.cartesian``), drops what shares a track or cluster, sums momenta, cuts and
keeps the best. Both must find the same candidates in the same order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fei_lite.benchmarks.timing import best_seconds
from fei_lite.channels import Channel, ChannelSet, ParticleConfig, load_channel_set
from fei_lite.channels.cut_strings import intervals
from fei_lite.classifiers.model_set import ModelSet
from fei_lite.errors import FeiLiteError
from fei_lite.events import EventBatch, offsets_of
from fei_lite.reconstruction.combination import Slots, combine_channel, slots_of
from fei_lite.reconstruction.engine import ReconstructionOptions, reconstruct
from fei_lite.reconstruction.pool import Pool

#: Channels of the default set that are compared.
COMPARED = (("D0", ("K-", "pi+", "pi0")), ("B+", ("anti-D0", "pi+", "pi+", "pi-")))


@dataclass(frozen=True)
class CombinationSpeed:
    """Time per event (us) of one channel, both ways, their ratio, and the number of candidates."""

    channel: str
    candidates: int
    us_per_event: float
    awkward_us_per_event: float
    ratio: float


def combination_speeds(batch: EventBatch, channel_set: ChannelSet, models: ModelSet) -> list[CombinationSpeed]:
    """Time the compared channels on the daughters that the reconstruction leaves.

    Raises FeiLiteError if the two ways do not give the same candidates.
    """
    default = load_channel_set("hadronic")
    result = reconstruct(batch, channel_set, models, options=ReconstructionOptions(
        with_truth=False, last_stage=channel_set.particles["D0"].stage))
    pool = Pool(batch)
    pool.add(list(result.tables.values()))
    speeds = []
    for particle, daughters in COMPARED:
        config = default.particles[particle]
        channel = next(c for c in config.channels if c.daughters == daughters)
        speeds.append(compare(channel, config, pool))
    return speeds


def compare(channel: Channel, config: ParticleConfig, pool: Pool) -> CombinationSpeed:
    """Check that one channel's candidates are the same both ways, and time it."""
    table, _, _ = combine_channel(channel, config, pool=pool)
    start = np.array([pool.start[t] for t in slots_of(channel, pool).table])
    ours = np.column_stack([table.event_index, table["sign"], table["daughters"] + start])
    theirs = combine_with_awkward(channel, config, pool)
    if not np.array_equal(ours, theirs):
        raise FeiLiteError(f"benchmark: {channel.text}: {len(ours)} candidates, {len(theirs)} with awkward arrays, "
                           "and they are not the same.")
    n = pool.offsets.shape[1] - 1
    fast = best_seconds(lambda: combine_channel(channel, config, pool=pool))
    slow = best_seconds(lambda: combine_with_awkward(channel, config, pool), repeat=2)
    return CombinationSpeed(channel.text, len(ours), 1e6 * fast / n, 1e6 * slow / n, slow / fast)


def combine_with_awkward(channel: Channel, config: ParticleConfig, pool: Pool) -> NDArray[np.int64]:
    """(event, sign, pool row of each daughter) of the best candidates, in the kernel's order."""
    slots = slots_of(channel, pool)
    found = [_one_sign(slots, channel, config, pool, sign) for sign in (1, -1)]
    table = np.concatenate(found)
    # by event, then sign; the rank is the order within
    return table[np.lexsort((-table[:, 1], table[:, 0]))]


def _one_sign(slots: Slots, channel: Channel, config: ParticleConfig, pool: Pool, sign: int) -> NDArray[np.int64]:
    import awkward as ak

    event, rows = _product(slots, pool, sign)
    used = pool.used[rows[0]]
    free = np.ones(len(event), bool)
    for r in rows[1:]:
        free &= ~np.any(used & pool.used[r], axis=1)
        used = used | pool.used[r]
    event, rows = event[free], [r[free] for r in rows]
    total, probability = pool.p4_cms[rows[0]], pool.probability[rows[0]]
    for r in rows[1:]:
        total, probability = total + pool.p4_cms[r], probability * pool.probability[r]
    values = _variables(total, probability, pool.sqrt_s[event], config.mass)
    inside = np.ones(len(event), bool)
    for window in intervals(channel.cuts).values():
        value = values[window.variable]
        inside &= (value > window.low) & (value < window.high)
    n_events = pool.offsets.shape[1] - 1
    table = np.column_stack([event, np.full(len(event), sign), *rows])[inside]
    counts = np.bincount(event[inside], minlength=n_events)
    order = ak.argsort(ak.unflatten(values[config.rank_by][inside], counts), axis=1,
                       ascending=not config.rank_highest, stable=True)[:, :config.best_pre]
    first = offsets_of(counts)[:-1]
    best: NDArray[np.int64] = table[ak.to_numpy(ak.flatten(order + first))]
    return best


def _product(slots: Slots, pool: Pool, sign: int) -> tuple[NDArray[np.int64], list[NDArray[np.int64]]]:
    """Every choice of daughters: its event, and the pool row of each daughter."""
    import awkward as ak

    groups: list[tuple[object, int]] = []
    for j, table in enumerate(slots.table):
        if slots.same_as[j] >= 0:  # equal daughters are chosen together
            groups[-1] = (groups[-1][0], groups[-1][1] + 1)
            continue
        offsets = pool.offsets[table]
        rows = np.arange(offsets[0], offsets[-1])
        fits = (pool.sign[rows] == slots.sign[j] * sign) | (pool.sign[rows] == 0) | (slots.sign[j] == 0)
        groups.append((ak.unflatten(rows, np.diff(offsets))[ak.unflatten(fits, np.diff(offsets))], 1))
    lists = [rows if n == 1 else ak.combinations(rows, n, axis=1) for rows, n in groups]
    product = ak.cartesian(lists, axis=1)
    columns: list[NDArray[np.int64]] = []
    for part, (_, n) in zip(ak.unzip(product), groups, strict=True):
        fields: Sequence[object] = [part] if n == 1 else ak.unzip(part)
        columns += [ak.to_numpy(ak.flatten(field)) for field in fields]
    return np.repeat(np.arange(len(product)), ak.to_numpy(ak.num(product, axis=1))), columns


def _variables(total: NDArray[np.float64], probability: NDArray[np.float64], sqrt_s: NDArray[np.float64],
               mass: float) -> dict[str, NDArray[np.float64]]:
    """The variables that the compared channels cut on and rank by."""
    p2 = total[:, 0] * total[:, 0] + total[:, 1] * total[:, 1] + total[:, 2] * total[:, 2]
    m = np.sqrt(np.maximum(total[:, 3] * total[:, 3] - p2, 0.0))
    mbc2 = 0.25 * sqrt_s * sqrt_s - p2
    delta = total[:, 3] - 0.5 * sqrt_s
    return {"M": m, "abs(dM)": np.abs(m - mass), "Mbc": np.sqrt(np.where(mbc2 > 0.0, mbc2, np.nan)),
            "deltaE": delta, "abs(deltaE)": np.abs(delta), "daughterProductOf(SignalProbability)": probability}
