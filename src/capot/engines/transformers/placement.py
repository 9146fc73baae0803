"""On which device a model computes, in which precision, and whether it fits there.

A device is compared by its ``type``: ``torch.device("cuda") == "cuda"`` is False, and code
that chooses a precision by such a comparison stays in float32 on a GPU, silently.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from capot.engines.transformers.precisions import PRECISIONS, precision
from capot.errors import CapabilityError, InputError, ResourceError
from capot.i18n import Bytes
from capot.sources.checkpoint import Checkpoint
from capot.sources.machine import ram

DTYPES = {name: getattr(torch, name) for name in PRECISIONS}
STORED = {"F64": "float32", "F32": "float32", "BF16": "bfloat16", "F16": "float16"}
HEADROOM = 0.05  # of the weights: what reading them and a first pass take besides


@dataclass(frozen=True)
class Placement:
    """A device and a precision; ``spread`` over all GPUs where one alone is too small."""

    device: torch.device
    dtype: torch.dtype
    spread: bool = False

    @property
    def dtype_name(self) -> str:
        return str(self.dtype).removeprefix("torch.")


def choose(checkpoint: Checkpoint, *, device: str | None, dtype: str | None) -> Placement:
    """Return where to compute: what was asked for, else the first of the best that has room for the weights.

    Raises: InputError ``unknown_device``; as ``precision``; CapabilityError ``no_such_device``;
    ResourceError ``weights_too_large``, ``weights_too_large_everywhere``.
    """
    wanted = DTYPES.get(precision(dtype) or "")
    if device in (None, "auto"):
        # The processor comes after a GPU that is too small; where a device was named, nothing else is tried.
        devices = [preferred_device(), *([torch.device("cpu")] if preferred_device().type != "cpu" else [])]
    else:
        devices = [parse_device(device)]
    stored = stored_dtype(checkpoint)
    choices = [place for each in devices for place in _candidates(each, wanted, stored)]
    for place in choices:
        room = free_bytes(place.device, spread=place.spread)
        # Where nobody says how much is free, it is tried, and an error of memory translated.
        if room is None or weights_bytes(checkpoint, place.dtype) * (1 + HEADROOM) <= room:
            return place
    raise too_large(checkpoint, choices[0])


def _candidates(device: torch.device, wanted: torch.dtype | None, stored: torch.dtype) -> Iterator[Placement]:
    """Yield the precisions to try on a device, the best first; a second GPU comes before a narrower number."""
    for dtype in [wanted] if wanted is not None else precisions(device, stored):
        yield Placement(device, dtype)
        if device.type == "cuda" and device.index is None and torch.cuda.device_count() > 1:
            yield Placement(device, dtype, spread=True)


def preferred_device() -> torch.device:
    """Return a GPU where there is one, else the processor."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def parse_device(name: str) -> torch.device:
    """Return the device of that name. Raises: InputError ``unknown_device``; CapabilityError ``no_such_device``."""
    try:
        device = torch.device(name)
    except RuntimeError:
        raise InputError("unknown_device", name=name[:80], known=", ".join(available_devices())) from None
    if device.type not in {each.partition(":")[0] for each in available_devices()} or (
        device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count()
    ):
        raise CapabilityError("no_such_device", name=name, known=", ".join(available_devices()))
    return device


def available_devices() -> list[str]:
    """Return the devices of this machine, by the names that ``--device`` takes."""
    cuda = [f"cuda:{index}" for index in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    return [*cuda, *(["mps"] if torch.backends.mps.is_available() else []), "cpu"]


def precisions(device: torch.device, stored: torch.dtype) -> list[torch.dtype]:
    """Return the precisions to compute in, the best first, for weights stored in ``stored``.

    A GPU takes 16 bits: bfloat16 where its circuits have it (compute capability 8 and above),
    float16 below. The processor keeps what is stored where it has instructions for it, else
    float32, and the narrow numbers only where float32 has no room.
    """
    if device.type != "cpu":
        return [torch.bfloat16 if native_bfloat16(device) else torch.float16]
    # bfloat16 for float32 weights only comes second: it halves the memory and changes the answers.
    if stored == torch.float32 or (stored == torch.bfloat16 and native_bfloat16(device)):
        return [stored, *([torch.bfloat16] if stored == torch.float32 else [])]
    return [torch.float32, stored]


def native_bfloat16(device: torch.device) -> bool:
    """Return whether a device multiplies bfloat16 numbers with circuits of its own."""
    if device.type == "cuda":
        return bool(torch.cuda.get_device_capability(device)[0] >= 8) or torch.version.hip is not None
    if device.type == "cpu":
        return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported() or _arm_bfloat16()
    return False


def _arm_bfloat16() -> bool:
    return bool(torch.backends.cpu.get_cpu_capability() == "SVE256")


def stored_dtype(checkpoint: Checkpoint) -> torch.dtype:
    """Return the precision that most bytes of the files are in; packed weights count as bfloat16.

    Raises: as ``Checkpoint.headers``.
    """
    sizes: Counter[str] = Counter()
    # Most bytes, not most tensors: norms are often kept in float32 beside weights of 16 bits.
    for info in checkpoint.headers.values():
        sizes[info.dtype] += info.nbytes
    common = sizes.most_common(1)[0][0] if sizes else "F32"
    dtype: torch.dtype = DTYPES[STORED.get(common, "bfloat16")]
    return dtype


def weights_bytes(checkpoint: Checkpoint, dtype: torch.dtype) -> int:
    """Return the bytes of the weights in ``dtype``; packed ones stay as they are."""
    return sum(
        info.count * dtype.itemsize if info.dtype in STORED else info.nbytes for info in checkpoint.headers.values()
    )


def free_bytes(device: torch.device, *, spread: bool = False) -> int | None:
    """Return the bytes that can still be taken on a device, or on all GPUs together; None where nobody says."""
    if device.type == "cuda":
        indices = range(torch.cuda.device_count()) if spread else [device.index or 0]
        return sum(int(torch.cuda.mem_get_info(index)[0]) for index in indices)
    if device.type == "mps":
        return int(torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    # Available and not free: caches of files are given back when a process asks.
    here = ram()
    return here.available if here.available is not None else here.total


def too_large(checkpoint: Checkpoint, asked: Placement) -> ResourceError:
    """Return the error that says what would fit: another precision, another device, or how large weights."""
    needed = weights_bytes(checkpoint, asked.dtype)
    room = free_bytes(asked.device, spread=asked.spread) or 0
    device = str(asked.device)
    dtype = asked.dtype_name
    # What is told is what would truly fit: another precision on the same device first.
    for other in dict.fromkeys([asked.device, preferred_device(), torch.device("cpu")]):
        for name in ("bfloat16", "float16") if other.type != "cpu" else ("float32", "bfloat16"):
            there = free_bytes(other)
            if there is None or weights_bytes(checkpoint, DTYPES[name]) * (1 + HEADROOM) <= there:
                return ResourceError(
                    "weights_too_large", device=device, dtype=dtype, needed=Bytes(needed), available=Bytes(room),
                    option=f"--device {other} --dtype {name}", other=str(other), narrower=name,
                )  # fmt: skip
    return ResourceError(
        "weights_too_large_everywhere", device=device, dtype=dtype, needed=Bytes(needed), available=Bytes(room),
        room=Bytes(int(max(0, room) / (1 + HEADROOM))),
    )  # fmt: skip
