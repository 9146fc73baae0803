"""Bytes on a device: counted while somebody watches, and too few of them.

A GPU's allocator counts by itself. On the processor nobody does, so a step that is watched
has each tensor counted as it comes and goes; that slows small models down, which is why it
is done between a reset of the peak and its reading, and not otherwise.
"""

from __future__ import annotations

import contextlib
import gc
import re
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from capot.engines.protocol import Allocations, Feed
from capot.engines.transformers.cache import TransformersSequence, tensors
from capot.engines.transformers.network import Network
from capot.engines.transformers.placement import free_bytes
from capot.errors import ResourceError
from capot.i18n import Bytes

COMPOSED = torch._C.DispatchKey.CompositeImplicitAutograd
UNITS = {"": 1, "ki": 2**10, "mi": 2**20, "gi": 2**30, "k": 2**10, "m": 2**20, "g": 2**30}


def requested_bytes(error: BaseException) -> int | None:
    """Return how many bytes were asked for in vain, 0 where it is not said, None where ``error`` is another one.

    >>> requested_bytes(RuntimeError("CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total..."))
    2684354560
    >>> requested_bytes(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4096 bytes."))
    4096
    >>> requested_bytes(ValueError("no"))
    """
    # PyTorch says it in the text of its message alone; the kind of exception differs by device and version.
    text = str(error)
    short = isinstance(error, MemoryError | torch.OutOfMemoryError)
    if not short and not re.search(r"out of memory|can't allocate memory|not enough memory", text, re.IGNORECASE):
        return None
    found = re.search(r"allocate ([\d.]+) ?(?:([kmg]i?)?b|bytes)", text, re.IGNORECASE)
    return int(float(found[1]) * UNITS[(found[2] or "").lower()]) if found else 0


def out_of_memory(
    error: BaseException, feeds: list[Feed], *, device: torch.device, cache_bytes: Callable[[int], int]
) -> ResourceError | None:
    """Return the error that says how long a text would fit, where memory was too short.

    None where ``error`` is another one.

    ``cache_bytes`` tells the size of a cache from its tokens.
    """
    asked = requested_bytes(error)
    if asked is None:
        return None
    error.__traceback__ = None  # it holds the tensors of the failed pass
    gc.collect()
    longest = max(feeds, key=lambda feed: len(feed.sequence.ids) + len(feed.ids)).sequence
    free = free_bytes(device) or 0
    # Caches grow in blocks of 64 tokens: the difference of two sizes leaves out what a cache holds whatever its length.
    block = cache_bytes(128) - cache_bytes(64)
    fitting = 64 * int((free + longest.nbytes) / block) if block else 0
    tokens = len(longest.ids) + max(len(feed.ids) for feed in feeds)
    return ResourceError(
        "out_of_memory",
        device=str(device),
        tokens=tokens,
        needed=Bytes(asked),
        available=Bytes(free),
        # What was read already did fit, and what was asked did not, whatever the allocator says is free.
        fitting=max(len(longest.ids), min(fitting, tokens - 1)),
    )


class TensorCounter(TorchDispatchMode):
    """Counts the bytes of the tensors that operations make, until nobody holds them any more."""

    def __init__(self, *, weights: Iterable[torch.Tensor], caches: Iterable[torch.Tensor]) -> None:
        begin: Callable[[], None] = super().__init__  # PyTorch's has no annotations
        begin()
        self.alive = {one.untyped_storage()._cdata: 0 for one in weights}
        self.now = self.peak = 0
        for one in caches:
            self._count(one.untyped_storage())

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        with self:  # in inference mode an operation made of others hides what they hold, such as attention its mask
            composed = torch._C._dispatch_has_kernel_for_dispatch_key(function.name(), COMPOSED)
            # never by ``decompose``, whose Python forms make copies that PyTorch at work does not (of a dropout, say)
            if composed:
                return function._op_dk(COMPOSED, *args, **(kwargs or {}))
        answer = function(*args, **(kwargs or {}))
        for leaf in tree_leaves(answer):
            if isinstance(leaf, torch.Tensor):
                self._count(leaf.untyped_storage())
        self.peak = max(self.peak, self.now)
        return answer

    def _count(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key not in self.alive:
            self.alive[key] = storage.nbytes()
            self.now += storage.nbytes()
            weakref.finalize(storage, self._freed, key).atexit = False

    def _freed(self, key: int) -> None:
        self.now -= self.alive.pop(key, 0)

    def restart(self) -> None:
        self.peak = self.now


class CudaCounter:
    """The same from the GPUs' own allocators. ``base`` are the weights."""

    def __init__(self, base: int) -> None:
        self.base = base

    def __enter__(self) -> CudaCounter:
        self.restart()
        return self

    def __exit__(self, *_: object) -> None:
        pass

    @property
    def peak(self) -> int:
        return int(sum(map(torch.cuda.max_memory_allocated, range(torch.cuda.device_count()))) - self.base)

    def restart(self) -> None:
        for index in range(torch.cuda.device_count()):
            torch.cuda.reset_peak_memory_stats(index)


class DeviceMeter:
    """What an engine holds beside its weights, and the most it held while watched."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.sequences = weakref.WeakSet[TransformersSequence]()
        self._watched = False
        self._peak = dict.fromkeys(("kv_cache", "activations", "logits"), 0)
        self._cuda = network.device.type == "cuda"
        self._base = sum(map(torch.cuda.memory_allocated, range(torch.cuda.device_count()))) if self._cuda else 0

    @property
    def current(self) -> dict[str, int]:
        held = sum(sequence.nbytes for sequence in self.sequences)
        return {"kv_cache": held, "activations": 0, "logits": 0}

    def read(self, *, reset_peak: bool) -> Allocations:
        """Return what is held now and at the peak since the last reset; a reset begins to watch, a reading ends it."""
        current = self.current
        if reset_peak:
            self._peak = dict(current)
        self._watched = reset_peak
        peak = max(self._peak, current, key=lambda parts: sum(parts.values()))
        return Allocations(current=current, peak=dict(peak))

    @contextlib.contextmanager
    def watching(self, logits_bytes: int) -> Iterator[None]:
        """Watch a step inside the block. ``logits_bytes``: what its logits take when the head has made them."""
        if not self._watched:
            yield
            return
        layers = 0
        with self._counter() as counter:

            def head_begins(*_: object) -> None:
                nonlocal layers
                layers = counter.peak
                counter.restart()

            handle = self.network.head.register_forward_pre_hook(head_begins)
            try:
                yield
            finally:
                handle.remove()
            self._note(layers, logits=0)
            self._note(counter.peak, logits=logits_bytes)

    def _counter(self) -> TensorCounter | CudaCounter:
        if self._cuda:
            return CudaCounter(self._base)
        model = self.network.model
        caches = [s.made for s in self.sequences if s.made]
        return TensorCounter(
            weights=[one for one in (*model.parameters(), *model.buffers()) if not one.is_mkldnn],
            caches=[one for cache in caches for layer in cache.layers for one in tensors(layer)],
        )

    def _note(self, total: int, *, logits: int) -> None:
        """Note a moment of a step: its caches are taken to be what they are at its end."""
        held = self.current["kv_cache"]
        found = {"kv_cache": held, "activations": max(0, total - held - logits), "logits": logits}
        self._peak = max(self._peak, found, key=lambda parts: sum(parts.values()))
