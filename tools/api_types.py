"""Writes ``tools/javascript/api.d.ts``: what the lab's API takes and answers, as types for the pages' scripts.

They are made from the very classes that the server answers with, so that a page that reads a field which no result has
fails in ``make check``. ``python tools/api_types.py`` writes the file anew; a test holds it to the code.
"""

from __future__ import annotations

import dataclasses
import sys
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from capot.chapters.assistant.events import Answered
from capot.chapters.card.gated import Preview
from capot.chapters.generate.result import Progress, Started, Step
from capot.chapters.models.result import Models
from capot.view import blocks
from capot.web.links import Invitation
from capot.web.opening import ModelAtWork
from capot.web.verbs import Verb, verbs

TARGET = Path(__file__).resolve().parent / "javascript" / "api.d.ts"
HEAD = """\
// Made by tools/api_types.py from the classes of the server: what the API takes and answers, as JSON.
// A float that is not finite is null in JSON; the types leave that out, since no answer of a sound model holds one.
"""
PLAIN = {str: "string", int: "number", float: "number", bool: "boolean", bytes: "string", type(None): "null"}
BLOCK_KINDS: dict[type, str] = {block: block.kind for block in typing.get_args(blocks.Block)}
# What JSON holds besides the verbs' own answers: the events of a stream, what is open here, who may come.
OTHERS = (Progress, Started, Step, Answered, ModelAtWork, Models, Invitation, Preview)


class Types:
    """The interfaces needed so far, by name, and the spelling of a type in them."""

    def __init__(self) -> None:
        self.needed: dict[str, type] = {}

    def spell(self, kind: Any) -> str:
        """Return a Python type as TypeScript spells it; a record is named, and asked for."""
        if kind in PLAIN:
            return PLAIN[kind]
        if dataclasses.is_dataclass(kind):
            return self.name(typing.cast(type, kind))
        origin = typing.get_origin(kind)
        inner = typing.get_args(kind)
        if origin is typing.Annotated:
            return self.spell(inner[0])
        if origin in (typing.Union, types.UnionType):
            return " | ".join(dict.fromkeys(self.spell(part) for part in inner))
        if origin is typing.Literal:
            return " | ".join(f'"{value}"' for value in inner)
        if origin is tuple and Ellipsis not in inner:
            return f"[{', '.join(self.spell(part) for part in inner)}]"
        if origin in (tuple, list, Sequence):
            item = self.spell(inner[0])
            return f"({item})[]" if " | " in item else f"{item}[]"
        if origin in (dict, Mapping):
            return f"Record<string, {self.spell(inner[1])}>"
        return "unknown"

    def name(self, kind: type) -> str:
        """Return the name of a record, whose interface is written too."""
        other = self.needed.setdefault(kind.__name__, kind)
        assert other is kind, f"two classes called {kind.__name__}"
        return kind.__name__

    def interfaces(self) -> Iterator[str]:
        """Every interface asked for, those that writing them asks for included, in the order of their names."""
        written: dict[str, str] = {}
        while left := [kind for name, kind in self.needed.items() if name not in written]:
            written.update((kind.__name__, self.interface(kind)) for kind in left)
        yield from (written[name] for name in sorted(written))

    def interface(self, kind: type) -> str:
        """One record. A block of a view says which it is."""
        hints = typing.get_type_hints(kind)
        shown = [field.name for field in dataclasses.fields(kind) if field.metadata.get("json", True)]
        lines = [f"{name}: {self.spell(hints[name])};" for name in shown]
        if kind in BLOCK_KINDS:
            lines.insert(0, f'block: "{BLOCK_KINDS[kind]}";')
        if kind in (blocks.Scatter, blocks.Curves):
            lines.append("figure: Record<'light' | 'dark', Figure>;")
        return block(f"interface {kind.__name__}", lines)

    def request(self, verb: Verb) -> str:
        """Return the body that a verb takes: whatever has a default may be left out."""
        lines = [
            f"{name}{'' if field.is_required() else '?'}: {self.spell(field.annotation)};"
            for name, field in verb.request.model_fields.items()
        ]
        return block(f"interface {verb.request.__name__}", lines)


def block(head: str, lines: Sequence[str]) -> str:
    return "\n".join([f"  {head} {{", *(f"    {line}" for line in lines), "  }"])


def answer_of(verb: Verb) -> type:
    """Return the class of a verb's answers, by the name that its function is annotated with."""
    found: type = vars(sys.modules[verb.function.__module__])[verb.function.__annotations__["return"]]
    return found


def text() -> str:
    """Return the whole file."""
    spelling = Types()
    requests = [spelling.request(verb) for verb in verbs().values()]
    verbs_of = [
        f"{name}: {{ takes: {verb.request.__name__}; answers: {spelling.name(answer_of(verb))} }};"
        for name, verb in verbs().items()
    ]
    for kind in OTHERS:
        spelling.name(kind)
    figure = block("interface Figure", ["data: Lab.Trace[];", "layout: Lab.Layout;"])
    union = f"  type Block = {spelling.spell(blocks.Block)};"
    parts = [block("interface Verbs", verbs_of), *requests, figure, union, *spelling.interfaces()]
    return HEAD + "\ndeclare namespace Api {\n" + "\n\n".join(parts) + "\n}\n"


if __name__ == "__main__":
    TARGET.write_text(text(), encoding="utf-8")
