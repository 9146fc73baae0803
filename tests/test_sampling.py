"""Sampling: held to transformers' processors, to exact arithmetic, and to its own description."""

from __future__ import annotations

import functools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capot.config import Sampling
from capot.errors import InputError, ModelError
from capot.text import sampling


def transformers_probabilities(logits: np.ndarray, settings: Sampling) -> np.ndarray:
    """The same through transformers' processors, in double precision."""
    torch = pytest.importorskip("torch")
    from transformers.generation import logits_process as peers

    processors = []
    if settings.temperature != 1.0:
        processors.append(peers.TemperatureLogitsWarper(settings.temperature))
    if settings.top_k:
        processors.append(peers.TopKLogitsWarper(settings.top_k))
    if settings.top_p < 1.0:
        processors.append(peers.TopPLogitsWarper(settings.top_p))
    if settings.min_p > 0.0:
        processors.append(peers.MinPLogitsWarper(settings.min_p))
    scores = torch.from_numpy(logits.astype(np.float64))[None]
    with pytest.MonkeyPatch.context() as patch:
        # Which of two equal logits torch sorts first is its own affair; ask for the order it documents.
        patch.setattr(torch, "sort", functools.partial(torch.sort, stable=True))
        for processor in processors:
            scores = processor(None, scores)
    return torch.softmax(scores, dim=-1)[0].numpy()


CASES = [
    {},
    {"temperature": 0.3},
    {"temperature": 5.0},
    {"top_k": 1},
    {"top_k": 7},
    {"top_k": 100_000},
    {"top_p": 0.9},
    {"top_p": 0.0},
    {"top_p": 1e-6},
    {"top_p": 0.999999},
    {"min_p": 0.05},
    {"min_p": 1.0},
    {"temperature": 0.7, "top_k": 40, "top_p": 0.9, "min_p": 0.02},
    {"temperature": 1.7, "top_k": 500, "top_p": 0.5},
    {"temperature": 0.2, "top_p": 0.95, "min_p": 0.3},
]


