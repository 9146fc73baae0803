"""The pages in a real browser: they draw, ask for nothing, fit a phone and follow the reader's theme."""

from __future__ import annotations

from pathlib import Path

import pytest
from view_helpers import every_block
from web_helpers import until

from capot.view import blocks as b
from capot.view.html import to_fragment, to_html
from capot.view.theme import DARK, LIGHT

pytestmark = pytest.mark.browser
PAPER = "getComputedStyle(document.querySelector('.capot')).backgroundColor"


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pages") / "page.html"
    path.write_text(to_html(every_block("des mots"), lang="fr"), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def one_picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pages") / "bars.html"
    blocks = [b.Strip([b.Piece("a", hint="id 1")]), b.Bars([b.Bar("un", 0.5, "50 %")])]
    path.write_text(to_html(blocks, lang="fr"), encoding="utf-8")
    return path


def rgb(color: str) -> str:
    return f"rgb({', '.join(str(int(color[place : place + 2], 16)) for place in (1, 3, 5))})"


@pytest.mark.parametrize(("scheme", "wide"), [("light", 360), ("dark", 1200)])
def test_a_saved_page_draws_and_asks_for_nothing(browser, saved: Path, scheme: str, wide: int) -> None:
    page = browser.new_page(color_scheme=scheme, viewport={"width": wide, "height": 800})
    wrong: list[str] = []
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: None if request.url == saved.as_uri() else wrong.append(request.url))
    page.goto(saved.as_uri())
    until(page, "document.querySelectorAll('.replaced').length > 5")
    assert not wrong
    assert page.evaluate("document.documentElement.scrollWidth") <= wide
    assert page.evaluate(PAPER) == rgb((LIGHT if scheme == "light" else DARK)["paper"])
    page.close()


def test_figures_follow_the_theme(browser, one_picture: Path) -> None:
    page = browser.new_page(color_scheme="light")
    page.goto(one_picture.as_uri())
    ink = "document.querySelector('.plot .ytick text').style.fill"
    until(page, f"{ink} === '{rgb(LIGHT['ink'])}'")
    page.emulate_media(color_scheme="dark")
    until(page, f"{ink} === '{rgb(DARK['ink'])}'")
    page.close()


def test_a_hint_is_seen_by_the_keyboard(browser, one_picture: Path) -> None:
    page = browser.new_page()
    page.goto(one_picture.as_uri())
    page.keyboard.press("Tab")
    hint = "getComputedStyle(document.activeElement, '::after').content"
    assert page.evaluate(hint) == '"id 1"'
    page.close()


@pytest.mark.parametrize(("host", "theme"), [("data-jp-theme-light=true", LIGHT), ("data-jp-theme-light=false", DARK)])
def test_a_fragment_follows_its_notebook(browser, host: str, theme: dict) -> None:
    page = browser.new_page(color_scheme="dark" if theme is LIGHT else "light")
    page.set_content(f"<body {host}>{to_fragment(every_block('mots'), lang='fr')}")
    assert page.evaluate(PAPER) == rgb(theme["paper"])
    page.close()


def test_series_are_told_apart_on_paper_without_colours(browser, tmp_path: Path) -> None:
    lines = [b.Series(name, [1, 2], [place, 2], area=area) for place, (name, area) in
             enumerate((("a", False), ("b", False), ("c", True), ("d", True)))]  # fmt: skip
    path = tmp_path / "curves.html"
    path.write_text(to_html([b.Curves(series=lines, x_label="x", y_label="y")], lang="en"), encoding="utf-8")
    page = browser.new_page()
    page.goto(path.as_uri())
    looks = "(kind, name) => [...document.querySelectorAll(`svg .${kind}`)].map((one) => getComputedStyle(one)[name])"
    page.emulate_media(media="print")
    for kind, name in (("curve", "strokeDasharray"), ("area", "fillOpacity")):
        shown = page.evaluate(f"([kind, name]) => ({looks})(kind, name)", [kind, name])
        assert len(shown) == len(set(shown)) == 2, (kind, shown)
    page.close()


def test_no_heading_ends_a_printed_page(browser) -> None:
    page = browser.new_page()
    page.set_content(
        to_fragment([b.Heading("a"), b.Heading("b", 2), b.Bars([b.Bar("un", 0.5, "50 %")], title="c")], lang="fr")
    )
    page.emulate_media(media="print")
    after = "[...document.querySelectorAll('h1, h2, h3, h4, .title')].map((one) => getComputedStyle(one).breakAfter)"
    assert page.evaluate(after) == ["avoid"] * 3
    page.close()
