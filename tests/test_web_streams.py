"""Streams of the lab over a real socket: several works on one response, stop, cuts, resumption, errors."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import logging
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from lab_helpers import JSON, Gate, Live, Reader, asgi, asked, events_of, looped, part, scripted, until

import capot
from capot.engines.scheduler.variants import Variants
from capot.errors import BusyError, ResourceError
from capot.web import stream_jobs, streams

LONG = {"prompt": "hello world", "temperature": 0, "max_new_tokens": 1000, "alternatives": 0}
PROMPT = "The capital of"


@pytest.fixture
def live() -> Iterator[Live]:
    with Live(scripted()) as running:
        yield running


@pytest.fixture
def slow() -> Iterator[Live]:
    """The scripted engine at some 200 steps a second, so that there is time to interrupt it."""
    with Live(scripted(before_step=lambda feeds: time.sleep(0.005))) as running:
        yield running


def whole(reader: Reader) -> dict[str, list[tuple[str, dict]]]:
    """The events of each part."""
    found: dict[str, list[tuple[str, dict]]] = {}
    for kind, tag, body in reader.events:
        found.setdefault(tag, []).append((kind, body))
    return found


def text_of(events) -> str:
    return "".join(body["text"] for kind, body in events if kind in ("step", "finished"))


def test_several_works_on_one_response(live: Live) -> None:
    parts = [part(f"t{heat}", prompt=PROMPT, temperature=heat, seed=3, max_new_tokens=9) for heat in (0, 0.7, 1.5)]
    with live.client() as client:
        reader = Reader(client, asked(*parts)).start().join()
    told = whole(reader)
    assert set(told) == {"t0", "t0.7", "t1.5"}
    with capot.open("scripted") as model:
        for heat in (0, 0.7, 1.5):
            made = model.generate(PROMPT, temperature=heat, seed=3, max_new_tokens=9)
            events = [(kind, body) for kind, body in told[f"t{heat}"] if kind != "queued"]
            assert [kind for kind, _ in events] == ["started", *["step"] * len(made.tokens), "finished"]
            assert text_of(events) == made.text == events[-1][1]["result"]["text"]
            assert [body["id"] for kind, body in events if kind == "step"] == [t.id for t in made.tokens]
            assert events[-1][1]["stop_reason"] == made.stop_reason
            assert events[-1][1]["generated_tokens"] == len(made.tokens)
    assert until(lambda: live.load["at_work"] == 0)


def test_every_chapter_that_takes_time_is_streamed(live: Live) -> None:
    sampling = {"max_new_tokens": 6, "seed": 1}
    parts = [
        part("ask", "assistant", question="What is it?", **sampling),
        part("talk", "chat", messages=["Hello"], **sampling),
        part("weigh", "memory", tokens=[1, 8, 64]),
    ]
    with live.client() as client:
        told = whole(Reader(client, asked(*parts)).start().join())
    answers = told["ask"][-1][1]["result"]["answers"]
    columns = {body["column"] for kind, body in told["ask"] if kind == "step"}
    assert columns == {answer["kind"] for answer in answers} and len(columns) >= 3
    turns = told["talk"][-1][1]["result"]["turns"]
    assert len(turns) == 1 and turns[0]["user"] == "Hello"
    rows = [body for kind, body in told["weigh"] if kind == "progress"]
    assert [row["done"] for row in rows] == [1, 2, 3] and rows[-1]["total"] == 3
    assert told["weigh"][-1][0] == "finished" and len(told["weigh"][-1][1]["result"]["rows"]) == 3


def test_the_prompt_and_the_drawn_answer_come_where_asked(live: Live) -> None:
    more = {**part(prompt="Ab", max_new_tokens=2, seed=1), "prompt": True, "view": True}
    with live.client() as client:
        reader = Reader(client, asked(more, part("b", prompt="Ab", max_new_tokens=2, seed=1))).start().join()
    told = whole(reader)
    started = next(body for kind, body in told["a"] if kind == "started")
    assert "".join(token["text"] for token in started["prompt"]).endswith("Ab")
    assert told["a"][-1][1]["view"] and "view" not in told["b"][-1][1]


def test_a_name_and_a_tag_are_each_taken_once(live: Live) -> None:
    gate = Gate()
    with Live(scripted(before_step=gate)) as held, held.client() as client:
        first = Reader(client, asked(part(**LONG))).start()
        until(lambda: gate.steps)
        for body, code, status in (
            (asked(part(**LONG)), "stream_name_taken", 422),
            (asked(part("x", **LONG), part("x", **LONG), name="page-0002"), "same_tag", 422),
            (asked(*(part(str(n), **LONG) for n in range(8)), name="page-0002"), "too_many_streams", 429),
        ):
            answer = client.post("/api/stream", json=body)
            assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
        client.post("/api/stop", json={"name": "page-0001"})
        gate.open.set()
        assert first.join().events[-1][2]["stop_reason"] == "interrupted"
        again = Reader(client, asked(part(prompt="a", max_new_tokens=1, seed=0))).start().join()
        assert again.kinds()[-1] == "finished"


EIGHT = [part(str(n), **{**LONG, "max_new_tokens": 2}) for n in range(8)]


def test_a_reloaded_page_takes_the_place_of_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """A browser may ask for the new page's texts before it is heard that the old page was left."""
    gate, refused = Gate(), []
    monkeypatch.setattr(streams, "ROOM_RETRIES", 100_000)
    with Live(scripted(before_step=gate)) as held, held.client() as client, contextlib.ExitStack() as page:
        page.callback(gate.open.set)  # a test that fails shall end
        hub = held.app.state.streams
        check = hub._check_room

        def noted(*given) -> None:
            try:
                check(*given)
            except BusyError as error:
                refused.append(error.code)
                raise

        monkeypatch.setattr(hub, "_check_room", noted)
        with client.stream("POST", "/api/stream", json=asked(*EIGHT)):
            until(lambda: gate.steps)
            again = Reader(client, asked(*EIGHT, name="page-0002")).start()
            until(lambda: refused)
            assert set(refused) == {"too_many_streams"} and not again.status
        until(lambda: again.status)
        assert again.status == 200 and len(gate.steps) == 1, "before the engine took another step"
        gate.open.set()
        assert again.join().kinds().count("finished") == 8


