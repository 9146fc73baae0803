"""The network page: cells open onto what was read, parts are switched off, a logit is taken apart."""

from __future__ import annotations

import json
import urllib.request
from typing import Any
from urllib.parse import quote

import pytest
from web_helpers import Server, Visits, axe, happens_in, hold, overflow, settled, until

import capot
from capot.chapters.network.result import HeadMeasured, HeadScores
from capot.i18n import percent
from capot.view.result import to_jsonable

pytestmark = pytest.mark.browser
PROMPT = "The capital of France is"
LINK = "/network#prompt=The+capital+of+France+is"
ARCS = "document.querySelectorAll('.guesses .open .arc').length"
TABLES = "[...document.querySelectorAll('details:not([hidden]) > summary')].forEach((summary) => summary.click())"
DRAWN = """(() => {
  const near = (a, b) => Math.abs(a - b) < 3;
  const middle = (part) => { const at = part.getBoundingClientRect(); return at.left + at.width / 2; };
  const svg = document.querySelector(".guesses .open svg").getBoundingClientRect();
  const cell = middle(document.querySelector(".guesses [aria-selected=true]"));
  const numbers = [...document.querySelectorAll(".guesses .open .share")];
  const heads = [...document.querySelectorAll(".guesses thead th")].slice(1).map(middle);
  return [...document.querySelectorAll(".guesses .open .arc")].every((arc) =>
    near(svg.left + Number(arc.getAttribute("d").match(/^M([\\d.]+)/)[1]), cell)) &&
    numbers.every((number) => heads.some((head) => near(head, middle(number))));
})()"""  # every line begins at the chosen cell, every number stands under a token


DRAWN_ANEW = """(() => {
  const layers = [...document.querySelectorAll("capot-figure .main-svg")];
  return layers.length > 0 && layers.every((layer) => {
    const [, , wide] = layer.getAttribute("viewBox").split(" ").map(Number);
    return wide > 600 && Math.abs(wide - layer.getBoundingClientRect().width) < 2;
  });
})()"""  # a figure has the width of the window that it is in, and not of the one before


def answered(server: Server, verb: str, **asked: Any) -> Any:
    headers = {"content-type": "application/json", "origin": server.root}
    request = urllib.request.Request(f"{server.root}/api/{verb}", json.dumps(asked).encode(), headers)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["result"]


def table(page: Any, place: str) -> list[list[str]]:
    """The rows of a picture's own table, opened where it is not."""
    fold = page.locator(f"{place} .fold-table").first
    if fold.get_attribute("open") is None:
        fold.locator("summary").click()
        fold.locator("tbody tr").first.wait_for()
    # In one look: a table that is drawn anew between two leaves rows of the old one, whose cells run into each other.
    rows = fold.evaluate("(box) => [...box.querySelectorAll('tbody tr')].map((row) => row.innerText)")
    return [row.split("\t") for row in rows]


def test_a_cell_opens_onto_what_its_heads_read(visit: Visits, server: Server) -> None:
    page = visit(LINK)
    found = answered(server, "network", prompt=PROMPT, reader=-1, k=5)
    layers, last = len(found["layers"]) - 1, len(found["tokens"]) - 1
    assert page.locator(".guesses tbody tr[data-layer]").count() == layers + 1
    chosen = page.locator(".guesses [aria-selected=true]")
    guess = found["layers"][-1]["guesses"][-1]
    assert chosen.inner_text() == guess["text"].replace(" ", "·"), "something true, before anything is touched"
    assert page.evaluate(ARCS) > 0 and page.evaluate(DRAWN)
    assert page.locator(".stamp").count() == len(found["heads"])
    head = found["reads"]["heads"][1]  # of the first layer
    name = f"{head['layer']}.{head['head']}"
    page.get_by_role("button", name=f"Show head {name}:").click()
    assert page.locator("tr.arcs").evaluate("(row) => row.previousElementSibling.dataset.layer") == "1"
    shares = [float(row[-1].strip("<% ")) for row in table(page, ".network-top")]
    assert shares == pytest.approx([100 * weight for weight in head["weights"]], abs=0.051)
    # Another token by the keyboard: asked for once.
    asked: list[Any] = []
    page.on("request", lambda request: asked.append(request.post_data_json) if "/api/" in request.url else None)
    chosen.focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    until(page, f"{ARCS} > 0 && !document.querySelector('.waiting')")
    assert [(one["reader"], one["layers"]) for one in asked] == [(last - 1, [0])]
    assert page.evaluate(DRAWN)
    until(page, f"document.querySelectorAll('.network-top .frame .fold-table tbody tr').length === {last}")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    assert len(asked) == 1 and page.evaluate(ARCS) > 0, "what is known is drawn at once"
    said, address = page.locator(".network-top figcaption").first.inner_text(), page.url
    assert "they are no explanation" in said
    page.reload()
    settled(page)
    assert page.locator(".network-top figcaption").first.inner_text() == said and page.url == address


