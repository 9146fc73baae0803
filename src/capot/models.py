"""Which models are there to open: on this machine, and on the hub.

It opens none of them, so it stands beside ``model`` rather than among the chapters.
"""

from __future__ import annotations

import contextlib

from capot import engines
from capot.card import Source, base_or_instruct
from capot.checkpoint import Checkpoint
from capot.config import Loading
from capot.errors import CapotError
from capot.hub import settings, shelf
from capot.hub.checkpoint import HubCheckpoint
from capot.hub.events import Watch, quietly
from capot.hub.fetch import SPARE
from capot.hub.listing import refuse_other_kinds
from capot.hub.searching import Found
from capot.hub.searching import search as _search
from capot.hub.store import Store
from capot.machine import Ram, free_disk, ram
from capot.results.models import CachedModel, Changed, FoundModel, Models, Search

LIMIT = 20  # models that a search shows


def cached() -> Models:
    """The models of the local cache, each with its size and the engine that opens it."""
    found = [_described(kept) for kept in shelf.kept()]
    total = sum(model.bytes for model in found)
    return Models(found, cache=str(settings.cache()), total_bytes=total, free_bytes=free_disk(settings.cache()))


def _described(kept: shelf.Kept) -> CachedModel:
    architecture, engine, state = None, None, "partial"
    if kept.commit is not None:
        with contextlib.suppress(CapotError):  # a damaged or foreign folder has its line too
            architecture, engine, state = _opened(kept.name, kept.commit)
    return CachedModel(kept.name, kept.commit, kept.nbytes, kept.unfinished, architecture, engine, state)


def _opened(name: str, commit: str) -> tuple[str | None, str | None, str]:
    """Architecture, engine and state of one snapshot; nothing is asked of the hub."""
    store = Store.of(name)
    config = Checkpoint.open(store.snapshot(commit), name=name).raw_config
    checkpoint = HubCheckpoint(store.snapshot(commit), name, config, commit=commit)
    whole = checkpoint.has("weights") and checkpoint.has("tokenizer")
    begun = any(path.stat().st_size for path in (store.folder / "blobs").glob("*.incomplete"))
    state = "whole" if whole else "partial" if begun or checkpoint.has("weights") else "settings"
    listed = config.get("architectures")
    architecture = str(listed[0]) if isinstance(listed, list) and listed else None
    try:
        refuse_other_kinds(name, config)
        return architecture, engines.chosen(Loading(model=name), checkpoint), state
    except CapotError:
        return architecture, None, state


def search(words: str, *, limit: int = LIMIT) -> Search:
    """Causal models of the hub by ``words``, those downloaded most first, and whether each fits here.

    Raises: as ``hub.searching.search``.
    """
    here, disk, held = ram(), free_disk(settings.cache()), {kept.name.casefold() for kept in shelf.kept()}
    return Search(
        words=words,
        models=[_judged(found, here, disk, held) for found in _search(words, limit=limit)],
        hub=settings.endpoint(),
        available_bytes=here.available if here.available is not None else here.total,
        free_bytes=disk,
    )


def _judged(found: Found, here: Ram, disk: int | None, held: set[str]) -> FoundModel:
    source = Source(found.name, {}, chat_template=found.chat_template, ends=found.ends)
    return FoundModel(
        name=found.name,
        parameters=found.parameters,
        weights_bytes=found.nbytes,
        licence=found.licence,
        gated=found.gated,
        kind=base_or_instruct(source, {"tags": found.tags})[0],
        downloads=found.downloads,
        fits=_fits(found.nbytes, here),
        fits_disk=None if disk is None else found.nbytes + SPARE <= disk,
        here=found.name.casefold() in held,
    )


def _fits(needed: int, here: Ram) -> str:
    free = here.available if here.available is not None else here.total
    if free is None:
        return "unknown"
    if needed <= free:
        return "yes"
    return "tight" if here.total is not None and needed <= here.total else "no"


def get(name: str, *, revision: str | None = None, watch: Watch = quietly) -> Changed:
    """Bring a whole model to this machine, or what is missing of it.

    Raises: as ``HubCheckpoint.of`` and ``HubCheckpoint.fetch``.
    """
    checkpoint = HubCheckpoint.of(name, revision=revision, watch=watch)
    checkpoint.fetch("tokenizer", "weights")
    return Changed("get", name, shelf.find(name).nbytes, str(checkpoint.path))


def remove(name: str) -> Changed:
    """Take a model out of the local cache. Raises: as ``shelf.remove``."""
    gone = shelf.remove(name)
    return Changed("remove", gone.name, gone.nbytes, str(Store.of(gone.name).folder))
