"""What is seen: on a phone, on paper, in forced colours, in a picture that is taken away, under the pointer."""

from __future__ import annotations

import json
import re
from html import unescape
from itertools import pairwise
from typing import Any

import pytest
import segno
from web_helpers import Server, Visits, axe, settled, until

REPEATED = "The+cat+saw+the+dog+and+the+dog+saw+the+cat.+The+end+of+the+story+is+that+the+cat+and+the+dog+slept"
IDLE = "document.querySelector('.row .primary') && !document.querySelector('.waiting')"
PLOTTED = "document.querySelectorAll('capot-figure .main-svg').length > 0 && !document.querySelector('.waiting')"


def color(page: Any, selector: str, name: str = "background-color") -> str:
    return page.evaluate(f"getComputedStyle(document.querySelector({json.dumps(selector)})).getPropertyValue('{name}')")


def taken(page: Any, name: str = "Picture (SVG)") -> str:
    page.get_by_text("Export").click()
    with page.expect_download() as saved:
        page.get_by_role("button", name=name, exact=True).click()
    return saved.value.path().read_text(encoding="utf-8")


@pytest.mark.parametrize("width", [360, 1280])
def test_a_tokens_hint_lies_at_its_own_token(visit: Visits, width: int) -> None:
    page = visit(f"/tokens#prompt={REPEATED}", width=width)
    items = page.locator("capot-strip").first.locator("li")
    for place in range(0, 24, 3):
        items.nth(place).hover()
        left, wide, at, right = items.nth(place).evaluate(
            "(li) => { const hint = getComputedStyle(li, '::after'); const box = li.getBoundingClientRect();"
            " return [parseFloat(hint.left), parseFloat(hint.width), box.left, box.right]; }"
        )
        assert left <= at + 2 and left + wide >= right - 2, (place, left, wide, at, right)
        assert left >= 0 and left + wide <= width


def test_a_token_has_one_hue_on_the_road(visit: Visits) -> None:
    page = visit(f"/#prompt={REPEATED}")
    hues: dict[str, set[str]] = {}
    items = "[...document.querySelectorAll('.stop.tokens li')]"
    pieces = page.evaluate(f"{items}.map((li) => [li.innerText, li.className])")
    for text, kind in pieces:
        hues.setdefault(text.strip("·"), set()).add(re.search(r"\bt(\d)", kind)[1])
    assert len(hues) > 8 and all(len(found) == 1 for found in hues.values()), hues
    assert all(one[1] != two[1] for one, two in pairwise(pieces)), "neighbours stay apart"
    points = page.evaluate(
        "[...document.querySelectorAll('.plane g')]"
        ".map((g) => [g.querySelector('title').textContent, g.querySelector('rect')?.getAttribute('class')])"
    )
    drawn = [(word, hue) for word, hue in points if hue]
    assert len(drawn) > 6 and all({hue[1:]} == hues[word] for word, hue in drawn)


def test_space_puts_no_frame_around_the_page(visit: Visits) -> None:
    page = visit("/tokens#prompt=Once+upon+a+time")
    page.locator("nav a[data-chapter=generate]").click()
    until(page, "document.documentElement.dataset.shown === 'generate'")
    assert page.evaluate("document.activeElement.id") == "main"
    page.keyboard.press("Space")
    until(page, f"document.querySelectorAll('capot-strip button').length === 1 && ({IDLE})")
    assert page.evaluate("document.activeElement.id") == "main"
    assert color(page, "main", "outline-style") == "none"


