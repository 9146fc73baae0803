"""Tokenizers whose time is not known: in a lab they cut in processes that are ended, and give the same ids."""

from __future__ import annotations

import http.client
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lab_helpers import JSON, Live, Reader, asgi, part, scripted, until
from lab_helpers import asked as stream
from rendering_helpers import ASLEEP, FOREVER, Call, Puppet

from capot.chapters.tokens.verb import PACKAGED, named
from capot.config import Serving
from capot.errors import CapotError, InterruptedByUser
from capot.model import Model
from capot.text.tokenizer import Tokenizer, remote, worker
from capot.text.tokenizer import files as reading
from capot.text.tokenizer.files import FileVocabulary, bytes_to_unicode
from capot.text.tokenizer.vocabulary import ByteVocabulary
from capot.web import tokenizer_workers
from capot.web.tokenizer_workers import RequestEncoder, TokenizerWorkers

BOXED = ROOT / "src" / "capot" / "boxed"
FILE = json.loads((BOXED / "tokenizer.json").read_text(encoding="utf-8"))
BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
STRANGE = r"\p{L}+|\S|\s+(?=\S)|\s+"  # harmless, and in no published file
SLOW = "a(?=.*z)"  # from each letter to the end of a text


def split(pattern: str) -> dict[str, Any]:
    cut = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    return {"type": "Sequence", "pretokenizers": [cut, BYTES]}


def written(folder: Path, change: dict[str, Any]) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "tokenizer.json").write_text(json.dumps(FILE | change), encoding="utf-8")
    return folder


def opened(folder: Path, change: dict[str, Any]) -> Tokenizer:
    return Tokenizer.from_file(written(folder, change), name="mine")


def of_bytes(folder: Path, pattern: str = STRANGE) -> Tokenizer:
    """The scripted model's vocabulary as a file, with an expression of its own."""
    letters = {letter: raw[0] for letter, raw in bytes_to_unicode().items()}
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    names = [{"id": n, "content": name, "special": True, **flags} for n, name in ByteVocabulary.special.items()]
    model = {"type": "BPE", "vocab": letters, "merges": []}
    return opened(folder, {"model": model, "added_tokens": names, "pre_tokenizer": split(pattern)})


def strange(folder: Path, pattern: str = STRANGE) -> Model:
    """The scripted model, with a tokenizer whose time is not known."""
    model = scripted()
    model.shared.tokenizer = of_bytes(folder, pattern)
    return model


