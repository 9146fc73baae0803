"""Whatever is asked within the OpenAPI document, or beside it, gets an answer of the promised shape, never a fault."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from lab_helpers import events_of, scripted
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

from capot.config import Serving
from capot.web.app import create_app
from capot.web.openapi import KINDS

EXAMPLES = 12  # for each route; the whole takes some twenty seconds
CHECKS = [not_a_server_error, content_type_conformance, response_schema_conformance]
HEADERS = {"host": "127.0.0.1:8420", "content-type": "application/json"}
SMALL = Serving(max_new_tokens=8, max_prompt_chars=2000)

model = scripted()
app = create_app(model, SMALL)
schema = schemathesis.openapi.from_asgi("/api/openapi.json", app, headers={"host": "127.0.0.1:8420"})


@pytest.fixture(scope="module", autouse=True)
def closed() -> Iterator[None]:
    yield
    app.state.learners.model.close()
    model.close()


LONG = {"/api/generate", "/api/chat", "/api/assistant"}


def shortened(case: schemathesis.Case) -> None:
    """As few new tokens as the test has time for, and streams of verbs that can be streamed."""
    body = case.body
    if not isinstance(body, dict):
        return
    if case.path in LONG and isinstance(body.get("max_new_tokens", 100), int):
        body["max_new_tokens"] = min(body.get("max_new_tokens", 100), 8)
    if case.path == "/api/stream" and isinstance(body.get("streams"), list):
        for each in (part for part in body["streams"] if isinstance(part, dict)):
            tag = str(each.get("tag"))
            if len(tag) % 3:  # the others stay as they were made
                each["verb"], each["arguments"] = "generate", {"prompt": tag, "max_new_tokens": 3}


@schema.exclude(path="/api/open").parametrize()
@settings(
    max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],
)  # fmt: skip
def test_every_answer_is_as_the_document_says(case: schemathesis.Case) -> None:
    case.headers = {**(case.headers or {}), **HEADERS}
    shortened(case)
    answer = case.call()
    case.validate_response(answer, checks=CHECKS)
    text = answer.content.decode("utf-8", "replace")
    assert "Traceback" not in text and 'File "' not in text
    if answer.headers["content-type"][0].startswith("text/event-stream"):
        assert {kind for kind, _, _ in events_of(text)} <= set(KINDS)
    elif answer.status_code != 200:
        error = answer.json()["error"]
        assert error["code"] and error["message"] and error["code"] != "internal"


def test_the_document_has_every_route_with_its_examples() -> None:
    document = schema.raw_schema
    posts = {path for path, item in document["paths"].items() if "post" in item}
    assert len(posts) == 15 + 5  # the verbs; page, stream, stop, open, and a question of a lesson
    for path in posts:
        for status, answer in document["paths"][path]["post"]["responses"].items():
            assert answer["content"], (path, status)
    assert dataclasses.asdict(SMALL)["max_new_tokens"] == 8
