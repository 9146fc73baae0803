"""What a prompt costs, row by row: plain values, without the words and pictures that show them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Mode = Literal["last", "all"]


@dataclass(frozen=True)
class Parts:
    """Bytes beyond the weights, by what they are for, at the moment when their sum is highest."""

    kv_cache: int
    activations: int
    logits: int

    @property
    def total(self) -> int:
        return self.kv_cache + self.activations + self.logits


@dataclass(frozen=True)
class Row:
    """One length of prompt.

    ``measured_bytes`` beyond the weights, None in a simulation; ``process_bytes`` the growth of
    the process's own (anonymous) memory and ``resident_bytes`` its whole size at the peak, where
    the system tells; ``seconds`` the pass over all the tokens, ``next_token_s`` one token more
    with the cache; ``other_mode`` the formula for the other mode.
    """

    tokens: int
    measured_bytes: int | None
    computed: Parts
    seconds: float | None
    beyond_context: bool
    other_mode: Parts
    measured: Parts | None = None
    process_bytes: int | None = None
    resident_bytes: int | None = None
    next_token_s: float | None = None


@dataclass(frozen=True)
class Cache:
    """The KV cache: the type of its numbers and how many bytes a token adds to it.

    ``windows`` counts the layers that keep at most ``window`` tokens, of ``layers`` that keep any.
    """

    dtype: str
    bytes_per_token: int
    attention: str
    layers: int
    windows: int = 0
    window: int | None = None
    other_layers: int = 0  # layers that keep a state of fixed size, or read another layer's cache
    state_bytes: int | None = 0  # that a text leaves in such states; None where their form is not known


@dataclass(frozen=True)
class Users:
    """How many conversations of ``context`` tokens the cards hold at once."""

    context: int
    users: int


@dataclass(frozen=True)
class CardsFit:
    """What is left for the text on ``gpus`` cards of ``gpu_bytes`` each.

    ``max_context``: tokens that one conversation may have, 0 where the weights do not fit; memory alone decides.
    ``trained``: how many conversations as long as the model was trained for fit at once, None where its trained
    context is unknown. ``fits``: whether the weights do.
    """

    gpu_bytes: int
    gpus: int
    precision: str
    weights_bytes: int
    fits: bool
    max_context: int
    concurrent: tuple[Users, ...] = ()
    trained: Users | None = None


@dataclass(frozen=True)
class Stopped:
    """Why there are fewer rows than asked for: ``memory``, ``positions`` or ``interrupted``, before ``tokens``."""

    reason: Literal["memory", "positions", "interrupted"]
    tokens: int
    needed_bytes: int | None = None
    available_bytes: int | None = None
