"""From logits to probabilities to a choice: pure functions of arrays, in float64.

The whole of it, for whoever writes it again in another language. With x the logits
(float32) and T, k, p, m the temperature, top_k, top_p and min_p, in this order:

1.  T = 0: the id of the highest logit, the lowest id where several are equal. Done.
2.  w = exp((x - max x) / T), in float64, max x taken first so that nothing overflows.
3.  top_k: keep the ids whose logit is not below the k-th highest. Equal logits at the
    border all stay.
4.  top_p: rank the kept by w, the highest first, the *highest id* first among equals.
    Keep an id while the sum of the w ranked before it is less than p times the sum of
    all that step 3 kept. The first always stays.
5.  min_p: keep the ids with w >= m. (w of the most probable is 1.)
6.  The probability of a kept id is its w over the sum of the kept w, of others 0.
7.  Draw u in [0, 1) and take the first id, counting from 0, at which the running sum
    of the kept w exceeds u times their sum.

Draw n of seed s is u = (r >> 11) / 2**53, with r the first of the four 64-bit words
of block n + 1 of Philox4x64-10 with key (s, 0), that is
``numpy.random.Philox(key=s, counter=n).random_raw()``. A draw depends on s and n
alone, so that any step can be taken up again. Source: Salmon et al. 2011,
"Parallel random numbers: as easy as 1, 2, 3".

Steps 2 to 6 are TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper and
MinPLogitsWarper of transformers, in its order; step 4 follows its ascending sort.
"""

from __future__ import annotations

import numpy as np

from capot.config import Sampling
from capot.errors import ModelError

_AHEAD = 256  # draws made at once: making a generator costs more than a draw
_BLOCK = 256  # weights summed at once


