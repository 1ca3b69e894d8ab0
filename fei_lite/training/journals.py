"""The journal of a step of a training: the candidates that were sampled, range by range."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from fei_lite.classifiers.model_set import ModelSet
from fei_lite.events.ranges import name_of
from fei_lite.parallel import Journal
from fei_lite.parallel.worker import identity


def journal_of(folder: Path, step: str, work: partial[Any], models: ModelSet,
               classes: tuple[type, ...] = ()) -> Journal:
    """The journal of a step beside the folder of the model set, for the models that are finished and these options."""
    options = {name: str(value) for name, value in work.keywords.items()}
    return Journal(Journal.beside(folder), {"run": f"train, {step}", "options": options, "models": models.digest,
                                            "channel_set": models.manifest["channel_set"], "identity": identity()},
                   name_of, classes=classes)
