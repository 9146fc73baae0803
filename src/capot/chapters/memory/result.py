"""What a prompt costs in memory and in time: rows by length, and what fits on which cards."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from capot.chapters.memory.rows import Cache, CardsFit, Mode, Parts, Row, Stopped
from capot.i18n import duration, number, percent, size, tr
from capot.view.blocks import Block, Curves, Facts, Heading, Series, Table, Text
from capot.view.result import Result, flatten


@dataclass(frozen=True)
class Memory(Result):
    """The answer of ``memory``; ``fits`` is empty but in a simulation."""

    model: str
    device: str
    engine: str
    mode: Mode
    precision: str
    weights_bytes: int
    context_length: int | None
    kv_cache: Cache
    chunk: int
    rows: tuple[Row, ...]
    simulated: bool = False
    layers_guessed: bool = False  # which layers keep keys and values is not known: all are counted
    exact: bool = True  # False where the family, or what its layers hold, is unknown and was counted as a Llama's
    parameters: int | None = None
    fits: tuple[CardsFit, ...] = ()
    stopped: Stopped | None = None

    def at(self, tokens: int) -> Row:
        """Return the row of ``tokens`` tokens. Raises: KeyError."""
        found = next((row for row in self.rows if row.tokens == tokens), None)
        if found is None:
            raise KeyError(tokens)
        return found

    table = "rows"

    def brief(self, lang: str | None = None) -> str:
        if not self.rows:
            return self.model
        longest = max(self.rows, key=attrgetter("tokens"))
        held = longest.computed.total if longest.measured_bytes is None else longest.measured_bytes
        facts = {"count": len(self.rows), "tokens": longest.tokens, "bytes": size(held, lang)}
        return tr(f"memory.brief.{'simulated' if self.simulated else 'measured'}", lang, model=self.model, **facts)

    def to_rows(self) -> list[dict[str, Any]]:
        """Return a row a length, with the sum of what is computed for it."""
        return [{**flatten(row), "computed_total": row.computed.total} for row in self.rows]

    @property
    def ending(self) -> str:
        return self.stopped.reason if self.stopped is not None else "complete"

    def view(self, lang: str | None = None) -> list[Block]:
        return blocks(self, lang)


UNLIMITED = 2**40  # tokens; where every layer has a window, nothing grows any more
PARTS = ("kv_cache", "activations", "logits")


def blocks(memory: Memory, lang: str | None) -> list[Block]:
    """Return all that ``memory`` shows, in the order in which it is read."""
    found: list[Block] = [Heading(tr("memory.title", lang)), facts(memory, lang)]
    if memory.rows:
        drawn = curve(memory, lang)
        alone = Text(drawn.caption, tone="quiet")  # one length is no curve
        found += [rows_table(memory, lang), drawn if len(memory.rows) > 1 else alone]
    if memory.simulated:
        found += [fits_table(memory, lang)] if memory.fits else []
    elif len(timed := [row for row in memory.rows if row.next_token_s]) > 1:
        found += [Heading(tr("memory.growth.title", lang), level=2), growth(timed, lang)]
    elif timed:
        found.append(Text(_next_token(timed[0], lang), tone="quiet"))
    if memory.stopped:
        found.append(Text(_stopped(memory.stopped, lang), tone="warning"))
    return [*found, *(Text(note, tone="quiet") for note in _notes(memory, lang))]


def facts(memory: Memory, lang: str | None) -> Facts:
    """Return the model, where it runs, its weights and its cache."""
    device = tr("memory.simulated", lang) if memory.simulated else memory.device
    weights = tr("memory.weights_in", lang, size=size(memory.weights_bytes, lang), precision=memory.precision)
    context = "–" if memory.context_length is None else number(memory.context_length, lang)
    rows = [("model", memory.model), ("device", device), ("weights", weights), ("context", context)]
    rows += [("kv_cache", _cache(memory.kv_cache, lang)), ("mode", tr(f"memory.mode.{memory.mode}", lang))]
    return Facts([(tr(f"memory.fact.{name}", lang), text) for name, text in rows])


def _cache(cache: Cache, lang: str | None) -> str:
    words = [
        tr("memory.cache", lang, size=size(cache.bytes_per_token, lang), dtype=cache.dtype),
        tr(f"memory.attention.{cache.attention}", lang),
    ]
    if cache.windows:
        window = {"count": cache.windows, "layers": cache.layers, "window": cache.window}
        words.append(tr("memory.window", lang, **window))
    elif cache.layers:
        words.append(tr("memory.whole", lang))
    if cache.other_layers:
        words.append(tr("memory.other_layers", lang, count=cache.other_layers))
    if cache.state_bytes != 0:
        known = cache.state_bytes is not None
        words.append(
            tr("memory.state.known" if known else "memory.state.unknown", lang, size=size(cache.state_bytes or 0, lang))
        )
    return ", ".join(words)


def rows_table(memory: Memory, lang: str | None) -> Table:
    """Return one line per length; a star marks those beyond the trained context."""
    columns: list[tuple[str, Callable[[Row], Any]]] = [("tokens", lambda row: _tokens(row, lang))]
    if not memory.simulated:
        columns.append(("measured", lambda row: row.measured_bytes))
    columns.append(("computed", lambda row: row.computed.total))
    columns += [(part, attrgetter(f"computed.{part}")) for part in PARTS]
    if any(row.process_bytes is not None for row in memory.rows):
        columns.append(("process", lambda row: row.process_bytes))
    if not memory.simulated:
        columns.append(("time", lambda row: None if row.seconds is None else duration(row.seconds, lang)))
    return Table(
        columns=[tr(f"memory.column.{name}", lang) for name, _ in columns],
        rows=[[_cell(read(row), lang) for _, read in columns] for row in memory.rows],
        align="r" * len(columns),
    )


def _tokens(row: Row, lang: str | None) -> str:
    return number(row.tokens, lang) + (" *" if row.beyond_context else "")


def _cell(value: Any, lang: str | None) -> str:
    if value is None:
        return "–"
    return value if isinstance(value, str) else size(value, lang)


def curve(memory: Memory, lang: str | None) -> Curves:
    """Return the weights and the parts stacked on them, and the measured points, dashed beyond the trained context.

    Every line is a whole total, the weights included, as the stack's top is; axes are linear, since heights that are
    added up mean nothing on a logarithmic one.
    """
    rows = memory.rows
    weights = memory.weights_bytes
    lengths = [row.tokens for row in rows]
    heights = {"weights": [weights] * len(rows)}
    heights |= {part: [getattr(row.computed, part) for row in rows] for part in PARTS}
    series = [
        Series(tr(f"memory.part.{name}", lang), lengths, stacked, area=True)
        for name, stacked in heights.items()
        if any(stacked)
    ]
    if memory.simulated:
        label = tr("memory.part.total", lang)
        series += _beyond_in_dashes(rows, label, lambda row: weights + row.computed.total, lang)[1:]
    else:
        label = tr("memory.part.measured", lang)
        series += _beyond_in_dashes(rows, label, lambda row: _with(weights, row.measured_bytes), lang)
    other = "all" if memory.mode == "last" else "last"
    totals = [weights + row.other_mode.total for row in rows]
    series.append(Series(tr(f"memory.other.{other}", lang), lengths, totals, dashed=True))
    return Curves(
        series=series, x_label=tr("memory.column.tokens", lang), y_label=tr("memory.axis.bytes", lang),
        y_kind="bytes", title=tr("memory.curve.title", lang), caption=_caption(memory, lang),
    )  # fmt: skip


def _with(weights: int, measured: int | None) -> int | None:
    return None if measured is None else weights + measured


def _beyond_in_dashes(
    rows: Sequence[Row], label: str, read: Callable[[Row], float | None], lang: str | None
) -> list[Series]:
    """Return one quantity, in one line to the trained context and in a dashed one from there on."""
    known = [row for row in rows if read(row) is not None]
    within = [row for row in known if not row.beyond_context]
    beyond = [row for row in known if row.beyond_context]
    lines = [(label, within, False), (tr("memory.beyond", lang, what=label), [*within[-1:], *beyond], True)]
    lines = lines if beyond else lines[:1]
    return [
        Series(name, [r.tokens for r in part], [read(r) for r in part], dashed) for name, part, dashed in lines if part
    ]


def _caption(memory: Memory, lang: str | None) -> str:
    """Return two sentences: the longest row and its largest part, then what the other mode would cost."""
    row = memory.rows[-1]
    parts: Parts = row.computed
    largest = max(PARTS, key=lambda part: getattr(parts, part))
    first = tr(
        "memory.caption.simulated" if row.measured_bytes is None else "memory.caption.measured", lang,
        tokens=row.tokens, weights=size(memory.weights_bytes, lang), computed=size(parts.total, lang),
        bytes=size(parts.total if row.measured_bytes is None else row.measured_bytes, lang),
        share=_share(getattr(parts, largest) / max(parts.total, 1), lang), part=tr(f"memory.the.{largest}", lang),
    )  # fmt: skip
    ratio = row.other_mode.total / max(parts.total, 1)
    logits = row.other_mode.logits if memory.mode == "last" else parts.logits
    other = {"bytes": size(row.other_mode.total, lang), "logits": size(logits, lang)}
    other["ratio"] = _times(max(ratio, 1 / ratio), lang)
    return f"{first} {tr(f'memory.caption.other_{memory.mode}', lang, **other)}"


def _share(share: float, lang: str | None) -> str:
    """Return a share without decimals, unless it would be rounded to the whole that it is not."""
    return percent(min(share, 0.999), lang, 1) if 0.995 <= share < 1 else percent(share, lang, 0)


def _times(ratio: float, lang: str | None) -> str:
    """Return how many times, with no more digits than are worth reading."""
    digits = 1 if ratio < 20 else 0
    return number(ratio, lang, 2 if ratio < 1 else digits)


def growth(rows: Sequence[Row], lang: str | None) -> Curves:
    """Return the time of one token more, with the cache and without it."""
    without, cached = (tr(f"memory.growth.{name}", lang) for name in ("without", "with"))
    series = _beyond_in_dashes(rows, without, lambda row: row.seconds, lang)
    series += _beyond_in_dashes(rows, cached, lambda row: row.next_token_s, lang)
    return Curves(
        series=series, x_label=tr("memory.column.tokens", lang), y_label=tr("memory.axis.seconds", lang),
        log_x=True, log_y=True, y_kind="seconds", caption=_growth_caption(rows, lang),
    )  # fmt: skip


def _next_token(row: Row, lang: str | None) -> str:
    """Return the times of one length, which draw no curve: one token more with the cache, and without it."""
    tokens, everything, one = _timed(row)
    times = {"cached": duration(one, lang), "recomputed": duration(everything, lang)}
    return tr("memory.growth.single", lang, tokens=tokens, ratio=_times(everything / one, lang), **times)


def _growth_caption(rows: Sequence[Row], lang: str | None) -> str:
    first, first_all, first_one = _timed(rows[0])
    last, last_all, last_one = _timed(rows[-1])
    return tr(
        "memory.growth.caption", lang,
        tokens=last, first=first, cached=duration(last_one, lang),
        recomputed=duration(last_all, lang), ratio=_times(last_all / last_one, lang),
        cached_growth=_times(last_one / first_one, lang),
        recomputed_growth=_times(last_all / first_all, lang),
    )  # fmt: skip


def _timed(row: Row) -> tuple[int, float, float]:
    """Return a measured row's tokens, the seconds for all of them, and those for one more."""
    assert row.seconds is not None and row.next_token_s is not None  # only measured rows have a growth
    return row.tokens, row.seconds, row.next_token_s


