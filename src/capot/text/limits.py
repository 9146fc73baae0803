"""Limit what a worker process may use, from inside, before it reads anything.

Windows limits it from outside, by a job object.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time

READY = b'{"ready": true}\n'  # the first line that such a process writes
NICE = 10  # an engine at work on the same core has nine tenths of it


def limit_process(memory: int) -> None:
    """Bound this process's address space, lower its priority, and let it write no file."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the lab, which then ends this process
    if os.name == "nt":
        return
    import resource

    os.nice(NICE)
    # Address space rather than resident memory, which Linux does not bound. No core files: they would hold a user's
    # text.
    for kind, limit in (("AS", memory), ("CORE", 0), ("FSIZE", 0)):
        number: int | None = getattr(resource, f"RLIMIT_{kind}", None)
        if number is None:
            continue
        with contextlib.suppress(ValueError, OSError, TypeError):  # a system that knows no such limit
            resource.setrlimit(number, (limit, limit))


def limit_cpu_time(seconds: float) -> None:
    """Let what comes next use so many seconds of processor. The system kills a process that exceeds them."""
    if os.name == "nt":
        return
    import resource

    # A soft limit sends SIGXCPU, and the hard one stays: it could not be raised again for the next text.
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    # The limit counts from the start of the process, in whole seconds.
    soft = int(time.process_time() + seconds) + 2
    if hard == resource.RLIM_INFINITY or soft < hard:
        resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))
