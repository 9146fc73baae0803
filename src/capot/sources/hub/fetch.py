"""Download files from the hub to the cache, resume interrupted downloads, and verify hashes.

    1. the free space of the disk is checked before a byte comes
    2. each file goes to ``blobs/<etag>.incomplete``, from where it stopped the last time
    3. when it is complete, its hash is compared with the one that the hub publishes
    4. then it is renamed, and linked into the snapshot

A process that is stopped at any line leaves nothing but an incomplete file that the next
one goes on with.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import http.client
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from io import RawIOBase
from pathlib import Path
from typing import Any

from capot.errors import CapotError, InputError, ModelError, NetworkError, ResourceError, local_path, os_reason
from capot.i18n import Bytes
from capot.sources.hub import requests, settings
from capot.sources.hub.connection import BROKEN, Response, send
from capot.sources.hub.events import DownloadProgress
from capot.sources.hub.listing import RemoteFile, Repo
from capot.sources.hub.refusals import response_error, retry_after, unreachable_error
from capot.sources.hub.requests import PASSING, check_online
from capot.sources.hub.store import Store
from capot.sources.machine import free_disk

CHUNK = 1 << 20
SPARE = 50_000_000  # bytes of the disk that a download leaves alone
SHARE = 0.5  # seconds between two looks at a file that another process brings
_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}


@dataclass
class Download:
    """One download under way: its files, and how far they have come. Sizes in bytes."""

    repo: Repo
    store: Store
    files: Sequence[RemoteFile]
    _done: dict[str, int] = field(default_factory=dict)

    @property
    def done(self) -> int:
        return sum(self._done.values())

    @property
    def total(self) -> int:
        return sum(file.size for file in self.files)

    def events(self) -> Iterator[DownloadProgress]:
        """Download what is missing, and yield the progress.

        Raises: ResourceError ``disk_full``; ModelError ``hub_checksum``; NetworkError ``hub_cut``;
        InputError ``cache_unwritable``; as ``requests.request``.
        """
        self._done = {file.name: self._here(file) for file in self.files}
        yield replace(self.stand("announced"), free=self._room())
        try:
            for file in self.files:
                with disk_errors(self.store.folder):
                    yield from self._one(file)
        finally:
            self._sweep()
        yield self.stand("done")

    def _sweep(self) -> None:
        """Remove incomplete files that are empty."""
        for file in self.files:
            # An empty incomplete file is a try that brought nothing; left there it would be listed as unfinished.
            partial = self.store.partial(file.etag)
            with contextlib.suppress(OSError):
                if partial.stat().st_size == 0:
                    partial.unlink()

    def stand(self, step: Any, file: str = "") -> DownloadProgress:
        return DownloadProgress(step, self.repo.name, file, self.done, self.total, len(self.files))

    @property
    def coming(self) -> int:
        """Return the bytes that are not on this disk yet."""
        return self.total - sum(self._here(file) for file in self.files)

    def fits(self) -> bool:
        """Return whether the disk has room for the rest, or does not say."""
        free = free_disk(self.store.folder)
        return free is None or not self.coming or self.coming + SPARE <= free

    def _here(self, file: RemoteFile) -> int:
        """Return the bytes of a file that this disk already has."""
        for path in (self.store.blob(file.etag), self.store.partial(file.etag)):
            if path.is_file():
                return min(path.stat().st_size, file.size)
        return 0

    def _room(self) -> int | None:
        """Return the free bytes of the disk. Raises: ResourceError ``disk_full`` if they are too few."""
        free = free_disk(self.store.folder)
        if free is not None and not self.fits():
            needed = Bytes(self.coming)
            spare = Bytes(SPARE)
            folder = local_path(settings.cache_folder(), settings.cache_folder().name)
            free_now = Bytes(free)
            name = self.repo.name
            raise ResourceError("disk_full", name=name, needed=needed, free=free_now, spare=spare, folder=folder)
        return free

    def _one(self, file: RemoteFile) -> Iterator[DownloadProgress]:
        """Download one file, or wait while another process downloads it."""
        blob = self.store.blob(file.etag)
        pointer = self.store.snapshot(self.repo.commit) / file.name
        blob.parent.mkdir(parents=True, exist_ok=True)
        # Until the link is there, whoever has made it: another process may finish, or give up, in the meantime.
        while not pointer.is_file():
            with self.store.lock(file.etag) as ours:
                if ours and not pointer.is_file():  # it may have come while we waited
                    if fresh := not blob.is_file():
                        yield from self._bring(file)
                    self.store.link(file.etag, self.repo.commit, file.name, fresh=fresh)
            if not ours:
                self._done[file.name] = self._here(file)
                yield self.stand("waiting", file.name)
                time.sleep(SHARE)
        self._done[file.name] = file.size

    def _bring(self, file: RemoteFile) -> Iterator[DownloadProgress]:
        """Download and verify one file. A resumed file with a wrong hash is downloaded again from its start."""
        partial = self.store.partial(file.etag)
        partial.touch()
        resumed = partial.stat().st_size > 0
        # Bytes of an earlier try may be those of an older file, or of a power cut: they get one more chance, from zero.
        for again in (resumed, False):
            for size in FileDownload(self.repo, file, partial).sizes():
                retried = size < 0
                self._done[file.name] = self._done[file.name] if retried else size
                yield self.stand("retrying" if retried else "downloading", file.name)
            yield self.stand("checking", file.name)
            if hash_matches(partial, file):
                # Renamed only once verified, and in one step: no reader ever sees half a file under a final name.
                partial.replace(self.store.blob(file.etag))
                return
            partial.unlink()
            if not again:
                raise ModelError("hub_checksum", name=self.repo.name, file=file.name, host=settings.endpoint())


@dataclass
class FileDownload:
    """The download of one file to ``partial``, resumed after every break that brought something."""

    repo: Repo
    file: RemoteFile
    partial: Path

    def sizes(self) -> Iterator[int]:
        """Yield the bytes so far after each piece, and -1 before the connection is tried again.

        A connection that brings only a few bytes counts as a failed one, or a file would never end.

        Raises: NetworkError ``hub_cut`` where it breaks again and again; as ``requests.request``.
        """
        misses = 0
        first = self._size()
        while (before := self._size()) < self.file.size:
            error, wait = None, None
            try:
                with self._answer(before) as answer:
                    if answer.status >= 300:
                        error = self._refusal(answer)
                        wait = retry_after(answer)
                    else:
                        yield from self._append(answer, before)
            except BROKEN as broken:
                if isinstance(broken, OSError) and broken.filename is not None:
                    raise  # of the disk's, not of the network's
                error = unreachable_error(broken, self.repo.url(self.file.name))
                if requests.is_permanent(broken) and before == first:  # no network at all
                    raise error from None
            # Something was brought, so the line works: the count of failures begins anew.
            misses = 0 if self._size() - before >= self._enough else misses + 1
            if misses > len(pauses := settings.retry_delays()):
                raise error if error and not before else self._cut()
            if self._size() < self.file.size:
                # -1 tells the reader of these sizes that the next try begins, and cannot be a size.
                yield -1
                time.sleep(pauses[max(0, misses - 1)] if wait is None else wait)

    @property
    def _enough(self) -> int:
        """Return how many bytes a connection must bring for the count of failures to restart."""
        return max(1, min(CHUNK, self.file.size // 100))

    def _size(self) -> int:
        size = self.partial.stat().st_size if self.partial.is_file() else 0
        if size > self.file.size:  # of something else
            self.partial.unlink()
            size = 0
        return size

    def _answer(self, start: int) -> Response:
        check_online(self.repo.name)
        headers = {"Range": f"bytes={start}-"} if start else {}
        return send(self.repo.url(self.file.name), token=settings.token(), headers=headers)

    def _refusal(self, answer: Response) -> CapotError:
        """Return the error of an answer if a retry may help, else raise it.

        A server that the hub pointed to refuses when the address it was given has grown old.
        """
        error = response_error(answer, self.repo.subject, token=settings.token())
        passing = answer.status in PASSING or not answer.ours
        if not passing or (retry_after(answer) or 0) > requests.LONGEST:
            raise error
        return error

    def _append(self, answer: Response, start: int) -> Iterator[int]:
        """Write what comes after byte ``start``; from the beginning where a server knows no ranges.

        Raises: http.client.HTTPException where it is another part of the file.
        """
        size = start if answer.status == 206 else 0
        part = re.match(r"bytes (\d+)-", answer.header("content-range") or "")
        if part and part[1].lstrip("0") != str(size).lstrip("0"):
            raise http.client.HTTPException("Content-Range")
        with self.partial.open("ab" if size else "wb", buffering=0) as out:
            # ``read1`` returns what has come: ``read`` would wait for the whole chunk, and a bar would jump.
            while size < self.file.size and (piece := answer.stream.read1(min(CHUNK, self.file.size - size))):
                self._write(out, piece)
                size += len(piece)
                yield size

    def _write(self, out: RawIOBase, piece: bytes) -> None:
        """Write all of a piece. An error of the disk carries the file's name, an error of the network none."""
        rest = memoryview(piece)
        # A raw file may write less than it is given.
        try:
            while rest:
                rest = rest[out.write(rest) or 0 :]
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self.partial)) from None

    def _cut(self) -> CapotError:
        done = Bytes(self._size())
        total = Bytes(self.file.size)
        return NetworkError("hub_cut", name=self.repo.name, file=self.file.name, done=done, total=total)


def hash_matches(path: Path, file: RemoteFile) -> bool:
    """Return whether a file has the size and the hash that the hub publishes.

    SHA-256 for large files; for the others git's: the SHA-1 of ``blob SIZE``, a zero byte and the bytes.
    """
    if path.stat().st_size != file.size:
        return False
    # The length of the name says which hash it is: the hub publishes SHA-256 for large storage, git's SHA-1 else.
    kind = {64: hashlib.sha256(), 40: hashlib.sha1(b"blob %d\0" % file.size, usedforsecurity=False)}.get(len(file.etag))
    if kind is None or not all(letter in "0123456789abcdef" for letter in file.etag):
        return True  # a mirror's own name for it
    with path.open("rb") as stream:
        while piece := stream.read(CHUNK):
            kind.update(piece)
    return kind.hexdigest() == file.etag


@contextlib.contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Translate errors of the disk. Raises: ResourceError ``disk_full_now``; InputError ``cache_unwritable``."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise ResourceError("disk_full_now", folder=local_path(folder, folder.name)) from None
        where = local_path(error.filename or folder, folder.name)
        raise InputError("cache_unwritable", path=where, reason=os_reason(error)) from None
