"""Some hundreds of random requests on the lab's own schema; ``make soak`` sends ten thousand of the same kind."""

from __future__ import annotations

import json

import pytest
from lab_helpers import JSON, asgi, scripted
from request_fuzz import LONG, requests

from capot import i18n
from capot.config import Serving

CODE = "code-code"
SMALL = Serving(host="0.0.0.0", access_code=CODE, max_new_tokens=8)
COUNT = 300
NOT_JSON = ("text/html", "text/event-stream", "application/octet-stream")


@pytest.mark.parametrize(("lang", "seed"), [("en", 1), ("fr", 2)])
def test_no_request_is_answered_by_a_fault(lang: str, seed: int) -> None:
    answered, refused = 0, set()
    with asgi(scripted(), SMALL) as client:
        client.get(f"/?code={CODE}")
        schema = client.get("/api/openapi.json").json()
        for method, path, body in requests(schema, count=COUNT, seed=seed):
            answer = client.request(method, path, content=body, headers={**JSON, "x-capot-lang": lang})
            asked = (method, path, body)
            if answer.status_code == 200:
                answered += 1
                assert '"internal"' not in answer.text, asked
                if not answer.headers["content-type"].startswith(NOT_JSON):
                    json.loads(answer.content, parse_constant=pytest.fail)
                continue
            assert 400 <= answer.status_code < 500, asked
            error = answer.json()["error"]
            refused.add(error["code"])
            assert LONG not in error["message"] and len(error["message"]) < 2000, asked
            assert i18n.find(f"error.{error['code']}.what", lang) and "Input should" not in error["message"], asked
    assert answered > COUNT / 8 and len(refused) > 20  # neither all of it refused at the door, nor all for one reason


def test_what_is_drawn_depends_on_the_seed_alone() -> None:
    with asgi(scripted()) as client:
        schema = client.get("/api/openapi.json").json()
    first, again, other = (list(requests(schema, count=50, seed=seed)) for seed in (5, 5, 6))
    assert first == again != other and len(first) == 50
