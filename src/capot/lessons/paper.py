"""The course on paper: a worksheet for learners, and a key with the answers of the model at hand.

Both are one file of HTML that loads nothing, has no script, and prints in black and white.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING

from capot.i18n import number, tr
from capot.lessons.calls import InstrumentCall
from capot.lessons.page import to_html
from capot.lessons.play import Played, play
from capot.lessons.questions import Question
from capot.lessons.reader import FRAME, Change, Figure, Lesson, Part, Prose
from capot.view.html import style_sheet, to_fragment
from capot.view.visible import visible

if TYPE_CHECKING:
    from capot.model import Model

ROOM = 3  # lines to write on
POLICY = "default-src 'none'; style-src 'unsafe-inline'"
STYLE = """
body.paper > main > section ~ section { break-before: page; }
.paper .question { border: 1px solid; border-radius: 6px; padding: .6em 1em; margin: 1.2em 0; }
.paper .question, .paper figure { break-inside: avoid; }
.paper .line { border-bottom: 1px solid; height: 1.9em; }
.paper .board { height: 11em; border-inline-start: 1px solid; border-bottom: 1px solid; margin: .6em 0 .2em; }
.paper .marks { display: flex; justify-content: space-between; margin-bottom: 1em; }
.paper .choices { list-style: none; padding: 0; }
.paper .choices li::before { content: "\\2610\\00a0"; }
.paper .choices li.right::before { content: "\\2611\\00a0"; }
.paper .right { font-weight: 650; }
.paper pre { white-space: pre-wrap; }
body.paper > main p { white-space: normal; }
body.paper > main .fragment p { white-space: pre-line; }
.paper table { border-collapse: collapse; }
body.paper > main > section > :is(table, .scroll) { margin-bottom: 1em; }
.paper td, .paper th { padding: .2em .6em; text-align: start; }
@page { margin: 14mm 12mm; }
@media print {
  body.paper, body.paper .fragment { font-size: 9.5pt; max-width: none; padding: 0; background: #fff; }
  .paper figure figure, .paper .question > p { break-inside: avoid; }
  body.paper > main > section > figure { break-inside: auto; margin-inline: 0; }
  .paper :is(h1, h2, h3, h4, .title) { break-after: avoid; }
}
"""


def worksheet(lessons: Sequence[Lesson], model: Model, lang: str) -> str:
    """Return the lessons with room to write, figures made by ``model``. Raises: as the verbs."""
    return _page(lessons, model, lang, solved=False)


def key(lessons: Sequence[Lesson], model: Model, lang: str) -> str:
    """Return the lessons' questions with hints and answers, every figure read in a run of ``model``.

    Raises: as the verbs; InputError ``lesson_path``.
    """
    return _page(lessons, model, lang, solved=True)


def _page(lessons: Sequence[Lesson], model: Model, lang: str, *, solved: bool) -> str:
    title = tr("paper.key" if solved else "paper.worksheet", lang)
    parts = [f"<h1>{_text(title)}</h1>", _head(model, lang, solved=solved)]
    for lesson in lessons:
        parts += ["<section>", *_lesson(lesson, model, lang, solved=solved), "</section>"]
    # The first question is answered twice, before the course and after it.
    if not solved:
        parts += [_again(lesson, lang) for lesson in lessons if lesson.number == FRAME]
    return (
        f'<!doctype html>\n<html lang="{lang}">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(title)}</title>\n<style>\n{style_sheet()}{STYLE}</style>\n</head>\n"
        '<body class="capot paper">\n<main>\n' + "\n".join(parts) + "\n</main>\n</body>\n</html>\n"
    )


def _head(model: Model, lang: str, *, solved: bool) -> str:
    fields = [f"{tr('paper.model', lang)} {model.name}"]
    fields += [] if solved else [f"{tr(f'paper.{name}', lang)} " + "_" * 24 for name in ("name", "date")]
    return "".join(f"<p>{_text(line)}</p>" for line in fields)


def _lesson(lesson: Lesson, model: Model, lang: str, *, solved: bool) -> Iterator[str]:
    if solved:
        yield f"<h2>{_text(lesson.title)}</h2>"
    for part in lesson.parts:
        if isinstance(part, Question):
            yield from _solved(play(part, model), lang) if solved else _asked(part, lang)
        elif not solved:
            yield from _shown(part, model, lang)


def _shown(part: Part, model: Model, lang: str) -> Iterator[str]:
    """Give a part that asks for no answer: text, a figure, or something to change."""
    if isinstance(part, Prose):
        yield to_html(part.text)
    elif isinstance(part, Figure):
        yield from (_figure(call, model, lang) for call in part.calls)
    elif isinstance(part, Change):
        title = _text(tr("paper.change", lang))
        yield f'<div class="question"><p class="title">{title}</p>{to_html(part.ask)}{_room()}</div>'


def _figure(call: InstrumentCall, model: Model, lang: str) -> str:
    return f"<figure>{to_fragment(call.answer(model).view(lang), lang=lang)}</figure>"


def _asked(question: Question, lang: str) -> Iterator[str]:
    yield f'<div class="question">{to_html(question.ask)}'
    yield _field(question, lang)
    if question.seen is not None:
        yield f'<p class="title">{_text(tr("paper.seen", lang))}</p>{to_html(question.seen.ask)}{_room(1)}'
    yield f'<p class="title">{_text(tr("paper.why", lang))}</p>{to_html(question.why)}{_room()}</div>'


def _field(question: Question, lang: str) -> str:
    """Return where a prediction is written: boxes to tick, a frame to draw in, or lines."""
    if question.choices:
        return _choices(question.choices)
    if question.points:
        marks = "".join(f"<span>{_text(number(each, lang))}</span>" for each in question.points)
        return f'<div class="board"></div><div class="marks">{marks}</div>'
    return _room(ROOM if question.kind == "words" else 1)


def _solved(played: Played, lang: str) -> Iterator[str]:
    question = played.question
    yield f'<div class="question">{to_html(question.ask)}'
    if question.choices:
        yield _choices(question.choices, right=played.right)
    hints = "".join(f"<li>{to_html(hint)}</li>" for hint in played.hints(lang))
    yield f'{to_html(played.answer(lang))}<p class="title">{_text(tr("paper.hints", lang))}</p><ol>{hints}</ol></div>'


def _again(lesson: Lesson, lang: str) -> str:
    """Return the question of the frame once more, for after the last lesson."""
    asked = "".join(f"{to_html(question.ask)}{_room(8)}" for question in lesson.questions)
    return f'<section><h2>{_text(tr("paper.after", lang))}</h2><div class="question">{asked}</div></section>'


def _choices(choices: Iterable[str], *, right: int = 0) -> str:
    marks = (' class="right"' if place == right else "" for place, _ in enumerate(choices, 1))
    items = "".join(f"<li{mark}>{_text(choice)}</li>" for mark, choice in zip(marks, choices, strict=False))
    return f'<ul class="choices">{items}</ul>'


def _room(lines: int = ROOM) -> str:
    return '<div class="line"></div>' * lines


def _text(text: str) -> str:
    return escape(visible(text))
