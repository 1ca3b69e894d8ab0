"""Boosts of decay modes from counted decays: which modes to draw more often, so that rare channels have enough.

A mode of generic probability p that is drawn s times per event has weight 2 p / s, and a
channel with rates c has N = (sum p c)^2 / sum (p^2 c / s) decays of equal weight per event.
The sum of N^-3/4 over the channels is minimised.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.array_files import read_arrays
from fei_lite.channels.model import Channel, ChannelSet
from fei_lite.errors import SimulationError
from fei_lite.generator import enrichment
from fei_lite.generator.decay_table import belle2_table, fragments, require_modes, table_hash
from fei_lite.production.enrichment_rates.counting import ENRICHED, PROCESSES, Channels, Lines

#: Wanted true complete decays of D, D_s, Lambda_c ... per channel, in how many events of each B type.
WANTED, EVENTS = 2000, 1_500_000
#: Channels with that many are not kept more often than others if this fraction is enough.
LEAST_KEPT = 0.03
#: Boost of J/psi -> l+ l-: a third of its decays.
LEPTONS = 4.0
#: Boosts relative to the generic mode: powers of two in this range, 0 below.
EXPONENTS = (-3, 12)

#: What :func:`~fei_lite.production.enrichment_rates.counting.count_decays` returned, of several samples by name.
Counts = Mapping[str, Mapping[str, NDArray]]


def _rates(counts: Counts, code: int) -> tuple[NDArray, ...]:
    """Complete decays per decay of a B by its modes and channels, generic ones, and those to be found.

    In enriched events the decays of D_s+, Lambda_c+ and J/psi are enriched as well: the first are from the samples that
    were counted with such (``--decays``), where there are any.
    """
    parts = [part for name, part in counts.items() if name.startswith(f"{PROCESSES[code]}_")]
    if not parts:
        raise SimulationError(f"no sample of process '{PROCESSES[code]}' was counted: boosts need both B types.")
    lines = Lines(code).line
    enriched = [part for part in parts if not np.array_equal(part["counts"], part["weighted"])]

    def per_decay(name: str, some: Sequence[Mapping[str, NDArray]]) -> NDArray:
        norm = np.maximum(sum(part["decays"] for part in some), 1)
        return np.asarray((sum(part[name] for part in some) / norm[:, None])[lines])

    return per_decay("counts", enriched or parts), per_decay("weighted", parts), per_decay("found", parts)


def _fractions(code: int) -> NDArray:
    """Fractions of a particle's modes in the table, normalised."""
    found = np.array([mode.fraction for mode in require_modes(belle2_table(), code)])
    return np.asarray(found / found.sum())


def decay_boosts(counts: Counts, code: int) -> NDArray:
    """Boosts of the modes of a particle whose every decay is enriched: 70 % of the decays stay generic.

    Where some modes are partons, only decays to leptons are boosted: the others cannot be told apart.
    """
    found = np.sum([part[f"decays_{code}"] for part in counts.values()], axis=0)
    modes, p = require_modes(belle2_table(), code), _fractions(code)
    if any(fragments(mode) for mode in modes):
        leptons = [sorted(map(abs, mode.products)) in ([11, 11], [13, 13]) for mode in modes]
        return np.where(leptons, LEPTONS, 1.0)
    products = [tuple(sorted(mode.products)) for mode in modes]
    first = np.array([products.index(mine) for mine in products])
    rate = (found[:, 1:] / np.maximum(found[:, :1], 1))[first]
    q = best_draws({code: p}, {code: rate}, 0.4)[code]
    boosts = 2.0 ** np.round(np.log2(1.0 + 0.3 * q / q.sum() / (0.7 * p)))
    return np.asarray(boosts[first])


def best_draws(p_of: dict[int, NDArray], rate: dict[int, NDArray], generic: float) -> dict[int, NDArray]:
    """Probabilities q (lines,) of the lines of each B for an enriched B, levelling the channels (module's formula).

    s is proportional to the root of p^2 sum(c N^1/4 / (sum p c)^2), but not less than generic B's
    give: so all lines of a channel grow together. ``generic`` is the fraction of generic B's.
    """
    least = {code: (1.0 + generic) * p for code, p in p_of.items()}
    s = {code: 2.0 * p for code, p in p_of.items()}
    usual = sum(p @ rate[code] for code, p in p_of.items())
    used = usual > 0.0
    if not used.any():
        raise SimulationError("boosts: no complete decay of any channel was counted. Count more events.")
    for _ in range(100):
        equal = effective_decays(p_of, s, rate)
        value = np.where(used, equal**0.25 / np.where(used, usual, 1.0) ** 2, 0.0)
        for code, p in p_of.items():
            wish = p * np.sqrt(rate[code] @ value)
            s[code] = np.sqrt(s[code] * filled(wish, least[code], 2.0))  # damped
            s[code] *= 2.0 / s[code].sum()
    return {code: np.maximum(s[code] - least[code], 0.0) for code in p_of}


def effective_decays(p_of: dict[int, NDArray], s: dict[int, NDArray], rate: dict[int, NDArray]) -> NDArray:
    """Decays of equal weight with the same relative error as each channel's, per event (channels,)."""
    total = sum(p @ rate[code] for code, p in p_of.items())
    squares = sum((p**2 / np.maximum(s[code], 1e-12)) @ rate[code] for code, p in p_of.items())
    return np.asarray(np.divide(total**2, squares, out=np.zeros(len(total)), where=squares > 0.0))


