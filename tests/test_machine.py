"""What this machine gives and takes back."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from capot.errors import InputError
from capot.sources import machine

PROGRAM = """
from capot.sources import machine
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096
blocks = [bytes(50_000) for _ in range(2_000)]
blocks = blocks[-1:]  # the last of them holds the rest of the heap in its place
held = resident()
machine.trim_heap()
print(held - resident())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux's allocator is asked")
def test_what_was_freed_goes_back_to_the_system() -> None:
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent / "src")}
    found = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True)
    assert int(found.stdout) > 50_000_000


def group(folder: Path, limit: str, used: int, *, version: int = 2, droppable: int = 0) -> None:
    """A control group as the system shows it."""
    folder.mkdir(parents=True, exist_ok=True)
    names = ("memory.max", "memory.current") if version == 2 else ("memory.limit_in_bytes", "memory.usage_in_bytes")
    (folder / names[0]).write_text(f"{limit}\n")
    (folder / names[1]).write_text(f"{used}\n")
    inside = "total_inactive_file" if version == 1 else "inactive_file"
    (folder / "memory.stat").write_text(f"anon 1\n{inside} {droppable}\n")


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine of 8 GB, 4 of them free, whose control groups are folders of the test."""
    monkeypatch.delenv("CAPOT_RAM", raising=False)
    (tmp_path / "meminfo").write_text("MemTotal: 8000000 kB\nMemAvailable: 4000000 kB\n")
    for name, path in (("MEMINFO", "meminfo"), ("CGROUP", "groups"), ("MEMBERSHIP", "membership")):
        monkeypatch.setattr(machine, name, tmp_path / path)
    return tmp_path


MB = 10**6


@pytest.mark.parametrize(
    ("membership", "groups", "expected"),
    [
        # A scope of systemd, version 2, under a slice without a limit.
        ("0::/user.slice/run.scope\n", {"user.slice/run.scope": ("400000000", 100 * MB, 2)}, (400 * MB, 300 * MB)),
        # The limit is the parent's; the group itself has a looser one.
        (
            "0::/a/b\n",
            {"a": ("300000000", 250 * MB, 2), "a/b": ("900000000", 10 * MB, 2), ".": ("max", 1, 2)},
            (300 * MB, 50 * MB),
        ),
        # The tightest total and the tightest room are those of two groups.
        ("0::/a/b\n", {"a": ("900000000", 880 * MB, 2), "a/b": ("500000000", 10 * MB, 2)}, (500 * MB, 20 * MB)),
        # Version 1, a job of Slurm; its other controllers do not matter.
        (
            "9:name=systemd:/x\n5:cpu,cpuacct:/y\n4:memory:/slurm/job\n0::/\n",
            {"memory/slurm/job": ("400000000", 100 * MB, 1), "memory": ("9223372036854771712", 10**9, 1)},
            (400 * MB, 300 * MB),
        ),
        # A container of version 1 whose path is the host's: its own group is the root that it sees.
        ("4:memory:/docker/0123\n", {"memory": ("200000000", 50 * MB, 1)}, (200 * MB, 150 * MB)),
        # Both versions at once.
        (
            "4:memory:/one\n0::/two\n",
            {"memory/one": ("600000000", 0, 1), "unified/two": ("500000000", 0, 2)},
            (500 * MB, 500 * MB),
        ),
        # A path that leads out of what is mounted here is followed inside it.
        ("0::/../../a\n", {"a": ("400000000", 0, 2)}, (400 * MB, 400 * MB)),
        # Nothing is told of this process.
        ("", {".": ("700000000", 0, 2)}, (700 * MB, 700 * MB)),
        # More is used than is allowed, for a moment.
        ("0::/a\n", {"a": ("400000000", 500 * MB, 2)}, (400 * MB, 0)),
        # No limits at all, and lines that say nothing.
        ("0::/a\nnonsense\n7:memory\n", {"a": ("max", 10, 2)}, (8000 * MB * 1024 // 1000, 4000 * MB * 1024 // 1000)),
    ],
)
def test_the_tightest_control_group_counts(
    here: Path, membership: str, groups: dict[str, tuple[str, int, int]], expected: tuple[int, int]
) -> None:
    (here / "membership").write_text(membership)
    for path, (limit, used, version) in groups.items():
        group(here / "groups" / path, limit, used, version=version)
    assert machine.ram() == machine.Ram(*expected)


@pytest.mark.parametrize("version", [1, 2])
def test_what_a_group_could_drop_can_be_taken(here: Path, version: int) -> None:
    (here / "membership").write_text("4:memory:/a\n" if version == 1 else "0::/a\n")
    path = here / "groups" / ("memory/a" if version == 1 else "a")
    group(path, "400000000", 300 * MB, version=version, droppable=50 * MB)
    assert machine.ram() == machine.Ram(400 * MB, 150 * MB)
    (path / "memory.stat").write_text("total_inactive_file")  # cut short
    assert machine.ram() == machine.Ram(400 * MB, 100 * MB)


def quota(folder: Path, value: str, *, version: int = 2) -> None:
    """A control group with a quota of processor time, as the system shows it."""
    folder.mkdir(parents=True, exist_ok=True)
    if version == 2:
        (folder / "cpu.max").write_text(f"{value} 100000\n")
    else:
        (folder / "cpu.cfs_quota_us").write_text(f"{value}\n")
        (folder / "cpu.cfs_period_us").write_text("100000\n")


@pytest.mark.parametrize(
    ("membership", "groups", "asked", "expected"),
    [
        ("0::/a\n", {"a": ("max", 2)}, None, 8),
        ("0::/a\n", {"a": ("200000", 2)}, None, 2),
        ("0::/a\n", {"a": ("150000", 2)}, None, 2),  # one and a half: two threads, stopped a quarter of the time
        ("0::/a\n", {"a": ("50000", 2)}, None, 1),
        ("0::/a/b\n", {"a": ("300000", 2), "a/b": ("max", 2)}, None, 3),  # the parent's holds too
        ("5:cpu,cpuacct:/y\n4:memory:/z\n", {"cpu,cpuacct/y": ("400000", 1), "cpu,cpuacct/z": ("100000", 1)}, None, 4),
        ("5:cpu:/y\n", {"cpu/y": ("-1", 1)}, None, 8),
        ("", {".": ("300000", 2)}, None, 3),
        ("0::/a\n", {"a": ("1600000", 2)}, None, 8),  # more than there are cores
        ("0::/a\n", {"a": ("0", 2)}, None, 8),  # no quota of a real system
        ("0::/a\n", {"a": ("words", 2)}, None, 8),
        ("0::/a\n", {}, "3", 3),
        ("0::/a\n", {"a": ("200000", 2)}, "4,2", 2),
        ("0::/a\n", {}, "0", 1),
        ("0::/a\n", {}, "many", 8),
        ("0::/a\n", {}, "", 8),
        ("0::/a\n", {}, "9" * 400, 8),
    ],
)
def test_threads_follow_what_the_process_may_use(
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    membership: str,
    groups: dict[str, tuple[str, int]],
    asked: str | None,
    expected: int,
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if asked is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", asked)
    (here / "membership").write_text(membership)
    for path, (value, version) in groups.items():
        quota(here / "groups" / path, value, version=version)
    assert machine.processors() == expected


THREADS = """
import capot
with capot.open("boxed") as model:
    model.next("A")
