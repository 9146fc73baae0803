"""The vocabularies of GPT-2, GPT-4 and GPT-4o, packaged, and byte-pair encoding itself.

A *rank file* lists the tokens in the order in which training made them. To encode,
cut the text into pieces by a regular expression (words, numbers, spaces), and inside
each piece merge, again and again, the two neighbours whose union was made first.

Source: Sennrich et al. 2016, arXiv:1508.07909, section 3.2; ranks: see capot/text/ranks/NOTICE.md.
"""

from __future__ import annotations

import functools
import heapq
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from capot.text.tokenizer.vocabulary import LONG, Specials, SpelledInBytes, encode_with

REMEMBERED = 64  # bytes of the longest piece whose ids are kept for the next time: words, not whole texts
RANKS = Path(__file__).parent.parent / "ranks"

_SUFFIX = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_SPACES = r"\s+(?!\S)|\s+"
_UPPER, _LOWER = r"\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}", r"\p{Ll}\p{Lm}\p{Lo}\p{M}"
_O200K = "|".join((
    rf"[^\r\n\p{{L}}\p{{N}}]?[{_UPPER}]*[{_LOWER}]+{_SUFFIX}?",
    rf"[^\r\n\p{{L}}\p{{N}}]?[{_UPPER}]+[{_LOWER}]*{_SUFFIX}?",
    r"\p{N}{1,3}", r" ?[^\s\p{L}\p{N}]+[\r\n/]*", r"\s*[\r\n]+", _SPACES,
))  # fmt: skip
_CL100K = rf"{_SUFFIX}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|\s*[\r\n]+|{_SPACES}"
_GPT2 = rf"'s|'t|'re|'ve|'m|'ll|'d| ?\p{{L}}+| ?\p{{N}}+| ?[^\s\p{{L}}\p{{N}}]+|{_SPACES}"


@dataclass(frozen=True)
class Encoding:
    """How a text is cut into pieces, and the ids above the ranks."""

    pattern: str
    special: Mapping[int, str]


ENCODINGS = {
    "o200k_base": Encoding(_O200K, {199999: "<|endoftext|>", 200018: "<|endofprompt|>"}),
    "cl100k_base": Encoding(_CL100K, {
        100257: "<|endoftext|>", 100258: "<|fim_prefix|>", 100259: "<|fim_middle|>", 100260: "<|fim_suffix|>",
        100276: "<|endofprompt|>",
    }),
    "gpt2": Encoding(_GPT2, {50256: "<|endoftext|>"}),
}  # fmt: skip


@functools.cache
def read_ranks(name: str) -> tuple[list[bytes], dict[bytes, int]]:
    """Return the tokens of a packaged vocabulary in order, and the rank of each.

    The file is compressed; inside, one byte per token for its length, after a count on
    four bytes, then all tokens end to end.
    """
    # 3 MB instead of 5 in the wheel, and 10 ms to unpack.
    packed = zlib.decompress((RANKS / f"{name}.ranks").read_bytes())
    count = int.from_bytes(packed[:4], "big")
    place = 4 + count
    tokens = []
    for length in packed[4:place]:
        tokens.append(packed[place : place + length])
        place += length
    return tokens, dict(zip(tokens, range(count)))


