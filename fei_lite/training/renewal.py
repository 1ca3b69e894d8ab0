"""A new tag classifier for a model set whose channels stay as they are.

Minutes of work in place of an hour: for another share of continuum, or after a
change of the tag classifier alone.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from fei_lite.channels import load_channel_set
from fei_lite.classifiers.independence import check_independent
from fei_lite.classifiers.manifest import MANIFEST
from fei_lite.classifiers.model_set import ModelSet, load_model_set
from fei_lite.classifiers.writer import write_with_tag_classifier
from fei_lite.errors import OutputError
from fei_lite.events.ranges import entry_ranges
from fei_lite.training.driver import Settings, describe_samples, seed_of
from fei_lite.training.mixture import luminosity_factors
from fei_lite.training.tag_classifier import fit_tag_classifier


def renew_tag_classifier(models: str, samples: Sequence[Path], folder: Path, *, settings: Settings, date: str,
                   command: str, report: Callable[[str, int, int], None] | None = None) -> ModelSet:
    """A copy of a model set in ``folder``, with a tag classifier fitted on ``samples``; returns it.

    All events of the samples are used, with their weights (and, with
    ``settings.same_luminosity``, as if every process had the luminosity of the
    first). ``date`` and ``command`` go into the manifest, beside those of the channels.
    Raises :class:`ModelSetError` for samples that a channel of the set was fitted on, and
    :class:`OutputError` if the folder exists.
    """
    old = load_model_set(models)
    old.check(load_channel_set(settings.channel_set))
    if folder.exists():
        raise OutputError(f"{folder}: exists already. A set with a new tag classifier is written as a whole: name "
                          "another folder, or remove this one.")
    description = describe_samples(samples, settings)
    check_independent(old.manifest, description["files"], purpose="teach its tag classifier")
    factors = luminosity_factors([(path, 1.0) for path in samples]) if settings.same_luminosity else {}
    ranges = entry_ranges(samples, batch_size=settings.batch_size, max_events=settings.max_events)
    fitted, given_bb = fit_tag_classifier(
        (), ranges, Path(old.source), channel_set=settings.channel_set, seed=seed_of(settings.seed, "tag_classifier"),
        factors=factors, workers=settings.workers, journal=settings.journal, min_entries=settings.min_entries,
        report=None if report is None else lambda done, total: report("reconstruct", done, total))
    origin = {"command": command, "date": date, "sample": description}
    if factors:
        origin["factors"] = {Path(path).name: factor for path, factor in factors.items()}
    try:
        write_with_tag_classifier(old, folder, fitted, given_bb, name=settings.name, origin=origin)
    except BaseException:
        if not (folder / MANIFEST).exists():
            shutil.rmtree(folder, ignore_errors=True)
        raise
    return load_model_set(folder)
