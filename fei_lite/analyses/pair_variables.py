"""Variables of pairs: the rest of the event under a mask, the shape of the event, the event itself, its truth.

=======================================  =====================================================================
``roeEextra(mask)``, ``nROE_Tracks(mask)``, ``nROE_Photons(mask)``, ``nROE_K_S0(mask)`` ...: as
:func:`fei_lite.roe.rest_variables` has them; so ``missing_mass2(mask)``, ``missing_E_plus_p_cms(mask)``,
``missing_theta_lab(mask)``, ``roeCharge(mask)``, ``roeM(mask)``
``mRecoil``, ``q2``, ``q2_recoil``       recoil of the tag; no mask
``KSFWVariables(hso02, mask)`` ...       signal side against tag and rest
``cosTBTO(mask)``                        thrust axes of signal side, and of tag and rest
``nCleanedTracks(mask)``                 tracks of the whole event
``nCleanedECLClusters(mask)``            photons, and clusters of tracks with E > 0.1 GeV in 17 to 150 degrees
``visibleEnergyOfEventCMS(mask)``        of tracks and photons, GeV
``E_ECL(mask)``                          of photons and of clusters of tracks, GeV
``nKL_seen``, ``nKL_lost``               generated K_L0 with and without a cluster
=======================================  =====================================================================
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.analyses.pairs import SIGNAL, TAG, Pairs
from fei_lite.errors import UnknownNameError, nearest
from fei_lite.event_shape import cos_between, join, ksfw_moments, thrust
from fei_lite.event_shape.momenta import Momenta
from fei_lite.reconstruction.frames import sqrt_s, to_cms
from fei_lite.roe import RestOfEvent, rest_of_event
from fei_lite.used_objects import everything
from fei_lite.variables import tree
from fei_lite.variables.tree import Call, Name, Node

Values = NDArray[Any]

_REST = ("roeEextra", "nROE_Tracks", "nROE_Photons", "nROE_KLMClusters", "nROE_K_S0", "nROE_pi0", "nROE_Lambda0",
         "roeCharge", "roeM", "missing_mass2", "missing_E_plus_p_cms", "missing_theta_lab")
_RECOIL = ("mRecoil", "q2", "q2_recoil")
_MOMENTS = tuple(f"{side}{who}{k}" for side, who in (("hso", "0"), ("hso", "1"), ("hso", "2")) for k in range(5)) + \
    tuple(f"hoo{k}" for k in range(5))
_KLONG = 130

#: Variables of single candidates beyond their features.
OF_CANDIDATES = ("charge", "mcPDG", "isSignal", "mcErrors")


def others(pairs: Pairs, mask: str) -> Momenta:
    """Tracks and photons of the tag, and of the rest under a mask; centre-of-mass frame, GeV."""
    return join(pairs.momenta(TAG), pairs.rest(mask).momenta_cms())


def _ksfw(pairs: Pairs, moment: str, mask: str) -> Values:
    def make() -> dict[str, Values]:
        energy = to_cms(pairs.of(SIGNAL, "p4"), pairs.beam_p4)[:, 3]
        return ksfw_moments(pairs.momenta(SIGNAL), others(pairs, mask), sqrt_s=sqrt_s(pairs.beam_p4),
                            energy=energy).columns()

    columns = pairs.once(f"ksfw {mask}", make)
    if moment not in columns:
        raise UnknownNameError(f"KSFWVariables: no moment '{moment}'.{nearest(moment, columns)}")
    return np.asarray(columns[moment])


def _cos_tbto(pairs: Pairs, mask: str) -> Values:
    axes = [thrust(momenta)[0] for momenta in (pairs.momenta(SIGNAL), others(pairs, mask))]
    return np.asarray(cos_between(*axes))


def _whole(pairs: Pairs, mask: str) -> RestOfEvent:
    """The whole event as a rest of which nothing is used."""
    nothing = np.zeros((len(pairs), everything(pairs.batch).shape[1]), dtype=np.uint64)
    return pairs.once(f"whole {mask}",  # type: ignore[no-any-return]
                      lambda: rest_of_event(pairs.objects(mask), pairs.event, tag=nothing))


def _cleaned_clusters(pairs: Pairs, mask: str) -> Values:
    """basf2 counts clusters of tracks as well, with the cuts of the skim."""
    clusters, n = pairs.batch.clusters, pairs.batch.n_events
    of_track = clusters["is_track"] == 1
    cleaned = of_track & (clusters["E"] > 0.1) & (clusters["theta"] > 0.2967) & (clusters["theta"] < 2.6180)
    of_tracks = np.bincount(clusters.event_index[cleaned], minlength=n)
    return np.asarray(_whole(pairs, mask).count("photons") + of_tracks[pairs.event])


def _calorimeter_energy(pairs: Pairs, mask: str) -> Values:
    clusters = pairs.batch.clusters
    energy = np.bincount(clusters.event_index, clusters["E"] * (clusters["is_track"] == 1),
                         minlength=pairs.batch.n_events)
    return np.asarray(_whole(pairs, mask).extra_energy() + energy[pairs.event])


def _klongs(pairs: Pairs, *, seen: bool) -> Values:
    """Generated K_L0 of each event with (without) a cluster in the calorimeter."""
    generated, clusters = pairs.batch.generated, pairs.batch.clusters
    if generated is None:
        raise UnknownNameError("nKL_seen and nKL_lost need generated particles.")
    row = clusters["mc_index"] + generated.offsets[:-1][clusters.event_index]
    has_cluster = np.zeros(len(generated), dtype=bool)
    has_cluster[row[clusters["mc_index"] >= 0]] = True
    chosen = (generated["pdg"] == _KLONG) & (has_cluster if seen else ~has_cluster)
    return np.asarray(np.bincount(generated.event_index[chosen], minlength=pairs.batch.n_events)[pairs.event])


_OF_MASK: dict[str, Callable[[Pairs, str], Values]] = {
    **{name: (lambda pairs, mask, name=name: pairs.rest_columns(mask)[name]) for name in _REST},
    "cosTBTO": _cos_tbto,
    "nCleanedTracks": lambda pairs, mask: _whole(pairs, mask).count("tracks"),
    "nCleanedECLClusters": _cleaned_clusters,
    "visibleEnergyOfEventCMS": lambda pairs, mask: np.asarray(_whole(pairs, mask).momenta_cms().sum()[:, 3]),
    "E_ECL": _calorimeter_energy,
}
_PLAIN: dict[str, Callable[[Pairs], Values]] = {
    **{name: (lambda pairs, name=name: pairs.rest_columns("all")[name]) for name in _RECOIL},
    "nKL_seen": lambda pairs: _klongs(pairs, seen=True), "nKL_lost": lambda pairs: _klongs(pairs, seen=False),
}

#: Every name, for messages.
NAMES = (*_OF_MASK, *_PLAIN, *OF_CANDIDATES, "KSFWVariables", "daughter")


def is_known(node: Node) -> bool:
    """Whether it is a variable of pairs, with the arguments it needs."""
    if isinstance(node, Name):
        return node.name in _PLAIN
    if not isinstance(node, Call) or not all(isinstance(a, Name) for a in node.arguments):
        return False
    return len(node.arguments) == {"KSFWVariables": 2, **dict.fromkeys(_OF_MASK, 1)}.get(node.name, -1)


def of_pairs(node: Node, pairs: Pairs) -> Values | None:
    """Values (n,) of a variable of pairs; None if it is none. Raises :class:`UnknownNameError` for a wrong mask."""
    if not is_known(node):
        return None
    if isinstance(node, Name):
        return _PLAIN[node.name](pairs)
    assert isinstance(node, Call)
    words = [tree.canonical(argument) for argument in node.arguments]
    if words[-1] not in pairs.masks:
        raise UnknownNameError(f"{node.name}: no mask '{words[-1]}'.{nearest(words[-1], pairs.masks)}")
    try:
        return _ksfw(pairs, *words) if node.name == "KSFWVariables" else _OF_MASK[node.name](pairs, words[0])
    except KeyError as error:
        if isinstance(error, UnknownNameError):
            raise
        raise UnknownNameError(f"{node.name}: mask '{words[-1]}' has no {error.args[0]}.") from None
