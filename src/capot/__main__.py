"""``python -m capot`` and the ``capot`` command."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

INTERRUPTED = 130  # the status of every command that Ctrl-C ends, as shells have it: 128 and the signal's number


def main() -> None:
    try:
        from capot.cli import run

        status = run(sys.argv[1:])
    except KeyboardInterrupt:  # while our own modules are read
        status = INTERRUPTED
    signal.signal(signal.SIGINT, _end)
    sys.exit(status)


def _end(*_: Any) -> None:
    """All is printed: what Python still waits for (threads, functions for the end) is not worth a traceback."""
    os._exit(INTERRUPTED)


if __name__ == "__main__":
    main()
