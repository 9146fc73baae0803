"""Encode texts in a process of its own, which the lab can kill: see ``capot.web.tokenizer_workers``.

The worker reads a JSON line from its standard input and writes one to its standard output:

    {"file", "name", "stamp"}    ->  ``limits.READY``, once it has read that tokenizer
    {"text", "specials"}         ->  {"ids", "places"} or {"code", "params"}

It limits itself before it reads anything, as the template worker does.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from capot.errors import CapotError
from capot.text import limits
from capot.text.tokenizer.files import FileVocabulary

SECONDS = 5.0  # of one text
MEMORY = 2 * 2**30  # bytes of address space: the largest vocabularies take a few hundred million


def main() -> None:
    """Answer lines until the standard input ends."""
    # Before anything of the file is read, as the file is what is not trusted.
    limits.limit_process(MEMORY)
    # One text at a time: threads would cost memory and help nobody.
    os.environ["RAYON_NUM_THREADS"] = "1"
    out = sys.stdout.buffer
    vocabulary = None
    out.write(limits.READY)
    out.flush()
    for line in sys.stdin.buffer:
        # One request and one answer per line, so that neither side has to guess where the other's ends.
        request = json.loads(line)
        if "file" in request:
            vocabulary = load(request)
            out.write(limits.READY)
        elif vocabulary is not None:
            limits.limit_cpu_time(SECONDS)
            out.write(json.dumps(answer(vocabulary, request)).encode() + b"\n")
        out.flush()


def load(request: dict[str, Any]) -> FileVocabulary:
    """Load the tokenizer that the lab has read. Raises: SystemExit if its file has changed since."""
    vocabulary = FileVocabulary(Path(request["file"]), name=request["name"])
    # A file that was replaced meanwhile would cut texts otherwise than the lab believes.
    if vocabulary.setup != request:
        sys.exit(1)
    return vocabulary


def answer(vocabulary: FileVocabulary, request: dict[str, Any]) -> dict[str, Any]:
    """Return the ids and offsets of one text, or the error's code."""
    try:
        found = vocabulary.encoding(request["text"], request["specials"])
        return {"ids": found.ids, "places": found.offsets}
    except CapotError as error:
        return {"code": error.code, "params": error.params}
    # A MemoryError under RLIMIT_AS is what the limit is for.
    except (MemoryError, RecursionError):
        return {"code": "tokenizer_too_costly", "params": {}}
