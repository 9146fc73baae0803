"""The lab's pages over a model that a server has, in a real browser."""

from __future__ import annotations

import pytest
from lab_helpers import Live
from openai_server import NAME, OpenAIServer
from web_helpers import Visits, axe

import capot

pytestmark = pytest.mark.browser


@pytest.mark.parametrize(("lang", "said"), [("en", "each token with its rank"), ("fr", "chaque token avec son rang")])
def test_the_card_says_what_the_server_was_seen_to_do(visit: Visits, lang: str, said: str) -> None:
    with OpenAIServer() as running, Live(capot.open(running.url)) as lab:
        page = visit("/card", root=lab.root, lang=lang)
        told = page.inner_text("main")
        assert said in told and NAME in told and page.locator(".fault").count() == 0
        assert axe(page) == []
