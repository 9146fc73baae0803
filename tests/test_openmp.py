"""Threads that OpenMP keeps: given back by who opened a model, and by a scheduler that nobody asks."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import native_helpers
import pytest

import capot
from capot.engines import openmp
from capot.engines.scheduler import thread

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or len(os.sched_getaffinity(0)) < 2, reason="threads are counted in Linux's /proc"
)


def count() -> int:
    return len(os.listdir("/proc/self/task"))


def team() -> int:
    """Threads beside those that Python knows."""
    return count() - threading.active_count()


def test_a_scheduler_without_work_lets_go_of_its_cores(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(thread, "IDLE_S", 1e9)
    released = threading.Event()
    monkeypatch.setattr(
        thread.openmp, "release_threads", lambda release=openmp.release_threads: (release(), released.set())
    )
    with capot.open(native_helpers.make(tmp_path, "llama")) as model:
        model.scheduler.run([5, 6, 7])
        before = team()  # more than nothing where OpenMP is GNU's
        if not any("/libgomp" in line for line in openmp.MAPS.read_text().splitlines()):
            pytest.skip("no GNU OpenMP here")
        monkeypatch.setattr(thread, "IDLE_S", 0.0)
        model.scheduler.run([5, 6, 8])
        assert released.wait(60) and team() < before
        again = model.scheduler.run([5, 6, 7])  # they come again
        assert again.output.logits is not None


def test_nothing_happens_where_no_such_library_is_loaded(tmp_path: Path, monkeypatch) -> None:
    maps = tmp_path / "maps"
    monkeypatch.setattr(openmp, "MAPS", maps)
    loaded: list[str] = []
    monkeypatch.setattr(openmp.ctypes, "CDLL", lambda path: loaded.append(path) or object())
    openmp.release_threads()  # no such file: another system
    maps.write_text("7f00-7f10 r-xp 00000000 08:01 12   /usr/lib/libc.so.6\n7f20-7f30 rw-p 0 00:00 0\n")
    openmp.release_threads()
    assert loaded == []
    maps.write_text("7f00-7f10 r-xp 00000000 08:01 12   /a folder/libgomp.so.1\n" * 2)
    openmp.release_threads()
    assert loaded == ["/a folder/libgomp.so.1"]
