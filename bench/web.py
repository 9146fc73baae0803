"""Thirty learners on one machine: is each served, is none starved, and does memory come back?

    python bench/web.py [--minutes 5] [--learners 30] [--conversations 1000] [--only class,memory,batch]

Three questions, each to a server in a process of its own, over real sockets, the load made on the
same cores:

class   learners with a cookie each ask for one text after the other on the boxed model, as the
        page asks (eight alternatives a token), for some minutes. Tokens a second of each.
memory  conversations are begun by a new learner each; every other one is closed in the midst,
        the rest are left after their answer. The process's memory before, at most, and after.
batch   eight learners' texts at once over one alone, in turn, total tokens a second, on random
        weights in the shape of Llama 3.2 1B.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from typing import Any

from _common import BOXED, arguments, model_folder, report, with_tokenizer
from _learners import Learner, Server

PROMPTS = (
    "Once upon a time",
    "Il était une fois",
    "The capital of France is",
    "Le réseau électrique",
    "In the morning",
)
PAGE = {"temperature": 0.9, "alternatives": 8}  # as the page generate asks
NEW_TOKENS = 300
QUESTIONS = ("class", "memory", "batch")
Rows = list[tuple[str, float | None, str, float | None]]


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--learners", type=int, default=30)
    parser.add_argument("--conversations", type=int, default=1000)
    parser.add_argument("--idle", type=float, default=300.0, help="seconds after which the server takes caches back")
    parser.add_argument("--streams", type=int, default=8)
    parser.add_argument("--only", default=",".join(QUESTIONS))


# ---------------------------------------------------------------- class


async def lesson(server: Server, count: int, seconds: float) -> list[Learner]:
    """Everybody asks for text after text until the time is over; a text under way is then left."""
    learners = [await Learner(server.port).enter() for _ in range(count)]
    end = time.perf_counter() + seconds

    async def attend(learner: Learner, number: int) -> None:
        while time.perf_counter() < end and len(learner.errors) < 5:
            prompt = PROMPTS[(number + learner.texts) % len(PROMPTS)]
            seed = 1000 * number + learner.texts
            asked = learner.stream(prompt=prompt, seed=seed, max_new_tokens=NEW_TOKENS, **PAGE)
            try:
                await asyncio.wait_for(asked, max(0.0, end - time.perf_counter()))
            except TimeoutError:
                return

    await asyncio.gather(*(attend(learner, number) for number, learner in enumerate(learners)))
    return learners


def of_class(given: argparse.Namespace) -> Rows:
    server = Server("boxed")
    seconds = 60 * given.minutes
    try:
        learners = asyncio.run(lesson(server, given.learners, seconds))
    finally:
        server.close()
    rates = sorted(learner.tokens / seconds for learner in learners)
    gaps = [after - before for one in learners for before, after in zip(one.times, one.times[1:], strict=False)]
    for learner in learners:
        for error in learner.errors[:1]:
            print(error, file=sys.stderr)
    size = (BOXED / "model.safetensors").stat().st_size / 1e6
    return [
        ("boxed model", size, "MB", None),
        (f"class of {given.learners}, minutes", given.minutes, "", None),
        ("class, errors (asked: none)", sum(len(one.errors) for one in learners), "", 0),
        ("class, slowest learner", rates[0], "tokens/s", 4.0),
        ("class, median learner", statistics.median(rates), "tokens/s", None),
        ("class, slowest over median", rates[0] / statistics.median(rates), "", 0.5),
        ("class, all together", sum(rates), "tokens/s", None),
        ("class, texts", sum(one.texts for one in learners), "", None),
        ("class, longest wait for a token", max(gaps, default=None), "s", None),
    ]


# ---------------------------------------------------------------- memory


async def abandon(server: Server, count: int, *, together: int = 10) -> int:
    """Begin conversations and leave them; the most memory that was seen."""
    most = [0]
    turn = asyncio.Semaphore(together)

    async def one(number: int) -> None:
        async with turn:
            learner = await Learner(server.port).enter()
            until = 8 if number % 2 else None
            said = [f"Tell me the story number {number}."]
            await learner.stream(verb="chat", until=until, messages=said, max_new_tokens=40, temperature=0.8)
            assert not learner.errors, learner.errors
            most[0] = max(most[0], server.memory())

    await asyncio.gather(*(one(number) for number in range(count)))
    return most[0]


def of_memory(given: argparse.Namespace) -> Rows:
    server = Server("boxed", idle_s=given.idle)
    try:
        asyncio.run(abandon(server, 20))  # kernels, templates and threads are there before the count begins
        before = server.memory()
        most = asyncio.run(abandon(server, given.conversations))
        held = server.status()["scheduler"]["cache_bytes"]
        began = time.perf_counter()
        while server.status()["learners"] and time.perf_counter() - began < given.idle + 60:
            time.sleep(1)
        time.sleep(1)
        left = server.status()
        after = server.memory()
    finally:
        server.close()
    return [
        ("conversations opened and abandoned", given.conversations, "", None),
        ("memory before", before / 1e6, "MB", None),
        ("memory at most", most / 1e6, "MB", None),
        ("caches, at the end of the last one", held / 1e6, "MB", None),
        ("caches, after", left["scheduler"]["cache_bytes"] / 1e6, "MB", None),
        ("memory after, less before (asked: at most)", (after - before) / 1e6, "MB", 50.0),
        ("seconds until it was back", time.perf_counter() - began, "s", None),
    ]


# ---------------------------------------------------------------- batch


async def together(server: Server, count: int, tokens: int) -> float:
    """Total tokens a second of ``count`` learners, from the moment all are writing to the first one's end."""
    learners = [await Learner(server.port).enter() for _ in range(count)]
    asked: dict[str, Any] = {"prompt": "The ships of the town", "max_new_tokens": tokens, "alternatives": 0}
    await asyncio.gather(*(one.stream(seed=n, temperature=1, **asked) for n, one in enumerate(learners)))
    assert not any(one.errors for one in learners), [one.errors for one in learners]
    begin = max(one.times[0] for one in learners)
    end = min(one.times[-1] for one in learners)
    return sum(begin < moment <= end for one in learners for moment in one.times) / (end - begin)


def of_batch(given: argparse.Namespace) -> Rows:
    server = Server(with_tokenizer(model_folder(given)))
    try:
        asyncio.run(together(server, given.streams, 8))  # kernels for several columns are compiled
        alone, many = [], []
        for _ in range(given.repeats):
            alone.append(asyncio.run(together(server, 1, 48)))
            many.append(asyncio.run(together(server, given.streams, 48)))
    finally:
        server.close()
    ratio = statistics.median(ours / one for one, ours in zip(alone, many, strict=True))
    return [
        ("one stream", statistics.median(alone), "tokens/s", None),
        (f"{given.streams} streams, total", statistics.median(many), "tokens/s", None),
        (f"{given.streams} streams over one, total", ratio, "x", 2.5),
    ]


def main() -> None:
    given = arguments(__doc__, repeats=5, more=options)
    wanted = given.only.split(",")
    rows = []
    for name, question in zip(QUESTIONS, (of_class, of_memory, of_batch), strict=True):
        rows += question(given) if name in wanted else []
    report("a class on one machine: the boxed model, and random weights in the shape of Llama 3.2 1B", rows)


if __name__ == "__main__":
    main()
