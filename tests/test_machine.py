"""What this machine gives and takes back."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
from capot.sources import machine
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096
blocks = [bytes(50_000) for _ in range(2_000)]
blocks = blocks[-1:]  # the last of them holds the rest of the heap in its place
held = resident()
machine.give_back()
print(held - resident())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux's allocator is asked")
def test_what_was_freed_goes_back_to_the_system() -> None:
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent / "src")}
    found = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True)
    assert int(found.stdout) > 50_000_000