@pytest.mark.parametrize("kind", ["peaked", "flat", "rounded", "masked"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_filters_agree_with_transformers(case: dict, kind: str) -> None:
    rng = np.random.default_rng(len(kind))
    logits = rng.normal(size=1000).astype(np.float32) * (0.2 if kind == "flat" else 3)
    if kind == "rounded":  # many equal logits, at every border
        logits = np.round(logits)
    if kind == "masked":
        logits[rng.random(1000) < 0.5] = -np.inf
    settings = Sampling(**{"temperature": 1.0, **case})
    ours, theirs = sampling.probabilities(logits, settings), transformers_probabilities(logits, settings)
    np.testing.assert_array_equal(ours > 0, theirs > 0)
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("top_p", [0.05, 0.3, 0.55, 0.95])
def test_equal_logits_are_kept_as_transformers_keeps_them(top_p: float) -> None:
    logits = np.zeros(10, np.float32)
    settings = Sampling(temperature=1.0, top_p=top_p)
    np.testing.assert_array_equal(
        sampling.probabilities(logits, settings) > 0, transformers_probabilities(logits, settings) > 0
    )


finite = st.floats(-30, 30, width=32).map(lambda value: round(value, 1))


@settings(max_examples=150, deadline=None)
@given(
    logits=st.lists(finite, min_size=1, max_size=60),
    temperature=st.floats(0.05, 5),
    top_k=st.integers(0, 70),
    top_p=st.floats(0.01, 1),
    min_p=st.floats(0, 1),
    uniform=st.floats(0, 1, exclude_max=True),
)
def test_what_is_kept_is_a_distribution_and_holds_the_best(logits, temperature, top_k, top_p, min_p, uniform) -> None:
    array = np.array(logits, np.float32)
    chosen_by = Sampling(temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p)
    found = sampling.probabilities(array, chosen_by)
    assert math.isclose(found.sum(), 1, rel_tol=1e-12) and (found >= 0).all()
    assert found.max() == found[array == array.max()].max() > 0
    chosen, probability = sampling.sample_token(array, chosen_by, uniform=uniform)
    assert math.isclose(found[chosen], probability, rel_tol=1e-12) and probability > 0


def described(logits: np.ndarray, settings: Sampling, uniform: float) -> tuple[list[float], int]:
    """The module's description, word for word and one number at a time, as another language would."""
    top = max(float(x) for x in logits)
    w = [math.exp((float(x) - top) / settings.temperature) for x in logits]
    if 0 < settings.top_k < len(w):
        border = sorted((float(x) for x in logits), reverse=True)[settings.top_k - 1]
        w = [weight if float(x) >= border else 0.0 for x, weight in zip(logits, w)]
    if settings.top_p < 1:
        total, before, kept = sum(w), 0.0, set()
        for i in sorted(range(len(w)), key=lambda i: (-w[i], -i)):
            if not kept or before < settings.top_p * total:
                kept.add(i)
            before += w[i]
        w = [weight if i in kept else 0.0 for i, weight in enumerate(w)]
    w = [weight if weight >= settings.min_p else 0.0 for weight in w]
    running, chosen = 0.0, None
    for i, weight in enumerate(w):
        running += weight
        if chosen is None and running > uniform * sum(w):
            chosen = i
    return [weight / sum(w) for weight in w], chosen


@pytest.mark.parametrize("seed", range(30))
def test_the_description_is_enough_to_write_it_again(seed: int) -> None:
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=int(rng.integers(1, 700))).astype(np.float32) * rng.choice([0.1, 1, 4])
    settings = Sampling(
        temperature=rng.choice([0.3, 0.7, 1.0, 2.0]),
        top_k=int(rng.choice([0, 1, 5, 300])),
        top_p=rng.choice([0.3, 0.9, 1.0]),
        min_p=rng.choice([0.0, 0.1]),
    )
    uniform = float(rng.random())
    expected, chosen = described(logits, settings, uniform)
    np.testing.assert_allclose(sampling.probabilities(logits, settings), expected, rtol=1e-10, atol=1e-300)
    assert sampling.sample_token(logits, settings, uniform=uniform)[0] == chosen


def test_zero_is_exactly_argmax_with_the_lowest_id_on_a_tie() -> None:
    logits = np.array([1.0, 5.0, 5.0, 2.0], np.float32)
    greedy = Sampling(temperature=0, top_k=3, top_p=0.1, seed=9)
    assert sampling.sample_token(logits, greedy, uniform=0.999) == (1, 1.0)
    assert sampling.probabilities(logits, greedy).tolist() == [0, 1, 0, 0]
    assert sampling.softmax(logits, temperature=0).tolist() == [0, 1, 0, 0]


@pytest.mark.parametrize("temperature", [1e-300, 1e-30, 100.0])
def test_extreme_temperatures_stay_finite(temperature: float) -> None:
    logits = np.array([-1e30, 3.0, 2.0, 1e30], np.float32)
    found = sampling.probabilities(logits, Sampling(temperature=temperature))
    assert np.isfinite(found).all() and found[3] == 1.0


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_logits_that_are_no_numbers_are_refused(bad: float, temperature: float) -> None:
    logits = np.array([0.0, bad, 1.0], np.float32)
    chosen_by = Sampling(temperature=temperature)
    for call in (sampling.probabilities, lambda x, s: sampling.sample_token(x, s, uniform=0.5)):
        with pytest.raises(ModelError) as caught:
            call(logits, chosen_by)
        assert caught.value.code == "not_finite"
    with pytest.raises(ModelError):
        sampling.softmax(np.full(4, -np.inf, np.float32))


@pytest.mark.parametrize("name", ["temperature", "top_p", "min_p"])
@pytest.mark.parametrize("value", [float("nan"), -0.5, "warm"])
def test_settings_that_make_no_sense_are_refused(name: str, value: object) -> None:
    with pytest.raises(InputError):
        Sampling(**{name: value})


def test_draws_are_philox_and_any_one_can_be_made_alone() -> None:
    draws = sampling.Draws(42)
    for n in (0, 1, 2, 255, 256, 257, 5, 10**9):
        word = int(np.random.Philox(key=42, counter=n).random_raw())
        assert draws.uniform(n) == (word >> 11) / 2**53
    assert draws.uniform(5) == np.random.Generator(np.random.Philox(key=42, counter=5)).random()
    assert sampling.Draws(2**64 - 1).uniform(0) != sampling.Draws(0).uniform(0)


def test_choices_follow_the_probabilities() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=600).astype(np.float32)
    chosen_by, draws = Sampling(temperature=0.5), sampling.Draws(1)
    expected = sampling.probabilities(logits, chosen_by)
    seen = np.bincount(
        [sampling.sample_token(logits, chosen_by, uniform=draws.uniform(n))[0] for n in range(20_000)], minlength=600
    )
    spread = np.sqrt(expected * (1 - expected) / 20_000) + 1e-9
    assert (np.abs(seen / 20_000 - expected) < 6 * spread + 1e-4).all()


@pytest.mark.parametrize("uniform", [0.0, 0.5, 1 - 2**-53])
def test_a_choice_is_never_an_id_without_weight(uniform: float) -> None:
    weights = np.zeros(1000)
    weights[[3, 700]] = [1e-17, 1.0]
    assert sampling.pick_by_weight(weights, uniform)[0] in (3, 700)
    tail = np.zeros(1000)
    tail[:600] = 0.1
    assert sampling.pick_by_weight(tail, uniform)[0] < 600


def test_top_and_rank_agree_with_a_full_sort() -> None:
    rng = np.random.default_rng(3)
    logits = np.round(rng.normal(size=400), 1).astype(np.float32)
    order = sorted(range(400), key=lambda i: (-logits[i], i))
    assert sampling.top_tokens(logits, 50).tolist() == order[:50]
    assert sampling.top_tokens(logits, 9999).tolist() == order
    assert [sampling.rank_of(logits, i) for i in order] == list(range(1, 401))


def test_entropy() -> None:
    assert sampling.entropy_bits(np.full(8, 1 / 8)) == pytest.approx(3)
    assert sampling.entropy_bits(np.array([0.0, 1.0])) == 0.0
