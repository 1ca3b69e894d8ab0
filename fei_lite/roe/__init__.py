"""The rest of the event: everything that neither tag nor signal side uses.

Once per batch, ``masked_objects`` applies a named mask (cuts as data); then
``rest_of_event`` gives each candidate what its sides leave, and
``rest_variables`` the columns that analyses read::

    tag = tag_side(result, select_tags(result))
    objects = masked_objects(batch, "hta")
    rest = rest_of_event(objects, tag.event, tag=tag.used)
    columns = rest_variables(rest, tag.p4)

A signal side gives its bit sets and momenta to the last two (``signal=...``).
"""

from fei_lite.roe.kinematics import (
    Missing,
    mass_squared,
    missing,
    momentum_transfer,
    momentum_transfer_at_rest,
    recoil,
    signal_b_cms,
)
from fei_lite.roe.masks import Mask, find_mask, load_masks
from fei_lite.roe.objects import MaskedObjects, masked_objects
from fei_lite.roe.rest import ObjectsOfSets, RestOfEvent, objects_in, rest_of_event, side_momenta_cms, used_objects_of
from fei_lite.roe.sides import Side, side_of, tag_side
from fei_lite.roe.variables import rest_variables

__all__ = [
    "Mask", "MaskedObjects", "Missing", "ObjectsOfSets", "RestOfEvent", "Side", "find_mask", "load_masks",
    "mass_squared", "masked_objects", "missing", "momentum_transfer", "momentum_transfer_at_rest", "objects_in",
    "recoil", "rest_of_event", "rest_variables", "side_momenta_cms", "side_of", "signal_b_cms", "tag_side",
    "used_objects_of",
]
