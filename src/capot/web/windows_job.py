"""Limit a process's memory on Windows by a job object, which also ends it with the lab.

Written after the system's documentation and tried on no machine yet.
"""

from __future__ import annotations

import ctypes
import subprocess
from ctypes import wintypes
from typing import Any

EXTENDED_LIMITS = 9  # JobObjectExtendedLimitInformation
ACTIVE_PROCESS, PROCESS_MEMORY, KILL_ON_CLOSE = 0x8, 0x100, 0x2000


class _Basic(ctypes.Structure):
    """JOBOBJECT_BASIC_LIMIT_INFORMATION."""

    _fields_ = [
        ("PerProcessUserTimeLimit", ctypes.c_int64),
        ("PerJobUserTimeLimit", ctypes.c_int64),
        ("LimitFlags", wintypes.DWORD),
        ("MinimumWorkingSetSize", ctypes.c_size_t),
        ("MaximumWorkingSetSize", ctypes.c_size_t),
        ("ActiveProcessLimit", wintypes.DWORD),
        ("Affinity", ctypes.c_size_t),
        ("PriorityClass", wintypes.DWORD),
        ("SchedulingClass", wintypes.DWORD),
    ]


class _Extended(ctypes.Structure):
    """JOBOBJECT_EXTENDED_LIMIT_INFORMATION."""

    _fields_ = [
        ("BasicLimitInformation", _Basic),
        ("IoInfo", ctypes.c_uint64 * 6),
        ("ProcessMemoryLimit", ctypes.c_size_t),
        ("JobMemoryLimit", ctypes.c_size_t),
        ("PeakProcessMemoryUsed", ctypes.c_size_t),
        ("PeakJobMemoryUsed", ctypes.c_size_t),
    ]


class WindowsJob:
    """A job's handle. Closing it ends what is inside."""

    def __init__(self, kernel: Any, handle: int) -> None:
        self._kernel = kernel
        self._handle = handle

    def close(self) -> None:
        self._kernel.CloseHandle(self._handle)


def create_job(process: subprocess.Popen[bytes], *, memory: int) -> WindowsJob:
    """Put ``process`` into a job of its own. Raises: OSError. Units: ``memory`` in bytes."""
    kernel = ctypes.WinDLL("kernel32", use_last_error=True)  # type: ignore[attr-defined]  # Windows alone has it
    kernel.CreateJobObjectW.restype = wintypes.HANDLE
    kernel.CreateJobObjectW.argtypes = [ctypes.c_void_p, wintypes.LPCWSTR]
    kernel.SetInformationJobObject.argtypes = [wintypes.HANDLE, ctypes.c_int, ctypes.c_void_p, wintypes.DWORD]
    kernel.AssignProcessToJobObject.argtypes = [wintypes.HANDLE, wintypes.HANDLE]
    kernel.CloseHandle.argtypes = [wintypes.HANDLE]
    limits = _Extended(ProcessMemoryLimit=memory)
    limits.BasicLimitInformation.LimitFlags = ACTIVE_PROCESS | PROCESS_MEMORY | KILL_ON_CLOSE
    limits.BasicLimitInformation.ActiveProcessLimit = 1
    handle = kernel.CreateJobObjectW(None, None)
    size = ctypes.sizeof(limits)
    if not (
        handle
        and kernel.SetInformationJobObject(handle, EXTENDED_LIMITS, ctypes.byref(limits), size)
        and kernel.AssignProcessToJobObject(handle, int(process._handle))  # type: ignore[attr-defined]
    ):
        process.kill()
        raise ctypes.WinError(ctypes.get_last_error())  # type: ignore[attr-defined]
    return WindowsJob(kernel, handle)
