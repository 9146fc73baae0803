"""Ask the hub about a model before a download: files, sizes, hashes, licence, gate.

One question, ``/api/models/ORG/NAME/revision/REV?blobs=true``, answers all of it. For each
file the hub publishes a hash: the SHA-256 of what lies in large storage, the SHA-1 that git
gives to the rest. They are also the names of the files' bytes in the cache.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from capot.errors import NetworkError, NotFoundError, UnsupportedError
from capot.sources.checkpoint import Part
from capot.sources.configuration import architectures, auto_map
from capot.sources.files import INDEX
from capot.sources.hub import settings
from capot.sources.hub.refusals import Subject
from capot.sources.hub.requests import get_json, request
from capot.sources.hub.store import COMMIT, name_words

SETTINGS = (
    "config.json", "generation_config.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
    "chat_template.jinja", "README.md",
)  # fmt: skip
ESSENTIAL = ("config.json", "generation_config.json", "tokenizer_config.json", "chat_template.jinja")
VOCABULARIES = ("tokenizer.model", "spiece.model", "vocab.json", "merges.txt", "vocab.txt")  # older than tokenizer.json
TOKENIZERS = ("tokenizer.json", *VOCABULARIES)
SINGLE = "model.safetensors"
PICKLES = re.compile(r"\.(bin|pt|pth|pkl|ckpt|h5|msgpack)$")
_BESIDE = re.compile(r"(^|/)(training_args|optimizer|scheduler|rng_state|scaler)[^/]*$")  # of a training, not weights
MOST_BYTES = 2**50  # of one file; the largest known have some 2**36
NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[\w.-]{1,96}", re.ASCII)
_PAGE = re.compile(r"(?:https?://[^/]+|(?:www\.)?huggingface\.co|hf\.co)/(?!datasets/|spaces/)([^/]+/[^/?#]+)")
REVISION = re.compile(r"\w[\w.-]*(/\w[\w.-]*)*", re.ASCII)
_CAUSAL = re.compile(r"ForCausalLM|LMHead")
_ETAG = re.compile(r"[\w.-]{6,100}")
_SHARD = re.compile(r"model-\d+-of-\d+\.safetensors")
_TOP = re.compile(r"[\w][\w.-]*")  # a file at the top of the repository, its name harmless everywhere


@dataclass(frozen=True)
class RemoteFile:
    """A file on the hub. ``etag`` is its published hash: 64 hexadecimal digits for SHA-256, 40 for git's."""

    name: str
    size: int
    etag: str


@dataclass(frozen=True)
class Repo:
    """A model on the hub, at one commit."""

    name: str
    commit: str
    gated: str  # "" for everyone, "auto" or "manual" for those whom its authors let in
    downloads: int | None
    config: Mapping[str, Any]  # the few fields that the hub repeats
    _listed: Mapping[str, Mapping[str, Any]] = field(repr=False)
    answer: Mapping[str, Any] = field(default_factory=dict, repr=False)  # of the hub, whole

    @property
    def subject(self) -> Subject:
        return Subject(self.name, self.commit)

    def has(self, name: str) -> bool:
        return name in self._listed

    def names(self) -> list[str]:
        return list(self._listed)

    def url(self, name: str) -> str:
        return f"{settings.endpoint()}/{self.name}/resolve/{self.commit}/{quote(name)}"

    def file(self, name: str) -> RemoteFile:
        """Return size and published hash of one file; asked for by itself where a mirror's list has neither.

        Raises: NotFoundError ``hub_file_missing``; as ``request``.
        """
        if name not in self._listed:
            raise NotFoundError("hub_file_missing", name=self.name, file=name)
        entry = self._listed[name]
        stored = entry.get("lfs")
        large = stored if isinstance(stored, dict) else {}
        size = large.get("size", entry.get("size"))
        etag = large.get("sha256") or entry.get("blobId")
        if not (isinstance(size, int) and isinstance(etag, str)):
            # Some mirrors list names alone: one question for each file fetches what is missing.
            with request(self.url(name), self.subject, method="HEAD") as answer:
                length = answer.header("x-linked-size") or answer.header("content-length") or ""
                size = int(length) if length.isdecimal() and len(length) < 20 else -1
                etag = (answer.header("x-linked-etag") or answer.header("etag") or "").removeprefix("W/").strip('"')
        if not 0 <= size <= MOST_BYTES or not _ETAG.fullmatch(etag):
            raise NetworkError("hub_not_a_hub", host=settings.endpoint())
        return RemoteFile(name, size, etag)


def is_name(model: str) -> bool:
    """Return whether a model is named as on the hub: an owner and a name.

    >>> is_name("org/model-1B"), is_name("model"), is_name("../model"), is_name("a/b/c")
    (True, False, False, False)
    """
    return bool(NAME.fullmatch(model)) and not (model.endswith(".git") or any(o in model for o in ("..", "--", "/.")))


def name_from_url(address: str) -> str | None:
    """Return the model whose page on the hub has this address.

    >>> name_from_url("https://huggingface.co/org/model-1B/tree/main"), name_from_url("org/model-1B")
    ('org/model-1B', None)
    """
    found = _PAGE.match(address)
    return found[1] if found and is_name(found[1]) else None


