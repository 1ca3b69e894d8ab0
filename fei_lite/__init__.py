"""fei-lite: hadronic B tagging for e+e- -> Upsilon(4S) -> B Bbar."""

from __future__ import annotations

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """Names that need more than the standard library are imported when first used."""
    if name == "open":
        from fei_lite.events.reading import open_events

        return open_events
    raise AttributeError(f"module 'fei_lite' has no attribute '{name}'")
