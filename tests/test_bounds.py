"""What one request costs is bounded beforehand, counted in its learner's account, and ends when its learner leaves."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import json
import math
import random
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lab_helpers import Live, Reader, asgi, asked, part, scripted, until
from pydantic import ValidationError

import capot
from capot import i18n
from capot.chapters.assistant import chat as conversation
from capot.chapters.assistant import ways
from capot.chapters.assistant.chat_result import Conversation, Exchange
from capot.chapters.embeddings import embed as vectors
from capot.chapters.generate.result import Alternative, Step
from capot.chapters.memory.sizes import lengths, parse_size
from capot.chapters.next.verb import resolve
from capot.chapters.token_texts import TokenShare
from capot.chapters.tokens import verb as tokens
from capot.config import Sampling, Serving
from capot.engines.cancellation import cancel_when, check_cancelled
from capot.engines.protocol import Want
from capot.engines.scheduler import Job
from capot.errors import BusyError, CapotError, ContextError, InputError, InterruptedByUser
from capot.model import Model
from capot.text.templates import PlainTemplate, Prompt, plain
from capot.text.tokenizer import Tokenizer, files, ranks
from capot.text.tokenizer.vocabulary import LONG
from capot.view.result import to_jsonable
from capot.web import bounds, error_handlers, json_body, json_writer
from capot.web.request_scope import MemoryAccount, job_bytes
from capot.web.stream_jobs import StreamJob
from capot.web.verbs import verbs

DIGITS = "9" * 400
HUGE = 10**400
CLASS = Serving(host="0.0.0.0", access_code="code-code")


@pytest.fixture(scope="module")
def boxed() -> Iterator[Model]:
    with capot.open("boxed") as model:
        yield model


def refusal(call: Callable[[], Any]) -> CapotError:
    with pytest.raises(CapotError) as caught:
        call()
    for lang in i18n.LANGUAGES:
        assert "9" * 100 not in caught.value.message(lang) and "0" * 100 not in caught.value.message(lang)
    return caught.value


# Numbers of any size.


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda: Sampling(max_new_tokens=HUGE), "out_of_range"),
        (lambda: Sampling(temperature=-(10**5000)), "out_of_range"),
        (lambda: Sampling(temperature=1e308), "out_of_range"),
        (lambda: Sampling(seed="9" * 5000), "not_whole"),
        (lambda: parse_size(HUGE), "bad_size"),
        (lambda: parse_size(DIGITS + "GB"), "bad_size"),
        (lambda: parse_size("1" + " " * 200_000 + "x"), "bad_size"),
        (lambda: lengths([HUGE]), "bad_length"),
        (lambda: lengths("9" * 5000), "bad_length"),
        (lambda: lengths([1.5]), "bad_length"),
        (lambda: resolve(Tokenizer.bytes(), "id:" + "9" * 5000), "not_an_id"),
        (lambda: Conversation.from_dict({"price_in": HUGE}), "out_of_range"),
        (lambda: Conversation.from_dict({"price_in": float("nan")}), "out_of_range"),
        (lambda: vectors.embed(None, ["a"], near=HUGE), "out_of_range"),
        (lambda: vectors.embed(None, ["a"], near=DIGITS), "not_a_number"),
    ],
)
def test_a_number_of_any_size_is_refused_in_few_words(call: Callable[[], Any], code: str) -> None:
    assert refusal(call).code == code


def turn(**changed: Any) -> dict[str, Any]:
    numbers = ("sent_tokens", "computed_tokens", "generated_tokens", "first_token_s", "total_s", "dropped_turns")
    return {"user": "a", "assistant": "b", **dict.fromkeys(numbers, 1), **changed}


@pytest.mark.parametrize("wrong", [HUGE, 10**13, -1, float("nan"), float("inf"), 1e308, True, "1", None])
@pytest.mark.parametrize("name", ["sent_tokens", "total_s"])
def test_a_bill_that_comes_back_holds_numbers_of_its_size(name: str, wrong: Any) -> None:
    assert refusal(lambda: Exchange.from_dict(turn(**{name: wrong}))).code == "conversation_field"


def test_numbers_that_nobody_reads_are_written_as_powers_of_ten() -> None:
    assert i18n.number(3 * 10**400, "en") == "3.0 × 10⁴⁰⁰" and i18n.number(-1e308, "fr") == "−1,0 × 10³⁰⁸"
    assert i18n.number(2**64 - 1, "en") == "18,446,744,073,709,551,615" and i18n.number(HUGE, "en", 0) == "1.0 × 10⁴⁰⁰"
    assert "10³⁸⁸" in i18n.size(HUGE, "en") and i18n.number(float("inf"), "en") == "inf"


# What is typed as a token to rank.


def test_an_expression_is_no_string() -> None:
    typed = [
        "''+" + "-" * 900 + "''",
        "'a'" + "<1" * 2000 + "<'b'",
        "'a' 'b'",
        "'\\q'",
        "'" + "(" * 300 + "'",
        "'''a'''",
    ]
    for each in typed[:4]:
        assert resolve(Tokenizer.bytes(), each)[0].id == ord("'"), each
    assert resolve(Tokenizer.bytes(), typed[4])[0].id == ord("(")
    assert resolve(Tokenizer.bytes(), typed[5])[0].id == ord("'")


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        ("' Paris'", " Paris"), ('"it\'s"', "it's"), ("'it\\'s'", "it's"), ("'\\n'", "\n"), ("'\\xe9'", "é"),
        ("'\\101'", "A"),
        ("'\\u0153\\U0001F917'", "œ🤗"), ("'\\N{LATIN SMALL LETTER A WITH GRAVE}'", "à"), ("'\\x00'", "\x00"),
    ],
)  # fmt: skip
def test_a_string_is_read_as_python_reads_it(typed: str, text: str) -> None:
    assert [entry.id for entry in resolve(Tokenizer.bytes(), typed)] == [text.encode()[0]]


def test_half_a_character_of_a_string_is_refused() -> None:
    assert refusal(lambda: resolve(Tokenizer.bytes(), "'\\ud800'")).code == "not_unicode"


def test_the_ranks_of_candidates_are_those_that_counting_gives(boxed: Model) -> None:
    from capot.text.sampling import rank_of

    found = boxed.next("The capital of France is", k=300)
    assert [one.rank for one in found.candidates] == [rank_of(found.logits, one.id) for one in found.candidates]


# Templates in TOML.


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a." * 90_000 + "b=1", 1), ("end='FIN'\n[" + "a." * 20_000 + "b]", 2), ("x={" + "a." * 9 + "b=1}", 1),
        ('"a" . "b" . "c" . d . e . f = 1', 1), ("a=" + "[" * 90_000, 1), ("\n\n" + "a={" * 900, 3),
        ("a=1" + "_1" * 90_000, 1),
        ("a=" + "9" * 5000, 1), ('system="""\na\n"""\na.b.c.d.e.f=1', 4), ("a='''\n'''\n#.....\nb=[[[[[1]]]]]", 4),
    ],
)  # fmt: skip
def test_a_template_is_refused_by_its_form_before_it_is_parsed(monkeypatch, text: str, line: int) -> None:
    for lang in i18n.LANGUAGES:  # the catalogues of its message are TOML as well, and read once
        InputError("template_form", path="mine", line=1).message(lang)
    monkeypatch.setattr(plain.tomllib, "loads", lambda _: pytest.fail("it was parsed"))
    error = refusal(lambda: PlainTemplate.from_toml(text, source="mine"))
    assert (error.code, error.params["line"]) == ("template_form", line)


def test_what_stands_in_a_string_or_a_comment_is_no_form() -> None:
    text = (
        '# a.b.c.d.e.f [[[[[[ """\n'
        'system = """1.2.3.4.5.6 [[[[[[ "a" ""b"" \\""" {{{{{{ \'\'\'\nc.d.e.f.g.h"""\n'
        "end = '[[[[[[.......'\nroles.user = \"Q: \\\" a.b.c.d.e.f\"\nroles.assistant = 'A:'\n"
        "shots = [{user = \"1.2.3.4.5.6.7\", assistant = '\"'},\n {user = 'b', assistant = '''it's \"\"\" c'''}]\n"
    )
    found = PlainTemplate.from_toml(text, source="mine")
    assert found.end == "[[[[[[......." and found.user == 'Q: " a.b.c.d.e.f'
    assert found.shots == (("1.2.3.4.5.6.7", '"'), ("b", 'it\'s """ c'))
    for lang in i18n.LANGUAGES:
        assert plain.default(lang).kind == "stopped"


