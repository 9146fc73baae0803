"""The lab's answers over ASGI: one route per verb, one body, errors that tell nothing of this machine."""

from __future__ import annotations

import dataclasses
import json
import logging
import posixpath
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import jsonschema_rs
import native_helpers
import numpy as np
import pytest
from lab_helpers import asgi, scripted
from openai_server import NAME, OpenAIServer
from starlette.testclient import TestClient

import capot
from capot import i18n
from capot.chapters import registry
from capot.chapters.chapter import Chapter, ModelVerb
from capot.chapters.next import verb as prediction
from capot.config import Serving
from capot.model import Model
from capot.sources import nearby
from capot.view.result import Result
from capot.web import verbs as web_verbs
from capot.web.app import PAGES
from capot.web.openapi import EXAMPLES

VERBS = list(web_verbs.verbs())
TIMES = ("seconds", "_s", "tokens_per_s", "reused_tokens", "computed_tokens", "rss", "measured", "available")


@pytest.fixture(scope="module")
def boxed() -> Iterator[TestClient]:
    with asgi(capot.open("boxed")) as client:
        yield client


@pytest.fixture
def client() -> Iterator[TestClient]:
    with asgi(scripted()) as client:
        yield client


def code_of(answer) -> str:
    body = answer.json()
    assert body["ok"] is False and set(body) == {"ok", "error"} and body["error"]["message"]
    return body["error"]["code"]


def test_every_verb_has_a_route(client: TestClient) -> None:
    assert {"card", "tokens", "embed", "context", "lens", "next", "generate", "memory", "assistant", "chat"} <= set(
        VERBS
    )
    paths = client.get("/api/openapi.json").json()["paths"]
    assert [name for name in paths if paths[name].get("post", {}).get("operationId") in VERBS] == [
        f"/api/{name}" for name in VERBS
    ]


@pytest.mark.parametrize("verb", VERBS)
def test_the_example_of_each_verb_is_answered_as_the_document_says(boxed: TestClient, verb: str) -> None:
    operation = boxed.get("/api/openapi.json").json()["paths"][f"/api/{verb}"]["post"]
    examples = operation["requestBody"]["content"]["application/json"]["examples"]
    assert examples[verb]["value"] == EXAMPLES[verb]
    answer = boxed.post(f"/api/{verb}?view=true", json=EXAMPLES[verb])
    assert answer.status_code == 200, answer.text
    body = answer.json()
    jsonschema_rs.validate(operation["responses"]["200"]["content"]["application/json"]["schema"], body)
    assert body["ok"] is True and set(body) == {"ok", "result", "view"} and body["view"]
    assert set(boxed.post(f"/api/{verb}", json=EXAMPLES[verb]).json()) == {"ok", "result"}


def test_half_a_character_has_one_name_wherever_a_page_shows_it(boxed: TestClient) -> None:
    cut = boxed.post("/api/tokens?view=1", json={"text": "a 🤗"}).json()
    (table,) = [block for block in cut["view"] if block["block"] == "table"][:1]
    half = {row[1]: row[2] for row in table["rows"] if row[2].startswith("⟨")}
    assert len(half) == 4 and set(half.values()) == {"⟨F0⟩", "⟨9F⟩", "⟨A4⟩", "⟨97⟩"}
    for verb, asked in (
        ("network", {"prompt": "a 🤗", "k": 1, "layers": [0], "target": "🤗"}),
        ("patch", {"prompt": "a 🤗", "source": "b 🤗", "layer": 1, "between": ["🤗", "a"], "max_new_tokens": 0}),
        ("score", {"text": "a 🤗"}),
    ):
        answer = boxed.post(f"/api/{verb}?view=1", json=asked).json()
        assert half.items() <= answer["labels"].items()
        shown = json.dumps(answer["view"], ensure_ascii=False)
        assert "⟨F0⟩" in shown and "“173”" not in shown and f"id {next(iter(half))}" not in shown
        tokens = answer["result"]["tokens"]
        assert [each["text"] for each in tokens if str(each["id"]) in half] == [""] * 4, "JSON has their ids"
        assert "labels" not in boxed.post(f"/api/{verb}", json=EXAMPLES[verb]).json()
    said = boxed.post("/api/page/network", json={"prompt": "a 🤗", "k": 1, "target": "🤗"}).text
    assert "“⟨F0⟩” is the first of the 4 tokens" in said


