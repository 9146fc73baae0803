"""Connections of the lab: what is cut and what is not, how many there may be, by an injected clock."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import uvicorn
from lab_helpers import Gate, Live, Reader, asked, looped, part, scripted, until
from uvicorn.server import ServerState

from capot.config import Serving
from capot.web.connections import ANSWER, BODY, HEADERS, IDLE, STALLED_S, Connections
from capot.web.protocol import CHUNK_BYTES, MAX_PIPELINED, Connection
from capot.web.quota import NETWORK, Quota

CODE = "code-code"
CLASS = Serving(host="0.0.0.0", access_code=CODE)
HALF = b'POST /a HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"p'
LIMITS = {IDLE: "idle_connection_s", HEADERS: "headers_s", BODY: "body_s"}


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass(eq=False)
class Pretended:
    """A connection whose every fact is given."""

    address: str = "10.0.0.1"
    state: str = HEADERS
    since: float = 0.0
    waiting: int = 0
    seconds: float = 0.0
    ended: list[bool] = field(default_factory=list)

    def unsent_bytes(self) -> int:
        return self.waiting

    def stalled_for(self, now: float) -> float:
        return self.seconds

    def abort(self) -> None:
        self.ended.append(True)


def of(serving: Serving | None = None, **options: Any) -> tuple[Connections, Clock]:
    clock = Clock()
    return Connections(serving or Serving(), clock=clock, **options), clock


# What is cut.


@pytest.mark.parametrize("state", LIMITS)
def test_whoever_sends_no_whole_request_is_cut_when_its_time_is_over(state: str) -> None:
    connections, clock = of()
    limit = getattr(connections.serving, LIMITS[state])
    each = Pretended(state=state)
    assert connections.admit(each)
    clock.now = limit
    connections.check()
    assert not each.ended
    clock.now = limit + 0.1
    connections.check()
    assert each.ended and not connections.open and connections.end_reasons == {state: 1}


def test_an_answer_is_waited_for_without_end_and_one_that_is_still_being_taken_is_not_idle() -> None:
    connections, clock = of()
    working, taking = Pretended(state=ANSWER), Pretended(state=IDLE, waiting=1000)
    assert connections.admit(working) and connections.admit(taking)
    clock.now = 10_000.0
    connections.check()
    assert not working.ended and not taking.ended
    taking.seconds = connections.serving.stalled_s + 1
    connections.check()
    assert taking.ended and not working.ended and connections.end_reasons == {"stalled": 1}


def wired(live: Live) -> Any:
    """The one connection that is open."""
    (found,) = until(lambda: live.connections.open)
    return found


def looked(live: Live) -> None:
    """A look at all connections, on the loop's thread as always."""
    (connection,) = {each.loop for each in live.connections.open}
    asyncio.run_coroutine_threadsafe(_look(live.connections), connection).result(60)


async def _look(connections: Connections) -> None:
    connections.check()


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody looks but the test."""
    monkeypatch.setattr(Connections, "watch", lambda self, loop: None)


@pytest.fixture
def timed(quiet: None) -> Iterator[tuple[Live, Clock, Gate]]:
    """A lab over a real socket with a clock of the test's, its engine held at the first step."""
    clock, gate = Clock(), Gate()
    with Live(scripted(before_step=gate), connections=Connections(Serving(), clock=clock)) as live:
        yield live, clock, gate
        gate.open.set()


def raw(live: Live, data: bytes = b"", *, receiving: int | None = None) -> socket.socket:
    """A visitor who does as they like."""
    visitor = socket.socket()
    if receiving is not None:
        visitor.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receiving)
    visitor.settimeout(60)
    visitor.connect(live.listener.getsockname()[:2])
    visitor.sendall(data)
    return visitor


def posted(live: Live, path: str, body: Any, *, more: str = "") -> bytes:
    text = json.dumps(body).encode()
    host = live.root.removeprefix("http://")
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n{more}"
    return f"{head}Content-Length: {len(text)}\r\n\r\n".encode() + text


def ended(visitor: socket.socket) -> bool:
    """Whether the server ends the connection, after whatever it still has to say."""
    with contextlib.suppress(ConnectionResetError):
        while visitor.recv(65_536):
            pass
    return True