def test_all_that_a_head_reads_is_a_square_when_it_is_opened(visit: Visits, server: Server) -> None:
    page = visit(LINK, lang="fr")
    asked: list[Any] = []
    page.on("request", lambda request: asked.append(request.post_data_json) if "/api/network" in request.url else None)
    fold = page.locator(".network > details > summary")
    head = fold.inner_text().split()[-1]
    fold.click()
    cells = "[...document.querySelectorAll('.matrix td[tabindex]')]"
    until(page, f"{cells}.length > 0")
    weights = answered(server, "network", prompt=PROMPT, attention=head)["attention"]["weights"]
    count = len(weights)
    assert [one.get("attention") for one in asked] == [head] and "matrix=1" in page.url
    told = [each.split("\u00a0: ")[1] for each in page.evaluate(f"{cells}.map((cell) => cell.ariaLabel)")]
    assert told == [percent(weights[row][read], "fr") for row in range(count) for read in range(row + 1)]
    marked = "(() => { const cell = document.querySelector('.matrix [aria-selected=true]');"
    marked += "return [Number(cell.parentElement.dataset.layer), cell.cellIndex - 1]; })()"
    best = [max(range(count), key=row.__getitem__) for row in weights]
    assert page.evaluate(marked) == [count - 1, best[-1]]
    # A row by the keyboard: the token that reads is chosen, the square stays.
    page.locator(".matrix [aria-selected=true]").focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    until(page, f"location.hash.includes('.{count - 2}&') && !document.querySelector('.waiting')")
    assert page.evaluate(marked) == [count - 2, best[-2]]
    # Another head is asked for once; the first one is known.
    other = next(name for name in page.locator(".stamp .head-name").all_inner_texts() if name != head)
    for name in (other, head, other):
        page.get_by_role("button", name=f"Montrer la tête {name}\u00a0:").click()
        until(page, f"document.querySelector('.network > details > summary').textContent.endsWith(' {name}')")
        settled(page)
    assert [one["attention"] for one in asked if "attention" in one] == [head, other]
    page.reload()
    until(page, f"{cells}.length > 0")
    settled(page)
    assert page.locator("h1 + [role=status]").count() == 0, "a link may hold it"
    assert axe(page) == [] and overflow(page) == 0
    page.set_viewport_size({"width": 360, "height": 800})
    page.locator("main > .prompt textarea").fill("a b c d e f " * 12)
    until(page, f"{cells}.length === 64 * 65 / 2")
    assert overflow(page) == 0 and axe(page) == []
    assert "le premier et les 63 derniers" in page.inner_text(".network > details figcaption")


def test_a_pass_is_played_in_two_seconds_and_not_where_motion_is_unwelcome(visit: Visits) -> None:
    page = visit(LINK)
    moving = "document.querySelector('.guesses').getAnimations({ subtree: true })"
    button = page.get_by_role("button", name="Play a pass")
    assert page.evaluate(f"{moving}.length") == 0, "on request alone"
    twice = "const button = document.querySelector('.motion'); button.click(); button.click();"
    held = f"{moving}.map((one) => {{ one.pause(); return one.effect.getComputedTiming().endTime; }})"
    ends = page.evaluate(f"(() => {{ {twice} return {held}; }})()")  # at once, so that no clock decides
    rows = page.locator(".guesses tr[data-layer]").count()
    assert len(ends) == rows and max(ends) == pytest.approx(2000)
    lines = "document.querySelectorAll('.pass path').length"
    assert page.evaluate(lines) > rows and page.locator("svg.pass").count() == 1
    page.evaluate(f"{moving}.forEach((one) => one.finish())")
    until(page, "document.querySelector('svg.pass') === null")
    button.click()
    page.locator(".rail a[data-chapter=card]").click()  # in the middle of it
    until(page, "document.documentElement.dataset.shown === 'card'")
    page.go_back()
    settled(page)
    page.emulate_media(reduced_motion="reduce")
    assert not button.is_visible() and page.evaluate(f"{moving}.length") == 0


