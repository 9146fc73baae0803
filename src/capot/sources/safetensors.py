"""Parse and check the headers of safetensors files: where each tensor lies.

    8 bytes    length N of the header, little-endian
    N bytes    JSON, {"name": {"dtype", "shape", "data_offsets"}}
    the rest   the numbers, nothing else (hence "safe")

A header says what is in a file of gigabytes for a few kilobytes read: from the disk,
or over a network before any download.

Source of the format: https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import itertools
import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from capot.errors import ModelError, NotFoundError, UnsupportedError, local_path, os_reason
from capot.sources.files import Folder

MAX_HEADER = 100_000_000  # bytes; the format's own limit

# Bits of one number, and the NumPy type that holds it as it is in the file; None where NumPy has none. It has no
# bfloat16 either: its bits are handed out as uint16 and ``to_float32`` makes floats of them.
DTYPES: dict[str, tuple[int, str | None]] = {
    "F64": (64, "<f8"), "F32": (32, "<f4"), "F16": (16, "<f2"), "BF16": (16, "<u2"), "C64": (64, "<c8"),
    "I64": (64, "<i8"), "I32": (32, "<i4"), "I16": (16, "<i2"), "I8": (8, "i1"),
    "U64": (64, "<u8"), "U32": (32, "<u4"), "U16": (16, "<u2"), "U8": (8, "u1"), "BOOL": (8, "?"),
    "F8_E4M3": (8, "u1"), "F8_E5M2": (8, "u1"), "F8_E4M3FNUZ": (8, "u1"), "F8_E5M2FNUZ": (8, "u1"),
    "F8_E8M0": (8, "u1"), "F6_E2M3": (6, None), "F6_E3M2": (6, None), "F4": (4, None),
}  # fmt: skip


@dataclass(frozen=True)
class TensorInfo:
    """Where one tensor lies. ``start`` and ``stop`` are byte offsets in ``file``."""

    name: str
    dtype: str  # F32, F16, BF16...
    shape: tuple[int, ...]
    file: Path
    start: int
    stop: int

    @property
    def count(self) -> int:
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.stop - self.start


class Readable(Protocol):
    """Bytes that are read in order: an open file, or a file on a hub."""

    def read(self, count: int, /) -> bytes: ...


def read_header(path: Path, *, name: str | None = None) -> dict[str, TensorInfo]:
    """Return the tensors of one file on this disk; ``name`` is what its model is called.

    Raises: NotFoundError ``shard_missing``; ModelError as ``Folder.open``, ``parse_header``.
    """
    folder = Folder(path.parent, name or path.parent.name)
    if not folder.has(path.name):
        raise NotFoundError("shard_missing", file=path.name, folder=local_path(path.parent, folder.name))
    with folder.open(path.name) as file:
        try:
            return parse_header(file, path=path, size=os.fstat(file.fileno()).st_size)
        except OSError as error:
            raise ModelError("file_unreadable", file=path.name, model=folder.name, reason=os_reason(error)) from None


def parse_header(file: Readable, *, path: Path, size: int) -> dict[str, TensorInfo]:
    """Return the tensors of a file of ``size`` bytes, after checks: none outside the file, none overlapping.

    Raises: ModelError ``safetensors_truncated``, ``safetensors_corrupt``,
    ``safetensors_outside``, ``safetensors_shape``, ``safetensors_overlap``; UnsupportedError ``safetensors_format``.
    """
    # A file shorter than 8 bytes gives a length all the same, and is refused below.
    length = int.from_bytes(file.read(8), "little")
    if size < 8 or (length <= MAX_HEADER and 8 + length > size):
        raise ModelError("safetensors_truncated", file=path.name)
    try:
        # Never read before its length is believed: 8 bytes of anything may say a terabyte.
        header = json.loads(file.read(length)) if length <= MAX_HEADER else None
    except (ValueError, RecursionError):  # not JSON, or not even text
        header = None
    if not isinstance(header, dict):
        raise ModelError("safetensors_corrupt", file=path.name)
    header.pop("__metadata__", None)
    infos = {name: _tensor_info(path, name, entry, 8 + length, size) for name, entry in header.items()}
    _refuse_overlaps(path, infos.values())
    return infos


def _tensor_info(path: Path, name: str, entry: Any, base: int, size: int) -> TensorInfo:
    try:
        dtype = entry["dtype"]
        shape = tuple(entry["shape"])
        begin, end = entry["data_offsets"]
        # A bool is an int to Python, and ``true`` no offset.
        sound = all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in (*shape, begin, end))
        sound = sound and isinstance(dtype, str)
    except (KeyError, TypeError, ValueError):
        sound = False
    if not sound:
        raise ModelError("safetensors_corrupt", file=path.name)
    if dtype not in DTYPES:  # a format younger than the list: the file is sound all the same
        raise UnsupportedError("safetensors_format", file=path.name, tensor=name[:80], dtype=dtype[:40])
    if begin > end or base + end > size:
        raise ModelError("safetensors_outside", file=path.name, tensor=name)
    # In bits, as some types are smaller than a byte.
    if math.prod(shape) * DTYPES[dtype][0] != 8 * (end - begin):
        raise ModelError("safetensors_shape", file=path.name, tensor=name, shape=list(shape), bytes=end - begin)
    return TensorInfo(name, dtype, shape, path, base + begin, base + end)


def _refuse_overlaps(path: Path, infos: Iterable[TensorInfo]) -> None:
    # Two names for the same bytes would let a file of one megabyte claim a terabyte. A
    # hole between two tensors harms nobody and is let through.
    laid = sorted((info for info in infos if info.nbytes), key=lambda info: info.start)
    for before, after in itertools.pairwise(laid):
        if after.start < before.stop:
            raise ModelError("safetensors_overlap", file=path.name, first=before.name, second=after.name)


def weight_map(index: Mapping[str, Any], *, folder: Path, name: str | None = None) -> dict[str, str]:
    """Return which file holds which tensor. A shard is a file of the same folder, and of no other kind: no path
    leads out of it, and nothing that could run code is among them.

    Raises: ModelError ``index_invalid``.
    """
    shard_of = index.get("weight_map")
    if not shard_of or not isinstance(shard_of, dict) or not all(map(_is_shard_name, shard_of.values())):
        raise ModelError("index_invalid", folder=local_path(folder, name or folder.name))
    return shard_of


def _is_shard_name(name: Any) -> bool:
    """Return whether a name is a plain file name, on Windows too."""
    return isinstance(name, str) and Path(name).name == name and "\\" not in name and name.endswith(".safetensors")


def merge_shards(
    shard_of: Mapping[str, str], headers: Mapping[str, Mapping[str, TensorInfo]], *, folder: Path, name: str
) -> dict[str, TensorInfo]:
    """Return the tensors of all shards by name. Raises: ModelError ``tensor_missing``."""
    for tensor, shard in shard_of.items():
        if tensor not in headers[shard]:
            raise ModelError("tensor_missing", tensor=tensor, folder=local_path(folder, name))
    return {tensor: headers[shard][tensor] for tensor, shard in shard_of.items()}
