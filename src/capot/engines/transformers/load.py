"""Weights read onto their device, checked, and refused in words where they cannot be used.

transformers fills a tensor that a file does not have with random numbers, and says so in a
log: here that is an error, because every answer of such a model would be wrong.
"""

from __future__ import annotations

import contextlib
import os
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
from transformers.utils import logging

from capot.config import Loading
from capot.engines.transformers import memory, placement
from capot.engines.transformers.placement import Placement
from capot.engines.transformers.tested_versions import BOUNDS
from capot.errors import CapotError, ModelError, UnsupportedError, library_message
from capot.sources.checkpoint import Checkpoint
from capot.sources.configuration import SPELLINGS, architectures, auto_map, check_scaling, packed_for_mlx
from capot.sources.fields import first_set, number_error, read_model_type, text_config, value_error
from capot.sources.machine import processors
from capot.sources.published_shapes import known_families

OTHER_HEADS = ("CausalLM", "ConditionalGeneration")  # after "For" in the name of what writes text
QUOTED = re.compile(r"'([^']+)'")  # names in a message of transformers or of PyTorch
MIXED = re.compile(r"same dtype, but got: ([\w:]+) != ([\w:]+)")
PYTORCH = {"Half": "float16", "BFloat16": "bfloat16", "float": "float32", "Float": "float32", "double": "float64"}
RESERVE = 0.1  # of each GPU, left to caches where the weights are spread over several


def load_model(
    checkpoint: Checkpoint, loading: Loading, *, notice: Callable[[Placement], Any]
) -> tuple[PreTrainedModel, Placement]:
    """Return the model on its device, ready to compute; ``notice`` hears where, before anything large is read.

    Raises: UnsupportedError ``not_causal``, ``family_unknown``, ``remote_code``, ``needs_package``; ModelError
    ``family_unsaid``, ``config_field``, ``config_value``, ``config_layers``, ``config_divided``, ``tensor_missing``,
    ``tensor_shape``, ``model_refused``; what ``placement.choose``, ``Checkpoint.tensors`` and ``Folder.check`` raise.
    """
    _check(checkpoint, remote=loading.trust_remote_code)
    where = placement.choose(checkpoint, device=loading.device, dtype=loading.dtype)
    notice(where)
    checkpoint.fetch("weights")
    tensors = checkpoint.tensors  # headers are checked before anything trusts them
    checkpoint.folder.check(".json", ".py", ".safetensors")  # transformers opens what it likes of these
    if where.device.type == "cpu":
        torch.set_num_threads(min(torch.get_num_threads(), processors()))  # PyTorch counts cores, and no quota
        checkpoint.hold()
    with quiet(), translated_errors(checkpoint, where):
        model, found = _load(checkpoint, where, remote=loading.trust_remote_code, most=len(tensors))
    _check_complete(checkpoint, found)
    spread: Any = model.hf_device_map if where.spread else {}  # accelerate's: parts of the model, each with its device
    if {"cpu", "disk"} & set(map(str, spread.values())):
        raise placement.too_large(checkpoint, where)
    model.eval().requires_grad_(False)
    model.config.return_dict = True
    return model, where


def _check(checkpoint: Checkpoint, *, remote: bool) -> None:
    """Refuse what cannot be opened, from config.json alone."""
    raw = checkpoint.raw_config
    kind = str(checkpoint.raw_config.get("model_type") or "")
    name = (architectures(raw) or [""])[0]
    if packed_for_mlx(raw):
        raise UnsupportedError("packed_for_mlx", model=checkpoint.name)
    if "AutoModelForCausalLM" in auto_map(raw):
        if not remote and kind not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
            raise UnsupportedError("remote_code", model=checkpoint.name)
        return
    if not kind:
        raise ModelError("family_unsaid", model=checkpoint.name)
    if kind not in CONFIG_MAPPING:
        first, beyond = BOUNDS["transformers"]
        here = transformers.__version__
        raise UnsupportedError("family_unknown", family=kind[:80], version=here, first=first, beyond=beyond)
    _, has_head, head = name.rpartition("For")
    if (
        kind not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
        or (has_head and head not in OTHER_HEADS)
        or raw.get("is_encoder_decoder")
    ):
        raise UnsupportedError("not_causal", architecture=name[:80] or kind, model=checkpoint.name)


def _load(
    checkpoint: Checkpoint, where: Placement, *, remote: bool, most: int
) -> tuple[PreTrainedModel, dict[str, Any]]:
    """Return the model and what transformers says of its weights; ``most``: tensors that there are to make layers of.

    Raises: ModelError ``config_layers``; what transformers raises.
    """
    local = {"local_files_only": True, "trust_remote_code": remote}
    config = AutoConfig.from_pretrained(checkpoint.path, **local)
    layers = getattr(config.get_text_config(decoder=True), "num_hidden_layers", None) or 0
    if layers > most:  # it would make them all, empty, before it looks at the weights
        raise _damage(checkpoint) or ModelError("config_layers", layers=layers, most=most)
    answer: Any = AutoModelForCausalLM.from_pretrained(
        checkpoint.path,
        config=config,
        dtype=where.dtype,
        use_safetensors=True,
        ignore_mismatched_sizes=True,  # a wrong shape is then told apart from other refusals
        output_loading_info=True,
        **_devices(where),
        **local,
    )
    model, found = answer
    return model, found


