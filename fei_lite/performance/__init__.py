"""How well a tagger does, from Btag files: efficiency and purity, calibration, sculpting, shifts of features.

Functions return frozen dataclasses of numbers; :mod:`fei_lite.plots.performance` draws them.
"""
