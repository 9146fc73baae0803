"""How does a text predictor become an assistant?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from capot.chapters.chapter import Chapter, ModelVerb
from capot.config import Plan, Prices, Sampling

if TYPE_CHECKING:
    from capot.chapters.assistant.chat_result import Conversation
    from capot.chapters.assistant.result import Answers
    from capot.chapters.protocols import Opened
    from capot.view.event import ProgressEvent

CHAPTER = Chapter(
    "assistant",
    {
        "assistant": ModelVerb(
            "assistant.verb:ask",
            {"question": "What is the capital of France?", "max_new_tokens": 12, "seed": 1},
            (Sampling, Plan),
            in_turn=True,
            start="assistant.verb:start",
        ),
        "chat": ModelVerb(
            "assistant.chat:chat",
            {"messages": ["Hello!"], "max_new_tokens": 12, "seed": 1},
            (Sampling, Prices),
            start="assistant.chat:start",
        ),
    },
    ("assistant", "chat"),
    sees=("generate", "tokens"),
)


class AssistantVerbs:
    """The verbs of the chapter ``assistant``."""

    def assistant(
        self: Opened, question: str, *, template: str = "", chat_template: str = "", system: str = "",
        max_new_tokens: int = 100, temperature: float = 0.7, top_k: int = 0, top_p: float = 1.0, min_p: float = 0.0,
        seed: int | None = None, stop: Sequence[str] = (), sampling: Sampling | None = None, after_stop: int = 40,
        progress: Callable[[ProgressEvent], None] | None = None,
    ) -> Answers:  # fmt: skip
        """Ask ``question`` in every way that the model has, with the same seed.

        ``template``: the text of a plain template (TOML, see ``capot.text.templates.default_text``); empty takes
        the packaged one.
        ``chat_template``: the text of a template in Jinja; empty takes the model's own.
        ``system``: said before everything else, but to the raw model.
        ``max_new_tokens``, ``temperature``, ``top_k``, ``top_p``, ``min_p``, ``seed``, ``stop``: as in
        :meth:`generate`, for each way.
        ``sampling``: all of these in one :class:`capot.Sampling`, in their place.
        ``after_stop``: tokens to make after the end marker, kept apart, 0 to 10,000.
        ``progress``: hears of each way before it is asked, then of its tokens, as :class:`capot.ProgressEvent`.

        Units: ``seconds`` from the question to the last token.
        Raises: InputError ``no_question``, ``out_of_range``, ``template_toml``, ``template_key``,
        ``template_refused``; ModelError ``template_syntax``, ``template_failed``; ContextError ``prompt_too_long``.

        >>> import capot
        >>> capot.open("scripted").assistant("What is a token?", temperature=0).answers[2].text
        'A run of bytes with a number.'
        """
        from capot.chapters.assistant.verb import ask

        chosen = sampling or Sampling(
            temperature=temperature, max_new_tokens=max_new_tokens, top_k=top_k, top_p=top_p, min_p=min_p,
            seed=seed, stop=stop,
        )  # fmt: skip
        return ask(
            self, question, template=template, chat_template=chat_template, system=system, sampling=chosen,
            after_stop=after_stop, progress=progress,
        )  # fmt: skip

    def chat(
        self: Opened, messages: Sequence[str], *, kind: str = "", template: str = "", chat_template: str = "",
        system: str = "", conversation: Mapping[str, Any] | None = None, max_new_tokens: int = 100,
        temperature: float = 0.7, top_k: int = 0, top_p: float = 1.0, min_p: float = 0.0, seed: int | None = None,
        stop: Sequence[str] = (), sampling: Sampling | None = None, price_in: float = 0.0, price_out: float = 0.0,
        progress: Callable[[ProgressEvent], None] | None = None,
    ) -> Conversation:  # fmt: skip
        """Say ``messages`` one after the other and answer the conversation with its bill.

        ``kind``: ``raw``, ``few_shot``, ``stopped`` or ``chat_template``; empty takes the model's own chat
        template where there is one, else the dialogue with an end marker.
        ``template``, ``chat_template``, ``system``: as in :meth:`assistant`.
        ``conversation``: what ``Conversation.to_dict`` gave, to go on with.
        ``max_new_tokens``, ``temperature``, ``top_k``, ``top_p``, ``min_p``, ``seed``, ``stop``: as in
        :meth:`generate`, for each answer.
        ``sampling``: all of these in one :class:`capot.Sampling`, in their place.
        ``price_in``, ``price_out``: what the tokens sent and made cost, 0 to 1,000,000,000.
        ``progress``: hears of each turn's prompt and tokens, as :class:`capot.ProgressEvent`.

        Units: prices per million tokens; times in seconds.
        Raises: InputError ``unknown_kind``, ``empty_message``, ``conversation_field``, ``out_of_range``; as
        :meth:`assistant`; ContextError ``message_too_long``.

        >>> import capot
        >>> capot.open("scripted").chat(["What is a token?", "Hello!"], temperature=0).computed_tokens
        29
        """
        from capot.chapters.assistant.chat import chat

        chosen = sampling or Sampling(
            temperature=temperature, max_new_tokens=max_new_tokens, top_k=top_k, top_p=top_p, min_p=min_p,
            seed=seed, stop=stop,
        )  # fmt: skip
        return chat(
            self, messages, kind=kind, template=template, chat_template=chat_template, system=system,
            conversation=conversation, sampling=chosen, price_in=price_in, price_out=price_out, progress=progress,
        )  # fmt: skip
