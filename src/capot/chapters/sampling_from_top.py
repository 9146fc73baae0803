"""The probabilities that sampling draws from, where an engine tells its most probable tokens alone."""

from __future__ import annotations

import itertools

from capot.config import Sampling
from capot.engines.seen import ChosenToken, Top


def sampled_probabilities(top: Top, sampling: Sampling) -> tuple[float, ...] | None:
    """Return the probability of each token of ``top`` to be drawn; None where it depends on tokens that are not told.

    The steps are those of ``text.sampling``. Weights are probabilities over the first one's, so that all tokens
    together weigh as much as the first probability divides 1, at temperature 1.

    >>> import math
    >>> from capot.engines.seen import TopToken
    >>> top = Top((TopToken(0, "a", math.log(0.5)), TopToken(1, "b", math.log(0.25))))
    >>> sampled_probabilities(top, Sampling(temperature=1.0, top_p=0.4))
    (1.0, 0.0)
    >>> sampled_probabilities(top, Sampling(temperature=2.0)) is None
    True
    """
    shares = [token.probability for token in top.tokens]
    if not shares or shares[0] <= 0:
        return None
    if sampling.temperature == 0:
        return (1.0, *[0.0] * (len(shares) - 1))
    weights = [(share / shares[0]) ** (1 / sampling.temperature) for share in shares]
    whole = 0 < sampling.top_k <= len(weights)  # nothing that is not told may be drawn
    kept = weights[: sampling.top_k] if whole else weights
    if sampling.top_k and not whole:
        return None
    if sampling.top_p < 1:
        all_weigh = sum(kept) if whole else 1 / shares[0]
        found = _top_p(kept, sampling.top_p * all_weigh) if whole or sampling.temperature == 1 else None
        if found is None and not whole:
            return None
        kept, whole = kept if found is None else found, True
    if sampling.min_p > 0:
        whole = whole or kept[-1] < sampling.min_p
        kept = [weight for weight in kept if weight >= sampling.min_p]
    if not whole:
        return tuple(shares) if sampling.temperature == 1 and not sampling.min_p else None
    total = sum(kept)
    return (*(weight / total for weight in kept), *[0.0] * (len(shares) - len(kept)))


def _top_p(weights: list[float], goal: float) -> list[float] | None:
    """Return the first weights that reach ``goal`` together, None where all of them do not."""
    for count, reached in enumerate(itertools.accumulate(weights), start=1):
        if reached >= goal:
            return weights[:count]
    return None


def draw_probability(token: ChosenToken, sampling: Sampling) -> float | None:
    """Return the probability that a token had to be drawn, None where it depends on tokens that are not told."""
    if sampling.temperature == 1 and not (sampling.top_k or sampling.top_p < 1 or sampling.min_p):
        return token.probability
    rank = token.top.rank_of(token.id, token.text)
    shares = sampled_probabilities(token.top, sampling)
    return None if rank is None or shares is None else shares[rank - 1]
