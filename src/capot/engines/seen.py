"""What an engine tells of a distribution that it does not give whole: its most probable tokens.

What they leave out is said, never filled in: ``Top`` knows the mass that it has seen, and how small the entropy can be
at least.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class TopToken:
    """One of the most probable tokens of a step; ``id`` is None where the server names tokens by their text alone."""

    id: int | None
    text: str
    logprob: float

    @property
    def probability(self) -> float:
        return math.exp(self.logprob)


@dataclass(frozen=True)
class Top:
    """The most probable tokens of a step, the first one being the likeliest. They are not the whole vocabulary."""

    tokens: tuple[TopToken, ...]

    @property
    def mass(self) -> float:
        """Return the probability that is seen: 1 less what all other tokens have together."""
        return min(1.0, math.fsum(math.exp(token.logprob) for token in self.tokens))

    @property
    def least_entropy_bits(self) -> float:
        """Return a lower bound of the entropy, in bits.

        No token left out is likelier than the last of these. The entropy is smallest where as few tokens as possible
        share what is left, each as likely as that one.

        >>> Top((TopToken(0, "", math.log(0.5)), TopToken(1, "", math.log(0.25)))).least_entropy_bits
        1.5
        """
        # The entropy is concave: for a given mass left over, fewer and larger shares make it smaller, and none can be
        # larger than the last one told.
        shares = [math.exp(token.logprob) for token in self.tokens]
        left = 1.0 - math.fsum(shares)
        if not shares or shares[-1] <= 0 or left <= 0:
            return math.fsum(map(_bits, shares))
        equal = int(left / shares[-1])
        rest = left - equal * shares[-1]
        return math.fsum([*map(_bits, shares), equal * _bits(shares[-1]), _bits(rest)])

    def rank_of(self, token: int | None, text: str = "") -> int | None:
        """Return a token's place, from 1; None where it is not among them. It goes by its text where it has no id."""
        for place, each in enumerate(self.tokens, start=1):
            # Servers that tell texts alone name different tokens alike (two spellings of one text): a text is the best
            # there is.
            same = each.text == text if token is None or each.id is None else each.id == token
            if same:
                return place
        return None


def _bits(share: float) -> float:
    return -share * math.log2(share) if share > 0 else 0.0


@dataclass(frozen=True)
class ChosenToken:
    """A token that an engine drew, or read in a text, with its log-probability.

    ``top`` has at most as many tokens as were asked for; ``rank`` is None where it is told nowhere.
    """

    id: int | None
    text: str
    logprob: float
    top: Top
    rank: int | None = None

    @property
    def probability(self) -> float:
        return math.exp(self.logprob)


@dataclass(frozen=True)
class Bill:
    """What a server counted. ``cached`` are tokens of the prompt that it had read before; None if it does not tell."""

    prompt: int
    completion: int
    cached: int | None


@dataclass(frozen=True)
class ServerFacts:
    """What a server was seen to do, and what it says of its model.

    ``tokenizer``: ``files`` of this machine that cut texts as the server does, ``server``, or None. ``ids``: it takes a
    prompt as ids. ``logprobs``: so many of its most probable tokens are told. ``prompt_logprobs``: so many beside each
    token of a prompt, with ranks; None for none. ``echo``: it repeats a prompt with its probabilities. ``stop``: it
    ends at a text; ``names_stop``: and says at which. ``seed``: a seed gives its text back.
    """

    host: str
    model: str
    context_length: int | None
    source: str | None
    tokenizer: str | None
    ids: bool
    logprobs: int
    prompt_logprobs: int | None
    echo: bool
    stop: bool
    names_stop: bool
    seed: bool
