"""The embedding table, read by rows from the model's file: no engine, no copy of the whole.

A table of 128,256 rows of 2,048 numbers is half a gigabyte; six words are six rows of
it. Comparing with all rows takes one walk through the file in small blocks: each is
widened to float32, multiplied, and forgotten, so it never leaves the processor's cache.
A few words are compared on one core, row by row: that is bound by reading the table, and
measured up to forty times faster than a matrix product where other programs keep the
cores busy, because the threads of a product wait for each other at every block.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from capot.chapters.embeddings.geometry import unit
from capot.engines.cancellation import check_cancelled
from capot.engines.protocol import Capability, check_ids, require
from capot.errors import InputError, ModelError, NotFoundError, UnsupportedError, local_path
from capot.sources.checkpoint import INTEGERS, Checkpoint, to_float32
from capot.sources.configuration import packed_for_mlx
from capot.sources.safetensors import DTYPES

if TYPE_CHECKING:
    from capot.chapters.protocols import Opened
    from capot.sources.hub.remote_rows import RemoteRows
    from capot.sources.safetensors import TensorInfo

# How the hub's families end the name of their table; the rest of the name varies.
ENDINGS = (
    "embed_tokens.weight", "wte.weight", "embed_in.weight", "word_embeddings.weight",
    "tok_embeddings.weight", "embeddings.weight", "embedding.weight",
)  # fmt: skip
TIED = "lm_head.weight"  # the same matrix, where the file keeps only this name for it
READABLE = {"F64", "F32", "F16", "BF16"}
BLOCK = 1 << 19  # numbers in a block: 2 MB in float32, which a second-level cache holds
LARGE = 1 << 22  # numbers in a block for a matrix product: 16 MB, so that its threads meet seldom
FAR = 1000  # rows of a table on the hub that one question may bring
MANY = 64  # words from which a matrix product pays


class VectorTable(Protocol):
    """Rows of numbers, one for each id. ``dtype`` is how they are stored, for the reader."""

    @property
    def shape(self) -> tuple[int, int]:
        """Return the table's shape. Shapes: (V, D)"""

    @property
    def dtype(self) -> str:
        """Return how the numbers are stored."""

    @property
    def nbytes(self) -> int:
        """Return what the table takes as it is stored."""

    def rows(self, ids: Sequence[int]) -> np.ndarray:
        """Shapes: (len(ids), D) float32"""

    @property
    def whole(self) -> bool:
        """Return whether the whole table is at hand, so that all rows can be compared."""

    def blocks(self, numbers: int = BLOCK) -> Iterator[tuple[int, np.ndarray]]:
        """Return the whole table in order, as (first id, rows), about so many numbers at a time.

        An array is valid until the next one.

        Shapes: (n, D) float32
        """


