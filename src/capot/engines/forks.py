"""Copies of a process (``os.fork``), in which nothing that computed before goes on.

A fork copies the memory of a process and one of its threads. The thread that computes is not in the copy, and GNU's
OpenMP, which knows its own threads to be gone, ends the process at the next parallel loop. So an engine that was at
work before is not used in a copy, and no other that needs those threads is opened there; both are refused in words.
A copy made before, and a process that was started anew (spawn, forkserver), compute as any other.
"""

from __future__ import annotations

import os

from capot.errors import CapabilityError

_threads_process: int | None = None  # the process in which threads for parallel loops were first asked for


def check_process(process: int | None) -> None:
    """Refuse what belongs to another process. Raises: CapabilityError ``forked``."""
    if process is not None and process != os.getpid():
        raise CapabilityError("forked")


def check_threads() -> None:
    """Before an engine that computes on several threads is opened. Raises: CapabilityError ``forked``."""
    global _threads_process
    check_process(_threads_process)
    _threads_process = os.getpid()
