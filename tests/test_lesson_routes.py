"""The course over HTTP: contents, lessons without their answers, and a learner's own run held against a question."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lab_helpers import asgi, scripted

from capot.config import Serving
from capot.errors import InputError, NotFoundError
from capot.lessons import packaged
from capot.lessons.course import read_course
from capot.lessons.judge import judged
from capot.lessons.nodes import to_nodes
from capot.lessons.reader import read_lesson
from capot.web import serve as web
from capot.web.app import create_app

PNG = bytes.fromhex("89504e470d0a1a0a") + bytes(24)
LESSON = """+++
number = {number}
title = "Mine"
minutes = 5
goal = "A goal."
chapters = ["next"]
+++

# Mine

Text with ![a cat](cat.png).

```question
id = "one"
kind = "number"
ask = "How many?"
of = "count"
tolerance = 1
unit = "tokens"
expected = 9
run = {{ verb = "tokens", text = "a b" }}
seen = {{ ask = "How many bytes?", of = "bytes" }}
why = "Why?"
hints = ["first SECRET", "second SECRET", "It is {{{{count}}}}."]
answer = "ANSWER {{{{count}}}} {{{{text}}}}"
```

```question
id = "two"
kind = "choice"
ask = "Which?"
choices = ["few", "many"]
of = "count"
below = [10]
run = {{ verb = "tokens", text = "a b" }}
seen = {{ ask = "What text?", of = "text" }}
why = "Why?"
hints = ["a", "b", "{{{{count}}}}"]
answer = "{{{{count}}}}"
```

