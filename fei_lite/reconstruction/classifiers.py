"""What the reconstruction asks of a set of classifiers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class TagForest(Protocol):
    """A forest of the tag classifier (:mod:`fei_lite.reconstruction.tag_classifier`)."""

    @property
    def features(self) -> Sequence[str]:
        """Names of its features, in its order."""

    def predict(self, X: Floats) -> Floats:
        """Probability of each row of features."""


class BoundedForest(Protocol):
    """A forest that may give up rows early."""

    def predict(self, X: Floats, *, above: float = 0.0) -> Floats:
        """Probability of each row of features; one that surely does not come ``above`` that value may hold 0."""


class Classifiers(Protocol):
    """A model set, or any other classifiers of a channel set."""

    @property
    def tag_classifier(self) -> TagForest | None:
        """The classifier of all tag candidates of an event against each other, if there is one."""

    @property
    def given_bb(self) -> TagForest | None:
        """Its second forest, of the same features: the probability given that the event is B Bbar."""

    def has_model(self, identifier: str) -> bool:
        """Whether there is a model for the channel."""

    def predict(self, identifier: str, features: Floats, *, above: float = 0.0) -> Floats:
        """Signal probability of each row; one that surely does not come ``above`` that value may hold 0."""


class NoClassifiers:
    """For channel sets without classifiers."""

    tag_classifier: TagForest | None = None
    given_bb: TagForest | None = None

    def has_model(self, identifier: str) -> bool:
        """There is none."""
        return False

    def predict(self, identifier: str, features: Floats, *, above: float = 0.0) -> Floats:
        """Never asked for."""
        raise NotImplementedError(identifier)
