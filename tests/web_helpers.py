"""The lab in a real browser: one server and one Chromium for all tests, pages that are watched, and axe.

Tests ask for ``visit``, a function that opens a chapter as a visitor would; when the test ends, a console
error, an exception in a page or a request to anything but the server has failed it.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
CHROMIUM = shutil.which("chromium")
PATIENCE_S = 900  # before a wait is given up: in a fresh copy a slow machine compiles kernels for minutes
QUIET = [
    *("--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-sync"),
    *("--disable-component-update", "--enable-unsafe-swiftshader"),
]


def absent(what: str) -> None:
    """Skip by name; where everything must be tested, fail instead."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what} is not installed, and must be here")
    pytest.skip(f"{what} is not installed")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """One Chromium for all browser tests; each page gets a context of its own."""
    if CHROMIUM is None:
        absent("chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        absent("playwright")
    with sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield opened
        opened.close()


class Server:
    """``capot serve`` in a process of its own, that can be killed and started again on the same port.

    With a ``brake``, a file, the engine takes no more steps than the test allows.
    """

    def __init__(self, *options: str, brake: Path | None = None, source: Path = ROOT / "src") -> None:
        self.options, self.brake, self.leaves, self.source = options, brake, itertools.count(), source
        self.port = 0
        self.start()

    def allow(self, steps: int | None) -> None:
        """From now on the engine takes so many steps, then it waits; None: as many as it likes."""
        if steps is None:
            self.brake.unlink(missing_ok=True)
            return
        written = self.brake.with_suffix(".new")
        written.write_text(f"{steps} {next(self.leaves)}")
        written.replace(self.brake)

    def start(self) -> None:
        program = ["-m", "capot"] if self.brake is None else [str(ROOT / "tests" / "braked_lab.py"), str(self.brake)]
        command = [sys.executable, *program, "serve", "--no-open", "--port", str(self.port), *self.options]
        environment = os.environ | {"PYTHONPATH": str(self.source), "CAPOT_LANG": "en", "PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, cwd=self.source)
        self.links = self._links()
        self.port = int(re.search(r":(\d+)/", self.links[0]).group(1))
        self.root = f"http://127.0.0.1:{self.port}"

    def _links(self) -> list[str]:
        """What the server prints before it listens: its own link, then the owner's and the class's if any."""
        links: list[str] = []
        for line in self.process.stdout:
            links += re.findall(r"http://\S+", line)
            if "Ctrl" in line:
                return links
        raise AssertionError("the server did not start")

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.root + path, timeout=PATIENCE_S) as answer:
            return json.load(answer)["result"]

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """The lab on the boxed model, warm."""
    started = Server()
    started.get("/api/model")
    yield started
    started.kill()


class Visits:
    """Opens pages and keeps what went wrong in them."""

    def __init__(self, browser: Any, root: str) -> None:
        self.browser, self.root, self.roots = browser, root, [root]
        self.contexts: list[Any] = []
        self.wrong: list[str] = []
        self.forgiven: list[str] = []

    def __call__(
        self, path: str = "/", *, lang: str = "en", scheme: str = "light", width: int = 1280, ready: bool = True,
        root: str = "", first: str = "", before: str = "", **more,
    ) -> Any:  # fmt: skip
        """A page at ``path`` (its fragment included), in a context of its own, drawn and settled.

        ``root`` names another server, ``first`` a link to follow before, ``before`` what the page runs before its own.
        """
        locale = {"en": "en-GB", "fr": "fr-FR"}[lang]
        options = {"locale": locale, "color_scheme": scheme, "viewport": {"width": width, "height": 800}, **more}
        context = self.browser.new_context(**options)
        self.contexts.append(context)
        context.set_default_timeout(1000 * PATIENCE_S / 5)
        page = context.new_page()
        page.on("console", lambda message: self.note(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: self.note(f"{error}\n{error.stack}"))
        page.on("request", self.asked)
        if before:
            page.add_init_script(before)
        if root:
            self.roots.append(root)
        if first:
            page.goto(first)
        page.goto((root or self.root) + path)
        if ready:
            settled(page)
        return page

    def alone(self, path: Path) -> Any:
        """A kept page opened by double click: it may ask for nothing but itself."""
        context = self.browser.new_context()
        self.contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: self.note(str(error)))
        page.on(
            "request",
            lambda request: (
                None if request.url.startswith((path.as_uri(), "data:", "blob:")) else self.note(request.url)
            ),
        )
        page.goto(path.as_uri())
        return page

    def forgive(self, pattern: str) -> None:
        """An error that the test causes on purpose: Chromium writes each refused request to the console."""
        self.forgiven.append(pattern)

    def note(self, text: str) -> None:
        self.wrong.append(text)

    def asked(self, request: Any) -> None:
        if not request.url.startswith((*(f"{root}/" for root in self.roots), "blob:", "data:")):
            self.wrong.append(f"asked for {request.url}")

    def close(self) -> list[str]:
        for context in self.contexts:
            context.close()
        return [text for text in self.wrong if not any(re.search(pattern, text) for pattern in self.forgiven)]


@pytest.fixture
def visit(browser: Any, server: Server) -> Iterator[Visits]:
    """Open pages of the lab; see :class:`Visits`."""
    visits = Visits(browser, server.root)
    yield visits
    wrong = visits.close()
    assert not wrong, "\n".join(wrong)


@pytest.fixture(scope="session")
def doomed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A second server, that tests may hold, kill and start again: one for them all."""
    started = Server(brake=tmp_path_factory.mktemp("lab") / "brake")
    started.get("/api/model")
    yield started
    started.kill()


@pytest.fixture
def mortal(browser: Any, doomed: Server) -> Iterator[tuple[Server, Visits]]:
    """The server that may be held and killed, alive, and pages of it that may see it die."""
    doomed.allow(None)
    if doomed.process.poll() is not None:
        doomed.start()
    visits = Visits(browser, doomed.root)
    visits.forgive("ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE")
    yield doomed, visits
    wrong = visits.close()
    assert not wrong, "\n".join(wrong)


def stop(page: Any, server: Server, name: str = "Stop") -> None:
    """Stop what a held engine has not ended, and let it go on once the server has heard of it."""
    with page.expect_response("**/api/stop"):
        page.get_by_role("button", name=name, exact=True).click()
    server.allow(None)


def until(page: Any, condition: str) -> None:
    """Wait for a condition; the page's policy forbids Playwright's own way, which is ``eval``."""
    limit = time.monotonic() + PATIENCE_S / 5
    while time.monotonic() < limit:
        if page.evaluate(condition):
            return
        page.wait_for_timeout(50)
    pytest.fail(f"never true: {condition}")


def happens_in(page: Any, condition: Callable[[], Any]) -> None:
    """Wait for what the driver is to hear of a page."""
    limit = time.monotonic() + PATIENCE_S / 5
    while not condition():
        assert time.monotonic() < limit
        page.wait_for_timeout(20)


def hold(page: Any, path: str) -> list[Any]:
    """The page's requests for ``path``, none of which goes on before its ``continue_()``."""
    held: list[Any] = []

    def keep(route: Any) -> None:  # a function of Python's own: the driver marks it
        held.append(route)

    page.route(path, keep)
    return held


def settled(page: Any) -> None:
    """Wait until the chapter has drawn what it draws first, and nothing is being waited for."""
    until(page, "document.documentElement.dataset.shown && !document.querySelector('.waiting, [aria-busy=true]')")


def axe(page: Any) -> list[str]:
    """What axe finds wrong on a page as it stands: WCAG 2.2 A and AA, one line a fault.

    The driver evaluates axe in the page by the debugger's protocol, so that the page's policy stays in force.
    """
    try:
        source = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
    except ImportError:
        absent("axe-playwright-python")
    usual = page.viewport_size
    whole = max(usual["height"], page.evaluate("document.documentElement.scrollHeight"))
    page.set_viewport_size({**usual, "height": whole})  # so that the bars at the edges cover nothing
    session = page.context.new_cdp_session(page)
    session.send("Runtime.evaluate", {"expression": source})
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    call = f"axe.run(document, {{runOnly: {tags}}}).then((found) => JSON.stringify(found.violations))"
    answer = session.send("Runtime.evaluate", {"expression": call, "awaitPromise": True, "returnByValue": True})
    assert "value" in answer["result"], answer
    session.detach()
    page.set_viewport_size(usual)
    return [
        f"{fault['id']}: {node['target']} {node['failureSummary']}"
        for fault in json.loads(answer["result"]["value"])
        for node in fault["nodes"]
    ]


def copied(page: Any) -> str:
    """What the page has copied, read by pasting it."""
    page.evaluate("document.body.append(Object.assign(document.createElement('textarea'), { id: 'paste' }))")
    page.locator("#paste").focus()
    page.keyboard.press("Control+V")
    text = page.locator("#paste").input_value()
    page.evaluate("document.querySelector('#paste').remove()")
    return text


def overflow(page: Any) -> int:
    """How many pixels the page scrolls sideways."""
    return page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