@pytest.mark.parametrize("key", ["roles.user", "roles.assistant", "roles.system", "end"])
def test_a_name_of_a_template_is_no_text(key: str) -> None:
    """Each of them is a stop string, which every token of an answer is held against."""
    assert refusal(lambda: PlainTemplate.from_toml(f"{key} = '{'x' * 101}'", source="mine")).code == "template_name"
    assert PlainTemplate.from_toml(f"{key} = '{'x' * 100}'", source="mine")


def test_a_template_of_a_megabyte_is_none() -> None:
    assert refusal(lambda: PlainTemplate.from_toml("#" * 1_000_001, source="mine")).code == "template_long"
    assert refusal(lambda: PlainTemplate.from_toml("a=9999-99-99", source="mine")).code == "template_toml"


# Conversations.


@dataclasses.dataclass
class Counting:
    """A template whose prompt has one id for each letter; it notes what it was asked for."""

    asked: list[int] = dataclasses.field(default_factory=list)
    kind, stops = "counting", ()

    def prompt(self, messages: Any, tokenizer: Tokenizer) -> Prompt:
        text = "".join(f"{message.content}|" for message in messages)
        self.asked.append(len(text))
        return Prompt(text, tuple(text.encode()))


def naive(state: Conversation, message: str, *, room: int) -> int | None:
    """How many turns are left out where they are left out one by one; None where the message alone is too long."""
    limit = state.context_length - min(room, state.context_length // 2)
    dropped = min(state.turns[-1].dropped_turns, len(state.turns)) if state.turns else 0
    while True:
        kept = state.turns[dropped:]
        size = len(message) + 1 + sum(len(t.user) + len(t.assistant) + 2 for t in kept)
        if size <= limit or not kept:
            return None if size >= state.context_length else dropped
        dropped += 1


def conversation_of(
    dice: random.Random, *, turns: int, letters: int, dropped: int = 0, context: int = 500
) -> Conversation:
    def words(letter: str) -> str:
        return letter * dice.randint(0, letters)

    said = tuple(Exchange(words("u"), words("a"), 1, 1, 1, 0.0, 0.0, dropped_turns=dropped) for _ in range(turns))
    return Conversation(turns=said, kind="counting", context_length=context)


def test_the_turns_that_are_cut_are_those_that_cutting_one_by_one_finds() -> None:
    dice, cut = random.Random(3), set()
    with scripted() as model:
        for _ in range(400):
            size = dice.choice([0, 1, 2, 7, 40])
            letters, dropped = dice.choice([1, 20, 200, 9000]), dice.randrange(4)
            state = conversation_of(dice, turns=size, letters=letters, dropped=dropped)
            message, room = "m" * dice.choice([1, 100, 240, 600]), dice.choice([1, 100, 10_000])
            expected = naive(state, message, room=room)
            try:
                _, found = conversation.fitted(model, state, message, template=Counting(), room=room)
            except ContextError:
                found = None
            assert found == expected
            cut.add(found)
    assert len(cut) > 10 and None in cut


@pytest.mark.parametrize("turns", [100, 1000, 10_000])
def test_a_long_conversation_costs_a_few_prompts_of_the_contexts_length(turns: int) -> None:
    with scripted() as model:
        template, state = Counting(), conversation_of(random.Random(1), turns=turns, letters=40)
        conversation.fitted(model, state, "hello", template=template, room=100)
        assert len(template.asked) <= 2 * turns.bit_length() and max(template.asked) <= 17 * 500
        short, state = Counting(), conversation_of(random.Random(1), turns=5, letters=4)
        assert conversation.fitted(model, state, "hello", template=short, room=100)[1] == 0 and len(short.asked) == 1


# Tokenizers beside each other.


def test_each_tokenizer_cuts_a_text_once(monkeypatch: pytest.MonkeyPatch) -> None:
    cut, counted = [], tokens._counted
    monkeypatch.setattr(tokens, "_counted", lambda name, *a, **o: (cut.append(name), counted(name, *a, **o))[1])
    with scripted() as model:
        found = model.tokens("a b", compare="english, french,," * 2000)
    assert cut == ["english", "french"] and [one.tokenizer for one in found.comparisons] == ["scripted", *cut]


def bounded(verb: str, *, owner: bool = False, **arguments: Any) -> dict[str, Any]:
    return bounds.check_bounds(verb, arguments, serving=CLASS, owner=owner)


NAMES = ["bilingual", "english", "french", "gpt2", "cl100k_base", "o200k_base", "llama3", "gpt-4", "gpt-4o"]


@pytest.mark.parametrize(
    ("verb", "arguments", "code", "name"),
    [
        ("tokens", {"text": "a", "compare": ",".join(NAMES)}, "too_many_items", "compare"),
        ("tokens", {"text": "a", "compare": tuple(NAMES)}, "too_many_items", "compare"),
        ("tokens", {"text": "🤗" * 200_000, "compare": "english"}, "too_much_to_cut", "text"),
        ("tokens", {"text": "a" * 200_000, "compare": NAMES[:5]}, "too_much_to_cut", "text"),
        ("tokens", {"text": "a", "compare": ",".join(map(str, range(20_000)))}, "too_many_items", "compare"),
        ("embed", {"words": ("x" * 1500,) * 200}, "text_too_long", "words"),
        ("context", {"word": "a", "sentences": ("a " * 1000,) * 200}, "text_too_long", "sentences"),
        ("next", {"prompt": "a", "rank": ("x" * 1001,)}, "text_too_long", "rank"),
        ("next", {"prompt": "a", "rank": "x" * 1001}, "text_too_long", "rank"),
        ("next", {"prompt": "a", "rank": ("a",) * 201}, "too_many_items", "rank"),
        ("generate", {"prompt": "a", "sampling": Sampling(stop=("a",) * 17)}, "too_many_items", "stop"),
        ("generate", {"prompt": "a", "sampling": Sampling(stop=("a" * 201,))}, "text_too_long", "stop"),
        ("chat", {"messages": ("a",) * 9}, "too_many_items", "messages"),
        ("chat", {"messages": ("a",), "conversation": {"turns": [{}] * 2001}}, "too_many_items", "turns"),
        ("chat", {"messages": ("a",), "conversation": {"turns": [turn(user="a" * 300)] * 700}}, "text_too_long",
         "conversation"),
        ("memory", {"tokens": tuple(8192 - n for n in range(5))}, "measured_too_long_in_all", "tokens"),
    ],
)  # fmt: skip
def test_what_arguments_cost_together_is_bounded(verb: str, arguments: dict[str, Any], code: str, name: str) -> None:
    for owner in (True, False):
        error = refusal(lambda owner=owner: bounded(verb, owner=owner, **arguments))
        assert (error.code, error.params["name"]) == (code, name)


def test_what_pages_ask_for_is_within_the_bounds() -> None:
    assert bounded("tokens", text="é" * 30_000, compare="english,french,gpt2")
    assert bounded("tokens", text="a" * 200_000)
    assert bounded("tokens", text="a" * 10_000, compare=NAMES[:8])
    for character in "漢🤗":  # a page of a class: 20,000 characters, as many tokenizers as may be compared
        assert bounded("tokens", text=character * 20_000, compare=NAMES[:8])
    assert bounded("memory", tokens=tuple(2**n for n in range(14)))
    assert bounded("memory", simulate=True, tokens=tuple(2**n for n in range(40)))
    assert bounded("chat", messages=("a",), conversation={"turns": [turn()] * 2000})


def test_the_sentences_of_a_context_are_bounded_together(monkeypatch: pytest.MonkeyPatch, boxed: Model) -> None:
    error = refusal(lambda: boxed.context("bank", sentences=["bank " + "river " * 150] * 150))
    assert error.code == "too_many_tokens_in_all" and error.params["tokens"] > 20_000
    assert refusal(lambda: boxed.context("x" * 201, sentences=["x" * 300])).code == "word_too_long"
    monkeypatch.setattr("capot.chapters.embeddings.context.MOST_ANGLES", 9 * (boxed.scheduler.engine.info.layers + 1))
    assert refusal(lambda: boxed.context("bank", sentences=["bank " * 4])).params["most"] == 3


# The account.


def test_what_an_answer_may_take_is_counted_while_it_is_made() -> None:
    account = MemoryAccount(1000)
    with account.holding(600):
        assert account.nbytes == 600
        with pytest.raises(BusyError) as refused, account.holding(401):
            pass
        assert refused.value.params == {"needed": 401, "held": 600, "limit": 1000}
    assert account.nbytes == 0
    with pytest.raises(ZeroDivisionError), account.holding(1000):
        _ = 1 / 0
    assert account.nbytes == 0
    with MemoryAccount(None).holding(10**15):
        pass


def test_the_price_grows_with_what_is_asked_for() -> None:
    one = bounds.memory_cost("tokens", {"text": "é" * 100})
    assert bounds.memory_cost("tokens", {"text": "é" * 100, "compare": ("english", "gpt2")}) > 1.1 * one > 200
    made = bounds.memory_cost(
        "generate", {"prompt": "a", "sampling": Sampling(max_new_tokens=1000), "alternatives": 100}
    )
    assert made > 100 * bounds.memory_cost(
        "generate", {"prompt": "a", "sampling": Sampling(max_new_tokens=10), "alternatives": 0}
    )
    assert bounds.memory_cost("generate", {"prompt": "a", "sampling": Sampling(), "alternatives": 10**20}) < 10**8
    chat = bounds.memory_cost("chat", {"messages": ("a",), "conversation": {"turns": [turn(user="a" * 1000)] * 9}})
    assert chat > 100 * 9000
    assert bounds.memory_cost("card", {}) == 0


def test_the_logits_of_every_layer_count_as_memory() -> None:
    engine = scripted().scheduler.engine
    more = job_bytes(Job([1, 2], want=Want("none", layer_logits=True)), engine) - job_bytes(Job([1, 2]), engine)
    assert more == 4 * (engine.info.layers + 1) * engine.info.vocabulary_size


class Held:
    """Stands before a function: its calls wait until they are let go, at the latest at the block's end."""

    def __init__(self, inner: Callable[..., Any]) -> None:
        self.inner, self.calls, self.free = inner, 0, threading.Event()

    def __call__(self, *args: Any, **options: Any) -> Any:
        self.calls += 1
        self.free.wait(120)
        return self.inner(*args, **options)

    def __enter__(self) -> Held:
        return self

    def __exit__(self, *_: object) -> None:
        self.free.set()


def call_of(live: Live, name: str) -> Any:
    """What a learner waits for under this name, whoever they are."""
    known = live.app.state.learners.by_name.values()
    return next((learner.calls[name] for learner in list(known) if name in learner.calls), None)


@contextlib.contextmanager
def asking(live: Live, path: str, body: dict[str, Any]) -> Iterator[None]:
    """Somebody who asks, and leaves at the end of the block without having read a word."""
    text = json.dumps(body).encode()
    host, port = live.listener.getsockname()
    head = f"POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\nX-Capot-Call: mine\r\n"
    with socket.create_connection((host, port)) as connection:
        connection.sendall(f"{head}Content-Length: {len(text)}\r\n\r\n".encode() + text)
        yield


TURNS = {"turns": [turn(user="a" * 900, dropped_turns=0)] * 40}
WORKS = {
    "tokens": ({"text": "a b", "compare": ["english", "french", "gpt2"]}, "capot.chapters.tokens.verb._counted"),
    "embed": ({"words": ["a", "b", "c", "d"]}, "capot.chapters.embeddings.spelling.spelling"),
    "context": ({"word": "a", "sentences": ["a b", "a c", "a d"]}, "capot.chapters.embeddings.context.places"),
    "memory": ({"simulate": True, "known": "Llama-3.2-1B", "tokens": [1]}, "capot.chapters.memory.verb.fit"),
    "chat": ({"messages": ["a"], "conversation": TURNS}, "capot.chapters.assistant.chat._messages"),
    "assistant": ({"question": "a"}, "capot.chapters.assistant.ways.cut"),
    "lens": ({"prompt": "a"}, "capot.chapters.embeddings.lens.softmax"),
    "network": ({"prompt": "a"}, "capot.chapters.network.verb._layer"),
    "ablate": ({"prompt": "a", "layers": [1]}, "capot.chapters.network.edited.best"),
    "patch": ({"prompt": "a", "source": "b"}, "capot.engines.scheduler.variants.check_cancelled"),
    "steer": ({"prompt": "a", "toward": "a", "away": "b"}, "capot.chapters.network.edited.best"),
    "score": ({"text": "a"}, "capot.chapters.score.verb._records"),
    "page/tokens": ({"text": "a b", "compare": ["english", "french"]}, "capot.chapters.tokens.verb._counted"),
}
EDITING = ("ablate", "patch", "steer")  # the scripted engine has no stream that could be changed


@pytest.mark.parametrize("verb", WORKS)
def test_whoever_leaves_ends_what_is_computed_for_them(monkeypatch: pytest.MonkeyPatch, verb: str) -> None:
    body, step = WORKS[verb]
    module, _, name = step.rpartition(".")
    held = Held(getattr(importlib.import_module(module), name))
    monkeypatch.setattr(step, held)
    with Live(capot.open("boxed") if verb in EDITING else scripted()) as live, held:
        with asking(live, f"/api/{verb}", body):
            until(lambda: held.calls)
            account = next(iter(live.app.state.learners.by_name.values())).account
            assert account.nbytes >= bounds.memory_cost(verb.rpartition("/")[2], {**body, "compare": ()}) > -1
        until(lambda: call_of(live, "mine").disconnected)
        held.free.set()
        until(lambda: call_of(live, "mine") is None)
        until(lambda: account.nbytes == 0)
    assert held.calls <= 2  # an embedded word is spelled twice between two looks


def test_whoever_leaves_while_a_stream_begins_ends_its_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    held = Held(conversation._messages)
    monkeypatch.setattr(conversation, "_messages", held)
    with Live(scripted()) as live, held:
        with asking(live, "/api/stream", asked(part("a", "chat", messages=["a"], conversation=TURNS))):
            until(lambda: held.calls)
            account = next(iter(live.app.state.learners.by_name.values())).account
            assert account.nbytes > 0
        until(lambda: call_of(live, "mine").disconnected)
        held.free.set()
        until(lambda: not live.app.state.streams.streams)
        assert held.calls == 1 and live.load["steps"] == 0 and account.nbytes == 0


def test_a_part_that_is_stopped_before_it_begins_leaves_the_others_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    held = Held(conversation._messages)
    monkeypatch.setattr(conversation, "_messages", held)
    both = [part("a", "chat", messages=["a"], conversation=TURNS), part("b", prompt="x", max_new_tokens=2)]
    with Live(scripted()) as live, live.client() as client, held:
        reader = Reader(client, asked(*both)).start()
        until(lambda: held.calls)
        assert client.post("/api/stop", json={"name": "page-0001", "tag": "a"}).json()["result"]["stopped"]
        held.free.set()
        reader.join()
    ends = {tag: (kind, body) for kind, tag, body in reader.events if kind in ("finished", "error")}
    assert ends["a"][0] == "error" and ends["a"][1]["error"]["code"] == "interrupted"
    assert ends["b"][0] == "finished" and held.calls == 1


def test_a_look_ends_what_nobody_waits_for() -> None:
    check_cancelled()
    left = threading.Event()
    with cancel_when(left.is_set):
        check_cancelled()
        left.set()
        with pytest.raises(InterruptedByUser):
            check_cancelled()
    check_cancelled()


def test_the_engine_thread_cuts_no_prompt_of_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    threads, cut = set(), ways.cut
    monkeypatch.setattr(ways, "cut", lambda *a: (threads.add(threading.current_thread().name), cut(*a))[1])
    with Live(scripted()) as live, live.client() as client:
        reader = Reader(client, asked(part("a", "assistant", question="a", max_new_tokens=2))).start().join()
        assert reader.kinds()[-1] == "finished"
    assert threads and "capot-engine" not in threads


# The form of a body.


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"[" * 100_000, "bad_json"), (b'{"a":' * 5000, "bad_json"), (b"\xff", "bad_json"), (b'{"a": 1', "bad_json"),
        (b'{"a": [[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]}', "too_deep"),
        (b'{"a": ' + b"9" * 5000 + b"}", "number_too_long"), (b'{"a": -' + b"9" * 400 + b"}", "number_too_long"),
        (b'{"a": NaN}', "not_a_number"), (b'{"a": [-Infinity]}', "not_a_number"), (b'{"a": 1e999}', "not_a_number"),
        (b'{"a": "b\\ud800"}', "not_unicode"), (b'{"a": "\xed\xa0\x80"}', "not_unicode"),
        (b'{"a\\udfff": 1}', "not_unicode"),
        (b'{"a": {"b": {"\\ud800c": 1}}}', "not_unicode"),
        (b'{"a": [' + b"0," * 250_000 + b"0]}", "too_many_values"),
        (json.dumps({str(n): n for n in range(101)}).encode(), "too_many_values"),
    ],
)  # fmt: skip
def test_a_body_is_held_to_its_form_before_anything_is_made_of_it(raw: bytes, code: str) -> None:
    assert refusal(lambda: json_body.parse_body(raw)).code == code
    with asgi(scripted()) as client:
        answer = client.post("/api/next", content=raw, headers={"content-type": "application/json"})
        assert answer.status_code == 422 and answer.json()["error"]["code"] == code
        assert answer.json()["error"].get("field", "a")[:1] in "ab"


