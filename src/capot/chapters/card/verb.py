"""What is in this model: parameters by block, sizes, context, licence, base or instruct; does it fit here?

A card is made from a :class:`Source`: the small files of a model and the headers of its
weights. A folder gives one; whatever gives another (a hub, before any download) has its card.
"""

from __future__ import annotations

import dataclasses
import functools
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from capot.chapters.card.kind import base_or_instruct, front_matter, licence
from capot.chapters.card.result import BlockParameters, Card, Fit, KnownModel, NetworkPart, Parameters
from capot.chapters.card.source import Source
from capot.chapters.card.tensors import LAYER, block_in, parameter_tensors
from capot.errors import CapotError, NotFoundError, check_text
from capot.sources import published_shapes as shapes
from capot.sources.checkpoint import PACKED, unused_layers
from capot.sources.configuration import QUANTIZED
from capot.sources.fields import text_config
from capot.sources.layer_kinds import HEADLESS
from capot.sources.machine import Ram, largest_fitting, ram
from capot.sources.published_shapes import BLOCKS, PublishedModel, Shape
from capot.sources.states import state_numbers

if TYPE_CHECKING:
    from capot.chapters.protocols import Opened
    from capot.sources.checkpoint import Checkpoint
    from capot.sources.files import Folder
    from capot.sources.safetensors import TensorInfo

README_BYTES = 1_000_000
TOKENS = 4096  # of context that "opening" allows for, where the model was trained on as many
BYTES = {"float32": 4.0, "bfloat16": 2.0, "int8": 1.0, "int4": 0.5}
SPELLED = {"F32": "float32", "F16": "float16", "BF16": "bfloat16", "F64": "float64", "I8": "int8", "F8_E4M3": "float8"}
_WIDTHS = {"float64": 8, "float32": 4, "float8": 1, "int8": 1}  # bytes; others: 2

# What a card takes from the configuration as it is.
_SAME = (
    "architecture", "vocabulary_size", "context_length", "layers", "width", "heads", "kv_heads", "mlp_width", "tied",
)  # fmt: skip


def describe(model: Opened, *, known: bool = False) -> Card:
    """Return the card of an opened model. Takes and raises: as ``Model.card``."""
    checkpoint = model.checkpoint
    # The tokenizer may be megabytes away, and a card of a model of the hub must not wait for it.
    vocabulary, ends = _tokenizer_facts(model, checkpoint) if checkpoint.has("tokenizer") else (None, ())
    found = card(
        Source(
            name=model.name,
            config=checkpoint.raw_config,
            tensors=_tensors(checkpoint),
            chat_template=checkpoint.chat_template,
            ends=ends or _ends(checkpoint),
            readme=_readme(checkpoint.folder),
            vocabulary=vocabulary,
            known=known_models() if known else (),
            engine=model.engine_name,
            obstacle=model.obstacle,
            published=checkpoint.published(),
            tied=_tied(checkpoint),
            loaded=model.loaded,
        )
    )
    plan = model.decode_plan(dtype=found.dtype, weights_bytes=found.memory.weights_bytes)
    return dataclasses.replace(found, decode_plan=plan)


def describe_known(name: str) -> Card:
    """Return the card of a published model, computed from its public shape.

    Raises: ArgumentTypeError; NotFoundError ``unknown_shape``.

    >>> describe_known("Llama-3.2-1B").parameters.total
    1235814400
    """
    check_text("name", name)
    found = shapes.find(name)
    kind = (found.kind, "published")
    return card(Source(found.name, found.config, kind=kind, licence=found.licence, url=found.source))


def known_models() -> tuple[KnownModel, ...]:
    """Return the table of published models, every figure computed from a shape."""
    return tuple(_known_row(model) for model in shapes.published_models())


