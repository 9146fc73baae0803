"""The notebooks are what their source says, in both languages, and their code runs."""

from __future__ import annotations

import importlib
import json
import sys

import pytest
from conftest import ROOT

import capot
from capot.model import BOXED


@pytest.fixture(scope="module")
def maker():
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        yield importlib.import_module("make_notebooks")
    finally:
        sys.path.remove(str(ROOT / "tools"))


def committed(lang: str) -> dict:
    return json.loads((ROOT / "notebooks" / f"tour.{lang}.ipynb").read_text(encoding="utf-8"))


@pytest.mark.parametrize("lang", ["en", "fr"])
def test_the_notebook_is_its_source(maker, lang: str) -> None:
    made, found = maker.cells(lang), committed(lang)["cells"]
    assert [(cell["cell_type"], cell["source"]) for cell in found] == [
        (cell["cell_type"], cell["source"]) for cell in made
    ]
    assert "{" + "text}" not in json.dumps(found)


@pytest.mark.parametrize("lang", ["en", "fr"])
def test_a_committed_output_is_small_and_whole(lang: str) -> None:
    text = json.dumps(committed(lang), ensure_ascii=False)
    assert len(text) < 100_000 and "text/html" not in text
    assert "\ufffd" not in text and "\\u001b" not in text


@pytest.mark.parametrize("lang", ["en", "fr"])
def test_every_cell_runs(maker, monkeypatch: pytest.MonkeyPatch, lang: str) -> None:
    """On the boxed model where its weights are here; else all but the card on the scripted one.

    Nothing around it says a language: the notebook does.
    """
    monkeypatch.delenv("CAPOT_LANG")
    monkeypatch.setenv("LC_ALL", "C")
    cells = maker.cells(lang)
    if not (BOXED / "model.safetensors").is_file():
        scripted = capot.open
        monkeypatch.setattr(capot, "open", lambda **given: scripted("scripted", **given))
        cells = [cell for cell in cells if "card" not in "".join(cell["source"])]
    maker.run(cells)
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    told = json.dumps([cell["outputs"] for cell in code], ensure_ascii=False)
    assert ("Probabilité" in told, "Probability" in told) == (lang == "fr", lang == "en")
    assert sum(bool(cell["outputs"]) for cell in code) >= len(code) - 2  # opening and closing say nothing
