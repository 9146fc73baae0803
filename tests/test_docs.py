"""The pages: commands print what they show, code runs, links lead somewhere, both languages are there."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import pytest
from conftest import ROOT

import capot

sys.path.insert(0, str(ROOT / "tools"))
import docs
from capot.chapters.registry import CHAPTERS

ALL = [block for page in docs.pages() for block in docs.blocks(page)]
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("block", [b for b in ALL if b.kind == "console"], ids=lambda b: b.name)
def test_commands_print_what_the_page_shows(block: docs.Block) -> None:
    assert list(docs.shown(block))
    for command, told in docs.shown(block):
        real = docs.run_command(command, block.page)
        assert docs.page_tells(command, told, real), f"{command}\n{told}\nnow:\n{real}\n(python tools/docs.py)"


@pytest.mark.parametrize("block", [b for b in ALL if b.kind == "python"], ids=lambda b: b.name)
def test_code_runs(block: docs.Block, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", block.text],
        capture_output=True, text=True, encoding="utf-8", cwd=tmp_path, env=docs.environment(block.page), check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", docs.pages(), ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if not re.match(r"[a-z]+:", target):
            assert (page.parent / target).exists(), target


def test_every_page_has_its_twin() -> None:
    english = {p.name for p in (ROOT / "docs").glob("*.md")}
    french = {p.name for p in (ROOT / "docs" / "fr").glob("*.md")}
    assert english == french
    assert (ROOT / "README.md").exists() and (ROOT / "README.fr.md").exists()


def test_the_house_is_the_same_in_both_languages() -> None:
    pages = [(ROOT / folder / "architecture.md").read_text(encoding="utf-8") for folder in ("docs", "docs/fr")]
    english, french = (Counter(re.findall(r"`[^`\n]+`", page)) for page in pages)
    assert english == french, "what is named in code is named in both, as often"
    assert len({page.count("\n## ") for page in pages}) == 1 and sum(english.values()) > 100


def test_a_chapter_has_a_page_in_both_languages() -> None:
    table = (ROOT / "docs/architecture.md").read_text(encoding="utf-8").split("## Floors")[0]
    chapters = re.findall(r"(?m)^\| `(\w+)` \| .*`", table)
    assert chapters == [chapter.name for chapter in CHAPTERS] and len(chapters) >= 8
    for chapter in chapters:
        page = {"models": "hub"}.get(chapter, chapter)
        assert (ROOT / f"docs/{page}.md").exists(), chapter


def test_the_guard_sees_a_difference() -> None:
    assert docs.same_output("a\n…\nc", "a\nb\nb\nc")
    assert docs.same_output("", "")
    assert not docs.same_output("a\n…\nc", "a\nb\nd")
    assert not docs.same_output("a", "a\nb")


def test_a_network_may_round_otherwise_and_say_nothing_else() -> None:
    command, told = "capot next a -k 2", "·Paris  97.7%  ████▉  rank 1\n·C       0.1%"
    assert docs.page_tells(command, told, "·Paris  97.6%  ████▊  rank 1\n·C      0.09%")
    assert not docs.page_tells(command, told, "·Paris  91.0%  ████▊  rank 1\n·C       0.1%")
    assert not docs.page_tells(command, told, "·Paris  97.7%  ████▉  rank 2\n·C       0.1%")
    assert not docs.page_tells(command, told, "·Rome   97.7%  ████▉  rank 1\n·C       0.1%")
    assert not docs.page_tells("capot tokens a", told, told.replace("97.7", "97.6"))
    assert not docs.page_tells("capot next a --model scripted", told, told.replace("97.7", "97.6"))


def test_a_page_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docs, "run_command", lambda command, page: f"output of {command}")
    page = tmp_path / "README.fr.md"
    page.write_text("a\n```console\n$ capot a\nold\n\n$ capot b\n…\n```\nb\n", encoding="utf-8")
    assert docs.update(page) and not docs.update(page)
    shown = "$ capot a\noutput of capot a\n\n$ capot b\n…\n"
    assert page.read_text(encoding="utf-8") == f"a\n```console\n{shown}```\nb\n"


@pytest.mark.parametrize("page", ["README.md", "README.fr.md"])
def test_the_readme_tells_the_size_of_the_model(page: str) -> None:
    with capot.open() as model:
        card = model.card()
    text = (ROOT / page).read_text(encoding="utf-8").replace(",", ".")
    assert f"{card.parameters.total / 1e6:.1f} million" in text
    assert f"{card.file_bytes['bfloat16'] / 1e6:.1f} M" in text


@pytest.mark.parametrize("page", ["README.md", "README.fr.md", "docs/python.md", "docs/fr/python.md"])
def test_the_sizes_in_a_page_are_those_of_the_model(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with capot.open() as model:
        card = model.card().to_dict()
    size = card["file_bytes"]["bfloat16"]
    other = card | {"parameters": {"total": 10**9}, "file_bytes": {"bfloat16": 2 * size}}
    text = (ROOT / page).read_text(encoding="utf-8")
    monkeypatch.setattr(docs, "run_command", lambda command, page: json.dumps(other))
    spoilt = docs.with_sizes(text, ROOT / page)
    monkeypatch.setattr(docs, "run_command", lambda command, page: json.dumps(card))
    assert spoilt != text and docs.with_sizes(spoilt, ROOT / page) == text


def test_what_a_page_leaves_out_is_left_out_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docs, "run_command", lambda command, page: "title\n\nA\n\nB\n\nC\n\nD")
    block = docs.Block(ROOT / "README.md", "text", "$ capot a\nold title\n\nold a\n\n…\n\nold d\n", 1)
    assert docs.abridged(block) == "$ capot a\ntitle\n\nA\n\n…\n\nD\n"


@pytest.mark.parametrize("lang", ["en", "fr"])
def test_the_picture_shows_what_the_model_says(lang: str) -> None:
    picture = ElementTree.fromstring((ROOT / f"docs/road.{lang}.svg").read_bytes())
    words = tomllib.loads((ROOT / "tools/picture.toml").read_text(encoding="utf-8"))[lang]
    texts = [(text.text, text.get("text-anchor")) for text in picture.iter("{http://www.w3.org/2000/svg}text")]
    with capot.open() as model:
        cut, found = model.tokens(words["prompt"]), model.next(words["prompt"], k=5)
    assert {words["prompt"], *(str(token.id) for token in cut.tokens)} <= {text for text, _ in texts}
    bars = [text for text, kind in texts if kind == "end"]
    assert bars[:3] == [candidate.label for candidate in found.candidates[:3]]
    assert (ROOT / f"docs/road.{lang}.svg").stat().st_size < 30_000
