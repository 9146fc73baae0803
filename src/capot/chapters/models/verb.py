"""Which models are there to open: on this machine, and on the hub.

It opens none of them, so it stands beside ``model`` rather than among the chapters.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from capot import engines
from capot.chapters.card.kind import base_or_instruct
from capot.chapters.card.result import Card, Parameters
from capot.chapters.card.source import Source
from capot.chapters.card.verb import SPELLED, TOKENS, card, file_bytes, held, verdict
from capot.chapters.models.preview import Preview
from capot.chapters.models.result import CachedModel, Changed, FoundModel, Models, Search
from capot.config import Loading
from capot.errors import CapotError, InputError, NotFoundError
from capot.sources import published_shapes
from capot.sources.checkpoint import Checkpoint
from capot.sources.configuration import architectures
from capot.sources.files import INDEX
from capot.sources.hub import cache_index, settings
from capot.sources.hub.checkpoint import HubCheckpoint
from capot.sources.hub.events import Watch, quietly
from capot.sources.hub.fetch import SPARE
from capot.sources.hub.listing import SINGLE, RemoteFile, Repo, describe, refuse_other_kinds, tokenizer_kind, whole
from capot.sources.hub.published import Published
from capot.sources.hub.searching import Found, read, width_of
from capot.sources.hub.searching import search as _search
from capot.sources.hub.store import Store
from capot.sources.machine import Ram, free_disk, ram
from capot.sources.published_shapes import Known

LIMIT, MOST = 20, 100  # models that a search shows, unless it is asked for others, and at most
ALIKE = 0.01  # of a shape's parameters, within which a model of its name has that shape


def cached() -> Models:
    """The models of the local cache, each with its size and the engine that opens it."""
    found = [_described(kept) for kept in cache_index.kept()]
    total = sum(model.bytes for model in found)
    return Models(found, cache=str(settings.cache()), total_bytes=total, free_bytes=free_disk(settings.cache()))


def _described(kept: cache_index.Kept) -> CachedModel:
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
    architecture = next(iter(architectures(config)), None)
    try:
        refuse_other_kinds(name, config)
        if all(store.known_absent(commit, file) for file in (SINGLE, INDEX)):
            return architecture, None, state
        return architecture, engines.chosen(Loading(model=name), checkpoint), state
    except CapotError:
        return architecture, None, state


def search(words: str, *, limit: int = LIMIT) -> Search:
    """Causal models of the hub by ``words``, those downloaded most first, and whether each fits here.

    Raises: InputError ``out_of_range``; as ``hub.searching.search``.
    """
    if not 1 <= limit <= MOST:
        raise InputError("out_of_range", name="limit", value=limit, low=1, high=MOST)
    here, disk, kept = ram(), free_disk(settings.cache()), {one.name.casefold() for one in cache_index.kept()}
    return Search(
        words=words,
        models=[_judged(found, here, disk, kept) for found in _search(words, limit=limit)],
        hub=settings.endpoint(),
        tokens=TOKENS,
        available_bytes=here.available if here.available is not None else here.total,
        free_bytes=disk,
    )


def _judged(found: Found, here: Ram, disk: int | None, kept: set[str]) -> FoundModel:
    source = Source(found.name, {}, chat_template=found.chat_template, ends=found.ends)
    needed = found.nbytes + _cache(found)(min(_context(found), TOKENS))
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
        fits_disk=_fits_disk(found.nbytes, disk),
        here=found.name.casefold() in kept,
    )


def _shape(found: Found) -> Known | None:
    """The public shape of a model that the hub only names, where its parameters are as many."""
    try:
        same = published_shapes.find(found.name)
    except NotFoundError:
        return None
    total = sum(published_shapes.parameters(same.shape).values())
    return same if abs(found.parameters - total) <= ALIKE * total else None


def _context(found: Found) -> int:
    """The tokens of context to allow for."""
    same = _shape(found)
    return (same and same.shape.config.context_length) or TOKENS


def _cache(found: Found) -> Callable[[int], int]:
    """Bytes that a text of so many tokens takes beside the weights: by the shape, else guessed from their number."""
    width, same = max(2, round(width_of(found.dtype))), _shape(found)
    if same is not None:
        return lambda tokens: published_shapes.kv_bytes(same.shape, tokens, bytes_per_value=width)
    return lambda tokens: tokens * published_shapes.guessed_kv_values(found.parameters) * width


def preview(name: str, *, revision: str | None = None) -> Card | Preview:
    """The card of a model whose files the hub does not hand out: what it tells everyone.

    A whole card where its shape is public (``published_shapes.json``), the part of one where it is not.

    Raises: as ``hub.listing.describe``, ``weights``, ``refuse_other_kinds``; NotFoundError ``hub_file_missing``.
    """
    repo = describe(name, revision or "main")
    refuse_other_kinds(name, repo.config)
    found, files = read({**repo.told, "id": name}), [repo.file(file) for file in whole(repo)]
    source = Source(name, {}, chat_template=found.chat_template, ends=found.ends, licence=found.licence)
    kind = base_or_instruct(source, {"tags": found.tags})
    source = replace(source, kind=kind, published=_told(repo, files))
    same = _shape(found)
    if same is not None:
        shown = Checkpoint(Path(), name, dict(same.config))
        return card(replace(source, config=same.config, url=same.source, engine=engines.chosen(Loading(name), shown)))
    return _preview(source, found, architecture=(architectures(repo.config) or ["–"])[0])


def _preview(source: Source, found: Found, *, architecture: str) -> Preview:
    """The part of a card that needs no shape."""
    assert source.kind is not None and source.published is not None
    return Preview(
        name=found.name,
        architecture=architecture,
        kind=source.kind[0],
        kind_reason=source.kind[1],
        licence=found.licence,
        parameters=Parameters(found.parameters, [], source="hub"),
        file_bytes=file_bytes(found.parameters),
        dtype=SPELLED.get(found.dtype, found.dtype) or None,
        memory=held(found.nbytes, _cache(found), context=TOKENS, parameters=found.parameters),
        published=source.published,
    )


def _told(repo: Repo, files: list[RemoteFile]) -> Published:
    """What the hub says beside the model itself, and what bringing it will take."""
    coming, free = sum(file.size for file in files), free_disk(settings.cache())
    return Published(
        commit=repo.commit,
        gated=repo.gated,
        downloads=repo.downloads,
        downloaded=False,
        download_bytes=coming,
        download_files=len(files),
        cache=str(settings.cache()),
        free_bytes=free,
        fits_disk=_fits_disk(coming, free),
        tokenizer=tokenizer_kind(repo.has),
    )


def get(name: str, *, revision: str | None = None, watch: Watch = quietly) -> Changed:
    """Bring a whole model to this machine, or what is missing of it.

    Raises: as ``HubCheckpoint.of`` and ``HubCheckpoint.fetch``.
    """
    checkpoint = HubCheckpoint.of(name, revision=revision, watch=watch)
    checkpoint.fetch("tokenizer", "weights")
    return Changed("get", name, cache_index.find(name).nbytes, str(checkpoint.path))


def remove(name: str) -> Changed:
    """Take a model out of the local cache. Raises: as ``cache_index.remove``."""
    gone = cache_index.remove(name)
    return Changed("remove", gone.name, gone.nbytes, str(Store.of(gone.name).folder))


def _fits_disk(coming: int, free: int | None) -> bool | None:
    """Whether a download of ``coming`` bytes leaves the disk its share; None where nobody says what is free."""
    return None if free is None else coming + SPARE <= free
