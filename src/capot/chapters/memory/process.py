"""What the system says of this process's memory, and of what is left on the machine."""

from __future__ import annotations

import contextlib
import ctypes
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from capot.sources import machine

PROC = Path("/proc/self")
_MMAP_THRESHOLD = -3  # of mallopt; see man 3 mallopt


@dataclass(frozen=True)
class Sizes:
    """Bytes in memory now, and the highest ``resident`` since ``reset_peak``.

    ``anonymous`` is what the process made itself; the rest of ``resident`` is files mapped
    into it, such as weights, which the system may drop and read again.
    """

    resident: int
    anonymous: int
    peak: int

    @property
    def peak_anonymous(self) -> int:
        """Return the highest anonymous size, the mapped files being what they are now."""
        return self.peak - (self.resident - self.anonymous)


def sizes() -> Sizes | None:
    """Return this process's sizes, None where the system has no /proc."""
    try:
        lines = (PROC / "status").read_text().splitlines()
    except OSError:
        return None
    found = {line.partition(":")[0]: 1024 * int(line.split()[1]) for line in lines if line.endswith("kB")}
    if not {"VmRSS", "RssAnon", "VmHWM"} <= set(found):
        return None
    return Sizes(found["VmRSS"], found["RssAnon"], found["VmHWM"])


def reset_peak() -> bool:
    """Start a new peak at the present size; whether the system lets us (see ``man 5 proc``, clear_refs)."""
    try:
        (PROC / "clear_refs").write_text("5")
    except OSError:
        return False
    return True


@contextlib.contextmanager
def handing_back() -> Iterator[None]:
    """Give arrays that are freed inside the block back to the system at once, so that growth is seen as growth.

    The GNU C library keeps what is freed for later, and more of it the longer a process lives;
    on leaving, it may again keep up to 32 MB at a time, as it would have come to do by itself.
    """
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    tune = getattr(library, "mallopt", None)
    if library is None or tune is None:
        yield
        return
    tune(_MMAP_THRESHOLD, 128 * 1024)
    library.malloc_trim(0)
    try:
        yield
    finally:
        tune(_MMAP_THRESHOLD, 32 * 1024**2)


def available() -> int | None:
    """Return the bytes that can still be taken without swapping or being killed; None where nobody says.

    Where only the whole is known (macOS), half of it is a prudent guess.
    """
    found = machine.ram()
    if found.available is not None:
        return found.available
    return None if found.total is None else found.total // 2
