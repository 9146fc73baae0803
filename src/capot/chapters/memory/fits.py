"""What is left for the text once the weights are on the cards: context, and conversations at once."""

from __future__ import annotations

from collections.abc import Sequence

from capot.chapters.memory.computed import PromptPass, simulated
from capot.chapters.memory.rows import CardsFit, Parts, Users
from capot.chapters.memory.shape import MemoryShape
from capot.chapters.memory.sizes import MAX_TOKENS, PRECISIONS
from capot.engines.cancellation import check_cancelled
from capot.sources.machine import largest_fitting

USABLE = 0.9  # of a card: the rest goes to the driver, to fragments and to other programs
GPUS = (1, 2, 8)


def weights_bytes(shape: MemoryShape, precision: str) -> int:
    """Return the bytes of all the parameters in one precision, the scales of quantised formats left out."""
    return round(shape.parameters * PRECISIONS[precision])


def card_bytes(shape: MemoryShape, tokens: int, *, precision: str, gpus: int, how: PromptPass) -> float:
    """Return what one of ``gpus`` cards holds for one text of ``tokens`` tokens, split by tensor parallelism.

    Weights are split evenly; keys and values by KV heads, so never in more parts than there are
    heads (a latent cache is whole on each card). Activations and logits are counted in full on
    each card, which is prudent. Source: Megatron-LM, Shoeybi et al. 2019, section 3.
    """
    parts = simulated(shape, tokens, how)
    weights = weights_bytes(shape, precision) / gpus
    return weights + kept_bytes(shape, parts, gpus=gpus, how=how) + parts.activations + parts.logits


def kept_bytes(shape: MemoryShape, parts: Parts, *, gpus: int, how: PromptPass) -> float:
    """Return what one text leaves on each card: its part of the keys and values, and of a state, split by channels."""
    state = shape.state_numbers * how.cache_number
    # Keys and values cannot be split finer than their heads: further cards hold copies (Shoeybi et al., 2019).
    return (parts.kv_cache - state) / min(gpus, shape.shards) + state / gpus


def fit(
    shape: MemoryShape, *, gpu_bytes: int, gpus: int, precision: str, how: PromptPass, contexts: Sequence[int]
) -> CardsFit:
    """Return how long one text may be on these cards, and how many texts of each of ``contexts`` fit at once."""
    check_cancelled()
    usable = USABLE * gpu_bytes

    def holds(tokens: int) -> bool:
        return card_bytes(shape, tokens, precision=precision, gpus=gpus, how=how) <= usable

    weights = weights_bytes(shape, precision)
    room = usable - weights / gpus
    trained = shape.context_length

    def users(context: int) -> Users:
        return Users(context, concurrent(shape, context, room=room, gpus=gpus, how=how))

    return CardsFit(
        gpu_bytes=gpu_bytes,
        gpus=gpus,
        precision=precision,
        weights_bytes=weights,
        fits=weights / gpus <= usable and holds(1),
        max_context=largest_fitting(holds, most=MAX_TOKENS),
        concurrent=tuple(users(context) for context in contexts),
        trained=None if trained is None else users(trained),
    )


def concurrent(shape: MemoryShape, context: int, *, room: float, gpus: int, how: PromptPass) -> int:
    """Return the texts of ``context`` tokens that fit at once in ``room`` bytes of each card, one being read."""
    parts = simulated(shape, context, how)
    # One text is being read, whose activations are there once; the others only keep their caches.
    room -= parts.activations + parts.logits
    return max(0, int(room // max(kept_bytes(shape, parts, gpus=gpus, how=how), 1)))
