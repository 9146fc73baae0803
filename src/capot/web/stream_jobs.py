"""Start a verb as a stream: by its chapter's ``start``, or on a thread of its own.

A chapter that generates has a function ``start`` with a parameter ``emit``: the work is then a ticket of the scheduler.
A chapter whose function has a parameter ``progress`` runs on a thread that makes one call at a time and waits: that of
``serial_executor.MEASUREMENTS`` where it measures this machine (``memory``), else that of ``WAITING`` (``patch`` tries
place after place on the engine's thread). Opening another model has a thread of its own.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from capot import i18n
from capot.chapters import registry
from capot.engines.scheduler import Ticket
from capot.errors import InterruptedByUser, NotFoundError
from capot.model import Model
from capot.view.event import ProgressEvent, StreamEvent
from capot.view.result import to_jsonable
from capot.web.events import Ended, NamedEvent
from capot.web.request_scope import RequestScope
from capot.web.serial_executor import MEASUREMENTS, OPENINGS, WAITING, SerialExecutor
from capot.web.verbs import Verb
from capot.web.view_data import prompt_tokens, view_of

Emit = Callable[[StreamEvent | BaseException], None]


class Work(Protocol):
    """Something that runs and can be stopped: a ticket of the scheduler, or a call on a thread."""

    @property
    def position(self) -> int:
        """Return the place in the queue, or 0 if it runs or is done."""

    def cancel(self) -> None:
        """End it soon. What it has found so far still comes."""


@dataclass
class StreamJob:
    """One verb of a response. ``prompt`` and ``view`` ask for more in ``started`` and ``finished``."""

    tag: str
    verb: Verb
    arguments: dict[str, Any]
    prompt: bool = False
    view: bool = False
    price: int = 0  # bytes that its learner's account holds until the end
    model: Model | None = None  # once it is started

    def body(self, event: StreamEvent, lang: str) -> dict[str, Any]:
        """Return an event's body, with what was asked for besides."""
        body = event.body()
        if self.prompt and event.kind == "started" and "prompt_ids" in body and self.model is not None:
            body["prompt"] = prompt_tokens(self.model, body["prompt_ids"])
        if self.view and event.outcome is not None:
            body["view"] = view_of(event.outcome, lang)
        return body


def start(part: StreamJob, model: Model, scope: RequestScope, *, emit: Emit, lang: str) -> Work:
    """Start ``part``; its events go to ``emit`` from another thread.

    Raises: NotFoundError ``unknown_stream``; what the chapter raises at once.
    """
    part.model = model
    chapter = part.verb.chapter  # none where the work is the web's own
    starter = registry.verbs()[part.verb.name][1].load_start() if chapter else None
    if starter is not None:
        with i18n.use_language(lang):
            ticket = starter(model, emit=emit, **part.arguments)
        return TicketWork(ticket, scope)
    if "progress" not in inspect.signature(part.verb.function).parameters:
        raise NotFoundError("unknown_stream", name=part.verb.name)
    executor = OPENINGS
    if chapter:
        executor = MEASUREMENTS if _measures(part.verb) else WAITING
    return SerialWork(part, model, scope, emit=emit, lang=lang, executor=executor)


def _measures(verb: Verb) -> bool:
    """Return whether a verb measures this machine, so that nothing of its kind may run beside it."""
    return bool(verb.chapter) and registry.verbs()[verb.name][1].in_turn


def executor_for(verb: Verb, arguments: Mapping[str, Any]) -> SerialExecutor | None:
    """Return the executor that must run a call, or None if it may run beside others.

    A measurement runs alone, or it would measure the others as well. A computed table measures nothing.
    """
    on_paper = arguments.get("simulate") or arguments.get("known")
    return MEASUREMENTS if _measures(verb) and not on_paper else None


@dataclass
class TicketWork:
    """A ticket of the scheduler, and the scope that knows whatever else was started with it."""

    ticket: Ticket
    scope: RequestScope

    @property
    def position(self) -> int:
        return self.ticket.position

    def cancel(self) -> None:
        self.scope.cancel()


class SerialWork:
    """A verb on the one thread of an executor, which reports its progress."""

    def __init__(
        self, part: StreamJob, model: Model, scope: RequestScope, *, emit: Emit, lang: str, executor: SerialExecutor
    ) -> None:
        self.part = part
        self.model = model
        self.scope = scope
        self.emit = emit
        self.lang = lang
        self.executor = executor
        lengths = part.arguments.get("tokens")
        self.total = len(set(lengths)) if lengths and not isinstance(lengths, str) else None
        self.owner = model.owner
        self.key = self
        executor.add(self)

    @property
    def position(self) -> int:
        return self.executor.position(self)

    def cancel(self) -> None:
        self.scope.cancel()
        if self.executor.remove(self):  # it had not begun; a second stop finds it gone
            self.emit(InterruptedByUser("interrupted"))

    def run(self) -> None:
        try:
            with i18n.use_language(self.lang):
                result = self.part.verb.function(self.model, progress=self._progress, **self.part.arguments)
        except Exception as error:
            self.emit(error)
        else:
            self.emit(Ended(result))

    def _progress(self, event: NamedEvent | ProgressEvent) -> None:
        if isinstance(event, NamedEvent):
            self.emit(event)
        else:
            total = event.total if self.total is None else self.total
            row = {"done": event.done, "total": total, "row": to_jsonable(event.value)}
            self.emit(NamedEvent("progress", row))
        if self.scope.cancelled:
            raise InterruptedByUser("interrupted")
