"""``capot serve`` as a person runs it: the link, the port, the code, the browser, the load, Ctrl-C."""

from __future__ import annotations

import json
import os
import queue
import re
import select
import shlex
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from typing import Any

import pytest
from conftest import ROOT
from lab_helpers import until

from capot import i18n
from capot.cli import run
from capot.config import Serving
from capot.errors import InputError
from capot.web import serve as web

JSON = {"content-type": "application/json"}

UNIX = pytest.mark.skipif(os.name == "nt", reason="signals and terminals are otherwise there")


class Served:
    """``capot serve`` in a process of its own."""

    def __init__(self, *arguments: str, command: str = "serve", **environment: str) -> None:
        own = os.environ | {"PYTHONPATH": str(ROOT / "src"), "PYTHONUNBUFFERED": "1", "NO_COLOR": "1"} | environment
        for name in ("DISPLAY", "WAYLAND_DISPLAY"):
            own.pop(name, None)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "capot", command, "--model", "scripted", *arguments],
            env=own, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, encoding="utf-8",
        )  # fmt: skip
        self.told: list[str] = []

    def __enter__(self) -> Served:
        for line in self.process.stdout:
            self.told.append(line.rstrip("\n"))
            if "Ctrl-C" in line:
                return self
        raise AssertionError(self.process.stderr.read())

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    @property
    def links(self) -> list[str]:
        return re.findall(r"http://\S+", "\n".join(self.told))

    @property
    def port(self) -> int:
        return int(re.search(r":(\d+)/", self.links[0])[1])


def get(link: str, **headers: str) -> Any:
    with urllib.request.urlopen(urllib.request.Request(link, headers=headers), timeout=30) as answer:
        return json.load(answer)


@UNIX
def test_it_says_where_it_is_serves_and_ends_with_ctrl_c() -> None:
    with Served("--port", "0", "--no-open", "--lang", "fr") as served:
        assert served.told[0].startswith("Le labo est ouvert") and len(served.links) == 2
        told = get(f"{served.links[0]}api/model")["result"]
        assert (told["model"], told["owner"], told["coded"]) == ("scripted", False, False)
        served.process.send_signal(signal.SIGINT)
        out, err = served.process.communicate(timeout=60)
        assert (served.process.returncode, out.strip(), err) == (0, "Le labo est fermé.", "")


def test_a_taken_port_gives_way_to_the_next_free_one_and_it_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with Served("--port", str(port), "--no-open") as served:
            assert served.port != port and str(port) in served.told[0] and str(served.port) in served.told[0]
            assert get(f"{served.links[0]}api/model")["ok"]


def test_without_a_display_it_says_so_and_serves() -> None:
    with Served("--port", "0", BROWSER="") as served:
        assert "No browser can be opened" in served.process.stdout.readline()
        assert get(f"{served.links[0]}api/model")["ok"]


def test_a_class_gets_a_code_a_link_and_a_picture_of_it() -> None:
    with Served("--host", "0.0.0.0", "--port", "0", "--no-open") as served:
        own, owner, learners = served.links
        code = re.search(r"code=([a-z0-9]{4}-[a-z0-9]{4})$", learners)[1]
        assert sum("█" in line or "▀" in line for line in served.told) > 10 and code in "\n".join(served.told)
        with pytest.raises(urllib.error.HTTPError) as refused:
            get(f"{own}api/model")
        assert refused.value.code == 403 and json.load(refused.value)["error"]["code"] == "access_code"
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        with browser.open(f"{own}api/model?code={code}", timeout=30) as answer:
            assert "code=" not in answer.url and json.load(answer)["result"]["owner"] is False
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        with browser.open(owner.replace("/?", "/api/model?"), timeout=30) as answer:
            assert json.load(answer)["result"]["owner"] is True
        page = urllib.request.Request(own, headers={"accept": "text/html", "accept-language": "fr"})
        with pytest.raises(urllib.error.HTTPError) as asked:
            urllib.request.urlopen(page, timeout=30)
        text = asked.value.read().decode()
        assert 'name="code"' in text and "Code d’accès" in text and "<script" not in text


