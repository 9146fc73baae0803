"""A vocabulary in a tokenizer.json, read by Hugging Face's ``tokenizers``, down to its bytes.

That library answers in strings of its own alphabets; the bytes are had back here:

* *byte-level* (GPT-2 and most since): each of the 256 bytes is written as one
  printable letter, ``Ġ`` for a space. Source: Radford et al. 2019, encoder.py.
* *byte-fallback* (SentencePiece: Llama 2, Mistral, Gemma): ``▁`` is a space and
  ``<0xE2>`` a byte of a character that has no token.
* anything else (WordPiece, ``</w>``, Unigram without fallback) loses part of the text:
  ``lossless`` is False, places come from the library, and so does the text of several tokens.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from capot.errors import CapotError, ModelError, NotFoundError, UnsupportedError, library_message, local_path
from capot.sources.checkpoint import Checkpoint
from capot.sources.fields import token_ids
from capot.sources.files import LARGER, Folder
from capot.text.tokenizer.bounds import check_file, check_model, components
from capot.text.tokenizer.growth import NormalizerGrowth
from capot.text.tokenizer.remote import is_linear
from capot.text.tokenizer.vocabulary import Specials, encode_with

_FALLBACK = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_FAITHFUL = {"ByteLevel", "Sequence", "Prepend"}  # normalizers that keep every byte
# Decoders that write no more than they read: a space between tokens, for a mark or in place of one.
_PLAIN = {"Sequence", "BPEDecoder", "WordPiece", "Metaspace", "Fuse"}
_USUAL_BOS = ("<|begin_of_text|>", "<s>", "<bos>")


def tokenizer_file(path: Path, *, name: str) -> Path:
    """Return the tokenizer.json that ``path``, a file or a folder, stands for; ``name`` is what its model is called.

    Raises: NotFoundError ``tokenizer_missing``; UnsupportedError ``tokenizer_format``.
    """
    file = path / "tokenizer.json" if path.is_dir() else path
    if Folder(file.parent, name).has(file.name):
        return file
    # Older formats are known by name, so that the error says what it is and how to convert it.
    if path.is_dir() and any((path / older).is_file() for older in ("tokenizer.model", "vocab.json", "vocab.txt")):
        raise UnsupportedError("tokenizer_format", path=local_path(path, name))
    raise NotFoundError("tokenizer_missing", path=local_path(path, name))


class FileVocabulary:
    """See :class:`capot.text.tokenizer.vocabulary.Vocabulary`.

    Raises: as ``tokenizer_file``; ModelError ``tokenizer_damaged`` with the library's reason, ``tokenizer_bound``,
    ``tokenizer_grows``; as ``Folder.read``.
    """

    has_bytes = True

    def __init__(self, path: Path, *, name: str) -> None:
        file = tokenizer_file(path, name=name)
        self.name = name
        # What a process that cuts texts in the place of this one is told.
        self.setup = {"file": os.path.abspath(file), "name": name, "stamp": _file_stamp(file)}
        # Read through ``Folder``, which holds what may be opened; ``Backend.from_file`` would follow a link anywhere.
        self._backend = _load(Folder(file.parent, name), file.name)
        self._switch = _Switch(lambda on: setattr(self._backend, "encode_special_tokens", on))
        self._parts = {name: _component(self._backend, name) for name in ("normalizer", "pre_tokenizer", "decoder")}
        self._kind = _kind(self._parts, self._backend.model)
        self._marks = _marks(self._parts)
        decoding = {step.get("type") for step in components(self._parts["decoder"]) if step}
        self._joins = self._kind in ("wordpiece", "pieces") and decoding <= _PLAIN
        self._growth = NormalizerGrowth(self._parts["normalizer"], model=name)
        self._growth.check("a", expressions=False)  # nothing whose time is not known
        self.is_linear = is_linear(self._parts, self._backend, worst=self._growth.worst)
        self.lossless = self._kind in ("byte_level", "byte_fallback") and _is_lossless(self._parts["normalizer"])
        self.drops_space = self._kind != "byte_level"
        added = self._backend.get_added_tokens_decoder().items()
        self.added: Mapping[int, str] = {token: entry.content for token, entry in added}
        self.special: Mapping[int, str] = {token: entry.content for token, entry in added if entry.special}
        self.size = self._backend.get_vocab_size(with_added_tokens=True)
        self.base = self._backend.get_vocab_size(with_added_tokens=False)
        self._folder = Checkpoint(file.parent, name, {})
        self._read_settings(self._folder)
        self._bytes: dict[int, bytes] = {}

    def _read_settings(self, folder: Checkpoint) -> None:
        """Begin and end of text, from the files beside tokenizer.json."""
        config = folder.tokenizer_config
        self.opening = self._post_processed()
        named = self._id_of(config.get("bos_token"))
        usual = (self._id_of(name) for name in _USUAL_BOS)
        first = self.opening[0] if self.opening else next((token for token in usual if token is not None), None)
        self.bos_id = first if named is None else named
        if not self.opening and config.get("add_bos_token") is True and named is not None:
            self.opening = (named,)
        self.eos_ids = token_ids(folder.generation_config.get("eos_token_id")) or token_ids(
            self._id_of(config.get("eos_token"))
        )

    def _post_processed(self) -> tuple[int, ...]:
        """Return what the file itself puts before a text; what it may put after is no business of a prompt's.

        No text is cut to find out: with a strange tokenizer that may take any time.
        """
        if self._backend.post_processor is None:
            return ()
        # The post-processor is given one word of a vocabulary of one word, whose encoding costs nothing.
        encoding = self._backend.post_processor.process(_one_word().encode("a"))
        # Its own tokens belong to no sequence.
        text_begins = next((i for i, part in enumerate(encoding.sequence_ids) if part is not None), 0)
        return tuple(encoding.ids[:text_begins])

    def _id_of(self, token: Any) -> int | None:
        content = token.get("content") if isinstance(token, dict) else token
        return self._backend.token_to_id(content) if isinstance(content, str) else None

    def encode(self, text: str, specials: Specials) -> list[int]:
        ids: list[int] = self.encoding(text, specials).ids
        return ids

    def places(self, text: str, specials: Specials) -> list[tuple[int, int]]:
        places: list[tuple[int, int]] = self.encoding(text, specials).offsets
        return places

    def encoding(self, text: str, specials: Specials) -> Any:
        """Return the library's encoding of a text. Raises: ModelError ``tokenizer_grows``, ``tokenizer_stops``."""
        if specials == "strict":
            return self._encoded(self._bare, text)
        with self._switch.at(specials != "allow"):
            return self._encoded(self._backend, text)

    def _encoded(self, backend: Any, text: str) -> Any:
        with _library_errors(self.name):
            self._growth.check(text)
            return encode_with(backend, text)

    @property
    def chat_template(self) -> str | None:
        """Return the one beside tokenizer.json, read when it is asked for. Raises: as ``Checkpoint.chat_template``."""
        return self._folder.chat_template

    @functools.cached_property
    def _bare(self) -> Any:
        """Return the same model, shared in memory, with no added token to find in a text."""
        from tokenizers import Tokenizer as Backend

        bare = Backend(self._backend.model)
        if self._backend.normalizer is not None:
            bare.normalizer = self._backend.normalizer
        if self._backend.pre_tokenizer is not None:
            bare.pre_tokenizer = self._backend.pre_tokenizer
        return bare

    def token_bytes(self, token: int) -> bytes:
        raw = self._bytes.get(token)
        if raw is None:
            raw = self._bytes[token] = self._to_bytes(token)
        return raw

    def _to_bytes(self, token: int) -> bytes:
        if token in self.added:  # written as it is, in no alphabet
            return self.added[token].encode()
        # The library takes ids of 32 bits; another one would be an OverflowError.
        written: str | None = self._backend.id_to_token(token) if 0 <= token < 2**32 else None
        if written is None:
            return b""
        if self._kind == "byte_level":
            alphabet = bytes_to_unicode()
            # A letter outside of the alphabet is in some published files (added by hand): it stands for itself.
            return b"".join(alphabet.get(letter) or letter.encode() for letter in written)
        if self._kind == "byte_fallback" and (found := _FALLBACK.fullmatch(written)):
            return bytes([int(found[1], 16)])
        for mark, meant in self._marks:
            written = written.replace(mark, meant)
        return written.encode()

    def joined(self, tokens: Sequence[int]) -> str | None:
        """Return what the library's decoder makes of tokens that are no bytes; special ones are no text to it."""
        if not self._joins:
            return None
        with _library_errors(self.name):
            text: str = self._backend.decode(
                [token for token in tokens if 0 <= token < 2**32], skip_special_tokens=True
            )
        return text


