"""A model set together with the channel set that it was trained for."""

from __future__ import annotations

from fei_lite.channels import ChannelSet, load_channel_set
from fei_lite.channels.files import find_channel_set
from fei_lite.classifiers.model_set import ModelSet, load_model_set
from fei_lite.errors import ChannelFileError, ModelSetError


def load_tagger(models: str, channel_set: str | None = None) -> tuple[ChannelSet, ModelSet]:
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