def test_what_is_switched_off_changes_the_next_token_beside(visit: Visits, server: Server) -> None:
    page = visit(LINK, lang="fr")
    whole = "(() => { const head = document.querySelector('.guesses thead th'), box = head.closest('.scroll');"
    whole += "return head.scrollWidth <= head.clientWidth && box.scrollWidth <= box.clientWidth; })()"
    assert page.evaluate(whole), "the name of the rows is whole, and a short text fits"
    before = [row.split("\n") for row in page.locator(".answered .bars li").all_inner_texts()]
    assert page.locator(".answered .moved-key").is_hidden()
    page.locator(".guesses .power").first.click()  # the last layer
    page.locator(".stamps .power").first.dblclick()  # and a head, off and on again
    page.locator(".stamps .power").nth(1).click()
    until(page, "document.querySelectorAll('.answered .chip').length === 2")
    settled(page)
    until(page, "!document.querySelector('.answered .moved-key').hidden")
    off = dict(part.split("=") for part in page.url.split("#")[1].split("&"))["off"].replace("%2C", ",").split(",")
    found = answered(server, "ablate", prompt=PROMPT, layers=[int(off[0])], heads=[off[1]], k=40)
    first = found["after"]["candidates"][0]
    shown = {row[0]: row[-1] for row in table(page, ".answered")}
    name = first["text"].replace(" ", "·")
    assert shown[name] == percent(first["probability"], "fr")
    assert page.locator(".answered b:not([hidden])").count() >= 5, "a tick where each bar was"
    assert "du réseau entier" in page.inner_text(".answered"), "the rest of the page is of the whole network"
    assert " ".join(found["after"]["text"].split()) in " ".join(page.inner_text(".answered .texts").split())
    address = page.url
    page.reload()
    settled(page)
    assert page.url == address and page.locator(".chip").count() == 2, "a link makes it again"
    page.get_by_role("button", name="Tout rallumer").click()
    until(page, "document.querySelector('.answered .moved-key').hidden")
    settled(page)
    assert [row.split("\n") for row in page.locator(".answered .bars li").all_inner_texts()] == before
    assert "off=" not in page.url
    # A link made on a larger model names parts that this one does not have.
    layers = len(answered(server, "network", prompt=PROMPT)["layers"]) - 1
    every = ",".join(str(layer + 1) for layer in range(layers))
    page = visit(f"{LINK}&off={every},99.9,zz", lang="fr")
    until(page, "!document.querySelector('.answered .moved-key').hidden")
    assert "99.9, zz" in page.inner_text(".answered .warning") and "zz" not in page.url
    assert page.locator(".answered .chip").count() == layers
    strange = visit(f"{LINK}&attention=9.99&at=99.7", lang="fr").locator(".answered .warning")
    assert "99.7, 9.99" in strange.inner_text() and strange.is_visible(), "a head and a place are parts too"
    figures = page.locator(".answered .bars .figure").all_inner_texts()
    assert len(figures) > 5 and not [each for each in figures if "–" in each], "what has a probability is given no dash"


def test_a_state_of_another_text_is_put_into_the_first(visit: Visits, server: Server) -> None:
    other = "The great capital of Italy is"  # a token more: places are counted from the end
    page = visit(f"{LINK}&beside={other.replace(' ', '+')}")
    mine, source = page.locator(".two-texts table").all()
    shift = source.locator("thead th").count() - mine.locator("thead th").count()
    assert shift == 1
    names = [table.get_attribute("aria-label") for table in (mine, source)]
    assert names[0].startswith("Your text") and names[1].startswith("The other text")
    stops = (
        "[...document.querySelectorAll('.two-texts table')].map((t) => t.querySelectorAll('[tabindex=\"0\"]').length)"
    )
    assert page.evaluate(stops) == [1, 1], "Tab leads to one place of each grid"
    page.get_by_label("The other text", exact=True).focus()
    page.keyboard.press("Tab")
    while page.evaluate("!document.activeElement.matches('.two-texts td')"):
        page.keyboard.press("Tab")
    assert "put=" not in page.url
    page.keyboard.press("Enter")
    until(page, "location.hash.includes('put=') && !document.querySelector('.waiting')")
    cell = source.locator("tr[data-layer='3'] td[tabindex]").nth(5)
    below = mine.locator("tr[data-layer='1'] td[tabindex]").nth(1)
    below.scroll_into_view_if_needed()  # a page that scrolls under a held mouse ends the drag before it began
    cell.drag_to(below)
    # The state put before may have moved the bars too: the address says which one is on show.
    until(page, "location.hash.includes('put=3.4') && !document.querySelector('.waiting')")
    until(page, "!document.querySelector('.put .moved-key').hidden")
    found = answered(server, "patch", prompt=PROMPT, source=other, layer=3, position=4, k=40)
    name, share = (
        found["after"]["candidates"][0]["text"].replace(" ", "·"),
        found["after"]["candidates"][0]["probability"],
    )
    shown = {row[0]: row[-1] for row in table(page, ".put")}
    assert shown[name] == percent(share, "en") and "put=3.4" in page.url
    marked = "[...document.querySelectorAll('.two-texts [aria-selected=true]')].map((cell) => cell.cellIndex - 1)"
    assert page.evaluate(marked) == [4, 5]
    cell.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    until(page, "location.hash.includes('put=3.5') && !document.querySelector('.waiting')")
    assert page.evaluate(marked) == [5, 6]
    source.locator("tr[data-layer='3'] td[tabindex]").first.click()
    assert "no token beside" in page.inner_text(".beside") and page.evaluate(marked) == [5, 6]
    assert axe(page) == [] and overflow(page) == 0
    told, address = page.inner_text(".put figcaption"), page.url
    page.reload()
    settled(page)
    until(page, "!document.querySelector('.put .moved-key').hidden")
    assert page.inner_text(".put figcaption") == told and page.url == address


