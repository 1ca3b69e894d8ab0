"""What the reconstruction says of a candidate: probability, rank, channel, charge."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.errors import UnknownNameError, nearest
from fei_lite.particles import charge, is_self_conjugate, pdg_code
from fei_lite.variables.registry import Provider, register
from fei_lite.variables.subject import Floats, Subject


def _column(name: str) -> Provider:
    def provide(subject: Subject) -> Floats:
        return np.asarray(subject.column(name), dtype=np.float64)

    return provide


register("SignalProbability", unit="", meaning="output of the classifier: probability that the candidate is right",
         nan="track of a V0", source="FEI, arXiv:1807.08680", known="after the classifier")(
    _column("SignalProbability"))
register("preCut_rank", unit="", meaning="rank before the classifier in its channel, event and conjugate, 1 is best",
         nan="track of a V0", source="FEI", known="after the ranking")(_column("preCut_rank"))
_NO_COLUMN = "never: without it there is no column"
register("postCut_rank", unit="", meaning="rank by SignalProbability in its event and conjugate, 1 is best",
         nan=_NO_COLUMN, source="ours", known="after the classifier")(_column("postCut_rank"))
register("channelProbability", unit="", meaning="output of the channel's classifier, where a tag classifier gives "
         "SignalProbability", nan=_NO_COLUMN, source="ours", known="after the classifier")(
    _column("channelProbability"))
register("SignalProbabilityGivenBB", unit="", meaning="SignalProbability if the event is B Bbar",
         nan=_NO_COLUMN, source="ours", known="after the classifier")(_column("SignalProbabilityGivenBB"))


@register("decayModeID", unit="", meaning="number of the channel in its particle's file, of a Btag that of the tagger",
          nan="track of a V0", source="FEI")
def _mode(subject: Subject) -> Floats:
    if subject.around.tags is None:
        return np.asarray(subject.column("decayModeID"), dtype=np.float64)
    return subject.each(lambda part, _: np.asarray(part.column("decayModeID"), dtype=np.float64))


@register("extraInfo", unit="", meaning="a column of the candidates by its name", nan="undefined there",
          source="basf2, MetaVariables", parameters=("name:word",), known="after the classifier")
def _extra(subject: Subject, name: str) -> Floats:
    if not subject.has(name) or subject.column(name).ndim != 1:
        known = [key for key, values in subject.candidates.columns.items() if values.ndim == 1]
        raise UnknownNameError(f"extraInfo({name}): {subject.particle} has no column '{name}'.{nearest(name, known)}")
    return np.asarray(subject.column(name), dtype=np.float64)


@register("charge", unit="e", meaning="electric charge", nan="never", source="basf2, Kinematics")
def _charge(subject: Subject) -> NDArray[np.int64]:
    sign = subject.column("sign").astype(np.int64)
    return charge(subject.particle) * np.where(sign < 0, -1, 1)


@register("PDG", unit="", meaning="PDG code of the candidate, as named if its final state tells no flavour",
          nan="never", source="basf2, Particle")
def _pdg(subject: Subject) -> NDArray[np.int64]:
    code = pdg_code(subject.particle)
    if is_self_conjugate(code):
        return np.full(len(subject), code)
    return code * np.where(subject.column("sign") < 0, -1, 1)


@register("isUnflavored", unit="", meaning="1 if the final state is its own charge conjugate and the particle is not",
          nan="never", source="basf2, Flavor")
def _unflavoured(subject: Subject) -> NDArray[np.int64]:
    return np.asarray(subject.column("sign") == 0).astype(np.int64)


@register("nDaughters", unit="", meaning="number of daughters (tracks of a V0 count)", nan="never",
          source="basf2, Particle")
def _n_daughters(subject: Subject) -> NDArray[Any]:
    return subject.each(lambda part, daughters: np.full(len(part), len(daughters))).astype(np.int64)