def test_more_texts_than_a_page_may_have_are_refused_at_once(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "ROOM_RETRY_S", 3600.0)
    learner = live.app.state.learners.visit("someone")
    with pytest.raises(BusyError) as refused:
        looped(live.app.state.streams._wait_for_room(learner, 9))
    assert refused.value.code == "too_many_streams"


def test_a_page_that_left_counts_no_more_while_an_event_of_its_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    gate, writing, written = Gate(free=1), threading.Event(), threading.Event()
    body = stream_jobs.StreamJob.body

    def slowly(self, event, lang):
        if event.kind == "started" and not writing.is_set():
            writing.set()
            assert written.wait(300)
        return body(self, event, lang)

    monkeypatch.setattr(stream_jobs.StreamJob, "body", slowly)
    with Live(scripted(before_step=gate)) as held, held.client() as client, contextlib.ExitStack() as page:
        page.callback(gate.open.set)  # a test that fails shall end
        page.callback(written.set)
        with client.stream("POST", "/api/stream", json=asked(*EIGHT)):
            assert writing.wait(120)
        again = Reader(client, asked(*EIGHT, name="page-0002")).start()
        until(lambda: again.status)
        assert again.status == 200 and not written.is_set()
        written.set()
        gate.open.set()
        assert again.join().kinds().count("finished") == 8


def test_stopping_one_work_leaves_the_others() -> None:
    gate = Gate(free=12)  # neither text ends before it is let through
    with Live(scripted(before_step=gate)) as held, held.client() as client:
        reader = Reader(client, asked(part("a", **LONG), part("b", **{**LONG, "max_new_tokens": 60}))).start()
        until(lambda: len(reader.events) > 6)
        answer = client.post("/api/stop", json={"name": "page-0001", "tag": "a"})
        assert answer.json() == {"ok": True, "result": {"stopped": True}}
        gate.open.set()
        told = whole(reader.join())
        assert told["a"][-1][1]["stop_reason"] == "interrupted"
        assert 0 < told["a"][-1][1]["generated_tokens"] < 1000
        assert told["b"][-1][1]["stop_reason"] == "max_new_tokens"
        assert text_of(told["a"]) == told["a"][-1][1]["result"]["text"]
        assert client.post("/api/stop", json={"name": "page-0001"}).json()["result"] == {"stopped": False}


