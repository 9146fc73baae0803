"""A text made token by token, and the events of its making."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from capot.chapters.token_texts import id_text
from capot.i18n import duration, number, percent, tr
from capot.view.blocks import Block, Facts, Heading, Piece, PieceKind, Strip, Table, Text
from capot.view.event import LastEvent, StreamEvent
from capot.view.result import Result, text_tail
from capot.view.visible import visible

StopReason = Literal["stop_string", "end_token", "max_new_tokens", "context_full", "interrupted"]
CUT = ("max_new_tokens", "context_full", "interrupted")  # reasons that are not the text's own

FIGURES = (
    "stop_reason", "stop_string", "after_stop", "seed", "prompt_tokens", "reused_tokens", "prefill_s", "decode_s",
    "tokens_per_s",
)  # fmt: skip
SHOWN = 400  # tokens of the strip; the rest is in --json
HESITATIONS = 5  # rows of the table
BRIEFLY = 80  # characters of the text in a console
_PROMPT_END = 120  # characters of the prompt before the strip


@dataclass(frozen=True, slots=True)
class Alternative:
    """Another token that could have come, with the model's own probability."""

    id: int
    text: str
    label: str
    probability: float


@dataclass(frozen=True, slots=True)
class GeneratedToken:
    """One token of the text.

    ``text`` is empty where its bytes are no whole character, ``label`` never is.
    ``probability`` and ``logprob`` (natural logarithm) are the model's own, at temperature
    1 and before any filter, ``rank`` its place in that order, from 1; ``chance`` is the
    probability it had to be drawn. ``draw`` numbers the draw that chose it. Units:
    ``seconds`` since the token before.

    Where a server draws: ``id`` is -1 if it tells the text of a token alone, ``rank`` None if it is not among the most
    probable ones that are told, ``chance`` None if it depends on others.
    """

    id: int
    text: str
    label: str
    probability: float
    logprob: float
    rank: int | None
    chance: float | None
    alternatives: Sequence[Alternative]
    seconds: float
    draw: int


