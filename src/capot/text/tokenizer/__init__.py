"""Text to ids and back, true to the byte.

A token is a run of bytes, not of characters: ``🤗`` may be three tokens, none of them
a character. So nothing here goes through a token's text: bytes are kept, a place is a
place in the UTF-8 bytes, and a stream holds back half characters.

    >>> Tokenizer.bytes().spans("œ")
    [(197, b'\\xc5', 0, 1), (147, b'\\x93', 1, 2)]
"""

from __future__ import annotations

import builtins  # in the class ``bytes`` is a method
import codecs
import copy
import functools
import unicodedata
from collections.abc import Iterable, Sequence
from itertools import accumulate
from pathlib import Path

from capot.errors import InputError, check_unicode
from capot.text.tokenizer.remote import RemoteEncoder, RemoteVocabulary
from capot.text.tokenizer.vocabulary import ByteVocabulary, Specials, Vocabulary
from capot.view.graphemes import hex_bytes, token_label

_FACES = 20_000  # tokens whose texts and labels are kept
RECENT = 8  # tokens that a decoder is shown again with each new one: what it writes between two depends on the two

__all__ = ["RemoteEncoder", "Specials", "TextStream", "Tokenizer"]


class Tokenizer:
    """A vocabulary with a name: made by ``from_file``, ``from_tiktoken`` or ``bytes``.

    ``vocabulary_size`` counts added tokens, ``vocabulary_base`` does not; ``opening``
    are the ids that a prompt to the model begins with, often one BOS or nothing;
    ``named`` finds the id of a token that has a name of its own, ``<|eot_id|>``.
    """

    def __init__(self, vocabulary: Vocabulary, *, name: str) -> None:
        self._vocabulary = vocabulary
        self._faces: dict[int, tuple[str, str]] = {}
        self.name = name
        self.vocabulary_size = vocabulary.size
        self.vocabulary_base = vocabulary.base
        self.lossless = vocabulary.lossless
        self.special_ids = frozenset(vocabulary.special)
        # By name, every token that a text could call: special ones, and those merely added (Qwen's <tool_call>).
        self.named = {name: token for token, name in vocabulary.added.items()}
        self.opening = vocabulary.opening
        self.bos_id = vocabulary.bos_id
        self.eos_ids = vocabulary.eos_ids

    @property
    def chat_template(self) -> str | None:
        """Return the Jinja text of the vocabulary's files. Raises: as ``Checkpoint.chat_template``."""
        return self._vocabulary.chat_template

    @classmethod
    def from_file(cls, path: str | Path, *, name: str | None = None) -> Tokenizer:
        """Read a tokenizer.json, or the one of a folder, with its settings beside it.

        Raises: NotFoundError ``tokenizer_missing``; UnsupportedError ``tokenizer_format``;
        ModelError ``tokenizer_damaged``, ``tokenizer_bound``, ``tokenizer_grows``; as ``Folder.read``.
        """
        from capot.text.tokenizer.files import FileVocabulary

        path = Path(path).expanduser()
        folder = path if path.is_dir() else path.parent
        name = name or folder.resolve().name
        return cls(FileVocabulary(path, name=name), name=name)

    @classmethod
    def from_tiktoken(cls, encoding: str) -> Tokenizer:
        """Return a GPT vocabulary: packaged for o200k_base, cl100k_base and gpt2, else through tiktoken.

        Raises: NotFoundError ``unknown_tokenizer``; MissingExtraError ``missing_extra``;
        NetworkError ``tiktoken_download``.
        """
        from capot.text.tokenizer.ranks import ENCODINGS, RankVocabulary

        if encoding in ENCODINGS:
            return cls(RankVocabulary(encoding), name=encoding)
        from capot.text.tokenizer.encodings import TiktokenVocabulary

        return cls(TiktokenVocabulary(encoding), name=encoding)

    @classmethod
    def bytes(cls) -> Tokenizer:
        """Return a tokenizer of one token per byte: what the scripted engine reads."""
        return cls(ByteVocabulary(), name="bytes")

    def with_remote_encoder(self, encoder: RemoteEncoder | None) -> Tokenizer:
        """Return the same, its texts encoded by ``encoder`` where its time is not known to grow as a text does."""
        if encoder is None or self._vocabulary.is_linear:
            return self
        # A copy shares the vocabulary's tables, which are hundreds of megabytes of Python objects.
        other = copy.copy(self)
        other._vocabulary = RemoteVocabulary(self._vocabulary, encoder)
        return other

    def encode(self, text: str, *, specials: Specials = "text", bos: bool = False) -> list[int]:
        """Return the ids of ``text`` and nothing else; ``bos`` puts the begin-of-text id before them.

        Raises: InputError ``not_unicode`` for half of a surrogate pair, ``specials_mode``.
        """
        check_text(text, specials)
        ids = self._vocabulary.encode(text, specials)
        return [self.bos_id, *ids] if bos and self.bos_id is not None else ids

    def encode_prompt(self, text: str) -> list[int]:
        """Return what is sent to the model for ``text``: its ids after the BOS that the files ask for.

        No text is no prompt, whether the files ask for a BOS or not: what a model makes of its BOS alone
        would pass for an answer to something. Raises: InputError ``empty_prompt``.
        """
        if not text:
            raise InputError("empty_prompt")
        return [*self.opening, *self.encode(text)]

    def before(self, ids: Sequence[int]) -> tuple[str, ...]:
        """Return the names of the tokens that the model's files put before a prompt, where ``ids`` begin with them."""
        opening = list(self.opening)
        return tuple(map(self.display, opening)) if list(ids[: len(opening)]) == opening else ()

    def spans(self, text: str, *, specials: Specials = "text") -> list[tuple[int, builtins.bytes, int, int]]:
        """Return of each token its id, its bytes, and where it begins and ends in the UTF-8 bytes of ``text``.

        Where the tokenizer is lossless the bytes joined are the text: the space that
        SentencePiece puts before a text is left out of its first token.
        """
        ids = self.encode(text, specials=specials)
        pieces = [self._vocabulary.token_bytes(token) for token in ids]
        raw = text.encode()
        joined = b"".join(pieces)
        # SentencePiece writes a space before a text (``add_dummy_prefix``): it belongs to the first token and to no
        # byte.
        if joined == b" " + raw:
            pieces[0], joined = pieces[0][1:], raw
        # ``▁`` typed by a user and a space are one spelling to SentencePiece; the bytes say which it was.
        elif self.lossless and "▁" in text:
            pieces = respelled(pieces, raw)
            joined = b"".join(pieces)
        if joined != raw:
            return self._placed(text, ids, specials)
        stops = list(accumulate(map(len, pieces)))
        return [(token, piece, stop - len(piece), stop) for token, piece, stop in zip(ids, pieces, stops)]

    def _placed(self, text: str, ids: Sequence[int], specials: Specials) -> list[tuple[int, builtins.bytes, int, int]]:
        """Return spans of a text that the tokens do not spell: places from the library, in characters."""
        # Offsets count characters, and everything here counts bytes of UTF-8.
        at = [0, *accumulate(len(char.encode()) for char in text)]
        places = cover_graphemes(text, self._vocabulary.places(text, specials))
        if not self._vocabulary.has_bytes:  # a server tells texts: what a token covers is its bytes
            raw = text.encode()
            return [(token, raw[at[a] : at[b]], at[a], at[b]) for token, (a, b) in zip(ids, places)]
        return [(token, self.token_bytes(token), at[a], at[b]) for token, (a, b) in zip(ids, places)]

    def token_bytes(self, token: int) -> builtins.bytes:
        """Return the bytes a token stands for; none for an id without a token (models pad their tables)."""
        return self._vocabulary.token_bytes(token)

    def token_text(self, token: int) -> str:
        """Return the text of a token, empty where its bytes are no whole characters."""
        return decode_whole(self.token_bytes(token))

    def display(self, token: int) -> str:
        """Return a token as a view shows it: spaces and line ends drawn, half characters as their bytes."""
        raw = self.token_bytes(token)
        if not raw:
            return f"⟨{token}⟩"
        return token_label(decode_whole(raw)) or hex_bytes(raw)

    def face(self, token: int) -> tuple[str, str]:
        """Return the text of a token and how a view shows it; those seen lately are kept."""
        found = self._faces.get(token)
        if found is None:
            found = (self.token_text(token), self.display(token))
            if len(self._faces) >= _FACES:
                self._faces.clear()
            if self.token_bytes(token):  # a server may tell later what it has not told yet
                self._faces[token] = found
        return found

    def bytes_of(self, ids: Iterable[int]) -> builtins.bytes:
        """Return the bytes of the tokens, end to end."""
        return b"".join(map(self._vocabulary.token_bytes, ids))

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of a whole sequence; for one that grows, see :class:`TextStream`."""
        # A tokenizer whose tokens are not bytes end to end (WordPiece) writes spaces between them itself.
        listed = list(ids)
        if (joined := self._vocabulary.joined(listed)) is not None:
            return joined
        raw = self.bytes_of(listed)
        if self._leads_with_space and raw.startswith(b" "):
            raw = raw[1:]
        return raw.decode("utf-8", errors="replace")

    def joined(self, tokens: Sequence[int]) -> str | None:
        """Return what :meth:`capot.text.tokenizer.vocabulary.Vocabulary.joined` does."""
        return self._vocabulary.joined(tokens)

    @functools.cached_property
    def _leads_with_space(self) -> bool:
        return self._vocabulary.drops_space and self.bytes_of(self.encode("a")) == b" a"


class TextStream:
    """Text out of tokens as they come: characters leave when they are whole.

    >>> stream = TextStream(Tokenizer.bytes())
    >>> [stream.push(byte) for byte in "œ!".encode()]
    ['', 'œ', '!']
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        # Incremental: a character may be in two or three tokens, and half of it is no text.
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._joins = tokenizer.joined([]) is not None
        self._recent: list[int] = []

    def push(self, token: int) -> str:
        """Return the characters that this token completes."""
        if self._joins:
            return self._added(token)
        return self._decoder.decode(self._tokenizer.token_bytes(token))

    def _added(self, token: int) -> str:
        """Return what the text of the last tokens has more with this one: the space before it is part of it."""
        # A decoder that puts spaces between tokens decides by neighbours, so a token alone has no text of its own.
        before = self._tokenizer.joined(self._recent) or ""
        self._recent.append(token)
        after = self._tokenizer.joined(self._recent) or ""
        # A few tokens are enough for every decoder known, and keep a long text's cost linear.
        self._recent = self._recent[-RECENT:]
        shared = next((at for at, (a, b) in enumerate(zip(before, after)) if a != b), min(len(before), len(after)))
        return after[shared:]

    def flush(self) -> str:
        """Return what was held back, a replacement character if it never became whole."""
        return self._decoder.decode(b"", final=True)


