"""How a tokenizer that may not be packaged cuts the sentences of the lessons.

Llama 3's vocabulary is under a licence of its own; what it makes of thirty sentences
is recorded instead, so that a class without a network sees the real numbers.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

from capot.errors import NotFoundError
from capot.text.tokenizer.ranks import RANKS

RECORDED = ("llama3",)


@functools.cache
def _read(name: str) -> dict[str, Any]:
    recorded: dict[str, Any] = json.loads(Path(RANKS, f"{name}.json").read_text(encoding="utf-8"))
    return recorded


def vocabulary_size(name: str) -> int:
    """Return the size of the vocabulary that was recorded, added tokens included."""
    return int(_read(name)["vocabulary_size"])


def sentences(name: str) -> list[str]:
    """Return the texts that were recorded."""
    return [entry["text"] for entry in _read(name)["sentences"]]


def spans(name: str, text: str) -> list[tuple[int, bytes, int, int]]:
    """Return what :meth:`capot.text.tokenizer.Tokenizer.spans` does, for a recorded sentence.

    Raises: NotFoundError ``tokenizer_recorded`` for any other text.
    """
    entry = next((entry for entry in _read(name)["sentences"] if entry["text"] == text), None)
    if entry is None:
        raise NotFoundError("tokenizer_recorded", name=name, example=sentences(name)[0])
    raw = text.encode()
    place = 0
    found = []
    for token, length in zip(entry["ids"], entry["lengths"]):
        found.append((token, raw[place : place + length], place, place + length))
        place += length
    return found
