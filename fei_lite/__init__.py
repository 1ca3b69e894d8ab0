"""fei-lite: hadronic B tagging for e+e- -> Upsilon(4S) -> B Bbar.

The library in six lines::

    import fei_lite
    channels = fei_lite.load_channel_set("extended")
    models = fei_lite.load_model_set("extended")
    for batch in fei_lite.open(["events.root"]):
        tags = fei_lite.select_tags(fei_lite.reconstruct(batch, channels, models))
        print(tags.to_awkward().Mbc)

Importing this package imports and compiles nothing; the names below are
loaded when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fei_lite.analyses.analysis import analyse as analyse
    from fei_lite.analyses.candidates.files import read_candidates as read_candidates
    from fei_lite.analyses.folders import load_analysis as load_analysis
    from fei_lite.channels import ChannelSet as ChannelSet
    from fei_lite.channels import load_channel_set as load_channel_set
    from fei_lite.classifiers.model_set import ModelSet as ModelSet
    from fei_lite.classifiers.model_set import load_model_set as load_model_set
    from fei_lite.errors import FeiLiteError as FeiLiteError
    from fei_lite.events import EventBatch as EventBatch
    from fei_lite.events import EventWriter as EventWriter
    from fei_lite.events.formats import register_format as register_format
    from fei_lite.events.reading import open_events as open
    from fei_lite.performance.working_points import evaluate_tags as evaluate_tags
    from fei_lite.production.simulate import simulate as simulate
    from fei_lite.reconstruction.checked import reconstruct as reconstruct
    from fei_lite.reconstruction.engine import Reconstruction as Reconstruction
    from fei_lite.reconstruction.options import ReconstructionOptions as ReconstructionOptions
    from fei_lite.roe import masked_objects as masked_objects
    from fei_lite.roe import rest_of_event as rest_of_event
    from fei_lite.roe import rest_variables as rest_variables
    from fei_lite.roe import tag_side as tag_side
    from fei_lite.statistics.fits import fit_strength as fit_strength
    from fei_lite.statistics.limits import upper_limit as upper_limit
    from fei_lite.statistics.workspaces import open_likelihood as open_likelihood
    from fei_lite.tagging.best import Btags as Btags
    from fei_lite.tagging.best import select_tags as select_tags
    from fei_lite.tagging.driver import tag_files as tag_files
    from fei_lite.tagging.output import read_tags as read_tags
    from fei_lite.training.driver import Settings as TrainingSettings
    from fei_lite.training.driver import train as train
    from fei_lite.variables.ntuples import ntuple as ntuple

__version__ = "0.2.0"

#: Public names, and where they are defined, in the order of the line of the data.
_PUBLIC = {
    "open": ("fei_lite.events.reading", "open_events"),
    "register_format": ("fei_lite.events.formats", "register_format"),
    "EventBatch": ("fei_lite.events", "EventBatch"),
    "EventWriter": ("fei_lite.events", "EventWriter"),
    "simulate": ("fei_lite.production.simulate", "simulate"),
    "ChannelSet": ("fei_lite.channels", "ChannelSet"),
    "load_channel_set": ("fei_lite.channels", "load_channel_set"),
    "ModelSet": ("fei_lite.classifiers.model_set", "ModelSet"),
    "load_model_set": ("fei_lite.classifiers.model_set", "load_model_set"),
    "TrainingSettings": ("fei_lite.training.driver", "Settings"),
    "train": ("fei_lite.training.driver", "train"),
    "Reconstruction": ("fei_lite.reconstruction.engine", "Reconstruction"),
    "ReconstructionOptions": ("fei_lite.reconstruction.options", "ReconstructionOptions"),
    "reconstruct": ("fei_lite.reconstruction.checked", "reconstruct"),
    "Btags": ("fei_lite.tagging.best", "Btags"),
    "select_tags": ("fei_lite.tagging.best", "select_tags"),
    "tag_files": ("fei_lite.tagging.driver", "tag_files"),
    "read_tags": ("fei_lite.tagging.output", "read_tags"),
    "evaluate_tags": ("fei_lite.performance.working_points", "evaluate_tags"),
    "tag_side": ("fei_lite.roe", "tag_side"),
    "masked_objects": ("fei_lite.roe", "masked_objects"),
    "rest_of_event": ("fei_lite.roe", "rest_of_event"),
    "rest_variables": ("fei_lite.roe", "rest_variables"),
    "ntuple": ("fei_lite.variables.ntuples", "ntuple"),
    "load_analysis": ("fei_lite.analyses.folders", "load_analysis"),
    "read_candidates": ("fei_lite.analyses.candidates.files", "read_candidates"),
    "analyse": ("fei_lite.analyses.analysis", "analyse"),
    "open_likelihood": ("fei_lite.statistics.workspaces", "open_likelihood"),
    "fit_strength": ("fei_lite.statistics.fits", "fit_strength"),
    "upper_limit": ("fei_lite.statistics.limits", "upper_limit"),
    "FeiLiteError": ("fei_lite.errors", "FeiLiteError"),
}

__all__ = [
    "Btags", "ChannelSet", "EventBatch", "EventWriter", "FeiLiteError", "ModelSet", "Reconstruction",
    "ReconstructionOptions", "TrainingSettings", "__version__", "analyse", "evaluate_tags", "fit_strength",
    "load_analysis", "load_channel_set", "load_model_set", "masked_objects", "ntuple", "open", "open_likelihood",
    "read_candidates", "read_tags", "reconstruct", "register_format", "rest_of_event", "rest_variables",
    "select_tags", "simulate", "tag_files", "tag_side", "train", "upper_limit",
]


def __getattr__(name: str) -> object:
    if name not in _PUBLIC:
        from fei_lite.errors import nearest

        raise AttributeError(f"module 'fei_lite' has no attribute '{name}'.{nearest(name, _PUBLIC)}")
    module, attribute = _PUBLIC[name]
    value = getattr(import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