class Draws:
    """The draws of one seed, numbered.

    >>> Draws(7).uniform(3) == Draws(7).uniform(3), 0 <= Draws(7).uniform(0) < 1
    (True, True)
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._first = 0
        self._raw = np.zeros(0, np.uint64)

    def uniform(self, n: int) -> float:
        """Draw ``n``, in [0, 1)."""
        if not 0 <= n - self._first < len(self._raw):
            # One generator for many draws: Philox counts in blocks, so block n of one is what a generator begun at n
            # makes first.
            words = np.random.Philox(key=self.seed, counter=n).random_raw(4 * _AHEAD)
            self._first = n
            self._raw = words[::4]
        # 53 bits of the word, as a float64 holds them: exactly what NumPy's ``random`` does.
        return (int(self._raw[n - self._first]) >> 11) / 2**53


def max_logit(logits: np.ndarray) -> float:
    """Return the highest logit; the one place that refuses numbers that are not numbers.

    Raises: ModelError ``not_finite`` where a logit is NaN or +infinity.
    """
    top = float(logits.max())
    # -infinity for some ids is fine (a family masks ids that do not exist); for all of them it leaves nothing to draw.
    if not np.isfinite(top):
        raise ModelError("not_finite")
    return top


def softmax(logits: np.ndarray, *, temperature: float = 1.0) -> np.ndarray:
    """Return the probabilities at a temperature; all on the argmax at 0. Shapes: (V,) -> (V,) float64.

    >>> softmax(np.array([0.0, np.log(3)], np.float32)).round(6)
    array([0.25, 0.75])
    """
    top = max_logit(logits)
    if temperature == 0:
        return _one_hot(logits)
    weights = _weights(logits, top, temperature)
    shares: np.ndarray = weights / weights.sum()
    return shares


def _weights(logits: np.ndarray, top: float, temperature: float) -> np.ndarray:
    # float64 although logits are float32: V small terms are added, and cumulative sums decide who is drawn.
    scores = logits.astype(np.float64)
    scores -= top
    if temperature != 1.0:
        with np.errstate(over="ignore"):  # a minute temperature sends all but the highest to -infinity
            scores /= temperature
    return np.exp(scores, out=scores)


def _one_hot(logits: np.ndarray) -> np.ndarray:
    found = np.zeros(len(logits))
    found[logits.argmax()] = 1.0
    return found


def probabilities(logits: np.ndarray, sampling: Sampling) -> np.ndarray:
    """Return the distribution that is drawn from: tempered, filtered, made to sum to 1.

    Shapes: (V,) float32 -> (V,) float64, zeros where filtered out.
    Raises: ModelError ``not_finite``.
    """
    if sampling.temperature == 0:
        max_logit(logits)
        return _one_hot(logits)
    ids, weights = filter_tokens(logits, sampling)
    found = np.zeros(len(logits))
    found[slice(None) if ids is None else ids] = weights / weights.sum()
    return found


def filter_tokens(logits: np.ndarray, sampling: Sampling) -> tuple[np.ndarray | None, np.ndarray]:
    """Take steps 2 to 5 for a temperature above 0: return the ids that stay, None for all, and their w."""
    top = max_logit(logits)
    ids = None
    if 0 < sampling.top_k < len(logits):
        # ``partition`` and not ``sort``: V is 150,000, and each token of each learner comes through here.
        ids = np.flatnonzero(logits >= nth_highest(logits, sampling.top_k))
        logits = logits[ids]
    # The highest logit of all: w is then 1 for the most probable, which is what min_p is measured by.
    weights = _weights(logits, top, sampling.temperature)
    if sampling.top_p < 1.0:
        ids, weights = _select(_top_p(weights, sampling.top_p), ids, weights)
    if sampling.min_p > 0.0:
        ids, weights = _select(np.flatnonzero(weights >= sampling.min_p), ids, weights)
    return ids, weights


def _select(places: np.ndarray, ids: np.ndarray | None, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return (places if ids is None else ids[places]), weights[places]


def nth_highest(values: np.ndarray, n: int) -> float:
    """Return the n-th highest of ``values``, counting from 1."""
    return float(np.partition(values, len(values) - n)[len(values) - n])


def _top_p(weights: np.ndarray, top_p: float) -> np.ndarray:
    """Step 4: the places that stay. Only weights are sorted, and only those that may stay.

    Weights below (1 - p) of the total shared among all are dropped at once: together
    they are less than what step 4 drops.
    """
    total = weights.sum()
    # Of a vocabulary a few hundred weights pass the first test, and only they are sorted.
    ranked = np.sort(weights[weights >= (1.0 - top_p) * total / len(weights)])[::-1]
    before = np.cumsum(ranked) - ranked
    # The first one stays even for top_p = 0, where the sum before it, 0, is not below 0.
    count = max(1, int(np.searchsorted(before, top_p * total)))
    places = np.flatnonzero(weights >= ranked[count - 1])
    extra = len(places) - count  # of those that weigh as much as the last one, the lowest ids go
    if extra > 0:
        places = np.delete(places, np.flatnonzero(weights[places] == ranked[count - 1])[:extra])
    return places


def sample_token(logits: np.ndarray, sampling: Sampling, *, uniform: float) -> tuple[int, float]:
    """Return the id that ``uniform`` draws, and the probability it had to be drawn.

    Raises: ModelError ``not_finite``.
    """
    if sampling.temperature == 0:
        max_logit(logits)
        return int(logits.argmax()), 1.0
    ids, weights = filter_tokens(logits, sampling)
    place, probability = pick_by_weight(weights, uniform)
    return (place if ids is None else int(ids[place])), probability


def pick_by_weight(weights: np.ndarray, uniform: float) -> tuple[int, float]:
    """Step 7: the first id at which the running sum of the weights exceeds its share.

    The sum runs over blocks first, then inside one: adding one by one would take longer
    than everything else together.

    >>> pick_by_weight(np.array([1.0, 0.0, 3.0]), 0.25)
    (2, 0.75)
    """
    # Sums of blocks by ``reduceat``, pairwise inside: numpy's ``cumsum`` adds one by one.
    blocks = np.cumsum(np.add.reduceat(weights, np.arange(0, len(weights), _BLOCK)))
    goal = uniform * blocks[-1]
    block = _first_above(blocks, goal)
    start = block * _BLOCK
    inside = np.cumsum(weights[start : start + _BLOCK])
    chosen = start + _first_above(inside, goal - (blocks[block - 1] if block else 0.0))
    return chosen, float(weights[chosen] / blocks[-1])


def _first_above(running: np.ndarray, goal: float) -> int:
    """Return the first place where a running sum exceeds ``goal``; the last one that adds, if rounding hides it."""
    place = int(np.searchsorted(running, goal, side="right"))
    # u close to 1 may fall beyond the last sum by rounding: the last id with a weight is drawn, never one of weight 0.
    return place if place < len(running) else int(np.searchsorted(running, running[-1]))


def top_tokens(logits: np.ndarray, count: int) -> np.ndarray:
    """Return the ids of the ``count`` highest logits, the highest first, the lowest id first among equals.

    >>> top_tokens(np.array([1.0, 3.0, 3.0, 2.0]), 3).tolist()
    [1, 2, 3]
    """
    count = min(count, len(logits))
    border = nth_highest(logits, count)
    ids = np.flatnonzero(logits >= border)
    return ids[np.argsort(-logits[ids], kind="stable")][:count]


def rank_of(logits: np.ndarray, token: int) -> int:
    """Return the place of a token in the order of :func:`top_tokens`, counting from 1."""
    value = logits[token]
    # Ties go by id, as in ``top_tokens``, so that rank and list agree.
    return 1 + int((logits > value).sum()) + int((logits[:token] == value).sum())


def entropy_bits(probabilities: np.ndarray) -> float:
    """Return how undecided a distribution is: -sum p log2 p. Units: bits.

    Source: Shannon 1948, section 6.

    >>> entropy_bits(np.array([0.5, 0.25, 0.25, 0.0]))
    1.5
    """
    some = probabilities[probabilities > 0]
    # + 0.0 turns the -0.0 of a certain distribution into 0.0, which a page would write with its sign.
    return float(-(some * np.log2(some)).sum()) + 0.0
