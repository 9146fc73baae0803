"""The card of a model whose files the hub does not hand out: what it tells everyone."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from capot import engines
from capot.chapters.card.kind import base_or_instruct
from capot.chapters.card.result import Card, Fit, Parameters, Sheet
from capot.chapters.card.source import Source
from capot.chapters.card.verb import SPELLED, TOKENS, card, file_bytes, fit_of_bytes
from capot.config import Loading
from capot.errors import AccessError, CapotError, NotFoundError
from capot.i18n import tr
from capot.sources import published_shapes
from capot.sources.checkpoint import Checkpoint
from capot.sources.configuration import architectures
from capot.sources.hub import settings
from capot.sources.hub.fetch import SPARE
from capot.sources.hub.listing import RemoteFile, Repo, check_causal, model_info, opening_files, tokenizer_kind
from capot.sources.hub.published import Published
from capot.sources.hub.refusals import WRONG_TOKEN
from capot.sources.hub.searching import SearchHit, bytes_per_value, parse_entry
from capot.sources.machine import free_disk
from capot.sources.published_shapes import PublishedModel
from capot.view.blocks import Block, Facts, Heading, Text

ALIKE = 0.01  # of a shape's parameters, within which a model of its name has that shape
GATES = ("hub_gated", "hub_no_access", "hub_token_scope")  # refusals behind which the hub still tells something


@dataclass(frozen=True)
class Preview(Sheet):
    """The part of a card that the hub tells everyone; its fields are those of :class:`Card`.

    ``memory`` counts the weights as they are and guesses the cache from the number of parameters.
    """

    memory: Fit
    published: Published

    cache_known = "guessed"

    def view(self, lang: str | None = None) -> list[Block]:
        """Return what it is called, what it weighs, whether it fits; and that there is more behind the gate."""
        return [
            Heading(tr("card.title", lang)),
            Facts([*self.name_rows(lang), *self.hub_rows(self.published, lang)]),
            self.size_table(self.memory, lang),
            Text(
                self.fit_sentence(self.memory, lang),
                tone="plain" if self.memory.fits in ("yes", "unknown") else "warning",
            ),
            self.disk_text(self.published, lang),
            Text(tr("card.preview", lang), tone="quiet"),
        ]


def before_the_gate(name: str, refusal: AccessError, *, revision: str | None = None) -> Card | Preview:
    """Return what the hub tells everyone of ``name``, which it refused to hand out.

    A wrong token closes what is open to all as well: there, the hub is asked again without any.

    Raises: ``refusal``, where there is nothing to show.
    """
    wrong = refusal.code in WRONG_TOKEN
    # Only these refusals leave something that is open to all; any other error is the whole answer.
    if wrong or refusal.code in GATES:
        with contextlib.suppress(CapotError), settings.anonymous() if wrong else contextlib.nullcontext():
            return preview(name, revision=revision)
    raise refusal


def preview(name: str, *, revision: str | None = None) -> Card | Preview:
    """Return the card of a model whose files the hub does not hand out: what it tells everyone.

    A whole card where its shape is public (``published_shapes.json``), the part of one where it is not.

    Raises: as ``hub.listing.model_info``, ``weights_file``, ``check_causal``; NotFoundError ``hub_file_missing``.
    """
    repo = model_info(name, revision or "main")
    check_causal(name, repo.config)
    found = parse_entry({**repo.answer, "id": name})
    files = [repo.file(file) for file in opening_files(repo)]
    source = Source(name, {}, chat_template=found.chat_template, ends=found.ends, licence=found.licence)
    kind = base_or_instruct(source, {"tags": found.tags})
    source = replace(source, kind=kind, published=_published(repo, files))
    # A derived model often keeps the name of its base: the number of parameters must agree as well.
    same = shape_of(found)
    if same is not None:
        shown = Checkpoint(Path(), name, dict(same.config))
        return card(
            replace(source, config=same.config, url=same.source, engine=engines.choose_engine(Loading(name), shown))
        )
    return _preview(source, found, architecture=(architectures(repo.config) or ["–"])[0])


def _preview(source: Source, found: SearchHit, *, architecture: str) -> Preview:
    """Return the part of a card that needs no shape."""
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
        memory=fit_of_bytes(found.nbytes, cache_of(found), context=TOKENS, parameters=found.parameters),
        published=source.published,
    )


def _published(repo: Repo, files: list[RemoteFile]) -> Published:
    """Return what the hub says beside the model itself, and what bringing it will take."""
    coming = sum(file.size for file in files)
    free = free_disk(settings.cache_folder())
    return Published(
        commit=repo.commit,
        gated=repo.gated,
        downloads=repo.downloads,
        downloaded=False,
        download_bytes=coming,
        download_files=len(files),
        cache=str(settings.cache_folder()),
        free_bytes=free,
        fits_disk=fits_disk(coming, free),
        tokenizer=tokenizer_kind(repo.has),
    )


def shape_of(found: SearchHit) -> PublishedModel | None:
    """Return the public shape of a model that the hub only names, where its parameters are as many."""
    try:
        same = published_shapes.find(found.name)
    except NotFoundError:
        return None
    total = sum(published_shapes.parameters(same.shape).values())
    return same if abs(found.parameters - total) <= ALIKE * total else None


def context_of(found: SearchHit) -> int:
    """Return the tokens of context to allow for."""
    same = shape_of(found)
    return (same and same.shape.config.context_length) or TOKENS


def cache_of(found: SearchHit) -> Callable[[int], int]:
    """Return the bytes that a text of so many tokens takes beside the weights: by the shape, else estimated from their
    number.
    """
    # The cache has the type of the activations, never that of packed weights: two bytes at least.
    width = max(2, round(bytes_per_value(found.dtype)))
    same = shape_of(found)
    if same is not None:
        return lambda tokens: published_shapes.kv_bytes(same.shape, tokens, bytes_per_value=width)
    return lambda tokens: tokens * published_shapes.estimated_kv_values(found.parameters) * width


def fits_disk(coming: int, free: int | None) -> bool | None:
    """Return whether a download of ``coming`` bytes leaves the disk its share; None where nobody says what is free."""
    return None if free is None else coming + SPARE <= free
