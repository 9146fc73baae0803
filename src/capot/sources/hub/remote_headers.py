"""Read the safetensors headers of files on the hub: a few kilobytes of each, by range requests."""

from __future__ import annotations

import contextlib
import queue
import re
import threading
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextvars import copy_context
from pathlib import Path
from typing import TypeVar

from capot.sources.hub import requests, settings
from capot.sources.hub.connection import BROKEN
from capot.sources.hub.listing import RemoteFile, Repo
from capot.sources.hub.refusals import unreachable_error
from capot.sources.safetensors import TensorInfo, parse_header

Header = Mapping[str, TensorInfo]
Asked = TypeVar("Asked", bound=Hashable)
Answered = TypeVar("Answered")
FIRST = 32_768  # bytes asked for at once: the header of a small model is in there
AT_ONCE = 8  # files asked about together
CTRL_C_EVERY = 0.2  # seconds between two looks for a Ctrl-C


class RangeReader:
    """Read the beginning of a file on the hub, in order. See :class:`capot.sources.safetensors.Readable`.

    Raises, on reading: as ``requests.request``; NetworkError ``hub_broken``.
    """

    def __init__(self, repo: Repo, file: RemoteFile) -> None:
        self._repo = repo
        self._file = file
        self._held, self._at = b"", 0

    def read(self, count: int) -> bytes:
        stop = min(self._at + count, self._file.size)
        if stop > len(self._held):
            # A header is a few kilobytes for most files: one request brings its length and itself.
            until = max(stop, min(FIRST, self._file.size))
            self._held += read_range(self._repo, self._file, len(self._held), stop=until)
        piece = self._held[self._at : stop]
        self._at = stop
        return piece


def read_range(repo: Repo, file: RemoteFile, start: int, *, stop: int) -> bytes:
    """Return bytes ``start`` to ``stop`` of a file. Retries if they come cut short. Raises: as ``RangeReader``."""
    for pause in (*settings.retry_delays(), None):
        try:
            return _once(repo, file, start, stop=stop)
        except (*BROKEN, EOFError) as error:
            if pause is None:
                raise unreachable_error(error, repo.url(file.name)) from None
            time.sleep(pause)
    raise AssertionError("the last attempt answers or raises")


def _once(repo: Repo, file: RemoteFile, start: int, *, stop: int) -> bytes:
    """Read a range once; where a server knows no ranges, no more of the file than these bytes is read."""
    wanted = {"Range": f"bytes={start}-{stop - 1}"}
    # A server without ranges sends the file from its beginning: no more of it is read than is needed.
    with requests.request(repo.url(file.name), repo.subject, headers=wanted) as answer:
        part = answer.status == 206
        raw = answer.read(stop - start) if part else answer.read(stop)[start:]
        total = re.search(r"/(\d+)$", answer.header("content-range") or "")
    # Another size than the list says means another file: its header would fit to nothing.
    if len(raw) < stop - start or (total and total[1] != str(file.size)):
        raise EOFError(file.name)
    return raw


def fetch_headers(repo: Repo, names: list[str]) -> dict[str, Header]:
    """Return the tensors of each of ``names``, several files at a time.

    Raises: ModelError as ``parse_header``; as ``RangeReader``.
    """

    def one(name: str) -> Header:
        file = repo.file(name)
        return parse_header(RangeReader(repo, file), path=Path(name), size=file.size)

    if len(names) == 1:  # here, where Ctrl-C is heard at once
        return {names[0]: one(names[0])}
    return parallel_map(one, names)


def parallel_map(one: Callable[[Asked], Answered], names: Sequence[Asked]) -> dict[Asked, Answered]:
    """Return ``one(name)`` for each of ``names``, on several threads. The first error ends it.

    Threads that nobody waits for: those of a pool would be, at a Ctrl-C, until the network gives up.
    """
    left = list(reversed(names))
    done: queue.SimpleQueue[tuple[Asked, Answered | BaseException]] = queue.SimpleQueue()

    def work() -> None:
        with contextlib.suppress(IndexError):  # nothing is left
            while True:
                name = left.pop()
                try:
                    done.put((name, one(name)))
                except BaseException as error:
                    left.clear()
                    done.put((name, error))

    found: dict[Asked, Answered] = {}
    try:
        for _ in range(min(AT_ONCE, len(names))):
            # A copy of the context: language and the wish for no token are in context variables.
            threading.Thread(target=copy_context().run, args=(work,), daemon=True).start()
        while len(found) < len(names):
            with contextlib.suppress(queue.Empty):  # Windows hears no Ctrl-C while a thread waits for good
                name, answer = done.get(timeout=CTRL_C_EVERY)
                if isinstance(answer, BaseException):
                    raise answer
                found[name] = answer
    finally:
        left.clear()
    return {name: found[name] for name in names}
