"""Samples of candidates for training: bounded memory, the prior kept by weights.

A channel may have 10^8 background candidates and 10^3 signal ones. Each class
keeps at most ``cap`` of them, chosen at random but repeatably, and the kept
ones stand for all: their weights are scaled to the sum of the class. Heavy
candidates are preferred, so that the kept ones weigh about the same and a cap of
100 000 is worth 100 000 (of events enriched in rare decays, which have weights
from 0.01 to 25, a choice blind to the weight would be worth a third of that). So are
candidates that are said to matter more (``relevance``): their smaller weights undo it.

Features are stored as float32, which halves the memory. Thresholds lie halfway
between neighbouring training values, so that a value and its float32 rounding
(6e-8 relative) fall on the same side; the reconstruction stays in float64.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fei_lite.array_files import Shape, read_arrays
from fei_lite.errors import FeiLiteError
from fei_lite.outputs import atomic_output

Floats = NDArray[np.float64]
#: Features (n, n_features) float64, truth (n,), weights (n,): what ``fit_channel`` takes.
SampleArrays = tuple[Floats, NDArray[np.bool_], Floats]

#: Candidates of a channel from one batch: features, truth, weight, held out.
Rows = tuple[Floats, NDArray[np.int8], Floats, NDArray[np.bool_]]

#: One event in so many is held out; it fits no channel's classifier and measures what was fitted.
VALIDATION_EVERY = 5

FORMAT_VERSION = 3

#: The arrays of a class in a file, and how many axes they have.
_STATE = {"key": 1, "X": 2, "weight": 1, "size": 1, "n_seen": 0, "weight_seen": 0, "limit": 0}


def held_out(number: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether an event fits no channel's classifier, by its number in all samples."""
    held: NDArray[np.bool_] = number % VALIDATION_EVERY == VALIDATION_EVERY - 1
    return held


