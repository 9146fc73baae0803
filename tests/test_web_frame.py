"""The lab's frame in a real browser: every chapter opens clean, in both languages and both themes."""

from __future__ import annotations

import pytest
from web_helpers import axe, overflow

pytestmark = pytest.mark.browser
MINE = ("", "tokens", "next", "card")


@pytest.mark.parametrize(("lang", "scheme", "width"), [("fr", "light", 360), ("en", "dark", 1280)])
@pytest.mark.parametrize("chapter", MINE, ids=lambda name: name or "home")
def test_a_chapter_opens_clean(visit, chapter: str, lang: str, scheme: str, width: int) -> None:
    page = visit(f"/{chapter}#prompt=Il+%C3%A9tait+une+fois", lang=lang, scheme=scheme, width=width)
    assert page.evaluate("document.documentElement.lang") == lang
    assert overflow(page) == 0
    assert axe(page) == []