@pytest.mark.parametrize(
    ("sent", "state", "limit"),
    [
        (b"", HEADERS, "headers_s"),
        (b"GET / HTTP/1.1\r\nHost: 127", HEADERS, "headers_s"),
        (HALF, BODY, "body_s"),
    ],
    ids=["nothing", "half a head", "half a body"],
)  # fmt: skip
def test_half_a_request_ends_however_slowly_more_of_it_comes(timed, sent: bytes, state: str, limit: str) -> None:
    live, clock, _ = timed
    with raw(live, sent) as visitor:
        until(lambda: any(each.state == state for each in live.connections.open))
        clock.now = getattr(Serving(), limit) - 1
        visitor.sendall(b"x")  # which gives it no more time
        looked(live)
        assert not live.connections.end_reasons
        clock.now += 2
        looked(live)
        assert ended(visitor)
        until(lambda: not live.connections.open)
    assert live.connections.end_reasons == {state: 1} and not live.app.state.learners.by_name


def test_a_connection_is_idle_after_an_answer_and_begins_anew_with_a_request(timed) -> None:
    live, clock, _ = timed
    request = b"GET /api/words/en HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    with raw(live, request) as visitor:
        for now in (0.0, 29.0, 58.0):
            clock.now = now
            if now:
                visitor.sendall(request)
            until(lambda: (each := wired(live)).state == IDLE and each.since == clock.now and not each.unsent_bytes())
            visitor.recv(10**6)
            looked(live)
        clock.now += Serving().idle_connection_s + 1
        looked(live)
        assert ended(visitor) and live.connections.end_reasons == {IDLE: 1}


def test_a_reader_who_takes_nothing_is_cut_and_what_they_asked_for_ends(quiet: None) -> None:
    clock, gate = Clock(), Gate(is_open=True)
    many = [
        part(f"t{n}", prompt="hello", temperature=100, seed=n, max_new_tokens=1000, alternatives=100) for n in range(8)
    ]
    with (
        Live(scripted(before_step=gate), connections=Connections(Serving(), clock=clock)) as live,
        raw(live, posted(live, "/api/stream", asked(*many)), receiving=2304),
    ):
        connection = until(lambda: next((each for each in live.connections.open if each.unsent_bytes()), None))
        until(lambda: connection.flow.write_paused)  # all that may wait does
        hub = live.app.state.streams
        looked(live)
        clock.now = Serving().stalled_s
        looked(live)
        assert hub.streams and not live.connections.end_reasons
        clock.now += 1
        looked(live)
        assert live.connections.end_reasons == {"stalled": 1}
        until(lambda: not hub.streams and live.load["at_work"] == live.load["waiting"] == 0)
        assert not any(learner.active_requests for learner in live.app.state.learners.by_name.values())


class Wire:
    """A transport whose reader takes bytes when the test says so."""

    def __init__(self) -> None:
        self.waiting, self.written = 0, bytearray()

    def get_extra_info(self, name: str) -> Any:
        return ("192.0.2.1", 5000) if name == "peername" else None

    def close(self) -> None:
        """It stays."""

    def write(self, data: bytes) -> None:
        self.waiting += len(data)
        self.written += data

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def is_closing(self) -> bool:
        return False


