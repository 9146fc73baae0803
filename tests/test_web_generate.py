"""The generate page, as a person uses it: written, left at a token, stopped, cut, reloaded, compared."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from web_helpers import Server, Visits, axe, hold, overflow, settled, stop, until

COUNT = "document.querySelectorAll('capot-strip button').length"
IDLE = (
    "document.querySelector('.row button:disabled')?.textContent.match(/Stop|Arrêter/)"
    " && !document.querySelector('.waiting')"
)
ALL = "document.querySelectorAll('.side-by-side li.token').length"
LONG = "prompt=Once+upon+a+time&max_new_tokens=400&seed=17"  # of this seed no text ends before
NASTY = [
    "<script>alert(1)</script> & <b>",
    "שלום עולם, مرحبا بالعالم",
    "🤗👩‍👩‍👧 déjà vu œuf",
]


def press(page: Any, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def written(page: Any, count: int) -> None:
    """Generate and wait for the end."""
    press(page, "Generate")
    until(page, f"{COUNT} >= {count} && ({IDLE})")


def test_a_stream_that_is_waited_for_says_so_from_the_first_moment(visit: Visits) -> None:
    page = visit("/generate#prompt=Once+upon+a+time&max_new_tokens=3")
    held = hold(page, "**/api/stream")
    press(page, "Generate")
    assert page.locator(".status .waiting").count() == 1, "even where nothing is seen yet"
    until(page, "document.querySelector('.status .waiting').checkVisibility()")
    held.pop().continue_()
    until(page, f"{COUNT} === 3 && ({IDLE})")


@pytest.mark.parametrize("lang", ["en", "fr"])
def test_a_text_is_left_at_a_token_for_another_branch(visit: Visits, lang: str) -> None:
    page = visit("/generate#prompt=Once+upon+a+time&seed=3&max_new_tokens=12", lang=lang)
    press(page, {"en": "Generate", "fr": "Générer"}[lang])
    until(page, f"{COUNT} === 12 && ({IDLE})")
    assert {"en": "most probable", "fr": "plus probable"}[lang] in page.inner_text("figcaption")
    page.locator("capot-strip button").nth(4).click()
    others = page.locator(".instead .bars li:not(.far) button")
    assert others.count() == 8
    other = page.locator(".instead .bars li:not(.marked) button").first
    taken = other.locator(".name").inner_text()
    other.click()
    until(page, f"{COUNT} >= 5 && ({IDLE}) && document.querySelectorAll('.branch').length === 2")
    assert page.locator("capot-strip button").nth(4).inner_text() == taken
    second = page.inner_text("capot-strip")
    page.locator(".branch").first.click()
    assert page.inner_text("capot-strip") != second, "the first branch is kept"
    assert not axe(page)
    page.emulate_media(color_scheme="dark")
    assert not axe(page)


@pytest.mark.parametrize("lang", ["en", "fr"])
def test_a_token_drawn_from_far_down_has_a_row_of_its_own(visit: Visits, lang: str) -> None:
    page = visit("/generate#prompt=Once+upon+a+time&seed=3&temperature=3&max_new_tokens=6", lang=lang)
    press(page, {"en": "Generate", "fr": "Générer"}[lang])
    until(page, f"{COUNT} === 6 && ({IDLE})")
    drawn = page.locator("capot-strip button").first.inner_text()
    page.locator("capot-strip button").first.click()
    rows = page.locator(".instead .bars li")
    assert rows.count() == 9 and page.locator(".instead .bars li.marked").count() == 1
    last = rows.last
    assert last.get_attribute("class") == "far marked" and last.locator(".name").inner_text() == drawn
    rank = re.search(r"(\d+)$", last.get_attribute("title").replace("\u202f", "").replace(",", ""))[1]
    assert int(rank) > 8
    said = page.inner_text(".instead > p").replace("\u202f", "").replace(",", "")
    assert drawn in said and {"en": f"rank {rank}", "fr": f"rang {rank}"}[lang] in said
    assert not axe(page)
    last.locator("button").click()
    assert not page.locator(".instead").is_visible() and page.locator(".branch").count() == 0, "it is this text already"


def test_a_token_at_a_time_and_by_the_keyboard(visit: Visits) -> None:
    page = visit("/generate#prompt=Once+upon+a+time&seed=3")
    page.locator("h1").click()
    for count in (1, 2, 3):
        page.keyboard.press("Space")
        until(page, f"{COUNT} === {count} && ({IDLE})")
    page.locator("capot-strip button").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    assert page.locator(".instead").is_visible()
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement === document.querySelectorAll('capot-strip button')[1]")


def test_the_lines_to_paste_give_this_very_text(visit: Visits, server: Server) -> None:
    page = visit("/generate#prompt=Once+upon+a+time&seed=5&max_new_tokens=8")
    written(page, 8)
    page.get_by_text("On the command line").click()
    assert page.inner_text(".code").startswith(
        "capot generate 'Once upon a time' --temperature 0.7 --max-new-tokens 8 --seed 5"
    )
    page.get_by_text("Export").click()
    with page.expect_download() as saved:
        press(page, "Data (JSON)")
    made = json.loads(saved.value.path().read_text(encoding="utf-8"))
    assert made["seed"] == 5 and len(made["tokens"]) == 8
    assert [token["label"] for token in made["tokens"]] == page.locator("capot-strip button").all_inner_texts()
    with page.expect_download() as kept:
        press(page, "Page (HTML)")
    assert made["tokens"][-1]["label"] in kept.value.path().read_text(encoding="utf-8")


def test_stop_stops_the_engine(mortal: tuple[Server, Visits]) -> None:
    server, visit = mortal
    page = visit(f"/generate#{LONG}")
    server.allow(12)
    press(page, "Generate")
    until(page, f"{COUNT} > 3")
    stop(page, server)
    until(page, IDLE)
    assert "The generation was stopped." in page.inner_text("figcaption")
    steps = server.get("/api/status")["scheduler"]["steps"]
    page.wait_for_timeout(400)  # in which it would take many
    assert server.get("/api/status")["scheduler"]["steps"] == steps


def test_a_reload_in_the_middle_is_harmless(mortal: tuple[Server, Visits]) -> None:
    server, visit = mortal
    visit.forgive("ERR_ABORTED|ERR_FAILED")
    page = visit(f"/generate#{LONG}")
    server.allow(12)
    press(page, "Generate")
    until(page, f"{COUNT} > 3")
    page.reload()
    settled(page)
    had = page.evaluate(COUNT)
    assert had > 3 and "reloaded" in page.inner_text(".status")
    server.allow(12)
    press(page, "Go on")
    until(page, f"{COUNT} > {had}")
    stop(page, server)
    until(page, IDLE)


def test_a_reload_in_the_middle_of_a_second_text_brings_the_second_back(mortal: tuple[Server, Visits]) -> None:
    server, visit = mortal
    visit.forgive("ERR_ABORTED|ERR_FAILED")
    page = visit("/generate#prompt=Once+upon+a+time&max_new_tokens=3&seed=17")
    written(page, 3)
    page.locator("capot-slider[name=max_new_tokens] input[type=text]").fill("500")
    page.keyboard.press("Enter")
    server.allow(16)
    press(page, "Generate")
    until(page, f"{COUNT} > 8")
    begins = page.inner_text("capot-strip")[:40]
    page.reload()
    settled(page)
    assert page.evaluate(COUNT) > 8 and "reloaded" in page.inner_text(".status")
    assert page.inner_text("capot-strip").startswith(begins)


def test_a_link_holds_the_tree(visit: Visits) -> None:
    page = visit("/generate#prompt=Once+upon+a+time&seed=3&max_new_tokens=6")
    written(page, 6)
    page.locator("capot-strip button").nth(2).click()
    page.locator(".instead .bars li:not(.marked) button").first.click()
    until(page, f"document.querySelectorAll('.branch').length === 2 && ({IDLE})")
    text, address = page.inner_text("capot-strip"), page.evaluate("location.pathname + location.hash")
    other = visit(address)
    until(other, f"document.querySelectorAll('.branch').length === 2 && ({IDLE})")
    assert other.inner_text("capot-strip") == text


def test_a_server_killed_in_the_middle_is_told_and_taken_up_again(mortal: tuple[Server, Visits]) -> None:
    server, visit = mortal
    page = visit(f"/generate#{LONG}")
    server.allow(12)
    press(page, "Generate")
    until(page, f"{COUNT} > 3")
    server.kill()
    until(page, "document.querySelector('.fault.cut') !== null")
    had = page.evaluate(COUNT)
    assert had > 3 and "connection was cut" in page.inner_text(".status")
    text = page.inner_text("capot-strip")
    server.allow(20)
    server.start()
    until(page, f"{COUNT} > {had}")
    assert page.inner_text("capot-strip").startswith(text.rstrip())
    stop(page, server)
    until(page, IDLE)
    page.get_by_role("tab", name="Several temperatures").click()
    server.allow(20)
    press(page, "Generate all")
    until(page, f"{ALL} > 12")
    server.kill()
    until(page, "document.querySelector('.fault.cut') !== null")
    had = page.evaluate(ALL)
    server.allow(20)
    server.start()
    until(page, f"{ALL} > {had} + 4")
    stop(page, server)
    until(page, IDLE)


def test_several_temperatures_side_by_side(visit: Visits) -> None:
    page = visit("/generate#prompt=Once+upon+a+time&view=all&seed=1&max_new_tokens=8&heats=0+1.5", lang="fr")
    assert page.get_by_role("textbox", name="Températures").input_value().split() == ["0", "1,5"]
    press(page, "Tout générer")
    until(page, f"document.querySelector('figcaption').textContent.includes('graine') && ({IDLE})")
    assert page.locator(".side-by-side section").count() == 2
    page.get_by_text("En Python").click()
    assert page.inner_text(".code").count("model.generate") == 2
    page.get_by_text("Exporter").click()
    with page.expect_download() as saved:
        press(page, "Page (HTML)")
    assert saved.value.path().read_text(encoding="utf-8").count('<ol class="strip') == 2
    assert not axe(page)


@pytest.mark.parametrize("text", NASTY)
def test_any_text_is_only_text(visit: Visits, text: str) -> None:
    page = visit("/generate#seed=2&max_new_tokens=4")
    page.get_by_label("Your text").fill(text)
    written(page, 1)
    assert text.splitlines()[0][:6].replace(" ", "·")[:4] in page.inner_text("capot-strip")


def test_a_text_too_long_is_refused_beside_its_field_and_kept(visit: Visits) -> None:
    visit.forgive("400|413|422")
    page = visit("/generate")
    page.get_by_label("Your text").fill("mot " * 25_000)
    press(page, "Generate")
    until(page, "document.querySelector('.fault') !== null")
    assert len(page.get_by_label("Your text").input_value()) == 100_000
    assert "512" in page.inner_text(".prompt .fault")


UNITED = """(async () => {
  const strip = document.body.appendChild(document.createElement("capot-strip"));
  const { piece } = await import("/static/pages/generate/line.js");
  const token = (label, text = "") => piece({ label, token_text: text, probability: 0.5, id: 1 });
  const read = () => [...strip.querySelectorAll("li")].map((item) => item.innerText.trim());
  strip.pieces = [token("⟨F0⟩⟨9F⟩"), token("⟨A4⟩")];
  const half = read();
  const rest = ["⟨97⟩", "·a", "⟨C5⟩", "⟨88⟩⟨C5⟩", "⟨92⟩", "⟨B3⟩", "!"];
  for (const label of rest) strip.push(token(label, label.startsWith("⟨") ? "" : label));
  const pushed = read();
  strip.pieces = [token("⟨C5⟩"), token("⟨93⟩"), token("⟨B3⟩")];
  const apart = read();
  strip.pieces = [token("⟨E2 80⟩"), token("⟨98⟩")]; // a token of two bytes, as a tokenizer writes it
  return [half, pushed, apart, read()];
})()"""


def test_bytes_that_make_a_character_together_say_which(visit: Visits) -> None:
    half, pushed, whole, spaced = visit("/generate").evaluate(UNITED)
    assert half == ["⟨F0⟩⟨9F⟩", "⟨A4⟩"], "nothing is guessed before it has come"
    assert pushed == ["🤗1/3", "🤗2/3", "🤗3/3", "·a", "ňŒ1/3", "ňŒ2/3", "ňŒ3/3", "⟨B3⟩", "!"]
    assert whole == ["œ1/2", "œ2/2", "⟨B3⟩"] and spaced == ["‘1/2", "‘2/2"]


RESUMED = """(async () => {
  const { begun, caption, hear } = await import("/static/pages/generate/line.js");
  const line = begun("Once upon a time", { sampling: {}, seed: 1, left: 6 });
  const started = (reused) => ["started", { prompt_ids: [1, 2, 3, 4, 5], reused_tokens: reused, seed: 1 }, ""];
  const other = { label: "a", probability: 0.5 };
  const made = { label: "a", token_text: "a", id: 1, probability: 0.5, logprob: -0.7, alternatives: [other] };
  const step = (seconds) => ["step", { ...made, seconds }, ""];
  const ended = (reason, rate) => ["finished", { stop_reason: reason, tokens_per_s: rate, view: [], result: {} }, ""];
  for (const one of [started(0), step(9), step(0.1), step(0.1), ended("interrupted", 10)]) hear(line, one, false);
  for (const one of [started(7), step(9), step(0.1), step(0.1), ended("max_new_tokens", 1)]) hear(line, one, false);
  const branch = begun("Once upon a time", { sampling: {}, seed: 1, left: 1, base: line.base, tokens: line.tokens });
  for (const one of [started(9), step(9), ended("max_new_tokens", null)]) hear(branch, one, false);
  return [caption(line), line.reused, line.speed, branch.reused];
})()"""


def test_a_line_taken_up_again_tells_of_its_prompt_and_of_all_its_tokens(visit: Visits) -> None:
    caption, reused, speed, of_a_branch = visit("/generate").evaluate(RESUMED)
    assert (reused, of_a_branch) == (0, 5), "5 tokens of prompt; what was written before the pause is no part of it"
    assert speed == pytest.approx(10) and "10.0 tokens per second, 0 tokens of the prompt reused" in caption


@pytest.mark.parametrize("view", ["one", "all"])
def test_a_phone_does_not_scroll_sideways(visit: Visits, view: str) -> None:
    page = visit(f"/generate#prompt=Once+upon+a+time&seed=1&max_new_tokens=6&view={view}", width=360)
    press(page, "Generate" if view == "one" else "Generate all")
    until(page, f"document.querySelector('figcaption').textContent.length > 20 && ({IDLE})")
    assert overflow(page) <= 0
