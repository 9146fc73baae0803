"""Keys and values of one sequence, in buffers that grow by blocks and can be cut.

transformers joins a cache anew for each token, which copies the whole text each time; here
a token is written into room kept for it, and attention reads a view. A layer with a sliding
window keeps what its window sees and up to ``MAX_CHUNK`` tokens more, so that it is moved
seldom, and so that a short crop is still possible.

What keeps no keys (a state space, a convolution) stays as transformers has it: a state that
grows with nothing and forgets nothing, so that no prefix can be cropped out of it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import torch
from transformers import Cache, DynamicCache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from capot.engines.protocol import MAX_CHUNK, CancellableSequence, Feed
from capot.errors import CapabilityError

BLOCK = 64  # tokens by which a buffer grows


def blocks(tokens: int) -> int:
    """Return ``tokens``, rounded up to whole blocks.

    >>> blocks(1), blocks(64), blocks(65)
    (64, 64, 128)
    """
    return -(-tokens // BLOCK) * BLOCK


class CacheLayer(DynamicLayer):
    """One layer's keys and values. ``first`` is the token in the buffers' first slot.

    Shapes: buffers (1, K, capacity, D), a view of them is what attention gets.
    """

    def __init__(self, window: int | None = None) -> None:
        begin: Callable[[], None] = super().__init__  # transformers' has no annotations
        begin()
        self.window = window
        self.is_sliding = window is not None
        self.first = self.length = 0
        self.buffers: tuple[torch.Tensor, ...] = ()  # keys and values, once there are any

    def capacity(self, tokens: int) -> int:
        """Return the slots held for a text of ``tokens`` tokens."""
        # MAX_CHUNK more than the window: a whole chunk fits without moving, and is moved once per chunk at most.
        return blocks(tokens) if self.window is None else min(blocks(tokens), blocks(self.window - 1 + MAX_CHUNK))

    def visible(self, length: int) -> int:
        """Return how many of ``length`` tokens the next one looks back at."""
        # The token itself is in the window too, so that one less lies behind it.
        return length if self.window is None else min(length, self.window - 1)

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write what is new, answer all that the new tokens may look at."""
        count = key_states.shape[-2]
        past = self.visible(self.length)
        self._make_room(key_states, value_states)
        at = self.length - self.first
        for buffer, new in zip(self.buffers, (key_states, value_states), strict=True):
            buffer[:, :, at : at + count] = new
        self.length += count
        keys, values = (buffer[:, :, at - past : at + count] for buffer in self.buffers)
        self.keys = keys
        self.values = values
        return keys, values

    def _make_room(self, *new: torch.Tensor) -> None:
        count = new[0].shape[-2]
        held = self.length - self.first
        room = self.buffers[0].shape[-2] if self.buffers else 0
        if held + count <= room:
            return
        wanted = self.capacity(self.length + count)
        if not self.buffers:
            self.dtype = new[0].dtype
            self.device = new[0].device
            self.is_initialized = True
            self.buffers = tuple(each.new_empty((*each.shape[:2], wanted, each.shape[-1])) for each in new)
        elif self.first == 0 and self.length + count <= wanted:
            self._resize(wanted)
        else:  # behind the window: what it no longer sees makes way
            if room < wanted:
                self._resize(wanted)
            kept = self.visible(self.length)
            for buffer in self.buffers:
                # A clone, as both ranges may overlap.
                buffer[:, :, :kept] = buffer[:, :, held - kept : held].clone()
            self.first = self.length - kept

    def _resize(self, slots: int) -> None:
        """Resize one buffer after the other, so that one alone is held twice."""
        # transformers' two attributes are views: they would keep the old buffer alive while the new one is filled.
        self.keys = self.values = None
        held = min(self.length - self.first, slots)
        found = list(self.buffers)
        self.buffers = ()
        for index, buffer in enumerate(found):
            found[index] = buffer.new_empty((*buffer.shape[:2], slots, buffer.shape[-1]))
            found[index][:, :, :held] = buffer[:, :, :held]
        self.buffers = tuple(found)

    def can_cut(self, length: int) -> bool:
        """Return whether what the token after the first ``length`` looks back at is still here."""
        return length >= self.length or self.first <= length - self.visible(length)

    def cut(self, length: int) -> None:
        """Forget everything after the first ``length`` tokens, and give whole blocks back."""
        self.length = min(self.length, length)
        if self.length == 0:
            self.keys = self.values = None
            self.buffers = ()
            # As before the first token, so that the next one says dtype and device anew.
            self.first, self.is_initialized = 0, False
        elif self.first == 0 and self.buffers[0].shape[-2] > self.capacity(self.length):
            self._resize(self.capacity(self.length))

    def crop(self, tokens_to_remove: int) -> None:
        """Crop the cache under the name that transformers calls."""
        self.cut(self.length - abs(tokens_to_remove))

    def get_seq_length(self) -> int:
        return self.length

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        past = self.visible(self.length)
        return past + query_length, self.length - past

    def get_max_length(self) -> int:
        return -1 if self.window is None else self.window

    def reset(self) -> None:
        self.cut(0)


