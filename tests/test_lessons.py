"""The reader of lessons: what it takes, what it refuses and in which line, and what a prediction is held against."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capot.cli import run as capot_command
from capot.errors import InputError, NotFoundError
from capot.lessons import FOLDER
from capot.lessons.page import PICTURE_BYTES, to_html
from capot.lessons.play import Played, _choice
from capot.lessons.questions import Question, Rule, RunReading, Seen
from capot.lessons.reader import BYTES, FIGURES, Change, Figure, Prose, parse, read_lesson
from capot.lessons.typed import typed_number
from capot.lessons.values import filled, measure, read

SOUND = (FOLDER / "blank" / "en.md").read_text(encoding="utf-8")
HEAD = '+++\nnumber = 0\ntitle = "Why"\ngoal = "Why"\nminutes = 5\nchapters = ["next"]\n+++\n'


def faults(text: str, folder: Path = FOLDER) -> list[tuple[int, str]]:
    found = parse(text, name="x", folder=folder)[1]
    assert all(fault.sentence("fr") != fault.sentence("en") for fault in found), "each is told in both languages"
    return [(fault.line, fault.code) for fault in found]


def changed(old: str, new: str) -> tuple[str, int]:
    """The sound lesson with one thing changed, and the line of it."""
    assert SOUND.count(old) >= 1, old
    return SOUND.replace(old, new, 1), SOUND[: SOUND.index(old)].count("\n") + 1


def test_a_lesson_is_read_in_the_order_of_its_page() -> None:
    lesson, found = parse(SOUND, name="own", folder=FOLDER)
    assert found == [] and lesson.number == 20 and lesson.chapters == ("score", "next")
    kinds = [Prose, Figure, Prose, Question, Question, Prose, Change]
    assert [type(part) for part in lesson.parts] == kinds
    lines = SOUND.split("\n")
    assert lines[lesson.parts[0].line - 1].startswith("# A lesson") and lesson.change is lesson.parts[-1]
    for question in lesson.questions:
        assert lines[question.line - 1] == f'id = "{question.id}"'
    first = lesson.questions[0]
    assert [call.verb for call in first.calls] == ["score", "score"]
    assert first.rule == Rule("smallest", ("0.bits", "1.bits")) and first.seen is not None
    assert (
        first.seen.reading == RunReading("0.bits", tolerance=0.1, unit="bits", unit_one="bit") and len(first.hints) == 3
    )


WRONG: list[tuple[str, str, str]] = [
    ("number = 20\n", "number = true\n", "key_number"),
    ("number = 20", "number = 100", "key_range"),
    ("number = 20", "number = = 20", "toml"),
    ('title = "A lesson of your own"', "title = 3", "key_text"),
    ('title = "A lesson of your own"', 'title = ""', "key_length"),
    ('title = "A lesson of your own"', f'title = "{"x" * 101}"', "key_length"),
    ('chapters = ["score", "next"]', 'chapters = ["scores"]', "chapter_unknown"),
    ('chapters = ["score", "next"]', "chapters = []", "key_count"),
    ('chapters = ["score", "next"]', "chapters = [1]", "key_texts"),
    ("This lesson is complete", "This <b>lesson is complete", "html"),
    ("This lesson is complete", "[x](https://example.org) lesson is complete", "link"),
    ("This lesson is complete", "[x](../fr/1.md) lesson is complete", "link"),
    ("This lesson is complete", "[x](%2e%2e/%2e%2e/errors.py) lesson is complete", "link"),
    ("This lesson is complete", "[x](//example.org/a) lesson is complete", "link"),
    ("This lesson is complete", "[x](/etc/passwd) lesson is complete", "link"),
    ("This lesson is complete", "<https://example.org> lesson is complete", "link"),
    ("This lesson is complete", "[x](javascript:alert(1)) lesson is complete", "link"),
    ("This lesson is complete", "[x](vbscript:x) lesson is complete", "link"),
    ("This lesson is complete", "[x](file:///etc/passwd) lesson is complete", "link"),
    ("This lesson is complete", "![x](https://example.org/a.png) lesson is complete", "picture_outside"),
    ("This lesson is complete", "![x](data:image/png;base64,AA) lesson is complete", "picture_outside"),
    ("This lesson is complete", "![x](a.svg) lesson is complete", "picture_kind"),
    ("This lesson is complete", "![x](a.png) lesson is complete", "picture_missing"),
    ("```figure", "```figures", "block_unknown"),
    ("```figure", "```python", "block_unknown"),
    ('verb = "next", prompt = "The dog bites the", k = 5', 'verb = "open"', "verb_unknown"),
    ('verb = "next", prompt = "The dog bites the", k = 5', 'verb = "vectors", tokens = "a"', "verb_unknown"),
    (
        'verb = "next", prompt = "The dog bites the", k = 5',
        'verb = "next", prompts = "a", prompt = "a"',
        "setting_unknown",
    ),
    ('verb = "next", prompt = "The dog bites the", k = 5', 'verb = "next"', "setting_missing"),
    ('verb = "next", prompt = "The dog bites the", k = 5', 'verb = "next", prompt = 3', "setting_kind"),
    ('verb = "next", prompt = "The dog bites the", k = 5', 'verb = "next", prompt = "a", k = 101', "setting_range"),
    ('verb = "next", prompt = "The dog bites the", k = 5', f'verb = "next", prompt = "{"a" * 2001}"', "setting_long"),
    ('verb = "next", prompt = "The dog bites the", k = 5', 'verb = "generate", prompt = "a"', "seed_missing"),
    (
        'verb = "next", prompt = "The dog bites the", k = 5',
        'verb = "assistant", question = "a", temperature = 0, chat_template = "{{ 1 }}"',
        "setting_refused",
    ),
    (
        'verb = "next", prompt = "The dog bites the", k = 5',
        'verb = "tokens", text = "a", compare = ["/etc/tokenizer.json"]',
        "tokenizer_outside",
    ),
    (
        'verb = "next", prompt = "The dog bites the", k = 5',
        'verb = "tokens", text = "a", compare = "english, org/name"',
        "tokenizer_outside",
    ),
    ('id = "order"', 'id = "The order"', "id_form"),
    ('kind = "choice"', 'kind = "choices"', "kind_unknown"),
    ('smallest = ["0.bits", "1.bits"]', 'smallest = ["0.bits"]', "key_count"),
    ('smallest = ["0.bits", "1.bits"]', 'smallest = ["0.bits", "1.bits + 1"]', "path_form"),
    ('smallest = ["0.bits", "1.bits"]', 'of = "0.bits"\nbelow = [1, 2]', "bounds"),
    ('smallest = ["0.bits", "1.bits"]', 'of = "0.text"\nholds = ["a", "b"]', "key_count"),
    ('smallest = ["0.bits", "1.bits"]', 'scale = [1]\nlargest = ["0.bits", "1.bits"]', "numbers"),
    ('smallest = ["0.bits", "1.bits"]', 'largest = ["0.bits", "1.bits"]\nsame = ["0.bits", "1.bits"]', "rule"),
    ('ask = "Which token comes', 'ask = "Which {{candidates.0.text}} comes', "told_before"),
    (
        '  "The first costs {{0.bits:tenths}} bits, the second {{1.bits:tenths}}.",\n',
        '  "Now you know.",\n',
        "last_hint",
    ),
    ("{{candidates.1.text}}", "{{candidates.1.text:upper}}", "form"),
    ("{{candidates.1.text}}", "{{candidates[1]}}", "path_form"),
    ('vary = "text"', 'vary = "temperature"', "vary"),
]


@pytest.mark.parametrize(("old", "new", "code"), WRONG, ids=[f"{code}-{n}" for n, (_, _, code) in enumerate(WRONG)])
def test_a_fault_is_told_with_its_line(old: str, new: str, code: str) -> None:
    text, line = changed(old, new)
    found = faults(text)
    assert code in [fault for _, fault in found]
    near = next(at for at, fault in found if fault == code)
    starts = line + (code in ("bounds", "rule") or "holds" in new)  # the second of two lines
    if code == "last_hint" or old.startswith("  "):
        starts = SOUND[: SOUND.index("hints = [")].count("\n") + 1
    assert near == starts


NUMBERS = """```question
id = "bits"
kind = "number"
ask = "How many bits does it cost?"
of = "bits"
tolerance = 1
BOUNDS
run = { verb = "score", text = "The dog bites the man." }
seen = { ask = "How many bits?", of = "bits", tolerance = 0.1 }
why = "Why?"
hints = ["a", "b", "{{bits:tenths}}"]
answer = "{{bits:tenths}}"
```

