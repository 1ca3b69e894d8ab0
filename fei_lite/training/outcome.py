"""What a training came to for the B: whether its set can give a Btag at all, and what sample would do."""

from __future__ import annotations

from fei_lite.channels import ChannelSet
from fei_lite.channels.checks import LISTS
from fei_lite.classifiers.model_set import ModelSet

#: Events of ``fei-lite simulate --enrich``, of each B type, that train most channels of the default set.
_ENOUGH = 100_000


def missing_b_channels(models: ModelSet, channels: ChannelSet) -> str:
    """What to say of a trained set without a classifier for any B channel; "" if there is one, or no B in the set.

    The channel that came nearest is named, what it needs and what it got, and in how many events it would
    have had enough if candidates grow with the events.
    """
    of_b = [channel.identifier for name in LISTS["Btag"] if name in channels.particles
            for channel in channels.particles[name].channels if channel.features]
    if not of_b or any(models.has_model(identifier) for identifier in of_b):
        return ""
    needed = int(models.manifest["parameters"].get("min_entries", 0))
    reached = {identifier: models.manifest["untrained"].get(identifier, {}).get("training", {}) for identifier in of_b}
    counts = {identifier: (int(size.get("n_signal", 0)), int(size.get("n_background", 0)))
              for identifier, size in reached.items()}
    nearest = max(counts, key=lambda identifier: min(counts[identifier]))
    signal, background = counts[nearest]
    events = sum(int(file.get("entries", 0)) for file in models.manifest["sample"].get("files", ()))
    most = models.manifest["sample"].get("max_events")
    events = events if most is None else min(events, int(most))
    text = (f"no channel of the B has a classifier: each needs {needed} signal and {needed} background candidates "
            f"(--min-entries); the nearest, {nearest}, has {signal} and {background} from {events} events. ")
    if min(signal, background) > 0:
        text += f"About {_rounded(events * needed / min(signal, background))} such events would do for this one. "
    return text + (f"Most channels of the default set train on {_ENOUGH} charged and {_ENOUGH} mixed events of "
                   "fei-lite simulate --enrich. With this set no event gets a Btag.")


def _rounded(value: float) -> int:
    """Two digits: more are not known.

    >>> _rounded(123_456.0), _rounded(7.2)
    (120000, 7)
    """
    return int(float(f"{value:.2g}"))