def new_cache(config: Any) -> Cache:
    """Return an empty cache of the layers that a configuration of transformers asks for."""
    cache = DynamicCache(config=config)
    kinds: dict[type, Callable[[Any], Any]] = {
        DynamicLayer: lambda _: CacheLayer(),
        DynamicSlidingWindowLayer: lambda layer: CacheLayer(layer.sliding_window),
    }
    # A class that transformers adds in a later version stays as it is: it computes, and cannot be cropped.
    cache.layers = [kinds.get(type(layer), lambda same: same)(layer) for layer in cache.layers]
    return cache


def tensors(layer: Any) -> Iterator[torch.Tensor]:
    """Yield what a layer of any kind holds, counters left out."""
    if isinstance(layer, CacheLayer):
        yield from layer.buffers
        return
    for value in vars(layer).values():
        each = value.values() if isinstance(value, dict) else [value]
        # Counters (a position, a flag) are tensors too; what holds a text's state has more than one dimension.
        yield from (one for one in each if isinstance(one, torch.Tensor) and one.ndim > 1)


def nbytes(layer: Any) -> int:
    """Return the bytes a layer holds, the memory under its views counted."""
    # By storage: two views of one buffer hold it once.
    storages = {one.untyped_storage()._cdata: one.untyped_storage().nbytes() for one in tensors(layer)}
    return sum(storages.values())


def copy_layer(layer: Any) -> Any:
    """Return a copy of a layer that a step writes over: its states cloned, its keys and values shared."""
    other = copy.copy(layer)
    # Keys and values grow by joining, which makes new tensors; states are written over in place.
    for name, value in vars(layer).items():
        if isinstance(value, dict):
            vars(other)[name] = {
                key: one.clone() if isinstance(one, torch.Tensor) else one for key, one in value.items()
            }
    return other


def own_sequence(feed: Feed) -> TransformersSequence:
    """Return the sequence of a feed: an engine is given its own ones."""
    assert isinstance(feed.sequence, TransformersSequence)
    return feed.sequence


class TransformersSequence(CancellableSequence):
    """One text under way and its cache (see ``protocol.Sequence``)."""

    def __init__(self, make: Callable[[], Cache]) -> None:
        self.ids: list[int] = []
        self.leave: Callable[[], None] | None = None  # set while it is in the lane of compiled passes
        self._make = make
        self._cache: Cache | None = None

    def settle(self) -> None:
        """Have all that was computed in this cache, wherever it was computed."""
        leave, self.leave = self.leave, None
        if leave is not None:
            leave()

    @property
    def cache(self) -> Cache:
        self.settle()
        if self._cache is None:
            self._cache = self._make()
        return self._cache

    @property
    def made(self) -> Cache | None:
        """Return its cache, where there is one already; nothing is settled or made."""
        return self._cache

    # No lock: a sum over a list that is replaced whole, and a size that is one step old does no harm to a status page.
    @property
    def nbytes(self) -> int:
        """Return what it holds now; any thread may ask."""
        return sum(map(nbytes, self._cache.layers)) if self._cache else 0

    def crop(self, length: int) -> None:
        """Forget all but the first ``length`` tokens.

        Raises: CapabilityError ``crop_refused`` where a window, or a state, has forgotten what lies before;
        the cache is then as it was.
        """
        length = max(0, min(length, len(self.ids)))
        if length == len(self.ids):
            return
        self.settle()
        if length == 0:
            self._cache = None
        else:
            layers = [one for one in self.cache.layers if isinstance(one, CacheLayer) and one.can_cut(length)]
            # All layers or none: a cache of which some layers are shorter than others is none.
            if len(layers) < len(self.cache.layers):
                raise CapabilityError("crop_refused", kept=length, tokens=len(self.ids))
            for layer in layers:
                layer.cut(length)
        del self.ids[length:]

    def mark(self) -> list[Any]:
        """Return what ``back`` needs to undo a step that failed."""
        # In the lane, a failed token left its numbers behind the end of the text, where the next one writes.
        if self._cache is None or self.leave is not None:  # a lane writes nothing here
            return []
        return [None if isinstance(layer, CacheLayer) else copy_layer(layer) for layer in self._cache.layers]

    def back(self, mark: list[Any]) -> None:
        """Put the cache back as it was when ``mark`` was made: ``ids`` are those of before the step."""
        self.settle()
        if not self.ids or self._cache is None:
            self._cache = None
            return
        for index, kept in enumerate(mark):
            layer = self._cache.layers[index]
            if kept is not None:
                self._cache.layers[index] = kept
            elif isinstance(layer, CacheLayer):
                layer.cut(len(self.ids))

    def close(self) -> None:
        self.cancelled = True
        self.settle()
        self._cache = None
        self.ids.clear()