def _known_row(model: PublishedModel) -> KnownModel:
    shape = model.shape
    # By formula alone: the table must be there without any file, and the tests hold it to published counts.
    total = sum(shapes.parameters(model.shape).values())
    extra = shapes.prediction_parameters(shape)
    return KnownModel(
        name=model.name,
        source=model.source,
        parameters=total,
        active=shapes.active_parameters(shape),
        with_prediction=total + extra if extra else None,
        file_bytes=file_bytes(total),
        layers=shape.config.layers,
        width=shape.config.width,
        context_length=shape.config.context_length,
        kv_bytes_per_token=shapes.kv_bytes(shape, 1),
    )


def card(source: Source) -> Card:
    """Return the card of whatever ``source`` tells of.

    Raises: ModelError ``config_field``; UnsupportedError ``shape_unknown``.
    """
    shape = shapes.shape(source.config, tied=source.tied)
    config = shape.config
    front = front_matter(source.readme)
    counted = _counted(source, shape)
    kind, reason = source.kind or base_or_instruct(source, front)
    tokens, base = source.vocabulary or (None, None)
    dtype, weights = _precision(source, shape, counted.total)
    same = {name: getattr(config, name) for name in _SAME}
    same |= {name: getattr(source, name) for name in ("known", "engine", "obstacle", "published", "loaded")}
    if config.model_type in HEADLESS:  # no attention, so no heads, and its layers' width is no MLP's
        same |= {"heads": 0, "kv_heads": 0, "mlp_width": 0}
    return Card(
        name=source.name,
        kind=kind,
        kind_reason=reason,
        licence=source.licence or licence(front, source.config),
        parameters=counted,
        file_bytes=file_bytes(counted.total),
        dtype=dtype,
        vocabulary_tokens=tokens,
        vocabulary_base=base,
        head_dim=_head_dim(shape) if same["heads"] else 0,
        latent_width=shapes.kv_values(shape) if shape.latent else None,
        experts=shape.experts.count if shape.experts else 0,
        active_experts=shape.experts.active + shape.experts.shared if shape.experts else 0,
        shared_experts=shape.experts.shared if shape.experts else 0,
        dense_layers=len(shape.experts.dense) if shape.experts else 0,
        structure=_structure(source, shape),
        memory=_opening(source, shape, dtype=dtype, weights=weights, parameters=counted.total),
        source=source.url,
        unused_layers=unused_layers(source.tensors or (), source.config),
        **same,
    )


def _opening(source: Source, shape: Shape, *, dtype: str | None, weights: int, parameters: int) -> Fit:
    """Return what opening takes here, the states of its layers included."""
    state = state_numbers(text_config(source.config), shape.config)
    return fit(shape, weights, parameters=parameters, bytes_per_value=_WIDTHS.get(dtype or "", 2), state=state)


def _head_dim(shape: Shape) -> int:
    """Return the width of a head's queries and keys.

    Latent attention's is the sum of two parts (``LatentAttention``).
    """
    latent = shape.latent
    return latent.plain_dim + latent.rotary_dim if latent else shape.config.head_dim


def file_bytes(parameters: int) -> dict[str, int]:
    """Return the bytes of ``parameters`` numbers in each precision; the scales of int8 and int4 are left out.

    >>> file_bytes(1000)["int4"]
    500
    """
    return {name: int(parameters * width) for name, width in BYTES.items()}


def _counted(source: Source, shape: Shape) -> Parameters:
    """Count the parameters from the weights' headers; by formula where there are none, or packed ones."""
    known_family = shape.family is not None
    # A packed tensor has several weights in each number, so its count says nothing of parameters.
    if source.tensors is None or (known_family and _packed(source)):
        by_block = shapes.parameters(shape)
        origin = "config"
    else:
        by_block = _by_block(source.tensors, shape)
        origin = "weights"
    total = sum(by_block.values())
    extra = shapes.prediction_parameters(shape) if known_family else 0
    return Parameters(
        total=total,
        by_block=[BlockParameters(name, by_block[name]) for name in (*BLOCKS, "other") if name in by_block],
        active=shapes.active_parameters(shape) if known_family and shape.experts else total,
        with_prediction=total + extra if extra else None,
        source=origin,
    )


