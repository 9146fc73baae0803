"""What one learner and one address may hold: bodies, learners, texts, measurements, descriptors."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import dataclasses
import errno
import itertools
import logging
import os
import resource
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from lab_helpers import Gate, Live, Reader, asgi, asked, looped, part, scripted, until

from capot.chapters.generate.result import Finished
from capot.chapters.memory.measured import REPEATS
from capot.config import Serving
from capot.errors import BusyError, InputError, InterruptedByUser
from capot.web import descriptors, streams
from capot.web.events import NamedEvent
from capot.web.learners import Learners
from capot.web.quota import NETWORK
from capot.web.request_scope import MemoryAccount
from capot.web.serial_executor import MEASUREMENTS, SerialExecutor
from capot.web.stream_jobs import StreamJob, executor_for
from capot.web.streams import FRAME_S, Handover, OpenStream, Streams
from capot.web.uploads import FULL_BUDGETS, RESOURCES_KEY, UNCOUNTED_BYTES, RequestQuota, UploadBudget
from capot.web.verbs import verbs

ROOT = Path(__file__).resolve().parent.parent
CODE = "code-code"
CLASS = Serving(host="0.0.0.0", access_code=CODE)
TEXT = {"prompt": "hello world", "temperature": 0, "alternatives": 0}

# Bodies.


def arriving(*pieces: bytes, whole: bool = True) -> Any:
    """A receive that gives ``pieces``, then the end of the body or that of the connection."""
    last = {"type": "http.request", "body": b"", "more_body": False} if whole else {"type": "http.disconnect"}
    messages = [*({"type": "http.request", "body": piece, "more_body": True} for piece in pieces), last]

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    return receive


def test_bodies_of_one_learner_have_one_budget_until_their_answers_are_taken() -> None:
    async def read() -> None:
        uploads = UploadBudget(Serving(max_upload_bytes=4_000_000))
        big = b"x" * 1_500_000
        async with contextlib.AsyncExitStack() as first, contextlib.AsyncExitStack() as second:
            ann, ben = {"learner": "ann"}, {"learner": "ben"}
            for _ in range(2):
                assert (
                    await uploads.read({**ann, RESOURCES_KEY: first}, arriving(big, big[:100]), limit=4_000_000)
                    == big + big[:100]
                )
            with pytest.raises(BusyError, match="4,000,000"):
                await uploads.read({**ann, RESOURCES_KEY: second}, arriving(big), limit=4_000_000)
            assert await uploads.read(
                {**ann, RESOURCES_KEY: second}, arriving(b"x" * UNCOUNTED_BYTES), limit=4_000_000
            )  # which never counts
            assert await uploads.read({**ben, RESOURCES_KEY: second}, arriving(big), limit=4_000_000) == big
            await first.aclose()
            assert await uploads.read({**ann, RESOURCES_KEY: second}, arriving(big), limit=4_000_000) == big
        assert not uploads.reserved

    looped(read())


def test_learners_together_have_a_budget_too_and_half_a_body_is_none() -> None:
    async def read() -> None:
        uploads = UploadBudget(Serving(max_upload_bytes=4_000_000))
        async with contextlib.AsyncExitStack() as held:
            for number in range(FULL_BUDGETS):
                uploads.reserve(f"learner-{number}", 4_000_000)
            with pytest.raises(BusyError):
                await uploads.read({"learner": "ann", RESOURCES_KEY: held}, arriving(b"x" * 100_000), limit=4_000_000)
            assert (
                await uploads.read({"learner": "ann", RESOURCES_KEY: held}, arriving(b"{}"), limit=4_000_000) == b"{}"
            )
            with pytest.raises(InterruptedByUser):
                await uploads.read(
                    {"learner": "ann", RESOURCES_KEY: held}, arriving(b"{", whole=False), limit=4_000_000
                )
            with pytest.raises(InputError):
                await uploads.read({"learner": "ann", RESOURCES_KEY: held}, arriving(b"xxx", b"yyy"), limit=5)

    looped(read())


def test_a_body_too_many_is_a_refusal_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    with asgi(scripted()) as client:
        monkeypatch.setattr(UploadBudget, "reserve", lambda self, learner, more: (_ for _ in ()).throw(busy()))
        answer = client.post("/api/next", json={"prompt": "a" * 2 * UNCOUNTED_BYTES}, headers={"x-capot-lang": "fr"})
        assert answer.status_code == 429 and answer.json()["error"]["code"] == "too_much_upload"
        assert "occupent" in answer.json()["error"]["message"]


def busy() -> BusyError:
    return BusyError("too_much_upload", limit=1)


def test_requests_under_way_at_an_address_are_counted_behind_a_proxy_too() -> None:
    requests, one = RequestQuota(Serving(max_connections_of_address=6)), {"client": ("192.0.2.1", 1)}

    async def asked() -> None:
        async with contextlib.AsyncExitStack() as held, contextlib.AsyncExitStack() as others:
            for _ in range(6):
                requests.acquire({**one, RESOURCES_KEY: held})
            with pytest.raises(BusyError) as refused:
                requests.acquire({**one, RESOURCES_KEY: held})
            assert refused.value.code == "too_many_requests" and refused.value.params == {"limit": 6}
            requests.acquire({"client": ("192.0.2.2", 1), RESOURCES_KEY: others})
            await held.aclose()
            requests.acquire({**one, RESOURCES_KEY: others})
        assert len(requests.quota) == 0

    looped(asked())


def test_the_guard_counts_each_request_and_refuses_in_words() -> None:
    gate = Gate()
    with (
        Live(scripted(before_step=gate), Serving(max_connections_of_address=6)) as live,
        live.client() as client,
        concurrent.futures.ThreadPoolExecutor() as pool,
    ):
        live.connections.trusted = lambda address: True  # all of them come by one proxy
        asking = [pool.submit(client.post, "/api/next", json={"prompt": f"hello {n}"}) for n in range(6)]
        (learner,) = until(lambda: list(live.app.state.learners.by_name.values()))
        until(lambda: learner.active_requests == 6)
        answer = httpx.get(f"{live.root}/api/status", trust_env=False)
        assert answer.status_code == 429 and answer.json()["error"]["code"] == "too_many_requests"
        gate.open.set()
        assert all(each.result().status_code == 200 for each in asking)


# Learners.


@pytest.fixture
def room() -> Iterator[Learners]:
    with scripted() as model:
        yield Learners(model, Serving(max_learners_of_address=3))


def test_an_address_has_so_many_learners_and_the_one_seen_longest_ago_makes_room(room: Learners) -> None:
    for name in "abc":
        room.visit(name, "192.0.2.1")
    room.visit("a", "192.0.2.1")
    with room.by_name["c"].busy():
        room.visit("d", "192.0.2.1")
        assert list(room.by_name) == ["c", "a", "d"]
        with room.by_name["a"].busy(), room.by_name["d"].busy(), pytest.raises(BusyError) as refused:
            room.visit("e", "192.0.2.1")
        assert refused.value.code == "too_many_learners" and refused.value.params["limit"] == 3
        room.visit("f", "192.0.2.2")  # another address has its own
    assert len(room.addresses) == 2


def test_whoever_still_holds_memory_is_not_forgotten_and_counted_anew(room: Learners) -> None:
    for name in "abc":
        room.visit(name, "192.0.2.1").account.reserve(1)
    with pytest.raises(BusyError):
        room.visit("d", "192.0.2.1")
    room.by_name["b"].account.release(1)
    room.visit("d", "192.0.2.1")
    assert list(room.by_name) == ["a", "c", "d"]


def test_a_network_has_its_bound_of_learners_and_the_owner_none(room: Learners) -> None:
    with contextlib.ExitStack() as busy:
        for number in range(3 * NETWORK):
            busy.enter_context(room.visit(f"learner-{number}", f"2001:db8::{number:x}").busy())
        with pytest.raises(BusyError):
            room.visit("learner-z", "2001:db8::ffff")
        room.visit("learner-z", "2001:db8:0:1::1")
        for number in range(10):
            busy.enter_context(room.visit(f"owner-{number}", "2001:db8::ffff").busy())
    room.sweep(streaming=set())


def test_the_lab_knows_so_many_and_forgets_nobody_at_work(room: Learners) -> None:
    room.serving = dataclasses.replace(room.serving, max_learners=2)
    with room.visit("a").busy(), room.visit("b").busy(), pytest.raises(BusyError):
        room.visit("c")
    room.visit("c")
    assert list(room.by_name) == ["b", "c"]


def test_who_is_waited_for_is_not_swept_away() -> None:
    clock = [0.0]
    with scripted() as model:
        room = Learners(model, Serving(idle_s=10), clock=lambda: clock[0])
        learner = room.visit("a", "192.0.2.1")
        clock[0] = 100.0
        with learner.busy():
            assert room.sweep(streaming=set()) == 0
        assert room.sweep(streaming=set()) == 1 and len(room.addresses) == 0


def test_a_request_keeps_its_learner_until_the_answer_is_taken() -> None:
    gate = Gate()
    with (
        Live(scripted(before_step=gate)) as live,
        live.client() as client,
        concurrent.futures.ThreadPoolExecutor() as pool,
    ):
        known = live.app.state.learners.by_name
        asking = [
            pool.submit(client.post, "/api/next", json={"prompt": "hello"}),
            pool.submit(client.post, "/api/stream", json=asked(part(**TEXT, max_new_tokens=2))),
        ]
        until(lambda: [each.active_requests for each in known.values()] == [2])
        gate.open.set()
        assert all(each.result().status_code == 200 for each in asking)
        until(lambda: [each.active_requests for each in known.values()] == [0])


# Texts.


def test_texts_that_only_wait_to_be_read_are_at_work_for_nobody() -> None:
    async def opened() -> None:
        with scripted() as model:
            room = Learners(model, Serving(max_streams=4, max_texts=4))
            hub, ann = Streams(room, room.serving), room.visit("ann")
            parts = {tag: StreamJob(tag, verbs()["generate"], {}) for tag in "abcd"}
            stream = OpenStream(ann, "page-0001", "en", Handover(asyncio.get_running_loop()), parts=parts)
            hub.streams["ann", "page-0001"] = stream
            for tag in "abc":
                with pytest.raises(BusyError):
                    hub._check_room(ann, 4)
                stream.emitter(tag)(Finished("", None) if tag == "a" else BusyError("closed"))
            assert stream.at_work == 1 and len(stream.parts) == 4
            hub._check_room(ann, 3)
            with pytest.raises(BusyError):
                hub._check_room(ann, 4)
            stream.emitter("d")(Finished("", None))
            hub._check_room(ann, 4)
            hub._check_room(room.visit("ben"), 4)

    looped(opened())


def test_in_a_full_lab_everyone_has_a_share_and_a_newcomer_finds_theirs() -> None:
    gate = Gate()
    few = dataclasses.replace(CLASS, max_texts=12)
    with Live(scripted(before_step=gate), few) as live, live.client(CODE) as one, live.client(CODE) as other:
        many = [part(str(n), **TEXT, max_new_tokens=1) for n in range(6)]
        readers = [Reader(each, asked(*many)).start() for each in (one, other)]
        until(lambda: live.load["at_work"] + live.load["waiting"] == 12)
        with live.client(CODE) as late:
            answer = late.post("/api/stream", json=asked(*many[:5]))
            assert answer.json()["error"]["code"] == "lab_full"
            readers.append(Reader(late, asked(*many[:4])).start())
            until(lambda: live.load["at_work"] + live.load["waiting"] == 16)
            gate.open.set()
            assert all(reader.join().kinds()[-1] == "finished" for reader in readers)


class SlowLoop:
    """A loop whose time stands still."""

    def __init__(self) -> None:
        self.now = 100.0
        self.woken: list[Any] = []
        self.timers: list[tuple[float, Any]] = []

    def time(self) -> float:
        return self.now

    def call_soon_threadsafe(self, work: Any) -> None:
        self.woken.append(work)

    def call_at(self, when: float, work: Any) -> None:
        self.timers.append((when, work))


def test_what_several_texts_tell_in_one_turn_wakes_the_loop_once() -> None:
    """And each hears its own in order, whatever comes while it is handed over."""
    loop = SlowLoop()

    async def handed() -> None:
        handover, queues = Handover(loop), {name: asyncio.Queue() for name in "ab"}  # type: ignore[arg-type]
        for name, number in [("a", 1), ("b", 2), ("a", 3)]:
            handover.put(queues[name], number)
        assert len(loop.woken) == 1 and queues["a"].empty()
        loop.woken.pop()()
        assert [queues["a"].get_nowait() for _ in range(2)] == [1, 3] and queues["b"].get_nowait() == 2
        loop.now += FRAME_S
        handover.put(queues["b"], 4)
        assert len(loop.woken) == 1  # anew
        loop.woken.pop()()
        assert queues["b"].get_nowait() == 4 and not loop.timers

    looped(handed())


def test_what_comes_in_one_frame_is_handed_over_at_its_end() -> None:
    loop = SlowLoop()

    async def handed() -> None:
        handover, queue = Handover(loop), asyncio.Queue[int]()  # type: ignore[arg-type]
        handover.put(queue, 1)
        loop.woken.pop()()
        assert queue.get_nowait() == 1  # after a pause, at once
        handover.put(queue, 2)
        loop.woken.pop()()
        handover.put(queue, 3)
        assert queue.empty() and not loop.woken and [when for when, _ in loop.timers] == [100.0 + FRAME_S]
        loop.timers.pop()[1]()
        assert [queue.get_nowait() for _ in range(2)] == [2, 3]

    looped(handed())


def test_events_are_read_without_a_timer_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    timers: list[float] = []
    timeout = asyncio.timeout
    monkeypatch.setattr(asyncio, "timeout", lambda seconds: timers.append(seconds) or timeout(seconds))

    async def read() -> list[Any]:
        with scripted() as model:
            room = Learners(model, Serving())
            stream = OpenStream(room.visit("ann"), "page-0001", "en", Handover(asyncio.get_running_loop()))
            for number in range(3):
                stream.queue.put_nowait(("a", NamedEvent("step", {"number": number})))
            with stream.ticking(0):
                found = [told[1].body()["number"] for _ in range(3) if (told := await stream.queue.get()) is not None]
                assert await stream.queue.get() is None  # nothing has come for so long
            return found

    assert looped(read()) == [0, 1, 2] and timers == []


def test_a_long_backlog_is_written_piece_by_piece_and_the_others_have_their_turn_between() -> None:
    async def read() -> list[int]:
        with scripted() as model:
            room = Learners(model, Serving())
            hub, turns, sizes = Streams(room, room.serving), [0], []
            stream = OpenStream(room.visit("ann"), "page-0001", "en", Handover(asyncio.get_running_loop()))
            stream.parts["a"] = StreamJob("a", verbs()["generate"], {})
            for number in range(1000):
                stream.queue.put_nowait(("a", NamedEvent("step", {"text": "x" * 1000, "number": number})))
            stream.queue.put_nowait(("a", NamedEvent("finished", {})))

            async def other() -> None:
                while True:
                    turns[0] += 1
                    await asyncio.sleep(0)

            task = asyncio.create_task(other())
            async for piece in hub.events(stream):
                sizes.append(len(piece))
                assert len(sizes) <= turns[0]
            task.cancel()
            return sizes

    sizes = looped(read())
    assert sum(sizes) > 1_000_000 and max(sizes) < streams.CHUNK_BYTES + 2000


# Measurements.


class Measured:
    """A work that says when it is done."""

    def __init__(self, owner: str, done: list[str], gate: threading.Event) -> None:
        self.owner, self.key, self.done, self.gate = owner, self, done, gate

    def run(self) -> None:
        self.gate.wait(60)
        self.done.append(self.owner)


def test_a_line_takes_one_of_each_owner_in_turn_and_each_knows_its_place() -> None:
    line, gate, done = SerialExecutor("test"), threading.Event(), []
    first, *others = [Measured(owner, done, gate) for owner in ("ann", "ann", "ann", "ben", "cleo", "ben")]
    line.add(first)
    until(lambda: not line.waiting)
    for each in others:
        line.add(each)
    assert [line.position(each) for each in (first, *others)] == [0, 1, 4, 2, 3, 5]
    assert line.remove(others[0]) and not line.remove(others[0]) and not line.remove(first)
    assert [line.position(each) for each in others] == [0, 1, 2, 3, 4]
    gate.set()
    until(lambda: len(done) == 5)
    assert done == ["ann", "ann", "ben", "cleo", "ben"] and not line.waiting


def test_what_is_computed_on_paper_waits_for_no_measurement() -> None:
    memory = verbs()["memory"]
    assert executor_for(memory, {"tokens": [1]}) is MEASUREMENTS
    assert (
        executor_for(memory, {"simulate": True})
        is executor_for(memory, {"known": "x"})
        is executor_for(verbs()["next"], {})
        is None
    )


def test_measurements_are_made_one_at_a_time_and_who_waits_knows_their_place() -> None:
    gate = Gate()
    with (
        Live(scripted(before_step=gate), CLASS) as live,
        live.client(CODE) as one,
        live.client(CODE) as other,
        concurrent.futures.ThreadPoolExecutor() as pool,
    ):

        def ask(client: httpx.Client, call: str) -> concurrent.futures.Future:
            return pool.submit(client.post, "/api/memory", json={"tokens": [64]}, headers={"x-capot-call": call})

        def place(client: httpx.Client, call: str) -> int:
            return client.get("/api/place", params={"call": call}).json()["result"]["position"]

        asking = [ask(one, "call-0001")]
        until(lambda: gate.steps)
        asking.append(ask(one, "call-0002"))
        until(lambda: place(one, "call-0002") == 1)
        reader = Reader(other, asked(part(verb="memory", tokens=[64]))).start()
        until(lambda: reader.events)
        assert reader.events[0][2]["position"] == 2 and place(one, "call-0001") == 0
        assert live.app.state.learners.semaphore._limiter.borrowed_tokens == 0  # no thread of the others' waits with it
        assert other.post("/api/memory", json={"tokens": [64], "simulate": True, "known": "gpt2"}).status_code in (
            200,
            404,
        )
        gate.open.set()
        assert all(each.result().json()["result"]["rows"] for each in asking)
        assert reader.join().kinds()[-1] == "finished"


def test_whoever_leaves_gives_up_their_measurement_waiting_or_at_work() -> None:
    gate = Gate()
    with Live(scripted(before_step=gate), CLASS) as live:
        measuring, waiting = [live.client(CODE).client for _ in range(2)]
        with concurrent.futures.ThreadPoolExecutor() as pool:
            for client in (measuring, waiting):
                leaving = pool.submit(client.post, "/api/memory", json={"tokens": list(range(1, 40))})
                if client is measuring:
                    until(lambda: gate.steps)
                else:
                    until(lambda: MEASUREMENTS.waiting)
                assert not leaving.done()
            for each in list(live.connections.open):
                each.loop.call_soon_threadsafe(each.abort)
            until(lambda: not MEASUREMENTS.waiting)
            gate.open.set()
            until(lambda: not any(each.active_requests for each in live.app.state.learners.by_name.values()))
            assert len(gate.steps) < 39  # the rows that were not begun never are
        for client in (measuring, waiting):
            client.close()


def test_what_is_measured_counts_in_its_learners_memory() -> None:
    small = Serving(host="0.0.0.0", access_code=CODE, max_cache_bytes=1_000_000)
    with asgi(scripted(), small, owner_key="key") as client:
        client.get(f"/?code={CODE}")
        answer = client.post("/api/memory", json={"tokens": [4000], "mode": "all"})
        assert answer.status_code == 429 and answer.json()["error"]["code"] == "too_much_memory"
        some = client.post("/api/memory", json={"tokens": [1, 64, 4000], "mode": "all"}).json()["result"]
        assert [row["tokens"] for row in some["rows"]] == [1, 64]
        assert (
            some["stopped"]["reason"] == "memory"
            and some["stopped"]["needed_bytes"] > some["stopped"]["available_bytes"] > 990_000
        )
        client.get("/?code=key")
        assert len(client.post("/api/memory", json={"tokens": [4000], "mode": "all"}).json()["result"]["rows"]) == 1


def test_memory_is_held_while_a_row_is_measured_and_no_longer() -> None:
    gate = Gate(free=1 + REPEATS)  # a first pass, which warms up, and the tokens after it
    with Live(scripted(before_step=gate), CLASS) as live, live.client(CODE) as client:
        reader = Reader(client, asked(part(verb="memory", tokens=[500], mode="all"))).start()
        until(lambda: len(gate.steps) > gate.free)
        (learner,) = live.app.state.learners.by_name.values()
        assert learner.account.nbytes > 4 * 500 * live.model.scheduler.engine.info.vocabulary_size
        gate.open.set()
        assert reader.join().kinds()[-1] == "finished"
        until(lambda: not learner.account.nbytes)


def test_an_account_counts_what_is_held_besides_jobs() -> None:
    account = MemoryAccount(100)
    with account.holding(60):
        assert account.nbytes == 60
        with pytest.raises(BusyError) as refused, account.holding(41):
            pass
        assert refused.value.params == {"needed": 41, "held": 60, "limit": 100}
    assert account.nbytes == 0


# Descriptors.


@pytest.mark.parametrize(
    ("soft", "hard", "used", "asked", "found"),
    [
        (20_000, 20_000, 20, 1000, (1000, 128)),
        (1024, 4096, 20, 1000, (1000, 128)),  # the limit is raised
        (256, 256, 16, 1000, (256 - 16 - 60 - 60, 60)),
        (64, 64, 40, 1000, (12, 6)),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, 20, 1000, (1000, 128)),
        (256, resource.RLIM_INFINITY, 20, 1000, (1000, 128)),
    ],
)
def test_there_are_never_more_connections_than_descriptors(monkeypatch, soft, hard, used, asked, found) -> None:
    limits = [soft, hard]
    monkeypatch.setattr(resource, "getrlimit", lambda what: tuple(limits))
    monkeypatch.setattr(resource, "setrlimit", lambda what, new: limits.__setitem__(slice(None), new))
    monkeypatch.setattr(descriptors, "_open_descriptors", lambda: used)
    assert descriptors.connection_limit(asked) == found
    assert limits[1] == hard and (
        limits[0] == resource.RLIM_INFINITY or sum(found) + used <= limits[0] <= max(soft, 1212)
    )


def test_a_limit_that_cannot_be_raised_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda what: (100, 200))
    monkeypatch.setattr(resource, "setrlimit", lambda what, new: (_ for _ in ()).throw(OSError()))
    monkeypatch.setattr(descriptors, "_open_descriptors", lambda: 20)
    assert descriptors.connection_limit(1000) == (40, 20)


def test_connections_to_a_server_have_descriptors_too(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = [1024, 1024]
    monkeypatch.setattr(resource, "getrlimit", lambda what: tuple(limits))
    monkeypatch.setattr(resource, "setrlimit", lambda what, new: limits.__setitem__(slice(None), new))
    monkeypatch.setattr(descriptors, "_open_descriptors", lambda: 24)
    assert descriptors.connection_limit(1000, outward=200) == (1000 - 200 - 128 - 64, 128)
    limits[1] = 8192
    assert descriptors.connection_limit(1000, outward=200) == (1000, 128) and limits[0] == 1000 + 200 + 24 + 128 + 64


def test_few_lines_of_one_kind_reach_the_terminal() -> None:
    clock = [0.0]
    sparing = descriptors.RepeatFilter(lambda: clock[0])

    def told(text: str, *given: object) -> bool:
        return sparing.filter(logging.LogRecord("uvicorn.error", logging.WARNING, "", 0, text, given, None))

    assert sum(told("Invalid request %d", number) for number in range(1000)) == descriptors.MAX_REPEATS
    assert told("another kind")
    clock[0] = descriptors.REPEAT_WINDOW_S
    assert told("Invalid request %d", 1)


def test_the_end_of_descriptors_is_said_once_a_minute_and_other_faults_each_time() -> None:
    clock, said, others = [0.0], [], []
    handler = descriptors.exhaustion_handler(lambda key, **params: said.append((key, params)), lambda: clock[0])
    loop = type("Loop", (), {"default_exception_handler": lambda self, context: others.append(context)})()
    for _ in range(100):
        handler(loop, {"exception": OSError(errno.EMFILE, "x"), "message": "socket.accept() out of system resource"})
    assert said == [("serve.exhausted", {"reason": os.strerror(errno.EMFILE)})] and not others
    clock[0] = descriptors.REPEAT_WINDOW_S
    handler(loop, {"exception": OSError(errno.ENFILE, "x")})
    handler(loop, {"exception": OSError(errno.EPIPE, "x")})
    handler(loop, {"message": "something"})
    assert len(said) == 2 and len(others) == 2


@pytest.mark.skipif(sys.platform == "win32", reason="limits of descriptors are a Unix thing")
def test_more_visitors_than_descriptors_leave_the_lab_answering_and_its_terminal_quiet() -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "CAPOT_LANG": "en", "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "capot", "serve", "--no-open", "--port", "0", "--model", "scripted"]
    shell = ["sh", "-c", 'ulimit -n 128 && exec "$@"', "sh"]
    process = subprocess.Popen(
        [*shell, *command], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        told = list(itertools.takewhile(lambda line: "Ctrl" not in line, process.stdout))
        port = int(told[0].rstrip("/\n").rpartition(":")[2])
        with contextlib.ExitStack() as visitors:
            for number in range(300):
                visitor = visitors.enter_context(socket.create_connection(("127.0.0.1", port), 60))
                with contextlib.suppress(OSError):
                    visitor.sendall(b"GET / HTTP/1.1\r\nHost: " if number % 2 else b"\x00\r\n\r\n")
            answer = httpx.get(f"http://127.0.0.1:{port}/api/status", trust_env=False, timeout=60)
            assert answer.status_code == 200
            assert len(os.listdir(f"/proc/{process.pid}/fd")) < 128 if os.path.isdir("/proc") else True
        process.terminate()
        rest = process.stdout.read()
        assert len(rest.splitlines()) <= descriptors.MAX_REPEATS + 3, rest
        assert "Traceback" not in rest
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
