"""A model's folder: both spellings of its config, and weights that lie in every way."""

import json
import struct

import numpy as np
import pytest

from capot.errors import ModelError, NotFoundError, UnsupportedError
from capot.sources.checkpoint import Checkpoint, Config, read_header, to_float32, weight_map

OLD = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": 100,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "rms_norm_eps": 1e-5,
    "rope_theta": 500000.0,
    "rope_scaling": {"rope_type": "llama3", "factor": 8.0},
    "torch_dtype": "bfloat16",
    "eos_token_id": [7, 8],
}
NEW = {key: value for key, value in OLD.items() if key not in ("rope_theta", "rope_scaling", "torch_dtype")} | {
    "rope_parameters": {"rope_type": "llama3", "factor": 8.0, "rope_theta": 500000.0},
    "dtype": "bfloat16",
}


def write_safetensors(path, tensors=None, *, header=None, data=None):
    """``tensors`` {name: (dtype, array)} laid out in order, or a header and bytes as given."""
    if header is None:
        header, data = {"__metadata__": {"format": "pt"}}, b""
        for name, (dtype, array) in tensors.items():
            raw = array.tobytes()
            header[name] = entry(len(data), len(data) + len(raw), list(array.shape), dtype)
            data += raw
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def entry(begin, end, shape, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(OLD))
    return tmp_path


def test_both_spellings_give_one_config():
    assert Config.from_dict(OLD) == Config.from_dict(NEW)
    config = Config.from_dict(OLD)
    assert (config.rope_theta, config.rope_scaling["rope_type"]) == (500000.0, "llama3")
    assert (config.head_dim, config.kv_heads, config.dtype, config.eos_ids) == (8, 2, "bfloat16", (7, 8))
    assert config.sliding_window == (None,) * 4 and not config.tied


def test_gpt2_spelling():
    raw = {"model_type": "gpt2", "vocab_size": 50257, "n_embd": 768, "n_layer": 12, "n_head": 12, "n_positions": 1024}
    config = Config.from_dict({**raw, "n_inner": None, "activation_function": "gelu_new"})
    assert (config.width, config.layers, config.mlp_width, config.context_length) == (768, 12, 3072, 1024)
    assert config.tied and config.hidden_act == "gelu_new" and config.kv_heads == 12


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"model_type": "mistral", "sliding_window": 64}, (64,) * 4),
        ({"model_type": "mistral"}, (4096,) * 4),
        ({"model_type": "mistral", "sliding_window": None}, (None,) * 4),
        ({"model_type": "llama", "sliding_window": 64}, (None,) * 4),
        ({"model_type": "qwen2", "sliding_window": 64}, (None,) * 4),
        ({"model_type": "qwen2", "sliding_window": 64, "use_sliding_window": False}, (None,) * 4),
        (
            {"model_type": "qwen2", "sliding_window": 64, "use_sliding_window": True, "max_window_layers": 3},
            (None, None, None, 64),
        ),
        (
            {
                "model_type": "qwen3",
                "sliding_window": 64,
                "use_sliding_window": True,
                "layer_types": ["sliding_attention", "full_attention"] * 2,
            },
            (64, None, 64, None),
        ),
    ],
)
def test_sliding_window_of_each_layer(changes, expected):
    assert Config.from_dict(OLD | changes).sliding_window == expected


def test_positions_no_engine_may_overlook():
    assert Config.from_dict(OLD | {"rope_scaling": None}).rope_scaling is None
    oldest = Config.from_dict(OLD | {"rope_scaling": {"type": "linear", "factor": 2.0}})
    assert oldest.rope_scaling["rope_type"] == "linear"
    part = Config.from_dict(OLD | {"rope_scaling": None, "partial_rotary_factor": 0.5})
    assert part.rope_scaling["rope_type"] == "partial"
    by_layer = NEW | {"rope_parameters": {"full_attention": {"rope_theta": 1e6}}}
    assert Config.from_dict(by_layer).rope_scaling["rope_type"] == "by_layer_type"


@pytest.mark.parametrize("value", [None, 0, -1, "many", 2.5, True, []])
def test_a_size_that_is_none(value):
    with pytest.raises(ModelError) as error:
        Config.from_dict(OLD | {"hidden_size": value})
    assert error.value.code == "config_field"


def test_norm_eps_that_is_no_number():
    with pytest.raises(ModelError) as error:
        Config.from_dict(OLD | {"rms_norm_eps": "small"})
    assert error.value.code == "config_field"


def test_the_files_around(folder):
    opened = Checkpoint.open(folder, name="mine")
    assert (opened.name, opened.eos_ids, opened.chat_template) == ("mine", (7, 8), None)
    (folder / "generation_config.json").write_text('{"eos_token_id": 9}')
    (folder / "tokenizer_config.json").write_text('{"chat_template": [{"name": "default", "template": "A"}]}')
    opened = Checkpoint.open(folder)
    assert (opened.name, opened.eos_ids, opened.chat_template) == (folder.name, (9,), "A")
    (folder / "chat_template.jinja").write_text("B")
    assert Checkpoint.open(folder).chat_template == "B"


