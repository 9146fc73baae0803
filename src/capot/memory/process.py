"""What the system says of this process's memory, and of what is left on the machine."""

from __future__ import annotations

import ctypes
import sys
from dataclasses import dataclass
from pathlib import Path

from capot import machine

PROC = Path("/proc/self")


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
        """The highest anonymous size, the mapped files being what they are now."""
        return self.peak - (self.resident - self.anonymous)


def sizes() -> Sizes | None:
    """This process's sizes, None where the system has no /proc."""
    try:
        lines = (PROC / "status").read_text().splitlines()
    except OSError:
        return None
    found = {name: 1024 * int(value.split()[0]) for name, _, value in (line.partition(":") for line in lines) if "kB" in value}
    if not {"VmRSS", "RssAnon", "VmHWM"} <= set(found):
        return None
    return Sizes(found["VmRSS"], found["RssAnon"], found["VmHWM"])


def reset_peak() -> bool:
    """Start a new peak at the present size; whether the system lets us (see ``man 5 proc``, clear_refs)."""
    _give_back()
    try:
        (PROC / "clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _give_back() -> None:
    """Hand freed memory back to the system, so that a later growth is seen as growth."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # the GNU C library has it
        if trim is not None:
            trim(0)


def available() -> int | None:
    """Bytes that can still be taken without swapping or being killed; None where nobody says.

    Where only the whole is known (macOS), half of it is a prudent guess.
    """
    found = machine.ram()
    if found.available is not None:
        return found.available
    return None if found.total is None else found.total // 2
