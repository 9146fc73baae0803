"""What a verb takes is written once: its method, its command, its route, its forms and its sliders say the same."""

from __future__ import annotations

import importlib
import re
import typing
from importlib import util
from typing import Any

import click
import pytest
from conftest import ROOT

from capot.chapters import registry
from capot.chapters.registry import CHAPTERS
from capot.chapters.settings import SAMPLING, Setting, takes
from capot.cli import commands, group
from capot.cli.words import Choice, Number
from capot.i18n import LANGUAGES, find, tr
from capot.web import form_data
from capot.web.verbs import verbs

STATIC = ROOT / "src" / "capot" / "web" / "static"
SETTINGS = [pytest.param(setting, id=f"{verb}-{name}") for verb in verbs() for name, setting in takes(verb).items()]
# What a command line takes otherwise than its verb does, with the reason.
OTHERWISE = {
    ("next", "temperature"): "several, which the method takes as one and those beside it",
    ("assistant", "template"): "a file, of either kind of template",
    ("chat", "template"): "a file, or a kind by its name",
    ("assistant", "question"): "not needed where only the template is to be written",
    ("memory", "gpu"): "only what was said is refused where nothing is simulated",
    ("memory", "precision"): "the same",
    ("memory", "kv_precision"): "the same",
    ("memory", "users_at"): "the same",
}


def test_the_registry_is_the_folders() -> None:
    folders = {path.parent.name for path in (ROOT / "src/capot/chapters").glob("*/__init__.py")}
    assert {chapter.name for chapter in CHAPTERS} == folders and len(CHAPTERS) == len(folders) > 7
    for chapter in CHAPTERS:
        named = importlib.import_module(f"capot.chapters.{chapter.name}")
        assert named.CHAPTER is chapter
        assert [
            name
            for name in vars(named).get(f"{chapter.name.capitalize()}Verbs", type).__dict__
            if name in chapter.verbs
        ] == list(chapter.verbs)


def test_short_names_and_pages_are_those_of_chapters() -> None:
    import capot

    assert set(capot._CHAPTERS) <= {chapter.name for chapter in CHAPTERS}
    assert set(capot._CHAPTERS) | set(capot._HOMES) | {"__version__"} == set(capot.__all__)
    own = {path.stem for path in (STATIC / "pages").glob("*.js")} - {
        "home",
        "plain",
        "course",
    }  # which are no chapter's
    assert own <= {chapter.name for chapter in registry.rail()} and len(own) > 6


@pytest.mark.parametrize("setting", SETTINGS)
def test_the_route_takes_what_the_method_does(setting: Setting) -> None:
    shape = verbs()[setting.verb].request.model_json_schema()
    told = shape["properties"][setting.name]
    assert (setting.name in shape.get("required", ())) is setting.required
    if not setting.required:
        assert told["default"] == (list(setting.default) if isinstance(setting.default, tuple) else setting.default)
    held = told if "type" in told else next(part for part in told["anyOf"] if part["type"] != "null") | told
    assert {name: held[name] for name in ("minimum", "maximum") if name in held} == setting.bounds
    kinds = {str: "string", int: "integer", float: "number", bool: "boolean"}
    assert held.get("type", kinds.get(setting.kind)) == kinds.get(setting.kind, held.get("type"))


def test_the_route_takes_no_more() -> None:
    for name, verb in verbs().items():
        assert list(verb.request.model_fields) == list(takes(name))


def command_settings() -> list[Any]:
    """Every option or argument of a command that its verb takes too."""
    found = []
    for name in commands():
        command = group.get_command(None, name)
        for param in command.params if name in registry.verbs() else ():
            if param.name in takes(name):
                found.append(pytest.param(name, param, takes(name)[param.name], id=f"{name}-{param.name}"))
    return found


@pytest.mark.parametrize(("name", "param", "setting"), command_settings())
def test_the_command_takes_what_the_method_does(name: str, param: click.Parameter, setting: Setting) -> None:
    if (name, param.name) in OTHERWISE:
        return
    assert param.words == setting.words and find(setting.words)
    if isinstance(param, click.Option):
        default = None if param.required else param.get_default(click.Context(click.Command("alone")))
        unsaid = setting.required or setting.default in (None, "", ())
        assert default in (None, "", ()) if unsaid else default == setting.default
        assert not param.required or setting.required
        assert param.is_flag is (setting.kind is bool)
        if setting.kind in (int, float):
            assert isinstance(param.type, Number) and param.type.kind is setting.kind
        if isinstance(param.type, Choice):
            assert list(param.type.choices) == list(typing.get_args(setting.kind))


def test_few_commands_say_something_otherwise() -> None:
    seen = {(name, param.name) for name, param, _ in (each.values for each in command_settings())}
    assert set(OTHERWISE) <= seen and len(seen) > 40
    assert "lens" in [name for name in commands() if util.find_spec(f"capot.cli.{name}") is None]


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_chapter_and_command_has_its_words(lang: str) -> None:
    for chapter in CHAPTERS:
        assert all(chapter.words(lang).values())
        for name in chapter.verbs:
            assert name not in verbs() or tr(f"{name}.cli.help", lang)  # the others are Python's alone
        if chapter.page:
            form = form_data.forms(chapter.name, lang)
            assert [verb["name"] for verb in form["verbs"]] == [name for name in chapter.verbs if name in verbs()]
            for verb in form["verbs"]:
                assert [each["name"] for each in verb["settings"]] == list(takes(verb["name"]))
    assert all(tr(f"{name}.cli.short", lang) for name in commands())


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_default_and_a_slider_keep_to_the_bounds(setting: Setting) -> None:
    if setting.low is None or setting.high is None:
        assert setting.slide is None
        return
    low, high = setting.bounds["minimum"], setting.bounds["maximum"]
    assert setting.low == low and high <= setting.high
    assert setting.default is None or low <= setting.default <= high
    if setting.slide:
        moved = setting.slider
        assert low <= moved["min"] <= moved["start"] <= moved["max"] <= high and 0 < moved["step"] <= moved["coarse"]
        assert isinstance(moved["step"], int) is (setting.kind is int)


@pytest.mark.parametrize("setting", [s for s in SETTINGS if s.values[0].low is not None])
def test_a_docstring_says_the_bounds(setting: Setting) -> None:
    """Where ``generate`` is referred to for a setting, its own words say them."""
    words = getattr(registry.Verbs, setting.verb).__doc__
    said = next(part for part in re.split(r"\n\s+(?=``\w+``)", words) if f"``{setting.name}``" in part)
    if not re.search(r"as in\s+:(meth|class):`", said):
        assert f"{int(setting.low):,} to {int(setting.high):,}" in said
    else:
        assert setting.name in SAMPLING


def test_no_slider_of_a_page_has_bounds_of_its_own() -> None:
    """Those that move what a verb takes are read from the page's data; only layers are counted on the spot."""
    found = {}
    for path in STATIC.rglob("*.js"):
        for props in re.findall(r'h\("capot-slider", \{(.*?)\}', path.read_text(encoding="utf-8"), re.DOTALL):
            found[path.name] = re.findall(r"\b(?:min|max|step|coarse): (?!layers)[\d.]+", props)
    assert found.pop("context.js") == ["min: 0", "step: 1", "coarse: 2"]
    assert set(found) == {"choosing.js", "controls.js", "words.js", "steer.js"} and not any(found.values())
    named = {verb for path in STATIC.rglob("*.js") for verb in re.findall(r"lab\.sliders\.(\w+)", path.read_text())}
    assert named == {"next", "generate", "embed", "steer"} and named <= set(form_data.sliders())
