"""Templates in ordinary text, that anyone can read and edit.

A dialogue of a few examples, then the question; the model, which continues texts,
continues this one with an answer, and after the answer with the next question, unless
something stops it. That is what the end marker is for:

    USER: What is the capital of Italy?
    ASSISTANT: Rome.
    FIN
    USER: What is the capital of Spain?
    ASSISTANT:
"""

from __future__ import annotations

import dataclasses
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from capot.errors import InputError, shorten
from capot.i18n import language
from capot.text.templates.form import check_form
from capot.text.templates.message import Message, Prompt, check_roles, plain_prompt
from capot.text.tokenizer import Tokenizer, check_text

INDENT = "    "
MAX_NAME = 100  # characters of a role's name and of the end marker: each token of an answer is held against them
# What ``str.splitlines`` takes for a line end, a model may take for one too.
_LINE_ENDS = re.compile(r"(\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029])")


@dataclass(frozen=True)
class RawTemplate:
    """No template: the messages one under the other, for the model to continue."""

    kind = "raw"
    stops = ()

    def prompt(self, messages: Sequence[Message], tokenizer: Tokenizer) -> Prompt:
        """See :class:`capot.text.templates.Template`."""
        check_roles(messages)
        text = "\n".join(message.content for message in messages)
        return Prompt(text, plain_prompt(text, tokenizer))

    def end_of_turn(self, tokenizer: Tokenizer) -> str | None:
        """Return None: a plain form ends by text."""
        return None

    def finish(self, answer: str) -> str:
        return answer