@pytest.mark.parametrize("lang", ["en", "fr"])
@pytest.mark.parametrize("address", ["/network", "/next#prompt=a", "/generate"])
def test_a_slider_says_what_it_does_not_take(visit: Visits, address: str, lang: str) -> None:
    page = visit(address, lang=lang)
    said = {"en": ("goes from", "is no number"), "fr": ("va de", "n’est pas un nombre")}[lang]
    shown = [one for one in page.locator("capot-slider").all() if one.is_visible()]
    assert shown
    for slider in shown:
        field, note = slider.locator("input[type=text]"), slider.locator(".note")
        most = slider.get_attribute("max")
        before = field.input_value()
        for typed, words in (("abc", said[1]), ("1e9", said[0]), ("-100", said[0])):
            field.fill(typed)
            field.press("Enter")
            assert words in note.inner_text().replace("\u00a0", " "), typed
            assert typed != "abc" or field.input_value() == before
        field.fill("1e9")
        field.press("Enter")
        assert field.input_value() == most
        field.press("ArrowDown")
        assert note.inner_text() == ""


def test_a_direction_is_added_while_the_model_answers(visit: Visits, server: Server) -> None:
    page = visit(LINK, lang="fr")
    asked: list[Any] = []
    page.on("request", lambda request: asked.append(request.post_data_json) if "/api/steer" in request.url else None)
    assert page.locator(".steer figure").is_hidden() and asked == [], "no text, no question"
    page.locator(".steer .examples button").click()
    until(page, "!document.querySelector('.steer .moved-key').hidden && !document.querySelector('.waiting')")
    toward, away = (page.get_by_label(name, exact=True).input_value() for name in ("Vers", "Loin de"))
    page.locator(".steer capot-slider input[type=text]").fill("2,5")
    page.keyboard.press("Enter")
    page.locator(".steer select").select_option("1")
    until(page, "location.hash.includes('strength=2.5') && location.hash.includes('steered=1')")
    settled(page)
    found = answered(server, "steer", prompt=PROMPT, toward=toward, away=away, strength=2.5, layer=1, k=40)
    until(page, "document.querySelector('.steer figcaption').innerText.includes('couche 1\u00a0: 2,5 fois')")
    first = found["after"]["candidates"][0]
    shown = {row[0]: row[-1] for row in table(page, ".steer")}
    assert shown[first["text"].replace(" ", "·")] == percent(first["probability"], "fr")
    page.locator(".steer .fold-command summary").click()
    assert "--layer 1 --strength 2.5" in page.locator(".steer .fold-command pre").text_content()
    told, address = page.inner_text(".steer figcaption"), page.url
    page.reload()
    settled(page)
    until(page, "!document.querySelector('.steer .moved-key').hidden")
    assert page.inner_text(".steer figcaption") == told and page.url == address
    assert page.locator("h1 + [role=status]").count() == 0 and axe(page) == []
    # The same text twice has no direction: said there, and the rest stays.
    visit.forgive("status of 4")
    page.get_by_label("Loin de", exact=True).fill(toward)
    until(page, "document.querySelector('.steer .fault')")
    assert page.locator(".steer figure").is_hidden() and page.locator(".guesses tbody").first.is_visible()
    page.set_viewport_size({"width": 360, "height": 800})
    until(page, "document.documentElement.scrollWidth === document.documentElement.clientWidth")


