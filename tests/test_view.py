"""The faces of blocks: a terminal page, an HTML page, a notebook fragment, Plotly figures, plain data."""

from __future__ import annotations

import json
import math
import re
import unicodedata
from html.parser import HTMLParser

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from view_helpers import EYES, HOSTILE, difference, empty_blocks, every_block

from capot import i18n
from capot.view import blocks as b
from capot.view.data import to_data
from capot.view.figure import escape_label, to_figure, to_spec
from capot.view.html import curves_table, points_table, style_sheet, to_fragment, to_html
from capot.view.labels import label_box, label_sides
from capot.view.scales import Scale, make_scale, stack_areas, tick_text
from capot.view.text import eighths, to_text
from capot.view.theme import DARK, HUES, LIGHT, STEPS, contrast, lightness_step
from capot.view.visible import chunks, clusters, pad, truncate, visible, width, wrap

PICTURES = [block for block in every_block() if isinstance(block, (b.Bars, b.Scatter, b.Curves))]
STYLE = re.compile(r"\x1b\[[0-9;]*m")
any_text = st.text(alphabet=st.characters(exclude_categories=()), max_size=40)


# --- text made safe, and its width -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "cells"),
    [
        ("", 0),
        ("abc", 3),
        ("é", 1),
        ("e\u0301", 1),
        ("漢字", 4),
        ("ｆｕｌｌ", 8),
        ("\uac01", 2),
        ("\u1100\u1161\u11a8", 2),
        ("🤗", 2),
        ("👩\u200d🚀", 2),
        ("👍🏽", 2),
        ("☕\ufe0f", 2),
        ("❤\ufe0f", 2),
        ("🇫🇷", 2),
        ("مرحبا", 5),
        ("\x1b[38;5;33mab\x1b[0m", 2),
    ],
)
def test_width_in_cells(text: str, cells: int) -> None:
    assert width(text) == cells


@given(any_text)
def test_visible_text_cannot_act_on_a_screen(text: str) -> None:
    for lines in (False, True):
        shown = visible(text, lines=lines)
        assert shown.count("\ufffd") == text.count("\ufffd")  # never added
        shown.encode()  # no lone surrogate is left
        kinds = {unicodedata.category(char) for char in shown} - ({"Cc"} if lines else set())
        assert not kinds & {"Cc", "Cs", "Zl", "Zp"}
        assert not any(unicodedata.category(char) == "Cf" for char in shown if char not in "\u200c\u200d")
        assert {char for char in shown if unicodedata.category(char) == "Cc"} <= ({"\n"} if lines else set())


def test_each_hidden_character_is_named() -> None:
    assert visible("\x00\x1b\x7f\x9b\u202e\u2066\u200b\ufeff\ud83d") == (
        "␀␛␡⟨U+009B⟩⟨U+202E⟩⟨U+2066⟩⟨U+200B⟩⟨U+FEFF⟩⟨U+D83D⟩"
    )
    assert visible("a\n\tb") == "a⏎⇥b"
    assert visible("a\r\n\tb", lines=True) == "a\n    b"


@given(any_text.map(visible), st.integers(1, 12))
def test_cutting_and_wrapping_hold_their_width(text: str, cells: int) -> None:
    assert "".join(clusters(text)) == text
    assert sum(map(width, clusters(text))) == width(text)
    assert "".join(chunks(text, cells)) == text
    assert width(truncate(text, cells)) <= cells
    assert width(pad(text, 60, "r")) == max(60, width(text))
    for line in wrap(text, max(cells, 2)):
        assert width(line) <= max(cells, 2)


# --- the terminal -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", ["words", HOSTILE, "漢字 " * 30, "x" * 300], ids=["words", "hostile", "wide", "long"])
@pytest.mark.parametrize("cells", [24, 80, 200])
@pytest.mark.parametrize("color", [False, True])
def test_no_line_is_wider_than_the_terminal(words: str, cells: int, color: bool) -> None:
    for block in every_block(words):
        for line in to_text([block], width=cells, color=color).split("\n"):
            assert width(line) <= cells, block


