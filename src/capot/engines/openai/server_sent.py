"""Read server-sent events out of bytes: their data alone, as the protocol of servers of models has no more."""

from __future__ import annotations

import httpx2

_MARK = b"\xef\xbb\xbf"  # of the order of bytes, which a stream may begin with


class EventReader:
    """The events of one stream, of ``largest`` bytes at most each (WHATWG HTML, 9.2.6).

    >>> reader = EventReader(100)
    >>> reader.take(b"data: 1\\n\\ndata: 2\\r\\n"), reader.take(b": a comment\\r\\ndata:3\\r\\n\\r\\n")
    (['1'], ['2\\n3'])
    """

    def __init__(self, largest: int) -> None:
        self._largest = largest
        self._line = b""  # what has come of a line
        self._data: list[bytes] = []  # of the event under way
        self._size = 0
        self._begun = False

    def take(self, block: bytes) -> list[str]:
        """Return the data of each event that ends in ``block``, which goes on from before. Raises: SSEError."""
        # How servers send nearly all of them: one event, one line, one block.
        one = block[:6] == b"data: " and block[-2:] == b"\n\n" and block.find(b"\n") == len(block) - 2
        if one and not (self._line or self._data or b"\r" in block):
            self._begun = True
            return [block[6:-2].decode("utf-8", "replace")]
        return self._take_lines(block)

    def _take_lines(self, block: bytes) -> list[str]:
        found = []
        for line in self._lines(block):
            if not self._begun:
                line = line.removeprefix(_MARK)
                self._begun = True
            name, _, value = line.partition(b":")
            if not line and self._data:
                found.append(b"\n".join(self._data).decode("utf-8", "replace"))
                self._data = []
                self._size = 0
            elif name == b"data":
                self._data.append(value[1:] if value[:1] == b" " else value)
                self._size += len(value)
        if self._size + len(self._line) > self._largest:
            raise httpx2.SSEError(f"more than {self._largest} bytes")
        return found

    def _lines(self, block: bytes) -> list[bytes]:
        """Return the lines that end in a block."""
        text = self._line + block
        # A carriage return at the end may be half of a line's end.
        text, half = (text[:-1], b"\r") if text[-1:] == b"\r" else (text, b"")
        *lines, rest = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        self._line = rest + half
        return lines
