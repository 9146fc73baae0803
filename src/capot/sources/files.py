"""Open the files of a model's folder: only ordinary files inside it, and read up to a bound.

A folder comes from strangers. A link in it could lead to any file of this machine, a pipe keeps its reader
waiting, a device has no end. So a file must lie in the folder, or be one of the blobs that the same model has
in the hub's cache; it must be an ordinary file; and its size is that of what was opened.

    models--org--name/snapshots/<commit>/config.json -> ../../blobs/<etag>     followed
    folder/chat_template.jinja -> /proc/self/environ                           refused

A link on the way to the folder is its owner's business and is followed.
"""

from __future__ import annotations

import json
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from capot.errors import ModelError, local_path, os_reason
from capot.i18n import Bytes

INDEX = "model.safetensors.index.json"
SETTINGS_BYTES = 10_000_000  # config.json and its like; of the largest known, some hundred thousand
LARGER = {INDEX: 50_000_000, "tokenizer.json": 80_000_000}  # of the largest known, 15 and 34 million
TEMPLATE_BYTES = 1_000_000
_HALVES = re.compile(rb"\\u[dD][89a-fA-F]")
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


@dataclass(frozen=True)
class Folder:
    """A folder, and the name by which its model is known."""

    path: Path
    name: str

    def has(self, file: str) -> bool:
        """Return whether an entry of that name exists; only ``open`` checks it."""
        path = self.path / file
        return os.path.exists(path) and not os.path.isdir(path)

    def open(self, file: str) -> BinaryIO:
        """Open an ordinary file.

        Raises: ModelError ``file_outside``, ``file_irregular``, ``file_unreadable``.
        """
        try:
            # Resolved first: what is checked is what will be opened.
            real = (self.path / file).resolve(strict=True)
            if not self._holds(real):
                raise ModelError("file_outside", file=file, model=self.name)
            if not stat.S_ISREG(real.stat().st_mode):  # a device may act on being opened
                raise ModelError("file_irregular", file=file, model=self.name)
            # NOFOLLOW and NONBLOCK: between the check and this line the file could become a link or a pipe.
            stream = os.fdopen(os.open(real, _FLAGS), "rb")
        except (OSError, RuntimeError) as error:  # links in a circle, before Python 3.13
            raise ModelError("file_unreadable", file=file, model=self.name, reason=os_reason(error)) from None
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):  # it took the other's place just now
            stream.close()
            raise ModelError("file_irregular", file=file, model=self.name)
        return stream

    def check(self, *suffixes: str) -> None:
        """Check every file with these suffixes as ``open`` does, for a library that opens files itself.

        Raises: as ``open``; ModelError ``file_too_long`` where a text is longer than ``read`` would take.
        """
        for path in sorted(self.path.iterdir()):
            if path.suffix in suffixes and self.has(path.name):
                with self.open(path.name) as stream:
                    size = os.fstat(stream.fileno()).st_size
                    most = _most(path.name)
                if size > most and path.suffix != ".safetensors":
                    raise ModelError("file_too_long", file=path.name, model=self.name, most=Bytes(most))

    def _holds(self, real: Path) -> bool:
        """Return whether a file lies in this folder, or among the cached blobs of its model."""
        root = self.path.resolve()
        if real.is_relative_to(root):
            return True
        snapshots = (up for up in root.parents if up.name == "snapshots" and up.parent.name.startswith("models--"))
        return any(real.is_relative_to(up.parent / "blobs") for up in snapshots)

    def read(self, file: str, *, most: int | None = None) -> bytes:
        """Return a file's bytes. Raises: as ``open``; ModelError ``file_too_long``."""
        most = most or _most(file)
        with self.open(file) as stream:
            try:
                raw = stream.read(most + 1)  # whatever size it says that it has: some files of the system say none
            except OSError as error:
                raise ModelError("file_unreadable", file=file, model=self.name, reason=os_reason(error)) from None
        if len(raw) > most:
            raise ModelError("file_too_long", file=file, model=self.name, most=Bytes(most))
        return raw

    def start(self, file: str, most: int) -> str:
        """Return the beginning of a file as text; mark what is no UTF-8. Raises: as ``open``."""
        with self.open(file) as stream:
            try:
                return stream.read(most).decode("utf-8", errors="replace")
            except OSError as error:
                raise ModelError("file_unreadable", file=file, model=self.name, reason=os_reason(error)) from None

    def text(self, file: str, *, most: int) -> str:
        """Return a file's text. Raises: as ``read``; ModelError ``file_not_text``."""
        try:
            return self.read(file, most=most).decode("utf-8")
        except UnicodeDecodeError as error:
            raise ModelError("file_not_text", file=file, model=self.name, offset=error.start) from None

    def json(self, file: str) -> dict[str, Any]:
        """Return a file's JSON object. Raises: as ``read``; ModelError ``json_invalid``."""
        raw = self.read(file)
        try:
            value = json.loads(raw.decode(json.detect_encoding(raw)), parse_int=parse_int)
            if _HALVES.search(raw):  # of characters: two make one, one alone makes what no library can write
                json.dumps(value, ensure_ascii=False).encode()
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise ModelError("json_invalid", file=file, folder=local_path(self.path, self.name))
        return value


def _most(file: str) -> int:
    return LARGER.get(file, SETTINGS_BYTES)


def parse_int(digits: str) -> int | float:
    """Return an integer, or beyond 64 bits a float as other JSON parsers do, infinity if it is too long.

    >>> parse_int("12"), parse_int("1" + "0" * 20), parse_int("9" * 400)
    (12, 1e+20, inf)
    """
    return int(digits) if len(digits) < 20 else float(digits)