@pytest.fixture
def workers() -> Iterator[TokenizerWorkers]:
    running = TokenizerWorkers()
    yield running
    running.close()


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A text has all the time it needs: a machine may be slow."""
    monkeypatch.setattr(worker, "SECONDS", 600.0)


def made_to(monkeypatch: pytest.MonkeyPatch, cut: str) -> None:
    """Helpers whose answer is this expression of Python instead, with ``text`` in it."""
    patched = (
        "from capot.text.tokenizer import worker; before = worker.answer; "
        f"worker.answer = lambda vocabulary, request: (lambda text: {cut})(request['text']); "
    )
    monkeypatch.setattr(
        tokenizer_workers, "BOOT", tokenizer_workers.BOOT.replace("from capot", patched + "from capot", 1)
    )


def code_of(call: Callable[[], Any]) -> str:
    with pytest.raises(CapotError) as caught:
        call()
    assert caught.value.message("fr") != caught.value.message("en")
    return caught.value.code


def steady(tokenizer: Tokenizer) -> bool:
    return tokenizer._vocabulary.is_linear


# Whose time is known


@pytest.mark.parametrize("name", PACKAGED)
def test_what_is_packaged_is_cut_in_the_labs_own_process(name: str) -> None:
    tokenizer = named(name)
    assert steady(tokenizer) and tokenizer.with_remote_encoder(RequestEncoder(TokenizerWorkers(), "ann")) is tokenizer


@pytest.mark.parametrize("name", ["gpt2", "llama3", "cl100k_base", "o200k_base"])
def test_what_is_published_is_cut_there_as_well(shared_tokenizers: Path, name: str) -> None:
    assert steady(Tokenizer.from_file(shared_tokenizers / name))


METASPACE = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": False}


def unigram(longest: int) -> dict[str, Any]:
    model = {"type": "Unigram", "unk_id": 0, "vocab": [["a", -1.0], ["b" * longest, -2.0]]}
    return {"model": model, "pre_tokenizer": METASPACE, "added_tokens": []}


def replace(pattern: str, kind: str, content: str = " ") -> dict[str, Any]:
    return {"normalizer": {"type": "Replace", "pattern": {kind: pattern}, "content": content}}


STEADY = {
    "spaces joined": replace(r"\s+", "Regex"),
    "a letter for another": replace("(a+)+$", "String"),
    "Unigram": unigram(remote.MAX_UNIGRAM_PIECE),
}
UNSTEADY = {
    "to the end of the text": {"pre_tokenizer": split(SLOW)},
    "every way to part a run": {"pre_tokenizer": split("(x|x)*y")},
    "one letter more": {"pre_tokenizer": split(remote._WORDS + "|b")},
    "in a normalizer": replace(SLOW, "Regex"),
    "behind a known one": {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [split(r"\p{N}"), split(SLOW)]}},
    "much written for one": replace("q", "String", "z" * (remote.MAX_EXPANSION + 1)),
    "a long piece of Unigram": unigram(remote.MAX_UNIGRAM_PIECE + 1),
}


@pytest.mark.parametrize("name", STEADY)
def test_steps_that_are_known_are_steady(tmp_path: Path, name: str) -> None:
    assert steady(opened(tmp_path, STEADY[name]))


@pytest.mark.parametrize("name", UNSTEADY)
def test_steps_that_are_not_known_are_not(tmp_path: Path, name: str) -> None:
    assert not steady(opened(tmp_path, UNSTEADY[name]))


def test_a_step_of_a_later_library_is_not_known(tmp_path: Path) -> None:
    vocabulary = opened(tmp_path, {})._vocabulary
    parts = {**vocabulary._parts, "pre_tokenizer": {"type": "Clairvoyance"}}
    assert remote.is_linear(vocabulary._parts, vocabulary._backend, worst=1.0)
    assert not remote.is_linear(parts, vocabulary._backend, worst=1.0)


@pytest.mark.parametrize("change", [*UNSTEADY.values(), {"post_processor": None}, {}])
def test_opening_a_tokenizer_cuts_no_text(tmp_path: Path, change: dict[str, Any], monkeypatch) -> None:
    monkeypatch.setattr(reading, "encode_with", lambda *_, **__: 1 / 0)
    monkeypatch.setattr(TokenizerWorkers, "run", lambda *_: 1 / 0)
    assert opened(tmp_path, change).opening is not None


def test_an_expression_of_a_normalizer_is_not_tried_as_it_is_opened(tmp_path: Path) -> None:
    """A hundred thousand letters for one, and then from each of them to the end: it would take minutes."""
    grown = {"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 100_000}
    slow = replace(SLOW, "Regex", "a")["normalizer"]
    tokenizer = opened(tmp_path, {"normalizer": {"type": "Sequence", "normalizers": [grown, slow]}})
    assert not steady(tokenizer)


# The same ids


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tokenizer]:
    folder = tmp_path_factory.mktemp("kinds")
    return {
        "an expression": opened(folder / "a", {"pre_tokenizer": split(STRANGE)}),
        "letters that change": opened(folder / "b", replace("[xyz]", "Regex", "ab")),
        "pieces": opened(folder / "c", unigram(remote.MAX_UNIGRAM_PIECE + 1)),
    }  # fmt: skip


@pytest.fixture(scope="module")
def shared_workers() -> Iterator[TokenizerWorkers]:
    running = TokenizerWorkers()
    yield running
    running.close()


@settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
@given(
    text=st.one_of(st.text(max_size=200), st.text("ab xyz\n<|>é🤗▁", max_size=300)),
    specials=st.sampled_from(["text", "strict", "allow"]),
    kind=st.sampled_from(["an expression", "letters that change", "pieces"]),
)
def test_what_is_cut_elsewhere_is_what_is_cut_here(
    kinds: dict[str, Tokenizer], shared_workers: TokenizerWorkers, patient: None, text: str, specials: Any, kind: str
) -> None:
    here = kinds[kind]
    there = here.with_remote_encoder(RequestEncoder(shared_workers, "ann"))
    assert there is not here
    assert there.encode(text, specials=specials) == here.encode(text, specials=specials)
    assert there.spans(text, specials=specials) == here.spans(text, specials=specials)
    assert there.opening == here.opening and there.named == here.named and there.display(5) == here.display(5)


def test_a_long_text_is_cut_elsewhere_as_here(workers: TokenizerWorkers, patient: None, tmp_path: Path) -> None:
    here = opened(tmp_path, {"pre_tokenizer": split(STRANGE)})
    text = "le gestionnaire  du réseau\n\n🤗" * 3000
    assert here.with_remote_encoder(RequestEncoder(workers, "ann")).spans(text) == here.spans(text)


def test_a_refusal_is_the_one_that_it_is_here(workers: TokenizerWorkers, patient: None, tmp_path: Path) -> None:
    grows = replace("a", "String", "z" * 1000) | {"pre_tokenizer": split(STRANGE)}
    stops = {"pre_tokenizer": split("(a+)+$")}
    for change, text in ((grows, "a" * 50_000), (stops, "a" * 40 + "b")):
        here = opened(tmp_path, change)
        with pytest.raises(CapotError) as one:
            here.encode(text)
        with pytest.raises(CapotError) as other:
            here.with_remote_encoder(RequestEncoder(workers, "ann")).encode(text)
        assert type(one.value) is type(other.value)
        assert one.value.to_dict("fr") == other.value.to_dict("fr")


# One that is ended


def test_a_text_that_takes_hours_is_ended(workers: TokenizerWorkers, monkeypatch, tmp_path: Path) -> None:
    tokenizer = opened(tmp_path, {"pre_tokenizer": split(SLOW)}).with_remote_encoder(RequestEncoder(workers, "ann"))
    monkeypatch.setattr(worker, "SECONDS", 600.0)
    assert tokenizer.encode("a cat"), "the tokenizer is there"
    monkeypatch.setattr(worker, "SECONDS", 0.1)
    assert code_of(lambda: tokenizer.encode("a" * 200_000)) == "tokenizer_too_costly"
    monkeypatch.setattr(worker, "SECONDS", 600.0)
    assert tokenizer.encode("a cat")


def test_one_request_has_one_allowance(workers: TokenizerWorkers, patient: None, monkeypatch, tmp_path: Path) -> None:
    request = RequestEncoder(workers, "ann")
    tokenizer = of_bytes(tmp_path).with_remote_encoder(request)
    assert tokenizer.encode("abc") == [97, 98, 99]
    monkeypatch.setattr(request, "_budget_s", 0.0)
    assert code_of(lambda: tokenizer.encode("abc")) == "tokenizer_too_costly"


def test_a_helper_that_dies_is_told_and_replaced(
    workers: TokenizerWorkers, patient: None, monkeypatch, tmp_path: Path
) -> None:
    made_to(monkeypatch, "__import__('os')._exit(3) if text == 'x' else before(vocabulary, request)")
    tokenizer = of_bytes(tmp_path).with_remote_encoder(RequestEncoder(workers, "ann"))
    assert tokenizer.encode("y") == [121]
    assert code_of(lambda: tokenizer.encode("x")) == "tokenizer_crashed"
    assert tokenizer.encode("y") == [121]


@pytest.mark.parametrize(
    "answer", [{}, {"text": "x"}, {"ids": 3, "places": 4}, {"code": "internal"}, {"code": ["tokenizer_grows"]}]
)
def test_a_helper_is_not_believed(tmp_path: Path, answer: dict[str, Any]) -> None:
    helpers = TokenizerWorkers(start=Puppet)
    Puppet.exchange, before = lambda self, line, *, max_bytes: json.dumps(answer).encode(), Puppet.exchange
    try:
        tokenizer = of_bytes(tmp_path).with_remote_encoder(RequestEncoder(helpers, "ann"))
        assert code_of(lambda: tokenizer.encode("x")) == "tokenizer_crashed"
    finally:
        Puppet.exchange = before
        helpers.close()


def test_a_file_that_is_another_one_since_is_not_cut_with(
    workers: TokenizerWorkers, patient: None, tmp_path: Path
) -> None:
    tokenizer = of_bytes(tmp_path).with_remote_encoder(RequestEncoder(workers, "ann"))
    written(tmp_path, {"pre_tokenizer": split(STRANGE)})
    assert code_of(lambda: tokenizer.encode("x")) == "tokenizer_no_helper"


def test_a_helper_keeps_one_tokenizer_and_takes_another(
    workers: TokenizerWorkers, patient: None, tmp_path: Path
) -> None:
    one, other = of_bytes(tmp_path / "a"), opened(tmp_path / "b", {"pre_tokenizer": split(STRANGE)})
    request = RequestEncoder(workers, "ann")
    for tokenizer in (one, other, one, other):
        assert tokenizer.with_remote_encoder(request).encode("un chat") == tokenizer.encode("un chat")
    assert [slot.worker is not None for slot in workers.slots] == [True, False], "one after the other needs one"


def test_who_leaves_ends_what_is_cut(workers: TokenizerWorkers, patient: None, monkeypatch, tmp_path: Path) -> None:
    made_to(monkeypatch, ASLEEP)
    request = RequestEncoder(workers, "ann")
    call = Call(of_bytes(tmp_path).with_remote_encoder(request).encode, "x")
    until(lambda: any(slot.task and slot.worker and slot.worker.ready for slot in workers.slots))
    request.cancel()
    assert isinstance(call.join().error, InterruptedByUser)
    assert isinstance(Call(of_bytes(tmp_path).with_remote_encoder(request).encode, "x").join().error, InterruptedByUser)


# The lab


@pytest.fixture
def nothing_here(monkeypatch: pytest.MonkeyPatch, patient: None) -> None:
    """Whoever cuts with such a tokenizer in the lab's own process is caught."""

    def caught(*_: Any) -> Any:
        raise AssertionError("cut in the lab's process")

    monkeypatch.setattr(FileVocabulary, "encoding", caught)


