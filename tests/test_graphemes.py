"""Characters as a reader sees them, against the rules of Unicode as ``regex`` knows them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capot.view.graphemes import graphemes, hex_bytes, token_label

SAMPLES = [
    "", "abc", "e\u0301a", "👨‍👩‍👧‍👦!", "🇫🇷🇩🇪🇧", "👍🏽", "❤️", "1️⃣", "한국어", "\u1112\u1161\u11ab", "a\r\nb\n",
    "\u0301a", "\n\u0301",
    "🏴󠁧󠁢󠁳󠁣󠁴󠁿", "กำ", "\u200d\u200d", "x\u200cy", "ｶﾞ",
]  # fmt: skip


@pytest.mark.parametrize("text", SAMPLES)
def test_against_the_rules_of_unicode(text: str) -> None:
    regex = pytest.importorskip("regex")
    assert list(graphemes(text)) == regex.findall(r"\X", text)


@given(st.text(st.characters(exclude_categories=("Cs",))))
def test_nothing_is_lost_and_nothing_is_empty(text: str) -> None:
    shapes = list(graphemes(text))
    assert "".join(shapes) == text
    assert all(shapes)


@given(st.text(st.characters(exclude_categories=("Cs",))))
def test_what_is_spelled_can_be_seen(text: str) -> None:
    shown = token_label(text)
    assert not set(shown) & set("\ufffd\n\r\t \u00a0\x00\x1b\u202e")


def test_marks_alone_have_something_to_sit_on() -> None:
    assert token_label("\u0301") == "◌\u0301"
    assert token_label("\ufffd") == "⟨U+FFFD⟩"
    assert hex_bytes(b"\xf0\x9f") == "⟨F0 9F⟩"
