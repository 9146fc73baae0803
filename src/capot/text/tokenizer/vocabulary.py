"""What stands behind a :class:`capot.text.tokenizer.Tokenizer`, and the simplest of them: bytes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

# What becomes of "<|endoftext|>" typed in a text. ``text``: letters like any other.
# ``strict``: the same for tokens a tokenizer adds without calling them special, as
# Qwen does with <tool_call>. ``allow``: the special token itself.
Specials = Literal["text", "strict", "allow"]


LONG = 5000  # characters of a text during which other threads should run


class Vocabulary(Protocol):
    """Ids and bytes, whatever file or library they come from.

    ``opening`` are the ids that a prompt begins with, ``special`` the ids of control
    tokens and their names; ``lossless`` says that every text can be had back; ``drops_space``, that its decoder
    leaves out the space before the first word. SentencePiece's does, a byte-level one keeps it.
    """

    @property
    def size(self) -> int:
        """Return the number of ids, added tokens included."""

    @property
    def base(self) -> int:
        """Return the number of ids as trained, without added tokens."""

    @property
    def lossless(self) -> bool: ...

    @property
    def drops_space(self) -> bool: ...

    @property
    def is_linear(self) -> bool:
        """Return whether the time that a text takes is known to grow as the text does."""

    @property
    def has_bytes(self) -> bool:
        """Return whether the bytes of each token are known; a server tells texts alone."""

    @property
    def special(self) -> Mapping[int, str]: ...

    @property
    def added(self) -> Mapping[int, str]:
        """Return every token that a text could call by a name: the special ones, and those merely added."""

    @property
    def opening(self) -> tuple[int, ...]: ...

    @property
    def bos_id(self) -> int | None: ...

    @property
    def eos_ids(self) -> tuple[int, ...]: ...

    @property
    def chat_template(self) -> str | None:
        """Return the Jinja text of its files, None where they have none."""

    def encode(self, text: str, specials: Specials) -> list[int]:
        """Return the ids of ``text``, nothing added."""

    def token_bytes(self, token: int) -> bytes:
        """Return the bytes a token stands for; none for an id that has no token."""

    def places(self, text: str, specials: Specials) -> list[tuple[int, int]]:
        """Return where each token lies, in characters; asked only where bytes do not say it."""

    def joined(self, tokens: Sequence[int]) -> str | None:
        """Return the text of tokens where spaces come between them, or marks go.

        None where it is their bytes, end to end.
        """


class SpelledInBytes:
    """What holds for every vocabulary whose tokens' bytes, end to end, are the text."""

    lossless = True
    drops_space = False
    is_linear = True
    has_bytes = True

    def places(self, text: str, specials: Specials) -> list[tuple[int, int]]:
        raise NotImplementedError("bytes always say where they lie")

    def joined(self, tokens: Sequence[int]) -> str | None:
        return None


class ByteVocabulary(SpelledInBytes):
    """One token per byte, then the marks of texts and turns: needs no file, reads anything."""

    size, base = 260, 256
    special: Mapping[int, str] = {256: "<|end|>", 257: "<|system|>", 258: "<|user|>", 259: "<|assistant|>"}
    added = special
    opening: tuple[int, ...] = ()
    bos_id: int | None = None
    eos_ids: tuple[int, ...] = (256,)
    chat_template: str | None = (
        "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}"
        "{% if add_generation_prompt %}<|assistant|>{% endif %}"
    )

    def encode(self, text: str, specials: Specials) -> list[int]:
        if specials != "allow":
            return list(text.encode())
        ids = {name: token for token, name in self.special.items()}
        parts = re.split(f"({'|'.join(map(re.escape, ids))})", text)
        return [token for part in parts for token in ([ids[part]] if part in ids else part.encode())]

    def token_bytes(self, token: int) -> bytes:
        return bytes([token]) if 0 <= token < 256 else self.special.get(token, "").encode()


def encode_with(backend: Any, text: str) -> Any:
    """Return the library's encoding of a text, nothing put around it. A long one goes as a batch.

    Only then does the library let other threads of Python run meanwhile, which takes a second for 200,000 letters.
    """
    if len(text) < LONG:
        return backend.encode(text, add_special_tokens=False)
    return backend.encode_batch([text], add_special_tokens=False)[0]
