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
def configured(memory):
    configure_from(memory.ctypes.data)
    multiply(memory)
    _release()


@njit()
def one_register_twice(memory):
    configure_from(memory.ctypes.data)
    twice()


# What is run, which bytes of the configuration are other ones, and the exit code.
RIGHT = {
    "not configured": (not_configured, {}, emulator.UNCONFIGURED),
    "released": (released, {}, emulator.UNCONFIGURED),
    "no palette": (configured, dict.fromkeys(range(64), 0), emulator.UNCONFIGURED),
    "another palette": (configured, {0: 2}, emulator.BAD_CONFIGURATION),
    "reserved bytes": (configured, {3: 1}, emulator.BAD_CONFIGURATION),
    "reserved registers": (configured, {32: 64}, emulator.BAD_CONFIGURATION),
    "too many rows": (configured, {48: 17}, emulator.BAD_CONFIGURATION),
    "rows of no bytes": (configured, {16: 0}, emulator.BAD_CONFIGURATION),
    "a register without rows": (configured, {16 + 2 * 4: 0, 48 + 4: 0}, emulator.UNCONFIGURED),
    "rows that do not fit": (configured, {48 + 5: 8}, emulator.MISMATCH),
    "one register twice": (one_register_twice, {}, emulator.MISMATCH),
    "as it should be": (configured, {}, 0),
}


def exit_code(program, bytes_) -> int:
    child = os.fork()
    if child == 0:
        memory = np.frombuffer(bytearray(CONFIGURATION), np.uint8)
        memory[list(bytes_)] = list(bytes_.values())
        program(memory)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    for name, (program, bytes_, right) in RIGHT.items():
        print(f"{name}: {exit_code(program, bytes_)} {right}", flush=True)
