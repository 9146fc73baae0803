"""How fast can memory be read at all? Three readers of one mapped file, best of five each.

    python bench/_readers.py FILE THREADS

NumPy's sum, and Numba's over eight bytes and over two at a time. Both of Numba's ask for
what comes a page later, as the engine's kernels do: a reader that waits measures itself.
"""

from __future__ import annotations

import sys
import threading
import time

import numba
import numpy as np
from llvmlite import ir
from numba import njit, prange, types
from numba.core import cgutils
from numba.extending import intrinsic

AHEAD = 4096  # bytes
LINE = 64


@intrinsic
def prefetch(typing, address):
    def emit(context, build, signature, args):
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        function = cgutils.get_or_insert_function(build.module, kind, "llvm.prefetch.p0")
        build.call(function, [build.inttoptr(args[0], byte), number(0), number(3), number(1)])
        return context.get_dummy_value()

    return types.void(types.int64), emit


@njit(parallel=True, fastmath=True)
def total(numbers):
    """Sum of all numbers, in pieces of a page."""
    page = AHEAD // numbers.itemsize
    line = LINE // numbers.itemsize
    pages = numbers.size // page
    sums = np.zeros(pages, np.uint64)
    for p in prange(pages):
        part = numbers[p * page : p * page + page]
        for ahead in range(0, page, line):
            prefetch(part.ctypes.data + AHEAD + ahead * numbers.itemsize)
        found = np.uint64(0)
        for value in part:
            found += value
        sums[p] = found
    return sums.sum()


def numpy_sum(numbers: np.ndarray) -> None:
    parts = np.array_split(numbers, numba.get_num_threads())
    threads = [threading.Thread(target=part.sum) for part in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def best(reader, numbers: np.ndarray) -> float:
    reader(numbers)
    times = []
    for _ in range(5):
        begin = time.perf_counter()
        reader(numbers)
        times.append(time.perf_counter() - begin)
    return numbers.nbytes / min(times)


def main(file: str, threads: int) -> None:
    numba.set_num_threads(threads)
    mapped = np.memmap(file, np.uint8, mode="r")
    mapped = mapped[: len(mapped) // LINE * LINE]
    found = {"numpy": best(numpy_sum, mapped.view(np.uint64))}
    found |= {f"numba uint{8 * np.dtype(t).itemsize}": best(total, mapped.view(t)) for t in (np.uint64, np.uint16)}
    print(*(f"{name}: {value / 1e9:.1f} GB/s;" for name, value in found.items()))
    print(max(found.values()))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