TEXTS = {"max_new_tokens": 3, "temperature": 0}


def test_no_route_cuts_in_the_labs_process(nothing_here: None, tmp_path: Path) -> None:
    with asgi(strange(tmp_path)) as client:
        for path, body in (
            ("/api/tokens", {"text": "a cat", "specials": "allow"}),
            ("/api/tokens", {"text": "a cat", "specials": "strict"}),
            ("/api/next", {"prompt": "a cat", "rank": ["dog"]}),
            ("/api/generate", {"prompt": "a cat", **TEXTS}),
            ("/api/chat", {"messages": ["Hello"], **TEXTS}),
            ("/api/assistant", {"question": "Hello", **TEXTS}),
            ("/api/page/tokens", {"text": "a cat"}),
            ("/api/stream", stream(part("a", "generate", prompt="a cat", **TEXTS))),
        ):
            answer = client.post(path, json=body)
            assert answer.status_code == 200 and "event: error" not in answer.text, (path, answer.text)
        assert client.app.state.learners.tokenizer_workers.slots[0].worker is not None


def test_the_owner_compares_with_any_tokenizer(tmp_path: Path, patient: None, monkeypatch) -> None:
    """What the owner names is no more known than what a model has."""
    here, encoding = [], FileVocabulary.encoding
    written(tmp_path, {"pre_tokenizer": split(STRANGE)})
    count = Tokenizer.from_file(tmp_path).encode("a cat").__len__()
    monkeypatch.setattr(
        FileVocabulary, "encoding", lambda self, *given: (here.append(self.is_linear), encoding(self, *given))[1]
    )
    with asgi(scripted(), owner_key="k" * 40) as client:
        client.get("/?code=" + "k" * 40)
        answer = client.post("/api/tokens", json={"text": "a cat", "compare": [str(tmp_path), "english"]}).json()
    assert [each["count"] for each in answer["result"]["comparisons"]][1] == count
    assert here == [True]