def decode_whole(raw: bytes) -> str:
    """Return ``raw`` as text, or an empty string where it begins or ends inside a character.

    >>> decode_whole("é".encode()), decode_whole(b"\\xc3")
    ('é', '')
    """
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return ""


def cover_graphemes(text: str, places: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return places in characters, each to the end of its last letter.

    Where a normalizer joins a letter and its accent into one, the library ends the place before the accent.

    >>> cover_graphemes("e\u0301t", [(0, 1), (2, 3)])
    [(0, 2), (2, 3)]
    """
    found = []
    for start, end in places:
        while start < end < len(text) and _attaches(text[start:end], text[end]):
            end += 1
        found.append((start, end))
    return found


def _attaches(letters: str, following: str) -> bool:
    """Return whether a character is part of the letter before it: an accent, or a part of the same syllable."""
    # Composed first: the letter may be a base and marks that were typed one by one.
    composed = unicodedata.normalize("NFC", letters[-2:])
    marks = unicodedata.category(following).startswith("M")
    return marks or len(unicodedata.normalize("NFC", composed + following)) <= len(composed)


def respelled(pieces: Sequence[bytes], raw: bytes) -> list[bytes]:
    """Return ``pieces`` as ``raw`` spells them, where it has a ``▁`` of its own.

    SentencePiece writes a space as ``▁``, so that its tokens cannot tell one from the other.

    >>> respelled([b" a", b" b"], "a▁b".encode())
    [b'a', b'\\xe2\\x96\\x81b']
    """
    mark = "▁".encode()
    place = 0
    found = []
    joined = b"".join(pieces)
    spaced = raw.replace(mark, b" ")
    if joined not in (spaced, b" " + spaced):
        return list(pieces)
    skip = len(joined) - len(spaced)  # the space put before the text
    for piece in pieces:
        start = place
        for byte in piece[skip:]:
            place += len(mark) if byte == 0x20 and raw.startswith(mark, place) else 1
        found.append(raw[start:place])
        skip = 0
    return found


def check_text(text: str, specials: str = "text") -> None:
    """Refuse what no tokenizer can read. Raises: InputError ``not_unicode``, ``specials_mode``."""
    if specials not in ("text", "strict", "allow"):
        raise InputError("specials_mode", value=str(specials), known="text, strict, allow")
    check_unicode(text)
