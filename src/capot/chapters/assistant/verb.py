"""The chapter ``assistant``: how a text predictor becomes an assistant, one step at a time.

The same question goes to the same model four ways. Only the text around it changes:

    raw             the question and nothing else
    few_shot        a dialogue of a few examples, then the question
    stopped         the same with an end marker, where the program cuts the answer
    chat_template   the form that the model itself was trained further on, where it has one
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from typing import Any

from capot.chapters.assistant.events import Answered, AnswersFinished, WayEvent
from capot.chapters.assistant.result import Answer, Answers
from capot.chapters.assistant.ways import KINDS, Way, ending, every_way
from capot.chapters.generate import verb as generation
from capot.chapters.generate.result import CUT, Generation
from capot.chapters.protocols import Opened
from capot.config import Sampling
from capot.engines.cancellation import INTERRUPTED
from capot.engines.scheduler import Ticket
from capot.errors import shorten
from capot.text.templates import PlainTemplate, Template
from capot.view.event import ProgressEvent

AFTER_STOP = 40  # tokens to go on for after a stop string, to show what would have followed


def ask(
    model: Opened,
    question: str,
    *,
    template: str = "",
    chat_template: str = "",
    system: str = "",
    sampling: Sampling | None = None,
    after_stop: int = AFTER_STOP,
    progress: Callable[[ProgressEvent], None] | None = None,
    **settings: Any,
) -> Answers:
    """Ask one question in every way that the model has. Takes and raises: as ``Model.assistant``.

    ``settings`` are the fields of :class:`capot.Sampling`, unless ``sampling`` is given.
    """
    sampling = (sampling or Sampling(**settings)).seeded()
    texts = {"template": template, "chat_template": chat_template, "system": system}
    ways = every_way(model, question, sampling=sampling, after_stop=after_stop, **texts)
    answers = []
    for place, way in enumerate(ways):
        if progress is not None:
            progress(ProgressEvent("asking", place, len(ways), "ways", way.kind))
        begin = time.perf_counter()
        made = generation.generate(ending(model, way.template), way.prompt.text, progress=progress, **way.options)
        answers.append(_answer(way, made, seconds=time.perf_counter() - begin))
        # Ctrl-C ends the question, not one way of asking it.
        if answers[-1].stop_reason == "interrupted" or INTERRUPTED.is_set():
            break
    return _answers(model, question, answers, sampling=sampling, kinds=[way.kind for way in ways])


def start(
    model: Opened,
    question: str,
    *,
    emit: Callable[[WayEvent | Answered | AnswersFinished | Exception], None],
    template: str = "",
    chat_template: str = "",
    system: str = "",
    sampling: Sampling | None = None,
    after_stop: int = AFTER_STOP,
) -> TicketGroup:
    """Ask in every way at once; ``emit`` hears :class:`WayEvent`, then :class:`Answered` for each way, at last
    :class:`AnswersFinished`.

    Raises: as :func:`ask`.
    """
    sampling = (sampling or Sampling()).seeded()
    texts = {"template": template, "chat_template": chat_template, "system": system}
    ways = every_way(model, question, sampling=sampling, after_stop=after_stop, **texts)
    return TicketGroup(model, question, ways, sampling=sampling, emit=emit)


class TicketGroup:
    """All the ways of one question under way; it stands where one ticket of the scheduler would."""

    def __init__(
        self, model: Opened, question: str, ways: Sequence[Way], *, sampling: Sampling,
        emit: Callable[[WayEvent | Answered | AnswersFinished | Exception], None],
    ) -> None:  # fmt: skip
        self.model = model
        self.question = question
        self.ways = ways
        self.sampling = sampling
        self.emit = emit
        self.begin = time.perf_counter()
        self.answers: dict[str, Answer] = {}
        self.error: BaseException | None = None
        self.tickets: list[Ticket] = []
        try:
            for way in ways:  # one may end before the next is begun: the engine thread does not wait
                # Each way ends at its own template's token, so each is a model of its own to the loop.
                template = ending(model, way.template)
                hear = functools.partial(self._hear, way)
                self.tickets.append(generation.start(template, way.prompt.text, emit=hear, **way.options))
        except BaseException as error:
            # All of them or none: three answers of four would be compared as if they were all.
            self.error = error
            self.cancel()
            raise

    @property
    def position(self) -> int:
        """Return 0 when one of the ways is at work, else the first one's place in the queue."""
        # Of the ways under way the nearest one counts: something happens as soon as it does.
        return min((ticket.position for ticket in self.tickets if not ticket.done), default=0)

    @property
    def done(self) -> bool:
        return len(self.answers) == len(self.ways) or self.error is not None

    def cancel(self) -> None:
        """End every way at its next token; what there is of each still comes."""
        for ticket in self.tickets:
            ticket.cancel()

    def _hear(self, way: Way, event: generation.Event | Exception) -> None:
        """Take an event of one way. The engine thread calls it, and it is one: nothing here runs twice at once."""
        if self.error is not None:
            return
        if isinstance(event, Exception):
            self.error = event
            self.cancel()
            self.emit(event)
        elif isinstance(event, generation.Finished):
            answer = _answer(way, event.generation, seconds=time.perf_counter() - self.begin)
            self.answers[way.kind] = answer
            self.emit(Answered(way.kind, event.text, answer))
            self._end()
        else:
            self.emit(WayEvent(way.kind, event))

    def _end(self) -> None:
        kinds = [way.kind for way in self.ways]
        if len(self.answers) == len(kinds):
            answers = [self.answers[kind] for kind in kinds]
            # One that was cut is enough: the four are there to be compared.
            stopped = any(answer.stop_reason == "interrupted" for answer in answers)
            result = _answers(self.model, self.question, answers, sampling=self.sampling, kinds=kinds)
            self.emit(AnswersFinished(result, "interrupted" if stopped else "complete"))


