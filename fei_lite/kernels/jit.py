"""The one place where jit options are set.

``fastmath`` stays off: it deletes ``isnan``, and undefined is NaN here.
Compiled code is cached beside the package or in ``NUMBA_CACHE_DIR``; set
``FEI_LITE_JIT_CACHE=0`` to switch the cache off (parallel first runs that
share one folder, for instance).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

import numba

F = TypeVar("F", bound=Callable[..., object])

CACHE = os.environ.get("FEI_LITE_JIT_CACHE", "1") != "0"


def kernel(function: F) -> F:
    """Compile a kernel: NaN-safe, without the GIL, cached."""
    compiled: F = numba.njit(nogil=True, cache=CACHE, error_model="numpy")(function)
    return compiled


def inlined(function: F) -> F:
    """Compile a small helper that is inlined into the kernels that call it."""
    compiled: F = numba.njit(nogil=True, cache=CACHE, error_model="numpy", inline="always")(function)
    return compiled