def test_the_load_is_told_to_whoever_sits_at_the_machine(capsys: pytest.CaptureFixture[str]) -> None:
    with Served("--host", "0.0.0.0", "--port", "0", "--no-open", "--access-code", "abcd-efgh") as served:
        asking = ["serve", "--status", "--host", "0.0.0.0", "--port", str(served.port)]

        def told_load() -> dict[str, Any]:
            assert run([*asking, "--json"]) == 0
            return json.loads(capsys.readouterr().out)

        load = told_load()
        assert load["streams"] == 0 and set(load) >= {"learners", "scheduler", "ended"}
        # The first token, which the lab computes for itself, is a text at work as well.
        until(lambda: (now := told_load()["scheduler"])["steps"] and not now["at_work"])
        assert run([*asking, "--access-code", "abcd-efgh", "--lang", "fr"]) == 0
        told = capsys.readouterr().out
        assert re.search(r"Textes en cours +0\n", told) and "2,00\u00a0Go" in told
    assert run(["serve", "--status", "--port", str(served.port), "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "no_server"


@UNIX
def test_plain_capot_at_a_terminal_is_the_lab() -> None:
    import pty

    process, terminal = pty.fork()
    if process == 0:
        os.environ |= {"PYTHONPATH": str(ROOT / "src"), "CAPOT_MODEL": "scripted", "CAPOT_LANG": "en", "BROWSER": ""}
        os.environ.pop("DISPLAY", None)
        os.execv(sys.executable, [sys.executable, "-m", "capot"])
    told = b""
    while b"Ctrl-C" not in told and select.select([terminal], [], [], 60)[0]:
        told += os.read(terminal, 1000)
    link = re.search(r"http://127\.0\.0\.1:\d+/", told.decode())[0]
    assert get(f"{link}api/status")["ok"]
    os.write(terminal, b"\x03")
    while True:
        try:
            if not os.read(terminal, 1000):
                break
        except OSError:  # how the end of a terminal reads on Linux
            break
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0
    os.close(terminal)


def test_plain_capot_elsewhere_is_the_tour(capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    from capot.cli import tour

    monkeypatch.setattr(tour, "road", lambda model: [("tokens", lambda: model.tokens("a"))])
    monkeypatch.setenv("CAPOT_MODEL", "scripted")
    assert run([]) == 0
    assert i18n.tr("tour.tokens", "en") in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--port", "70000"], "out_of_range"),
        (["--port", "x"], "not_whole"),
        (["--host", "no.such.host.invalid"], "cannot_listen"),
        (["--host", "203.0.113.9"], "cannot_listen"),
        (["--model", "nothing-here"], "unknown_model"),
        (["--lang", "de"], "unknown_language"),
        (["--engine", "native", "--device", "cuda"], "device_unsupported"),
        (["--access-code", "abc-12"], "code_too_short"),
        (["--access-code", "- - - - - -", "--host", "0.0.0.0"], "code_too_short"),
        (["--allow-host", "class.local"], "needs_code"),
        (["--trusted-proxy", "127.0.0.1"], "needs_code"),
        (["--root-path", "/capot"], "needs_code"),
        (["--trusted-proxy", "proxy.local", "--access-code", "class-code"], "bad_proxy"),
        (["--root-path", "/a/../b", "--access-code", "class-code"], "bad_root_path"),
        (["--root-path", "/api", "--access-code", "class-code"], "bad_root_path"),
        (["--engine", "native", "--dtype", "float16"], "precision_unsupported"),
    ],
)
def test_what_cannot_be_served_is_said(capsys: pytest.CaptureFixture[str], words: list[str], code: str) -> None:
    assert run(["serve", "--no-open", *words, "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == code


def test_a_line_to_paste_is_one_that_is_accepted(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["--allow-host", "it's.local", "--allow-host", "localhost", "--trusted-proxy", "10.0.0.0/8"]
    assert run(["serve", "--no-open", *asked, "--root-path", "capot/", "--lang", "en"]) == 2
    line = capsys.readouterr().err.splitlines()[-1].removeprefix("Try: ")
    words = shlex.split(line)
    assert words[:2] == ["capot", "serve"] and "localhost" not in words
    given = dict(zip(words[2::2], words[3::2], strict=True))
    assert given.pop("--access-code") and given == {
        "--allow-host": "it's.local", "--trusted-proxy": "10.0.0.0/8", "--root-path": "/capot",
    }  # fmt: skip
    assert run([*words[1:], "--no-open", "--model", "nothing-here", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "unknown_model"  # the next thing to be wrong


def test_a_name_that_means_this_machine_everywhere_needs_no_code() -> None:
    own = ("localhost", "Lab.localhost", "127.0.0.2", "[::1]", "::ffff:127.0.0.1")
    assert web.with_access_code(Serving(allowed_hosts=own)).access_code is None
    drawn = web.with_access_code(Serving(host="0.0.0.0", allowed_hosts=("class.local",), root_path="/capot/"))
    assert drawn.access_code and drawn.root_path == "/capot"
    for foreign in ("class.local", "127.0.0.1.class.local", "192.0.2.7", "localhost.class.local"):
        with pytest.raises(InputError) as refused:
            web.with_access_code(Serving(allowed_hosts=(foreign,)))
        assert refused.value.code == "needs_code"


def test_a_class_behind_a_proxy_gets_the_path_that_the_proxy_has() -> None:
    serving = Serving(access_code="a-b", trusted_proxies=("127.0.0.1",), root_path="/capot")
    links = web.Links.for_server(serving, 81, owner_key="key")
    assert (links.own, links.owner) == ("http://127.0.0.1:81/capot/", "http://127.0.0.1:81/capot/?code=key")
    said = []
    web.announce(lambda key, **params: said.append((key, params.get("link") or params.get("path"))), links, "a-b")
    assert said[-2:] == [("serve.class_path", "/capot/?code=a-b"), ("serve.stop_hint", None)]


def test_who_opens_the_link_of_the_terminal_is_the_owner_and_no_one_else_at_the_machine() -> None:
    with Served("--port", "0", "--no-open") as served:
        own, owner = served.links
        assert get(f"{own}api/model")["result"]["owner"] is False
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        with browser.open(owner, timeout=30) as answer:
            assert answer.url == own  # the key does not stay in the address
        with browser.open(f"{own}api/model", timeout=30) as answer:
            assert json.load(answer)["result"]["owner"] is True
        request = urllib.request.Request(f"{own}api/open", b'{"model": "boxed"}', {"content-type": "application/json"})
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=30)
        assert json.load(refused.value)["error"]["code"] == "owner_only"


HOSTILE = "\x1b]0;OWNED\x07\x1b[2J\x9b31m\nWARNING: the lab is open to everyone\n\u202e"


def test_no_word_of_a_learner_acts_on_the_owners_terminal() -> None:
    with Served("--host", "0.0.0.0", "--port", "0", "--no-open", "--access-code", "class-code") as served:
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        browser.open(f"{served.links[0]}?code=class-code", timeout=30).close()
        asked = [
            ("chat", {"messages": ["a"], "kind": HOSTILE[:39] + "\ud800"}),
            ("context", {"word": HOSTILE + "\ud800", "sentences": ["a"]}),
            ("memory", {"known": HOSTILE + "\udfff"}),
            ("stream", {"name": "page-0001", "streams": [{"tag": HOSTILE[:40], "verb": "\ud800", "arguments": {}}]}),
        ]
        for verb, body in asked:
            request = urllib.request.Request(f"{served.links[0]}api/{verb}", json.dumps(body).encode(), JSON)
            with pytest.raises(urllib.error.HTTPError) as refused:
                browser.open(request, timeout=30)
            error = json.load(refused.value)["error"]
            assert refused.value.code in (404, 422), (verb, error)
            assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\ud800-\udfff]", error["message"]), error
        served.process.send_signal(signal.SIGINT)
        out, err = served.process.communicate(timeout=60)
        assert "\x1b" not in out + err and "open to everyone" not in out + err


def test_the_load_of_a_lab_behind_a_proxy_takes_the_code(capsys: pytest.CaptureFixture[str]) -> None:
    """The proxy is on this machine too, so sitting at it says nothing."""
    proxied = ["--trusted-proxy", "127.0.0.1", "--root-path", "/capot", "--access-code", "abcd-efgh"]
    with Served("--port", "0", "--no-open", *proxied) as served:
        asking = ["serve", "--status", "--port", str(served.port), "--json"]
        for given, status, code in (([], 2, "access_code"), (["wrong-code"], 2, "wrong_code"), (["ABCD efgh"], 0, "")):
            assert run([*asking, *(["--access-code", *given] if given else [])]) == status
            assert json.loads(capsys.readouterr().out).get("error", {}).get("code", "") == code


def test_ten_taken_ports_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    class Taken(socket.socket):
        def bind(self, address) -> None:
            tried.append(address[1])
            raise OSError("taken")

    monkeypatch.setattr(socket, "socket", Taken)
    with pytest.raises(InputError) as error:
        web.bind(Serving(port=9000))
    assert error.value.code == "cannot_listen" and tried == list(range(9000, 9010))


def test_links_for_every_kind_of_address() -> None:
    one = web.Links.for_server(Serving(), 8420, owner_key=None)
    assert (one.own, one.owner, one.learners) == ("http://127.0.0.1:8420/", None, None)
    many = web.Links.for_server(Serving(host="::", access_code="a-b"), 81, owner_key="key")
    assert many.own == "http://[::1]:81/" and many.owner == "http://[::1]:81/?code=key"
    written = web.Links.for_server(Serving(host="::", access_code="salle é&1"), 81, owner_key="key")
    assert written.learners.endswith("/?code=salle%20%C3%A9%261")
    named = web.Links.for_server(Serving(host="10.0.0.7", access_code="a-b"), 81, owner_key="key")
    assert named.learners == "http://10.0.0.7:81/?code=a-b" and named.own == "http://10.0.0.7:81/"


def test_the_browser_is_opened_on_the_link_that_lets_in(monkeypatch: pytest.MonkeyPatch) -> None:
    opened, said = [], []
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr("webbrowser.open", lambda link: opened.append(link) or True)
    web.show_lab("http://127.0.0.1:1/", lambda key, **params: said.append(key))
    assert opened == ["http://127.0.0.1:1/"] and not said
    monkeypatch.setattr("webbrowser.open", lambda link: False)
    web.show_lab("http://127.0.0.1:1/", lambda key, **params: said.append(key))
    assert said == ["serve.no_browser"]


def test_what_is_read_beside_the_serving_speaks_the_language_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: queue.Queue[str] = queue.Queue()
    monkeypatch.setattr(web, "warm", lambda _: heard.put(i18n.language()))
    with i18n.use_language("fr"):
        web._start_background(None, Serving(open_browser=False), web.Links("", None, None), say=lambda *_, **__: None)
    with i18n.use_language("en"):
        assert heard.get(timeout=120) == "fr"


def test_make_lab_is_capot_serve(monkeypatch: pytest.MonkeyPatch) -> None:
    sys.path.insert(0, str(ROOT / "tools"))
    import dev

    calls = []
    monkeypatch.setattr(dev, "ready", lambda name: None)
    monkeypatch.setattr(dev, "run", lambda *command, check: calls.append(command[1:]) or 0)
    for arguments in ((), ("tour", "--json"), ("--no-open",)):
        with pytest.raises(SystemExit):
            dev.lab(*arguments)
    assert calls == [("-m", "capot", "serve"), ("-m", "capot", "tour", "--json"), ("-m", "capot", "--no-open")]


@UNIX
def test_ctrl_c_leaves_a_command_the_time_to_close(tmp_path) -> None:
    """``subprocess.run`` kills what has not ended a quarter of a second after Ctrl-C."""
    (tmp_path / "slow.py").write_text(
        "import time\ntry:\n    print('up', flush=True)\n    time.sleep(60)\n"
        "except KeyboardInterrupt:\n    time.sleep(1)\n    print('closed', flush=True)\n"
    )
    code = f"import dev; raise SystemExit(dev.run({sys.executable!r}, {str(tmp_path / 'slow.py')!r}))"
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT / "tools", stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout.readline() == "up\n"
    os.killpg(process.pid, signal.SIGINT)
    assert process.communicate(timeout=60)[0] == "closed\n"
    assert process.returncode == 0


def test_a_damaged_model_is_said_before_anything_is_served(tmp_path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.json").write_text("{")
    assert run(["serve", "--no-open", "--port", "0", "--model", str(tmp_path), "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "json_invalid"


def test_a_model_of_another_engine_is_said_before_anything_is_served(tmp_path, capsys) -> None:
    (tmp_path / "config.json").write_text(json.dumps(GPT2))
    assert run(["serve", "--no-open", "--port", "0", "--model", str(tmp_path), "--engine", "native", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "architecture_unsupported"


GPT2 = {
    "architectures": ["GPT2LMHeadModel"],
    "model_type": "gpt2",
    "vocab_size": 96,
    "n_embd": 8,
    "n_layer": 1,
    "n_head": 2,
}
