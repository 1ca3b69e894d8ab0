"""fei-lite: hadronic B tagging for e+e- -> Upsilon(4S) -> B Bbar."""

from __future__ import annotations

__version__ = "0.1.0"
