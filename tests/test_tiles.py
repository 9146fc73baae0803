"""Products by Intel's matrix unit: in the manual's order; an emulator runs the instructions where there is no unit."""

from __future__ import annotations

import ctypes
import dataclasses
import os
import platform
import subprocess
import sys

import numpy as np
import pytest
import with_tiles
from conftest import ROOT
from test_plans import BF16, FOUND

from capot.engines.native import kernels, plans, products, tile_unit, tiles
from capot.engines.native.plans import DEFAULTS, TILE_DEFAULTS

linux_x86 = pytest.mark.skipif(
    not sys.platform.startswith("linux") or platform.machine() != "x86_64", reason="signals of Linux on x86-64"
)
emulated = pytest.mark.skipif(with_tiles.native(), reason="this machine has the unit itself")


def run_program(*command: str) -> subprocess.CompletedProcess[str]:
    surroundings = os.environ | with_tiles.environment() | {"PYTHONPATH": f"{ROOT}/src:{ROOT}/tests"}
    surroundings["MALLOC_PERTURB_"] = "85"  # glibc overwrites what is freed: a kernel that still reads it is found out
    return subprocess.run(
        [sys.executable, *command], env=surroundings, cwd=ROOT, capture_output=True, text=True, check=False
    )


@linux_x86
def test_tiles_compute_in_the_order_of_the_manual():
    done = run_program("tests/tile_helpers.py")
    assert done.returncode == 0, (done.returncode, done.stderr[-3000:])
    told = done.stdout.splitlines()
    assert "fault" not in done.stdout, told
    assert told[1:5] == ["memory True", "cache True", "guess 2401", "plan True"], told
    if not with_tiles.native():
        assert told[5].split()[1:] == ["ldtilecfg", "tilerelease", "tilezero", "tileloadd", "tilestored", "tdpbf16ps"]
        assert told[6] == "lost True"  # no other bits where registers are lost, no numbers where they always are


@linux_x86
@pytest.mark.soak
def test_any_schedule_gives_the_same_bits_by_tiles():
    chosen = "bfloat16 and (schedule or beside_it or at_once)"
    command = ["-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-p", "no:faulthandler", "-p", "with_tiles"]
    done = run_program(*command, "tests/test_same.py", "-k", chosen)
    assert done.returncode == 0 and "passed" in done.stdout, done.stdout[-3000:]


@linux_x86
@emulated
def test_what_the_manual_forbids_ends_the_emulation():
    done = run_program("tests/tile_guards.py")
    assert done.returncode == 0, done.stderr[-3000:]
    found = [line.split(": ")[1].split() for line in done.stdout.splitlines()]
    assert len(found) == 12 and all(code == right for code, right in found), found


# As GNU's assembler and LLVM's encode them: base, displacement, index and its factor, by the registers' numbers.
ENCODED = [
    ("c4 e2 7b 4b 0c 00", 0, 0, 0, 1),  # tileloadd (%rax,%rax), %tmm1
    ("c4 e2 7b 4b 5c 24 80", 4, -0x80, None, 1),  # tileloadd -0x80(%rsp), %tmm3
    ("c4 c2 7b 4b 0c 24", 12, 0, None, 1),  # tileloadd (%r12), %tmm1
    ("c4 82 7b 4b 6c e5 00", 13, 0, 12, 8),  # tileloadd (%r13,%r12,8), %tmm5
    ("c4 82 7b 4b 8c e5 00 10 00 00", 13, 0x1000, 12, 8),  # tileloadd 0x1000(%r13,%r12,8), %tmm1
    ("c4 e2 7b 4b 3c ad 00 10 00 00", None, 0x1000, 5, 4),  # tileloadd 0x1000(,%rbp,4), %tmm7
    ("c4 82 7a 4b 54 7c 10", 12, 0x10, 15, 2),  # tilestored %tmm2, 0x10(%r12,%r15,2)
    ("c4 a2 7a 4b b4 0d bb dc fe ff", 5, -0x12345, 9, 1),  # tilestored %tmm6, -0x12345(%rbp,%r9)
    ("c4 e2 78 49 00", 0, 0, None, 1),  # ldtilecfg (%rax)
    ("c4 c2 78 49 45 00", 13, 0, None, 1),  # ldtilecfg (%r13)
    ("c4 82 78 49 84 a8 00 f0 ff ff", 8, -0x1000, 13, 4),  # ldtilecfg -0x1000(%r8,%r13,4)
    ("c4 e2 78 49 05 c0 ff ff ff", "rip", -0x40, None, 1),  # ldtilecfg -0x40(%rip)
]


@linux_x86
@pytest.mark.parametrize(("code", "base", "displacement", "index", "factor"), ENCODED)
def test_the_emulator_reads_what_assemblers_write(code, base, displacement, index, factor):
    import tile_emulator as emulator

    given = np.frombuffer(bytes.fromhex(code).ljust(16, b"\xff"), np.uint8)
    length = len(code.split())
    words = np.arange(64, dtype=np.int64) * 0x1_0001_0011 + 0x7000_0000_0000
    begin = {None: 0, "rip": words[emulator.RIP] + length}
    begin |= {number: words[word] for number, word in enumerate(emulator.REGISTERS)}
    stride = 0 if index is None else words[emulator.REGISTERS[index]] * factor
    assert emulator._is_tile(given)
    assert emulator._operand(given, words) == (begin[base] + displacement, stride, length)


