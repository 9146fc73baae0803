"""How a verb is started as a stream: by its chapter's ``start``, or on a thread where it has none.

A chapter that generates has a function ``start`` with a parameter ``emit``: the work is
then a ticket of the scheduler. A chapter whose function has a parameter ``progress``
(``memory`` measures row after row) computes on one thread kept for such works (``line``), one
at a time, since two measurements at once would measure each other. Opening another model has
a thread of its own.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from capot import i18n
from capot.chapters import registry
from capot.engines.scheduler import Ticket
from capot.errors import InterruptedByUser, NotFoundError
from capot.model import Model
from capot.view.event import ProgressEvent, StreamEvent
from capot.view.result import plain
from capot.web.events import Ended, NamedEvent
from capot.web.line import MEASURING, OPENING, Line
from capot.web.request_scope import RequestScope
from capot.web.shown import cut_prompt, view_of
from capot.web.verbs import Verb

Emit = Callable[[StreamEvent | BaseException], None]


class Work(Protocol):
    """Something under way that can be stopped: a ticket of the scheduler, or a call on the thread."""

    @property
    def position(self) -> int:
        """0 at work or done, else the place in the queue."""

    def cancel(self) -> None:
        """End it soon; what there is of it still comes."""


@dataclass
class StreamJob:
    """One of the works of a response. ``prompt`` and ``view`` ask for more in ``started`` and ``finished``."""

    tag: str
    verb: Verb
    arguments: dict[str, Any]
    prompt: bool = False
    view: bool = False
    price: int = 0  # bytes that its learner's account holds until the end
    model: Model | None = None  # once it is started

    def body(self, event: StreamEvent, lang: str) -> dict[str, Any]:
        """An event's body, with what was asked for besides."""
        body = event.body()
        if self.prompt and event.kind == "started" and "prompt_ids" in body and self.model is not None:
            body["prompt"] = cut_prompt(self.model, body["prompt_ids"])
        if self.view and event.outcome is not None:
            body["view"] = view_of(event.outcome, lang)
        return body


def start(part: StreamJob, model: Model, share: RequestScope, *, emit: Emit, lang: str) -> Work:
    """Begin ``part``; its events go to ``emit`` from another thread.

    Raises: NotFoundError ``unknown_stream``; what the chapter raises at once.
    """
    part.model = model
    chapter = part.verb.chapter  # none where the work is the web's own
    starter = getattr(importlib.import_module(part.verb.function.__module__), "start", None) if chapter else None
    if starter is not None:
        with i18n.speaking(lang):
            ticket = starter(model, emit=emit, **part.arguments)
        return TicketWork(ticket, share)
    if _tells(part.verb):
        return Called(part, model, share, emit=emit, lang=lang, line=MEASURING if chapter else OPENING)
    raise NotFoundError("unknown_stream", name=part.verb.name)


def _tells(verb: Verb) -> bool:
    """Whether it computes on its caller's thread, and tells how far it is."""
    return not verb.chapter or registry.verbs()[verb.name][1].in_turn


def line_of(verb: Verb, arguments: Mapping[str, Any]) -> Line | None:
    """The line in which an answer waits: a measurement is made alone. None for what may be computed beside others."""
    on_paper = arguments.get("simulate") or arguments.get("known")
    return MEASURING if verb.chapter and _tells(verb) and not on_paper else None


@dataclass
class TicketWork:
    """A ticket, and the share that knows whatever else was begun with it."""

    ticket: Ticket
    share: RequestScope

    @property
    def position(self) -> int:
        return self.ticket.position

    def cancel(self) -> None:
        self.share.cancel()


class Called:
    """A verb at work on a line's one thread, which tells of its progress."""

    def __init__(
        self, part: StreamJob, model: Model, share: RequestScope, *, emit: Emit, lang: str, line: Line
    ) -> None:
        self.part, self.model, self.share, self.emit, self.lang, self.line = part, model, share, emit, lang, line
        asked = part.arguments.get("tokens")
        self.total = len(set(asked)) if asked and not isinstance(asked, str) else None
        self.owner, self.who = model.owner, self
        line.add(self)

    @property
    def position(self) -> int:
        return self.line.place(self)

    def cancel(self) -> None:
        self.share.cancel()
        if self.line.remove(self):  # it had not begun; a second stop finds it gone
            self.emit(InterruptedByUser("interrupted"))

    def run(self) -> None:
        try:
            with i18n.speaking(self.lang):
                result = self.part.verb.function(self.model, progress=self._progress, **self.part.arguments)
        except Exception as error:
            self.emit(error)
        else:
            self.emit(Ended(result))

    def _progress(self, event: NamedEvent | ProgressEvent) -> None:
        if isinstance(event, NamedEvent):
            self.emit(event)
        else:
            row = {"done": event.done, "total": self.total, "row": plain(event.value)}
            self.emit(NamedEvent("progress", row))
        if self.share.cancelled:
            raise InterruptedByUser("interrupted")
