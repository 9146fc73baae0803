"""The notebooks are what their source says, in both languages, and their code runs."""

from __future__ import annotations

import importlib
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import hf_helpers
import pytest
from conftest import ROOT

import capot
from capot import i18n
from capot.lessons.course import read_course
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


@pytest.mark.parametrize("lang", ["en", "fr"])
def test_the_courses_notebook_is_what_the_command_writes(lang: str, tmp_path: Path) -> None:
    from capot.cli import run

    kept = ROOT / "notebooks" / f"course.{lang}.ipynb"
    assert run(["notebook", "-o", str(tmp_path / "tp.ipynb"), "--lang", lang]) == 0
    assert (tmp_path / "tp.ipynb").read_text(encoding="utf-8") == kept.read_text(encoding="utf-8"), (
        "python tools/make_notebooks.py"
    )
    assert run(["notebook", "-o", str(tmp_path / "tp.ipynb"), "--lang", lang]) == 0  # the same, once more
    cells = json.loads(kept.read_text(encoding="utf-8"))["cells"]
    assert len({cell["id"] for cell in cells}) == len(cells) > 100
    hidden = [cell for cell in cells if cell["metadata"].get("jupyter", {}).get("source_hidden")]
    sources = ["".join(cell["source"]) for cell in hidden]
    assert sum(source.startswith("answers(") for source in sources) == 24, "each question, and the frame's at the end"
    assert sum(source.startswith("# transformers") for source in sources) > 20


def test_a_notebook_that_was_filled_in_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from capot.cli import run

    place = tmp_path / "tp.ipynb"
    place.write_text('{"cells": ["my work"]}', encoding="utf-8")
    assert run(["notebook", "-o", str(place)]) == 2
    assert place.read_text(encoding="utf-8") == '{"cells": ["my work"]}'
    assert f"-o {tmp_path / 'tp-2.ipynb'}" in capsys.readouterr().err


def test_what_cannot_be_read_is_not_replaced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from capot.cli import run

    place = tmp_path / "tp.ipynb"
    place.write_text('{"cells": ["my work"]}', encoding="utf-8")
    opened = Path.open

    def refused(path: Path, *args: object, **given: object) -> object:
        if path == place:
            raise PermissionError(13, "Permission denied")
        return opened(path, *args, **given)

    monkeypatch.setattr(Path, "open", refused)
    assert run(["notebook", "-o", str(place), "--lang", "en"]) == 2
    assert f"{place} cannot be written (permission denied)" in capsys.readouterr().err
    monkeypatch.undo()
    assert place.read_text(encoding="utf-8") == '{"cells": ["my work"]}'


