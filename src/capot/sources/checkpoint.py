"""A model's folder, as the Hugging Face hub lays it out: read lazily, never executed.

Opening reads config.json. The headers of the safetensors files are read when a
tensor is first looked for, and checked before anything trusts them; a weight is
read from disk when an engine touches its page of the mapped file, and not before.

    config.json              the shape of the network
    generation_config.json   which tokens end a text
    tokenizer.json           text to ids
    model.safetensors        the weights, see ``safetensors.py``; or an index of several such files
"""

from __future__ import annotations

import contextlib
import functools
import math
import mmap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from capot.errors import ModelError, NotFoundError, UnsupportedError, local
from capot.sources.files import INDEX, TEMPLATE_BYTES, Folder
from capot.sources.safetensors import DTYPES, TensorInfo, gathered, read_header, weight_map

if TYPE_CHECKING:
    import numpy as np

    from capot.sources.hub.published import Published

Part = Literal["settings", "tokenizer", "weights"]

# One name per idea, then how the config.json of the hub's model families spell it.
SPELLINGS = {
    "vocabulary_size": ("vocab_size",),
    "width": ("hidden_size", "n_embd", "d_model", "dim"),
    "layers": ("num_hidden_layers", "n_layer", "n_layers", "num_layers"),
    "heads": ("num_attention_heads", "n_head", "n_heads"),
    "kv_heads": ("num_key_value_heads", "multi_query_group_num", "num_kv_heads", "n_head_kv"),
    "head_dim": ("head_dim", "d_kv"),
    "mlp_width": ("intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size"),
    "context_length": ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "n_ctx"),
    "norm_eps": ("rms_norm_eps", "layer_norm_epsilon", "layer_norm_eps", "norm_epsilon"),
    "hidden_act": ("hidden_act", "activation_function", "hidden_activation"),
    "dtype": ("dtype", "torch_dtype"),
}
LOOKS_AT_ALL = {"gemma2": 2, "gemma3": 6, "gemma3_text": 6, "cohere2": 4, "gpt_oss": 2}  # one layer in so many
HEADLESS = {"mamba", "mamba2", "falcon_mamba", "rwkv"}  # no attention, so no heads: a state of a fixed size
MAX_LAYERS = 10_000  # what a config.json names is made one by one; the deepest models have some hundreds
UNTIED = {  # where config.json may leave it out
    "llama", "mistral", "mixtral", "qwen2", "qwen2_moe", "qwen3", "qwen3_moe", "phi3", "deepseek_v3", "gptj", "granite",
    "codegen", "stablelm", "olmo", "olmo2", "olmo3", "olmoe", "nemotron",
}  # fmt: skip


