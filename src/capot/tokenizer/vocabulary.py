"""What stands behind a :class:`capot.tokenizer.Tokenizer`, and the simplest of them: bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol

# What becomes of "<|endoftext|>" typed in a text. ``text``: letters like any other.
# ``strict``: the same for tokens a tokenizer adds without calling them special, as
# Qwen does with <tool_call>. ``allow``: the special token itself.
Specials = Literal["text", "strict", "allow"]


class Vocabulary(Protocol):
    """Ids and bytes, whatever file or library they come from.

    ``opening`` are the ids that a prompt begins with, ``special`` the ids of control
    tokens and their names; ``lossless`` says that every text can be had back.
    """

    size: int  # with added tokens
    base: int  # as trained, without them
    lossless: bool
    special: Mapping[int, str]
    opening: tuple[int, ...]
    bos_id: int | None
    eos_ids: tuple[int, ...]
    chat_template: str | None

    def encode(self, text: str, specials: Specials) -> list[int]:
        """The ids of ``text``, nothing added."""

    def token_bytes(self, token: int) -> bytes:
        """The bytes a token stands for; none for an id that has no token."""

    def places(self, text: str, specials: Specials) -> list[tuple[int, int]]:
        """Where each token lies, in characters; asked only where bytes do not say it."""


class ByteVocabulary:
    """One token per byte, then one that begins and ends a text: needs no file, reads anything."""

    size, base = 257, 256
    lossless = True
    special: Mapping[int, str] = {256: "<|end|>"}
    opening: tuple[int, ...] = ()
    bos_id: int | None = None
    eos_ids: tuple[int, ...] = (256,)
    chat_template: str | None = None

    def encode(self, text: str, specials: Specials) -> list[int]:
        if specials != "allow":
            return list(text.encode())
        first, *others = (list(part.encode()) for part in text.split(self.special[256]))
        return first + [token for part in others for token in (256, *part)]

    def token_bytes(self, token: int) -> bytes:
        return bytes([token]) if 0 <= token < 256 else self.special.get(token, "").encode()

    def places(self, text: str, specials: Specials) -> list[tuple[int, int]]:
        raise NotImplementedError("bytes always say where they lie")
