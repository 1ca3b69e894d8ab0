"""What a model set is worth, from Btag files: comparison of sets, ceiling, calibration, shapes, features.

Functions return frozen dataclasses of numbers; :mod:`fei_lite.plots.validation` draws them.
"""