@dataclass(frozen=True)
class Config:
    """The shape of a causal language model, one spelling for all families.

    ``sliding_window`` holds, for each layer, how many tokens its attention looks back
    (itself included), or None for all. ``rope_scaling`` is None where the positions are
    those of the paper, else ``{"rope_type": ..., ...}`` as config.json has it.
    """

    architecture: str
    model_type: str
    vocabulary_size: int
    width: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    mlp_width: int
    context_length: int | None
    norm_eps: float
    hidden_act: str
    rope_theta: float
    rope_scaling: dict[str, Any] | None
    sliding_window: tuple[int | None, ...]
    tied: bool
    dtype: str | None
    bos_id: int | None
    eos_ids: tuple[int, ...]

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Config:
        """Read a config.json in either spelling: the hub's older one or transformers 5's.

        Raises: ModelError ``config_field`` where a size is missing or is no positive number, ``config_layers``.
        """
        inner = raw.get("text_config")
        raw = {**raw, **inner} if isinstance(inner, dict) else raw  # a model that also sees or hears
        model_type = str(raw.get("model_type") or "")
        width, heads = _whole(raw, "width"), _whole(raw, "heads", 1 if model_type in HEADLESS else None)
        if (layers := _whole(raw, "layers")) > MAX_LAYERS:
            raise ModelError("config_layers", layers=layers, most=MAX_LAYERS)
        rope = _rope(raw)
        return cls(
            architecture=(architectures(raw) or ["?"])[0],
            model_type=model_type,
            vocabulary_size=_whole(raw, "vocabulary_size"),
            width=width,
            layers=layers,
            heads=heads,
            kv_heads=_kv_heads(raw, heads),
            head_dim=_whole(raw, "head_dim", max(1, width // heads)),
            mlp_width=_whole(raw, "mlp_width", 4 * width),
            context_length=_whole(raw, "context_length", 0) or None,
            norm_eps=_real(raw, "norm_eps", 1e-6),
            hidden_act=str(_first(raw, "hidden_act") or "silu"),
            rope_theta=finite(rope.pop("rope_theta", None) or raw.get("rope_theta") or 10_000.0, "rope_theta"),
            rope_scaling=rope if rope["rope_type"] != "default" else None,
            sliding_window=_windows(raw, layers, model_type),
            tied=bool(raw.get("tie_word_embeddings", model_type not in UNTIED)),
            dtype=dtype if isinstance(dtype := _first(raw, "dtype"), str) else None,
            bos_id=_ids(raw.get("bos_token_id"))[0] if _ids(raw.get("bos_token_id")) else None,
            eos_ids=_ids(raw.get("eos_token_id")),
        )


def architectures(raw: Mapping[str, Any]) -> list[str]:
    """The classes that a config.json names; none where they are not written as a list.

    >>> architectures({"architectures": ["LlamaForCausalLM"]}), architectures({"architectures": 3})
    (['LlamaForCausalLM'], [])
    """
    listed = raw.get("architectures")
    return [name for name in listed if isinstance(name, str)] if isinstance(listed, list) else []


def auto_map(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The classes in a model's own code, by the class of transformers that each stands for."""
    mapped = raw.get("auto_map")
    return mapped if isinstance(mapped, dict) else {}


def _kv_heads(raw: Mapping[str, Any], heads: int) -> int:
    """One where queries share it; Falcon's second generation says so too, and has as many as it says besides."""
    shared = raw.get("multi_query") and not raw.get("new_decoder_architecture")
    return 1 if shared else _whole(raw, "kv_heads", heads)


def _first(raw: Mapping[str, Any], name: str) -> Any:
    return next((raw[key] for key in SPELLINGS[name] if raw.get(key) is not None), None)


def _whole(raw: Mapping[str, Any], name: str, default: int | None = None) -> int:
    value = _first(raw, name)
    value = default if value is None else value
    if not isinstance(value, int) or isinstance(value, bool) or (value < 1 and value != default):
        raise ModelError("config_field", field=SPELLINGS[name][0], value=str(value)[:80])
    return value


def _real(raw: Mapping[str, Any], name: str, default: float) -> float:
    return finite(default if (found := _first(raw, name)) is None else found, SPELLINGS[name][0])


def finite(value: Any, field: str) -> float:
    """The number that ``field`` is set to. Raises: ModelError ``config_field`` where it is none, or endless."""
    with contextlib.suppress(OverflowError):  # an integer beyond all measure
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            return float(value)
    raise ModelError("config_field", field=field, value=str(value)[:80])


def count(raw: Mapping[str, Any], *names: str, default: int = 0) -> int:
    """The first of ``names`` that is set to more than nothing. Raises: ModelError ``config_field`` if it is no number.

    >>> count({"num_experts": 8}, "num_local_experts", "num_experts"), count({}, "n_shared_experts")
    (8, 0)
    """
    field = next((name for name in names if raw.get(name)), None)
    if field is None:
        return default
    value = raw[field]
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ModelError("config_field", field=field, value=str(value)[:80])
    return value


def _ids(value: Any) -> tuple[int, ...]:
    listed = value if isinstance(value, list | tuple) else [value]
    return tuple(item for item in listed if isinstance(item, int) and not isinstance(item, bool))


def _rope(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Both spellings of the rotary positions as one table that has a ``rope_type``."""
    new, old = raw.get("rope_parameters"), raw.get("rope_scaling")
    rope = dict(new if isinstance(new, dict) else old if isinstance(old, dict) else {})
    kind = rope.pop("rope_type", None) or rope.pop("type", None)  # "type" is the oldest spelling
    rope.pop("type", None)
    if kind is None:  # one table for each kind of layer
        kind = "by_layer_type" if any(isinstance(part, dict) for part in rope.values()) else "default"
    partial = raw.get("partial_rotary_factor")
    if partial not in (None, 1, 1.0):
        rope.setdefault("partial_rotary_factor", partial)
    if rope.get("partial_rotary_factor") not in (None, 1, 1.0) and kind == "default":
        kind = "partial"
    return {"rope_type": str(kind), **rope}


def _windows(raw: Mapping[str, Any], layers: int, model_type: str) -> tuple[int | None, ...]:
    """How far back each layer looks, by the rules of the families that have a window."""
    window = raw.get("sliding_window", 4096 if model_type == "mistral" else None)
    used = raw.get("use_sliding_window", not model_type.startswith("qwen"))
    if model_type == "llama" or not used or not isinstance(window, int) or window < 1:
        return (None,) * layers
    kinds = raw.get("layer_types")
    if isinstance(kinds, list) and len(kinds) == layers and model_type != "mistral":
        return tuple(window if kind == "sliding_attention" else None for kind in kinds)
    first = raw.get("max_window_layers", 0) if model_type.startswith("qwen") else 0
    every = raw.get("sliding_window_pattern") or LOOKS_AT_ALL.get(model_type) or layers + 1
    return tuple(window if layer >= first and (layer + 1) % every else None for layer in range(layers))


def widen(array: np.ndarray, dtype: str) -> np.ndarray:
    """Numbers as a file holds them, as float32; ``dtype`` is the file's word for them.

    A bfloat16 is the upper half of a float32: 1.5 is 0x3FC0 there.

    >>> import numpy as np
    >>> widen(np.array([0x3FC0], np.uint16), "BF16").tolist()
    [1.5]
    """
    import numpy as np

    if dtype == "BF16":
        wide = array.astype(np.uint32)
        wide <<= 16
        return wide.view(np.float32)
    return array.astype(np.float32)


@dataclass(frozen=True)
class Checkpoint:
    """A model's folder; each part is read at first need and kept."""

    path: Path
    name: str
    raw_config: dict[str, Any] = field(repr=False)

    @classmethod
    def open(cls, path: str | Path, *, name: str | None = None) -> Checkpoint:
        """Read the config.json of a folder.

        Raises: NotFoundError ``model_not_found``, ``config_missing``; ModelError as ``Folder.json``.
        """
        path = Path(path).expanduser()
        if not path.is_dir():
            raise NotFoundError("model_not_found", model=local(path, name or path.name))
        folder = Folder(path, name or path.resolve().name)
        if not folder.has("config.json"):
            raise NotFoundError("config_missing", folder=local(path, folder.name))
        return cls(path, folder.name, folder.json("config.json"))

    @functools.cached_property
    def folder(self) -> Folder:
        """Its files, each read only where it is what it seems."""
        return Folder(self.path, self.name)

    @property
    def _where(self) -> str:
        """The folder as errors name it."""
        return local(self.path, self.name)

    @functools.cached_property
    def config(self) -> Config:
        """The normalised shape. Raises: ModelError ``config_field``."""
        return Config.from_dict(self.raw_config)

    @functools.cached_property
    def generation_config(self) -> dict[str, Any]:
        return self._optional("generation_config.json")

    @functools.cached_property
    def tokenizer_config(self) -> dict[str, Any]:
        return self._optional("tokenizer_config.json")

    @functools.cached_property
    def chat_template(self) -> str | None:
        """The Jinja text: chat_template.jinja first, else what tokenizer_config.json holds."""
        if self.folder.has("chat_template.jinja"):
            return self.folder.text("chat_template.jinja", most=TEMPLATE_BYTES)
        found = self.tokenizer_config.get("chat_template")
        if isinstance(found, list):  # several, by name
            named = [(item.get("name"), item.get("template")) for item in found if isinstance(item, dict)]
            found = next((text for name, text in named if name == "default" and text), named[0][1] if named else None)
        return found if isinstance(found, str) else None

    @functools.cached_property
    def eos_ids(self) -> tuple[int, ...]:
        """The tokens that end a text: generation_config.json knows best, then config.json."""
        return _ids(self.generation_config.get("eos_token_id")) or self.config.eos_ids

    def _optional(self, filename: str) -> dict[str, Any]:
        return self.folder.json(filename) if self.folder.has(filename) else {}

    @functools.cached_property
    def tensors(self) -> Mapping[str, TensorInfo]:
        """Every tensor of every shard, by name; no weight is read.

        Raises: NotFoundError ``weights_missing``, ``shard_missing``; UnsupportedError
        ``weights_pickled``; ModelError as ``read_header``, ``index_invalid``.
        """
        if self.folder.has("model.safetensors"):
            return read_header(self.path / "model.safetensors", name=self.name)
        if self.folder.has(INDEX):
            return self._sharded()
        if any(self.path.glob("*.bin")):
            raise UnsupportedError("weights_pickled", folder=self._where)
        raise NotFoundError("weights_missing", folder=self._where)

    def _sharded(self) -> dict[str, TensorInfo]:
        shard_of = weight_map(self.folder.json(INDEX), folder=self.path, name=self.name)
        headers = {shard: read_header(self.path / shard, name=self.name) for shard in sorted(set(shard_of.values()))}
        return gathered(shard_of, headers, folder=self.path, name=self.name)

    @property
    def headers(self) -> Mapping[str, TensorInfo]:
        """The same as ``tensors``, without fetching a weight where the model is still on a hub."""
        return self.tensors

    def has(self, part: Part) -> bool:
        """Whether a part is on this disk, or will never be."""
        return True

    def fetch(self, *parts: Part) -> None:
        """Bring parts of a model that is still on a hub; a folder has what it has."""

    def published(self) -> Published | None:
        """What a hub says of a model that comes from one."""
        return None

    def tensor(self, name: str, shape: Sequence[int] | None = None) -> np.ndarray:
        """One tensor, mapped and read-only; bfloat16 as uint16, see ``widen``.

        Raises: ModelError ``tensor_missing``, ``tensor_shape`` where it is not of ``shape``, ``weights_cut``.
        """
        import numpy as np

        if name not in self.tensors:
            raise ModelError("tensor_missing", tensor=name, folder=self._where)
        info = self.tensors[name]
        if shape is not None and info.shape != tuple(shape):
            raise ModelError("tensor_shape", tensor=name, found=list(info.shape), expected=list(shape))
        bits = self._mapped(info.file)[info.start : info.stop]
        if len(bits) < info.nbytes:  # since its header was read
            raise self._cut(info.file)
        array = np.ndarray(info.shape, DTYPES[info.dtype][1], buffer=bits)
        # Files of before 2023 may start a tensor at any byte; kernels want whole numbers.
        array = array if array.flags.aligned else array.copy()
        array.flags.writeable = False
        return array

    def rows(self, name: str, ids: Sequence[int]) -> np.ndarray:
        """A few rows of a matrix, the only ones read from disk. Shapes: (len(ids), D) float32."""
        return widen(self.tensor(name)[list(ids)], self.tensors[name].dtype)

    def _mapped(self, file: Path) -> np.ndarray:
        """The bytes of a file of weights. Raises: as ``Folder.open``; ModelError ``weights_cut``."""
        import numpy as np

        if file not in self._maps:
            with self.folder.open(file.name) as stream:
                try:
                    self._maps[file] = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
                except (OSError, ValueError):  # it is empty now
                    raise self._cut(file) from None
        self._hold(file)
        return np.frombuffer(self._maps[file], np.uint8)

    def hold(self) -> None:
        """Map each file of weights, and look again at its size: the system ends a process that reads beyond it.

        Raises: ModelError ``weights_cut``; as ``Folder.open``.
        """
        for file in self._files:
            self._mapped(file)

    @functools.cached_property
    def _files(self) -> tuple[Path, ...]:
        return tuple(dict.fromkeys(info.file for info in self.tensors.values()))

    def _hold(self, file: Path) -> None:
        if self._maps[file].size() < len(self._maps[file]):
            raise self._cut(file)

    def _cut(self, file: Path) -> ModelError:
        return ModelError("weights_cut", file=file.name, model=self.name)

    @functools.cached_property
    def _maps(self) -> dict[Path, mmap.mmap]:
        return {}
