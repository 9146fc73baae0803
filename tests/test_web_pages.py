"""The home, tokens, next and card pages, used as a person would, in both languages."""

from __future__ import annotations

import csv
import json
import re
import shlex
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from conftest import ROOT
from web_helpers import Visits, hold, settled, until

import capot
from capot.config import Sampling
from capot.i18n import LANGUAGES, percent
from capot.text import sampling

pytestmark = pytest.mark.browser
BOTTOM = """(() => {
  const parts = [...document.querySelectorAll(".stop .content > *")];
  return Math.max(...parts.map((part) => part.getBoundingClientRect().bottom));
})()"""
AREAS = """(() => {
  const area = (cell) => cell.width.baseVal.value * cell.height.baseVal.value;
  const cells = [...document.querySelectorAll(".architecture .cell")];
  return cells.map((cell) => [area(cell), Number(cell.dataset.parameters)]);
})()"""
ASK = """async ([verb, asked]) => {
  const headers = { "content-type": "application/json" };
  const answer = await fetch(`/api/${verb}`, { method: "POST", body: JSON.stringify(asked), headers });
  return answer.json();
}"""
WRITTEN = """async ([lang, shares]) => {
  const { percent, speak } = await import("/static/lib/words.js");
  await speak(lang);
  return shares.map((share) => percent(share));
}"""
PARITY = """async (cases) => {
  const { Distribution } = await import("/static/sampling.js");
  return cases.map(({ logits, ...setting }) => {
    const found = new Distribution(new Float32Array(logits)).probabilities(setting);
    const p = new Array(logits.length);
    found.order.forEach((id, place) => { p[id] = found.p[place]; });
    return { p, kept: found.kept };
  });
}"""


@pytest.mark.parametrize("lang", ["en", "fr"])
def test_the_road_grows_by_a_key_and_by_a_click(visit: Visits, lang: str) -> None:
    page = visit("/", lang=lang)
    start = {"en": "Once upon a time", "fr": "Il était une fois"}[lang]
    assert page.locator(".prompt textarea").input_value() == start
    assert page.locator(".stop.tokens li").count() >= 4
    assert page.locator(".stop.embeddings circle").count() >= 3
    layers = page.locator(".stop.network li")
    assert layers.count() == len(layers_of(page, start)), "a guess for each layer, and for what enters the first"
    best = page.locator(".stop.next .name").first.inner_text()
    page.keyboard.press("Space")
    until(page, "document.querySelectorAll('.grown mark').length === 1")
    settled(page)
    assert page.locator(".grown mark").inner_text() == best.replace("·", " ").replace("⏎", "\n")
    guesses = layers_of(page, start + page.locator(".grown mark").inner_text())
    shown = [text.split("\n")[0] for text in layers.all_inner_texts()]
    assert shown == [guess["text"].replace(" ", "·").replace("\n", "⏎") for guess in guesses], "it follows the text"
    settled_at = next(at for at in range(len(shown)) if len(set(shown[at:])) == 1)
    assert str(settled_at) in page.inner_text(".stop.network > p") and shown[-1] in page.inner_text(".stop.network > p")
    page.locator(".stop.next button").nth(2).click()
    until(page, "document.querySelectorAll('.grown mark').length === 2")
    settled(page)
    text = page.inner_text(".grown")
    until(page, "document.querySelectorAll('.bird').length === 0")  # it has landed
    page.locator(".stop.next h2 a").click()
    until(page, "document.documentElement.dataset.shown === 'next'")
    assert page.locator(".prompt textarea").input_value() == text


def layers_of(page: Any, prompt: str) -> list[dict[str, Any]]:
    """The guess after each layer, at the last token."""
    asked = {"prompt": prompt, "k": 1, "positions": [-1]}
    answer = page.evaluate(ASK, ["network", asked])
    return [layer["guesses"][0] for layer in answer["result"]["layers"]]


