"""What the kernels compute with the instructions that Numba compiles for here; the faults are printed, a line each."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

import capot
from capot.engines.native import kernels, simd
from capot.engines.native.plans import DEFAULT
from capot.engines.native.simd import narrow, widen


@njit()
def _widened(bits: Any, out: Any) -> None:
    for i in range(bits.size):
        out[i] = widen(bits[i])


@njit()
def _narrowed(numbers: Any, out: Any) -> None:
    for i in range(numbers.size):
        out[i] = narrow(numbers[i], out[i])


def float16_faults() -> list[str]:
    """Every float16, and float32 numbers between them: the bits are NumPy's."""
    faults = []
    bits = np.arange(2**16, dtype=np.uint16).view(np.int16)
    wide, expected = np.empty(bits.size, np.float32), bits.view(np.float16).astype(np.float32)
    _widened(bits, wide)
    if not np.array_equal(np.isnan(wide), np.isnan(expected)):
        faults.append("NaN widened")
    known = ~np.isnan(expected)
    if not np.array_equal(wide.view(np.uint32)[known], expected.view(np.uint32)[known]):
        faults.append("float16 widened")
    random = np.random.default_rng(0)
    between = (expected[:0x7BFF] + expected[1:0x7C00]) / 2  # exact in float32: the ties
    parts = [expected, between, -between, np.nextafter(between, np.float32(1e9)), np.nextafter(between, np.float32(0))]
    parts += [random.integers(0, 2**32, 200_000, dtype=np.uint32).view(np.float32), np.float32([65519, 65520, 1e-30])]
    numbers = np.concatenate(parts)
    found = np.empty(numbers.size, np.int16)
    _narrowed(numbers, found)
    with np.errstate(over="ignore", invalid="ignore"):
        halves = numbers.astype(np.float16)
    if not np.array_equal(found.view(np.float16), halves, equal_nan=True):
        faults.append("float32 narrowed")
    return faults


def product_faults(dtype: str) -> list[str]:
    """A product is near NumPy's, and each column is the same bits alone and beside others."""
    random = np.random.default_rng(1)
    wide = random.standard_normal((71, 2148), np.float32)
    kept = {"float32": wide, "bfloat16": (wide.view(np.uint32) >> 16).astype(np.uint16)}
    weights = kept.get(dtype, wide.astype(np.float16).view(np.int16))
    weights.flags.writeable = False
    x = random.standard_normal((11, 2148), np.float32)
    exact = {"float32": wide, "bfloat16": (wide.view(np.uint32) >> 16 << 16).view(np.float32)}
    given = x
    if dtype == "bfloat16":
        given = (x.view(np.uint32) >> 16).astype(np.uint16)
        x = (x.view(np.uint32) >> 16 << 16).view(np.float32)
    together, alone = np.zeros((11, 71), np.float32), np.zeros((11, 71), np.float32)
    kernels.add_matmul(weights, given, together, *DEFAULT)
    for row in range(11):
        kernels.add_matmul(weights, given[row : row + 1], alone[row : row + 1], *DEFAULT)
    faults = [] if np.array_equal(together, alone) else [f"{dtype}: other bits beside others"]
    expected = x @ exact.get(dtype, wide.astype(np.float16).astype(np.float32)).T
    return faults + ([] if np.allclose(together, expected, atol=1e-3, rtol=1e-4) else [f"{dtype}: a wrong product"])


def main() -> None:
    print("lanes", simd.LANES)
    faults = float16_faults()
    for dtype in ("float32", "bfloat16", "float16"):
        faults += product_faults(dtype)
    with capot.open("boxed") as model:  # every kernel, on weights of bfloat16
        print("guess", model.next("The capital of France is", k=1).candidates[0].id)
    print("\n".join(f"fault {fault}" for fault in faults))


if __name__ == "__main__":
    main()
