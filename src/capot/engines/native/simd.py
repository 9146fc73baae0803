"""Numbers as files store them, in the terms of LLVM: what all kernels are made of.

What a number is follows from the array's type: float32 is itself, uint16 the bits of a
bfloat16, int16 the bits of a float16 (NumPy has no bfloat16, Numba no float16). All sums
are float32.

The order of every sum is written out here, and no kernel lets the compiler choose another
(there is no ``fastmath``): lane i of a register sums what lies i, i + LANES, i + 2 LANES...
into a row, each product added with one rounding; then the halves of the register are added
until one number is left. What does not fill a register follows one by one. A row's sum is
therefore the same whatever is computed beside it, and by whichever thread.

Numba's disk cache sees changes in the file of a kernel only, so each file of kernels
carries this one's mark (``SIMD_HASH``); a test says so.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from typing import Any

import llvmlite.binding
import numba.extending
import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils as _cgutils


def _features() -> dict[str, bool]:
    """Return what the processor can do that Numba compiles for. NUMBA_CPU_NAME or _FEATURES may name another."""
    given = numba.config.CPU_FEATURES  # type: ignore[attr-defined]  # not in its annotations
    if given is None:
        return dict(llvmlite.binding.get_host_cpu_features())
    return {name[1:]: name[0] == "+" for name in given.split(",") if name}


# How many float32 a vector register holds, and how many rows of a product fit in the registers
# next to six columns: 4 x 6 sums, 4 weights and 1 x are 29 of 32 (of 16: 2 x 6, 2 and 1).
FEATURES = _features()
if FEATURES.get("avx512f"):
    LANES = 16
elif FEATURES.get("avx"):
    LANES = 8
else:  # SSE, NEON
    LANES = 4
ROWS = 2 if LANES == 8 else 4
COLUMNS = 6
# The instruction (VDPBF16PS) sums two products into each lane with rounding of its own: these machines give other last
# bits than the rest, and the same ones among themselves, whatever the number of rows.
BF16_PAIRS = LANES == 16 and FEATURES.get("avx512bf16", False)  # one instruction multiplies and adds pairs of bfloat16
_IS_X86 = platform.machine().lower() in ("x86_64", "amd64")
HAS_FMA = FEATURES.get("fma", False) or not _IS_X86  # a product and a sum
# Without the instruction, LLVM calls a function of the compiler's library for each conversion. Numba has none, and ends
# the process.
HAS_F16 = FEATURES.get("f16c", False) or LANES == 16 or not _IS_X86  # conversions of float16

F32 = ir.FloatType()
I32 = ir.IntType(32)
I64 = ir.IntType(64)


Value = Any  # an llvmlite value, builder or type, a Numba type or context: neither package has annotations
cgutils: Any = _cgutils
Array = np.ndarray[Any, np.dtype[Any]]


def intrinsic(function: Callable[..., Any]) -> Callable[..., Any]:
    """Register as Numba's ``intrinsic`` does, for a checker: who calls one gives no typing context."""
    return numba.extending.intrinsic(function)


class BFloat(ir.Type):  # type: ignore[misc]  # llvmlite has no annotations
    """LLVM's bfloat16, which llvmlite does not name."""

    def _to_string(self) -> str:
        return "bfloat"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BFloat)

    def __hash__(self) -> int:
        return hash(BFloat)


def shaped(scalar: Value, lanes: int) -> Value:
    return ir.VectorType(scalar, lanes) if lanes > 1 else scalar


def _emit_half_to_float(build: Value, value: Value, lanes: int) -> Value:
    """Emit integer code that makes float32 of the bits of float16, exactly."""

    def same(number: int) -> Value:
        return ir.Constant(shaped(I32, lanes), [number] * lanes if lanes > 1 else number)

    wide = build.zext(value, shaped(I32, lanes))
    size = build.and_(wide, same(0x7FFF))
    # The exponent's bias is 15 there and 127 here: a product with 2 ** 112 mends it, for the smallest numbers too.
    bias = build.bitcast(same((127 + 112) << 23), shaped(F32, lanes))
    scaled = build.fmul(build.bitcast(build.shl(size, same(13)), shaped(F32, lanes)), bias)
    bits = build.bitcast(scaled, shaped(I32, lanes))
    # Infinity and NaN have all bits of the exponent, there and here.
    bits = build.select(build.icmp_unsigned(">=", size, same(0x7C00)), build.or_(bits, same(0x7F800000)), bits)
    return build.bitcast(build.or_(bits, build.shl(build.and_(wide, same(0x8000)), same(16))), shaped(F32, lanes))