@pytest.mark.parametrize("verb", ["tokens", "embed", "lens", "next", "generate"])
def test_the_answer_is_the_one_that_python_gives(verb: str) -> None:
    name = "boxed" if verb == "embed" else "scripted"
    with asgi(capot.open(name)) as client:
        told = client.post(f"/api/{verb}", json=EXAMPLES[verb]).json()["result"]
    with capot.open(name) as model:
        result = json.loads(getattr(model, verb)(**EXAMPLES[verb]).to_json())

    def steady(value):
        if isinstance(value, dict):
            return {k: steady(v) for k, v in value.items() if not k.endswith(TIMES)}
        return [steady(each) for each in value] if isinstance(value, list) else value

    assert steady(told) == steady(result)


@dataclasses.dataclass(frozen=True)
class Echo(Result):
    """A chapter's answer, for the test below."""

    text: str
    loud: str | None

    def view(self, lang=None):
        return []


def shout(model: Model, text: str, *, times: int = 1, loud: bool = False) -> Echo:
    """Say it again."""
    return Echo(text * times, text.upper() if loud else None)


def test_a_new_chapter_appears_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    chapter = Chapter("shout", {"shout": ModelVerb("next.verb:shout")}, ())
    monkeypatch.setattr(registry, "CHAPTERS", (*registry.CHAPTERS, chapter))
    monkeypatch.setattr(registry.Verbs, "shout", shout, raising=False)
    monkeypatch.setattr(prediction, "shout", shout, raising=False)
    web_verbs.verbs.cache_clear()
    try:
        with asgi(scripted()) as client:
            answer = client.post("/api/shout", json={"text": "ab", "times": 2, "loud": True})
            assert answer.json() == {"ok": True, "result": {"text": "abab", "loud": "AB"}}
            schema = client.get("/api/openapi.json").json()
            assert schema["components"]["schemas"]["ShoutRequest"]["properties"]["times"]["default"] == 1
            assert code_of(client.post("/api/shout", json={"times": 2})) == "bad_request"
    finally:
        web_verbs.verbs.cache_clear()


def test_logits_are_float32_bytes(boxed: TestClient) -> None:
    asked = {"prompt": "The capital of France is", "k": 3}
    answer = boxed.post("/api/next?logits=1", json=asked)
    assert answer.headers["content-type"] == "application/octet-stream"
    logits = np.frombuffer(answer.content, "<f4")
    told = boxed.post("/api/next", json=asked).json()["result"]
    assert len(logits) == told["vocabulary_size"]
    for candidate in told["candidates"]:
        assert logits[candidate["id"]] == np.float32(candidate["logit"])


def test_a_page_that_needs_no_server(boxed: TestClient) -> None:
    answer = boxed.post("/api/page/next", json=EXAMPLES["next"], headers={"x-capot-lang": "fr"})
    assert answer.headers["content-disposition"] == 'attachment; filename="next.html"'
    assert answer.text.startswith("<!doctype html>") and 'lang="fr"' in answer.text and "<script src" not in answer.text
    assert code_of(boxed.post("/api/page/nothing", json={})) == "no_such_page"
    assert code_of(boxed.post("/api/page/next", json={"prompt": "a", "k": "x"})) == "bad_request"


@pytest.mark.parametrize("page", PAGES)
def test_every_chapter_is_a_page(client: TestClient, page: str) -> None:
    answer = client.get(f"/{page}")
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/html")
    assert answer.headers["referrer-policy"] == "no-referrer"
    again = client.get(f"/{page}", headers={"if-none-match": answer.headers["etag"]})
    assert again.status_code == 304 and not again.content


