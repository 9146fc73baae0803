"""The precisions that PyTorch computes in, by the names people give them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from capot.errors import InputError

if TYPE_CHECKING:
    pass


PRECISIONS = ("float32", "bfloat16", "float16")

SHORT = {"fp32": "float32", "f32": "float32", "bf16": "bfloat16", "fp16": "float16", "f16": "float16"}


def precision(dtype: str | None) -> str | None:
    """Return the name that PyTorch has for a precision; None where the choice is left to us.

    Raises: InputError ``unknown_precision``.

    >>> precision("BF16"), precision("torch.float16"), precision("auto")
    ('bfloat16', 'float16', None)
    """
    if dtype in (None, "auto"):
        return None
    name = SHORT.get(dtype.lower(), dtype.lower()).removeprefix("torch.")
    if name not in PRECISIONS:
        raise InputError("unknown_precision", value=dtype[:80], known=", ".join(PRECISIONS))
    return name
