"""The lab's pages over a model that a server has, in a real browser."""

from __future__ import annotations

from typing import Any

import pytest
from lab_helpers import Live
from openai_server import NAME, OpenAIServer
from web_helpers import Visits, axe, until

import capot

pytestmark = pytest.mark.browser


@pytest.mark.parametrize(("lang", "said"), [("en", "each token with its rank"), ("fr", "chaque token avec son rang")])
def test_the_card_says_what_the_server_was_seen_to_do(visit: Visits, lang: str, said: str) -> None:
    with OpenAIServer() as running, Live(capot.open(running.url)) as lab:
        page = visit("/card", root=lab.root, lang=lang)
        told = page.inner_text("main")
        assert said in told and NAME in told and page.locator(".fault").count() == 0
        assert axe(page) == []


@pytest.mark.parametrize(("lang", "said"), [("en", "does not give"), ("fr", "n’indique pas")])
def test_a_token_drawn_from_beyond_what_is_told_has_no_rank_and_no_probability_of_being_drawn(
    visit: Visits, lang: str, said: str
) -> None:
    """The numbers that the server does not give stand nowhere on the page."""
    with OpenAIServer() as running, capot.open(running.url) as model:
        made = model.generate("The ca", temperature=2.5, seed=4, max_new_tokens=8, alternatives=8)
        far = next(place for place, token in enumerate(made.tokens) if token.rank is None and token.chance is None)
        with Live(model) as lab:
            page = visit("/generate#prompt=The+ca&temperature=2.5&seed=4&max_new_tokens=8", root=lab.root, lang=lang)
            page.get_by_role("button", name={"en": "Generate", "fr": "Générer"}[lang], exact=True).click()
            until(page, f"document.querySelectorAll('capot-strip button').length === {len(made.tokens)}")
            page.locator("capot-strip button").nth(far).click()
            told = page.inner_text(".instead")
            assert said in told and "> 8" in told and "null" not in told and "?" not in told
            assert "> 8" in (page.locator(".instead .far").get_attribute("title") or page.inner_html(".instead .far"))
            assert axe(page) == []


@pytest.mark.parametrize("lang", ["en", "fr"])
@pytest.mark.parametrize(
    ("chapter", "verb", "path", "drawn"),
    [
        ("tokens", "tokens", "/tokenize", "capot-strip"), ("next", "next", "/v1/completions", "capot-bars"),
        ("score", "score", "/v1/completions", "capot-strip"),
    ],
)  # fmt: skip
def test_a_page_that_would_compute_by_itself_asks_the_server_at_a_click(
    visit: Visits, lang: str, chapter: str, verb: str, path: str, drawn: str
) -> None:
    """Each answer of a server may cost: opening the page and changing a setting ask it nothing."""
    with OpenAIServer() as running, Live(capot.open(running.url)) as lab:
        page = visit(f"/{chapter}#prompt=Tokyo", root=lab.root, lang=lang)
        form = page.locator(f'section.plain[data-verb="{verb}"]')
        field = form.locator("textarea, input[type=text]").first
        assert field.input_value() == "Tokyo"  # the text that all pages share
        field.fill("The capital of Japan is")
        field.press("Tab")
        page.wait_for_load_state("networkidle")
        before = len(running.seen)
        assert page.locator(drawn).count() == 0 and page.locator(".fault").count() == 0
        form.get_by_role("button", name={"en": "Ask", "fr": "Demander"}[lang], exact=True).click()
        until(page, f"document.querySelector('{drawn}') !== null")
        assert path in running.paths()[before:]
        assert axe(page) == []


@pytest.mark.parametrize(("lang", "said"), [("en", "at least"), ("fr", "d’au moins")])
def test_the_road_asks_the_server_at_a_click_and_says_what_it_does_not_tell(
    visit: Visits, lang: str, said: str
) -> None:
    with OpenAIServer() as running, Live(capot.open(running.url)) as lab:
        page = visit("/", root=lab.root, lang=lang)
        asked = len(running.seen)
        field = page.locator("textarea").first
        field.fill("Tokyo is")  # two words: vectors are asked for from three on
        field.press("Tab")
        page.wait_for_load_state("networkidle")
        assert running.seen[asked:] == [] and page.locator(".road .name").count() == 0
        page.get_by_role("button", name={"en": "Ask", "fr": "Demander"}[lang], exact=True).click()
        until(
            page,
            "document.querySelector('.road .name') !== null && document.querySelector('.road').ariaBusy === 'false'",
        )
        told = page.inner_text(".stop.next")
        assert said in told and page.locator(".fault").count() == 0
        assert "EMBEDDINGS" not in page.inner_text("main") and "LAYER" not in page.inner_text("main")
        page.locator(".stop.generate button.primary").click()
        until(page, "document.querySelectorAll('.grown mark').length === 1")
        assert axe(page) == []


def test_no_page_asks_before_it_is_known_who_computes(visit: Visits) -> None:
    with OpenAIServer() as running, Live(capot.open(running.url)) as lab:
        page = visit("/card", root=lab.root)
        held: list[Any] = []
        asked: list[str] = []

        def hold(route: Any) -> None:
            held.append(route)

        page.route("**/api/model", hold)
        page.on("request", lambda request: asked.append(request.url))
        with page.expect_response(lambda answer: "/api/words" in answer.url):
            page.goto(f"{lab.root}/next#prompt=Once", wait_until="commit")
        while not held:
            page.wait_for_timeout(10)
        page.wait_for_timeout(1000)  # in which a page that does not wait would have asked
        held.pop().continue_()
        until(page, "document.querySelector('section.plain') !== null")
        assert not [url for url in asked if "/api/next" in url or "/api/stream" in url]
