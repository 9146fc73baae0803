"""Numba as the kernels use it: compiled code is kept on disk where there is a place for it, and needed nowhere.

Numba raises where it may write into no folder, where the disk is full, where a file that it kept cannot be read. None
of that is a reason not to compute: the kernels are compiled anew. ``trouble`` holds the first reason, to be told once.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numba
from numba.core import caching

from capot.errors import InputError, library_message, os_reason

# The first that is there; each but the last lets other threads of the process compute as well.
if "NUMBA_THREADING_LAYER_PRIORITY" not in os.environ:
    setattr(numba.config, "THREADING_LAYER_PRIORITY", ["omp", "tbb", "workqueue"])  # noqa: B010 - not in its annotations

# How long a thread that waits for another spins before it sleeps: some microseconds, longer than most waits.
# OpenMP's own milliseconds are quickest where nobody else works; elsewhere they take the core from the very thread
# that is waited for. The boxed model on two cores, tokens/s with those, with these and with none: 2,200, 2,100 and
# 380 on a quiet machine; 2, 100-180 and 300 beside four busy programs. OpenMP reads it once, at the first kernel.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")

cache_errors: list[Exception] = []  # what kept compiled code from the disk


def njit(*, cache: bool = False, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Compile as Numba's decorator does; its ``cache`` never raises."""

    def compiled(function: Callable[..., Any]) -> Any:
        dispatcher = numba.njit(**options)(function)
        # Under DISABLE_JIT, Numba hands back the plain function, which has no cache to replace.
        if cache and not numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
            try:
                dispatcher._cache = _SafeCache(dispatcher.py_func)  # as its enable_caching does, with another class
            except (RuntimeError, OSError) as error:  # no folder that may be written
                cache_errors.append(error)
        return dispatcher

    return compiled


class _SafeCache:
    """Numba's own cache on disk, less what it raises."""

    def __init__(self, function: Any) -> None:
        made: Any = caching.FunctionCache  # Numba has no annotations
        self._cache = made(function)

    # Numba's dispatcher reads more of the cache than it documents (its path, its statistics).
    def __getattr__(self, name: str) -> Any:
        return getattr(self._cache, name)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return self._cache.load_overload(sig, target_context)
        except Exception as error:  # a file cut short, of another owner, of another version: whatever it is
            cache_errors.append(error)
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            self._cache.save_overload(sig, data)
        except Exception as error:
            cache_errors.append(error)


def warn_uncached(warn: Callable[..., None]) -> None:
    """Say, once, that compiled code stays nowhere."""
    if cache_errors:
        first = cache_errors[0]
        if isinstance(first, OSError):
            warn("native.unkept", reason=os_reason(first))
        else:
            warn("native.nowhere")
        cache_errors.clear()


def check() -> None:
    """Refuse the settings of Numba with which nothing can be computed.

    Raises: InputError ``numba_no_jit``, ``numba_setting``.
    """
    config: Any = numba.config
    # Plain Python would take hours for one token, and look like a hang.
    if config.DISABLE_JIT:
        raise InputError("numba_no_jit")
    if config.NUMBA_NUM_THREADS < 1:
        raise InputError(
            "numba_setting", name="NUMBA_NUM_THREADS", value=str(config.NUMBA_NUM_THREADS)[:40], reason="< 1"
        )
    try:
        numba.get_num_threads()  # loads the layer of threads
    except (ValueError, ImportError, RuntimeError) as error:
        said = library_message(next(iter(str(error).splitlines()), type(error).__name__))
        value = str(config.THREADING_LAYER)[:40]
        raise InputError("numba_setting", name="NUMBA_THREADING_LAYER", value=value, reason=said) from None
