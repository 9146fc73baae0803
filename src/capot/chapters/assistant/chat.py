"""A conversation: a model remembers nothing, so every turn sends everything again.

The state is a :class:`~capot.chapters.assistant.chat_result.Conversation`, frozen, that goes in and
comes out: a terminal keeps one in a variable, a browser keeps its JSON. What a prompt
shares with the one before is found in the engine's cache and need not be computed; the
bill of each turn says how much that was.
"""

from __future__ import annotations

import contextlib
import dataclasses
import queue
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from capot.chapters.assistant import verb as assistant
from capot.chapters.assistant import ways
from capot.chapters.assistant.chat_result import Conversation, Exchange, check_price
from capot.chapters.generate import verb as generation
from capot.chapters.generate.result import Generation
from capot.chapters.protocols import Opened
from capot.config import Sampling
from capot.engines.cancellation import INTERRUPTED, check_cancelled
from capot.engines.scheduler import Ticket, cancel_on_ctrl_c
from capot.errors import ContextError, InputError
from capot.text.templates import Message, PlainTemplate, Prompt, Template
from capot.text.tokenizer import check_text as readable
from capot.view.event import LastEvent, ProgressEvent

_LETTERS = 16  # in a token, on the average of a text: more than any text of words has


@dataclass(frozen=True)
class TurnFinished(LastEvent):
    """The last event of a turn: the rest of its text, and the conversation with the new turn in it.

    An answer interrupted before its first token is no turn: the conversation is then as it was.
    """

    text: str
    conversation: Conversation
    stop_reason: str

    @property
    def outcome(self) -> Conversation:
        return self.conversation

    @property
    def rest(self) -> str:
        return self.text

    @property
    def why(self) -> str:
        return self.stop_reason


def chat(
    model: Opened,
    messages: Sequence[str],
    *,
    kind: str = "",
    template: str = "",
    chat_template: str = "",
    system: str = "",
    conversation: Mapping[str, Any] | None = None,
    sampling: Sampling | None = None,
    price_in: float = 0.0,
    price_out: float = 0.0,
    progress: Callable[[ProgressEvent], None] | None = None,
    **settings: Any,
) -> Conversation:
    """Return a conversation and its bill. Takes and raises: as ``Model.chat``.

    ``settings`` are the fields of :class:`capot.Sampling`, unless ``sampling`` is given.
    """
    texts = {"template": template, "chat_template": chat_template}
    # What is given now wins over what the conversation holds, so that a page may change its template midway.
    state = opened(model, conversation, kind=kind, system=system, price_in=price_in, price_out=price_out, **texts)
    using = chosen(model, state.kind, **texts)
    sampling = sampling or Sampling(**settings)
    for message in [messages] if isinstance(messages, str) else messages:
        events = Events(model, state, message, template=using, sampling=sampling)
        # Ctrl-C ends the answer and keeps the turn; a second one leaves as usual.
        with cancel_on_ctrl_c(events.cancel), events:
            last = generation.follow(events, progress, most=sampling.max_new_tokens, what=message)
        state = last.conversation
        if last.stop_reason == "interrupted" or INTERRUPTED.is_set():
            break
    return state


def start(
    model: Opened,
    messages: Sequence[str],
    *,
    emit: Callable[[Any], None],
    kind: str = "",
    template: str = "",
    chat_template: str = "",
    system: str = "",
    conversation: Mapping[str, Any] | None = None,
    sampling: Sampling | None = None,
    price_in: float = 0.0,
    price_out: float = 0.0,
) -> Ticket:
    """Begin one turn, so with one message; ``emit`` is called on the engine thread with each event.

    They are those of a generation, then ``TurnFinished``.

    Raises: as ``chat``; InputError ``one_message``.
    """
    if isinstance(messages, str):
        messages = [messages]
    if len(messages) != 1:
        raise InputError("one_message", count=len(messages))
    state = opened(
        model, conversation, kind=kind, template=template, chat_template=chat_template, system=system,
        price_in=price_in, price_out=price_out,
    )  # fmt: skip
    using = chosen(model, state.kind, template=template, chat_template=chat_template)
    return begin(model, state, messages[0], template=using, sampling=sampling, emit=emit)


