"""Model sets: the trained classifiers of a channel set, one per channel.

A model set is a folder with ``manifest.json`` and one gzipped LightGBM text
model per channel. Channels with too little data have no model: the manifest
lists them with the reason, and the reconstruction leaves them out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fei_lite.classifiers.manifest import MANIFEST, read_manifest
from fei_lite.classifiers.text import text_names, unpack
from fei_lite.classifiers.trees import TreeModel, parse_trees
from fei_lite.errors import ModelSetError, UnknownNameError, nearest

if TYPE_CHECKING:
    from fei_lite.channels import ChannelSet


@dataclass(frozen=True)
class ChannelModel:
    """The classifier of one channel; its trees are parsed when first used.

    ``features`` are the ordered basf2 names of the columns; ``entry`` is the
    channel's part of the manifest (``training`` and ``validation`` sizes and AUC).
    """

    identifier: str
    features: tuple[str, ...]
    entry: Mapping[str, Any] = field(repr=False)
    source: str
    packed: bytes = field(repr=False)

    @cached_property
    def trees(self) -> TreeModel:
        """The forest, checked against the manifest's features."""
        model = parse_trees(unpack(self.packed, source=self.source), source=self.source)
        try:
            expected = tuple(text_names(self.features))
        except ModelSetError as error:
            raise ModelSetError(f"{self.source}: {error}") from None
        if model.feature_names != expected:
            raise ModelSetError(f"{self.source}: features of the model and of the manifest differ: "
                                f"{_first_difference(model.feature_names, expected)}.")
        return model

    def predict(self, X: ArrayLike, *, above: float = 0.0) -> NDArray[np.float64]:
        """Signal probability (n,) of candidates with features ``X`` (n, n_features); see TreeModel.probability."""
        return self.trees.probability(X, above=above)


@dataclass(frozen=True)
class ModelSet:
    """Trained classifiers by channel identifier, and the manifest they came with."""

    name: str
    models: Mapping[str, ChannelModel]
    manifest: Mapping[str, Any] = field(repr=False)
    source: str = ""
    #: The tag classifier, which sees all tag candidates of an event.
    tag_classifier: ChannelModel | None = None
    #: Its second forest, of the same features: the probability given that the event is B Bbar.
    given_bb: ChannelModel | None = None
    #: The first look's forests, by stage.
    first_look: Mapping[int, ChannelModel] = field(default_factory=dict)
    #: Hashes of the channel sets that were found to fit.
    _fitting: set[str] = field(default_factory=set, init=False, repr=False, compare=False)

    def __repr__(self) -> str:
        judged = "" if self.tag_classifier is None else ", a tag classifier"
        return (f"ModelSet('{self.name}': models of {len(self.models)} channels, {len(self.untrained)} without"
                f"{judged}; {self.source})")

    @property
    def untrained(self) -> dict[str, str]:
        """Channels without a model, with the reason."""
        return {identifier: entry["reason"] for identifier, entry in self.manifest["untrained"].items()}

    @property
    def levels(self) -> tuple[Mapping[str, Any], ...]:
        """The levels of the first look, from the slowest to the fastest: ``lost``, ``least``, ``min_product``."""
        return tuple((self.manifest.get("first_look") or {}).get("levels", ()))

    @property
    def speed(self) -> int:
        """The level that the set is used at unless told another; 0 is no first look."""
        return int((self.manifest.get("first_look") or {}).get("speed", 0))

    @property
    def digest(self) -> str:
        """SHA-256 of what decides the probabilities: channel set, model files, tag classifier, a first look in use."""
        parts = [str(self.manifest["channel_set"]["hash"]),
                 *(f"{name} {model.entry['sha256']}" for name, model in sorted(self.models.items()))]
        parts += [str(model.entry["sha256"]) for model in (self.tag_classifier, self.given_bb) if model is not None]
        if self.speed:
            parts += [f"{stage} {model.entry['sha256']}" for stage, model in sorted(self.first_look.items())]
            parts.append(json.dumps([self.speed, self.levels], sort_keys=True))
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def has_model(self, identifier: str) -> bool:
        """Whether the channel has a classifier."""
        return identifier in self.models

    def predict(self, identifier: str, features: ArrayLike, *, above: float = 0.0) -> NDArray[np.float64]:
        """Signal probability (n,) of candidates of a channel, with the generic prior.

        ``features`` is (n, n_features) float64 in the order of ``models[identifier].features``;
        NaN is undefined. Candidates that surely do not come ``above`` a probability may
        hold 0 instead. Raises :class:`UnknownNameError` for a channel without a model.
        """
        try:
            model = self.models[identifier]
        except KeyError:
            reason = self.untrained.get(identifier)
            raise UnknownNameError(
                f"{self.source}: no model for channel '{identifier}'"
                + (f": {reason}." if reason else f".{nearest(identifier, self.models)}")) from None
        return model.predict(features, above=above)

    def check(self, channel_set: ChannelSet, *, other_cuts: bool = False) -> None:
        """Raise :class:`ModelSetError` listing everything in which the set does not fit.

        Identifiers, feature names and their order are compared: the trees know
        columns by position only and would answer nonsense without a word. Cuts,
        rankings and targets are compared as well (by hash), unless ``other_cuts``
        says that the probabilities may be those of other candidates.
        """
        findings = self._findings(channel_set)
        trained_for = self.manifest["channel_set"]
        if not findings and not other_cuts and trained_for["hash"] != channel_set.hash:
            findings = [("same channels and features, other cuts, rankings, fits or targets: content hash "
                        f"{trained_for['hash']} at the training, {channel_set.hash} now")]
        if findings:
            shown = [f"  {finding}" for finding in findings[:20]]
            if len(findings) > 20:
                shown.append(f"  ... and {len(findings) - 20} more")
            raise ModelSetError(
                f"{self.source}: model set '{self.name}', trained for channel set '{trained_for['name']}', does not "
                f"fit channel set '{channel_set.name}':\n" + "\n".join(shown)
                + "\nUse the channel set of the training, or train a set for this one (fei-lite train).")

    def check_once(self, channel_set: ChannelSet) -> None:
        """:meth:`check`, unless a channel set of this content was found to fit before."""
        if channel_set.hash not in self._fitting:
            self.check(channel_set)
            self._fitting.add(channel_set.hash)

    def _findings(self, channel_set: ChannelSet) -> list[str]:
        wanted = {channel.identifier: channel.features for channel in channel_set.channels() if channel.features}
        known = {**{identifier: model.features for identifier, model in self.models.items()},
                 **{identifier: tuple(entry["features"]) for identifier, entry in self.manifest["untrained"].items()}}
        findings = []
        for identifier, features in wanted.items():
            if identifier not in known:
                findings.append(f"{identifier}: not in the model set.{nearest(identifier, known)}")
            elif known[identifier] != features:
                findings.append(f"{identifier}: {_first_difference(known[identifier], features)}")
        return findings + [f"{identifier}: not in the channel set" for identifier in known if identifier not in wanted]