def _emit_float_to_half(build: Value, number: Value) -> Value:
    """Emit integer code that makes the bits of the nearest float16 of a float32, ties to even."""
    bits = build.bitcast(number, I32)
    sign = build.and_(bits, I32(0x80000000))
    size = build.xor(bits, sign)
    odd = build.and_(build.lshr(size, I32(13)), I32(1))
    normal = build.lshr(build.add(build.add(size, I32(((15 - 127) << 23) + 0xFFF)), odd), I32(13))
    # Below 2 ** -14 a step is 2 ** -24, which is the last bit of a float32 of 0.5: the addition rounds.
    half = build.bitcast(I32(126 << 23), F32)
    small = build.sub(build.bitcast(build.fadd(build.bitcast(size, F32), half), I32), I32(126 << 23))
    special = build.select(build.icmp_unsigned(">", size, I32(0x7F800000)), I32(0x7E00), I32(0x7C00))
    found = build.select(build.icmp_unsigned("<", size, I32(113 << 23)), small, normal)
    found = build.select(build.icmp_unsigned(">=", size, I32(143 << 23)), special, found)
    return build.trunc(build.or_(found, build.lshr(sign, I32(16))), ir.IntType(16))


def emit_widen(build: Value, value: Value, dtype: Value, lanes: int) -> Value:
    """Emit LLVM code that makes float32 of stored numbers, one or ``lanes`` at once."""
    if dtype == types.float32:
        return value
    if dtype == types.int16 and HAS_F16:
        return build.fpext(build.bitcast(value, shaped(ir.HalfType(), lanes)), shaped(F32, lanes))
    if dtype == types.int16:
        return _emit_half_to_float(build, value, lanes)
    wide = build.zext(value, shaped(I32, lanes))  # bfloat16: the upper half of a float32
    sixteen = ir.Constant(shaped(I32, lanes), [16] * lanes if lanes > 1 else 16)
    # A float32 has the same sign and exponent as a bfloat16, and 16 bits more of fraction: zeros.
    return build.bitcast(build.shl(wide, sixteen), shaped(F32, lanes))


@intrinsic
def widen(typing: Value, number: Value) -> Value:
    """Return the float32 that stored bits stand for."""
    return types.float32(number), lambda context, build, sig, args: emit_widen(build, args[0], number, 1)


@intrinsic
def narrow(typing: Value, number: Value, like: Value) -> Value:
    """Return the stored bits nearest to a float32, in the type of ``like``."""

    def emit(context: Value, build: Value, signature: Value, args: Value) -> Value:
        if like == types.float32:
            return args[0]
        if like == types.int16 and HAS_F16:
            return build.bitcast(build.fptrunc(args[0], ir.HalfType()), ir.IntType(16))
        if like == types.int16:
            return _emit_float_to_half(build, args[0])
        bits = build.bitcast(args[0], I32)  # round to nearest, ties to even: add 0x7FFF, plus one if odd
        odd = build.and_(build.lshr(bits, I32(16)), I32(1))
        return build.trunc(build.lshr(build.add(bits, build.add(odd, I32(0x7FFF))), I32(16)), ir.IntType(16))

    return like(types.float32, like), emit


@intrinsic
def power_of_two(typing: Value, exponent: Value) -> Value:
    # The exponent field of IEEE 754 has a bias of 127 and begins at bit 23.
    """Compute 2 ** exponent by writing the exponent's bits. ``exponent`` is an int32 above -127."""

    def emit(context: Value, build: Value, signature: Value, args: Value) -> Value:
        return build.bitcast(build.shl(build.add(args[0], I32(127)), I32(23)), F32)

    return types.float32(types.int32), emit


@intrinsic
def pointer(typing: Value, address: Value) -> Value:
    """Return an address as what ``carray`` takes."""

    def emit(context: Value, build: Value, signature: Value, args: Value) -> Value:
        return build.inttoptr(args[0], ir.IntType(8).as_pointer())

    return types.voidptr(types.int64), emit


@intrinsic
def fma(typing: Value, a: Value, b: Value, total: Value) -> Value:
    """Compute total + a * b, rounded once where the machine can."""
    return types.float32(types.float32, types.float32, types.float32), lambda c, build, s, args: emit_fma(build, *args)


@njit()
def exp(x: np.float32) -> np.float32:
    """Compute e ** x for any float32, in a form that fills vector registers (the C library's does not).

    x = n ln 2 + r, and a polynomial for r (Cephes, ``expf``): off by 2e-7 of the value at most.
    """
    # Beyond these two, the result is no normal float32 any more, and the exponent's bits would spill into the sign.
    x = min(max(x, np.float32(-87.0)), np.float32(88.0))
    n = np.floor(fma(x, np.float32(1.44269504), np.float32(0.5)))
    r = fma(n, np.float32(2.12194440e-4), fma(n, np.float32(-0.693359375), x))
    # ln 2 in two parts: n times the first is exact in float32, so the reduction loses nothing for large n (Cody and
    # Waite, 1980).
    p = fma(np.float32(1.9875691500e-4), r, np.float32(1.3981999507e-3))
    p = fma(fma(p, r, np.float32(8.3334519073e-3)), r, np.float32(4.1665795894e-2))
    p = fma(fma(p, r, np.float32(1.6666665459e-1)), r, np.float32(5.0000001201e-1))
    value: np.float32 = (fma(p, r * r, r) + np.float32(1.0)) * power_of_two(np.int32(n))
    return value