@pytest.mark.parametrize(
    ("raw", "bound"),
    [
        (b'{"a": ' + b"9" * 5000 + b"}", "24 digits"), (b'{"a": ' + b"9" * 25 + b"}", "24 digits"),
        (b'{"a": [' + b"0," * 250_000 + b"0]}", "250,000"),
        (json.dumps({str(n): n for n in range(101)}).encode(), "100"),
    ],
)  # fmt: skip
def test_a_refusal_of_its_form_says_how_much_there_may_be(raw: bytes, bound: str) -> None:
    assert bound in refusal(lambda: json_body.parse_body(raw)).message("en")


def test_a_body_of_any_use_is_of_good_form() -> None:
    body = {"a": [0.5, -0.0, 2**64, 1e308, None, True, "🤗"], "b": {"c": [[[]]]}, "ids": list(range(131_072))}
    assert json_body.parse_body(json.dumps(body).encode()) == body


def test_a_refusal_repeats_neither_long_digits_nor_halves_of_characters() -> None:
    for value in (DIGITS, "a\ud800b", HUGE, "x" * 100_000):
        told = error_handlers.error_body(
            InputError("bad_choice", name="space", value=value, known="auto, " * 100), "fr"
        )["error"]
        told["message"].encode()
        assert DIGITS not in told["message"] and "x" * 300 not in told["message"] and "auto, " * 100 in told["message"]