import numba
print(numba.get_num_threads())
"""


@pytest.mark.parametrize(
    ("given", "expected"), [({"OMP_NUM_THREADS": "1"}, 1), ({"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "2"}, 2)]
)
def test_the_engine_takes_the_threads_that_it_is_given(given: dict[str, str], expected: int) -> None:
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent / "src")} | given
    if "NUMBA_NUM_THREADS" not in given:
        environment.pop("NUMBA_NUM_THREADS", None)
    found = subprocess.run([sys.executable, "-c", THREADS], env=environment, capture_output=True, text=True, check=True)
    assert int(found.stdout) == expected


@pytest.mark.parametrize(("given", "expected"), [(None, 2), ("", 2), (" ", 2), ("1", 1), (" 3 ", 3), ("1024", 1024)])
def test_numba_has_its_own_number_of_threads(monkeypatch: pytest.MonkeyPatch, given: str | None, expected: int) -> None:
    monkeypatch.setattr(machine, "processors", lambda: 2)
    monkeypatch.delenv("NUMBA_NUM_THREADS", raising=False)
    if given is not None:
        monkeypatch.setenv("NUMBA_NUM_THREADS", given)
    assert machine.numba_threads() == expected


@pytest.mark.parametrize("given", ["0", "-1", "1.5", "many", "1025", "9" * 5000])
def test_a_number_of_threads_that_cannot_be_is_refused(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("NUMBA_NUM_THREADS", given)
    with pytest.raises(InputError) as caught:
        machine.numba_threads()
    assert caught.value.code == "numba_setting" and caught.value.params["value"] == given[:20]
