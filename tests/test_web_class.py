"""A class on one machine: thirty learners at once, fair turns, bounds for each, and memory that comes back."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import http.client
import itertools
import json
import statistics
import time
from collections.abc import Iterator

import httpx
import pytest
from lab_helpers import JSON, Gate, Live, Reader, asgi, asked, part, scripted, until
from starlette.datastructures import Headers
from starlette.testclient import TestClient

from capot.config import Serving
from capot.engines.protocol import Want
from capot.engines.scheduler import MAX_BATCH, Job
from capot.errors import AccessError, BusyError, InterruptedByUser
from capot.web import learners as learning
from capot.web.app import create_app
from capot.web.guard import Guard
from capot.web.learners import Learners
from capot.web.request_scope import MemoryAccount, job_bytes, scoped_model

CODE = "code-code"
CLASS = Serving(host="0.0.0.0", access_code=CODE)
TEXT = {"prompt": "hello world", "temperature": 0, "alternatives": 0}


def test_thirty_learners_are_all_served_and_none_is_starved() -> None:
    gate, steps = Gate(), []

    def noted(feeds) -> None:
        gate(feeds)
        steps.append([feed.sequence for feed in feeds])  # kept, so that no other comes to bear its name

    with Live(scripted(before_step=noted), CLASS) as live:
        visitors = [live.client(CODE) for _ in range(30)]
        readers = [
            Reader(visitor.client, asked(part(**TEXT, max_new_tokens=60, seed=number)))
            for number, visitor in enumerate(visitors)
        ]
        for reader in readers:
            reader.start()
        until(lambda: live.load["at_work"] + live.load["waiting"] == 30)
        gate.open.set()
        for reader in readers:
            reader.join()
            assert reader.kinds()[-1] == "finished" and reader.kinds().count("step") == 60
            assert reader.events[-1][2]["stop_reason"] == "max_new_tokens"
        with visitors[0] as client:
            told = client.get("/api/status").json()["result"]
        assert told["learners"] == 30 and told["ended"] == {"finished": 30}
        assert max(map(len, steps)) == 30 <= MAX_BATCH  # together in one pass, not one after the other
        places: dict[int, list[int]] = {}
        for place, sequences in enumerate(steps):
            for sequence in sequences:
                places.setdefault(id(sequence), []).append(place)
        lasted = [found[-1] - found[0] for found in places.values()]
        assert max(lasted) <= 2 * statistics.median(lasted)
        for visitor in visitors[1:]:
            visitor.client.close()


def test_a_long_prompt_freezes_nobody() -> None:
    gate, turns = Gate(), []

    def note(feeds) -> None:
        gate(feeds)
        turns.append("read" if len(feeds[0].ids) > 1 else "say")
        time.sleep(0.002)

    with Live(scripted(before_step=note), CLASS) as live, live.client(CODE) as quick, live.client(CODE) as long:
        first = Reader(quick, asked(part(**TEXT, max_new_tokens=400))).start()
        until(lambda: gate.steps)
        prompt = "word " * 800  # 4,000 tokens of the scripted engine, in chunks
        second = Reader(long, asked(part(**{**TEXT, "prompt": prompt}, max_new_tokens=1))).start()
        until(lambda: live.load["at_work"] + live.load["waiting"] == 2)
        gate.open.set()  # the first has not said a word yet, and says more of them than the other has chunks
        second.join()
        live.client(CODE).client.close()
        quick.post("/api/stop", json={"name": "page-0001"})
        first.join()
    reads = [place for place, turn in enumerate(turns) if turn == "read"][1:]
    assert len(reads) > 10
    assert all("say" in turns[before:after] for before, after in itertools.pairwise(reads))


def test_a_learner_with_many_texts_takes_one_turn_like_the_others() -> None:
    gate = Gate()
    with Live(scripted(before_step=gate), CLASS) as live, live.client(CODE) as greedy, live.client(CODE) as modest:
        many = [part(str(n), **TEXT, max_new_tokens=2) for n in range(8)]
        first = Reader(greedy, asked(*many)).start()
        until(lambda: live.load["at_work"] + live.load["waiting"] == 8)
        second = Reader(modest, asked(part(**TEXT, max_new_tokens=2))).start()
        place = until(lambda: second.events)[0][2]["position"]
        assert place <= 2  # behind one text of the other's, not behind seven
        gate.open.set()
        first.join()
        second.join()


def test_an_answer_that_waits_knows_its_place_in_the_queue() -> None:
    gate = Gate()
    with Live(scripted(before_step=gate), CLASS) as live, live.client(CODE) as greedy, live.client(CODE) as modest:

        def place(client: httpx.Client, call: str = "call-0001") -> int:
            answer = client.get("/api/place", params={"call": call})
            assert answer.status_code == 200
            return answer.json()["result"]["position"]

        texts = Reader(greedy, asked(*(part(str(n), **TEXT, max_new_tokens=2) for n in range(8)))).start()
        until(lambda: gate.steps and live.load["at_work"] + live.load["waiting"] == 8)
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            named = {"x-capot-call": "call-0001"}
            asking = pool.submit(modest.post, "/api/next", json={"prompt": "hello"}, headers=named)
            assert 1 <= until(lambda: place(modest)) <= 2  # behind one text of the other's, not behind seven
            assert place(modest, "call-0002") == 0 and place(greedy) == 0  # nobody sees another's
            gate.open.set()
            assert asking.result().json()["ok"] and place(modest) == 0
        texts.join()
        assert modest.get("/api/place", params={"call": "no name"}).status_code == 422
        assert not any(learner.calls for learner in live.app.state.learners.by_name.values())


def test_an_answer_that_waits_for_the_learners_own_knows_its_turn() -> None:
    gate = Gate()
    with (
        Live(scripted(before_step=gate)) as live,
        live.client() as client,
        concurrent.futures.ThreadPoolExecutor() as pool,
    ):
        calls = [f"call-{number:04}" for number in range(5)]

        def place(call: str) -> dict[str, int]:
            return client.get("/api/place", params={"call": call}).json()["result"]

        def ask(call: str, path: str = "/api/next", body: dict | None = None) -> concurrent.futures.Future:
            headers = {"x-capot-call": call}
            return pool.submit(client.post, path, json=body or {"prompt": f"hello {call}"}, headers=headers)

        under_way = [ask(call) for call in calls[:3]]
        until(lambda: gate.steps and live.load["at_work"] + live.load["waiting"] == learning.MAX_LEARNER_CALLS)
        waiting = [ask(calls[3])]
        until(lambda: place(calls[3])["turn"])
        waiting.append(ask(calls[4], "/api/stream", asked(part(**TEXT, max_new_tokens=2))))
        until(lambda: place(calls[4])["turn"])
        places = [place(call) for call in calls]
        assert [found["turn"] for found in places] == [0, 0, 0, 1, 2]
        assert {found["at_once"] for found in places} == {learning.MAX_LEARNER_CALLS}
        assert sorted(found["position"] for found in places[:3]) == [0, 1, 2]  # in the queue of all, as everybody
        gate.open.set()
        assert all(each.result().status_code == 200 for each in (*under_way, *waiting))
        assert place(calls[4]) == {"position": 0, "turn": 0, "at_once": learning.MAX_LEARNER_CALLS}


def test_who_leaves_while_waiting_gives_up_their_turn() -> None:
    gate = Gate()
    with (
        Live(scripted(before_step=gate)) as live,
        live.client() as client,
        concurrent.futures.ThreadPoolExecutor() as pool,
    ):
        under_way = [pool.submit(client.post, "/api/next", json={"prompt": f"hello {n}"}) for n in range(3)]
        until(lambda: live.load["at_work"] + live.load["waiting"] == learning.MAX_LEARNER_CALLS)
        (learner,) = live.app.state.learners.by_name.values()
        leaving = http.client.HTTPConnection(live.root.removeprefix("http://"))
        cookies = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
        leaving.request("POST", "/api/next", json.dumps({"prompt": "left"}), JSON | {"cookie": cookies})
        until(lambda: learner.semaphore.waiting)
        leaving.close()
        until(lambda: not learner.semaphore.waiting)
        assert not any(each.done() for each in under_way)
        gate.open.set()
        assert all(each.result().json()["ok"] for each in under_way)


def test_an_answer_that_waits_for_a_thread_of_the_lab_knows_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learning, "MAX_CALLS", 1)
    gate = Gate()
    with (
        Live(scripted(before_step=gate), CLASS) as live,
        live.client(CODE) as first,
        live.client(CODE) as second,
        concurrent.futures.ThreadPoolExecutor() as pool,
    ):
        named = {"x-capot-call": "call-0001"}
        asking = [pool.submit(first.post, "/api/next", json={"prompt": "hello"})]
        until(lambda: gate.steps)
        asking.append(pool.submit(second.post, "/api/next", json={"prompt": "hello"}, headers=named))
        place = until(lambda: second.get("/api/place", params={"call": "call-0001"}).json()["result"]["position"])
        assert place == 1
        gate.open.set()
        assert all(each.result().json()["ok"] for each in asking)


def test_bounds_have_each_a_clear_message() -> None:
    small = Serving(host="0.0.0.0", access_code=CODE, max_prompt_chars=100, max_new_tokens=10, max_streams=2)
    with asgi(scripted(), small, owner_key="key") as client:
        client.get(f"/?code={CODE}")
        cases = [
            ("generate", {"prompt": "x" * 101}, "text_too_long", "101"),
            ("generate", {"prompt": "x", "max_new_tokens": 11}, "too_many_new_tokens", "11"),
            ("stream", asked(*(part(str(n), prompt="x", max_new_tokens=2) for n in range(3))), "too_many_streams", "2"),
            ("chat", {"messages": ["a", "b" * 101]}, "text_too_long", "101"),
            ("memory", {"tokens": list(range(1, 60))}, "too_many_items", "59"),
        ]
        for verb, body, code, shown in cases:
            error = client.post(f"/api/{verb}", json=body).json()["error"]
            assert error["code"] == code and shown in error["message"], error
            french = client.post(f"/api/{verb}", json=body, headers={"x-capot-lang": "fr"}).json()["error"]
            assert shown in french["message"] != error["message"]
        assert client.get("/api/model").json()["result"]["limits"]["max_new_tokens"] == 10


def test_a_learners_memory_is_bounded_and_the_owners_is_not() -> None:
    small = Serving(host="0.0.0.0", access_code=CODE, max_cache_bytes=1_000_000)
    with asgi(scripted(), small, owner_key="key") as client:
        client.get(f"/?code={CODE}")
        body = {"prompt": "x" * 3990, "max_new_tokens": 200, "seed": 1}  # 256 bytes a token: more than a megabyte
        answer = client.post("/api/generate", json=body)
        assert answer.status_code == 429 and answer.json()["error"]["code"] == "too_much_memory"
        assert "1,000,000" in answer.json()["error"]["message"]
        assert client.post("/api/generate", json={**body, "prompt": "x"}).status_code == 200
        client.get("/?code=key")
        assert client.post("/api/generate", json={**body, "max_new_tokens": 5}).status_code == 200


def test_what_is_wanted_of_every_position_counts_as_memory() -> None:
    engine = scripted().scheduler.engine
    info, cache = engine.info, engine.cache_bytes(100)
    ids = list(range(100))
    assert job_bytes(Job(ids), engine) == cache
    assert job_bytes(Job(ids, want=Want("all")), engine) == cache + 4 * 100 * info.vocabulary_size
    assert job_bytes(Job(ids, want=Want(hidden=True)), engine) == cache + 4 * 100 * (info.layers + 1) * info.width
    attention = 4 * 100 * 100 * info.layers * info.heads
    assert job_bytes(Job(ids, want=Want(attention=True)), engine) == cache + attention


def test_texts_of_one_learner_share_one_account() -> None:
    gate = Gate()
    with scripted(before_step=gate) as model:
        need = job_bytes(Job([1] * 100, room=0), model.scheduler.engine)
        account = MemoryAccount(2 * need)
        (_, first), (_, second) = scoped_model(model, "ann", account), scoped_model(model, "ann", account)
        tickets = [first.submit(Job([1] * 100, owner="ann")), second.submit(Job([1] * 100, owner="ann"))]
        with pytest.raises(BusyError) as refused:
            second.submit(Job([1] * 100, owner="ann"))
        assert refused.value.code == "too_much_memory" and refused.value.params["held"] == 2 * need
        gate.open.set()
        assert all(ticket.wait(30) for ticket in tickets)
        assert second.submit(Job([1] * 100, owner="ann")).wait(30) and account.nbytes == 0


def test_a_cancelled_text_leaves_its_learners_account_at_once() -> None:
    """Who reloads a page asks for the same texts again, before the engine has taken the step that ends the first."""
    gate = Gate()
    with scripted(before_step=gate) as model:
        need = job_bytes(Job([1] * 100), model.scheduler.engine)
        account = MemoryAccount(need)
        (_, before), (_, after) = scoped_model(model, "ann", account), scoped_model(model, "ann", account)
        first = before.submit(Job([1] * 100, owner="ann"))
        before.cancel()
        assert account.nbytes == 0 and not first.done
        second = after.submit(Job([1] * 100, owner="ann"))
        assert account.nbytes == need
        gate.open.set()
        assert first.wait(30) and second.wait(30) and second.error is None


def test_a_share_that_was_cancelled_begins_nothing_more() -> None:
    with scripted() as model:
        person, share = scoped_model(model, "ann", MemoryAccount(None))
        assert person.scheduler is share and person.owner == "ann"
        share.cancel()
        assert share.cancelled
        with pytest.raises(InterruptedByUser):
            share.submit(Job([1]))
        with pytest.raises(InterruptedByUser):
            share.call(lambda: 1)
        assert share.call(lambda: 2) == 2  # what cleans up afterwards still may


def test_more_requests_than_can_wait_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learning, "MAX_WAITING_CALLS", 2)
    gate = Gate()
    with Live(scripted(before_step=gate)) as live, live.client() as client:
        bodies = [{"prompt": f"{n}", "max_new_tokens": 1} for n in range(8)]
        readers = [Reader(client, body, path="/api/generate").start() for body in bodies]
        until(lambda: sum(not reader.thread.is_alive() for reader in readers) == 8 - learning.MAX_LEARNER_CALLS - 2)
        refused = [reader.refusal for reader in readers if not reader.thread.is_alive()]
        assert {error["code"] for error in refused} == {"too_many_requests"} and "2" in refused[0]["message"]
        gate.open.set()
        for reader in readers:
            reader.thread.join(30)


def test_many_learners_of_one_persons_making_do_not_fill_the_lab() -> None:
    gate = Gate()
    with Live(scripted(before_step=gate), dataclasses.replace(CLASS, max_texts=3)) as live:
        clients = [live.client(CODE).client for _ in range(4)]
        readers = [Reader(client, asked(part(**TEXT, max_new_tokens=1))).start() for client in clients[:3]]
        until(lambda: len(live.app.state.streams.streams) == 3)
        answer = clients[3].post("/api/stream", json=asked(part(**TEXT)))
        assert answer.status_code == 429 and answer.json()["error"]["code"] == "lab_full"
        gate.open.set()
        for reader in readers:
            assert reader.join().kinds()[-1] == "finished"
        for client in clients:
            client.close()


# Memory comes back.


def test_abandoned_conversations_give_their_memory_back() -> None:
    serving = Serving(host="0.0.0.0", access_code=CODE, idle_s=0.5)
    with Live(scripted(before_step=lambda feeds: time.sleep(0.001)), serving) as live:
        for number in range(25):
            with live.client(CODE) as client:
                talk = part(verb="chat", messages=[f"Hello {number}"], max_new_tokens=20, temperature=0)
                for kind, _, _ in Reader(client, asked(talk)).read():
                    if kind == "step" and number % 2:
                        break  # every other tab is closed in the midst
        until(lambda: live.load["at_work"] == 0)
        until(lambda: live.load["idle_caches"] == 0 and live.load["cache_bytes"] == 0)
        assert until(lambda: len(live.app.state.learners.by_name) == 0) is True
        assert not live.app.state.streams.streams


@pytest.fixture
def known() -> Iterator[tuple[Learners, list[float]]]:
    clock = [0.0]
    with scripted() as model:
        yield Learners(model, Serving(idle_s=100), clock=lambda: clock[0]), clock


def test_whoever_was_cut_off_goes_sooner_than_whoever_is_idle(known) -> None:
    learners, clock = known
    idle, cut, back, streaming = (learners.visit(name) for name in ("idle", "cut", "back", "streaming"))
    for each in (cut, back, streaming):
        learners.disconnect(each)
    clock[0] = 5.0
    learners.visit("back")
    assert learners.sweep(streaming=set()) == 0
    clock[0] = learning.RECONNECT_S + 1
    assert learners.sweep(streaming={"streaming"}) == 1 and set(learners.by_name) == {"idle", "back", "streaming"}
    clock[0] = 104.0
    assert learners.sweep(streaming=set()) == 2 and set(learners.by_name) == {"back"}
    assert idle.name == "idle"


def test_no_list_grows_with_the_visitors(known) -> None:
    learners, _ = known
    learners.serving = dataclasses.replace(learners.serving, max_learners=10)
    for number in range(50):
        learners.visit(f"learner-{number}")
    assert list(learners.by_name) == [f"learner-{number}" for number in range(40, 50)]


# Who is at the door.


def test_the_load_is_for_those_at_the_machine_and_those_with_the_code() -> None:
    app = create_app(scripted(), CLASS, owner_key="key")
    for address, code, status in (
        ("127.0.0.1", "", 200), ("::1", "", 200), ("::ffff:127.0.0.1", "", 200), ("10.0.0.9", "", 403),
        ("10.0.0.9", "?code=wrong", 403), ("10.0.0.9", f"?code={CODE}", 200), ("10.0.0.9", "?code=key", 200),
    ):  # fmt: skip
        client = TestClient(app, base_url="http://127.0.0.1:8420", client=(address, 50_000))
        assert client.get(f"/api/status{code}").status_code == status, (address, code)
    app.state.learners.model.close()


@pytest.mark.parametrize(
    ("host", "arrived", "welcome"),
    [
        ("10.0.0.7:80", "::ffff:10.0.0.7", True),
        ("[fe80::1]:80", "fe80::1%eth0", True),
        ("10.0.0.8", "10.0.0.7", False),
        ("CLASS.local", "10.0.0.7", True),
        ("rebound.example", "10.0.0.7", False),
        ("[::1", "::1", False),
    ],
)
def test_an_address_is_ours_however_the_system_writes_it(host: str, arrived: str, welcome: bool) -> None:
    guard = Guard(None, serving=Serving(host="::", access_code=CODE, allowed_hosts=("Class.Local",)))
    scope = {"type": "http", "server": (arrived, 80), "headers": [(b"host", host.encode())]}
    with contextlib.nullcontext() if welcome else pytest.raises(AccessError, match="does not answer"):
        guard.check_host(scope, Headers(scope=scope))


def test_a_strange_origin_is_a_refusal_not_a_fault() -> None:
    with asgi(scripted()) as client:
        for origin in ("http://[", "http://127.0.0.1:8420@evil.example", "chrome-extension://x", ""):
            answer = client.post("/api/next", json={"prompt": "a"}, headers={"origin": origin})
            assert answer.status_code == 403 and answer.json()["error"]["code"] == "wrong_origin", origin
