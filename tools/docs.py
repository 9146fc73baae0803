"""Run what the pages show: every ``$ capot ...`` of a console block, every python block.

``python tools/docs.py`` puts the real outputs in the pages, then makes the picture of the READMEs
and the notebooks anew: nothing else is to be done when the boxed model's files are replaced.
``python tools/docs.py --check`` changes nothing and says which blocks differ;
``tests/test_docs.py`` holds the pages to it. A line ``…`` alone stands for any number of lines.
What changes from run to run (times, this machine) belongs in a ``text`` block. One that leaves out
a part of a command's output is made anew with the same part left out, and held to nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import house

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"(?ms)^```(console|python|text)\n(.*?)^```$")
ANY = "…"  # a line that stands for any number of lines
SIZED = ("README.md", "README.fr.md", "python.md")  # pages that tell the boxed model's sizes
SIZES = {  # of the boxed model, by what stands beside them in a sentence
    r"\d+[.,]\d(?= millions? (?:de paramètres|parameters))": "millions",
    r"\d+[.,]\d(?=[\s\u00a0\u202f]M[Bo](?:,| de poids| of weights))": "megabytes",
    r"(?<=weights_bytes=)\d+": "bytes",
}
COMPUTING = {
    "network",
    "ablate",
    "patch",
    "steer",
    "next",
    "score",
    "generate",
    "context",
    "lens",
    "assistant",
    "chat",
    "tour",
}  # commands that run the network
NUMBER, BAR = re.compile(r"\d+(?:[.,]\d+)?"), re.compile("[█▉▊▋▌▍▎▏]+")


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


def environment(page: Path) -> dict[str, str]:
    """Return a terminal of 80 columns on a machine of 16 GB, in the page's language, with nothing else set."""
    # What a developer has set must not get into a page: models, language, hubs.
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CAPOT_", "HF_"))}
    told = {"CAPOT_RAM": "16", "COLUMNS": "80", "NO_COLOR": "1", "CAPOT_LANG": language(page), "PYTHONUTF8": "1"}
    return kept | told | {"PYTHONPATH": str(ROOT / "src"), "HF_HUB_OFFLINE": "1"}


def run_command(command: str, page: Path) -> str:
    """Return what a command prints on standard output, run in an empty folder."""
    words = shlex.split(command)
    assert words[0] == "capot", f"only capot is run: {command}"
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-m", "capot", *words[1:]],
            capture_output=True, text=True, encoding="utf-8", cwd=folder, env=environment(page), check=False,
        )  # fmt: skip
    # Spaces at line ends are layout; where nothing was printed the error is what a page shows.
    return "\n".join(line.rstrip() for line in done.stdout.splitlines()).rstrip("\n") or done.stderr.strip()


def shown(block: Block) -> Iterator[tuple[str, str]]:
    """Each command of a console block, and the output that the page gives it."""
    for part in re.split(r"(?m)^\$ ", block.text)[1:]:
        command, _, output = part.partition("\n")
        yield command, output.rstrip("\n")


def same_output(told: str, real: str) -> bool:
    """Return whether the page tells the real output; ``…`` alone on a line stands for any lines."""
    lines = [line.rstrip() for line in told.splitlines()]
    pattern = "".join("(?:.*\n)*?" if line == ANY else re.escape(line) + "\n" for line in lines)
    return re.fullmatch(pattern, real + "\n" if real else "") is not None


def page_tells(command: str, told: str, real: str) -> bool:
    """Return whether the page tells what a command answers here.

    Where a network computes, sums are rounded otherwise on another processor: the last digits
    and the length of a bar may differ, no word may.
    """
    words = shlex.split(command)
    if same_output(told, real) or words[1] not in COMPUTING or "scripted" in words or ANY in told.splitlines():
        return same_output(told, real)
    # Bars are dropped and numbers replaced: what is left must be the same, word for word.
    ours, theirs = (" ".join(BAR.sub("", text).split()) for text in (told, real))
    pairs = list(zip(NUMBER.findall(ours), NUMBER.findall(theirs)))
    return NUMBER.sub("#", ours) == NUMBER.sub("#", theirs) and all(close_enough(*pair) for pair in pairs)


def close_enough(told: str, real: str) -> bool:
    """Return whether two numbers differ by rounding alone; whole numbers do not."""
    if told.isdigit() and real.isdigit():
        return told == real
    # Two in a hundred, and a little for the last digit that is shown.
    first, second = (float(number.replace(",", ".")) for number in (told, real))
    return abs(first - second) <= 0.02 * max(first, second) + 0.03


def console(block: Block) -> str:
    """Return the block with the outputs it should have; an elided output that still fits is kept."""
    text = ""
    for command, told in shown(block):
        real = run_command(command, block.page)
        # An elided block that still fits is kept, or each run would write out what the author left out.
        output = told if same_output(told, real) else real
        text += f"$ {command}\n" + (output + "\n" if output else "") + "\n"
    return text.rstrip("\n") + "\n"


def abridged(block: Block) -> str:
    """Return the block with the output it should have, and as many paragraphs before and after what it leaves out."""
    command, told = next(shown(block))
    before, _, after = told.partition(f"\n{ANY}\n")
    parts = run_command(command, block.page).split("\n\n")
    first, last = (part.strip().count("\n\n") + 1 for part in (before, after))
    return "\n\n".join([f"$ {command}\n{parts[0]}", *parts[1:first], ANY, *parts[-last:]]) + "\n"


def with_sizes(text: str, page: Path) -> str:
    """Return a page with the boxed model's sizes where it tells them."""
    if not any(re.search(pattern, text) for pattern in SIZES):
        return text
    card = json.loads(run_command("capot card --json", page))
    size = card["file_bytes"]["bfloat16"]
    told = {"millions": f"{card['parameters']['total'] / 1e6:.1f}", "megabytes": f"{size / 1e6:.1f}"}
    if language(page) == "fr":
        told = {name: number.replace(".", ",") for name, number in told.items()}
    for pattern, name in SIZES.items():
        text = re.sub(pattern, (told | {"bytes": str(size)})[name], text)
    return text


def differs(block: Block) -> bool:
    return not all(page_tells(command, told, run_command(command, block.page)) for command, told in shown(block))


def update(page: Path) -> bool:
    """Put the real outputs in a page; whether it changed."""
    before = page.read_text(encoding="utf-8")
    after = house.with_tables(before, language(page))
    if page.name in SIZED:
        after = with_sizes(after, page)
    for block in blocks(page):
        if block.kind == "console":
            after = after.replace(block.text, console(block), 1)
        elif block.kind == "text" and block.text.startswith("$ capot") and f"\n{ANY}\n" in block.text:
            after = after.replace(block.text, abridged(block), 1)
    if after != before:
        page.write_text(after, encoding="utf-8", newline="\n")
    return after != before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing, say what differs")
    if parser.parse_args().check:
        wrong = [b.name for page in pages() for b in blocks(page) if b.kind == "console" and differs(b)]
        print(*wrong, sep="\n", end="\n" if wrong else "")
        sys.exit("python tools/docs.py" if wrong else 0)
    for page in pages():
        print(page.relative_to(ROOT), "changed" if update(page) else "as it was", flush=True)
    for maker in ("make_picture.py", "make_notebooks.py"):
        subprocess.run([sys.executable, ROOT / "tools" / maker], check=True, env=environment(ROOT / "README.md"))


if __name__ == "__main__":
    main()
