"""A channel set: particles, their decay channels, and the choices made for each.

Made by :func:`fei_lite.channels.load_channel_set` from a folder of TOML files;
nothing here reads files. All classes are frozen: a set is a value.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fei_lite.channels.cut_strings import meaning
from fei_lite.channels.graph import decay_graph, resolve
from fei_lite.errors import UnknownNameError, nearest
from fei_lite.particles import conjugate
from fei_lite.variables.cuts import NO_CUT, Cut

if TYPE_CHECKING:
    import networkx

@dataclass(frozen=True)
class Channel:
    """One decay channel, with one classifier.

    ``index`` is basf2's decayModeID. ``leaf`` is "FSP", "V0" or "Btag" where the
    candidates come from a list of the event (then ``daughters`` is that list,
    ``("pi+:FSP",)``), else None. ``features`` are expanded and ordered; without
    any there is no classifier. ``fit`` is "vertex", "mass" or None.
    ``unflavoured``: the daughters are their own charge conjugate although the
    mother is not (D0 -> K- K+), so that one candidate serves both flavours.
    ``invisible`` are daughters that leave no trace (neutrinos). ``cuts`` come
    before the ranking, ``post_fit_cuts`` after ranking and vertex fit.
    """

    particle: str
    index: int
    daughters: tuple[str, ...]
    leaf: str | None
    cuts: Cut
    features: tuple[str, ...]
    fit: str | None
    unflavoured: bool
    invisible: tuple[str, ...] = ()
    post_fit_cuts: Cut = NO_CUT

    @property
    def identifier(self) -> str:
        """Name for files and tables: unique in its set, the same in every version of it.

        The characters ``* / :`` are written ``st``, nothing and ``_``. The
        position in the file is not part of it: channels may be inserted.

        >>> Channel("D*0", 0, ("D0", "pi0"), None, Cut(""), (), None, False).identifier
        'Dst0_D0_pi0'
        """
        parts = self.daughters if self.leaf and ":" not in self.particle else (self.particle, *self.daughters)
        return "_".join(parts).replace("*", "st").replace("/", "").replace(":", "_")

    @property
    def text(self) -> str:
        """The decay for people: ``D0 -> K- pi+``; what is invisible carries a question mark."""
        return " ".join([self.particle, "->", *self.daughters, *(f"?{name}" for name in self.invisible)])


@dataclass(frozen=True)
class ParticleConfig:
    """A particle of the set: its channels and the choices they share.

    ``cuts`` (user cuts), then ``rank_by`` (``rank_highest`` or lowest first)
    keeps the ``best_pre`` candidates per event, channel and charge conjugate;
    after the classifier SignalProbability > ``min_signal_probability`` (None:
    no cut) and the ``best_post`` most probable ones per event and conjugate. Of
    candidates made of the same objects the most probable stays, with
    ``same_objects`` all.
    ``mass`` in GeV (PDG), ``stage`` from the graph.
    """

    name: str
    pdg: int
    mass: float
    charge: int
    self_conjugate: bool
    channels: tuple[Channel, ...]
    cuts: Cut
    rank_by: str
    rank_highest: bool
    best_pre: int
    min_signal_probability: float | None
    best_post: int
    target: str
    stage: int
    same_objects: bool = False


@dataclass(frozen=True)
class ChannelSet:
    """All particles of a decay graph, in the order of their stages.

    ``stages[i]`` are the names made in stage i, each from earlier stages only.
    ``warnings`` are findings that do not forbid the use of the set.
    """

    name: str
    path: Path
    particles: dict[str, ParticleConfig]
    stages: tuple[tuple[str, ...], ...]
    warnings: tuple[str, ...] = ()

    def __repr__(self) -> str:
        n = sum(len(particle.channels) for particle in self.particles.values())
        return f"ChannelSet('{self.name}': {n} channels of {len(self.particles)} particles, {len(self.stages)} stages)"

    def channels(self) -> Iterator[Channel]:
        """Every channel, in the order of the stages."""
        for config in self.particles.values():
            yield from config.channels

    @property
    def n_channels(self) -> int:
        """Number of channels, each of which has a classifier."""
        return sum(len(config.channels) for config in self.particles.values())

    def particle(self, name: str) -> ParticleConfig:
        """The particle called ``name``, by its own, its conjugate's or its ``:generic`` name.

        Raises :class:`UnknownNameError` if the set does not make it.
        """
        found = self.resolve(name)
        if found is None:
            raise UnknownNameError(f"channel set '{self.name}': no particle '{name}'.{nearest(name, self.particles)}")
        return self.particles[found]

    def resolve(self, name: str) -> str | None:
        """Key in ``particles`` that makes ``name`` or its charge conjugate; None if there is none."""
        return resolve(name, self.particles)

    @property
    def tags(self) -> tuple[str, ...]:
        """The particles that no channel of the set uses: what the set is for (B+, B0)."""
        return tuple(name for name in self.particles if self.graph.out_degree(name) == 0)

    @cached_property
    def graph(self) -> networkx.DiGraph:
        """The decay graph: an edge from each daughter to its mother, node attribute ``stage``."""
        return decay_graph({name: [c.daughters for c in p.channels] for name, p in self.particles.items()})

    @cached_property
    def hash(self) -> str:
        """Hash of what the set means (not of its path, comments or spelling of cuts): 16 hexadecimal digits."""
        particles = [_meaning(p) for p in self.particles.values()]
        content = json.dumps(particles, sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    @property
    def decays_hash(self) -> str:
        """Hash of the decays alone, without cuts, ranking and features: 16 hexadecimal digits."""
        return hashlib.sha256("\n".join(c.text for c in self.channels()).encode()).hexdigest()[:16]


def _meaning(config: ParticleConfig) -> dict[str, Any]:
    """A particle as plain data; sets without a newer key keep the hash that models were trained for."""
    plain = {field.name: getattr(config, field.name) for field in fields(config)
             if field.name != "same_objects" or config.same_objects}
    plain["cuts"] = meaning(config.cuts)
    plain["channels"] = []
    for channel in config.channels:
        found = {field.name: getattr(channel, field.name) for field in fields(channel)}
        found |= {"cuts": meaning(channel.cuts), "post_fit_cuts": meaning(channel.post_fit_cuts)}
        plain["channels"].append({key: value for key, value in found.items()
                                  if value or key not in ("invisible", "post_fit_cuts")})
    return plain


def same_final_state(left: tuple[str, ...], right: tuple[str, ...]) -> bool:
    """Whether two lists of daughters agree up to their order."""
    return sorted(left) == sorted(right)


def conjugate_daughters(daughters: tuple[str, ...]) -> tuple[str, ...]:
    """The charge conjugate of each daughter.

    >>> conjugate_daughters(("anti-D0", "pi+"))
    ('D0', 'pi-')
    """
    return tuple(conjugate(d) for d in daughters)
