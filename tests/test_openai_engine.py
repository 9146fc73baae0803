"""A model that a server has: every chapter that the protocol can carry, over a real socket."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from openai_server import CONTEXT, KEY, MOST, NAME, Fault, OpenAIServer, serving

import capot
from capot.chapters.assistant.chat_result import Conversation
from capot.cli import run
from capot.engines.cancellation import cancel_when
from capot.engines.protocol import NOTHING, Capability, Engine, Feed, Sequence, Want
from capot.errors import CapotError
from capot.text import sampling

PROMPT = "The capital of Japan is"
TEXT = "The capital of France is Paris, l'œuf."

server = pytest.fixture(scope="module")(serving)


@pytest.fixture(scope="module")
def model(server: OpenAIServer) -> Iterator[capot.Model]:
    with capot.open(server.url) as opened:
        yield opened


@pytest.fixture(scope="module")
def here() -> Iterator[capot.Model]:
    """The same model on this machine: what the server has, seen whole."""
    with capot.open("scripted") as opened:
        yield opened


@pytest.fixture
def plain() -> Iterator[tuple[OpenAIServer, capot.Model]]:
    """A server of texts alone, as llama-cpp-python's: no ids, no ranks, and no word of the stop text."""
    with OpenAIServer() as running:
        running.without = {"return_token_ids", "return_tokens_as_token_ids", "prompt ids", "prompt_logprobs", "stop"}
        with capot.open(running.url) as opened:
            yield running, opened


@pytest.fixture(autouse=True)
def no_faults(server: OpenAIServer) -> None:
    server.faults.clear()
    server.holding.clear()
    server.left.clear()


def code(work: Any) -> str:
    with pytest.raises(CapotError) as raised:
        work()
    assert raised.value.message("en") and raised.value.message("fr")
    return raised.value.code


# Opening.


def test_it_is_opened_by_its_address_and_named_by_the_server(model: capot.Model) -> None:
    assert (model.name, model.engine_name, model.obstacle) == (NAME, "openai", None)
    loaded = model.load()
    assert (loaded.engine, loaded.weights_bytes) == ("openai", 0) and loaded.device in loaded.words("en")


