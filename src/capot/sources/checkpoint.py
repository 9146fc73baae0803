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

import functools
import mmap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from capot.errors import ModelError, NotFoundError, UnsupportedError, local
from capot.sources.fields import (  # fmt: skip
    LONGEST,
    Raw,
    family,
    flag,
    found,
    ids,
    of_text,
    positive,
    real,
    strict_ids,
    table,
    whole,
    word,
)
from capot.sources.files import INDEX, TEMPLATE_BYTES, Folder
from capot.sources.layer_kinds import HEADLESS, layer_count, layer_kinds
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
QUANTIZED = ("quantization_config", "quantization")  # what says that weights are packed: the second is MLX's alone
STRETCHED = ("llama3", "yarn", "longrope")  # positions whose rule counts from those a model had before
UNTIED = {  # where config.json may leave it out
    "llama", "mistral", "mixtral", "qwen2", "qwen2_moe", "qwen3", "qwen3_moe", "phi3", "deepseek_v3", "gptj", "granite",
    "codegen", "stablelm", "olmo", "olmo2", "olmo3", "olmoe", "nemotron",
}  # fmt: skip


@dataclass(frozen=True)
class Config:
    """The shape of a causal language model, one spelling for all families.

    ``sliding_window`` holds, for each layer, how many tokens its attention looks back
    (itself included), or None for all; ``keeps`` whether it keeps keys and values of its own
    at all, which is ``guessed`` where the file is not understood. ``rope_scaling`` is None where the positions are
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
    keeps: tuple[bool, ...]
    guessed: bool
    tied: bool
    dtype: str | None
    bos_id: int | None
    eos_ids: tuple[int, ...]

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Config:
        """Read a config.json in either spelling: the hub's older one or transformers 5's.

        Raises: ModelError ``config_field`` where a size is missing or is no positive number, ``config_value``,
        ``config_list``, ``config_layers``.
        """
        raw = of_text(raw)
        model_type = family(raw)
        width, heads = _size(raw, "width"), _size(raw, "heads", 1 if model_type in HEADLESS else None)
        layers = layer_count(raw, *SPELLINGS["layers"])
        kinds = layer_kinds(raw, layers=layers, family=model_type)
        rope = _rope(raw)
        bos, ends = strict_ids(raw, "bos_token_id"), strict_ids(raw, "eos_token_id")
        return cls(
            architecture=(architectures(raw) or ["?"])[0],
            model_type=model_type,
            vocabulary_size=_size(raw, "vocabulary_size"),
            width=width,
            layers=layers,
            heads=heads,
            kv_heads=_kv_heads(raw, heads),
            head_dim=_size(raw, "head_dim", max(1, width // heads)),
            mlp_width=_mlp_width(raw, 4 * width),
            context_length=whole(raw, *SPELLINGS["context_length"], default=0, most=LONGEST) or None,
            norm_eps=real(raw, *SPELLINGS["norm_eps"], default=1e-6),
            hidden_act=word(raw, *SPELLINGS["hidden_act"], default="silu"),
            rope_theta=positive(rope, "rope_theta", default=positive(raw, "rope_theta", default=10_000.0)),
            rope_scaling={key: value for key, value in rope.items() if key != "rope_theta"}
            if rope["rope_type"] != "default"
            else None,
            sliding_window=kinds.windows,
            keeps=kinds.keeps,
            guessed=kinds.guessed,
            tied=flag(raw, "tie_word_embeddings", default=model_type not in UNTIED),
            dtype=dtype if isinstance(dtype := found(raw, *SPELLINGS["dtype"])[1], str) else None,
            bos_id=bos[0] if bos else None,
            eos_ids=ends,
        )


def architectures(raw: Mapping[str, Any]) -> list[str]:
    """The classes that a config.json names; none where they are not written as a list.

    >>> architectures({"architectures": ["LlamaForCausalLM"]}), architectures({"architectures": 3})
    (['LlamaForCausalLM'], [])
    """
    listed = raw.get("architectures")
    return [name[:80] for name in listed if isinstance(name, str)] if isinstance(listed, list) else []


def auto_map(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The classes in a model's own code, by the class of transformers that each stands for."""
    mapped = raw.get("auto_map")
    return mapped if isinstance(mapped, dict) else {}


def _kv_heads(raw: Raw, heads: int) -> int:
    """One where queries share it; Falcon's second generation says so too, and has as many as it says besides."""
    shared = raw.get("multi_query") and not raw.get("new_decoder_architecture")
    return 1 if shared else _size(raw, "kv_heads", heads)


def _size(raw: Raw, name: str, default: int | None = None) -> int:
    return whole(raw, *SPELLINGS[name], default=default)


def _mlp_width(raw: Raw, usual: int) -> int:
    """Gemma 3n writes it once for each layer, the same each time."""
    name, value = found(raw, *SPELLINGS["mlp_width"])
    if isinstance(value, list) and value and value.count(value[0]) == len(value):
        return whole({name: value[0]}, name)
    return _size(raw, "mlp_width", usual)


def _rope(raw: Raw) -> dict[str, Any]:
    """Both spellings of the rotary positions as one table that has a ``rope_type``.

    Raises: ModelError ``config_field``, ``config_value``.
    """
    rope = table(raw, "rope_scaling") or table(raw, "rope_parameters")
    older = word(rope, "type") or None  # the oldest spelling
    kind = word(rope, "rope_type") or older
    for spelling in ("rope_type", "type"):
        rope.pop(spelling, None)
    if kind is None:  # one table for each kind of layer
        kind = "by_layer_type" if any(isinstance(part, dict) for part in rope.values()) else "default"
    outside = real(raw, "partial_rotary_factor", default=1.0, most=1.0)
    partial = real(rope, "partial_rotary_factor", default=outside, most=1.0)
    if partial != 1.0:
        rope["partial_rotary_factor"] = partial
        kind = "partial" if kind == "default" else kind
    if kind in STRETCHED and (original := _original_length(raw, rope)):
        rope["original_max_position_embeddings"] = original
    return {"rope_type": kind, **rope}


def _original_length(raw: Raw, rope: Raw) -> int:
    """How many positions a model had before they were stretched: said outside, inside, or as many as it has now."""
    outside = whole(raw, "original_max_position_embeddings", default=0, most=LONGEST)
    inside = whole(rope, "original_max_position_embeddings", default=0, most=LONGEST)
    return outside or inside or whole(raw, *SPELLINGS["context_length"], default=0, most=LONGEST)


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
        return ids(self.generation_config.get("eos_token_id")) or self.config.eos_ids

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
