"""What a trained set says of itself: its manifest, compared with the channel set, stage by stage."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fei_lite.channels import ChannelSet, load_channel_set
from fei_lite.channels.files import find_channel_set
from fei_lite.classifiers.model_set import ModelSet, load_model_set
from fei_lite.errors import ChannelFileError, ModelSetError, nearest


@dataclass(frozen=True)
class Training:
    """A model set with its channel set; ``missing`` are channels that the training has not come to yet."""

    models: ModelSet
    channels: ChannelSet
    missing: frozenset[str]

    @property
    def last_stage(self) -> int:
        """The last stage up to which every channel is done; -1 if there is none."""
        for stage, names in enumerate(self.channels.stages):
            if any(c.identifier in self.missing for name in names for c in self.channels.particles[name].channels):
                return stage - 1
        return len(self.channels.stages) - 1

    @property
    def complete(self) -> bool:
        """Whether every channel has a classifier, or a reason why not."""
        return not self.missing

    def stages(self) -> list[dict[str, Any]]:
        """Channels of every stage: all, with a classifier, without one, not yet done."""
        rows = []
        for stage, names in enumerate(self.channels.stages):
            identifiers = [c.identifier for name in names for c in self.channels.particles[name].channels]
            trained = sum(self.models.has_model(i) for i in identifiers)
            missing = sum(i in self.missing for i in identifiers)
            rows.append({"stage": stage, "particles": list(names), "channels": len(identifiers), "trained": trained,
                         "untrained": len(identifiers) - trained - missing, "missing": missing,
                         "finished": stage <= self.last_stage})
        return rows


def load_training(models: str, channels: str | None = None) -> Training:
    """A training, finished or not, and the channel set it is for (default: the one that its manifest names).

    Raises :class:`ModelSetError` if the folder is no model set, or was trained
    for other channels, features, cuts, rankings or targets.
    """
    loaded = load_model_set(models)
    named = loaded.manifest["channel_set"]["name"]
    try:
        channel_set = load_channel_set(find_channel_set(channels or named))
    except ChannelFileError as error:
        if channels is not None or error.findings:
            raise
        raise ModelSetError(f"{loaded.source}: trained for channel set '{named}', which is not among the shipped "
                            "ones. Name its folder (--set, for a baseline --baseline-set).") from None
    done = loaded.models.keys() | loaded.untrained.keys()
    wanted = {c.identifier: c.features for c in channel_set.channels() if c.features}  # others need no classifier
    missing = frozenset(wanted.keys() - done)
    same = loaded.manifest["channel_set"]["hash"] == channel_set.hash
    if not missing:
        loaded.check(channel_set)
    elif not same:
        foreign = sorted(done - wanted.keys())
        raise ModelSetError(
            f"{loaded.source}: trained for channel set '{named}' (content hash "
            f"{loaded.manifest['channel_set']['hash']}), which is not channel set '{channel_set.name}' "
            f"({channel_set.hash})"
            + (f": {len(foreign)} channels are not in it, the first '{foreign[0]}'.{nearest(foreign[0], wanted)}"
               if foreign else ": other cuts, features, rankings or targets, or more channels.")
            + " Name the folder of the channel set of the training (--set, for a baseline --baseline-set).")
    return Training(loaded, channel_set, missing)


def check_baseline(training: Training, baseline: Training, *, name: str) -> None:
    """Raise :class:`ModelSetError` if a baseline cannot be compared: unfinished, or with other tags.

    Its channels, cuts and features may be others: the comparison is of the best
    Btags of the same events.
    """
    if not baseline.complete:
        raise ModelSetError(f"{name}: the training of the baseline is not finished ({len(baseline.missing)} channels "
                            "to do): it makes no Btags. Finish it (the command of its manifest resumes), or take "
                            "another baseline.")
    if set(training.channels.tags) != set(baseline.channels.tags):
        raise ModelSetError(f"{name}: the baseline makes {', '.join(baseline.channels.tags) or 'no tags'}, the set of "
                            f"the report {', '.join(training.channels.tags)}; only sets with the same tags can be "
                            "compared.")


def folder_size(models: ModelSet) -> int:
    """Bytes of the set's model files and manifest."""
    return sum(path.stat().st_size for path in Path(models.source).rglob("*") if path.is_file())