def _answers(
    model: Opened, question: str, answers: Sequence[Answer], *, sampling: Sampling, kinds: Sequence[str]
) -> Answers:
    missing = tuple(kind for kind in KINDS if kind not in kinds)
    return Answers(question, model.name, tuple(answers), sampling.temperature, sampling.seed or 0, missing)


def _answer(way: Way, made: Generation, *, seconds: float) -> Answer:
    """Return what came back from one way of asking. Units: ``seconds`` from the question to the last token."""
    template = way.template
    prompt = way.prompt
    text = template.finish(made.text)
    return Answer(
        kind=way.kind,
        prompt=prompt.text,
        prompt_tokens=len(prompt.ids),
        text=text,
        stop_reason=stop_reason(template, made),
        after_stop=made.after_stop,
        generated_tokens=len(made.tokens),
        seconds=seconds,
        stop=tuple(way.sampling.stop),
        indented=prompt.indented,
        at_marker=cut_at_marker(template, made),
        next_turn=_next_turn(way, text),
        marker=_learnt_marker(way, text),
        tokens=way.tokens,
    )


def _next_turn(way: Way, text: str) -> str:
    """Return the first line of an answer that speaks for the user; empty where there is none."""
    # A base model goes on with the dialogue: this line shows that it plays both parts.
    lines = (line.strip() for line in text.splitlines())
    found = next((line for line in lines if line.startswith(way.dialogue.user)), "")
    return str(shorten(found, 60))


def _learnt_marker(way: Way, text: str) -> str:
    """Return the dialogue's end marker, alone on a line of an answer whose prompt does not hold it."""
    end = way.dialogue.end
    return end if end not in way.prompt.text and end in map(str.strip, text.splitlines()) else ""


def stop_reason(template: Template, made: Generation) -> str:
    """Return why an answer stopped: on the marker as well where the model ended its text there, without a line end."""
    return "stop_string" if made.stop_reason == "end_token" and _marked(template, made) else made.stop_reason


def cut_at_marker(template: Template, made: Generation) -> bool:
    """Return whether an answer was cut right after the marker.

    A line end could not yet say that it was one (FIN, or FINAL).
    """
    return made.stop_reason in CUT and _marked(template, made)


def _marked(template: Template, made: Generation) -> bool:
    return isinstance(template, PlainTemplate) and template.ends(made.text)
