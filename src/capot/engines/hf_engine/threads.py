"""The processor's threads, which OpenMP keeps for each thread that ever computed.

GNU's OpenMP, which PyTorch brings on Linux, counts them, and where they are more than cores it
puts each to sleep as soon as it waits: an operation of 5 microseconds then takes 50. Whoever
opens a model computes a little, packing weights and in a first pass; whoever steps is another.
"""

from __future__ import annotations

import ctypes
from pathlib import Path

import torch

HARD = 2  # omp_pause_hard: threads and all that belongs to them


def release() -> None:
    """End the threads that wait for the calling one; they come again if it computes again."""
    for library in (Path(torch.__file__).parent / "lib").glob("libgomp*"):
        pause = getattr(ctypes.CDLL(str(library)), "omp_pause_resource_all", None)
        if pause is not None:
            pause(HARD)
