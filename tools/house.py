"""The house as its code has it: floors, rooms, chapters, and the tables of ``docs/architecture.md``.

``python tools/house.py`` puts the tables in both pages anew; ``tests/test_house.py`` holds the code to the floors
and the pages to the code.
"""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import re
import sys
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "capot"
sys.path.insert(0, str(ROOT / "src"))
from capot.chapters.chapter import Chapter  # noqa: E402 - where the package lies had to be said first
from capot.chapters.registry import CHAPTERS as REGISTERED  # noqa: E402

CHAPTERS = [chapter.name for chapter in REGISTERED]

# From the ground up. A module may import its own room, and any room of a floor below.
FLOORS = [
    {"errors", "i18n", "config"},
    {"view"},
    {"sources"},
    {
        "text",
        "engines.protocol",
        "engines.inside",
        "engines.edits",
        "engines.decode_plan",
        "engines.seen",
        "engines.openmp",
        "engines.forks",
        "engines.cancellation",
    },
    {"engines.scheduler", "engines.native", "engines.transformers", "engines.scripted"},
    {"engines.openai"},  # whose scheduler is one of its own
    {"engines"},  # the chooser: its ``__init__``
    {"chapters.protocols", "chapters.chapter", "chapters.hints", "chapters.token_texts", "chapters.sampling_from_top"},
    {f"chapters.{name}" for name in CHAPTERS},
    {"chapters.arguments"},
    {"chapters.called"},
    {"chapters.registry"},
    {"chapters.settings"},
    {"model"},
    {"lessons"},
    {"web"},
    {"cli", ""},
    {"__main__"},
]
# Rooms of one floor that may see each other; elsewhere a floor's rooms are strangers.
NEIGHBOURS = {
    ("errors", "i18n"),
    ("config", "errors"),
    ("engines.protocol", "engines.inside"),
    ("engines.protocol", "engines.edits"),
    ("engines.inside", "engines.edits"),
    ("engines.protocol", "engines.seen"),
}
CHAPTERS_SEE = {(f"chapters.{one.name}", f"chapters.{other}") for one in REGISTERED for other in one.sees}
# What no floor says: an engine computes with ids and knows of no text, a chapter knows no engine by name.
STRANGERS = [
    ("engines", {"text"}),
    ("chapters", {"engines.native", "engines.transformers", "engines.openai", "engines.scripted"}),
]


@functools.cache  # files are what they are while this runs
def modules() -> dict[str, Path]:
    """Every module of the package by its name inside it; "" is the package."""
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def room_of(module: str) -> str:
    """Return the room of a module: ``engines.native.cache`` is in ``engines.native``.

    A folder that only holds rooms (``chapters``) is at home in the highest of them.
    """
    names = {name for floor in FLOORS for name in floor}
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        if ".".join(parts[:length]) in names:
            return ".".join(parts[:length])
    inside = [name for name in names if name.startswith(f"{module}.")]
    if not inside:
        raise AssertionError(f"{module} stands on no floor")
    return max(inside, key=floor)


def floor(room: str) -> int:
    return next(height for height, rooms in enumerate(FLOORS) if room in rooms)


def imports_upward(module: str, other: str) -> bool:
    """Return whether ``module`` may not import ``other``."""
    ours, theirs = room_of(module), room_of(other)
    if ours == theirs:
        return False
    if any(inside(ours, who) and any(inside(theirs, room) for room in rooms) for who, rooms in STRANGERS):
        return True
    if floor(theirs) < floor(ours):
        return False
    return (ours, theirs) not in NEIGHBOURS | {(b, a) for a, b in NEIGHBOURS} | CHAPTERS_SEE


def inside(room: str, folder: str) -> bool:
    return room == folder or room.startswith(f"{folder}.")


@functools.cache
def imports(module: str) -> dict[str, bool]:
    """Return the modules of the package that one imports, and whether the import is run when the module is."""
    known = modules()
    found: dict[str, bool] = {}

    def look(node: ast.AST, now: bool) -> None:
        for child in ast.iter_child_nodes(node):
            later = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
            later = later or (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test))
            for name in named(child):
                if name in known and name != module:
                    found[name] = found.get(name, False) or now
            look(child, now and not later)

    look(ast.parse(known[module].read_text(encoding="utf-8")), True)
    return found


