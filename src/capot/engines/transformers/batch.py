"""Several sequences in one pass over the weights: their new tokens as one row, their caches apart.

Everything but attention looks at each token by itself, so that the new tokens of all
sequences can go through as one text. At each layer, the row is taken apart again: each
sequence writes its part into its own cache and attends to that alone, by the very function
that computes one sequence. Nothing is padded and nothing is copied.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from transformers import AttentionInterface, Cache
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from capot.engines.transformers.cache import CacheLayer
from capot.engines.transformers.network import Network

KIND = "capot_rows"  # the name of our attention among those of transformers
KINDS = {None, "full_attention", "sliding_attention"}  # of layers, whose masks are the two that are made here

# A list and no argument: transformers calls attention by a registered name, with arguments of its own.
_at_work: list[BatchCache] = []  # the pass that computes; one thread calls kernels


class RowLayer(CacheLayer):
    """One layer of all sequences' caches."""

    def __init__(self, layers: Sequence[CacheLayer], row: BatchCache) -> None:
        super().__init__(layers[0].window)
        self.layers = layers
        self.row = row

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Put each sequence's new keys and values into its own cache; what attention shall see is left in the row."""
        seen = [
            layer.update(key_states[:, :, span], value_states[:, :, span])
            for layer, span in zip(self.layers, self.row.spans, strict=True)
        ]
        self.row.seen = seen
        self.row.window = self.window
        return key_states, value_states


class BatchCache(Cache):
    """The new tokens of several sequences as one text, and their caches as if they were one."""

    def __init__(self, caches: Sequence[Cache], spans: Sequence[slice]) -> None:
        self.spans = spans
        # Layer by layer, each with the same layer of every sequence.
        super().__init__(layers=[RowLayer(layers, self) for layers in zip(*(c.layers for c in caches), strict=True)])
        self.pasts = [cache.get_seq_length() for cache in caches]
        self.seen: list[tuple[torch.Tensor, torch.Tensor]] = []
        self.window: int | None = None
        self._masks: dict[Any, torch.Tensor | None] = {}

    def positions(self, device: torch.device) -> torch.Tensor:
        """Return where each new token stands in its own text. Shapes: (1, T)"""
        counts = [(past, span.stop - span.start) for past, span in zip(self.pasts, self.spans, strict=True)]
        return torch.tensor([[past + i for past, count in counts for i in range(count)]], device=device)

    def attend(self, module: torch.nn.Module, query: torch.Tensor, **named: Any) -> torch.Tensor:
        """Shapes: query (1, H, T, D), answer (1, T, H, D)."""
        parts = []
        for place, (span, (keys, values)) in enumerate(zip(self.spans, self.seen, strict=True)):
            mask = self._mask(place, span.stop - span.start, keys)
            parts.append(sdpa_attention_forward(module, query[:, :, span], keys, values, mask, **named)[0])
        return torch.cat(parts, dim=1)

    def _mask(self, place: int, count: int, keys: torch.Tensor) -> torch.Tensor | None:
        """Return which keys each new token may look at; None where there is nothing to hide, or the usual triangle.

        Shapes: (1, 1, count, S) of bools.
        """
        seen = keys.shape[-2]
        window = self.window
        # A single token sees all that its cache shows; a text from its first token on has PyTorch's own causal
        # triangle, whose kernel is quicker than one with a mask.
        if count == 1 or (seen == count and (window is None or count <= window)):
            return None
        key = (place, window, keys.device)
        # A mask is the same in all layers of one window: made once for a pass.
        if key not in self._masks:
            at = torch.arange(seen - count, seen, device=keys.device)[:, None]  # of the new ones among the keys
            behind = at - torch.arange(seen, device=keys.device)[None]
            mask = behind >= 0 if window is None else (behind >= 0) & (behind < window)
            self._masks[key] = mask[None, None]
        return self._masks[key]

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        _at_work.append(self)
        try:
            yield
        finally:
            _at_work.pop()


def _attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **named: Any,
) -> tuple[torch.Tensor, None]:
    """Compute attention through transformers' interface; keys, values and masks are the row's."""
    return _at_work[-1].attend(module, query, **named), None


AttentionInterface.register(KIND, _attention)


def can_batch(network: Network, layers: Sequence[Any]) -> bool:
    """Return whether a family attends by transformers' interface, in layers of kinds that a row computes exactly."""
    config = network.config
    through = getattr(network.model, "_supports_attention_backend", False)
    kinds = set(getattr(config, "layer_types", None) or [None])
    shared = getattr(config, "num_kv_shared_layers", None)
    expanded = getattr(config, "kv_lora_rank", None)  # keys are made of what the cache holds, after it gave it
    # Only SDPA takes masks of bools and grouped keys as they are made here.
    exact = network.implementation == "sdpa" and kinds <= KINDS and not shared and not expanded
    return network.caches and through and exact and all(type(one) is CacheLayer for one in layers)