@pytest.mark.parametrize("color", [False, True])
def test_a_terminal_gets_no_escape_from_a_text(color: bool) -> None:
    text = to_text(every_block(HOSTILE), width=100, color=color)
    assert "\x1b" not in STYLE.sub("", text) and (color or "\x1b" not in text)
    bare = STYLE.sub("", text).replace("\n", "")
    assert not {unicodedata.category(char) for char in bare} & {"Cc", "Cs"}
    assert "\u202e" not in bare and "\ufffd" not in bare
    assert "␛[31m" in bare


def test_no_colour_leaves_the_same_words() -> None:
    plain, painted = (to_text([b.Heading("A"), b.Text("b"), b.Facts([("c", "d")])], color=c) for c in (False, True))
    assert STYLE.sub("", painted) == plain
    assert painted != plain


def test_tokens_keep_their_borders_without_colour() -> None:
    strip = b.Strip([b.Piece("·le"), b.Piece("·chat", tone=1), b.Piece("s", tone=2)])
    assert to_text([strip]) == "│·le│·chat│s│"


def test_tokens_wrap_between_and_inside() -> None:
    strip = b.Strip([b.Piece("a" * 12), b.Piece("b" * 12, tone=1), b.Piece("c" * 30, tone=2)])
    lines = to_text([strip], width=20).split("\n")
    assert lines == ["│" + "a" * 12 + "│", "│" + "b" * 12 + "│", "│" + "c" * 18, "c" * 12 + "│"]


def test_where_the_text_changes_hands_the_border_doubles() -> None:
    pieces = [b.Piece("a", kind="prompt"), b.Piece("b", weight=1.0), b.Piece("c", kind="after")]
    assert to_text([b.Strip(pieces)]) == "│a║b║c│\n   █"


def test_probabilities_are_levels_without_colour() -> None:
    strip = b.Strip([b.Piece("aa", weight=0.0), b.Piece("漢", weight=1.0)])
    assert to_text([strip]) == "│aa│漢│\n ▁▁ ██"


def test_bars_align_and_mark() -> None:
    bars = b.Bars([b.Bar("a", 1.0, "100.0%"), b.Bar("漢字", 0.5, "50.0%", marked=True)], title="T", caption="C.")
    assert to_text([bars], width=28) == ("T\n  a     100.0%  ████████████\n▸ 漢字   50.0%  ██████\nC.")


@given(st.floats(allow_nan=True, allow_infinity=True), st.integers(1, 50))
def test_a_bar_never_overflows(value: float, cells: int) -> None:
    bar = eighths(value, cells)
    assert len(bar) <= cells
    assert bool(bar) == (math.isfinite(value) and value > 0)


def test_table_columns_give_way() -> None:
    table = b.Table(["name", "n"], [["漢字", "1"], ["x" * 30, "1,234"]])
    lines = to_text([table], width=24).split("\n")
    assert lines[0] == "name                   n"
    assert lines[2] == "漢字                   1"
    assert lines[3] == "x" * 17 + "  1,234"
    assert lines[4] == "x" * 13


def test_a_long_name_is_cut_where_its_parts_end() -> None:
    names = b.Table(["name", "n"], [["meta-llama/Llama-3.2-1B-Instruct", "1"]])
    lines = to_text([names], width=26).splitlines()
    assert lines[2].split() == ["meta-llama/Llama-3.2-", "1"] and lines[3].strip() == "1B-Instruct"