@dataclass(frozen=True)
class FileTable:
    """The table in a safetensors file."""

    checkpoint: Checkpoint
    info: TensorInfo
    whole = True

    @property
    def shape(self) -> tuple[int, int]:
        return self.info.shape[0], self.info.shape[1]

    @property
    def dtype(self) -> str:
        return {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}[self.info.dtype]

    @property
    def nbytes(self) -> int:
        return self.info.nbytes

    def rows(self, ids: Sequence[int]) -> np.ndarray:
        return self.checkpoint.rows(self.info.name, ids)

    def blocks(self, numbers: int = BLOCK) -> Iterator[tuple[int, np.ndarray]]:
        mapped = self.checkpoint.tensor(self.info.name)
        dtype = self.info.dtype
        height = max(1, numbers // self.shape[1])
        room = np.empty((height, self.shape[1]), np.uint32)  # one for all blocks: it stays in the cache
        for start in range(0, self.shape[0], height):
            part = mapped[start : start + height]
            if dtype == "BF16":
                bits = np.left_shift(part, 16, out=room[: len(part)], dtype=np.uint32, casting="unsafe")
                yield start, bits.view(np.float32)
            else:
                yield start, to_float32(part, dtype)


@dataclass(frozen=True)
class HubTable(FileTable):
    """The table of a model on the hub that is not here: of its rows only those that are asked for come."""

    far: RemoteRows
    whole = False

    def rows(self, ids: Sequence[int]) -> np.ndarray:
        """Raises: InputError ``no_such_id``, ``too_many``; as ``RemoteRows.read``."""
        check_ids(ids, size=self.shape[0])
        if len(set(ids)) > FAR:
            raise InputError("too_many", count=len(set(ids)), most=FAR)
        found = self.far.read(ids)
        stored = np.frombuffer(b"".join(found[token] for token in ids), DTYPES[self.info.dtype][1])
        return to_float32(stored.reshape(len(ids), -1), self.info.dtype)


class EngineTable:
    """The table of an engine that has no file, asked for rows."""

    whole = True

    def __init__(self, model: Opened) -> None:
        self._scheduler = model.scheduler
        info = model.scheduler.engine.info
        require(self._scheduler.engine, Capability.EMBEDDINGS)
        # The engine's embed answers float32; what the table takes is by its stored type.
        self.shape = (info.vocabulary_size, info.width)
        self.dtype = info.dtype
        self.nbytes = self.shape[0] * self.shape[1] * (2 if self.dtype.endswith("16") else 4)

    def rows(self, ids: Sequence[int]) -> np.ndarray:
        return self._scheduler.call(lambda: self._scheduler.engine.embed(list(ids)))

    def blocks(self, numbers: int = BLOCK) -> Iterator[tuple[int, np.ndarray]]:
        height = max(1, numbers // self.shape[1])
        for start in range(0, self.shape[0], height):
            yield start, self.rows(range(start, min(start + height, self.shape[0])))


def open_table(model: Opened) -> VectorTable:
    """Return the table of a model: from its file, else from its engine.

    Raises: ModelError ``no_table``; UnsupportedError ``table_dtype``, ``packed_for_mlx``; CapabilityError
    ``capability``.
    """
    try:
        checkpoint = model.checkpoint
    except NotFoundError as error:
        if error.code != "no_checkpoint":
            raise
        published = model.published
        if published is not None:
            info = _find(published, published.headers)
            return HubTable(published, info, published.remote_rows(info.name))
        return EngineTable(model)  # an engine without files: scripted, or a server
    return FileTable(checkpoint, _find(checkpoint, checkpoint.tensors))


def _find(checkpoint: Checkpoint, tensors: Mapping[str, TensorInfo]) -> TensorInfo:
    """Return the matrix that has a row per token and a name the families give to it."""
    if packed_for_mlx(checkpoint.raw_config):
        raise UnsupportedError("packed_for_mlx", model=checkpoint.name)
    width = checkpoint.raw_config.get("word_embed_proj_dim") or checkpoint.config.width  # OPT widens what it looks up
    for ending in (*ENDINGS, TIED):
        for name, info in tensors.items():
            named = name == ending or name.endswith(f".{ending}")
            # The output head may stand for the table only where the two are one matrix.
            # An untied head has rows of the same shape, and they are other vectors.
            if named and info.dtype in INTEGERS:
                raise UnsupportedError(
                    "packed_unsaid", tensor=name, folder=local_path(checkpoint.path, checkpoint.name)
                )
            if named and len(info.shape) == 2 and info.shape[1] == width and (ending != TIED or checkpoint.config.tied):
                if info.dtype not in READABLE:
                    raise UnsupportedError("table_dtype", tensor=name, dtype=info.dtype)
                return info
    raise ModelError("no_table", folder=local_path(checkpoint.path, checkpoint.name))


def nearest(
    table: VectorTable, vectors: np.ndarray, *, count: int, without: Sequence[Sequence[int]]
) -> list[list[tuple[int, float]]]:
    """Return the ``count`` rows that point most like each vector, as (id, cosine), best first.

    ``without`` names, for each vector, the ids to leave out. Rows of zeros point nowhere
    and are never near. Equal cosines come in the order of ids.

    Shapes: ``vectors`` (N, D)
    """
    # float32 is enough for an order of cosines, and half the traffic of float64.
    aims = unit(vectors).astype(np.float32)
    # As many more as are left out, so that ``count`` remain after.
    keep = [count + len(set(ids)) for ids in without]
    best = [(np.zeros(0, np.int64), np.zeros(0, np.float32)) for _ in aims]
    for start, rows in table.blocks(LARGE if len(aims) > MANY else BLOCK):
        check_cancelled()
        products = rows @ aims.T if len(aims) > MANY else np.vecdot(rows[:, None], aims)  # (n, N)
        squares = np.vecdot(rows, rows)
        # NaN for a row of zeros: no comparison with it is true, so it is never among the best.
        scores = products / np.sqrt(np.where(squares > 0, squares, np.nan))[:, None]
        best = [_merged(old, start, scores[:, n], keep[n]) for n, old in enumerate(best)]
    return [_listed(found, count, set(ids)) for found, ids in zip(best, without, strict=True)]


def _merged(
    old: tuple[np.ndarray, np.ndarray], start: int, scores: np.ndarray, keep: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the ``keep`` best of what was found and of the next block's scores."""
    # Most of a block is below the worst of the best: one comparison, and nothing is sorted.
    floor = old[1].min() if len(old[1]) == keep else -np.inf
    rising = np.flatnonzero(scores > floor)  # NaN is never above anything
    if not len(rising):
        return old
    ids = np.concatenate([old[0], start + rising])
    values = np.concatenate([old[1], scores[rising]])
    # By cosine, then by id, so that the list is the same whatever the blocks.
    order = np.lexsort((ids, -values))[:keep]
    return ids[order], values[order]


def _listed(found: tuple[np.ndarray, np.ndarray], count: int, left_out: set[int]) -> list[tuple[int, float]]:
    pairs = zip(found[0].tolist(), found[1].tolist(), strict=True)
    return [(token, min(max(value, -1.0), 1.0)) for token, value in pairs if token not in left_out][:count]