def test_a_text_that_has_grown_is_carried_by_every_door(visit: Visits) -> None:
    page = visit("/#prompt=Once+upon+a+time")
    page.keyboard.press("Space")
    until(page, "document.querySelectorAll('.grown mark').length === 1")
    settled(page)
    grown = page.inner_text(".grown")
    page.locator(".rail a[data-chapter=next]").click()
    until(page, "document.documentElement.dataset.shown === 'next'")
    assert page.locator(".prompt textarea").input_value() == grown != "Once upon a time"
    page.go_back()
    until(page, "document.documentElement.dataset.shown === 'home'")
    assert page.locator(".prompt textarea").input_value() == "Once upon a time", "the road begins where it began"


@pytest.mark.parametrize("chapter", ["", "next"])
def test_nothing_of_another_text_stays_beside_an_error(visit: Visits, chapter: str) -> None:
    visit.forgive("status of 422")
    page = visit(f"/{chapter}#prompt=a", lang="fr")
    assert page.locator("capot-bars li").count() >= 6
    if not chapter:
        assert page.inner_text(".stop.tokens > p").startswith("1 caractère, 1 token.")
    page.locator(".prompt textarea").fill("mot " * 5_000)
    until(page, "document.querySelector('.prompt .fault') !== null")
    told = page.inner_text(".prompt .fault")
    assert told.startswith("Le prompt compte") and "capot tokens" not in told, "no command for who has a page"
    assert page.locator(".prompt .fault button").count() == 0, "the same text would be refused again"
    assert page.locator("capot-bars li").count() == 0
    if not chapter:
        assert "20\u202f000 caractères" in page.inner_text(".stop.tokens > p"), "it is cut all the same"
        assert page.locator(".stop.generate button.primary").is_disabled()


def test_the_road_fits_a_screen(visit: Visits) -> None:
    page = visit("/", width=1440)
    bottom = page.evaluate(BOTTOM)
    assert bottom < 800, "the whole road is seen at one glance"


def test_a_page_that_asks_says_so_from_the_first_moment(visit: Visits) -> None:
    page = visit("/tokens")
    held = hold(page, "**/api/tokens*")
    page.locator(".examples button", has_text="🤗").click()
    assert page.locator(".prompt .waiting").count() == 1, "even where nothing is seen yet"
    until(page, "document.querySelector('.prompt .waiting').checkVisibility()")
    held.pop().continue_()
    settled(page)
    assert any("🤗" in text for text in page.locator(".frame capot-strip").first.locator("li").all_inner_texts())


@pytest.mark.parametrize("lang", ["en", "fr"])
def test_tokens_are_cut_as_one_types(visit: Visits, lang: str) -> None:
    page = visit("/tokens", lang=lang)
    page.locator(".examples button", has_text="🤗").click()
    settled(page)
    strip = page.locator(".frame capot-strip").first
    parts = [text for text in strip.locator("li").all_inner_texts() if "🤗" in text]
    assert len(parts) > 1 and parts[0].endswith(f"1/{len(parts)}"), "a character of several tokens says so"
    assert "\ufffd" not in page.inner_text("main")
    page.locator(".prompt textarea").press("End")
    page.keyboard.type("!!")
    until(page, "document.querySelector('capot-strip').textContent.endsWith('!!')")
    settled(page)
    first = strip.locator("li").first
    first.focus()
    hint = page.evaluate("getComputedStyle(document.activeElement, '::after').content")
    assert "id " in hint and first.get_attribute("data-hint") in first.get_attribute("aria-label")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.previousElementSibling !== null")
    page.get_by_text({"en": "Show the ids", "fr": "Montrer les ids"}[lang]).click()
    assert strip.locator("small").count() == strip.locator("li").count()
    sections = page.locator(".others section")
    before = sections.count()
    page.get_by_label("GPT-4o").check()
    until(page, f"document.querySelectorAll('.others section').length === {before + 1}")
    assert "compare=" in page.url and "GPT-4o" in page.inner_text(".others")


