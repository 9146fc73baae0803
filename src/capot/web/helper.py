"""A helper: one child process that works for a lab, as its parent sees it.

It knows nothing of the lab: an environment with nothing in it, its three pipes and no
other descriptor, no folder but the root, and modules from where this process has them.
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


def homes(modules: tuple[ModuleType, ...]) -> list[str]:
    """The folders (or archives) of what a child imports, less those in which it looks by itself."""
    own = {*site.getsitepackages(), *(sysconfig.get_path(name) for name in ("purelib", "platlib"))}
    own = set() if os.name == "nt" else {os.path.realpath(path) for path in own}
    found = [str(Path(os.path.abspath(module.__file__ or "")).parent.parent) for module in modules]
    return list(dict.fromkeys(path for path in found if os.path.realpath(path) not in own))


def command(boot: str, modules: tuple[ModuleType, ...]) -> list[str]:
    """Python apart from everything: no variable of the environment, no folder of the user's, no bytecode written."""
    # The python.exe of a virtual environment of Windows starts another one, which would be in no job of ours.
    python = getattr(sys, "_base_executable", sys.executable) if os.name == "nt" else sys.executable
    return [python or "", "-I", "-B", "-c", boot, *homes(modules)]


def _options() -> dict[str, Any]:
    if os.name == "nt":
        flags = ("CREATE_NO_WINDOW", "CREATE_NEW_PROCESS_GROUP", "BELOW_NORMAL_PRIORITY_CLASS")
        root = {"SYSTEMROOT": os.environ.get("SYSTEMROOT", r"C:\Windows")}  # without it no socket, no random number
        return {"env": root, "creationflags": sum(getattr(subprocess, name) for name in flags)}
    return {"env": {}, "cwd": "/", "process_group": 0}  # a group of its own, which the terminal's Ctrl-C does not reach


class Helper:
    """The process and its two pipes. ``exchange`` is for one thread at a time; ``kill`` is for any.

    This one renders templates; another kind has its own ``boot``, ``modules`` and ``memory``.
    """

    modules: tuple[ModuleType, ...] = (capot, jinja2, markupsafe)
    memory = worker.MEMORY

    def __init__(self) -> None:
        """Raises: OSError where no process can be had."""
        self.process: subprocess.Popen[bytes] = subprocess.Popen(
            command(self.boot(), self.modules), close_fds=True, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, **_options()
        )
        self.ready, self._opened = False, b""
        self._job: Any = None
        if os.name == "nt":
            from capot.web import windows_job

            self._job = windows_job.around(self.process, memory=self.memory)

    @staticmethod
    def boot() -> str:
        return BOOT

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def begun(self, opens: bytes = b"") -> bool:
        """Wait until it reads, and has read the line ``opens`` if there is one; False where it ended instead."""
        self.ready = self.ready or self.exchange(b"", most=len(READY)) == READY
        if self.ready and opens and opens != self._opened:
            self._opened = opens if self.exchange(opens, most=len(READY)) == READY else b""
        return self.ready and (not opens or opens == self._opened)

    def exchange(self, line: bytes, *, most: int) -> bytes:
        """Its answer to a line, of ``most`` bytes; nothing where it ended first, or said something else than a line."""
        stdin, stdout = self.process.stdin, self.process.stdout
        assert stdin is not None and stdout is not None
        with contextlib.suppress(OSError, ValueError):  # ended, or ended and closed
            stdin.write(line)
            stdin.flush()
            answer = stdout.readline(most)
            return answer if answer.endswith(b"\n") else b""
        return b""

    def kill(self) -> None:
        """End it, whatever it is doing. Only while ``end`` has not begun."""
        self.process.kill()

    def end(self) -> int:
        """Kill it, close its pipes, and leave no zombie; how it ended."""
        self.process.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):
                pipe.close()
        if self._job is not None:
            self._job.close()
        return self.process.wait()