def fits_table(memory: Memory, lang: str | None) -> Table:
    """Return what is left for the text, for each precision and each number of cards."""
    contexts = [users.context for users in memory.fits[0].concurrent]
    columns = [tr(f"memory.fit.{name}", lang) for name in ("precision", "weights", "cards", "max_context")]
    columns += [tr("memory.fit.users", lang, context=_marked(context, memory, lang)) for context in contexts]
    return Table(
        columns=columns,
        rows=[_fit_row(fit, lang) for fit in memory.fits],
        align="l" + "r" * (len(columns) - 1),
        title=tr("memory.fit.title", lang),
        caption=_fit_caption(memory, lang),
    )


def _fit_row(fit: CardsFit, lang: str | None) -> list[str]:
    cards = f"{fit.gpus} × {_card(fit.gpu_bytes, lang)}"
    start = [fit.precision, size(fit.weights_bytes, lang), cards]
    if not fit.fits:
        return [*start, tr("memory.fit.no", lang), *("–" for _ in fit.concurrent)]
    return [*start, _context(fit, lang), *(number(users.users, lang) for users in fit.concurrent)]


def _context(fit: CardsFit, lang: str | None) -> str:
    """Return the longest text, never longer than the model was trained for: what is left over serves more texts."""
    if fit.max_context >= UNLIMITED:
        return tr("memory.fit.unlimited", lang)
    if fit.trained is not None and fit.max_context > fit.trained.context:
        return f"{number(fit.trained.context, lang)} × {number(fit.trained.users, lang)}"
    return number(fit.max_context, lang)