class RankVocabulary(SpelledInBytes):
    """One of ``ENCODINGS``. See :class:`capot.text.tokenizer.vocabulary.Vocabulary`."""

    opening: tuple[int, ...] = ()
    chat_template: str | None = None

    def __init__(self, name: str) -> None:
        encoding = ENCODINGS[name]
        self._tokens, self._ranks = read_ranks(name)
        self.special = self.added = encoding.special
        self.base = len(self._tokens)
        self.size = 1 + max(self.special)  # a few ids in between are unused, as in tiktoken's n_vocab
        self.eos_ids = (min(self.special),)
        self.bos_id: int | None = min(self.special)  # GPT-2 was trained on texts that begin after one
        self._cutter = _splitter(encoding.pattern)
        self._special_ids = {content: token for token, content in self.special.items()}
        # Words repeat: most pieces of a text are found here. Bounded, as pieces are what users type.
        self._merged = functools.lru_cache(maxsize=16384)(lambda piece: byte_pair_merge(piece, self._ranks))

    def encode(self, text: str, specials: Specials) -> list[int]:
        if specials != "allow":
            return self._ordinary(text)
        ids: list[int] = []
        # Split with a group, which keeps the special tokens between the parts.
        for part in re.split("(" + "|".join(map(re.escape, self._special_ids)) + ")", text):
            ids += [self._special_ids[part]] if part in self._special_ids else self._ordinary(part)
        return ids

    def _ordinary(self, text: str) -> list[int]:
        ids: list[int] = []
        for piece in _split_text(self._cutter, text):
            raw = piece.encode()
            # A piece that is one token needs no merging; in prose most are.
            rank = self._ranks.get(raw)
            if rank is not None:
                ids.append(rank)
            else:
                ids += self._merged(raw) if len(raw) <= REMEMBERED else byte_pair_merge(raw, self._ranks)
        return ids

    def token_bytes(self, token: int) -> bytes:
        if 0 <= token < len(self._tokens):
            return self._tokens[token]
        return self.special.get(token, "").encode()


@functools.cache
def _splitter(pattern: str) -> Any:
    # Python's own regular expressions do not know \p{L}; the library in use anyway does.
    from tokenizers import Regex, Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Split

    cutter = Tokenizer(WordLevel({"": 0}, unk_token=""))  # each piece is one unknown word
    cutter.pre_tokenizer = Split(Regex(pattern), "isolated")
    return cutter


def _split_text(cutter: Any, text: str) -> Iterator[str]:
    """Yield the pieces of a text.

    Those of a long one are cut where other threads run meanwhile, see ``encode_with``.
    """
    if len(text) < LONG:
        return (piece for piece, _ in (cutter.pre_tokenizer.pre_tokenize_str(text) if text else ()))
    return (text[begin:end] for begin, end in encode_with(cutter, text).offsets)


def byte_pair_merge(piece: bytes, ranks: Mapping[bytes, int]) -> tuple[int, ...]:
    """Merge the bytes of one piece by byte-pair encoding.

    A heap holds every pair of neighbours that is a token, lowest rank first, so that
    a word of 100,000 letters takes a second and not an hour.

    >>> ranks = {b"a": 0, b"b": 1, b"c": 2, b"bc": 3, b"ab": 4, b"abc": 5}
    >>> byte_pair_merge(b"abc", ranks), byte_pair_merge(b"aab", ranks)
    ((5,), (0, 4))
    """
    last = len(piece)
    stop = [*range(1, last + 1), 0]  # stop[s]: where the part that begins at s ends; 0 when it is no more
    before = list(range(-1, last))  # before[s]: where the part to the left of s begins
    heap: list[tuple[int, int, int]] = []

    def offer(begin: int, end: int) -> None:
        rank = ranks.get(piece[begin:end])
        if rank is not None:
            heapq.heappush(heap, (rank, begin, end))

    for begin in range(last - 1):
        offer(begin, begin + 2)
    # The pair merged in training first; among equal pairs the leftmost, as the heap compares places next.
    while heap:
        _, begin, end = heapq.heappop(heap)
        middle = stop[begin]
        if not middle or stop[middle] != end:  # one of the two was merged with another since
            continue
        stop[begin] = end
        stop[middle] = 0
        # Only the two pairs at the borders of the new part are new.
        if end < last:
            before[end] = begin
            offer(begin, stop[end])
        if begin:
            offer(before[begin], end)
    return tuple(_ids_of_parts(piece, stop, ranks))


def _ids_of_parts(piece: bytes, stop: Sequence[int], ranks: Mapping[bytes, int]) -> Iterator[int]:
    """Yield the ids of the parts that are left; ``stop`` says where the part that begins at a place ends."""
    begin = 0
    while begin < len(piece):
        yield ranks[piece[begin : stop[begin]]]
        begin = stop[begin]
