"""Products by Intel's matrix unit beside the manual's words in NumPy; faults are printed, a line each.

To be run with the variables of ``with_tiles.environment``.
"""

from __future__ import annotations

import ctypes
import mmap

import numpy as np
import with_tiles  # before anything of the engine

import capot
from capot.engines.native import kernels, plans, tuning
from capot.engines.native.plans import KernelPlan

SHAPES = [(1, 32, 1), (5, 7, 2), (16, 64, 16), (71, 2148, 1), (71, 2148, 3), (40, 96, 33), (133, 4196, 17)]
PLANS = [KernelPlan(32, 4096, 0), KernelPlan(16, 256, 2), KernelPlan(1, 0, 0), KernelPlan(4, 2**40, 1000)]


def halves(wide: np.ndarray) -> np.ndarray:
    return (wide.view(np.uint32) >> 16).astype(np.uint16)


def widened(stored: np.ndarray) -> np.ndarray:
    return (stored.astype(np.uint32) << 16).view(np.float32)


def flushed(number: np.ndarray) -> np.ndarray:
    """Round to float32; what is below the smallest normal number becomes zero."""
    rounded = number.astype(np.float32)
    return np.where(np.abs(rounded) < np.finfo(np.float32).tiny, np.float32(0), rounded)


def product(weights: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return y + x @ weights.T in the order of ``tiles``. Each sum is exact in float64 before it is rounded."""
    w, given = (flushed(widened(stored)).astype(np.float64) for stored in (weights, x))
    depth = w.shape[1]
    whole = depth - depth % 32
    for start in range(0, whole, 2048):
        total = np.zeros_like(y)
        for block in range(start, min(start + 2048, whole), 32):
            parts = [np.zeros_like(y), np.zeros_like(y)]  # of even places, of odd ones
            for k in range(block, block + 32):
                parts[k % 2] = flushed(np.outer(given[:, k], w[:, k]) + parts[k % 2])
            total = flushed(total + flushed(parts[0] + parts[1]))
        y = y + total
    for k in range(whole, depth):
        y = (np.outer(given[:, k], w[:, k]) + y).astype(np.float32)
    return y


def fenced(stored: np.ndarray, *, last: bool) -> np.ndarray:
    """Return a copy behind a page that nobody may read, or with such a page right behind it."""
    page = mmap.PAGESIZE
    pages = -(-stored.nbytes // page)
    room = mmap.mmap(-1, (pages + 2) * page)
    begin = np.frombuffer(room, np.uint8).ctypes.data
    for fence in (begin, begin + (pages + 1) * page):
        assert ctypes.CDLL(None).mprotect(ctypes.c_void_p(fence), ctypes.c_size_t(page), 0) == 0  # PROT_NONE
    start = (pages + 1) * page - stored.nbytes if last else page
    copy = np.frombuffer(room, stored.dtype, stored.size, start).reshape(stored.shape)
    copy[...] = stored
    return copy


def faults() -> list[str]:
    found = []
    random = np.random.default_rng(3)
    for rows, depth, columns in SHAPES:
        for scale in (1.0, 1e-20):  # of the second, products are below the smallest normal number
            weights, x = (
                halves(random.standard_normal((n, depth), np.float32) * np.float32(scale)) for n in (rows, columns)
            )
            weights = fenced(weights, last=scale == 1.0)
            weights.flags.writeable = False
            begun = random.standard_normal((columns, rows), np.float32) * np.float32(scale)
            expected = product(weights, x, begun)
            for plan in PLANS:
                y = begun.copy()
                kernels.add_matmul(weights, x, y, *plan)
                if not np.array_equal(y.view(np.uint32), expected.view(np.uint32)):
                    found.append(f"{rows} x {depth} by {columns}, {scale}, {plan}")
    return found


def lost() -> str:
    """What becomes of products where the registers are lost now and then, and where they are lost in every block."""
    import tile_emulator

    # The largest block has some 700 instructions: after a loss, one is computed before the next.
    tile_emulator.lose_after(1511)
    found = faults()
    tile_emulator.lose_after(5)
    y = np.zeros((2, 16), np.float32)
    kernels.add_matmul(np.ones((16, 64), np.uint16), np.ones((2, 64), np.uint16), y, *PLANS[0])
    tile_emulator.lose_after(0)
    return " ".join([*found, str(np.isnan(y).all())])


def main() -> None:
    print("\n".join(f"fault {fault}" for fault in faults()))
    for place in plans.DEFAULTS:
        plan = tuning.choose(np.dtype(np.uint16), np.dtype(np.uint16), place)
        print(place, plan.tiled)
    with capot.open("boxed") as model:
        print("guess", model.next("The capital of France is", k=1).candidates[0].id)
        print("plan", model.scheduler.engine.plan.rows in plans.TILE_ROWS)
    if not with_tiles.native():
        import tile_emulator

        print("met", " ".join(name for name, count in tile_emulator.counted().items() if count))
        print("lost", lost())


if __name__ == "__main__":
    main()
