"""A byte-level engine with fixed opinions: no weights, the same answer everywhere, for tests and docs.

Its opinions are a small book, ``scripted.txt``. The logit of a byte is how common
that byte is in the book, plus ``GAIN`` for each length of context, from 1 to
``ORDER``, after which the book has it: the longer the match, the surer the engine.
Layer l sees the last l * ORDER / L bytes, so that deeper layers know more. A small
noise drawn from *all* the ids makes any mistake in the handling of a cache visible.

The vocabulary is the 256 bytes and ``SPECIALS``; ``Tokenizer.bytes()`` is its tokenizer.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from importlib import resources

import numpy as np

from capot.engines.inside import Inside, InsideFound, mark_sums, row_of
from capot.engines.protocol import (
    Allocations,
    CancellableSequence,
    Capability,
    EngineInfo,
    Feed,
    Output,
    Want,
    check_feed,
)

SPECIALS = ("<|end|>", "<|system|>", "<|user|>", "<|assistant|>")  # ids from 256 on
END = 256  # ends a text, and begins the next one
VOCABULARY = 256 + len(SPECIALS)  # V
LAYERS, WIDTH, HEADS, KV_HEADS = 4, 16, 2, 1  # L, D, H, K
CONTEXT = 4096
ORDER = 16  # longest context looked up in the book
GAIN = 1.0  # logit per length of context that matches
NOISE = 0.2  # largest part of a logit that comes from the noise
GRANULE = 64  # tokens by which a cache grows
# Nothing is added to anything here, there is no stream to change, and whoever asks draws the tokens.
EVERYTHING = ~(
    Capability.ADDITIONS | Capability.PARTS | Capability.HEADS | Capability.EDITS | Capability.HEAD_EDITS
    | Capability.RANKS | Capability.WRITES
)  # fmt: skip
TOKEN_BYTES = 2 * LAYERS * KV_HEADS * (WIDTH // HEADS) * 4  # keys and values of one token in float32


def book_ids(text: str) -> list[int]:
    """Return the ids of a text that may hold special tokens by name.

    >>> book_ids("é<|user|>")
    [195, 169, 258]
    """
    ids: list[int] = []
    for part in re.split("(" + "|".join(map(re.escape, SPECIALS)) + ")", text):
        ids.extend([256 + SPECIALS.index(part)] if part in SPECIALS else part.encode())
    return ids


@functools.cache
def _book() -> str:
    """Return the book as one string of a character per id: a substring search is then a search of contexts."""
    text = resources.files("capot").joinpath("engines", "scripted.txt").read_text(encoding="utf-8")
    parts = text.strip().split("\n\n")
    return "".join(chr(i) for part in parts for i in (END, *book_ids(part))) + chr(END)


@functools.lru_cache(maxsize=8192)
def _followers(context: str) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the ids that follow ``context`` in the book, each with its count over the highest.

    None where it never occurs.
    """
    # A context occurs a few times, and most lookups of a text repeat those of its beginning: hence the cache.
    counts: dict[int, int] = {}
    at = _book().find(context)
    while at >= 0:
        after = at + len(context)
        if after < len(_book()):
            counts[ord(_book()[after])] = counts.get(ord(_book()[after]), 0) + 1
        # From one place on, so that overlapping occurrences count too.
        at = _book().find(context, at + 1)
    if not counts:
        return None
    shares = np.array(list(counts.values()), np.float32)
    return np.array(list(counts)), shares / shares.max()


