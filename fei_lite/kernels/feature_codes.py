"""What the compiled kernel of features does for a variable, and in which frame, of which particle: plain numbers."""

from __future__ import annotations

#: COLUMN is a value that stands ready, one per candidate: whatever a variable's provider gives.
(COLUMN, P, PT, PX, PY, PZ, ENERGY, THETA, DX, DY, DZ, DR, DISTANCE, POINTING, Q_VALUE, MBC, DELTA_E,
 DAUGHTER_ANGLE, DECAY_ANGLE, INVARIANT_MASS) = range(20)

#: The frames: laboratory, centre of mass of e+e-, rest frame of the candidate.
LAB, CMS, REST = range(3)

#: The subject ``daughterProductOf`` stands for; 0 is the candidate, 1 + i its i-th daughter.
ALL_DAUGHTERS = -1

#: Daughters that a candidate may have: INVARIANT_MASS holds them as bits.
MOST_DAUGHTERS = 62