def test_a_stop_is_heard_while_a_work_is_being_begun(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model may take seconds to open, a long prompt to be cut: whoever stops meanwhile has stopped."""
    reached, let_through = threading.Event(), threading.Event()
    opened = live.app.state.learners.model_for

    def slowly(learner):
        reached.set()
        assert let_through.wait(60)
        return opened(learner)

    monkeypatch.setattr(live.app.state.learners, "model_for", slowly)
    with live.client() as client:
        reader = Reader(client, asked(part("a", **LONG), part("b", **LONG | {"max_new_tokens": 3}))).start()
        assert reached.wait(60)
        answer = client.post("/api/stop", json={"name": "page-0001", "tag": "a"}).json()
        let_through.set()
        reader.join()
    told = whole(reader)
    assert answer["result"] == {"stopped": True}
    assert told["a"][-1][0] == "finished" and told["a"][-1][1]["stop_reason"] == "interrupted"
    assert sum(kind == "step" for kind, _ in told["a"]) < 1000
    assert told["b"][-1][1]["stop_reason"] == "max_new_tokens"


def test_a_measurement_that_waits_is_stopped_as_often_as_one_likes(live: Live) -> None:
    release = threading.Event()
    stream_jobs.MEASUREMENTS.thread.submit(release.wait, 60)
    with live.client() as client:
        reader = Reader(client, asked(part("m", "memory", tokens=[1]))).start()
        until(lambda: stream_jobs.MEASUREMENTS.waiting)
        stream = next(iter(live.app.state.streams.streams.values()))
        assert stream.stop()
        stream.stop()  # whether or not the first has already taken it off the list
        reader.join()
    release.set()
    assert [kind for kind, _, body in reader.events if kind != "queued"] == ["error"]
    assert not stream_jobs.MEASUREMENTS.waiting


def test_nobody_stops_anothers_stream() -> None:
    serving = capot.Serving(host="0.0.0.0", access_code="code")
    model = scripted(before_step=lambda feeds: time.sleep(0.005))
    with Live(model, serving) as live, live.client("code") as mine, live.client("code") as theirs:
        reader = Reader(mine, asked(part(**{**LONG, "max_new_tokens": 80}))).start()
        until(lambda: len(reader.events) > 2)
        assert theirs.post("/api/stop", json={"name": "page-0001"}).json()["result"] == {"stopped": False}
        assert reader.join().events[-1][2]["stop_reason"] == "max_new_tokens"


def freed(live: Live) -> None:
    """Wait until nothing is at work; nothing begins again."""
    until(lambda: live.load["at_work"] == 0)
    made = live.load["decoded_tokens"]
    time.sleep(0.1)
    assert live.load["decoded_tokens"] == made < 1000


def test_a_closed_tab_frees_its_work() -> None:
    gate = Gate(free=12)
    with Live(scripted(before_step=gate)) as held, held.client() as client:
        seen = []
        for event in Reader(client, asked(part(**LONG), part("b", **LONG))).read():
            seen.append(event)
            if len(seen) > 6:
                break  # leaves the `with` of the response: the connection closes
        until(lambda: not held.app.state.streams.streams)  # the server has heard of it
        gate.open.set()
        freed(held)
        assert client.get("/api/status").json()["result"]["streams"] == 0


def test_a_closed_tab_frees_a_plain_answer() -> None:
    gate = Gate(free=12)
    with Live(scripted(before_step=gate)) as held:
        connection = http.client.HTTPConnection(held.root.removeprefix("http://"))
        connection.request("POST", "/api/generate", json.dumps(LONG), JSON | {"x-capot-call": "call-0001"})
        until(lambda: len(gate.steps) > gate.free)
        connection.close()
        people = held.app.state.learners.by_name.values()
        until(lambda: any(call.disconnected for person in people for call in person.calls.values()))
        gate.open.set()
        freed(held)


@pytest.mark.parametrize("cut", [1, 4, 17])
def test_after_a_cut_the_page_goes_on_where_it_was(slow: Live, cut: int) -> None:
    """With the prompt's ids, the ids so far, the seed and how many there are."""
    asking = {"prompt": "RTE est le gestionnaire du r", "temperature": 3, "max_new_tokens": 30, "seed": 8}
    with slow.client() as client:
        uncut = Reader(client, asked(part(**asking))).start().join().events
        kept = []
        for event in Reader(client, asked(part(**asking), name="page-0002")).read():
            kept.append(event)
            if sum(kind == "step" for kind, _, _ in kept) == cut:
                break
        prompt_ids = next(body["prompt_ids"] for kind, _, body in kept if kind == "started")
        ids = [body["id"] for kind, _, body in kept if kind == "step"]
        more = {**asking, "ids": [*prompt_ids, *ids], "first_draw": cut, "max_new_tokens": 30 - cut}
        rest = Reader(client, asked(part(**more), name="page-0003")).start().join().events
    known = [(kind, body) for kind, _, body in kept]
    added = [(kind, body) for kind, _, body in rest]
    assert text_of(known) + text_of(added) == uncut[-1][2]["result"]["text"]
    assert ids + [body["id"] for kind, body in added if kind == "step"] == [
        body["id"] for kind, _, body in uncut if kind == "step"
    ]


def test_each_learner_sees_their_place_in_the_queue() -> None:
    gate = Gate()
    with Live(scripted(before_step=gate)) as live, live.client() as client:
        readers = []
        for number in range(4):
            body = asked(part(**{**LONG, "max_new_tokens": 3}), name=f"page-000{number}")
            readers.append(Reader(client, body).start())
            until(lambda count=number: live.load["at_work"] + live.load["waiting"] == count + 1)
            until(lambda: gate.steps)
        places = [until(lambda r=reader: r.events)[0] for reader in readers[1:]]
        assert places == [("queued", "a", {"position": place}) for place in (1, 2, 3)]
        client.post("/api/stop", json={"name": "page-0001"})
        gate.open.set()
        for reader in readers:
            reader.join()
        assert readers[1].events[-1][2]["stop_reason"] == "interrupted" and "step" not in readers[1].kinds()
        assert readers[3].events[-1][2]["stop_reason"] == "max_new_tokens"


def test_an_error_in_the_midst_is_an_event_and_leaves_the_others(caplog) -> None:
    count = itertools.count()

    def fail(feeds) -> None:
        if next(count) == 5:
            raise RuntimeError("/home/ann/secret.bin")
        time.sleep(0.002)

    caplog.set_level(logging.CRITICAL + 1, logger="capot.web")
    with Live(scripted(before_step=fail)) as live, live.client() as client:
        reader = Reader(client, asked(part(**{**LONG, "max_new_tokens": 20}))).start().join()
        kind, _, body = reader.events[-1]
        assert kind == "error" and body["ok"] is False and body["error"]["code"] == "internal"
        assert "secret" not in str(reader.events) and "RuntimeError" not in str(reader.events)
        again = Reader(client, asked(part(prompt="a", max_new_tokens=2, seed=0))).start().join()
        assert again.kinds()[-1] == "finished"
        assert client.get("/api/status").json()["result"]["ended"] == {"error": 1, "finished": 1}


def test_an_error_of_ours_keeps_its_words() -> None:
    def full(feeds) -> None:
        raise ResourceError("memory_short", tokens=5, needed=2, available=1)

    with Live(scripted(before_step=full)) as live, live.client() as client:
        kind, _, body = Reader(client, asked(part(**LONG))).start().join().events[-1]
    assert kind == "error" and body["error"]["code"] == "memory_short" and "5" in body["error"]["message"]


def test_what_is_wrong_at_once_is_an_answer_not_a_stream(live: Live) -> None:
    with live.client() as client:
        for arguments, code in (
            ({"prompt": ""}, "empty_prompt"),
            ({"prompt": "a" * 5000}, "prompt_too_long"),
            ({"prompt": "a", "ids": [97], "first_draw": 5}, "out_of_range"),
            ({"prompt": "a", "emit": "x"}, "bad_request"),
        ):
            reader = Reader(client, asked(part("ok", prompt="a", max_new_tokens=1), part(**arguments))).start().join()
            assert reader.status == 422 and reader.refusal["code"] == code
        assert client.get("/api/status").json()["result"]["streams"] == 0


def test_a_quiet_stream_still_breathes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "POLL_S", 0.02)
    monkeypatch.setattr(streams, "HEARTBEAT_S", 0.04)
    gate = Gate()
    breathing = asked(part(prompt="a", max_new_tokens=1))
    with (
        Live(scripted(before_step=gate)) as live,
        live.client() as client,
        client.stream("POST", "/api/stream", json=breathing) as answer,
    ):
        chunks = answer.iter_text()
        next(chunk for chunk in chunks if ": here\n\n" in chunk)  # a busy machine tells a place in the queue before
        gate.open.set()
        assert "event: finished" in "".join(chunks)
        assert answer.headers["x-accel-buffering"] == "no" and answer.headers["cache-control"] == "no-store"