def test_one_complaint_is_made_of_a_list_however_long() -> None:
    with pytest.raises(ValidationError) as caught:
        verbs()["generate"].request.model_validate({"prompt": "a", "ids": ["x"] * 10_000})
    assert len(caught.value.errors()) == 1
    with pytest.raises(ValidationError) as caught:
        verbs()["memory"].request.model_validate({"tokens": ["x"] * 10_000})
    assert len(caught.value.errors()) == 2  # a text, or a list
    assert error_handlers.validation_error(caught.value).params["name"] == "tokens"


# Long answers and long texts.


def test_an_answer_written_in_pieces_is_the_one_written_whole(boxed: Model) -> None:
    answers = [
        boxed.tokens("le gestionnaire du réseau 🤗 " * 200, compare="english,gpt2"),
        boxed.generate("Once", max_new_tokens=20, seed=1, alternatives=100),
        boxed.embed(near=3),
        Conversation.from_dict({"turns": [turn()] * 1500}),
    ]
    for answer in answers:
        body = {"ok": True, "result": answer, "view": [{"rows": [[1, "a"]] * 2500}], "none": [], "half": "\ud800"}
        whole = {**body, "result": answer.to_dict(), "half": "?"}
        assert json.loads(json_writer.encode_json(body)) == json.loads(json.dumps(whole))
        assert json_writer.encode_json(whole, small=True) == json_writer.encode_json(body)
    odd = [float("nan"), b"\x01", Sampling(stop="b")]
    assert json_writer.encode_json({"a": odd}, small=True).startswith(b'{"a":[null,"01",{')
    longest = max(map(len, json_writer.iter_json(answers[0])))
    assert longest < 200_000 and len(list(json_writer.iter_json(answers[0]))) > 15