class _Switch:
    """The library keeps "special or text" as a switch on the object: those who want it as it stands go in together.

    Who wants it the other way waits for those inside, and whoever comes later waits behind them.
    """

    def __init__(self, turn: Callable[[bool], None]) -> None:
        self._turn = turn
        self._inside = 0
        self._on: bool | None = None  # as nobody has turned it yet
        self._entrance = threading.Lock()
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def at(self, on: bool) -> Iterator[None]:
        """Keep the switch ``on``, or off, inside the block."""
        # Two locks: the first makes newcomers wait in line behind one who waits for the other position of the switch,
        # so that neither side is kept out for ever.
        with self._entrance, self._changed:
            if self._on is not on:
                self._changed.wait_for(lambda: self._inside == 0)
                self._turn(on)
                self._on = on
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify_all()


def _load(folder: Folder, file: str) -> Any:
    from tokenizers import Tokenizer as Backend

    raw = folder.read(file, most=LARGER["tokenizer.json"])
    try:
        text = raw.decode()
        check_file(text, model=folder.name)
        with _library_errors(folder.name):
            backend = Backend.from_str(text)
            backend.no_truncation()  # some files were saved with a limit: a text would be cut without a word
            backend.no_padding()
    except CapotError as error:
        if error.code != "tokenizer_stops":
            raise
        why = error.params["reason"]
    except Exception as error:  # the library raises nothing narrower
        why = library_message(str(error))
    else:
        check_model(backend, model=folder.name)
        return backend
    where = local_path(folder.path / file, folder.name)
    raise ModelError("tokenizer_damaged", file=where, reason=why)


