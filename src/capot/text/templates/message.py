"""What goes into a template and what comes out of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from capot.errors import InputError
from capot.text.tokenizer import Tokenizer

ROLES = ("system", "user", "assistant")


@dataclass(frozen=True)
class Message:
    """Who speaks (``system``, ``user`` or ``assistant``), and the text."""

    role: str
    content: str


@dataclass(frozen=True)
class Prompt:
    """Exactly what is sent. ``indented`` are the lines of a message that were moved to the
    right because they would have passed for the template's own."""

    text: str
    ids: tuple[int, ...]
    indented: tuple[str, ...] = ()


class Template(Protocol):
    """What the three kinds have in common."""

    @property
    def kind(self) -> str: ...

    @property
    def stops(self) -> tuple[str, ...]: ...

    def prompt(self, messages: Sequence[Message], tokenizer: Tokenizer) -> Prompt:
        """Return the text and the ids after which the model answers."""

    def finish(self, answer: str) -> str:
        """Return an answer as it is kept, without what only the template needed."""

    def end_of_turn(self, tokenizer: Tokenizer) -> str | None:
        """Return the named token that ends the model's turn, where the form has one."""


def check_roles(messages: Sequence[Message]) -> None:
    """Hold messages to the three roles. Raises: InputError ``unknown_role``."""
    for message in messages:
        if message.role not in ROLES:
            raise InputError("unknown_role", role=message.role[:40], known=", ".join(ROLES))


def plain_prompt(text: str, tokenizer: Tokenizer) -> tuple[int, ...]:
    """Return the ids of a prompt that is text and nothing else, after the BOS that the files ask for.

    Tokens that a vocabulary merely adds are letters here as well, unless they are runs of spaces.
    """
    start = len(tokenizer.opening)
    ids = tokenizer.encode_prompt(text)
    # A run of spaces that is added by name is no command and stays one token, as in training.
    commands = {token for name, token in tokenizer.named.items() if name.strip()}
    if commands.isdisjoint(ids[start:]):
        return tuple(ids)
    return (*tokenizer.opening, *tokenizer.encode(text, specials="strict"))


class Renderer(Protocol):
    """What makes the text of a chat template: ``templates.sandbox.render``, or what calls it in another process."""

    def __call__(self, source: str, variables: Mapping[str, Any], *, size: int) -> str:
        """Render a template; ``size`` is how many characters the messages have. Raises: as ``sandbox.render``."""
