"""Units, physical constants, and what is taken by default.

GeV, cm, ns, rad and tesla everywhere. Four-vectors are (px, py, pz, E) on the
last axis.
"""

from __future__ import annotations

#: Speed of light in cm/ns (exact by the definition of the metre).
SPEED_OF_LIGHT = 29.9792458

#: pT [GeV] = CURVATURE_TO_PT * Bz [T] / abs(omega [1/cm]) for a unit charge.
CURVATURE_TO_PT = 0.00299792458

#: Order of the particle-identification hypotheses in ``pid_logl``, as in basf2.
PID_HYPOTHESES = ("e-", "mu-", "pi+", "K+", "p+", "deuteron")

#: The shipped model set that commands take unless told another.
DEFAULT_MODELS = "extended"
