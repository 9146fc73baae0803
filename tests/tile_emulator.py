"""The tile instructions of Intel's matrix unit, on a processor that has none.

Such a processor stops at the instruction with SIGILL. The handler that is installed here reads it, does what the manual
says on registers of its own, and goes on behind it. What the kernels run is therefore the very code that LLVM makes
for a processor with tiles; only its speed is another. A handler must not allocate or call Python: it is machine code
that Numba compiles from the functions below. What the manual forbids ends the process, with one of the codes below.

Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2: the VEX prefix, ModRM and SIB, and
LDTILECFG, TDPBF16PS, TILELOADD, TILERELEASE, TILESTORED, TILEZERO.
"""

from __future__ import annotations

import ctypes
import signal

import numpy as np
from numba import carray, cfunc, njit, types
from numba.extending import intrinsic

UNKNOWN, UNCONFIGURED, MISMATCH, TOO_MANY, BAD_CONFIGURATION = 97, 98, 99, 100, 101  # exit codes
THREADS = 64
SLOT = (
    64 + 8 * 1024 + 64
)  # bytes that a thread has: the configuration, eight registers of 16 rows of 64 bytes, a corner

_libc = ctypes.CDLL(None)
_exit = _libc._exit
_exit.argtypes, _exit.restype = [ctypes.c_int], None
_self = _libc.pthread_self
_self.argtypes, _self.restype = [], ctypes.c_int64
_owners = np.zeros(THREADS, np.int64)
_state = np.zeros(THREADS * SLOT, np.uint8)
_counts = np.zeros(6, np.int64)  # how often each instruction was done, see ``NAMES``; two threads may count at once
_losses = np.zeros(2, np.int64)  # after how many instructions the registers are lost, 0 for never; done since
OWNERS, STATE, COUNTS, LOSSES = (array.ctypes.data for array in (_owners, _state, _counts, _losses))
NAMES = ("ldtilecfg", "tilerelease", "tilezero", "tileloadd", "tilestored", "tdpbf16ps")
# Where ``ucontext_t`` of x86-64 keeps the registers, in words of 8 bytes: rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8...
REGISTERS = (18, 19, 17, 16, 20, 15, 14, 13, 5, 6, 7, 8, 9, 10, 11, 12)
RIP = 21


@intrinsic
def at(typing, address):
    """Return an address as what ``carray`` takes."""
    from llvmlite import ir

    def emit(context, builder, signature, args):
        return builder.inttoptr(args[0], ir.IntType(8).as_pointer())

    return types.voidptr(types.int64), emit


@intrinsic
def claim(typing, address, owner):
    """Write an owner where none is, and return who is it now: at once, whatever other threads do."""
    from llvmlite import ir

    def emit(context, builder, signature, args):
        place = builder.inttoptr(args[0], ir.IntType(64).as_pointer())
        nobody = ir.Constant(ir.IntType(64), 0)
        pair = builder.cmpxchg(place, nobody, args[1], "seq_cst", "seq_cst")
        before = builder.extract_value(pair, 0)
        return builder.select(builder.icmp_signed("==", before, nobody), args[1], before)

    return types.int64(types.int64, types.int64), emit


@njit()
def _slot():
    """Return where this thread's state lies."""
    me = _self()
    for i in range(THREADS):
        if claim(OWNERS + 8 * i, me) == me:
            return STATE + SLOT * i
    _exit(TOO_MANY)
    return 0


@njit()
def _signed(code, start, size):
    value = np.int64(0)
    for i in range(size):
        value |= np.int64(code[start + i]) << (8 * i)
    sign = np.int64(1) << (8 * size - 1)
    return (value ^ sign) - sign


