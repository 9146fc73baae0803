"""The door: hosts, origins, access codes, bodies, and the policy that pages get."""

from __future__ import annotations

import io
import logging
import sys
import threading
import time
import warnings
from collections.abc import Iterator

import pytest
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from capot.config import Serving
from capot.errors import InputError
from capot.web import credentials, guard, safe_logging
from capot.web.addresses import address_of
from capot.web.guard import Guard


async def lifespan(receive, send) -> None:
    while (await receive())["type"] != "lifespan.shutdown":
        await send({"type": "lifespan.startup.complete"})
    await send({"type": "lifespan.shutdown.complete"})


async def hello(scope, receive, send) -> None:
    """A page that says who the guard took the visitor for."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    length = 0
    while scope["method"] == "POST":
        message = await receive()
        length += len(message.get("body", b""))
        if not message.get("more_body"):
            break
    text = f"{scope['learner']} {scope['owner']} {length}"
    await PlainTextResponse(text)(scope, receive, send)


@pytest.fixture
def client() -> Iterator[TestClient]:
    app = Guard(hello, serving=Serving(), owner_key="owner-key")
    with TestClient(app, base_url="http://127.0.0.1:8420") as client:
        yield client


@pytest.fixture
def coded() -> Iterator[TestClient]:
    serving = Serving(access_code="right-code")
    app = Guard(hello, serving=serving, owner_key="owner-key")
    with TestClient(app, base_url="http://127.0.0.1:8420", follow_redirects=False) as client:
        yield client


def code_of(answer) -> str:
    return answer.json()["error"]["code"]


def test_loopback_names_are_answered_and_others_are_not(client: TestClient) -> None:
    for host in ("127.0.0.1:8420", "localhost:8420", "[::1]:8420", "LOCALHOST"):
        assert client.get("/", headers={"host": host}).status_code == 200, host
    for host in ("evil.example", "127.0.0.1.evil.example", "", "localhost@evil.example:1", "192.168.1.7"):
        answer = client.get("/", headers={"host": host})
        assert answer.status_code == 403 and code_of(answer) == "wrong_host", host


def test_a_named_host_is_let_in() -> None:
    with TestClient(Guard(hello, serving=Serving(allowed_hosts=("class.local",)))) as client:
        assert client.get("/", headers={"host": "class.local:80"}).status_code == 200


def test_the_address_the_connection_came_in_by_is_ours() -> None:
    with TestClient(Guard(hello, serving=Serving()), base_url="http://10.1.2.3:8420") as client:
        assert client.get("/").status_code == 200  # the test client says server = (10.1.2.3, 8420)
    with TestClient(Guard(hello, serving=Serving()), base_url="http://a-name:8420") as client:
        assert client.get("/").status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"origin": "http://127.0.0.1:1"},
    ],
)
def test_another_site_may_not_post(client: TestClient, headers: dict[str, str]) -> None:
    answer = client.post("/api/next", json={}, headers=headers)
    assert answer.status_code == 403 and code_of(answer) == "wrong_origin"


def test_our_own_pages_may_post(client: TestClient) -> None:
    assert client.post("/", json={}, headers={"origin": "http://127.0.0.1:8420"}).status_code == 200


def test_a_form_is_no_json(client: TestClient) -> None:
    assert code_of(client.post("/", data={"a": "b"})) == "not_json"


def test_bodies_are_bounded_announced_or_not(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "MAX_BODY", 100)
    assert client.post("/", json={"a": "b" * 50}).status_code == 200
    assert code_of(client.post("/", json={"a": "b" * 200})) == "body_too_long"

    def pieces() -> Iterator[bytes]:
        for _ in range(10):
            yield b"x" * 50

    answer = client.post("/", content=pieces(), headers={"content-type": "application/json"})
    assert code_of(answer) == "body_too_long"


def test_the_code_opens_the_door_once_and_leaves_the_address(coded: TestClient) -> None:
    assert code_of(coded.get("/")) == "access_code"
    answer = coded.get("/next?code=right-code&a=1")
    assert answer.status_code == 303 and answer.headers["location"] == "/next?a=1"
    assert "HttpOnly" in answer.headers["set-cookie"] and answer.headers["referrer-policy"] == "no-referrer"
    inside = coded.get("/")
    assert inside.status_code == 200 and inside.text.split()[1] == "False"


def test_a_redirect_never_leaves_this_server(coded: TestClient) -> None:
    location = coded.get("//evil.example/?code=right-code").headers["location"]
    assert location.startswith("/") and not location.startswith("//")


def test_the_owner_has_a_key_of_their_own(coded: TestClient) -> None:
    coded.get("/?code=right-code")
    assert coded.get("/").text.split()[1] == "False"
    coded.get("/?code=owner-key")
    assert coded.get("/").text.split()[1] == "True"


def test_wrong_codes_must_wait(coded: TestClient) -> None:
    for _ in range(credentials.MAX_FAILURES):
        assert code_of(coded.get("/?code=wrong")) == "wrong_code"
    answer = coded.get("/?code=right-code")
    assert answer.status_code == 429 and code_of(answer) == "too_many_codes"


def test_visits_without_a_code_are_no_tries(coded: TestClient) -> None:
    for _ in range(credentials.MAX_FAILURES + 5):
        coded.get("/")
    assert coded.get("/?code=right-code").status_code == 303


def test_a_stolen_cookie_name_is_no_key(coded: TestClient) -> None:
    assert code_of(coded.get("/", headers={"cookie": "capot=guessed"})) == "access_code"
    assert code_of(coded.get("/", headers={"cookie": "\x00;;=; capot"})) == "access_code"


@pytest.mark.parametrize("others", ['{"open": [1, 2]}', 'a b="c', "=", "käse=1", "x" * 2000])
def test_a_cookie_is_found_beside_others_however_they_are_written(coded: TestClient, others: str) -> None:
    mine = coded.get("/?code=right-code").headers["set-cookie"].partition(";")[0]
    coded.cookies.clear()
    for shown in (f"{others}; {mine}", f"{mine};{others}"):
        assert coded.get("/", headers={"cookie": shown.encode()}).status_code == 200


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cookie", 'a="' + "\\" * 40_000 + '"'),
        ("cookie", "a=b;" * 3500),
        ("forwarded", ";" + " " * 14_000 + "("),
        ("forwarded", "a=" + " " * 14_000 + '"'),
        ("accept-language", "a;q=" * 3500),
    ],
)
def test_a_long_header_is_read_once(name: str, value: str) -> None:
    client = behind()
    begin = time.process_time()
    assert code_of(client.get("/", headers={name: value})) == "access_code"
    assert time.process_time() - begin < 1  # of the processor; where each character is held against all others, many


def test_every_answer_carries_the_policy(client: TestClient, coded: TestClient) -> None:
    for answer in (client.get("/"), coded.get("/"), coded.get("/?code=right-code")):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_an_error_speaks_the_visitors_language(coded: TestClient) -> None:
    french = coded.get("/", headers={"accept-language": "fr-FR,fr;q=0.9,en;q=0.1"}).json()
    english = coded.get("/", headers={"accept-language": "de,en;q=0.5"}).json()
    assert "enseignant" in french["error"]["message"] and "teacher" in english["error"]["message"]


def test_nobody_is_the_owner_for_sitting_at_the_machine(client: TestClient) -> None:
    local = TestClient(client.app, base_url="http://127.0.0.1:8420", client=("127.0.0.1", 50_000))
    assert local.get("/").text.split()[1] == "False"
    assert local.get("/?code=owner-key").text.split()[1] == "True"
    assert local.get("/").text.split()[1] == "True"  # the cookie
    assert local.get("/?code=wrong").text.split()[1] == "True"
    other = TestClient(client.app, base_url="http://127.0.0.1:8420", client=("127.0.0.1", 50_000))
    assert other.get("/?code=owner-keY").text.split()[1] == "False"


@pytest.mark.parametrize(
    "spelled", ["Right-Code", "RIGHTCODE", " right-code ", "right%20code", "right+-+code%0A", "right%E2%80%91code"]
)
def test_a_code_is_the_same_however_it_is_spelled(coded: TestClient, spelled: str) -> None:
    assert coded.get(f"/?code={spelled}").status_code == 303, spelled


@pytest.mark.parametrize("spelled", ["right", "rightcodes", "r1ghtcode", "-", "right-cod%C3%A9", "%F0%9F%94%91"])
def test_another_code_is_another(coded: TestClient, spelled: str) -> None:
    assert code_of(coded.get(f"/?code={spelled}")) == "wrong_code", spelled


@pytest.mark.parametrize("wanted", ["salle é 1", "SALLE e\u0301-1", "Salle É1"])
def test_accents_are_letters_whatever_wrote_them(wanted: str) -> None:
    assert credentials.same_access_code("salle-e\u03011", wanted) and not credentials.same_access_code(
        "salle-e1", wanted
    )


def test_keys_are_compared_whole_and_as_they_are() -> None:
    assert credentials.same_secret("Key", "Key") and not credentials.same_secret("key", "Key")
    assert (
        not credentials.same_secret(None, None)
        and not credentials.same_access_code(None, None)
        and not credentials.same_secret("", "Key")
    )
    assert credentials.same_secret("\ud800", "\ud800") and not credentials.same_access_code("\ud800", "Key")


# Who must wait after wrong codes.


@pytest.fixture
def tries() -> tuple[credentials.FailedAttempts, list[float]]:
    clock = [0.0]
    return credentials.FailedAttempts(lambda: clock[0]), clock


def test_wrong_codes_count_by_full_address(tries) -> None:
    counted, clock = tries
    for _ in range(credentials.MAX_FAILURES):
        assert counted.wait("2001:db8::1") == 0
        counted.note("2001:db8::1")
    assert counted.wait("2001:db8::1") == credentials.WINDOW_S
    assert counted.wait("2001:db8::2") == 0, "a neighbour of the same /64"
    clock[0] = credentials.WINDOW_S + 0.5
    assert counted.wait("2001:db8::1") == 0 and not counted._times and not counted._wrong


def test_a_network_of_many_addresses_has_a_quota_of_its_own(tries) -> None:
    counted, _ = tries
    for number in range(credentials.MAX_NETWORK_FAILURES):
        address = f"2001:db8:0:1::{number:x}"
        assert counted.wait(address) == 0
        counted.note(address)
    assert counted.wait("2001:db8:0:1:ffff::") > 0, "whoever changes their address does not begin anew"
    assert counted.wait("2001:db8:0:2::1") == 0 and counted.wait("192.0.2.1") == 0


def test_others_guesses_leave_a_fresh_address_its_tries(tries) -> None:
    counted, _ = tries
    for number in range(3 * credentials.MAX_TOTAL_FAILURES):
        counted.note(f"10.0.{number // 256}.{number % 256}")
    for address in ("192.0.2.1", "2001:db8::1"):
        for _ in range(credentials.MIN_FAILURES):
            assert counted.wait(address) == 0
            counted.note(address)
        assert counted.wait(address) > 0, "and no more of them while so many guess"


def test_the_memory_of_wrong_codes_does_not_grow(tries, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials, "MAX_REMEMBERED", 50)
    counted, _ = tries
    for number in range(500):
        counted.note(f"2001:db8:{number:x}::1")
    assert len(counted._wrong) == 50 and len(counted._times) == 100


# Behind a proxy.

PROXY, VISITOR = "10.9.9.9", "203.0.113.5"


def behind(address: str = PROXY, **serving) -> TestClient:
    """A client whose connections come from ``address``, to a guard that trusts ``PROXY``."""
    options = {"access_code": "right-code", "trusted_proxies": ("10.9.0.0/16", "::1"), **serving}
    app = Guard(told, serving=Serving(**options), owner_key="owner-key")
    return TestClient(app, base_url="http://127.0.0.1:8420", client=(address, 4000), follow_redirects=False)


async def told(scope, receive, send) -> None:
    """A page that says where the guard saw the visitor."""
    seen = f"{address_of(scope)} {scope['scheme']} {Headers(scope=scope)['host']} {scope['owner']}"
    await PlainTextResponse(seen)(scope, receive, send)


@pytest.mark.parametrize(
    ("headers", "seen"),
    [
        ({"x-forwarded-for": VISITOR}, VISITOR),
        ({"x-forwarded-for": f"6.6.6.6, {VISITOR}"}, VISITOR),
        ({"x-forwarded-for": f"{VISITOR}:5123"}, VISITOR),
        ({"x-forwarded-for": "[2001:db8::1]:443"}, "2001:db8::1"),
        ({"x-forwarded-for": "::ffff:203.0.113.5"}, VISITOR),
        ({"x-forwarded-for": f"{VISITOR}, unknown"}, PROXY),
        ({"x-forwarded-for": f"{VISITOR}, "}, PROXY),
        ({"forwarded": f"for=6.6.6.6, For={VISITOR};proto=http"}, VISITOR),
        ({"forwarded": 'for="[2001:DB8::1]:4711"'}, "2001:db8::1"),
        ({"forwarded": "for=_hidden"}, PROXY),
        ({"forwarded": f'for=6.6.6.6;by=", for={VISITOR}'}, PROXY),
        ({"forwarded": 'for=6.6.6.6;by=", for="[2001:db8::1]:1"'}, PROXY),
        ({"forwarded": f"for={VISITOR}", "x-forwarded-for": VISITOR}, VISITOR),
        ({"forwarded": f"for={VISITOR}", "x-forwarded-for": "6.6.6.6"}, PROXY),
        ({"x-real-ip": "6.6.6.6"}, PROXY),
    ],
)
def test_the_last_hop_of_a_trusted_proxy_counts(headers: dict[str, str], seen: str) -> None:
    client = behind()
    client.get("/?code=right-code")
    assert client.get("/", headers=headers).text.split()[0] == seen


def test_two_lines_of_a_header_are_one_list() -> None:
    client = behind()
    client.get("/?code=right-code")
    lines = [("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", VISITOR)]
    assert client.get("/", headers=lines).text.split()[0] == VISITOR


def test_nobody_elses_word_counts() -> None:
    said = {
        "x-forwarded-for": "6.6.6.6", "x-forwarded-proto": "https", "x-forwarded-host": "class.example",
        "forwarded": "for=6.6.6.6;proto=https;host=class.example",
    }  # fmt: skip
    for address in ("10.10.0.1", "127.0.0.1", "2001:db8::1"):
        client = behind(address, allowed_hosts=("class.example",))
        answer = client.get("/?code=right-code", headers=said)
        assert answer.status_code == 303 and "Secure" not in answer.headers["set-cookie"]
        assert client.get("/", headers=said).text.split() == [address, "http", "127.0.0.1:8420", "False"]


@pytest.mark.parametrize(
    "said",
    [
        {"x-forwarded-proto": "https", "x-forwarded-host": "class.example"},
        {"x-forwarded-proto": "http, https", "x-forwarded-host": "evil.example, class.example"},
        {"forwarded": 'for=_x;host="class.example";proto=https'},
    ],
)
def test_a_name_and_tls_that_end_at_the_proxy(said: dict[str, str]) -> None:
    client = behind(allowed_hosts=("class.example",))
    answer = client.get("/?code=right-code", headers=said)
    cookie = answer.headers["set-cookie"]
    assert answer.status_code == 303 and cookie.startswith("capot-443=") and "; Secure" in cookie
    shown = {"cookie": cookie.partition(";")[0]}
    assert client.get("/", headers={**said, **shown}).text.split() == [PROXY, "https", "class.example", "False"]
    posted = client.post("/", json={}, headers={**said, **shown, "origin": "https://class.example"})
    assert posted.status_code == 200
    foreign = client.post("/", json={}, headers={**said, **shown, "origin": "https://evil.example"})
    assert code_of(foreign) == "wrong_origin"


def test_a_name_that_a_proxy_passes_on_must_be_allowed_all_the_same() -> None:
    assert code_of(behind().get("/", headers={"x-forwarded-host": "evil.example"})) == "wrong_host"


def test_who_guesses_behind_a_proxy_locks_out_themselves_alone() -> None:
    client = behind()
    for _ in range(credentials.MAX_FAILURES):
        assert code_of(client.get("/?code=wrong", headers={"x-forwarded-for": "6.6.6.6"})) == "wrong_code"
    assert code_of(client.get("/?code=right-code", headers={"x-forwarded-for": "6.6.6.6"})) == "too_many_codes"
    for number in range(credentials.MAX_TOTAL_FAILURES):
        client.get("/?code=wrong", headers={"x-forwarded-for": f"198.51.{number // 200}.{number % 200}"})
    assert client.get("/?code=right-code", headers={"x-forwarded-for": VISITOR}).status_code == 303


@pytest.mark.parametrize(
    ("address", "headers", "status"),
    [
        ("127.0.0.1", {}, 200),
        ("127.0.0.1", {"x-forwarded-for": "127.0.0.1"}, 403),  # a proxy that nobody has named
        ("127.0.0.1", {"via": "1.1 somewhere"}, 403),
        ("::1", {}, 403),  # a trusted one: anybody may be behind it
        ("::1", {"x-forwarded-for": "127.0.0.1"}, 403),
    ],
)
def test_behind_a_proxy_nobody_sits_at_the_machine(address: str, headers: dict[str, str], status: int) -> None:
    assert behind(address).get("/api/status", headers=headers).status_code == status


# What is told at the owner's terminal.


@pytest.fixture
def terminal() -> Iterator[io.StringIO]:
    """What a handler of the plainest kind writes while a lab is served."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    names = ("capot.web", "uvicorn.error", "asyncio", "py.warnings", "somebody.elses")
    for name in names:
        logging.getLogger(name).addHandler(handler)
    with safe_logging.safe_logs():
        yield written
    for name in names:
        logging.getLogger(name).removeHandler(handler)


