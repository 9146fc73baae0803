"""Models of the hub: every refusal in words, downloads that break and go on, a token that stays at home.

The hub is on loopback (``hub_server.py``), behind proxies that lead nowhere: a request that
left this machine would fail.
"""

from __future__ import annotations

import dataclasses
import errno
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any, cast

import hub_server as server
import numpy as np
import pytest
from hub_server import CONFIG, GOOD, NOWHERE, OUTSIDER, SCOPED, Fault, Hub, only, tiny

import capot
from capot import i18n
from capot.chapters.card.gated import Preview, before_the_gate
from capot.chapters.card.result import Card
from capot.chapters.models import verb as models
from capot.cli import run
from capot.cli.progress import draw
from capot.errors import AccessError, CapotError, InterruptedByUser, ModelError, NetworkError, ResourceError
from capot.sources.hub import connection, fetch, requests, settings
from capot.sources.hub import remote_headers as far
from capot.sources.hub.checkpoint import HubCheckpoint
from capot.sources.hub.events import DownloadProgress, log_progress
from capot.sources.hub.listing import check_causal, files_needed, is_name, model_info
from capot.sources.hub.refusals import Subject, response_error, retry_after
from capot.sources.hub.store import Store
from capot.sources.machine import Ram
from capot.web import opening
from capot.web.events import NamedEvent
from capot.web.json_writer import encode_json
from capot.web.learners import Learners

WEIGHTS = "model.safetensors"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    with Hub() as running:
        only(running, monkeypatch, home=tmp_path / "hf")
        yield running


def large() -> dict[str, bytes]:
    """A model of four megabytes: worth a line, and long enough to be cut."""
    return tiny(hidden_size=128, intermediate_size=512, num_hidden_layers=4, head_dim=64)


def without(*names: str, **added: bytes) -> dict[str, bytes]:
    return {name: raw for name, raw in tiny().items() if name not in names} | added


PICKLED = without(WEIGHTS) | {"pytorch_model.bin": b"\x80\x02", "training_args.bin": b"\x80"}
NOTHING_IN_IT = without(WEIGHTS) | {"model.safetensors.index.json": b'{"weight_map": {}}'}
BERT = tiny(architectures=["BertForMaskedLM"], model_type="bert")
REMOTE = {
    "architectures": ["XForCausalLM"],
    "model_type": "strange",
    "auto_map": {"AutoConfig": "configuration_x.XConfig", "AutoModelForCausalLM": "modeling_x.XForCausalLM"},
}