@functools.cache
def _tables() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return how common each id is (V,), rows of noise (64, V) and the embedding table (V, D); all float32."""
    counts = np.bincount([ord(letter) for letter in _book()], minlength=VOCABULARY)
    common = np.log((counts + 0.05) / (counts.sum() + 0.05 * VOCABULARY))
    # Philox by a fixed key: the same numbers on every machine and version of NumPy, as its bit stream is specified.
    draws = np.random.Generator(np.random.Philox(key=1))
    noise = NOISE * (2 * draws.random((64, VOCABULARY)) - 1)
    table = 2 * draws.random((VOCABULARY, WIDTH)) - 1
    return common.astype(np.float32), noise.astype(np.float32), table.astype(np.float32)


class ScriptedSequence(CancellableSequence):
    """The ids read so far, and a hash of each prefix in place of keys and values."""

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.hashes = [0]
        self.nbytes = 0

    def extend(self, ids: list[int]) -> None:
        for i in ids:
            # Knuth's MMIX generator: a linear congruential step mixes in each id, so the hash depends on all ids and
            # their order.
            self.hashes.append((self.hashes[-1] * 6364136223846793005 + i + 1442695040888963407) % 2**64)
        self.ids.extend(ids)
        self.nbytes = _cache_bytes(len(self.ids))

    def crop(self, length: int) -> None:
        """Forget everything after the first ``length`` tokens."""
        del self.ids[length:], self.hashes[length + 1 :]
        self.nbytes = _cache_bytes(len(self.ids))

    def close(self) -> None:
        self.crop(0)


def _cache_bytes(tokens: int) -> int:
    return -(-tokens // GRANULE) * GRANULE * TOKEN_BYTES


class ScriptedEngine:
    """The engine. ``before_step`` sees each step's feeds first: a test may record, wait or raise there."""

    def __init__(
        self,
        *,
        capabilities: Capability = EVERYTHING,
        context_length: int = CONTEXT,
        before_step: Callable[[list[Feed]], None] | None = None,
    ) -> None:
        self.capabilities = capabilities
        self.before_step = before_step
        self.info = EngineInfo(
            engine="scripted", model="scripted", architecture="Book", device="cpu", dtype="float32",
            vocabulary_size=VOCABULARY, context_length=context_length, layers=LAYERS, width=WIDTH,
            heads=HEADS, kv_heads=KV_HEADS,
        )  # fmt: skip
        self.sequences: list[ScriptedSequence] = []  # those that hold memory
        self._peak: dict[str, int] = {}

    def open_sequence(self) -> ScriptedSequence:
        return ScriptedSequence()

    def step(self, feeds: list[Feed]) -> list[Output | None]:
        """See :class:`capot.engines.protocol.Engine`; positions beyond the context are computed, as every engine does.

        Raises: InputError ``no_such_id``; ValueError for a number of tokens that no step takes.
        """
        for feed in feeds:
            check_feed(feed, size=VOCABULARY, info=self.info)
        if self.before_step is not None:
            self.before_step(feeds)
        outputs = [None if feed.sequence.cancelled else self._advance(feed) for feed in feeds]
        self._count(outputs)
        return outputs

    def _advance(self, feed: Feed) -> Output:
        sequence = feed.sequence
        assert isinstance(sequence, ScriptedSequence)  # an engine is given its own sequences
        start = len(sequence.ids)
        sequence.extend(feed.ids)
        # Only what holds memory is kept: an engine at rest lets go of sequences that were closed.
        if sequence not in self.sequences:
            self.sequences.append(sequence)
        return _outputs(sequence, start, feed.want)

    def _count(self, outputs: list[Output | None]) -> None:
        """Note what this step held at once, if it is the most so far."""
        now = {"kv_cache": self.allocations().current["kv_cache"], "activations": 0, "logits": 0}
        for output in filter(None, outputs):
            for part, arrays in (
                ("logits", (output.logits, output.layer_logits)),
                ("activations", (output.hidden, output.attention)),
            ):
                now[part] += sum(array.nbytes for array in arrays if array is not None)
        if sum(now.values()) >= sum(self._peak.values()):
            self._peak = now

    def embed(self, ids: list[int]) -> np.ndarray:
        return _tables()[2][ids]

    def cache_bytes(self, tokens: int) -> int:
        return _cache_bytes(tokens)

    def allocations(self, *, reset_peak: bool = False) -> Allocations:
        self.sequences = [sequence for sequence in self.sequences if sequence.ids]
        current = {"kv_cache": sum(s.nbytes for s in self.sequences), "activations": 0, "logits": 0}
        if reset_peak or not self._peak:
            self._peak = current
        return Allocations(current=current, peak=dict(self._peak))

    def close(self) -> None:
        for sequence in self.sequences:
            sequence.close()


# What a pass returns. Positions are absolute: t counts from the first token in the cache.


