"""One pass of a model, whatever its family calls its parts.

A family of transformers has its own names: ``transformer.h``, ``gpt_neox.layers``,
``model.decoder.layers``, ``backbone.layers``. Here they are found by what they are, and the
model's own code computes, so that a scale or a cap that one family alone has is never missed.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator
from typing import Any, Literal

import numpy as np
import torch
from transformers import Cache, PreTrainedModel

from capot.engines.transformers.cache import new_cache
from capot.errors import UnsupportedError

# What a family calls its cache: since transformers 5.24 all say ``cache``, before that most said the second, the state
# spaces the third, and code of a model's authors may still.
CACHES = ("cache", "past_key_values", "cache_params")


class Network:
    """A model and its parts. Shapes: ``embedding`` (V, D), ``layers`` the L modules that hand x on."""

    caches = True  # whether a pass takes what earlier ones left: see ``WholeTexts``

    def __init__(self, model: PreTrainedModel) -> None:
        # What a family looks up of itself is asked of it: a family's name is never compared with a list.
        self.model = model
        self.config = model.config.get_text_config(decoder=True)
        accepted = inspect.signature(type(model).forward).parameters
        name = cache_argument(type(model))
        # One that can be told to use a cache, and is given none, keeps it in itself: texts would be mixed.
        if name is None and (self.caches or "use_cache" in accepted):
            raise UnsupportedError("no_token_by_token", architecture=type(model).__name__)
        self.cache_name = name or ""
        self.takes_positions = "position_ids" in accepted
        self._keeps = "logits_to_keep" in accepted
        self.embedding: torch.nn.Module = model.get_input_embeddings()
        self.head: torch.nn.Module = model.get_output_embeddings()
        self.layers = find_layers(model, self.config.num_hidden_layers)
        self.stored_row: Callable[[str, int], np.ndarray | None] = lambda *_: None  # of a weight's file, by its name
        self.parts = 0  # how many parts a layer's answer has, x first; 0 where it is x alone
        each = [module.config for module in model.modules() if isinstance(module, PreTrainedModel)]
        # By identity: parts of a model (a text part among others) have configurations of their own, which attention
        # reads.
        self.configs = list({id(config): config for config in [*each, self.config]}.values())
        self.implementation = self.config._attn_implementation
        self.device = self.table.device
        # ``logits_to_keep`` in transformers' words: a count from the end, or the positions themselves; 0 means all.
        nothing = torch.empty(0, dtype=torch.long, device=self.device)
        self._kept: dict[str, int | torch.Tensor] = {"last": 1, "all": 0, "none": nothing}

    @property
    def table(self) -> torch.Tensor:
        """Return the rows of the embedding. Shapes: (V, D)."""
        weight = self.embedding.weight
        assert isinstance(weight, torch.Tensor)  # a table of vectors, whatever the family's class
        return weight

    def run(
        self,
        ids: torch.Tensor,
        keep: Literal["last", "all", "none"] | torch.Tensor,
        cache: Cache | None = None,
        **more: Any,
    ) -> Any:
        """Return the model's answer to ``ids``, what is new written into ``cache``.

        Shapes: ids (B, T), logits (B, kept, V).
        """
        return self.answer(ids, keep, use_cache=cache is not None, **{self.cache_name: cache}, **more)

    def answer(self, ids: torch.Tensor, keep: Literal["last", "all", "none"] | torch.Tensor, **more: Any) -> Any:
        """Return what the model answers, told what its own ``forward`` knows. Shapes: as ``run``."""
        kept = self._kept[keep] if isinstance(keep, str) else keep
        if self._keeps:
            return self.model(input_ids=ids, logits_to_keep=kept, **more)
        with self._only(kept):
            return self.model(input_ids=ids, **more)

    def new_cache(self) -> Cache:
        """Return an empty cache of the layers that the configuration asks for."""
        return new_cache(self.config)

    def positions(self, past: int, count: int) -> dict[str, torch.Tensor]:
        """Return where new tokens stand in their text, for ``run``: some families count them from 0 in every pass."""
        if not self.takes_positions:
            return {}
        return {"position_ids": torch.arange(past, past + count, device=self.device)[None]}

    @contextlib.contextmanager
    def _only(self, kept: int | torch.Tensor) -> Iterator[None]:
        """Let the head see the positions to keep alone inside the block, in a family that takes no such argument."""
        # ``slice(None, None)`` for all: minus 0 would keep nothing.
        rows = slice(-kept if kept else None, None) if isinstance(kept, int) else kept
        handle = self.head.register_forward_pre_hook(lambda _, given: (given[0][:, rows], *given[1:]))
        try:
            yield
        finally:
            handle.remove()


def cache_argument(family: type[PreTrainedModel]) -> str | None:
    """Return what ``forward`` calls the cache; None where it takes none."""
    accepted = inspect.signature(family.forward).parameters
    return next((name for name in CACHES if name in accepted), None)


def find_layers(model: PreTrainedModel, count: int) -> list[torch.nn.Module]:
    """Return the layers, first to last.

    They are the list of so many modules whose name is shortest, if there is one.
    """
    # A mixture has lists of experts, a model with vision a list of its own blocks: the shortest name is the outermost.
    lists = [
        (name.count("."), list(module))
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.ModuleList) and len(module) == count
    ]
    return min(lists, key=lambda found: found[0])[1] if lists else []


def learned_positions(network: Network) -> int | None:
    """Return how many positions the model has a vector for, None where a position is only a number."""
    context = getattr(network.config, "max_position_embeddings", None)
    if not context:
        return None
    tables = [
        module
        for module in network.model.modules()
        if isinstance(module, torch.nn.Embedding) and module is not network.embedding
    ]
    # OPT's table has two rows more than positions.
    return context if any(context <= table.num_embeddings <= context + 2 for table in tables) else None
