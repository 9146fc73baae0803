"""What a link, a door and another language keep: the very text that was shown, its settings, and what is under way."""

from __future__ import annotations

import re
from typing import Any

import pytest
from conftest import ROOT
from web_helpers import Server, Visits, hold, settled, until

from capot.web import form_data

COUNT = "document.querySelectorAll('capot-strip button').length"
IDLE = (
    "[...document.querySelectorAll('.row button')].find((one) => /^(Stop|Arrêter)$/.test(one.textContent))?.disabled"
    " && !document.querySelector('.waiting')"
)
ADDRESS = "location.pathname + location.hash"
SHOWN = "document.documentElement.dataset.shown"


def press(page: Any, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def written(page: Any, count: int) -> str:
    """The text once it has so many tokens."""
    until(page, f"{COUNT} === {count} && ({IDLE})")
    return page.inner_text("capot-strip")


def move(page: Any, name: str, value: str) -> None:
    """Type a value beside a slider."""
    page.locator(f"capot-slider[name={name}] input[type=text]").fill(value)
    page.keyboard.press("Enter")


def speak(page: Any, lang: str) -> None:
    page.locator(".top select").select_option(lang)
    until(page, f"document.documentElement.lang === '{lang}'")
    until(page, "document.documentElement.dataset.shown")


def branch(page: Any, place: int) -> None:
    """Leave the text at a token for the first other one."""
    before = page.locator(".branch").count() or 1
    page.locator("capot-strip button").nth(place).click()
    page.locator(".instead .bars li:not(.marked) button").first.click()
    until(page, f"document.querySelectorAll('.branch').length === {before + 1} && ({IDLE})")


def test_a_link_made_after_the_sliders_moved_gives_the_text_that_was_shown(visit: Visits) -> None:
    page = visit("/generate#prompt=Once+upon+a+time&seed=3&max_new_tokens=6&temperature=1.2&stop=%3Bx%2C%3A")
    press(page, "Generate")
    written(page, 6)
    branch(page, 2)
    text = page.inner_text("capot-strip")
    move(page, "temperature", "0.1")
    page.get_by_label("Stop string").fill("e")
    page.keyboard.press("Enter")
    other = visit(page.evaluate(ADDRESS))
    until(other, f"document.querySelectorAll('.branch').length === 2 && ({IDLE})")
    assert other.inner_text("capot-strip") == text
    other.locator(".branch").first.click()
    page.locator(".branch").first.click()
    assert other.inner_text("capot-strip") == page.inner_text("capot-strip")


def test_a_tab_with_another_text_of_that_seed_shows_the_links_own(visit: Visits) -> None:
    page = visit("/generate#prompt=Once+upon+a+time&seed=3&max_new_tokens=5&temperature=1.5")
    press(page, "Generate")
    text, link = written(page, 5), page.evaluate(ADDRESS)
    move(page, "temperature", "0")
    press(page, "Generate")
    until(page, f"({IDLE}) && location.hash.includes('0%2C0%2C1%2C0')")
    assert page.inner_text("capot-strip") != text
    page.goto(page.url.split("#")[0].replace("/generate", "/tokens"))
    settled(page)
    page.goto(page.url.split("/tokens")[0] + link)
    settled(page)
    assert written(page, 5) == text


def test_a_reload_while_a_link_grows_loses_no_branch(mortal: tuple[Server, Visits]) -> None:
    server, visit = mortal
    visit.forgive("ERR_ABORTED|ERR_FAILED")
    page = visit("/generate#prompt=Once+upon+a+time&seed=3&max_new_tokens=6")
    press(page, "Generate")
    written(page, 6)
    branch(page, 4)
    link = page.evaluate(ADDRESS)
    other = visit("/tokens")
    server.allow(3)
    other.goto(server.root + link)
    until(other, f"{COUNT} >= 1")
    assert other.evaluate(ADDRESS) == link
    server.allow(None)
    other.reload()
    until(other, f"document.querySelectorAll('.branch').length === 2 && ({IDLE})")


def test_a_branch_leaves_the_line_whose_token_it_replaces(visit: Visits) -> None:
    page = visit("/generate#prompt=Once+upon+a+time&seed=3&max_new_tokens=8&top_k=6")  # all that is drawn is listed
    press(page, "Generate")
    written(page, 8)
    branch(page, 5)
    branch(page, 2)  # of the beginning, which is the first line's
    tree = [line.split(":")[:2] for line in dict(part.split("=") for part in page.url.split("#")[1].split("&"))["tree"]
            .replace("%3A", ":").split("%3B")]  # fmt: skip
    assert tree == [["0", "0"], ["1", "5"], ["1", "2"]]
    starts = page.evaluate(
        "[...document.querySelectorAll('.track-line path')]"
        ".map((one) => one.getAttribute('d').match(/^M(\\S+) (\\S+)/))"
        ".map((found) => [Number(found[1]), Number(found[2])])"
    )
    assert min(x for x, _ in starts) == starts[0][0], "no branch begins before the line that it hangs from"
    page.locator(".branch").nth(1).click()
    taken = page.locator("capot-strip button").nth(5).inner_text()
    page.locator("capot-strip button").nth(5).click()
    page.locator(".branch").first.click()
    first = page.locator("capot-strip button").nth(5).inner_text()
    assert taken != first
    page.locator(".branch").nth(1).click()
    page.locator("capot-strip button").nth(5).click()
    names = page.locator(".instead .bars li .name").all_inner_texts()
    page.locator(".instead .bars li button").nth(names.index(first)).click()
    assert page.locator(".branch").count() == 3, "the parent's own token is the parent itself"


@pytest.mark.parametrize("view", ["one", "all"])
def test_another_language_ends_no_text_under_way(mortal: tuple[Server, Visits], view: str) -> None:
    server, visit = mortal
    strip = "document.querySelectorAll('capot-strip button, .side-by-side li.token').length"
    page = visit(f"/generate#prompt=Once+upon+a+time&max_new_tokens=20&seed=17&view={view}&heats=0+1")
    whole = visit(page.evaluate(ADDRESS))
    press(whole, "Generate" if view == "one" else "Generate all")
    until(whole, f"({strip}) >= 20 && ({IDLE})")
    server.allow(6)
    press(page, "Generate" if view == "one" else "Generate all")
    until(page, f"({strip}) >= 3")
    speak(page, "fr")
    server.allow(None)
    until(page, f"({strip}) === {whole.evaluate(strip)} && ({IDLE})")
    assert page.inner_text("capot-strip") == whole.inner_text("capot-strip")
    assert "Interrompu" not in page.inner_text("figcaption") and page.locator(".fault").count() == 0


@pytest.mark.parametrize("view", ["ways", "talk"])
def test_another_language_ends_no_answer_under_way(mortal: tuple[Server, Visits], view: str) -> None:
    server, visit = mortal
    page = visit(f"/assistant#question=What+is+the+capital+of+France%3F&seed=3&max_new_tokens=8&view={view}")
    server.allow(3)
    if view == "ways":
        press(page, "Ask every way")
        until(page, "document.querySelectorAll('.way li.special').length > 0")
    else:
        page.get_by_label("Your message").fill("Hello")
        page.keyboard.press("Enter")
        until(page, "document.querySelector('ol.chat > li.even') !== null")
    speak(page, "fr")
    server.allow(None)
    if view == "ways":
        until(page, f"({IDLE}) && document.querySelector('figcaption').textContent.length > 20")
        assert page.locator(".way .said").first.inner_text().strip()
    else:
        until(page, f"({IDLE}) && document.querySelectorAll('ol.chat > li.even').length === 1")
        assert page.locator("ol.chat > li").first.inner_text().endswith("Hello")
        assert page.locator("ol.chat").last.locator("li.even .said").inner_text().strip()
    assert page.locator("figcaption, .bill").first.is_visible()


def test_another_language_ends_no_measuring(mortal: tuple[Server, Visits]) -> None:
    server, visit = mortal
    page = visit(f"/memory#lengths={','.join(map(str, range(300, 308)))}")
    server.allow(60)  # a row or two
    press(page, "Measure on this machine")
    until(page, "document.querySelector('.measuring tbody tr') !== null")
    speak(page, "fr")
    server.allow(None)
    until(page, "document.querySelectorAll('#main > section .fold-table:not([hidden])').length === 1")
    until(page, "!document.querySelector('.row .primary').disabled")


def test_a_link_of_several_temperatures_or_ways_keeps_its_own_settings(visit: Visits) -> None:
    page = visit("/generate#prompt=Once+upon+a+time&seed=5&max_new_tokens=6&view=all&heats=0.5+1.5&top_k=40")
    press(page, "Generate all")
    until(page, f"location.hash.includes('&all=') && ({IDLE})")
    texts = page.locator(".side-by-side capot-strip").all_inner_texts()
    move(page, "max_new_tokens", "3")
    move(page, "top_k", "2")
    page.get_by_text("In Python").click()
    assert page.inner_text(".code").count("max_new_tokens=6") == 2
    other = visit(page.evaluate(ADDRESS))
    until(other, f"document.querySelector('figcaption').textContent.includes('seed') && ({IDLE})")
    assert other.locator(".side-by-side capot-strip").all_inner_texts() == texts


def test_a_link_to_an_answer_keeps_its_own_settings(visit: Visits) -> None:
    page = visit("/assistant#question=What+is+the+capital+of+France%3F&seed=3&max_new_tokens=5&temperature=1.4")
    press(page, "Ask every way")
    until(page, f"location.hash.includes('asked=') && ({IDLE})")
    said = page.locator(".way .reply").all_inner_texts()
    move(page, "temperature", "0")
    move(page, "max_new_tokens", "2")
    other = visit(page.evaluate(ADDRESS))
    until(other, f"document.querySelector('figcaption').textContent.length > 20 && ({IDLE})")
    assert other.locator(".way .reply").all_inner_texts() == said
    other.get_by_label("Your question").fill("And of Spain?")
    until(other, "!location.hash.includes('asked=')")


def test_what_was_set_on_one_page_is_set_on_the_next(visit: Visits) -> None:
    page = visit("/next#prompt=Once+upon+a+time")
    move(page, "temperature", "1.5")
    move(page, "top_k", "5")
    until(page, "location.hash.includes('top_k=5')")
    for chapter in ("tokens", "generate", "assistant", "next"):
        page.locator(f"nav a[data-chapter={chapter}]").click()
        until(page, f"{SHOWN} === '{chapter}'")
        if chapter != "tokens":
            value = page.locator("capot-slider[name=temperature] input[type=text]").input_value()
            assert value == "1.5", chapter
    press(page, "Reset")
    until(page, "!location.hash.includes('temperature')")
    page.locator("nav a[data-chapter=generate]").click()
    until(page, f"{SHOWN} === 'generate'")
    assert page.locator("capot-slider[name=temperature] input[type=text]").input_value() == "0.7"


def test_a_setting_that_is_the_next_pages_usual_one_is_not_lost_there(visit: Visits) -> None:
    page = visit("/next#prompt=a")
    move(page, "temperature", "0.7")
    until(page, "location.hash.includes('temperature=0.7')")
    page.locator("nav a[data-chapter=generate]").click()
    until(page, f"{SHOWN} === 'generate'")
    move(page, "max_new_tokens", "9")
    page.locator("nav a[data-chapter=next]").click()
    until(page, f"{SHOWN} === 'next'")
    assert page.locator("capot-slider[name=temperature] input[type=text]").input_value() == "0.7"


def test_a_text_to_continue_is_no_question(visit: Visits) -> None:
    page = visit("/generate#prompt=Once+upon+a+time")
    page.locator("nav a[data-chapter=assistant]").click()
    until(page, f"{SHOWN} === 'assistant'")
    field = page.locator(".prompt textarea").first
    assert field.input_value() == ""
    field.fill("What is the capital of France?")
    until(page, "location.hash.includes('question=')")
    page.locator("nav a[data-chapter=next]").click()
    until(page, f"{SHOWN} === 'next'")
    assert page.locator(".prompt textarea").input_value() == "Once upon a time"
    page.locator("nav a[data-chapter=assistant]").click()
    until(page, f"{SHOWN} === 'assistant'")
    assert field.input_value() == "What is the capital of France?"


@pytest.mark.parametrize("value", ["abc", "-4", "1e99", "NaN"])
def test_a_setting_that_an_address_cannot_mean_is_the_usual_or_the_nearest(visit: Visits, value: str) -> None:
    page = visit(f"/next#prompt=a&temperature={value}")
    assert page.locator("capot-slider[name=temperature] input[type=text]").input_value() in ("0", "1", "3")
    assert "NaN" not in page.inner_text("main") and "–%" not in page.inner_text("main")


@pytest.mark.parametrize(
    ("link", "shown", "kept"),
    [
        ("/embeddings#view=context&layer=99", ".layer-slider capot-slider", "layer="),
        ("/memory#known=nothing", ".answer", "known="),
    ],
)
def test_what_the_model_refuses_of_an_address_locks_no_page(visit: Visits, link: str, shown: str, kept: str) -> None:
    """A link made on a larger model, say: it is told beside its setting, which is forgotten, and the rest is there."""
    visit.forgive("status of 4")
    page = visit(link)
    until(page, "document.querySelectorAll('main .fault').length === 1 && !document.querySelector('.waiting')")
    page.locator(shown).first.wait_for()
    assert kept not in page.url
    page.reload()
    settled(page)
    assert page.locator("main .fault").count() == 0 and page.locator(shown).first.is_visible()


def test_a_page_that_is_left_while_it_waits_draws_nothing_later(visit: Visits) -> None:
    page = visit("/tokens#prompt=a")
    held = hold(page, "**/api/templates")
    page.locator("nav a[data-chapter=assistant]").click()
    until(page, "document.querySelector('main').dataset.chapter === 'assistant'")
    while not held:
        page.wait_for_timeout(20)
    page.evaluate("dispatchEvent(new PopStateEvent('popstate'))")  # the page is drawn anew, as after another opening
    held.pop().continue_()  # the first page goes on, where nobody looks any more
    until(page, "performance.getEntriesByName(location.origin + '/api/templates').length > 0")
    for route in held:
        route.continue_()
    held.clear()
    page.unroute("**/api/templates")
    until(page, f"{SHOWN} === 'assistant' && document.querySelectorAll('[role=tablist]').length > 0")
    page.evaluate("fetch('/api/status').then((answer) => answer.json())")
    assert page.locator("[role=tablist]").count() == 1 and page.locator("main").count() == 1
    assert page.get_by_role("button", name="Ask every way").count() == 1


# --- A link that asks for what cannot be


OBEYED = """async (asked) => {
  const { disobeyed } = await import("/static/lib/link.js");
  return asked.map(([chapter, address]) => disobeyed(chapter, address));
}"""
GOOD = [
    ("home", {"prompt": "a"}),
    ("tokens", {"prompt": "a", "ids": "1", "compare": "none", "fr": "a", "en": "b"}),
    ("embeddings", {"view": "context", "words": "a,b", "dimensions": "3", "near": "4", "layer": "2"}),
    ("network", {"at": "2.3", "attention": "2.1", "off": "2,5.1", "by": "mean", "put": "head:2.3.1", "tried": "every"}),
    ("next", {"view": "score", "temperature": "0.7", "top_k": "3", "k": "48", "as": "logits", "rank": "id:3"}),
    ("generate", {"view": "all", "seed": "3", "max_new_tokens": "20", "heats": "0 1", "tree": "0:0::6", "drawn": "3"}),
    ("memory", {"lengths": "1,64", "mode": "all", "axes": "log", "precision": "bf16,int4", "kv": "fp8", "gpu": "24GB"}),
    ("assistant", {"question": "a", "view": "talk", "kind": "raw", "price_in": "0.15", "seed": "1", "after_stop": "3"}),
    ("course", {"lesson": "3"}),
]
BAD = [
    ("home", {"temperature": "1"}),
    ("card", {"foo": "1"}),
    ("tokens", {"ids": "yes"}),
    ("embeddings", {"view": "nope", "dimensions": "4", "near": "99", "layer": "-1"}),
    ("network", {"at": "x", "attention": "2", "off": "a", "by": "max", "put": "2", "tried": "all"}),
    ("next", {"temperature": "0 abc 9", "top_k": "-1", "top_p": "7", "min_p": "", "k": "x", "as": "bits"}),
    ("score", {"tokens": "1"}),
    (
        "generate",
        {
            "temperature": "NaN",
            "seed": "-3",
            "max_new_tokens": "2.5",
            "view": "both",
            "on": "x",
            "tree": "zzz",
            "all": "many",
        },
    ),
    ("memory", {"tokens": "8430701", "mode": "some", "axes": "line", "precision": "int3", "kv": "fp64"}),
    ("assistant", {"kind": "mine", "price_in": "-1", "max_new_tokens": "0", "seed": "1e3x"}),
    ("course", {"lesson": "two"}),
]


def test_what_a_page_cannot_obey_is_known_of_every_page(visit: Visits) -> None:
    page = visit("/course")
    assert page.evaluate(OBEYED, GOOD) == [[] for _ in GOOD]
    assert page.evaluate(OBEYED, BAD) == [list(wrong) for _, wrong in BAD]
    rail = {each["name"] for each in page.evaluate("JSON.parse(document.getElementById('lab').textContent).chapters")}
    assert rail - {chapter for chapter, _ in BAD} <= {"models"}


def test_every_setting_that_a_page_reads_is_in_the_table() -> None:
    static = ROOT / "src" / "capot" / "web" / "static"
    known = set(re.findall(r"(\w+): ", (static / "lib" / "link.js").read_text(encoding="utf-8")))
    known |= {name for sliders in form_data.sliders().values() for name in sliders}
    known |= {"prompt", "question"}  # what follows a visitor
    found = set()
    for path in (static / "pages").rglob("*.js"):
        code = path.read_text(encoding="utf-8")
        found |= set(re.findall(r"\b(?:state|desk)\.read\(\)\.(\w+)", code))
        if re.search(r"saved = (?:state|desk|this\.#desk)\.read\(\)", code):
            found |= set(re.findall(r"\bsaved\.(\w+)", code))
    own = {"number", "current", "prompt", "lines", "base", "model"}  # of what a tab keeps of a tree
    assert found - known <= own and len(found) > 25


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("/memory#tokens=8430701", "tokens"),
        ("/next#temperature=0+abc+9&top_k=-1&top_p=7", "temperature, top_k, top_p"),
    ],
)
def test_a_link_that_cannot_be_obeyed_says_so_in_a_line(visit: Visits, address: str, said: str) -> None:
    page = visit(address)
    line = page.locator("main > h1 + p[role=status]")
    assert line.inner_text() == f"Part of this link could not be followed: {said}."
    speak(page, "fr")
    assert line.inner_text().startswith("Une partie de ce lien")
    page.locator("a[data-chapter=tokens]").click()
    until(page, f"{SHOWN} === 'tokens'")
    assert line.count() == 0


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("/tokens#prompt=a&compare=gpt9", "compare"),
        ("/tokens#prompt=a&compare=english,gpt9", "compare"),
        ("/generate#prompt=a&tree=zzz&drawn=99", "tree"),
        ("/generate#prompt=a&tree=0:0::1;9:0:7:2&drawn=1", "tree"),  # of another model: no such line to leave
        ("/generate#prompt=a&tree=0:0::1&drawn=1&on=7", "on"),
        ("/network#prompt=a&steered=99", "steered"),
        ("/network#prompt=a&beside=b&put=1.99", "put"),
        ("/assistant#view=talk&talk=%7B", "talk"),
        ("/course#lesson=99", "lesson"),
    ],
)
def test_what_only_the_model_knows_of_a_link_is_said_as_well(visit: Visits, address: str, said: str) -> None:
    line = visit(address).locator("main > h1 + p[role=status]")
    line.wait_for()
    assert line.inner_text() == f"Part of this link could not be followed: {said}."


@pytest.mark.parametrize(
    "address",
    [
        "/tokens#prompt=a&compare=none",
        "/generate#prompt=a&tree=0:0::3&drawn=1",
        "/network#prompt=a&at=1.1&attention=1.1&steered=1",
    ],
)
def test_a_link_that_is_obeyed_is_not_complained_of(visit: Visits, address: str) -> None:
    page = visit(address)
    settled(page)
    assert page.locator("main > h1 + p[role=status]").count() == 0