def test_every_place_is_tried_when_asked(visit: Visits, server: Server) -> None:
    other = "The capital of Italy is"
    page = visit(f"{LINK}&beside={other.replace(' ', '+')}")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/api/stream" in request.url else None)
    found = answered(server, "patch", prompt=PROMPT, source=other, k=40)
    assert f"{len(found['grid'])} places" in page.inner_text(".changes"), "what it costs, before it is asked for"
    assert page.locator(".changes table:visible").count() == 0 and asked == []
    page.get_by_role("button", name="Try every place").click()
    cells = "[...document.querySelectorAll('.changes .guesses td')].map((cell) => cell.textContent)"
    until(page, f"{cells}.length === {len(found['grid'])}")
    layers, tokens = len({each["layer"] for each in found["grid"]}), len(found["tokens"])
    assert len(asked) == 1 and layers * tokens == len(found["grid"])
    drawn = [float(each.replace("\u2212", "-")) for each in page.evaluate(cells)]
    rows = [found["grid"][layer * tokens :][:tokens] for layer in reversed(range(layers))]
    assert drawn == pytest.approx([each["difference"] for row in rows for each in row], abs=0.06)
    assert len(table(page, ".changes")) == len(found["grid"])
    best = "(() => { const cell = document.querySelector('.changes [aria-selected=true]');"
    best += "return [Number(cell.parentElement.dataset.layer), cell.cellIndex - 1]; })()"
    assert page.evaluate(best) == [found["layer"], found["position"]]
    assert f"put={found['layer']}.{found['position']}" in page.url
    shown = {row[0]: row[-1] for row in table(page, ".put")}
    first = found["after"]["candidates"][0]
    assert shown[first["text"].replace(" ", "·")] == percent(first["probability"], "en")
    # Another cell by the keyboard: one state, put there.
    page.locator(".changes [aria-selected=true]").focus()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    until(page, f"location.hash.includes('put={found['layer'] + 1}.{found['position']}')")
    # Heads at each token: a row for each.
    heads = answered(server, "card")["heads"]
    page.get_by_label("each head, at each token").check()
    page.get_by_role("button", name="Try every place").click()
    until(page, f"{cells}.length === {(layers - 1) * heads * tokens}")
    name = "document.querySelector('.changes [aria-selected=true]').parentElement.dataset.layer"
    assert page.evaluate(name).count(".") == 1 and "put=head%3A" in page.url
    page.locator(".changes .fold-python summary").click()
    assert "every_position=True" in page.locator(".changes .fold-python pre").text_content()
    assert axe(page) == [] and overflow(page) == 0


def test_how_far_the_places_are_and_a_stop(visit: Visits) -> None:
    page = visit(f"{LINK}&beside=The+capital+of+Italy+is")
    page.evaluate(
        """() => { const real = window.fetch; const text = new TextEncoder();
        window.tell = (kind, body) => window.line.enqueue(text.encode(
          `event: ${kind}\ndata: ${JSON.stringify({ tag: "patch", body })}\n\n`));
        window.fetch = (url, how) => {
          if (url.endsWith("/api/stop")) window.stopped = true;
          if (!url.endsWith("/api/stream")) return real(url, how);
          return Promise.resolve(new Response(new ReadableStream({ start(line) { window.line = line; } }))); }; }"""
    )
    page.get_by_role("button", name="Try every place").click()
    assert page.get_by_role("button", name="Try every place").is_disabled()
    page.get_by_label("what attention adds").check()  # for the next time: this one is still under way
    assert page.get_by_role("button", name="Try every place").is_disabled()
    page.evaluate("window.tell('progress', { done: 3, total: 36, row: null })")
    until(page, "document.querySelector('.changes progress')?.value === 3")
    assert "3 of 36 places" in page.inner_text(".changes")
    page.locator(".changes").get_by_role("button", name="Stop").click()
    until(page, "window.stopped")
    page.evaluate("window.tell('error', { ok: false, error: { code: 'interrupted', message: 'Stopped.' } })")
    page.evaluate("window.line.close()")
    until(page, "!document.querySelector('.changes .primary').disabled")
    assert page.locator(".changes :is(.fault, progress):visible, .changes table:visible").count() == 0


