"""The lab behind nginx as the documentation sets it up: TLS ended there, a path, streams that nothing holds back.

Where nginx or openssl is not installed, each test is skipped by name.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import ROOT
from lab_helpers import Gate, Live, Reader, part, scripted, until
from lab_helpers import asked as stream

from capot.config import Serving

CODE = "class-code"
SERVING = Serving(
    access_code=CODE, trusted_proxies=("127.0.0.1",), root_path="/capot", allowed_hosts=("lab.school",), max_streams=8
)
LEFT_ON, TAKEN_OFF = "proxy_pass http://127.0.0.1:8420;", "proxy_pass http://127.0.0.1:8420/;"


def example(lang: str = "") -> str:
    """The lines of the documentation."""
    text = (ROOT / "docs" / lang / "lab.md").read_text(encoding="utf-8")
    [found] = re.findall(r"^location /capot/ \{\n.*?^\}\n", text, re.M | re.S)
    return found


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def certificate(folder: Path) -> tuple[Path, Path]:
    key, cert = folder / "key.pem", folder / "cert.pem"
    names = ["-subj", "/CN=lab.school", "-addext", "subjectAltName=DNS:lab.school", "-days", "2"]
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, *names],
        check=True,
        capture_output=True,
    )
    return key, cert


class Nginx:
    """nginx on loopback, with TLS, and the lab's lines in it."""

    def __init__(self, folder: Path, location: str) -> None:
        self.prepare(folder)
        server = f"listen 127.0.0.1:{self.port} ssl; ssl_certificate {self.cert}; ssl_certificate_key {self.key};"
        self.serve(f"server {{ {server}\n{location}\n}}")

    def prepare(self, folder: Path) -> None:
        self.port, self.folder = free_port(), folder
        self.key, self.cert = certificate(folder)

    def serve(self, http: str) -> None:
        """Run nginx with these lines of its ``http``, and with nothing outside of the folder."""
        folder = self.folder
        temporary = " ".join(
            f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (folder / "nginx.conf").write_text(
            f"daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;\n"
            f"events {{ }}\nhttp {{ access_log off; {temporary}\n{http}\n}}\n"
        )
        self.run(["nginx", "-p", folder, "-c", folder / "nginx.conf", "-e", folder / "error.log"])

    def run(self, command: list[Any], **more: str) -> None:
        with (self.folder / "error.log").open("ab") as said:
            self.process = subprocess.Popen(list(map(str, command)), stderr=said, env=os.environ | more)
        until(self._answers)

    def _answers(self) -> bool:
        assert self.process.poll() is None, (self.folder / "error.log").read_text()
        with socket.socket() as tried:
            return tried.connect_ex(("127.0.0.1", self.port)) == 0

    @property
    def host(self) -> str:
        return f"lab.school:{self.port}"

    def client(self) -> httpx.Client:
        """A browser's connection: TLS, by name, at this machine."""
        context = ssl.create_default_context(cafile=str(self.cert))
        client = httpx.Client(
            base_url=f"https://127.0.0.1:{self.port}", verify=context, timeout=180, trust_env=False,
            headers={"host": self.host, "origin": f"https://{self.host}"},
        )  # fmt: skip
        client.event_hooks["request"] = [lambda request: request.extensions.update(sni_hostname="lab.school")]
        return client

    def close(self) -> None:
        self.process.terminate()
        self.process.wait()


@pytest.fixture
def gate() -> Gate:
    return Gate(is_open=True)


@pytest.fixture
def live(gate: Gate) -> Iterator[Live]:
    with Live(scripted(before_step=gate), SERVING, owner_key="k" * 40) as lab:
        yield lab
        gate.open.set()


@pytest.fixture(params=[LEFT_ON, TAKEN_OFF], ids=["path left on", "path taken off"])
def nginx(request: pytest.FixtureRequest, live: Live, tmp_path: Path) -> Iterator[Nginx]:
    for program in ("nginx", "openssl"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    location = example().replace(LEFT_ON, request.param).replace(":8420", f":{live.listener.getsockname()[1]}")
    if request.param == TAKEN_OFF:  # nginx as it comes, which holds answers back unless they ask for the contrary
        location = location.replace("proxy_buffering off;", "")
    server = Nginx(tmp_path, location)
    yield server
    server.close()


@contextlib.contextmanager
def entered(nginx: Nginx, code: str = CODE) -> Iterator[httpx.Client]:
    """A visitor whom the code has let in."""
    with nginx.client() as client:
        answer = client.get(f"/capot/?code={code}")
        cookie = answer.headers["set-cookie"]
        assert answer.status_code == 303 and answer.headers["location"] == "/capot/"
        assert "Secure" in cookie and "Path=/capot;" in cookie and "HttpOnly" in cookie
        client.headers["cookie"] = cookie.partition(";")[0]
        yield client


def test_both_languages_have_the_same_lines() -> None:
    assert example() == example("fr") and LEFT_ON in example()


def test_pages_and_answers_come_through(nginx: Nginx) -> None:
    with nginx.client() as stranger:
        door = stranger.get("/capot/next", headers={"accept": "text/html"})
        assert door.status_code == 403 and 'action="/capot/"' in door.text
        assert stranger.get("/capot").headers["location"].endswith("/capot/")
        assert stranger.post("/capot/api/next", json={"prompt": "a"}).status_code == 403
    with entered(nginx) as client:
        page = client.get("/capot/next")
        links = re.findall(r'(?:src|href)="(/[^"]+)"', page.text)
        assert page.status_code == 200 and len(links) > 10 and all(link.startswith("/capot/") for link in links)
        assert [client.get(link).status_code for link in links] == [200] * len(links)
        answer = client.post("/capot/api/next", json={"prompt": "a", "k": 1}).json()
        assert answer["ok"] and client.get("/capot/api/model").json()["result"]["owner"] is False
        assert "/capot" in str(client.get("/capot/api/openapi.json").json()["servers"])
        far = client.post("/capot/api/next", json={"prompt": "a"}, headers={"origin": "https://elsewhere"})
        assert far.json()["error"]["code"] == "wrong_origin"


def test_the_owners_link_opens_from_afar(nginx: Nginx) -> None:
    with entered(nginx, "k" * 40) as client:
        assert client.get("/capot/api/model").json()["result"]["owner"] is True


def test_a_stream_is_not_held_back(nginx: Nginx, gate: Gate, live: Live) -> None:
    """Its first tokens are there while the engine is held at a later step, and a closed tab ends the work."""
    gate.open.clear()
    gate.free = len(gate.steps) + 3
    with entered(nginx) as client:
        body = stream(part("a", "generate", prompt="a", max_new_tokens=20, temperature=0))
        reader = Reader(client, body, path="/capot/api/stream").start()
        until(lambda: reader.kinds().count("step") >= 1 or reader.wrong)
        assert reader.wrong is None and "finished" not in reader.kinds()
        gate.open.set()
        assert reader.join().kinds()[-1] == "finished"


def test_who_guesses_codes_locks_out_no_other_address(nginx: Nginx) -> None:
    """What a visitor writes of their own address is not believed: it stands before the last hop."""
    with nginx.client() as client:
        for number in range(12):
            client.get(f"/capot/?code=wrong-{number}00", headers={"x-forwarded-for": f"10.0.0.{number}"})
        refused = client.get("/capot/?code=wrong-code", headers={"accept": "application/json"})
        assert refused.json()["error"]["code"] == "too_many_codes"


def test_without_the_proxy_nothing_says_https(live: Live) -> None:
    with httpx.Client(base_url=live.root, trust_env=False) as client:
        assert "Secure" not in client.get(f"/capot/?code={CODE}").headers["set-cookie"]
