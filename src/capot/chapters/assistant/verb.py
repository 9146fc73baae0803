"""The chapter ``assistant``: how a text predictor becomes an assistant, one step at a time.

The same question goes to the same model four ways. Only the text around it changes:

    raw             the question and nothing else
    few_shot        a dialogue of a few examples, then the question
    stopped         the same with an end marker, where the program cuts the answer
    chat_template   the form that the model itself was trained further on, where it has one
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from capot.chapters.assistant.result import Answer, Answers
from capot.chapters.generate import verb as generation
from capot.chapters.generate.result import CUT, Generation
from capot.chapters.protocols import Opened
from capot.chapters.tokens.result import Token
from capot.config import Sampling
from capot.engines.scheduler import Computing, Ticket
from capot.errors import ContextError, InputError, NotFoundError
from capot.leaving import look
from capot.sources.checkpoint import Checkpoint
from capot.text.templates import Message, PlainTemplate, Prompt, RawTemplate, Template, default
from capot.text.templates.message import Renderer
from capot.text.tokenizer import Tokenizer, whole
from capot.text.tokenizer import check as readable
from capot.view.event import LastEvent, StreamEvent

if TYPE_CHECKING:
    from capot.sources.hub.events import Watch

KINDS = ("raw", "few_shot", "stopped", "chat_template")
MARKER = "FIN"
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
    progress: Callable[[str], None] | None = None,
    **settings: Any,
) -> Answers:
    """One question asked in every way that the model has. Takes and raises: as ``Model.assistant``.

    ``settings`` are the fields of :class:`capot.Sampling`, unless ``sampling`` is given.
    """
    sampling = (sampling or Sampling(**settings)).seeded()
    texts = {"template": template, "chat_template": chat_template, "system": system}
    ways = _ways(model, question, sampling=sampling, after_stop=after_stop, **texts)
    answers = []
    for way in ways:
        if progress is not None:
            progress(way.kind)
        begin = time.perf_counter()
        made = generation.generate(ending(model, way.template), way.prompt.text, **way.options)
        answers.append(_answer(way, made, seconds=time.perf_counter() - begin))
        if answers[-1].stop_reason == "interrupted":
            break
    return _answers(model, question, answers, sampling=sampling, kinds=[way.kind for way in ways])


@dataclasses.dataclass(frozen=True)
class WayEvent(StreamEvent):
    """What one way has to tell: one of ``generate``'s events but the last; ``column`` is the way's kind."""

    column: str
    event: generation.Event

    @property
    def kind(self) -> str:
        return self.event.kind

    def body(self) -> dict[str, Any]:
        """As the event would be told alone, with the way's name."""
        return {**self.event.body(), "column": self.column}


@dataclasses.dataclass(frozen=True)
class Answered(StreamEvent):
    """One way has ended. ``text`` is what had been held back of it."""

    kind = "answered"

    column: str
    text: str
    answer: Answer


@dataclasses.dataclass(frozen=True)
class AnswersFinished(LastEvent):
    """The last event: every way has ended."""

    text: str
    answers: Answers
    stop_reason: str

    @property
    def outcome(self) -> Answers:
        return self.answers

    @property
    def rest(self) -> str:
        return self.text

    @property
    def why(self) -> str:
        return self.stop_reason


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
) -> Together:
    """Ask in every way at once; ``emit`` hears :class:`Told`, then :class:`Answered` for each way, then ``Finished``.

    Raises: as :func:`ask`.
    """
    sampling = (sampling or Sampling()).seeded()
    texts = {"template": template, "chat_template": chat_template, "system": system}
    ways = _ways(model, question, sampling=sampling, after_stop=after_stop, **texts)
    return Together(model, question, ways, sampling=sampling, emit=emit)