HOSTILE = "\x1b]0;OWNED\x07\x9b2J\r\u202e\ud800\nWARNING: the lab is open to everyone\n"


def no_harm(text: str) -> None:
    assert "OWNED" in text, "what happened is told"
    assert not set(text) & set("\x1b\x07\x9b\r\u202e\ud800") and "\nWARNING" not in text


def test_a_failure_is_told_with_nothing_that_acts_on_a_terminal(terminal: io.StringIO) -> None:
    async def failing(scope, receive, send) -> None:
        try:
            raise KeyError(scope["path"])
        except KeyError:
            raise InputError("unknown_kind", kind=HOSTILE, known="") from ValueError(HOSTILE)

    client = TestClient(Guard(failing, serving=Serving()), base_url="http://127.0.0.1:8420")
    client.headers["user-agent"] = "\x1b[2J"
    assert client.get("/%1B%5D0;OWNED%07%0AWARNING").status_code == 500
    no_harm(terminal.getvalue())
    assert "Traceback (most recent call last)" in terminal.getvalue() and "in failing" in terminal.getvalue()


def test_whatever_speaks_up_is_led_through_the_loggers(terminal: io.StringIO, capfd) -> None:
    logging.getLogger("somebody.elses").warning("%s said %s", HOSTILE, {"more": HOSTILE})
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn(HOSTILE, stacklevel=1)
    thread = threading.Thread(target=exec, args=("raise ValueError(told)", {"told": HOSTILE}))
    thread.start()
    thread.join()

    class Dying:
        def __del__(self) -> None:
            raise ValueError(HOSTILE)

    Dying()
    text = terminal.getvalue()
    no_harm(text)
    assert text.count("OWNED") >= 4 and "UserWarning" in text
    assert "OWNED" not in "".join(capfd.readouterr())


def test_a_record_is_not_longer_than_a_terminal_bears(terminal: io.StringIO) -> None:
    logging.getLogger("capot.web").error("begins %s ends", "x" * 10_000_000)
    text = terminal.getvalue()
    assert len(text) < 2 * safe_logging.MAX_RECORD_CHARS and text.startswith("begins") and text.endswith("ends\n")


def test_the_process_is_left_as_it_was() -> None:
    before = logging.getLogRecordFactory(), threading.excepthook, sys.unraisablehook, warnings.showwarning
    with safe_logging.safe_logs():
        assert logging.getLogRecordFactory() is safe_logging.SafeLogRecord
    assert before == (logging.getLogRecordFactory(), threading.excepthook, sys.unraisablehook, warnings.showwarning)
