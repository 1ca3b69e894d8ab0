"""Simulated samples: what their files say, and the luminosity they stand for."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fei_lite.analyses.candidates.simulated import SimulatedSample
from fei_lite.analyses.recipes.parts import SignalDecay
from fei_lite.errors import AnalysisError, nearest
from fei_lite.events.files import PathLike
from fei_lite.events.formats import format_of
from fei_lite.events.inputs import EventInput, read_by
from fei_lite.events.ranges import digest_of_ends
from fei_lite.events.reading import count_events, origin_of
from fei_lite.events.same_events import same_sample, seed_of
from fei_lite.generator.processes import F_CHARGED, F_NEUTRAL, SEEDS, find_process


@dataclass(frozen=True)
class Source:
    """An event file of simulation: its process, seed, number of generated events, and what else was asked for."""

    file: str
    process: str
    seed: int
    n_generated: int
    n_events: int
    options: dict[str, Any]

    @property
    def origin(self) -> dict[str, Any]:
        """What made the events, as event files say it."""
        return self.options | {"process": self.process, "seed": self.seed}

    def to_json(self) -> dict[str, Any]:
        """The fields by name."""
        return asdict(self)


def source_of(path: PathLike) -> Source:
    """What an event file says about itself, or is said of it (``fei-lite analyse --samples``).

    Raises :class:`AnalysisError` if that is not enough to use it.
    """
    name = EventInput(os.fspath(path)).name
    said = origin_of(path)
    missing = [key for key in ("process", "n_generated", "seed") if key not in said]
    simulated = path.simulated if isinstance(path, EventInput) else None
    if missing and simulated is not None:
        return _source_by(path, name, simulated)
    if missing:
        kind = format_of(path).name
        whose = "its metadata have" if kind == "events" else f"a file of format '{kind}': it has"
        raise AnalysisError(f"{path}: {whose} no {', '.join(missing)}: the luminosity it stands for is unknown. Use "
                            "files of fei-lite simulate, or say what was simulated (--samples FILE, docs/inputs.md).")
    if not all(isinstance(said[key], int) for key in ("n_generated", "seed")):
        raise AnalysisError(f"{path}: metadata: seed {said['seed']!r}, n_generated {said['n_generated']!r}: expected "
                            "whole numbers.")
    options = {key: value for key, value in said.items() if key not in ("process", "n_generated", "seed")}
    return Source(name, str(said["process"]), int(said["seed"]), int(said["n_generated"]), count_events(path),
                  options | read_by([path]))


def _source_by(path: PathLike, name: str, simulated: SimulatedSample) -> Source:
    """The source of a file of which it is said what was simulated.

    In place of its seed it has a number made of its first and last events: the same events twice are found.
    """
    n = count_events(path)
    if n == 0:
        raise AnalysisError(f"{path}: it holds no event.")
    options: dict[str, Any] = {"decay_file": simulated.decay_file} if simulated.decay_file else {}
    return Source(name, simulated.process, digest_of_ends(path, n) % SEEDS, round(n * simulated.generated_per_event), n,
                  options | {"said": simulated.model_dump(mode="json")} | read_by([path]))


def check_distinct(sources: Sequence[Source]) -> None:
    """Raise :class:`AnalysisError` if two sources hold the same generated events: they would count twice."""
    seen: dict[tuple[str, int] | None, list[Source]] = {}
    for source in sources:
        alike = seen.setdefault(seed_of(source.origin), [])
        for other in alike:
            if same_sample(source.origin, other.origin):
                raise AnalysisError(f"{source.file}: the same process '{source.process}' and seed {source.seed} as "
                                    f"{other.file}: these events would count twice. Leave one out.")
        alike.append(source)


def check_no_control(sources: Sequence[Source]) -> None:
    """Raise :class:`AnalysisError` for a source of a control: events with something taken out stand for no process."""
    for source in sources:
        if "control" in source.options:
            raise AnalysisError(f"{source.file}: candidates of the control '{source.options['control']}', in whose "
                                "events something was replaced. Leave it out; scripts/check_controls.py takes it.")


def process_of(source: Source, decays: Mapping[str, SignalDecay]) -> str:
    """The recipe's name of what a file holds: of signal, that of its decay file. Raises :class:`AnalysisError`."""
    if source.process != "signal":
        return source.process
    said = Path(str(source.options.get("decay_file", ""))).stem
    found = [name for name, decay in decays.items() if Path(decay.decay_file).stem == said]
    if not found:
        known = [Path(decay.decay_file).stem for decay in decays.values()]
        raise AnalysisError(f"{source.file}: signal of decay file '{said}'; signal_decays of the recipe: "
                            f"{', '.join(known) or 'none'}.{nearest(said, known)}")
    return found[0]


@dataclass(frozen=True)
class Expectation:
    """Events expected of each process.

    ``n_upsilon4s`` Upsilon(4S) are in ``reference`` 1/fb; ``luminosity`` (1/fb) is what to scale to, ``decays`` are
    the signal's.
    """

    luminosity: float
    reference: float
    n_upsilon4s: float
    decays: Mapping[str, SignalDecay]

    def expected(self, process: str) -> float:
        """Events of a process: N(Upsilon(4S)) f, or cross-section times luminosity; of a signal decay 2 N f B.

        f is f+- for decays of the B+, f00 for those of the B0.

        >>> decay = SignalDecay(decay_file="k_nunu", meson="B+", branching_fraction=4.97e-6, origin="-")
        >>> norm = Expectation(362.0, 362.0, 387.1e6, {"k_nunu": decay})
        >>> round(norm.expected("k_nunu")), round(norm.expected("ccbar") / 1e6)
        (1967, 471)
        """
        pairs = self.n_upsilon4s * self.luminosity / self.reference
        decay = self.decays.get(process)
        if decay is not None:
            return 2.0 * pairs * (F_CHARGED if decay.meson == "B+" else F_NEUTRAL) * decay.branching_fraction
        if process in ("charged", "mixed"):
            return pairs * (F_CHARGED if process == "charged" else F_NEUTRAL)
        return find_process(process).cross_section * 1e6 * self.luminosity


def generated_of(sources: Sequence[Source], decays: Mapping[str, SignalDecay]) -> dict[str, int]:
    """Generated events of each process, all files together."""
    total: dict[str, int] = {}
    for source in sources:
        process = process_of(source, decays)
        total[process] = total.get(process, 0) + source.n_generated
    return total
