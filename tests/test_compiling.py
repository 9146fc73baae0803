"""Surroundings of the kernels: no folder to keep them in, a full disk, files that cannot be read, settings of Numba."""

from __future__ import annotations

import errno
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from capot.engines.native import numba_cache
from capot.i18n import tr

SRC = Path(__file__).parent.parent / "src"


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A kernel in a file of its own, with the place beside it to be kept in."""
    monkeypatch.setattr(numba_cache, "cache_errors", [])
    (tmp_path / "kernels_of_a_test.py").write_text(
        "from capot.engines.native.numba_cache import njit\n\n\n@njit(cache=True)\ndef triple(x):\n    return 3 * x\n"
    )

    def made() -> Any:
        spec = importlib.util.spec_from_file_location("kernels_of_a_test", tmp_path / "kernels_of_a_test.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["kernels_of_a_test"] = module
        spec.loader.exec_module(module)
        return module.triple

    yield made
    sys.modules.pop("kernels_of_a_test", None)


def kept(tmp_path: Path) -> list[Path]:
    return sorted(tmp_path.glob("__pycache__/*triple*"))


def said() -> list[tuple[str, dict[str, Any]]]:
    """What a model's opening would be told."""
    told: list[tuple[str, dict[str, Any]]] = []
    numba_cache.warn_uncached(lambda key, **params: told.append((key, params)))
    return told


def test_kernels_are_kept_where_there_is_a_place(kernel: Any, tmp_path: Path) -> None:
    assert kernel()(2.0) == 6.0 and kept(tmp_path)
    again = kernel()
    assert again(2.0) == 6.0 and again.stats.cache_hits and not said()


def test_without_a_place_they_are_compiled_all_the_same(
    kernel: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from numba.core.caching import FunctionCache

    def nowhere(self: Any, function: Any) -> None:
        raise RuntimeError("cannot cache function 'triple': no locator available for file 'x'")

    monkeypatch.setattr(FunctionCache, "__init__", nowhere)
    assert kernel()(2.0) == 6.0 and not kept(tmp_path)
    assert said() == [("native.nowhere", {})] and not said()


def test_a_full_disk_is_said_and_computed_over(kernel: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from numba.core.caching import FunctionCache

    def full(self: Any, *_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(FunctionCache, "save_overload", full)
    triple = kernel()
    assert triple(2.0) == 6.0 and triple(2) == 6 and not kept(tmp_path)
    ((key, params),) = said()
    assert key == "native.unkept" and params["reason"].key == "system.ENOSPC"
    assert tr(key, "en", **params) != tr(key, "fr", **params)


@pytest.mark.parametrize("damage", [b"", b"\x80\x05", b"x" * 400])
@pytest.mark.parametrize("ending", ["nbi", "nbc"])
def test_files_that_cannot_be_read_are_compiled_over(kernel: Any, tmp_path: Path, damage: bytes, ending: str) -> None:
    assert kernel()(2.0) == 6.0
    for path in kept(tmp_path):
        if path.suffix == f".{ending}":
            path.write_bytes(damage)
    assert kernel()(2.0) == 6.0


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("NUMBA_DISABLE_JIT", "1", "numba_no_jit"),
        ("NUMBA_NUM_THREADS", "0", "numba_setting"),
        ("NUMBA_NUM_THREADS", "-2", "numba_setting"),
        ("NUMBA_NUM_THREADS", "many", "numba_setting"),
        ("NUMBA_NUM_THREADS", "99999999999", "numba_setting"),
        ("NUMBA_THREADING_LAYER", "nonsense", "numba_setting"),
        ("NUMBA_THREADING_LAYER", "workqueue", ""),
        ("NUMBA_NUM_THREADS", "1", ""),
    ],
)
def test_settings_of_numba_are_respected_or_refused_in_words(name: str, value: str, code: str) -> None:
    program = (
        "import capot\nfrom capot.errors import CapotError\n"
        "try:\n    with capot.open('boxed') as m: m.next('Hello', k=1)\n"
        "except CapotError as error: print(error.code, error.params.get('name', 'NUMBA_DISABLE_JIT'))\n"
        "else:\n    import numba\n    print(numba.threading_layer(), numba.get_num_threads())\n"
    )
    environment = os.environ | {name: value, "PYTHONPATH": str(SRC)}
    found = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    if code:
        assert found.stdout.split() == [code, name]
    else:
        assert value in found.stdout.split()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can be somebody else")
def test_a_user_without_a_home_computes(tmp_path: Path) -> None:
    """As in a container with ``--user``: nothing may be written, neither beside the package nor at home."""
    shutil.copytree(SRC / "capot", tmp_path / "capot", ignore=shutil.ignore_patterns("__pycache__"))
    for path in (tmp_path, *tmp_path.parents[:2]):
        path.chmod(0o755)
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(tmp_path), "CAPOT_LANG": "en", "HOME": "/nowhere"}
    command = [sys.executable, "-m", "capot", "next", "Hello", "-k", "1"]
    unreadable = "the interpreter itself cannot be read by others here"
    try:
        found = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, user=23456, group=23456
        )
    except PermissionError:  # of a folder above it
        pytest.skip(unreadable)
    if "PermissionError" in found.stderr and "capot" not in found.stderr.partition("PermissionError")[2]:
        pytest.skip(unreadable)
    assert found.returncode == 0 and "Traceback" not in found.stderr
    assert [line for line in found.stderr.splitlines() if line] == [tr("native.nowhere", "en")]
    assert "%" in found.stdout
