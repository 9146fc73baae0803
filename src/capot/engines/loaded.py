"""What opening an engine took: time and memory, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from capot.i18n import duration, size, tr

if TYPE_CHECKING:
    from capot.sources.checkpoint import Checkpoint

WIDTHS = {"float64": 8, "float32": 4, "bfloat16": 2, "float16": 2}  # bytes of a number


@dataclass(frozen=True)
class Loaded:
    """An engine at work.

    ``weights_bytes`` are the weights in the precision that they are computed with; ``process_bytes`` by how much this
    process grew as they were opened, None where the system does not say. It is less where weights are mapped, since
    a part of a file comes into memory when it is first read, or where they are on a GPU.
    Units: seconds, bytes.
    """

    engine: str
    device: str
    dtype: str
    seconds: float
    weights_bytes: int
    process_bytes: int | None = None

    def words(self, lang: str | None = None) -> str:
        """Return the same in a line."""
        if self.engine == "openai":
            return tr("engines.served", lang, engine=self.engine, host=self.device)
        params = {"weights": size(self.weights_bytes, lang), "time": duration(self.seconds, lang)}
        return tr("engines.loaded", lang, engine=self.engine, device=self.device, dtype=self.dtype, **params)


def weights_bytes(checkpoint: Checkpoint | None, dtype: str) -> int:
    """Return the bytes of a model's weights in a precision.

    Those of its files where the precision is none of the usual ones.
    """
    if checkpoint is None:
        return 0
    # A quantized file has types of its own (blocks of int4 with scales), whose size is what the file says.
    width = WIDTHS.get(dtype)
    return sum(info.count * width if width else info.nbytes for info in checkpoint.tensors.values())
