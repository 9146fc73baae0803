"""What the engine holds besides the weights: caches and buffers, each byte counted.

A sequence keeps the key and the value of each of its tokens in every layer, in blocks
of ``BLOCK`` tokens that never move: a longer text adds a block, a crop gives some back.
"""

from __future__ import annotations

import math
import threading
import weakref
from collections.abc import Sequence as Ids
from typing import Any

import numpy as np

from capot.engines.native.kernels import BLOCK
from capot.engines.protocol import Allocations, CancellableSequence
from capot.sources.configuration import Config

FLOAT32 = np.dtype(np.float32)
LINE = 64  # bytes of a processor's cache that come together


class ArrayAllocator:
    """The arrays of the engine, whose bytes are counted, by part, until nobody holds them any more."""

    def __init__(self) -> None:
        # Re-entrant: the garbage collector may call ``_returned`` in the middle of ``array``.
        self._lock = threading.RLock()
        self._current = dict.fromkeys(("kv_cache", "activations", "logits"), 0)
        self._peak = dict(self._current)

    def array(self, part: str, shape: Ids[int], dtype: np.dtype[Any] = FLOAT32, *, zeroed: bool = False) -> np.ndarray:
        """Return a new array, counted under ``part`` as long as it or a view of it lives."""
        nbytes = math.prod(shape) * dtype.itemsize
        whole = (np.zeros if zeroed else np.empty)(nbytes + LINE, np.uint8)
        # From the begin of a line on: a register's fill that lies across two lines is loaded twice.
        begin = -whole.ctypes.data % LINE
        with self._lock:
            self._current[part] += nbytes
            if sum(self._current.values()) > sum(self._peak.values()):
                # Finalizers of what is alive at exit are not run: counting has no reader any more, and modules may be
                # gone.
                self._peak = dict(self._current)
        weakref.finalize(whole, self._returned, part, nbytes).atexit = False  # every view of it holds the whole
        return whole[begin : begin + nbytes].view(dtype).reshape(shape)

    def _returned(self, part: str, nbytes: int) -> None:
        with self._lock:
            self._current[part] -= nbytes

    def read(self, *, reset_peak: bool) -> Allocations:
        with self._lock:
            answer = Allocations(current=dict(self._current), peak=dict(self._peak))
            if reset_peak:
                self._peak = dict(self._current)
            return answer


def block_shape(config: Config) -> tuple[int, ...]:
    """Return the shape of keys and values of BLOCK tokens in all layers. Shapes: (L, 2, K, head_dim * BLOCK)."""
    return (config.layers, 2, config.kv_heads, config.head_dim * BLOCK)


class NativeSequence(CancellableSequence):
    """One text under way and its key/value cache (see ``protocol.Sequence``)."""

    def __init__(self, config: Config, dtype: np.dtype[Any], allocator: ArrayAllocator) -> None:
        self.ids: list[int] = []
        self._shape = block_shape(config)
        self._dtype = dtype
        self._ledger = allocator
        self._blocks: list[np.ndarray] = []
        self.addresses = np.empty(0, np.int64)  # of the blocks, for the kernels

    @property
    def nbytes(self) -> int:
        return sum(block.nbytes for block in self._blocks)

    def reserve(self, tokens: int) -> None:
        """Make room for ``tokens`` more."""
        # Blocks are allocated as they are needed and never moved: growing one array would copy the whole cache at each
        # power of two, and hold it twice while it does.
        self._keep(-(-(len(self.ids) + tokens) // BLOCK))

    def crop(self, length: int) -> None:
        """Forget all but the first ``length`` tokens; also gives back what was reserved in vain."""
        del self.ids[length:]
        self._keep(-(-len(self.ids) // BLOCK))

    def _keep(self, blocks: int) -> None:
        if blocks == len(self._blocks):
            return
        del self._blocks[blocks:]
        while len(self._blocks) < blocks:
            self._blocks.append(self._ledger.array("kv_cache", self._shape, self._dtype))
        # Kernels take addresses: a list of arrays would be reflected, and copied, at each call into compiled code.
        self.addresses = np.array([block.ctypes.data for block in self._blocks], np.int64)

    def copy_from(self, other: NativeSequence, tokens: int, *, level: int) -> None:
        """Hold what another has of its first tokens, in the layers behind ``level``."""
        self.reserve(tokens)
        # Whole blocks are copied: what lies behind ``tokens`` in the last one is written again before it is read.
        for mine, theirs in zip(self._blocks, other._blocks):
            mine[level:] = theirs[level:]
        self.ids = other.ids[:tokens]

    def close(self) -> None:
        self.cancelled = True
        self.crop(0)
