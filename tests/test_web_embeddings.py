"""The embeddings page, as a person uses it: chips, the plane, one word in several sentences, the lens."""

from __future__ import annotations

import json
from typing import Any

import pytest
from web_helpers import Visits, axe, overflow, settled, until

import capot

DRAWN = "document.querySelectorAll('capot-figure .main-svg').length > 0 && !document.querySelector('.waiting')"


def words(page: Any) -> list[str]:
    return page.locator(".chip > span").all_inner_texts()


def shows(page: Any, count: int) -> None:
    """Wait until the matrix has as many words."""
    until(page, f"document.querySelectorAll('table.heat tbody tr').length === {count} && ({DRAWN})")


@pytest.mark.parametrize("lang", ["en", "fr"])
def test_words_come_and_go_as_chips_and_the_plane_follows(visit: Visits, lang: str) -> None:
    visit.forgive("ReadPixels|willReadFrequently")  # Plotly's own space, drawn without a graphics card
    page = visit("/embeddings", lang=lang)
    shows(page, 6)
    assert words(page)[0] == {"en": "cat", "fr": "chat"}[lang]
    page.get_by_role("textbox").last.fill("soleil, lune")
    page.keyboard.press("Enter")
    shows(page, 8)
    page.locator(".chip button").first.click()
    shows(page, 7)
    assert words(page)[-2:] == ["soleil", "lune"] and "soleil" in page.url
    page.get_by_role("radio", name={"en": "Space", "fr": "Espace"}[lang]).check()
    until(page, "location.hash.includes('dimensions=3') && !document.querySelector('.waiting')")
    page.get_by_text({"en": "In Python", "fr": "En Python"}[lang]).click()
    until(page, "document.querySelector('.code pre')?.textContent.includes('dimensions=3')")
    page.get_by_role("radio", name={"en": "Plane", "fr": "Plan"}[lang]).check()
    until(page, f"!location.hash.includes('dimensions') && ({DRAWN})")
    assert not axe(page)
    page.emulate_media(color_scheme="dark")
    assert not axe(page)


def test_the_table_and_the_files_hold_what_is_drawn(visit: Visits) -> None:
    page = visit("/embeddings#words=cat,dog,house")
    shows(page, 3)
    page.get_by_text("Export").click()
    with page.expect_download() as saved:
        page.get_by_role("button", name="Data (JSON)").click()
    found = json.loads(saved.value.path().read_text(encoding="utf-8"))
    assert [word["word"] for word in found["words"]] == ["cat", "dog", "house"]
    with page.expect_download() as saved:
        page.get_by_role("button", name="Table (CSV)").click()
    lines = saved.value.path().read_text(encoding="utf-8-sig").splitlines()
    assert len(lines) == 4 and lines[1].startswith("cat,")
    with page.expect_download() as saved:
        page.get_by_role("button", name="Picture (SVG)").click()
    assert "cat" in saved.value.path().read_text(encoding="utf-8")


def test_a_word_in_several_sentences_layer_by_layer(visit: Visits) -> None:
    page = visit("/embeddings#view=context", lang="fr")
    until(page, f"document.querySelectorAll('.sentences ol.strip').length === 4 && ({DRAWN})")
    slider = page.locator(".layer-slider input[type=range]")
    slider.focus()
    before = page.locator("table.heat").inner_text()
    page.keyboard.press("Home")
    until(
        page,
        "location.hash.includes('layer=0') && document.querySelector('table.heat tbody td').textContent === '1,00'",
    )
    until(page, f"document.querySelector('table.heat').innerText !== {json.dumps(before)}")
    assert page.evaluate("document.activeElement.type") == "range", "the slider keeps the hand"
    address = page.evaluate("location.pathname + location.hash")
    other = visit(address, lang="fr")
    until(other, DRAWN)
    assert other.locator("table.heat").inner_text() == page.locator("table.heat").inner_text()
    assert not axe(page)


