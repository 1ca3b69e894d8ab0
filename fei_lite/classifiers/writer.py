"""Write a model set channel by channel, so that an interrupted training can resume."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fei_lite.classifiers.fitting import FittedChannel
from fei_lite.classifiers.manifest import FORMAT, FORMAT_VERSION, MANIFEST, dump_manifest, read_manifest
from fei_lite.classifiers.model_set import ModelSet
from fei_lite.classifiers.text import pack
from fei_lite.errors import ModelSetError
from fei_lite.outputs import atomic_output, make_folder
from fei_lite.provenance import versions_of

#: Packages that a trained model depends on.
PACKAGES = ("fei_lite", "lightgbm", "numpy", "pythia8mc")

#: What must be the same for a training to go on where it stopped.
_IDENTITY = ("name", "channel_set", "seed", "parameters", "sample")


class ModelSetWriter:
    """A model set being trained.

    Each channel is written whole: first the model file, then the manifest that
    names it, both by renaming a finished file. An interruption loses the channel
    at work, nothing else. Opening the folder again resumes; a training with
    another channel set, seed, sample or parameters is refused.

    ``sample`` describes the events: ``{"files": [{"name", "entries", "sha256",
    "weight"}, ...], ...}``. ``date`` is the caller's, ISO 8601; ``command`` what
    would be typed to train the set.
    """

    def __init__(self, folder: str | Path, *, name: str, channel_set: str, channel_set_hash: str, seed: int,
                 parameters: Mapping[str, Any], sample: Mapping[str, Any], date: str,
                 command: str | None = None) -> None:
        self.folder = Path(folder)
        self._content: dict[str, Any] = {
            "format": FORMAT, "format_version": FORMAT_VERSION, "name": name, "date": date,
            "channel_set": {"name": channel_set, "hash": channel_set_hash}, "versions": versions_of(PACKAGES),
            "seed": seed, "parameters": dict(parameters), "sample": dict(sample), "channels": {}, "untrained": {}}
        if command is not None:
            self._content["command"] = command
        make_folder(self.folder / "models")
        if (self.folder / MANIFEST).exists():
            self._resume(read_manifest(self.folder))
        self._write_manifest()

    @property
    def finished(self) -> set[str]:
        """Identifiers of the channels that are done, with or without a model."""
        return {*self._content["channels"], *self._content["untrained"]}

    def add(self, identifier: str, fitted: FittedChannel, *, stage: int,
            sampled: Mapping[str, Any] | None = None) -> None:
        """Write a channel's model, or note why it has none.

        ``sampled``: candidates seen and kept (``ChannelSample.counts()``).
        """
        self._content["channels"].pop(identifier, None)
        self._content["untrained"].pop(identifier, None)
        entry: dict[str, Any] = {
            "stage": stage, "features": list(fitted.names), "training": fitted.training.to_json()}
        if sampled is not None:
            entry["sampled"] = dict(sampled)
        if fitted.trained:
            packed = pack(fitted.text)
            file = f"models/{self._file_name(identifier)}"
            with atomic_output(self.folder / file, force=True) as temporary:
                temporary.write_bytes(packed)
            self._content["channels"][identifier] = entry | {
                "file": file, "sha256": hashlib.sha256(packed).hexdigest(), "n_trees": fitted.n_trees,
                "gain": list(fitted.gain), "seed": fitted.seed,
                "validation": fitted.validation.to_json() if fitted.validation else None}
        else:
            self._content["untrained"][identifier] = entry | {"reason": fitted.reason}
        self._write_manifest()

    @property
    def decided(self) -> bool:
        """Whether the tag classifier has been tried."""
        return "tag_classifier" in self._content or "no_tag_classifier" in self._content

    def add_tag_classifier(self, fitted: FittedChannel, given_bb: FittedChannel | None = None) -> None:
        """Write the tag classifier, with its forest for B Bbar events if it has one, or note why not."""
        if not fitted.trained:
            self._content["no_tag_classifier"] = fitted.reason
        else:
            self._content |= _write_tag_classifier(self.folder, fitted, given_bb)
        self._write_manifest()

    def searched(self, stage: int) -> Mapping[str, Any] | None:
        """What the search for the settings of a stage found, if there was one."""
        found: Mapping[str, Any] | None = self._content.get("search", {}).get(str(stage))
        return found

    def add_search(self, stage: int, found: Mapping[str, Any]) -> None:
        """Write what the search for the settings of a stage found."""
        self._content.setdefault("search", {})[str(stage)] = dict(found)
        self._write_manifest()

    def _resume(self, old: dict[str, Any]) -> None:
        differing = [key for key in _IDENTITY if dump_manifest({key: old[key]}) != dump_manifest(
            {key: self._content[key]})]
        if differing:
            raise ModelSetError(f"{self.folder / MANIFEST}: belongs to a training with another "
                                f"{', '.join(differing)}. Resume with the same, or choose another folder.")
        for key in ("channels", "untrained", "date", "search", "tag_classifier", "given_bb", "no_tag_classifier",
                    "no_tag_classifier_given_bb"):
            if key in old:
                self._content[key] = old[key]

    def _write_manifest(self) -> None:
        with atomic_output(self.folder / MANIFEST, force=True) as temporary:
            temporary.write_text(dump_manifest(self._content), encoding="utf-8")

    def _file_name(self, identifier: str) -> str:
        """A portable file name for a channel."""
        name = re.sub(r"[^A-Za-z0-9_+-]", "_", identifier) + ".txt.gz"
        for other, entry in self._content["channels"].items():
            if Path(entry["file"]).name.casefold() == name.casefold():  # some file systems ignore case
                raise ModelSetError(f"{self.folder}: channels '{identifier}' and '{other}' "
                                    f"would share the file {name}.")
        return name


def _write_tag_classifier(folder: Path, fitted: FittedChannel, given_bb: FittedChannel | None) -> dict[str, Any]:
    """Write the model files of a tag classifier; returns its parts of the manifest."""
    parts: dict[str, Any] = {}
    for key, model in (("tag_classifier", fitted), ("given_bb", given_bb)):
        if model is not None and model.trained:
            parts[key] = _write_forest(folder, key, model)
    if given_bb is not None and not given_bb.trained:
        parts["no_tag_classifier_given_bb"] = given_bb.reason
    return parts


def _write_forest(folder: Path, name: str, model: FittedChannel) -> dict[str, Any]:
    """Write a forest that is no channel's; returns its entry of the manifest."""
    packed = pack(model.text)
    file = f"models/{name}.txt.gz"
    with atomic_output(folder / file, force=True) as temporary:
        temporary.write_bytes(packed)
    return {"features": list(model.names), "training": model.training.to_json(), "file": file,
            "sha256": hashlib.sha256(packed).hexdigest(), "n_trees": model.n_trees, "seed": model.seed,
            "gain": list(model.gain), "validation": model.validation.to_json() if model.validation else None,
            **({"calibration": dict(model.calibration)} if model.calibration else {})}


