"""``python -m capot`` and the ``capot`` command.

Nothing is imported before ``main``: a Ctrl-C in the midst of an import would end on a traceback.
"""

from __future__ import annotations

import os
import sys

INTERRUPTED = 130  # the status of every command that Ctrl-C ends, as shells have it: 128 and the signal's number


def main() -> None:
    try:
        import gc
        import signal

        # A thousand modules make many objects and no garbage: looking for some every 700 took 8 % of ``capot next``.
        gc.set_threshold(50_000, 20, 20)

        from capot.cli import run

        status = run(sys.argv[1:])
        signal.signal(signal.SIGINT, _end)
    except KeyboardInterrupt:  # while our own modules are read
        exec("")  # Python remembers a Ctrl-C inside an exec, as imports use it, and would end on a signal instead
        status = INTERRUPTED
    sys.exit(status)


def _end(*_: object) -> None:
    """End the process once all is printed: what Python still waits for (threads, functions for the end) is not worth a
    traceback.
    """
    os._exit(INTERRUPTED)


if __name__ == "__main__":
    main()