def opened(
    model: Opened,
    conversation: Mapping[str, Any] | None = None,
    *,
    kind: str = "",
    template: str = "",
    chat_template: str = "",
    system: str = "",
    price_in: float = 0.0,
    price_out: float = 0.0,
) -> Conversation:
    """Return a conversation to begin, or to go on with; what is given here wins over what it holds."""
    state = Conversation.from_dict(conversation) if conversation else Conversation()
    return dataclasses.replace(
        state,
        kind=kind or state.kind or kind_of(model, template=template, chat_template=chat_template),
        system=system or state.system,
        model=model.name,
        context_length=model.scheduler.engine.info.context_length,
        price_in=check_price("price_in", price_in or state.price_in),
        price_out=check_price("price_out", price_out or state.price_out),
    )


def kind_of(model: Opened, *, template: str = "", chat_template: str = "") -> str:
    """Return the kind of template that a conversation takes where none is named."""
    if chat_template or not template:
        return "chat_template" if chat_template or ways.own_source(model) else "stopped"
    return PlainTemplate.from_toml(template, source=ways.GIVEN).kind


def chosen(model: Opened, kind: str, *, template: str = "", chat_template: str = "") -> Template:
    """Return the template of a kind. Raises: InputError ``unknown_kind`` naming those the model has."""
    found = ways.templates(model, template=template, chat_template=chat_template)
    if kind not in found:
        raise InputError("unknown_kind", kind=kind[:40], known=", ".join(found))
    return found[kind]


class Events(Iterator[Any]):
    """One turn as it comes: generation's events, then ``TurnFinished`` with the new state."""

    def __init__(
        self, model: Opened, state: Conversation, message: str, *, template: Template, sampling: Sampling | None = None
    ) -> None:
        self._events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._over = False
        self._model = model  # held, since its engine ends once nobody does
        self._ticket = begin(model, state, message, template=template, sampling=sampling, emit=self._events.put)

    def cancel(self) -> None:
        """End the answer at its next token; what there is of it still comes."""
        self._ticket.cancel()

    def __enter__(self) -> Events:
        return self

    def __exit__(self, *_: object) -> None:
        """Cancel the turn: whoever leaves before the last event wants no more of them."""
        if not self._over:
            self.cancel()

    def __next__(self) -> Any:
        while not self._over:
            with contextlib.suppress(queue.Empty):
                event = self._events.get(timeout=0.2)  # returns often, so that Ctrl-C is heard everywhere
                self._over = isinstance(event, TurnFinished | BaseException)
                if isinstance(event, BaseException):
                    raise event
                return event
        raise StopIteration


def begin(
    model: Opened,
    state: Conversation,
    message: str,
    *,
    template: Template,
    emit: Callable[[Any], None],
    sampling: Sampling | None = None,
) -> Ticket:
    """Send one message. Raises: InputError ``empty_message``; ContextError ``message_too_long``."""
    clock = time.perf_counter()  # reading the template and the vocabulary is part of the wait
    if not message.strip():
        raise InputError("empty_message")
    readable(message)
    sampling = sampling or Sampling()
    prompt, dropped = fitted(model, state, message, template=template, room=sampling.max_new_tokens)
    # The template's own stops are beside the user's: a model that plays both parts ends there.
    sampling = dataclasses.replace(sampling, stop=(*sampling.stop, *template.stops))
    turn = _Turn(state, message, prompt, dropped, template, clock, emit)
    ending = ways.ending(model, template)
    return generation.start(ending, prompt.text, ids=prompt.ids, sampling=sampling, alternatives=0, emit=turn.hear)