@pytest.mark.parametrize("page", PAGES)
def test_a_page_names_every_script_that_it_reads(client: TestClient, page: str) -> None:
    """A browser learns of what a script imports only once it has the script: it would ask round after round."""
    named = re.findall(r'<link rel="modulepreload" href="(/static/[^"]+)">', client.get(f"/{page}").text)
    assert len(named) == len(set(named)) > 20 and f"/static/pages/{page or 'home'}.js" in named
    for name in named:
        script = client.get(name).text
        imports = re.findall(r"""(?:^|\s)(?:from|import)\s+["'](\.[^"']+)["']""", script)
        assert {posixpath.normpath(posixpath.join(posixpath.dirname(name), each)) for each in imports} <= {*named}


@pytest.mark.parametrize(
    "name", ["nothing.js", "../app.py", "..%2fapp.py", "%2e%2e/app.py", "/etc/passwd", "%00", "x" * 3000, "lib"]
)
def test_nothing_outside_the_pages_is_served(client: TestClient, name: str) -> None:
    assert code_of(client.get(f"/static/{name}")) == "no_such_page"


def test_plotly_comes_out_of_the_installed_package(client: TestClient) -> None:
    answer = client.get("/static/plotly.min.js")
    assert answer.status_code == 200 and answer.headers["content-encoding"] == "gzip"
    assert b"plotly.js" in answer.content[:200]


@pytest.mark.parametrize("lang", i18n.LANGUAGES)
def test_the_pages_words(client: TestClient, lang: str) -> None:
    answer = client.get(f"/api/words/{lang}")
    assert answer.json()["result"] == dict(i18n.catalogue(lang, "web"))
    assert answer.headers["content-encoding"] == "gzip"
    assert code_of(client.get("/api/words/de")) == "unknown_language"


def test_what_is_at_work(boxed: TestClient) -> None:
    told = boxed.get("/api/model").json()["result"]
    assert (told["model"], told["engine"], told["owner"]) == ("boxed", "native", False)
    assert told["parameters"] == capot.open("boxed").card().parameters.total
    assert told["limits"] == {"max_prompt_chars": 200_000, "max_new_tokens": 1000, "max_streams": 8}


# What is refused.


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("next", {}, 422, "bad_request"),
        ("next", {"prompt": ""}, 422, "empty_prompt"),
        ("next", {"prompt": "a", "k": -1}, 422, None),
        ("next", {"prompt": "a", "temperature": "hot"}, 422, "bad_request"),
        ("next", {"prompt": "a", "owner": "somebody"}, 422, "bad_request"),
        ("generate", {"prompt": "a", "temperature": -1}, 422, "bad_request"),
        ("generate", {"prompt": "a", "max_new_tokens": 1001}, 422, "too_many_new_tokens"),
        ("generate", {"prompt": "a", "ids": [-1]}, 422, "no_such_id"),
        ("tokens", {"text": "x" * 200_001}, 422, "text_too_long"),
        ("embed", {"words": ["x"] * 201}, 422, "too_many_items"),
        ("next", {"prompt": "a", "ids": [260]}, 422, "no_such_id"),
        ("next", {"prompt": "a", "ids": [97, -1]}, 422, "no_such_id"),
        ("nothing", {}, 404, "no_such_page"),
        ("stop", {"name": "x" * 65}, 422, "bad_request"),
        ("stream", {"name": "page-0001", "streams": []}, 422, "bad_request"),
        ("stream", {"name": "page-0001", "streams": [{"tag": "a", "verb": "shout"}]}, 404, "unknown_stream"),
        ("stream", {"name": "page-0001", "streams": [{"tag": "a", "verb": "card"}]}, 404, "unknown_stream"),
        ("assistant", {"question": "a", "template_path": "/etc/passwd"}, 422, "bad_request"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(client: TestClient, path, body, status, code) -> None:
    answer = client.post(f"/api/{path}", json=body)
    assert answer.status_code == status, answer.text
    assert code in (None, code_of(answer))
    french = client.post(f"/api/{path}", json=body, headers={"accept-language": "fr"}).json()["error"]
    assert french["message"] != answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("network", {"prompt": "a", "target": "id:999999"}, "target"),
        ("network", {"prompt": "a", "target": "id:x"}, "target"),
        ("network", {"prompt": "a", "target": ""}, "target"),
        ("patch", {"prompt": "a", "source": "b", "between": ["id:999999", "b"]}, "between"),
        ("patch", {"prompt": "a", "source": "b", "between": ["b"]}, "between"),
        ("patch", {"prompt": "a", "source": "b", "between": ["b", "b"]}, "between"),
        ("next", {"prompt": "a", "rank": "id:999999"}, "rank"),
        ("context", {"word": "a", "sentences": ["a b", "b a"], "layer": 99}, "layer"),
    ],
)
def test_what_is_refused_names_its_field(client: TestClient, path, body, field) -> None:
    """So that a page can say it beside the field, and keep the rest."""
    assert client.post(f"/api/{path}", json=body).json()["error"].get("field") == field


