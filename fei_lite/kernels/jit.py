"""The one place where jit options are set.

``fastmath`` stays off: it deletes ``isnan``, and undefined is NaN here.
Compiled code is cached beside the package or in ``NUMBA_CACHE_DIR``, which
several processes may fill at once (elsewhere where neither can be written to:
:func:`~fei_lite.kernels.cache.find_place`); ``FEI_LITE_JIT_CACHE=0`` switches the cache
off.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

import numba

from fei_lite.kernels.cache import find_place, make_safe

F = TypeVar("F", bound=Callable[..., object])

CACHE = os.environ.get("FEI_LITE_JIT_CACHE", "1") != "0" and (bool(numba.config.DISABLE_JIT) or find_place())


def kernel(function: F) -> F:
    """Compile a kernel: NaN-safe, without the GIL, cached."""
    return _compiled(function)


def inlined(function: F) -> F:
    """Compile a small helper that is inlined into the kernels that call it."""
    return _compiled(function, inline="always")


def _compiled(function: F, **options: str) -> F:
    compiled: F = numba.njit(nogil=True, cache=CACHE, error_model="numpy", **options)(function)
    if CACHE and not numba.config.DISABLE_JIT:
        make_safe(compiled)
    return compiled


def is_cached(function: Callable[..., object]) -> bool:
    """Whether compiled code of a kernel lies in the cache: if not, its first call takes seconds.

    Code of another version of its module does not count.
    """
    if numba.config.DISABLE_JIT:
        return True
    return CACHE and not function._cache._cache_file.empty  # type: ignore[attr-defined]
