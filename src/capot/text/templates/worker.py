"""Render chat templates in a process of its own, which the lab can kill: see ``capot.web.template_workers``.

One call in C (a comparison, a sort) holds Python's global lock for as long as it lasts, and no other thread can
interrupt it. The worker reads a JSON line from its standard input and writes one to its standard output:

    {"source", "variables", "size", "most"}  ->  {"text"} or {"code", "params"}, and "worn"

It limits itself before it reads anything: memory, processor time, no file written, low priority. It says ``worn`` when
another process should take its place.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from capot.errors import CapotError, ModelError
from capot.text import limits
from capot.text.templates import sandbox

READY = limits.READY
SECONDS = sandbox.MAX_SECONDS  # of one rendering
MEMORY = 256 * 2**20  # bytes of address space
NICE = limits.NICE
MAX_CHARS_READ = 1_000_000  # characters of templates read, after which what is kept of them has grown large


def main() -> None:
    """Answer lines until the standard input ends."""
    _limit_process()
    read = 0
    out = sys.stdout.buffer
    out.write(READY)
    out.flush()
    for line in sys.stdin.buffer:
        request = json.loads(line)
        read += len(request["source"])
        # The system's clock counts processor time alone, so that a worker that waits for the lab is not killed.
        _limit_cpu_time()
        reply = answer(request)
        # Memory that a costly template has taken is not given back to the system, and templates that were compiled
        # stay.
        reply["worn"] = reply.get("code") == "template_too_costly" or read > MAX_CHARS_READ
        out.write(json.dumps(reply).encode() + b"\n")
        out.flush()


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Return the rendered text, at most ``most`` characters long, or the error's code."""
    try:
        text = sandbox.render(request["source"], request["variables"], size=request["size"])
        if len(text) > request["most"]:
            raise ModelError("template_too_costly")
        return {"text": text}
    except CapotError as error:
        return {"code": error.code, "params": error.params}
    except (MemoryError, RecursionError):
        return {"code": "template_too_costly", "params": {}}


def _limit_process() -> None:
    limits.limit_process(MEMORY)


def _limit_cpu_time() -> None:
    limits.limit_cpu_time(SECONDS)