def typed(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of ``capot WORDS``."""
    status = run(list(words))
    told = capsys.readouterr()
    return status, told.out, told.err


def subprocess_of(*words: str, **options: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "capot", *words]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, **pipes, **options)


def cached(name: str = "org/tiny") -> Path:
    """The snapshot of a model in the cache."""
    store = Store.of(name)
    return store.snapshot(store.commit("main") or "")


def as_folder(files: dict[str, bytes], folder: Path) -> Path:
    folder.mkdir(parents=True)
    for name, raw in files.items():
        (folder / name).write_bytes(raw)
    return folder


# --- Opening ----------------------------------------------------------------------------------------------


def test_opening_brings_the_small_files_and_each_part_comes_when_it_is_needed(hub: Hub) -> None:
    hub.add("org/tiny")
    with capot.open("org/tiny") as model:
        assert model.name == "org/tiny" and model.checkpoint.config.layers == 2
        assert not hub.paths(containing="tokenizer.json") and not hub.paths(containing=WEIGHTS)
        assert model.tokens("été").count == 5 and model.tokens("a").tokenizer == "org/tiny"
        assert hub.paths(containing="tokenizer.json") and not hub.paths(containing=WEIGHTS)
        assert model.next("a").vocabulary_size == 256
        assert len(hub.paths(server="store", containing=WEIGHTS)) == 1


def test_answers_are_those_of_a_folder_with_the_same_files(hub: Hub, tmp_path: Path) -> None:
    for shards in (1, 3):
        files = tiny(shards=shards)
        hub.add(f"org/in-{shards}", files)
        with capot.open(f"org/in-{shards}") as far, capot.open(as_folder(files, tmp_path / str(shards))) as near:
            ours, theirs = far.next("Bonjour", k=10), near.next("Bonjour", k=10)
        assert [(c.id, c.logit) for c in ours.candidates] == [(c.id, c.logit) for c in theirs.candidates]


def test_the_transformers_engine_reads_what_came(hub: Hub) -> None:
    pytest.importorskip("transformers")
    hub.add("org/tiny")
    with capot.open("org/tiny", engine="transformers") as theirs, capot.open("org/tiny", engine="native") as ours:
        assert theirs.next("Bonjour", k=5).candidates[0].id == ours.next("Bonjour", k=5).candidates[0].id


def test_an_engine_refuses_before_the_weights_come(hub: Hub) -> None:
    hub.add("org/neox", tiny(architectures=["GPTNeoXForCausalLM"], model_type="gpt_neox"))
    with capot.open("org/neox", engine="native") as model, pytest.raises(CapotError) as refused:
        model.next("a")
    assert refused.value.code == "architecture_unsupported" and not hub.paths(server="store")


def test_what_is_here_is_opened_without_asking(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add("org/tiny")
    models.get("org/tiny")
    hub.seen.clear()
    with capot.open("org/tiny") as model:
        model.card()
        model.generate("a", max_new_tokens=2)
    assert not hub.seen
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with capot.open("org/tiny") as model:
        assert model.next("a").vocabulary_size == 256


def test_a_folder_of_that_name_comes_first(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add("org/tiny")
    as_folder(tiny(num_hidden_layers=1), tmp_path / "org" / "tiny")
    monkeypatch.chdir(tmp_path)
    with capot.open("org/tiny") as model:
        assert model.checkpoint.config.layers == 1
    assert not hub.seen


@pytest.mark.parametrize("name", ["boxed", "scripted"])
def test_what_comes_with_the_package_asks_no_hub(hub: Hub, name: str) -> None:
    with capot.open(name) as model:
        assert model.tokens("a").count == 1
    assert not hub.seen


def test_a_revision_is_asked_for_again_and_a_commit_never(hub: Hub) -> None:
    model = hub.add("org/tiny")
    old = model.commit
    capot.open("org/tiny").close()
    model.files["README.md"] = b"---\nlicense: apache-2.0\n---\n"
    assert capot.open("org/tiny").checkpoint.path.name == old  # what is here is used as it is
    assert capot.open("org/tiny", revision="main").checkpoint.path.name == model.commit
    hub.seen.clear()
    assert capot.open("org/tiny", revision=old).checkpoint.path.name == old
    assert not hub.seen


def test_a_branch_that_is_here_opens_without_a_network(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add("org/tiny", branches={"dev/one": ""})
    path = capot.open("org/tiny", revision="dev/one").checkpoint.path
    monkeypatch.setenv("HF_ENDPOINT", NOWHERE)
    assert capot.open("org/tiny", revision="dev/one").checkpoint.path == path


def test_code_comes_and_is_named_only_where_it_is_trusted(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    own = {"architectures": ["OwnForCausalLM"], "auto_map": {"AutoModelForCausalLM": "modeling_own.OwnForCausalLM"}}
    files = tiny(**own) | {"modeling_own.py": b"print(1)\n"}
    hub.add("org/own", files)
    models.get("org/own")
    assert not (cached("org/own") / "modeling_own.py").exists()
    status, _, told = typed(capsys, "card", "--model", "org/own", "--trust-remote-code")
    assert status == 0 and "modeling_own.py" in told and "with all your rights" in told
    checkpoint = HubCheckpoint.of("org/own", remote_code=True)
    assert not checkpoint.has("weights")
    checkpoint.fetch("weights")
    assert (cached("org/own") / "modeling_own.py").read_bytes() == b"print(1)\n" and checkpoint.has("weights")
    assert "no code of its own" in typed(capsys, "card", "--model", "boxed", "--trust-remote-code")[2]


def test_code_that_is_named_and_not_there_is_said_before_the_weights_come(hub: Hub) -> None:
    hub.add("org/own", tiny(**REMOTE) | {"modeling_x.py": b""})
    with pytest.raises(CapotError) as refused:
        HubCheckpoint.of("org/own", remote_code=True).fetch("weights")
    assert refused.value.code == "hub_file_missing" and refused.value.params["file"] == "configuration_x.py"
    assert not hub.paths(server="store")


def test_a_mirror_that_lists_names_alone(hub: Hub) -> None:
    hub.add("org/tiny", bare=True)
    models.get("org/tiny")
    assert (cached() / WEIGHTS).read_bytes() == tiny()[WEIGHTS]
    assert Store.of("org/tiny").blob(hub.models["org/tiny"].etag(WEIGHTS)).is_file()


def test_python_hears_of_a_download(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    hub.add("org/m", large())
    with capot.open("org/m") as model:
        assert capsys.readouterr().err == ""
        model.next("a")
    assert capsys.readouterr().err.startswith("To download for org/m")


def test_an_older_vocabulary_is_brought_to_be_converted(hub: Hub) -> None:
    files = {name: raw for name, raw in tiny().items() if name != "tokenizer.json"}
    hub.add("org/old", files | {"vocab.json": b"{}", "merges.txt": b""})
    with capot.open("org/old") as model, pytest.raises(CapotError) as refused:
        model.tokens("a")
    assert refused.value.code == "tokenizer_format" and str(cached("org/old")) in str(refused.value)


def test_a_tokenizer_of_the_hub_is_compared_without_its_weights(
    hub: Hub, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("org/tiny")
    for _ in range(2):
        status, out, _ = typed(capsys, "tokens", "été", "--compare", "org/tiny", "--json")
        assert status == 0 and json.loads(out)["comparisons"][1]["count"] == 5
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert not hub.paths(containing=WEIGHTS)
    status, out, _ = typed(capsys, "tokens", "a", "--compare", "org/other", "--json")
    assert status == 0 and [each["code"] for each in json.loads(out)["missing"]] == ["tokenizer_hub"]


@pytest.mark.parametrize(("lang", "words"), [("en", "To download for org/fat"), ("fr", "À télécharger pour org/fat")])
def test_a_tokenizer_to_compare_is_announced_like_any_download(
    hub: Hub, capsys: pytest.CaptureFixture[str], lang: str, words: str
) -> None:
    files = tiny()
    hub.add("org/fat", files | {"tokenizer.json": files["tokenizer.json"] + b" " * 1_500_000})
    status, out, err = typed(capsys, "tokens", "a", "--compare", "org/fat", "--json", "--lang", lang)
    assert status == 0 and words in err and words not in out
    assert words not in typed(capsys, "tokens", "a", "--compare", "org/fat", "--lang", lang)[2]  # it is here now


# --- The card, before any download -------------------------------------------------------------------------


@pytest.mark.parametrize("shards", [1, 3])
def test_a_card_reads_headers_alone(hub: Hub, tmp_path: Path, shards: int, monkeypatch: pytest.MonkeyPatch) -> None:
    files = large() if shards == 1 else tiny(shards=shards)
    hub.add("org/m-instruct", files, gated="manual", downloads=1234)
    monkeypatch.setenv("HF_TOKEN", GOOD)
    with capot.open("org/m-instruct") as far, capot.open(as_folder(files, tmp_path / "m")) as near:
        ours, theirs = far.card(), near.card()
    assert ours.parameters == theirs.parameters and ours.memory.weights_bytes == theirs.memory.weights_bytes
    assert ours.memory.room_tokens == 256 and ours.memory.fits == "yes"
    assert (ours.licence, ours.kind, ours.engine) == ("mit", "instruct", theirs.engine)
    asked = [seen for seen in hub.seen if seen.server == "store"]
    assert len(asked) == shards and all(seen.headers["Range"].startswith("bytes=0-") for seen in asked)
    assert not list(cached("org/m-instruct").glob("*.safetensors"))
    told = ours.published
    assert told is not None and theirs.published is None
    assert (told.gated, told.downloads, told.downloaded, told.fits_disk) == ("manual", 1234, False, True)
    coming = sum(len(raw) for name, raw in files.items() if name.endswith(".safetensors") or name == "tokenizer.json")
    assert (told.download_bytes, told.download_files) == (coming, shards + 1)


def test_a_card_says_what_does_not_fit(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add("org/m", large())
    with capot.open("org/m") as model:
        monkeypatch.setenv("CAPOT_RAM", "0.001")
        monkeypatch.setenv("CAPOT_DISK", "0.05")
        card = model.card()
    assert card.memory.fits == "no" and card.published is not None and card.published.fits_disk is False
    assert "it does not fit" in card.to_text("en") and "il n’y tient pas" in card.to_text("fr")
    assert json.loads(card.to_json())["published"]["fits_disk"] is False


BEFORE = "read -rs HF_TOKEN"


@pytest.mark.parametrize(("lang", "words"), [("en", "guessed from"), ("fr", "estimé d’après")])
def test_a_gated_model_has_the_card_that_the_hub_tells_everyone(
    hub: Hub, capsys: pytest.CaptureFixture[str], lang: str, words: str
) -> None:
    files = tiny(shards=3)
    hub.add("org/gated-instruct", files, gated="manual", downloads=1234)
    for where in (("--model", "org/gated-instruct"), ("org/gated-instruct",)):
        status, out, err = typed(capsys, "card", *where, "--lang", lang)
        assert status == 0 and words in out and BEFORE in err and f"{hub.url}/org/gated-instruct" in err
    status, out, err = typed(capsys, "card", "--model", "org/gated-instruct", "--json")
    told, sizes = json.loads(out), {name: len(raw) for name, raw in files.items() if name != ".gitattributes"}
    assert status == 0 and BEFORE in err
    assert set(told) < {field.name for field in dataclasses.fields(Card)}
    weights = sum(size for name, size in sizes.items() if name.endswith(".safetensors"))
    assert told["parameters"]["total"] == weights // 4 and told["memory"]["needed_bytes"] > weights
    assert (told["kind"], told["kind_reason"], told["licence"], told["dtype"]) == ("instruct", "name", "mit", "float32")
    assert (told["published"]["download_bytes"], told["published"]["gated"]) == (sum(sizes.values()), "manual")
    assert not hub.paths(server="store")


def test_the_chapter_gives_the_card_before_the_gate(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python and a page have it from the chapter, as the command does; what is no gate is refused as it was."""
    hub.add("org/gated", gated="manual")
    monkeypatch.setattr("capot.chapters.card.verb.ram", lambda: Ram(total=8_000_000_000, available=4_000_000_000))
    monkeypatch.setattr("capot.chapters.card.gated.free_disk", lambda folder: 9_000_000_000)  # asked twice, and moves
    for token in (None, "hf_mistyped"):
        if token is not None:
            monkeypatch.setenv("HF_TOKEN", token)
        with pytest.raises(AccessError) as refused:
            capot.open("org/gated")
        told = before_the_gate("org/gated", refused.value)
        assert isinstance(told, Preview) and told.published.gated == "manual"
        assert (
            told.to_dict() == capot.models.preview("org/gated").to_dict() if token is None else told.name == "org/gated"
        )
    other = AccessError("owner_only")
    with pytest.raises(AccessError) as same:
        before_the_gate("org/gated", other)
    assert same.value is other
    with pytest.raises(AccessError) as same:
        before_the_gate("org/nowhere", refused.value)
    assert same.value is refused.value


@pytest.mark.parametrize(("lang", "words"), [("en", "tells everyone"), ("fr", "dit à tout le monde")])
def test_the_lab_tells_its_owner_the_card_before_the_gate(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, lang: str, words: str
) -> None:
    """Before the refusal, which stays what it was; of what is no gate nothing is told."""
    hub.add("org/gated", gated="manual")
    monkeypatch.setattr("capot.chapters.card.verb.ram", lambda: Ram(total=8_000_000_000, available=4_000_000_000))
    monkeypatch.setattr("capot.chapters.card.gated.free_disk", lambda folder: 9_000_000_000)  # asked twice, and moves
    opens = opening.verb(cast(Learners, None)).function  # that nobody is asked before there is a model
    events: list[NamedEvent] = []
    with pytest.raises(AccessError, match="org/gated") as refused, i18n.use_language(lang):
        opens(cast(Any, None), model="org/gated", progress=events.append)
    assert refused.value.code == "hub_gated"
    assert [event.kind for event in events if event.kind != "progress"] == ["card"] and events[-1].kind == "card"
    told = json.loads(encode_json(events[-1].body()))
    assert told["result"] == capot.models.preview("org/gated").to_dict()
    assert words in told["view"][-1]["text"]
    events.clear()
    with pytest.raises(CapotError):
        opens(cast(Any, None), model="org/nowhere", progress=events.append)
    assert {event.kind for event in events} == {"progress"}


def test_a_gated_model_of_a_public_shape_has_a_whole_card(
    hub: Hub, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("meta-llama/Llama-3.2-1B", gated="manual", parameters=1_235_814_400)
    monkeypatch.setenv("HF_TOKEN", OUTSIDER)
    status, out, err = typed(capsys, "card", "--model", "meta-llama/Llama-3.2-1B", "--json")
    told = json.loads(out)
    assert status == 0 and "where the request stands" in err
    assert (told["layers"], told["context_length"], told["kind"]) == (16, 131_072, "base")
    assert told["parameters"]["total"] == 1_235_814_400 and told["engine"] and told["published"]["gated"] == "manual"
    hub.add("other/Llama-3.2-1B", gated="auto", parameters=7_000_000_000)  # its name alone
    told = json.loads(typed(capsys, "card", "--model", "other/Llama-3.2-1B", "--json")[1])
    assert told["parameters"]["total"] == 7_000_000_000 and "layers" not in told


@pytest.mark.parametrize("token", ["hf_mistyped", "hf_bad\ttoken"])
@pytest.mark.parametrize(("lang", "words"), [("en", "guessed from"), ("fr", "estimé d’après")])
def test_a_wrong_token_is_said_to_be_and_hides_nothing_that_everyone_is_told(
    hub: Hub, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, token: str, lang: str, words: str
) -> None:
    hub.add("org/open")
    hub.add("org/gated", gated="manual")
    monkeypatch.setenv("HF_TOKEN", token)
    status, out, err = typed(capsys, "card", "org/open", "--json", "--lang", lang)
    assert status == 0 and json.loads(out)["layers"] == 2 and "HF_TOKEN" in err and token not in out + err
    assert not [seen for seen in hub.seen if token in seen.headers.get("Authorization", "") and "api" not in seen.path]
    status, out, err = typed(capsys, "card", "org/gated", "--lang", lang)
    assert status == 0 and words in out and "HF_TOKEN" in err and f"{hub.url}/org/gated" not in err
    status, out, err = typed(capsys, "models", "--search", "open", "--json", "--lang", lang)
    assert status == 0 and json.loads(out)["models"][0]["name"] == "org/open" and "HF_TOKEN" in err
    for words_typed in (("next", "a", "--model", "org/gated"), ("card", "org/nowhere")):
        status, out, err = typed(capsys, *words_typed, "--lang", lang)
        assert status == 2 and not out and "HF_TOKEN" in err
    assert settings._nobody.get() is False


def test_a_card_that_cannot_be_written_behind_a_gate_says_so(
    hub: Hub, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    hub.add("org/gated", gated="manual")
    status, out, _ = typed(capsys, "card", "org/gated", "--html", str(tmp_path), "--json")
    assert status == 2 and json.loads(out)["error"]["code"] == "cannot_write"


def test_a_name_is_opened_as_after_model(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    hub.add("org/m", tiny(architectures=["GPT2LMHeadModel"], model_type="gpt2"), branches={"dev": ""})
    status, out, _ = typed(capsys, "card", "org/m", "--revision", "dev", "--engine", "native", "--json")
    assert status == 0 and json.loads(out)["obstacle"] == "family"
    assert Store.of("org/m").commit("dev") and not Store.of("org/m").commit("main")
    assert "--revision main" in typed(capsys, "card", "org/m", "--revision", "nope")[2]


def test_a_refusal_that_says_more_than_the_gate_stays(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    hub.add("org/pickled", PICKLED, gated="manual")
    status, out, err = typed(capsys, "card", "--model", "org/pickled")
    assert status == 2 and not out and BEFORE in err
    hub.add("org/gated", gated="manual")
    assert typed(capsys, "next", "a", "--model", "org/gated")[0] == 2  # only a card is had from outside


@pytest.mark.parametrize(
    ("files", "options", "engine", "obstacle"),
    [
        (tiny(), {}, None, None),
        (tiny(architectures=["GPT2LMHeadModel"], model_type="gpt2"), {"engine": "native"}, "native", "family"),
        (tiny(), {"engine": "native", "dtype": "float16"}, "native", "device"),
        (tiny(**REMOTE), {}, "transformers", "code"),
        (tiny(**REMOTE), {"trust_remote_code": True}, "transformers", None),
        (tiny(architectures=["XForCausalLM"], model_type="not_yet"), {}, "transformers", "version"),
        (tiny(**REMOTE | {"model_type": "phi"}), {}, "transformers", None),  # a family that transformers has
    ],
)
def test_a_card_says_what_its_engine_lacks(
    hub: Hub, files: dict[str, bytes], options: dict[str, Any], engine: str | None, obstacle: str | None
) -> None:
    pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    code = {"modeling_x.py": b"", "configuration_x.py": b""}
    hub.add("org/m", files | code)
    with capot.open("org/m", **options) as model:
        card = model.card()
    assert card.obstacle == obstacle and engine in (None, card.engine)
    for lang in ("en", "fr"):
        assert ("--trust-remote-code" in card.to_text(lang)) == (obstacle == "code")


@pytest.mark.parametrize(
    ("files", "kind", "words"),
    [
        (tiny(), "ready", ""),
        (without("tokenizer.json") | {"vocab.json": b"{}", "merges.txt": b""}, "old", "à convertir une fois"),
        (without("tokenizer.json", "tokenizer_config.json"), "none", "on ne peut lui donner aucun texte"),
    ],
)
@pytest.mark.parametrize("gated", ["", "manual"])
def test_a_card_says_whether_texts_can_be_read_to_a_model(
    hub: Hub, capsys: pytest.CaptureFixture[str], gated: str, files: dict[str, bytes], kind: str, words: str
) -> None:
    hub.add("org/m", files, gated=gated)
    for _ in range(1 if gated else 2):
        status, out, _ = typed(capsys, "card", "org/m", "--json")
        assert status == 0 and json.loads(out)["published"]["tokenizer"] == kind
        assert words in (typed(capsys, "card", "org/m", "--lang", "fr")[1])
        if not gated and kind == "none":
            assert typed(capsys, "models", "get", "org/m")[0] == 2 and not (cached("org/m") / WEIGHTS).exists()
        elif not gated:
            models.get("org/m")


def test_what_is_damaged_on_the_hub_itself_is_said_to_be(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    files = tiny()
    hub.add("org/short", files | {WEIGHTS: files[WEIGHTS][:-1000]})
    status, _, err = typed(capsys, "card", "--model", "org/short")
    assert status == 2 and "on the hub itself" in err and 'capot models --search "short"' in err


def test_a_card_and_a_list_of_models_import_nothing_heavy(hub: Hub) -> None:
    hub.add("org/m")
    script = (
        "import sys; from capot.cli import run; status = run(['card', '--model', 'org/m']) or run(['models']);"
        "sys.exit(status or bool({'torch', 'transformers', 'numba'} & set(sys.modules)))"
    )
    without = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, env=without)
    assert done.returncode == 0, done.stderr


def test_a_long_header_is_asked_for_to_its_end_and_a_false_one_refused(hub: Hub) -> None:
    files = tiny(num_hidden_layers=60, hidden_size=8, head_dim=4, intermediate_size=4)
    model = hub.add("org/deep", files)
    with capot.open("org/deep") as opened:
        assert opened.card().layers == 60
    asked = [seen.headers["Range"] for seen in hub.seen if seen.server == "store"]
    assert asked[0] == "bytes=0-32767" and asked[1].startswith("bytes=32768-")
    model.files["model.safetensors"] = b"\xff" * 100
    with capot.open("org/deep", revision="main") as opened, pytest.raises(ModelError):
        opened.card()


def test_a_server_without_ranges_and_a_cut_answer_are_lived_with(hub: Hub) -> None:
    hub.add("org/m", large())
    hub.fault(WEIGHTS, Fault(cut=100), Fault(whole=True))
    with capot.open("org/m") as model:
        assert model.card().parameters.total > 10**6


def test_ctrl_c_is_heard_while_many_headers_are_read(hub: Hub) -> None:
    files = tiny(shards=3)
    hub.add("org/m", files)
    for name in files:
        if name.endswith(".safetensors"):
            hub.fault(name, Fault(held=10, always=True))
    with subprocess_of("card", "org/m", "--json") as running:
        assert hub.holding.wait(60)
        running.send_signal(signal.SIGINT)
        out, told = running.communicate(timeout=60)
    assert running.returncode == 130 and json.loads(out)["error"]["code"] == "interrupted", told


def test_the_first_header_that_is_refused_ends_the_reading(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(far, "AT_ONCE", 1)
    asked = []

    def one(name: str) -> Any:
        asked.append(name)
        raise ModelError("hub_damaged_there", name="org/m", file=name, words="m")

    with pytest.raises(ModelError):
        far.parallel_map(one, ["a", "b", "c"])
    assert asked == ["a"]


def test_an_unknown_family_is_simulated_from_headers(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    hub.add("org/odd", tiny(model_type="nobody-knows", architectures=["NobodyForCausalLM"]))
    status, out, _ = typed(capsys, "memory", "--simulate", "--tokens", "8", "--model", "org/odd", "--json")
    assert status == 0 and json.loads(out)["parameters"] == sum(int(np.prod(s)) for s in server.shapes(CONFIG).values())
    assert all("Range" in seen.headers for seen in hub.seen if seen.server == "store")


# --- Refusals ---------------------------------------------------------------------------------------------

SECRET = "pass/word"
Setting = Callable[[Hub, pytest.MonkeyPatch], None]


def env(**values: str) -> Setting:
    return lambda hub, patch: [patch.setenv(name, value) for name, value in values.items()]  # type: ignore[return-value]


def repo(files: dict[str, bytes] | None = None, *, token: str = "", **facts: Any) -> Setting:
    def setting(hub: Hub, patch: pytest.MonkeyPatch) -> None:
        hub.add("org/wanted", files, **facts)
        if token:
            patch.setenv("HF_TOKEN", token)

    return setting


def api(*faults: Fault) -> Setting:
    return lambda hub, patch: hub.fault("api", *faults)


def stored(*faults: Fault) -> Setting:
    def setting(hub: Hub, patch: pytest.MonkeyPatch) -> None:
        hub.add("org/wanted")
        hub.fault(WEIGHTS, *faults)

    return setting


def proxied(address: str, *, scheme: str = "http") -> Setting:
    def setting(hub: Hub, patch: pytest.MonkeyPatch) -> None:
        patch.setenv("HF_ENDPOINT", "http://hub.invalid")
        patch.setenv("http_proxy", f"{scheme}://me:my{SECRET}@{address}")

    return setting


def no_host(hub: Hub, patch: pytest.MonkeyPatch) -> None:
    def nobody(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    patch.setattr(socket, "getaddrinfo", nobody)


def wrong(hub: Hub, patch: pytest.MonkeyPatch) -> None:
    hub.add("org/wanted", published={WEIGHTS: "0" * 64})


def file_token(hub: Hub, patch: pytest.MonkeyPatch) -> None:
    settings.token_path().parent.mkdir(parents=True, exist_ok=True)
    settings.token_path().write_text("hf_takenBack")


def full(hub: Hub, patch: pytest.MonkeyPatch) -> None:
    hub.add("org/wanted")
    patch.setenv("CAPOT_DISK", "0.0001")


def near(hub: Hub, patch: pytest.MonkeyPatch) -> None:
    hub.add("other/wanted-1b")
    capot.open("other/wanted-1b").close()


T5 = tiny(architectures=["T5WithLMHeadModel"], is_encoder_decoder=True)
ADAPTER = without(WEIGHTS) | {"adapter_model.safetensors": b"x", "training_args.bin": b"\x80"}
POINTING = without(WEIGHTS) | {
    "model.safetensors.index.json": b'{"weight_map": {"model.norm.weight": "pytorch_model.bin"}}',
    "pytorch_model.bin": b"\x80\x02",
}
SHARDED = without(WEIGHTS) | {"model.safetensors.index.json": b'{"weight_map": {"a": "b.safetensors"}}'}
LIMIT = Fault(429, {"RateLimit": '"api";r=0;t=99'}, always=True)
HOTEL = Fault(body=b"<html>Welcome! Room number?</html>", always=True)
REFUSALS: dict[str, tuple[Setting, str, str]] = {  # the code, and what the line to paste holds
    "unknown": (env(), "hub_unknown", 'capot models --search "wanted"'),
    "unknown with a name like it here": (near, "hub_unknown_near", "capot card --model other/wanted-1b"),
    "private": (repo(private=True), "hub_unknown", "capot models --search"),
    "no network": (no_host, "hub_unreachable", "capot models"),
    "nobody listens": (env(HF_ENDPOINT=NOWHERE), "hub_unreachable", "HTTPS_PROXY"),
    "offline": (env(HF_HUB_OFFLINE="1"), "hub_offline", "unset HF_HUB_OFFLINE"),
    "offline, said to transformers": (env(TRANSFORMERS_OFFLINE="true"), "hub_offline", "unset"),
    "gated, no token": (repo(gated="auto"), "hub_gated", "read -rs HF_TOKEN; export HF_TOKEN"),
    "gated, no access": (repo(gated="manual", token=OUTSIDER), "hub_no_access", "/org/wanted"),
    "gated, a token without the right": (repo(gated="auto", token=SCOPED), "hub_token_scope", "/settings/tokens"),
    "wrong token": (repo(token="hf_mistyped"), "hub_wrong_token", "unset HF_TOKEN"),
    "wrong token of a file": (file_token, "hub_wrong_token_file", "rm "),
    "token that cannot be sent": (repo(token="hf_bad\ttoken"), "hub_token_malformed", "read -rs HF_TOKEN"),
    "rate limited": (api(Fault(429, {"Retry-After": "60"}, always=True)), "hub_rate_limited", "HF_TOKEN"),
    "rate limited, today's header": (
        api(Fault(429, {"RateLimit": '"api";r=0;t=99'}, always=True)),
        "hub_rate_limited",
        "HF_TOKEN",
    ),
    "rate limited until a date": (
        api(Fault(429, {"Retry-After": "Wed, 21 Oct 2099 07:28:00 GMT"}, always=True)),
        "hub_rate_limited",
        "HF_TOKEN",
    ),
    "rate limited for a number of 400 digits": (
        api(Fault(429, {"Retry-After": "9" * 400}, always=True)),
        "hub_rate_limited",
        "HF_TOKEN",
    ),
    "rate limited until the year 10^11": (
        api(Fault(429, {"Retry-After": "Wed, 21 Oct 100000000000 07:28:00 GMT"}, always=True)),
        "hub_rate_limited",
        "HF_TOKEN",
    ),
    "rate limited for ever, today's header": (
        api(Fault(429, {"RateLimit": '"api";r=0;t=' + "9" * 5000}, always=True)),
        "hub_rate_limited",
        "HF_TOKEN",
    ),
    "rate limited by the store": (
        stored(Fault(429, {"Retry-After": "300"}, always=True)),
        "hub_rate_limited",
        "HF_TOKEN",
    ),
    "a store that fails": (stored(Fault(503, always=True)), "hub_failing", "https://status.huggingface.co"),
    "a proxy that is not there": (proxied("127.0.0.1:9"), "hub_no_proxy", "export HTTPS_PROXY=http://"),
    "a proxy without a port": (proxied("127.0.0.1:none"), "hub_proxy_address", "unset HTTPS_PROXY"),
    "a proxy of another kind": (proxied("127.0.0.1:9", scheme="socks5h"), "hub_proxy_address", "unset HTTPS_PROXY"),
    "a proxy that wants to know who asks": (api(Fault(407, always=True)), "hub_proxy", "USER:PASSWORD|NOM:MOTDEPASSE"),
    "failing": (api(Fault(500, always=True)), "hub_failing", "https://status.huggingface.co"),
    "forbidden": (api(Fault(403, {"X-Error-Message": "not from here"}, always=True)), "hub_forbidden", "/org/wanted"),
    "a redirect to no address": (api(Fault(307, {"Location": "http://[::1/"}, always=True)), "hub_redirect", ""),
    "an index of nothing": (repo(NOTHING_IN_IT), "index_invalid", "model.safetensors.index.json"),
    "not a hub": (api(HOTEL), "hub_not_a_hub", "unset HF_ENDPOINT"),
    "no address": (env(HF_ENDPOINT="ftp://x"), "hub_endpoint", "HF_ENDPOINT=https://huggingface.co"),
    "no certificates": (env(REQUESTS_CA_BUNDLE="/no/such.pem"), "hub_certificates", "unset REQUESTS_CA_BUNDLE"),
    "disk too full": (full, "disk_full", "export HF_HOME="),
    "only pickles": (repo(PICKLED), "hub_pickled", 'capot models --search "wanted"'),
    "an index of pickles": (repo(POINTING), "index_invalid", "model.safetensors.index.json"),
    "no tokenizer": (
        repo(without("tokenizer.json", "tokenizer_config.json")),
        "hub_no_tokenizer",
        'capot models --search "wanted"',
    ),
    "an adapter": (repo(ADAPTER), "hub_no_weights", "capot models --search"),
    "no config": (repo({"README.md": b"x", "model.gguf": b"x"}), "hub_no_config", "capot models --search"),
    "fills gaps": (repo(BERT), "hub_not_causal", "capot models --search"),
    "encodes and decodes": (repo(T5), "hub_not_causal", "capot models --search"),
    "wrong hash": (wrong, "hub_checksum", "capot models get org/wanted"),
    "damaged config": (repo(tiny() | {"config.json": b"{"}), "json_invalid", ""),
    "shard not there": (repo(SHARDED), "hub_file_missing", "--revision main"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_each_refusal_says_what_happened_and_what_to_paste(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    setting, code, pasted = REFUSALS[case]
    setting(hub, monkeypatch)
    command = ("next", "a", "--model", "org/wanted")
    status, out, _ = typed(capsys, *command, "--json")
    error = json.loads(out)["error"]
    assert (status, error["code"]) == (2, code), error
    for lang in ("en", "fr"):
        status, out, told = typed(capsys, *command, "--lang", lang)
        assert status == 2 and out == "" and "Traceback" not in told
        assert any(words in told.replace("\xa0", " ") for words in pasted.split("|"))
        assert os.environ.get("HF_TOKEN", "∅") not in told and SECRET not in told
    assert not hub.paths(containing="pytorch_model.bin")


def test_a_revision_is_refused_where_there_is_none(hub: Hub, tmp_path: Path) -> None:
    hub.add("org/tiny")
    for revision in ("nope", "../../etc", "a b", "-x"):
        with pytest.raises(CapotError) as refused:
            capot.open("org/tiny", revision=revision)
        assert refused.value.code == "hub_unknown_revision"
    assert len(hub.seen) == 1  # what could lead out of a folder is asked of nobody
    with pytest.raises(CapotError) as refused:
        capot.open(as_folder(tiny(), tmp_path / "m"), revision="main")
    assert refused.value.code == "revision_of_folder"


def told(*files: dict[str, Any]) -> Fault:
    """A hub's answer that names these files."""
    return Fault(body=json.dumps({"sha": "a" * 40, "siblings": list(files)}).encode())


def test_no_name_of_a_file_leads_out_of_its_folder(hub: Hub) -> None:
    wild = (
        "../evil.py",
        "a/../../evil.py",
        "/etc/evil.py",
        "..\\evil.py",
        "C:evil.py",
        ".evil.py",
        "evil\n.py",
        "",
        3,
        None,
    )
    hub.fault("api", told({"rfilename": "good.py"}, *({"rfilename": name} for name in wild), {}))
    repo = model_info("org/m", "main")
    assert repo.names() == ["good.py"] and files_needed(repo, "settings") == []


@pytest.mark.parametrize(
    "entry",
    [
        {"size": 3, "blobId": "../../../evil"},
        {"size": 3, "blobId": "evil/evil"},
        {"size": 3, "blobId": "..\\evil"},
        {"size": -3, "blobId": "a" * 40},
        {"size": 3, "blobId": "a" * 40, "lfs": {"size": 3, "sha256": "/etc/passwd"}},
    ],
)
def test_no_hash_leads_out_of_the_cache(hub: Hub, entry: dict[str, Any]) -> None:
    hub.fault("api", told({"rfilename": "config.json", **entry}))
    with pytest.raises(NetworkError) as refused:
        capot.open("org/m")
    assert refused.value.code == "hub_not_a_hub" and not list(settings.cache_folder().rglob("*evil*"))


def test_an_answer_that_was_cut_short_is_no_answer() -> None:
    stream = io.BytesIO(b"[1]")
    stream.length = 0  # type: ignore[attr-defined] - what is still to come, as http.client says it
    answer = connection.Response(200, {}, stream, "http://hub", ours=True)
    assert requests.read_all(answer, 100) == b"[1]"
    stream.seek(0)
    stream.length = 5  # type: ignore[attr-defined]
    with pytest.raises(connection.BROKEN):
        requests.read_all(answer, 100)


def test_a_file_of_another_size_than_was_told_is_not_read(hub: Hub) -> None:
    hub.add("org/m")
    repo = model_info("org/m", "main")
    file = repo.file(WEIGHTS)
    assert len(far.RangeReader(repo, file).read(8)) == 8
    with pytest.raises(NetworkError) as refused:
        far.RangeReader(repo, dataclasses.replace(file, size=file.size + 1)).read(8)
    assert refused.value.code == "hub_broken"


def test_nothing_is_left_of_a_file_of_which_nothing_came(hub: Hub) -> None:
    hub.add("org/m")
    hub.fault(WEIGHTS, Fault(404, always=True))
    with pytest.raises(CapotError):
        models.get("org/m")
    assert not list((Store.of("org/m").folder / "blobs").glob("*.incomplete"))


def test_passing_trouble_is_waited_out(hub: Hub) -> None:
    hub.add("org/tiny")
    hub.fault("api", Fault(503), Fault(429, {"Retry-After": "0"}), Fault(500))
    hub.fault(WEIGHTS, Fault(503), Fault(403, body=b"Request has expired"), Fault(429, {"Retry-After": "0"}))
    models.get("org/tiny")
    assert (cached() / WEIGHTS).is_file()


def test_a_date_to_wait_for_is_read_as_seconds() -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=20), usegmt=True)
    for told, least, most in ((soon, 15.0, 20.0), ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0, 0.0), ("7", 7.0, 7.0)):
        waited = retry_after(connection.Response(429, {"retry-after": told}, None, "http://hub", ours=True))
        assert waited is not None and least <= waited <= most
    for told in ("soon", "-5", ""):
        assert retry_after(connection.Response(429, {"retry-after": told}, None, "http://hub", ours=True)) is None


def test_a_token_that_the_hub_does_not_know_is_wrong_wherever_it_is_refused() -> None:
    answer = connection.Response(401, {"x-error-code": "GatedRepo"}, None, settings.PUBLIC, ours=True)
    assert response_error(answer, Subject("a/b"), token="hf_mistyped").code == "hub_wrong_token_file"
    assert response_error(answer, Subject("a/b"), token=None).code == "hub_gated"


def test_names_of_the_hub() -> None:
    assert is_name("meta-llama/Llama-3.2-1B") and is_name("a/b") and is_name("a/b.github-copy")
    for name in ("gpt2", "a/b/c", "./a", "../b", "a/..", "/a/b", "a/", "a b/c", "a/b.git", "~/models", "C:\\a/b", ""):
        assert not is_name(name), name


def test_what_continues_a_text_is_told_from_what_does_not() -> None:
    check_causal("m", {})
    check_causal("m", {"architectures": ["GPT2LMHeadModel"]})
    check_causal("m", {"architectures": ["Own"], "auto_map": {"AutoModelForCausalLM": "a.Own"}})
    check_causal("m", {"architectures": ["Gemma3ForConditionalGeneration"], "text_config": {}})
    for other in ("T5ForConditionalGeneration", "BertModel", "WhisperForConditionalGeneration"):
        with pytest.raises(CapotError):
            check_causal("m", {"architectures": [other]})


# --- Downloads that break ---------------------------------------------------------------------------------


def ranges(hub: Hub) -> list[str | None]:
    return [seen.headers.get("Range") for seen in hub.seen if seen.server == "store"]


def test_a_cut_download_goes_on_from_where_it_stopped(hub: Hub) -> None:
    files = large()
    hub.add("org/m", files)
    hub.fault(WEIGHTS, Fault(cut=200_000), Fault(cut=200_000))
    models.get("org/m")
    assert (cached("org/m") / WEIGHTS).read_bytes() == files[WEIGHTS]
    assert ranges(hub) == [None, "bytes=200000-", "bytes=400000-"]


def test_one_byte_a_connection_is_no_progress(hub: Hub) -> None:
    hub.add("org/m", large())
    hub.fault(WEIGHTS, Fault(cut=1, always=True))
    with pytest.raises(NetworkError) as refused:
        models.get("org/m")
    assert refused.value.code == "hub_cut" and len(ranges(hub)) == 4 == int(refused.value.params["done"])


@pytest.mark.parametrize("number", ["1" + "0" * 400, "9" * 5000, "-1", "1e400", str(2**62)])
def test_sizes_and_counts_beyond_all_measure(hub: Hub, number: str) -> None:
    hub.add("org/m")
    told = {"sha": hub.models["org/m"].commit, "downloads": 0, "safetensors": {"parameters": {"F32": 0}}}
    files = [{"rfilename": name, "size": 0, "blobId": "0" * 40} for name in ("config.json", WEIGHTS, "tokenizer.json")]
    body = json.dumps(told | {"siblings": files, "id": "org/m"}).replace(": 0", f": {number}").encode()
    hub.fault("api", Fault(body=body), Fault(body=b"[" + body + b"]", always=True))
    repo = model_info("org/m", "main")
    assert repo.downloads is None or repo.downloads == int(number)
    for name in (WEIGHTS, "config.json"):  # what the list says is no size: the file itself is asked
        try:
            assert repo.file(name).size == len(hub.models["org/m"].files[name])
        except NetworkError as error:
            assert error.code == "hub_not_a_hub"
    assert list(models.search("m").models) == []


def test_one_cut_again_and_again_is_taken_up_by_the_next_run(hub: Hub) -> None:
    files = large()
    hub.add("org/m", files)
    hub.fault(WEIGHTS, Fault(cut=200_000), *[Fault(cut=0)] * 4)
    with pytest.raises(NetworkError) as refused:
        models.get("org/m")
    assert refused.value.code == "hub_cut" and int(refused.value.params["done"]) == 200_000
    hub.seen.clear()
    told: list[str] = []
    models.get("org/m", watch=log_progress(lambda key, **params: told.append(key)))
    assert ranges(hub) == ["bytes=200000-"] and told[0] == "hub.resumed" and told[-1] == "hub.done"
    assert (cached("org/m") / WEIGHTS).read_bytes() == files[WEIGHTS]


def test_a_server_that_knows_no_ranges_starts_again(hub: Hub) -> None:
    files = large()
    hub.add("org/m", files)
    hub.fault(WEIGHTS, Fault(cut=200_000), Fault(whole=True))
    models.get("org/m")
    assert (cached("org/m") / WEIGHTS).read_bytes() == files[WEIGHTS]


def test_another_part_than_the_one_asked_for_is_never_joined(hub: Hub) -> None:
    files = large()
    hub.add("org/m", files)
    hub.fault(WEIGHTS, Fault(cut=200_000), Fault(shifted=7))
    models.get("org/m")
    assert (cached("org/m") / WEIGHTS).read_bytes() == files[WEIGHTS]
    assert ranges(hub) == [None, "bytes=200000-", "bytes=200000-"]


def test_a_stalled_connection_is_given_up_and_tried_again(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    files = large()
    hub.add("org/m", files)
    monkeypatch.setenv("HF_HUB_DOWNLOAD_TIMEOUT", "1")
    hub.fault(WEIGHTS, Fault(held=100_000))
    models.get("org/m")
    assert (cached("org/m") / WEIGHTS).read_bytes() == files[WEIGHTS]
    assert ranges(hub) == [None, "bytes=100000-"]


def test_bytes_that_are_not_the_published_ones_are_never_kept(hub: Hub) -> None:
    hub.add("org/m")
    hub.fault(WEIGHTS, Fault(wrong=True, always=True))
    with pytest.raises(ModelError) as refused:
        models.get("org/m")
    assert refused.value.code == "hub_checksum" and not (cached("org/m") / WEIGHTS).exists()
    assert not list((Store.of("org/m").folder / "blobs").glob("*.incomplete"))
    hub.faults.clear()
    models.get("org/m")


def test_a_beginning_that_was_wrong_is_brought_once_more(hub: Hub) -> None:
    files = large()
    model = hub.add("org/m", files)
    partial = Store.of("org/m").partial(model.etag(WEIGHTS))
    partial.parent.mkdir(parents=True)
    partial.write_bytes(b"\0" * 300_000)
    models.get("org/m")
    assert (cached("org/m") / WEIGHTS).read_bytes() == files[WEIGHTS]
    assert ranges(hub) == ["bytes=300000-", None]


def test_small_files_are_held_against_their_hash_too(hub: Hub) -> None:
    hub.add("org/m")
    hub.fault("config.json", Fault(wrong=True, always=True))
    with pytest.raises(ModelError) as refused:
        capot.open("org/m")
    assert refused.value.code == "hub_checksum"


def test_one_process_waits_for_another(hub: Hub) -> None:
    model = hub.add("org/m")
    checkpoint = HubCheckpoint.of("org/m")
    events = checkpoint.missing("weights").events()
    with Store.of("org/m").lock(model.etag(WEIGHTS)) as ours:
        assert ours
        assert [next(events).step, next(events).step] == ["announced", "waiting"]
    assert [event.step for event in events][-1] == "done"


def test_a_disk_that_fills_up_keeps_what_came(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add("org/m", large())
    capot.open("org/m").tokenizer  # noqa: B018 - it alone
    whole = fetch.FileDownload._write

    def full(self: Any, out: Any, piece: bytes) -> None:
        if self.partial.stat().st_size > 100_000:
            raise OSError(errno.ENOSPC, "No space left on device", str(self.partial))
        whole(self, out, piece)

    monkeypatch.setattr(fetch.FileDownload, "_write", full)
    with pytest.raises(ResourceError) as refused:
        models.get("org/m")
    assert refused.value.code == "disk_full_now"
    (partial,) = (Store.of("org/m").folder / "blobs").glob("*.incomplete")
    assert partial.stat().st_size > 100_000


def test_a_disk_too_small_is_seen_before_a_byte_comes(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add("org/m", large())
    opened = capot.open("org/m")
    monkeypatch.setenv("CAPOT_DISK", "0.051")
    with opened, pytest.raises(ResourceError) as refused:
        opened.next("a")
    assert refused.value.code == "disk_full" and not hub.paths(server="store")


def test_a_cache_that_cannot_be_written(hub: Hub, tmp_path: Path) -> None:
    hub.add("org/m")
    (tmp_path / "hf").write_text("a file")
    with pytest.raises(CapotError) as refused:
        capot.open("org/m")
    assert refused.value.code == "cache_unwritable" and str(tmp_path / "hf") in str(refused.value)
    assert "export HF_HOME=" in refused.value.message(face="command")
    assert 'os.environ["HF_HOME"] = ' in str(refused.value)


def test_a_file_that_was_damaged_here_is_said_to_be(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    hub.add("org/tiny")
    models.get("org/tiny")
    weights = (cached() / WEIGHTS).resolve()
    weights.write_bytes(weights.read_bytes()[:1000])
    status, _, told = typed(capsys, "next", "a", "--model", "org/tiny")
    assert status == 2 and "capot models remove org/tiny --yes && capot models get org/tiny" in told


def test_a_file_that_came_damaged_is_not_said_to_be_damaged_here(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    hub.add("org/short", tiny() | {WEIGHTS: tiny()[WEIGHTS][:-1000]})
    status, out, _ = typed(capsys, "next", "a", "--model", "org/short", "--json")
    assert status == 2 and json.loads(out)["error"]["code"] == "hub_damaged_there"


def test_ctrl_c_keeps_what_came_and_says_how_to_go_on(hub: Hub) -> None:
    files = large()
    hub.add("org/m", files)
    hub.fault(WEIGHTS, Fault(held=1_000_000))
    with subprocess_of("models", "get", "org/m", "--lang", "fr") as running:
        assert hub.holding.wait(60)
        running.send_signal(signal.SIGINT)
        out, told = running.communicate(timeout=60)
    assert running.returncode == 130 and out == "", told
    assert "À télécharger pour org/m" in told and "capot models get org/m" in told and "Traceback" not in told
    assert list((Store.of("org/m").folder / "blobs").glob("*.incomplete"))
    hub.seen.clear()
    with subprocess_of("next", "a", "--model", "org/m", "--json") as running:
        out, told = running.communicate(timeout=120)
    assert running.returncode == 0 and json.loads(out)["vocabulary_size"] == 256, told
    assert (ranges(hub)[0] or "").startswith("bytes=") and "of it here already" in told
    assert (cached("org/m") / WEIGHTS).read_bytes() == files[WEIGHTS]


def test_an_interruption_in_python_is_an_error_of_ours(hub: Hub) -> None:
    hub.add("org/m")

    def leave(events: Iterator[DownloadProgress]) -> None:
        next(events)
        raise KeyboardInterrupt

    with pytest.raises(InterruptedByUser) as stopped:
        models.get("org/m", watch=leave)
    assert stopped.value.code == "hub_interrupted"


def test_the_bar_moves_on_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("capot.cli.progress.EVERY", 0.0)
    steps = [("announced", 0), ("downloading", 0), ("downloading", 2), ("retrying", 2), ("done", 4)]
    draw(DownloadProgress(step, "org/m", "f", done * 10**6, 4 * 10**6, 1, free=10**9) for step, done in steps)  # type: ignore
    told = capsys.readouterr().err.replace("\xa0", " ")
    assert "4.00 MB in 1 file (1.00 GB free" in told and " 50%" in told and "resumes where it stopped" in told
    assert told.count("\n") == 2  # the announcement and the end


# --- The token, the way out -------------------------------------------------------------------------------


def test_the_token_goes_to_the_hub_alone_and_is_written_nowhere(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    hub.add("org/secret", gated="auto")
    monkeypatch.setenv("HF_TOKEN", GOOD)
    told = ""
    for words in (
        ["card", "--model", "org/secret"],
        ["models", "get", "org/secret"],
        ["next", "a", "--model", "org/secret", "--json"],
        ["models"],
        ["models", "--search", "secret"],
        ["card", "--model", "org/nothing"],
    ):
        _, out, err = typed(capsys, *words)
        told += out + err
    assert {seen.server for seen in hub.seen} == {"hub", "store"}
    for seen in hub.seen:
        assert seen.headers.get("Authorization") == (f"Bearer {GOOD}" if seen.server == "hub" else None)
        assert GOOD not in seen.path
    assert GOOD not in told and "Bearer" not in told
    kept = [path for path in (tmp_path / "hf").rglob("*") if path.is_file()]
    assert kept and not any(GOOD.encode() in path.read_bytes() for path in kept)


def test_the_token_of_a_file_and_a_hub_that_repeats_it(
    hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("org/secret", gated="auto")
    (tmp_path / "hf").mkdir()
    (tmp_path / "hf" / "token").write_text(GOOD + "\n")
    monkeypatch.setenv("HF_TOKEN", " ")  # as good as none
    with capot.open("org/secret") as model:
        assert model.tokens("a").count == 1
    assert settings.token_source() == str(tmp_path / "hf" / "token")
    hub.fault("api", Fault(403, {"X-Error-Message": f"the token {GOOD} may not"}))
    status, _, told = typed(capsys, "card", "--model", "org/other")
    assert status == 2 and GOOD not in told and "the token … may not" in told


def test_the_store_refuses_a_token(hub: Hub) -> None:
    """So that the test above would see one that leaks."""
    hub.add("org/tiny")
    with connection.send(f"{hub.store_url}/org/tiny/{WEIGHTS}", token=GOOD) as answer:
        assert answer.status == 400


@pytest.mark.parametrize(
    ("url", "onward"),
    [
        ("https://a/b", "http://a/c"),
        ("http://a/b", "file:///etc/passwd"),
        ("http://a", "ftp://b"),
        ("http://a/b", "http://[::1"),
        ("http://a/b", "http://me:secret@c:99999/x?Signature=secret"),
    ],
)
def test_no_redirect_leads_out_of_the_web_or_out_of_encryption(url: str, onward: str) -> None:
    assert connection._redirect_target("https://a/b", "/c") == "https://a/c"
    with pytest.raises(NetworkError) as refused:
        connection._redirect_target(url, onward)
    assert refused.value.code == "hub_redirect" and "secret" not in str(refused.value)


def test_a_redirect_round_and_round_is_followed_a_few_times_and_a_renamed_model_is_found(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("org/new")
    monkeypatch.setenv("HF_TOKEN", GOOD)
    hub.fault("api", Fault(307, {"Location": "/api/models/org/new/revision/main?blobs=true"}))
    assert model_info("org/old", "main").commit == hub.models["org/new"].commit
    assert all(seen.headers.get("Authorization") for seen in hub.seen if seen.server == "hub")
    hub.seen.clear()
    hub.fault("api", Fault(307, {"Location": "/api/models/org/other/revision/main"}, always=True))
    with pytest.raises(NetworkError) as refused:
        capot.open("org/other")
    assert refused.value.code == "hub_redirect" and len(hub.seen) == connection.HOPS


def test_a_proxy_is_the_way_out_except_to_this_machine(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add("org/tiny")
    capot.open("org/tiny").close()  # NOWHERE is the proxy of every test
    monkeypatch.setenv("HF_ENDPOINT", "http://hub.invalid")
    monkeypatch.setenv("http_proxy", hub.url)
    capot.open("org/tiny", revision="main").close()
    assert hub.seen[-1].path.startswith("http://hub.invalid/api/models/org/tiny")
    hub.seen.clear()
    no_host(hub, monkeypatch)
    monkeypatch.setenv("no_proxy", "hub.invalid")
    with pytest.raises(NetworkError):
        capot.open("org/other")
    assert not hub.seen


def test_a_proxy_that_refuses_is_named(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "https://hub.invalid")
    monkeypatch.setenv("https_proxy", hub.url)  # the small hub knows no CONNECT
    with pytest.raises(NetworkError) as refused:
        capot.open("org/m")
    assert refused.value.code == "hub_proxy" and "hub.invalid" in str(refused.value)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
def test_a_company_certificate(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ssl

    hub.add("org/tiny")
    pem = tmp_path / "company.pem"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1"]
    made += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(pem), "-out", str(tmp_path / "cert")]
    subprocess.run(made, check=True, capture_output=True)
    pem.write_bytes(pem.read_bytes() + (tmp_path / "cert").read_bytes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    asked = hub._servers[0]
    asked.socket = context.wrap_socket(asked.socket, server_side=True)
    asked.handle_error = lambda *_: None  # type: ignore[method-assign] - a handshake that was refused
    monkeypatch.setenv("HF_ENDPOINT", hub.url.replace("http:", "https:"))
    with pytest.raises(NetworkError) as refused:
        capot.open("org/tiny")
    assert refused.value.code == "hub_certificate"
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "cert"))
    capot.open("org/tiny").close()


def test_settings_are_those_of_hugging_face_tools(hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert settings.cache_folder() == tmp_path / "hf" / "hub"
    monkeypatch.setenv("HF_HUB_CACHE", "$HF_HOME/elsewhere")
    assert settings.cache_folder() == tmp_path / "hf" / "elsewhere"
    for said, offline in (("1", True), ("true", True), ("YES", True), ("0", False), ("", False)):
        monkeypatch.setenv("HF_HUB_OFFLINE", said)
        assert settings.is_offline() is offline
    monkeypatch.setenv("HF_ENDPOINT", "https://me:secret@mirror.example")
    with pytest.raises(CapotError) as refused:
        settings.endpoint()
    assert "secret" not in str(refused.value)
    assert settings.retry_delays() == (0.01, 0.02, 0.04)
    for said, seconds in (("60", 60.0), ("inf", 3600.0), ("nan", 1.0), ("-5", 1.0), ("soon", 20.0)):
        monkeypatch.setenv("HF_HUB_DOWNLOAD_TIMEOUT", said)
        assert settings.timeout() == seconds


# --- The cache, shared with other tools -------------------------------------------------------------------

THEIRS = """
import sys
from huggingface_hub import hf_hub_download, snapshot_download
for name in sys.argv[2:]:
    print(hf_hub_download(sys.argv[1], name, local_files_only={local}))
"""


def theirs(*arguments: str, local: bool) -> list[str]:
    command = [sys.executable, "-c", THEIRS.format(local=local), *arguments]
    around = {**os.environ, "NO_PROXY": "127.0.0.1", "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=around)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_hugging_face_tools_find_what_came_here(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("huggingface_hub")
    hub.add("org/tiny")
    models.get("org/tiny")
    hub.seen.clear()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    paths = theirs("org/tiny", "config.json", WEIGHTS, local=True)
    assert [Path(path) for path in paths] == [cached() / "config.json", cached() / WEIGHTS]
    assert not hub.seen


def test_what_hugging_face_tools_brought_opens_here(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """It also holds the small hub of these tests to the client of the real one."""
    pytest.importorskip("huggingface_hub")
    hub.add("org/tiny")
    names = ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", WEIGHTS)
    theirs("org/tiny", *names, local=False)
    hub.seen.clear()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with capot.open("org/tiny") as model:
        assert model.next("a").vocabulary_size == 256
    assert [model.state for model in models.cached().models] == ["whole"]


def test_without_links_files_are_moved_into_place(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_DISABLE_SYMLINKS", "1")
    hub.add("org/tiny")
    models.get("org/tiny")
    assert (cached() / WEIGHTS).is_file() and not (cached() / WEIGHTS).is_symlink()
    hub.seen.clear()
    models.get("org/tiny")
    assert not hub.seen


@pytest.mark.parametrize("links", [True, False])
def test_what_another_process_brings_comes_once(hub: Hub, monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
    monkeypatch.setattr(fetch, "SHARE", 0.01)
    if not links:
        monkeypatch.setenv("HF_HUB_DISABLE_SYMLINKS", "1")
    hub.add("org/m", large())
    first, second = (HubCheckpoint.of("org/m").missing("weights").events() for _ in range(2))
    assert [next(first).step, next(first).step] == ["announced", "downloading"]
    assert [next(second).step, next(second).step] == ["announced", "waiting"]
    assert [event.step for event in first][-1] == [event.step for event in second][-1] == "done"
    assert len(hub.paths(server="store")) == 1 and (cached("org/m") / WEIGHTS).read_bytes() == large()[WEIGHTS]


def test_two_processes_that_link_at_once_both_succeed(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    model = hub.add("org/m")
    models.get("org/m")
    store, plain = Store.of("org/m"), Path.symlink_to

    def meanwhile(self: Path, target: str) -> None:
        monkeypatch.setattr(Path, "symlink_to", plain)
        with monkeypatch.context() as other:
            other.setattr("os.getpid", lambda: -1)
            store.link(model.etag(WEIGHTS), model.commit, WEIGHTS)
        plain(self, target)

    monkeypatch.setattr(Path, "symlink_to", meanwhile)
    store.link(model.etag(WEIGHTS), model.commit, WEIGHTS)
    assert (cached("org/m") / WEIGHTS).is_symlink() and (cached("org/m") / WEIGHTS).read_bytes() == tiny()[WEIGHTS]
    assert not list(cached("org/m").glob(".*.tmp"))


# --- capot models -----------------------------------------------------------------------------------------


def test_the_cache_is_listed_with_sizes_and_engines(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    assert "No model of the hub is on this machine yet" in typed(capsys, "models")[1]
    hub.add("org/whole")
    hub.add("org/looked-at")
    hub.add("org/neox", tiny(architectures=["GPTNeoXForCausalLM"], model_type="gpt_neox"))
    hub.add("org/begun", large())
    models.get("org/whole")
    capot.open("org/looked-at").close()
    capot.open("org/neox").close()
    hub.add("org/pickled", PICKLED)
    capot.open("org/pickled").close()
    hub.fault(WEIGHTS, Fault(cut=100_000), *[Fault(cut=0)] * 4)
    with pytest.raises(NetworkError):
        models.get("org/begun")
    found = {model.name: model for model in models.cached().models}
    assert {name: (model.state, model.engine) for name, model in found.items()} == {
        "org/begun": ("partial", found["org/whole"].engine),
        "org/looked-at": ("settings", found["org/whole"].engine),
        "org/neox": ("settings", "transformers"),
        "org/pickled": ("settings", None),  # nothing opens it
        "org/whole": ("whole", found["org/whole"].engine),
    }
    assert found["org/begun"].unfinished_bytes == 100_000
    files = sum(len(raw) for name, raw in tiny().items() if name != ".gitattributes")
    assert found["org/whole"].bytes == files + len(found["org/whole"].commit or "")  # what its main branch stands for
    status, out, _ = typed(capsys, "models", "--json")
    assert status == 0 and json.loads(out)["total_bytes"] == sum(model.bytes for model in found.values())
    assert "complet" in typed(capsys, "models", "--lang", "fr")[1]


def test_removing_asks_first(hub: Hub, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add("org/tiny")
    models.get("org/tiny")
    assert "capot models remove org/tiny --yes" in typed(capsys, "models", "remove", "org/tiny")[2]
    for answer, gone in (("", False), ("n", False), ("o", True)):
        typing = type("Typing", (), {"isatty": lambda self: True, "readline": lambda self, a=answer: a + "\n"})()
        with monkeypatch.context() as patch:
            patch.setattr("sys.stdin", typing)
            patch.setattr("sys.stderr.isatty", lambda: True, raising=False)
            status, _, told = typed(capsys, "models", "remove", "ORG/tiny", "--lang", "fr")
        assert status == 0 and "[o/N]" in told
        assert Store.of("org/tiny").folder.exists() is not gone
    status, _, told = typed(capsys, "models", "remove", "org/tiny")
    assert status == 2 and "not on this machine" in told


def test_a_model_that_is_linked_from_elsewhere_is_not_removed(
    hub: Hub, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    hub.add("org/tiny")
    models.get("org/tiny")
    folder = Store.of("org/tiny").folder
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    status, _, told = typed(capsys, "models", "remove", "org/tiny", "--yes")
    assert status == 2 and f'rm "{folder}"' in told and (tmp_path / "elsewhere" / "refs").is_dir()


def test_what_cannot_be_removed_is_said(hub: Hub, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "config.json")

    hub.add("org/tiny")
    models.get("org/tiny")
    monkeypatch.setattr(shutil, "rmtree", refuse)
    status, _, told = typed(capsys, "models", "remove", "org/tiny", "--yes", "--lang", "fr")
    assert status == 2 and str(Store.of("org/tiny").folder) in told and "permission refusée" in told


def test_a_cache_that_can_only_be_read_still_gives_what_it_has(
    hub: Hub, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("org/m", tiny(shards=3))
    assert typed(capsys, "card", "org/m")[0] == 0  # its settings and its index are here now, its weights are not

    def refuse(self: Path, *_: Any, **__: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    for verb in ("mkdir", "touch"):
        monkeypatch.setattr(Path, verb, refuse)
    assert typed(capsys, "card", "org/m")[0] == 0
    status, out, _ = typed(capsys, "next", "a", "--model", "org/m", "--json")
    assert status == 2 and json.loads(out)["error"]["code"] == "cache_unwritable"


def test_removing_takes_nothing_but_the_model(hub: Hub, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    hub.add("org/tiny")
    hub.add("org/other")
    models.get("org/tiny")
    models.get("org/other")
    for name in ("../..", "org", ".", "org/../other", "org/tinny"):
        assert typed(capsys, "models", "remove", name, "--yes")[0] == 2
    status, out, _ = typed(capsys, "models", "remove", "org/tiny", "--yes", "--json")
    assert status == 0 and json.loads(out)["action"] == "remove"
    assert [model.name for model in models.cached().models] == ["org/other"]


def test_a_search_lists_causal_models_by_downloads(
    hub: Hub, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("org/small-llama", downloads=5)
    hub.add("org/large-llama-instruct", large(), downloads=500, gated="auto")
    hub.add("org/llama-vision", downloads=900, pipeline="image-text-to-text")
    hub.add("org/bert-llama", BERT, downloads=800)
    hub.add("org/pickled-llama", PICKLED, downloads=700, tags=("text-generation",))
    hub.add("org/something", downloads=1000)
    models.get("org/small-llama")
    monkeypatch.setenv("CAPOT_RAM", "0.003")
    found = models.search("llama")
    assert [(model.name, model.fits, model.here) for model in found.models] == [
        ("org/large-llama-instruct", "no", False),
        ("org/small-llama", "yes", True),
    ]
    first = found.models[0]
    assert (first.gated, first.kind, first.licence, first.downloads) == ("auto", "instruct", "mit", 500)
    assert first.weights_bytes == 4 * first.parameters
    assert [model.name for model in models.search("llama", limit=1).models] == ["org/large-llama-instruct"]
    for lang, words in (("en", "2 causal models"), ("fr", "2 modèles causaux")):
        status, out, _ = typed(capsys, "models", "--search", "llama", "--lang", lang)
        assert status == 0 and words in out
    status, out, _ = typed(capsys, "models", "--search", "no", "such", "thing", "--json")
    assert status == 0 and json.loads(out)["models"] == [] and json.loads(out)["words"] == "no such thing"
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "unset HF_HUB_OFFLINE" in typed(capsys, "models", "--search", "llama")[2]


ODD = b'[3, {"id": "a/b", "tags": 3, "safetensors": {"parameters": {"F32": 8, "F16": "x"}}}]'


def test_what_a_mirror_tells_oddly_is_left_out(hub: Hub) -> None:
    hub.fault("api", Fault(body=ODD))
    (found,) = models.search("b").models
    assert (found.name, found.parameters, found.licence) == ("a/b", 8, None)


def test_a_search_allows_for_a_context(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add("meta-llama/Llama-3.2-1B", parameters=1_235_814_400)
    hub.add("org/Llama-like", parameters=1_235_814_400)
    exact, guessed = models.search("llama").models
    assert exact.weights_bytes == guessed.weights_bytes == 4 * 1_235_814_400
    assert exact.needed_bytes - exact.weights_bytes == 4096 * 2 * 16 * 8 * 64 * 4  # keys and values of sixteen layers
    assert guessed.needed_bytes > exact.needed_bytes  # of an unknown shape: without grouped queries
    monkeypatch.setenv("CAPOT_RAM", str((exact.needed_bytes + 1000) / 1e9))
    assert [model.fits for model in models.search("llama").models] == ["yes", "no"]


@pytest.mark.parametrize(
    "address",
    ["https://huggingface.co/org/tiny-1B", "huggingface.co/org/tiny-1B/tree/main", "http://hub/org/tiny-1B?x=1"],
)
def test_the_address_of_a_page_is_answered_with_a_name(
    hub: Hub, capsys: pytest.CaptureFixture[str], address: str
) -> None:
    for words in (("card", address), ("next", "a", "--model", address), ("models", "get", address)):
        for lang in ("en", "fr"):
            status, _, told = typed(capsys, *words, "--lang", lang)
            assert status == 2 and told.rstrip().endswith("org/tiny-1B")
    assert not hub.seen


@pytest.mark.parametrize("name", ["a" * 5000, "a" * 5000 + "/b", "~nobody-of-that-name/x", "org/tiny/", "\0", "🤗/é"])
def test_a_name_of_any_kind_is_refused_in_words(hub: Hub, capsys: pytest.CaptureFixture[str], name: str) -> None:
    status, out, _ = typed(capsys, "next", "a", "--model", name, "--json")
    error = json.loads(out)["error"]
    assert status == 2 and error["code"] == "unknown_model" and len(error["message"]) < 700
    assert '--search ""' not in error["message"]


def test_no_name_is_near_to_itself(hub: Hub) -> None:
    hub.add("org/gone")
    capot.open("org/gone").close()
    hub.models.clear()
    with pytest.raises(CapotError) as refused:
        capot.open("org/gone", revision="main")
    assert refused.value.code == "hub_unknown"


def test_a_name_without_an_owner_is_held_against_the_cache(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    hub.add("org/smollm-135")
    capot.open("org/smollm-135").close()
    for lang in ("en", "fr"):
        status, _, err = typed(capsys, "next", "a", "--model", "smollm-13", "--lang", lang)
        assert status == 2 and "capot card --model org/smollm-135" in err


@pytest.mark.parametrize("words", [("frob", "x"), ("get",), ("get", "gpt2"), ("remove",), ("get", "a/b", "c/d")])
def test_models_typed_wrongly(hub: Hub, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]) -> None:
    status, _, told = typed(capsys, "models", *words)
    assert status == 2 and "Traceback" not in told and "capot" in told
    assert not hub.seen


# --- As a person types ------------------------------------------------------------------------------------


ENGLISH = (["card"], "Nothing large is downloaded yet"), (["embed", "a", "b"], "To download for org/tiny-chat")
FRENCH = (
    (["tokens", "a b"], "3 caractères deviennent 3 tokens"),
    (["generate", "a", "--max-new-tokens", "3"], "À télécharger pour org/tiny-chat"),
    (["models"], "complet"),
)


@pytest.mark.parametrize(("lang", "calls"), [("en", ENGLISH), ("fr", FRENCH)])
def test_commands_end_to_end(hub: Hub, lang: str, calls: list[tuple[list[str], str]]) -> None:
    hub.add("org/tiny-chat", large())
    around = {**os.environ, "CAPOT_MODEL": "org/tiny-chat", "CAPOT_LANG": lang}
    for words, wanted in calls:
        with subprocess_of(*words, env=around) as running:
            out, told = running.communicate(timeout=120)
        assert running.returncode == 0, told
        assert wanted in (out + told).replace("\xa0", " ")
