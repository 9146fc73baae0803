"""Start one child process that works for the lab, and talk to it in lines.

The child knows nothing of the lab: it gets an empty environment, three pipes and no other descriptor, the root as its
folder, and the modules from where this process has them.
"""

from __future__ import annotations

import contextlib
import os
import site
import subprocess
import sys
import sysconfig
from pathlib import Path
from subprocess import DEVNULL, PIPE
from types import ModuleType
from typing import Any

import jinja2
import markupsafe

import capot
from capot.text.limits import READY
from capot.text.templates import worker

# ``-m`` would find only what is installed: a checkout, an archive and a user's own folder are told to the child.
BOOT = "import sys; sys.path[:0] = sys.argv[1:]; from capot.text.templates.worker import main; main()"


def import_paths(modules: tuple[ModuleType, ...]) -> list[str]:
    """Return the folders (or archives) of what a child imports, less those in which Python looks by itself."""
    own = {*site.getsitepackages(), *(sysconfig.get_path(name) for name in ("purelib", "platlib"))}
    # On Windows the roots of an installation differ by build; a path too many does no harm there.
    own = set() if os.name == "nt" else {os.path.realpath(path) for path in own}
    found = [str(Path(os.path.abspath(module.__file__ or "")).parent.parent) for module in modules]
    return list(dict.fromkeys(path for path in found if os.path.realpath(path) not in own))


def command(boot: str, modules: tuple[ModuleType, ...]) -> list[str]:
    """Return a command line for an isolated Python: no environment, no user's folder, no bytecode written."""
    # The python.exe of a virtual environment of Windows starts another one, which would be in no job of ours.
    python = getattr(sys, "_base_executable", sys.executable) if os.name == "nt" else sys.executable
    return [python or "", "-I", "-B", "-c", boot, *import_paths(modules)]


def _popen_options() -> dict[str, Any]:
    if os.name == "nt":
        flags = ("CREATE_NO_WINDOW", "CREATE_NEW_PROCESS_GROUP", "BELOW_NORMAL_PRIORITY_CLASS")
        root = {"SYSTEMROOT": os.environ.get("SYSTEMROOT", r"C:\Windows")}  # without it no socket, no random number
        return {"env": root, "creationflags": sum(getattr(subprocess, name) for name in flags)}
    return {"env": {}, "cwd": "/", "process_group": 0}  # a group of its own, which the terminal's Ctrl-C does not reach


class WorkerProcess:
    """A child process and its pipes. ``exchange`` is for one thread at a time; ``kill`` is for any.

    This class renders templates. Subclasses have their own ``boot``, ``modules`` and ``memory``.
    """

    modules: tuple[ModuleType, ...] = (capot, jinja2, markupsafe)
    memory = worker.MEMORY

    def __init__(self) -> None:
        """Start the process. Raises: OSError if the system has none to give."""
        self.process: subprocess.Popen[bytes] = subprocess.Popen(
            command(self.boot(), self.modules),
            close_fds=True,
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,
            **_popen_options(),
        )
        self.ready, self._setup = False, b""
        self._job: Any = None
        if os.name == "nt":
            from capot.web import windows_job

            self._job = windows_job.create_job(self.process, memory=self.memory)

    @staticmethod
    def boot() -> str:
        return BOOT

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def wait_ready(self, setup: bytes = b"") -> bool:
        """Wait until the child reads, and has read the line ``setup`` if there is one.

        Return False if it ended instead.
        """
        self.ready = self.ready or self.exchange(b"", max_bytes=len(READY)) == READY
        if self.ready and setup and setup != self._setup:
            self._setup = setup if self.exchange(setup, max_bytes=len(READY)) == READY else b""
        return self.ready and (not setup or setup == self._setup)

    def exchange(self, line: bytes, *, max_bytes: int) -> bytes:
        """Send a line and return the answer, at most ``max_bytes`` long.

        Return nothing if the child ended first, or wrote something else than a line.
        """
        stdin = self.process.stdin
        stdout = self.process.stdout
        assert stdin is not None and stdout is not None
        with contextlib.suppress(OSError, ValueError):  # ended, or ended and closed
            stdin.write(line)
            stdin.flush()
            answer = stdout.readline(max_bytes)
            return answer if answer.endswith(b"\n") else b""
        return b""

    def kill(self) -> None:
        """Kill the child, whatever it is doing. Call it before ``stop`` only."""
        self.process.kill()

    def stop(self) -> int:
        """Kill the child, close its pipes, reap it, and return its exit code."""
        self.process.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):
                pipe.close()
        if self._job is not None:
            self._job.close()
        return self.process.wait()
