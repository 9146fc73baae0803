"""The chapter ``score``: what ``next`` says of each token of a text, in bounded memory."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator
from pathlib import Path

import embeddings_helpers
import native_helpers
import numpy as np
import pytest

import capot
from capot.chapters.score import result, verb
from capot.config import Serving
from capot.engines import protocol
from capot.engines.protocol import Capability, Want
from capot.engines.scheduler import Job, Scheduler
from capot.engines.scripted import ScriptedEngine
from capot.errors import BusyError, CapabilityError, CapotError
from capot.i18n import LANGUAGES
from capot.model import Model
from capot.view.blocks import Strip, Table
from capot.web.request_scope import job_bytes

TEXT = "The capital of France is London."
GREEN = "The river bank is green. The cat in the house."


@pytest.fixture(scope="module")
def boxed() -> Iterator[Model]:
    with capot.open() as model:
        yield model


def scripted() -> tuple[Model, list[int]]:
    """The scripted model, and how many tokens each of its steps reads."""
    fed: list[int] = []
    model = capot.open("scripted")
    engine = ScriptedEngine(before_step=lambda feeds: fed.extend(len(feed.ids) for feed in feeds))
    model.shared.at_work = Scheduler(engine)
    return model, fed


def test_each_token_has_the_numbers_that_next_gives(boxed: Model) -> None:
    found, ids = boxed.score(TEXT), boxed.tokenizer.encode_prompt(TEXT)
    assert [token.id for token in found.tokens] == ids[1:]  # behind the BOS
    for place, token in enumerate(found.tokens, start=1):
        answer = boxed.next("", ids=ids[:place], k=1, rank=[f"id:{token.id}"])
        (asked,), top = answer.asked, answer.candidates[0]
        assert (token.probability, token.rank) == (asked.probability, asked.rank)
        assert (token.expected.id, token.expected.probability) == (top.id, top.probability)
        assert token.entropy_bits == answer.model_entropy_bits
        assert token.bits == pytest.approx(-math.log2(token.probability), abs=1e-9)


def test_totals_are_of_the_tokens_that_have_a_probability(boxed: Model) -> None:
    found = boxed.score(TEXT)
    assert found.bits == pytest.approx(sum(token.bits for token in found.tokens))
    assert found.perplexity == pytest.approx(2 ** (found.bits / len(found.tokens)))
    assert found.bits_per_byte == pytest.approx(found.bits / len(TEXT.encode()))
    with capot.open("scripted") as model:  # has no BOS
        bare = model.score("épi")
        assert bare.tokens[0].bits is bare.tokens[0].expected is bare.tokens[0].rank is None
        known = [token.bits for token in bare.tokens[1:]]
        assert bare.perplexity == pytest.approx(2 ** (sum(known) / len(known)))
        assert bare.bits_per_byte == pytest.approx(sum(known) / (len("épi".encode()) - 1))
        alone = model.score("e")
        assert (alone.bits, alone.perplexity, alone.bits_per_byte) == (None, None, None)
        for lang, words in (("en", "no probability"), ("fr", "pas de probabilité")):
            assert words in " ".join(alone.to_text(lang).split())


def test_json_is_as_documented(boxed: Model) -> None:
    found = json.loads(boxed.score(TEXT).to_json())
    assert list(found) == ["text", "tokens", "bits", "perplexity", "bits_per_byte", "exact"]
    assert list(found["tokens"][0]) == ["id", "text", "bits", "rank", "probability", "expected", "entropy_bits"]
    assert list(found["tokens"][0]["expected"]) == ["id", "text", "probability"]


def test_chunks_and_caches_change_nothing(boxed: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    text = TEXT * 40  # some chunks of it
    found = boxed.score(text)
    boxed.next(text, k=1)  # leaves a cache that begins alike
    assert boxed.score(text) == found
    monkeypatch.setattr(protocol, "BLOCK_BYTES", 4 * 7 * boxed.scheduler.engine.info.vocabulary_size)
    assert boxed.score(text) == found


def test_no_more_than_a_block_of_logits_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    model, fed = scripted()
    monkeypatch.setattr(protocol, "BLOCK_BYTES", 4 * 10 * model.scheduler.engine.info.vocabulary_size)
    with model:
        context = model.scheduler.engine.info.context_length
        assert len(model.score("a" * context).tokens) == context
        assert max(fed) == 10 and sum(fed) == context
        engine, ids = model.scheduler.engine, [97] * context
        heard = job_bytes(Job(ids, want=Want("all", on_logits=lambda *_: None)), engine)
        size = engine.info.vocabulary_size
        assert heard == job_bytes(Job(ids, want=Want("none")), engine) + 4 * 10 * size
        assert job_bytes(Job(ids, want=Want("all")), engine) == heard + 4 * (context - 10) * size


def test_nothing_is_gathered(boxed: Model) -> None:
    firsts: list[int] = []
    want = Want("all", on_logits=lambda first, logits: firsts.extend(range(first, first + len(logits))))
    found = boxed.scheduler.run([5] * 300, want=want)
    assert found.output.logits is None and firsts == list(range(300))


def test_an_error_of_who_hears_is_the_job_s_own(boxed: Model) -> None:
    def on_logits(first: int, logits: np.ndarray) -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        boxed.scheduler.run([5, 6], want=Want("all", on_logits=on_logits))
    assert boxed.next("The", k=1).candidates


@pytest.mark.parametrize(("text", "code"), [("", "empty_prompt"), ("a" * 5000, "prompt_too_long")])
def test_what_is_refused_is_refused_before_the_work(text: str, code: str) -> None:
    model, fed = scripted()
    with model, pytest.raises(CapotError) as caught:
        model.score(text)
    assert caught.value.code == code and fed == []
    for lang in LANGUAGES:
        assert "{" not in caught.value.message(lang)


def test_an_engine_without_all_logits_is_refused() -> None:
    model, _ = scripted()
    model.shared.at_work = Scheduler(ScriptedEngine(capabilities=Capability.LOGITS))
    with model, pytest.raises(CapabilityError):
        model.score("abc")


def test_what_it_may_hold_is_counted_before_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    model, fed = scripted()

    def full(need: int) -> None:
        assert need == 100 * verb.BYTES_OF_TOKEN
        raise BusyError("too_much_memory", needed=need, held=0, limit=Serving().max_cache_bytes)

    monkeypatch.setattr(model.scheduler, "holding", full)
    with model, pytest.raises(BusyError):
        model.score("a" * 100)
    assert fed == []


def test_the_view_shades_by_surprise_and_lists_the_most_surprising(boxed: Model) -> None:
    found = boxed.score(TEXT)
    strip = next(block for block in found.view("fr") if isinstance(block, Strip))
    weights = [piece.weight for piece in strip.pieces]
    assert np.argsort(weights).tolist() == np.argsort([token.bits for token in found.tokens]).tolist()
    table = next(block for block in found.view("en") if isinstance(block, Table))
    london = next(row for row in table.rows if row[1] == "·London")
    assert london[5] == "·Paris" and london[0] == "5"
    assert [float(row[2]) for row in table.rows] == sorted((float(row[2]) for row in table.rows), reverse=True)


def test_a_perplexity_is_told_as_what_a_text_costs(boxed: Model) -> None:
    """It may be more than the vocabulary has: nothing hesitates among more tokens than there are."""
    found = dataclasses.replace(boxed.score("a"), perplexity=283_024.22)
    assert found.perplexity > boxed.scheduler.engine.info.vocabulary_size
    for lang, cost in (("en", "the text costs as much"), ("fr", "le texte coûte autant")):
        said = " ".join(found.to_text(lang).replace("\u00a0", " ").split())
        assert cost in said and "hesitated" not in said and "a hésité" not in said
        assert {"en": "Perplexity 283,000", "fr": "Perplexité 283 000"}[lang] in said.replace("\u202f", " ")


@pytest.mark.parametrize("engine", ["native", "hf"])
@pytest.mark.parametrize(("family", "bos"), [("llama", True), ("qwen3", False)])
def test_it_is_the_log_softmax_of_transformers(tmp_path: Path, family: str, bos: bool, engine: str) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("accelerate")
    folder = embeddings_helpers.make(tmp_path, family=family)
    if not bos:
        tokenizer = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
        tokenizer["post_processor"] = None
        (folder / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    options = {"device": "cpu"} if engine == "hf" else {}
    with capot.open(folder, engine=engine, **options) as model:
        found, ids = model.score(GREEN), model.tokenizer.encode_prompt(GREEN)
    assert (found.tokens[0].bits is not None) == bos and len(ids) == len(found.tokens) + bos
    with torch.no_grad():
        logs = torch.log_softmax(native_helpers.load(folder)(torch.tensor([ids])).logits[0].float(), -1).numpy()
    scored = found.tokens if bos else found.tokens[1:]
    expected = [-logs[place, token] / math.log(2) for place, token in enumerate(ids[1:])]
    np.testing.assert_allclose([token.bits for token in scored], expected, rtol=1e-4, atol=1e-4)
    assert [token.expected.id for token in scored] == logs[:-1].argmax(-1).tolist()
    entropies = -(np.exp(logs) * logs).sum(-1)[:-1] / math.log(2)
    np.testing.assert_allclose([token.entropy_bits for token in scored], entropies, rtol=1e-4, atol=1e-4)


def test_a_long_text_says_how_much_of_it_is_drawn() -> None:
    with capot.open("scripted") as model:
        found = model.score("a" * (result.DRAWN + 1))
    for lang, words in (("en", "Of 1,001 tokens the first 1,000"), ("fr", "Sur 1 001 tokens, les 1 000 premiers")):
        strip = next(block for block in found.view(lang) if isinstance(block, Strip))
        told = " ".join(found.to_text(lang).replace("\u202f", " ").replace("\u00a0", " ").split())
        assert len(strip.pieces) == result.DRAWN and words in told