@contextlib.contextmanager
def _library_errors(name: str) -> Iterator[None]:
    """Raise an error where the library panics: a regular expression that takes too many steps, a table that leads
    nowhere.

    What it raises then is no Exception to Python, and nobody else would hear it. Raises: ModelError
    ``tokenizer_stops``.
    """
    try:
        yield
    # pyo3 derives the panic from BaseException, on purpose, and has no name to import it by.
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise ModelError("tokenizer_stops", model=name, reason=library_message(str(error))) from None


def _file_stamp(file: Path) -> list[int]:
    """Return what tells that a file is the one that was read."""
    # Size and time to the nanosecond: a hash of 10 MB at each opening would take longer than reading it.
    found = os.stat(file)
    return [found.st_size, found.st_mtime_ns]


@functools.cache
def _one_word() -> Any:
    from tokenizers import Tokenizer as Backend
    from tokenizers.models import WordLevel

    return Backend(WordLevel({"a": 0}, unk_token="a"))


def _component(backend: Any, name: str) -> dict[str, Any]:
    part = getattr(backend, name)
    return {} if part is None else json.loads(part.__getstate__())


def _kind(parts: Mapping[str, Mapping[str, Any]], model: Any) -> str:
    # Where the spelling of tokens is said differs by the converter of the file: any component may be the one.
    types = {step.get("type") for part in parts.values() for step in components(part)}
    if "ByteLevel" in types:
        return "byte_level"
    if "ByteFallback" in types or getattr(model, "byte_fallback", False):
        return "byte_fallback"
    return "wordpiece" if "WordPiece" in types else "pieces"


def _marks(parts: Mapping[str, Mapping[str, Any]]) -> tuple[tuple[str, str], ...]:
    """Return what a token's spelling has that its text has not, and what it stands for.

    A mark says where a word begins, goes on or ends.
    """
    found = [
        (step.get({"BPEDecoder": "suffix", "WordPiece": "prefix", "Metaspace": "replacement"}[kind]), kind)
        for part in parts.values()
        for step in components(part)
        if (kind := str(step.get("type"))) in ("BPEDecoder", "WordPiece", "Metaspace")
    ]
    marks = [(mark, " " if kind == "Metaspace" else "") for mark, kind in found if isinstance(mark, str) and mark]
    return tuple(dict.fromkeys([*marks, ("▁", " ")]))


def _is_lossless(normalizer: Mapping[str, Any]) -> bool:
    """Return whether a normalizer keeps every byte; a space written ``▁`` is kept."""
    return all(
        step.get("type") in _FAITHFUL or (step.get("type") == "Replace" and step.get("content") == "▁")
        for step in components(normalizer)
        if step
    )


@functools.cache
def bytes_to_unicode() -> dict[str, bytes]:
    """Return the letter that byte-level vocabularies write for each byte.

    Printable Latin-1 stands for itself; the 68 others take the letters from U+0100 on,
    in order: a space, the 33rd of them, is ``Ġ``.

    >>> bytes_to_unicode()["Ġ"], bytes_to_unicode()["é"]
    (b' ', b'\\xe9')
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    letters = [chr(byte) for byte in printable] + [chr(0x100 + place) for place in range(len(others))]
    return {letter: bytes([byte]) for letter, byte in zip(letters, printable + others)}