def _marked(tokens: int, memory: Memory, lang: str | None) -> str:
    """Return a number of tokens, with a star beyond the trained context."""
    return number(tokens, lang) + (" *" if memory.context_length and tokens > memory.context_length else "")


def _card(count: int, lang: str | None) -> str:
    """Return the memory of a card as it is sold, with no digits of precision."""
    return re.sub(r"[.,]0+(?=\u00a0)", "", size(count, lang))


def _fit_caption(memory: Memory, lang: str | None) -> str:
    """Return two sentences: the table's first line in words, then the least that would do, or the most there is."""
    first = memory.fits[0]
    key = "memory.fit.caption_fits" if first.fits else "memory.fit.caption_too_big"
    opening = tr(key, lang, model=memory.model, weights=size(first.weights_bytes, lang), **_said(first, lang))
    fitting = [fit for fit in memory.fits if fit.fits and fit.max_context]
    if not fitting:
        return f"{opening} {tr('memory.fit.caption_none', lang)}"
    least = min(fitting, key=lambda fit: (fit.gpus * fit.gpu_bytes, -fit.weights_bytes))
    if least != first:
        return f"{opening} {tr('memory.fit.caption_least', lang, **_said(least, lang))}"
    most = max(fitting, key=lambda fit: (fit.max_context, sum(one.users for one in fit.concurrent)))
    return f"{opening} {tr('memory.fit.caption_most', lang, **_said(most, lang))}"


