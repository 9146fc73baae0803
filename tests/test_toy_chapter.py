"""A chapter is its folder and a few words in the registry: a toy one, added to a copy of the house, is everywhere."""

from __future__ import annotations

import filecmp
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT
from toy_chapter import house_with_it
from web_helpers import Server, Visits, axe, settled, until


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return house_with_it(tmp_path_factory.mktemp("house"))


def ran(source: Path, *words: str, **variables: str) -> str:
    """What a Python in the copy prints."""
    environment = os.environ | {"PYTHONPATH": str(source), "CAPOT_LANG": "en"} | variables
    done = subprocess.run(
        [sys.executable, *words], env=environment, cwd=source, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def changed(here: Path, there: Path) -> list[str]:
    """The files that differ or that only one of two folders has."""
    files = {p.relative_to(top) for top in (here, there) for p in top.rglob("*") if p.is_file()}
    same = lambda path: all((top / path).is_file() for top in (here, there)) and filecmp.cmp(here / path, there / path)  # noqa: E731
    return sorted(str(path) for path in files if "__pycache__" not in path.parts and not same(path))


def test_it_touches_the_registry_and_its_folder_alone(source: Path) -> None:
    found = changed(ROOT / "src" / "capot", source / "capot")
    assert [path for path in found if not path.startswith("chapters/echo/")] == ["chapters/registry.py"]


def test_it_is_a_method_of_the_model(source: Path) -> None:
    code = "import capot; print(capot.open('scripted').echo('Ho', times=3, tone='wild').to_json())"
    assert json.loads(ran(source, "-c", code)) == {"said": "HO HO HO", "tokens": 2}


def test_it_is_a_command_with_json_and_a_page(source: Path, tmp_path: Path) -> None:
    asked = ("-m", "capot", "echo", "Ho", "--model", "scripted", "--times", "3", "--marks")
    assert json.loads(ran(source, *asked, "--json")) == {"said": "Ho! Ho! Ho!", "tokens": 2}
    assert "One hears: Ho! Ho! Ho!" in ran(source, *asked)
    ran(source, *asked, "--lang", "fr", "--html", str(tmp_path / "echo.html"))
    page = (tmp_path / "echo.html").read_text(encoding="utf-8")
    assert 'lang="fr"' in page and "Ho! Ho! Ho!" in page and "Que devient un texte redit" in page
    told = ran(source, "-m", "capot", "echo", "--help")
    assert "How often it is said.  [default: 2]" in " ".join(told.split()) or "[default: 2]" in told
    assert "[calm|wild]" in told and "--marks" in told
    assert "A text, said again" in ran(source, "-m", "capot", "--help")
    assert "Un texte redit" in ran(source, "-m", "capot", "--help", CAPOT_LANG="fr")


def test_a_wrong_value_is_refused_in_words(source: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(source), "CAPOT_LANG": "en"}
    for words, code in ((["--times", "10"], "out_of_range"), (["--tone", "odd"], "bad_choice")):
        command = [sys.executable, "-m", "capot", "echo", "Ho", "--model", "scripted", "--json", *words]
        done = subprocess.run(command, env=environment, cwd=source, capture_output=True, text=True, check=False)
        assert done.returncode == 2 and json.loads(done.stdout)["error"]["code"] == code


ROUTES = """
import json, sys
sys.path.insert(0, sys.argv[1])
from lab_helpers import asgi
import capot
with asgi(capot.open("scripted")) as client:
    body = client.post("/api/echo?view=1", json={"text": "Ho", "times": 3}).json()
    shape = client.get("/api/openapi.json").json()["components"]["schemas"]["EchoRequest"]["properties"]["times"]
    print(json.dumps({
        "result": body["result"], "view": [block["block"] for block in body["view"]], "shape": shape,
        "refused": client.post("/api/echo", json={"text": "Ho", "times": 99}).json()["error"]["code"],
        "page": client.get("/echo").status_code, "kept": client.post("/api/page/echo", json={"text": "Ho"}).text[:15],
        "form": client.get("/api/chapters/echo", headers={"accept-language": "fr"}).json()["result"],
    }))
"""


def test_it_has_a_route_a_page_and_a_form(source: Path) -> None:
    told = json.loads(ran(source, "-c", ROUTES, str(ROOT / "tests")))
    assert told["result"] == {"said": "Ho Ho Ho", "tokens": 2} and told["view"] == ["heading", "text"]
    bounds = {name: told["shape"][name] for name in ("default", "minimum", "maximum")}
    assert bounds == {"default": 2, "minimum": 1, "maximum": 9} and told["refused"] == "out_of_range"
    assert told["page"] == 200 and told["kept"] == "<!doctype html>"
    (verb,) = told["form"]["verbs"]
    assert (told["form"]["chapter"], verb["name"], verb["example"]) == ("echo", "echo", {"text": "Ho!"})
    kinds = {each["name"]: (each["kind"], each["default"], each["words"]) for each in verb["settings"]}
    assert kinds["tone"] == ("choice", "calm", "De quel ton.") and kinds["times"] == ("whole", 2, "Combien de fois.")
    assert kinds["text"][0] == "text" and kinds["marks"][0] == "yes"


def test_the_house_and_its_tables_know_it(source: Path) -> None:
    code = (
        "import sys; sys.path[:0] = ['../tools', '../tests']; import house\n"
        "wrong = [(m, o) for m in house.modules() for o in house.imports(m) if house.imports_upward(m, o)]\n"
        "import test_house; wrong += test_house.circles({m: set(house.imports(m)) for m in house.modules()})\n"
        "print(wrong, house.answers('echo'), house.commands('echo'), house.verbs('echo'))\n"
        "print(house.chapter_table('fr').splitlines()[-1])"
    )
    first, row = ran(source, "-c", code).splitlines()
    assert first == "[] ['Echo'] ['echo'] ['echo']"
    assert row.startswith("| `echo` | Que devient un texte redit") and "`chapters/echo/`" in row


@pytest.fixture(scope="module")
def lab(source: Path) -> Iterator[Server]:
    started = Server("--model", "scripted", source=source)
    yield started
    started.kill()


@pytest.mark.browser
@pytest.mark.parametrize(("lang", "name", "ask"), [("en", "Echo", "Ask"), ("fr", "Écho", "Demander")])
def test_it_stands_on_the_rail_and_its_page_asks_and_draws(browser, lab: Server, lang, name, ask) -> None:
    visits = Visits(browser, lab.root)
    page = visits("/", lang=lang)
    carried = page.locator("textarea").first.input_value()
    rail = page.locator("nav.rail a")
    assert rail.evaluate_all("links => links.map((link) => link.dataset.chapter)")[-3:] == ["assistant", "echo", "card"]
    page.locator("nav.rail a[data-chapter=echo]").click()
    until(page, "document.documentElement.dataset.shown === 'echo'")
    assert page.title().startswith(name) and page.locator("textarea").input_value() == carried != ""
    page.locator("textarea").fill("Ho!")
    page.get_by_label("times").fill("3")
    page.get_by_label("tone").select_option("wild")
    page.get_by_label("marks").check()
    page.get_by_role("button", name=ask, exact=True).click()
    until(page, "document.querySelector('section.plain .answer p') !== null")
    settled(page)
    assert "HO!! HO!! HO!!" in page.locator(".answer").inner_text()
    page.locator("details.fold-python summary").click()
    until(page, "document.querySelector('details.fold-python code') !== null")
    code = page.locator("details.fold-python code").inner_text()
    assert 'model.echo(text="Ho!", times=3, tone="wild", marks=True)' in code
    assert axe(page) == [] and visits.close() == []
