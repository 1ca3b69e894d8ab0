"""A decay file as it is simulated: pairs of B's, copies of particles, and what its author should know."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from fei_lite.generator.decay_files.models import TreatedLine, summary
from fei_lite.generator.decay_files.state import Property
from fei_lite.generator.decay_files.statements import Notice
from fei_lite.generator.decay_table import Mode
from fei_lite.generator.pair_sources import Pair

#: The copies' codes keep the last digits of the particle's, its quarks, by which Pythia tells hadrons from
#: other particles; the prefixes are free in PDG's scheme and in Pythia.
_COPY_STEP, _PREFIXES = 10_000, (*range(31, 100), *range(900, 989))
MOST_COPIES = len(_PREFIXES)


def copy_code(number: int, code: int) -> int:
    """Pythia's code of copy ``number`` of a particle.

    >>> copy_code(0, -521), copy_code(69, 20213)
    (310521, 9000213)
    """
    return int(_PREFIXES[number]) * _COPY_STEP + abs(code) % _COPY_STEP


@dataclass(frozen=True)
class Copy:
    """A particle of its own in Pythia that stands for ``code`` (with its sign: a copy has no antiparticle).

    ``definition`` is that of :data:`~fei_lite.generator.particle_names.OWN_DEFINITIONS`, if it has one.
    Without ``modes`` it decays as the table says, or not at all if ``stable``; ``lines`` are those of the modes, 0
    for modes of the table.
    """

    name: str
    code: int
    modes: tuple[Mode, ...] = ()
    lines: tuple[int, ...] = ()
    stable: bool = False
    property: Property | None = None
    definition: tuple[int, int, float, float, float] | None = None


@dataclass(frozen=True)
class SignalDecay:
    """A decay file, read: pairs of B's, copies of particles that decay specially, and what its author should know.

    ``copies`` and ``redefined`` are by Pythia's code, the latter for particles that decay so wherever they
    come from. ``lines`` says of every decay line whether it is followed. ``process`` is what is made: ``signal``, by
    the pairs, or one of the continuum.
    """

    place: str
    text: str
    pairs: tuple[Pair, ...]
    copies: Mapping[int, Copy]
    redefined: Mapping[int, Copy]
    properties: Mapping[int, Property]
    settings: tuple[tuple[int, str], ...]
    radiates: bool
    lines: tuple[TreatedLine, ...]
    notices: tuple[Notice, ...]
    process: str = "signal"

    @property
    def digest(self) -> str:
        """SHA-256 of the text without comments and layout, 16 digits: part of what identifies a sample.

        Comments that add particles (:mod:`~fei_lite.generator.decay_files.added`) count.
        """
        words = (" ".join((line if "add_particle" in line else line.partition("#")[0]).split())
                 for line in self.text.splitlines())
        return hashlib.sha256("\n".join(filter(None, words)).encode()).hexdigest()[:16]

    @property
    def meant(self) -> dict[int, int]:
        """The code that each copy stands for."""
        return {copy: entry.code for copy, entry in self.copies.items()}

    @property
    def modes(self) -> dict[int, tuple[Mode, ...]]:
        """The modes of each copy."""
        return {copy: entry.modes for copy, entry in self.copies.items()}

    def lines_json(self) -> str:
        """What becomes of each decay line, as JSON: a list of line, mother, products, model, treatment, reason."""
        return json.dumps([asdict(line) for line in self.lines])

    def told(self) -> list[str]:
        """What the file's author should know, a sentence each: what is followed, what not, and notices."""
        return [*summary(self.lines), *map(str, self.notices)]

    @property
    def mixes(self) -> bool:
        """Whether B0 pairs mix, and have the decay times that go with it."""
        return any(pair.mixed is not None for pair in self.pairs)