def test_the_parts_of_any_tokens_logit_and_their_sum(visit: Visits, server: Server) -> None:
    page = visit(LINK)
    sums = "document.querySelector('.signed .sum .figure').textContent"
    found = answered(server, "network", prompt=PROMPT, k=5)
    assert page.evaluate(sums) == f"{found['target']['logit']:.2f}"
    other = found["layers"][-1]["guesses"][-1]["candidates"][1]
    page.locator("[aria-label='Tokens to take apart'] button").nth(1).click()
    told = answered(server, "network", prompt=PROMPT, target=other["text"])
    until(page, f"{sums} === '{told['target']['logit']:.2f}'")
    settled(page)
    figures = [float(each.replace("\u2212", "-")) for each in page.locator(".signed .figure").all_inner_texts()]
    assert len(figures) == 2 * (len(told["layers"]) - 1) + 3
    assert sum(figures[:-1]) == pytest.approx(figures[-1], abs=0.005 * len(figures))
    assert "target=" in page.url
    several = "one word and others"
    page.get_by_label("Token whose logit is taken apart").fill(several)
    until(page, "document.querySelector('.signed').closest('figure').innerText.includes('is the first of the')")
    # What the model refuses is said beside its field, and locks nothing.
    visit.forgive("status of 4")
    page.get_by_label("Token whose logit is taken apart").fill("id:99999999")
    beside = "document.querySelector('.field:has([aria-invalid=true]) .fault')"
    until(page, beside)
    assert page.locator(".guesses tbody").first.is_visible() and page.locator(".prompt .fault").count() == 0
    assert not page.locator(".signed").is_visible(), "no bars of another token"
    settled(page)
    page.locator("main > .prompt textarea").fill("Once upon a")
    until(page, "document.querySelector('.guesses thead').innerText.includes('upon')")
    page.reload()
    settled(page)
    assert page.evaluate(f"{beside} !== null") and page.locator(".guesses tbody").first.is_visible()
    page.get_by_label("Token whose logit is taken apart").fill("")
    until(page, f"{beside} === null && document.querySelector('.signed').checkVisibility()")


def test_half_a_character_has_the_name_that_its_bytes_give_it(visit: Visits, server: Server) -> None:
    page = visit("/network#prompt=a+🤗&beside=b+🤗&target=🤗&toward=a+🤗&away=b&put=1.3")
    half = ["⟨F0⟩", "⟨9F⟩", "⟨A4⟩", "⟨97⟩"]
    for table_ in (".network-top", ".two-texts"):
        assert page.locator(f"{table_} thead th").all_inner_texts()[-4:] == half
    assert "“⟨F0⟩” is the first of the 4 tokens" in page.inner_text("figure:has(.signed)")
    ids = [token["id"] for token in answered(server, "network", prompt="a 🤗", k=1)["tokens"] if not token["text"]]
    page.evaluate(TABLES)
    until(page, "document.querySelectorAll('.fold-table tbody tr').length > 20")
    text = page.inner_text("main")
    assert len(ids) == 4 and not [each for each in ids if f"id {each}" in text or f"“{each}”" in text]
    texts = ("a 🤗", "→ →", "привет", "☃")  # what a layer would say after one of them is no whole character
    asked = ((text, answered(server, "network", prompt=text, k=1, positions=[-1])["layers"]) for text in texts)
    text, found = next((text, layers) for text, layers in asked if "" in (at["guesses"][0]["text"] for at in layers))
    page.goto(page.url.split("/network")[0] + "/#prompt=" + quote(text))
    settled(page)
    pieces = page.locator("capot-strip.layers li").all_inner_texts()
    named = [each for each, layer in zip(pieces, found, strict=True) if not layer["guesses"][0]["text"]]
    assert named and all(each.startswith("⟨") for each in named) and "id " not in " ".join(pieces)


def test_the_page_is_clean_and_keeps_what_was_typed(visit: Visits) -> None:
    visit.forgive("status of 4")
    page = visit("/network", lang="fr", width=360)
    assert page.locator("main > .prompt textarea").input_value() and page.evaluate(ARCS) > 0, "no empty instrument"
    page.evaluate(TABLES)
    assert overflow(page) == 0 and axe(page) == []
    page.locator(".guesses .power").nth(1).click()
    until(page, "!document.querySelector('.answered .moved-key').hidden")
    page.set_viewport_size({"width": 1920, "height": 1080})
    until(page, DRAWN_ANEW)
    page.emulate_media(color_scheme="dark")
    page.get_by_label("Langue").select_option("en")
    until(page, "document.documentElement.lang === 'en'")
    settled(page)
    assert page.locator(".answered .chip").count() == 1, "another language changes nothing but words"
    assert overflow(page) == 0 and axe(page) == []
    field = page.locator("main > .prompt textarea")
    for text, shown in (("", False), ("<b>bold</b> 🤗 \u202e مرحبا", True), ("é à " * 2500, False), ("a", True)):
        field.fill(text)
        settled(page)
        until(page, f"document.querySelector('.network').hidden === {str(not shown).lower()}")
        assert page.locator("main b:not(.track b)").count() == 0
        assert page.locator("main > .prompt .fault").count() == (not shown and bool(text))
        assert field.input_value() == text
    kinds = page.locator(".kinds h3").all_inner_texts()
    assert "Not measured: the text has fewer than three tokens" in kinds and "No single place" not in kinds
    field.fill("La capitale de la France est")
    settled(page)
    until(page, "document.querySelector('.beside .examples button').textContent.startsWith('La capitale')")


