"""What a production is made of: its plan, everything read, and what names a piece."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fei_lite.analyses.candidates.files import Loaded
from fei_lite.analyses.folders import load_analysis, with_models
from fei_lite.analyses.production.scores import check_signal
from fei_lite.classifiers.tagger import load_tagger
from fei_lite.errors import AnalysisError
from fei_lite.generator.settings import DEFAULT_SETTINGS, load_settings
from fei_lite.parallel import Context


@dataclass(frozen=True)
class Plan:
    """What a production makes candidates of: folders of analyses, tagger, Pythia's settings.

    ``plain``: every event is detected and tagged, to compare with. ``signal``: candidates of simulated signal, to train
    the analyses' classifiers on the way.
    """

    analyses: tuple[Path, ...]
    models: str | None = None
    channel_set: str | None = None
    settings: str = DEFAULT_SETTINGS
    keep_events: bool = False
    plain: bool = False
    signal: tuple[Path, ...] = ()

    def load(self) -> Workshop:
        """Read it all; raises children of :class:`FeiLiteError`."""
        found = [with_models(load_analysis(folder), self.models) for folder in self.analyses]
        models = sorted({analysis.recipe.tag.models for analysis in found})
        if len(models) > 1:
            raise AnalysisError(f"the analyses want the model sets {', '.join(models)}: an event is tagged once. Name "
                                "one for all (--models).")
        names = [analysis.name for analysis in found]
        if len(set(names)) < len(names):
            raise AnalysisError(f"two analyses have the same name: {', '.join(names)}. Rename a folder.")
        check_signal(self.signal, found)
        channels, tagger = load_tagger(models[0], self.channel_set)
        return Workshop(self, tuple(Loaded(analysis, channels, tagger) for analysis in found))

    def of_run(self) -> Context[Workshop]:
        """:meth:`load`, once in every process of a run."""
        return Context(self.load)


@dataclass(frozen=True)
class Workshop:
    """A plan with everything read: the analyses, each with the common tagger."""

    plan: Plan
    all: tuple[Loaded, ...]

    def of(self, process: str) -> tuple[Loaded, ...]:
        """The analyses that have a sample of this process; raises :class:`AnalysisError` if there is none."""
        found = tuple(one for one in self.all
                      if any(process in line.processes for line in one.analysis.recipe.sample))
        if not found:
            self.all[0].analysis.recipe.samples_of(process)
        return found

    @property
    def identity(self) -> dict[str, Any]:
        """What all pieces of a folder have in common."""
        from fei_lite import __version__

        settings = load_settings(self.plan.settings)
        return {"fei_lite_version": __version__, "settings": settings.name, "settings_digest": settings.digest,
                "analyses": {one.analysis.name: one.identity for one in self.all}}


@dataclass(frozen=True)
class Piece:
    """What makes a piece: ``n`` events generated of a process from a seed, and a selection.

    A ``guide`` says how much else is made, and does not count itself.
    """

    process: str
    seed: int
    n: int
    folder: Path
    selection: Path | None = None
    guide: bool = False

    @property
    def name(self) -> str:
        """Process and seed: the name of its files."""
        return f"{self.process}_{self.seed}"

    @property
    def record(self) -> Path:
        """Where the piece says that it is done."""
        return self.folder / "pieces" / f"{self.name}.json"


@dataclass
class Times:
    """Processor seconds by step."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def __call__(self, step: str) -> Iterator[None]:
        start = time.process_time()
        yield
        self.seconds[step] = self.seconds.get(step, 0.0) + time.process_time() - start
