"""Set the French catalogues and pages as French: no-break spaces and ’ where a keyboard left plain ones.

``python tools/typography.py`` rewrites the files in place; what stands between backquotes,
in a fenced block or in a placeholder is left as it is.
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NBSP, NARROW = "\u00a0", "\u202f"


def french(text: str) -> str:
    """One run of prose, set.

    >>> french("L'eau : « bonne » !").replace(NBSP, "~").replace(NARROW, "^")
    'L’eau~: «~bonne~»^!'
    """
    text = re.sub(r"(?<=\w) ([;!?])(?=\s|$|[»)\"])", NARROW + r"\1", text)
    text = re.sub(r"(?<=[»)\w}]) ([;!?])", NARROW + r"\1", text)
    text = re.sub(r" (:)(?=\s|$|\")", NBSP + r"\1", text)
    text = text.replace("« ", "«" + NBSP).replace(" »", NBSP + "»")
    text = re.sub(r"(?<=[\d}]) %", NBSP + "%", text)
    return re.sub(r"(?<=[A-Za-zÀ-ÿ])'(?=[A-Za-zÀ-ÿ{«])", "’", text)


def outside_code(text: str) -> str:
    """``french`` on everything but `code`, fenced blocks and link targets."""
    parts = re.split(r"(```.*?```|`[^`\n]*`|\]\([^)]*\)|<[^>\n]*>)", text, flags=re.DOTALL)
    return "".join(part if index % 2 else french(part) for index, part in enumerate(parts))


def toml_line(line: str) -> str:
    """Set the value of a catalogue line and leave its key alone."""
    key, equals, value = line.partition(" = ")
    return f"{key}{equals}{outside_code(value)}" if equals else outside_code(line)


def notebook_cells(text: str) -> str:
    """Set the French cells of ``notebooks.toml``; the code that stands in them is left as it is.

    >>> fence = '"' * 3
    >>> print(notebook_cells(f"en = {fence}\\nIt's{fence}\\nfr = {fence}\\nL'eau{fence}").replace(fence, "|"))
    en = |
    It's|
    fr = |
    L’eau|
    """
    cells = re.compile(r'(?ms)^(fr = """\n)(.*?)(""")$')
    return cells.sub(lambda cell: cell[1] + outside_code(cell[2]) + cell[3], text)


def lessons() -> list[Path]:
    """Return the French lessons, the blank one included."""
    folder = ROOT / "src/capot/lessons"
    return [*sorted((folder / "fr").glob("*.md")), folder / "blank/fr.md"]


# Lines of a lesson that a program or a model reads: an instrument with its prompt, paths, names.
MACHINE = re.compile(
    r"\s*(?:run|id|kind|of|same|largest|smallest|holds|below|scale|x|y|vary|chapters|expected)\s*=|\s*\{ verb"
)


def lesson(text: str) -> str:
    """Set a lesson: its page, and the sentences in its blocks of TOML; prompts are left as a model reads them.

    >>> lesson('Eau !\\n```figure\\nrun = "Eau !"\\nask = "Eau !"\\n```\\n').replace(NARROW, "^")
    'Eau^!\\n```figure\\nrun = "Eau !"\\nask = "Eau^!"\\n```\\n'
    """
    parts = re.split(r"(^```.*?^```$)", text, flags=re.DOTALL | re.MULTILINE)
    return "".join(_block(part) if index % 2 else outside_code(part) for index, part in enumerate(parts))


def _block(text: str) -> str:
    return "\n".join(
        line if line.startswith("```") or MACHINE.match(line) else outside_code(line) for line in text.split("\n")
    )


def main() -> None:
    for path in lessons():
        path.write_text(lesson(path.read_text(encoding="utf-8")), encoding="utf-8")
    for path in sorted((ROOT / "src/capot").rglob("words/fr/*.toml")):
        lines = path.read_text(encoding="utf-8").split("\n")
        path.write_text("\n".join(map(toml_line, lines)), encoding="utf-8")
    cells = ROOT / "tools/notebooks.toml"
    cells.write_text(notebook_cells(cells.read_text(encoding="utf-8")), encoding="utf-8")
    pages = [*ROOT.glob("*.fr.md"), *(ROOT / "docs/fr").rglob("*.md"), *(ROOT / "training").rglob("*.fr.md")]
    for path in sorted(pages):
        path.write_text(outside_code(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