def _devices(where: Placement) -> dict[str, Any]:
    if where.spread:
        room = {i: int(torch.cuda.mem_get_info(i)[0] * (1 - RESERVE)) for i in range(torch.cuda.device_count())}
        return {"device_map": "auto", "max_memory": room}
    return {} if where.device.type == "cpu" else {"device_map": {"": where.device}}


def _check_complete(checkpoint: Checkpoint, found: dict[str, Any]) -> None:
    """Raises: ModelError ``tensor_shape``, ``tensor_missing``, ``config_field``; UnsupportedError ``packed_unsaid``."""
    for name, stored, expected in sorted(found.get("mismatched_keys") or ()):
        # Where config.json says nothing, transformers asks for the sizes of a model of its own.
        raise _damage(checkpoint) or ModelError(
            "tensor_shape", tensor=name, found=list(stored), expected=list(expected)
        )
    for name in sorted(found.get("missing_keys") or ()):
        raise _damage(checkpoint) or checkpoint.missing_tensor(name)


@contextlib.contextmanager
def translated_errors(checkpoint: Checkpoint, where: Placement) -> Iterator[None]:
    """Translate what transformers raises as it opens a model, or computes with it for the first time."""
    try:
        yield
    except CapotError:
        raise
    except ImportError as error:
        raise UnsupportedError(
            "needs_package", model=checkpoint.name, reason=library_message(_first_line(error))
        ) from None
    except Exception as error:
        if memory.requested_bytes(error) is not None:
            raise placement.too_large(checkpoint, where) from None
        raise (
            _mixed(checkpoint, where, _first_line(error))
            or _damage(checkpoint, _first_line(error))
            or ModelError("model_refused", model=checkpoint.name, reason=library_message(_first_line(error)))
        ) from None


def _mixed(checkpoint: Checkpoint, where: Placement, line: str) -> UnsupportedError | None:
    """Return that the weights and what is asked are of two types which PyTorch does not compute together."""
    found = [PYTORCH.get(name.removeprefix("c10::"), "") for name in MIXED.findall(line)[:1] for name in name]
    asked = str(where.dtype).removeprefix("torch.")
    stored = next((name for name in found if name and name != asked), None)
    return UnsupportedError("dtypes_mixed", model=checkpoint.name, stored=stored, asked=asked) if stored else None


def _damage(checkpoint: Checkpoint, line: str = "") -> ModelError | None:
    """Return what config.json has wrong: as ``line`` of transformers' message names it, else as a card would say."""
    raw = text_config(checkpoint.raw_config)
    if found := _unnamed(raw, line):
        return found
    quoted = QUOTED.findall(line)
    if "Missing required keys" in line and len(quoted) > 2:
        return value_error(min(quoted[2:]), None)
    # Some messages name the field, others (of a table of activations, of PyTorch's names) nothing but its value.
    named = [name for name in quoted if name in raw] or [
        field for field, value in raw.items() if isinstance(value, str) and value in quoted
    ]
    if named:
        return value_error(named[0], raw[named[0]])
    # What other families call their sizes is not known here: that one is missing would be no more than a guess.
    if read_model_type(raw) in known_families():
        try:
            check_scaling(checkpoint.config)
        except ModelError as error:
            return error
    return None


def _unnamed(raw: Mapping[str, Any], line: str) -> ModelError | None:
    """Return what a message means that names a setting by a word of its own, or none at all."""
    for field, value in raw.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        # PyTorch speaks of a probability, and not of the field that gives it.
        if "dropout" in line and "drop" in field and number and not 0 <= value <= 1:
            return number_error(raw, field, "number", least=0, most=1)
        if field in SPELLINGS["dtype"] and not isinstance(value, str | dict | None):
            return value_error(field, value)
    if "divisible" not in line:
        return None
    wide, width = first_set(raw, *SPELLINGS["width"])
    name, heads = first_set(raw, *SPELLINGS["heads"])
    whole = isinstance(width, int) and isinstance(heads, int) and heads > 0
    return (
        ModelError("config_divided", field=name, value=heads, other=wide, width=width)
        if whole and width % heads
        else None
    )


def _first_line(error: Exception) -> str:
    """Return the first line of a foreign message, cut where it grows long."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Show no progress bar and no warning inside the block; afterwards transformers logs errors alone.

    Who sets TRANSFORMERS_VERBOSITY wants to read its logs, and does.
    """
    if "TRANSFORMERS_VERBOSITY" not in os.environ:
        logging.set_verbosity_error()
    bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        if bars:
            logging.enable_progress_bar()