def test_the_library_cuts_in_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TokenizerWorkers, "run", lambda *_: 1 / 0)
    with strange(tmp_path) as model:
        assert model.remote_encoder is None and model.tokens("a cat").count == 5


def test_the_page_is_told_in_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made_to(monkeypatch, FOREVER)
    monkeypatch.setattr(worker, "SECONDS", 0.1)
    with asgi(strange(tmp_path)) as client:
        for path, body in (
            ("/api/tokens", {"text": "a"}),
            ("/api/stream", stream(part("a", "generate", prompt="a", **TEXTS))),
        ):
            answer = client.post(path, json=body, headers={"x-capot-lang": "fr"})
            assert answer.status_code == 422 and answer.json()["error"]["code"] == "tokenizer_too_costly"
            assert "arrêté" in answer.json()["error"]["message"]


def at_work(live: Live) -> Any:
    """The process of the first helper that cuts a text."""
    return until(
        lambda: next(
            (
                d.worker.process
                for d in live.app.state.learners.tokenizer_workers.slots
                if d.worker and d.worker._setup and d.task
            ),
            None,
        )
    )


@pytest.mark.parametrize("path", ["/api/tokens", "/api/stream"])
def test_a_closed_tab_ends_its_text_and_holds_up_nobody(path: str, monkeypatch, patient: None, tmp_path: Path) -> None:
    made_to(monkeypatch, f"{ASLEEP} if text == 'x' else before(vocabulary, request)")
    body = {"text": "x"} if path == "/api/tokens" else stream(part("a", "generate", prompt="x"))
    with Live(strange(tmp_path), Serving(access_code="class-code")) as live:  # noqa: SIM117 - the clients are of this lab
        with live.client("class-code") as leaving, live.client("class-code") as other:
            connection = http.client.HTTPConnection(*live.listener.getsockname())
            cookie = "; ".join(f"{name}={value}" for name, value in leaving.cookies.items())
            connection.request("POST", path, json.dumps(body), JSON | {"cookie": cookie})
            process = at_work(live)
            assert other.post("/api/tokens", json={"text": "yes"}).json()["ok"], "the same tokenizer, meanwhile"
            connection.close()
            until(lambda: process.returncode is not None)
            assert leaving.post("/api/tokens", json={"text": "yes"}).json()["ok"]


