"""What would harm a class, done to a lab of its own for as long as it takes, with the lab's figures after.

    make soak          (or: python bench/soak.py [--only requests,costly,readers,openings,streams] [--requests 10000])

requests  random requests on the API's own schema: odd numbers, surrogates, nesting. No answer is a 500; memory after,
          but for the caches that the lab keeps for its learners until they are idle.
costly    a learner's most costly requests, one after the other: how much later another learner's next token
          comes, and whether Ctrl-C is heard in the midst of each.
readers   64 people ask for texts and read nothing: how long a newcomer waits for a first token.
openings  the owner opens models again and again: maps, files and memory after.
streams   1,000 texts at once at a server of models, with the bounds set for it: memory while they are held, and after.

The load is made on the lab's own cores. A row of ``RESULTS.md`` keeps the figures, or says what is missing.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from _common import ROOT, arguments, report
from _results import append
from _soak_costly import OF_A_SLOW_TOKENIZER, REQUESTS, SLOW_EXPRESSION
from _soak_lab import STEP, Lab, Reader
from _soak_remote import of_streams

QUESTIONS = ("requests", "costly", "readers", "openings", "streams")
HEADING = "Results of `make soak`"
COLUMNS = {
    "requests": "random requests",
    "answers 500": "random requests, answers 500 (asked: none)",
    "after them, MB": "random requests, memory after, less before and caches (asked: at most)",
    "costly requests": "costly requests",
    "others' first token later, ms": "costly requests, others' first token later (asked: at most)",
    "others' token later, ms": "costly requests, others' next token later (asked: at most)",
    "Ctrl-C heard": "costly requests, Ctrl-C heard in their midst (asked: all)",
    "newcomer's first token, s": "64 that do not read, newcomer's first token (asked: at most)",
    "openings": "models opened",
    "maps": "models opened, maps after, less before (asked: none)",
    "files": "models opened, files after, less before (asked: none)",
    "after openings, MB": "models opened, memory after, less before (asked: at most)",
    "streams at a server": "streams at once at a server (asked: all)",
    "ended whole": "streams at once, ended whole (asked: all)",
    "with them, MB": "streams at once, memory while held, less before (asked: at most)",
    "all ended at once, MB": "streams at once, memory when all have ended at once, less before (asked: at most)",
}
Row = tuple[str, float | None, str, float | None]


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--openings", type=int, default=100)
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--only", default=",".join(QUESTIONS))
    parser.add_argument("--no-row", action="store_true", help="leave RESULTS.md as it is")


# ---------------------------------------------------------------- requests


def of_requests(given: argparse.Namespace) -> list[Row]:
    sys.path.insert(0, str(ROOT / "tests"))
    from request_fuzz import requests  # the generator that the tests use, on the schema that the lab itself gives

    with Lab() as lab:
        schema = json.loads(lab.ask("GET", "/api/openapi.json")[1])
        drawn = requests(schema, count=given.requests, seed=given.seed)
        broken, before = 0, 0
        for number, (method, path, body) in enumerate(drawn):
            if number == given.requests // 10:  # kernels, tokenizers and tables are there before the count begins
                before = lab.memory() - lab.caches()
            try:
                status, answer = lab.ask(method, path, body, timeout=120)
            except ConnectionError:  # a body too large is refused before it is sent whole
                assert lab.process.poll() is None, lab.said()[-2000:]
                continue
            if status >= 500:
                broken += 1
                print(status, method, path, (body or b"")[:300], answer[:300], file=sys.stderr)
        time.sleep(2)
        after = lab.memory() - lab.caches()
        traces = lab.said().count("Traceback")
    return [
        ("random requests", given.requests, "", None),
        ("random requests, answers 500 (asked: none)", broken + traces, "", 0),
        ("random requests, memory after, less before and caches (asked: at most)", (after - before) / 1e6, "MB", 50),
    ]


# ---------------------------------------------------------------- costly


def of_costly(given: argparse.Namespace) -> list[Row]:
    first, later, unheard = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        slow = with_a_slow_tokenizer(Path(folder))
        asked = [("boxed", *each) for each in REQUESTS.items()]
        asked += [(slow, *each) for each in OF_A_SLOW_TOKENIZER.items()]
        for model, name, requests in asked:
            *delays, heard = one_costly(requests, model=model)
            first.append(1000 * delays[0])
            later.append(1000 * delays[1])
            unheard += [] if heard else [name]
            said = "" if heard else "   Ctrl-C not heard"
            print(
                f"  {name:<44} others' first token later by {first[-1]:4.0f} ms, next by {later[-1]:4.0f}{said}",
                flush=True,
            )
    return [
        ("costly requests", len(asked), "", None),
        ("costly requests, others' first token later (asked: at most)", max(first), "ms", 1000),
        ("costly requests, others' next token later (asked: at most)", max(later), "ms", 200),
        ("costly requests, Ctrl-C heard in their midst (asked: all)", len(asked) - len(unheard), "", len(asked)),
    ]


def with_a_slow_tokenizer(folder: Path) -> str:
    """Write the packaged model with a tokenizer that takes the square of a text's length in time."""
    for each in (ROOT / "src" / "capot" / "boxed").glob("*.*"):
        shutil.copy(each, folder)
    path = folder / "tokenizer.json"
    tokenizer = json.loads(path.read_text(encoding="utf-8"))
    slow = {"type": "Split", "pattern": {"Regex": SLOW_EXPRESSION}, "behavior": "Isolated", "invert": False}
    tokenizer["pre_tokenizer"]["pretokenizers"].insert(0, slow)
    path.write_text(json.dumps(tokenizer), encoding="utf-8")
    return str(folder)