def test_a_measurement_stops_between_two_rows() -> None:
    gate, held = Gate(), threading.Event()

    def long_ones(feeds) -> None:
        if len(feeds[0].ids) > 100:
            held.set()
            gate(feeds)

    with Live(scripted(before_step=long_ones)) as live, live.client() as client:
        reader = Reader(client, asked(part("m", "memory", tokens=[1, 2, 4, 4000]))).start()
        assert held.wait(30)
        client.post("/api/stop", json={"name": "page-0001"})
        gate.open.set()
        kind, _, body = reader.join().events[-1]
        assert client.get("/api/status").json()["result"]["scheduler"]["at_work"] == 0
    told = (kind, body["stop_reason"] if kind == "finished" else body["error"]["code"])
    assert told in (("finished", "interrupted"), ("error", "interrupted"))
    assert sum(kind == "progress" for kind, _, _ in reader.events) < 4


def test_a_grid_of_patches_tells_of_each_place_and_is_stopped_between_two(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {"prompt": "The capital of France is", "source": "The capital of Italy is", "max_new_tokens": 0, "k": 3}
    gate, held = Gate(), threading.Event()

    def slow(variants: Variants, variant: list[Any]) -> Any:
        held.set()
        gate(variant)
        return together(variants, variant)

    together = Variants._together
    with Live(capot.open()) as live, live.client() as client:
        told = whole(Reader(client, asked(part("grid", "patch", **texts))).start().join())["grid"]
        rows = [(body["done"], body["total"]) for kind, body in told if kind == "progress"]
        found = told[-1][1]["result"]
        assert told[-1][0] == "finished" and rows == [(done, len(found["grid"])) for done in range(1, len(rows) + 1)]
        plain = client.post("/api/patch", json=texts).json()["result"]
        assert [each["layer"] for each in found["grid"]] == [each["layer"] for each in plain["grid"]]
        assert found["between"] == plain["between"] and found["after"]["candidates"] == plain["after"]["candidates"]
        monkeypatch.setattr(Variants, "_together", slow)
        reader = Reader(client, asked(part("grid", "patch", **texts))).start()
        assert held.wait(60)
        assert client.post("/api/next", json={"prompt": "Abc"}).status_code == 200, "nobody waits for it"
        assert client.post("/api/stop", json={"name": "page-0001"}).json()["result"] == {"stopped": True}
        gate.open.set()
        kind, _, body = reader.join().events[-1]
        assert (kind, body["error"]["code"]) == ("error", "interrupted")
        assert sum(kind == "progress" for kind, _, _ in reader.events) < len(found["grid"])
        until(lambda: live.load["at_work"] == 0)


def test_closing_the_server_ends_what_is_under_way() -> None:
    before = set(threading.enumerate())
    live = Live(scripted(before_step=lambda feeds: time.sleep(0.005)))
    with live:
        client = live.client().client
        reader = Reader(client, asked(part(**LONG))).start()
        until(lambda: len(reader.events) > 3)
    reader.thread.join(30)
    assert not reader.thread.is_alive() and live.model.shared.at_work is None
    client.close()
    left = {thread.name for thread in set(threading.enumerate()) - before if not thread.daemon}
    assert not any(name.startswith("capot-engine") for name in left)


def test_streams_over_asgi_too() -> None:
    with asgi(scripted()) as client:
        answer = client.post("/api/stream", json=asked(part(prompt="a", max_new_tokens=2, seed=1)))
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert [kind for kind, _, _ in events_of(answer.text)][-1] == "finished"