def _packed(source: Source) -> bool:
    """Return whether several weights share a number: config.json says so, or names do that no other file has."""
    names = source.tensors or ()
    return any(map(source.config.get, QUANTIZED)) or any(name.endswith(PACKED) for name in names)


def _by_block(tensors: Mapping[str, TensorInfo], shape: Shape) -> dict[str, int]:
    """Count the tensors by what their names say; by the family's formula where it counts as many in all.

    A formula knows what a name does not tell: the layers of a hybrid that keep a state may be named as attention is.
    """
    found = Counter(dict.fromkeys(BLOCKS, 0))
    for name, info in parameter_tensors(tensors, shape):
        found[block_in(name, shape)] += info.count
    if shape.hybrid is not None and found.total() == sum((known := shapes.parameters(shape)).values()):
        return known
    return dict(found)


def _structure(source: Source, shape: Shape) -> list[NetworkPart]:
    """Return embeddings, layers, last norm and head, from the bottom up; by formula, else by the tensors' names."""
    if shape.family is None:
        return _layers(source.tensors or {}, shape)
    totals = shapes.parameters(shape)
    layers = []
    for place in range(shape.config.layers):
        # Layer by layer, as a mixture may have dense layers, and hybrids have several kinds.
        blocks = shapes.layer_parameters(shape, place)
        named = {name: blocks[name] for name in ("attention", "mlp", "norms")}
        layers.append(NetworkPart("layer", place, sum(blocks.values()), **named))
    # What the layers do not have of the norms is the one after the last.
    last = totals["norms"] - sum(layer.norms for layer in layers)
    first = NetworkPart("embeddings", None, totals["embeddings"])
    return [first, *layers, NetworkPart("norms", None, last, norms=last), NetworkPart("head", None, totals["head"])]


def _layers(tensors: Mapping[str, TensorInfo], shape: Shape) -> list[NetworkPart]:
    """Return the same for a family without a formula, each tensor in the layer that its name tells."""
    found: dict[int | None, Counter[str]] = {}
    for name, info in parameter_tensors(tensors, shape):
        layer = LAYER.search(f".{name}")
        found.setdefault(int(layer[1]) if layer else None, Counter())[block_in(name, shape)] += info.count
    # What has no layer number stands around the layers: embeddings, the last norm, the head.
    around = found.pop(None, Counter())
    layers = [
        NetworkPart("layer", place, blocks.total(), **{name: blocks[name] for name in ("attention", "mlp", "norms")})
        for place, blocks in sorted(found.items())
    ]
    ends = [
        NetworkPart(name, None, around[name], norms=around["norms"] * (name == "norms")) for name in ("norms", "head")
    ]
    return [NetworkPart("embeddings", None, around["embeddings"]), *layers, *ends] if layers else []


def _precision(source: Source, shape: Shape, total: int) -> tuple[str | None, int]:
    """Return the type most weights have, and the bytes that all of them take."""
    # Most models are published in bfloat16, so that is what a config without a type is taken for.
    if source.tensors is None:
        dtype = shape.config.dtype or "bfloat16"
        return dtype, total * _WIDTHS.get(dtype, 2)
    sizes: Counter[str] = Counter()
    for _, info in parameter_tensors(source.tensors, shape):
        # By bytes, not by tensors: norms in float32 are many and small.
        sizes[info.dtype] += info.nbytes
    common = sizes.most_common(1)[0][0] if sizes else None
    return SPELLED.get(common or "", common), sum(sizes.values())


def fit(shape: Shape, weights: int, *, parameters: int, bytes_per_value: int = 2, state: int | None = 0) -> Fit:
    """Return whether ``weights`` bytes and a cache fit this machine's memory, and for how long a context.

    ``state``: numbers that a text leaves in states of a fixed size; None where their form is not known.
    """
    cache = functools.partial(shapes.kv_bytes, shape, bytes_per_value=bytes_per_value)
    context = shape.config.context_length or TOKENS
    found = fit_of_bytes(weights, cache, context=context, parameters=parameters, state=(state or 0) * bytes_per_value)
    state_bytes = None if state is None else found.state_bytes
    return dataclasses.replace(found, layers_guessed=shape.config.guessed, state_bytes=state_bytes)


