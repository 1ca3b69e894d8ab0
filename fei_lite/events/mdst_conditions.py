"""What holds for a whole mDST file but is not written in it: beams, luminous region, field.

* ``beam_p4`` is the nominal four-momentum of the Belle II preset, as basf2
  uses it in an analysis; the event's true one would narrow Mbc. If the beams
  of the simulation (Upsilon(4S) or e+ e-) are elsewhere by more than 20 MeV,
  the median of the file's first 1000 events takes its place.
* ``ip`` is the centre of the luminous region: the median of the generated
  primary vertices of the file's first 1000 events (near 0 up to format
  generation v05, near (-0.05, 0.017, -0.02) cm in later ones), the origin
  without truth. ``ip_cov`` is diagonal: the preset widths, or the spread of
  those vertices where it is larger.
* ``bz`` is 1.4534 T at the interaction point, 1.484 T in the format
  generations v00 and v01; the release that made the file tells.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fei_lite.events.mdst_tree import MdstTree
from fei_lite.events.schema import STATUS

#: Nominal four-momentum of e+ e- in the laboratory, GeV (Belle II preset, Upsilon(4S)).
NOMINAL_BEAM = np.array([0.457, 0.0, 2.999, 11.005])
#: Standard deviations of the luminous region in x, y, z, cm (preset; y: assumed, includes its alignment).
LUMINOUS_REGION = np.array([12.5e-4, 1.0e-4, 300e-4])
#: Solenoid field at the interaction point, T; before format generation v02 the field map was another.
FIELD, FIELD_V00_V01 = 1.4534, 1.484


@dataclass(frozen=True)
class Conditions:
    """Numbers that hold for a whole file: beams (4,), luminous region (3,) and (6,), field (T)."""

    beam_p4: NDArray[np.float64]
    ip: NDArray[np.float64]
    ip_cov: NDArray[np.float64]
    bz: float


def generated_vectors(tree: MdstTree) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(p4, production vertex) of all generated particles, (n, 4) and (n, 3)."""
    names = ("m_momentum_x", "m_momentum_y", "m_momentum_z", "m_energy")
    p4 = np.stack([tree.values("MCParticles", m).astype(np.float64) for m in names], axis=1)
    vertex = np.stack([tree.values("MCParticles", f"m_productionVertex_{c}").astype(np.float64) for c in "xyz"], axis=1)
    return p4, vertex


def field_of(file: Any, notes: dict[str, int]) -> float:
    """Solenoid field (T) from the release that made an open file; an unknown release is noted."""
    release = ""
    if "persistent" in file:
        names = [b for b in file["persistent"].keys(recursive=True) if b.endswith("m_release")]
        release = str(file["persistent"][names[0]].array()[0]) if names else ""
    found = re.search(r"release-(\d+)", release)
    if not found:
        notes["mdst: release unknown, field of 1.4534 T assumed"] = 1
        return FIELD
    return FIELD_V00_V01 if int(found.group(1)) < 2 else FIELD


def _primary(tree: MdstTree) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(p4, vertex) of the generated Upsilon(4S) of each event that has one, else of its beam pair's sum."""
    pdg, status, mother = (tree.values("MCParticles", m) for m in ("m_pdg", "m_status", "m_mother"))
    p4, vertex = generated_vectors(tree)
    resonance = pdg == 300553
    if resonance.any():
        return p4[resonance], vertex[resonance]
    offsets = tree.offsets("MCParticles", "m_pdg")
    event = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    beam = (status & STATUS["initial"] != 0) & (mother == 0) & (np.abs(pdg) == 11)
    total = np.zeros((len(offsets) - 1, 4))
    np.add.at(total, event[beam], p4[beam])
    first = np.flatnonzero((mother == 0) & ~beam & (status & STATUS["primary"] != 0))
    return total[np.bincount(event[beam], minlength=len(total)) == 2], vertex[first]


def conditions_of(tree: MdstTree, bz: float) -> Conditions:
    """Beams and luminous region from the generated events of ``tree`` (see above), the preset without truth."""
    beam, ip, spread = NOMINAL_BEAM, np.zeros(3), LUMINOUS_REGION
    if tree.has("MCParticles"):
        p4, vertex = _primary(tree)
        if len(p4) and np.abs(np.median(p4, axis=0) - NOMINAL_BEAM).max() > 0.02:
            beam = np.median(p4, axis=0)
        if len(vertex):
            ip = np.median(vertex, axis=0)
            spread = np.maximum(spread, np.std(vertex, axis=0))
    x, y, z = spread**2
    return Conditions(beam, ip, np.array([x, 0, 0, y, 0, z]), bz)
