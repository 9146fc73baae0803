"""Read a model's folder in the layout of the Hugging Face hub, lazily; never run its code.

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
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from capot.errors import ModelError, NotFoundError, UnsupportedError, local_path
from capot.sources.configuration import Config
from capot.sources.fields import read_count, text_config, token_ids
from capot.sources.files import INDEX, TEMPLATE_BYTES, Folder
from capot.sources.safetensors import DTYPES, TensorInfo, merge_shards, read_header, weight_map

if TYPE_CHECKING:
    import numpy as np

    from capot.sources.hub.published import Published

Part = Literal["settings", "tokenizer", "weights"]

HEAD = "lm_head.weight"
# What stands in a matrix's place where its numbers are packed: GPTQ and AWQ, compressed-tensors.
PACKED = (".qweight", ".weight_packed")
INTEGERS = {"U8", "I8", "U16", "I16", "U32", "I32"}  # no family's weights: packed numbers
# A layer of the text model, in a name: not of a tower for pictures, nor of what guesses further tokens.
LAYER = re.compile(r"(?:(?:model|transformer|gpt_neox|backbone|decoder|language_model)\.)*(?:layers|h|blocks)\.(\d+)\.")
COMPARED = 256  # rows of two matrices that may be one


def to_float32(array: np.ndarray, dtype: str) -> np.ndarray:
    """Convert an array as a file holds it to float32; ``dtype`` is the file's name of its type.

    A bfloat16 is the upper half of a float32: 1.5 is 0x3FC0 there.

    >>> import numpy as np
    >>> to_float32(np.array([0x3FC0], np.uint16), "BF16").tolist()
    [1.5]
    """
    import numpy as np

    if dtype == "BF16":
        # In place on one new array: a table of embeddings has gigabytes.
        wide = array.astype(np.uint32)
        wide <<= 16
        return wide.view(np.float32)
    return array.astype(np.float32)


def unused_layers(names: Iterable[str], raw: Mapping[str, Any]) -> int:
    """Return how many layers of the text model the weights hold beyond those that config.json gives.

    No engine computes them, and no library says so. Layers that guess further tokens count as given.

    Raises: ModelError as ``Config.from_dict``.
    """
    found = {int(layer[1]) for layer in map(LAYER.match, names) if layer}
    given = Config.from_dict(raw).layers + read_count(text_config(raw), "num_nextn_predict_layers")
    return sum(layer >= given for layer in found)


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
            raise NotFoundError("model_not_found", model=local_path(path, name or path.name))
        folder = Folder(path, name or path.resolve().name)
        if not folder.has("config.json"):
            raise NotFoundError("config_missing", folder=local_path(path, folder.name))
        return cls(path, folder.name, folder.json("config.json"))

    @functools.cached_property
    def folder(self) -> Folder:
        """Return the folder, which opens only ordinary files inside it."""
        return Folder(self.path, self.name)

    @property
    def _where(self) -> str:
        """Return the folder's path for error messages."""
        return local_path(self.path, self.name)

    @functools.cached_property
    def config(self) -> Config:
        """Return the normalised shape. Raises: ModelError ``config_field``."""
        return Config.from_dict(self.raw_config)

    @functools.cached_property
    def generation_config(self) -> dict[str, Any]:
        return self._optional("generation_config.json")

    @functools.cached_property
    def tokenizer_config(self) -> dict[str, Any]:
        return self._optional("tokenizer_config.json")

    @functools.cached_property
    def chat_template(self) -> str | None:
        """Return the chat template: chat_template.jinja, else that of tokenizer_config.json."""
        if self.folder.has("chat_template.jinja"):
            return self.folder.text("chat_template.jinja", most=TEMPLATE_BYTES)
        found = self.tokenizer_config.get("chat_template")
        if isinstance(found, list):  # several, by name
            named = [(item.get("name"), item.get("template")) for item in found if isinstance(item, dict)]
            found = next((text for name, text in named if name == "default" and text), named[0][1] if named else None)
        return found if isinstance(found, str) else None

    @functools.cached_property
    def eos_ids(self) -> tuple[int, ...]:
        """Return the tokens that end a text: those of generation_config.json, else of config.json."""
        return token_ids(self.generation_config.get("eos_token_id")) or self.config.eos_ids

    def _optional(self, filename: str) -> dict[str, Any]:
        return self.folder.json(filename) if self.folder.has(filename) else {}

    @functools.cached_property
    def tensors(self) -> Mapping[str, TensorInfo]:
        """Return every tensor of every shard by name; read no weight.

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
        return merge_shards(shard_of, headers, folder=self.path, name=self.name)

    @property
    def headers(self) -> Mapping[str, TensorInfo]:
        """Return the same as ``tensors``, without downloading weights that are still on a hub."""
        return self.tensors

    def has(self, part: Part) -> bool:
        """Return whether a part is on this disk, or will never be."""
        return True

    def fetch(self, *parts: Part) -> None:
        """Download parts of a model that is still on a hub; do nothing for a folder."""

    def published(self) -> Published | None:
        """Return what a hub says of a model, or None for a folder."""
        return None

    def missing_tensor(self, name: str) -> ModelError:
        """Return the error of a tensor that is not there, which says so where its numbers are, packed."""
        matrix = name.removesuffix(".weight")
        packed = next((matrix + ending for ending in PACKED if matrix + ending in self.tensors), None)
        if packed is not None:
            return UnsupportedError("packed_unsaid", tensor=packed, folder=self._where)
        return ModelError("tensor_missing", tensor=name, folder=self._where)

    def tensor(self, name: str, shape: Sequence[int] | None = None) -> np.ndarray:
        """Return one tensor, mapped and read-only; bfloat16 as uint16, see ``to_float32``.

        Raises: ModelError ``tensor_missing``, ``tensor_shape`` where it is not of ``shape``, ``weights_cut``;
        UnsupportedError ``packed_unsaid``, ``weights_dtype`` where NumPy has no such numbers.
        """
        import numpy as np

        if name not in self.tensors:
            raise self.missing_tensor(name)
        info = self.tensors[name]
        if shape is not None and info.shape != tuple(shape):
            if info.dtype in INTEGERS:
                raise UnsupportedError("packed_unsaid", tensor=name, folder=self._where)
            raise ModelError("tensor_shape", tensor=name, found=list(info.shape), expected=list(shape))
        _, held_as = DTYPES.get(info.dtype, (0, None))
        if held_as is None:
            raise UnsupportedError("weights_dtype", dtype=info.dtype, tensor=name, engine="transformers")
        bits = self._mapped(info.file)[info.start : info.stop]
        if len(bits) < info.nbytes:  # since its header was read
            raise self._cut(info.file)
        array = np.ndarray(info.shape, held_as, buffer=bits)
        # Files of before 2023 may start a tensor at any byte; kernels want whole numbers. One tensor is copied.
        array = array if array.flags.aligned else array.copy()
        array.flags.writeable = False
        return array

    def rows(self, name: str, ids: Sequence[int]) -> np.ndarray:
        """Return a few rows of a matrix, and read only these from disk. Shapes: (len(ids), D) float32."""
        return to_float32(self.tensor(name)[list(ids)], self.tensors[name].dtype)

    @functools.cached_property
    def tied(self) -> bool:
        """Return whether the head is the embedding table. A file that holds both decides, whatever config.json says.

        Some of their rows are compared: two matrices that were trained apart differ everywhere.
        """
        table = next(
            (name for name in ("model.embed_tokens.weight", "embed_tokens.weight") if name in self.headers), ""
        )
        if not self.config.tied or not table or HEAD not in self.headers or not self.has("weights"):
            return self.config.tied
        one, other = self.headers[table], self.headers[HEAD]
        if (one.shape, one.dtype) != (other.shape, other.dtype) or len(one.shape) != 2:
            return False
        # Evenly spread rows: reading both tables whole would read a third of a small model from disk.
        some = slice(None, None, max(1, one.shape[0] // COMPARED))
        return self.tensor(table)[some].tobytes() == self.tensor(HEAD)[some].tobytes()

    def _mapped(self, file: Path) -> np.ndarray:
        """Return the memory map of a file of weights. Raises: as ``Folder.open``; ModelError ``weights_cut``."""
        import numpy as np

        if file not in self._maps:
            # Mapped once and kept: pages are shared with every process that maps the file, and read when they are
            # touched.
            with self.folder.open(file.name) as stream:
                try:
                    self._maps[file] = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
                except (OSError, ValueError):  # it is empty now
                    raise self._cut(file) from None
        self._hold(file)
        return np.frombuffer(self._maps[file], np.uint8)

    def hold(self) -> None:
        """Map each file of weights and check its size: the system kills a process that reads beyond the end.

        Raises: ModelError ``weights_cut``; as ``Folder.open``.
        """
        for file in self._files:
            self._mapped(file)

    @functools.cached_property
    def _files(self) -> tuple[Path, ...]:
        return tuple(dict.fromkeys(info.file for info in self.tensors.values()))

    def _hold(self, file: Path) -> None:
        # The file may shrink under the map (an interrupted copy over it): touching a page beyond its end is SIGBUS.
        if self._maps[file].size() < len(self._maps[file]):
            raise self._cut(file)

    def _cut(self, file: Path) -> ModelError:
        return ModelError("weights_cut", file=file.name, model=self.name)

    @functools.cached_property
    def _maps(self) -> dict[Path, mmap.mmap]:
        return {}
