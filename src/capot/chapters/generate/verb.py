"""The chapter ``generate``: predict, draw, append, repeat.

There is one loop, :class:`capot.chapters.generate.loop.Loop`, a job of the scheduler; ``stream``
reads its events through a queue and ``generate`` is ``stream`` collected.
"""

from __future__ import annotations

import dataclasses
import queue
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

from capot.chapters.generate.loop import Loop
from capot.chapters.generate.result import Event, Finished, Generation, Progress, Started, Step
from capot.chapters.generate.served import ServedLoop
from capot.chapters.protocols import Opened
from capot.config import Plan, Sampling, within
from capot.engines.protocol import Capability, check_ids
from capot.engines.scheduler import Ticket, cancel_on_ctrl_c
from capot.errors import ArgumentTypeError, use_language
from capot.view.event import ProgressCallback, ProgressEvent

__all__ = ["Event", "Finished", "Plan", "Progress", "Started", "Step", "Stream", "generate", "start", "stream"]


def generate(
    model: Opened,
    prompt: str,
    *,
    sampling: Sampling | None = None,
    ids: Sequence[int] | None = None,
    first_draw: int = 0,
    alternatives: int = 5,
    after_stop: int = 0,
    progress: Callable[[ProgressEvent], None] | None = None,
    **settings: Any,
) -> Generation:
    """Return a text made of a prompt. Takes and raises: as ``Model.generate``.

    ``settings`` are the fields of :class:`capot.Sampling`, unless ``sampling`` is given.
    """
    events = stream(
        model, prompt, sampling=sampling, ids=ids, first_draw=first_draw, alternatives=alternatives,
        after_stop=after_stop, **settings,
    )  # fmt: skip
    events.inbox.steps = progress is not None  # they are in the result; waking up for each slows down the engine
    with events, cancel_on_ctrl_c(events.cancel):
        follow(events, progress, most=(sampling or Sampling(**settings)).max_new_tokens)
    assert events.result is not None
    return events.result


def follow(events: Iterator[Any], progress: ProgressCallback | None, *, most: int, what: str = "") -> Any:
    """Read the events of a generation to their end, and give the last; ``progress`` hears of all of them."""
    made, last = 0, None
    for last in events:
        if progress is None:
            continue
        if isinstance(last, Progress):
            progress(ProgressEvent("reading", last.done, last.total, "tokens", what))
        elif isinstance(last, Started):
            progress(ProgressEvent("reading", last.prompt_tokens, last.prompt_tokens, "tokens", what))
        elif isinstance(last, Step):
            made += 1
            progress(ProgressEvent("generating", made, most, "tokens", what, last))
    return last


def stream(
    model: Opened,
    prompt: str,
    *,
    sampling: Sampling | None = None,
    ids: Sequence[int] | None = None,
    first_draw: int = 0,
    alternatives: int = 5,
    after_stop: int = 0,
    **settings: Any,
) -> Stream:
    """Return the events of a generation, as they come. Takes and raises: as ``Model.stream``.

    ``settings`` are the fields of :class:`capot.Sampling`, unless ``sampling`` is given.
    """
    chosen = sampling if sampling is not None else Sampling(**settings)

    def begin(emit: Callable[[Event | Exception], None]) -> Ticket:
        return start(
            model, prompt, emit=emit, sampling=chosen, ids=ids, first_draw=first_draw, alternatives=alternatives,
            after_stop=after_stop,
        )  # fmt: skip

    return Stream(begin)


def start(
    model: Opened,
    prompt: str,
    *,
    emit: Callable[[Event | Exception], None],
    sampling: Sampling | None = None,
    ids: Sequence[int] | None = None,
    first_draw: int = 0,
    alternatives: int = 5,
    after_stop: int = 0,
) -> Ticket:
    """Queue a generation; ``emit`` gets its events, or the error that ended it, on the engine thread.

    Raises: InputError ``empty_prompt``, ``no_such_id``; ContextError ``prompt_too_long``;
    CapabilityError; those of the settings.
    """
    plan = Plan(first_draw, alternatives, after_stop)
    prompt_ids = model.tokenizer.encode_prompt(prompt) if ids is None else list(ids)
    check_ids(prompt_ids, size=model.scheduler.engine.info.vocabulary_size)
    if ids is not None:
        # Of ids that are given, the last ``first_draw`` were drawn before: the counting goes on behind them.
        plan = dataclasses.replace(plan, made=plan.first_draw)
    within("first_draw", plan.made, 0, len(prompt_ids))
    kind = ServedLoop if Capability.WRITES in model.scheduler.engine.capabilities else Loop
    loop = kind(model, prompt_ids, prompt=prompt, sampling=(sampling or Sampling()).seeded(), plan=plan, emit=emit)
    return model.scheduler.submit(loop)


class _Inbox:
    """Where the engine thread puts events. It knows no stream, so that a stream can be let go."""

    def __init__(self) -> None:
        self.events: queue.SimpleQueue[Event | Exception] = queue.SimpleQueue()
        self.steps = True  # whether single tokens are told

    def put(self, event: Event | Exception) -> None:
        if self.steps or not isinstance(event, Step):
            self.events.put(event)


class Stream(Iterator[Event]):
    """Events of one generation. Closing it, or letting it go, ends the generation.

    ``result`` is the :class:`Generation` once the last event has come.
    """

    def __init__(self, begin: Callable[[Callable[[Event | Exception], None]], Ticket]) -> None:
        self.result: Generation | None = None
        self.lang: str | None = None  # of the model that makes it
        self.inbox = _Inbox()
        self._cancelled = self._over = False
        self._ticket: Ticket | None = None  # none where what begins it raises
        # Before the ticket, as events may come before ``begin`` returns.
        self._begin = begin  # it holds the model, whose engine ends once nobody does
        self._ticket = begin(self.inbox.put)

    def __next__(self) -> Event:
        if self._over:
            raise StopIteration
        event = self._wait()
        if isinstance(event, Exception):
            self._over = True
            with use_language(self.lang):
                raise event
        if isinstance(event, Finished):
            self._over = True
            self.result = event.generation.in_language(self.lang)
        return event

    def _wait(self) -> Event | Exception:
        while True:
            try:
                return self.inbox.events.get(timeout=0.2)  # returns often, so that Ctrl-C is heard everywhere
            except queue.Empty:
                continue
            except KeyboardInterrupt:
                # A second Ctrl-C is the user's wish to be rid of the wait.
                if self._cancelled:
                    raise
                self.cancel()

    def cancel(self) -> None:
        """End the generation at its next token; what there is still comes."""
        self._cancelled = True
        if self._ticket is not None:
            self._ticket.cancel()

    def close(self) -> None:
        self._over = True
        if self._ticket is not None and not self._ticket.done:
            self._ticket.cancel()

    def __enter__(self) -> Stream:
        return self

    def __reduce_ex__(self, _: Any) -> NoReturn:
        """Refuse to be copied or pickled. Raises: ArgumentTypeError ``stream_not_copied``."""
        with use_language(self.lang):
            raise ArgumentTypeError("stream_not_copied")

    def __exit__(self, *_: object) -> None:
        self.close()

    __del__ = close
