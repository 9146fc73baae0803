"""The remote engine on a real vLLM, beside the same weights here and beside streams without capot (``make test-vllm``).

CAPOT_TEST_SERVER is its address, CAPOT_TEST_FOLDER the model's folder, CAPOT_TEST_PROCESS the server's process.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import re
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from lab_helpers import until

import capot

sys.path.insert(0, str(ROOT / "bench"))
from _learners import Learner, Server

ADDRESS = os.environ.get("CAPOT_TEST_SERVER", "")
FOLDER = os.environ.get("CAPOT_TEST_FOLDER", "")
PROCESS = os.environ.get("CAPOT_TEST_PROCESS", "")
MOST = os.environ.get("CAPOT_TEST_OVER_DIRECT", "")  # what the lab may cost beside direct streams
PROMPTS = ("The capital of France is", "Once upon a time", "Il était une fois", "def f(x):\n    return")
STREAMS, TOKENS, ROUNDS = 32, 100, 3
pytestmark = pytest.mark.skipif(not (ADDRESS and FOLDER and PROCESS), reason="CAPOT_TEST_PROCESS names no vLLM")


@pytest.fixture(scope="module")
def model() -> Iterator[capot.Model]:
    with capot.open(ADDRESS) as opened:
        yield opened


@pytest.fixture(scope="module")
def here() -> Iterator[capot.Model]:
    with capot.open(FOLDER, engine="transformers", dtype="float32", device="cpu") as opened:
        yield opened


def metric(name: str) -> float:
    """A figure of the server's own, summed over its labels."""
    root = ADDRESS.removesuffix("/v1")
    with urllib.request.urlopen(f"{root}/metrics", timeout=60) as answer:
        told = answer.read().decode()
    return sum(float(value) for value in re.findall(rf"^{re.escape(name)}[^\n]* (\S+)$", told, re.MULTILINE))


@pytest.mark.parametrize("prompt", PROMPTS)
def test_next_agrees_with_transformers(model: capot.Model, here: capot.Model, prompt: str) -> None:
    served, whole = (each.next(prompt, k=10).candidates for each in (model, here))
    assert {one.id for one in served} == {one.id for one in whole}
    told = {one.id: math.log(one.probability) for one in whole}
    assert all(abs(math.log(one.probability) - told[one.id]) < 0.05 for one in served)


def test_score_agrees_with_transformers(model: capot.Model, here: capot.Model) -> None:
    text = "The capital of France is Paris. Le chat dort."
    served, whole = (each.score(text).tokens for each in (model, here))
    for one, other in zip(served, whole, strict=True):
        assert one.id == other.id and abs(math.log(one.probability / other.probability)) < 0.05
        assert one.rank == other.rank or abs(one.rank - other.rank) < 3  # two that are almost as probable


def test_the_likeliest_text_is_the_same(model: capot.Model, here: capot.Model) -> None:
    served, whole = (each.generate(PROMPTS[0], temperature=0, max_new_tokens=24) for each in (model, here))
    assert served.text == whole.text and [one.id for one in served.tokens] == [one.id for one in whole.tokens]


def test_the_bill_tells_what_the_server_had_read_before(model: capot.Model) -> None:
    prompt = "A text of which nobody has read a word before this test. " * 20  # it keeps blocks of 128
    first, again = (model.generate(prompt, temperature=0, max_new_tokens=2) for _ in range(2))
    assert again.reused_tokens > first.reused_tokens and again.prompt_tokens == len(again.prompt_ids)


def test_a_stopped_stream_frees_its_slot(model: capot.Model) -> None:
    """The server goes on with nothing: it has drawn fewer tokens than were asked for, and has no request."""
    until(lambda: metric("vllm:num_requests_running") == 0)
    before = metric("vllm:generation_tokens_total")
    stream = model.stream(PROMPTS[1], temperature=1.0, seed=1, max_new_tokens=400)
    next(stream), next(stream)
    stream.cancel()
    list(stream)
    until(lambda: metric("vllm:num_requests_running") == 0)
    assert metric("vllm:generation_tokens_total") - before < 400