def test_what_an_older_text_began_goes_no_further(visit: Visits) -> None:
    older, newer = "Once upon a", "Once upon a time there"
    put = "&off=2&beside=The+capital+of+Italy+is&put=1.2&toward=A+happy+day&away=A+sad+day"
    page = visit(LINK + put)
    asked: list[tuple[str, str]] = []

    def heard(request: Any) -> None:
        if request.method == "POST":
            asked.append((request.url.split("/api/")[1].split("?")[0], request.post_data_json.get("prompt", "")))

    page.on("request", heard)
    for verb, before in (("ablate", []), ("patch", ["ablate", "network"]), ("steer", ["ablate", "network", "patch"])):
        held = hold(page, f"**/api/{verb}")
        asked.clear()
        with page.expect_request(f"**/api/{verb}"):
            page.locator("main > .prompt textarea").fill(older)
        assert [one for one, _ in asked] == ["network", *before, verb], "the guess first, then what takes a click"
        asked.clear()
        with page.expect_request(f"**/api/{verb}"):
            page.locator("main > .prompt textarea").fill(newer)
        held[-1].continue_()
        page.unroute(f"**/api/{verb}")
        settled(page)
        assert (verb, older) not in asked and older not in [text for _, text in asked]
        assert [one for one, _ in asked] == ["network", "ablate", "network", "patch", "steer"], "each once"
    # Left while a text is at work: nothing more is asked of it.
    held = hold(page, "**/api/ablate")
    with page.expect_request("**/api/ablate"):
        page.locator("main > .prompt textarea").fill(older)
    asked.clear()
    page.locator(".rail a[data-chapter=card]").click()
    until(page, "document.documentElement.dataset.shown === 'card'")
    assert [verb for verb, _ in asked if verb != "card"] == [] and held


def test_a_page_left_in_its_first_look_asks_no_more(mortal: tuple[Server, Visits]) -> None:
    server, visit = mortal
    page = visit("/generate#prompt=The+capital+of+France+is", root=server.root)
    asked, failed = [], []
    page.on("request", lambda request: asked.append(request))  # noqa: PLW0108 - the driver marks it
    page.on("requestfailed", lambda request: failed.append(request))  # noqa: PLW0108 - the driver marks it
    server.allow(0)  # its answer does not come
    with page.expect_request("**/api/network*") as held:
        page.locator(".rail a[data-chapter=network]").click()
    page.locator(".rail a[data-chapter=generate]").click()
    until(page, "document.documentElement.dataset.shown === 'generate'")
    happens_in(page, lambda: held.value in failed)
    server.allow(None)
    verbs = [one.url for one in asked if one.method == "POST"]
    assert verbs == [held.value.url], "neither the next token nor anything else of a page that nobody sees"


def test_two_tabs_have_each_their_own_text_and_parts(visit: Visits, server: Server) -> None:
    page = visit(LINK)
    other = page.context.new_page()
    other.on("pageerror", lambda error: visit.note(str(error)))
    other.goto(f"{server.root}/network#prompt=Once+upon+a+time")
    settled(other)

    def seen(tab: Any) -> tuple[str, str, str]:
        return tab.url, tab.locator("main > .prompt textarea").input_value(), tab.inner_text(".network-top")

    for mine, theirs in ((page, other), (other, page)):
        before = seen(theirs)
        mine.locator(".stamps .power").first.click()
        until(mine, "document.querySelectorAll('.answered .chip').length === 1")
        settled(mine)
        assert "off=" in mine.url and seen(theirs) == before
        mine.locator("main > .prompt textarea").fill(f"{mine.url[-1]} little dog")
        until(mine, "location.hash.includes('little')")
        settled(mine)
        assert seen(theirs) == before
        theirs.reload()
        settled(theirs)
        assert seen(theirs) == before, "nor is it found again in what a browser keeps"


