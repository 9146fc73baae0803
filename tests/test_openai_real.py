"""The remote engine against a real server, whose address is in CAPOT_TEST_SERVER (``make test-llamacpp``)."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator

import pytest

import capot
from capot.engines.protocol import NOTHING, Capability, Engine, Feed, Want
from capot.errors import CapotError

ADDRESS = os.environ.get("CAPOT_TEST_SERVER", "")
PROMPT = "The capital of France is"
pytestmark = pytest.mark.skipif(not ADDRESS, reason="CAPOT_TEST_SERVER names no server")


@pytest.fixture(scope="module")
def model() -> Iterator[capot.Model]:
    with capot.open(ADDRESS) as opened:
        yield opened


def able(model: capot.Model, capability: Capability) -> bool:
    return capability in model.scheduler.engine.capabilities


def test_tokens_are_the_text(model: capot.Model) -> None:
    found = model.tokens("l'œuf bleu 🤗 !")
    assert b"".join(token.bytes for token in found.tokens) == "l'œuf bleu 🤗 !".encode()


def test_the_contract_of_an_engine(model: capot.Model) -> None:
    engine, ids = model.scheduler.engine, model.tokenizer.encode_prompt(PROMPT)
    assert isinstance(engine, Engine)
    sequence, other = engine.open_sequence(), engine.open_sequence()
    other.cancel()
    assert engine.step([Feed(engine.open_sequence(), ids, NOTHING)])[0].top is None
    found, left = engine.step([Feed(sequence, ids, Want(most=5)), Feed(other, ids)])
    assert left is None and sequence.ids == ids and found.top.tokens[0].text in ("", " Paris")
    again = engine.step([Feed(engine.open_sequence(), ids, Want(most=5))])[0]
    assert 0 < found.top.mass <= 1 and found.top == again.top


def test_next_and_generate_agree(model: capot.Model) -> None:
    likely = model.next(PROMPT, k=5)
    made = model.generate(PROMPT, temperature=0, max_new_tokens=4)
    assert made.tokens[0].text == likely.candidates[0].text and not likely.exact
    assert math.isclose(made.tokens[0].probability, likely.candidates[0].probability, abs_tol=0.02)
    assert "".join(
        event.text for event in model.stream(PROMPT, temperature=0, max_new_tokens=4) if event.kind == "step"
    )


def test_score_agrees_with_next_or_is_refused(model: capot.Model) -> None:
    if not able(model, Capability.ALL_LOGITS):
        with pytest.raises(CapotError):
            model.score(f"{PROMPT} Paris")
        return
    last = model.score(f"{PROMPT} Paris").tokens[-1]
    assert math.isclose(last.probability, model.next(PROMPT, rank=" Paris").asked[0].probability, abs_tol=0.02)


def test_seeds_and_stop_texts(model: capot.Model) -> None:
    if model.server.seed:
        one, again = (model.generate("Once upon", seed=5, max_new_tokens=8, temperature=1.0).text for _ in range(2))
        assert one == again
    whole = model.generate(PROMPT, temperature=0, max_new_tokens=20).text
    stop = whole[len(whole) // 2 :][:2]
    found = model.generate(PROMPT, temperature=0, max_new_tokens=20, stop=[stop])
    assert found.stop_reason == "stop_string" and found.text == whole[: whole.index(stop)]


def test_a_stopped_text_leaves_the_server_free(model: capot.Model) -> None:
    stream = model.stream(PROMPT, temperature=1.0, seed=1, max_new_tokens=400)
    next(stream), next(stream)
    stream.close()
    assert model.generate(PROMPT, temperature=0, max_new_tokens=2).text


def test_a_conversation(model: capot.Model) -> None:
    turn = model.chat(["Hi"], max_new_tokens=6, seed=1).turns[0]
    assert turn.assistant and turn.sent_tokens > 0
