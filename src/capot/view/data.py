"""Blocks as plain data, for a face that draws them itself."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from capot.view import blocks as b


def to_data(blocks: Sequence[b.Block]) -> list[dict[str, Any]]:
    """Return each block as a dictionary that JSON can hold; ``block`` says which it is.

    >>> to_data([b.Heading("Why?")])
    [{'block': 'heading', 'text': 'Why?', 'level': 1}]
    """
    return [_data(block) for block in blocks]


def _data(block: b.Block) -> dict[str, Any]:
    if isinstance(block, b.Columns):
        return {"block": block.kind, "columns": [to_data(column) for column in block.columns]}
    fields = {field.name: _plain(getattr(block, field.name)) for field in dataclasses.fields(block)}
    return {"block": block.kind, **fields}


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if hasattr(value, "tolist"):  # a NumPy scalar or array, without importing NumPy here
        return _plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, (str, int)) or value is None:
        return value
    return [_plain(item) for item in value]
