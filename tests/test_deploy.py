"""What ``deploy/`` holds: files that their schemas accept, commands that exist, labs side by side behind a proxy."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import test_nginx
from conftest import ROOT
from lab_helpers import Live, asgi, scripted
from openai_server import OpenAIServer

import capot
from capot.cli import run, serve
from capot.config import Serving
from capot.errors import InputError
from capot.web import credentials
from capot.web.serving_options import check_serving

DEPLOY = ROOT / "deploy"
SECRET = "s" * 40
KEYS: dict[str, Any] = {
    "owner_key": credentials.owner_key(SECRET.encode()),
    "cookie_secret": credentials.derived(SECRET.encode(), "cookies"),
}
yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")


def tool(*command: str) -> None:
    """Run a checker of this environment; its complaints are the test's."""
    program = shutil.which(command[0], path=str(Path(sys.executable).parent))
    if program is None:
        pytest.skip(f"{command[0]} is not installed")
    found = subprocess.run([program, *command[1:]], capture_output=True, text=True, cwd=ROOT, check=False)
    assert found.returncode == 0, found.stdout + found.stderr


def test_the_image_recipe_is_sound() -> None:
    tool("hadolint", "deploy/Containerfile")


def test_what_the_image_takes_from_the_project_is_there() -> None:
    lines = (DEPLOY / "Containerfile").read_text(encoding="utf-8").splitlines()
    taken = [name for line in lines if line.startswith("COPY ") for name in line.split()[1:-1]]
    assert "src" in taken and all((ROOT / name).exists() for name in taken)


def test_the_manifest_is_kubernetes_own() -> None:
    tool("kubernetes-validate", "--strict", "deploy/kubernetes.yaml")


def test_the_compose_file_keeps_its_schema() -> None:
    tool("check-jsonschema", "--builtin-schema", "vendor.compose-spec", "deploy/compose.yaml")


def documents() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text(encoding="utf-8")))


def commands() -> list[list[str]]:
    """What each lab is started with."""
    composed = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))["services"]
    pods = [one["spec"]["template"]["spec"]["containers"][0] for one in documents() if one["kind"] == "Deployment"]
    return [composed["lab1"]["command"], composed["lab2"]["command"]] + [
        pod["args"] for pod in pods if pod["name"] == "lab"
    ]


def test_labs_are_started_with_options_that_exist() -> None:
    started = commands()
    assert len(started) == 3
    for given in started:
        with serve.command.make_context("serve", given[1:]) as context:
            told = context.params
        bounds = {name: told[name] for name in serve.BOUNDS}
        check_serving(
            Serving(
                host=told["host"], access_code=told["access_code"], root_path=told["root_path"],
                trusted_proxies=told["trusted_proxy"], allowed_hosts=told["allow_host"], **bounds,
            )
        )  # fmt: skip
        assert told["model"] == "http://vllm:8000/v1" and told["no_open"]


def test_names_and_ports_meet() -> None:
    """A service has the labels of its pods and their port, the volume claimed is there."""
    by_kind: dict[str, dict[str, Any]] = {}
    for one in documents():
        by_kind.setdefault(one["kind"], {})[one["metadata"]["name"]] = one["spec"]
    for name, service in by_kind["Service"].items():
        pod = by_kind["Deployment"][name]["template"]
        assert service["selector"].items() <= pod["metadata"]["labels"].items()
        ports = {port["containerPort"] for each in pod["spec"]["containers"] for port in each["ports"]}
        assert {port["targetPort"] for port in service["ports"]} <= ports
    claimed = [
        volume["persistentVolumeClaim"]["claimName"]
        for deployed in by_kind["Deployment"].values()
        for volume in deployed["template"]["spec"]["volumes"]
        if "persistentVolumeClaim" in volume
    ]
    assert set(claimed) == set(by_kind["PersistentVolumeClaim"])


# Bounds and secrets.


def test_bounds_of_the_server_are_options_with_their_defaults(monkeypatch, capsys) -> None:
    seen: list[Serving] = []
    monkeypatch.setattr("capot.web.serve.serve", lambda model, serving, say: seen.append(serving))
    started = ["serve", "--model", "scripted", "--no-open"]
    assert run(started) == 0
    assert run([*started, "--max-served-texts", "7", "--max-connections", "5000"]) == 0
    default, set_so = seen
    assert all(getattr(default, name) == value == getattr(Serving(), name) for name, value in serve.BOUNDS.items())
    assert (set_so.max_served_texts, set_so.max_connections) == (7, 5000)
    assert run([*started, "--max-served-texts", "0"]) == 2
    assert "--max-served-texts" in capsys.readouterr().err


def test_texts_at_work_at_a_server_are_bounded_as_set() -> None:
    with OpenAIServer() as running, capot.open(running.url) as model:
        model.shared.at_once = 3
        assert model.scheduler.at_once == 3


def test_labs_that_share_a_secret_know_each_others_visitors() -> None:
    serving, key = Serving(host="0.0.0.0", access_code="code-code"), KEYS["owner_key"]
    with (
        asgi(scripted(), serving, **KEYS) as one,
        asgi(scripted(), serving, **KEYS) as other,
        asgi(scripted(), serving, owner_key=key) as stranger,
    ):
        for code, owner in (("code-code", False), (key, True)):
            one.cookies.clear()
            one.get(f"/?code={code}")
            for lab, told in ((other, owner), (stranger, None)):
                lab.cookies = one.cookies
                answer = lab.get("/api/model").json()
                assert (answer["result"]["owner"] if answer["ok"] else None) == told