def _first_difference(models: tuple[str, ...], channels: tuple[str, ...]) -> str:
    """Describe how two lists of features differ."""
    missing = [name for name in channels if name not in models]
    extra = [name for name in models if name not in channels]
    parts = [f"not in the model: {', '.join(missing)}"] if missing else []
    parts += [f"only in the model: {', '.join(extra)}"] if extra else []
    if parts:
        return "; ".join(parts)
    for i, (a, b) in enumerate(zip(models, channels)):
        if a != b:
            return f"another order: feature {i} is '{a}' in the model, '{b}' expected"
    return f"{len(models)} features in the model, {len(channels)} expected"


def load_model_set(name_or_path: str | Path) -> ModelSet:
    """Load a shipped set by name, or any set by its folder. Raises :class:`ModelSetError`.

    Every model file is compared with the manifest's SHA-256 now; its trees are
    parsed when the channel is first used. A shipped set's name comes first:
    write ``./name`` for a folder of the same name.
    """
    folder = find_model_set(name_or_path)
    manifest = read_manifest(folder)
    models = {identifier: _load_channel(folder, identifier, entry)
              for identifier, entry in manifest["channels"].items()}
    tag_classifier, given_bb = (None if (entry := manifest.get(key)) is None else _load_channel(folder, what, entry)
                       for key, what in (("tag_classifier", "the tag classifier"),
                                         ("given_bb", "the tag classifier, in B Bbar events")))
    if given_bb is not None and (tag_classifier is None or given_bb.features != tag_classifier.features):
        raise ModelSetError(f"{folder / MANIFEST}: given_bb: needs a tag classifier ('tag_classifier') of the same "
                            "features. Train it again (fei-lite train --renew).")
    looks = {int(stage): _load_channel(folder, f"the first look, stage {stage}", entry)
             for stage, entry in (manifest.get("first_look") or {}).get("forests", {}).items()}
    return ModelSet(manifest["name"], models, manifest, str(folder), tag_classifier, given_bb, looks)


def find_model_set(name_or_path: str | Path) -> Path:
    """The folder of a model set, shipped or given."""
    shipped = shipped_model_sets()
    if str(name_or_path) in shipped:
        return shipped[str(name_or_path)]
    folder = Path(name_or_path)
    if (folder / MANIFEST).is_file():
        return folder
    what = "a folder without" if folder.is_dir() else "neither a shipped model set nor a folder with"
    raise ModelSetError(f"{name_or_path}: {what} a {MANIFEST}.{nearest(str(name_or_path), shipped)} "
                        f"Shipped: {', '.join(sorted(shipped)) or 'none'}. Make one with fei-lite train.")


def shipped_model_sets() -> dict[str, Path]:
    """Model sets that come with fei-lite, by name: inside the package, or beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    sets: dict[str, Path] = {}
    for place in (package / "trained", package.parent / "trained"):
        for manifest in sorted(place.glob(f"*/{MANIFEST}")):
            sets.setdefault(manifest.parent.name, manifest.parent)
    return sets


def _load_channel(folder: Path, identifier: str, entry: Mapping[str, Any]) -> ChannelModel:
    path = folder / entry["file"]
    if path.resolve().parent.parent != folder.resolve():
        raise ModelSetError(f"{folder / MANIFEST}: channels['{identifier}'].file: '{entry['file']}' "
                            "is not in a folder of the model set.")
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise ModelSetError(f"{path}: the model of '{identifier}' cannot be read: not a regular file.")
        packed = path.read_bytes()
    except OSError as error:
        raise ModelSetError(f"{path}: the model of '{identifier}' cannot be read: {error.strerror}.") from None
    digest = hashlib.sha256(packed).hexdigest()
    if digest != entry["sha256"]:
        raise ModelSetError(f"{path}: SHA-256 is {digest[:12]}..., the manifest has {entry['sha256'][:12]}...: the "
                            "file was changed or damaged. Fetch the set again or train the channel again.")
    return ChannelModel(identifier, tuple(entry["features"]), entry, str(path), packed)
