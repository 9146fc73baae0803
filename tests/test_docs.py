"""The pages: commands print what they show, code runs, links lead somewhere, both languages are there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / "tools"))
import docs

ALL = [block for page in docs.pages() for block in docs.blocks(page)]
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("block", [b for b in ALL if b.kind == "console"], ids=lambda b: b.name)
def test_commands_print_what_the_page_shows(block: docs.Block) -> None:
    assert list(docs.shown(block))
    for command, told in docs.shown(block):
        real = docs.ran(command, block.page)
        assert docs.same(told, real), f"{command}\nthe page:\n{told}\nnow:\n{real}\n(python tools/docs.py --write)"


@pytest.mark.parametrize("block", [b for b in ALL if b.kind == "python"], ids=lambda b: b.name)
def test_code_runs(block: docs.Block, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", block.text],
        capture_output=True, text=True, encoding="utf-8", cwd=tmp_path, env=docs.surroundings(block.page), check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", docs.pages(), ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if not re.match(r"[a-z]+:", target):
            assert (page.parent / target).exists(), target


def test_every_page_has_its_twin() -> None:
    english = {p.name for p in (ROOT / "docs").glob("*.md")} - {"architecture.md"}
    french = {p.name for p in (ROOT / "docs" / "fr").glob("*.md")}
    assert english == french
    assert (ROOT / "README.md").exists() and (ROOT / "README.fr.md").exists()


def test_a_chapter_has_a_page_in_both_languages() -> None:
    table = (ROOT / "docs/architecture.md").read_text(encoding="utf-8").split("## Floors")[0]
    chapters = re.findall(r"(?m)^\| (\w+) \| .*`", table)
    assert len(chapters) == 7
    for chapter in chapters:
        assert (ROOT / f"docs/{chapter}.md").exists(), chapter


def test_the_guard_sees_a_difference() -> None:
    assert docs.same("a\n…\nc", "a\nb\nb\nc")
    assert docs.same("", "")
    assert not docs.same("a\n…\nc", "a\nb\nd")
    assert not docs.same("a", "a\nb")
