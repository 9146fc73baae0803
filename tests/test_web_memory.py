"""The memory page, as a person uses it: computed at once, log or linear, will it fit, measured and stopped."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from web_helpers import Server, Visits, axe, overflow, stop, until

MEASURED = "#main > section"
MORE = "document.querySelectorAll('.measuring tbody tr').length > {had} || document.querySelectorAll('capot-figure')[1]"
DRAWN = "document.querySelectorAll('capot-figure .main-svg').length > 0 && !document.querySelector('.waiting')"


@pytest.mark.parametrize("lang", ["en", "fr"])
def test_computed_at_once_for_a_published_shape(visit: Visits, lang: str) -> None:
    page = visit("/memory", lang=lang)
    until(page, f"document.querySelectorAll('select option').length > 10 && ({DRAWN})")
    model = page.locator("#main").get_by_label({"en": "Model", "fr": "Modèle"}[lang], exact=True)
    model.select_option("Llama-3.1-8B")
    until(page, "document.querySelector('.fits-part figcaption').textContent.includes('Llama-3.1-8B')")
    assert {"en": "16.1\u00a0GB", "fr": "16,1\u00a0Go"}[lang] in page.inner_text(".verdicts")
    page.get_by_role("radio", name={"en": "linear", "fr": "linéaires"}[lang]).check()
    until(page, "document.querySelector('capot-figure .plot').layout.yaxis.type === 'linear'")
    page.get_by_role("radio", name={"en": "every", "fr": "toutes les"}[lang]).check()
    page.get_by_text({"en": "On the command line", "fr": "En ligne de commande"}[lang]).first.click()
    until(page, "document.querySelector('.code pre')?.textContent.startsWith('capot memory --simulate --mode all')")
    assert "--model Llama-3.1-8B" in page.inner_text(".code pre")
    assert not axe(page)
    page.emulate_media(color_scheme="dark")
    assert not axe(page)


def test_will_it_fit_by_card_and_precision(visit: Visits) -> None:
    visit.forgive("400|422")
    page = visit("/memory#known=Llama-3-70B&gpu=24GB&precision=bf16")
    until(page, "document.querySelectorAll('.verdicts tbody td').length === 3")
    signs = [text[0] for text in page.locator(".verdicts tbody td").all_inner_texts()]
    assert signs == ["✗", "✗", "✓"], "one, two and eight cards of 24 GB"
    page.get_by_label("int4").check()
    until(page, "document.querySelectorAll('.verdicts tbody td').length === 6")
    page.get_by_label("Other sizes").fill("nonsense")
    until(page, "document.querySelector('.fault') !== null")
    assert not page.locator(".verdicts").is_visible(), "no verdict of other sizes stays"
    assert "nonsense" in page.inner_text(".fault") and page.get_by_label("Other sizes").input_value() == "nonsense"


@pytest.mark.parametrize(("lang", "typed"), [("fr", "1,5 To, 12 Go"), ("fr", "12GB;1.5TB"), ("en", "12GB,1.5TB")])
def test_sizes_are_typed_as_their_reader_writes_them(visit: Visits, lang: str, typed: str) -> None:
    page = visit("/memory#known=Llama-3-70B&gpu=24GB&precision=bf16", lang=lang)
    page.get_by_label({"en": "Other sizes", "fr": "Autres tailles"}[lang]).fill(typed)
    until(page, "document.querySelectorAll('.verdicts thead th').length === 10")
    heads = page.locator(".verdicts thead th").all_inner_texts()[1:]
    sizes = {"en": ["12\u00a0GB", "24\u00a0GB", "1.5\u00a0TB"], "fr": ["12\u00a0Go", "24\u00a0Go", "1,5\u00a0To"]}[lang]
    assert [head.split("×")[1].strip().replace("1,50", "1,5").replace("1.50", "1.5") for head in heads[::3]] == sizes
    address = page.evaluate("location.pathname + location.hash")
    other = visit(address, lang=lang)
    until(other, "document.querySelectorAll('.verdicts thead th').length === 10")


def test_measured_row_by_row_and_kept(visit: Visits) -> None:
    page = visit("/memory#lengths=1,8,16&known=Llama-3.2-1B")
    page.get_by_role("button", name="Measure on this machine").click()
    until(
        page,
        "!document.querySelector('.row .primary').disabled && document.querySelectorAll('capot-figure').length > 1",
    )
    page.locator(MEASURED).get_by_text("The table").click()
    until(page, f"document.querySelectorAll('{MEASURED} .fold-table tbody tr').length === 3")
    assert "really run by boxed, the loaded model" in page.locator(MEASURED).inner_text(), "whatever shape is above"
    assert not axe(page)


def test_a_stop_keeps_what_is_measured(mortal: tuple[Server, Visits]) -> None:
    server, visit = mortal
    page = visit(f"/memory#lengths={','.join(map(str, range(473, 513)))}")
    server.allow(120)  # a few rows
    page.get_by_role("button", name="Measure on this machine").click()
    until(page, "document.querySelectorAll('.measuring tbody tr').length > 1")
    stop(page, server)
    until(page, "!document.querySelector('.row .primary').disabled")
    page.locator(MEASURED).get_by_text("The table").click()
    until(page, f"document.querySelector('{MEASURED} .fold-table tbody tr') !== null")
    assert 1 < page.locator(f"{MEASURED} .fold-table tbody tr").count() < 40
    assert page.locator(f"{MEASURED} .warning").count() == 1
    assert server.get("/api/status")["streams"] == 0


def test_a_server_killed_while_it_measures_is_told_and_rows_stay(mortal: tuple[Server, Visits]) -> None:
    server, visit = mortal
    page = visit(f"/memory#lengths={','.join(map(str, range(483, 513)))}")
    server.allow(120)
    page.get_by_role("button", name="Measure on this machine").click()
    until(page, "document.querySelectorAll('.measuring tbody tr').length > 1")
    server.kill()
    until(page, "document.querySelector('.fault.cut') !== null")
    had = page.locator(".measuring tbody tr").count()
    server.allow(None)
    server.start()
    until(page, MORE.format(had=had))


def test_a_phone_does_not_scroll_sideways(visit: Visits) -> None:
    page = visit("/memory#axes=linear", width=360)
    until(page, DRAWN)
    assert overflow(page) <= 0


FIGURE = "document.querySelector('capot-figure .plot')"


def test_areas_are_stacked_on_linear_axes_alone_and_every_line_is_a_whole(visit: Visits) -> None:
    page = visit("/memory")
    until(page, DRAWN)
    assert page.evaluate(f"{FIGURE}.layout.yaxis.type") == "linear"
    traces = page.evaluate(f"{FIGURE}.data.map((one) => [one.fill ?? '', one.y])")
    areas, lines = [y for fill, y in traces if fill], [y for fill, y in traces if not fill]
    assert len(areas) >= 3 and all(
        low <= high for under, over in pairwise(areas) for low, high in zip(under, over, strict=True)
    )
    assert all(line[0] >= areas[0][0] for line in lines), "a total holds the weights, as the stack does"
    page.get_by_role("radio", name="logarithmic").check()
    until(page, f"{FIGURE}.layout.yaxis.type === 'log'")
    traces = page.evaluate(f"{FIGURE}.data.map((one) => [one.fill ?? '', one.y])")
    assert not any(fill for fill, _ in traces)
    parts, total = [y for _, y in traces[: len(areas)]], traces[len(areas)][1]
    assert [sum(values) for values in zip(*parts, strict=True)] == pytest.approx(total)
    assert total == pytest.approx(areas[-1])


@pytest.mark.parametrize("lang", ["en", "fr"])
def test_no_length_beyond_what_the_model_was_made_for_passes_for_one_text(
    visit: Visits, server: Server, lang: str
) -> None:
    page = visit("/memory", lang=lang)
    until(page, f"document.querySelectorAll('.verdicts td').length > 0 && ({DRAWN})")
    made_for = server.get("/api/model")["context_length"]
    for cell in page.locator(".verdicts td").all_inner_texts():
        lengths = [
            int("".join(found.split())) for found in re.findall(r"\d[\d,\u202f]*(?= tokens)", cell.replace(",", ""))
        ]
        assert lengths and max(lengths) <= made_for, cell
    page.get_by_text({"en": "Measured, not computed", "fr": "Mesuré, pas calculé"}[lang]).wait_for()
    page.locator("#main").get_by_label({"en": "Model", "fr": "Modèle"}[lang], exact=True).select_option("Llama-3.1-8B")
    until(page, "document.querySelector('.fits-part figcaption').textContent.includes('Llama-3.1-8B')")
    assert "boxed" in page.inner_text(f"{MEASURED} > p"), "what is measured is the model that is open"
