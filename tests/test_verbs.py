"""The verbs of ``Model`` as who uses them reads them: methods with keywords, defaults, words and an example."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import subprocess
import sys
import typing
from typing import Any

import jedi
import pytest

import capot
from capot.chapters.protocols import Opened
from capot.chapters.registry import verbs
from capot.config import Loading, Sampling
from capot.model import Model

VERBS = sorted(verbs())
OWN = ("lang", "progress")  # what opening takes that is no part of which model it is
SETTINGS = {field.name: field for field in dataclasses.fields(Sampling)}


def editor(code: str) -> jedi.Script:
    return jedi.Script(f"import capot\nmodel = capot.open()\n{code}")


def test_an_editor_completes_every_verb() -> None:
    offered = {found.name for found in editor("model.").complete()}
    assert set(VERBS) <= offered and {"name", "close", "tokenizer"} <= offered


@pytest.mark.parametrize("name", VERBS)
def test_an_editor_shows_a_verb_with_its_keywords_and_its_words(name: str) -> None:
    (shown,) = editor(f"model.{name}(").get_signatures()
    ours = list(inspect.signature(getattr(Model, name)).parameters)[1:]
    assert [parameter.name for parameter in shown.params] == ours
    words = shown.docstring(raw=True)
    assert words.splitlines()[0] and all(mark in words for mark in ("Units:", "Raises:", ">>> import capot"))
    if name == "stream":
        assert "those of :meth:`generate`" in words
    else:
        assert [each for each in ours if f"``{each}``" not in words] == []


def test_an_editor_knows_what_a_verb_answers_and_what_opening_takes() -> None:
    offered = {found.name for found in editor("model.next('x').candidates[0].").complete()}
    assert {"id", "text", "probability", "rank"} <= offered
    (shown,) = jedi.Script("import capot\ncapot.open(").get_signatures()
    ours = [field.name for field in dataclasses.fields(Loading)]
    assert [parameter.name for parameter in shown.params] == [*ours, *OWN]


def hints(function: Any) -> dict[str, Any]:
    """A function's annotations resolved, those included that its module imports for type checkers alone."""
    module = inspect.getmodule(function)
    names = dict(vars(module))
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            exec(compile(ast.Module(node.body, []), "<imports>", "exec"), names)
    return typing.get_type_hints(function, globalns=names)


@pytest.mark.parametrize("name", VERBS)
def test_a_method_and_its_chapter_say_the_same(name: str) -> None:
    """Names, order, defaults and types; where the chapter takes ``**settings`` the method names each of them."""
    method, function = getattr(Model, name), verbs()[name][1].load()
    takes, told = dict(inspect.signature(method).parameters), dict(inspect.signature(function).parameters)
    ours, theirs = hints(method), hints(function)
    assert ours.pop("self") == theirs.pop("model") == Opened and takes.pop("self") and told.pop("model")
    if "settings" in told:
        assert told.pop("settings").kind is inspect.Parameter.VAR_KEYWORD and theirs.pop("settings")
        mine = {each: takes.pop(each) for each in SETTINGS}
        assert {each: p.default for each, p in mine.items()} == {each: f.default for each, f in SETTINGS.items()}
        assert {each: ours.pop(each) for each in mine} == typing.get_type_hints(Sampling)
        assert {parameter.kind for parameter in mine.values()} == {inspect.Parameter.KEYWORD_ONLY}
    assert [(p.name, p.kind, p.default) for p in takes.values()] == [(p.name, p.kind, p.default) for p in told.values()]
    assert ours == theirs


def test_opening_says_the_fields_of_loading() -> None:
    told = {name: p.default for name, p in inspect.signature(capot.open).parameters.items()}
    fields = {field.name: field.default for field in dataclasses.fields(Loading)}
    assert told == {**fields, "model": None, **dict.fromkeys(OWN)}  # no name: CAPOT_MODEL, else the boxed one
    with pytest.raises(TypeError, match="enginee"):  # codespell:ignore
        capot.open("scripted", enginee="native")  # codespell:ignore


def test_a_wrong_keyword_is_said_at_once() -> None:
    with capot.open("scripted") as model:
        with pytest.raises(TypeError, match="promt"):  # codespell:ignore
            model.next(promt="x")  # codespell:ignore
        with pytest.raises(TypeError, match="temperatur"):  # codespell:ignore
            model.generate("x", temperatur=3)  # codespell:ignore


def test_a_model_is_opened_without_its_chapters() -> None:
    """Of each chapter its list of verbs alone is read, and their bounds where they are no sampling's."""
    code = (
        "import capot, sys; model = capot.open('boxed'); model.next\n"
        "names = [name for name in sys.modules if name.startswith('capot.chapters.') and name.count('.') > 2]\n"
        "print(sorted(name for name in names if not name.endswith('.bounds')))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
