"""The guided mode in a real browser: predict, observe, explain, on the learner's own runs; a report that has it all."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from course_helpers import NUMBER, is_told
from web_helpers import Server, Visits, axe, overflow, settled, until

import capot
from capot.errors import InputError
from capot.lessons import packaged
from capot.lessons.play import Played, play, seen_number, with_evidence
from capot.lessons.questions import Question
from capot.lessons.reader import Lesson, read_lesson
from capot.lessons.values import read

pytestmark = pytest.mark.browser
SHARES = "[...document.querySelectorAll('.shown .bars .name')]"
KEPT = "Object.entries(localStorage).filter(([name]) => name.startsWith('capot-course'))"


def lesson(number: int, lang: str = "fr") -> Lesson:
    return read_lesson(packaged(lang)[number])


def enter(page: Any, number: int) -> None:
    """Go to a lesson, and wait until its pictures are there."""
    page.goto(page.url.split("/course")[0] + f"/course#lesson={number}")
    page.reload()
    settled(page)


def seal(page: Any, number: int, *places: int) -> None:
    """Seal guesses without the page, so that it shows the rest of the lesson when it is opened anew."""
    course = page.evaluate("fetch('/api/lessons').then((answer) => answer.json())")["result"]["course"]
    for place in places:
        guess = GUESS[lesson(number).questions[place].kind]
        kept = json.dumps({"predicted": guess, "sealed": "2025-01-01T10:00:00.000Z"})
        page.evaluate(f"localStorage.setItem('capot-course:{course}:answer.{number}.{place}', {json.dumps(kept)})")


def card(page: Any, number: int, place: int) -> Any:
    return page.locator(f"[data-question='{number}.{place}']")


class Evidence:
    """Hears the runs that the page makes, so that a test knows what is right without a run of its own."""

    def __init__(self, page: Any) -> None:
        self.posted: list[dict[str, Any]] = []
        page.on("request", self.heard)

    def heard(self, request: Any) -> None:
        if request.method == "POST" and "/api/lessons/" in request.url:
            self.posted.append(json.loads(request.post_data))

    def played(self, question: Question) -> Played:
        evidence = self.posted[-1]["evidence"]
        return with_evidence(question, evidence[0] if len(evidence) == 1 else evidence)


def predict(box: Any, question: Question, value: Any, decimal: str = ",") -> None:
    """Put a prediction in its field, and seal it."""
    if question.kind == "choice":
        box.locator(".choices input").nth(value - 1).check()
    elif question.kind == "curve":
        for place, height in enumerate(value):
            box.locator(".points input").nth(place).fill(str(height))
    else:
        box.locator(".predict :is(input, textarea)").fill(str(value).replace(".", decimal))
    box.locator(".predict button").click()


def held(played: Played, typed: str, lang: str) -> bool:
    """Whether a number of the page is what is asked for; several in a row are none."""
    try:
        return played.saw(typed, lang)
    except InputError:
        return False


def as_read(played: Played, box: Any, lang: str) -> str:
    """What is to be seen in a run, as it stands written on the page beside the question."""
    seen = played.question.seen
    assert seen is not None
    value = read(played.evidence, seen.reading.of)
    written: str = box.locator(".runs").inner_text()
    if isinstance(value, str):
        drawn = value.replace(" ", "·")
        found = next((each for each in (drawn, value.strip()) if each in written), None)
        assert found is not None, f"{played.question.id}: {value!r} is nowhere to be read"
        return found
    found = next((each for each in NUMBER.findall(written) if held(played, each, lang)), None)
    assert found is not None, f"{played.question.id}: {seen_number(played)} is nowhere to be read"
    return found


def do(
    page: Any, number: int, place: int, *, heard: Evidence, right: bool, known: dict[str, Any], lang: str = "fr"
) -> None:
    """Do one question, rightly or wrongly. ``known`` holds what earlier runs of the same questions said."""
    question = lesson(number, lang).questions[place]
    box = card(page, number, place)
    predict(box, question, known.get(question.id, GUESS[question.kind]), "," if lang == "fr" else ".")
    until(page, f"!document.querySelector(\"[data-question='{number}.{place}'] .after-run\").hidden")
    settled(page)
    played = heard.played(question)
    box.locator(".seen input").fill(as_read(played, box, lang) if right else "−12345")
    box.locator(".seen button").click()
    verdict = f"document.querySelector(\"[data-question='{number}.{place}'] .seen .verdict\").dataset.right"
    until(page, f"{verdict} === '{str(right).lower()}'")
    box.locator(".own-words textarea").fill(f"parce que {question.id}")
    box.locator(".answer-button").click()
    until(page, f"document.querySelector(\"[data-question='{number}.{place}'] .given-answer\").textContent !== ''")
    came = played.agrees(predicted_of(question, known))
    assert box.locator(".given-answer .verdict").get_attribute("data-right") == str(came).lower()
    for each in box.locator(".instrument").all():
        pin(each)
    known[question.id] = RIGHT[question.kind](played)


GUESS: dict[str, Any] = {"choice": 1, "number": 1, "token": "girafe", "curve": [10, 10, 10, 10, 10]}
RIGHT: dict[str, Any] = {
    "choice": lambda played: played.right,
    "number": lambda played: round(played.right, 2),
    "token": lambda played: played.right.strip(),
    "curve": lambda played: [16, 32, 48, 64, 80],
}


def predicted_of(question: Question, known: dict[str, Any]) -> Any:
    return known.get(question.id, GUESS[question.kind])


def report(page: Any, visit: Visits, path: Path) -> str:
    """The report as its file shows it, opened with no server."""
    with page.expect_download() as download:
        page.locator(".report-button").click()
    download.value.save_as(path)
    text = path.read_text(encoding="utf-8")
    assert "<script" not in text and 'src="http' not in text and "default-src 'none'" in text
    alone = visit.alone(path)
    shown: str = alone.inner_text("body")
    assert axe(alone) == []
    return shown


def test_a_lesson_is_done_through_a_reload_and_a_restart_of_the_server(
    mortal: tuple[Server, Visits], tmp_path: Path
) -> None:
    server, visit = mortal
    page = visit("/course", lang="fr")
    heard = Evidence(page)
    assert page.locator(".lessons li").count() == 9
    page.locator(".learner input").fill("Ada L.")
    page.locator(".lessons a", has_text="Les tokens").click()
    until(page, "document.querySelectorAll('.question').length === 1")
    settled(page)
    first = card(page, 3, 0)
    assert page.locator(".unfolds").is_visible(), "what may answer a prediction comes after it"
    assert first.locator("figure, .frame:visible").count() == 0, "no picture before the prediction is sealed"
    first.locator(".predict button").click()
    assert "nombre" in first.locator(".predict [role=status]").inner_text(), "nothing is sealed yet"
    first.locator(".predict input").fill("9")
    page.reload()
    settled(page)
    assert first.locator(".predict input").input_value() == "9", "a draft outlives a reload"
    known: dict[str, Any] = {"mots": 9}
    do(page, 3, 0, heard=heard, right=True, known=known)
    assert first.locator(".predict").count() == 0 and known["mots"] != 9
    assert first.locator(".predicted").inner_text() == "9\u00a0tokens"
    second = card(page, 3, 1)
    predict(second, lesson(3).questions[1], 1)
    until(page, "!document.querySelector(\"[data-question='3.1'] .after-run\").hidden")
    second.locator(".own-words textarea").fill("des mots à moi")
    second.locator(".seen input").fill("5")
    server.kill()
    second.locator(".seen button").click()
    until(page, "document.querySelector(\"[data-question='3.1'] .fault\") !== null")
    server.start()
    page.reload()
    settled(page)
    assert second.locator(".own-words textarea").input_value() == "des mots à moi"
    assert second.locator(".seen input").input_value() == "5"
    for count in range(1, 4):
        second.locator(".hint-button").click()
        until(page, f"document.querySelectorAll(\"[data-question='3.1'] .hints li\").length === {count}")
    assert second.locator(".hint-button").is_disabled()
    predict(card(page, 3, 2), lesson(3).questions[2], 1)
    until(page, "document.querySelector('.change') !== null")
    assert page.locator(".unfolds").is_hidden()
    settled(page)
    do_change(page, 3, "Un autre texte.")
    shown = report(page, visit, tmp_path / "report.html")
    assert all(
        words in shown for words in ("Ada L.", "boxed", "parce que mots", "des mots à moi", "j’ai changé le texte")
    )
    assert 'model.tokens(text="Un autre texte.", ' in shown and shown.count("model.tokens(") == 2, "two pinned figures"
    page.locator(".erasing summary").click()
    page.locator(".erasing button").click()
    until(page, f"document.readyState === 'complete' && {KEPT}.length === 0")


def do_change(page: Any, number: int, text: str) -> None:
    """Do the last step of a lesson, pin what comes of it, and write what was seen."""
    box = page.locator(f"[data-question='{number}.change']")
    box.locator(".prompt textarea").fill(text)
    changed = f"document.querySelector(\"[data-question='{number}.change'] .instrument\")"
    until(page, f"{changed}.querySelector('.settings-line').textContent.includes({json.dumps(text)})")
    settled(page)
    pin(box)
    box.locator("textarea").last.fill("j’ai changé le texte")


def pin(box: Any) -> None:
    box.locator(".pin").first.click()
    box.locator(".pin[aria-pressed=true]").first.wait_for()


def words_of(page: Any, place: str) -> list[str]:
    """The tokens that stand in a strip, its prompt aside."""
    found: list[str] = page.locator(f"{place} capot-strip button").all_inner_texts()
    return found


def test_a_lessons_instruments_are_the_chapters_own_and_live(mortal: tuple[Server, Visits]) -> None:
    server, visit = mortal
    server.allow(8)
    page = visit("/course#lesson=6", lang="fr", ready=False)
    first = '[data-question="6.0"] .instrument'
    until(page, "document.querySelector('.question .choices') !== null")
    predict(card(page, 6, 0), lesson(6).questions[0], 1)
    until(page, f"document.querySelectorAll('{first} capot-strip button').length > 2")
    begun = words_of(page, first)
    assert len(begun) < 30 and page.locator(first).get_by_role("button", name="Arrêter").is_enabled()
    server.allow(None)
    until(page, f"document.querySelectorAll('{first} capot-strip button').length === 30")
    written = words_of(page, first)
    assert written[: len(begun)] == begun, "a text is written as one watches"
    page.locator(first).get_by_role("button", name="Un token").click()
    until(page, f"document.querySelectorAll('{first} capot-strip button').length === 31")
    seal(page, 6, 1, 2)
    page.reload()
    settled(page)
    own = page.locator("[data-question='6.change']")
    own.locator("capot-slider[name=temperature] [role=spinbutton]").fill("0")
    own.locator("capot-slider[name=temperature] [role=spinbutton]").press("Enter")
    own.get_by_role("button", name="Générer").click()
    until(page, "document.querySelectorAll(\"[data-question='6.change'] capot-strip button\").length === 30")
    settled(page)
    pin(own)
    pins = page.evaluate(f"{KEPT}.filter(([name]) => name.includes(':pin.')).map(([, pin]) => JSON.parse(pin))")
    assert [(one["verb"], one["arguments"]["temperature"]) for one in pins] == [("generate", 0)]

    enter(page, 5)
    bet = card(page, 5, 0)
    bet.locator(".predict input").fill("x" * 5000)
    bet.locator(".predict button").click()
    assert "200" in bet.locator(".predict [role=status]").inner_text(), "what no server would judge is not sealed"
    seal(page, 5, 0, 1, 2)
    page.reload()
    settled(page)
    own = page.locator("[data-question='5.change']")
    before = own.locator("capot-bars").inner_text()
    own.locator("capot-slider[name=temperature] [role=spinbutton]").fill("0,5")
    own.locator("capot-slider[name=temperature] [role=spinbutton]").press("Enter")
    until(page, f"document.querySelector(\"[data-question='5.change'] capot-bars\").innerText !== {json.dumps(before)}")
    assert "temperature" not in page.url, "the address of a lesson is the lesson's"

    seal(page, 4, 0, 1, 2)
    enter(page, 4)
    own = page.locator("[data-question='4.change']")
    own.locator(".chips ~ input").fill("maison")
    own.locator(".chips ~ input").press("Enter")
    until(page, "document.querySelector(\"[data-question='4.change'] .answer\").textContent.includes('maison')")


def pins(page: Any) -> list[dict[str, Any]]:
    """What is pinned into the report, as the browser keeps it."""
    found: list[dict[str, Any]] = page.evaluate(
        f"{KEPT}.filter(([name]) => name.includes(':pin.')).map(([, pin]) => JSON.parse(pin))"
    )
    return found


def said_of(place: str, words: str) -> str:
    """A condition: the line of settings of an instrument says these words."""
    line = f"{place} .settings-line"
    return f"document.querySelector({json.dumps(line)})?.textContent.includes({json.dumps(words)})"


def test_memory_that_is_computed_is_the_learners_to_move(visit: Visits) -> None:
    page = visit("/course#lesson=7", lang="fr")
    address = page.url
    first = card(page, 7, 0)
    assert first.locator(".instrument").count() == 0, "what a question shows comes after its prediction"
    do(page, 7, 0, heard=Evidence(page), right=True, known={})
    [pinned] = pins(page)
    assert pinned["arguments"] == {"tokens": "512,1024,1536,2048,2560", "simulate": True}, "the lesson's call"
    first.locator("select[id^=known]").select_option("Mistral-7B")
    until(page, "document.querySelector(\"[data-question='7.0'] .answer\").textContent.includes('Mistral-7B')")
    first.locator(".instrument .pin").click()
    pin(first)
    [pinned] = pins(page)
    assert pinned["arguments"]["known"] == "Mistral-7B" and pinned["arguments"]["tokens"].startswith("512,")
    assert "Mistral-7B" in json.dumps(pinned["view"]), "what is pinned is what was moved to"

    seal(page, 7, 1, 2)
    page.reload()
    settled(page)
    own = "[data-question='7.change']"
    before = page.locator(f"{own} .verdicts").inner_text()
    page.locator(f"{own} input[id^=users]").fill("4096, 100000")
    until(page, said_of(own, "4096,100000"))
    page.locator(f"{own} fieldset").filter(has_text="48").get_by_role("checkbox").nth(3).check()
    until(page, f'document.querySelector("{own} .verdicts").innerText !== {json.dumps(before)}')
    assert page.url == address, "the address of a lesson is the lesson's"


def test_the_network_of_a_lesson_is_the_learners_to_open(visit: Visits) -> None:
    page = visit("/course#lesson=5", lang="fr", width=360)
    address = page.url
    place = ".instrument[data-verb=network]"
    figure = page.locator(place)
    assert figure.locator(".prompt textarea").input_value() == lesson(5).figures[0].calls[0].given["prompt"]
    assert figure.locator(".beside, .steer").count() == 0, "a lesson shows what it speaks of"
    assert figure.locator(".prompt .examples button").count() == 0, "no example is what a question asks further on"
    pin(figure)
    [pinned] = pins(page)
    assert pinned["arguments"]["k"] == 1 and "attention" not in pinned["arguments"], "the lesson's call"
    assert figure.locator(".shares").is_hidden(), "what the text does not speak of is folded"
    figure.locator(".network > details > summary").click()
    cut = "names.filter((name) => name.scrollWidth > name.clientWidth).map((name) => name.innerText)"
    assert page.evaluate(f"(() => {{ const names = {SHARES}; return {cut}; }})()") == [], "a part's name is read whole"
    assert "attention" in figure.locator(".bars.signed").first.inner_text()
    figure.locator(".power").first.click()
    until(page, f"document.querySelector('{place} .chip') !== null")
    settled(page)
    figure.locator(".pin").click()
    figure.locator(".prompt textarea").fill("Paris est une")
    until(page, said_of(place, "Paris est une"))
    settled(page)
    assert "une" in figure.locator(".guesses thead").inner_text()
    pin(figure)
    [pinned] = pins(page)
    assert (pinned["arguments"]["prompt"], pinned["arguments"]["k"]) == ("Paris est une", 1)
    assert page.url == address, "the address of a lesson is the lesson's"
    assert overflow(page) == 0 and axe(page) == []


def test_the_card_of_a_lesson_is_the_learners_to_weigh(visit: Visits) -> None:
    visit.forgive("422")
    page = visit("/course#lesson=1", lang="en")
    box = page.locator(".shown .trying")
    assert box.locator("select[id^=shape]").count() == 0, "no published shape is what a question asks further on"
    said = box.locator(".caption")
    assert "512 tokens" in said.inner_text() and "it fits" in said.inner_text()
    box.locator("select[id^=format]").select_option("int8")
    until(page, "document.querySelector('.trying .caption').textContent.includes('in int8')")
    box.locator("input").fill("1")
    until(page, "document.querySelector('.trying .caption').textContent.includes('for 1 token make')")
    box.locator("input").fill("a lot")
    until(page, "document.querySelector('.trying .fault') !== null")
    box.locator("input").fill("1,000")
    until(page, "document.querySelector('.trying .caption')?.textContent.includes('1,000 tokens')")
    pin(page.locator(".shown"))
    [pinned] = pins(page)
    assert pinned["arguments"] == {}, "the card is the model's own"
    seal(page, 2, 0, 1, 2)
    enter(page, 2)
    page.locator(".shown .trying select[id^=shape]").select_option("DeepSeek-R1")
    until(page, "document.querySelector('.shown .trying .caption').textContent.includes('does not fit')")
    assert overflow(page) == 0 and axe(page) == []


def test_an_assistant_answers_as_one_watches(mortal: tuple[Server, Visits]) -> None:
    server, visit = mortal
    server.allow(4)
    page = visit("/course#lesson=8", lang="fr", ready=False)
    until(page, "document.querySelector('.question .choices') !== null")
    server.allow(None)
    predict(card(page, 8, 0), lesson(8).questions[0], 1)
    until(page, "!document.querySelector(\"[data-question='8.0'] .after-run\").hidden")
    server.allow(4)
    asked = card(page, 8, 1)
    predict(asked, lesson(8).questions[1], 1)
    ways = "document.querySelectorAll(\"[data-question='8.1'] .instrument .way .sent li\").length"
    until(page, f"{ways} > 0")
    assert asked.get_by_role("button", name="Arrêter").is_enabled(), "the answers are on their way"
    talk = card(page, 8, 2)
    until(page, "document.querySelector(\"[data-question='8.2'] .choices\") !== null")
    predict(talk, lesson(8).questions[2], 1)
    until(page, "document.querySelectorAll(\"[data-question='8.2'] .chat li\").length >= 2")
    assert talk.locator(".after-run").is_hidden(), "a conversation is told as it goes"
    runs: list[str] = []
    page.on("request", lambda request: runs.append(request.url) if "/api/lessons/8/2" in request.url else None)
    server.allow(None)
    until(page, "!document.querySelector(\"[data-question='8.2'] .after-run\").hidden")
    assert talk.locator(".chat li").count() == 6 and "Et de l'Italie ?" in talk.locator(".chat").inner_text()
    own = page.locator("[data-question='8.change']")
    own.locator(".prompt textarea").first.fill("Qui es-tu ?")
    own.get_by_role("button", name="Demander de toutes les façons").click()
    until(
        page, "document.querySelector(\"[data-question='8.change'] .settings-line\").textContent.includes('Qui es-tu')"
    )
    settled(page)
    assert len(runs) == 1, "what is sealed while the page is still at work is run once"
    pin(own)


def test_a_lesson_is_clean_in_both_languages_and_themes(visit: Visits, tmp_path: Path) -> None:
    rows = "if (document.querySelector('.measuring tbody tr')) document.documentElement.dataset.rows = 'seen'"
    watch = f"new MutationObserver(() => {{ {rows}; }}).observe(document, {{ subtree: true, childList: true }})"
    page = visit("/course#lesson=7", lang="fr", width=360, before=watch)
    seal(page, 7, 1, 2)
    assert overflow(page) == 0 and axe(page) == []
    curve = page.locator(".points").locator("xpath=ancestor::*[@data-question]")
    curve.locator(".predict button").click()
    assert "Dessinez" in curve.locator(".predict [role=status]").inner_text(), "a line that nobody drew is no bet"
    board = curve.locator(".board")
    board.click(position={"x": board.bounding_box()["width"] - 8, "y": 8})
    assert int(curve.locator(".points input").last.input_value()) > 85, "a curve is drawn by a finger too"
    curve.locator(".points input").first.press("ArrowRight")
    assert curve.locator(".points input").first.input_value() == "11", "and by keys"
    curve.locator(".predict button").click()
    settled(page)
    until(page, "document.documentElement.dataset.rows === 'seen'")  # lengths are told as they are measured
    name = page.locator("[data-question='7.change'] .instrument label[for^=users]").inner_text()
    assert "Utilisateurs" in name, "a setting is named in words, not as Python does"
    curve.locator(".own-words textarea").fill("x")
    curve.locator(".answer-button").click()
    until(page, "document.querySelectorAll('.given-answer .sketch .theirs').length === 1")
    assert overflow(page) == 0 and axe(page) == []
    pin(curve)
    page.set_viewport_size({"width": 1920, "height": 1080})
    page.emulate_media(color_scheme="dark")
    page.get_by_label("Langue").select_option("en")
    until(page, "document.documentElement.lang === 'en'")
    settled(page)
    assert page.locator(".sealed .sketch").count() == 1, "one progress in both languages"
    assert overflow(page) == 0 and axe(page) == []
    shown = report(page, visit, tmp_path / "report.html")
    assert "Pinned in French" in shown and "Poids" in shown, "a figure keeps its words, and says so"


SHORT = [("en", 4), ("fr", 8)]  # the other lessons are held by `make soak`
LONG = [(lang, number) for lang in ("en", "fr") for number in range(1, 9) if (lang, number) not in SHORT]


@pytest.mark.parametrize(("lang", "number"), [*SHORT, *(pytest.param(*each, marks=pytest.mark.soak) for each in LONG)])
def test_a_lesson_goes_on_prediction_by_prediction(visit: Visits, lang: str, number: int) -> None:
    """Before a prediction is sealed, nothing in the document tells its answer."""
    found = lesson(number, lang)
    with capot.open("boxed", lang=lang) as model:
        asked = [play(question, model) for question in found.questions]
    page = visit(f"/course#lesson={number}", lang=lang)
    for place, each in enumerate(asked):
        until(page, f"document.querySelectorAll('.question').length === {place + 1}")
        settled(page)
        assert page.locator(".parts > :nth-last-child(2)").get_attribute("data-question") == f"{number}.{place}"
        told = page.evaluate("document.querySelector('main').textContent")
        names = page.evaluate("[...document.querySelectorAll('main [aria-label]')].map((one) => one.ariaLabel)")
        assert not is_told(each, "\n".join([told, *names]), lang), each.question.id
        predict(card(page, number, place), each.question, GUESS[each.question.kind], "," if lang == "fr" else ".")
        card(page, number, place).locator(".hint-button").click()
        settled(page)
    until(page, "document.querySelector('.change') !== null && document.querySelector('.unfolds').hidden")


def test_two_tabs_keep_each_others_answers(visit: Visits) -> None:
    page = visit("/course#lesson=3", lang="fr")
    course = page.evaluate("fetch('/api/lessons').then((answer) => answer.json())")["result"]["course"]
    old = json.dumps({"name": "Ada L.", "answers": {"3.0": {"draft": "12"}}, "pins": []})
    page.evaluate(f"localStorage.setItem('capot-course:{course}', {json.dumps(old)})")
    page.reload()
    settled(page)
    first = card(page, 3, 0)
    assert first.locator(".predict input").input_value() == "12", "what an earlier version has kept is kept"
    assert page.locator(".learner input").input_value() == "Ada L."
    other = page.context.new_page()
    other.on("pageerror", lambda error: visit.note(str(error)))
    other.goto(page.url.replace("lesson=3", "lesson=2"))
    settled(other)
    first.locator(".predict button").click()
    predict(card(other, 2, 0), lesson(2).questions[0], 141)
    until(other, "!document.querySelector(\"[data-question='2.0'] .after-run\").hidden")
    settled(page)
    first.locator(".own-words textarea").fill("mes mots")
    card(other, 2, 0).locator(".own-words textarea").fill("les miens")
    for each in (page, other):
        each.reload()
        settled(each)
    assert first.locator(".own-words textarea").input_value() == "mes mots"
    assert card(other, 2, 0).locator(".predicted").inner_text() == "141\u00a0Go"
    assert card(other, 2, 0).locator(".own-words textarea").input_value() == "les miens"
    other.goto(page.url)
    other.reload()
    settled(other)
    seal(page, 3, 2)
    predict(card(page, 3, 1), lesson(3).questions[1], 2)
    until(other, "document.querySelector(\"[data-question='3.1'] .sealed\") !== null")
    until(other, "!document.querySelector(\"[data-question='3.1'] .after-run\").hidden")
    settled(page)
    card(page, 3, 1).locator(".own-words textarea").fill("vu des deux côtés")
    value = "document.querySelector(\"[data-question='3.1'] .own-words textarea\")?.value"
    until(other, f"{value} === 'vu des deux côtés'")
    # Every field of the first tab keeps its focus while another tab writes.
    for field, here, there in (
        (".learner input", "Ada", "Ada Lovelace"),
        ("[data-question='3.0'] .own-words textarea", "mes mots", "mes mots et les tiens"),
        (".change [id^='note-']", "une partie", "une partie, une autre"),
    ):
        page.locator(field).fill(here)
        until(other, f"document.querySelector({json.dumps(field)}).value === '{here}'")
        other.locator(field).fill(there)
        until(page, f"document.querySelector({json.dumps(field)}).value === '{there}'")
        assert page.evaluate(f"document.activeElement.matches({json.dumps(field)})")
        page.keyboard.press("End")
        page.keyboard.type("!")
        until(other, f"document.querySelector({json.dumps(field)}).value === '{there}!'")
    page.locator(".erasing summary").click()
    page.locator(".erasing button").click()
    for each in (page, other):
        until(each, "document.querySelector('[data-question] .sealed') === null && document.querySelector('.predict')")
        settled(each)
    bet = "document.querySelector(\"[data-question='3.0'] .predict input\")"
    page.locator("[data-question='3.0'] .predict input").fill("7")
    until(other, f"{bet}.value === '7'")
    other.locator("[data-question='3.0'] .predict input").fill("75")
    until(page, f"{bet}.value === '75'")
    assert page.evaluate(f"document.activeElement === {bet}")
    stored = json.dumps(json.dumps({"draft": "76"}))
    page.evaluate(f"localStorage.setItem('capot-course:{course}:answer.3.0', {stored})")  # this tab hears nothing of it
    first.locator(".predict button").click()
    assert first.locator(".predicted").inner_text().startswith("76"), "what is stored is sealed"


def test_a_reading_is_held_against_what_the_page_shows(visit: Visits, tmp_path: Path) -> None:
    page = visit("/course#lesson=2", lang="fr")
    box = card(page, 2, 0)
    said = box.locator(".predict [role=status]")
    for typed, words in (("9" * 40, "trop grand"), ("beaucoup", "nombre"), ("", "nombre"),
                         ("-5", "0 au moins"), ("\u22120,1 Go", "0 au moins")):  # fmt: skip
        box.locator(".predict input").fill(typed)
        box.locator(".predict button").click()
        assert words in said.inner_text(), typed
    predict(box, lesson(2).questions[0], "1234567.5 Go")
    assert box.locator(".predicted").inner_text() == "1\u202f234\u202f567,5\u00a0Go"
    until(page, "!document.querySelector(\"[data-question='2.0'] .after-run\").hidden")
    settled(page)
    verdict, field = box.locator(".seen .verdict"), box.locator(".seen input")
    told = "document.querySelector(\"[data-question='2.0'] .seen .verdict\")"
    assert "ko par token" in box.locator(".runs").inner_text(), "what is asked for stands on the page"
    for typed, right, words in (
        ("328 ko par token", "true", "C’est bien"), ("abc", "", "un nombre"),
        ("327\u202f680 octets", "true", "C’est bien"),
        ("", "", "Écrivez d’abord"), ("300", "false", "autre chose"),
    ):  # fmt: skip
        field.fill(typed)
        assert verdict.inner_text() == "", "a verdict is of the text it was given for"
        box.locator(".seen button").click()
        until(page, f"{told}.textContent !== ''")
        assert verdict.get_attribute("data-right") == right and words in verdict.inner_text(), typed
    shown = report(page, visit, tmp_path / "report.html")
    assert "300\u00a0ko" in shown or "300 ko" in shown, "a number alone has its unit in the report"
    field.fill("328 ko")
    assert "328 ko ko" not in report(page, visit, tmp_path / "again.html"), "one that was typed is not told twice"
    field.fill("abc")
    page.reload()
    settled(page)
    box.locator(".hint-button").click()
    until(page, "document.querySelectorAll(\"[data-question='2.0'] .hints li\").length === 1")


def test_the_first_question_is_answered_twice(visit: Visits) -> None:
    page = visit("/course#lesson=0", lang="en")
    box = card(page, 0, 0)
    box.locator(".predict textarea").fill("Because it lies.")
    box.locator(".predict button").click()
    assert box.locator(".predicted").inner_text() == "Because it lies." and box.locator(".frame").count() == 0
    assert "first answer" in box.locator(".sealed .title").inner_text(), "what is asked for is no prediction"
    box.locator(".answer-button").click()
    assert "First write" in box.locator("[role=status]").last.inner_text()
    box.locator(".own-words textarea").first.fill("It predicts tokens.")
    box.locator(".answer-button").click()
    until(page, "document.querySelector('.given-answer').textContent.includes('%')")
    assert axe(page) == []


@pytest.mark.soak
@pytest.mark.parametrize(("lang", "right"), [("fr", False), ("fr", True), ("en", True)])
def test_the_whole_session(visit: Visits, tmp_path: Path, lang: str, right: bool) -> None:
    """Every lesson is done by guesses, then anew by what the runs said; the report has every figure."""
    page = visit("/course", lang=lang)
    heard = Evidence(page)
    known: dict[str, Any] = {}
    for _ in range(2 if right else 1):
        page.evaluate("localStorage.clear()")
        for number in range(1, 9):
            enter(page, number)
            for place in range(len(lesson(number, lang).questions)):
                do(page, number, place, heard=heard, right=right, known=known, lang=lang)
    shown = report(page, visit, tmp_path / "report.html")
    questions = [question for number in range(1, 9) for question in lesson(number, lang).questions]
    assert all(f"parce que {question.id}" in shown for question in questions)
    figures = sum(len(question.calls) for question in questions)
    assert len(re.findall(r"print\(model\.", shown)) == figures, "every figure with what makes it again"
