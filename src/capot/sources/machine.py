"""Measure this machine: memory, free memory, free disk, processors.

Linux says so in /proc/meminfo, a container in its control groups; where nobody
says, the answer is None and a face says nothing rather than a guess. ``CAPOT_RAM``, in
GB, stands for another machine: what would be said on the class's laptops? ``CAPOT_DISK``
does the same for the free room on its disk.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import math
import os
import platform
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from capot.errors import InputError
from capot.sources.control_groups import cpu_quotas, memory_limits

MAX_THREADS = 1024  # the C library ends the program where the system grants it no more of them
MEMINFO = Path("/proc/meminfo")
CPUINFO = Path("/proc/cpuinfo")
CGROUP = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")  # the control groups that this process is in


@dataclass(frozen=True)
class Ram:
    """Bytes; ``available`` can be taken without swapping, None where the system does not say."""

    total: int | None
    available: int | None


def ram() -> Ram:
    """Return this machine's memory, its container's if that is smaller, or ``CAPOT_RAM``.

    Raises: InputError ``not_a_number`` where ``CAPOT_RAM`` is none.
    """
    if wanted := os.environ.get("CAPOT_RAM"):
        return Ram(_bytes("CAPOT_RAM", wanted), _bytes("CAPOT_RAM", wanted))
    machine = _meminfo() or (_windows() if sys.platform == "win32" else _pages())
    group = _cgroup()
    # A container has less than the machine, which /proc shows all the same.
    return Ram(_smallest(machine.total, group.total), _smallest(machine.available, group.available))


def processor() -> str:
    """Return the name of this machine's processor, with family and model where the system tells them.

    A virtual machine may name no more than the maker.
    """
    try:
        with CPUINFO.open() as file:  # the first processor's lines: a server has hundreds more like them
            lines = list(itertools.takewhile(str.strip, file))
    except (OSError, ValueError):
        lines = []
    told = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    name = told.get("model name") or platform.processor() or platform.machine()
    return f"{name} (family {told['cpu family']}, model {told['model']})" if "cpu family" in told else name


def processors() -> int:
    """Return how many threads may compute at once, 1 at least.

    The smallest of the cores that this process may run on (its affinity), the time that its control groups allow,
    rounded up, and ``OMP_NUM_THREADS``. A thread more than that would have the others wait: all of a product's
    threads end together, and the group is stopped for the rest of each period once its time is used.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = [math.ceil(quota) for quota in cpu_quotas(root=CGROUP, membership=MEMBERSHIP)]
    wanted = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()  # a number for each level of nesting
    asked = [int(wanted)] if wanted.isdecimal() and len(wanted) < 6 else []
    return max(1, min([cores, *quotas, *asked]))


def numba_threads() -> int:
    """Return how many threads compiled kernels take: ``NUMBA_NUM_THREADS``, which Numba reads, else ``processors``.

    Raises: InputError ``numba_setting`` for a value that is no number, below 1 or above ``MAX_THREADS``.
    """
    value = os.environ.get("NUMBA_NUM_THREADS", "").strip()
    if not value:
        return processors()
    threads = int(value) if value.isdecimal() and len(value) < 10 else 0
    if not 0 < threads <= MAX_THREADS:
        bounds = f"1–{MAX_THREADS}"
        raise InputError("numba_setting", name="NUMBA_NUM_THREADS", value=value[:20], reason=bounds)
    return threads


def free_disk(folder: Path) -> int | None:
    """Return the free bytes of the disk of ``folder``, which need not exist, or ``CAPOT_DISK``.

    Raises: InputError ``not_a_number`` where ``CAPOT_DISK`` is none.
    """
    if wanted := os.environ.get("CAPOT_DISK"):
        return _bytes("CAPOT_DISK", wanted)
    # The folder need not exist yet: its disk is that of the first folder above that does.
    for there in (folder, *folder.parents):
        try:
            return shutil.disk_usage(there).free
        except OSError:
            continue
    return None


def largest_fitting(holds: Callable[[int], bool], *, most: int) -> int:
    """Return the largest number of tokens up to ``most`` that ``holds``, by binary search.

    >>> largest_fitting(lambda tokens: 3 * tokens <= 100, most=1000)
    33
    """
    low = 0
    high = most
    while low < high:
        middle = (low + high + 1) // 2
        # Halved, since ``holds`` is true up to some number and false beyond.
        low, high = (middle, high) if holds(middle) else (low, middle - 1)
    return low


def _bytes(name: str, gigabytes: str) -> int:
    try:
        return int(float(gigabytes) * 10**9)
    except (ValueError, OverflowError):
        raise InputError("not_a_number", name=name, value=gigabytes[:80]) from None


def _smallest(*sizes: int | None) -> int | None:
    return min((size for size in sizes if size is not None), default=None)


def _meminfo() -> Ram | None:
    try:
        rows = (line.split() for line in MEMINFO.read_text().splitlines())
        found = {row[0].rstrip(":"): 1024 * int(row[1]) for row in rows if len(row) > 1}
    except (OSError, ValueError):
        return None
    return Ram(found.get("MemTotal"), found.get("MemAvailable"))


def _cgroup() -> Ram:
    """Return the tightest limit of this process's control groups."""
    found = memory_limits(root=CGROUP, membership=MEMBERSHIP)
    return Ram(
        min((limit.total for limit in found), default=None), min((limit.available for limit in found), default=None)
    )


def _pages() -> Ram:
    """Return how much memory there is, not how much is free, on macOS and other Unixes."""
    try:
        return Ram(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), None)
    except (OSError, ValueError, AttributeError):
        return Ram(None, None)


def _windows() -> Ram:
    # Called through ctypes, as the standard library does not tell memory.
    status = (ctypes.c_uint64 * 8)()  # MEMORYSTATUSEX: its own size, then total and available
    status[0] = ctypes.sizeof(status)
    if not ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):  # type: ignore[attr-defined]
        return Ram(None, None)
    return Ram(int(status[1]), int(status[2]))


def trim_heap() -> None:
    """Return freed memory to the system (``malloc_trim``): glibc's allocator would keep it."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # another C library than glibc, which has no need of it
            ctypes.CDLL(None).malloc_trim(0)


def parse_version(version: str) -> tuple[int, ...]:
    """Return the numbers of a package's version, for comparisons.

    >>> parse_version("2.13.0+cpu"), parse_version("5.25.0.dev0")
    ((2, 13, 0), (5, 25, 0))
    """
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(map(int, found[0].split("."))) if found else ()
