"""The one place that chooses an engine. Engines are imported when they are opened, not before."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from capot.errors import CapabilityError, InputError

if TYPE_CHECKING:
    from capot.checkpoint import Checkpoint
    from capot.config import Loading
    from capot.engine import Engine

ENGINES = ("native", "transformers", "scripted")
ON_CPU = ("native", "scripted")  # these compute on the processor and nowhere else
ALIASES = {"hf": "transformers"}

Notice = Callable[..., None]


def silent(key: str, **params: Any) -> None:
    """A notice that nobody reads."""


def chosen(loading: Loading) -> str:
    """The name of the engine that ``loading`` asks for.

    Raises: InputError ``unknown_engine``.
    """
    name = loading.engine or ("scripted" if loading.model == "scripted" else "native")
    name = ALIASES.get(name, name)
    if name not in ENGINES:
        raise InputError("unknown_engine", name=name, known=", ".join(ENGINES))
    return name


def open_engine(loading: Loading, checkpoint: Checkpoint | None, *, notice: Notice = silent) -> Engine:
    """The engine that ``loading`` asks for, its weights ready to be read.

    Raises: CapabilityError ``device_unsupported``; what the engine raises.
    """
    name = chosen(loading)
    if name in ON_CPU and loading.device not in (None, "cpu"):
        raise CapabilityError("device_unsupported", engine=name, device=loading.device)
    if name == "scripted":
        from capot.engines.scripted import ScriptedEngine

        return ScriptedEngine()
    assert checkpoint is not None  # only the scripted engine has no files
    if name == "native":
        from capot.engines.native import open_native

        return open_native(checkpoint, notice=lambda: notice("native.compiling"))
    raise InputError("unknown_engine", name=name, known=", ".join(ENGINES))