def _said(fit: CardsFit, lang: str | None) -> dict[str, Any]:
    said = {"precision": fit.precision, "gpu": _card(fit.gpu_bytes, lang), "count": fit.gpus}
    return said | {"context": _room(fit, lang)}


def _room(fit: CardsFit, lang: str | None) -> str:
    """Return what the room left is for, in words: a text, or several as long as the model was trained for."""
    if fit.trained is not None and fit.max_context > fit.trained.context:
        return tr("memory.fit.trained", lang, count=fit.trained.users, context=fit.trained.context)
    if fit.max_context >= UNLIMITED:
        return tr("memory.fit.any", lang)
    return tr("memory.fit.tokens", lang, count=fit.max_context)


def _stopped(stopped: Stopped, lang: str | None) -> str:
    known: dict[str, Any] = {"tokens": stopped.tokens}
    if stopped.reason == "memory" and stopped.needed_bytes is not None:
        known |= {"needed": size(stopped.needed_bytes, lang), "available": size(stopped.available_bytes or 0, lang)}
        return tr("memory.stopped.memory", lang, **known)
    reason = "refused" if stopped.reason == "memory" else stopped.reason
    return tr(f"memory.stopped.{reason}", lang, **known)


def _notes(memory: Memory, lang: str | None) -> list[str]:
    notes = []
    asked = [users.context for fit in memory.fits[:1] for users in fit.concurrent]
    starred = memory.context_length is not None and any(context > memory.context_length for context in asked)
    if starred or any(row.beyond_context for row in memory.rows):
        notes.append(tr("memory.note.beyond", lang, context=memory.context_length))
    if memory.layers_guessed:
        notes.append(tr("memory.note.layers_guessed", lang))
    if not memory.exact:
        notes.append(tr("memory.note.family" if memory.simulated else "memory.note.layers", lang))
    elif memory.simulated and memory.kv_cache.state_bytes != 0:
        notes.append(tr("memory.note.states", lang))
    notes.append(tr("memory.note.chunk", lang, count=memory.chunk))
    if memory.simulated and memory.fits:
        context = memory.context_length
        if context is not None and any(context < fit.max_context < UNLIMITED for fit in memory.fits):
            notes.append(tr("memory.note.room", lang, context=context))
        if context is not None and any(fit.max_context >= UNLIMITED for fit in memory.fits):
            notes.append(tr("memory.note.unlimited", lang, context=context))
        notes.append(tr("memory.note.fits", lang))
    elif memory.rows and (resident := memory.rows[-1].resident_bytes) is not None:
        notes.append(tr("memory.note.process", lang, resident=size(resident, lang)))
    return notes