def test_tensors_are_mapped_read_only(folder):
    bits = np.arange(12, dtype=np.uint16).reshape(3, 4) + 0x3F80
    write_safetensors(folder / "model.safetensors", {"a": ("BF16", bits), "b": ("F32", np.ones((2, 2), np.float32))})
    opened = Checkpoint.open(folder)
    assert opened.tensors["a"].dtype == "BF16" and opened.tensors["b"].shape == (2, 2)
    array = opened.tensor("a", (3, 4))
    assert array.dtype == np.uint16 and not array.flags.writeable and array.base is not None
    np.testing.assert_array_equal(array, bits)
    np.testing.assert_array_equal(opened.rows("a", [2, 0, 2]), to_float32(bits[[2, 0, 2]], "BF16"))
    with pytest.raises(ModelError) as error:
        opened.tensor("a", (4, 3))
    assert error.value.code == "tensor_shape"
    with pytest.raises(ModelError) as error:
        opened.tensor("c")
    assert error.value.code == "tensor_missing"


def test_a_tensor_at_an_odd_byte_is_copied_whole(tmp_path):
    header = {"a": entry(1, 9, [2])}
    padding = " " * (-(8 + len(json.dumps(header))) % 4)
    (tmp_path / "config.json").write_text(json.dumps(OLD))
    text = (json.dumps(header) + padding).encode()
    data = b"\0" + np.float32([1, 2]).tobytes()
    (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)
    array = Checkpoint.open(tmp_path).tensor("a")
    assert array.flags.aligned and not array.flags.writeable and array.tolist() == [1, 2]


@pytest.mark.parametrize("dtype", ["BF16", "F16", "F32"])
def test_widen_gives_the_number_meant(dtype):
    values = np.float32([0.0, -0.0, 1.5, -2.25, 1e-3, 240.0, np.inf])
    narrow = {"BF16": (values.view(np.uint32) >> 16).astype(np.uint16), "F16": values.astype(np.float16), "F32": values}
    wide = to_float32(narrow[dtype], dtype)
    assert wide.dtype == np.float32
    np.testing.assert_allclose(wide, values, rtol=1e-2)


def test_the_headers_agree_with_the_safetensors_package(tmp_path):
    package = pytest.importorskip("safetensors.numpy")
    arrays = {"x": np.random.default_rng(0).random((3, 5), np.float32), "y": np.arange(4, dtype=np.int64)}
    package.save_file(arrays, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(OLD))
    opened = Checkpoint.open(tmp_path)
    for name, array in arrays.items():
        np.testing.assert_array_equal(opened.tensor(name), array)


@pytest.mark.parametrize(
    ("dtype", "shape", "size"),
    [("F4", [4, 8], 16), ("F6_E2M3", [8], 6), ("F6_E3M2", [4], 3), ("F8_E4M3FNUZ", [3], 3), ("F8_E5M2FNUZ", [3], 3),
     ("F8_E8M0", [3], 3), ("C64", [2], 16)],
)  # fmt: skip
def test_every_number_format_of_the_format_is_sound(folder, dtype, shape, size):
    write_safetensors(folder / "model.safetensors", header={"a": entry(0, size, shape, dtype)}, data=bytes(size))
    opened = Checkpoint.open(folder)
    assert (opened.tensors["a"].nbytes, opened.tensors["a"].dtype) == (size, dtype)
    if dtype.startswith(("F4", "F6")):  # NumPy has none
        with pytest.raises(UnsupportedError) as error:
            opened.tensor("a")
        assert error.value.code == "weights_dtype"
    else:
        assert opened.tensor("a").shape == tuple(shape)


def test_several_shards(folder):
    one, two = np.float32([1, 2]), np.float32([3])
    write_safetensors(folder / "m-1.safetensors", {"a": ("F32", one)})
    write_safetensors(folder / "m-2.safetensors", {"b": ("F32", two)})
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "m-1.safetensors", "b": "m-2.safetensors"}}))
    opened = Checkpoint.open(folder)
    assert opened.tensor("a").tolist() == [1, 2] and opened.tensor("b").tolist() == [3]

    index.write_text(json.dumps({"weight_map": {"a": "m-2.safetensors"}}))
    with pytest.raises(ModelError) as error:
        _ = Checkpoint.open(folder).tensors
    assert error.value.code == "tensor_missing"
    index.write_text(json.dumps({"weight_map": {"a": "m-3.safetensors"}}))
    with pytest.raises(NotFoundError) as error:
        _ = Checkpoint.open(folder).tensors
    assert error.value.code == "shard_missing"


@pytest.mark.parametrize("index", [{}, {"weight_map": {"a": "../other.safetensors"}}, {"weight_map": {"a": 3}}])
def test_an_index_that_leads_elsewhere(folder, index):
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelError) as error:
        _ = Checkpoint.open(folder).tensors
    assert error.value.code == "index_invalid"


