"""Know which tokenizers take linear time, and encode with the others in another process.

A regular expression may look at the rest of a text from each of its letters, or try every way to split a run in two:
200,000 letters then take minutes, in one call into a library that nothing interrupts. The text of an expression does
not tell which ones do, so those of published families are listed here, each measured on long texts of many kinds
(``bench/patterns.py``). The library and the command line use any tokenizer in this process. A lab uses one that is not
``is_linear`` in a worker process, which it can kill.

    a(?=.*z)          from each a to the end of the text
    (x|x)*y           each x doubles the ways to fail
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from capot.text.tokenizer.bounds import components
from capot.text.tokenizer.ranks import ENCODINGS
from capot.text.tokenizer.vocabulary import Specials

MAX_EXPANSION = 100  # bytes that a normalizer makes of one, at worst; SentencePiece's table of letters writes 33
MAX_UNIGRAM_PIECE = 64  # letters of a token of Unigram, which follows each from every letter of a text; usual are 16

_WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_SPACES, _BEFORE = r"\s*[\r\n]+|\s+(?!\S)|\s+", r"[^\r\n\p{L}\p{N}]?"
_BOXED = (
    r"(?i: ?(?:[cdjlmnst]|qu|jusqu|lorsqu|puisqu|quoiqu|quelqu)['’](?=\p{L}))|(?i:['’](?:[sdmt]|ll|ve|re)(?!\p{L}))",
    r" ?[\p{L}\p{M}]+", r" ?\p{N}", r" ?«[\u00a0\u202f]?", r"[ \u00a0\u202f]?[^\s\p{L}\p{M}\p{N}]+",
    r"[^\S\r\n]*[\r\n]+", r"\s+(?!\S)|\s+",
)  # fmt: skip
LINEAR_PATTERNS = {
    *(encoding.pattern for encoding in ENCODINGS.values()),
    "|".join(_BOXED),
    rf"{_WORDS}|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{_SPACES}",  # Qwen
    rf"{_BEFORE}{_UPPER}*{_LOWER}+|{_BEFORE}{_UPPER}+{_LOWER}*"
    rf"|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{_SPACES}",  # Mistral
    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|"""
    + _SPACES,  # DeepSeek, as the next one
    "[一-龥\u3040-ゟ゠-ヿ]+",
    *(r"\p{N}{1,3}", r"\p{N}", r"[\r\n]", r"\s+", " {2,}"),
}  # fmt: skip
# Steps without an expression of the file's own, or whose expression is looked at.
LINEAR_STEPS = {
    "BertNormalizer", "Lowercase", "NFC", "NFD", "NFKC", "NFKD", "Nmt", "Precompiled", "Prepend", "Replace", "Strip",
    "StripAccents", "BertPreTokenizer", "CharDelimiterSplit", "Digits", "FixedLength", "Metaspace", "Punctuation",
    "Split", "UnicodeScripts", "Whitespace", "WhitespaceSplit", "ByteLevel", "Sequence",
}  # fmt: skip


def is_linear(parts: Mapping[str, Mapping[str, Any]], backend: Any, *, worst: float) -> bool:
    """Return whether a tokenizer's time is known to be linear in its text.

    ``worst`` is how many bytes its normalizer makes of one.
    """
    taken = [step for name in ("normalizer", "pre_tokenizer") for step in components(parts[name]) if step]
    patterns = [step["pattern"]["Regex"] for step in taken if "Regex" in (step.get("pattern") or ())]
    # An allow-list: a step or an expression that a later version brings is not taken for linear.
    known = LINEAR_PATTERNS.issuperset(patterns) and LINEAR_STEPS.issuperset(step.get("type") for step in taken)
    return known and worst <= MAX_EXPANSION and _longest_unigram_piece(backend) <= MAX_UNIGRAM_PIECE


def _longest_unigram_piece(backend: Any) -> int:
    if type(backend.model).__name__ != "Unigram":
        return 0
    # Unigram's lattice looks at every piece that begins at each letter, up to the longest.
    return max(map(len, backend.get_vocab(with_added_tokens=False)), default=0)


class RemoteEncoder(Protocol):
    """Encode a text with a tokenizer that another process has loaded."""

    def __call__(self, text: str, specials: Specials, *, setup: Mapping[str, Any]) -> Mapping[str, Sequence[Any]]:
        """Return ``ids`` and ``places``. Raises: as ``FileVocabulary.encode``, and what killing it means."""


class RemoteVocabulary:
    """A vocabulary that is read here, and whose texts are encoded in another process."""

    def __init__(self, vocabulary: Any, encoder: RemoteEncoder) -> None:
        self._vocabulary = vocabulary
        self._remote_encoder = encoder
        self.size = vocabulary.size
        self.base = vocabulary.base
        self.lossless = vocabulary.lossless
        self.drops_space = vocabulary.drops_space
        self.special = vocabulary.special
        self.added = vocabulary.added
        self.opening = vocabulary.opening
        self.bos_id = vocabulary.bos_id
        self.eos_ids = vocabulary.eos_ids
        self.is_linear = vocabulary.is_linear
        self.has_bytes = vocabulary.has_bytes

    @property
    def chat_template(self) -> str | None:
        """Return the chat template, read when it is asked for."""
        template: str | None = self._vocabulary.chat_template
        return template

    def token_bytes(self, token: int) -> bytes:
        return bytes(self._vocabulary.token_bytes(token))

    def joined(self, tokens: Sequence[int]) -> str | None:
        text: str | None = self._vocabulary.joined(tokens)
        return text

    def encode(self, text: str, specials: Specials) -> list[int]:
        return list(self._encode(text, specials)["ids"])

    def places(self, text: str, specials: Specials) -> list[tuple[int, int]]:
        return [(begin, end) for begin, end in self._encode(text, specials)["places"]]

    def _encode(self, text: str, specials: Specials) -> Mapping[str, Sequence[Any]]:
        return self._remote_encoder(text, specials, setup=self._vocabulary.setup)
