"""The definition of mcErrors, recursively, on sets of generated particles: slow and plain.

Also: batches of events from decay trees, written by hand or grown at random.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from fei_lite.events import EventBatch, Jagged

#: Status of the photons that nobody misses.
FSR, PHOTOS = 1 | 128, 1 | 256
FINAL = {11, 12, 13, 14, 16, 22, 130, 211, 310, 321, 2112, 2212}


@dataclass(eq=False)
class Gen:
    """A generated particle with its daughters."""

    pdg: int
    daughters: list[Gen] = field(default_factory=list)
    status: int = 1
    mother: Gen | None = None
    row: int = -1

    def __post_init__(self) -> None:
        for daughter in self.daughters:
            daughter.mother = self

    @property
    def primary(self) -> bool:
        return bool(self.status & 1)

    def line(self) -> list[Gen]:
        """The particle and all above it."""
        return [self, *(self.mother.line() if self.mother else [])]

    def below(self) -> list[Gen]:
        return [self, *(p for d in self.daughters for p in d.below())]

    def ingredients(self) -> list[Gen]:
        """What should be reconstructed of it."""
        if abs(self.pdg) in FINAL:
            return []
        return [p for d in self.daughters for p in [d, *d.ingredients()]]


@dataclass
class Cand:
    """A candidate: ``pdg`` is what it claims; leaves have ``match``, composites ``daughters``."""

    pdg: int
    match: Gen | None = None
    daughters: Sequence[Cand] = ()
    either: bool = False

    def leaves(self) -> list[Cand]:
        return [x for d in self.daughters for x in d.leaves()] if self.daughters else [self]


def stands_for(leaf: Cand) -> Gen | None:
    """The first primary above a leaf's secondary of the wrong species, else what it is matched to."""
    if leaf.match is None or leaf.match.pdg == leaf.pdg or leaf.match.primary:
        return leaf.match
    return next((p for p in leaf.match.line() if p.primary), None)


def particle_of(cand: Cand) -> Gen | None:
    if not cand.daughters:
        return cand.match
    found = [particle_of(d) for d in cand.daughters]
    if any(p is None for p in found):
        return None
    if len(found) == 1:  # the one daughter is not the particle itself
        return found[0].mother
    return next((a for a in found[0].line() if all(a in p.line() for p in found)), None)


def matched(cand: Cand) -> set[Gen]:
    """All particles matched by a candidate and what it is made of."""
    own = particle_of(cand)
    result = {own} if own else set()
    for daughter in cand.daughters:
        result |= matched(daughter)
    stand = stands_for(cand) if not cand.daughters else None
    if stand is not None:
        line = cand.match.line()
        result |= set(line[: line.index(stand) + 1])
    return result


def errors_of(cand: Cand) -> int:
    own = particle_of(cand)
    if own is None:
        return 512
    if not cand.daughters:
        if own.pdg == cand.pdg:
            return 0
        if own.primary:
            return 128
        stand = stands_for(cand)
        return 4 | (512 if stand is None else 128 if stand.pdg != cand.pdg else 0)
    bits = 0 if own.pdg == cand.pdg or (cand.either and own.pdg == -cand.pdg) else 256
    for daughter in cand.daughters:
        bits |= errors_of(daughter) & (4 | 128 | 256 | 512)
    for i, one in enumerate(cand.daughters):
        for other in cand.daughters[:i]:
            if any(abs(p.pdg) in FINAL for p in matched(one) & matched(other)):
                bits |= 256
    used = set().union(*(matched(d) for d in cand.daughters))
    for missed in own.ingredients():
        if missed in used:
            continue
        code = abs(missed.pdg)
        if code not in FINAL:
            bits |= 2
        elif code == 22:
            bits |= 1 if missed.status & 128 else 1024 if missed.status & 256 else 16
        elif code in (12, 14, 16):
            bits |= 8
        else:
            bits |= 96 if code == 130 else 32
    return bits


def is_signal(cand: Cand) -> bool:
    return particle_of(cand) is not None and errors_of(cand) & ~(1 | 2 | 1024) == 0


def _jagged(lists: list[list[dict]], types: dict[str, str]) -> Jagged:
    offsets = np.concatenate([[0], np.cumsum([len(x) for x in lists])]).astype(np.int64)
    return Jagged(offsets, {n: np.array([o[n] for x in lists for o in x], dtype=t) for n, t in types.items()})


