"""A model set together with the channel set that it was trained for."""

from __future__ import annotations

from functools import partial

from fei_lite.channels import ChannelSet, load_channel_set
from fei_lite.channels.files import find_channel_set
from fei_lite.classifiers.model_set import ModelSet, load_model_set
from fei_lite.errors import ChannelFileError, ModelSetError
from fei_lite.parallel import Context

#: A channel set and the classifiers that were trained for it.
Tagger = tuple[ChannelSet, ModelSet]


def load_tagger(models: str, channel_set: str | None = None) -> Tagger:
    """The channel set and the model set, checked against each other.

    Both are shipped names or folders; ``channel_set`` defaults to the one that
    the models name. Raises :class:`ModelSetError` if they do not fit,
    or if that channel set is not a shipped one.
    """
    loaded = load_model_set(models)
    named = str(loaded.manifest["channel_set"]["name"])
    if channel_set is None:
        try:
            find_channel_set(named)
        except ChannelFileError:
            raise ModelSetError(f"{loaded.source}: trained for channel set '{named}', which is not among the shipped "
                                "ones. Name its folder (--set).") from None
    channels = load_channel_set(channel_set or named)
    loaded.check(channels)
    return channels, loaded


def tagger_of_run(models: str, channel_set: str | None = None) -> Context[Tagger]:
    """:func:`load_tagger`, once in every process of a run (:func:`fei_lite.parallel.map_in_context`)."""
    return Context(partial(load_tagger, models, channel_set))
