"""Can another model choose the right Btag of an event more often than the tag classifier's forest?

    python scripts/compare_rankings.py --train charged_161.root mixed_171.root --test charged_162.root mixed_172.root

Every tag candidate of the events, with the features of the tag classifier; per event one is chosen: by the set's
forest, by forests that go on from it (as it was fitted, and by LightGBM's lambdarank), by lambdarank alone, and, where
JAX is installed, by a network in which the candidates of an event attend to each other. All of them learn from the
events of --train, B Bbar events that the set was not trained on, and are compared on those of --test. Prints how often
the choice is right, and the ratio to the set's forest on the same events. Features are kept in FOLDER.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from fei_lite.channels import ChannelSet, load_channel_set
from fei_lite.classifiers.model_set import ModelSet, load_model_set
from fei_lite.events.ranges import EntryRange, entry_ranges, read_range
from fei_lite.fractions import Measured
from fei_lite.parallel import Context, map_in_context
from fei_lite.reconstruction.competing import log_odds
from fei_lite.reconstruction.engine import ReconstructionOptions, reconstruct
from fei_lite.reconstruction.tag_classifier import tag_features

Floats = NDArray[np.float64]
#: Candidates that take part, of each event those that the forest believes most.
KEPT = 16
#: Of the network: numbers per candidate, heads of attention, layers; events per step.
WIDTH, HEADS, LAYERS, BATCH = 48, 4, 2, 256
REPLICAS = 400


@dataclass
class Sample:
    """Candidates in the order of their events: features (n, m), truth, log-odds of the set's forest, weight and number
    of the event (all (n,))."""

    X: NDArray[np.float32]
    truth: NDArray[np.int8]
    score: Floats
    weight: Floats
    event: NDArray[np.int64]

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Candidates of each event."""
        return np.bincount(self.event)

    def select(self, rows: NDArray) -> Sample:
        """Some candidates; events keep their order and get new numbers."""
        event = np.unique(self.event[rows], return_inverse=True)[1]
        return Sample(self.X[rows], self.truth[rows], self.score[rows], self.weight[rows], event)


def read_sample(paths: list[Path], models: str, channels: str, *, kept_in: Path, workers: int) -> Sample:
    """The candidates of event files by the sets of these names, from ``kept_in`` if they are there."""
    if not kept_in.exists():
        context = Context(partial(_sets, models, channels))
        ranges = list(entry_ranges(paths, batch_size=2000))
        parts = [part for part in tqdm(map_in_context(_candidates, ranges, context, workers=workers),
                                       total=len(ranges), unit="chunk") if len(part[0])]
        number = np.cumsum([0, *(part[4].max() + 1 for part in parts)])
        columns = [np.concatenate([part[i] for part in parts]) for i in range(4)]
        np.savez(kept_in, *columns, np.concatenate([part[4] + n for part, n in zip(parts, number, strict=False)]))
    with np.load(kept_in) as arrays:
        X, truth, score, weight, event = (arrays[f"arr_{i}"] for i in range(5))
    order = np.lexsort((-score, event))
    event = event[order]
    place = np.arange(len(event)) - np.searchsorted(event, event)
    return Sample(X[order], truth[order], score[order], weight[order], event).select(np.flatnonzero(place < KEPT))


def _sets(models: str, channels: str) -> tuple[ModelSet, ModelSet, ChannelSet]:
    full = load_model_set(models)
    return full, replace(full, tag_classifier=None, given_bb=None), load_channel_set(channels)


def _candidates(entries: EntryRange, sets: tuple[ModelSet, ModelSet, ChannelSet]) -> tuple[NDArray, ...]:
    """Features, truth, score, weight and event of the candidates in a range of events."""
    full, without, channels = sets
    forest = full.given_bb or full.tag_classifier
    assert forest is not None
    found: list[tuple[NDArray, ...]] = []
    first = 0
    for batch in read_range(entries):
        result = reconstruct(batch, channels, without, options=ReconstructionOptions(with_truth=True))
        tables = [result.tables[name] for name in channels.tags]
        for table, X in zip(tables, tag_features(tables, result.tables, channels, batch), strict=True):
            event = table.event_index
            found.append((X.astype(np.float32), table["isSignal"].astype(np.int8), log_odds(forest.predict(X)),
                          batch.events["weight"][event].astype(np.float64), event + first))
        first += batch.n_events
    return tuple(np.concatenate(columns) for columns in zip(*found, strict=True))


def chosen(sample: Sample, score: Floats) -> NDArray[np.intp]:
    """The row of each event's best candidate."""
    order = np.lexsort((-score, sample.event))
    return order[np.searchsorted(sample.event[order], np.arange(len(sample.sizes)))]


