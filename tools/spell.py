"""Spell-check every French and English word that a user can read: catalogues and pages.

Words that are right but in no dictionary (names, the field's terms) stand in
``tools/words-fr.txt`` and ``tools/words-en.txt``, one a line, sorted; ``--sort`` sorts them.
"""

from __future__ import annotations

import itertools
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from spellchecker import SpellChecker
from typography import MACHINE

ROOT = Path(__file__).resolve().parent.parent
WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
PYTHON = re.compile(r"(?:\b(?:model|answer|stream|multiprocessing|capot)\.\w|\bimport \w+[;,]|\bfrom [\w.]+ import ).*")
ELISION = re.compile(r"^(?:[cdjlmnst]|qu|jusqu|lorsqu|puisqu|quoiqu|presqu|quelqu)[’']", re.IGNORECASE)


def sentences(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for item in value.values():
            yield from sentences(item)
    elif isinstance(value, str):
        yield value


def prose(text: str) -> str:
    """Return the text without code, links, placeholders, options and quoted examples."""
    # Longest first: what is inside of a block of code must not be taken for the end of one.
    for pattern in (
        r"(?s)```.*?```",
        r"(?m)^ {4}.*$",
        r"`[^`]*`",
        r"\{call\}\([^\n]*",  # a line of Python in the hint of an error
        r"\{\w*[:}]",
        r"[|}]",
        r"\]\([^)]*\)",
        r"<[^>]*>",
        r"https?://\S+",
        r"(?<!\w)--?[\w-]+",
    ):
        text = re.sub(pattern, " ", text)
    # Sentences of the catalogues are short; in pages a line of Python stands in a block.
    if text.count("\n") >= 3:
        return text
    text = PYTHON.sub(" ", text)
    return re.sub(r"\b(?:capot|pip|export|unset)\b[^.\n]*", " ", text)


def pages(lang: str) -> Iterator[Path]:
    if lang == "fr":
        yield from ROOT.glob("*.fr.md")
        yield from (ROOT / "docs" / "fr").rglob("*.md")
    else:
        yield from (p for p in ROOT.glob("*.md") if not p.name.endswith(".fr.md"))
        yield from (ROOT / "docs").glob("*.md")


def lessons(lang: str) -> list[Path]:
    folder = ROOT / "src/capot/lessons"
    return [*sorted((folder / lang).glob("*.md")), folder / f"blank/{lang}.md"]


def unfenced(text: str) -> str:
    """Return a lesson with the sentences of its blocks among its own; what a program or a model reads is left out."""
    text = "\n".join(line for line in text.split("\n") if not MACHINE.match(line))
    text = re.sub(r"^(?:```.*|\w+ = (?=\S)|\+\+\+)", "", text, flags=re.MULTILINE)
    return re.sub(r"\{\{[^}]*\}\}|, (?:of|times|tolerance|share|unit) = [^,}]*|\bask = ", " ", text)


def texts(lang: str) -> Iterator[tuple[str, str]]:
    for path in sorted((ROOT / "src/capot").rglob(f"words/{lang}/*.toml")):
        for sentence in sentences(tomllib.loads(path.read_text(encoding="utf-8"))):
            yield path.name, sentence
    for path in lessons(lang):
        yield str(path.relative_to(ROOT)), unfenced(path.read_text(encoding="utf-8"))
    for path in sorted(pages(lang)):
        yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")


# Two letters and acronyms are in no dictionary worth having.
def parts(word: str, lang: str) -> Iterator[str]:
    """Yield the dictionary words inside one written word: elisions and hyphens come apart."""
    if lang == "fr":
        word = ELISION.sub("", word)
    for part in re.split(r"[-’']", word):
        if len(part) > 2 and not part.isupper():
            yield part


def unknown(lang: str) -> dict[str, set[str]]:
    known = set((ROOT / f"tools/words-{lang}.txt").read_text(encoding="utf-8").lower().split())
    checker = SpellChecker(language=lang)
    where: dict[str, set[str]] = {}
    for source, text in texts(lang):
        for word in WORD.findall(prose(text)):
            for part in parts(word, lang):
                lowered = part.lower()
                if lowered not in known and not checker.known([lowered]) and not any(c.isupper() for c in part[1:]):
                    where.setdefault(lowered, set()).add(source)
    return where


def lists() -> list[Path]:
    """Return the lists of words: those of this check, and codespell's."""
    return [*sorted((ROOT / "tools").glob("words-*.txt")), ROOT / "tools/codespell-ignore.txt"]


def unsorted(path: Path) -> str | None:
    """Return the first word of a list that stands behind a later or an equal one, with its line."""
    words = path.read_text(encoding="utf-8").splitlines()
    for number, (before, word) in enumerate(itertools.pairwise(words), start=2):
        if before >= word:
            return f"{path.name}:{number}: {word!r} comes before {before!r}, or twice: python tools/spell.py --sort"
    return None


def sort(path: Path) -> None:
    words = set(path.read_text(encoding="utf-8").split())
    path.write_text("".join(f"{word}\n" for word in sorted(words)), encoding="utf-8")


def main(*arguments: str) -> None:
    if "--sort" in arguments:
        for path in lists():
            sort(path)
    wrong = list(filter(None, map(unsorted, lists())))
    print("\n".join(wrong), end="\n" * bool(wrong))
    failed = bool(wrong)
    for lang in ("fr", "en"):
        for word, sources in sorted(unknown(lang).items()):
            failed = True
            print(f"{lang}: {word!r} in {', '.join(sorted(sources))}")
    sys.exit("unknown words: correct them, or add them to tools/words-*.txt" if failed else 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
