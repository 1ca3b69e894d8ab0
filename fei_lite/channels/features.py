"""The vocabulary of channel files: features, cut and ranking variables, targets.

Names are basf2's (without ``extraInfo``). A feature in a channel file may hold
placeholders: ``daughter({},p)`` stands for one feature per daughter,
``daughterInvariantMass({},{})`` for one per pair.
"""

from __future__ import annotations

import re
from itertools import combinations

from fei_lite.errors import UnknownNameError, nearest

#: Variables of one candidate.
VARIABLES = (
    "M", "dM", "Q", "dQ", "p", "pt", "px", "py", "pz", "E", "Mbc", "deltaE",
    "dr", "dx", "dy", "dz", "distance", "significanceOfDistance", "cosAngleBetweenMomentumAndVertexVector",
    "chiProb", "preCut_rank", "SignalProbability", "decayModeID",
    "electronID", "muonID", "pionID", "kaonID", "protonID",
    "clusterReg", "clusterNHits", "clusterTiming", "clusterE9E25", "clusterE9E21",
)

#: Functions: name -> (arguments that are daughter numbers, or -1 for one or more; takes a variable last).
FUNCTIONS = {
    "abs": (0, True), "useCMSFrame": (0, True), "useRestFrame": (0, True),
    "daughter": (1, True), "daughterProductOf": (0, True),
    "daughterAngle": (2, False), "decayAngle": (1, False), "daughterInvariantMass": (-1, False),
}

#: What combinations can be cut on and ranked by: known before the vertex fit.
COMBINATION_VARIABLES = (
    "M", "Q", "Mbc", "deltaE", "abs(dM)", "abs(dQ)", "abs(deltaE)", "daughterProductOf(SignalProbability)",
)

#: Truth that a classifier may be trained on.
TARGETS = ("isSignal", "isPrimarySignal", "isSignalAcceptMissingNeutrino")


def expand(patterns: list[str] | tuple[str, ...], n_daughters: int) -> tuple[str, ...]:
    """Features of a channel: each ``{}`` runs over the daughters, in ascending combinations.

    A pattern with more placeholders than daughters gives nothing, as in basf2.

    >>> expand(["M", "daughterAngle({},{})"], 3)
    ('M', 'daughterAngle(0,1)', 'daughterAngle(0,2)', 'daughterAngle(1,2)')
    """
    return tuple(
        pattern.replace("{}", "%d") % chosen
        for pattern in patterns
        for chosen in combinations(range(n_daughters), pattern.count("{}")))


def check(name: str, n_daughters: int) -> None:
    """Raise :class:`UnknownNameError` unless ``name`` is an expanded feature of such a channel.

    >>> check("useRestFrame(daughter(1,p))", 2)
    """
    function, bracket, rest = name.partition("(")
    if not bracket:
        if name not in VARIABLES:
            raise UnknownNameError(f"unknown variable '{name}'.{nearest(name, VARIABLES)}")
        return
    if function not in FUNCTIONS:
        raise UnknownNameError(f"unknown function '{function}'.{nearest(function, FUNCTIONS)}")
    if not rest.endswith(")"):
        raise UnknownNameError(f"'{name}' has no closing bracket.")
    n_numbers, takes_variable = FUNCTIONS[function]
    inner = rest[:-1]
    if n_numbers < 0:
        n_numbers = inner.count(",") + 1
    parts = [part.strip() for part in inner.split(",", n_numbers if takes_variable else -1)]
    if len(parts) != n_numbers + takes_variable:
        raise UnknownNameError(f"'{name}': {function} takes {n_numbers + takes_variable} arguments, got {len(parts)}.")
    numbers = parts[:n_numbers]
    for number in numbers:
        if not re.fullmatch(r"\d+", number) or int(number) >= n_daughters:
            raise UnknownNameError(
                f"'{name}': '{number}' is no daughter; the channel has {n_daughters}, counted from 0.")
    if len(set(numbers)) != len(numbers):
        raise UnknownNameError(f"'{name}' names a daughter twice.")
    if takes_variable:
        check(parts[-1], n_daughters)