def one_costly(requests: list[tuple[str, dict]], *, model: str) -> tuple[float, float, bool]:
    """By how many seconds another's first and next tokens came later than on a quiet lab; whether Ctrl-C was heard."""
    with Lab(model) as lab:
        bad = lab.enter()

        def send(timeout: float) -> threading.Thread:
            def ask(request: tuple[str, dict]) -> None:
                with contextlib.suppress(OSError, http.client.HTTPException):  # Ctrl-C ends an answer in its midst
                    lab.ask("POST", *request, cookie=bad, timeout=timeout)

            def ask_all() -> None:
                with ThreadPoolExecutor(len(requests)) as pool:
                    list(pool.map(ask, requests))

            thread = threading.Thread(target=ask_all, daemon=True)
            thread.start()
            return thread

        with Reader(lab) as reader:
            reader.worst(1)  # the first tokens of a lab that has just begun
            quiet = reader.worst(2)
            busy = reader.worst(8, until=send(6))
            assert not reader.faults, reader.faults[:1]
        send(30)
        time.sleep(0.2)
        lab.process.send_signal(signal.SIGINT)
        try:
            lab.process.wait(5)
            heard = True
        except subprocess.TimeoutExpired:
            heard = False
    return max(0.0, busy[0] - quiet[0]), max(0.0, busy[1] - quiet[1]), heard


# ---------------------------------------------------------------- readers


def of_readers(given: argparse.Namespace) -> list[Row]:
    """Each of 64 cookies asks for eight texts and reads nothing; a newcomer comes at once, and again later."""
    unread = {"prompt": "The capital of Japan is", "max_new_tokens": 1000, "temperature": 2.0, "alternatives": 100}
    waits, opened = [], []
    with Lab() as lab:
        with contextlib.suppress(OSError):
            for number in range(64):
                name = f"unread-{number:03}"
                opened.append(lab.begin(name, cookie=lab.enter(), parts=8, receive=2304, **unread))
        for number in range(6):
            waits.append(first_token(lab, number))
            print(f"  newcomer {number}: {waits[-1]:.2f} s", flush=True)
            time.sleep(5)
        for each in opened:
            each.close()
    return [("64 that do not read, newcomer's first token (asked: at most)", max(waits), "s", 1)]


def first_token(lab: Lab, number: int) -> float:
    cookie = lab.enter()
    began = time.perf_counter()
    with lab.begin(f"newcomer-{number}", cookie=cookie, prompt="Once upon a time", max_new_tokens=5) as sent:
        sent.settimeout(60)
        got = b""
        while STEP not in got:
            piece = sent.recv(1 << 16)
            if not piece:
                raise SystemExit("a newcomer was refused: " + got.decode("utf-8", "replace")[-400:])
            got += piece
    return time.perf_counter() - began


# ---------------------------------------------------------------- openings


def of_openings(given: argparse.Namespace) -> list[Row]:
    with Lab() as lab:
        owner = lab.enter(owner=True)

        def open_both() -> None:
            for model in ("scripted", "boxed"):
                status, answer = lab.ask("POST", "/api/open", {"model": model}, cookie=owner)
                assert status == 200 and b"event: finished" in answer, answer[-300:]
            lab.ask("POST", "/api/next", {"prompt": "The capital of France is"}, cookie=owner)

        for _ in range(5):
            open_both()
        maps = lab.maps()
        files = lab.files()
        memory = lab.memory()
        for _ in range(given.openings // 2):
            open_both()
        time.sleep(2)
        more = lab.maps() - maps, lab.files() - files, lab.memory() - memory
    return [
        ("models opened", given.openings, "", None),
        ("models opened, maps after, less before (asked: none)", more[0], "", 0),
        ("models opened, files after, less before (asked: none)", more[1], "", 0),
        ("models opened, memory after, less before (asked: at most)", more[2] / 1e6, "MB", 10),
    ]


ASKED: dict[str, Callable[[argparse.Namespace], list[Row]]] = {
    "requests": of_requests,
    "costly": of_costly,
    "readers": of_readers,
    "openings": of_openings,
    "streams": of_streams,
}


def main() -> None:
    given = arguments(__doc__.splitlines()[0], repeats=1, more=options)
    rows: list[Row] = []
    for name in QUESTIONS:
        if name in given.only.split(","):
            rows += ASKED[name](given)
    report("What would harm a class", rows)
    if not given.no_row:
        append(HEADING, COLUMNS, [{"rows": [{"name": name, "value": value} for name, value, _, _ in rows]}])
    if over := [row[0] for row in rows if beyond(row)]:
        sys.exit("beyond what was asked: " + "; ".join(over))


def beyond(row: Row) -> bool:
    name, value, _, asked = row
    if value is None or asked is None:
        return False
    return value < asked if name.endswith("(asked: all)") else value > asked


if __name__ == "__main__":
    main()