def _outputs(sequence: ScriptedSequence, start: int, want: Want) -> Output:
    stop = len(sequence.ids)
    last = None
    if want.logits == "all":
        last = np.stack([_logits(sequence, t, ORDER) for t in range(start, stop)])
    elif want.logits == "last":
        last = _logits(sequence, stop - 1, ORDER)
    depths = [_depth(layer) for layer in range(LAYERS + 1)]
    return Output(
        logits=last,
        hidden=_hidden(sequence.ids, start) if want.hidden else None,
        attention=_attention(sequence.ids, start) if want.attention else None,
        layer_logits=np.stack([_logits(sequence, stop - 1, d) for d in depths]) if want.layer_logits else None,
        inside=None if want.inside is None else _inside(sequence, start, want.inside),
    )


def _depth(layer: int) -> int:
    return layer * ORDER // LAYERS


def _inside(sequence: ScriptedSequence, start: int, asked: Inside) -> InsideFound:
    """Return guesses as at each layer's depth, attention as it is; nothing is added up."""
    ids, shares, weights, reads, marks = None, None, None, None, None
    if asked.k:
        positions = asked.positions_of(start, len(sequence.ids))
        levels = asked.levels_of(LAYERS)
        rows = np.array([[_logits(sequence, t, _depth(level)) for t in positions] for level in levels], np.float32)
        rows = rows.reshape(len(levels), len(positions), VOCABULARY)
        ids = np.argsort(-rows, axis=-1, kind="stable")[..., : asked.k].astype(np.int32)
        exponentials = np.exp(rows - rows.max(-1, keepdims=True))
        shares = np.take_along_axis(exponentials / exponentials.sum(-1, keepdims=True), ids, -1)
    if asked.weighs:
        attention = _attention(sequence.ids, start)
        weights = None if asked.head is None else attention[asked.head[0] - 1, asked.head[1] - 1]
        reads = row_of(asked.reader, attention, start)
        marks = np.array([mark_sums(layer, start, asked.marks) for layer in attention]) if asked.marks else None
    return InsideFound(ids=ids, probabilities=shares, weights=weights, reads=reads, marks=marks)


def _logits(sequence: ScriptedSequence, t: int, order: int) -> np.ndarray:
    """Return the logits after position ``t`` of an engine that looks ``order`` ids back. Shapes: (V,)"""
    common, noise, _ = _tables()
    # The top 6 bits of the hash choose one of 64 rows: the low bits of such a generator have short periods.
    logits: np.ndarray = common + noise[sequence.hashes[t + 1] >> 58]
    context = "".join(map(chr, sequence.ids[max(0, t + 1 - order) : t + 1]))
    for length in range(1, len(context) + 1):
        found = _followers(context[-length:])
        if found is None:
            # A longer context occurs only where the shorter one does.
            break
        logits[found[0]] += GAIN * found[1]
    return logits


def _hidden(ids: list[int], start: int) -> np.ndarray:
    """Return hidden states, where layer l holds the mean of the last l + 1 embeddings. Shapes: (L + 1, T, D)"""
    vectors = _tables()[2][ids]
    layers = []
    for layer in range(LAYERS + 1):
        rows = [vectors[max(0, t - layer) : t + 1].mean(axis=0) for t in range(start, len(ids))]
        layers.append(np.stack(rows))
    return np.stack(layers)


def _attention(ids: list[int], start: int) -> np.ndarray:
    """Return weights by which head 0 of layer l looks l + 1 tokens back, and head 1 at equal tokens.

    Shapes: (L, H, T, S)
    """
    keys = np.arange(len(ids))
    queries = np.arange(start, len(ids))[:, None]
    same = np.asarray(ids)[None, :] == np.asarray(ids)[start:, None]
    scores = np.stack(
        [
            np.stack([-np.abs(queries - keys - layer - 1.0), 2.0 * same - 0.1 * (queries - keys)])
            for layer in range(LAYERS)
        ]
    )
    scores = np.where(keys <= queries, scores, -np.inf)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    shares: np.ndarray = (weights / weights.sum(axis=-1, keepdims=True)).astype(np.float32)
    return shares
