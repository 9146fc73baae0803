"""One sequence at a time in a cache that never moves, for compiled passes.

A pass over one token is hundreds of small launches, and on a GPU their order takes longer
than their work. ``torch.compile`` joins them and replays them as one CUDA graph, which wants
every array to stay where it was: the cache here has its final length from the start.

There is one such lane. A sequence enters when it decodes alone, its keys and values copied in;
it leaves when another enters, when it is cut, or when it takes part in any other pass, and
what it made in the lane is then copied back to its own cache.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from transformers import StaticCache

from capot.engines.protocol import LAST, Feed
from capot.engines.transformers.cache import CacheLayer, TransformersSequence, own_sequence
from capot.engines.transformers.network import Network

LENGTH = 4096  # tokens; a longer text is computed as if there were no lane


def can_compile(network: Network, layers: list[Any]) -> bool:
    """Return whether a family's cache can stay where it is.

    Every layer must keep the whole text, and its code be traceable.
    """
    whole = all(isinstance(layer, CacheLayer) and layer.window is None for layer in layers)
    return network.caches and whole and bool(getattr(network.model, "_can_compile_fullgraph", False))


def layer_pairs(fixed: StaticCache, sequence: TransformersSequence) -> list[tuple[Any, CacheLayer]]:
    """Yield transformers' layers that stay where they are, each with the sequence's own."""
    layers = [layer for layer in sequence.cache.layers if isinstance(layer, CacheLayer)]
    return list(zip(fixed.layers, layers, strict=True))


class CompiledDecoder:
    """The cache, the compiled pass over it, and who is in it."""

    def __init__(self, network: Network, *, compile: Callable[..., Any] = torch.compile) -> None:
        context = getattr(network.config, "max_position_embeddings", None) or LENGTH
        self.network = network
        self.length = min(LENGTH, context)
        self.inside: TransformersSequence | None = None
        self._cache: StaticCache | None = None
        self._ids = torch.zeros((1, 1), dtype=torch.long, device=network.device)
        # CUDA graphs replay launches without Python; on a processor there is nothing to replay, and joining them is
        # all.
        mode = {"mode": "reduce-overhead"} if network.device.type == "cuda" else {}
        self._compiled = compile(self._pass, **mode)

    def takes(self, feed: Feed) -> bool:
        """Return whether a feed is one token after others. Its logits alone must be wanted, and nothing be changed."""
        before = len(feed.sequence.ids)
        return feed.want == LAST and not feed.edits and len(feed.ids) == 1 and 0 < before < self.length

    def _pass(self, ids: torch.Tensor, cache: StaticCache) -> torch.Tensor:
        logits: torch.Tensor = self.network.run(ids, "last", cache).logits[0, -1]
        return logits

    def logits(self, feed: Feed) -> torch.Tensor:
        """Return what follows one token. Shapes: (V,); overwritten by the next call."""
        # Inference tensors may not be written by a traced pass: here everything is an ordinary one.
        with torch.inference_mode(False), torch.no_grad():
            if self.inside is not own_sequence(feed):
                self._enter(own_sequence(feed))
            self._ids.fill_(feed.ids[0])
            # The logits of the step before lie in the graph's own memory: this says that nobody needs them any more.
            if self.network.device.type == "cuda":
                torch.compiler.cudagraph_mark_step_begin()
            logits: torch.Tensor = self._compiled(self._ids, self._cache)
            return logits

    def _enter(self, sequence: TransformersSequence) -> None:
        if self.inside is not None:
            self.inside.settle()
        if self._cache is None:
            self._cache = StaticCache(config=self.network.config, max_cache_len=self.length)
        for fixed, layer in layer_pairs(self._cache, sequence):
            if not fixed.is_initialized:
                fixed.lazy_initialization(layer.keys, layer.values)
            # Copied once when a sequence enters, not at each token: it stays as long as it decodes alone.
            stop = layer.length
            for theirs, buffer in zip((fixed.keys, fixed.values), layer.buffers, strict=True):
                theirs[:, :, :stop] = buffer[:, :, :stop]
            fixed.cumulative_length.fill_(stop)
        self.inside = sequence
        sequence.leave = self.leave

    def leave(self) -> None:
        """Copy what the sequence inside has made here to its own cache. A token whose pass failed is not among it."""
        sequence, self.inside = self.inside, None
        assert sequence is not None and self._cache is not None  # one is inside: only it leaves
        stop = len(sequence.ids)
        with torch.inference_mode():
            for fixed, layer in layer_pairs(self._cache, sequence):
                if stop > layer.length:
                    # Only what was made here: the rest never left the sequence's own cache.
                    made = slice(layer.length, stop)
                    layer.update(fixed.keys[:, :, made], fixed.values[:, :, made])

    def close(self) -> None:
        self.inside = self._cache = None
        del self._compiled, self.network