def test_a_terminal_cuts_a_grid_into_parts_and_a_page_scrolls_it() -> None:
    names = [f"t{place:02}" for place in range(40)]
    rows = [[str(layer), *(f"{layer}-{place}" for place in range(40))] for layer in range(2)]
    heat = [[None, *[0.99] * 40]] * 2
    table = b.Table(["L", *names], rows, title="G", caption="C", align="r" + "l" * 40, heat=heat, grid=True)
    for color in (False, True):
        lines = to_text([table], width=50, color=color).splitlines()
        assert lines[0].endswith("G\x1b[0m" if color else "G") and max(map(width, map(plain, lines))) <= 50
        told = plain(" ".join(lines))
        assert "t15" not in told and "L …" in told, "the last ones of a long text, and a sign that there are more"
        for place in range(16, 40):
            assert told.count(f"t{place}") == told.count(f"1-{place}") == 1
        assert sum(plain(line).split()[:1] == ["1"] for line in lines) == sum("─" in line for line in lines) > 1
    page = to_html([table], lang="en")
    assert page.count("<table") == 1 and 'class="heat grid"' in page
    assert page.count('<th scope="col"') == 41 and page.count('<th scope="row"') == 2
    narrow = to_text([b.Table(["L", "a"], [["1", "word " * 30]], grid=True)], width=30)
    assert max(map(width, narrow.splitlines())) <= 30 and narrow.count("word") == 30


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[\d;]*m", "", text)


def test_heat_is_shaded_without_colour() -> None:
    table = b.Table(["", "a"], [["a", "1.00"], ["b", "0.10"]], heat=[[None, 1.0], [None, 0.1]])
    assert to_text([table]).split("\n")[2:] == ["a  █ 1.00", "b    0.10"]


def test_columns_stand_side_by_side_where_there_is_room() -> None:
    columns = b.Columns([[b.Text("left")], [b.Text("right")]])
    assert re.fullmatch(r"left +│ right", to_text([columns], width=80))
    assert to_text([columns], width=40) == "left\n\nright"


def test_a_conversation_shows_what_a_stop_string_cut() -> None:
    chat = b.Chat([b.Turn("user", "Why?", note="3 tokens"), b.Turn("bot", "So.", after="Q: more")])
    assert to_text([chat]) == "user  3 tokens\n│ Why?\n\nbot\n│ So.\n├╌╌╌\n┊ Q: more"


def test_points_carry_their_labels() -> None:
    points = [b.Point("near", (0.0, 0.0)), b.Point("far", (1.0, 1.0), 1)]
    text = to_text([b.Scatter(points, ("x axis", "y axis"))], width=60)
    assert "● near" in text and "far ◆" in text and "x axis" in text and "y axis" in text


def test_labels_without_room_are_listed() -> None:
    points = [b.Point(f"crowd{n}", (0.0, 0.0)) for n in range(8)] + [b.Point("far", (1.0, 1.0))]
    text = to_text([b.Scatter(points, ("x", "y"))])
    assert all(f"crowd{n}" in text for n in range(8))


def test_curves_have_ticks_and_a_legend() -> None:
    curves = b.Curves(
        [b.Series("cache", (1, 10, 1000), (1e3, 1e6, 1e9)), b.Series("card", (1, 1000), (4e9, 4e9), dashed=True)],
        "tokens", "memory", log_x=True, log_y=True, y_kind="bytes",
    )  # fmt: skip
    text = to_text([curves])
    assert "●─ cache   ◆╌ card" in text
    assert "1\u00a0GB ┤" in text and "1,000" in text


@pytest.mark.parametrize("color", [False, True])
def test_nothing_to_show_is_no_crash_in_a_terminal(color: bool) -> None:
    for block in empty_blocks():
        to_text([block], width=30, color=color)
    assert to_text([]) == ""


# --- scales -------------------------------------------------------------------------------------------------------


def test_ticks_speak_the_language() -> None:
    assert [tick_text(1.5e9, "bytes", lang=lang) for lang in ("en", "fr")] == ["1.5\u00a0GB", "1,5\u00a0Go"]
    assert [tick_text(0.25, "percent", lang=lang) for lang in ("en", "fr")] == ["25%", "25\u00a0%"]
    assert tick_text(0.2, "seconds", lang="en") == "200\u00a0ms"
    assert tick_text(1000, "number", lang="en") == "1,000"
    assert tick_text(1e-6, "number", lang="en") == "10⁻⁶"
    assert tick_text(2.5e-6, "number", lang="fr") == "2,5×10⁻⁶"