def test_a_refusal_names_its_field(client: TestClient) -> None:
    assert client.post("/api/next", json={"prompt": "a", "k": "x"}).json()["error"]["field"] == "k"
    assert client.post("/api/tokens", json={"text": "x" * 200_001}).json()["error"]["field"] == "text"
    long = client.post("/api/generate", json={"prompt": "a", "max_new_tokens": 5000}).json()["error"]
    assert long["field"] == "max_new_tokens"


@pytest.mark.parametrize("body", [b"{", b"", b"[1]", b'"x"', b"\xff\xfe", b"null", b"[" * 100_000])
def test_what_is_no_json_object_is_refused(client: TestClient, body: bytes) -> None:
    answer = client.post("/api/next", content=body, headers={"content-type": "application/json"})
    assert answer.status_code in (400, 422) and code_of(answer) in ("bad_json", "bad_request")
    assert client.get("/api/next").status_code == 405


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", "a & b", "\u202eשלום", "🤗" * 50, "\x00", "é" * 100_000])
def test_any_text_is_only_a_text(boxed: TestClient, text: str) -> None:
    told = boxed.post("/api/tokens", json={"text": text}).json()["result"]
    assert told["text"] == text and told["characters"] == len(text)


def test_half_a_character_is_refused(client: TestClient) -> None:
    answer = client.post("/api/tokens", content=b'{"text": "a\\ud800b"}', headers={"content-type": "application/json"})
    assert answer.status_code == 422 and code_of(answer) in ("not_unicode", "bad_json", "bad_request")


def test_what_we_did_not_expect_says_nothing_to_the_visitor(client: TestClient, monkeypatch, caplog) -> None:
    def broken(model, *args, **options):
        raise RuntimeError("/home/ann/secret.txt hf_token")

    verb = web_verbs.verbs()["next"]
    monkeypatch.setattr(web_verbs, "verbs", lambda: {})
    object.__setattr__(verb, "function", broken)
    try:
        with caplog.at_level(logging.CRITICAL + 1, logger="capot.web"):
            answer = client.post("/api/next", json={"prompt": "a"})
    finally:
        object.__setattr__(verb, "function", prediction.predict)
    assert answer.status_code == 500 and code_of(answer) == "internal"
    assert not any(word in answer.text for word in ("secret", "hf_token", "Traceback", "RuntimeError", ".py"))


def test_an_error_has_no_path_of_this_machine_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "broken"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(
        json.dumps({"architectures": ["LlamaForCausalLM"], "vocab_size": 8, "hidden_size": 8, "num_hidden_layers": 1,
                    "num_attention_heads": 1, "intermediate_size": 8, "max_position_embeddings": 8,
                    "model_type": "llama", "rms_norm_eps": 1e-5})
    )  # fmt: skip
    with asgi(capot.open(str(folder))) as client:
        for verb in ("tokens", "next", "card", "generate", "embed"):
            answer = client.post(f"/api/{verb}", json=EXAMPLES[verb])
            assert answer.status_code in (200, 404, 422), answer.text
            assert str(tmp_path) not in answer.text and "models" not in answer.text, answer.text


# Who may do what.


@pytest.fixture
def room() -> Iterator[TestClient]:
    """A class: a learner is in, the owner's key is known to the test alone."""
    serving = Serving(host="0.0.0.0", access_code="code-code")
    with asgi(scripted(), serving, owner_key="the-owner") as client:
        client.get("/?code=code-code")
        yield client


