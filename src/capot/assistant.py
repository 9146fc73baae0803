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
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate

from capot import generation
from capot.checkpoint import Checkpoint
from capot.config import Sampling
from capot.errors import ContextError, InputError, NotFoundError
from capot.opened import Opened
from capot.results.assistant import Answer, Answers
from capot.results.generation import Generation
from capot.results.tokens import Token
from capot.scheduler import Scheduler
from capot.templates import Message, PlainTemplate, Prompt, RawTemplate, Template, default
from capot.tokenizer import Tokenizer, whole
from capot.tokenizer import check as readable

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
) -> Answers:
    """Ask ``question`` in every way that the model has, with the same seed.

    ``template`` is the text of a plain template (TOML, see ``capot.templates.default_text``)
    and ``chat_template`` that of one in Jinja; empty, they are the packaged one and the
    model's own. ``system`` is said before everything else, but to the raw model.

    Raises: InputError ``no_question``, ``out_of_range``, ``template_toml``, ``template_key``, ``template_refused``;
    ModelError ``template_syntax``, ``template_failed``; ContextError ``prompt_too_long``.
    """
    if not question.strip():
        raise InputError("no_question")
    readable(question)
    plan = generation.Plan(after_stop=after_stop)
    sampling = (sampling or Sampling()).seeded()
    found = templates(model, template=template, chat_template=chat_template)
    prompts = _prompts(model, found, question, system=system)  # all of them first: what is wrong is said at once
    answers = []
    for kind, chosen in found.items():
        if progress is not None:
            progress(kind)
        stops = chosen.marker if isinstance(chosen, PlainTemplate) else chosen.stops
        using = dataclasses.replace(sampling, stop=(*sampling.stop, *stops))
        answers.append(_answer(model, chosen, prompts[kind], sampling=using, after_stop=plan.after_stop))
        if answers[-1].stop_reason == "interrupted":
            break
    missing = [kind for kind in KINDS if kind not in found]
    return Answers(question, model.name, tuple(answers), sampling.temperature, sampling.seed or 0, tuple(missing))


def said(question: str, *, system: str = "") -> list[Message]:
    """A first message, after the system's where there is one."""
    return [*([Message("system", system)] if system else []), Message("user", question)]


def _prompts(model: Opened, found: Mapping[str, Template], question: str, *, system: str) -> dict[str, Prompt]:
    """What each way sends, by kind. Raises: what a template raises; ContextError ``prompt_too_long``."""
    context, prompts = model.scheduler.engine.info.context_length, {}
    for kind, chosen in found.items():
        messages = said(question, system="" if kind == "raw" else system)
        prompts[kind] = prompt = chosen.prompt(messages, model.tokenizer)
        if len(prompt.ids) > context:
            raise ContextError("prompt_too_long", tokens=len(prompt.ids), context_length=context)
    return prompts


def _answer(model: Opened, template: Template, prompt: Prompt, *, sampling: Sampling, after_stop: int) -> Answer:
    begin = time.perf_counter()
    options = {"ids": prompt.ids, "sampling": sampling, "alternatives": 0}
    options["after_stop"] = after_stop if template.kind == "stopped" else 0
    made = generation.generate(ending(model, template), prompt.text, **options)
    return Answer(
        kind=template.kind,
        prompt=prompt.text,
        prompt_tokens=len(prompt.ids),
        text=template.finish(made.text),
        stop_reason=stop_reason(template, made),
        after_stop=made.after_stop,
        generated_tokens=len(made.tokens),
        seconds=time.perf_counter() - begin,
        stop=sampling.stop,
        indented=prompt.indented,
        tokens=cut(prompt.ids, model.tokenizer),
    )


def stop_reason(template: Template, made: Generation) -> str:
    """Why an answer stopped: on the marker as well where the marker is the last thing that was written."""
    marked = isinstance(template, PlainTemplate) and template.ends(made.text)
    return "stop_string" if marked else made.stop_reason


@dataclasses.dataclass(frozen=True)
class _Ending:
    """A model whose tokenizer knows one more token that ends a text."""

    name: str
    owner: str
    tokenizer: Tokenizer
    opened: Opened

    @property
    def checkpoint(self) -> Checkpoint:
        return self.opened.checkpoint

    @property
    def scheduler(self) -> Scheduler:
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
        from capot.templates.jinja import JinjaTemplate  # Jinja takes a while to import

        found["chat_template"] = JinjaTemplate(source, names(model))
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