@pytest.mark.parametrize("arguments", [["worksheet", "-o"], ["tokens", "abc", "--html"]], ids=["paper", "answer"])
def test_a_page_replaces_a_page_and_nothing_else(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from capot.cli import run

    lesson = tmp_path / "mine.md"
    lesson.write_text("# A lesson of mine\n", encoding="utf-8")
    assert run([*arguments, str(lesson)]) == 2
    assert lesson.read_text(encoding="utf-8") == "# A lesson of mine\n"
    assert f"-o {tmp_path / 'mine-2.html'}" in capsys.readouterr().err
    page = tmp_path / "page.html"
    page.write_text("<!DOCTYPE html><p>old</p>", encoding="utf-8")
    assert run([*arguments, str(page)]) == 0
    assert "<p>old</p>" not in page.read_text(encoding="utf-8")


def of_lesson(cells: list[dict], number: int) -> list[dict]:
    """The cells that open, those of one lesson, and the one that closes."""
    titles = [place for place, cell in enumerate(cells) if cell["source"][0].startswith("# ")]
    texts = [place for place in titles if cells[place]["cell_type"] == "markdown"]
    return [*cells[1:3], *cells[texts[number + 1] : (texts[number + 2 : number + 3] or [-1])[0]], cells[-1]]


@pytest.mark.parametrize("number", [5, *(pytest.param(n, marks=pytest.mark.soak) for n in (1, 2, 3, 4, 6, 7, 8))])
@pytest.mark.parametrize("lang", ["en", "fr"])
def test_a_lesson_of_the_notebook_runs(maker, monkeypatch: pytest.MonkeyPatch, lang: str, number: int) -> None:
    """Offline, in its own language whatever is around it: our cells, the answers, and plain transformers."""
    pytest.importorskip("transformers")
    monkeypatch.delenv("CAPOT_LANG", raising=False)
    monkeypatch.setenv("LC_ALL", "C")
    cells = of_lesson(maker.session(lang)["cells"], number)
    maker.run(cells)
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    answers = [cell for cell in code if cell["source"][0].startswith("answers(")]
    same = [cell for cell in code if cell["source"][0].startswith("# transformers")]
    assert answers and same and all(cell["outputs"] for cell in (*answers, *same))
    told = json.dumps([cell["outputs"] for cell in answers], ensure_ascii=False)
    assert "{{" not in told and ("Indices" in told, "Hints" in told) == (lang == "fr", lang == "en")


@pytest.mark.parametrize(("lang", "other"), [("en", "fr"), ("fr", "en")])
def test_transformers_cells_speak_the_language_of_their_notebook(maker, lang: str, other: str) -> None:
    written = "\n".join("".join(cell["source"]) for cell in maker.session(lang)["cells"])
    words = i18n.catalogue(other, "notebook")["hf"]
    foreign = [each for key, each in words.items() if each != i18n.catalogue(lang, "notebook")["hf"][key]]
    assert len(foreign) >= 8 and "@" not in written.replace("rows @ rows.T", "")
    assert [each for each in foreign if f'"{each}"' in written or f"# {each}" in written] == []


@pytest.mark.parametrize("lang", ["en", "fr"])
def test_transformers_cells_say_what_ours_say(maker, lang: str) -> None:
    """Without a draw both take the same tokens, but where the first two are as good as equal."""
    pytest.importorskip("transformers")
    cells = maker.session(lang)["cells"]
    with capot.open("boxed", lang=lang) as model:
        space: dict = {"model": model}
        exec("".join(cells[2]["source"]), space)
        parts = [part for lesson in read_course(None, lang).lessons for part in lesson.parts]
        calls = [call for part in parts for call in getattr(part, "calls", ())]
        greedy = [call.given for call in calls if call.verb == "generate" and call.given["temperature"] == 0]
        assert len(greedy) >= 2
        for given in greedy:
            theirs = space["hf_generate"](given["prompt"], given["max_new_tokens"])
            begun = ""
            for token in model.generate(**given).tokens:
                if not theirs.startswith(begun + token.text):
                    first, second = model.next(given["prompt"] + begun, k=2).candidates
                    assert second.probability > 0.8 * first.probability, (begun, theirs)
                    break
                begun += token.text


def elsewhere(folder: Path, family: str) -> Path:
    """A model of random weights of a family, that cuts texts as the box does."""
    hf_helpers.make(folder, family, vocab_size=16384, bos_token_id=0, eos_token_id=0)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(BOXED / name, folder / name)
    return folder


@pytest.mark.parametrize(
    ("family", "numbers"),
    [
        ("gpt2", (5,)),
        *(pytest.param(family, range(9), marks=pytest.mark.soak) for family in ("gpt2", "qwen3_moe", "mamba")),
    ],
)
def test_notebook_tour_and_key_run_on_another_family_without_a_change(
    maker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, family: str, numbers: Sequence[int]
) -> None:
    """These families are opened by the transformers engine, and some have no attention."""
    from capot.cli import run

    pytest.importorskip("transformers")
    monkeypatch.setenv("CAPOT_MODEL", str(elsewhere(tmp_path / family, family)))
    cells = maker.session("fr")["cells"]
    if len(numbers) == 1:
        cells = of_lesson(cells, numbers[0])
    maker.run(cells)
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert sum(not cell["outputs"] for cell in code) == 3, "opening and closing alone say nothing"
    if len(numbers) > 1:
        for name in ("tour", "key", "worksheet"):
            path = tmp_path / f"{name}.html"
            assert run([name, "-o", str(path), "--lang", "fr"]) == 0
            page = path.read_text(encoding="utf-8")
            assert page.startswith("<!doctype html>") and 'lang="fr"' in page
            assert name == "tour" or "{{" not in page, "the tour's page brings a script of others"


@pytest.mark.soak
def test_the_notebook_runs_on_the_transformers_engine(maker, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = capot.open
    monkeypatch.setattr(capot, "open", lambda **given: opened("boxed", engine="transformers", **given))
    cells = maker.session("en")["cells"]
    maker.run(cells)
    assert sum(cell["cell_type"] == "code" and not cell["outputs"] for cell in cells) == 3


def test_without_transformers_its_cells_are_skipped_by_name(maker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    cells = of_lesson(maker.session("en")["cells"], 3)
    maker.run(cells)
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert "is not installed" in json.dumps(code[1]["outputs"])
    assert not any(cell["outputs"] for cell in code if cell["source"][0].startswith("# transformers"))
