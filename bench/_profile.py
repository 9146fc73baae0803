"""Where the time of a step goes: the native engine's kernels, timed from outside.

The engine calls its kernels by their names in the module ``kernels``. While a ``Profile`` watches, timed ones stand
there instead. Before and after, the engine runs as always, and nothing in it asks whether somebody measures.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

# Each kernel's part; a product with the head's matrix counts as ``head``.
PART_OF = {
    "add_products": "products",
    "attend": "attention",
    "rotate_and_store": "attention",
    "rms_norm": "norms",
    "swiglu": "SwiGLU",
}
REST = "Python and others"  # what is left of a step: NumPy's copies, and the way into and out of the kernels
PARTS = ("products", "head", "attention", "norms", "SwiGLU", REST)


class Profile:
    """Seconds and calls of each part, summed over the steps that were watched."""

    def __init__(self, engine: Any, *, clock: Callable[[], float] = time.perf_counter) -> None:
        self.engine = engine
        self.clock = clock
        self.total = 0.0
        self.seconds = dict.fromkeys(PARTS[:-1], 0.0)
        self.calls: Counter[str] = Counter()

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Time whatever the engine computes inside the block."""
        from capot.engines.native import kernels

        before = {name: getattr(kernels, name) for name in PART_OF}
        for name, kernel in before.items():
            setattr(kernels, name, self._timed(kernel, PART_OF[name]))
        begin = self.clock()
        try:
            yield
        finally:
            self.total += self.clock() - begin
            for name, kernel in before.items():
                setattr(kernels, name, kernel)

    def _timed(self, kernel: Callable[..., Any], part: str) -> Callable[..., Any]:
        head = self.engine.head.matrices

        def timed(*given: Any) -> Any:
            mine = "head" if part == "products" and given[0] is head else part
            begin = self.clock()
            found = kernel(*given)
            self.seconds[mine] += self.clock() - begin
            self.calls[mine] += 1
            return found

        return timed

    @property
    def parts(self) -> dict[str, float]:
        """Return the seconds of each part; their sum is that of the steps."""
        return self.seconds | {REST: self.total - sum(self.seconds.values())}
