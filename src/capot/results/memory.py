"""What a prompt costs in memory and in time: rows by length, and what fits on which cards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from capot.results.base import Result
from capot.view.blocks import Block

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


@dataclass(frozen=True)
class Users:
    """How many conversations of ``context`` tokens the cards hold at once."""

    context: int
    users: int


@dataclass(frozen=True)
class Fit:
    """What is left for the text on ``gpus`` cards of ``gpu_bytes`` each.

    ``max_context``: tokens that one conversation may have, 0 where the weights do not fit.
    ``fits``: whether the weights do. Memory alone decides: a model may be trained for less.
    """

    gpu_bytes: int
    gpus: int
    precision: str
    weights_bytes: int
    fits: bool
    max_context: int
    concurrent: tuple[Users, ...] = ()


@dataclass(frozen=True)
class Stopped:
    """Why there are fewer rows than asked for: ``memory``, ``positions`` or ``interrupted``, before ``tokens``."""

    reason: Literal["memory", "positions", "interrupted"]
    tokens: int
    needed_bytes: int | None = None
    available_bytes: int | None = None


@dataclass(frozen=True)
class Memory(Result):
    """The answer of ``memory``; ``fits`` is empty but in a simulation."""

    model: str
    device: str
    engine: str
    mode: Mode
    precision: str
    weights_bytes: int
    context_length: int | None
    kv_cache: Cache
    chunk: int
    rows: tuple[Row, ...]
    simulated: bool = False
    exact: bool = True  # False where the family, or what its layers hold, is unknown and was counted as a Llama's
    parameters: int | None = None
    fits: tuple[Fit, ...] = ()
    stopped: Stopped | None = None

    def at(self, tokens: int) -> Row:
        """The row of ``tokens`` tokens. Raises: KeyError."""
        found = next((row for row in self.rows if row.tokens == tokens), None)
        if found is None:
            raise KeyError(tokens)
        return found

    def view(self, lang: str | None = None) -> list[Block]:
        from capot.results import memory_view

        return memory_view.blocks(self, lang)
