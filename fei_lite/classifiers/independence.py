"""Whether events are other ones than a model set was trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fei_lite.errors import ModelSetError
from fei_lite.events.same_events import same_sample


def check_independent(manifest: Mapping[str, Any], files: Sequence[Mapping[str, Any]], *, purpose: str,
                      last_classifier: bool = False) -> None:
    """Raise :class:`ModelSetError` if a channel of the set, or its tag classifier as well, knows some of the events.

    ``files`` are descriptions with ``name``, ``sha256`` and ``origin``. The same file,
    or the same process, decay file and seed: a longer sample begins with the events of
    a shorter one. ``purpose`` ends the message: what the events cannot do.
    """
    for ours in files:
        for theirs in _trained_on(manifest, last_classifier):
            origin, trained = ours["origin"], theirs.get("origin", {})
            if ours["sha256"] == theirs["sha256"] or same_sample(origin, trained):
                raise ModelSetError(
                    f"{ours['name']}: was trained on ('{theirs['name']}' of the manifest, process "
                    f"{trained.get('process', 'unknown')}, seed {trained.get('seed', 'unknown')}): such events cannot "
                    f"{purpose}. Simulate others with another seed.")


def _trained_on(manifest: Mapping[str, Any], last_classifier: bool) -> list[Mapping[str, Any]]:
    """Descriptions of the files that the channels were fitted on, and the tag classifier."""
    sample = manifest["sample"]
    files = list(sample.get("files", ()))
    if last_classifier:
        files += sample.get("tag_classifier", ())
        files += manifest.get("tag_classifier", {}).get("origin", {}).get("sample", {}).get("files", ())
    return files
