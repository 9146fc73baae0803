"""What a learner types of a run is right in the form in which a page shows it: its unit, its rounding, its marks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from capot.errors import InputError
from capot.lessons import packaged
from capot.lessons.play import Played
from capot.lessons.questions import Question, RunReading, Seen
from capot.lessons.reader import read_lesson


def asked(kind: str = "number", **more: Any) -> Question:
    told = {"id": "x", "ask": "?", "line": 1, "calls": (), "why": "?", "hints": (), "answer": "{{a}}"}
    return Question(kind=kind, **(told | more))


@pytest.mark.parametrize("typed", ["three", "", "3e2", "12 34 ko 5", "nan", "1.2.3", "%"])
def test_what_is_no_number_is_refused(typed: str) -> None:
    with pytest.raises(InputError) as refused:
        Played(asked(seen=Seen("?", RunReading("n"))), {"n": 3}, 0).saw(typed, "fr")
    assert refused.value.code == "not_a_number"


@pytest.mark.parametrize(
    ("typed", "lang", "seen"),
    [
        ("328 ko", "fr", True), ("328 ko par token", "fr", True), ("0,33 Mo", "fr", True),
        ("327\u202f680 octets", "fr", True),
        ("328 000 octets", "fr", True), ("327,68", "fr", True), ("330", "fr", False), ("300", "fr", False),
        ("328000", "fr", False), ("328 ms", "fr", False), ("\u2212328", "fr", False), ("320 Kio", "fr", True),
        ("327.7 kB", "en", True), ("327,680 bytes", "en", True), ("328 GB", "en", False),
    ],
)  # fmt: skip
def test_a_size_is_read_as_a_page_rounds_it_in_any_unit(typed: str, lang: str, seen: bool) -> None:
    reading = RunReading("n", times=1e-3, unit={"fr": "ko", "en": "kB"}[lang])
    assert Played(asked(seen=Seen("?", reading)), {"n": 327_680}, 0).saw(typed, lang) is seen


@pytest.mark.parametrize(
    ("truth", "typed", "seen"),
    [
        (0.614, "0,61", True), (0.614, "0,6", True), (0.614, "1", False), (0.614, "0,62", False),
        (-0.004, "0,00", True),
        (-0.11, "−0,11", True), (-0.11, "-0,11", True), (-0.11, "0,11", False),
        (15, "15 tokens", True), (15, "14", False),
        (6_291_456, "6,29 M", True), (6_291_456, "6\u202f291\u202f456", True),
        (125.3, "2 min 05 s", True), (62, "62 octets", True),
        (1.34e12, "1,34 To", True), (3e-7, "< 0,0001", True), (3e-4, "< 0,0001", False),
    ],
)  # fmt: skip
def test_a_number_is_read_with_the_digits_that_a_page_shows(truth: float, typed: str, seen: bool) -> None:
    assert Played(asked(seen=Seen("?", RunReading("n"))), {"n": truth}, 0).saw(typed, "fr") is seen


@pytest.mark.parametrize(
    "typed", ["chambre", "Chambre", "·chambre", "« chambre »", "«\u00a0·chambre\u00a0»", '"chambre"', "‘chambre’"]
)
def test_a_token_is_read_as_a_page_draws_it(typed: str) -> None:
    read_it = Played(asked(seen=Seen("?", RunReading("t"))), {"t": " chambre"}, 0)
    assert read_it.saw(typed) and not read_it.saw(f"{typed}s") and not read_it.saw("chat")
    bet = Played(asked("token"), {}, " chambre")
    assert bet.agrees(typed) == (typed != "Chambre"), "a bet on another token than the one that came"


@pytest.mark.parametrize("text", ["\n", "«", "'", "·", " ", "l\u2019", "a\u00a0b"])
def test_a_token_of_marks_alone_is_read_too(text: str) -> None:
    read_it = Played(asked(seen=Seen("?", RunReading("t"))), {"t": text}, 0)
    shown = text.replace("\n", "⏎").replace(" ", "·").replace("\u00a0", "⍽")
    assert read_it.saw(shown) and not read_it.saw("x")


@pytest.mark.parametrize("path", [*packaged("en"), *packaged("fr")], ids=lambda path: path.name)
def test_a_sentence_stands_on_its_own(path: Path) -> None:
    """Hints and answers are read in a key and in a notebook too, where nothing else stands above them."""
    lesson = read_lesson(path)
    for sentence in (each for question in lesson.questions for each in question.sentences):
        assert not re.search(
            r"\b(table|product|text|figure|bars?) (above|below)|under the text|ci-dess|sous le texte", sentence
        )