@pytest.mark.parametrize("chapter", ["next", "generate", "assistant", "embeddings"])
def test_sliders_are_as_wide_as_the_phone(visit: Visits, chapter: str) -> None:
    page = visit(f"/{chapter}#prompt=a", width=360)
    widths = page.evaluate(
        "[...document.querySelectorAll('capot-slider input[type=range]')].filter((one) => one.checkVisibility())"
        ".map((one) => one.getBoundingClientRect().width)"
    )
    assert widths and min(widths) > 200


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/memory", "/embeddings"])
def test_paper_keeps_the_pictures(visit: Visits, path: str, scheme: str) -> None:
    page = visit(path, scheme=scheme, width=1600)
    until(page, PLOTTED)
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.evaluate("document.body.style.width = '700px'")  # as a sheet is: the window is not resized
    text = "document.querySelector('capot-figure .xtick text, capot-figure .x2tick text').style.fill"
    # A figure is drawn anew for the width it has: for a sheet in the colours of paper, whatever the theme.
    until(page, "Number(document.querySelector('capot-figure .main-svg').getAttribute('width')) <= 700")
    until(page, f"({text}).match(/\\d+/g).slice(0, 3).every((part) => Number(part) < 130)")
    for layer in page.locator("capot-figure .main-svg").all():
        box = layer.bounding_box()
        assert box["width"] > 200 and box["height"] > 100 and box["x"] + box["width"] <= 701
    page.evaluate("document.body.style.width = ''")
    page.emulate_media(media="screen")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    is_dark = "some((part) => Number(part) > 130)"
    again = is_dark if scheme == "dark" else "every((part) => Number(part) < 130)"
    until(page, f"({text}).match(/\\d+/g).slice(0, 3).{again}")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_forced_colours_keep_bars_shades_and_tabs(visit: Visits, scheme: str) -> None:
    page = visit("/next#prompt=The+capital+of+Australia+is&top_k=3", scheme=scheme, forced_colors="active")
    paper = color(page, "body")
    bar, cut = color(page, ".bars li:not(.cut) .track i"), color(page, ".bars li.cut .track i")
    assert len({paper, bar, cut}) == 3
    assert color(page, ".switch input:checked + span") != color(page, ".switch input:not(:checked) + span")
    here = ".rail a[aria-current]"
    assert color(page, here) not in (paper, color(page, ".rail a:not([aria-current])"), color(page, here, "color"))
    drawn = "prompt=Once+upon+a+time&seed=1&max_new_tokens=12&temperature=1"
    page = visit(f"/generate#{drawn}", scheme=scheme, forced_colors="active")
    page.get_by_role("button", name="Generate", exact=True).click()
    until(page, f"document.querySelectorAll('capot-strip button').length === 12 && ({IDLE})")
    shades = page.evaluate(
        "[...document.querySelectorAll('capot-strip li.token')].map((li) => [li.className.match(/w\\d/)[0],"
        " getComputedStyle(li).backgroundColor])"
    )
    assert len({shade for _, shade in shades}) == len({step for step, _ in shades}) > 1
    scale = page.evaluate("[...document.querySelectorAll('.shades i')].map((i) => getComputedStyle(i).backgroundColor)")
    assert len(set(scale)) == 10
    assert color(page, "[role=tab][aria-selected=true]") != color(page, "[role=tab][aria-selected=false]")


def texts(drawing: str) -> list[tuple[float, float, float, str]]:
    """Baseline, left, right and content of every line of text of a drawing."""
    found = re.findall(r'<text [^>]*?x="([\d.]+)" y="([\d.]+)" textLength="([\d.]+)"[^>]*>([^<]*)<', drawing)
    return sorted((float(y), float(x), float(x) + float(long), unescape(text)) for x, y, long, text in found)


@pytest.mark.parametrize("width", [700, 1280])
def test_a_picture_of_the_answers_can_be_read(visit: Visits, width: int) -> None:
    page = visit("/assistant#question=What+is+the+capital+of+France%3F&seed=3&max_new_tokens=12", width=width)
    page.get_by_role("button", name="Ask every way").click()
    until(page, f"document.querySelector('figcaption').textContent.length > 20 && ({IDLE})")
    lines = texts(taken(page))
    assert len(lines) > 60
    for place, (y, left, right, text) in enumerate(lines):
        over = [other for oy, ol, other_right, other in lines[place + 1 :]
                if oy - y < 6 and ol < right - 1 and left < other_right - 1]  # fmt: skip
        assert not over, f"{over} lies over {text}"
    drawn = sorted(text for *_, text in lines)
    for token in page.locator(".sent li").all_inner_texts():
        assert any(token.split("\n")[0] == text for text in drawn), f"{token} is left out"
    assert page.locator(".whole").count() == 0


def test_a_picture_of_the_next_token_keeps_its_ticks(visit: Visits) -> None:
    page = visit("/next#prompt=The+capital+of+Australia+is&temperature=0.5&top_k=6")
    ghosts = page.locator(".bars .track b:not([hidden])").count()
    drawing = taken(page)
    ticks = re.findall(r'<path d="M[\d.]+ [\d.]+v[\d.]+" stroke="[^"]+" stroke-width="2"/>', drawing)
    assert ghosts >= 12 and len(ticks) == ghosts
    assert drawing.count("line-through") >= 2 * 6


@pytest.mark.parametrize(
    ("typed", "said"),
    [("0 abc 9", "abc"), ("0,7 -1", "-1"), ("1 101", "101"), ("  ", "at least one"), ("0 1 2 3 4 5 6 7", "At most 6")],
)
def test_what_is_no_temperature_is_said_beside_its_field(visit: Visits, typed: str, said: str) -> None:
    page = visit("/generate#prompt=a&view=all&max_new_tokens=2")
    field = page.get_by_role("textbox", name="Temperatures")
    field.fill(typed)
    page.get_by_role("button", name="Generate all").click()
    until(page, "document.querySelector('.field .fault') !== null")
    assert said in page.inner_text(".field .fault") and field.get_attribute("aria-invalid") == "true"
    assert field.input_value() == typed and page.locator(".side-by-side section").count() == 0
    field.fill("0 1")
    page.get_by_role("button", name="Generate all").click()
    until(page, f"document.querySelectorAll('.side-by-side section').length === 2 && ({IDLE})")
    assert page.locator(".field .fault").count() == 0


