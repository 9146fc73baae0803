"""The chapter ``score``: a text read once, and the probability of each of its tokens.

The logits of a chunk are reduced to a few numbers a position as soon as they are known; those of a whole text,
T x V of them, are never held.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from capot.chapters.protocols import Opened
from capot.chapters.score.result import Score, ScoredToken
from capot.chapters.token_texts import UNTOLD, TokenShare, TokenTexts
from capot.engines.cancellation import check_cancelled
from capot.engines.protocol import Capability, Want, check_prompt
from capot.engines.seen import ChosenToken
from capot.text import sampling

BYTES_OF_TOKEN = 1000  # as a record, and as JSON, at most


@dataclass(frozen=True)
class Reduced:
    """What is kept of one position's logits."""

    bits: float
    rank: int | None
    probability: float
    expected: int
    expected_probability: float
    entropy_bits: float
    expected_text: str = ""


def score(model: Opened, text: str) -> Score:
    """Return the probability of each token of a text. Takes and raises: as ``Model.score``."""
    # With the tokens that the model's files put before a text: the first token of the text then has a probability too.
    ids = model.tokenizer.encode_prompt(text)
    check_prompt(ids, context=model.scheduler.engine.info.context_length)
    found: list[Reduced] = []  # the one at place p is of the token at p + 1

    def on_logits(first: int, logits: np.ndarray) -> None:
        for row, token in zip(logits, ids[first + 1 :], strict=False):  # nothing follows the last one
            found.append(reduced(row, token))

    # What this chapter makes beside the scheduler's caches is counted beforehand, as records of a long text are large.
    with model.scheduler.holding(len(ids) * BYTES_OF_TOKEN):
        output = model.scheduler.run(ids, want=Want("all", on_logits=on_logits), owner=model.owner).output
        found = found or [of_server(token) for token in output.read]
        return _result(model, text, ids, found)


def reduced(logits: np.ndarray, token: int) -> Reduced:
    """Return what the logits of one position say of the token that follows it; the numbers that ``next`` gives.

    Shapes: (V,)

    Bits come from the logarithm of softmax, so that a probability too small for a float has them too.

    >>> reduced(np.zeros(8, np.float32), 3).bits, reduced(np.zeros(8, np.float32), 3).rank
    (3.0, 4)
    """
    shares = sampling.softmax(logits)
    top = int(logits.argmax())
    # log2 of softmax, from the difference to the highest logit: a share of 1e-400 is 0 as a float, its bits are not.
    bits = (float(logits[top]) - float(logits[token])) / math.log(2) - math.log2(shares[top])
    return Reduced(
        bits=bits,
        rank=sampling.rank_of(logits, token),
        probability=float(shares[token]),
        expected=top,
        expected_probability=float(shares[top]),
        entropy_bits=sampling.entropy_bits(shares),
    )


def of_server(token: ChosenToken) -> Reduced:
    """Return the same of a token that a server has read, with the likeliest ones beside it.

    Entropy is a lower bound.
    """
    first = token.top.tokens[0]
    return Reduced(
        bits=-token.logprob / math.log(2),
        rank=token.rank or token.top.rank_of(token.id, token.text),
        probability=token.probability,
        expected=UNTOLD if first.id is None else first.id,
        expected_probability=first.probability,
        entropy_bits=token.top.least_entropy_bits,
        expected_text=first.text,
    )


def _result(model: Opened, text: str, ids: Sequence[int], found: Sequence[Reduced]) -> Score:
    tokenizer = model.tokenizer
    opening = len(model.tokenizer.opening)
    kept: list[Reduced | None] = [None, *found]
    texts = TokenTexts(tokenizer)
    tokens = _records(texts, ids[opening:], kept[opening:])
    known = [each for each in kept[opening:] if each is not None]
    # Without a BOS nothing precedes the first token: its bytes are left out of the mean as well.
    unread = 0 if opening else len(tokenizer.token_bytes(ids[0]))  # bytes that have no probability
    bits = math.fsum(each.bits for each in known)
    return Score(
        text=text,
        tokens=tokens,
        bits=bits if known else None,
        perplexity=_power(bits / len(known)) if known else None,
        bits_per_byte=bits / max(1, len(text.encode()) - unread) if known else None,
        labels=texts.labels,
        model=model.name,
        exact=Capability.WHOLE in model.scheduler.engine.capabilities,
    )


def _power(bits: float) -> float:
    return 2.0**bits if bits < 1000 else math.inf


def _records(text: TokenTexts, ids: Sequence[int], found: Sequence[Reduced | None]) -> tuple[ScoredToken, ...]:
    """Return a record for each token."""
    tokens = []
    for token, one in zip(ids, found, strict=True):
        check_cancelled()
        if one is None:
            tokens.append(ScoredToken(token, text(token), None, None, None, None, None))
            continue
        expected_text = one.expected_text if one.expected == UNTOLD else text(one.expected)
        expected = TokenShare(one.expected, expected_text, one.expected_probability)
        tokens.append(ScoredToken(token, text(token), one.bits, one.rank, one.probability, expected, one.entropy_bits))
    return tuple(tokens)
