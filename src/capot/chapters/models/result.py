"""Models to choose from: those of this machine's cache, those of the hub; and what was done to one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from capot.chapters.card.result import short
from capot.i18n import number, size, tr
from capot.sources.nearby import FoundServer
from capot.view.blocks import Block, Facts, Heading, Table, Text
from capot.view.result import Result


@dataclass(frozen=True)
class CachedModel:
    """A model of the cache. ``state``: whole, partial (some of it came), settings (its card only)."""

    name: str
    commit: str | None
    bytes: int
    unfinished_bytes: int
    architecture: str | None
    engine: str | None  # that opens it; None where none does
    state: str


@dataclass(frozen=True)
class Models(Result):
    """What the local cache holds. ``cache`` is its folder, ``free_bytes`` what its disk has left.

    ``servers`` are those that answered at the usual ports of this machine.
    """

    models: Sequence[CachedModel]
    cache: str
    total_bytes: int
    free_bytes: int | None
    servers: Sequence[FoundServer] = ()

    table = "models"

    def brief(self, lang: str | None = None) -> str:
        sizes = {"size": size(self.total_bytes, lang), "cache": self.cache}
        return tr("models.together", lang, count=len(self.models), **sizes)

    def view(self, lang: str | None = None) -> list[Block]:
        """Return one row a model, what they weigh together, how to bring or remove one; then what the servers have."""
        return [Heading(tr("models.title", lang)), *self._cached(lang), *self._served(lang)]

    def _cached(self, lang: str | None) -> list[Block]:
        if not self.models:
            return [
                Text(tr("models.none", lang, cache=self.cache)),
                Text(tr("models.begin", lang), tone="quiet"),
            ]
        names = ("model", "size", "architecture", "engine", "state")
        rows = [
            (
                model.name,
                size(model.bytes, lang),
                model.architecture or "–",
                model.engine or "–",
                tr(f"models.state.{model.state}", lang),
            )
            for model in self.models
        ]
        sizes = {"size": size(self.total_bytes, lang), "cache": self.cache}
        caption = tr("models.together", lang, count=len(rows), **sizes)
        if self.free_bytes is not None:
            caption += " " + tr("models.free", lang, free=size(self.free_bytes, lang))
        table = Table([tr(f"models.column.{name}", lang) for name in names], rows, caption=caption, align="lrlll")
        return [table, Text(tr("models.next", lang), tone="quiet")]

    def _served(self, lang: str | None) -> list[Block]:
        """Return one row a model of a server; a server that shows none has its row too."""
        if not self.servers:
            return []
        names = ("model", "context", "address", "program")
        rows = []
        for server in self.servers:
            none = tr("models.served.key" if server.needs_key else "models.served.empty", lang)
            served = [(m.name, number(m.context_length, lang) if m.context_length else "–") for m in server.models]
            rows += [(*each, server.address, server.program) for each in served or [(none, "–")]]
        columns = [tr(f"models.column.{name}", lang) for name in names]
        open_one = Text(tr("models.served.next", lang, address=self._first()), tone="quiet")
        heading = Heading(tr("models.served.title", lang), level=2)
        caption = tr("models.served.caption", lang)
        return [heading, Table(columns, rows, caption=caption, align="lrll"), open_one]

    def _first(self) -> str:
        """Return an address to open; it names a model only where the server has several."""
        server = next((server for server in self.servers if server.models), self.servers[0])
        return f"{server.address}#{server.models[0].name}" if len(server.models) > 1 else server.address


@dataclass(frozen=True)
class FoundModel:
    """A causal model of the hub. ``needed_bytes`` is the weights and a cache for a context, guessed where
    the shape is not public; ``fits`` says whether this machine's memory has them: yes, tight (once other
    programs are closed), no, unknown; ``fits_disk`` is about its disk."""

    name: str
    parameters: int
    weights_bytes: int
    needed_bytes: int
    licence: str | None
    gated: str
    kind: str
    downloads: int
    fits: str
    fits_disk: bool | None
    here: bool


@dataclass(frozen=True)
class Search(Result):
    """What the hub has under ``words``, the models downloaded most first."""

    words: str
    models: Sequence[FoundModel]
    hub: str
    tokens: int  # of context that "fits" allows for
    available_bytes: int | None
    free_bytes: int | None

    table = "models"

    def brief(self, lang: str | None = None) -> str:
        return tr("models.search.caption", lang, count=len(self.models), words=self.words, hub=self.hub)

    def view(self, lang: str | None = None) -> list[Block]:
        """Return one row a model, and what "fits" is held against."""
        heading = Heading(tr("models.search.title", lang))
        if not self.models:
            return [heading, Text(tr("models.search.none", lang, words=self.words, hub=self.hub))]
        names = ("model", "parameters", "licence", "access", "kind", "downloads", "fits")
        columns = [tr(f"models.column.{name}", lang) for name in names]
        rows = [self._row(model, lang) for model in self.models]
        caption = tr("models.search.caption", lang, count=len(rows), words=self.words, hub=self.hub)
        table = Table(columns, rows, caption=f"{caption} {self._here(lang)}", align="lrlllrl")
        return [heading, table, Text(tr("models.search.next", lang, name=self.models[0].name), tone="quiet")]

    def _row(self, model: FoundModel, lang: str | None) -> tuple[str, ...]:
        fits = "disk" if model.fits in ("yes", "tight") and model.fits_disk is False else model.fits
        return (
            f"{model.name} *" if model.here else model.name,
            short(model.parameters, lang),
            model.licence or "–",
            tr(f"models.access.{model.gated or 'open'}", lang),
            tr(f"models.kind.{model.kind}", lang),
            short(model.downloads, lang),
            tr(f"models.fits.{fits}", lang),
        )

    def _here(self, lang: str | None) -> str:
        free, disk = (None if count is None else size(count, lang) for count in (self.available_bytes, self.free_bytes))
        facts = {"tokens": number(self.tokens, lang), "free": free, "disk": disk}
        fits = tr("models.search.fits", lang, **facts) if free and disk else ""
        return " ".join(
            filter(None, (fits, tr("models.search.star", lang) if any(m.here for m in self.models) else ""))
        )


@dataclass(frozen=True)
class Changed(Result):
    """What was done to a model of the cache. ``action``: get, remove; ``bytes`` what it weighs or weighed."""

    action: str
    name: str
    bytes: int
    folder: str

    def view(self, lang: str | None = None) -> list[Block]:
        """Return one line."""
        facts = {"name": self.name, "size": size(self.bytes, lang)}
        return [
            Text(tr(f"models.changed.{self.action}", lang, **facts)),
            Facts([(tr("models.folder", lang), self.folder)]),
        ]
