"""The transformers engine: any causal language model of the Hugging Face hub, through PyTorch.

    engine         what the scheduler talks to: start here
    placement      on which device, in which precision, and whether the weights fit there
    precisions     the names of precisions
    device_names   the names of devices, and which may be here
    load           weights read, checked, refused in words
    network        one pass of a model, whatever its family calls its parts
    whole_texts    the same for families without a cache
    packed         weights of the processor, in the order that its multiplication reads
    probe          what a model shows of itself in a first pass: what is declared comes from here
    states         the state of a state space, handed to code that forgets it
    hidden_states  what leaves each layer, the head after each layer, attention weights
    anatomy        where a family adds to its residual stream
    watched        guesses, movements, contributions: what a pass tells of its inside
    edited         what a pass changes of its inside
    cache          one sequence's keys and values, cropped and rebuilt
    batch          several sequences as the rows of one pass
    compiled       one sequence at a time in a cache that never moves, for compiled passes
    memory         bytes on a device: counted, and too few of them
    tested_versions  the versions of its packages that it was tried with

Nothing here is imported, and PyTorch is not, before a model is opened with this engine.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from capot.engines.transformers.device_names import check_device_name, driver_present
from capot.engines.transformers.precisions import precision
from capot.engines.transformers.tested_versions import BOUNDS
from capot.errors import MissingExtraError, UnsupportedError
from capot.sources.configuration import auto_map
from capot.sources.machine import parse_version

if TYPE_CHECKING:
    from capot.config import Loading
    from capot.engines.transformers.engine import TransformersEngine
    from capot.sources.checkpoint import Checkpoint

PACKAGES = ("torch", "transformers", "accelerate")


# ``find_spec`` reads no code of the package: importing PyTorch takes a second, and memory.
def missing() -> tuple[str, ...]:
    """Return the packages of the extra that are not installed; nothing is imported to know."""
    return tuple(name for name in PACKAGES if importlib.util.find_spec(name) is None)


def untested_package() -> str | None:
    """Return the first package of the extra whose installed version is outside ``BOUNDS``; nothing is imported to know.

    A module on the path that is no installed package has no version, and is not judged.
    """
    for name, (first, beyond) in BOUNDS.items():
        # Without a version there is nothing to compare; importing will tell.
        with contextlib.suppress(PackageNotFoundError):
            if not parse_version(first) <= parse_version(version(name)) < parse_version(beyond):
                return name
    return None


def knows_family(raw_config: Mapping[str, Any]) -> bool:
    """Return whether the installed transformers has a model's family, as far as its folders tell, one for each family.

    Importing it takes seconds. A variant (``gemma3_text``) is in the folder of its family; in doubt the answer is yes.
    """
    kind = str(raw_config.get("model_type") or "").replace("-", "_")
    found = importlib.util.find_spec("transformers")
    if found is None or not found.origin:
        return True
    families = (path.name for path in (Path(found.origin).parent / "models").iterdir() if path.is_dir())
    return any(f"{kind}_".startswith(f"{family}_") for family in families)


def needs_code(raw_config: Mapping[str, Any]) -> bool:
    """Return whether a model asks for Python code of its authors', its family being none of transformers' own."""
    return "AutoModelForCausalLM" in auto_map(raw_config) and not knows_family(raw_config)


def accelerator() -> str | None:
    """Return the device that PyTorch would rather compute on than the processor, None where there is none.

    PyTorch, which takes a second to import, is asked only where a first look says that there may be one. Of versions
    that were not tried nothing is asked: what another engine can open must not be sent to this one, which refuses.
    """
    if missing() or not gpu_possible() or untested_package():
        return None
    from capot.engines.transformers import placement

    found = placement.preferred_device()
    return None if found.type == "cpu" else str(found)


def gpu_possible() -> bool:
    """Return whether a GPU may be here, by what the system shows of its driver and by how PyTorch was built."""
    # Builds for processors name themselves so.
    return not version("torch").endswith("+cpu") and driver_present()


def check_names(loading: Loading) -> None:
    """Refuse a device or a precision that does not exist. Raises: InputError ``unknown_device``; as ``precision``."""
    check_device_name(loading.device)
    precision(loading.dtype)


def open_transformers(checkpoint: Checkpoint, loading: Loading, *, notice: Callable[..., Any]) -> TransformersEngine:
    """Read the weights onto a device. ``notice`` hears where and in which precision, before it takes time.

    Raises: MissingExtraError ``missing_extra``; UnsupportedError ``extra_untried``; as ``precision``; what
    ``load.load_model`` and ``placement.choose`` raise.
    """
    check_names(loading)  # a word mistyped waits neither for packages nor for PyTorch
    if absent := missing():
        raise MissingExtraError("missing_extra", package=", ".join(absent), extra="transformers")
    if name := untested_package():
        first, beyond = BOUNDS[name]
        raise UnsupportedError("extra_untried", package=name, version=version(name), first=first, beyond=beyond)
    # Where the package ``kernels`` is installed, transformers would fetch compiled programs from the hub and run them.
    os.environ.setdefault("USE_HUB_KERNELS", "NO")
    from capot.engines.transformers.engine import TransformersEngine

    return TransformersEngine(checkpoint, loading, notice=notice)
