"""The lab under a path of somebody else's host: links, cookies, redirects and pages, the path taken off or left on."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from lab_helpers import asgi, scripted
from proxy_helpers import Proxy
from starlette.testclient import TestClient
from web_helpers import Server, Visits, axe, copied, settled, until

from capot.chapters import registry
from capot.config import Serving
from capot.web.app import create_app

CODED = {"access_code": "class-code", "root_path": "/capot"}
HTML = {"accept": "text/html"}
LINK = re.compile(r'(?:href|src|action)="(/[^"]*)"')


@pytest.fixture(params=["taken off", "left on"])
def under(request: pytest.FixtureRequest) -> Iterator[tuple[TestClient, str]]:
    """A client of the lab under /capot, and what the lab sees before each path."""
    with asgi(scripted(), Serving(**CODED), owner_key="owner-key") as client:
        client.follow_redirects = False
        yield client, "" if request.param == "taken off" else "/capot"


def test_every_link_of_a_page_begins_with_the_path(under: tuple[TestClient, str]) -> None:
    client, before = under
    asking = client.get(f"{before}/next", headers=HTML)
    assert asking.status_code == 403 and 'action="/capot/"' in asking.text
    let_in = client.get(f"{before}/next?code=class-code&a=1")
    assert let_in.headers["location"] == "/capot/next?a=1" and "; Path=/capot;" in let_in.headers["set-cookie"]
    cookie = {"cookie": let_in.headers["set-cookie"].partition(";")[0]}
    page = client.get(f"{before}/next", headers=cookie | HTML)
    lost = client.get(f"{before}/nowhere", headers=cookie | HTML)
    assert (page.status_code, lost.status_code) == (200, 404)
    for text in (asking.text, page.text, lost.text):
        links = LINK.findall(text)
        assert links and all(link.startswith("/capot/") for link in links)
    for link in set(LINK.findall(asking.text) + LINK.findall(page.text)):
        asked = link if before else link.removeprefix("/capot")
        assert client.get(asked, headers=cookie).status_code == 200, link


def test_the_api_is_under_the_path_and_says_so(under: tuple[TestClient, str]) -> None:
    client, before = under
    cookie = client.get(f"{before}/?code=owner-key").headers["set-cookie"].partition(";")[0]
    inside = {"cookie": cookie}
    assert client.get(f"{before}/api/openapi.json", headers=inside).json()["servers"] == [{"url": "/capot"}]
    assert client.get(f"{before}/api/model", headers=inside).json()["result"]["owner"] is True
    answer = client.post(f"{before}/api/next", json={"prompt": "hello"}, headers=inside)
    assert answer.status_code == 200 and answer.json()["ok"]
    kept = client.post(f"{before}/api/page/next", json={"prompt": "hello"}, headers=inside)
    assert kept.status_code == 200 and not LINK.findall(kept.text)
    assert client.get(f"{before}/api/nothing", headers=inside).json()["error"]["code"] == "no_such_page"


@pytest.mark.parametrize("path", ["/capot", "/capot/", "/", "/capot/?x=1"])
def test_the_first_page_is_there_with_a_slash_and_without(path: str) -> None:
    with asgi(scripted(), Serving(**CODED)) as client:
        page = client.get(path, headers=HTML)
        assert page.status_code == 403 and 'action="/capot/"' in page.text
        client.get("/capot/?code=class-code")
        assert 'src="/capot/static/app.js"' in client.get(path).text or not path.startswith("/capot")


@pytest.mark.parametrize("path", ["/capot//evil.example", "//evil.example", "/%2F%2Fevil.example", "/%5Cevil.example"])
def test_a_redirect_stays_under_the_path(path: str) -> None:
    with asgi(scripted(), Serving(**CODED)) as client:
        location = client.get(f"http://127.0.0.1:8420{path}?code=class-code", follow_redirects=False).headers[
            "location"
        ]
        assert location.startswith("/capot/evil"), location


def test_a_path_that_only_begins_alike_is_another() -> None:
    with asgi(scripted(), Serving(**CODED)) as client:
        client.get("/capot/?code=class-code")
        assert (
            client.get("/capotage/next").status_code == 403
        )  # the cookie is not that path's, and the page is not there
        client.get("/?code=class-code")
        assert client.get("/capot/nextage").status_code == 404


def test_labs_under_two_paths_of_one_host_know_their_own_cookies() -> None:
    with (
        asgi(scripted(), Serving(**CODED)) as one,
        asgi(scripted(), Serving(**CODED | {"root_path": "/capot/b"})) as two,
    ):
        cookies = [
            lab.get(f"{at}/?code=class-code", follow_redirects=False) for lab, at in ((one, "/capot"), (two, ""))
        ]
        both = "; ".join(answer.headers["set-cookie"].partition(";")[0] for answer in cookies)
        for lab in (one, two):
            assert lab.get("/api/status", headers={"cookie": both}).status_code == 200


def test_an_outer_application_may_give_the_path_as_well() -> None:
    from starlette.applications import Starlette
    from starlette.routing import Mount

    with scripted() as model:
        outer = Starlette(routes=[Mount("/inner", create_app(model, Serving()))])
        page = TestClient(outer, base_url="http://127.0.0.1:8420").get("/inner/next")
        assert page.status_code == 200 and 'src="/inner/static/app.js"' in page.text


# In a browser, behind a proxy.

CHAPTERS = ("home", *(chapter.name for chapter in registry.rail()))


@pytest.fixture(scope="module")
def lab() -> Iterator[Server]:
    started = Server("--root-path", "/capot", "--access-code", "class-code", "--trusted-proxy", "127.0.0.1")
    yield started
    started.kill()


@pytest.mark.browser
@pytest.mark.parametrize("strips", [True, False], ids=["taken off", "left on"])
def test_every_page_works_under_the_path(browser, lab: Server, strips: bool, tmp_path) -> None:
    with Proxy(lab.port, "/capot", strips=strips) as proxy:
        visits = Visits(browser, proxy.root)  # which fails at any request outside the path
        visits.forgive("status of 403")
        page = visits("/next#prompt=Once+upon+a+time", ready=False)
        assert axe(page) == []
        page.get_by_label("Access code").fill(" CLASS code")
        with page.expect_navigation():
            page.keyboard.press("Enter")
        settled(page)
        assert page.evaluate("location.pathname") == "/capot/"
        for chapter in (*CHAPTERS[1:], "home"):
            page.locator(f"nav.rail a[data-chapter={chapter}]").click()
            until(page, f"document.documentElement.dataset.shown === '{chapter}'")
            settled(page)
            assert page.evaluate("location.pathname") == f"/capot/{'' if chapter == 'home' else chapter}"
            assert page.locator(".fault").count() == 0, chapter
        page.goto(f"{proxy.root}/memory")
        settled(page)
        page.reload()
        settled(page)
        until(page, "document.querySelector('.plotted .main-svg') !== null")
        page.goto(f"{proxy.root}/generate#prompt=Once+upon+a+time&max_new_tokens=3&temperature=0")
        settled(page)
        page.get_by_role("button", name="Generate", exact=True).click()
        until(page, "document.querySelectorAll('[data-chapter=generate] capot-strip').length > 0")
        settled(page)
        assert page.locator(".fault").count() == 0
        assert visits.close() == [] and proxy.seen == []


@pytest.mark.browser
def test_what_is_taken_away_from_under_the_path_comes_back(browser, lab: Server, tmp_path) -> None:
    with Proxy(lab.port, "/capot", strips=True) as proxy:
        visits = Visits(browser, proxy.root)
        owner = next(link for link in lab.links if "code=" in link).partition("?")[2]
        page = visits(
            "/next#prompt=Once+upon+a+time",
            first=f"{proxy.root}/?{owner}",
            before="delete Navigator.prototype.clipboard",
        )
        assert page.locator(".at-work > button").count() == 1
        page.get_by_text("Export").first.click()
        page.get_by_role("button", name="Copy the link").first.click()
        assert copied(page).startswith(f"{proxy.root}/next#")
        with page.expect_download() as coming:
            page.get_by_role("button", name="Page (HTML)").first.click()
        kept = tmp_path / "kept.html"
        coming.value.save_as(kept)
        assert "Once upon a time" in kept.read_text("utf-8")
        view = tmp_path / "view.json"
        view.write_text(json.dumps({"capot": 1, "path": "/tokens", "state": {"prompt": "kept before"}}))
        page.locator("input[type=file]").first.set_input_files(view)
        until(page, "document.documentElement.dataset.shown === 'tokens'")
        settled(page)
        assert page.evaluate("location.pathname") == "/capot/tokens"
        assert page.locator(".prompt textarea").input_value() == "kept before"
        assert visits.close() == [] and proxy.seen == []