@example([0.0, 5e-324], False, False)
@example([5e-324], True, False)
@example([1e12, 1e12 + 1e-3], False, True)
@given(
    st.lists(st.floats(-1e12, 1e12) | st.none() | st.just(math.nan), max_size=8),
    st.booleans(),
    st.booleans(),
)
def test_a_scale_holds_its_values(values: list, log: bool, tight: bool) -> None:
    found = make_scale(values, log=log, tight=tight, lang="en")
    assert found.low < found.high and found.ticks
    for value in values:
        place = found.place(value)
        assert place is None or -1e-6 <= place <= 1 + 1e-6


@pytest.mark.parametrize(
    ("values", "count", "ticks"),
    [
        ([1, 2], 6, ["1", "2"]),  # things that are counted: no turn 1.5
        ([1.0, 2.0], 5, ["1", "1.2", "1.4", "1.6", "1.8", "2"]),
        ([0, 12], 5, ["0", "5", "10", "15"]),
        ([0.0, 12.0], 5, ["0", "2.5", "5", "7.5", "10", "12.5"]),
        ([0.0, 1.0], 4, ["0", "0.25", "0.5", "0.75", "1"]),
        ([0, 3, None], 6, ["0", "1", "2", "3"]),
    ],
)
def test_ticks_are_where_they_say(values: list, count: int, ticks: list[str]) -> None:
    assert [text for _, text in make_scale(values, count=count, lang="en").ticks] == ticks


def test_layers_rest_on_each_other() -> None:
    areas = [b.Series("a", (1, 2), (1.0, 2.0), area=True), b.Series("b", (1, 2), (3.0, None), area=True)]
    assert [(low, high) for _, low, high in stack_areas(areas)] == [([0.0, 0.0], [1.0, 2.0]), ([1.0, 2.0], [4.0, 2.0])]


@given(st.lists(st.tuples(st.floats(0, 300), st.floats(0, 200)), max_size=12), st.booleans())
def test_labels_never_cover_one_another(spots: list, rays: bool) -> None:
    sides = label_sides(spots, [40.0] * len(spots), area=(0, 0, 300, 200), rays=rays)
    boxes = [label_box(spot, 40.0, side) for spot, side in zip(spots, sides) if side]
    for n, one in enumerate(boxes):
        for other in boxes[:n]:
            assert one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]


# --- HTML ---------------------------------------------------------------------------------------------------------

VOID = {"meta", "path", "br"}
UNCLOSED = {"path"}


