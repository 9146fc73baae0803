"""The headers of weights that are still on the hub: a few kilobytes of each file, by range requests."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path

from capot.hub import asking, settings
from capot.hub.connection import BROKEN
from capot.hub.listing import RemoteFile, Repo
from capot.hub.refusals import unreachable
from capot.safetensors import TensorInfo, parse_header

FIRST = 32_768  # bytes asked for at once: the header of a small model is in there
AT_ONCE = 8  # files asked about together


class FarFile:
    """The beginning of a file on the hub, read in order. See :class:`capot.safetensors.Readable`.

    Raises, on reading: as ``asking.ask``; NetworkError ``hub_broken``.
    """

    def __init__(self, repo: Repo, file: RemoteFile) -> None:
        self._repo, self._file = repo, file
        self._held, self._at = b"", 0

    def read(self, count: int) -> bytes:
        stop = min(self._at + count, self._file.size)
        if stop > len(self._held):
            self._held += self._asked(len(self._held), max(stop, min(FIRST, self._file.size)))
        piece = self._held[self._at : stop]
        self._at = stop
        return piece

    def _asked(self, start: int, stop: int) -> bytes:
        """Bytes ``start`` to ``stop``, asked for again where they come cut short."""
        for pause in (*settings.pauses(), None):
            try:
                return self._once(start, stop)
            except (*BROKEN, EOFError) as error:
                if pause is None:
                    raise unreachable(error, self._repo.url(self._file.name)) from None
                time.sleep(pause)
        raise AssertionError("the last attempt answers or raises")

    def _once(self, start: int, stop: int) -> bytes:
        """Where a server knows no ranges, no more of the file than these bytes is read."""
        wanted = {"Range": f"bytes={start}-{stop - 1}"}
        with asking.ask(self._repo.url(self._file.name), self._repo.subject, headers=wanted) as answer:
            part = answer.status == 206
            raw = answer.read(stop - start) if part else answer.read(stop)[start:]
            total = re.search(r"/(\d+)$", answer.header("content-range") or "")
        if len(raw) < stop - start or (total and int(total[1]) != self._file.size):
            raise EOFError(self._file.name)
        return raw


def headers(repo: Repo, names: list[str]) -> dict[str, Mapping[str, TensorInfo]]:
    """The tensors of each of ``names``, several files at a time.

    Raises: ModelError as ``parse_header``; as ``FarFile``.
    """

    def one(name: str) -> Mapping[str, TensorInfo]:
        file = repo.file(name)
        return parse_header(FarFile(repo, file), path=Path(name), size=file.size)

    if len(names) == 1:  # here, where Ctrl-C is heard at once
        return {names[0]: one(names[0])}
    with ThreadPoolExecutor(min(AT_ONCE, len(names) or 1)) as pool:
        found = [pool.submit(copy_context().run, one, name) for name in names]
        try:
            return {name: future.result() for name, future in zip(names, found)}
        except BaseException:  # one refusal is enough
            pool.shutdown(cancel_futures=True)
            raise