def make_batch(roots: list[list[Gen]], tracks: list[list[tuple[int, Gen | None]]],
               clusters: list[list[Gen | None]], v0s: list[list[tuple[int, int, int]]] | None = None) -> EventBatch:
    """A batch from, per event: roots, tracks (charge, particle), clusters, V0s (pdg, positive, negative)."""
    generated: list[list[dict]] = []
    row = 0
    for event in roots:
        particles = [p for root in event for p in root.below()]
        first, numbers = row, {id(p): i for i, p in enumerate(particles)}
        for p in particles:
            p.row, row = row, row + 1
        assert row - first == len(particles)
        generated.append([{"pdg": p.pdg, "status": p.status, "mother": numbers[id(p.mother)] if p.mother else -1}
                          for p in particles])
    gen = _jagged(generated, {"pdg": "i4", "mother": "i4", "status": "i4"})

    def index(event: int, p: Gen | None) -> int:
        return -1 if p is None else p.row - int(gen.offsets[event])

    return EventBatch(
        {"event": np.arange(len(roots))},
        _jagged([[{"charge": q, "mc_index": index(e, p)} for q, p in x] for e, x in enumerate(tracks)],
                {"charge": "i1", "mc_index": "i4"}),
        _jagged([[{"mc_index": index(e, p)} for p in x] for e, x in enumerate(clusters)], {"mc_index": "i4"}),
        _jagged([[] for _ in roots], {"mc_index": "i4"}),
        _jagged([[dict(zip(("pdg", "positive_index", "negative_index"), v, strict=True)) for v in x]
                 for x in v0s or [[] for _ in roots]],
                {"pdg": "i4", "positive_index": "i4", "negative_index": "i4"}),
        gen)


def charge_of(pdg):
    return int(np.sign(pdg)) * (-1 if abs(pdg) in (11, 13) else 1)


# --- random events ---

DECAYS = {
    300553: [(521, -521), (511, -511)],
    521: [(-421, 211), (-421, 213), (-421, 211, 111), (-423, 211), (-421, -13, 14)],
    511: [(-411, 211), (-411, 211, 211, -211), (-411, 20213), (-421, 111), (-411, 130, 321)],
    423: [(421, 111), (421, 22)],
    421: [(-321, 211), (-321, 211, 111), (310, 211, -211), (-321, 321), (-321, 213), (130, 111), (-2, 2, 310)],
    411: [(-321, 211, 211), (310, 211), (-313, 211), (310, -11, 12)],
    213: [(211, 111)], 20213: [(113, 211), (213, 111)], 113: [(211, -211)], 313: [(321, -211)],
    111: [(22, 22), (22, 22), (22, 11, -11)], 310: [(211, -211), (111, 111)],
}
SELF_CONJUGATE = {111, 310, 113, 22, 130, 300553}


def grow(code, rng):
    """A random decay, with radiation and secondaries."""
    modes = DECAYS.get(abs(code))
    if modes is None:
        if abs(code) in (211, 321) and rng.random() < 0.1:
            sign = 1 if code > 0 else -1
            return Gen(code, [Gen(-13 * sign, [Gen(-11 * sign, status=0)], status=0), Gen(14 * sign, status=0)])
        if code == 22 and rng.random() < 0.1:
            return Gen(22, [Gen(11, status=0), Gen(-11, status=0)])
        return Gen(code)
    sign = -1 if code < 0 else 1
    products = modes[rng.integers(len(modes))]
    daughters = [grow(p if p in SELF_CONJUGATE else sign * p, rng) for p in products]
    if rng.random() < 0.15:
        daughters.append(Gen(22, status=int(rng.choice([FSR, PHOTOS, 1]))))
    return Gen(code, daughters)


def detected(root, rng):
    """Random tracks and clusters of an event: lost, unmatched and cloned ones among them."""
    tracks, clusters = [], []
    for p in root.below():
        copies = rng.choice([0, 1, 2], p=[0.1, 0.8, 0.1])
        if abs(p.pdg) in (11, 13, 211, 321, 2212) and (p.primary or rng.random() < 0.7):
            tracks += [(charge_of(p.pdg), p)] * copies
        elif p.pdg == 22:
            clusters += [p] * copies
    return [*tracks, (1, None), (-1, None)], [*clusters, None]
