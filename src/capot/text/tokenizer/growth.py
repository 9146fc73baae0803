"""How much longer a tokenizer's normalizer makes a text, known before it does.

A normalizer may write a hundred letters for one, and the next step a hundred for each of these: five such steps
make ten thousand million, and the library, which takes some forty bytes for each, ends the process. What a short
text could become at worst follows from the file, and most of them are let through by that alone. Any other is
followed step by step, each bounded before it is taken.

    " " -> "▁"             three bytes for one: Llama, Gemma
    "a" -> "a" * 100       a hundred, and as many again in the next step
"""

from __future__ import annotations

import base64
import binascii
import functools
import json
from collections.abc import Mapping
from typing import Any

from capot.errors import ModelError
from capot.text.tokenizer.bounds import components

MIN_BOUND = 1 << 18  # bytes that any text may become
MAX_GROWTH = 24  # times its bytes that a text may become beyond that; no published normalizer makes more of a letter
CHUNK_CHARS = 1_000  # letters that are measured at once
MAX_CHARSMAP_BYTES = 1_000  # bytes that a table of letters may write for one
# The most bytes that one becomes. Unicode: ﷺ is 3 bytes, and 33 in its compatible form.
GROWTH_FACTORS = {
    "NFC": 3, "NFD": 3, "NFKC": 11, "NFKD": 11, "Lowercase": 3, "BertNormalizer": 9, "ByteLevel": 2, "Nmt": 1,
    "Strip": 1, "StripAccents": 1, "Sequence": 1,
}  # fmt: skip
UNKNOWN_FACTOR = 100  # a kind that a later version of the library brings


class NormalizerGrowth:
    """The steps of one normalizer. ``worst`` is how many bytes each byte of a text may become."""

    def __init__(self, normalizer: Mapping[str, Any], *, model: str) -> None:
        self.model = model
        self._steps = [
            _NormalizerStep(step) for step in components(normalizer) if step and step.get("type") != "Sequence"
        ]
        for step in self._steps:
            if step.table and step.factor > MAX_CHARSMAP_BYTES:
                raise self._refused()
        # A product of many factors is bounded, so that it stays a number.
        self.worst = functools.reduce(lambda product, step: min(product * step.factor, 1e18), self._steps, 1.0)

    def check(self, text: str, *, expressions: bool = True) -> None:
        """Follow ``text`` through the steps; without ``expressions``, up to the first step that looks for one.

        Raises: ModelError ``tokenizer_grows`` where it would become more than its bound.
        """
        size = len(text.encode())
        # Nearly every text of every published tokenizer ends here.
        if size * self.worst <= MIN_BOUND:
            return
        for step in self._steps:
            # Bounded before it is taken: what is being held off is the very call that makes the text.
            if step.bound(text) > max(MIN_BOUND, MAX_GROWTH * size):
                raise self._refused()
            if step.expression and not expressions:
                return
            text = step.apply(text)

    def _refused(self) -> ModelError:
        return ModelError("tokenizer_grows", model=self.model, times=MAX_GROWTH)


class _NormalizerStep:
    """One step of a normalizer."""

    def __init__(self, step: Mapping[str, Any]) -> None:
        self.step = step
        self.kind = step.get("type")
        self.table = self.kind == "Precompiled"
        self.written = len(str(step.get("content", step.get("prepend", ""))).encode())
        pattern = step.get("pattern")
        found = pattern.get("String") if isinstance(pattern, dict) else None
        self.pattern = found if isinstance(found, str) else None
        self.expression = self.kind == "Replace" and self.pattern is None

    @functools.cached_property
    def factor(self) -> float:
        """Return the most bytes that one byte becomes, whatever the text."""
        if self.kind == "Replace" and self.pattern:
            # Each match is at least the pattern's length, and writes ``written`` bytes.
            return max(1.0, self.written / len(self.pattern.encode()))
        if self.kind in ("Replace", "Prepend"):  # what may match nothing at all, or stand before each part
            return 1.0 + self.written
        if self.table:
            return float(max(1, _longest_replacement(self.step.get("precompiled_charsmap"))))
        return float(GROWTH_FACTORS.get(str(self.kind), UNKNOWN_FACTOR))

    def bound(self, text: str) -> float:
        """Return the bytes that ``text`` becomes at most; nothing large is made to find out."""
        size = len(text.encode())
        if self.kind == "Replace" and self.pattern:
            return size + text.count(self.pattern) * max(0, self.written - len(self.pattern.encode()))
        if self.kind in ("Replace", "Prepend"):
            return size + (1 + len(text)) * self.written
        # In pieces: a step of a table is bounded by what it makes of each, and no piece makes much.
        pieces = (text[start : start + CHUNK_CHARS] for start in range(0, len(text), CHUNK_CHARS))
        return sum(len(self.apply(piece).encode()) for piece in pieces)

    def apply(self, text: str) -> str:
        return str(self._normalizer.normalize_str(text))

    @functools.cached_property
    def _normalizer(self) -> Any:
        """Return the step alone, which the library reads out of a file and nowhere else."""
        from tokenizers import Tokenizer as Backend

        empty = {"type": "BPE", "vocab": {}, "merges": []}
        return Backend.from_str(json.dumps({"normalizer": self.step, "model": empty})).normalizer


def _longest_replacement(charsmap: Any) -> int:
    """Return the longest text that a table of letters writes.

    The table is a size, so many bytes of a search tree, then texts between zeros.

    Source: github.com/google/sentencepiece, normalizer.cc, ``DecodePrecompiledCharsMap``.
    """
    try:
        raw = base64.b64decode(charsmap) if isinstance(charsmap, str) else bytes(charsmap or b"")
    except (binascii.Error, ValueError, TypeError):
        return 0  # the library does not read it either
    # The table is a size, a double-array trie of that size, then the replacements, each ended by a zero.
    texts = raw[4 + int.from_bytes(raw[:4], "little") :]
    return max(map(len, texts.split(b"\0")), default=0)
