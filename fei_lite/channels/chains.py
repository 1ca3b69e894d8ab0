"""Number of exclusive decay chains of a set."""

from __future__ import annotations

from fei_lite.channels.model import ChannelSet


def count_chains(channel_set: ChannelSet) -> dict[str, int]:
    """Number of exclusive decay chains of each particle, down to the final state.

    A channel has as many chains as there are ways to choose one chain for each
    of its daughters: the product over the daughters. Every daughter counts for
    itself, also where two are alike: in D+ -> K+ K_S0 K_S0 "first pi+ pi-, then
    pi0 pi0" and the reverse are two. (Taken as one, the default set would have
    13149 and 16340 instead of the FEI's 13515 and 17486.) The V0 list is
    another source of the decay K_S0 -> pi+ pi-, not another decay: it counts
    only for a particle without other channels.
    """
    chains: dict[str, int] = {}
    for name, config in channel_set.particles.items():
        listed = [c for c in config.channels if c.leaf != "V0"] or list(config.channels[:1])
        total = 0
        for channel in listed:
            product = 1
            for daughter in channel.daughters if channel.leaf is None else ():
                product *= chains[channel_set.particle(daughter).name]
            total += product
        chains[name] = total
    return chains