def test_a_tokenizer_that_cannot_be_had_is_said_beside_the_choice(visit: Visits) -> None:
    page = visit("/tokens#prompt=never+recorded")
    marked = page.locator("label", has_text="Llama 3")
    assert "only the sentences of the lessons" in marked.inner_text(), "said before it is ticked"
    page.get_by_label("Llama 3").check()
    until(page, "document.querySelector('.troubles .fault') !== null")
    settled(page)
    assert page.locator(".others section").count() == 2, "the others are compared all the same"
    assert page.locator(".prompt .fault").count() == 0
    assert page.locator(".frame capot-strip li").count() > 0


def test_a_text_too_long_to_be_compared_is_cut_all_the_same(visit: Visits) -> None:
    visit.forgive("status of 422")
    page = visit("/tokens")
    page.locator(".prompt textarea").fill("é" * 90_000)
    until(page, "document.querySelector('.frame .troubles .fault') !== null")
    until(page, "document.querySelector('.others section') === null")
    settled(page)
    assert "250,000" in page.inner_text(".frame .troubles") and page.locator(".prompt .fault").count() == 0
    assert page.locator(".frame capot-strip li").count() > 0


def test_what_a_language_costs(visit: Visits) -> None:
    page = visit("/tokens", lang="fr")
    until(page, "document.querySelectorAll('.costs section').length === 7")
    assert "Llama 3\nFrançais\n15\nEnglish\n11" in page.inner_text(".costs").replace("\n\n", "\n")
    page.get_by_label("English", exact=True).fill("Yes")
    until(page, "document.querySelectorAll('.costs section').length === 6")  # not a sentence of the lessons any more
    assert "en=Yes" in page.url


@pytest.mark.parametrize(("lang", "mark"), [("en", ","), ("fr", ";")])
def test_a_table_is_parted_as_the_readers_spreadsheet_parts_it(visit: Visits, lang: str, mark: str) -> None:
    page = visit("/next#prompt=Once+upon+a+time", lang=lang)
    page.get_by_text({"en": "Export", "fr": "Exporter"}[lang]).click()
    with page.expect_download() as saved:
        page.get_by_role("button", name="(CSV)").click()
    first, second = saved.value.path().read_text(encoding="utf-8-sig").splitlines()[:2]
    assert len(first.split(mark)) == len(next(csv.reader([second], delimiter=mark))) == 5


@pytest.mark.parametrize("lang", ["en", "fr"])
def test_sliders_redraw_without_the_server(visit: Visits, lang: str) -> None:
    page = visit("/next", lang=lang)
    page.locator(".examples button").nth(1).click()
    until(page, "document.querySelectorAll('capot-bars li').length === 12")
    settled(page)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if not request.url.startswith("data:") else None)
    before = page.inner_text("capot-bars")
    assert not page.locator(".moved-key").is_visible()
    page.locator("capot-slider[name=temperature] input[type=range]").focus()
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("ArrowRight")
    field = page.locator("capot-slider[name=temperature] input[type=text]")
    assert field.input_value() == {"en": "1.26", "fr": "1,26"}[lang]
    until(page, "document.querySelectorAll('capot-bars b:not([hidden])').length === 12")  # where the bars stood before
    until(page, f"document.querySelector('capot-bars').innerText !== {json.dumps(before)}")
    assert page.locator(".moved-key").is_visible(), "and what these lines are"
    page.locator("capot-slider[name=top_k] input[type=text]").fill("3")
    page.keyboard.press("Enter")
    until(page, "document.querySelectorAll('capot-bars li.cut').length === 9")
    page.get_by_role("button", name={"en": "Reset", "fr": "Réinitialiser"}[lang]).click()
    until(page, f"document.querySelector('capot-bars').innerText === {json.dumps(before)}")
    assert asked == [], "the logits are in the page"
    for typed, kept in [("0,7", "0.7"), ("0.45", "0.45"), ("much", "0.45"), ("", "0.45"), ("-3", "0"), ("99", "3")]:
        field.fill(typed)
        field.press("Enter")
        assert field.input_value().replace(",", ".") == kept, typed
    field.press("ArrowDown")
    assert field.input_value().replace(",", ".") == "2.99"


