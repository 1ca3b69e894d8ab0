"""The decay graph: channel sets read from ``decay_channels/``, checked and ordered."""

from fei_lite.channels.chains import count_chains
from fei_lite.channels.loading import load_channel_set
from fei_lite.channels.model import Channel, ChannelSet, ParticleConfig

__all__ = ["Channel", "ChannelSet", "ParticleConfig", "count_chains", "load_channel_set"]