def test_a_secret_that_could_be_guessed_is_refused_and_not_shown(monkeypatch, capsys) -> None:
    monkeypatch.setenv("CAPOT_LAB_SECRET", "hunter2-hunter2")
    with pytest.raises(InputError) as raised:
        credentials.lab_secret()
    assert raised.value.code == "lab_secret_short"
    assert run(["serve", "--model", "scripted", "--port", "0", "--no-open"]) == 2
    told = capsys.readouterr()
    assert "CAPOT_LAB_SECRET" in told.err and "hunter2" not in told.err + told.out
    monkeypatch.setenv("CAPOT_LAB_SECRET", SECRET)
    assert credentials.lab_secret() == credentials.lab_secret() == SECRET.encode()
    monkeypatch.delenv("CAPOT_LAB_SECRET")
    assert credentials.lab_secret() != credentials.lab_secret()


# Two labs behind a proxy, as the files have it.


@pytest.fixture
def labs() -> Iterator[list[Live]]:
    with Live(scripted(), test_nginx.SERVING, **KEYS) as one, Live(scripted(), test_nginx.SERVING, **KEYS) as other:
        yield [one, other]


class Nginx(test_nginx.Nginx):
    """nginx with the file of ``deploy/``, its ports and its certificate being those of the test."""

    def __init__(self, folder: Path, labs: list[Live]) -> None:
        self.prepare(folder)
        text = (DEPLOY / "nginx.conf").read_text(encoding="utf-8")
        for old, new in {
            "127.0.0.1:8420": labs[0].root.removeprefix("http://"),
            "127.0.0.1:8421": labs[1].root.removeprefix("http://"),
            "listen 443 ssl": f"listen 127.0.0.1:{self.port} ssl",
            "/etc/ssl/lab.pem": str(self.cert),
            "/etc/ssl/lab.key": str(self.key),
        }.items():
            assert old in text
            text = text.replace(old, new)
        self.serve(text)


class Caddy(Nginx):
    """Caddy with the file of ``deploy/``, and the test's certificate."""

    def __init__(self, folder: Path, labs: list[Live]) -> None:
        self.prepare(folder)
        text = (DEPLOY / "Caddyfile").read_text(encoding="utf-8")
        assert "{$LAB_NAME} {" in text
        text = text.replace("{$LAB_NAME} {", f"{{$LAB_NAME}} {{\n\ttls {self.cert} {self.key}")
        own = "{\n\tadmin off\n\tauto_https disable_redirects\n}\n"
        (folder / "Caddyfile").write_text(own + text, encoding="utf-8")
        names = {"LAB_NAME": f"https://lab.school:{self.port}", "HOME": str(folder), "XDG_DATA_HOME": str(folder)}
        names["LABS"] = " ".join(each.root.removeprefix("http://") for each in labs)
        self.run(["caddy", "run", "--adapter", "caddyfile", "--config", folder / "Caddyfile"], **names)


@pytest.fixture(params=[Nginx, Caddy], ids=["nginx", "caddy"])
def proxy(request: pytest.FixtureRequest, labs: list[Live], tmp_path: Path) -> Iterator[Nginx]:
    for program in (request.param.__name__.lower(), "openssl"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    started = request.param(tmp_path, labs)
    yield started
    started.close()


def enter(client: httpx.Client, code: str) -> None:
    """Keep the cookies as a browser does, which knows the lab by its name."""
    answer = client.get(f"/capot/?code={code}")
    assert answer.status_code == 303 and answer.headers["location"] == "/capot/"
    told = answer.headers.get_list("set-cookie")
    assert any("HttpOnly" in each and "Secure" in each and "Path=/capot;" in each for each in told)
    assert len(told) == 2  # the lab's, which says who, and the proxy's, which says where
    client.headers["cookie"] = "; ".join(each.partition(";")[0] for each in told)


def test_a_learner_stays_with_one_lab_and_learners_are_shared_out(proxy: Nginx, labs: list[Live]) -> None:
    seen: set[int] = set()
    for _ in range(64):  # each is given to a lab by chance
        with proxy.client() as client:
            enter(client, test_nginx.CODE)
            before = [lab.load["prompt_tokens"] for lab in labs]
            for _ in range(4):
                assert client.post("/capot/api/next", json={"prompt": "The ca", "k": 1}).status_code == 200
            worked = [lab.load["prompt_tokens"] > count for lab, count in zip(labs, before, strict=True)]
            assert sum(worked) == 1
            seen.add(worked.index(True))
        if len(seen) == 2:
            break
    assert seen == {0, 1}


def test_behind_it_only_the_key_makes_an_owner_and_a_text_comes_as_it_grows(proxy: Nginx) -> None:
    with proxy.client() as stranger:
        assert stranger.get("/capot").headers["location"].endswith("/capot/")
        assert stranger.get("/capot/api/model").json()["error"]["code"] == "access_code"
    with proxy.client() as client:
        enter(client, test_nginx.CODE)
        assert client.get("/capot/api/model").json()["result"]["owner"] is False
        body = test_nginx.stream(test_nginx.part(prompt="hello", max_new_tokens=3))
        with client.stream("POST", "/capot/api/stream", json=body) as answer:
            assert b"event: finished" in b"".join(answer.iter_raw())
    with proxy.client() as client:
        enter(client, KEYS["owner_key"])
        assert client.get("/capot/api/model").json()["result"]["owner"] is True


def test_one_lab_that_ends_leaves_its_learners_known_to_the_other(proxy: Nginx, labs: list[Live]) -> None:
    with proxy.client() as client:
        enter(client, test_nginx.CODE)
        client.post("/capot/api/next", json={"prompt": "The ca", "k": 1})
        gone = next(lab for lab in labs if lab.load["prompt_tokens"])
        gone.server.should_exit = True
        gone.thread.join()
        gone.listener.close()
        told = json.loads(client.get("/capot/api/model").text)
        assert told["result"]["owner"] is False
