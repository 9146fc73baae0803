"""How fast can memory be read at all? Several readers of one mapped file, best of five each.

    python bench/_readers.py FILE THREADS

NumPy's sum, and Numba's over eight bytes and over two at a time. Both of Numba's ask
ahead for what comes next, as the engine's kernels do: a reader that waits measures itself. The engine's own reader
(``tuning.read_planned``) has the widest loads there are, and reads by every plan, of one, two or four streams a thread.
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

from capot.engines.native.matmul import ROWS_PER_TASK
from capot.engines.native.plans import plans_for
from capot.engines.native.tuning import read_planned

# bytes: what a thread takes, what is summed at once, what memory gives
PIECE = 2**18
STRIDE = 256
LINE = 64
WIDTH = 2048  # numbers of two bytes in a row of the engine's reader
AHEAD = 2048  # bytes; the best of 2, 4 and 8 thousand


@intrinsic
def prefetch(typing, address):
    def emit(context, build, signature, args):
        byte = ir.IntType(8).as_pointer()
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        function = cgutils.get_or_insert_function(build.module, kind, "llvm.prefetch.p0")
        build.call(function, [build.inttoptr(args[0], byte), number(0), number(3), number(1)])
        return context.get_dummy_value()

    return types.void(types.int64), emit


def numba_sum(itemsize: int):
    """A sum of all numbers of so many bytes; what follows the last whole piece is left out."""
    piece, stride = PIECE // itemsize, STRIDE // itemsize  # known to the compiler

    @njit(parallel=True, fastmath=True)
    def total(numbers):
        sums = np.zeros(numbers.size // piece, np.uint64)
        for p in prange(sums.size):
            part = numbers[p * piece : p * piece + piece]
            found = np.uint64(0)
            for start in range(0, piece, stride):
                ahead = part.ctypes.data + AHEAD + start * itemsize
                for line in range(0, STRIDE, LINE):
                    prefetch(ahead + line)
                few = part[start : start + stride]
                for i in range(stride):
                    found += few[i]
            sums[p] = found
        return sums.sum()

    return total


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
    for dtype in (np.uint64, np.uint16):
        size = np.dtype(dtype).itemsize
        found[f"numba uint{8 * size}"] = best(numba_sum(size), mapped.view(dtype))
    wide = mapped.view(np.uint16)
    wide = wide[: len(wide) // (WIDTH * ROWS_PER_TASK) * WIDTH * ROWS_PER_TASK].reshape(-1, WIDTH)
    seen = np.empty(len(wide) // ROWS_PER_TASK, np.int64)
    for plan in plans_for(threads):
        found[f"plan {tuple(plan)}"] = best(lambda rows, plan=plan: read_planned(rows, seen, *plan), wide)
    print(*(f"{name}: {value / 1e9:.1f} GB/s;" for name, value in found.items()))
    print(max(found.values()))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