@pytest.mark.parametrize("lang", ["en", "fr"])
def test_the_second_tab_shades_ones_own_text_by_surprise(visit: Visits, lang: str) -> None:
    page = visit("/next#prompt=The+capital+of+France+is+Paris.&temperature=0.5", lang=lang)
    tab = page.get_by_role("tab", name={"en": "your own text", "fr": "votre propre texte"}[lang])
    tab.click()
    settled(page)
    text = page.locator(".prompt textarea").input_value()
    tokens = page.evaluate(ASK, ["score", {"text": text}])["result"]["tokens"]
    strip = page.locator("capot-strip li")
    assert strip.count() == len(tokens) and page.locator("capot-slider").count() == 0
    shades = [
        int(re.search(r"\bw(\d)", name)[1]) for name in strip.evaluate_all("(all) => all.map((li) => li.className)")
    ]
    bits = [token["bits"] for token in tokens]
    assert shades == [min(9, int(10 * min(each / 16, 1))) for each in bits], "the darker, the less expected"
    assert "view=score" in page.url
    page.locator(".prompt textarea").fill("The capital of France is London.")
    until(page, "document.querySelector('capot-strip').textContent.includes('London')")
    page.reload()
    settled(page)
    assert tab.get_attribute("aria-selected") == "true" and "London" in page.inner_text("capot-strip")
    tab.press("ArrowLeft")
    until(page, "document.querySelectorAll('capot-bars li').length === 12")
    settled(page)
    assert page.locator(".prompt textarea").input_value() == "The capital of France is London."
    assert page.locator("capot-slider[name=temperature] input[type=range]").input_value() == "0.5"


def test_the_rank_of_any_token(visit: Visits) -> None:
    page = visit("/next#prompt=Once+upon+a+time")
    page.get_by_label("Rank of", exact=True).fill("id:321")
    until(page, "document.querySelector('.rank').textContent !== ''")
    assert page.locator("capot-bars li.far.marked").count() == 1
    page.get_by_label("Raw logits").check()
    until(page, "!document.querySelector('capot-bars').innerText.includes('%')")
    visit.forgive("status of 4")
    page.get_by_label("Rank of", exact=True).fill("id:99999999")
    until(page, "document.querySelector('main .tools + .troubles .fault') !== null")


@pytest.mark.parametrize("lang", ["en", "fr"])
def test_a_rank_is_told_with_the_share_that_its_bar_has(visit: Visits, lang: str) -> None:
    page = visit("/next#prompt=The+capital+of+Australia+is&rank=id:300&temperature=0.5", lang=lang)
    until(page, "document.querySelector('.rank').textContent !== ''")
    share = page.locator("capot-bars li.far .figure").inner_text()
    assert share in page.inner_text(".rank") and re.search("[1-9]", share), "what may be chosen is not 0"


def test_the_command_gives_exactly_this_view(visit: Visits) -> None:
    link = "/next#prompt=L%27homme+%22dit%22+%24HOME&temperature=0.7&top_k=40&top_p=0.8&min_p=0.01"
    page = visit(link, lang="fr")
    page.get_by_text("En ligne de commande").click()
    line = page.inner_text(".code pre")
    command = [sys.executable, "-m", *shlex.split(line), "--json"]
    done = subprocess.run(
        command, capture_output=True, check=True, text=True, cwd=ROOT, env={"PYTHONPATH": str(ROOT / "src"), "PATH": ""}
    )
    found = json.loads(done.stdout)
    rows = page.locator("capot-bars li")
    assert rows.count() == len(found["candidates"])
    for row, each in zip(rows.all_inner_texts(), found["candidates"], strict=True):
        assert percent(each["probability"], "fr") in row
    assert page.locator("capot-bars li:not(.cut)").count() == min(found["kept"], 12)
    page.get_by_text("En Python").click()
    source = page.locator(".fold-python pre").inner_text()
    namespace: dict = {}
    exec(source.replace("print(", "answer = ("), namespace)  # what the page shows, run as it stands
    assert namespace["answer"].kept == found["kept"] and namespace["answer"].prompt == 'L\'homme "dit" $HOME'
    namespace["model"].close()