def test_the_stop_button_ends_a_text(monkeypatch: pytest.MonkeyPatch, patient: None, tmp_path: Path) -> None:
    made_to(monkeypatch, f"{ASLEEP} if text == 'x' else before(vocabulary, request)")
    with Live(strange(tmp_path)) as live, live.client() as client:
        parts = [part("a", "generate", prompt="x", **TEXTS), part("b", "generate", prompt="a", **TEXTS)]
        reader = Reader(client, stream(*parts)).start()
        at_work(live)
        assert client.post("/api/stop", json={"name": "page-0001", "tag": "a"}).json()["result"] == {"stopped": True}
        told = {tag: (kind, body) for kind, tag, body in reader.join().events}
        assert told["a"][0] == "error" and told["a"][1]["error"]["code"] == "interrupted"
        assert told["b"][0] == "finished"


def test_a_lab_that_ends_ends_its_helpers(monkeypatch: pytest.MonkeyPatch, patient: None, tmp_path: Path) -> None:
    made_to(monkeypatch, ASLEEP)
    with Live(strange(tmp_path)) as live, live.client() as client:
        reader = Reader(client, {"text": "x"}, path="/api/tokens").start()
        process = at_work(live)
    assert process.returncode is not None
    reader.thread.join(60)
    assert not reader.thread.is_alive()


@pytest.mark.skipif(os.name == "nt", reason="a matter of POSIX")
def test_a_helper_limits_itself_and_is_told_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    told = "[sorted(os.environ), os.getcwd(), list(resource.getrlimit(resource.RLIMIT_AS))]"
    boot = (
        "import sys; sys.path[:0] = sys.argv[1:]; import json, os, resource; from capot.text.tokenizer import worker; "
    )
    boot += f"worker.answer = lambda *_: print(json.dumps({told}), flush=True) or {{}}; worker.main()"
    monkeypatch.setattr(tokenizer_workers, "BOOT", boot)
    child = tokenizer_workers.TokenizerProcess()
    try:
        setup = json.dumps(of_bytes(tmp_path)._vocabulary.setup).encode() + b"\n"
        assert child.wait_ready(setup)
        environment, folder, limit = json.loads(child.exchange(b'{"text": "a"}\n', max_bytes=10_000))
    finally:
        child.stop()
    assert set(environment) <= {"LC_CTYPE", "__CF_USER_TEXT_ENCODING", "RAYON_NUM_THREADS"} and folder == "/"
    assert limit[0] == worker.MEMORY or os.uname().sysname != "Linux"
