"""Intel's matrix unit (AMX): whether this processor has one, and whether the system lets this process use it."""

from __future__ import annotations

import ctypes
import platform
import sys
from collections.abc import Mapping

NEEDED = ("amx-tile", "amx-bf16")  # as LLVM names them
ARCH_PRCTL = 158  # the number of the system call on x86-64
ARCH_REQ_XCOMP_PERM = 0x1023
TILE_DATA = 18  # the registers' place among what the system saves of a thread


def permitted() -> bool:
    """Ask Linux for the tile registers, for all threads of this process, and return whether it grants them.

    It keeps 8 KB for each thread that uses them. It refuses where it does not know them, where an administrator
    switched them off, and where a thread's stack for signals is too small for them.
    Source: the kernel's documentation, "Using XSTATE features in user space applications".
    """
    # In a program of 32 bits, which may be told the same machine, this number is another call.
    if not sys.platform.startswith("linux") or platform.machine() != "x86_64" or sys.maxsize < 2**32:
        return False
    try:
        ask = ctypes.CDLL(None).syscall
    except (OSError, AttributeError):
        return False
    ask.restype = ctypes.c_long
    return bool(ask(*map(ctypes.c_long, (ARCH_PRCTL, ARCH_REQ_XCOMP_PERM, TILE_DATA))) == 0)


def usable(features: Mapping[str, bool]) -> bool:
    """Return whether kernels may use the unit, of a processor that kernels are compiled for."""
    return all(features.get(name) for name in NEEDED) and permitted()
