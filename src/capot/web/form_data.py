"""Describe the chapters to the pages: the rail, the sliders, and the forms of a chapter's verbs."""

from __future__ import annotations

import collections.abc
import functools
import json
import typing
from typing import Any

from capot.chapters import registry
from capot.chapters.settings import Setting, takes
from capot.errors import NotFoundError
from capot.i18n import LANGUAGES, find, tr
from capot.web.assets import find as asset
from capot.web.verbs import verbs

KINDS = {str: "text", int: "whole", float: "real", bool: "yes"}
PLAIN_PAGE = "plain"  # the page of a chapter that has none of its own
ROAD = "home"


@functools.cache
def lab_json() -> str:
    """Return what the lab's page is given, as JSON that may stand in HTML."""
    chapters = [
        {
            "name": chapter.name,
            "page": script_of(chapter.name),
            "words": {lang: chapter.words(lang) for lang in LANGUAGES},
        }
        for chapter in registry.rail()
    ]
    text = json.dumps({"chapters": chapters, "sliders": sliders()}, ensure_ascii=False)
    return text.replace("<", "\\u003c")


def script_of(page: str) -> str:
    """Return the name of the script that draws a page: its own, or the one that draws any. The road has no name."""
    name = page or ROAD
    return name if asset(f"pages/{name}.js") else PLAIN_PAGE


def sliders() -> dict[str, dict[str, dict[str, float]]]:
    """Return how pages move each setting, by verb and name."""
    found = {name: {each.name: each.slider for each in takes(name).values() if each.slide} for name in verbs()}
    return {name: moved for name, moved in found.items() if moved}


def forms(chapter: str, lang: str) -> dict[str, Any]:
    """Return a chapter's verbs and their settings, in words. Raises: NotFoundError ``no_such_page``."""
    found = next((each for each in registry.CHAPTERS if each.name == chapter), None)
    if found is None:
        raise NotFoundError("no_such_page")
    described = [
        {
            "name": name,
            "help": tr(f"{name}.cli.help", lang),
            "example": dict(verb.example),
            "settings": [field(setting, lang) for setting in takes(name).values()],
        }
        for name, verb in found.verbs.items()
        if name in verbs()
    ]
    return {"chapter": chapter, **found.words(lang), "verbs": described}


def field(setting: Setting, lang: str) -> dict[str, Any]:
    """Return one setting as a form field."""
    choices = list(typing.get_args(setting.kind)) if typing.get_origin(setting.kind) is typing.Literal else []
    return {
        "name": setting.name,
        "label": find(f"form.label.{setting.name}", lang) or setting.name.replace("_", " "),
        "words": find(f"form.help.{setting.verb}.{setting.name}", lang) or find(setting.words, lang) or "",
        "kind": "choice" if choices else field_kind(setting.kind),
        "choices": choices,
        "required": setting.required,
        "default": None if setting.required else setting.default,
        **setting.bounds,
    }


def field_kind(type_: Any) -> str:
    """Return what a form asks for. ``texts`` and ``numbers`` are lists; ``data`` is left to JSON."""
    if type_ in KINDS:
        return KINDS[type_]
    parts = [part for part in (type_, *typing.get_args(type_)) if typing.get_origin(part) in SEQUENCES]
    if not parts:
        return "data"
    return "texts" if typing.get_args(parts[0])[0] is str else "numbers"


SEQUENCES = (collections.abc.Sequence, collections.abc.Iterable)
