"""Which models are there to open: on this machine, and on the hub.

It opens none of them, so it stands beside ``model`` rather than among the chapters.
"""

from __future__ import annotations

import contextlib

from capot import engines
from capot.chapters.card.gated import cache_of, context_of, fits_disk, preview
from capot.chapters.card.kind import base_or_instruct
from capot.chapters.card.source import Source
from capot.chapters.card.verb import TOKENS, verdict
from capot.chapters.models.result import CachedModel, Changed, FoundModel, Models, Search
from capot.config import Loading, within
from capot.errors import CapotError, InputError, check_text, shorten
from capot.sources import nearby
from capot.sources.checkpoint import Checkpoint
from capot.sources.configuration import architectures
from capot.sources.files import INDEX
from capot.sources.hub import cache_index, settings
from capot.sources.hub.checkpoint import HubCheckpoint
from capot.sources.hub.events import Watch, drain
from capot.sources.hub.listing import SINGLE, check_causal
from capot.sources.hub.searching import SearchHit
from capot.sources.hub.searching import search as _search
from capot.sources.hub.store import Store
from capot.sources.machine import Ram, free_disk, ram

LIMIT, MOST = 20, 100  # models that a search shows, unless it is asked for others, and at most
__all__ = ["cached", "get", "preview", "remove", "search"]


def cached() -> Models:
    """Return the models of the local cache and of this machine's servers, each cached one with its size and the engine
    that opens it.
    """
    found = [_described(kept) for kept in cache_index.cached_models()]
    total = sum(model.bytes for model in found)
    cache = settings.cache_folder()
    disk = free_disk(cache)
    return Models(found, cache=str(cache), total_bytes=total, free_bytes=disk, servers=nearby.servers())


def _described(kept: cache_index.CacheEntry) -> CachedModel:
    architecture, engine, state = None, None, "partial"
    if kept.commit is not None:
        with contextlib.suppress(CapotError):  # a damaged or foreign folder has its line too
            architecture, engine, state = _opened(kept.name, kept.commit)
    return CachedModel(kept.name, kept.commit, kept.nbytes, kept.unfinished, architecture, engine, state)


def _opened(name: str, commit: str) -> tuple[str | None, str | None, str]:
    """Return architecture, engine and state of one snapshot; the hub is not asked."""
    store = Store.of(name)
    config = Checkpoint.open(store.snapshot(commit), name=name).raw_config
    checkpoint = HubCheckpoint(store.snapshot(commit), name, config, commit=commit)
    whole = checkpoint.has("weights") and checkpoint.has("tokenizer")
    begun = any(path.stat().st_size for path in (store.folder / "blobs").glob("*.incomplete"))
    # Settings alone are what a card or a tokenizer brings: nothing of the weights has been asked for yet.
    state = "partial" if begun or checkpoint.has("weights") else "settings"
    state = "whole" if whole else state
    architecture = next(iter(architectures(config)), None)
    try:
        check_causal(name, config)
        # The hub has said that there are no safetensors: no engine opens it, however whole the rest is.
        if all(store.known_absent(commit, file) for file in (SINGLE, INDEX)):
            return architecture, None, state
        return architecture, engines.choose_engine(Loading(model=name), checkpoint), state
    except CapotError:
        return architecture, None, state


def search(words: str, *, limit: int = LIMIT) -> Search:
    """Search the hub's causal models by ``words``: the most downloaded first, and whether each fits here.

    Raises: ArgumentTypeError; InputError ``out_of_range``, ``not_unicode``; as ``hub.searching.search``.
    """
    check_text("words", words)
    within("limit", limit, 1, MOST)
    here = ram()
    disk = free_disk(settings.cache_folder())
    # The hub takes a name in any case, and files it under the one its authors wrote.
    kept = {one.name.casefold() for one in cache_index.cached_models()}
    return Search(
        words=words,
        models=[_judged(found, here, disk, kept) for found in _search(words, limit=limit)],
        hub=settings.endpoint(),
        tokens=TOKENS,
        available_bytes=here.available if here.available is not None else here.total,
        free_bytes=disk,
    )


def _judged(found: SearchHit, here: Ram, disk: int | None, kept: set[str]) -> FoundModel:
    # A search brings no config.json: one more request for each row would keep a table of twenty waiting.
    source = Source(found.name, {}, chat_template=found.chat_template, ends=found.ends)
    needed = found.nbytes + cache_of(found)(min(context_of(found), TOKENS))
    return FoundModel(
        name=found.name,
        parameters=found.parameters,
        weights_bytes=found.nbytes,
        needed_bytes=needed,
        licence=found.licence,
        gated=found.gated,
        kind=base_or_instruct(source, {"tags": found.tags})[0],
        downloads=found.downloads,
        fits=verdict(needed, here),
        fits_disk=fits_disk(found.nbytes, disk),
        here=found.name.casefold() in kept,
    )


def get(name: str, *, revision: str | None = None, watch: Watch = drain) -> Changed:
    """Bring a whole model to this machine, or what is missing of it.

    Raises: ArgumentTypeError; InputError ``hub_name``, ``not_unicode``; as ``HubCheckpoint.of`` and
    ``HubCheckpoint.fetch``.
    """
    check_text("name", name)
    if "\0" in name:  # no path of a cache can hold it
        raise InputError("hub_name", name=shorten(name))
    checkpoint = HubCheckpoint.of(name, revision=revision, watch=watch)
    checkpoint.fetch("tokenizer", "weights")
    return Changed("get", name, cache_index.find(name).nbytes, str(checkpoint.path))


def remove(name: str) -> Changed:
    """Take a model out of the local cache. Raises: ArgumentTypeError; as ``cache_index.remove``."""
    check_text("name", name)
    gone = cache_index.remove(name)
    return Changed("remove", gone.name, gone.nbytes, str(Store.of(gone.name).folder))