def named(node: ast.AST) -> set[str]:
    """Return the modules that an import statement may mean, as names inside the package."""
    if isinstance(node, ast.Import):
        return {alias.name.removeprefix("capot.") for alias in node.names if alias.name.startswith("capot.")}
    if not isinstance(node, ast.ImportFrom) or (node.module or "").split(".")[0] != "capot":
        return set()
    base = (node.module or "").removeprefix("capot").lstrip(".")
    known = modules()
    names = {f"{base}.{alias.name}".lstrip(".") for alias in node.names}
    return {name if name in known else base for name in names} - {""}


def rooms() -> list[str]:
    """Return the rooms at the top, faces first, as the pages name them."""
    top = {module.split(".")[0] for module in modules()} - {"", "__main__"}
    return sorted(top, key=lambda room: (-max(floor(room_of(m)) for m in modules() if inside(m, room)), room))


def picture() -> str:
    """Each room and those that it imports, deferred imports included."""
    lines = []
    for room in rooms():
        ours = [module for module in modules() if inside(module, room)]
        below = {name.split(".")[0] for module in ours for name in imports(module)} - {room}
        lines.append(f"{room:9} -> {' '.join(each for each in rooms() if each in below) or '.'}")
    return "```text\n" + "\n".join(lines) + "\n```"


def verbs(chapter: str) -> list[str]:
    """Return the chapter's verbs of ``Model``."""
    return list(registered(chapter).verbs)


def registered(chapter: str) -> Chapter:
    return next(each for each in REGISTERED if each.name == chapter)


def answers(chapter: str) -> list[str]:
    """Return the results that the chapter's public functions answer, as their annotations name them."""
    from capot.view.result import Result

    found: dict[str, None] = {}
    for path in sorted((SOURCE / "chapters" / chapter).glob("*.py")):
        module = importlib.import_module(f"capot.chapters.{chapter}.{path.stem}")
        for name, function in vars(module).items():
            if inspect.isfunction(function) and function.__module__ == module.__name__ and not name.startswith("_"):
                for word in re.findall(r"\w+", str(function.__annotations__.get("return"))):
                    kind = vars(module).get(word)
                    answer = isinstance(kind, type) and issubclass(kind, Result)
                    ours = answer and kind.__module__.startswith(f"capot.chapters.{chapter}.")
                    found |= {word: None} if ours else {}
    return list(found)


def commands(chapter: str) -> list[str]:
    return list(registered(chapter).commands)


def question(chapter: str, lang: str) -> str:
    return registered(chapter).words(lang)["question"]


COLUMNS = {
    "en": ("chapter and page", "question", "folder", "verbs of `Model`", "results", "commands"),
    "fr": ("chapitre et page", "question", "dossier", "verbes de `Model`", "résultats", "commandes"),
}


def chapter_table(lang: str) -> str:
    def code(names: list[str]) -> str:
        return ", ".join(f"`{name}`" for name in names) or "–"

    rows = ["| " + " | ".join(COLUMNS[lang]) + " |", "|---" * len(COLUMNS[lang]) + "|"]
    for name in CHAPTERS:
        named = map(code, (verbs(name), answers(name), commands(name)))
        rows.append("| " + " | ".join([f"`{name}`", question(name, lang), f"`chapters/{name}/`", *named]) + " |")
    return "\n".join(rows)


def _between(made: str, marks: re.Match[str]) -> str:
    return f"{marks[1]}{made}\n{marks[2]}"


def with_tables(text: str, lang: str) -> str:
    """Return a page with what is made from the code made anew, between its marks."""
    for name, made in (("chapters", chapter_table(lang)), ("rooms", picture())):
        marks = re.compile(rf"(<!-- made by tools/house\.py: {name} -->\n).*?(<!-- made -->)", re.DOTALL)
        text = marks.sub(partial(_between, made), text)
    return text


def main() -> None:
    for lang, page in (("en", "docs/architecture.md"), ("fr", "docs/fr/architecture.md")):
        path = ROOT / page
        text = path.read_text(encoding="utf-8")
        path.write_text(with_tables(text, lang), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
