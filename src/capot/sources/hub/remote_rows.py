"""Read rows of one matrix of a model on the hub: these bytes alone, by range requests."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable

from capot.sources.hub.listing import Repo
from capot.sources.hub.remote_headers import parallel_map, read_range
from capot.sources.safetensors import TensorInfo

KEPT = 10_000  # rows that are remembered
TOGETHER = 16_384  # bytes between two rows that one request is worth


class RemoteRows:
    """The rows of a matrix. What came once is not asked for again."""

    def __init__(self, repo: Repo, info: TensorInfo) -> None:
        self.info = info
        self.row_bytes = info.nbytes // info.shape[0]
        self._repo = repo
        self._file = repo.file(info.file.name)
        self._kept: OrderedDict[int, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, ids: Iterable[int]) -> dict[int, bytes]:
        """Return the bytes of each row. Raises: as ``RangeReader``."""
        wanted = sorted(set(ids))
        with self._lock:
            found = {row: self._kept[row] for row in wanted if row in self._kept}
        spans = self._spans([row for row in wanted if row not in found])
        for (first, last), raw in parallel_map(self._asked, spans).items():
            size = self.row_bytes
            found |= {row: raw[(row - first) * size :][:size] for row in range(first, last + 1)}
        with self._lock:
            self._kept |= found
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return {row: found[row] for row in wanted}

    def _spans(self, rows: list[int]) -> list[tuple[int, int]]:
        """Return the first and last rows of each request: rows that lie close together come in one."""
        spans: list[tuple[int, int]] = []
        for row in rows:
            if spans and (row - spans[-1][1] - 1) * self.row_bytes <= TOGETHER:
                spans[-1] = (spans[-1][0], row)
            else:
                spans.append((row, row))
        return spans

    def _asked(self, span: tuple[int, int]) -> bytes:
        first, last = span
        start = self.info.start
        return read_range(
            self._repo, self._file, start + first * self.row_bytes, stop=start + (last + 1) * self.row_bytes
        )
