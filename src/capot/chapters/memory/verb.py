"""The two questions of the chapter: what does it cost here, and what would it cost elsewhere."""

from __future__ import annotations

import dataclasses
import inspect
import itertools
from collections.abc import Callable, Sequence

from capot.chapters.memory import measured, process
from capot.chapters.memory.computed import MODES, MemoryFormulas, PromptPass, memory_formulas, simulated
from capot.chapters.memory.fits import GPUS, fit, weights_bytes
from capot.chapters.memory.result import Memory
from capot.chapters.memory.rows import Cache, Mode, Row, Stopped
from capot.chapters.memory.shape import MemoryShape, shape_of
from capot.chapters.memory.sizes import PRECISIONS, lengths, parse_sizes, precision_name, precision_names
from capot.chapters.protocols import Opened
from capot.config import within
from capot.engines.cancellation import INTERRUPTED
from capot.engines.protocol import MAX_CHUNK
from capot.errors import BusyError, ContextError, InputError, InterruptedByUser, NotFoundError, ResourceError, shorten
from capot.sources.published_shapes import find
from capot.view.event import ProgressCallback, ProgressEvent

DEFAULT_TOKENS = tuple(2**power for power in range(14))  # 1 to 8,192
LONGEST = 131_072  # where a simulated curve ends if nothing says how long the model was trained for
MOST_MEASURED = 2**18  # tokens: twice the longest usual training; a pass takes time as the square of it
SPARE = 100_000_000  # bytes left to the system when we stop
MARGIN = 1.15  # of the computed size, before a row is begun


def weigh(
    model: Opened,
    tokens: str | Sequence[int] = (),
    *,
    mode: Mode = "last",
    simulate: bool = False,
    known: str = "",
    gpu: str | Sequence[str] = "24GB,80GB",
    precision: str | Sequence[str] = "bf16,int8,int4",
    kv_precision: str = "bf16",
    users_at: str | Sequence[int] = "2048,8192",
    progress: Callable[[ProgressEvent], None] | None = None,
) -> Memory:
    """Return what prompts of some lengths cost. Takes and raises: as ``Model.memory``."""
    if mode not in MODES:
        raise InputError("unknown_mode", value=shorten(mode), known=", ".join(MODES))
    asked = lengths(tokens) if tokens else ()
    if not simulate and not known:
        _check_measured(gpu=gpu, precision=precision, kv_precision=kv_precision, users_at=users_at)
        if asked:
            within("tokens", asked[-1], 1, MOST_MEASURED)
        return _measured(model, asked or DEFAULT_TOKENS, mode=mode, progress=progress)
    name, shape = (find(known).name, shape_of(find(known).config)) if known else (model.name, _counted(model))
    kv = precision_name(kv_precision)
    how = PromptPass(mode=mode, cache_number=PRECISIONS[kv])
    choices = itertools.product(precision_names(precision), parse_sizes(gpu), GPUS)
    return _on_paper(name, shape, asked, how=how, kv=kv, choices=tuple(choices), contexts=lengths(users_at))


def _check_measured(**given: str | Sequence[str] | Sequence[int]) -> None:
    """Refuse what only a simulation heeds, where it is given and none was asked for.

    Raises: InputError ``needs_simulate``.
    """
    usual = inspect.signature(weigh).parameters
    for name, value in given.items():
        if value != usual[name].default:
            shown = shorten(repr(value if isinstance(value, str) else list(value)).replace("'", '"'))
            raise InputError("needs_simulate", name=name, line=f"model.memory(simulate=True, {name}={shown})")


def _counted(model: Opened) -> MemoryShape:
    """Return the model's shape, its parameters counted in its files where its family is not known."""
    shape = shape_of(model.checkpoint.raw_config)
    if shape.exact:
        return shape
    try:
        tensors = model.checkpoint.headers.values()
    except NotFoundError:
        return shape
    return dataclasses.replace(shape, parameters=sum(info.count for info in tensors), exact=True)


def _on_paper(
    name: str,
    shape: MemoryShape,
    tokens: Sequence[int],
    *,
    how: PromptPass,
    kv: str,
    choices: Sequence[tuple[str, int, int]],
    contexts: Sequence[int],
) -> Memory:
    """Return the curve and what fits, for each of ``choices``: precision, size of a card, number of cards."""
    precision = choices[0][0]
    return Memory(
        model=name,
        device="simulated",
        engine="none",
        mode=how.mode,
        precision=precision,
        weights_bytes=weights_bytes(shape, precision),
        parameters=shape.parameters,
        exact=shape.exact,
        layers_guessed=shape.guessed,
        context_length=shape.context_length,
        kv_cache=_cache(shape, kv, bytes_per_token=round(shape.cache_numbers(1) * how.cache_number)),
        chunk=how.chunk,
        rows=tuple(_simulated(shape, count, how) for count in tokens or _doubling(shape.context_length or LONGEST)),
        simulated=True,
        fits=tuple(
            fit(shape, gpu_bytes=size, gpus=gpus, precision=weights, how=how, contexts=contexts)
            for weights, size, gpus in choices
        ),
    )


def _simulated(shape: MemoryShape, tokens: int, how: PromptPass) -> Row:
    return Row(
        tokens=tokens,
        measured_bytes=None,
        computed=simulated(shape, tokens, how),
        seconds=None,
        beyond_context=_beyond(tokens, shape.context_length),
        other_mode=simulated(shape, tokens, dataclasses.replace(how, mode=MODES[how.mode])),
    )


# Powers of two are enough for a curve that is read on a logarithmic axis.
def _doubling(longest: int) -> tuple[int, ...]:
    """Yield 1, 2, 4... and the trained length itself."""
    powers = [2**power for power in range(longest.bit_length()) if 2**power < longest]
    return (*powers, longest)