# ---------------------------------------------------------------- permission


ALL = dict.fromkeys(tile_unit.NEEDED, True)


@pytest.mark.parametrize(("answer", "granted"), [(0, True), (-1, False)])
def test_linux_is_asked_once_for_the_registers(monkeypatch, answer, granted):
    asked = []

    def syscall(*given):
        asked.append([number.value for number in given])
        return answer

    library = type("Library", (), {"syscall": staticmethod(syscall)})
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    assert tile_unit.usable(ALL) is granted
    assert asked == [[158, 0x1023, 18]]  # arch_prctl, ARCH_REQ_XCOMP_PERM, XTILEDATA
    for missing in tile_unit.NEEDED:
        assert not tile_unit.usable(ALL | {missing: False})
    assert not tile_unit.usable({}) and len(asked) == 1  # no processor with tiles, no question


@pytest.mark.parametrize(
    ("system", "machine", "bits"),
    [("darwin", "x86_64", 64), ("win32", "AMD64", 64), ("linux", "aarch64", 64), ("linux", "x86_64", 32)],
)
def test_other_systems_are_not_asked(monkeypatch, system, machine, bits):
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(sys, "maxsize", 2 ** (bits - 1) - 1)
    monkeypatch.setattr(ctypes, "CDLL", None)
    assert not tile_unit.usable(ALL)


def test_a_system_without_such_a_call_grants_nothing(monkeypatch):
    def fails(name):
        raise OSError(name)

    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    for library in (fails, lambda name: object()):
        monkeypatch.setattr(ctypes, "CDLL", library)
        assert not tile_unit.permitted()


@linux_x86
def test_refused_permission_is_as_no_unit():
    program = (
        "from capot.engines.native import tile_unit; tile_unit.permitted = lambda: False\n"
        "import capot; from capot.engines.native import products, tuning; tuning.buffer_bytes = lambda place: 2**19\n"
        "found = capot.open('boxed').next('The capital of France is', k=1).candidates[0]\n"
        "print(products.HAS_TILES, found.id, found.logit)"
    )
    surroundings = os.environ | {"PYTHONPATH": f"{ROOT}/src"}
    usual, refused = (
        subprocess.run([sys.executable, "-c", program], env=around, capture_output=True, text=True, check=True).stdout
        for around in (surroundings, surroundings | with_tiles.environment())
    )
    assert refused == usual and refused.startswith("False")


# ---------------------------------------------------------------- which kernel, which plan


def test_tiles_take_products_of_bfloat16_alone(monkeypatch):
    taken = []
    for module in (tiles, products.matmul):
        name = module.__name__.rpartition(".")[2]
        monkeypatch.setattr(module, "add_matmul", lambda *given, name=name: taken.append(name))
    monkeypatch.setattr(products, "HAS_TILES", True)
    y = np.zeros((1, 4), np.float32)
    for stored, given in ((np.uint16, np.uint16), (np.uint16, np.float32), (np.int16, np.float32)):
        products.add_matmul(np.zeros((4, 64), stored), np.zeros((1, 64), given), y, 1, 0, 0)
    assert taken == ["tiles", "matmul", "matmul"]
    assert products.usual_plans(BF16) == TILE_DEFAULTS
    assert products.usual_plans(np.dtype(np.int16)) == products.usual_plans(np.dtype(np.float32)) == DEFAULTS
    monkeypatch.setattr(products, "HAS_TILES", False)
    assert products.usual_plans(BF16) == DEFAULTS


@pytest.mark.parametrize("unit", [True, False])
def test_a_plan_kept_for_another_kernel_is_not_gone_by(monkeypatch, unit):
    kept = {"cache": dataclasses.replace(FOUND, rows=32), "memory": dataclasses.replace(FOUND, place="memory", rows=4)}
    monkeypatch.setattr(plans, "kept", lambda dtype, place: kept[place])
    monkeypatch.setattr(products, "HAS_TILES", unit)
    found = kernels._settle_plans(BF16, anew=False)
    ours, other = ("cache", "memory") if unit else ("memory", "cache")
    assert found[ours] == plans.plan_of(kept[ours])
    assert found[other] == (TILE_DEFAULTS if unit else DEFAULTS)[other]


def test_the_card_names_the_unit():
    tiled = dataclasses.replace(FOUND, rows=32)
    assert tiled.tiled and not FOUND.tiled
    assert "32 rows at once in the matrix unit (AMX)" in tiled.words("en")
    assert "32 lignes à la fois dans l’unité matricielle (AMX)" in tiled.words("fr")
    assert plans._decoded(dataclasses.asdict(tiled)) == tiled
