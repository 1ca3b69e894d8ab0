"""Classifiers: LightGBM text models evaluated by compiled kernels, sets of them, and their fit."""

from fei_lite.classifiers.model_set import ModelSet, load_model_set

__all__ = ["ModelSet", "load_model_set"]
