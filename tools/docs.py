"""Run what the pages show: every ``$ capot ...`` of a console block, every python block.

``python tools/docs.py`` says what differs; ``python tools/docs.py --write`` puts the real output
in its place. ``tests/test_docs.py`` holds the pages to it. A line ``…`` alone stands for any
number of lines. What changes from run to run (times, this machine) belongs in a ``text`` block.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"(?ms)^```(console|python)\n(.*?)^```$")
ANY = "…"  # a line that stands for any number of lines


@dataclass(frozen=True)
class Block:
    """A fenced block of a page: what language, its text, and where it stands."""

    page: Path
    kind: str
    text: str
    line: int

    @property
    def name(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def pages() -> list[Path]:
    """Every page that shows commands: the README and the docs, in both languages."""
    return sorted([*ROOT.glob("README*.md"), *(ROOT / "docs").rglob("*.md")])


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for found in BLOCK.finditer(text):
        yield Block(page, found[1], found[2], text.count("\n", 0, found.start()) + 1)


def language(page: Path) -> str:
    return "fr" if "fr" in page.parts or page.name.endswith(".fr.md") else "en"


def surroundings(page: Path) -> dict[str, str]:
    """A terminal of 80 columns on a machine of 16 GB, in the page's language, with nothing else set."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CAPOT_", "HF_"))}
    told = {"CAPOT_RAM": "16", "COLUMNS": "80", "NO_COLOR": "1", "CAPOT_LANG": language(page), "PYTHONUTF8": "1"}
    return kept | told


def ran(command: str, page: Path) -> str:
    """What a command prints on standard output, run in an empty folder."""
    words = shlex.split(command)
    assert words[0] == "capot", f"only capot is run: {command}"
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-m", "capot", *words[1:]],
            capture_output=True, text=True, encoding="utf-8", cwd=folder, env=surroundings(page), check=False,
        )  # fmt: skip
    return "\n".join(line.rstrip() for line in done.stdout.splitlines()).strip("\n") or done.stderr.strip()


def shown(block: Block) -> Iterator[tuple[str, str]]:
    """Each command of a console block, and the output that the page gives it."""
    for part in re.split(r"(?m)^\$ ", block.text)[1:]:
        command, _, output = part.partition("\n")
        yield command, output.strip("\n")


def same(told: str, real: str) -> bool:
    """Whether the page tells the real output; ``…`` alone on a line stands for any lines."""
    lines = [line.rstrip() for line in told.splitlines()]
    pattern = "".join("(?:.*\n)*?" if line == ANY else re.escape(line) + "\n" for line in lines)
    return re.fullmatch(pattern, real.strip("\n") + "\n" if real else "") is not None


def console(block: Block) -> str:
    """The block with the outputs it should have; an elided output that still fits is kept."""
    text = ""
    for command, told in shown(block):
        real = ran(command, block.page)
        output = told if same(told, real) else real
        text += f"$ {command}\n" + (output + "\n" if output else "") + "\n"
    return text.rstrip("\n") + "\n"


def main() -> None:
    wrong = 0
    for page in pages():
        for block in [b for b in blocks(page) if b.kind == "console"]:
            fresh = console(block)
            if fresh.split() == block.text.split():
                continue
            wrong += 1
            print(block.name)
            if "--write" in sys.argv:
                text = page.read_text(encoding="utf-8")
                page.write_text(text.replace(block.text, fresh, 1), encoding="utf-8")
    sys.exit("some blocks differ" if wrong and "--write" not in sys.argv else 0)


if __name__ == "__main__":
    main()