def test_the_sliders_arithmetic_is_ours(visit: Visits) -> None:
    """``sampling.js`` against ``sampling.py`` on 1,000 random cases, equal logits among them."""
    page = visit("/card")
    random = np.random.default_rng(5)
    cases = []
    for _ in range(1000):
        logits = (random.standard_normal(random.integers(1, 300)) * random.choice([0.3, 3, 30])).astype(np.float32)
        if random.random() < 0.4:
            logits = np.round(logits * 2) / np.float32(2)
        setting = {
            "temperature": float(random.choice([0, 0.01, 0.5, 1, 1.7, 100])),
            "topK": int(random.choice([0, 1, 5, 40, 1000])),
            "topP": float(random.choice([1, 1, 0.001, 0.3, 0.9, 0.999])),
            "minP": float(random.choice([0, 0, 0.01, 0.5, 1])),
        }
        cases.append({"logits": logits.tolist(), **setting})
    for found, case in zip(page.evaluate(PARITY, cases), cases, strict=True):
        settings = Sampling(temperature=case["temperature"], top_k=case["topK"], top_p=case["topP"], min_p=case["minP"])
        expected = sampling.probabilities(np.array(case["logits"], np.float32), settings)
        assert np.abs(np.array(found["p"]) - expected).max() <= 1e-6, case
        assert found["kept"] >= np.count_nonzero(expected)
    # And what is told of them is written as a terminal writes it.
    shares = [0.0, 1.0, 0.5, 0.0996, 0.0999996, 1e-6, 9.9e-7, 0.9995, 0.99949, 0.999999, 2.0, *random.random(200)]
    shares += [float(share**9) for share in random.random(200)]
    for lang in LANGUAGES:
        written = page.evaluate(WRITTEN, [lang, shares])
        assert written == [percent(share, lang) for share in shares]


@pytest.mark.parametrize("lang", ["en", "fr"])
def test_every_block_is_named_on_a_phone_too(visit: Visits, lang: str) -> None:
    page = visit("/card", lang=lang, width=360)
    names = page.locator(".architecture text.name").all_text_contents()
    with capot.open() as model:
        layers = model.card().layers
    assert sum(name.endswith("attention") for name in names) == sum("MLP" in name for name in names) == layers


@pytest.mark.parametrize("lang", ["en", "fr"])
def test_names_of_bars_are_whole_where_a_phone_has_little_room(visit: Visits, lang: str) -> None:
    page = visit("/course#lesson=1", lang=lang, width=360)
    until(page, "document.querySelectorAll('.bars .name').length > 4")
    narrow = "document.querySelectorAll('capot-bars').forEach((one) => { one.style.maxWidth = '17rem'; })"
    page.evaluate(narrow)  # as in the card of a lesson's question
    cut = "(one) => one.scrollWidth > one.clientWidth || one.scrollHeight > one.clientHeight + 1"
    names = f"[...document.querySelectorAll('.bars :is(.name, .figure)')].filter({cut}).map((one) => one.innerText)"
    assert page.evaluate(names) == []


def test_areas_are_parameters(visit: Visits) -> None:
    page = visit("/card", lang="fr")
    cells = page.evaluate(AREAS)
    shares = [area / count for area, count in cells]
    assert len(cells) >= 11
    assert max(shares) / min(shares) < 1.01
    assert "GPT-2" in page.inner_text("main") and "bfloat16" in page.inner_text("main")
