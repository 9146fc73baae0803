"""Choose an engine, and open it. Engines are imported when they are opened, not before."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from capot.engines import forks
from capot.errors import CapabilityError, InputError, ModelError, ResourceError, UnsupportedError

if TYPE_CHECKING:
    from capot.config import Loading
    from capot.engines.decode_plan import DecodePlan
    from capot.engines.protocol import Engine
    from capot.sources.checkpoint import Checkpoint

ENGINES = ("native", "transformers", "scripted")
ON_CPU = ("native", "scripted")  # these compute on the processor and nowhere else
ALIASES = {"hf": "transformers"}

Notice = Callable[..., None]


def no_notice(key: str, **params: Any) -> None:
    """Take a notice and do nothing."""


def choose_engine(loading: Loading, checkpoint: Checkpoint | None = None) -> str:
    """Return the name of the engine that ``loading`` asks for; without ``checkpoint``, a guess that reads nothing.

    Where nothing is asked: native when it knows the architecture, no GPU is here and neither a
    device nor a precision is named; transformers otherwise. The packaged model stays native.

    An address is that of a server, which decides for itself where and how it computes.

    Raises: InputError ``unknown_engine``, ``server_setting``, ``server_password``; where the choice is ours, ModelError
    as ``check_values``.
    """
    if is_server(loading):
        return "openai"
    if loading.engine:
        name = ALIASES.get(loading.engine, loading.engine)
        if name not in ENGINES:
            raise InputError("unknown_engine", name=name, known=", ".join(ENGINES))
        return name
    if loading.model == "scripted":
        return "scripted"
    return "transformers" if checkpoint is not None and _prefers_transformers(loading, checkpoint) else "native"


def is_server(loading: Loading) -> bool:
    """Return whether the model is named by the address of a server.

    Raises: InputError ``server_setting`` where more is asked than a server lets one choose, ``server_password``.
    """
    if not loading.model.lstrip()[:5].lower().startswith("http"):
        return False
    from capot.engines.openai.address import names_server

    if not names_server(loading.model):
        return False
    others = {"engine": loading.engine not in (None, "openai"), "device": loading.device, "dtype": loading.dtype}
    others |= {"revision": loading.revision, "compiled": loading.compiled}
    others |= {"trust-remote-code": loading.trust_remote_code}
    asked = next((name for name, given in others.items() if given), None)
    if asked is not None:
        raise InputError("server_setting", setting=asked)
    return True


def _prefers_transformers(loading: Loading, checkpoint: Checkpoint) -> bool:
    """Return whether transformers computes a model for which nobody chose an engine."""
    from capot.engines import native, transformers

    if loading.device not in (None, "auto", "cpu") or loading.dtype not in (None, "auto"):
        return True
    try:
        native.check(checkpoint)
    except UnsupportedError:
        return True
    return loading.model != "boxed" and loading.device != "cpu" and transformers.accelerator() is not None


def check_values(checkpoint: Checkpoint) -> None:
    """Refuse a damaged value of an architecture that native knows, whichever engine is to compute.

    transformers would compute with most of them, and answer wrongly. What other architectures write is theirs to read.

    Raises: ModelError as ``native.check``.
    """
    from capot.engines import native

    with contextlib.suppress(UnsupportedError):
        native.check(checkpoint)


def obstacle(loading: Loading, checkpoint: Checkpoint) -> str | None:
    """Return what the chosen engine still lacks to open a model, as far as files and settings tell.

    Nothing is imported.

    ``family``: it does not know the architecture; ``device``: it does not compute there; ``extra``: its
    packages are not installed; ``untried``: those that are, are of versions beyond what the engine was tried with;
    ``version``: they do not know the family; ``code``: the model needs code
    of its own, which nobody has allowed.

    Raises: as ``choose_engine``; ModelError as ``check_values``.
    """
    from capot.engines import native, transformers

    name = choose_engine(loading, checkpoint)
    if name == "openai":
        return None
    if name in ON_CPU and (loading.device not in (None, "auto", "cpu") or loading.dtype not in (None, "auto")):
        return "device"
    if name == "native":
        try:
            native.check(checkpoint)
        except UnsupportedError:
            return "family"
    if name != "transformers":
        return None
    check_values(checkpoint)
    if transformers.missing():
        return "extra"
    if transformers.untested_package():
        return "untried"
    if transformers.needs_code(checkpoint.raw_config):
        return None if loading.trust_remote_code else "code"
    return None if transformers.knows_family(checkpoint.raw_config) else "version"


def check_names(loading: Loading) -> None:
    """Refuse a device or a precision that does not exist, whichever engine computes.

    Raises: InputError ``unknown_device``, ``unknown_precision``.
    """
    if loading.device or loading.dtype:
        from capot.engines import transformers

        transformers.check_names(loading)


def open_engine(loading: Loading, checkpoint: Checkpoint | None, *, notice: Notice = no_notice) -> Engine:
    """Return the engine that ``loading`` asks for, its weights ready to be read.

    ``notice`` hears which one where the choice was ours, where it computes, and of layers that nobody computes.

    Raises: CapabilityError ``device_unsupported``, ``precision_unsupported``, ``forked``; ModelError as
    ``check_values``; what the engine raises.
    """
    name = choose_engine(loading, checkpoint)
    if name in ON_CPU:
        if loading.device not in (None, "auto", "cpu"):
            raise CapabilityError("device_unsupported", engine=name, device=loading.device)
        if loading.dtype not in (None, "auto"):
            raise CapabilityError("precision_unsupported", engine=name, dtype=loading.dtype)
    if name == "scripted":
        from capot.engines.scripted import ScriptedEngine

        return ScriptedEngine()
    assert checkpoint is not None  # only the scripted engine has no files
    if name != "native":  # which looks by itself
        check_values(checkpoint)
    forks.check_threads()
    if name == "native":
        from capot.engines.native import open_native

        if not loading.engine and loading.model != "boxed":
            notice("engines.native", model=checkpoint.name)
        engine: Engine = open_native(checkpoint, notice=lambda: notice("native.compiling"), warn=notice)
    else:
        from capot.engines.transformers import open_transformers

        engine = open_transformers(checkpoint, loading, notice=notice)
    _tell_unused(checkpoint, notice)
    return engine


def kept_plan(
    loading: Loading, checkpoint: Checkpoint | None, *, dtype: str | None, weights_bytes: int
) -> DecodePlan | None:
    """Return how the chosen engine was found to read such weights best on this machine; nothing is opened.

    None where it was not tried yet, and for an engine whose kernels are not ours.
    """
    if checkpoint is None or dtype is None or choose_engine(loading, checkpoint) != "native":
        return None
    from capot.engines.native import plans

    return plans.kept(dtype, plans.place_of(weights_bytes))


def check_tuned(name: str) -> None:
    """Refuse an engine whose kernels are not ours. Raises: CapabilityError ``not_tuned``."""
    if name != "native":
        raise CapabilityError("not_tuned", engine=name)


def tune(engine: Engine) -> DecodePlan:
    """Choose anew how the native engine's kernels read the weights while they decode, and keep it: two seconds.

    Raises: ResourceError ``tuning_room``.
    """
    from capot.engines.native.llama import NativeEngine

    assert isinstance(engine, NativeEngine)
    found = engine.tune()
    if found is None:
        raise ResourceError("tuning_room")
    return found


def _tell_unused(checkpoint: Checkpoint, notice: Notice) -> None:
    """Say how many layers of the file nobody computes, where config.json gives fewer than there are."""
    from capot.sources.checkpoint import unused_layers

    # A family whose sizes are spelled in a way that is not known here: what it leaves out is not known either.
    with contextlib.suppress(ModelError):
        if count := unused_layers(checkpoint.tensors, checkpoint.raw_config):
            notice("engines.unused_layers", model=checkpoint.name, count=count, layers=checkpoint.config.layers)
