"""Refuse to compute in a fork of a process that has computed.

A fork copies the memory of a process and one of its threads. The engine thread is not in the copy, and GNU's OpenMP,
which knows that its own threads are gone, aborts the process at the next parallel loop. So an engine that was at work
before is not used in a fork, and no other engine that needs these threads is opened there. A fork made before, and a
process that was started anew (spawn, forkserver), compute as any other.
"""

from __future__ import annotations

import os

from capot.errors import CapabilityError

_threads_process: int | None = None  # the process in which threads for parallel loops were first asked for


def check_process(process: int | None) -> None:
    """Refuse what belongs to another process. Raises: CapabilityError ``forked``."""
    # An engine without threads (scripted) may be used in a fork: it has no process.
    if process is not None and process != os.getpid():
        raise CapabilityError("forked")


def check_threads() -> None:
    """Refuse an engine that needs threads which the fork has lost. Raises: CapabilityError ``forked``."""
    # The first engine that needs threads marks the process, not the import: ``import capot`` before a fork is harmless.
    global _threads_process
    check_process(_threads_process)
    _threads_process = os.getpid()