class Together:
    """All the ways of one question under way; it stands where one ticket of the scheduler would."""

    def __init__(
        self, model: Opened, question: str, ways: Sequence[_Way], *, sampling: Sampling,
        emit: Callable[[WayEvent | Answered | AnswersFinished | Exception], None],
    ) -> None:  # fmt: skip
        self.model, self.question, self.ways, self.sampling, self.emit = model, question, ways, sampling, emit
        self.begin = time.perf_counter()
        self.answers: dict[str, Answer] = {}
        self.error: BaseException | None = None
        self.tickets: list[Ticket] = []
        try:
            for way in ways:  # one may end before the next is begun: the engine thread does not wait
                template, hear = ending(model, way.template), functools.partial(self._hear, way)
                self.tickets.append(generation.start(template, way.prompt.text, emit=hear, **way.options))
        except BaseException as error:  # all of them or none
            self.error = error
            self.cancel()
            raise

    @property
    def position(self) -> int:
        """0 when one of the ways is at work, else the first one's place in the queue."""
        return min((ticket.position for ticket in self.tickets if not ticket.done), default=0)

    @property
    def done(self) -> bool:
        return len(self.answers) == len(self.ways) or self.error is not None

    def cancel(self) -> None:
        """End every way at its next token; what there is of each still comes."""
        for ticket in self.tickets:
            ticket.cancel()

    def _hear(self, way: _Way, event: generation.Event | Exception) -> None:
        """On the engine thread, which is one: nothing here runs twice at once."""
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
            stopped = any(answer.stop_reason == "interrupted" for answer in answers)
            result = _answers(self.model, self.question, answers, sampling=self.sampling, kinds=kinds)
            self.emit(AnswersFinished("", result, "interrupted" if stopped else "complete"))


@dataclasses.dataclass(frozen=True)
class _Way:
    """One way of asking, ready to go: its template, what it sends, and how it is answered."""

    template: Template
    prompt: Prompt
    sampling: Sampling
    after_stop: int
    tokens: tuple[Token, ...]  # of the prompt, cut beforehand: the engine thread has no time for it

    @property
    def kind(self) -> str:
        return self.template.kind

    @property
    def options(self) -> dict[str, Any]:
        kept = self.after_stop if self.kind == "stopped" else 0
        return {"ids": self.prompt.ids, "sampling": self.sampling, "alternatives": 0, "after_stop": kept}


def _ways(
    model: Opened, question: str, *, template: str, chat_template: str, system: str, sampling: Sampling,
    after_stop: int,
) -> list[_Way]:  # fmt: skip
    """Every way of asking ``question``, all of them made first: what is wrong is said at once."""
    if not question.strip():
        raise InputError("no_question")
    readable(question)
    plan = generation.Plan(after_stop=after_stop)
    found = templates(model, template=template, chat_template=chat_template)
    prompts = _prompts(model, found, question, system=system)
    ways = []
    for kind, chosen in found.items():
        stops = chosen.marker if isinstance(chosen, PlainTemplate) else chosen.stops
        using = dataclasses.replace(sampling, stop=(*sampling.stop, *stops))
        look()
        ways.append(_Way(chosen, prompts[kind], using, plan.after_stop, cut(prompts[kind].ids, model.tokenizer)))
    return ways


def _answers(
    model: Opened, question: str, answers: Sequence[Answer], *, sampling: Sampling, kinds: Sequence[str]
) -> Answers:
    missing = tuple(kind for kind in KINDS if kind not in kinds)
    return Answers(question, model.name, tuple(answers), sampling.temperature, sampling.seed or 0, missing)


def said(question: str, *, system: str = "") -> list[Message]:
    """A first message, after the system's where there is one."""
    return [*([Message("system", system)] if system else []), Message("user", question)]


def _prompts(model: Opened, found: Mapping[str, Template], question: str, *, system: str) -> dict[str, Prompt]:
    """What each way sends, by kind. Raises: what a template raises; ContextError ``prompt_too_long``."""
    context, prompts = model.scheduler.engine.info.context_length, {}
    for kind, chosen in found.items():
        look()
        messages = said(question, system="" if kind == "raw" else system)
        prompts[kind] = prompt = chosen.prompt(messages, model.tokenizer)
        if len(prompt.ids) > context:
            raise ContextError("prompt_too_long", tokens=len(prompt.ids), context_length=context)
    return prompts


def _answer(way: _Way, made: Generation, *, seconds: float) -> Answer:
    """What came back from one way of asking. Units: ``seconds`` from the question to the last token."""
    template, prompt = way.template, way.prompt
    return Answer(
        kind=way.kind,
        prompt=prompt.text,
        prompt_tokens=len(prompt.ids),
        text=template.finish(made.text),
        stop_reason=stop_reason(template, made),
        after_stop=made.after_stop,
        generated_tokens=len(made.tokens),
        seconds=seconds,
        stop=tuple(way.sampling.stop),
        indented=prompt.indented,
        at_marker=cut_at_marker(template, made),
        tokens=way.tokens,
    )