def fit_of_bytes(weights: int, cache: Callable[[int], int], *, context: int, parameters: int, state: int = 0) -> Fit:
    """Return the same for a cache of ``cache(tokens)`` bytes, of at most ``context`` tokens. Units: bytes."""
    here = ram()
    tokens = min(context, TOKENS)

    def needed(length: int) -> int:
        return weights + state + cache(length)

    # Where the system tells no free memory (macOS), all of it is the best that can be said.
    free = here.available if here.available is not None else here.total
    sizes = file_bytes(parameters).items()
    return Fit(
        weights_bytes=weights,
        kv_bytes_per_token=cache(1),
        tokens=tokens,
        needed_bytes=needed(tokens),
        available_bytes=here.available,
        total_bytes=here.total,
        fits=verdict(needed(tokens), here),
        # The first precision, from the widest, in which the whole machine would hold it: "tight" can then be told how
        # to end.
        fitting_precision=next(
            (name for name, size in sizes if size + state + cache(tokens) <= (here.total or 0)), None
        ),
        room_tokens=None if free is None else largest_fitting(lambda length: needed(length) <= free, most=context),
        state_bytes=state,
    )


def verdict(needed: int, here: Ram) -> str:
    """Return whether ``needed`` bytes of memory can be had: yes, tight (if others are closed), no or unknown."""
    free = here.available if here.available is not None else here.total
    if free is None:
        return "unknown"
    if needed <= free:
        return "yes"
    return "tight" if here.total is not None and needed <= here.total else "no"


def _readme(folder: Folder) -> str:
    """Return the beginning of a model's description: what a card reads stands at its top."""
    found = next((name for name in ("CARD.md", "README.md") if folder.has(name)), None)
    return "" if found is None else folder.start(found, README_BYTES)


def _tensors(checkpoint: Checkpoint) -> Mapping[str, TensorInfo] | None:
    """Return the headers of the weights, read over the network where they lie there.

    None where a folder has no weights, an error where they are damaged.
    """
    try:
        return checkpoint.headers
    except NotFoundError as error:
        # Missing weights leave a card by formula; damaged ones must not pass for missing.
        if error.code != "weights_missing":
            raise
        return None


def _tied(checkpoint: Checkpoint) -> bool | None:
    try:
        return checkpoint.tied
    except NotFoundError:  # no weights to look at
        return None


def _ends(checkpoint: Checkpoint) -> tuple[str, ...]:
    """Return the tokens that end a text as tokenizer_config.json writes them, while the tokenizer is not there."""
    config = checkpoint.tokenizer_config
    listed = config.get("added_tokens_decoder")
    listed = listed if isinstance(listed, dict) else {}
    # JSON has no numbers for keys: ids stand there as texts.
    named = [listed.get(str(end)) for end in checkpoint.eos_ids]
    found = [entry.get("content") if isinstance(entry, dict) else entry for entry in (*named, config.get("eos_token"))]
    return tuple(dict.fromkeys(name for name in found if isinstance(name, str) and name))


def _tokenizer_facts(model: Opened, checkpoint: Checkpoint) -> tuple[tuple[int, int] | None, tuple[str, ...]]:
    """Return sizes of the vocabulary and the names of its end tokens; nothing where no tokenizer can be read."""
    try:
        tokenizer = model.tokenizer
    except CapotError:  # a card is of use without one
        return None, ()
    ends = checkpoint.eos_ids or tokenizer.eos_ids
    names = tuple(tokenizer.token_text(end) for end in ends if tokenizer.token_text(end))
    return (tokenizer.vocabulary_size, tokenizer.vocabulary_base), names