@njit()
def _operand(code, words):
    """Read the place in memory that ModRM, SIB and the displacement name: the base address, the row's stride, the end.

    ``code``: from the VEX prefix on. For tiles, the scaled index register is the stride; elsewhere it is to be added.
    """
    modrm = code[4]
    mod, rm = modrm >> 6, modrm & 7
    x, b = (code[1] >> 6 & 1) ^ 1, (code[1] >> 5 & 1) ^ 1
    end, stride = 5, np.int64(0)
    if rm == 4:
        sib = code[5]
        end = 6
        index = (sib >> 3 & 7) + 8 * x
        if index != 4:
            stride = words[REGISTERS[index]] << (sib >> 6)
        low = sib & 7
        place = np.int64(0) if low == 5 and mod == 0 else words[REGISTERS[low + 8 * b]]
        wide = low == 5 and mod == 0
    else:
        wide = rm == 5 and mod == 0  # relative to the next instruction, which is not known yet
        place = words[RIP] + 9 if wide else words[REGISTERS[rm + 8 * b]]
    if mod == 1:
        return place + _signed(code, end, 1), stride, end + 1
    if mod == 2 or wide:
        return place + _signed(code, end, 4), stride, end + 4
    return place, stride, end


@njit()
def _shape(slot, tile):
    """Return rows and bytes of a row of a register; the process ends where it has none."""
    kept = carray(at(slot), 64, np.uint8)
    width, rows = np.int64(kept[16 + 2 * tile]) + 256 * np.int64(kept[17 + 2 * tile]), np.int64(kept[48 + tile])
    if kept[0] != 1 or rows == 0 or width % 4:
        _exit(UNCONFIGURED)
    return rows, width


@njit()
def _tile(slot, tile):
    return carray(at(slot + 64 + 1024 * tile), (16, 64), np.uint8)


@njit()
def _floats(slot, tile):
    return carray(at(slot + 64 + 1024 * tile), (16, 16), np.float32)


@njit()
def _configure(slot, place):
    given = carray(at(place), 64, np.uint8)
    kept = carray(at(slot), SLOT, np.uint8)
    kept[64:] = 0
    kept[:64] = given
    if given[0] == 0:  # as the registers are before any configuration, whatever follows
        kept[:64] = 0
        return
    wrong = given[0] != 1 or given[1] != 0  # the row of an instruction that was interrupted: no program writes it
    for i in range(2, 64):
        wrong |= given[i] != 0 and (i < 16 or 32 <= i < 48 or i >= 56)  # reserved
    for tile in range(8):
        width, rows = np.int64(given[16 + 2 * tile]) + 256 * np.int64(given[17 + 2 * tile]), given[48 + tile]
        wrong |= width > 64 or rows > 16 or (width == 0) != (rows == 0)
    if wrong:
        _exit(BAD_CONFIGURATION)


@njit()
def _move(slot, tile, place, stride, store):
    """Load a register from rows in memory, or store it there. What a load does not fill becomes zero."""
    rows, width = _shape(slot, tile)
    kept = _tile(slot, tile)
    for r in range(16):
        line = carray(at(place + r * stride), 64, np.uint8)
        for i in range(64):
            inside = r < rows and i < width
            if store and inside:
                line[i] = kept[r, i]
            elif not store:
                kept[r, i] = line[i] if inside else 0


@njit()
def _flushed(number):
    """Round to float32; what is below the smallest normal number becomes zero."""
    rounded = np.float32(number)
    return np.float32(0) if abs(rounded) < np.float32(1.17549435e-38) else rounded


@njit()
def _bfloat16(slot, tile, row, place):
    """Read a number of a register: a bfloat16 is the upper half of a float32."""
    kept = _tile(slot, tile)
    half = carray(at(slot + SLOT - 8), 8, np.uint8)
    half[0] = half[1] = 0
    half[2], half[3] = kept[row, 2 * place], kept[row, 2 * place + 1]
    return _flushed(carray(at(slot + SLOT - 8), 1, np.float32)[0])


