"""The reconstruction as users call it: with a look at what they give."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from fei_lite.candidates import CandidateTable
from fei_lite.channels import ChannelSet
from fei_lite.classifiers.model_set import ModelSet
from fei_lite.errors import ArgumentTypeError
from fei_lite.events import EventBatch
from fei_lite.reconstruction import engine
from fei_lite.reconstruction.classifiers import Classifiers
from fei_lite.reconstruction.engine import Reconstruction
from fei_lite.reconstruction.options import DEFAULT_OPTIONS, NO_HOOKS, Hooks, ReconstructionOptions

#: What a set of classifiers has (:class:`fei_lite.reconstruction.classifiers.Classifiers`).
_ASKED = ("has_model", "predict", "tag_classifier", "given_bb")


def reconstruct(
    batch: EventBatch, channel_set: ChannelSet, models: Classifiers, *,
    options: ReconstructionOptions = DEFAULT_OPTIONS, hooks: Hooks = NO_HOOKS,
    btags: Reconstruction | Mapping[str, CandidateTable] | None = None,
) -> Reconstruction:
    """Reconstruct every channel of the set in a batch of events: :func:`fei_lite.reconstruction.engine.reconstruct`.

    The arguments are checked first. Raises :class:`ArgumentTypeError` for a name
    or a path where what it stands for is wanted, and :class:`ModelSetError` for a
    model set that was trained for other channels, features or cuts (looked at
    once per model set and channel set, not per batch).
    """
    if not isinstance(batch, EventBatch):
        raise _wrong("batch", batch, "a batch of events", _way_to_events(batch))
    if not isinstance(channel_set, ChannelSet):
        raise _wrong("channel_set", channel_set, "a channel set", _way_to_set(channel_set, "load_channel_set"))
    missing = [name for name in _ASKED if not hasattr(models, name)]
    if missing or isinstance(models, type):
        raise _wrong("models", models, "a model set", _way_to_set(models, "load_model_set")
                     or f"Classifiers of your own need {', '.join(missing or _ASKED)}: "
                        "see fei_lite.reconstruction.classifiers.Classifiers.")
    for name, value, expected in (("options", options, ReconstructionOptions), ("hooks", hooks, Hooks)):
        if not isinstance(value, expected):
            raise _wrong(name, value, expected.__name__,
                         f"Give {name}={expected.__name__}(...) of fei_lite.reconstruction.options.")
    if isinstance(models, ModelSet):
        models.check_once(channel_set)
    return engine.reconstruct(batch, channel_set, models, options=options, hooks=hooks, btags=btags)


def _wrong(name: str, value: object, expected: str, way: str) -> ArgumentTypeError:
    """The error: argument, found, expected, what to do."""
    found = repr(value) if isinstance(value, str | Path) else f"an object of type {type(value).__name__}"
    return ArgumentTypeError(f"reconstruct(batch, channel_set, models): {name}: got {found}, expected {expected}. "
                             f"{way}".rstrip())


def _way_to_events(value: object) -> str:
    if isinstance(value, str | Path | bytes):
        return f"Read it: for batch in fei_lite.open({str(value)!r})."
    if isinstance(value, Iterator | list | tuple):
        return "Take them one by one: for batch in fei_lite.open(files)."
    return "fei_lite.open(files) gives them."


def _way_to_set(value: object, function: str) -> str:
    if isinstance(value, str | Path):
        return f"Load it: fei_lite.{function}({str(value)!r})."
    if isinstance(value, ModelSet):
        return "That is a model set: the order is batch, channel set, models."
    if isinstance(value, ChannelSet):
        return "That is a channel set: the order is batch, channel set, models."
    return f"fei_lite.{function}(name) gives one." if function == "load_channel_set" else ""
