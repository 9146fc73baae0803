"""A vocabulary of the ``tiktoken`` package (an extra), for the encodings that are not packaged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from capot.errors import MissingExtraError, NetworkError, NotFoundError, library_message
from capot.text.tokenizer.ranks import ENCODINGS
from capot.text.tokenizer.vocabulary import Specials, SpelledInBytes

# tiktoken's names that are not packaged, so that one is recognised where tiktoken is not installed.
NAMES = ("r50k_base", "p50k_base", "p50k_edit", "o200k_harmony")


class TiktokenVocabulary(SpelledInBytes):
    """See :class:`capot.text.tokenizer.vocabulary.Vocabulary`.

    Raises: MissingExtraError ``missing_extra``; NotFoundError ``unknown_tokenizer``;
    NetworkError ``tiktoken_download`` where tiktoken could not fetch the ranks.
    """

    opening: tuple[int, ...] = ()
    chat_template: str | None = None

    def __init__(self, name: str) -> None:
        self._encoding = _encoding(name)
        self.size = self._encoding.n_vocab
        names = self._encoding.special_tokens_set
        self.special: Mapping[int, str] = {self._encoding.encode_single_token(text): text for text in sorted(names)}
        self.added = self.special
        self.base = self.size - len(self.special)
        end = next((token for token, text in self.special.items() if text == "<|endoftext|>"), None)
        self.bos_id = end
        self.eos_ids = () if end is None else (end,)

    def encode(self, text: str, specials: Specials) -> list[int]:
        if specials == "allow":
            # Whatever looks like a special token is letters, as elsewhere: tiktoken's ``encode`` would raise for it.
            ids: list[int] = self._encoding.encode(text, allowed_special="all")
        else:
            ids = self._encoding.encode_ordinary(text)
        return ids

    def token_bytes(self, token: int) -> bytes:
        try:
            raw: bytes = self._encoding.decode_single_token_bytes(token)
        except (KeyError, OverflowError):
            return b""
        return raw


def _encoding(name: str) -> Any:
    packaged = ", ".join(ENCODINGS)
    try:
        import tiktoken
    except ImportError:
        raise MissingExtraError("missing_extra", package="tiktoken", extra="tiktoken") from None
    if name not in tiktoken.list_encoding_names():
        raise NotFoundError("unknown_tokenizer", name=name, known=packaged)
    try:
        return tiktoken.get_encoding(name)
    except Exception as error:  # requests' tree, a hash mismatch as ValueError, a full disk as OSError
        raise NetworkError("tiktoken_download", name=name, reason=library_message(str(error)), known=packaged) from None