def test_a_word_stands_once_in_a_plane(visit: Visits) -> None:
    page = visit("/embeddings#words=cat,dog,cat,green", lang="fr")
    until(page, PLOTTED)
    field = page.locator(".chips + input")
    field.fill("dog, green, red")
    page.keyboard.press("Enter")
    until(page, f"document.querySelectorAll('.chip').length === 4 && ({PLOTTED})")
    texts_of = "[...document.querySelectorAll('capot-figure .annotation-text')].map((one) => one.textContent)"
    names = f"{texts_of}.filter(Boolean)"
    until(page, f"({names}).includes('red')")
    found = page.evaluate(names)
    assert sorted(found) == sorted(set(found)) == ["cat", "dog", "green", "red"]


@pytest.mark.parametrize("lang", ["en", "fr"])
def test_a_page_that_no_server_gives_says_so(visit: Visits, lang: str) -> None:
    lab = Server()
    said = {"en": "does not answer any more", "fr": "ne répond plus"}[lang]
    again = {"en": "Try again", "fr": "Réessayer"}[lang]
    try:
        page = visit("/tokens#prompt=Once+upon+a+time", root=lab.root, lang=lang)
        lab.kill()
        visit.forgive("ERR_CONNECTION|Failed to (load|fetch)")
        page.locator("nav a[data-chapter=memory]").click()
        until(page, "document.querySelector('main > .fault') !== null")
        assert said in page.inner_text("main > .fault") and "import" not in page.inner_text("main")
        page.locator(".top select").select_option({"en": "fr", "fr": "en"}[lang])
        until(page, "document.querySelectorAll('main > .fault').length === 2")
        assert page.locator(".top select").input_value() == lang
        lab.start()
        page.locator("main > .fault").get_by_role("button", name=again).last.click()
        until(page, f"document.documentElement.dataset.shown === 'memory' && ({PLOTTED})")
        settled(page)
    finally:
        lab.kill()


def test_a_library_that_does_not_come_is_said_and_asked_again(visit: Visits) -> None:
    visit.forgive("ERR_FAILED|Failed to load")
    page = visit("/tokens#prompt=a")
    page.route("**/plotly.min.js", lambda route: route.abort())
    page.locator("nav a[data-chapter=embeddings]").click()
    until(page, "document.querySelector('capot-figure .fault') !== null")
    page.unroute("**/plotly.min.js")
    page.locator("capot-figure .fault button").click()
    until(page, PLOTTED)
    assert page.locator("capot-figure .fault").count() == 0


def test_the_owner_hears_of_the_very_path_that_was_typed(visit: Visits) -> None:
    lab = Server("--access-code", "class-code", "--host", "127.0.0.1")
    try:
        owner = next(link for link in lab.links if "code=" in link and "class-code" not in link)
        page = visit("/card", root=lab.root, first=owner)
        until(page, "document.querySelector('.at-work > button') !== null")
        page.locator(".at-work > button").click()
        page.get_by_label("Model", exact=True).fill("/nowhere/part")
        page.keyboard.press("Enter")
        until(page, "document.querySelector('dialog[open] .fault') !== null")
        assert "/nowhere/part" in page.inner_text("dialog[open] .fault")
    finally:
        lab.kill()


@pytest.mark.parametrize("width", [1280, 1920])
def test_the_invitation_is_as_large_as_the_projector(visit: Visits, width: int) -> None:
    lab = Server("--access-code", "class-code", "--host", "127.0.0.1")
    try:
        shared = next(link for link in lab.links if "class-code" in link)
        owner = next(link for link in lab.links if "code=" in link and "class-code" not in link)
        page = visit("/card", root=lab.root, first=owner, width=width)
        page.get_by_role("button", name="Invite").click()
        page.locator(".qr").wait_for()
        assert page.inner_text(".access") == "class-code" and page.inner_text(".address") == shared.split("?")[0]
        box = page.locator(".qr").bounding_box()
        assert min(box["width"], box["height"]) > 500
        assert page.locator(".access").evaluate("(one) => parseFloat(getComputedStyle(one).fontSize)") > 0.06 * width
        assert axe(page) == []
        modules = page.evaluate(
            "fetch('/api/invitation').then((answer) => answer.json()).then((body) => body.result.qr)"
        )
        made = segno.make(shared, error="m")
        assert modules == ["".join("01"[bool(module)] for module in row) for row in made.matrix_iter(border=4)]
        page.keyboard.press("Escape")
        visit.forgive("status of 403|ERR_")
        learner = visit("/card", root=lab.root, first=shared)
        assert learner.get_by_role("button", name="Invite").count() == 0
        assert learner.evaluate("fetch('/api/invitation').then((answer) => answer.status)") == 403
    finally:
        lab.kill()
