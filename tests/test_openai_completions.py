"""A text that a server of models makes, token by token, with what it tells of the others."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from openai_server import MOST, Fault, OpenAIServer, client_of, connected, serving, steps
from openai_streams import complete

from capot.engines.openai.client import ServerClient
from capot.engines.openai.completions import Bill, ServedText
from capot.errors import CapotError
from capot.text.tokenizer import Tokenizer

PROMPT = "The capital of Japan is"

server = pytest.fixture(scope="module")(serving)
client = pytest.fixture(scope="module")(connected)


def test_a_text_grows_and_its_bill_comes_last(client: ServerClient) -> None:
    *texts, usage = complete(client, PROMPT, max_tokens=6, temperature=0)
    assert "".join(each.text for each in texts) == " Tokyo"
    assert [each.finish for each in texts] == [None] * 5 + ["length"]
    assert all(each.tokens == () for each in texts)
    assert usage == Bill(len(PROMPT), 6, 16)


@pytest.mark.parametrize("count", [0, 1, 5, MOST])
def test_log_probabilities_are_those_of_the_model(client: ServerClient, count: int) -> None:
    ids = Tokenizer.bytes().encode(PROMPT)
    *texts, _ = complete(client, ids, logprobs=count, max_tokens=6, temperature=0)
    tokens = [token for each in texts for token in each.tokens]
    assert texts[0].prompt_ids == tuple(ids) and texts[1].prompt_ids is None
    for token, (expected, row) in zip(tokens, steps(ids, 6), strict=True):
        assert (token.id, token.logprob) == (expected, pytest.approx(float(row[expected])))
        best = np.sort(row)[::-1][:count]
        assert [each.logprob for each in token.top.tokens] == pytest.approx(best.tolist())
        assert [float(row[each.id]) for each in token.top.tokens] == pytest.approx(best.tolist())
        assert token.top.mass == pytest.approx(np.exp(best).sum()) and token.top.mass < 1
        entropy = float(-(np.exp(row) * row).sum() / math.log(2))
        assert token.top.least_entropy_bits <= entropy + 1e-9
        assert count < MOST or token.top.least_entropy_bits > 0.5 * entropy


def choice(**changes: Any) -> dict[str, Any]:
    told = {"tokens": ["a"], "token_logprobs": [-1.0], "top_logprobs": [{"a": -1.0}]}
    return {"choices": [{"index": 0, "text": "a", "finish_reason": None, "logprobs": told} | changes]}


def usage(**changes: Any) -> dict[str, Any]:
    return {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5} | changes}


def answered(server: OpenAIServer, client: ServerClient, event: Any) -> ServedText | Bill:
    server.faults.append(Fault(after=0, raw=b"data: " + json.dumps(event).encode() + b"\n\n"))
    texts = complete(client, PROMPT, logprobs=5, max_tokens=1)
    try:
        return next(texts)
    finally:
        texts.close()


@pytest.mark.parametrize(
    ("event", "field"),
    [
        ({}, "choices"),
        ({"self": 1, "not a name": 2}, "choices"),
        ({"choices": ["a"]}, "text"),
        (choice(text=None), "text"),
        (choice(finish_reason=3), "finish_reason"),
        (choice(prompt_token_ids=[1, -2]), "prompt_token_ids"),
        (choice(logprobs=[]), "logprobs"),
        (choice(logprobs={"tokens": ["a"], "token_logprobs": [], "top_logprobs": []}), "logprobs"),
        (choice(logprobs={"tokens": ["a"], "token_logprobs": [0.5], "top_logprobs": [{}]}), "logprobs"),
        (choice(logprobs={"tokens": ["a"], "token_logprobs": [math.nan], "top_logprobs": [{}]}), "logprobs"),
        (choice(logprobs={"tokens": [1], "token_logprobs": [-1], "top_logprobs": [{}]}), "logprobs"),
        (usage(total_tokens=6), "usage.total_tokens"),
        (usage(completion_tokens=-2, total_tokens=1), "usage.total_tokens"),
        (usage(prompt_tokens="3"), "usage.total_tokens"),
        (usage(prompt_tokens_details={"cached_tokens": 4}), "usage.total_tokens"),
        ({"choices": [], "usage": [1]}, "usage.total_tokens"),
    ],
)
def test_a_field_that_is_wrong_is_named(server: OpenAIServer, client: ServerClient, event: Any, field: str) -> None:
    with pytest.raises(CapotError) as raised:
        answered(server, client, event)
    assert (raised.value.code, raised.value.params["field"]) == ("server_malformed", field)


def test_what_other_servers_write_is_read(server: OpenAIServer, client: ServerClient) -> None:
    """Tokens by their text, no list of others, a logarithm of nothing, what a cache spared."""
    told = {"tokens": ["é", "token_id:x"], "token_logprobs": [-9999.0, 0.0001], "top_logprobs": [None, {"b": -1}]}
    found = answered(server, client, choice(logprobs=told))
    assert isinstance(found, ServedText)
    first, second = found.tokens
    assert (first.id, first.text, first.logprob, first.top.tokens) == (None, "é", -math.inf, ())
    assert (second.id, second.text, second.logprob) == (None, "token_id:x", 0.0)
    assert first.top.mass == 0 and first.top.least_entropy_bits == 0
    assert answered(server, client, usage(prompt_tokens_details={"cached_tokens": 2})) == Bill(3, 2, 2)
    assert answered(server, client, usage(prompt_tokens_details=None)) == Bill(3, 2, None)


def test_a_text_that_nobody_reads_on_frees_its_slot() -> None:
    with OpenAIServer() as server:
        client = client_of(server.url)
        server.faults.append(Fault(after=1, held=True))
        texts = complete(client, PROMPT, max_tokens=6)
        next(texts)
        assert server.holding.wait(30) and not server.left.is_set()
        texts.close()
        assert server.left.wait(30)
        client.close()
