"""What a model shows of itself when it is opened.

A family is never known by its name: a first pass says what it gives, and, where it keeps a state
instead of keys, a few more say how it goes on from what it has read.
"""

from __future__ import annotations

import contextlib
import copy
import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from transformers import Cache

from capot.engines.protocol import Capability
from capot.engines.transformers import batch, hidden_states, states
from capot.engines.transformers.anatomy import Anatomy
from capot.engines.transformers.cache import CacheLayer, copy_layer, nbytes, tensors
from capot.engines.transformers.network import Network
from capot.errors import UnsupportedError

# How several tokens follow others: by the family's own code, by its code with the state handed
# to it (``states``), or in as many passes as there are tokens.
BY_ITSELF, WITH_STATE, ONE_BY_ONE = "itself", "handed", "in turn"
# Two ways to compute the same: the difference that rounding may make, as a share of the whole.
CLOSE = {torch.float32: 1e-3, torch.bfloat16: 0.1, torch.float16: 0.03}


class Probe:
    """What a model shows of itself in a first pass over a few tokens, which also warms it up."""

    TOKENS = 8

    def __init__(self, network: Network) -> None:
        self.cache = network.new_cache()
        asked: dict[str, Any] = {}
        attends = all(isinstance(layer, CacheLayer) for layer in self.cache.layers)
        rows = network.table.shape[0]
        # A text of equal tokens would leave equal states, and a mistake in their order would not be seen.
        self._ids = torch.arange(self.TOKENS, device=network.device)[None] * 7 % rows
        begun = None if attends else self._begun(network)
        self.anatomy = Anatomy(network)
        with contextlib.ExitStack() as stack:
            # Equal numbers mean the same thing only while nothing else is computed in the pass.
            if attends and network.layers and network.caches:
                stack.enter_context(self.anatomy.listening())
            if attends:
                # The slower implementation gives weights; whether a family does give them is seen here, not read in a
                # table.
                stack.enter_context(hidden_states.attention_implementation(network, "eager"))
                asked["output_attentions"] = True
            if network.layers:
                handle = network.layers[-1].register_forward_hook(functools.partial(_layer_output, network))
                stack.callback(handle.remove)
            asked |= network.positions(0, self.TOKENS)
            answer = network.run(self._ids, "last" if attends else "all", self.cache, **asked)
        self.vocabulary: int = answer.logits.shape[-1]
        self.anatomy.conclude(answer.logits[0, -1])
        self.capabilities = self._found(network, answer, attends=attends)
        self._layers = [self._size(layer) for layer in self.cache.layers]
        self.goes_on = BY_ITSELF if begun is None else self._goes_on(network, begun, answer.logits[0])
        del self.cache

    def _found(self, network: Network, answer: Any, *, attends: bool) -> Capability:
        capabilities = Capability(0)
        if network.layers:
            capabilities |= Capability.HIDDEN | Capability.LAYER_LOGITS | Capability.EDITS
        if attends:
            capabilities |= Capability.PREFIX
            if self._attention(answer, network):
                capabilities |= Capability.ATTENTION
            capabilities |= self.anatomy.capabilities
        if network.takes_positions and batch.can_batch(network, self.cache.layers):
            capabilities |= Capability.BATCH
        return capabilities

    def _attention(self, answer: Any, network: Network) -> bool:
        """Return whether every layer gave weights that look back only and sum to one."""
        found = getattr(answer, "attentions", None) or ()
        if len(found) != network.config.num_hidden_layers or any(one is None for one in found):
            return False
        matrix = hidden_states.stack_attention(found, self.TOKENS, rows=self.TOKENS)
        # Below 1 by rounding in 16 bits; weights above the diagonal would look at later tokens.
        return bool(np.allclose(matrix.sum(-1), 1, atol=0.02) and not np.triu(matrix, 1).any())

    # ------------------------------------------------------------ going on from a state

    def _run(self, network: Network, cache: Cache, start: int, stop: int) -> torch.Tensor:
        """Shapes: answer (stop - start, V)."""
        ids = self._ids[:, start:stop]
        positions = network.positions(start, stop - start)
        logits: torch.Tensor = network.run(ids, "all", cache, **positions).logits[0]
        return logits

    def _begun(self, network: Network) -> tuple[Cache, torch.Tensor]:
        """Return the text's first two tokens in a cache, and what the third gives."""
        # Before another sequence is computed: a model that keeps something in itself is found out by computing it
        # again.
        cache = network.new_cache()
        self._run(network, cache, 0, 2)
        return cache, self._run(network, copied(cache), 2, 3)

    def _goes_on(self, network: Network, begun: tuple[Cache, torch.Tensor], whole: torch.Tensor) -> str:
        """Return which of the ways gives what one pass over the whole text gave.

        Raises: UnsupportedError ``no_token_by_token`` where a model keeps in itself what belongs to a sequence.
        Shapes: whole (T, V).
        """
        cache, third = begun
        # Equal passes on equal states: any difference comes from what the model kept of the pass between.
        if distance(self._run(network, cache, 2, 3), third) > CLOSE[torch.float32]:  # the same passes, number by number
            raise UnsupportedError("no_token_by_token", architecture=type(network.model).__name__)
        # The quickest way that is right: the family's own code, then its code with the state handed to it.
        for way in (BY_ITSELF, WITH_STATE) if states.mixers(network) else (BY_ITSELF,):
            tried = copied(cache)
            with states.with_past_states(network, tried) if way == WITH_STATE else contextlib.nullcontext():
                found = self._run(network, tried, 3, self.TOKENS)
            if self._agrees(network, tried, distance(found, whole[3:]), in_turn=(cache, whole)):
                return way
        return ONE_BY_ONE

    def _agrees(self, network: Network, tried: Cache, off: float, *, in_turn: tuple[Cache, torch.Tensor]) -> bool:
        """Return whether a way is right: by the states of the first layer that keeps some, then by the logits, which
        may be as far off as those of one token at a time where a model makes much of rounding.
        """
        cache, whole = in_turn
        bound = CLOSE[in_turn[1].dtype]
        if any(distance(*pair) > bound for pair in zip(first_states(tried), first_states(self.cache), strict=True)):
            return False
        if off <= bound:
            return True
        alone = copied(cache)
        slow = torch.cat([self._run(network, alone, at, at + 1) for at in range(3, self.TOKENS)])
        return off <= 2 * distance(slow, whole[3:])

    # ------------------------------------------------------------ what it holds

    def _size(self, layer: Any) -> Callable[[int], int]:
        """Return the bytes a layer will hold for a text of so many tokens."""
        held = nbytes(layer)
        if not isinstance(layer, CacheLayer):
            return lambda _: held
        # From what 8 tokens take: the numbers of a slot are the family's affair (heads, width, latent vectors).
        slot = held // layer.capacity(self.TOKENS)
        capacity = CacheLayer(layer.window).capacity
        return lambda tokens: slot * capacity(tokens)

    def cache_bytes(self, tokens: int) -> int:
        return sum(size(tokens) for size in self._layers)


def _layer_output(network: Network, _: torch.nn.Module, __: Any, given: Any) -> None:
    network.parts = len(given) if isinstance(given, tuple | list) else 0


def distance(found: torch.Tensor, expected: torch.Tensor) -> float:
    """Return the length of the difference, as a share of what is expected."""
    found, expected = found.float(), expected.float()
    # Less its mean: logits have a common offset that means nothing and would hide a difference.
    return float((found - expected).norm()) / max(float((expected - expected.mean()).norm()), 1e-6)


def copied(cache: Cache) -> Cache:
    """Return a cache that goes on from the same text by itself."""
    other = copy.copy(cache)
    other.layers = [copy_layer(layer) for layer in cache.layers]
    return other


def first_states(cache: Cache) -> Iterator[torch.Tensor]:
    """Yield what the first layer that keeps a state holds: nothing below it was rounded in another way."""
    # The first layer of that kind: deeper states are functions of rounding too.
    yield from tensors(next(layer for layer in cache.layers if not isinstance(layer, CacheLayer)))
