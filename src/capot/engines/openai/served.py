"""A model that a server has: what the server calls it, what it can do, and which files here tell the same."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import ipaddress
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from capot.engines.openai import connect, probe
from capot.engines.openai.client import ServerClient
from capot.engines.openai.engine import OpenAIEngine
from capot.engines.openai.probe import TOKENIZE, Abilities
from capot.engines.openai.scheduler import ServedScheduler
from capot.engines.openai.vocabulary import ServedVocabulary
from capot.engines.protocol import UNKNOWN, EngineInfo
from capot.engines.seen import ServerFacts
from capot.errors import CapotError
from capot.sources.checkpoint import Checkpoint
from capot.sources.nearby import ServedModel

PROBE = "Un œuf, 12 €: naïve 🤗 tokens\n\tand\u00a0spaces"  # cut alike by the files and by the server, or not the same


@dataclasses.dataclass(eq=False)
class Served:
    """A model of a server, chosen by its address; each fact is asked for when it is first needed."""

    client: ServerClient
    model: ServedModel

    @functools.cached_property
    def abilities(self) -> Abilities:
        """Return what the server does. Raises: as ``probe.abilities``."""
        return probe.abilities(self.client)

    @functools.cached_property
    def _probed(self) -> tuple[str | None, list[int]]:
        """Return where the server cuts texts, None where it does not, and the ids of ``PROBE`` there."""
        for path in TOKENIZE:
            ids = self.client.wait(probe.cut(self.client, path, text=PROBE))
            if ids:
                return path, ids
        return None, []

    @property
    def tokenize(self) -> str | None:
        """Return where the server cuts texts, None where it does not."""
        return self._probed[0]

    @functools.cached_property
    def vocabulary(self) -> ServedVocabulary:
        """Return the server's own vocabulary."""
        opening: list[int] | None = []
        if self.tokenize is not None:
            opening = self.client.wait(probe.cut(self.client, self.tokenize, text="", opening=True))
        return ServedVocabulary(self.client, self.tokenize, opening=tuple(opening or ()))

    def cuts_as(self, ids: list[int]) -> bool:
        """Return whether the server cuts ``PROBE`` into these ids, which a tokenizer of files made of it."""
        return self.tokenize is not None and self._probed[1] == ids

    def facts(self, *, files: bool) -> ServerFacts:
        """Return what the server was seen to do; ``files``: whether those of this machine cut texts as it does."""
        own = None if self.tokenize is None else "server"
        host = self.client.address.host
        able = self.abilities
        return ServerFacts(
            host, self.model.name, self.model.context_length, self.model.source, "files" if files else own, able.ids,
            able.logprobs, able.prompt_logprobs, able.echo, able.stop, able.names_stop, able.seed,
        )  # fmt: skip

    def scheduler(self, checkpoint: Checkpoint | None, *, at_once: int) -> ServedScheduler:
        """Return what asks the server, ``at_once`` texts together at most.

        ``checkpoint`` are the model's files, where they tell its vocabulary.
        """
        config = None if checkpoint is None else checkpoint.config
        info = EngineInfo(
            engine="openai", model=self.model.name, architecture="" if config is None else config.architecture,
            device=self.client.address.host, dtype="",
            vocabulary_size=0 if config is None else config.vocabulary_size,
            context_length=self.model.context_length or UNKNOWN,
            layers=0 if config is None else config.layers, width=0 if config is None else config.width,
            heads=0 if config is None else config.heads, kv_heads=0 if config is None else config.kv_heads,
        )  # fmt: skip
        vocabulary = self.vocabulary if checkpoint is None else None
        engine = OpenAIEngine(self.client, info, abilities=self.abilities, vocabulary=vocabulary)
        return ServedScheduler(engine, at_once=at_once)


def open_served(text: str) -> Served:
    """Return the model that an address names, or the only one that the server has.

    Raises: as ``connect``, ``probe.models`` and ``probe.choose``.
    """
    client = connect(text)
    try:
        model = probe.choose(client.address, probe.models(client))
    except BaseException:
        client.close()
        raise
    client.address = dataclasses.replace(client.address, model=model.name)
    return Served(client, model)


def with_files(text: str, *, cut: Callable[[Path, str], list[int]]) -> tuple[Served, Checkpoint | None]:
    """Return the model of a server, and its files where they are on this machine and cut a text as the server does.

    ``cut`` cuts a text by the files of a folder. Raises: as ``open_served``.
    """
    served = open_served(text)
    files = files_of(served)
    if files is not None and not served.cuts_as(cut(files.path, PROBE)):
        files = None
    return served, files


def files_of(served: Served) -> Checkpoint | None:
    """Return the files of a served model where this machine has them: its folder, or the cache of the hub.

    A folder is looked at only where the server is on this machine. Nothing is downloaded.
    """
    source = served.model.source
    if not source:
        return None
    with contextlib.suppress(CapotError, OSError):
        if Path(source).is_absolute():
            local = _is_loopback(served.client.address.base) and Path(source).is_dir()
            return Checkpoint.open(Path(source), name=served.model.name) if local else None
        return _cached(source)
    return None


def _cached(name: str) -> Checkpoint | None:
    from capot.sources.hub import cache_index
    from capot.sources.hub.listing import is_name

    kept = {each.name: each.commit for each in cache_index.cached_models()} if is_name(name) else {}
    if kept.get(name) is None:
        return None
    from capot.sources.hub.checkpoint import HubCheckpoint

    found = HubCheckpoint.of(name)
    return found if found.here("tokenizer.json") else None


def _is_loopback(base: str) -> bool:
    host = urlsplit(base).hostname or ""
    if host == "localhost":
        return True
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False