def test_what_was_typed_last_goes_along_and_writes_nothing_behind(visit: Visits) -> None:
    page = visit(LINK)
    page.evaluate("""(() => {
      const field = document.querySelector('main > .prompt textarea');
      field.value = 'Once upon a time';
      field.dispatchEvent(new Event('input'));
      document.querySelector('.rail a[data-chapter=next]').click();
    })()""")  # at once, so that no clock decides
    until(page, "document.documentElement.dataset.shown === 'next'")
    settled(page)
    assert page.locator(".prompt textarea").first.input_value() == "Once upon a time"
    page.wait_for_timeout(500)  # longer than a page waits for the next key
    assert page.url.endswith("/next#prompt=Once+upon+a+time"), "nothing of the page that was left"


def test_what_a_model_does_not_show_is_said_and_the_rest_is_there(visit: Visits) -> None:
    visit.forgive("status of 4")
    with capot.open("scripted") as model:
        found = to_jsonable(model.network("abc", k=5))
    found.update(heads=[], reads=None)
    page = visit("/card")
    refused = {"ok": False, "error": {"code": "capability", "message": "The engine gives none.", "field": None}}

    def give(route: Any) -> None:
        if "reader" in (route.request.post_data_json or {}) or "ablate" in route.request.url:
            route.fulfill(status=422, json=refused)
        else:
            route.fulfill(json={"ok": True, "result": found, "view": []})

    page.route("**/api/network*", give)
    page.route("**/api/ablate", give)
    page.goto(page.url.replace("card", "network#prompt=abc"))
    settled(page)
    assert page.locator(".guesses tbody td[tabindex]").count() == 5 * 3
    assert page.locator(".stamp:visible, .signed:visible").count() == 0
    page.locator(".guesses .power").first.click()
    until(page, "document.querySelector('.answered .fault')")
    assert page.locator(".answered .bars li").count() == 0
    assert "gives none" in page.inner_text(".answered .fault") and page.locator(".prompt .fault").count() == 0
    page.locator(".guesses td[tabindex]").first.click()
    assert page.locator(".prompt .fault").count() == 0


def made_up(tokens: int = 64, layers: int = 16, heads: int = 32) -> dict[str, Any]:
    """An answer of a larger model: in each head the last token reads a few others."""
    with capot.open("scripted") as model:
        found = model.network("a" * tokens, k=5)
    seen = to_jsonable(found)
    seen["layers"] = [{**seen["layers"][min(layer, 4)], "layer": layer} for layer in range(layers + 1)]
    kinds, shares = ("induction", "previous", "first", "mixed", "mixed"), HeadScores(0.1, 0.5, 0.6, 0.7)
    places = [(layer, head) for layer in range(1, layers + 1) for head in range(1, heads + 1)]
    measured = [HeadMeasured(layer, head, kinds[(layer + head) % 5], shares) for layer, head in places]
    seen["heads"] = to_jsonable(measured)
    row = [0.5 / tokens] * tokens
    reads = [
        (layer, head, [w + 0.5 * (p == (layer * head) % tokens) for p, w in enumerate(row)]) for layer, head in places
    ]
    seen["reads"] = {
        "position": tokens - 1,
        "heads": [{"layer": layer, "head": head, "weights": weights} for layer, head, weights in reads],
    }
    return seen


def test_hundreds_of_heads_show_those_that_do_something_first(visit: Visits) -> None:
    page, found = visit("/card"), made_up()
    page.route("**/api/network*", lambda route: route.fulfill(json={"ok": True, "result": found, "view": []}))
    page.goto(page.url.replace("card", "network#prompt=" + "a" * 64))
    settled(page)
    assert page.locator(".guesses tbody td[tabindex]").count() == 64 * 17
    assert 48 <= page.locator(".stamp").count() <= 49 and page.locator(".kinds h3").all_inner_texts()[0].startswith(
        "Ind"
    )
    asked = hold(page, "**/api/network*")
    for layer, column in ((7, 63), (16, 63), (3, 63)):
        page.locator(f".guesses tr[data-layer='{layer}'] td[tabindex]").nth(column).click()
        assert page.evaluate(ARCS) > 0 and page.evaluate(DRAWN) and asked == []
        assert f"head {layer}." in page.locator(".network-top figcaption").first.inner_text()
    page.get_by_role("button", name="All 512 heads").click()
    assert page.locator(".stamp").count() == 512 and page.evaluate(ARCS) > 0