@pytest.mark.parametrize(
    ("header", "data", "code"),
    [
        ({"a": entry(0, 8, [2])}, bytes(7), "safetensors_outside"),
        ({"a": entry(0, 8, [2]), "b": entry(800, 808, [2])}, bytes(8), "safetensors_outside"),
        ({"a": entry(8, 0, [2])}, bytes(8), "safetensors_outside"),
        ({"a": entry(-8, 0, [2])}, bytes(8), "safetensors_corrupt"),
        ({"a": entry(0, 8, [2]), "b": entry(4, 12, [2])}, bytes(12), "safetensors_overlap"),
        ({"a": entry(0, 8, [2]), "b": entry(0, 8, [2])}, bytes(8), "safetensors_overlap"),
        ({"a": entry(0, 8, [3])}, bytes(8), "safetensors_shape"),
        ({"a": entry(0, 8, [2**40, 2**40])}, bytes(8), "safetensors_shape"),
        ({"a": entry(0, 8, [-1, -2])}, bytes(8), "safetensors_corrupt"),
        ({"a": entry(0, 8, [2], "F7")}, bytes(8), "safetensors_format"),
        ({"a": entry(0, 8, [2], "F4")}, bytes(8), "safetensors_shape"),
        ({"a": entry(0, 8, [2], ["F4"])}, bytes(8), "safetensors_corrupt"),
        ({"a": entry(0, 8, [2.0])}, bytes(8), "safetensors_corrupt"),
        ({"a": entry(0, 8, 2)}, bytes(8), "safetensors_corrupt"),
        ({"a": {"dtype": "F32"}}, bytes(8), "safetensors_corrupt"),
        ({"a": None}, bytes(8), "safetensors_corrupt"),
        ([1], b"", "safetensors_corrupt"),
    ],
)
def test_a_lying_header(tmp_path, header, data, code):
    write_safetensors(tmp_path / "m.safetensors", header=header, data=data)
    with pytest.raises(ModelError) as error:
        read_header(tmp_path / "m.safetensors")
    assert error.value.code == code


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "safetensors_truncated"),
        (b"\x10\0\0", "safetensors_truncated"),
        (struct.pack("<Q", 1000) + b"{}", "safetensors_truncated"),
        (struct.pack("<Q", 2**63) + b"{}", "safetensors_corrupt"),
        (struct.pack("<Q", 2) + b"{]", "safetensors_corrupt"),
        (struct.pack("<Q", 4) + b"\xff\xfe\0\xd8", "safetensors_corrupt"),
        (struct.pack("<Q", 200_000) + b"[" * 200_000, "safetensors_corrupt"),
    ],
)
def test_a_damaged_file(tmp_path, content, code):
    (tmp_path / "m.safetensors").write_bytes(content)
    with pytest.raises(ModelError) as error:
        read_header(tmp_path / "m.safetensors")
    assert error.value.code == code


def test_folders_that_are_no_model(tmp_path):
    for path, code in ((tmp_path / "absent", "model_not_found"), (tmp_path, "config_missing")):
        with pytest.raises(NotFoundError) as error:
            Checkpoint.open(path)
        assert error.value.code == code
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ModelError) as error:
        Checkpoint.open(tmp_path)
    assert error.value.code == "json_invalid"


def test_weights_absent_or_pickled(folder):
    with pytest.raises(NotFoundError) as error:
        _ = Checkpoint.open(folder).tensors
    assert error.value.code == "weights_missing"
    (folder / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(UnsupportedError) as error:
        _ = Checkpoint.open(folder).tensors
    assert error.value.code == "weights_pickled"


@pytest.mark.parametrize("lang", ["en", "fr"])
def test_every_refusal_has_words(lang):
    params = dict.fromkeys(("model", "folder", "field", "value", "file", "tensor", "first", "second", "written"), "x")
    params |= {"bytes": 3, "shape": [1], "found": [1], "expected": [2]}
    codes = "model_not_found config_missing config_field json_invalid weights_missing weights_pickled shard_missing"
    codes += " index_invalid tensor_missing tensor_shape safetensors_truncated safetensors_corrupt"
    codes += " safetensors_outside safetensors_shape safetensors_overlap"
    for code in codes.split():
        assert ModelError(code, **params).message(lang)


@pytest.mark.parametrize(
    "shard", ["../a.safetensors", "..\\a.safetensors", "b/a.safetensors", "/a.safetensors", "..", "", "a.bin", 3, None]
)
def test_a_shard_is_a_safetensors_file_of_the_same_folder(tmp_path, shard):
    assert weight_map({"weight_map": {"x": "a.safetensors"}}, folder=tmp_path) == {"x": "a.safetensors"}
    with pytest.raises(ModelError) as error:
        weight_map({"weight_map": {"x": shard}}, folder=tmp_path)
    assert error.value.code == "index_invalid"