def model_info(name: str, revision: str) -> Repo:
    """Ask the hub about a model.

    Raises: as ``requests.get_json``; NetworkError ``hub_not_a_hub``; NotFoundError ``hub_unknown_revision``.
    """
    if not REVISION.fullmatch(revision):  # nothing that could lead out of a folder
        # The revision becomes part of a path in the cache, and of an address.
        raise NotFoundError("hub_unknown_revision", name=name, revision=revision[:100])
    address = f"{settings.endpoint()}/api/models/{name}/revision/{quote(revision, safe='')}?blobs=true"
    answer = get_json(address, Subject(name, revision))
    commit, siblings = (answer.get("sha"), answer.get("siblings")) if isinstance(answer, dict) else (None, None)
    if not (isinstance(commit, str) and COMMIT.fullmatch(commit) and isinstance(siblings, list)):
        raise NetworkError("hub_not_a_hub", host=settings.endpoint())
    listed = {entry["rfilename"]: entry for entry in siblings if isinstance(entry, dict) and _is_safe(entry)}
    return Repo(
        name=name,
        commit=commit,
        gated=gate_kind(answer),
        downloads=answer.get("downloads") if isinstance(answer.get("downloads"), int) else None,
        config=answer["config"] if isinstance(answer.get("config"), dict) else {},
        _listed=listed,
        answer=answer,
    )


def gate_kind(answer: Mapping[str, Any]) -> str:
    """Return ``auto`` or ``manual`` if a licence must be accepted first, else ""."""
    return str(answer["gated"]) if answer.get("gated") in ("auto", "manual") else ""


def _is_safe(entry: Mapping[str, Any]) -> bool:
    name = entry.get("rfilename")
    return isinstance(name, str) and all(_TOP.fullmatch(part) for part in name.split("/"))


def tokenizer_kind(has: Callable[[str], bool]) -> str:
    """Return ``ready``, ``old`` or ``none``, for ``has`` that knows which files there are.

    >>> tokenizer_kind({"vocab.json", "merges.txt"}.__contains__)
    'old'
    """
    if has("tokenizer.json"):
        return "ready"
    return "old" if any(map(has, VOCABULARIES)) else "none"


def files_needed(repo: Repo, part: Part, *, remote_code: bool = False) -> list[str]:
    """Return the files of one part; the index of several weights files stands for them.

    Raises: UnsupportedError as ``weights_file``.
    """
    if part == "settings":
        return [name for name in SETTINGS if repo.has(name)]
    if part == "tokenizer":
        one = ["tokenizer.json"] if repo.has("tokenizer.json") else []
        return one or [name for name in VOCABULARIES if repo.has(name)]
    code = [name for name in repo.names() if name.endswith(".py") and "/" not in name] if remote_code else []
    return [weights_file(repo), *code]


def opening_files(repo: Repo) -> list[str]:
    """Return the files that opening a model downloads, by name alone: no index is read. Raises: as ``weights_file``."""
    first = weights_file(repo)
    shards = [first] if first == SINGLE else [INDEX, *filter(_SHARD.fullmatch, repo.names())]
    return [*files_needed(repo, "settings"), *files_needed(repo, "tokenizer"), *shards]


def code_files(config: Mapping[str, Any]) -> list[str]:
    """Return the Python files of its own that a model asks to run, as ``auto_map`` names them.

    >>> code_files({"auto_map": {"AutoModelForCausalLM": "modeling_x.XForCausalLM"}})
    ['modeling_x.py']
    """
    named = [item for item in auto_map(config).values() if isinstance(item, str)]
    return sorted({f"{item.partition('.')[0]}.py" for item in named if "--" not in item})  # "--": of another model


def weights_file(repo: Repo) -> str:
    """Return the file of weights, or the index of several.

    Raises: UnsupportedError ``hub_pickled`` where only files that can run code hold them, ``hub_no_weights``.
    """
    for name in (SINGLE, INDEX):
        if repo.has(name):
            return name
    others = sorted(name for name in repo.names() if name.endswith((".safetensors", ".gguf", ".onnx")))
    pickled = sorted(name for name in repo.names() if PICKLES.search(name) and not _BESIDE.search(name))
    if pickled and not others:
        raise UnsupportedError("hub_pickled", name=repo.name, files=", ".join(pickled[:3]), words=name_words(repo.name))
    raise UnsupportedError(
        "hub_no_weights", name=repo.name, files=", ".join(others[:3]) or "–", words=name_words(repo.name)
    )


def check_causal(name: str, config: Mapping[str, Any]) -> None:
    """Refuse a model that says it is no causal language model.

    What encodes and decodes (T5) or fills gaps (BERT) does not continue a text.

    Raises: UnsupportedError ``hub_not_causal`` naming the architecture.
    """
    named = architectures(config)
    if not named or "AutoModelForCausalLM" in auto_map(config):
        return
    sees_too = "text_config" in config
    causal = any(_CAUSAL.search(item) or (sees_too and item.endswith("ForConditionalGeneration")) for item in named)
    if not causal or config.get("is_encoder_decoder"):
        raise UnsupportedError("hub_not_causal", name=name, architecture=named[0])
