"""The lab's frame in a real browser: every chapter clean in both languages and themes, keyboard, links, files."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hub_server import Hub, only
from lab_helpers import Gate, Live, Reader, asked, part, scripted
from lab_helpers import until as happens
from web_helpers import Server, Visits, axe, copied, happens_in, hold, overflow, settled, until

from capot.chapters import registry

pytestmark = pytest.mark.browser
MINE = ("", "tokens", "next", "card")
HOSTILE = "<script>alert(1)</script> & <b>\u202e مرحبا 👩\u200d🚀 e\u0301"
BARS = "document.querySelectorAll('[data-chapter=next] .bars li').length"
DRAWN = "document.querySelector('capot-strip').textContent.includes('script')"
RING = """(() => {
  const here = document.activeElement;
  return getComputedStyle(here.matches("input[type=radio]") ? here.nextElementSibling : here).outlineStyle;
})()"""
STILL = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 100))))"
SHOWN = "document.documentElement.dataset.shown"


@pytest.mark.parametrize("chapter", MINE, ids=lambda name: name or "home")
def test_a_chapter_is_clean_in_both_languages_and_themes(visit: Visits, chapter: str) -> None:
    page = visit(f"/{chapter}#prompt=Il+%C3%A9tait+une+fois+un+roi", lang="fr", scheme="light", width=360)
    for details in page.locator("details:not([hidden]) > summary").all():
        details.click()
    assert page.evaluate("document.documentElement.lang") == "fr"
    assert overflow(page) == 0
    assert axe(page) == []
    page.set_viewport_size({"width": 1920, "height": 1080})
    page.emulate_media(color_scheme="dark")
    french = page.inner_text("h1")
    page.get_by_label("Langue").select_option("en")
    until(page, "document.documentElement.lang === 'en'")
    settled(page)
    assert page.inner_text("h1") != french
    assert overflow(page) == 0
    assert axe(page) == []
    # Firefox draws white bars for what scrolls, on dark pages too, where nothing says otherwise.
    bars = "[...document.querySelectorAll('main, main *')].map((one) => getComputedStyle(one).scrollbarColor)"
    assert "auto" not in page.evaluate(f"[...new Set({bars})]")


@pytest.mark.parametrize("chapter", ("", "network", "course"), ids=lambda name: name or "home")
def test_scripts_come_in_one_round_and_none_in_vain(visit: Visits, chapter: str) -> None:
    page = visit(f"/{chapter}")
    named = page.evaluate("[...document.querySelectorAll('link[rel=modulepreload]')].map((link) => link.href)")
    read = page.evaluate("""performance.getEntriesByType('resource').map((one) => one.name)
      .filter((name) => /static.*[.]js$/.test(name) && !/early|plotly/.test(name))""")
    assert sorted(read) == sorted(named), "each once, and no other"


@pytest.mark.parametrize("chapter", ("", "tokens", "next"), ids=lambda name: name or "home")
def test_hostile_and_long_texts_are_text(visit: Visits, chapter: str) -> None:
    page = visit(f"/{chapter}", lang="fr", width=360)
    field = page.locator(".prompt textarea")
    field.fill(HOSTILE)
    until(page, BARS if chapter == "next" else DRAWN)
    settled(page)
    made = "main script, main [onerror], main b:not(.track b)"
    assert page.locator(made).count() == 0
    assert field.input_value() == HOSTILE
    assert overflow(page) == 0
    if chapter != "next":
        assert "script" in page.inner_text("capot-strip")
    visit.forgive("status of 4")  # next and home refuse a prompt longer than the context
    field.fill("é à " * 25_000)
    answer = (
        "document.querySelectorAll('.strip li').length > 1000"
        if chapter == "tokens"
        else "document.querySelector('.prompt .fault')"
    )
    until(page, answer)
    assert len(field.input_value()) == 100_000, "what was typed is never lost"
    assert overflow(page) == 0


def test_the_prompt_goes_along_and_visits_are_marked(visit: Visits) -> None:
    page = visit("/tokens", width=1280)
    page.locator(".prompt textarea").fill("Hello there")
    until(page, "location.hash.includes('Hello')")
    for chapter in ("next", "generate", ""):
        page.locator(f"nav a[data-chapter='{chapter or 'home'}']").click()
        until(page, f"{SHOWN} === '{chapter or 'home'}'")
        assert page.locator(".prompt textarea").input_value() == "Hello there"
        assert "prompt=Hello+there" in page.url
    assert page.locator("nav a.visited").count() == 4
    assert page.locator("nav a[aria-current=page]").inner_text() == "The road"
    page.go_back()
    until(page, f"{SHOWN} === 'generate'")


def test_the_keyboard_alone(visit: Visits) -> None:
    page = visit("/next#prompt=Once+upon+a+time")
    focused = "document.activeElement"
    page.keyboard.press("Tab")
    assert page.evaluate(f"{focused}.className") == "skip"
    box = page.evaluate(f"{focused}.getBoundingClientRect().left")
    assert box >= 0, "the skip link is seen when it has the focus"
    page.keyboard.press("Enter")
    assert page.evaluate(f"{focused}.id") == "main"
    page.keyboard.press("Tab")
    assert page.evaluate(f"{focused}.role") == "tab", "the two tabs are one stop"
    page.keyboard.press("Tab")
    assert page.evaluate(f"{focused}.tagName") == "TEXTAREA"
    seen = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        ring = page.evaluate(RING)
        name = page.evaluate(f"{focused}.tagName + ({focused}.type ?? '')")
        if name.startswith("BODY"):
            break
        assert ring not in ("none", ""), f"the focus is not seen on {name}"
        seen.add(name)
    assert {"INPUTrange", "INPUTtext", "BUTTONbutton", "SUMMARY", "INPUTradio"} <= seen


WAYS = ["", "course", *(chapter.name for chapter in registry.rail() if chapter.name != "generate")]
WAYS += ["course#lesson=1", "embeddings#view=context", "embeddings#view=lens", "next#view=score"]


@pytest.mark.parametrize("path", WAYS)
def test_a_page_left_while_it_asks_goes_on_asking_nothing(visit: Visits, path: str) -> None:
    page = visit("/generate#prompt=hello")
    address = f"/{path}{'&' if '#' in path else '#'}prompt=hello"
    page.evaluate(f"document.querySelector('.rail a').setAttribute('href', '{address}')")
    failed: list[Any] = []
    page.on("requestfailed", lambda request: failed.append(request))  # noqa: PLW0108 - the driver marks it
    lesson = re.compile(r"/api/(?!lessons)")  # without its text it asks for nothing else
    asked = hold(page, lesson if "lesson" in path else "**/api/**")
    page.locator(".rail a").first.click()
    happens_in(page, lambda: asked)
    if path == "network":
        happens_in(page, lambda: any("/api/place" in route.request.url for route in asked))  # its place is asked too
    page.locator(".rail a[data-chapter=generate]").click()
    until(page, f"{SHOWN} === 'generate'")
    # Also what it asks a moment later: none is answered, so one that is not stopped would be waited for in vain.
    happens_in(page, lambda: {route.request for route in asked} <= set(failed))
    page.evaluate(STILL)
    assert {route.request for route in asked} <= set(failed)


def test_a_term_is_explained_and_the_tip_leaves(visit: Visits) -> None:
    page = visit("/next#prompt=Il+%C3%A9tait+une+fois", lang="fr")
    term = page.locator("figcaption .term", has_text="température")
    term.focus()
    assert "logits" in page.inner_text("#tip")
    assert axe(page) == []
    page.keyboard.press("Escape")
    until(page, "document.querySelector('#tip').hidden")
    page.evaluate(STILL)  # a scroll would hide it
    term.hover()
    until(page, "!document.querySelector('#tip').hidden")
    page.get_by_role("button", name="Glossaire").click()
    assert page.locator("dialog.sheet dt").count() > 20
    drawn = page.locator("dialog.sheet dt:has(+ dd svg.meaning)").all_inner_texts()
    said = "attention|flux résiduel|induction|MLP|normalisation|position|requête, clé, valeur|tête"
    assert drawn == said.split("|"), "what happens in the network is drawn as well"
    assert axe(page) == []
    page.keyboard.press("Escape")
    until(page, "!document.querySelector('dialog.sheet').open")


def test_the_theme_is_chosen_and_kept(visit: Visits) -> None:
    page = visit("/", scheme="light")
    paper = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(paper)
    page.get_by_role("button", name="Dark theme").click()
    until(page, f"{paper} !== {json.dumps(light)}")
    page.reload()
    settled(page)
    assert page.evaluate(paper) != light


def test_a_link_restores_the_view_and_copies_on_a_plain_page(visit: Visits) -> None:
    """Pages of a local network served without TLS have no clipboard of their own."""
    page = visit("/next#prompt=Once+upon+a+time", before="delete Navigator.prototype.clipboard")
    page.locator("capot-slider[name=temperature] input[type=text]").fill("0.5")
    page.keyboard.press("Enter")
    page.get_by_label("Raw logits").check()
    page.get_by_text("Export").click()
    until(page, "location.hash.includes('temperature=0.5') && location.hash.includes('as=logits')")
    page.get_by_role("button", name="Copy the link").click()
    link = copied(page)
    other = visit(link.removeprefix(visit.root))
    assert other.locator("capot-slider[name=temperature] input[type=text]").input_value() == "0.5"
    assert other.locator("input[value=logits]").is_checked()
    until(other, f"document.querySelector('capot-bars').innerText === {json.dumps(page.inner_text('capot-bars'))}")


def test_a_view_too_long_for_a_link_is_a_file(visit: Visits, tmp_path) -> None:
    page = visit("/tokens")
    page.locator(".prompt textarea").fill("long é " * 3000)
    until(page, "document.querySelectorAll('.strip li').length > 1000")
    assert len(page.url) < 9000
    page.locator(".frame").first.get_by_text("Export").click()
    with page.expect_download() as download:
        page.locator(".frame").first.get_by_role("button", name="The view as a file").click()
    path = tmp_path / "view.json"
    download.value.save_as(path)
    other = visit("/card")
    other.get_by_text("Export").first.click()
    with other.expect_file_chooser() as chooser:
        other.get_by_role("button", name="Open a saved view…").first.click()
    chooser.value.set_files(path)
    until(other, f"{SHOWN} === 'tokens'")
    assert other.locator(".prompt textarea").input_value() == "long é " * 3000
    other.reload()
    settled(other)
    assert other.locator(".prompt textarea").input_value() == "long é " * 3000, "a reload keeps what no address holds"


def test_every_file_of_a_view(visit: Visits, tmp_path) -> None:
    page = visit("/next#prompt=Il+%C3%A9tait+une+fois&top_k=3", lang="fr")
    page.get_by_text("Exporter").click()
    kept = {}
    for name in ("CSV", "JSON", "SVG", "PNG", "HTML"):
        with page.expect_download() as download:
            page.get_by_role("button", name=re.compile(name)).click()
        kept[name] = (tmp_path / download.value.suggested_filename).with_suffix(f".{name.lower()}")
        download.value.save_as(kept[name])
    first = page.locator("capot-bars .name").first.inner_text()
    assert first in kept["CSV"].read_text("utf-8-sig")
    assert json.loads(kept["JSON"].read_text())["kept"] == 3
    assert first in kept["SVG"].read_text() and "<svg" in kept["SVG"].read_text()
    assert kept["PNG"].read_bytes().startswith(b"\x89PNG") and kept["PNG"].stat().st_size > 5000
    alone = visit.alone(kept["HTML"])
    assert "3 peuvent être tirés" in " ".join(alone.inner_text("body").replace("\u202f", " ").split())


def test_only_the_owner_opens_another_model(visit: Visits, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with Hub() as hub:
        hub.add("org/gated", gated="manual", parameters=7_000_000)
        only(hub, monkeypatch, home=tmp_path)
        opens_another_model(visit)


def opens_another_model(visit: Visits) -> None:
    lab = Server("--access-code", "class-code", "--host", "127.0.0.1")
    try:
        owner = next(link for link in lab.links if "code=" in link and "class-code" not in link)
        visit.forgive("status of 4")
        learner = visit("/", root=lab.root, ready=False)
        assert axe(learner) == []
        for code, said in (("wrong", "This access code is not"), ("class-code", "")):
            learner.get_by_label("Access code").fill(code)
            with learner.expect_navigation():
                learner.keyboard.press("Enter")
            assert not said or learner.inner_text("[role=alert]").startswith(said)
        until(learner, "document.documentElement.dataset.shown === 'home'")
        until(learner, "document.querySelector('.at-work').textContent.includes('native')")
        assert learner.locator(".at-work > button").count() == 0
        page = visit("/next#prompt=a", root=lab.root, first=owner)
        until(page, "document.querySelector('.at-work > button') !== null")
        page.locator(".at-work > button").click()
        until(page, "document.querySelector('dialog[open] datalist option[value=scripted]') !== null")
        assert axe(page) == []
        page.get_by_label("Model", exact=True).fill("no-such-folder")
        page.keyboard.press("Enter")
        until(page, "document.querySelector('dialog[open] .fault') !== null")
        assert "no-such-folder" in page.inner_text("dialog[open] .fault")
        assert page.get_by_label("Model", exact=True).input_value() == "no-such-folder"
        page.get_by_label("Model", exact=True).fill("org/gated")
        page.keyboard.press("Enter")
        until(page, "document.querySelector('dialog[open] .preview table') !== null")
        assert "HF_TOKEN" in page.inner_text("dialog[open] .fault"), "the refusal says what to do"
        told = page.inner_text("dialog[open] .preview")
        assert "org/gated" in told and "bfloat16" in told and "what the hub tells everyone" in told
        assert page.locator(".at-work dialog").count() == 0, "nothing of the header's look is on it"
        assert axe(page) == []
        page.get_by_label("Model", exact=True).fill("scripted")
        page.keyboard.press("Enter")
        until(page, "document.querySelector('dialog[open]') === null")
        until(page, "document.querySelector('.at-work').textContent.startsWith('scripted')")
        settled(page)
        page.get_by_text("In Python").click()
        assert 'capot.open("scripted")' in page.inner_text(".code")
        learner.locator(".prompt textarea").fill("hello world")  # which hears of it with the next answer
        until(learner, "document.querySelector('.at-work').textContent.startsWith('scripted')")
        settled(learner)
        assert "scripted" in learner.inner_text("h1 + p[role=status]")
        assert learner.locator(".prompt textarea").input_value() == "hello world"
        assert learner.locator("capot-bars li").count() > 0
        page.locator(".at-work > button").click()
        page.get_by_label("Model", exact=True).fill("boxed")  # what a page begins with is a model like another
        page.keyboard.press("Enter")
        until(page, "document.querySelector('.at-work').textContent.startsWith('boxed')")
        settled(page)
        page.get_by_text("In Python").click()
        assert "capot.open()" in page.inner_text(".code")
    finally:
        lab.kill()


def test_who_types_the_address_is_told_how_to_be_the_owner(visit: Visits, server: Server) -> None:
    page = visit("/tokens")
    page.locator(".at-work > button").click()
    until(page, "document.querySelector('dialog[open]') !== null")
    assert "owner’s link" in page.inner_text("dialog[open]") and page.locator("dialog[open] input").count() == 0
    assert axe(page) == []
    page.get_by_role("button", name="Close").click()
    until(page, "document.querySelector('dialog[open]') === null")
    owner = visit("/tokens", first=next(link for link in server.links if "code=" in link))
    served = {"address": "http://127.0.0.1:11434/v1", "program": "Ollama", "needs_key": False}
    told = {"models": [], "servers": [{**served, "models": [{"name": "tiny:1b"}, {"name": "<b>"}]}]}
    owner.route("**/api/models", lambda route: route.fulfill(json={"ok": True, "result": told}))
    owner.locator(".at-work > button").click()
    until(owner, "document.querySelectorAll('dialog[open] li code').length === 2")
    lines = owner.locator("dialog[open] li code").all_inner_texts()
    assert lines == [f'capot serve --model "http://127.0.0.1:11434/v1#{name}"' for name in ("tiny:1b", "<b>")]
    assert owner.locator("dialog[open] input").count() == 1 and axe(owner) == []


@pytest.mark.parametrize(("lang", "said"), [("en", "place 1 in the queue"), ("fr", "place 1 dans la file")])
@pytest.mark.parametrize("path", ["next", "embeddings#view=lens"])
def test_an_answer_that_waits_says_its_place_in_the_queue(visit: Visits, path: str, lang: str, said: str) -> None:
    gate = Gate()
    with Live(scripted(before_step=gate)) as lab, lab.client() as other:
        texts = Reader(other, asked(part(prompt="hello world", max_new_tokens=2))).start()
        happens(lambda: gate.steps)
        page = visit(f"/{path}", root=lab.root, lang=lang, ready=False)
        if path == "next":
            page.locator(".prompt textarea").fill("hello")
        until(page, f"document.querySelector('.waiting')?.textContent.includes({json.dumps(said)})")
        gate.open.set()
        until(page, "document.querySelector('.waiting') === null && document.querySelector('.fault') === null")
        texts.join()


OTHER = """(() => {
  let told = 0;
  const real = fetch;
  globalThis.fetch = async (path, ...how) => {
    const answer = await real(path, ...how);
    if (!String(path).endsWith("/api/model") || !told++) return answer;
    const { ok, result } = await answer.json();
    return new Response(JSON.stringify({ ok, result: { ...result, dtype: "other" } }), { headers: answer.headers });
  };
})()"""  # who asks again which model is at work hears of another one


@pytest.mark.parametrize("path", ["next#prompt=hello", "embeddings#view=lens"])
def test_a_page_that_is_drawn_again_waits_behind_nothing_of_its_own(visit: Visits, path: str) -> None:
    gate = Gate()
    first = "document.querySelector('.waiting')?.textContent.includes('place 1 in the queue')"
    with Live(scripted(before_step=gate)) as lab, lab.client() as other:
        texts = Reader(other, asked(part(prompt="hello world", max_new_tokens=2))).start()
        happens(lambda: gate.steps)
        page = visit(f"/{path}", root=lab.root, ready=False, before=OTHER)
        until(page, "document.querySelector('.at-work')?.textContent.includes('scripted')")
        until(page, first)
        page.evaluate("document.querySelector('main').id = 'before'")
        page.evaluate("document.dispatchEvent(new CustomEvent('capot-opening'))")
        until(page, f"document.querySelector('#main') !== null && {first}")
        gate.open.set()
        until(page, "document.querySelector('.waiting') === null && document.querySelector('.fault') === null")
        texts.join()


HELD = """(() => {
  const asked = { method: "POST", headers: { "content-type": "application/json" } };
  const ask = (prompt) => fetch("/api/next", { ...asked, body: JSON.stringify({ prompt }) });
  globalThis.held = ["one", "two", "three"].map(ask);
})()"""


@pytest.mark.parametrize(
    ("lang", "said"),
    [("en", "3 of them are worked on at once, and this one is number 1"), ("fr", "3 se calculent à la fois")],
)
@pytest.mark.parametrize("chapter", ["embeddings", "generate"])
def test_an_answer_that_waits_for_ones_own_says_so(visit: Visits, chapter: str, lang: str, said: str) -> None:
    visit.forgive("status of 4")  # this engine has no table for the first tab
    gate = Gate()
    with Live(scripted(before_step=gate)) as lab:
        page = visit("/generate#prompt=hello&max_new_tokens=2", root=lab.root, lang=lang)
        page.evaluate(HELD)
        happens(lambda: gate.steps and lab.load["at_work"] + lab.load["waiting"] == 3)
        if chapter == "generate":
            page.get_by_role("button", name={"en": "Generate", "fr": "Générer"}[lang], exact=True).click()
        else:
            page.locator("nav.rail a[data-chapter=embeddings]").click()
            page.get_by_role("tab", name={"en": "Layer by layer", "fr": "Couche par couche"}[lang]).click()
        until(
            page,
            f"[...document.querySelectorAll('.waiting')].some((one) => one.textContent.includes({json.dumps(said)}))",
        )
        gate.open.set()
        until(page, "document.querySelector('.waiting') === null && document.querySelector('.fault') === null")
        assert page.evaluate("Promise.all(held).then((answers) => answers.every((one) => one.ok))")


def test_a_server_that_is_gone_is_said_and_the_text_stays(visit: Visits) -> None:
    lab = Server()
    try:
        page = visit("/next#prompt=Once+upon+a+time", root=lab.root, lang="fr")
        lab.kill()
        visit.forgive("ERR_CONNECTION|Failed to load")
        page.locator(".prompt textarea").fill("Il était une fois")
        until(page, "document.querySelector('.prompt .fault') !== null")
        assert "ne répond plus" in page.inner_text(".fault")
        lab.start()
        page.get_by_role("button", name="Réessayer").click()
        until(page, "document.querySelector('.fault') === null")
        settled(page)
        assert page.locator(".prompt textarea").input_value() == "Il était une fois"
        assert "deux" in page.inner_text("capot-bars")
    finally:
        lab.kill()