def test_several_tokens_in_one_event_are_told_apart(model: capot.Model) -> None:
    """A server under load joins tokens: each keeps its own figures, and a stop text ends the text where it stands."""
    whole = model.generate(PROMPTS[1], seed=3, temperature=1.0, max_new_tokens=60)
    stop = whole.text[len(whole.text) // 2 :][:4]
    found = model.generate(PROMPTS[1], seed=3, temperature=1.0, max_new_tokens=60, stop=[stop], after_stop=5)
    assert found.text == whole.text[: whole.text.index(stop)] and found.stop_string == stop


# Through the lab.


@pytest.fixture(scope="module")
def lab() -> Iterator[Server]:
    server = Server(ADDRESS, remote=True)
    yield server
    server.close()


def seconds(root: int) -> float:
    """What a process and those it started have computed."""
    children: dict[int, list[int]] = {}
    told: dict[int, float] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        number = int(path.parent.name)
        children.setdefault(int(fields[1]), []).append(number)
        told[number] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    found, waiting = 0.0, [root]
    while waiting:
        number = waiting.pop()
        found += told.get(number, 0.0)
        waiting += children.get(number, [])
    return found


def settings(number: int) -> dict[str, Any]:
    return {"prompt": f"{PROMPTS[number % len(PROMPTS)]} {number}", "seed": number, "temperature": 1.0}


async def direct(number: int, name: str) -> tuple[int, str]:
    """A stream without capot, with the request that capot sends: its tokens and its text."""
    port = int(ADDRESS.rpartition(":")[2].partition("/")[0])
    body = settings(number) | {
        "model": name, "max_tokens": TOKENS, "logprobs": 5, "return_tokens_as_token_ids": True,
        "return_token_ids": True, "stream": True, "stream_options": {"include_usage": True},
        "top_k": 0, "top_p": 1.0, "min_p": 0.0, "repeat_penalty": 1.0,
    }  # fmt: skip
    data = json.dumps(body).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"Host: 127.0.0.1\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {len(data)}"
    writer.write(f"POST /v1/completions HTTP/1.0\r\n{head}\r\n\r\n".encode() + data)
    whole = await reader.read()
    writer.close()
    events = [json.loads(line) for line in re.findall(rb"^data: (\{.*\})\r?$", whole, re.MULTILINE)]
    text = "".join(choice["text"] for event in events for choice in event["choices"])
    return events[-1]["usage"]["completion_tokens"], text


async def through(lab: Server) -> int:
    """The same texts by as many learners of the lab; their tokens."""
    learners = [await Learner(lab.port).enter() for _ in range(STREAMS)]
    asked = (one.stream(max_new_tokens=TOKENS, **settings(place)) for place, one in enumerate(learners))
    await asyncio.gather(*asked)
    assert [one.errors for one in learners if one.errors] == []
    return sum(one.tokens for one in learners)


async def all_direct(name: str) -> int:
    return sum([tokens for tokens, _ in await asyncio.gather(*(direct(each, name) for each in range(STREAMS)))])


def test_32_streams_through_the_lab_beside_32_direct_ones(model, lab, record_property) -> None:
    """The same texts, in turn; the figures are processor time, as all run on the same cores."""
    asyncio.run(through(lab))  # what is read once is read
    cost = {"direct": 0.0, "served": 0.0, "lab": 0.0}
    tokens = {"direct": 0, "lab": 0}
    for _ in range(ROUNDS):
        began = seconds(int(PROCESS))
        tokens["direct"] += asyncio.run(all_direct(model.name))
        cost["direct"] += seconds(int(PROCESS)) - began
        began, ours = seconds(int(PROCESS)), seconds(lab.process.pid)
        tokens["lab"] += asyncio.run(through(lab))
        cost["served"] += seconds(int(PROCESS)) - began
        cost["lab"] += seconds(lab.process.pid) - ours
    assert tokens["lab"] == tokens["direct"] > 0
    until(lambda: metric("vllm:num_requests_running") == 0)
    over = (cost["served"] + cost["lab"]) / cost["direct"]
    record_property("direct, ms a token", f"{1000 * cost['direct'] / tokens['direct']:.3g}")
    record_property("lab's own, ms a token", f"{1000 * cost['lab'] / tokens['lab']:.3g}")
    record_property("lab over direct", f"{over:.3g}")
    assert not MOST or over < float(MOST), (cost, tokens)


def test_closed_pages_free_their_slots(lab: Server) -> None:
    """32 learners leave in the middle of their texts."""
    until(lambda: metric("vllm:num_requests_running") == 0)
    before = metric("vllm:generation_tokens_total")

    async def leave() -> None:
        learners = [await Learner(lab.port).enter() for _ in range(STREAMS)]
        asked = (one.stream(until=2, max_new_tokens=400, **settings(place)) for place, one in enumerate(learners))
        await asyncio.gather(*asked)

    asyncio.run(leave())
    until(lambda: lab.status()["scheduler"]["at_work"] == 0 and metric("vllm:num_requests_running") == 0)
    assert metric("vllm:generation_tokens_total") - before < STREAMS * 400 / 2