def write_with_first_look(models: ModelSet, folder: Path, fitted: Mapping[int, FittedChannel],
                          levels: Sequence[Mapping[str, Any]], *, speed: int, name: str,
                          origin: Mapping[str, Any]) -> None:
    """Write a copy of a model set with a first look (forests by stage, levels) to a new folder, the manifest at last.

    ``speed`` is the level that the set is used at unless told another. ``origin`` (command, date, sample) becomes
    part of its entry. Raises :class:`ModelSetError` without a forest or
    a level.
    """
    forests = {stage: forest for stage, forest in fitted.items() if forest.trained}
    if not forests or not levels:
        reasons = [f"stage {stage}: {forest.reason}" for stage, forest in fitted.items() if not forest.trained]
        raise ModelSetError(f"the first look: {'; '.join(reasons) or 'no right best tag in the held-out events'}. Give "
                            "more events.")
    make_folder(folder / "models")
    manifest = models.manifest
    files = [entry["file"] for entry in manifest["channels"].values()]
    for file in [*files, *(manifest[key]["file"] for key in ("tag_classifier", "given_bb") if key in manifest)]:
        make_folder((folder / file).parent)
        shutil.copyfile(Path(models.source) / file, folder / file)
    look = {"forests": {str(stage): _write_forest(folder, f"first_look_{stage}", forest)
                        for stage, forest in forests.items()},
            "levels": [dict(level) for level in levels], "speed": speed, "origin": dict(origin)}
    with atomic_output(folder / MANIFEST, force=True) as temporary:
        temporary.write_text(dump_manifest({**manifest, "name": name, "first_look": look}), encoding="utf-8")


def write_with_tag_classifier(models: ModelSet, folder: Path, fitted: FittedChannel, given_bb: FittedChannel | None, *,
                        name: str, origin: Mapping[str, Any]) -> None:
    """Write a copy of a model set with another tag classifier to a new folder, the manifest at last.

    ``origin`` (command, date, sample) becomes part of the tag classifier's entry.
    Raises :class:`ModelSetError` if it has no model.
    """
    if not fitted.trained:
        raise ModelSetError(f"the tag classifier: {fitted.reason}. Give more events.")
    make_folder(folder / "models")
    looks = (models.manifest.get("first_look") or {}).get("forests", {})
    for entry in [*models.manifest["channels"].values(), *looks.values()]:
        make_folder((folder / entry["file"]).parent)
        shutil.copyfile(Path(models.source) / entry["file"], folder / entry["file"])
    content = {key: value for key, value in models.manifest.items()
               if key not in ("no_tag_classifier", "no_tag_classifier_given_bb", "tag_classifier", "given_bb")}
    content["name"] = name
    content["sample"] = {key: value for key, value in content["sample"].items()
                         if key not in ("tag_classifier", "tag_classifier_factors")}
    content |= _write_tag_classifier(folder, fitted, given_bb)
    content["tag_classifier"]["origin"] = dict(origin)
    with atomic_output(folder / MANIFEST, force=True) as temporary:
        temporary.write_text(dump_manifest(content), encoding="utf-8")
