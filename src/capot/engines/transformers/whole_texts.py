"""Families without a cache (GPT-1): every pass computes the whole text again.

What is kept of a sequence is its ids, in the layer of a cache like any other, so that it is cut and given back in
the same way. A token costs a pass over all tokens before it.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from transformers import Cache, DynamicCache

from capot.engines.transformers.cache import CacheLayer
from capot.engines.transformers.network import Network


class WholeTexts(Network):
    """A model whose ``forward`` takes neither a cache nor the position of its first token.

    Answers are those of the new tokens alone, except what leaves the layers and attention weights, which the model
    gives for the whole text.
    """

    caches = False

    def new_cache(self) -> Cache:
        """Return an empty cache of one layer, which holds ids."""
        cache = DynamicCache()
        # The ids of the text are its state: a cache of numbers of one head and width 1.
        cache.layers = [CacheLayer()]
        return cache

    def positions(self, past: int, count: int) -> dict[str, torch.Tensor]:
        """Return nothing: a whole text begins at 0, as the family itself counts."""
        return {}

    def run(
        self,
        ids: torch.Tensor,
        keep: Literal["last", "all", "none"] | torch.Tensor,
        cache: Cache | None = None,
        **more: Any,
    ) -> Any:
        """Return the model's answer to ``ids`` behind those of ``cache``. Shapes: as ``Network.run``."""
        past = 0
        if cache is not None:
            held = cache.layers[0]
            assert isinstance(held, CacheLayer)  # made above
            # as keys: (1, heads, tokens, size)
            past = held.get_seq_length()
            row = ids[:, None, :, None]
            ids = held.update(row, row)[0][:, 0, :, 0]
        if isinstance(keep, torch.Tensor):
            # Rows are counted from the first new token, the model answers from the first of the text.
            keep = keep + past
        elif keep == "all":
            keep = torch.arange(past, ids.shape[1], device=ids.device)
        return self.answer(ids, keep, **more)
