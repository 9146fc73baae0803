"""The ways of asking that a model has, and what each sends: its template, its prompt, where its answer ends."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from capot.chapters.generate import verb as generation
from capot.chapters.protocols import Opened
from capot.chapters.tokens.result import Token
from capot.config import Sampling
from capot.engines.cancellation import check_cancelled
from capot.engines.scheduler import SchedulerLike
from capot.engines.seen import ServerFacts
from capot.errors import ContextError, InputError, NotFoundError
from capot.i18n import Reason
from capot.sources.checkpoint import Checkpoint
from capot.text.templates import Message, PlainTemplate, Prompt, RawTemplate, Template, default
from capot.text.templates.message import Renderer
from capot.text.tokenizer import RemoteEncoder, Tokenizer, decode_whole
from capot.text.tokenizer import check_text as readable

if TYPE_CHECKING:
    from capot.engines.decode_plan import DecodePlan
    from capot.engines.loaded import Loaded
    from capot.sources.hub.checkpoint import HubCheckpoint
    from capot.sources.hub.events import Watch

KINDS = ("raw", "few_shot", "stopped", "chat_template")
GIVEN = Reason("template", key="assistant.template_given")  # what errors call a template that is from no file
MARKER = "FIN"


def templates(
    model: Opened, *, template: str = "", chat_template: str = "", lang: str | None = None
) -> dict[str, Template]:
    """Return every way that the model has of being asked, by kind, in the order of ``KINDS``.

    Raises: InputError ``not_unicode``; as ``PlainTemplate.from_toml``.
    """
    readable(chat_template)
    plain = PlainTemplate.from_toml(template, source=GIVEN) if template else default(lang)
    # A few-shot dialogue and the same with a marker differ in the marker alone, whatever the template says.
    marked = plain if plain.end else dataclasses.replace(plain, end=MARKER)
    found: dict[str, Template] = {"raw": RawTemplate(), "few_shot": plain.without_end(), "stopped": marked}
    source = chat_template or own_source(model)
    if source:
        from capot.text.templates.jinja import JinjaTemplate  # Jinja takes a while to import

        found["chat_template"] = JinjaTemplate(source, special_tokens(model), model.renderer)
    return found


def own_source(model: Opened) -> str | None:
    """Return the chat template of the model's files, or of its tokenizer where it has no files."""
    try:
        return model.checkpoint.chat_template
    except NotFoundError:
        return model.tokenizer.chat_template


def special_tokens(model: Opened) -> dict[str, str]:
    """Return the special tokens that a chat template may name: ``bos_token``, ``eos_token``..."""
    try:
        config = model.checkpoint.tokenizer_config
    except NotFoundError:
        config = {}
    if config:
        given = {key: value for key, value in config.items() if key.endswith("_token")}
        texts = {key: value.get("content") if isinstance(value, dict) else value for key, value in given.items()}
        # A config may give a token as a record with its flags, of which the text is wanted.
        return {key: text for key, text in texts.items() if isinstance(text, str)}
    tokenizer = model.tokenizer
    ids = {"bos_token": tokenizer.bos_id, "eos_token": next(iter(tokenizer.eos_ids), None)}
    return {key: tokenizer.bytes_of([token]).decode() for key, token in ids.items() if token is not None}


@dataclasses.dataclass(frozen=True)
class Way:
    """One way of asking, ready to go: its template, what it sends, and how it is answered."""

    template: Template
    prompt: Prompt
    sampling: Sampling
    after_stop: int
    tokens: tuple[Token, ...]  # of the prompt, cut beforehand: the engine thread has no time for it
    dialogue: PlainTemplate  # whose roles and end marker an answer may write by itself

    @property
    def kind(self) -> str:
        return self.template.kind

    # Only the way with a marker shows what would have followed it.
    @property
    def options(self) -> dict[str, Any]:
        kept = self.after_stop if self.kind == "stopped" else 0
        return {"ids": self.prompt.ids, "sampling": self.sampling, "alternatives": 0, "after_stop": kept}


def every_way(
    model: Opened, question: str, *, template: str, chat_template: str, system: str, sampling: Sampling,
    after_stop: int,
) -> list[Way]:  # fmt: skip
    """Return every way of asking ``question``. All are made first, so that what is wrong is reported at once."""
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
        check_cancelled()
        tokens = cut(prompts[kind].ids, model.tokenizer)
        dialogue = found["stopped"]
        assert isinstance(dialogue, PlainTemplate)  # as ``templates`` makes it
        ways.append(Way(chosen, prompts[kind], using, plan.after_stop, tokens, dialogue))
    return ways


def _prompts(model: Opened, found: Mapping[str, Template], question: str, *, system: str) -> dict[str, Prompt]:
    """Return what each way sends, by kind. Raises: what a template raises; ContextError ``prompt_too_long``."""
    context = model.scheduler.engine.info.context_length
    prompts = {}
    for kind, chosen in found.items():
        check_cancelled()
        messages = first_messages(question, system="" if kind == "raw" else system)
        prompts[kind] = prompt = chosen.prompt(messages, model.tokenizer)
        if len(prompt.ids) > context:
            raise ContextError("prompt_too_long", tokens=len(prompt.ids), context_length=context)
    return prompts


def first_messages(question: str, *, system: str = "") -> list[Message]:
    """Return a first message, after the system's where there is one."""
    return [*([Message("system", system)] if system else []), Message("user", question)]


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
    def loaded(self) -> Loaded | None:
        return self.opened.loaded

    def decode_plan(self, *, dtype: str | None, weights_bytes: int) -> DecodePlan | None:
        return self.opened.decode_plan(dtype=dtype, weights_bytes=weights_bytes)

    @property
    def renderer(self) -> Renderer:
        return self.opened.renderer

    @property
    def remote_encoder(self) -> RemoteEncoder | None:
        return self.opened.remote_encoder

    @property
    def watch(self) -> Watch:
        return self.opened.watch

    @property
    def server(self) -> ServerFacts | None:
        return self.opened.server

    @property
    def checkpoint(self) -> Checkpoint:
        return self.opened.checkpoint

    @property
    def published(self) -> HubCheckpoint | None:
        return self.opened.published

    @property
    def scheduler(self) -> SchedulerLike:
        return self.opened.scheduler


def ending(model: Opened, template: Template) -> Opened:
    """Return the model, ended as well by the token that ends a turn in ``template``: many files forget to name it."""
    name = template.end_of_turn(model.tokenizer)
    if name is None or model.tokenizer.named[name] in model.tokenizer.eos_ids:
        return model
    # A copy: the tokenizer is everybody's, and the end of a turn is this template's affair.
    tokenizer = copy.copy(model.tokenizer)
    tokenizer.eos_ids = (*tokenizer.eos_ids, model.tokenizer.named[name])
    return _Ending(model.name, model.owner, tokenizer, model)


def cut(ids: Sequence[int], tokenizer: Tokenizer) -> tuple[Token, ...]:
    """Return ids as the tokens of a view, special where they are named, with their places in their own joined bytes."""
    named = {token for name, token in tokenizer.named.items() if name.strip()}
    raw = [tokenizer.token_bytes(token) for token in ids]
    stops = accumulate(map(len, raw))
    return tuple(
        Token(token, part, decode_whole(part), stop - len(part), stop, token in named)
        for token, part, stop in zip(ids, raw, stops)
    )
