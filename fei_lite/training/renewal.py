"""What is trained for a model set whose channels stay as they are: a new tag classifier, or a first look.

Minutes of work in place of an hour: for another share of continuum, after a
change of the tag classifier alone, or to make a finished set faster.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from fei_lite.channels import load_channel_set
from fei_lite.classifiers.independence import check_independent
from fei_lite.classifiers.manifest import MANIFEST
from fei_lite.classifiers.model_set import ModelSet, load_model_set
from fei_lite.classifiers.writer import write_with_first_look, write_with_tag_classifier
from fei_lite.errors import ModelSetError, OutputError
from fei_lite.events.ranges import entry_ranges, evenly
from fei_lite.training.driver import Settings, describe_samples, seed_of
from fei_lite.training.first_look import LOSSES, fit_first_look
from fei_lite.training.mixture import Factors, luminosity_factors
from fei_lite.training.tag_classifier import fit_tag_classifier


def renew_tag_classifier(models: str, samples: Sequence[Path], folder: Path, *, settings: Settings, date: str,
                   command: str, report: Callable[[str, int, int], None] | None = None) -> ModelSet:
    """A copy of a model set in ``folder``, with a tag classifier fitted on ``samples``; returns it.

    A first look of the set stays, and the candidates are those of the level that the set is used at.
    All events of the samples are used, with their weights (and, with
    ``settings.same_luminosity``, as if every process had the luminosity of the
    first). ``date`` and ``command`` go into the manifest, beside those of the channels.
    Raises :class:`ModelSetError` for samples that a channel of the set was fitted on, and
    :class:`OutputError` if the folder exists.
    """
    old, description, factors = _prepared(models, samples, folder, settings, purpose="teach its tag classifier")
    ranges = evenly(entry_ranges(samples, batch_size=settings.batch_size), settings.max_events)
    fitted, given_bb = fit_tag_classifier(
        (), ranges, Path(old.source), channel_set=settings.channel_set, seed=seed_of(settings.seed, "tag_classifier"),
        factors=factors, workers=settings.workers, journal=settings.journal, min_entries=settings.min_entries,
        report=None if report is None else lambda done, total: report("reconstruct", done, total))
    return _written(partial(write_with_tag_classifier, old, folder, fitted, given_bb, name=settings.name,
                            origin=_origin(command, date, description, factors)), folder)


def add_first_look(models: str, samples: Sequence[Path], folder: Path, *, settings: Settings, date: str,
                   command: str, speed: int = 0, report: Callable[[str, int, int], None] | None = None) -> ModelSet:
    """A copy of a model set in ``folder``, with a first look fitted on ``samples``; returns it.

    See :mod:`fei_lite.training.first_look`; arguments and errors are those of :func:`renew_tag_classifier`.
    ``settings.max_events`` are taken evenly from all files. ``speed`` is the level that the new set is used at unless
    told another; :class:`ModelSetError` for one that it will not have.
    """
    if not 0 <= speed <= len(LOSSES):
        raise ModelSetError(f"speed: got {speed}, expected 0 to {len(LOSSES)}, the number of levels of a first look.")
    old, description, factors = _prepared(models, samples, folder, settings, purpose="teach its first look")
    ranges = evenly(entry_ranges(samples, batch_size=settings.batch_size), settings.max_events)
    fitted, levels = fit_first_look(
        ranges, old.source, channel_set=settings.channel_set, seed=seed_of(settings.seed, "first_look"),
        factors=factors, workers=settings.workers, min_entries=settings.min_entries,
        report=None if report is None else lambda done, total: report("reconstruct", done, total))
    return _written(partial(write_with_first_look, old, folder, fitted, [level.to_json() for level in levels],
                            speed=speed, name=settings.name, origin=_origin(command, date, description, factors)),
                    folder)


def _prepared(models: str, samples: Sequence[Path], folder: Path, settings: Settings, *,
              purpose: str) -> tuple[ModelSet, dict[str, Any], Factors]:
    """The old set, the description of the samples and their factors; refuses what cannot be done."""
    old = load_model_set(models)
    old.check(load_channel_set(settings.channel_set))
    if folder.exists():
        raise OutputError(f"{folder}: exists already. The new set is written as a whole: name another folder, or "
                          "remove this one.")
    description = describe_samples(samples, settings)
    check_independent(old.manifest, description["files"], purpose=purpose)
    return old, description, (luminosity_factors([(path, 1.0) for path in samples]) if settings.same_luminosity else {})


def _origin(command: str, date: str, description: dict[str, Any], factors: Factors) -> dict[str, Any]:
    origin = {"command": command, "date": date, "sample": description}
    if factors:
        origin["factors"] = {Path(path).name: factor for path, factor in factors.items()}
    return origin


def _written(write: Callable[[], None], folder: Path) -> ModelSet:
    """The set that ``write`` makes; nothing is left of one that fails."""
    try:
        write()
    except BaseException:
        if not (folder / MANIFEST).exists():
            shutil.rmtree(folder, ignore_errors=True)
        raise
    return load_model_set(folder)