@intrinsic
def _dot_lanes(typing: Value, a: Value, b: Value, whole: Value) -> Value:
    def emit(context: Value, build: Value, signature: Value, args: Value) -> Value:
        lines = [context.make_array(signature.args[i])(context, build, args[i]).data for i in range(2)]
        cell = zeros(build)
        with cgutils.for_range_slice(build, I64(0), args[2], I64(LANES), I64) as (k, _):
            left, right = (emit_load(build, line, k, F32, LANES) for line in lines)
            build.store(emit_fma(build, left, right, build.load(cell)), cell)
        return emit_sum(build, build.load(cell))

    return types.float32(a, b, types.intp), emit


@njit()
def dot(a: Array, b: Array) -> np.float32:
    """Return the sum of a * b, both of the same length and float32, in the order of every sum (see above)."""
    whole = len(a) - len(a) % LANES
    total: np.float32 = _dot_lanes(a, b, whole)
    for i in range(whole, len(a)):
        total = fma(a[i], b[i], total)
    return total


def stored_type(dtype: Value) -> Value:
    return F32 if dtype == types.float32 else ir.IntType(16)


def emit_load(build: Value, base: Value, index: Value, scalar: Value, lanes: int) -> Value:
    """Emit the load of ``lanes`` numbers from ``base[index]`` on, wherever that lies in memory."""
    place = build.bitcast(build.gep(base, [index]), shaped(scalar, lanes).as_pointer())
    # Rows of a mapped file begin anywhere: LLVM would otherwise take a vector for aligned to its own size and fault.
    return build.load(place, align=4 if scalar == F32 else 2)


def emit_fma(build: Value, a: Value, b: Value, total: Value) -> Value:
    """Emit total + a * b, lane by lane; two products a lane where a and b are bfloat16."""
    if isinstance(getattr(a.type, "element", None), BFloat):
        kind = ir.FunctionType(total.type, [total.type, a.type, b.type])
        name = "llvm.x86.avx512bf16.dpbf16ps.512"
        # llvmlite knows no intrinsic for it: the function is declared in the module by its name in LLVM.
        return build.call(cgutils.get_or_insert_function(build.module, kind, name), [total, a, b])
    if not HAS_FMA:
        return build.fadd(build.fmul(a, b), total)
    lanes = f"v{total.type.count}f32" if isinstance(total.type, ir.VectorType) else "f32"
    kind = ir.FunctionType(total.type, [total.type] * 3)
    return build.call(cgutils.get_or_insert_function(build.module, kind, f"llvm.fma.{lanes}"), [a, b, total])


def emit_prefetch(build: Value, place: Value) -> None:
    byte = ir.IntType(8).as_pointer()
    kind = ir.FunctionType(ir.VoidType(), [byte, I32, I32, I32])
    function = cgutils.get_or_insert_function(build.module, kind, "llvm.prefetch.p0")
    build.call(function, [build.bitcast(place, byte), I32(0), I32(3), I32(1)])  # read, keep near, data


def emit_prefetches(build: Value, starts: list[Value], place: Value) -> None:
    """Emit the prefetch of one place of several rows."""
    for start in starts:
        emit_prefetch(build, build.gep(start, [place]))


def emit_starts(build: Value, array: Value, first: Value, offsets: range, stride: Value) -> list[Value]:
    """Return where the rows ``first`` + each offset of an array begin."""
    return [build.gep(array.data, [build.mul(build.add(first, I64(offset)), stride)]) for offset in offsets]


def emit_ahead(build: Value, starts: list[Value], place: Value, depth: Value) -> None:
    """Emit the prefetch of a place, ahead of the one that is read, of each of the rows of a tile that begin at
    ``starts``.

    What lies beyond a row's end is in the tile after this one, as many rows further on.
    """
    beyond = build.select(build.icmp_signed(">=", place, depth), build.mul(depth, I64(len(starts) - 1)), I64(0))
    emit_prefetches(build, starts, build.add(place, beyond))


def zeros(build: Value) -> Value:
    """Return a register of sums that begin with nothing."""
    # An alloca that stays in registers: LLVM's mem2reg promotes it, and no phi nodes have to be written here.
    cell = cgutils.alloca_once(build, shaped(F32, LANES))
    build.store(ir.Constant(shaped(F32, LANES), [0.0] * LANES), cell)
    return cell


def emit_sum(build: Value, vector: Value) -> Value:
    """Return the lanes of a register together: its halves added, then the halves of that."""
    while isinstance(vector.type, ir.VectorType) and vector.type.count > 1:
        half = vector.type.count // 2
        low, high = (
            build.shuffle_vector(vector, vector, ir.Constant(ir.VectorType(I32, half), list(range(at, at + half))))
            for at in (0, half)
        )
        vector = build.fadd(low, high)
    return build.extract_element(vector, I32(0))


def emit_broadcast(build: Value, number: Value) -> Value:
    """Return a register with the same number in each lane."""
    vector = ir.Constant(shaped(F32, LANES), ir.Undefined)
    first = build.insert_element(vector, number, I32(0))
    return build.shuffle_vector(first, vector, ir.Constant(ir.VectorType(I32, LANES), [0] * LANES))
