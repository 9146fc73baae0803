"""Options and arguments made of what a verb takes: name, type, default and words are the verb's own."""

from __future__ import annotations

import collections.abc
import typing
from typing import TYPE_CHECKING, Any

import click

from capot.chapters.settings import Setting, takes
from capot.cli.common import TEXT, Argument, Command, Option, chapter, split
from capot.cli.words import Choice, Number, ParamType, called

if TYPE_CHECKING:
    from capot.model import Model
    from capot.view.result import Result


SHORT = {"max_new_tokens": "-n", "temperature": "-t", "k": "-k"}  # of every verb that takes these
# Settings that are texts for the model to read: "-" and @FILE stand for them, as for an argument. What names a token,
# a stop string or a model is itself: "@" is a token too.
TEXTS = ("source", "toward", "away", "system")


def option(verb: str, name: str, *flags: str, **extra: Any) -> Option:
    """Return the option for one setting of a verb; ``extra`` is what only a command line needs to say."""
    setting = takes(verb)[name]
    kind = TEXT if name in TEXTS else written(setting)
    settings: dict[str, Any] = {"words": setting.words, "type": kind, "default": setting.default}
    if setting.required:
        del settings["default"]  # None is one, to newer versions of click: nothing would be missing
        settings["required"] = True
    elif setting.kind is bool:
        settings |= {"is_flag": True, "type": None}
    elif setting.default is None or setting.default in ("", ()):
        settings["default"] = None
    else:
        settings["show_default"] = True
    flags = flags or (*((SHORT[name],) if name in SHORT else ()), f"--{name.replace('_', '-')}")
    return Option([*flags, name], **(settings | extra))


def argument(verb: str, name: str, **extra: Any) -> Argument:
    """Return the argument for one setting of a verb: a text, or several where the verb takes several.

    One that the verb cannot do without may come from a pipe, unnamed.
    """
    setting = takes(verb)[name]
    settings: dict[str, Any] = {"words": setting.words, "type": TEXT, "required": setting.required}
    settings["fed"] = setting.required
    if several(setting):  # none at all is refused in the words of its chapter
        settings |= {"nargs": -1, "required": False}
    return Argument([name], **(settings | extra))


def plain(verb: str) -> Command:
    """Return the command of a verb that needs no more than what it takes: its first setting, then the others as
    options.
    """
    first, *others = takes(verb).values()
    led = first.kind is str or several(first)
    params = [argument(verb, first.name) if led else option(verb, first.name)]

    def call(model: Model, **given: Any) -> Result:
        answer: Result = getattr(model, verb)(**{name: value for name, value in given.items() if is_given(value)})
        return answer

    return chapter(verb, *params, *(option(verb, each.name) for each in others), call=call)


def is_given(value: Any) -> bool:
    return value is not None and value != ()


def several(setting: Setting) -> bool:
    return typing.get_origin(setting.kind) in (collections.abc.Sequence, collections.abc.Iterable)


def written(setting: Setting) -> Any:
    """Return how the value of an option is read."""
    if typing.get_origin(setting.kind) is typing.Literal:
        return Choice(list(typing.get_args(setting.kind)))
    if several(setting):
        return Several(typing.get_args(setting.kind)[0])
    return setting.kind if setting.kind in (int, float) else str


class Several(ParamType):
    """Values parted by commas, one at least."""

    def __init__(self, kind: type) -> None:
        self.kind = kind
        self.name = "A,B"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        parts = split(value, name=called(param))
        return tuple(Number(self.kind).convert(part, param, ctx) for part in parts) if self.kind is int else parts