def _cache(shape: MemoryShape, dtype: str, *, bytes_per_token: int) -> Cache:
    windows = [window for window in shape.windows if window is not None]
    return Cache(
        dtype=dtype,
        bytes_per_token=bytes_per_token,
        attention=shape.attention,
        layers=len(shape.windows),
        windows=len(windows),
        window=max(windows, default=None),
        other_layers=shape.layers - len(shape.windows),
        state_bytes=round(shape.state_numbers * PRECISIONS[precision_name(dtype)]) if shape.state_known else None,
    )


def _beyond(tokens: int, context: int | None) -> bool:
    return context is not None and tokens > context


def _measured(model: Opened, tokens: Sequence[int], *, mode: Mode, progress: ProgressCallback | None) -> Memory:
    """Measure each length in turn, the shortest first, until all are done, memory is short or the user stops it."""
    scheduler = model.scheduler
    measured.check(scheduler.engine, mode)
    shape = _shape(model)
    formulas = memory_formulas(scheduler.engine, shape)
    with process.handing_back():
        rows, stopped = _rows(model, tokens, formulas=formulas, mode=mode, progress=progress)
    info = scheduler.engine.info
    return Memory(
        model=model.name, device=info.device, engine=info.engine, mode=mode, precision=info.dtype,
        weights_bytes=_weights(model, shape, info.dtype), parameters=shape.parameters if shape else None,
        context_length=formulas.context, kv_cache=_cache_at_work(formulas, shape), chunk=MAX_CHUNK,
        rows=tuple(rows), stopped=stopped, exact=formulas.exact, layers_guessed=shape is not None and shape.guessed,
    )  # fmt: skip


def _rows(
    model: Opened, tokens: Sequence[int], *, formulas: MemoryFormulas, mode: Mode, progress: ProgressCallback | None
) -> tuple[list[Row], Stopped | None]:
    rows: list[Row] = []
    count = tokens[0]
    try:
        # Kernels are compiled and buffers made in a pass that nobody counts.
        measured.warm_up(model.scheduler)
        for done, count in enumerate(tokens, start=1):
            # Looked at before each row: memory that other programs took in the meantime counts.
            with model.scheduler.holding(_check_room(formulas, count, mode)):
                rows.append(_row(model, count, formulas=formulas, mode=mode))
            if progress is not None:
                progress(ProgressEvent("measuring", done, len(tokens), "lengths", model.name, rows[-1]))
    except (KeyboardInterrupt, InterruptedByUser) as stop:
        if not rows:
            raise
        if isinstance(stop, KeyboardInterrupt):
            # A Ctrl-C that ended the table early ends what would come after it too.
            INTERRUPTED.set()
        return rows, Stopped("interrupted", count)
    except ContextError:  # positions were learnt one by one, and there is none beyond
        if not rows:
            raise
        return rows, Stopped("positions", count)
    except BusyError as error:  # a learner's memory has a bound of its own
        if not rows or error.code != "too_much_memory":
            raise
        return rows, Stopped("memory", count, error.params["needed"], error.params["limit"] - error.params["held"])
    except (ResourceError, MemoryError) as error:
        if not rows:
            raise
        known = error.params if isinstance(error, ResourceError) else {}
        return rows, Stopped("memory", count, known.get("needed"), known.get("available"))
    return rows, None


def _check_room(formulas: MemoryFormulas, tokens: int, mode: Mode) -> int:
    """Return the bytes that a row will hold.

    Raises: ResourceError ``memory_short`` where it would not leave the system enough.
    """
    # Of the processor only: a GPU's allocator refuses by itself, with an error that is translated.
    left = process.available() if formulas.device == "cpu" else None
    needed = round(MARGIN * formulas.parts(tokens, mode).total)
    if left is not None and needed + SPARE > left:
        raise ResourceError("memory_short", tokens=tokens, needed=needed, available=left)
    return formulas.parts(tokens, mode).total


def _row(model: Opened, tokens: int, *, formulas: MemoryFormulas, mode: Mode) -> Row:
    found = measured.measure(model.scheduler, tokens, mode=mode)
    return Row(
        tokens=tokens,
        measured_bytes=found.process_bytes if found.parts is None else found.parts.total,
        computed=formulas.parts(tokens, mode),
        # Engines that count their own bytes are believed; elsewhere the process has grown by what was needed.
        seconds=found.seconds,
        beyond_context=_beyond(tokens, formulas.context),
        other_mode=formulas.parts(tokens, MODES[mode]),
        measured=found.parts,
        process_bytes=found.process_bytes,
        resident_bytes=found.resident_bytes,
        next_token_s=found.next_token_s,
    )


def _shape(model: Opened) -> MemoryShape | None:
    """Return what config.json says; the scripted engine has none."""
    try:
        return shape_of(model.checkpoint.raw_config)
    except NotFoundError:
        return None


def _weights(model: Opened, shape: MemoryShape | None, dtype: str) -> int:
    """Return the bytes of the weights: those of the files where they are computed with as they are."""
    if shape is None:
        return 0
    number = PRECISIONS[precision_name(dtype)]
    try:
        tensors = model.checkpoint.tensors.values()
    except NotFoundError:
        return round(shape.parameters * number)
    return sum(round(info.count * number) for info in tensors)


def _cache_at_work(formulas: MemoryFormulas, shape: MemoryShape | None) -> Cache:
    if shape is not None:
        # An engine that keeps whole texts behind a window is told as it is, not as the model could be.
        kept = shape if formulas.windows else dataclasses.replace(shape, windows=(None,) * shape.layers)
        return _cache(kept, formulas.cache_dtype, bytes_per_token=formulas.token_bytes)
    return Cache(formulas.cache_dtype, formulas.token_bytes, "multi_query", formulas.layers)
