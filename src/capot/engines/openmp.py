"""End the idle threads that GNU's OpenMP keeps for each thread that ever computed.

OpenMP counts all of them, at work or not. If there are more than cores, it puts each to sleep as soon as it waits, and
an operation of 5 microseconds takes 50. So a thread that will not compute for a while ends the threads that wait for
it: the one that opened a model, and an engine thread without work. OpenMP starts new ones in some tens of microseconds
when they are needed. Other systems' OpenMP needs none of this.
"""

from __future__ import annotations

import contextlib
import ctypes
from pathlib import Path

MAPS = Path("/proc/self/maps")  # what this process has loaded: there may be a library of PyTorch's and the system's
PAUSE_HARD = 2  # omp_pause_hard: the threads and all that belongs to them


def release_threads() -> None:
    """End the OpenMP threads that wait for the calling thread."""
    with contextlib.suppress(OSError):
        # The library's path may hold any bytes, and only needs to be opened again.
        lines = MAPS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        # Already loaded, so this opens the very library that is at work, and no second copy with threads of its own.
        for path in {line.split(maxsplit=5)[5] for line in lines if "/libgomp" in line}:
            pause = getattr(ctypes.CDLL(path), "omp_pause_resource_all", None)  # since GCC 9
            # Absent in musl's and older builds; other libraries (Intel's, LLVM's) put waiting threads to sleep by
            # themselves.
            if pause is not None:
                pause(PAUSE_HARD)