def forests(train: Sample, *, seed: int) -> dict[str, Callable[[Sample], Floats]]:
    """Scores of the forests that are tried."""
    common = {"learning_rate": 0.05, "num_leaves": 15, "max_depth": 6, "min_data_in_leaf": 100, "feature_fraction": 0.5,
              "lambda_l2": 5.0, "verbosity": -1, "seed": seed, "deterministic": True}
    in_turn = np.arange(len(train.sizes)) % 5 == 0
    fit, stop = (train.select(np.flatnonzero(in_turn[train.event] == which)) for which in (False, True))
    found: dict[str, Callable[[Sample], Floats]] = {}
    for name, objective, start in (("its trees and more", "binary", True),
                                   ("its trees and lambdarank", "lambdarank", True),
                                   ("lambdarank alone", "lambdarank", False)):
        ranks = objective == "lambdarank"
        data = [lightgbm.Dataset(part.X, part.truth, weight=part.weight, init_score=part.score if start else None,
                                 group=part.sizes if ranks else None) for part in (fit, stop)]
        more = {"metric": "ndcg", "eval_at": [1], "lambdarank_truncation_level": KEPT} if ranks else {}
        booster = lightgbm.train({**common, **more, "objective": objective}, data[0], num_boost_round=1000,
                                 valid_sets=[data[1]], callbacks=[lightgbm.early_stopping(50, verbose=False)])
        print(f"{name}: {booster.best_iteration} trees")
        found[name] = partial(_of_trees, booster, start)
    return found


def _of_trees(booster: lightgbm.Booster, start: bool, sample: Sample) -> Floats:
    own = np.asarray(booster.predict(sample.X, raw_score=True))
    return own + sample.score if start else own