def filled(wish: NDArray, least: NDArray, total: float) -> NDArray:
    """Numbers proportional to ``wish``, none below ``least``, with the sum ``total`` (by bisection)."""
    low, high = 0.0, total / wish.sum()
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if np.maximum(least, middle * wish).sum() < total else (low, middle)
    return np.asarray(np.maximum(least, low * wish))


def boosts_of(p: NDArray, q: NDArray) -> NDArray:
    """Boosts as powers of two."""
    with np.errstate(divide="ignore"):
        exponent = np.round(np.log2(q / p))
    low, high = EXPONENTS
    return np.where(exponent < low, 0.0, 2.0 ** np.clip(exponent, low, high))


@dataclass(frozen=True)
class ChannelRate:
    """True complete decays of a channel in :data:`EVENTS` events of each B type.

    ``generic``, ``enriched``, those of them that a detector finds, about, and as many of equal weight.
    """

    channel: Channel
    generic: float
    enriched: float
    found: float
    effective: float


def find_boosts(channel_set: ChannelSet, counts: Counts, *, command: str) -> tuple[dict[str, Any], list[ChannelRate]]:
    """The content of an enrichment file from counted decays, and the rates of the channels that it gives.

    The counts are those of the set (:func:`read_counts`). Raises :class:`SimulationError` if they lack a B type.
    """
    channels, generic = Channels(channel_set), enrichment.GENERIC_SHARE
    p_of, rate, plain, found = {}, {}, {}, {}
    for code in (511, 521):
        p_of[code] = _fractions(code)
        rate[code], plain[code], found[code] = _rates(counts, code)
    best = best_draws(p_of, found, generic)
    boosts = {code: boosts_of(p_of[code], best[code]) for code in p_of}
    drawn = {}
    for code, p in p_of.items():
        q = p * boosts[code]
        drawn[code] = (1.0 + generic) * p + (1.0 - generic) * q / q.sum()
    usual = np.asarray(sum(2.0 * p @ plain[code] for code, p in p_of.items()))
    expected, to_find = (np.asarray(sum(drawn[code] @ values[code] for code in p_of)) for values in (rate, found))
    equal = effective_decays(p_of, drawn, found)
    rates = [ChannelRate(channel, *(float(x[i]) * EVENTS for x in (usual, expected, to_find, equal)))
             for i, channel in enumerate(channels.channels)]
    data = {
        "name": channel_set.name, "channels": channel_set.decays_hash, "table": table_hash(),
        "decaylanguage": version("decaylanguage"), "pythia8mc": version("pythia8mc"), "command": command,
        "samples": sorted(counts),
        "boosts": {str(code): enrichment.packed(values.tolist()) for code, values in boosts.items()},
        "decays": {str(code): enrichment.packed(decay_boosts(counts, code).tolist()) for code in ENRICHED},
        "keep": _kept(channels, rates),
        "rate": "true complete decays in a million charged and a million mixed events: generic, enriched",
        "per_million": {r.channel.text: f"{r.generic / EVENTS * 1e6:.0f} {r.enriched / EVENTS * 1e6:.0f}"
                        for r in rates}}
    return data, rates


def _kept(channels: Channels, rates: Sequence[ChannelRate]) -> dict[str, dict[str, float]]:
    """Probability with which events with a decay of a rare channel are kept, by particle and channel."""
    keep: dict[str, dict[str, float]] = {}
    for code, r in zip(channels.codes, rates, strict=True):
        if r.channel.particle not in channels.set.tags and r.found * LEAST_KEPT < WANTED:
            keep.setdefault(str(code), {})[str(r.channel.index)] = round(min(1.0, WANTED / max(r.found, 1.0)), 3)
    return keep


def read_counts(folder: Path, channels: Channels) -> dict[str, Mapping[str, NDArray]]:
    """Counted samples of a folder by name (``charged_11``), checked against table and channels.

    Raises :class:`SimulationError` if there is none, or if one is damaged or of other channels.
    """
    found: dict[str, Mapping[str, NDArray]] = {}
    codes = {process: code for code, process in PROCESSES.items()}
    n = len(channels.channels)
    for path in sorted(folder.glob("*.npz")):
        process = path.stem.partition("_")[0]
        if process not in codes:
            raise SimulationError(f"{path}: the name of no counted sample: expected {' or '.join(codes)}, _ and a "
                                  "seed.")
        size = len(Lines(codes[process]).modes)
        found[path.stem] = read_arrays(path, {
            "decays": (size,), "counts": (size, "n"), "weighted": (size, "n"), "found": (size, "n"),
            **{f"decays_{code}": (len(require_modes(belle2_table(), code)), "1 + n") for code in ENRICHED}},
            error=SimulationError)
        counted = found[path.stem]["counts"].shape[1]
        if not counted == n == found[path.stem][f"decays_{ENRICHED[0]}"].shape[1] - 1:
            raise SimulationError(f"{path}: counts of {counted} channels, channel set '{channels.set.name}' has {n}. "
                                  "Count again.")
        for name, values in found[path.stem].items():
            if np.any(values < 0.0):
                raise SimulationError(f"{path}: {name}: got {values.min():g}, expected counts of 0 or more.")
        if not found[path.stem]["counts"].any():
            raise SimulationError(f"{path}: no decay of any channel was counted.")
    if not found:
        raise SimulationError(f"{folder}: no counted sample (*.npz). Make some with fei-lite enrich count.")
    return found
