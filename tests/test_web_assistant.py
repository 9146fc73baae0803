"""The assistant page, as a person uses it: one question every way, a template edited, a conversation and its bill."""

from __future__ import annotations

import contextlib
import io
import json
from typing import Any

import pytest
from web_helpers import Server, Visits, axe, overflow, settled, stop, until

STOP = "[...document.querySelectorAll('.row button')].find((one) => /^(Stop|Arrêter)$/.test(one.textContent))"
IDLE = f"{STOP}.disabled && !document.querySelector('.waiting')"
ASK = {"en": "Ask every way", "fr": "Demander de toutes les façons"}
QUESTION = "prompt=What+is+the+capital+of+France%3F"


def press(page: Any, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def ask(page: Any, lang: str = "en") -> None:
    press(page, ASK[lang])
    until(page, f"({IDLE}) && document.querySelector('figcaption').textContent.length > 20")


def say(page: Any, text: str, turns: int) -> None:
    page.get_by_label("Your message").fill(text)
    page.keyboard.press("Enter")
    until(page, f"({IDLE}) && document.querySelectorAll('ol.chat > li.even').length === {turns}")


@pytest.mark.parametrize("lang", ["en", "fr"])
def test_one_question_every_way_under_the_text_that_was_sent(visit: Visits, lang: str) -> None:
    page = visit(f"/assistant#{QUESTION}&seed=3&max_new_tokens=6&temperature=0&after_stop=4", lang=lang)
    ask(page, lang)
    assert page.locator(".way").count() == 4
    assert "<|endoftext|>" in page.locator(".way[data-kind=raw] li.special").inner_text()
    assert "ASSISTANT" in page.locator(".way[data-kind=stopped] .sent").inner_text()
    assert page.locator(".way[data-kind=stopped] .said").inner_text().strip() not in ("", "∅")
    page.get_by_text({"en": "In Python", "fr": "En Python"}[lang]).click()
    code = page.inner_text(".code pre")
    assert "temperature=0, max_new_tokens=6, seed=3" in code
    assert not axe(page)
    page.emulate_media(color_scheme="dark")
    assert not axe(page)


def test_the_python_of_the_page_gives_the_page(visit: Visits) -> None:
    page = visit(f"/assistant#{QUESTION}&seed=3&max_new_tokens=3&temperature=0&after_stop=0")
    ask(page)
    page.get_by_text("In Python").click()
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(page.inner_text(".code pre"), {})
    assert page.locator(".way[data-kind=raw] .said").inner_text().split("\n")[0].strip() in printed.getvalue()


def test_a_system_text_that_is_erased_is_not_sent_any_more(visit: Visits) -> None:
    page = visit("/assistant#view=talk&max_new_tokens=3&temperature=0&seed=1")
    page.get_by_text("The template, to edit").first.click()
    field = page.get_by_label("A text for the system role, said before everything else")
    field.fill("zebra crossing")
    say(page, "Hello", 1)
    page.locator("details.exact summary").click()
    assert "zebra" in page.inner_text("details.exact .sent").replace("\n", "")
    field.fill("")
    say(page, "Bye", 2)
    assert "Bye" in (sent := page.inner_text("details.exact .sent").replace("\n", "")) and "zebra" not in sent


def test_an_edited_template_is_sent_and_a_broken_one_is_told(visit: Visits) -> None:
    visit.forgive("400|422")
    page = visit(f"/assistant#{QUESTION}&seed=3&max_new_tokens=3&after_stop=0")
    page.get_by_text("The template, to edit").first.click()
    field = page.locator("textarea.code-field").first
    field.fill('end = "STOP"\n[roles]\nuser = "Q:"\nassistant = "A:"\n')
    ask(page)
    assert "STOP" not in page.locator(".way[data-kind=few_shot] .sent").inner_text()
    assert page.locator(".way[data-kind=stopped] .sent").inner_text().replace("\n", "").endswith("⏎A:")
    page.get_by_text("On the command line").click()
    assert "--template template.toml" in page.locator(".code pre").last.inner_text()
    field.fill("end = STOP")
    press(page, ASK["en"])
    until(page, "document.querySelector('.fault') !== null")
    assert "STOP" in field.input_value() and "template" in page.inner_text(".fault")


def test_a_conversation_and_its_bill(visit: Visits) -> None:
    page = visit("/assistant#view=talk&seed=3&max_new_tokens=6&price_in=2&price_out=8")
    say(page, "Hello!", 1)
    say(page, "What is the capital of France?", 2)
    until(page, "document.querySelector('.bill .main-svg') !== null")
    rows = page.locator(".bill table tbody tr")
    assert rows.count() == 3, "two turns and their sum"
    assert page.locator(".exact summary").inner_text().endswith("tokens")
    address = page.evaluate("location.pathname + location.hash")
    page.get_by_text("In Python").click()
    assert 'model.chat(["Hello!", "What is the capital of France?"]' in page.inner_text(".code pre")
    assert not axe(page)
    other = visit(address)
    until(other, "document.querySelectorAll('.bill table tbody tr').length === 3")
    assert other.locator("ol.chat").inner_text() == page.locator("ol.chat").inner_text()
    press(page, "Forget the last turn")
    until(page, "document.querySelectorAll('ol.chat > li.even').length === 1")
    assert page.get_by_label("Your message").input_value() == "What is the capital of France?"
    page.reload()
    settled(page)
    assert page.locator("ol.chat > li").count() == 2
    press(page, "New conversation")
    assert "talk=" not in page.url


@pytest.mark.parametrize(
    ("lang", "written", "kept"),
    [("fr", "0,25", "0.25"), ("fr", "0.25", "0.25"), ("en", "0.25", "0.25"), ("en", "1,500", "1500")],
)
def test_a_price_is_typed_as_its_reader_writes_numbers(visit: Visits, lang: str, written: str, kept: str) -> None:
    page = visit("/assistant#view=talk", lang=lang)
    price = page.get_by_label({"fr": "Prix du million de tokens lus", "en": "Price per million tokens read"}[lang])
    price.fill(written)
    price.press("Tab")
    shown = kept.replace(".", "," if lang == "fr" else ".")
    assert price.input_value() == shown and f"price_in={kept}" in page.url
    price.fill("beaucoup")
    price.press("Tab")
    assert price.input_value() == shown, "what is no number changes nothing"
    page.reload()
    settled(page)
    assert price.input_value() == shown
    price.fill("")
    price.press("Tab")
    assert "price_in" not in page.url


def test_any_text_is_only_text(visit: Visits) -> None:
    page = visit("/assistant#view=talk&seed=3&max_new_tokens=3")
    for turn, text in enumerate(["<script>alert(1)</script> &amp; <b>", "שלום 🤗 مرحبا"], 1):
        say(page, text, turn)
        assert text in page.locator("ol.chat").inner_text()


def test_what_cannot_be_sent_is_told_and_kept(visit: Visits) -> None:
    visit.forgive("400|413|422")
    page = visit("/assistant#view=talk")
    page.get_by_label("Your message").fill("mot " * 25_000)
    press(page, "Send")
    until(page, "document.querySelector('.prompt .fault') !== null")
    assert len(page.get_by_label("Your message").input_value()) == 100_000
    page.get_by_role("tab", name="One question").click()
    press(page, ASK["en"])
    until(page, "document.querySelector('.prompt .fault') !== null")


@pytest.mark.parametrize("view", ["ways", "talk"])
def test_a_phone_does_not_scroll_sideways(visit: Visits, view: str) -> None:
    page = visit(f"/assistant#{QUESTION}&view={view}&seed=1&max_new_tokens=5", width=360)
    if view == "ways":
        ask(page)
    else:
        say(page, "What is the longest word that you know, incomprehensibilities perhaps?", 1)
    assert overflow(page) <= 0


def test_a_server_killed_in_the_middle_is_told_and_asked_again(mortal: tuple[Server, Visits]) -> None:
    server, visit = mortal
    said = "document.querySelector('.way[data-kind=raw] .said').textContent.length"
    page = visit(f"/assistant#{QUESTION}&seed=3&max_new_tokens=300&temperature=1.5")
    server.allow(16)
    press(page, ASK["en"])
    until(page, f"{said} > 8")
    server.kill()
    until(page, "document.querySelector('.fault.cut') !== null")
    had = page.evaluate(said)
    server.allow(60)
    server.start()
    until(page, f"{said} > {had} + 4")
    stop(page, server)
    until(page, IDLE)
    assert "interrupted" in page.locator(".way[data-kind=raw]").inner_text()


def cut_in_the_middle(page: Any) -> None:
    """Send a message whose answer breaks off after its first words, every time it is asked for."""
    told = [("started", {"prompt": [], "prompt_tokens": 0}), ("step", {"text": " Once upon"})]
    events = [f"event: {kind}\ndata: {json.dumps({'tag': 'chat', 'body': body})}\n\n" for kind, body in told]
    answer = {"content_type": "text/event-stream; charset=utf-8", "body": "".join(events)}
    page.route("**/api/stream", lambda route: route.fulfill(**answer))
    page.get_by_label("Your message").fill("A long story, please.")
    press(page, "Send")
    until(page, "document.querySelector('.fault.cut') !== null")
    assert page.locator("ol.chat .said").last.inner_text() == "Once upon"
    assert page.get_by_label("Your message").input_value() == ""


def test_a_message_left_in_the_middle_of_its_answer_is_there_again(visit: Visits) -> None:
    page = visit("/assistant#view=talk&seed=3")
    cut_in_the_middle(page)
    page.locator("nav.rail a[data-chapter=tokens]").click()
    until(page, "document.querySelector('capot-strip') !== null && location.pathname === '/tokens'")
    assert "view=" not in page.url
    page.go_back()
    until(page, "document.querySelector('ol.chat') !== null")
    assert page.get_by_label("Your message").input_value() == "A long story, please."
    assert page.locator("ol.chat > li.even").count() == 0 and page.locator(".fault").count() == 0


def test_a_page_left_by_the_back_button_writes_nothing_in_the_next_address(visit: Visits) -> None:
    page = visit("/tokens#prompt=a")
    page.locator("nav.rail a[data-chapter=assistant]").click()
    page.get_by_role("tab", name="A conversation").click()
    say(page, "What is a token?", 1)
    page.go_back()
    until(page, "document.querySelector('capot-strip') !== null && location.pathname === '/tokens'")
    assert "talk=" not in page.url
    page.go_forward()
    until(page, "document.querySelectorAll('ol.chat > li.even').length === 1")


def test_what_is_given_up_in_a_cut_waits_no_more(visit: Visits) -> None:
    page = visit("/assistant#view=talk&seed=3")
    cut_in_the_middle(page)
    press(page, "Leave it at that")
    until(page, f"document.querySelector('.status').childElementCount === 0 && ({IDLE})")
    assert page.get_by_label("Your message").input_value() == "A long story, please."