class ClassSample:
    """A random subset, without replacement, of one class: at most ``cap`` candidates.

    Candidate k of the class gets a uniform number hashed from (seed, k); divided by
    its size (weight times relevance) it is the candidate's key, and the ``cap`` smallest keys stay.
    Weights of those of a size below 1 / (largest key kept) are raised by that ratio, which is right on
    average (priority sampling: Duffield, Lund, Thorup, J. ACM 54 (2007) 32). The result depends on the order of
    the candidates, not on how they were divided into batches. Memory: up to 1.25
    ``cap`` candidates.
    """

    def __init__(self, *, n_features: int, cap: int, seed: int) -> None:
        self.n_features = n_features
        self.cap = cap
        self.seed = seed
        self.n_seen = 0
        self.weight_seen = 0.0
        self._limit = np.inf  # keys above it cannot stay
        self._parts: list[tuple[Floats, NDArray[np.float32], Floats, Floats]] = []  # key, X, weight, size
        self._n_stored = 0

    def __len__(self) -> int:
        return min(self._n_stored, self.cap)

    def add(self, X: NDArray[Any], weight: Floats, relevance: Floats | None = None) -> None:
        """Offer candidates (n, n_features) with weights (n,), and how much each matters (n,) (default: 1)."""
        size = weight if relevance is None else weight * relevance
        number = hashed(np.arange(self.n_seen, self.n_seen + len(weight), dtype=np.uint64), seed=self.seed)
        key = (number.astype(np.float64) + 0.5) / 2.0**64 / size
        self.n_seen += len(weight)
        self.weight_seen += float(np.sum(weight))
        rows = np.flatnonzero(key <= self._limit)
        if not len(rows):
            return
        with np.errstate(over="ignore", under="ignore"):  # beyond float32: infinite, or zero
            self._parts.append((key[rows], X[rows].astype(np.float32), weight[rows], size[rows]))
        self._n_stored += len(rows)
        if self._n_stored > self.cap + max(self.cap // 4, 1):
            self._reduce()

    def kept(self) -> tuple[NDArray[np.float32], Floats]:
        """Features and scaled weights of the kept candidates, in the order they came."""
        _, X, weight, size = self._reduce()
        if len(weight):
            weight = weight * np.maximum(1.0, 1.0 / (self._limit * size))
            weight = weight * (self.weight_seen / weight.sum())
        return X, weight

    def state(self) -> dict[str, NDArray[Any]]:
        """Everything needed to go on later, as arrays."""
        key, X, weight, size = self._reduce()
        return {"key": key, "X": X, "weight": weight, "size": size, "n_seen": np.array(self.n_seen),
                "weight_seen": np.array(self.weight_seen), "limit": np.array(self._limit)}

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Undo :meth:`state`."""
        self._parts = [(state["key"], state["X"], state["weight"], state["size"])]
        self._n_stored = len(state["key"])
        self.n_seen, self.weight_seen = int(state["n_seen"]), float(state["weight_seen"])
        self._limit = float(state["limit"])

    def _reduce(self) -> tuple[Floats, NDArray[np.float32], Floats, Floats]:
        """Drop what is beyond the cap and store the rest as one part."""
        if not self._parts:
            return (np.empty(0), np.empty((0, self.n_features), np.float32), np.empty(0), np.empty(0))
        key = np.concatenate([part[0] for part in self._parts])
        rows = np.arange(len(key))
        if len(key) > self.cap:
            rows = np.sort(np.argpartition(key, self.cap - 1)[:self.cap])
            self._limit = float(key[rows].max())
        X = np.concatenate([part[1] for part in self._parts])[rows]
        weight, size = (np.concatenate([part[i] for part in self._parts])[rows] for i in (2, 3))
        part = (key[rows], X, weight, size)
        self._parts = [part]
        self._n_stored = len(rows)
        return part


class ChannelSample:
    """Training and validation sample of one channel, filled batch by batch.

    ``cap`` bounds each class of the training sample, ``validation_cap`` (default
    half of it) each class of the validation sample. All batches of an event file
    have to come in the same order for the same result.
    """

    def __init__(self, n_features: int, *, seed: int, cap: int = 100_000, validation_cap: int | None = None) -> None:
        if validation_cap is None:
            validation_cap = max(cap // 2, 1)
        if cap < 1 or validation_cap < 1:
            raise FeiLiteError(f"cap: got {cap} and {validation_cap} (validation); expected 1 or more.")
        self.n_features = n_features
        self.seed = seed
        self._classes = {
            (held, signal): ClassSample(n_features=n_features, cap=validation_cap if held else cap,
                                        seed=4 * seed + 2 * held + signal)
            for held in (False, True) for signal in (False, True)}

    def add(self, X: ArrayLike, y: ArrayLike, weight: ArrayLike, is_validation: ArrayLike,
            relevance: Floats | None = None) -> None:
        """Offer candidates: features (n, n_features), truth, weights and part (n,).

        Where a class has too many, those of larger ``relevance`` (n,) are kept more often.
        The part must be chosen per event, never per candidate: candidates of one
        event resemble each other, and the validation would not be independent.
        """
        X, w = np.asarray(X), np.asarray(weight, dtype=np.float64)
        signal, held = np.asarray(y) > 0.5, np.asarray(is_validation, dtype=bool)
        if X.shape != (len(w), self.n_features) or signal.shape != w.shape or held.shape != w.shape:
            raise FeiLiteError(f"sample: got shapes {X.shape}, {signal.shape}, {w.shape}, {held.shape} of X, y, weight "
                               f"and is_validation; expected (n, {self.n_features}) and three times (n,).")
        if not np.all(np.isfinite(w) & (w > 0.0)):
            raise FeiLiteError("sample: weights must be positive and finite; leave other events out.")
        for (in_validation, is_signal), part in self._classes.items():
            rows = np.flatnonzero((held == in_validation) & (signal == is_signal))
            part.add(X[rows], w[rows], None if relevance is None else relevance[rows])

    def arrays(self) -> tuple[SampleArrays, SampleArrays]:
        """Training and validation sample, each (X, y, weight); background first."""
        return self._merged(False), self._merged(True)

    def counts(self) -> dict[str, dict[str, float]]:
        """Candidates seen and kept, and the weight seen, per part and class (for the manifest)."""
        return {f"{'validation' if held else 'training'} {'signal' if signal else 'background'}":
                {"seen": part.n_seen, "kept": len(part), "weight": part.weight_seen}
                for (held, signal), part in self._classes.items()}

    def save(self, path: str | Path, *, force: bool = True) -> None:
        """Write the state (NumPy's npz), whole or not at all, to go on with :meth:`load`."""
        arrays: dict[str, Any] = {"header": np.array([FORMAT_VERSION, self.n_features, self.seed], np.int64)}
        for (held, signal), part in self._classes.items():
            arrays[f"cap_{held:d}{signal:d}"] = np.int64(part.cap)
            arrays |= {f"{key}_{held:d}{signal:d}": value for key, value in part.state().items()}
        with atomic_output(path, force=force) as temporary, temporary.open("wb") as file:
            np.savez(file, **arrays)

    @classmethod
    def load(cls, path: str | Path) -> ChannelSample:
        """Read what :meth:`save` wrote. Raises :class:`FeiLiteError` for another or damaged file."""
        classes = [f"{held:d}{signal:d}" for held in (False, True) for signal in (False, True)]
        expected: dict[str, Shape] = {"header": (3,), **{f"cap_{of}": () for of in classes}}
        expected |= {f"{key}_{of}": (f"kept_{of}", "features")[:n] for of in classes for key, n in _STATE.items()}
        try:
            arrays = read_arrays(path, expected, undefined=[f"{key}_{of}" for key in ("X", "limit") for of in classes])
        except FeiLiteError as error:
            raise FeiLiteError(f"{error} It is not a saved training sample: delete it and run the stage "
                               "again.") from None
        version, n_features, seed = (int(number) for number in arrays["header"])
        if version != FORMAT_VERSION:
            raise FeiLiteError(f"{path}: sample format {version}, this fei-lite reads {FORMAT_VERSION}; "
                               "run the stage again.")
        if any(int(arrays[f"cap_{of}"]) < 1 or int(arrays[f"n_seen_{of}"]) < 0 for of in classes) or any(
                arrays[f"X_{of}"].shape[1] != n_features for of in classes) or arrays["header"].dtype.kind != "i":
            raise FeiLiteError(f"{path}: numbers that no training sample has. Delete it and run the stage again.")
        sample = cls(n_features, seed=seed, cap=int(arrays["cap_00"]), validation_cap=int(arrays["cap_10"]))
        for (held, signal), part in sample._classes.items():
            part.restore({key: arrays[f"{key}_{held:d}{signal:d}"] for key in _STATE})
        return sample

    def _merged(self, held: bool) -> SampleArrays:
        parts = [self._classes[held, signal].kept() for signal in (False, True)]
        X = np.concatenate([part[0] for part in parts]).astype(np.float64)
        y = np.repeat([False, True], [len(part[1]) for part in parts])
        return X, y, np.concatenate([part[1] for part in parts])


def hashed(number: NDArray[np.uint64], *, seed: int) -> NDArray[np.uint64]:
    """Hash of (seed, number), uniform on 64 bits: the finaliser of SplitMix64.

    Steele, Lea, Flood, OOPSLA 2014. Seed 0 gives the published sequence; the seed
    is hashed too, so that neighbouring seeds give unrelated sequences.

    >>> hex(hashed(np.array([0], dtype=np.uint64), seed=0)[0])
    '0xe220a8397b1dcdaf'
    """
    start = _mix(np.array([seed], dtype=np.int64).astype(np.uint64))
    return _mix(start + (number + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15))


def _mix(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
