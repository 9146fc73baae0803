"""How one token's products read the weights on this machine: chosen once, kept beside the compiled kernels.

Nothing here needs Numba: a card reads what was kept without it. Several machines may share a folder, so each plan is
kept under the processor, the kernels' own sources, the stored type, and the place that the weights come from.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import os
import re
import tempfile
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

from capot.engines.decode_plan import TILE, DecodePlan
from capot.sources.machine import MAX_THREADS, processor

FILE = "capot-plans.json"
SOURCES = ("simd.py", "matmul.py", "tiles.py", "tuning.py")
NAMES = {"uint16": "bfloat16", "int16": "float16", "float32": "float32"}  # of weights, by NumPy's type (see ``simd``)
MAX_BYTES = 2**20  # of the file: more is none of ours
CACHES = Path("/sys/devices/system/cpu/cpu0/cache")


class KernelPlan(NamedTuple):
    """What ``add_matmul`` goes by. No plan changes a bit: a row's sum has its own register, and its own order."""

    rows: int  # at once, each read as a stream of its own
    ahead: int  # bytes of a row that memory is asked for before they are read
    turns: int  # threads that take tasks in turn; 0 where each has a piece of the rows


# The best on the hosts measured so far. Memory gives most to one stream that is asked for well ahead. A cache answers
# at once, and what takes time there is one sum after the other: several rows are summed together.
DEFAULTS = {"memory": KernelPlan(rows=1, ahead=4096, turns=0), "cache": KernelPlan(rows=4, ahead=1024, turns=0)}
DEFAULT = DEFAULTS["memory"]
# A tile register takes 16 rows at once, and two of them share what is loaded of x.
TILE_DEFAULTS = {place: KernelPlan(2 * TILE, plan.ahead, plan.turns) for place, plan in DEFAULTS.items()}
ROWS = (1, 2, 4)
TILE_ROWS = (TILE, 2 * TILE)
AHEAD = (256, 1024, 4096, 8192)


def plans_for(threads: int, *, rows: tuple[int, ...] = ROWS) -> list[KernelPlan]:
    """Return every plan that is tried with so many threads; one alone has nobody to take turns with."""
    ways = [0, threads] if threads > 1 else [0]
    return [KernelPlan(at_once, ahead, turns) for at_once in rows for ahead in AHEAD for turns in ways]


def cache_bytes() -> int:
    """Return the size of the processor's largest cache, as Linux tells it; 0 where nobody does."""
    return max((_size(folder / "size") for folder in CACHES.glob("index*")), default=0)


def _size(file: Path) -> int:
    """Return the bytes that a file of Linux says, ``32768K`` for instance; 0 where it says none."""
    try:
        found = re.fullmatch(r"(\d{1,12})([KMG]?)", file.read_text().strip())
    except (OSError, ValueError):
        return 0
    return int(found[1]) * 2 ** {"": 0, "K": 10, "M": 20, "G": 30}[found[2]] if found else 0


def place_of(weights_bytes: int) -> str:
    """Return where a token's products find a model's weights: in the ``cache``, else in ``memory``."""
    return "cache" if weights_bytes <= cache_bytes() else "memory"


def folders() -> list[Path]:
    """Return where plans are looked for, and kept: where Numba keeps kernels, else in this user's cache."""
    if named := os.environ.get("NUMBA_CACHE_DIR"):
        return [Path(named)]
    around = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return [Path(__file__).parent / "__pycache__", Path(around).expanduser() / "capot"]


def key(dtype: str, place: str) -> str:
    """Return what a plan of weights of a type (``bfloat16``...) is kept under: another key, another plan."""
    # Kernels for another processor than this one are asked of Numba by these two (see ``simd``).
    asked = [os.environ.get(f"NUMBA_CPU_{name}", "") for name in ("NAME", "FEATURES")]
    return " | ".join([processor(), *asked, _mark(), dtype, place])


@functools.cache
def _mark() -> str:
    """Return what stands for the kernels' sources: others, and what was kept is of other kernels."""
    return hashlib.sha256(b"".join((Path(__file__).parent / name).read_bytes() for name in SOURCES)).hexdigest()[:12]


def kept(dtype: str, place: str) -> DecodePlan | None:
    """Return the plan that was chosen on this machine, None where none is kept or none can be read."""
    wanted = key(dtype, place)
    for folder in folders():
        found = _decoded(_read(folder).get(wanted))
        if found is not None and (found.dtype, found.place) == (dtype, place):
            return found
    return None


def keep(found: list[DecodePlan]) -> None:
    """Keep plans where there is a place for them, in one replacement of the file.

    Where two processes do so at once, the plans of one may be missing: they are chosen again when they are asked for.

    Raises: OSError where no folder can be written.
    """
    failure: OSError | None = None
    for folder in folders():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _write(folder, _read(folder) | {key(plan.dtype, plan.place): dataclasses.asdict(plan) for plan in found})
        except OSError as error:
            failure = failure or error
        else:
            return
    assert failure is not None  # there is always a folder
    raise failure


def _write(folder: Path, plans: dict[str, Any]) -> None:
    handle, name = tempfile.mkstemp(dir=folder, prefix=FILE)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(plans, file, indent=1)
        Path(name).replace(folder / FILE)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _read(folder: Path) -> dict[str, Any]:
    """Return what a folder keeps; nothing where the file is missing, cut short or somebody else's."""
    try:
        with (folder / FILE).open("rb") as file:
            found = json.loads(file.read(MAX_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _decoded(kept: Any) -> DecodePlan | None:
    """Return the plan that the file tells of, None where it is none that is tried, or not complete."""
    if not isinstance(kept, dict) or {name: type(value) for name, value in kept.items()} != get_type_hints(DecodePlan):
        return None
    found = DecodePlan(**kept)
    known = found.rows in ROWS + TILE_ROWS and found.ahead_bytes in AHEAD and 0 < found.threads <= MAX_THREADS
    return found if known and 0 < found.bytes_per_second <= found.reader_bytes_per_second else None


def plan_of(found: DecodePlan) -> KernelPlan:
    """Return what the kernel goes by."""
    return KernelPlan(found.rows, found.ahead_bytes, found.threads if found.in_turns else 0)
