"""What a combination can be cut on and ranked by, known before the vertex fit.

Pure Python, so that channel files can be checked without compiling anything.
"""

from __future__ import annotations

MASS, Q_VALUE, MBC, DELTA_E, ABS_DM, ABS_DQ, ABS_DELTA_E, PROBABILITY, NOTHING = range(9)

#: basf2 name -> code of each variable that the kernel can cut on or rank by.
VARIABLES = {
    "M": MASS, "Q": Q_VALUE, "Mbc": MBC, "deltaE": DELTA_E, "abs(dM)": ABS_DM, "abs(dQ)": ABS_DQ,
    "abs(deltaE)": ABS_DELTA_E, "daughterProductOf(SignalProbability)": PROBABILITY,
}
