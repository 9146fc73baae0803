"""Docstrings and the page of the house: a function says what it does, and what is named is there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from conftest import ROOT

HOUSE = ROOT / "src" / "capot"
# What begins a noun, a question or half a sentence, where a function's docstring begins with what it does.
NO_VERB = frozenset(
    word
    for line in (
        "a all an and as at both by each every everything for from how if in its neither no none nothing of on one",
        "other our side some that the their these this those two what when where whether which who whoever whole why",
        "with",
    )
    for word in line.split()
)
VERBS_IN_S = {"Guess", "Pass", "Process"}  # an imperative in s; a plural is a noun
# Named in docstrings, and somebody else's: headers and errors of HTTP, steps of the tokenizers library.
FOREIGN = {
    "DecodePrecompiledCharsMap", "EntryNotFound", "Forwarded", "GatedRepo", "Host", "Origin", "RepoNotFound",
    "RevisionNotFound", "Secure",
}  # fmt: skip
# In docs/architecture.md: variables of the environment, patterns of keys, stages of the scheduler.
WORDS_OF_THE_PAGE = {"CAPOT_API_KEY", "COMMAND.cli.SETTING", "COMMAND.cli.short", "prefill"}
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@cache
def trees() -> dict[str, ast.Module]:
    return {
        path.relative_to(HOUSE).as_posix(): ast.parse(path.read_text(encoding="utf-8")) for path in HOUSE.rglob("*.py")
    }


def docstrings(*kinds: type[ast.AST]) -> Iterator[tuple[str, str]]:
    for name, tree in trees().items():
        for node in ast.walk(tree):
            if isinstance(node, kinds) and isinstance(node, DOCUMENTED) and (text := ast.get_docstring(node)):
                yield f"{name}:{getattr(node, 'lineno', 1)}", text


def begins_with_a_verb(text: str) -> bool:
    """Whether the first word may be an imperative, as far as a rule can tell."""
    first = text.split()[0].rstrip(",.:")
    if first in ("Raises", "Shapes", "Units"):  # a property of a protocol whose name says the rest
        return True
    plural = first.endswith("s") and first not in VERBS_IN_S
    return bool(re.fullmatch(r"[A-Z][a-z]+", first)) and first.lower() not in NO_VERB and not plural


def test_a_functions_docstring_begins_with_what_it_does() -> None:
    found = list(docstrings(ast.FunctionDef, ast.AsyncFunctionDef))
    assert len(found) > 1500
    assert [f"{place} {text.splitlines()[0]}" for place, text in found if not begins_with_a_verb(text)] == []


def test_the_guard_sees_a_noun() -> None:
    nouns = ["The ids.", "Bytes of a file.", "``text`` cut.", "x, y", "Whether it is.", "None: a form."]
    verbs = ["Return the ids.", "Cut ``text``.", "Read, then answer.", "Raises: InputError.", "Pass it on."]
    assert [begins_with_a_verb(text) for text in (*nouns, *verbs)] == [False] * len(nouns) + [True] * len(verbs)


@cache
def names() -> set[str]:
    """Every name that the code has: of a file, a folder, a class, a function, a variable, an argument."""
    found = {part for path in (HOUSE, *HOUSE.rglob("*")) for part in (path.stem, path.name)}
    for tree in trees().values():
        for node in ast.walk(tree):
            found |= {getattr(node, field, None) for field in ("name", "id", "attr", "arg", "asname")}
            if isinstance(node, ast.ImportFrom | ast.Import):
                found |= {part for alias in node.names for part in alias.name.split(".")}
    return {name for name in found if isinstance(name, str)}


def unknown(found: str) -> bool:
    return any(part not in names() for part in found.split("."))


def test_docstrings_name_what_is_there() -> None:
    """Where a class is renamed, what was written of it elsewhere is too."""
    named = re.compile(r":\w+:`~?([\w.]+)`|``([A-Z]\w*[a-z]\w*)``")
    found = [
        (place, link or name)
        for place, text in docstrings(*DOCUMENTED)
        for link, name in named.findall(text)
        if unknown(link or name) and (link or name) not in FOREIGN
    ]
    assert found == []


def test_the_page_of_the_house_names_what_is_there() -> None:
    for page in (Path("docs/architecture.md"), Path("docs/fr/architecture.md")):
        found = re.findall(r"`([A-Za-z_]+(?:\.\w+)*)`", (ROOT / page).read_text(encoding="utf-8"))
        assert len(found) > 100
        assert {name for name in found if unknown(name.removesuffix(".py"))} <= WORDS_OF_THE_PAGE, page