class Reader(HTMLParser):
    """Reads a page strictly: every element closed in order, and keeps what the tests look at."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict]] = []
        self.text: list[str] = []
        self.scripts: list[str] = []
        self.feed(page)
        self.close()
        assert not self.open, f"left open: {self.open}"

    def handle_starttag(self, tag, attrs) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"{tag} says {names}"
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag) -> None:
        assert self.open and self.open.pop() == tag

    def handle_data(self, data) -> None:
        if self.open and self.open[-1] in ("script", "style"):
            self.scripts.append(data)
        else:
            self.text.append(data)


@pytest.fixture(scope="module")
def page() -> str:
    return to_html(every_block(HOSTILE), lang="en", title=HOSTILE)


def test_a_page_is_well_formed_and_asks_for_nothing(page: str) -> None:
    read = Reader(page)
    assert page.startswith("<!doctype html>")
    for tag, attrs in read.tags:
        assert tag not in {"link", "img", "iframe", "object", "base", "a", "form"}
        assert not {"src", "href", "srcset", "action"} & set(attrs)
        assert not any(name.startswith("on") for name in attrs)
    policy = next(attrs["content"] for _, attrs in read.tags if "http-equiv" in attrs)
    assert "default-src 'none'" in policy and "unsafe-eval" not in policy
    assert "unsafe-inline" not in policy.split("script-src")[1]
    assert "url(" not in style_sheet() and "@import" not in style_sheet()


def test_a_page_shows_hostile_text_as_text(page: str) -> None:
    read = Reader(page)
    assert sum(tag == "script" for tag, _ in read.tags) == 3  # the data, Plotly, and what joins them
    assert page.count("<script>alert") == 0
    data = next(text for text in read.scripts if '"figures"' in text)
    assert "<" not in data and json.loads(data)["figures"]
    shown = "".join(read.text)
    assert "<script>alert('x')</script> & \"q\" ␛[31m⟨U+202E⟩ مرحبا 👩\u200d🚀" in shown
    hints = [attrs["data-hint"] for _, attrs in read.tags if attrs.get("data-hint")]
    assert hints and all(hint == visible(HOSTILE) for hint in hints)
    ours = page.replace(next(text for text in read.scripts if len(text) > 1_000_000), "")
    kinds = {unicodedata.category(char) for char in ours if char != "\n"}
    assert not kinds & {"Cc", "Cs"} and "\u202e" not in ours and "\ufffd" not in ours


def test_plotly_comes_once_and_only_with_a_picture(page: str) -> None:
    assert page.count("plotly.js v") == 1
    assert len(to_html([b.Heading("A"), b.Text("b")], lang="fr")) < 60_000
    inside = b.Columns([[b.Bars([b.Bar("a", 0.5)])]])
    assert "plotly.js v" in to_html([inside], lang="fr")


def test_the_page_speaks_its_language() -> None:
    for lang, words in (("fr", "Le tableau"), ("en", "The table")):
        page = to_html([b.Heading("T"), b.Bars([b.Bar("a", 0.5)])], lang=lang)
        assert f'<html lang="{lang}">' in page and words in page and "<title>T</title>" in page
    assert "Enregistrer l’image" in to_html([b.Bars([b.Bar("a", 0.5)])], lang="fr")


def test_every_picture_has_its_folded_table(page: str) -> None:
    read = Reader(page)
    assert sum(tag == "details" for tag, _ in read.tags) == len(PICTURES) + 1  # one more in the columns
    assert sum("data-figure" in attrs for _, attrs in read.tags) == len(PICTURES) + 1


def test_the_tables_hold_the_numbers_of_the_pictures() -> None:
    scatter = b.Scatter([b.Point("a", (1.5, -2.0)), b.Point("b", (0.0, 1.0, 2.0))], ("x", "y"))
    table = points_table(scatter, lang="fr")
    assert table.columns == ["nom", "x", "y", "axe 3"]
    assert table.rows[0] == ["a", "1,50", "−2,00"]
    curves = b.Curves([b.Series("a", (1, 2), (1e9, None)), b.Series("b", (2,), (2e9,))], "n", "m", y_kind="bytes")
    assert curves_table(curves, lang="en").rows == [["1", "1\u00a0GB", ""], ["2", "", "2\u00a0GB"]]


def test_long_strips_are_no_trap_for_the_tab_key() -> None:
    short, long = (b.Strip([b.Piece("a", hint="id 1")] * n) for n in (3, 500))
    assert to_html([short], lang="en").count('tabindex="0"') == 3
    assert to_html([long], lang="en").count('tabindex="0"') == 0


@pytest.mark.parametrize("words", ["words", HOSTILE])
def test_a_fragment_has_no_script_and_keeps_to_itself(words: str) -> None:
    fragment = to_fragment(every_block(words), lang="fr")
    read = Reader(fragment)
    assert not any(tag in {"script", "html", "body", "link"} for tag, _ in read.tags)
    assert not any(name.startswith("on") for _, attrs in read.tags for name in attrs)
    assert len(to_fragment([b.Text("a")], lang="fr")) < 40_000
    without_media = re.sub(r"@media [^{]+\{", "", re.sub(r"/\*.*?\*/", "", style_sheet(), flags=re.S))
    for rule in re.findall(r"(?:^|[}{])\s*([^{}@]+)\{", without_media):
        outside = re.sub(r"\([^()]*\)", "", rule)  # a comma inside :is() parts no selectors
        assert all(".capot" in selector for selector in outside.split(",")), rule


def test_nothing_to_show_is_no_crash_in_a_page() -> None:
    Reader(to_html(empty_blocks(), lang="en"))
    Reader(to_fragment(empty_blocks(), lang="en"))


# --- colours ------------------------------------------------------------------------------------------------------


def test_the_style_sheet_uses_only_known_colours() -> None:
    sheet = style_sheet()
    used = set(re.findall(r"var\(--([a-z0-9-]+)\)", sheet))
    assert used <= set(LIGHT) | {"sans", "mono"}
    rules = sheet[sheet.index("/* The look") :]
    assert not re.search(r"#[0-9a-fA-F]{3,8}\b", rules), "colours live in theme.py"


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_contrast_is_aa(theme: dict) -> None:
    for ink in ("ink", "quiet", "accent", "mark"):
        assert contrast(theme[ink], theme["paper"]) >= 4.5
        assert contrast(theme[ink], theme["panel"]) >= 4.5
    assert contrast(theme["ink"], theme["warn"]) >= 7
    for hue in range(HUES):
        assert contrast(theme["ink"], theme[f"t{hue}"]) >= 4.5
        assert contrast(theme[f"b{hue}"], theme["paper"]) >= 3
        assert contrast(theme[f"s{hue}"], theme["paper"]) >= 3
    for step in range(STEPS):
        assert contrast(theme[f"v{step}"], theme[f"w{step}"]) >= 4.5


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("eye", EYES)
def test_hues_stay_apart(theme: dict, eye: str) -> None:
    for prefix, least, beside in (("t", 12, 20), ("s", 25, 40)):
        colors = [theme[f"{prefix}{hue}"] for hue in range(HUES)]
        for one in range(HUES):
            for other in range(one):
                neighbours = one - other in (1, HUES - 1)
                assert difference(colors[one], colors[other], eye) >= (beside if neighbours else least)


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_probability_is_one_way_lightness(theme: dict) -> None:
    away = [contrast(theme[f"w{step}"], theme["paper"]) for step in range(STEPS)]
    assert away == sorted(away)


def test_steps_hold_any_share() -> None:
    assert [lightness_step(share) for share in (-1.0, 0.0, 0.55, 1.0, 2.0, math.nan)] == [0, 0, 5, 9, 9, 0]


# --- figures ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", ["words", HOSTILE])
@pytest.mark.parametrize("lang", ["fr", "en"])
@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_figures_pass_plotlys_own_rules(words: str, lang: str, theme: dict) -> None:
    for block in [*every_block(words), *empty_blocks()]:
        if isinstance(block, (b.Bars, b.Scatter, b.Curves)):
            json.dumps(to_spec(block, theme=theme, lang=lang), allow_nan=False)
            to_figure(block, theme=theme, lang=lang)


def test_a_figure_shows_tags_as_text() -> None:
    assert escape_label("<b>&") == "&lt;b&gt;&amp;"
    figure = to_figure(b.Bars([b.Bar("<b>", 0.5, "50%")], title="<i>"))
    assert figure.layout.title.text == "&lt;i&gt;"
    assert figure.layout.yaxis.ticktext == ("&lt;b&gt;",)


def test_bars_with_the_same_label_stay_apart() -> None:
    figure = to_figure(b.Bars([b.Bar("a", 0.5, "50%"), b.Bar("a", 0.25, "25%", marked=True)]))
    assert list(figure.data[0].y) == [0, 1]
    assert list(figure.data[0].marker.color) == [LIGHT["accent"], LIGHT["mark"]]
    assert figure.layout.yaxis.ticktext == ("a", "▸ a")


def test_curves_keep_order_axes_and_stacks() -> None:
    line = b.Series("card", (1, 2), (4e9, 4e9), dashed=True)
    areas = [b.Series("a", (1, 2), (1e9, 1e9), area=True), b.Series("b", (1, 2), (1e9, 2e9), area=True)]
    spec = to_spec(b.Curves([line, *areas], "n", "memory", log_x=True, y_kind="bytes"), lang="fr")
    assert [trace["name"] for trace in spec["data"]] == ["a", "b", "card"]
    assert spec["data"][1]["y"] == [2e9, 3e9] and spec["data"][1]["fill"] == "tonexty"
    assert spec["data"][2]["line"]["dash"] == "dash"
    assert spec["layout"]["xaxis"]["type"] == "log" and spec["layout"]["yaxis"]["type"] == "linear"
    assert "2\u00a0Go" in spec["layout"]["yaxis"]["ticktext"]
    assert spec["layout"]["separators"].startswith(",")


def test_arrows_keep_their_angles() -> None:
    spec = to_spec(b.Scatter([b.Point("a", (1.0, 2.0))], ("x", "y"), arrows=True))
    assert spec["layout"]["yaxis"]["scaleanchor"] == "x"
    arrow = spec["layout"]["annotations"][0]
    assert (arrow["ax"], arrow["ay"], arrow["x"], arrow["y"]) == (0, 0, 1.0, 2.0)


@pytest.mark.parametrize("arrows", [False, True])
def test_no_name_is_cut_at_the_edge_of_a_narrow_plane(arrows: bool) -> None:
    """Half a page or a phone leaves some 30 pixels beyond the outermost marks."""
    corners = [(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)]
    points = [b.Point(f"{place} a sentence of some length", xy) for place, xy in enumerate(corners)]
    spec = to_spec(b.Scatter(points, ("x", "y"), arrows=arrows))
    sides = [text for trace in spec["data"] for text in trace["textposition"]]
    assert all(text for trace in spec["data"] for text in trace["text"]), "each has its name"
    assert [side.split()[1] for side in sides] == ["right", "left", "left", "right"]


def test_marks_at_the_ends_of_a_curve_are_whole() -> None:
    marked, area = b.Series("a", [0, 1], [0.5, 1.0]), b.Series("b", [0, 1], [0.5, 1.0], area=True)
    traces = to_spec(b.Curves([marked, area], "x", "y"))["data"]
    assert {trace["mode"]: trace.get("cliponaxis") for trace in traces} == {"lines+markers": False, "lines": None}


# --- the rest -----------------------------------------------------------------------------------------------------


@given(any_text)
@settings(max_examples=30)
def test_blocks_as_data_are_json(text: str) -> None:
    data = to_data(every_block(text))
    json.dumps(data, allow_nan=False)
    assert {block["block"] for block in data} == {kind.__name__.lower() for kind in b.Block.__args__}


def test_a_block_is_known_by_its_kind_and_not_by_the_name_of_its_class() -> None:
    class Caution(b.Text):
        """A text of a chapter's own."""

    assert to_data([Caution("Mind!")]) == [{"block": "text", "text": "Mind!", "tone": "plain"}]


def test_every_block_has_every_face() -> None:
    from capot.view import html, text

    assert set(text._DRAW) == set(html._DRAW) == set(b.Block.__args__)


def test_words_of_the_view_exist_in_both_languages() -> None:
    from capot.view.html import _TOOLS

    for lang in i18n.LANGUAGES:
        for key in ("table", "label", "value", "scroll", *(f"tools.{key}" for key in _TOOLS.values())):
            assert i18n.tr(f"view.{key}", lang)
        assert "3" in i18n.tr("view.axis", lang, n=3)


def test_a_scale_has_no_place_for_what_cannot_be_drawn() -> None:
    log = Scale(1, 100, True, ())
    assert [log.place(value) for value in (None, math.nan, math.inf, 0.0, -1.0)] == [None] * 5
