"""fei-lite: hadronic B tagging for e+e- -> Upsilon(4S) -> B Bbar.

The library in six lines::

    import fei_lite
    channels = fei_lite.load_channel_set("hadronic")
    models = fei_lite.load_model_set("fei_default")
    for batch in fei_lite.open(["events.root"]):
        tags = fei_lite.select_tags(fei_lite.reconstruct(batch, channels, models))
        print(tags.to_awkward().Mbc)

Importing this package imports and compiles nothing; the names below are
loaded when they are first used.
"""

from __future__ import annotations

from importlib import import_module

__version__ = "0.2.0"

#: Public names, and where they are defined.
_PUBLIC = {
    "open": ("fei_lite.events.reading", "open_events"),
    "load_channel_set": ("fei_lite.channels", "load_channel_set"),
    "load_model_set": ("fei_lite.classifiers.model_set", "load_model_set"),
    "simulate": ("fei_lite.production.simulate", "simulate"),
    "reconstruct": ("fei_lite.reconstruction.engine", "reconstruct"),
    "select_tags": ("fei_lite.tagging.best", "select_tags"),
    "read_tags": ("fei_lite.tagging.output", "read_tags"),
    "FeiLiteError": ("fei_lite.errors", "FeiLiteError"),
}

__all__ = sorted([*_PUBLIC, "__version__"])


def __getattr__(name: str) -> object:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'fei_lite' has no attribute '{name}'")
    module, attribute = _PUBLIC[name]
    value = getattr(import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
