"""Every example of a docstring runs and answers what it says."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest
from conftest import ROOT


def module_of(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


WITH_EXAMPLES = sorted(
    module_of(path.relative_to(top))
    for top, folder in ((ROOT / "src", "capot"), (ROOT, "training"))
    for path in (top / folder).rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("module", WITH_EXAMPLES)
def test_examples_are_true(module: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    try:
        found = doctest.testmod(importlib.import_module(module), optionflags=flags)
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "transformers"):
            raise
        pytest.skip(f"{module} needs {error.name}")
    assert found.attempted and not found.failed, capsys.readouterr().out


def test_there_are_examples() -> None:
    assert len(WITH_EXAMPLES) > 30 and "capot.i18n" in WITH_EXAMPLES
