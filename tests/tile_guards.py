"""What the emulator refuses: each program in a process of its own, and beside its exit code the right one.

To be run with the variables of ``with_tiles.environment``.
"""

from __future__ import annotations

import os

import numpy as np
import tile_emulator as emulator
import with_tiles  # noqa: F401 - starts the emulation
from numba import njit, types
from numba.extending import intrinsic

from capot.engines.native.tiles import CONFIGURATION, I8, _configure, _one_by_one, _release, call


@intrinsic
def configure_from(typing, place):
    """Configure the registers by 64 bytes anywhere in memory."""

    def emit(context, builder, signature, args):
        call(builder, "ldtilecfg", builder.inttoptr(args[0], I8.as_pointer()))
        return context.get_dummy_value()

    return types.void(types.int64), emit


@intrinsic
def twice(typing):
    """Multiply a register by itself."""

    def emit(context, builder, signature, args):
        call(builder, "tdpbf16ps", 0, 4, 4)
        return context.get_dummy_value()

    return types.void(), emit


@njit()
def multiply(memory):
    numbers = np.zeros(4096, np.uint16)
    data = numbers.ctypes.data
    _one_by_one(data, 64, data, 1024, data, 0, 32, 0)
    memory[0] |= numbers[0]  # an address keeps no array: this does


@njit()
def not_configured(memory):
    multiply(memory)


@njit()
def released(memory):
    _configure()
    _release()
    multiply(memory)


@njit()
def another_palette(memory):
    memory[0] = 2
    configure_from(memory.ctypes.data)


@njit()
def no_palette(memory):
    memory[:] = 0
    configure_from(memory.ctypes.data)
    multiply(memory)


@njit()
def reserved_bytes(memory):
    memory[3] = 1
    configure_from(memory.ctypes.data)


@njit()
def reserved_registers(memory):
    memory[32] = 64
    configure_from(memory.ctypes.data)


@njit()
def too_many_rows(memory):
    memory[48] = 17
    configure_from(memory.ctypes.data)


@njit()
def rows_of_no_bytes(memory):
    memory[16] = 0
    configure_from(memory.ctypes.data)


@njit()
def a_register_without_rows(memory):
    memory[16 + 2 * 4] = memory[48 + 4] = 0
    configure_from(memory.ctypes.data)
    multiply(memory)


@njit()
def rows_that_do_not_fit(memory):
    memory[48 + 5] = 8
    configure_from(memory.ctypes.data)
    multiply(memory)


@njit()
def one_register_twice(memory):
    configure_from(memory.ctypes.data)
    twice()


@njit()
def as_it_should_be(memory):
    configure_from(memory.ctypes.data)
    multiply(memory)
    _release()


RIGHT = {
    not_configured: emulator.UNCONFIGURED,
    released: emulator.UNCONFIGURED,
    no_palette: emulator.UNCONFIGURED,
    another_palette: emulator.BAD_CONFIGURATION,
    reserved_bytes: emulator.BAD_CONFIGURATION,
    reserved_registers: emulator.BAD_CONFIGURATION,
    too_many_rows: emulator.BAD_CONFIGURATION,
    rows_of_no_bytes: emulator.BAD_CONFIGURATION,
    a_register_without_rows: emulator.UNCONFIGURED,
    rows_that_do_not_fit: emulator.MISMATCH,
    one_register_twice: emulator.MISMATCH,
    as_it_should_be: 0,
}


def exit_code(program) -> int:
    child = os.fork()
    if child == 0:
        program(np.frombuffer(bytearray(CONFIGURATION), np.uint8))
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    for program, right in RIGHT.items():
        print(f"{program.__name__}: {exit_code(program)} {right}", flush=True)