def stop_reason(template: Template, made: Generation) -> str:
    """Why an answer stopped: on the marker as well where the model ended its text there, without a line end."""
    return "stop_string" if made.stop_reason == "end_token" and _marked(template, made) else made.stop_reason


def cut_at_marker(template: Template, made: Generation) -> bool:
    """Whether an answer was cut right after the marker, before a line end could say that it was one (FIN, or FINAL)."""
    return made.stop_reason in CUT and _marked(template, made)


def _marked(template: Template, made: Generation) -> bool:
    return isinstance(template, PlainTemplate) and template.ends(made.text)


@dataclasses.dataclass(frozen=True)
class _Ending:
    """A model whose tokenizer knows one more token that ends a text."""

    name: str
    owner: str
    tokenizer: Tokenizer
    opened: Opened

    @property
    def engine_name(self) -> str:
        return self.opened.engine_name

    @property
    def obstacle(self) -> str | None:
        return self.opened.obstacle

    @property
    def renderer(self) -> Renderer:
        return self.opened.renderer

    @property
    def watch(self) -> Watch:
        return self.opened.watch

    @property
    def checkpoint(self) -> Checkpoint:
        return self.opened.checkpoint

    @property
    def scheduler(self) -> Computing:
        return self.opened.scheduler


def ending(model: Opened, template: Template) -> Opened:
    """The model, ended as well by the token that ends a turn in ``template``: many files forget to name it."""
    name = getattr(template, "end_of_turn", lambda _: None)(model.tokenizer)
    if name is None or model.tokenizer.named[name] in model.tokenizer.eos_ids:
        return model
    tokenizer = copy.copy(model.tokenizer)
    tokenizer.eos_ids = (*tokenizer.eos_ids, model.tokenizer.named[name])
    return _Ending(model.name, model.owner, tokenizer, model)


def cut(ids: Sequence[int], tokenizer: Tokenizer) -> tuple[Token, ...]:
    """Ids as the tokens of a view, special where they are named; places in their own joined bytes."""
    named = {token for name, token in tokenizer.named.items() if name.strip()}
    raw = [tokenizer.token_bytes(token) for token in ids]
    stops = accumulate(map(len, raw))
    return tuple(
        Token(token, part, whole(part), stop - len(part), stop, token in named)
        for token, part, stop in zip(ids, raw, stops)
    )


def templates(
    model: Opened, *, template: str = "", chat_template: str = "", lang: str | None = None
) -> dict[str, Template]:
    """Every way that the model has of being asked, by kind, in the order of ``KINDS``."""
    plain = PlainTemplate.from_toml(template, source="template") if template else default(lang)
    marked = plain if plain.end else dataclasses.replace(plain, end=MARKER)
    found: dict[str, Template] = {"raw": RawTemplate(), "few_shot": plain.without_end(), "stopped": marked}
    source = chat_template or own_source(model)
    if source:
        from capot.text.templates.jinja import JinjaTemplate  # Jinja takes a while to import

        found["chat_template"] = JinjaTemplate(source, names(model), model.renderer)
    return found


def own_source(model: Opened) -> str | None:
    """The chat template of the model's files, or of its tokenizer where it has no files."""
    try:
        return model.checkpoint.chat_template
    except NotFoundError:
        return model.tokenizer.chat_template


def names(model: Opened) -> dict[str, str]:
    """The special tokens that a chat template may name: ``bos_token``, ``eos_token``..."""
    try:
        config = model.checkpoint.tokenizer_config
    except NotFoundError:
        config = {}
    if config:
        given = {key: value for key, value in config.items() if key.endswith("_token")}
        texts = {key: value.get("content") if isinstance(value, dict) else value for key, value in given.items()}
        return {key: text for key, text in texts.items() if isinstance(text, str)}
    tokenizer = model.tokenizer
    ids = {"bos_token": tokenizer.bos_id, "eos_token": next(iter(tokenizer.eos_ids), None)}
    return {key: tokenizer.bytes_of([token]).decode() for key, token in ids.items() if token is not None}