def test_the_environment_names_it_too(server: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAPOT_MODEL", f"{server.url}#{NAME}")
    with capot.open() as opened:
        assert opened.name == NAME


@pytest.mark.parametrize(
    "setting",
    [{"engine": "native"}, {"device": "cuda"}, {"dtype": "float16"}, {"revision": "main"}, {"compiled": True},
     {"trust_remote_code": True}],
    ids=lambda value: next(iter(value)),
)  # fmt: skip
def test_a_server_decides_for_itself(server: OpenAIServer, setting: dict[str, Any]) -> None:
    before = len(server.seen)
    assert code(lambda: capot.open(server.url, **setting)) == "server_setting"
    assert len(server.seen) == before


def test_the_key_goes_to_the_server_and_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAPOT_API_KEY", KEY)
    with OpenAIServer(key=KEY) as closed, capot.open(closed.url) as opened:
        answer = opened.generate(PROMPT, temperature=0, max_new_tokens=3)
        assert answer.text == " To" and all(each.headers["Authorization"] == f"Bearer {KEY}" for each in closed.seen)
        assert KEY not in repr(opened) + repr(vars(opened.shared.served)) + answer.to_json()


def test_a_page_of_the_hub_is_no_server() -> None:
    assert code(lambda: capot.open("https://huggingface.co/org/model-1B")) == "model_address"


# Chapters.


def test_tokens_are_the_servers(model: capot.Model, here: capot.Model) -> None:
    found, whole = model.tokens("l'œuf !"), here.tokens("l'œuf !")
    assert [token.id for token in found.tokens] == [token.id for token in whole.tokens]
    assert found.lossless and b"".join(token.bytes for token in found.tokens) == "l'œuf !".encode()
    assert found.vocabulary_size == 0 and "0 ids" not in found.to_text("en")


def test_next_tells_what_is_seen_and_no_more(model: capot.Model, here: capot.Model) -> None:
    found, whole = model.next("The ca", k=MOST), here.next("The ca", k=MOST)
    assert [each.id for each in found.candidates] == [each.id for each in whole.candidates]
    for one, other in zip(found.candidates, whole.candidates, strict=True):
        assert math.isclose(one.probability, other.probability, abs_tol=1e-6)
    assert not found.exact and found.seen < 1
    assert math.isclose(found.seen, sum(each.probability for each in whole.candidates), abs_tol=1e-6)
    assert found.entropy_bits < whole.entropy_bits and len(found.logits) == 0
    for lang, word in (("en", "at least"), ("fr", "au moins")):
        assert word in found.to_text(lang)
    json.loads(found.to_json())


def test_whole_distributions_say_that_they_are(here: capot.Model) -> None:
    found = here.next("The ca")
    assert found.exact and found.seen == 1 and "at least" not in found.to_text("en")
    assert Capability.WHOLE in here.scheduler.engine.capabilities


def test_the_rank_of_any_token_where_the_server_scores(model: capot.Model, here: capot.Model) -> None:
    for asked in ("id:7", "id:101"):  # far behind, and among the first
        one, other = model.next("The ca", k=3, rank=[asked]).asked[0], here.next("The ca", k=3, rank=[asked]).asked[0]
        assert one.rank == other.rank and math.isclose(one.probability, other.probability, abs_tol=1e-6)


def test_a_rank_that_cannot_be_had_is_refused(plain: tuple[OpenAIServer, capot.Model]) -> None:
    _, opened = plain
    assert opened.next("The ca", rank=["p"]).asked[0].rank == 1
    assert code(lambda: opened.next("The ca", rank=["\x07"])) == "server_rank"


@pytest.mark.parametrize(
    "settings",
    [{"temperature": 0}, {"top_k": 5, "temperature": 0.5}, {"top_p": 0.5}, {"min_p": 0.2, "temperature": 2.0},
     {"top_k": 8, "top_p": 0.9, "min_p": 0.01, "temperature": 1.5}],
    ids=str,
)  # fmt: skip
def test_filters_are_exact_where_what_is_seen_is_enough(model: capot.Model, here: capot.Model, settings: dict) -> None:
    found, whole = model.next("The ca", k=10, **settings), here.next("The ca", k=10, **settings)
    assert found.kept == whole.kept
    for one, other in zip(found.candidates, whole.candidates, strict=True):
        assert math.isclose(one.probability, other.probability, abs_tol=1e-5)
    assert math.isclose(found.entropy_bits, whole.entropy_bits, abs_tol=1e-4)


@pytest.mark.parametrize("settings", [{"temperature": 2.0}, {"top_p": 0.9999999, "temperature": 1.0}, {"top_k": 100}])
def test_a_draw_that_depends_on_what_is_not_seen_is_refused(model: capot.Model, settings: dict) -> None:
    assert code(lambda: model.next("zq", k=3, **settings)) == "server_filter"


def test_score_is_the_models_own(model: capot.Model, here: capot.Model) -> None:
    found, whole = model.score(TEXT), here.score(TEXT)
    assert found.bits is not None and math.isclose(found.bits, whole.bits, rel_tol=1e-4) and not found.exact
    assert [token.rank for token in found.tokens] == [token.rank for token in whole.tokens]
    pairs = list(zip(found.tokens, whole.tokens, strict=True))[1:]
    assert all(one.entropy_bits <= other.entropy_bits + 1e-4 for one, other in pairs)
    assert [one.expected.id for one, _ in pairs] == [other.expected.id for _, other in pairs]


def test_score_where_the_prompt_is_repeated(plain: tuple[OpenAIServer, capot.Model], here: capot.Model) -> None:
    """Ranks are those of the tokens that are told; of the others there is none."""
    found, whole = plain[1].score("The capital of QZ"), here.score("The capital of QZ")
    assert math.isclose(found.bits, whole.bits, rel_tol=1e-4)
    for one, other in list(zip(found.tokens, whole.tokens, strict=True))[1:]:
        assert one.rank == other.rank if other.rank <= 10 else one.rank is None
    assert "–" in found.to_text("en")


def test_generate_streams_the_same_text_with_its_figures(model: capot.Model, here: capot.Model) -> None:
    settings = {"temperature": 0, "max_new_tokens": 12}
    found, whole = model.generate(PROMPT, **settings), here.generate(PROMPT, **settings)
    assert (found.text, found.stop_reason) == (whole.text, whole.stop_reason)
    assert [token.id for token in found.tokens] == [token.id for token in whole.tokens]
    for one, other in zip(found.tokens, whole.tokens, strict=True):
        assert math.isclose(one.logprob, other.logprob, abs_tol=1e-4) and one.rank == other.rank
        assert [each.id for each in one.alternatives] == [each.id for each in other.alternatives]
    assert (found.prompt_tokens, found.reused_tokens) == (len(PROMPT), len(PROMPT) // 16 * 16)
    for lang in ("en", "fr"):
        assert found.to_text(lang)


def test_the_pieces_of_a_stream_are_its_text(model: capot.Model) -> None:
    events = list(model.stream("l'œuf et le b", temperature=0, max_new_tokens=40))
    kinds = [event.kind for event in events]
    assert kinds[0] == "started" and set(kinds[1:-1]) == {"step"}
    assert "".join(event.text for event in events[1:]) == events[-1].generation.text


def test_a_seed_gives_its_text_back_and_a_branch_goes_on(model: capot.Model) -> None:
    settings = {"temperature": 1.0, "max_new_tokens": 20}
    one, again, other = (model.generate("The", seed=seed, **settings) for seed in (7, 7, 8))
    assert one.text == again.text != other.text
    ids = [*one.prompt_ids, *(token.id for token in one.tokens[:5])]
    branch = model.generate("The", ids=ids, first_draw=5, seed=7, **settings)
    assert branch.prompt_ids == tuple(ids) and branch.tokens[0].draw == 5
    assert one.tokens[0].chance == one.tokens[0].probability


def test_what_a_draw_had_for_a_chance_is_left_open_where_it_is_not_known(model: capot.Model) -> None:
    assert model.generate("zq", temperature=1.5, max_new_tokens=1, seed=1).tokens[0].chance is None


def asked_last(server: OpenAIServer) -> dict[str, Any]:
    """The last text that was asked for; questions for what tokens stand for may follow it."""
    return [seen.body for seen in server.seen if seen.path.endswith("/completions")][-1]


@pytest.mark.parametrize("lang", ["en", "fr"])
def test_of_a_cache_nothing_is_said_where_the_server_tells_nothing(model, monkeypatch, lang: str) -> None:
    import openai_server as module

    told = model.generate(PROMPT, max_new_tokens=2, seed=1)
    right = module.texts

    def silent(ids: list[int], body: dict[str, Any]) -> Iterator[dict[str, Any]]:
        for event in right(ids, body):
            event.get("usage", {}).pop("prompt_tokens_details", None)
            yield event

    monkeypatch.setattr(module, "texts", silent)
    found = model.generate(PROMPT, max_new_tokens=2, seed=1)
    assert told.reused_tokens == len(PROMPT) // 16 * 16 and found.reused_tokens is None
    words = {"en": "reused", "fr": "repris"}[lang]
    assert words in told.to_text(lang) and words in told.summary(lang)
    assert words not in found.to_text(lang) and words not in found.summary(lang)
    assert next(model.stream(PROMPT, max_new_tokens=2, seed=1)).reused_tokens is None  # its bill comes at the end


def test_a_stop_text_ends_it_and_the_bill_still_comes(model: capot.Model, server: OpenAIServer) -> None:
    found = model.generate(PROMPT, temperature=0, stop=["kyo"])
    assert (found.text, found.stop_string, found.stop_reason) == (" To", "kyo", "stop_string")
    assert found.reused_tokens == 16 and asked_last(server)["stop"] == ["kyo"]
    beyond = model.generate(PROMPT, temperature=0, stop=["kyo"], after_stop=1)
    assert (beyond.text, beyond.after_stop) == (" To", ".") and "stop" not in asked_last(server)


def test_a_stop_text_where_the_server_does_not_say_which(plain: tuple[OpenAIServer, capot.Model]) -> None:
    running, opened = plain
    found = opened.generate(PROMPT, temperature=0, stop=["kyo"])
    assert (found.text, found.stop_string, found.stop_reason) == (" To", "kyo", "stop_string")
    assert "stop" not in asked_last(running) and asked_last(running)["prompt"] == PROMPT


@pytest.mark.parametrize("more", [{}, {"stop": ["kyo"]}, {"stop": ["kyo"], "after_stop": 2}, {"stop": ["e c"]}])
@pytest.mark.parametrize("names_stop", [True, False])
def test_tokens_that_come_together_are_told_apart(more: dict[str, Any], names_stop: bool) -> None:
    """A server under load joins several tokens in one event: each has its own text and figures all the same."""
    with OpenAIServer() as running:
        running.without = set() if names_stop else {"stop"}
        settings = {"temperature": 0.7, "seed": 4, "max_new_tokens": 12, **more}
        with capot.open(running.url) as opened:
            found = []
            for running.joined in (1, 2, 3, 5):
                events = list(opened.stream(PROMPT, **settings))
                made = events[-1].generation
                steps = [(event.text, event.token_text) for event in events if event.kind == "step"]
                tokens = [dataclasses.replace(token, seconds=0.0) for token in made.tokens]
                found.append((made.text, made.stop_reason, made.stop_string, made.after_stop, tokens, steps))
            assert found[0] == found[1] == found[2] == found[3]


def test_an_end_by_itself_is_told_as_such(model: capot.Model, here: capot.Model) -> None:
    found, whole = (each.generate("The capital of Japan is Tokyo", temperature=0) for each in (model, here))
    assert (found.text, found.stop_reason) == (whole.text, "end_token")


def test_texts_alone_are_enough_to_generate(plain: tuple[OpenAIServer, capot.Model], here: capot.Model) -> None:
    found = plain[1].generate(PROMPT, temperature=0, max_new_tokens=6)
    assert found.text == here.generate(PROMPT, temperature=0, max_new_tokens=6).text
    assert [token.text for token in found.tokens] == list(found.text)
    assert {token.id for token in found.tokens if token.text in " Tk"} != {-1}


def test_tokens_that_were_no_text_are_refused_where_texts_alone_are_taken(plain) -> None:
    assert code(lambda: plain[1].generate("", ids=[1, 2, 3])) == "server_no_ids"


def test_the_assistant_asks_in_every_way_that_the_files_allow(model: capot.Model) -> None:
    found = model.assistant("Hi", max_new_tokens=5, seed=1)
    assert [answer.kind for answer in found.answers] == ["raw", "few_shot", "stopped"]
    assert found.missing == ("chat_template",)


def test_the_bill_of_a_conversation_is_the_servers(model: capot.Model) -> None:
    found = model.chat(["Hi", "And?"], max_new_tokens=5, seed=1, price_in=2.0, price_out=4.0)
    for turn in found.turns:
        assert turn.sent_tokens - turn.computed_tokens == turn.sent_tokens // 16 * 16 > 0


@pytest.mark.parametrize(("lang", "cache"), [("en", "does not say"), ("fr", "ne dit pas")])
def test_what_a_server_does_not_say_of_its_cache_is_not_zero(
    model: capot.Model, monkeypatch: pytest.MonkeyPatch, lang: str, cache: str
) -> None:
    """Neither in the bill of a conversation, nor in its JSON, nor behind ``next``."""
    import openai_server as module

    talk = model.chat(["Hi"], max_new_tokens=3, seed=1)
    right = module.texts

    def silent(ids: list[int], body: dict[str, Any]) -> Iterator[dict[str, Any]]:
        return (event for event in right(ids, body) if event["choices"])  # no word of its usage

    monkeypatch.setattr(module, "texts", silent)
    found = model.chat(["And?"], conversation=talk.to_dict(), max_new_tokens=3, seed=1, price_in=2.0, price_out=4.0)
    assert talk.computed_tokens is not None
    assert [turn.computed_tokens for turn in found.turns] == [talk.computed_tokens, None]
    bill = found.to_dict()["bill"]
    assert (bill["computed_tokens"], bill["cost_of_computed"]) == (None, None) and bill["cost"] > 0
    assert bill["cumulative_computed"] == [talk.computed_tokens, None]
    told = found.to_text(lang)
    assert told.count(cache) == 3 and "–" in told and "None" not in told + repr(found)
    again = Conversation.from_dict(json.loads(found.to_json()))
    assert again.computed_tokens is None and again.to_text(lang) == told
    assert model.next(PROMPT).reused_tokens is None


def test_memory_is_computed_by_formula_and_not_measured(model: capot.Model) -> None:
    assert code(model.memory) == "server_cannot"
    assert model.memory(simulate=True, known="Llama-3.2-1B").rows


@pytest.mark.parametrize(
    "ask",
    [
        lambda model: model.embed(["cat"]),
        lambda model: model.context("bank", sentences=["a bank", "the bank"]),
        lambda model: model.lens("a"),
        lambda model: model.network("a"),
        lambda model: model.hidden("a"),
        lambda model: model.ablate("a", heads=["1.1"]),
        lambda model: model.patch("a", source="b", layer=3),
        lambda model: model.steer("a", toward="b", away="c", layer=3),
    ],
    ids=["embed", "context", "lens", "network", "hidden", "ablate", "patch", "steer"],
)
def test_what_no_server_tells_is_refused_with_what_to_do(model: capot.Model, ask: Any) -> None:
    # The table of a model that the hub may have is looked for there, where the hub may be asked.
    assert code(lambda: ask(model)) in ("server_cannot", "no_checkpoint", "hub_offline")


def test_a_token_that_several_texts_meet_is_asked_of_the_server_once() -> None:
    """Whoever leaves meanwhile ends nobody else's question."""
    with OpenAIServer() as running, capot.open(running.url) as model:
        vocabulary = model.scheduler.served.vocabulary
        running.seen.clear()

        async def together() -> list[Any]:
            texts = [asyncio.create_task(vocabulary.learn(ids)) for ids in ([65, 66], [66, 65], [65], [66, 67])]
            await asyncio.sleep(0)  # all have begun
            texts[0].cancel()
            return await asyncio.gather(*texts, return_exceptions=True)

        left, *others = model.scheduler.served.client.wait(together())
        assert isinstance(left, asyncio.CancelledError) and others == [None] * 3
        assert running.paths() == ["/detokenize"] * 3
        assert [vocabulary.token_bytes(token) for token in (65, 66, 67)] == [b"A", b"B", b"C"]


def test_a_server_without_a_tokenizer_or_log_probabilities_is_told_what_to_do() -> None:
    with OpenAIServer() as bare:
        bare.without = {"tokenize", "logprobs", "return_token_ids"}
        with capot.open(bare.url) as opened:
            assert code(lambda: opened.tokens("a")) == "server_no_tokenizer"
            assert code(lambda: opened.next("a", ids=[1])) == "server_no_logprobs"


# The engine protocol.


def test_it_keeps_the_contract_of_an_engine(model: capot.Model, here: capot.Model) -> None:
    engine, whole = model.scheduler.engine, here.scheduler.engine
    assert isinstance(engine, Engine) and isinstance(engine.open_sequence(), Sequence)
    sequence, other, ids = engine.open_sequence(), engine.open_sequence(), list(PROMPT.encode())
    assert engine.step([Feed(sequence, ids[:9], NOTHING)])[0].top is None
    other.cancel()
    found, left = engine.step([Feed(sequence, ids[9:], Want(most=5)), Feed(other, ids)])
    assert left is None and other.ids == [] and sequence.ids == ids
    logits = whole.step([Feed(whole.open_sequence(), ids)])[0].logits
    assert [token.id for token in found.top.tokens] == sampling.top_tokens(logits, 5).tolist()
    shares = np.log(sampling.softmax(logits))
    assert all(math.isclose(token.logprob, shares[token.id], abs_tol=1e-4) for token in found.top.tokens)
    sequence.crop(3)
    assert sequence.ids == ids[:3] and engine.cache_bytes(100) == 0
    for wrong in ([], [5] * 257):
        with pytest.raises(ValueError, match="a feed of"):
            engine.step([Feed(sequence, wrong)])


def test_a_text_too_long_is_refused_before_it_is_sent(model: capot.Model, server: OpenAIServer) -> None:
    before = len(server.seen)
    assert code(lambda: model.next("", ids=[5] * (CONTEXT + 1))) == "prompt_too_long"
    assert len(server.seen) == before


# What goes wrong.


def test_a_cut_stream_ends_with_what_came_and_an_error(model: capot.Model, server: OpenAIServer) -> None:
    server.faults.append(Fault(after=4, cut=True))
    pieces = []

    def read() -> None:
        for event in model.stream(PROMPT, temperature=0, max_new_tokens=9):
            pieces.append(event)

    assert code(read) == "server_cut"
    assert "".join(event.text for event in pieces[1:]) == " Tok"
    assert model.generate(PROMPT, temperature=0, max_new_tokens=3).text == " To"  # the next one is whole


def test_a_stopped_stream_frees_the_slot_of_the_server(model: capot.Model, server: OpenAIServer) -> None:
    server.faults.append(Fault(after=3, held=True))
    stream = model.stream(PROMPT, temperature=0, max_new_tokens=50)
    came = [next(stream) for _ in range(4)]  # it has begun, and three tokens
    assert came[-1].kind == "step" and server.holding.wait(30) and server.at_work == 1
    stream.cancel()
    last = list(stream)[-1]
    assert last.generation.stop_reason == "interrupted" and last.generation.text == " To"
    assert server.left.wait(30)


def test_a_silent_server_keeps_nobody_from_leaving(model: capot.Model, server: OpenAIServer) -> None:
    """Cancellation reaches a request to which nothing was answered yet."""
    server.faults.append(Fault(after=0, held=True))
    stream = model.stream(PROMPT, temperature=0)
    assert server.holding.wait(30)
    stream.close()
    assert server.left.wait(30)


def test_one_that_is_held_keeps_no_other_waiting(model: capot.Model, server: OpenAIServer) -> None:
    server.faults.append(Fault(after=2, held=True))
    held = model.stream(PROMPT, temperature=0)
    assert server.holding.wait(30)
    assert model.next("The ca", k=1).candidates[0].text == "p"
    held.close()


def test_texts_beyond_the_bound_wait_their_turn_and_end_when_nobody_wants_them(server: OpenAIServer) -> None:
    from capot.engines.openai.scheduler import ServedScheduler

    with capot.open(server.url) as opened:
        engine = opened.scheduler.engine
        opened.shared.at_work = narrow = ServedScheduler(engine, at_once=1)
        server.faults.append(Fault(after=1, held=True))
        first = opened.stream(PROMPT, temperature=0)
        assert server.holding.wait(30)
        second, third = (opened.stream(PROMPT, temperature=0, max_new_tokens=2) for _ in range(2))
        assert (narrow.status()["at_work"], narrow.status()["waiting"]) == (1, 2)
        second.cancel()
        assert list(second)[-1].generation.stop_reason == "interrupted"
        first.close()
        assert list(third)[-1].generation.text == " T"


def test_closing_ends_what_is_under_way(server: OpenAIServer) -> None:
    opened = capot.open(server.url)
    opened.load()
    server.faults.append(Fault(after=2, held=True))
    stream = opened.stream(PROMPT, temperature=0)
    assert server.holding.wait(30)
    opened.close()
    assert list(stream)[-1].generation.stop_reason == "interrupted"
    assert code(lambda: opened.next("a")) == "closed"


def test_a_learner_who_leaves_is_not_waited_for(model: capot.Model, server: OpenAIServer) -> None:
    server.faults.append(Fault(dropped=True))
    with cancel_when(lambda: True), pytest.raises(CapotError):
        model.tokens("never cut before")


# The command line.


def test_the_command_line_asks_a_server(server: OpenAIServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["next", "The ca", "-k", "3", "--model", server.url]) == 0
    told = capsys.readouterr().out
    assert "at least" in told and NAME in told


@pytest.mark.parametrize(("lang", "word"), [("en", "each token with its rank"), ("fr", "chaque token avec son rang")])
def test_the_card_says_what_the_server_was_seen_to_do(server, capsys, lang: str, word: str) -> None:
    assert run(["card", "--model", server.url, "--lang", lang]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert word in told and server.url.split("//")[1].split("/")[0] in told and NAME in told


def test_files_of_the_servers_folder_are_used_where_they_cut_as_it_does(tmp_path, monkeypatch) -> None:
    """Only where the server is on this machine, and only those that cut a text into the same ids."""
    from capot.engines.openai import served
    from capot.model import BOXED

    with OpenAIServer() as running:
        opened = served.open_served(running.url)
        opened.model = dataclasses.replace(opened.model, source=str(BOXED))
        assert served.files_of(opened).path == BOXED
        monkeypatch.setattr(served, "open_served", lambda _: opened)
        with capot.open(running.url) as model:  # its bytes are no tokens of the boxed model
            assert model.shared.checkpoint is None
            with pytest.raises(CapotError):
                model.checkpoint  # noqa: B018
        far = dataclasses.replace(opened.client.address, base="http://192.0.2.1/v1")
        opened.client.address = far
        assert served.files_of(opened) is None


# The lab.


def test_the_lab_shows_the_model_and_answers_for_it(model: capot.Model) -> None:
    from fastapi.testclient import TestClient

    from capot.web.app import create_app

    with TestClient(create_app(model), base_url="http://127.0.0.1:8420") as lab:
        told = lab.get("/api/model").json()["result"]
        assert (told["engine"], told["model"], told["parameters"]) == ("openai", NAME, None)
        found = lab.post("/api/next", json={"prompt": "The ca", "k": 3}).json()["result"]
        assert not found["exact"] and [each["text"] for each in found["candidates"]] == ["p", "t", " "]


def test_the_lab_has_a_card_of_what_the_server_does(model: capot.Model) -> None:
    from lab_helpers import asgi, scripted
    from starlette.testclient import TestClient

    from capot.web.app import create_app

    with TestClient(create_app(model), base_url="http://127.0.0.1:8420") as lab:
        told = lab.get("/api/served").json()["result"]
        assert told["card"]["server"]["prompt_logprobs"] == MOST and "each token with its rank" in str(told["view"])
        french = lab.get("/api/served", headers={"accept-language": "fr"}).json()["result"]
        assert "chaque token avec son rang" in str(french["view"])
    with asgi(scripted()) as lab:
        assert lab.get("/api/served").json()["error"]["code"] == "no_such_page"


def test_a_context_that_no_server_tells_is_told_as_unknown() -> None:
    from lab_helpers import asgi

    with OpenAIServer() as running:
        running.without = {"max_model_len"}
        with asgi(opened := capot.open(running.url)) as lab:
            assert opened.server.context_length is None
            assert lab.get("/api/model").json()["result"]["context_length"] is None


def test_no_page_of_the_lab_names_a_server_its_owners_neither(server: OpenAIServer) -> None:
    """The key of the environment would go there."""
    from lab_helpers import asgi, scripted

    before = len(server.seen)
    with asgi(scripted(), owner_key="the-owner") as lab:
        lab.get("/?code=the-owner")
        assert lab.get("/api/model").json()["result"]["owner"] is True
        with lab.stream("POST", "/api/open", json={"model": server.url}) as answer:
            assert "server_in_lab" in answer.read().decode()
    assert len(server.seen) == before