"""
AT = SOUND.index("```question")


@pytest.mark.parametrize(
    ("bounds", "code"),
    [
        ("least = 0\ngreatest = 1000\nexpected = 0", None),
        ('least = "a"', "key_number"),
        ("least = 1e16", "key_range"),
        ("least = 3\ngreatest = 3", "bounds_order"),
        ("least = 3\nexpected = 2", "beyond"),
        ("greatest = 3\nexpected = 4", "beyond"),
        ('unit = "kB"\nexpected = -1', "beyond"),
        ("expected = -1", None),
        ("leasst = 3", "key_unknown_near"),
        ('unit = "token|tokens"', None),
        ('unit = "token|"', "unit_form"),
        ('unit = "a|b|c"', "unit_form"),
    ],
)
def test_the_bounds_of_a_number_are_checked(bounds: str, code: str | None) -> None:
    found = faults(SOUND[:AT] + NUMBERS.replace("BOUNDS", bounds) + SOUND[AT:])
    line = (SOUND[:AT] + NUMBERS).split("BOUNDS")[0].count("\n") + 1 + bounds.count("\n")
    assert found == ([] if code is None else [(line, code)])


def test_a_run_beyond_the_bounds_is_found_by_playing(typed: Typed, tmp_path: Path) -> None:
    (tmp_path / "1.md").write_text(SOUND[:AT] + NUMBERS.replace("BOUNDS", "greatest = 2") + SOUND[AT:], "utf-8")
    assert typed("lesson", "check", str(tmp_path))[0] == 0
    status, out, _ = typed("lesson", "check", "--play", str(tmp_path))
    assert status == 2 and f":{SOUND[:AT].count(chr(10)) + 2}: the run says" in out


def test_what_is_missing_is_told_where_it_would_stand() -> None:
    text, line = changed('why = "What does the model read before it gives the last word a probability?"\n', "")
    begins = SOUND[: SOUND.index('id = "order"')].count("\n") + 1
    assert faults(text) == [(begins, "key_missing")] and line > begins
    assert faults("# A page") == [(1, "front_matter")] == faults("") == faults("+++\nnumber = 1")
    text, line = changed('id = "first"', 'id = "order"')
    assert faults(text) == [(line, "id_twice")]
    text, line = changed('of = "candidates.0.text"\n', 'of = "candidates.0.text"\nhint = "x"\n')
    assert faults(text) == [(line + 1, "key_unknown_near")]


def test_a_lesson_has_its_whole_form() -> None:
    change = SOUND[SOUND.index("```change") :]
    assert faults(SOUND.replace(change, "")) == [(1, "change")]
    assert [code for _, code in faults(SOUND + "\nMore.\n")] == ["change"], "a lesson ends with it"
    one = SOUND[SOUND.index("```question") : SOUND.index("```question", SOUND.index("```question") + 1)]
    assert faults(SOUND.replace(one, "")) == [(1, "questions")]
    figure = SOUND[SOUND.index("```figure") : SOUND.index("A question comes")]
    assert [code for _, code in faults(SOUND.replace(figure, figure * (FIGURES + 1)))] == ["figures"]
    quoted = SOUND.replace(figure, "".join(f"> {line}\n" for line in figure.strip().split("\n")) + "\n")
    assert [code for _, code in faults(quoted)] == ["block_unknown"], "inside a quotation it would be lost"


def test_own_words_stand_in_the_frame_alone() -> None:
    told = 'id = "why"\nkind = "words"\nask = "Why?"\nwhy = "Why?"\nhints = ["a", "b", "c"]\nanswer = "a"\n'
    words = f"```question\n{told}```\n"
    assert faults(HEAD + words) == []
    assert (9, "words_only") in faults(HEAD.replace("number = 0", "number = 1") + words)
    assert [code for _, code in faults(HEAD + SOUND[SOUND.index("```question") :])].count("words_only") == 2


def test_pictures_lie_in_the_folder(tmp_path: Path) -> None:
    inside, beside = tmp_path / "lesson", tmp_path / "beside"
    inside.mkdir(), beside.mkdir()
    (inside / "a.png").write_bytes(b"x")
    (inside / "b.png").write_bytes(b"x" * (PICTURE_BYTES + 1))
    (beside / "c.png").write_bytes(b"x")
    (inside / "c.png").symlink_to(beside / "c.png")

    def told(name: str, words: str = "seen") -> list[str]:
        text, _ = changed("This lesson is complete", f"![{words}]({name}) This lesson is complete")
        return [code for _, code in faults(text, inside)]

    assert told("a.png") == [] and told("a.png", words="") == ["picture_silent"]
    assert told("b.png") == ["picture_long"] and told("c.png") == ["picture_outside"]
    assert told("../beside/c.png") == ["picture_outside"] and told("a.png%00") == ["picture_outside"]


def test_raw_html_is_text_where_it_is_shown() -> None:
    assert to_html("<script>alert(1)</script>") == "<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>\n"
    assert "javascript" not in to_html("[x](javascript:alert(1))").partition("href=")[2]


def test_a_file_is_read_whole_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "1.md"
    path.write_text(SOUND.replace("\n", "\r\n"), encoding="utf-8-sig")
    assert read_lesson(path).title == "A lesson of your own", "as an editor on Windows leaves it"
    path.write_text(SOUND.replace("number = 20", "number = 200"), encoding="utf-8")
    with pytest.raises(InputError) as refused:
        read_lesson(path)
    assert refused.value.code == "lesson_faulty" and refused.value.params["at"] == 2
    assert str(tmp_path) not in refused.value.public().message("en")
    path.write_bytes(b"x" * (BYTES + 1))
    with pytest.raises(InputError, match="longer than a lesson"):
        read_lesson(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="not UTF-8"):
        read_lesson(path)
    with pytest.raises(NotFoundError):
        read_lesson(tmp_path / "2.md")
    with pytest.raises(InputError, match="not a file"):
        read_lesson(tmp_path)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "3.md")
        with pytest.raises(InputError, match="not a file"):
            read_lesson(tmp_path / "3.md")


@pytest.mark.parametrize("deep", ["x = " + "[" * 20_000, "x = " + "{a=" * 20_000, "x." * 20_000 + "y = 1"])
def test_deep_toml_is_a_fault(deep: str) -> None:
    text, line = changed("number = 20", f"number = 20\n{deep}")
    found = parse(text, name="x", folder=FOLDER)[1]
    assert found, "nothing that is nested without end passes"
    assert {fault.line for fault in found} <= set(range(1, line + 8))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(SOUND) - 1), st.text("\"'`[]{}#=+\n\\<>!a1 \u00e9\0", min_size=1, max_size=6))
def test_whatever_is_typed_is_read_or_refused_with_a_line_of_the_file(place: int, typed: str) -> None:
    text = SOUND[:place] + typed + SOUND[place + len(typed) :]
    _, found = parse(text, name="x", folder=FOLDER)
    assert all(1 <= fault.line <= text.count("\n") + 1 and fault.sentence("en") for fault in found)


def asked(kind: str = "number", **more: Any) -> Question:
    told = {"id": "x", "ask": "?", "line": 1, "calls": (), "why": "?", "hints": (), "answer": "{{a}}"}
    return Question(kind=kind, **(told | more))


def test_what_is_read_in_a_run() -> None:
    run = {"rows": [{"n": 1, "name": "a"}, {"n": 2, "name": "bc"}], "text": " Paris", "sure": True, "none": None}
    assert read(run, "rows.-1.n") == 2, "the last one"
    assert read(run, "rows.*.n") == [1, 2] and measure(run, "rows") == 2 and measure(run, "text") == 6
    assert measure(run, "sure") == 1
    assert filled("{{rows.0.n}} {{text}} {{rows.1.n:percent}}", run, lang="fr") == "1 Paris 200,0\u00a0%"
    for path in ("rows.2", "rows.n", "text.0", "__class__", "rows.-2", "none.-1"):
        with pytest.raises(InputError) as refused:
            read(run, path)
        assert refused.value.code == "lesson_path"
    with pytest.raises(InputError):
        measure(run, "none")


@pytest.mark.parametrize(
    "written",
    ["# a", "![x](http://e.org/a.png)", "[x](http://e.org)", "<http://e.org>", "`", "***", "a\n\n- b", "1. x",
     "&amp;", "<b>", "\x1b[31m", "|a|b|\n|-|-|"],
)  # fmt: skip
def test_what_a_model_writes_stays_text(written: str) -> None:
    html = to_html(filled("It wrote {{text}}.", {"text": written}))
    assert re.fullmatch(r"<p>It wrote [^<]*</p>\n", html), html
    shown = " ".join(part for part in unescape(html[12:-6]).replace("⏎", " ").split())
    assert shown == " ".join(written.replace("\x1b", "␛").split()) or "\x1b" in written


def test_a_number_is_right_within_its_tolerance() -> None:
    near = Played(asked(reading=RunReading("a", tolerance=0.5)), {}, 10.0)
    assert near.agrees(10.5) and near.agrees(9.5) and not near.agrees(10.51) and not near.surprises
    share = Played(asked(reading=RunReading("a", share=0.2), expected=13), {}, 10.0)
    assert share.agrees(12) and not share.agrees(12.1) and share.surprises


def test_what_was_seen_is_held_against_the_run() -> None:
    seen = Played(asked(seen=Seen("?", RunReading("p", times=100, tolerance=0.1))), {"p": 0.329, "t": " Can "}, 0)
    assert seen.saw("32.9 %", "en") and seen.saw("33,0", "fr") and not seen.saw("33.1", "en")
    with pytest.raises(InputError):
        seen.saw("a third")
    for typed in ("nan", "inf", ""):
        with pytest.raises(InputError):
            seen.saw(typed)
    text = Played(asked(seen=Seen("?", RunReading("t"))), {"t": " Can  berra\n"}, 0)
    assert text.saw("can berra") and not text.saw("canberra")
    exact = Played(asked(seen=Seen("?", RunReading("n"))), {"n": 1024}, 0)
    assert exact.saw("1,024", "en") and exact.saw("1\u202f024", "fr") and not exact.saw("1025")
    assert typed_number("1,024", "fr").value == 1.024


def test_tokens_and_curves_are_bets() -> None:
    token = Played(asked("token", expected="Sydney"), {}, " Can")
    assert token.agrees("Can") and not token.agrees("") and token.surprises
    curve = Played(asked("curve", within=1.5), {}, ([1, 2, 4], [10, 20, 40]))
    assert curve.agrees([1, 2, 4]) and curve.agrees([1, 2.9, 4]), "its shape is what counts"
    assert not curve.agrees([1, 4, 16]) and not curve.agrees([1, 2]) and not curve.agrees([0, 2, 4])
    assert not curve.agrees([1, -2, 4])


@pytest.mark.parametrize(
    ("rule", "right"),
    [
        (Rule("largest", ("a", "b")), 2),
        (Rule("largest", ("a", "b"), scale=(3.0, 1.0)), 1),
        (Rule("smallest", ("a", "b")), 1),
        (Rule("largest", ("a", "a")), 1),
        (Rule("same", ("a", "b")), 2),
        (Rule("same", ("a", "a")), 1),
        (Rule("below", ("b",), below=(1, 2)), 3),
        (Rule("below", ("a",), below=(1, 2)), 2),
        (Rule("holds", ("t",), holds=("rome", "paris")), 2),
        (Rule("holds", ("t",), holds=("Rome",)), 2),
    ],
)
def test_the_right_choice_is_read_in_the_run(rule: Rule, right: int) -> None:
    assert _choice(rule, {"a": 1, "b": 2, "t": "in Paris"}) == right


def test_the_outcome_told_is_that_of_the_run() -> None:
    question = asked(
        "choice", choices=("x", "y"), outcomes=("first {{a}}", "second {{a}}"), rule=Rule("same", ("a", "b"))
    )
    assert Played(question, {"a": 7}, 2).answer("en") == "7\n\nsecond 7"


Typed = Callable[..., tuple[int, str, str]]


@pytest.fixture
def typed(capsys: pytest.CaptureFixture[str]) -> Typed:
    def call(*arguments: str) -> tuple[int, str, str]:
        status = capot_command(arguments)
        return (status, *capsys.readouterr())

    return call


@pytest.mark.parametrize("lang", ["en", "fr"])
def test_a_new_lesson_is_sound_and_is_played(typed: Typed, tmp_path: Path, lang: str) -> None:
    path = tmp_path / "1-mine.md"
    assert typed("lesson", "new", str(path), "--lang", lang)[0] == 0
    status, out, _ = typed("lesson", "check", str(path), "--play", "--lang", lang)
    assert status == 0 and out.startswith(str(path)) and "boxed" in out
    assert typed("lesson", "new", str(path), "--lang", lang)[0] == 2, "nothing is written over"


def test_check_names_every_line_and_fails(typed: Typed, tmp_path: Path) -> None:
    (tmp_path / "1.md").write_text(changed("number = 20", "number = 200")[0], encoding="utf-8")
    (tmp_path / "2.md").write_text(SOUND.replace("{{candidates.1.text}}", "{{candidates.9.text}}"), encoding="utf-8")
    status, out, err = typed("lesson", "check", str(tmp_path))
    assert status == 2 and f"{tmp_path / '1.md'}:2: number is 200" in out and "1 fault in" in err
    assert f"{tmp_path / '2.md'}: no fault" in out, "what only a run shows is found by playing it"
    status, out, err = typed("lesson", "check", "--play", str(tmp_path / "2.md"))
    line = SOUND[: SOUND.index("{{candidates.1.text}}")].count("\n") + 1
    assert status == 2 and f"{tmp_path / '2.md'}:{line}: " in out and "candidates.9.text" in out
    assert "model.next(prompt=" in out and "⏎" not in out, "with the call that does not have it, in one line"


def test_the_command_says_what_it_takes(typed: Typed, tmp_path: Path) -> None:
    assert "capot lesson new" in typed("lesson")[2] and "capot lesson new" in typed("lesson", "delete", "x")[2]
    assert typed("lesson", "check")[0] == 2 and typed("lesson", "new", "a", "b")[0] == 2
    for missing in (tmp_path, tmp_path / "1.md"):
        status, _, err = typed("lesson", "check", str(missing))
        assert status == 2 and str(missing) in err and "capot lesson new" in err and "@" not in err, err
    status, _, err = typed("worksheet", "-o", str(tmp_path / "x.html"), "--lessons", str(tmp_path))
    assert status == 2 and "no lesson" in err and "capot lesson new" in err
