"""A plugin of pytest (``-p with_tiles``): the native engine uses Intel's matrix unit, emulated where there is none.

It reads NUMBA_CPU_NAME and NUMBA_CPU_FEATURES as ``environment`` gives them, and comes before anything of the engine.
"""

from __future__ import annotations

import os

import llvmlite.binding

from capot.engines.native import tile_unit

NEEDED = "".join(f",+{name}" for name in tile_unit.NEEDED)


def native() -> bool:
    """Return whether this machine has the unit, and lets programs use it."""
    return tile_unit.usable(llvmlite.binding.get_host_cpu_features())


def environment() -> dict[str, str]:
    """Return the variables with which Numba compiles for a processor with the unit, and else with what this one has."""
    features = llvmlite.binding.get_host_cpu_features().flatten()
    return {"NUMBA_CPU_NAME": "sapphirerapids", "NUMBA_CPU_FEATURES": features + NEEDED}


def start() -> None:
    """Emulate the unit in this process, which ``environment`` was given to; do nothing where the machine has it."""
    if not native():
        import tile_emulator

        tile_unit.permitted = lambda: True
        tile_emulator.install()
    from capot.engines.native import products, tuning

    assert products.HAS_TILES
    # A plan is chosen by trial in the time of a few products: an emulated one takes a thousand times as long.
    tuning.buffer_bytes = lambda place: 2**19


if os.environ.get("NUMBA_CPU_FEATURES", "").endswith(NEEDED):
    start()
