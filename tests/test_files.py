"""Files of a model's folder: where links lead, what is no file, how long one may be, and what is cut off in use."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
from conftest import ROOT

import capot
from capot.card import describe
from capot.engines.native import check
from capot.errors import CapotError, ModelError, NotFoundError
from capot.sources.checkpoint import Checkpoint
from capot.sources.files import LARGER, SETTINGS_BYTES, TEMPLATE_BYTES, Folder
from capot.text.tokenizer import Tokenizer

BOXED = ROOT / "src" / "capot" / "boxed"
INDEX = "model.safetensors.index.json"

linked = pytest.mark.skipif(os.name == "nt", reason="links and pipes as Unix has them")


def checkpoint(folder: Path) -> Checkpoint:
    return Checkpoint.open(folder, name="mine")


# Every file of a folder that is read, and who reads it.
READERS: dict[str, Callable[[Path], object]] = {
    "config.json": checkpoint,
    "generation_config.json": lambda folder: checkpoint(folder).generation_config,
    "tokenizer_config.json": lambda folder: checkpoint(folder).tokenizer_config,
    "chat_template.jinja": lambda folder: checkpoint(folder).chat_template,
    INDEX: lambda folder: checkpoint(folder).tensors,
    "model.safetensors": lambda folder: checkpoint(folder).tensors,
    "part-1.safetensors": lambda folder: checkpoint(folder).tensors,
    "tokenizer.json": lambda folder: Tokenizer.from_file(folder, name="mine"),
    "README.md": lambda folder: describe(capot.open(folder)),
}
TEXTS = [name for name in READERS if not name.endswith((".safetensors", ".md"))]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The packaged model's small files, and weights of one tensor in a file of their own."""
    made = tmp_path / "mine"
    made.mkdir()
    for name in ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(BOXED / name, made)
    (made / "chat_template.jinja").write_text("{{ messages }}")
    (made / "README.md").write_text("---\nlicense: mit\n---\n")
    header = json.dumps({"x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    (made / "part-1.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    (made / INDEX).write_text(json.dumps({"weight_map": {"x": "part-1.safetensors"}}))
    return made


def outcome(read: Callable[[Path], object], folder: Path, *, named: bool = True) -> str:
    """The code of the refusal, in both languages told with the model's name and without a path; else ``read``."""
    try:
        read(folder)
    except CapotError as error:
        for lang in ("en", "fr"):
            told = error.public().message(lang)
            assert (not named or "mine" in told) and str(folder) not in told
        return error.code
    return "read"


def moved(folder: Path, name: str, place: Path) -> Path:
    """A file of the folder where it is no longer in it; made where it was not."""
    if not (folder / name).exists():
        shutil.copy(folder / "part-1.safetensors", folder / name)
    place.parent.mkdir(parents=True, exist_ok=True)
    (folder / name).rename(place)
    return place


@linked
@pytest.mark.parametrize("name", READERS)
def test_a_link_that_leads_out_is_not_followed(folder: Path, tmp_path: Path, name: str) -> None:
    out = moved(folder, name, tmp_path / "out" / "secret")
    (folder / name).symlink_to(out)
    assert outcome(READERS[name], folder) == "file_outside"
    (folder / name).unlink()
    (folder / name).symlink_to("../out/secret")
    assert outcome(READERS[name], folder) == "file_outside"


@linked
@pytest.mark.parametrize("name", READERS)
def test_a_link_inside_the_folder_is_followed(folder: Path, name: str) -> None:
    moved(folder, name, folder / "below" / "kept")
    (folder / name).symlink_to("below/kept")
    assert outcome(READERS[name], folder) == "read"


@linked
def test_no_way_round_leads_out(folder: Path, tmp_path: Path) -> None:
    secret = tmp_path / "out" / "secret"
    secret.parent.mkdir()
    secret.write_text("the owner's")
    template = folder / "chat_template.jinja"
    template.unlink()
    (folder / "below").symlink_to(secret.parent, target_is_directory=True)  # a folder that is a link
    for target in ("below/secret", "step", "below/../secret", "/proc/self/environ", "/proc/self/root/etc/passwd"):
        (folder / "step").unlink(missing_ok=True)
        (folder / "step").symlink_to(secret)  # a link to a link
        template.unlink(missing_ok=True)
        template.symlink_to(target)
        if os.path.exists(template):
            assert outcome(READERS[template.name], folder) == "file_outside", target
    template.unlink()
    template.symlink_to(template.name)  # itself
    assert checkpoint(folder).chat_template is None


@linked
def test_the_folder_itself_may_be_a_link(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "models").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "other").symlink_to(tmp_path / "models" / "mine", target_is_directory=True)
    for name, read in READERS.items():
        if name != "model.safetensors":
            assert outcome(read, tmp_path / "other") == "read", name


def cached(folder: Path, cache: Path, name: str) -> Path:
    """The folder as the hub's tools keep a model: links to blobs."""
    store = cache / f"models--org--{name}"
    (store / "blobs").mkdir(parents=True)
    snapshot = store / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    for file in sorted(folder.iterdir()):
        shutil.copy(file, store / "blobs" / f"blob-of-{file.name}")
        (snapshot / file.name).symlink_to(f"../../blobs/blob-of-{file.name}")
    return snapshot


@linked
def test_the_blobs_of_its_own_cache_are_followed_and_no_others(folder: Path, tmp_path: Path) -> None:
    one, two = cached(folder, tmp_path / "hub", "one"), cached(folder, tmp_path / "hub", "two")
    (tmp_path / "cache").symlink_to(tmp_path / "hub", target_is_directory=True)
    for name, read in READERS.items():
        if name != "model.safetensors":
            assert outcome(read, one) == outcome(read, tmp_path / "cache" / one.relative_to(tmp_path / "hub")) == "read"
    template = one / "chat_template.jinja"
    for target in ("../../../models--org--two/blobs/blob-of-config.json", "../../refs", "../../blobs/../kept"):
        template.unlink()
        (one.parent.parent / "kept").write_text("outside the blobs")
        template.symlink_to(target)
        read = READERS[template.name]
        assert outcome(read, one) == ("read" if target.endswith("refs") else "file_outside"), target
    blob = one.parent.parent / "blobs" / "blob-of-config.json"
    blob.unlink()
    blob.symlink_to(two / "config.json")  # a blob that leads on
    assert outcome(checkpoint, one) == "file_outside"


@linked
def test_a_folder_that_is_called_snapshots_is_no_cache(folder: Path, tmp_path: Path) -> None:
    snapshot = cached(folder, tmp_path, "one")
    (tmp_path / "models--org--one").rename(tmp_path / "home")
    assert (
        outcome(checkpoint, tmp_path / "home" / snapshot.relative_to(tmp_path / "models--org--one")) == "file_outside"
    )


@linked
@pytest.mark.parametrize("name", READERS)
def test_a_pipe_is_not_waited_for(folder: Path, name: str) -> None:
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    assert outcome(READERS[name], folder) == "file_irregular"


@linked
@pytest.mark.parametrize("name", READERS)
def test_a_device_has_no_end_and_is_not_read(folder: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to("/dev/zero")
    assert outcome(READERS[name], folder) == "file_outside"
    monkeypatch.setattr(Folder, "_holds", lambda *_: True)  # as were it a device in the folder
    assert outcome(READERS[name], folder) == "file_irregular"


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_has_a_bound(folder: Path, name: str) -> None:
    most = TEMPLATE_BYTES if name.endswith(".jinja") else LARGER.get(name, SETTINGS_BYTES)
    whole = (folder / name).stat().st_size
    os.truncate(folder / name, most + 1)  # sparse: it takes no disk
    assert outcome(READERS[name], folder) == "file_too_long"
    os.truncate(folder / name, whole)
    assert outcome(READERS[name], folder) == "read"


def test_the_bound_is_of_what_is_read_not_of_what_a_file_says(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "config.json").write_bytes(b" " * 100)
    monkeypatch.setattr(os, "fstat", lambda handle, stat=os.fstat: os.stat_result([*stat(handle)[:6], 0, 0, 0, 0]))
    with pytest.raises(ModelError) as caught:
        Folder(folder, "mine").read("config.json", most=99)
    assert caught.value.code == "file_too_long"
    assert Folder(folder, "mine").read("config.json", most=100) == b" " * 100


def test_of_a_description_the_beginning_is_read(folder: Path) -> None:
    os.truncate(folder / "README.md", 1 << 33)
    assert describe(capot.open(folder)).licence == "mit"


def test_text_that_is_none_is_refused_in_words(folder: Path) -> None:
    (folder / "chat_template.jinja").write_bytes(b"ab\xff\xfe")
    assert outcome(READERS["chat_template.jinja"], folder) == "file_not_text"
    for raw in (
        b'{"a": "\\ud800"}',
        b'{"\\uDFFF": 1}',
        '{"a": "\ud800"}'.encode("utf-8", "surrogatepass"),
        b"\xff\xfe",
    ):
        (folder / "tokenizer_config.json").write_bytes(raw)
        assert outcome(READERS["tokenizer_config.json"], folder) == "json_invalid", raw
    for raw in (b'{"a": "\\ud83e\\udd17"}', '\ufeff{"a": "🤗"}'.encode()):
        (folder / "tokenizer_config.json").write_bytes(raw)
        assert checkpoint(folder).tokenizer_config == {"a": "🤗"}


@pytest.mark.parametrize("number", ["9" * 400, "-" + "9" * 5000, "1" + "0" * 30])
def test_a_number_beyond_all_measure_is_refused_or_read_over(folder: Path, number: str) -> None:
    raw = (BOXED / "config.json").read_text()
    for key in ("head_dim", "vocab_size", "num_hidden_layers", "num_key_value_heads", "max_position_embeddings",
                "partial_rotary_factor", "rotary_dim", "rope_theta", "rms_norm_eps", "sliding_window"):  # fmt: skip
        (folder / "config.json").write_text(raw.rstrip().removesuffix("}") + f', "{key}": {number}}}')
        for ask in (lambda model: model.card().to_json(), lambda model: model.memory(simulate=True).to_text("fr")):
            code = outcome(lambda folder, ask=ask: ask(capot.open(folder)), folder, named=False)
            assert code in ("read", "config_field", "config_layers", "shape_unknown"), (key, code)


@pytest.mark.parametrize("value", ["true", "-1", "1.5", '"x"', "[1, 0]", "[0]"])
def test_layers_without_positions_are_refused_however_they_are_written(folder: Path, value: str) -> None:
    config = json.loads((BOXED / "config.json").read_text())
    for written, refused in ((value, True), ("[1, 1]", False), ("[]", False), ("null", False), ("0", False)):
        (folder / "config.json").write_text(json.dumps(config)[:-1] + f', "no_rope_layers": {written}}}')
        assert (outcome(lambda folder: check(checkpoint(folder)), folder) == "feature_unsupported") == refused


@pytest.mark.parametrize("name", [[], {}, None, 3])
def test_templates_of_a_strange_name_are_no_trouble(folder: Path, name: object) -> None:
    (folder / "chat_template.jinja").unlink()
    listed = [{"name": name, "template": "x"}, {"name": "default", "template": "y"}]
    for templates, found in ((listed, "y"), (listed[:1], "x"), ([3], None)):
        (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": templates}))
        assert checkpoint(folder).chat_template == found


@linked
def test_a_library_that_opens_files_by_itself_gets_none_that_leads_out(folder: Path, tmp_path: Path) -> None:
    kept = Folder(folder, "mine")
    kept.check(".json", ".py", ".safetensors")
    (folder / "notes.txt").symlink_to("/etc/passwd")
    kept.check(".json", ".py", ".safetensors")
    (tmp_path / "adapter").write_text("{}")
    (folder / "adapter_config.json").symlink_to(tmp_path / "adapter")
    with pytest.raises(ModelError) as caught:
        kept.check(".json", ".py", ".safetensors")
    assert caught.value.code == "file_outside" and caught.value.params["file"] == "adapter_config.json"


# Weights that are cut short while they are mapped. A guard that fails ends the process: each has one of its own.

CUT = """
import sys, capot
from capot.errors import CapotError
with capot.open(sys.argv[1], engine=sys.argv[2]) as model:
    work = {"step": lambda: model.next("a", k=1), "table": lambda: model.embed(["cat", "dog"])}[sys.argv[3]]
    work()
    with open(sys.argv[1] + "/model.safetensors", "r+b") as file:
        file.truncate(1000)
    try:
        work()
    except CapotError as error:
        print(error.code)
"""


@linked
@pytest.mark.parametrize(("engine", "work"), [("native", "step"), ("native", "table"), ("transformers", "step")])
def test_weights_that_are_cut_short_in_use_are_refused(tmp_path: Path, engine: str, work: str) -> None:
    if engine == "transformers" and not (find_spec("torch") and find_spec("transformers")):
        pytest.skip("the transformers extra is not installed")
    for name in ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(BOXED / name, tmp_path)
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-c", CUT, str(tmp_path), engine, work]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert (answer.returncode, answer.stdout) == (0, "weights_cut\n"), answer.stderr


def test_weights_that_were_cut_since_their_header_was_read(folder: Path) -> None:
    whole = checkpoint(folder)
    assert whole.tensor("x").tolist() == [0, 0]
    cut = checkpoint(folder)
    assert cut.tensors["x"].shape == (2,)
    for size in ((folder / "part-1.safetensors").stat().st_size - 1, 0):
        os.truncate(folder / "part-1.safetensors", size)
        with pytest.raises(ModelError) as caught:
            cut.tensor("x")
        assert caught.value.code == "weights_cut"
    (folder / "part-1.safetensors").unlink()
    with pytest.raises(NotFoundError):
        _ = checkpoint(folder).tensors
