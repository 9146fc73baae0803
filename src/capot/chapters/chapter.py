"""What a chapter says of itself: its name, its verbs and its commands.

The folder of a chapter says it in its ``__init__``, which imports nothing heavy: the command line and
the pages read it without loading what answers.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from capot.i18n import tr


@dataclass(frozen=True)
class ModelVerb:
    """What stands behind a method of ``Model``.

    ``function`` is written ``folder.module:name``. ``example`` holds arguments that any model can answer.
    ``bounds`` are the classes of ``config`` whose fields bound its arguments of the same names. ``in_turn`` says that
    a lab computes it alone, one answer after the other. ``start``, written as ``function``, begins it without waiting
    for its end and returns a ticket; a verb without one can be streamed by its ``progress`` alone. ``beside`` names,
    for an argument, another without which it says nothing.
    """

    function: str
    example: Mapping[str, Any] = field(default_factory=dict)
    bounds: tuple[type, ...] = ()
    in_turn: bool = False
    start: str = ""
    beside: Mapping[str, str] = field(default_factory=dict)

    def load(self) -> Callable[..., Any]:
        """Return the chapter's function, which takes the model first; its module is imported now."""
        return _imported(self.function)

    def load_start(self) -> Callable[..., Any] | None:
        """Return the function that begins the verb and returns its ticket; None where it has none."""
        return _imported(self.start) if self.start else None


def _imported(place: str) -> Callable[..., Any]:
    module, _, name = place.partition(":")
    function: Callable[..., Any] = getattr(importlib.import_module(f"capot.chapters.{module}"), name)
    return function


@dataclass(frozen=True)
class Chapter:
    """One question about language models.

    ``name`` is its folder, the address of its page and the topic of its words. ``verbs`` are those of
    ``Model`` by their names, ``commands`` those of the command line in their order. ``page`` says whether the lab
    has a page of it, ``aside`` that the page stands at the end of the rail, being no step from a text to the next.
    """

    name: str
    verbs: Mapping[str, ModelVerb]
    commands: tuple[str, ...]
    sees: tuple[str, ...] = ()  # chapters that its modules may import
    page: bool = True
    aside: bool = False

    def words(self, lang: str | None = None) -> dict[str, str]:
        """Return its name and its question."""
        return {key: tr(f"{self.name}.chapter.{key}", lang) for key in ("name", "question")}