def test_a_learner_changes_no_model_and_names_no_file(room: TestClient, tmp_path: Path) -> None:
    assert room.get("/api/model").json()["result"]["owner"] is False
    for model in ("boxed", "http://127.0.0.1:8000/v1#name"):
        assert code_of(room.post("/api/open", json={"model": model})) == "owner_only"
    assert code_of(room.get("/api/models")) == "owner_only"
    (tmp_path / "tokenizer.json").write_text("{}")
    for name in (str(tmp_path), "/etc/passwd", "gpt2/../../x", "org/name"):
        answer = room.post("/api/tokens", json={"text": "a", "compare": [name, "english"]})
        found = answer.json()["result"]
        assert [each["code"] for each in found["missing"]] == ["unknown_tokenizer"], "and nothing of what is there"
        assert [each["tokenizer"] for each in found["comparisons"][1:]] == ["english"]
    assert room.post("/api/tokens", json={"text": "a", "compare": ["english"]}).status_code == 200
    bad = room.post("/api/memory", json={"known": str(tmp_path), "simulate": True, "tokens": [1]})
    assert bad.status_code in (404, 422)


def test_the_owner_opens_another_model(room: TestClient) -> None:
    room.get("/?code=the-owner")
    assert room.get("/api/model").json()["result"]["owner"] is True
    with room.stream("POST", "/api/open", json={"model": "boxed"}) as answer:
        text = answer.read().decode()
    assert '"stage":"weights"' in text and "event: finished" in text
    assert room.get("/api/model").json()["result"]["model"] == "boxed"
    refused = room.post("/api/open", json={"model": "/home/ann/nothing"})
    assert "event: error" in refused.text and "unknown_model" in refused.text
    assert "/home/ann/nothing" in refused.text, "the owner has typed it, and must find what to mend"
    assert room.get("/api/model").json()["result"]["model"] == "boxed"


def test_the_owner_is_told_which_models_this_machine_has(room: TestClient, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    commit, folder = "a" * 40, tmp_path / "hub" / "models--org--tiny"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(commit)
    shutil.copytree(native_helpers.make(tmp_path / "made", "llama"), folder / "snapshots" / commit)
    room.get("/?code=the-owner")
    found = room.get("/api/models").json()["result"]["models"]
    assert [(one["name"], one["engine"]) for one in found] == [("org/tiny", "native")]
    assert found[0]["bytes"] > 10_000


def test_the_owner_is_told_which_servers_this_machine_has(room: TestClient, monkeypatch) -> None:
    with OpenAIServer() as running:
        monkeypatch.setattr(nearby, "USUAL", {running.port: "vLLM"})
        monkeypatch.setattr(nearby, "SECONDS", 600.0)
        assert code_of(room.get("/api/models")) == "owner_only" and not running.seen
        room.get("/?code=the-owner")
        (found,) = room.get("/api/models").json()["result"]["servers"]
        assert (found["address"], [one["name"] for one in found["models"]]) == (running.url, [NAME])


def test_the_policy_is_on_every_answer(room: TestClient) -> None:
    for answer in (room.get("/"), room.get("/api/model"), room.post("/api/next", json={}), room.get("/nothing")):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
        assert answer.headers["referrer-policy"] == "no-referrer" and answer.headers["x-content-type-options"]


@pytest.mark.parametrize(
    ("lang", "said"), [("en", "There is nothing at this address."), ("fr", "Il n’y a rien à cette")]
)
def test_a_person_at_a_wrong_address_gets_a_page_and_a_program_an_error(lang: str, said: str) -> None:
    with asgi(scripted()) as client:
        page = client.get("/nowhere", headers={"accept": "text/html,*/*", "accept-language": lang})
        assert page.status_code == 404 and said in page.text and 'href="/"' in page.text and "<form" not in page.text
        assert "form-action 'none'" in page.headers["content-security-policy"]
        assert client.get("/nowhere").json()["error"]["code"] == "no_such_page"