def test_what_is_taken_is_progress_and_what_is_written_is_none() -> None:
    async def seen() -> None:
        connections, clock = of()
        config = uvicorn.Config(pieces, lifespan="off")
        each = Connection(
            connections=connections,
            config=config,
            server_state=ServerState(),
            app_state={},
            _loop=asyncio.get_running_loop(),
        )
        wire = Wire()
        each.connection_made(wire)
        each.data_received(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        for _ in range(5):
            await asyncio.sleep(0)
        assert each.state == ANSWER and wire.waiting > 10_000
        for seconds, taken, stuck in ((10, 0, 10), (10, 0, 20), (5, 1000, 0), (9, 0, 9), (9, 50, 0), (50, None, 0)):
            clock.now += seconds
            wire.waiting -= wire.waiting if taken is None else taken
            assert each.stalled_for(clock.now) == stuck, (seconds, taken)
        more.set()
        for _ in range(5):
            await asyncio.sleep(0)
        assert wire.waiting and each.stalled_for(clock.now + 7) == 7  # since it was last seen with nothing to take

    async def pieces(scope, receive, send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x" * 10_000, "more_body": True})
        await more.wait()
        await send({"type": "http.response.body", "body": b"y" * 10_000})

    more = asyncio.Event()
    looped(seen())


def test_a_stream_that_waits_in_the_queue_and_says_nothing_is_not_cut(timed) -> None:
    live, clock, gate = timed
    with live.client() as client:
        reader = Reader(client, asked(part(prompt="hello", temperature=0, max_new_tokens=3))).start()
        until(lambda: gate.steps)
        for _ in range(5):
            clock.now += 1000
            until(lambda: wired(live).unsent_bytes() == 0)
            looked(live)
        assert not live.connections.end_reasons and not reader.events
        gate.open.set()
        assert reader.join().kinds()[-1] == "finished"


def test_a_visitor_who_leaves_is_heard_whatever_they_sent_after_their_request(timed) -> None:
    live, _, gate = timed
    request = posted(live, "/api/next", {"prompt": "hello"})
    visitor = raw(live, request + b"GET / HTTP/1.1\r\n")
    until(lambda: gate.steps)
    visitor.sendall(b"Host: 127.0.0.1\r\n\r\n" + b"GET / HTTP/1.1\r\n" * 20)
    until(lambda: live.load["at_work"])
    (learner,) = live.app.state.learners.by_name.values()
    visitor.close()
    until(lambda: not live.connections.open)
    gate.open.set()
    until(lambda: not learner.active_requests and not live.load["at_work"])


def test_who_sends_on_and_on_while_an_answer_is_under_way_is_cut(timed) -> None:
    live, _, gate = timed
    with raw(live, posted(live, "/api/next", {"prompt": "hello"})) as visitor:
        until(lambda: gate.steps)
        with contextlib.suppress(OSError):
            for _ in range(8):
                visitor.sendall(b"x" * MAX_PIPELINED)
        until(lambda: not live.connections.open)


def test_an_answer_nobody_takes_keeps_its_learners_turn_and_no_thread_of_the_lab(quiet: None) -> None:
    clock = Clock()
    with (
        Live(scripted(), connections=Connections(Serving(), clock=clock)) as live,
        raw(live, posted(live, "/api/tokens?view=1", {"text": "hello " * 15_000}), receiving=2304),
    ):
        until(lambda: any(each.unsent_bytes() for each in live.connections.open))
        connection, learners = wired(live), live.app.state.learners
        (learner,) = learners.by_name.values()
        until(lambda: connection.flow.write_paused)
        assert connection.unsent_bytes() <= 2 * CHUNK_BYTES  # the rest is held once, as the answer itself
        assert learner.active_requests == 1 and learner.semaphore._limiter.borrowed_tokens == 1
        assert learners.semaphore._limiter.borrowed_tokens == 0
        assert learner.account.nbytes > 0  # the answer is still in memory
        looked(live)
        clock.now = Serving().stalled_s + 1
        looked(live)
        until(lambda: not learner.active_requests and not learner.semaphore._limiter.borrowed_tokens)
        until(lambda: not learner.account.nbytes)


def test_a_large_answer_arrives_whole(quiet: None) -> None:
    with Live(scripted()) as live, live.client() as client:
        answer = client.post("/api/tokens", json={"text": "hello " * 5000})
        assert (
            answer.status_code == 200 and len(answer.content) == int(answer.headers["content-length"]) > 4 * CHUNK_BYTES
        )
        assert answer.json()["result"]["text"] == "hello " * 5000


def test_no_part_of_an_answer_waits_for_the_visitor_to_acknowledge_the_part_before(timed) -> None:
    live, *_ = timed
    with raw(live, b"GET /api/words/en HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n") as visitor:
        assert visitor.recv(1)
        sock = wired(live).transport.get_extra_info("socket")
        # Headers and body are written apart: with Nagle's algorithm each small answer would take 40 ms.
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


# How many there may be.


def crowd(connections: Connections, count: int, *, address: Callable[[int], str], **facts: Any) -> list[Pretended]:
    made = [Pretended(address(number), **facts) for number in range(count)]
    assert all(connections.admit(each) for each in made)
    return made


def test_a_class_behind_one_address_fits() -> None:
    connections, _ = of()
    made = crowd(connections, 30 * 6, address=lambda _: "192.0.2.1", state=ANSWER)
    assert connections.admit(Pretended("192.0.2.2")) and not any(each.ended for each in made)


def test_an_address_has_its_bound_and_leaves_room_for_the_others() -> None:
    connections, _ = of(most=40)
    crowd(connections, 30, address=lambda _: "192.0.2.1", state=ANSWER)
    assert not connections.admit(Pretended("192.0.2.1")) and connections.end_reasons == {"refused": 1}
    assert connections.admit(Pretended("192.0.2.2"))


def test_a_newcomer_takes_the_place_of_who_waits_longest_then_of_who_reads_nothing() -> None:
    connections, clock = of(most=8)
    working = crowd(connections, 3, address=lambda _: "192.0.2.1", state=ANSWER)
    old, young = Pretended("192.0.2.1", state=IDLE, since=1.0), Pretended("192.0.2.1", since=2.0)
    stuck = Pretended("192.0.2.1", state=ANSWER, waiting=9, seconds=STALLED_S)
    assert all(map(connections.admit, (old, young, stuck)))
    clock.now = 10.0
    for gone in (old, young, stuck):
        new = Pretended("192.0.2.1", state=ANSWER, since=clock.now)
        assert connections.admit(new) and gone.ended and new in connections.open
    assert not connections.admit(Pretended("192.0.2.1"))
    assert not any(each.ended for each in working) and connections.end_reasons == {"room": 3, "refused": 1}


def test_in_a_full_lab_the_address_with_most_connections_makes_room() -> None:
    connections, clock = of(most=8)
    crowd(connections, 2, address=lambda number: f"192.0.2.{number}", state=IDLE)  # they wait as long
    many = crowd(connections, 6, address=lambda _: "192.0.2.9", state=IDLE)
    clock.now = 1.0
    assert connections.admit(Pretended("192.0.2.10"))
    assert sum(bool(each.ended) for each in many) == 1 and len(connections.open) == 8


def test_addresses_of_one_network_have_a_bound_together() -> None:
    connections, _ = of(Serving(max_connections_of_address=10))
    crowd(connections, 10 * NETWORK, address=lambda number: f"2001:db8::{number:x}", state=ANSWER)
    assert not connections.admit(Pretended("2001:db8::ffff"))
    assert connections.admit(Pretended("2001:db8:0:1::1")) and connections.admit(Pretended("192.0.2.1"))


def test_a_proxy_that_is_trusted_is_not_one_visitor() -> None:
    connections, _ = of(most=40, trusted=lambda address: address == "192.0.2.1")
    crowd(connections, 40, address=lambda _: "192.0.2.1", state=ANSWER)
    assert not connections.admit(Pretended("192.0.2.1"))  # the whole is bounded all the same


def test_nothing_is_remembered_of_who_has_left() -> None:
    connections, _ = of()
    for each in crowd(connections, 50, address=lambda number: f"2001:db8:{number:x}::1"):
        connections.remove(each)
        connections.remove(each)  # harmless
    assert not connections.open and len(connections.quota) == 0


def test_a_quota_counts_an_address_and_its_network() -> None:
    quota = Quota(2)
    for address in ("2001:db8::1", "2001:db8::1", "2001:db8::2"):
        quota.add(address)
    assert quota.full("2001:db8::1") == "2001:db8::1" and quota.full("2001:db8::2") is None
    quota.add("2001:db8::3")
    assert quota.full("2001:db8::2") == "2001:db8::/64" and quota.full("2001:db8:1::2") is None
    quota.remove("2001:db8::3")
    assert quota.full("2001:db8::2") is None and quota.count("2001:db8::1") == 2


def test_who_finds_no_room_is_told_so_and_the_others_go_on(quiet: None) -> None:
    serving, gate = Serving(max_connections=8, max_connections_of_address=6), Gate()
    with Live(scripted(before_step=gate), serving, connections=Connections(serving)) as live:
        readers = [raw(live, posted(live, "/api/next", {"prompt": f"hello {n}"})) for n in range(6)]
        until(lambda: sum(each.state == ANSWER for each in live.connections.open) == 6)
        with raw(live) as visitor:
            assert visitor.recv(1000).startswith(b"HTTP/1.1 503") and ended(visitor)
        gate.open.set()
        assert all(reader.recv(1000).startswith(b"HTTP/1.1 200") for reader in readers)
        assert httpx.get(f"{live.root}/api/status", trust_env=False).status_code == 200  # in the place of an idle one
        for reader in readers:
            reader.close()


def test_the_look_comes_back_as_long_as_somebody_is_here() -> None:
    connections, clock = of()
    timers: list[Callable[[], None]] = []
    loop = SimpleNamespace(call_later=lambda seconds, call, *given: timers.append(lambda: call(*given)) or call)
    each = Pretended()
    assert connections.admit(each)
    for _ in range(3):
        connections.watch(loop)
    assert len(timers) == 1
    timers.pop()()
    assert len(timers) == 1 and not each.ended
    clock.now = 1000.0
    timers.pop()()
    assert each.ended and not timers
