"""The numbers in docstrings: every doctest of the package is run."""

from __future__ import annotations

import doctest
from importlib import import_module
from pkgutil import walk_packages

import pytest

import fei_lite

MODULES = sorted(m.name for m in walk_packages(fei_lite.__path__, "fei_lite.")
                 if not m.name.startswith(("fei_lite.decay_channels", "fei_lite.trained")))


@pytest.mark.parametrize("name", MODULES)
def test_doctests(name):
    """Would catch an example whose number is no longer what the code gives."""
    failures, _ = doctest.testmod(import_module(name), optionflags=doctest.ELLIPSIS)
    assert failures == 0
