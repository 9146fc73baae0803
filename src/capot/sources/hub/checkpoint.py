"""Open a model of the hub as a folder whose parts are downloaded when they are first needed.

Opening brings config.json and its like, a few kilobytes. The tokenizer comes when a text is
cut, the weights when an engine opens: ``capot tokens`` and ``capot card`` never wait for
gigabytes. What is in the cache is used as it is, without asking the hub; a revision that is
named is asked for again, since a branch moves.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from capot.errors import (
    AccessError,
    BusyError,
    CapotError,
    InterruptedByUser,
    ModelError,
    NetworkError,
    NotFoundError,
    UnsupportedError,
    local_path,
)
from capot.i18n import Bytes
from capot.sources.checkpoint import Checkpoint, Part
from capot.sources.files import INDEX
from capot.sources.hub import remote_headers, settings
from capot.sources.hub.events import DownloadProgress, Watch, drain
from capot.sources.hub.fetch import Download, disk_errors
from capot.sources.hub.listing import (
    ESSENTIAL,
    SETTINGS,
    SINGLE,
    TOKENIZERS,
    Repo,
    check_causal,
    code_files,
    files_needed,
    model_info,
    tokenizer_kind,
)
from capot.sources.hub.published import Published
from capot.sources.hub.remote_rows import RemoteRows
from capot.sources.hub.store import COMMIT, Store, name_words
from capot.sources.machine import free_disk
from capot.sources.safetensors import TensorInfo, merge_shards, weight_map

# What a header says of its file where they do not agree.
DAMAGED = ("safetensors_truncated", "safetensors_outside", "safetensors_shape", "safetensors_overlap")


@dataclass(frozen=True)
class HubCheckpoint(Checkpoint):
    """See :class:`capot.sources.checkpoint.Checkpoint`; ``path`` is the snapshot of one commit."""

    commit: str = ""
    remote_code: bool = False
    watch: Watch = field(default=drain, repr=False)
    asked: Repo | None = field(default=None, repr=False)  # what the hub said, if it was asked on opening

    @classmethod
    def of(
        cls, name: str, *, revision: str | None = None, remote_code: bool = False, watch: Watch = drain
    ) -> HubCheckpoint:
        """Open a model by its name on the hub: from the cache, else with its small files fetched.

        Raises: as ``requests.request``; UnsupportedError ``hub_not_causal``, ``hub_no_config``;
        ModelError ``json_invalid``.
        """
        opened = locate(name, revision=revision, watch=watch, remote_code=remote_code)
        try:
            opened.fetch("settings")
        except (NetworkError, BusyError, AccessError):
            if not opened.here(SETTINGS[0]):  # a description is wanting; what computes is here
                raise
        if not opened.here(SETTINGS[0]):
            files = ", ".join(sorted(opened.repo.names())[:3]) or "–"
            raise UnsupportedError("hub_no_config", name=name, files=files, words=name_words(name))
        # Read again through the folder: only now is config.json surely there.
        complete = Checkpoint.open(opened.path, name=name)
        check_causal(name, complete.raw_config)
        opened.raw_config.update(complete.raw_config)
        return opened

    @property
    def store(self) -> Store:
        return Store.of(self.name)

    @functools.cached_property
    def repo(self) -> Repo:
        """Return what the hub says of this commit. Raises: as ``requests.request``."""
        return self.asked or model_info(self.name, self.commit)

    def here(self, name: str) -> bool:
        """Return whether a file is in the cache."""
        return (self.path / name).is_file()

    def has(self, part: Part) -> bool:
        """Return whether a part is in the cache, or is known not to exist."""
        if part == "settings":
            settled = all(self._settled(name) for name in ESSENTIAL)
            # Other tools leave no note of what does not exist; with the weights they took all there is.
            return self.here(SETTINGS[0]) and (settled or (self.here("tokenizer.json") and self._weights_here()))
        if part == "tokenizer":
            return self.here("tokenizer.json") or all(map(self._settled, TOKENIZERS))
        return self._weights_here() and self._code_here()

    def _settled(self, name: str) -> bool:
        return self.here(name) or self.store.known_absent(self.commit, name)

    @property
    def _tokenizer(self) -> str:
        """Return the kind of tokenizer in the cache, or on the hub."""
        found = tokenizer_kind(self.here)
        if found == "none" and not all(map(self._settled, TOKENIZERS)):
            return tokenizer_kind(self.repo.has)
        return found

    def _weights_here(self) -> bool:
        return self.here(SINGLE) or self._all_shards()

    def _code_here(self) -> bool:
        """Return whether the Python files that config.json names are cached, if they may run."""
        return not self.remote_code or all(self.here(name) for name in code_files(self.raw_config))

    def _all_shards(self) -> bool:
        index = self.path / INDEX
        return index.is_file() and all((self.path / shard).is_file() for shard in self._shards().values())

    def _shards(self) -> dict[str, str]:
        try:
            index = self.folder.json(INDEX)
        except ModelError as error:
            if error.code != "json_invalid":
                raise
            index = {}
        return weight_map(index, folder=self.path, name=self.name)

    def fetch(self, *parts: Part) -> None:
        """Download what is missing of ``parts`` and of the small files; ``watch`` follows.

        Raises: NotFoundError ``hub_no_tokenizer``; InterruptedByUser ``hub_interrupted``; as ``Download.events``
        and ``needed``.
        """
        if "tokenizer" in parts and self._tokenizer == "none":
            raise NotFoundError("hub_no_tokenizer", name=self.name, words=name_words(self.name))
        # Asked part by part: what is here is used as it is, even where the hub does not answer.
        wanted = [part for part in parts if not self.has(part)]
        if wanted:
            self._follow(self.missing(*wanted), watch=self.watch)

    def missing(self, *parts: Part) -> Download:
        """Return the download that ``parts`` need, not yet started. Raises: as ``needed``."""
        names = dict.fromkeys(files_needed(self.repo, "settings"))
        for part in parts:
            names |= dict.fromkeys(files_needed(self.repo, part, remote_code=self.remote_code))
        if self.remote_code and "weights" in parts:
            names |= dict.fromkeys(code_files(self.raw_config))  # a file that is named and not there is refused here
        # The index says which shards there are; without it the list of files is not known.
        if INDEX in names:  # small; what it lists is not
            self._follow(self._transfer([INDEX]), watch=drain)
            names |= dict.fromkeys(sorted(set(self._shards().values())))
        return self._transfer(list(names))

    def _transfer(self, names: list[str]) -> Download:
        missing = [name for name in names if not (self.path / name).is_file()]
        return Download(self.repo, self.store, [self.repo.file(name) for name in missing])

    def _follow(self, transfer: Download, *, watch: Watch) -> None:
        try:
            watch(self._noted(transfer))
        except KeyboardInterrupt:
            done = Bytes(transfer.done)
            total = Bytes(transfer.total)
            raise InterruptedByUser("hub_interrupted", name=self.name, done=done, total=total) from None

    def _noted(self, transfer: Download) -> Iterator[DownloadProgress]:
        """Yield the events of a download, then record in the cache which files the hub does not have."""
        yield from transfer.events()
        # Known not to exist, so that the next opening does not ask for optional files one by one.
        for name in (*SETTINGS, *TOKENIZERS, SINGLE, INDEX):
            if not self.repo.has(name):
                self.store.absent(self.commit, name)

    @functools.cached_property
    def tensors(self) -> Mapping[str, TensorInfo]:
        """Download the weights, and return the same as ``Checkpoint.tensors``.

        Raises: ModelError ``hub_damaged`` where a file of the cache is no longer what came, ``hub_damaged_there``
        where it came so.
        """
        were_here = self.has("weights")
        self.fetch("weights")
        # A file that came and was verified a moment ago is damaged at its source; one of the cache may have been cut
        # since.
        try:
            return super().tensors
        except ModelError as error:
            if not error.code.startswith("safetensors_"):
                raise
            if not were_here:  # and held against the published hash a moment ago
                raise self._damaged_there(error) from None
            raise ModelError("hub_damaged", name=self.name, file=error.params["file"]) from None

    @functools.cached_property
    def headers(self) -> Mapping[str, TensorInfo]:
        """Return every tensor by name, from the cache or by range requests. Raises: as ``_remote_headers``."""
        if self.has("weights"):
            return self.tensors
        if files_needed(self.repo, "weights")[0] == SINGLE:
            return self._remote_headers([SINGLE])[SINGLE]
        self._follow(self._transfer([INDEX]), watch=drain)
        shard_of = self._shards()
        return merge_shards(
            shard_of, self._remote_headers(sorted(set(shard_of.values()))), folder=self.path, name=self.name
        )

    @functools.cached_property
    def _rows(self) -> dict[str, RemoteRows]:
        return {}

    def remote_rows(self, name: str) -> RemoteRows:
        """Return what reads rows of a matrix that is not here. Raises: as ``headers``."""
        # Kept: making one asks a mirror that lists names alone for the size of the file.
        if name not in self._rows:
            self._rows[name] = RemoteRows(self.repo, self.headers[name])
        return self._rows[name]

    def _remote_headers(self, names: list[str]) -> dict[str, Mapping[str, TensorInfo]]:
        """Return the headers of files on the hub. Raises: ModelError ``hub_damaged_there``; as ``fetch_headers``."""
        try:
            return remote_headers.fetch_headers(self.repo, names)
        except ModelError as error:
            if error.code not in DAMAGED:
                raise
            raise self._damaged_there(error) from None

    def _damaged_there(self, error: ModelError) -> ModelError:
        return ModelError("hub_damaged_there", name=self.name, file=error.params["file"], words=name_words(self.name))

    def published(self) -> Published:
        """Return what a card says of a model of the hub: gate, download, free disk."""
        here = self.has("weights") and self.has("tokenizer")
        transfer = None if here else self.missing("tokenizer", "weights")
        free = free_disk(self.store.folder)
        return Published(
            commit=self.commit,
            gated=None if here else self.repo.gated,
            downloads=None if here else self.repo.downloads,
            downloaded=here,
            download_bytes=transfer.coming if transfer else 0,
            download_files=len(transfer.files) if transfer else 0,
            cache=local_path(settings.cache_folder(), settings.cache_folder().name),
            free_bytes=free,
            fits_disk=None if free is None else transfer is None or transfer.fits(),
            tokenizer=self._tokenizer,
        )


def locate(name: str, *, revision: str | None, watch: Watch = drain, remote_code: bool = False) -> HubCheckpoint:
    """Return where a model is, or will be, in the cache. Ask the hub only if the cache does not know.

    Raises: as ``requests.request``.
    """
    store = Store.of(name)
    wanted = revision or "main"
    repo = None
    commit = store.commit(wanted)
    known = commit is not None and (store.snapshot(commit) / SETTINGS[0]).is_file()
    # A commit never moves, a branch or a tag does.
    moves = revision is not None and not COMMIT.fullmatch(revision)
    if commit is None or not known or moves:
        try:
            repo = model_info(name, wanted)
        except CapotError as error:
            if not (known and isinstance(error, NetworkError | BusyError)):  # a branch as it was is better than nothing
                raise
        else:
            commit = repo.commit
            with disk_errors(store.folder):
                store.remember(wanted, commit)
    if commit is None:
        raise NetworkError("hub_not_a_hub", host=settings.endpoint())
    return HubCheckpoint(
        store.snapshot(commit), name, {}, commit=commit, remote_code=remote_code, watch=watch, asked=repo
    )