def fitted(model: Opened, state: Conversation, message: str, *, template: Template, room: int) -> tuple[Prompt, int]:
    """Return the prompt of the next turn, and how many of the oldest turns it leaves out, whole.

    It leaves room for the answer, ``room`` tokens but no more than half the context.
    """
    context = state.context_length
    # At most half of the context for the answer: else a setting of 4,000 tokens would leave no room for any turn.
    limit = context - min(room, context // 2)
    # Turns that were left out once stay out: a cache whose beginning moves at each turn saves nothing.
    first = min(state.turns[-1].dropped_turns, len(state.turns)) if state.turns else 0

    def prompt_from(dropped: int) -> Prompt:
        check_cancelled()
        return template.prompt(_messages(state, message, dropped), model.tokenizer)

    guess = max(first, _likely(state.turns, limit))
    last = len(state.turns)
    prompt, dropped = _longest(prompt_from, limit, first=first, guess=guess, last=last)
    if len(prompt.ids) >= context:
        raise ContextError("message_too_long", tokens=len(prompt.ids), context_length=context)
    return prompt, dropped


def _likely(turns: Sequence[Exchange], limit: int) -> int:
    """Return how many of the oldest turns are too many by their letters alone.

    Few tokens hold more than ``_LETTERS``.
    """
    kept = accumulate(len(turn.user) + len(turn.assistant) for turn in reversed(turns))
    return len(turns) - sum(1 for letters in kept if letters <= _LETTERS * limit)


def _longest(
    prompt_from: Callable[[int], Prompt], limit: int, *, first: int, guess: int, last: int
) -> tuple[Prompt, int]:
    """Return the prompt of at most ``limit`` tokens that leaves out the fewest turns from ``first`` on.

    Their number comes with it.

    A prompt is no longer without a turn than with it, so the place is found by halving. The search goes outwards
    from ``guess`` first, in steps that double, so that no prompt much longer than the limit is ever made.
    """
    low = first
    high = last
    step = 1
    found: Prompt | None = None
    tried = guess
    # A binary search with a doubling start: prompts are rendered and cut, which for a long conversation costs most.
    while found is None or low < high:
        prompt = prompt_from(tried)
        if len(prompt.ids) <= limit or tried == last:
            found = prompt
            high = tried
        else:
            low = tried + 1
            step = 0
        tried = max(low, high - step) if step else (low + high) // 2
        step *= 2
    return found, high


def _messages(state: Conversation, message: str, dropped: int) -> list[Message]:
    kept = [Message(*pair) for t in state.turns[dropped:] for pair in (("user", t.user), ("assistant", t.assistant))]
    first = [Message("system", state.system)] if state.system else []
    return [*first, *kept, Message("user", message)]


def undo(state: Conversation) -> Conversation:
    """Return the same conversation without its last turn."""
    return dataclasses.replace(state, turns=state.turns[:-1])


class _Turn:
    """The listener that makes a turn of one answer, on the engine thread."""

    def __init__(
        self, state: Conversation, message: str, prompt: Prompt, dropped: int, template: Template,
        clock: float, emit: Callable[[Any], None],
    ) -> None:  # fmt: skip
        self.state = state
        self.message = message
        self.prompt = prompt
        self.dropped = dropped
        self.template = template
        self.clock = clock
        self.emit = emit
        self.first: float | None = None

    def hear(self, event: Any) -> None:
        if isinstance(event, generation.Step) and self.first is None:
            self.first = time.perf_counter() - self.clock
        if isinstance(event, generation.Finished):
            made = event.generation
            reason = assistant.stop_reason(self.template, made)
            event = TurnFinished(self._rest(made.text, held=event.text), self._with(made, reason), reason)
        self.emit(event)

    def _rest(self, text: str, *, held: str) -> str:
        """Return what was held back of an answer, less what the template alone needed of it."""
        kept = self.template.finish(text)
        # The answer as it is kept may end before what was held back does.
        end = text.find(kept) + len(kept)
        return text[len(text) - len(held) : end]

    def _with(self, made: Generation, reason: str) -> Conversation:
        # An answer stopped before its first token is none: the conversation must not hold an empty turn.
        if reason == "interrupted" and not made.tokens:
            return self.state
        total = time.perf_counter() - self.clock
        turn = Exchange(
            user=self.message,
            assistant=self.template.finish(made.text),
            sent_tokens=made.prompt_tokens,
            computed_tokens=None if made.reused_tokens is None else made.prompt_tokens - made.reused_tokens,
            generated_tokens=len(made.tokens),
            first_token_s=total if self.first is None else self.first,
            total_s=total,
            stop_reason=reason,
            dropped_turns=self.dropped,
            indented=self.prompt.indented,
            at_marker=assistant.cut_at_marker(self.template, made),
            prompt=self.prompt.text,
            prompt_ids=self.prompt.ids,
        )
        return dataclasses.replace(self.state, turns=(*self.state.turns, turn))