HALVES = st.one_of(st.text(), st.text(st.characters(categories=["Cs", "Ll"]), max_size=3))
PLAIN = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), HALVES, st.binary(max_size=3))
SHARES = st.builds(TokenShare, st.integers(), HALVES, st.floats())


@given(st.recursive(PLAIN | SHARES, lambda part: st.lists(part) | st.dictionaries(st.text(), part), max_leaves=20))
def test_whatever_writes_a_value_the_same_is_read(value: Any) -> None:
    """pydantic and the standard library, which takes what is no flat value, or half a character."""
    plain = json.dumps(to_jsonable(value), ensure_ascii=False).encode("utf-8", "replace")
    for small in (True, False):
        assert json.loads(json_writer.encode_json(value, small=small)) == json.loads(plain)


@pytest.mark.parametrize("logprob", [-1.5, -math.inf])  # JSON holds no infinity: such an event is written anew
def test_an_event_made_of_its_fields_is_the_one_made_of_its_body(logprob: float) -> None:
    beside = (Alternative(5, " œ", "·œ", 0.25), Alternative(-1, "", "–", 0.125))
    event = Step(7, "a", "·a", 0.5, logprob, 1, None, beside, 0.01, 3, token_text=" a")
    part = StreamJob("a", verbs()["generate"], {})
    told = json_writer.encode_json(part.body(event, "en"), small=True)
    assert told == json_writer.encode_json(event.body(), small=True)
    assert json.loads(told)["alternatives"][0] == {"id": 5, "text": " œ", "label": "·œ", "probability": 0.25}
    with pytest.raises(TypeError):
        json_writer.encode_json({"a": object()}, small=True)