@dataclass(frozen=True)
class PlainTemplate:
    """Named roles, a system text, examples and an end marker, each of them optional but the names.

    >>> template = PlainTemplate(end="FIN", shots=(("2 + 2?", "4"),))
    >>> print(template.text([Message("user", "3 + 3?")]))
    USER: 2 + 2?
    ASSISTANT: 4
    FIN
    USER: 3 + 3?
    ASSISTANT:
    """

    user: str = "USER:"
    assistant: str = "ASSISTANT:"
    system_name: str = ""  # empty: the system text stands by itself on top
    system: str = ""
    end: str = ""
    shots: tuple[tuple[str, str], ...] = ()

    @classmethod
    def from_toml(cls, text: str, *, source: str) -> PlainTemplate:
        """Read the format of ``default_text``.

        Raises: InputError ``template_toml`` with the parser's reason, ``template_key`` naming what is
        unknown, missing or no text, ``template_name`` for one that is too long; as ``check_text`` and ``check_form``.
        """
        check_text(text)
        check_form(text, source=source)
        try:
            table = tomllib.loads(text)
        except ValueError as error:  # the parser's own error is one
            raise InputError("template_toml", path=source, reason=shorten(str(error), 200)) from None
        roles = _table(table, "roles", ("user", "assistant", "system"), source)
        shots = table.get("shots", [])
        if not isinstance(shots, list):
            raise InputError("template_key", path=source, field="shots")
        pairs = [_table({"shots": shot}, "shots", ("user", "assistant"), source) for shot in shots]
        _table({"": {key: table[key] for key in table if key not in ("roles", "shots")}}, "", ("system", "end"), source)
        if any(len(pair) != 2 for pair in pairs):
            raise InputError("template_key", path=source, field="shots")
        given = {"system_name" if key == "system" else key: name.strip() for key, name in roles.items()}
        template = cls(
            **given,
            system=table.get("system", "").strip("\n"),
            end=table.get("end", "").strip(),
            shots=tuple((pair["user"], pair["assistant"]) for pair in pairs),
        )
        template._check(source)
        return template

    def _check(self, source: str) -> None:
        for key in ("user", "assistant", "system_name", "end"):
            value = getattr(self, key)
            if _LINE_ENDS.search(value) or (key in ("user", "assistant") and not value):
                raise InputError("template_key", path=source, field=key)
            if len(value) > MAX_NAME:
                raise InputError("template_name", path=source, field=key, length=len(value), limit=MAX_NAME)

    @property
    def kind(self) -> str:
        return "stopped" if self.end else "few_shot"

    @property
    def marker(self) -> tuple[str, ...]:
        """Return the end marker as a stop string: alone on its line, so that FIN does not cut FINAL."""
        # With the line end before and after, the words of an answer that contain it do not end it.
        return (f"\n{self.end}\n",) if self.end else ()

    @property
    def stops(self) -> tuple[str, ...]:
        """Return the stop texts: in a conversation a model that forgets the marker must not play the user's part
        either.
        """
        return (*self.marker, f"\n{self.user}")

    def without_end(self) -> PlainTemplate:
        """Return the same dialogue with no end marker."""
        return dataclasses.replace(self, end="")

    def prompt(self, messages: Sequence[Message], tokenizer: Tokenizer) -> Prompt:
        """See :class:`capot.text.templates.Template`. It is ordinary text through and through: no token is special."""
        indented: list[str] = []
        text = self.text(messages, indented=indented)
        return Prompt(text, plain_prompt(text, tokenizer), tuple(indented))

    def text(self, messages: Sequence[Message], *, indented: list[str] | None = None) -> str:
        """Return the dialogue up to where the model speaks; ``indented`` collects the last message's moved lines."""
        check_roles(messages)
        moved = [] if indented is None else indented
        # A system message of the conversation takes the place of the template's own.
        own = [m for m in messages if m.role == "system"] or [Message("system", self.system)]
        examples = [Message(role, text) for shot in self.shots for role, text in zip(("user", "assistant"), shot)]
        spoken = [m for m in messages if m.role != "system"]
        parts = [self._system(m.content) for m in own if m.content]
        parts += [self._spoken(m, []) for m in (*examples, *spoken[:-1])]
        parts += [self._spoken(m, moved) for m in spoken[-1:]]
        return "".join(parts) + self.assistant

    def _system(self, content: str) -> str:
        if self.system_name:
            return f"{self.system_name} {self._guarded(content, [])}\n"
        return f"{self._guarded(content, [], first=True)}\n\n"

    def _spoken(self, message: Message, moved: list[str]) -> str:
        name = self.user if message.role == "user" else self.assistant
        line = f"{name} {self._guarded(message.content, moved)}\n"
        return f"{line}{self.end}\n" if self.end and message.role == "assistant" else line

    def _guarded(self, content: str, moved: list[str], *, first: bool = False) -> str:
        """Return ``content`` with each line that would pass for a role or the marker moved to the right.

        The first line follows its speaker's name, so nothing there is alone on a line.
        """
        parts = _LINE_ENDS.split(content)
        for place in range(0 if first else 2, len(parts), 2):
            if self._passes_for_ours(parts[place]):
                moved.append(parts[place])
                # Indentation rather than an escape sign, as readers and models both take it for a quotation.
                parts[place] = INDENT + parts[place]
        return "".join(parts)

    def _passes_for_ours(self, line: str) -> bool:
        if self.end and line.strip() == self.end and not line.startswith(INDENT):
            return True
        names = [name.casefold() for name in (self.user, self.assistant, self.system_name) if name]
        bare = line.strip().casefold()
        begins = any(line.casefold().startswith(name) for name in names)
        # Case is ignored: a model does not tell ``User:`` and ``USER:`` apart either.
        return begins or (bare in {name.rstrip(": ") for name in names} and not line.startswith(INDENT))

    def ends(self, answer: str) -> bool:
        """Return whether an answer ends on the marker, alone on its line though no line end came after it."""
        return bool(self.end) and answer.rstrip().endswith("\n" + self.end)

    def end_of_turn(self, tokenizer: Tokenizer) -> str | None:
        """Return None: a plain form ends by text."""
        return None

    def finish(self, answer: str) -> str:
        """Return an answer as it is kept: cut at the marker, also where its line end did not come.

        The space that follows ``ASSISTANT:`` is the template's; it comes back when this is sent again.
        """
        if self.ends(answer):
            answer = answer.rstrip().removesuffix(self.end).removesuffix("\n")
        return answer.removeprefix(" ")


def _table(tables: dict[str, Any], name: str, known: tuple[str, ...], source: str) -> dict[str, str]:
    table = tables.get(name, {})
    items = table.items() if isinstance(table, dict) else [(name, None)]
    bad = [key for key, value in items if key not in known or not isinstance(value, str)]
    if bad:
        raise InputError("template_key", path=source, field=shorten(bad[0], 40))
    found: dict[str, str] = table
    return found


def default_text(lang: str | None = None) -> str:
    """Return the packaged template as a file to start from, with its comments, in French or in English."""
    return resources.files("capot").joinpath("text", "templates", f"{language(lang)}.toml").read_text(encoding="utf-8")


def default(lang: str | None = None) -> PlainTemplate:
    """Return the packaged template."""
    return PlainTemplate.from_toml(default_text(lang), source=f"{language(lang)}.toml")