```change
ask = "Change it."
run = {{ verb = "tokens", text = "a b" }}
vary = "text"
```
"""
RUN = {"count": 3, "bytes": 3, "text": "<b>a</b> [x](y)"}


def write(folder: Path, *numbers: int) -> Path:
    folder.mkdir(exist_ok=True)
    for place, number in enumerate(numbers):
        (folder / f"{place}.md").write_text(LESSON.format(number=number), encoding="utf-8")
    (folder / "cat.png").write_bytes(PNG)
    return folder


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = write(tmp_path_factory.mktemp("lessons") / "own", 1, 2)
    with asgi(scripted(), Serving(lessons=str(folder))) as opened:
        yield opened


def judge(client: Any, place: int = 0, **body: Any) -> Any:
    return client.post(f"/api/lessons/1/{place}", json={"evidence": [RUN], "predicted": 3, "seen": None} | body)


def test_a_course_is_listed_and_a_lesson_holds_no_answer(client: Any) -> None:
    listed = client.get("/api/lessons").json()["result"]
    assert [(each["number"], each["questions"]) for each in listed["lessons"]] == [(1, 2), (2, 2)]
    found = client.get("/api/lessons/1")
    parts = found.json()["result"]["parts"]
    assert [part["part"] for part in parts] == ["prose", "question", "question", "change"]
    assert [part["place"] for part in parts[1:3]] == [0, 1]
    assert parts[1]["calls"] == [{"verb": "tokens", "arguments": {"text": "a b"}, "of": "tokens", "chapter": "tokens"}]
    assert not any(secret in found.text for secret in ("SECRET", "ANSWER", "expected", "below", "{{"))
    (picture,) = (node for node in parts[0]["nodes"][1][2] if isinstance(node, list))
    assert picture[0] == "img" and picture[1]["src"].startswith("data:image/png;base64,")


@pytest.mark.parametrize("lang", ["en", "fr"])
def test_no_packaged_lesson_tells_its_answers_before(lang: str) -> None:
    course = read_course(None, lang)
    for lesson in course.lessons:
        told = json.dumps(course.page(lesson.number), ensure_ascii=False)
        for question in lesson.questions:
            for secret in (*question.hints, question.answer, *question.outcomes):
                assert secret[:40] not in told, question.id
    assert read_course(None, "en").name == read_course(None, "fr").name, "one progress in both languages"


def test_a_prediction_is_held_against_the_learners_own_run(client: Any) -> None:
    right = judge(client, predicted=4, seen="3").json()["result"]
    assert right["came_true"] and right["seen"] and right["right"] == "3 tokens"
    assert right["hints"][2] == [["p", {}, ["It is 3."]]] and right["expected"], "what most expect is 9"
    assert right["answer"] == [["p", {}, ["ANSWER 3 <b>a</b> [x](y)"]]], "what a run says is text"
    wrong = judge(client, predicted=4.5, seen="4").json()["result"]
    assert wrong["came_true"] is False and wrong["seen"] is False
    assert judge(client).json()["result"]["seen"] is None, "nothing was read yet"
    chosen = judge(client, 1, predicted=1, seen=" <B>a</b>   [x](y)").json()["result"]
    assert chosen["came_true"] and chosen["right"] == "few" and chosen["seen"]


def test_a_reading_that_is_no_number_is_told_and_keeps_nothing_else_back(client: Any) -> None:
    said = judge(client, seen="three").json()["result"]
    assert said["seen"] is None and said["unread"] and said["came_true"] and len(said["hints"]) == 3
    assert not judge(client, seen="3 bytes").json()["result"]["unread"]


def test_a_page_is_told_what_can_be_sealed_and_what_varies(client: Any) -> None:
    number, choice = client.get("/api/lessons/1").json()["result"]["parts"][1:3]
    assert judge(client, predicted=number["most"]).status_code == 200 and number["exact"]
    assert judge(client, predicted=2 * number["most"]).status_code == 422
    assert choice["most"] == 0, "a choice has no length"
    course = read_course(None, "en")
    parts = [part for lesson in course.lessons for part in course.page(lesson.number)["parts"]]
    exact = {part["calls"][0]["verb"]: part["exact"] for part in parts if part.get("calls") and "exact" in part}
    assert exact["tokens"] and exact["card"] and not exact["next"] and not exact["generate"]
    bet = next(part for part in parts if part.get("kind") == "token")
    assert bet["most"] == 200


def test_the_same_prediction_is_wrong_on_another_run(client: Any) -> None:
    assert judge(client, 1, predicted=1).json()["result"]["came_true"]
    assert not judge(client, 1, predicted=1, evidence=[RUN | {"count": 12}]).json()["result"]["came_true"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"evidence": []}, "lesson_evidence"),
        ({"evidence": [RUN, RUN]}, "lesson_evidence"),
        ({"evidence": [RUN] * 9}, "bad_request"),
        ({"evidence": [{"count": "x" * 9}]}, "lesson_path"),
        ({"evidence": [{"count": None, "text": ""}]}, "lesson_path"),
        ({"evidence": [{"count": {"a": 1}}]}, "lesson_path"),
        ({"evidence": [{}]}, "lesson_path"),
        ({"predicted": None}, "prediction_form"),
        ({"predicted": "3"}, "prediction_form"),
        ({"predicted": [1, 2]}, "prediction_form"),
        ({"predicted": 1e16}, "prediction_form"),
    ],
)
def test_what_is_no_run_and_no_prediction_is_refused(client: Any, body: dict[str, Any], code: str) -> None:
    answer = judge(client, **body)
    assert 400 <= answer.status_code < 500 and answer.json()["error"]["code"] == code, answer.text


@pytest.mark.parametrize("path", ["/api/lessons/7", "/api/lessons/1/2", "/api/lessons/1/-1", "/api/lessons/9/0"])
def test_a_lesson_that_is_not_there(client: Any, path: str) -> None:
    body = {"evidence": [RUN], "predicted": 3}
    answer = client.get(path) if path.count("/") == 3 else client.post(path, json=body)
    assert answer.status_code == 404 and answer.json()["error"]["code"] == "no_such_lesson"


def test_any_numbers_of_a_run_get_an_answer_or_a_refusal(client: Any) -> None:
    for value in (0, -1, 1e308, -1e308, 10**23, 1e-320, True):
        for place in (0, 1):
            answer = judge(client, place, predicted=1, evidence=[RUN | {"count": value, "bytes": value}], seen="1")
            assert answer.status_code in (200, 400, 422), (value, answer.text)


@pytest.mark.parametrize(
    ("lang", "words"), [("en", {0: "0 tokens", 1: "1 token"}), ("fr", {0: "0 token", 2: "2 tokens"})]
)
def test_a_unit_in_words_agrees_with_its_number(lang: str, words: dict[int, str]) -> None:
    question = read_lesson(packaged(lang)[3]).questions[0]
    for count, said in words.items():
        run = {"count": count, "bytes": 1, "characters": 1, "characters_per_token": 1.0, "tokens": [{"text": "a"}] * 3}
        assert judged(question, [run], 1, typed=None, folder=Path(), lang=lang).right == said


@pytest.mark.parametrize("kind", ["curve", "token", "words"])
def test_predictions_have_the_form_of_their_kind(kind: str) -> None:
    lesson = read_lesson(packaged("en")[{"curve": 7, "token": 5, "words": 0}[kind]])
    question = next(each for each in lesson.questions if each.kind == kind)
    for predicted in (True, {"a": 1}, [1, "x"], [1] * 99, "x" * 500 if kind == "token" else [2]):
        with pytest.raises(InputError) as refused:
            judged(question, [{}], predicted, typed=None, folder=Path(), lang="en")
        assert refused.value.code == "prediction_form"


def test_a_curve_is_drawn_again_beside_the_runs_own() -> None:
    lesson = read_lesson(packaged("en")[7])
    question = next(each for each in lesson.questions if each.kind == "curve")
    rows = [{"tokens": x, "computed": {"kv_cache": 10 * x}} for x in question.points]
    run = {"rows": rows, "kv_cache": {"bytes_per_token": 10_000}}
    found = judged(question, [run], [16, 32, 48, 64, 80], typed="10", folder=Path(), lang="en")
    assert found.came_true and found.seen and found.points == [5120, 10240, 15360, 20480, 25600]
    assert not judged(question, [run], [6, 7, 8, 9, 10], typed=None, folder=Path(), lang="en").came_true


def test_lessons_of_the_owner_are_refused_before_the_lab_opens(tmp_path: Path) -> None:
    twice = write(tmp_path / "twice", 3, 3)
    faulty = write(tmp_path / "faulty", 1)
    (faulty / "0.md").write_text("no lesson", encoding="utf-8")
    (tmp_path / "empty").mkdir()
    said: list[str] = []
    with scripted() as model:
        for folder, code in ((twice, "lesson_number_twice"), (faulty, "lesson_faulty")):
            with pytest.raises(InputError) as refused:
                create_app(model, Serving(lessons=str(folder)))
            assert refused.value.code == code
            with pytest.raises(InputError):
                web.serve(model, Serving(port=0, lessons=str(folder)), say=lambda key, **_: said.append(key))
        with pytest.raises(NotFoundError):
            create_app(model, Serving(lessons=str(tmp_path / "empty")))
    assert said == [], "no link is printed that nobody opens"


def test_a_folder_may_have_a_course_for_each_language(tmp_path: Path) -> None:
    tmp_path.joinpath("both").mkdir()
    write(tmp_path / "both" / "en", 1, 2)
    write(tmp_path / "both" / "fr", 1)
    assert len(read_course(tmp_path / "both", "en").lessons) == 2
    assert len(read_course(tmp_path / "both", "fr").lessons) == 1
    one = write(tmp_path / "one", 5)
    assert read_course(one, "fr").lessons == read_course(one, "en").lessons


def test_markdown_becomes_names_and_texts(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    text = "# T\n\n| a |\n|---|\n| `b` |\n\n- x\n  y\n\n3. z\n\n![p](a.png) ![q](../b.png) <i>\n\n    code <b>\n"
    heading, table, close, numbered, mixed, code = to_nodes(text, folder=tmp_path)
    assert heading == ["h2", {}, ["T"]] and table[0] == "table" and close == ["ul", {}, [["li", {}, ["x y"]]]]
    assert numbered == ["ol", {"start": 3}, [["li", {}, ["z"]]]] and code == ["pre", {}, ["code <b>"]]
    first, second = (part for part in mixed[2] if isinstance(part, list))
    assert first[1]["src"].startswith("data:image/png;base64,") and second[1] == {"alt": "q", "src": ""}
    assert mixed[2][-1] == " <i>", "raw HTML is text"
