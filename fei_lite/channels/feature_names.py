"""Features of channel files: expansion of placeholders, and what a channel may ask for.

Names are those of :mod:`fei_lite.variables`. A
feature in a channel file may hold placeholders: ``daughter({},p)`` stands for
one feature per daughter, ``daughterInvariantMass({},{})`` for one per pair.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from fei_lite.errors import UnknownNameError
from fei_lite.variables.names import check as check_name
from fei_lite.variables.names import needed_daughters

#: Truth that a classifier may be trained on.
TARGETS = ("isSignal", "isPrimarySignal", "isSignalAcceptMissingNeutrino")


def expand(patterns: Sequence[str], n_daughters: int) -> tuple[str, ...]:
    """Features of a channel: each ``{}`` runs over the daughters, in ascending combinations.

    A pattern with more placeholders than daughters gives nothing, as in basf2.

    >>> expand(["M", "daughterAngle({},{})"], 3)
    ('M', 'daughterAngle(0,1)', 'daughterAngle(0,2)', 'daughterAngle(1,2)')
    """
    return tuple(
        "".join(f"{text}{number}" for text, number in zip(pattern.split("{}"), (*chosen, ""), strict=True))
        for pattern in patterns
        for chosen in combinations(range(n_daughters), pattern.count("{}")))


def check(name: str, n_daughters: int) -> None:
    """Raise :class:`UnknownNameError` unless a channel of ``n_daughters`` has the expanded feature ``name``.

    >>> check("useRestFrame(daughter(1,p))", 2)
    """
    needed = needed_daughters(check_name(name))
    if needed > n_daughters:
        raise UnknownNameError(
            f"'{name}' needs {needed} daughter{'s' if needed > 1 else ''}, the channel has {n_daughters}.")
