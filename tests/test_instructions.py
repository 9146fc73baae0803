"""The native engine's kernels with the instructions of other x86 processors than this one."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import llvmlite.binding
import pytest
from conftest import ROOT

import capot

AVX2 = "+avx,+avx2,+fma,+f16c"
# What Numba is told to compile for, and how many float32 a register then holds.
PROCESSORS = {
    "no more than every x86 has": ({"NUMBA_CPU_NAME": "generic"}, 4),
    "AVX alone": ({"NUMBA_CPU_NAME": "sandybridge", "NUMBA_CPU_FEATURES": "+avx"}, 8),
    "AVX2": ({"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": AVX2}, 8),
    "AVX-512 without pairs": (
        {
            "NUMBA_CPU_NAME": "skylake-avx512",
            "NUMBA_CPU_FEATURES": f"{AVX2},+avx512f,+avx512cd,+avx512bw,+avx512dq,+avx512vl",
        },
        16,
    ),
}
SOAK = {"AVX alone", "AVX-512 without pairs"}


@pytest.mark.skipif(platform.machine().lower() not in ("x86_64", "amd64"), reason="processors of x86")
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.soak) if name in SOAK else name for name in PROCESSORS]
)
def test_kernels_compute_the_same_with_the_instructions_of(name: str) -> None:
    environment, lanes = PROCESSORS[name]
    here = llvmlite.binding.get_host_cpu_features()
    asked = [feature.lstrip("+") for feature in environment.get("NUMBA_CPU_FEATURES", "").split(",") if feature]
    if not all(here.get(feature) for feature in asked):
        pytest.skip("this processor has not got them")
    found = subprocess.run(
        [sys.executable, ROOT / "tests" / "instructions_helpers.py"],
        env=os.environ | environment | {"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    with capot.open("boxed") as model:
        guess = model.next("The capital of France is", k=1).candidates[0].id
    assert found.returncode == 0, found.stderr[-3000:]
    assert found.stdout.split() == ["lanes", str(lanes), "guess", str(guess)]
