"""A report from start to end: load, reconstruct, measure, draw, write."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fei_lite
from fei_lite.classifiers.independence import check_independent
from fei_lite.errors import FeiLiteError
from fei_lite.events.ranges import BATCH_SIZE
from fei_lite.outputs import atomic_output, check_suffix
from fei_lite.parallel import Workers
from fei_lite.performance.reconstructible import generated_coverage
from fei_lite.report.channels import reliability_of
from fei_lite.report.figures import draw_channels
from fei_lite.report.numbers import report_numbers
from fei_lite.report.observed import Observed, Report, Sets, describe_events, observe_files
from fei_lite.report.page import render
from fei_lite.report.tag_figures import draw_tags
from fei_lite.report.tags import measure_tags
from fei_lite.report.training import Training, check_baseline, load_training


@dataclass(frozen=True)
class Request:
    """What to report on.

    ``models``: a shipped set or a folder; ``channels`` its channel set (default:
    the one of its manifest); ``events`` independent event files with truth;
    ``baseline`` a second set for the same events. Without events ``generate``
    decays of each B type tell the covered branching fraction (0: none).
    """

    models: str
    channels: str | None = None
    events: Sequence[Path] = field(default=())
    baseline: str | None = None
    baseline_channels: str | None = None
    max_events: int | None = None
    batch_size: int = BATCH_SIZE
    workers: Workers = 1
    generate: int = 5000
    seed: int = 1
    date: str = ""


def make_report(request: Request, output: str | os.PathLike[str], *, force: bool = False,
                report: Report | None = None) -> dict[str, Any]:
    """Write the page to ``output``, whole or not at all; returns its numbers.

    Raises :class:`ModelSetError` for a folder that is no training, for sets that
    do not fit their channels and for events that were trained on,
    :class:`EventFileError` for events without truth, and :class:`OutputError` if
    the page exists (without ``force``) or cannot be written.
    """
    check_suffix(output, (".html", ".htm"))
    training, baseline = _load(request)
    # whether it can be written shows before the work
    read = [*request.events, *(part for sets in (training, baseline) if sets is not None
                               for part in (sets.models.source, sets.channels.path))]
    with atomic_output(output, force=force, inputs=read) as temporary:
        observed, files = _observe(request, training, baseline, report) if request.events else (None, [])
        coverage = observed.coverage if observed is not None else None
        if coverage is None and request.generate:
            coverage = generated_coverage(training.channels, n_events=request.generate, seed=request.seed,
                                          report=report)
        tags = None if observed is None else measure_tags(observed, seed=request.seed)
        numbers = report_numbers(training, observed=observed, coverage=coverage, tags=tags, baseline=baseline,
                                 files=files, made_with=fei_lite.__version__, date=request.date)
        panels = {name: reliability_of(scored) for name, scored in observed.scored.items()} if observed else {}
        panels = {name: bins for name, bins in panels.items() if len(bins.weight)}
        figures = draw_channels(numbers, panels)
        if tags is not None:
            figures |= draw_tags(tags, {which: numbers[which]["label"] for which in tags.tags})
        temporary.write_text(render(numbers, figures), encoding="utf-8")
    return numbers


def _load(request: Request) -> tuple[Training, Training | None]:
    """The sets of a request, checked against each other."""
    training = load_training(request.models, request.channels)
    if request.generate < 0:
        raise FeiLiteError(f"decays to generate: got {request.generate}, expected 0 or more.")
    if request.baseline is None:
        if request.baseline_channels is not None:
            raise FeiLiteError("a channel set of the baseline (--baseline-set) needs a baseline (--baseline).")
        return training, None
    if not request.events:
        raise FeiLiteError("a baseline (--baseline) is compared on events: give independent ones (--events FILE...).")
    baseline = load_training(request.baseline, request.baseline_channels)
    check_baseline(training, baseline, name=request.baseline)
    return training, baseline


def _observe(request: Request, training: Training, baseline: Training | None,
             report: Report | None) -> tuple[Observed, list[dict[str, Any]]]:
    """The independent events, reconstructed and described."""
    if training.last_stage < 0:
        raise FeiLiteError(f"{request.models}: not even the first stage of the training is finished: no events can be "
                           "reconstructed. Leave --events out, or finish the training.")
    files = describe_events(request.events, max_events=request.max_events)
    for judged in (training, baseline):
        if judged is not None:
            check_independent(judged.models.manifest, files, purpose="judge the set", last_classifier=True)
    sets = Sets(request.models, str(training.channels.path), training.last_stage, request.baseline,
                None if baseline is None else str(baseline.channels.path))
    observed = observe_files(request.events, sets, batch_size=request.batch_size, max_events=request.max_events,
                             workers=request.workers, seed=request.seed, report=report)
    observed.coverage.source = "the independent events"
    return observed, files