@dataclass(frozen=True)
class Generation(Result):
    """A prompt and what the model made of it.

    ``prompt_tokens`` counts ``opening``, the names of the tokens that the model's files put before a prompt (BOS).
    ``text`` ends before the stop string; ``after_stop`` is what would have followed it,
    where that was asked for. ``tokens`` are all that were computed for ``text``, those of
    the stop string and the end token included. ``sampling`` holds the settings, with the
    seed that was drawn where none was given.
    Units: seconds; ``prefill_s`` is engine time, ``decode_s`` runs from the first token to
    the last; ``tokens_per_s`` = (tokens - 1) / decode_s, None below two tokens. Where a server writes the text,
    ``prompt_tokens`` and ``reused_tokens`` are those of its bill, the latter None where it does not tell, and
    ``prefill_s`` is the time to its first token.
    """

    prompt: str
    text: str
    stop_reason: StopReason
    prompt_tokens: int
    reused_tokens: int | None
    prefill_s: float
    decode_s: float
    tokens_per_s: float | None
    tokens: Sequence[GeneratedToken]
    stop_string: str | None
    after_stop: str
    seed: int
    sampling: dict[str, Any]
    prompt_ids: Sequence[int]
    model: str
    opening: Sequence[str] = ()

    table = "tokens"

    def brief(self, lang: str | None = None) -> str:
        text = visible(self.text if len(self.text) <= BRIEFLY else self.text[:BRIEFLY] + "…")
        return tr("generate.brief", lang, prompt=text_tail(self.prompt), text=text, why=self.why(lang))

    def view(self, lang: str | None = None) -> list[Block]:
        """Return the text with each token's probability, where the model hesitated, what it cost."""
        blocks: list[Block] = [Heading(tr("generate.title", lang)), Text(_end(self.prompt) + self.text)]
        if self.tokens:
            blocks.append(Strip(self._pieces(lang), label=self.model, caption=self._caption(lang)))
            if len(self.tokens) > SHOWN:
                blocks.append(Text(tr("generate.more", lang, shown=SHOWN, count=len(self.tokens)), tone="quiet"))
            blocks.append(self._table(lang))
        return [*blocks, self._facts(lang)]

    def figures(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in FIGURES} | {"generated_tokens": len(self.tokens)}

    def _pieces(self, lang: str | None) -> list[Piece]:
        pieces = [Piece(_end(self.prompt), kind="prompt")] if self.prompt else []
        for place, token in enumerate(self.tokens[:SHOWN]):
            hint = tr("generate.hint", lang, id=id_text(token.id), share=percent(token.probability, lang))
            kind: PieceKind = "token" if token.text else "bytes"
            pieces.append(Piece(token.label, hint=hint, tone=place % 6, weight=token.probability, kind=kind))
        return pieces

    def _caption(self, lang: str | None) -> str:
        unlikely = min(self.tokens, key=_probability)
        shown = percent(unlikely.probability, lang)
        first = tr("generate.caption.unlikely", lang, token=unlikely.label, share=shown)
        if not all(token.alternatives for token in self.tokens):  # nobody knows which was the most probable
            return first
        best = sum(_is_best(token) for token in self.tokens)
        return f"{first} {tr('generate.caption.best', lang, best=best, count=len(self.tokens))}"

    def _table(self, lang: str | None) -> Table:
        unsure = sorted(range(len(self.tokens)), key=lambda place: self.tokens[place].probability)[:HESITATIONS]
        rows = []
        for place in sorted(unsure):
            token = self.tokens[place]
            others = [
                f"{other.label} {percent(other.probability, lang)}"
                for other in token.alternatives
                if (other.id, other.text) != (token.id, token.text)
            ]
            rows.append(
                (number(place + 1, lang), token.label, percent(token.probability, lang), "   ".join(others[:3]))
            )
        columns = [tr(f"generate.table.{name}", lang) for name in ("place", "token", "probability", "others")]
        caption = tr("generate.table.caption", lang, count=len(rows), total=len(self.tokens))
        return Table(columns, rows, title=tr("generate.table.title", lang), caption=caption, align="rlrl")

    def _facts(self, lang: str | None) -> Facts:
        speed = "–" if self.tokens_per_s is None else tr("generate.facts.speed_value", lang, value=self._speed(lang))
        values = {
            "stopped": self.why(lang),
            "tokens": number(len(self.tokens), lang),
            "speed": speed,
            "prompt": self._prompt_size(lang),
            "prefill": duration(self.prefill_s, lang),
            "temperature": number(self.sampling["temperature"], lang),
            "seed": str(self.seed),
        }
        return Facts([(tr(f"generate.facts.{name}", lang), value) for name, value in values.items()])

    def _prompt_size(self, lang: str | None) -> str:
        if self.reused_tokens is None:
            size = tr("generate.facts.prompt_size", lang, count=self.prompt_tokens)
        else:
            size = tr("generate.facts.prompt_value", lang, count=self.prompt_tokens, reused=self.reused_tokens)
        return tr("generate.facts.opened", lang, size=size, opening=", ".join(self.opening)) if self.opening else size

    def why(self, lang: str | None = None) -> str:
        """Return why the text ends where it does."""
        stop = (self.stop_string or "").replace("\n", "⏎")
        return tr(f"generate.why.{self.stop_reason}", lang, count=len(self.tokens), stop=stop)

    def summary(self, lang: str | None = None) -> str:
        """Return why it stopped, tokens per second and tokens reused, in one line."""
        parts = [self.why(lang)]
        if self.tokens_per_s is not None:
            parts.append(tr("generate.facts.speed_value", lang, value=self._speed(lang)))
        if self.reused_tokens is not None:
            parts.append(tr("generate.facts.reused", lang, count=self.reused_tokens, total=self.prompt_tokens))
        return " · ".join([*parts, tr("generate.facts.seed_value", lang, seed=str(self.seed))])

    def _speed(self, lang: str | None) -> str:
        rate = self.tokens_per_s or 0.0
        return number(rate, lang, 0 if rate >= 100 else 1)


def _end(prompt: str) -> str:
    return prompt if len(prompt) <= _PROMPT_END else "…" + prompt[-_PROMPT_END:]


def _probability(token: GeneratedToken) -> float:
    return token.probability


def _is_best(token: GeneratedToken) -> bool:
    return token.probability >= token.alternatives[0].probability


# The events of a generation, in order: Progress*, Started, Step*, Finished. Started comes with the first step.


@dataclass(frozen=True, slots=True)
class Progress(StreamEvent):
    """How much of a long prompt has been read. Units: tokens."""

    kind = "progress"

    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Started(StreamEvent):
    """The prompt has been read and the first token is about to be drawn."""

    kind = "started"

    prompt_ids: Sequence[int]
    prompt_tokens: int
    reused_tokens: int | None
    prefill_s: float
    seed: int


@dataclass(frozen=True, slots=True)
class Step(GeneratedToken, StreamEvent):
    """One more token, whose own text is ``token_text``: ``text`` is what the stream may now show, often nothing.

    Half characters and what may be the beginning of a stop string are held back.
    """

    kind = "step"

    token_text: str


@dataclass(frozen=True, slots=True)
class Finished(LastEvent):
    """The end. ``text`` is what had been held back and was no stop string after all."""

    text: str
    generation: Generation

    @property
    def outcome(self) -> Generation:
        return self.generation

    @property
    def rest(self) -> str:
        return self.text

    @property
    def why(self) -> str:
        return self.generation.stop_reason


Event = Progress | Started | Step | Finished