def test_the_lens_follows_the_prompt_that_is_carried(visit: Visits) -> None:
    page = visit("/embeddings#view=lens&prompt=The+capital+of+Australia+is")
    until(page, f"document.querySelectorAll('capot-figure .main-svg').length >= 2 && ({DRAWN})")
    with capot.open() as model:
        layers = model.card().layers
    assert page.locator("table.heat tbody tr").count() == 1 + layers, "the table and each layer"
    page.get_by_label("Your text").fill("Bonjour")
    until(page, "location.hash.includes('prompt=Bonjour') && !document.querySelector('.waiting')")
    assert not axe(page)


def test_any_text_is_only_text_and_what_is_refused_is_told(visit: Visits) -> None:
    visit.forgive("400|413|422")
    page = visit("/embeddings#words=cat")
    field = page.get_by_role("textbox").last
    field.fill("<script>alert(1)</script>, שלום, 🤗, &amp;")
    page.keyboard.press("Enter")
    shows(page, 5)
    assert "<script>alert(1)</script>" in words(page)
    page.get_by_role("tab", name="One word").click()
    page.get_by_label("The word").fill("zebra")
    until(page, "document.querySelector('.fault') !== null")
    assert "zebra" in page.inner_text(".fault")
    assert not page.locator(".frame").is_visible(), "nothing of another word stays beside an error"
    page.get_by_label("The word").fill("kind")
    until(page, f"document.querySelector('.fault') === null && ({DRAWN})")
    assert page.locator(".frame").is_visible()
    page.get_by_role("tab", name="Layer by layer").click()
    page.get_by_label("Your text").fill("mot " * 25_000)
    until(page, "document.querySelector('.fault') !== null")
    assert len(page.get_by_label("Your text").input_value()) == 100_000


LONG = ["anticonstitutionnellement", "incompréhensibilités", "chat", "électroencéphalographiquement", "responsabilité"]
NAMES = """(() => {
  const texts = [...document.querySelectorAll(".annotation-text-g, .plane text")].filter((one) => one.textContent);
  const box = (node) => { const at = node.getBoundingClientRect(); return [at.left, at.top, at.right, at.bottom]; };
  const around = document.querySelector("capot-figure .main-svg, .plane svg");
  const points = [...document.querySelectorAll(".plane circle")].map(box);
  return { around: around && box(around), points, names: texts.map((one) => [one.textContent, box(one)]) };
})()"""


@pytest.mark.parametrize("width", [360, pytest.param(1440, marks=pytest.mark.soak)])
@pytest.mark.parametrize("view", ["road", "words", "context"])
def test_long_names_are_read_at_any_width(visit: Visits, view: str, width: int) -> None:
    """All of them inside the picture, none over another."""
    page = visit({"road": f"/#prompt={'+'.join(LONG)}", "words": f"/embeddings#words={','.join(LONG)}",
                  "context": "/embeddings#view=context"}[view], lang="fr", width=width)  # fmt: skip
    count = 4 if view == "context" else 5
    until(page, f"{NAMES}.names.length === {count}")
    page.set_viewport_size({"width": width - 20, "height": 800})  # as a phone that is turned
    until(page, f"{NAMES}.names.length === {count} && document.documentElement.clientWidth === {width - 20}")
    until(page, f"(({APART})({NAMES}))")


APART = """({ around: [a, b, c, d], points, names }) => {
  const inside = ([e, f, g, i]) => e >= a - 1 && f >= b - 1 && g <= c + 1 && i <= d + 1;
  const meet = ([a, b, c, d], [e, f, g, i]) => a < g - 1 && c > e + 1 && b < i - 1 && d > f + 1;
  return names.every(([, box], here) => inside(box) && !points.some((point) => meet(box, point))
    && names.every(([, other], there) => here === there || !meet(box, other)));
}"""


@pytest.mark.parametrize("view", ["words", "context", "lens"])
def test_a_phone_does_not_scroll_sideways(visit: Visits, view: str) -> None:
    page = visit(f"/embeddings#view={view}&prompt=The+capital+is", width=360)
    until(page, DRAWN)
    settled(page)
    assert overflow(page) <= 0