def attention(train: Sample, *, seed: int) -> Callable[[Sample], Floats]:
    """A network: candidates of an event attend to each other; what it says is added to the forest's log-odds."""
    import jax

    rng = np.random.default_rng(seed)
    finite = np.where(np.isfinite(train.X), train.X, np.nan)
    scale = np.nanmedian(finite, axis=0), np.nanstd(finite, axis=0) + 1e-6
    data = _padded(train, *scale)
    held = np.arange(len(data[0])) % 5 == 0
    fit, stop = ([a[rows] for a in data] for rows in (~held, held))
    parameters = _start(data[0].shape[-1], rng)
    step, evaluate = jax.jit(jax.value_and_grad(_loss)), jax.jit(_loss)
    m, v = ([np.zeros_like(p) for p in parameters] for _ in range(2))
    best, kept, t, since = np.inf, parameters, 0, 0
    while since < 8:  # Adam; ends after eight epochs without gain on held-out events
        order = rng.permutation(len(fit[0]))
        for rows in np.split(order[: len(order) // BATCH * BATCH], len(order) // BATCH):
            t += 1
            gradient = step(parameters, *(a[rows] for a in fit))[1]
            m = [0.9 * a + 0.1 * g for a, g in zip(m, gradient, strict=True)]
            v = [0.999 * a + 0.001 * g * g for a, g in zip(v, gradient, strict=True)]
            parameters = [p - 1e-3 * (a / (1 - 0.9**t)) / ((b / (1 - 0.999**t)) ** 0.5 + 1e-8) - 1e-5 * p
                          for p, a, b in zip(parameters, m, v, strict=True)]
        now = float(np.mean([evaluate(parameters, *(a[rows] for a in stop))
                             for rows in np.array_split(np.arange(len(stop[0])), 20)]))
        best, kept, since = (now, parameters, 0) if now < best else (best, kept, since + 1)
    print(f"attention: loss {best:.5f} on held-out events after {t} steps")
    predict = jax.jit(_network)

    def score_of(sample: Sample) -> Floats:
        x, mask, _, score, _ = _padded(sample, *scale)
        found = np.concatenate([predict(kept, x[rows], mask[rows], score[rows])
                                for rows in np.array_split(np.arange(len(x)), max(len(x) // 4096, 1))])
        return np.asarray(found[mask > 0], dtype=np.float64)

    return score_of


def _padded(sample: Sample, centre: NDArray, spread: NDArray) -> list[NDArray[np.float32]]:
    """Events: features (e, KEPT, m), which of them are there, truth, log-odds (e, KEPT), weight (e,)."""
    x = (np.where(np.isfinite(sample.X), sample.X, np.nan) - centre) / spread
    x = np.concatenate([np.clip(np.nan_to_num(x), -5, 5), np.isnan(x), sample.score[:, None] / 5.0], axis=1)
    n, first = len(sample.sizes), np.searchsorted(sample.event, sample.event)
    place = np.arange(len(x)) - first
    out = [np.zeros((n, KEPT, *more), dtype=np.float32) for more in ((x.shape[1],), (), (), ())]
    for target, values in zip(out, (x, 1.0, sample.truth, sample.score), strict=True):
        target[sample.event, place] = values
    return [*out, sample.weight[np.unique(first)].astype(np.float32)]


def _start(n_in: int, rng: np.random.Generator) -> list[Any]:
    """Matrices of the network before the first step."""
    def matrix(a: int, b: int) -> NDArray[np.float32]:
        return np.asarray(rng.normal(size=(a, b)) / np.sqrt(a), dtype=np.float32)

    found = [matrix(n_in, WIDTH)]
    for _ in range(LAYERS):
        found += [matrix(WIDTH, 3 * WIDTH), matrix(WIDTH, WIDTH), matrix(WIDTH, 2 * WIDTH), matrix(2 * WIDTH, WIDTH)]
    return [*found, np.float32(0.01) * matrix(WIDTH, 1)]


def _network(parameters: list[Any], x: Any, mask: Any, score: Any) -> Any:
    """Log-odds (e, KEPT): the forest's, and what the candidates of the event say of each other."""
    import jax
    import jax.numpy as jnp

    def normed(h: Any) -> Any:
        return (h - h.mean(-1, keepdims=True)) / jnp.sqrt(h.var(-1, keepdims=True) + 1e-5)

    h, rest = x @ parameters[0], iter(parameters[1:])
    for _ in range(LAYERS):
        qkv, out, up, down = (next(rest) for _ in range(4))
        q, k, v = (part.reshape(*part.shape[:-1], HEADS, -1) for part in jnp.split(normed(h) @ qkv, 3, axis=-1))
        weight = jnp.einsum("eihd,ejhd->ehij", q, k) / np.sqrt(WIDTH / HEADS)
        weight = jax.nn.softmax(jnp.where(mask[:, None, None, :] > 0, weight, -1e9), axis=-1)
        h = h + jnp.einsum("ehij,ejhd->eihd", weight, v).reshape(h.shape) @ out
        h = h + jax.nn.gelu(normed(h) @ up) @ down
    return score + (normed(h) @ next(rest))[..., 0]


def _loss(parameters: list[Any], x: Any, mask: Any, truth: Any, score: Any, weight: Any) -> Any:
    """One of the candidates is right, or none: cross-entropy of that choice, "none" has log-odds 0."""
    import jax
    import jax.numpy as jnp

    logits = jnp.where(mask > 0, _network(parameters, x, mask, score), -1e9)
    logits = jnp.concatenate([logits, jnp.zeros_like(logits[:, :1])], axis=1)
    right = jnp.concatenate([truth, (truth.sum(1, keepdims=True) == 0)], axis=1)
    p = jax.nn.logsumexp(jnp.where(right > 0, logits, -1e9), axis=1) - jax.nn.logsumexp(logits, axis=1)
    return -jnp.sum(weight * p) / jnp.sum(weight)


def ratio(right: NDArray, reference: NDArray, weight: Floats, rng: np.random.Generator) -> Measured:
    """Weight of right choices over that of the reference's, with its 68.3 % interval (bootstrap of events)."""
    both = np.stack([right * weight, reference * weight], axis=1)
    drawn = rng.poisson(1.0, (REPLICAS, len(weight))) @ both
    low, high = np.quantile(drawn[:, 0] / drawn[:, 1], [0.1585, 0.8415])
    total = both.sum(axis=0)
    return Measured(float(total[0] / total[1]), float(low), float(high))


def main() -> None:
    """Parse the command line, read, fit, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=Path, nargs="+", required=True)
    parser.add_argument("--test", type=Path, nargs="+", required=True)
    parser.add_argument("--models", default="extended")
    parser.add_argument("--set", default="extended", help="channel set (default: %(default)s)")
    parser.add_argument("--folder", type=Path, default=Path("rankings"))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    train, test = (read_sample(files, arguments.models, arguments.set, kept_in=arguments.folder / f"{name}.npz",
                               workers=arguments.workers)
                   for name, files in (("train", arguments.train), ("test", arguments.test)))
    models: dict[str, Callable[[Sample], Floats]] = {"the set's forest": lambda sample: sample.score}
    models |= forests(train, seed=arguments.seed)
    try:
        models["attention"] = attention(train, seed=arguments.seed)
    except ImportError:
        print("attention: not tried, JAX is not installed (pip install jax)")
    rows = {name: chosen(test, score(test)) for name, score in models.items()}
    reference = rows["the set's forest"]
    weight, has_right = test.weight[reference], np.bincount(test.event, test.truth) > 0
    rng = np.random.default_rng(arguments.seed)
    for name, sample in (("train", train), ("test", test)):
        n = int(np.count_nonzero(np.bincount(sample.event, sample.truth)))
        print(f"{name}: {len(sample.sizes)} events with candidates, {n} with a right one")
    print(f"\n{'':28} {'right of those that can be':>26}   ratio (68.3 %)")
    for name, best in rows.items():
        right = test.truth[best]
        found = ratio(right, test.truth[reference], weight, rng)
        print(f"{name:28} {np.sum(weight * right) / np.sum(weight * has_right):26.3f}   "
              f"{found.value:.3f} [{found.lower:.3f}, {found.upper:.3f}]")


if __name__ == "__main__":
    main()