@njit()
def _multiply(slot, target, left, right):
    """Do TDPBF16PS, step by step as the manual writes it: even places, odd places, both together."""
    rows, wide = _shape(slot, target)
    left_rows, left_wide = _shape(slot, left)
    right_rows, right_wide = _shape(slot, right)
    if left_rows != rows or right_wide != wide or right_rows != left_wide // 4:
        _exit(MISMATCH)
    if target in (left, right) or left == right:
        _exit(MISMATCH)
    sums = _floats(slot, target)
    for m in range(rows):
        for n in range(wide // 4):
            even, odd = np.float32(0), np.float32(0)
            for k in range(left_wide // 4):
                # Products of bfloat16 are exact in float64, and so is the sum as far as float32 can tell: one rounding.
                a, b = _bfloat16(slot, left, m, 2 * k), _bfloat16(slot, right, k, 2 * n)
                even = _flushed(np.float64(a) * np.float64(b) + np.float64(even))
                a, b = _bfloat16(slot, left, m, 2 * k + 1), _bfloat16(slot, right, k, 2 * n + 1)
                odd = _flushed(np.float64(a) * np.float64(b) + np.float64(odd))
            sums[m, n] = _flushed(_flushed(sums[m, n]) + _flushed(even + odd))


@njit()
def _is_tile(code):
    """Return whether an instruction is one of these: three bytes of VEX, map 0F38, W and L zero, and its number."""
    vex = code[0] == 0xC4 and code[1] & 31 == 2 and code[2] & 0x84 == 0
    return vex and (code[3] == 0x49 or code[3] == 0x4B or code[3] == 0x5C)


@njit()
def _do(code, words, slot):
    """Do one instruction. Returns its place in ``NAMES`` and its length, or -1 for one that there is not."""
    kind, op, modrm = code[2] & 3, code[3], code[4]
    reg, rm = modrm >> 3 & 7, modrm & 7
    in_registers = modrm >> 6 == 3
    if op == 0x49 and kind == 0 and modrm == 0xC0:
        carray(at(slot), SLOT, np.uint8)[:] = 0
        return 1, 5
    if op == 0x49 and kind == 0 and not in_registers and reg == 0:
        place, index, end = _operand(code, words)
        _configure(slot, place + index)
        return 0, end
    if op == 0x49 and kind == 3 and in_registers and rm == 0:
        _shape(slot, reg)
        _tile(slot, reg)[:] = 0
        return 2, 5
    if op == 0x4B and kind in (2, 3) and rm == 4 and not in_registers:
        place, stride, end = _operand(code, words)
        _move(slot, reg, place, stride, kind == 2)
        return (4 if kind == 2 else 3), end
    if op == 0x5C and kind == 2 and in_registers:
        _multiply(slot, reg, rm, (code[2] >> 3 & 15) ^ 15)
        return 5, 5
    return -1, 0


@njit()
def _lose(slot):
    """Empty all registers now and then, but for their shapes, as a virtual machine may."""
    losses = carray(at(LOSSES), 2, np.int64)
    losses[1] += 1
    if losses[0] and losses[1] >= losses[0]:
        losses[1] = 0
        carray(at(slot + 64), 8 * 1024, np.uint8)[:] = 0


@cfunc(types.void(types.int32, types.int64, types.int64))
def _handle(number, information, context):
    words = carray(at(context), 64, np.int64)
    counts = carray(at(COUNTS), len(NAMES), np.int64)
    slot = _slot()
    while True:
        _lose(slot)
        which, length = _do(carray(at(words[RIP]), 16, np.uint8), words, slot)
        if which < 0:
            _exit(UNKNOWN)
        counts[which] += 1
        words[RIP] += length
        # They often follow one another, and each signal takes longer than most of them.
        if not _is_tile(carray(at(words[RIP]), 16, np.uint8)):
            return


class _Action(ctypes.Structure):
    """What sigaction takes, of the C library on x86-64."""

    _fields_ = (
        ("handler", ctypes.c_void_p), ("mask", ctypes.c_uint64 * 16), ("flags", ctypes.c_int),
        ("restorer", ctypes.c_void_p),
    )  # fmt: skip


def install() -> None:
    """Answer the instructions from now on, in every thread."""
    action = _Action(handler=_handle.address, flags=4)  # SA_SIGINFO: with the registers
    if _libc.sigaction(signal.SIGILL, ctypes.byref(action), None) != 0:
        raise OSError("sigaction")


def lose_after(instructions: int) -> None:
    """Empty a thread's registers after every so many instructions from now on; never with 0."""
    _losses[:] = instructions, 0


def counted() -> dict[str, int]:
    """Return how often each instruction was done."""
    return dict(zip(NAMES, map(int, _counts), strict=True))
