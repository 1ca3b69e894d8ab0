"""What an analysis may bring along in ``physics.py`` of its folder: physics that no other analysis has."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fei_lite.analyses.candidates.pairs import Columns, Provider
from fei_lite.analyses.drawings import Panel
from fei_lite.analyses.systematics import Line
from fei_lite.data_files import Strict
from fei_lite.events import EventBatch

if TYPE_CHECKING:
    from fei_lite.analyses.analysis import Result


class NoSettings(Strict):
    """The recipe's table [physics] where there is nothing to set."""


@dataclass(frozen=True)
class Physics:
    """The object ``PHYSICS`` of a ``physics.py``. All parts are optional.

    ``event_columns``: names of generated quantities, which ``of_events(batch, process)`` gives for every event,
    (n_events,); they stand beside the candidates, split samples and feed systematics. ``event_weights(columns,
    process)`` is a factor on the weight of every event (the signal's spectrum). ``variables``: name -> function of
    the pairs of a batch. ``systematics``: name -> a :class:`~fei_lite.analyses.systematics.Line` for
    ``systematics.toml``. ``settings``: model of the recipe's [physics]. After the analysis ``summary`` adds to
    ``histograms.json``, ``files`` gives further JSON files by name, ``figures`` further figures by name, ``lines``
    further lines of the table.
    """

    event_columns: tuple[str, ...] = ()
    of_events: Callable[[EventBatch, str], Columns] | None = None
    event_weights: Callable[[Columns, str, str], Any] | None = None
    variables: Mapping[str, Provider] = field(default_factory=dict)
    systematics: Mapping[str, type[Line]] = field(default_factory=dict)
    settings: type[Strict] = NoSettings
    summary: Callable[[Result], dict[str, Any]] | None = None
    files: Callable[[Result], dict[str, Any]] | None = None
    figures: Callable[[Result], Mapping[str, Sequence[Panel]]] | None = None
    lines: Callable[[Result], Sequence[str]] | None = None