def test_writing_ends_when_its_reader_has_left() -> None:
    gone = iter([False] * 3 + [True] * 9)
    with cancel_when(lambda: next(gone)), pytest.raises(InterruptedByUser):
        list(json_writer.iter_json({"a": list(range(10_000))}))


@pytest.mark.parametrize("name", ["english", "bilingual", "gpt2", "o200k_base", "cl100k_base"])
def test_a_long_text_has_the_ids_of_its_short_way(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Other threads run while a long text is cut; what comes out may not depend on that."""
    tokenizer = tokens.named(name)
    texts = ["le gestionnaire  du réseau\n\n" * 300, "🤗é" * 4000, "a" * 9000, " " * 6000 + "x", "\r\n\t 12345's" * 900]
    assert all(len(text) >= LONG for text in texts)
    for specials in ("text", "allow", "strict"):
        long = [tokenizer.encode(text, specials=specials) for text in texts]
        for module in ("capot.text.tokenizer.vocabulary", "capot.text.tokenizer.ranks"):
            monkeypatch.setattr(f"{module}.LONG", 10**9)
        assert [tokenizer.encode(text, specials=specials) for text in texts] == long
        monkeypatch.undo()


def test_ids_of_a_long_piece_are_not_kept() -> None:
    vocabulary = ranks.RankVocabulary("gpt2")
    for letter in "abcdefgh":
        vocabulary.encode(letter * 5000, "text")
    assert vocabulary._merged.cache_info().currsize == 0
    assert vocabulary.encode("réseau", "text") and vocabulary._merged.cache_info().currsize == 1


def test_a_switch_is_turned_when_nobody_is_inside() -> None:
    turned, states = [], []
    switch = files._Switch(turned.append)
    inside, go = threading.Semaphore(0), threading.Event()

    def enter(on: bool) -> None:
        with switch.at(on):
            states.append((on, turned[-1]))
            inside.release()
            go.wait(60)

    together = [threading.Thread(target=enter, args=(True,)) for _ in range(3)]
    for thread in together:
        thread.start()
    for _ in together:
        assert inside.acquire(timeout=60)  # three at once
    other = threading.Thread(target=enter, args=(False,))
    other.start()
    until(switch._entrance.locked)
    assert turned == [True]
    go.set()
    for thread in (*together, other):
        thread.join(60)
    assert states == [(True, True)] * 3 + [(False, False)] and turned == [True, False]
