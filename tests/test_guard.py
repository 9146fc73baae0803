"""The door: hosts, origins, access codes, bodies, and the policy that pages get."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from capot.config import Serving
from capot.web import guard, keys
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
    with TestClient(Guard(hello, serving=Serving()), base_url="http://127.0.0.1:8420") as client:
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
    for _ in range(keys.TRIES):
        assert code_of(coded.get("/?code=wrong")) == "wrong_code"
    answer = coded.get("/?code=right-code")
    assert answer.status_code == 429 and code_of(answer) == "too_many_codes"


def test_visits_without_a_code_are_no_tries(coded: TestClient) -> None:
    for _ in range(keys.TRIES + 5):
        coded.get("/")
    assert coded.get("/?code=right-code").status_code == 303


def test_a_stolen_cookie_name_is_no_key(coded: TestClient) -> None:
    assert code_of(coded.get("/", headers={"cookie": "capot=guessed"})) == "access_code"
    assert code_of(coded.get("/", headers={"cookie": "\x00;;=; capot"})) == "access_code"


def test_every_answer_carries_the_policy(client: TestClient, coded: TestClient) -> None:
    for answer in (client.get("/"), coded.get("/"), coded.get("/?code=right-code")):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_an_error_speaks_the_visitors_language(coded: TestClient) -> None:
    french = coded.get("/", headers={"accept-language": "fr-FR,fr;q=0.9,en;q=0.1"}).json()
    english = coded.get("/", headers={"accept-language": "de,en;q=0.5"}).json()
    assert "enseignant" in french["error"]["message"] and "teacher" in english["error"]["message"]
