"""One question asked four ways, and what each way sent to the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from capot.chapters.tokens.result import SHOWN, Token, pieces
from capot.i18n import tr
from capot.view.blocks import Block, Chat, Columns, Facts, Heading, Strip, Text, Turn
from capot.view.result import Result, text_tail


@dataclass(frozen=True)
class Answer(Result):
    """One way. ``kind`` is ``raw``, ``few_shot``, ``stopped`` or ``chat_template``.

    ``prompt_tokens`` counts BOS and ``tokens`` shows it; ``after_stop`` is what the model
    would have gone on to write; ``indented`` are the question's lines that were moved to
    the right because they would have passed for the template's own; ``at_marker`` says that
    it was cut right after the end marker, before the end of that line; ``next_turn`` is the line where it went on
    as somebody else, and ``marker`` an end marker that it wrote though its prompt has none.
    Units: ``seconds`` from the question to the last token.
    """

    kind: str
    prompt: str
    prompt_tokens: int
    text: str
    stop_reason: str
    after_stop: str
    generated_tokens: int
    seconds: float
    stop: Sequence[str] = ()
    indented: Sequence[str] = ()
    at_marker: bool = False
    next_turn: str = ""
    marker: str = ""
    tokens: Sequence[Token] = field(default=(), repr=False)

    def brief(self, lang: str | None = None) -> str:
        title = tr(f"assistant.{self.kind}.title", lang)
        text = text_tail(self.text.strip(), 120)
        return tr("assistant.answered", lang, title=title, text=text)

    def view(self, lang: str | None = None) -> list[Block]:
        """Return this way's column: its name, what was sent, what came back, and what it means."""
        sent = b"".join(token.bytes for token in self.tokens).decode("utf-8", errors="replace")
        blocks: list[Block] = [
            Heading(tr(f"assistant.{self.kind}.title", lang), level=2),
            Text(tr(f"assistant.{self.kind}.means", lang), tone="quiet"),
            Strip(pieces(sent, self.tokens, lang), label=tr("assistant.sent", lang), caption=self._sent_caption(lang)),
        ]
        if self.indented:
            blocks.append(Text(indented(self.indented, lang), tone="warning"))
        turn = Turn(tr("assistant.answer", lang), self.text.strip() or "∅", after=self._after)
        return [*blocks, Chat([turn], caption=self._answer_caption(lang))]

    def _sent_caption(self, lang: str | None) -> str:
        special = sum(token.special for token in self.tokens)
        size = "prompt" if self.prompt_tokens <= SHOWN else "long_prompt"
        first = tr(f"assistant.caption.{size}", lang, count=self.prompt_tokens, shown=SHOWN)
        second = tr("assistant.caption.special" if special else "assistant.caption.plain", lang, count=special)
        return f"{first} {second}"

    def _answer_caption(self, lang: str | None) -> str:
        first = tr("assistant.caption.answer", lang, count=self.generated_tokens)
        why = "stop_string_more" if self.stop_reason == "stop_string" and self._after else self.stop_reason
        more = f" {tr('assistant.at_marker', lang)}" if self.at_marker else ""
        return f"{first} {tr(f'assistant.stopped_by.{why}', lang)}{more}{self._happened(lang)}"

    def _happened(self, lang: str | None) -> str:
        """Return what this very answer did beside answering."""
        sentences = []
        if self.marker:
            sentences.append(tr("assistant.happened.marker", lang, marker=self.marker))
        if self.next_turn:
            sentences.append(tr("assistant.happened.next_turn", lang, line=self.next_turn))
        return "".join(f" {each}" for each in sentences)

    @property
    def _after(self) -> str:
        return self.after_stop.strip("\n")


@dataclass(frozen=True)
class Answers(Result):
    """The same question, model, seed and temperature; only the text around it changes.

    ``missing`` names the ways that this model does not have (``chat_template``).
    """

    question: str
    model: str
    answers: Sequence[Answer]
    temperature: float
    seed: int
    missing: Sequence[str] = ()

    def figures(self) -> dict[str, Any]:
        return {"seed": self.seed}

    table = "answers"

    def brief(self, lang: str | None = None) -> str:
        asked = {"question": text_tail(self.question), "model": self.model}
        return tr("assistant.brief", lang, count=len(self.answers), **asked)

    def view(self, lang: str | None = None) -> list[Block]:
        """Return the four ways, two by two, then what to take away."""
        columns = [answer.view(lang) for answer in self.answers]
        pairs = [Columns(columns[place : place + 2]) for place in range(0, len(columns), 2)]
        facts = [(tr("assistant.model", lang), self.model), (tr("assistant.question", lang), self.question)]
        blocks: list[Block] = [Heading(tr("assistant.title", lang)), Facts(facts), *pairs]
        blocks += [Text(tr(f"assistant.missing.{kind}", lang), tone="quiet") for kind in self.missing]
        return [*blocks, Text(self._compared(lang), tone="quiet")]

    def _compared(self, lang: str | None) -> str:
        sizes = [answer.prompt_tokens for answer in self.answers]
        first = tr("assistant.compared", lang, count=len(sizes), least=min(sizes), most=max(sizes))
        kind = "settings" if self.temperature else "likeliest"
        settings = tr(f"assistant.{kind}", lang, seed=str(self.seed), temperature=self.temperature)
        return f"{first} {settings}"


def indented(lines: Sequence[str], lang: str | None = None) -> str:
    """Return what a person is told whose lines were moved."""
    shown = lines[0].strip()[:40]
    return tr("assistant.indented", lang, count=len(lines), line=shown)
