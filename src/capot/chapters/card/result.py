"""What is in a model: its parameters by block, its sizes, its shape, and whether it fits here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from capot.engines.decode_plan import DecodePlan
from capot.engines.loaded import Loaded
from capot.i18n import number, percent, size, tr
from capot.sources.checkpoint import INTEGERS
from capot.sources.hub.published import Published
from capot.view.blocks import Bar, Bars, Block, Facts, Heading, Table, Text
from capot.view.result import Result, flatten

PRECISIONS = ("float32", "bfloat16", "int8", "int4")
# Types of a file that no weight has: quantised ones are packed in such numbers, several in each.
PACKED = INTEGERS | {"U64", "I64"}


@dataclass(frozen=True)
class BlockParameters:
    block: str  # embeddings, attention, mlp, norms, head; other where a name says nothing
    parameters: int


@dataclass(frozen=True)
class Parameters:
    """How many numbers were learnt. ``active`` is what one token goes through;
    ``with_prediction`` counts layers that guess further tokens, where there are any."""

    total: int
    by_block: Sequence[BlockParameters]
    active: int | None = None
    with_prediction: int | None = None
    source: str = "weights"  # weights: the files' headers; config: the formula


@dataclass(frozen=True)
class NetworkPart:
    """One part of the network, from the embeddings up; for a drawing."""

    part: str  # embeddings, layer, norms, head
    layer: int | None
    parameters: int
    attention: int = 0
    mlp: int = 0
    norms: int = 0


@dataclass(frozen=True)
class Fit:
    """What opening takes here. ``needed_bytes`` is the weights, the KV cache of ``tokens`` tokens and the states;
    ``room_tokens`` how long a context the available memory leaves room for."""

    weights_bytes: int
    kv_bytes_per_token: int
    tokens: int
    needed_bytes: int
    available_bytes: int | None
    total_bytes: int | None
    fits: str  # yes, tight (once other programs are closed), no, unknown
    fitting_precision: str | None  # where it does not fit: the widest of PRECISIONS that would
    room_tokens: int | None
    layers_guessed: bool = False  # which layers keep keys and values is not known: all are counted
    state_bytes: int | None = 0  # that a text leaves in states of a fixed size; None where their form is not known


@dataclass(frozen=True)
class KnownModel:
    """A row of the table of published models."""

    name: str
    source: str
    parameters: int
    active: int
    with_prediction: int | None
    file_bytes: dict[str, int]
    layers: int
    width: int
    context_length: int | None
    kv_bytes_per_token: int


@dataclass(frozen=True)
class Sheet(Result):
    """What every card can show, of whatever kind: the hub's own words, sizes, room in memory and on the disk."""

    name: str
    architecture: str
    kind: str
    kind_reason: str
    licence: str | None
    parameters: Parameters
    file_bytes: dict[str, int]
    dtype: str | None
    cache_known = "needed"  # the sentence of what opening takes: with a cache counted, or guessed

    def brief(self, lang: str | None = None) -> str:
        weights = size(self.file_bytes.get(self.dtype or "", self.file_bytes["bfloat16"]), lang)
        facts = {"parameters": amount_of(self.parameters.total, lang), "architecture": self.architecture or "–"}
        return tr("card.brief", lang, name=self.name, size=weights, **facts)

    def to_rows(self) -> list[dict[str, Any]]:
        """Return a row a block of the network, with its parameters."""
        return [flatten(row) for row in self.parameters.by_block]

    def name_rows(self, lang: str | None) -> list[tuple[str, str]]:
        """Return the first rows of every card."""
        names = ("model", "architecture", "kind", "licence", "parameters")
        values = [
            self.name,
            self.architecture or "–",
            tr(f"card.kind.{self.kind}.{self.kind_reason}", lang),
            self.licence or tr("card.facts.unstated", lang),
            in_full(self.parameters.total, lang),
        ]
        return [(tr(f"card.facts.{name}", lang), value) for name, value in zip(names, values)]

    def hub_rows(self, published: Published, lang: str | None) -> list[tuple[str, str]]:
        """Return who may have the model, how many do, the commit that this describes, and whether texts can be read to
        it.
        """
        rows = [(tr("card.hub.commit", lang), published.commit[:12])]
        if published.gated is not None:
            rows += [(tr("card.hub.access", lang), tr(f"card.hub.gated.{published.gated or 'open'}", lang))]
        if published.downloads is not None:
            rows += [(tr("card.hub.downloads", lang), number(published.downloads, lang))]
        if published.tokenizer != "ready":
            rows += [(tr("card.hub.tokenizer", lang), tr(f"card.hub.tokenizers.{published.tokenizer}", lang))]
        return rows

    def disk_text(self, published: Published, lang: str | None) -> Text:
        """Return what is still to be downloaded, and whether the disk has room for it."""
        if published.downloaded:
            return Text(tr("card.hub.here", lang, cache=published.cache))
        to_come = size(published.download_bytes, lang)
        coming = tr("card.hub.coming", lang, size=to_come, count=published.download_files, cache=published.cache)
        if published.free_bytes is None:
            return Text(coming)
        free = tr(f"card.hub.{'fits' if published.fits_disk else 'full'}", lang, free=size(published.free_bytes, lang))
        return Text(f"{coming} {free}", tone="plain" if published.fits_disk else "warning")

    def size_table(self, memory: Fit, lang: str | None) -> Table:
        rows = [(name, bits(name, lang), size(self.file_bytes[name], lang)) for name in PRECISIONS]
        columns = [tr(f"card.sizes.{name}", lang) for name in ("precision", "bits", "size")]
        kind = "packed" if self.dtype in PACKED else "caption"
        first = tr(f"card.sizes.{kind}", lang, size=size(memory.weights_bytes, lang), dtype=self.dtype or "?")
        caption = f"{first} {tr('card.sizes.scales', lang)}"
        return Table(columns, rows, title=tr("card.sizes.title", lang), caption=caption, align="lrr")

    def fit_sentence(self, memory: Fit, lang: str | None) -> str:
        needed = tr(
            f"card.fit.{self.cache_known if memory.kv_bytes_per_token else 'fixed'}", lang,
            needed=size(memory.needed_bytes, lang), count=memory.tokens, each=size(memory.kv_bytes_per_token, lang),
        )  # fmt: skip
        sizes = {name: size(value or 0, lang) for name, value in _memory_sizes(memory)}
        smaller = memory.fitting_precision if memory.fits == "no" else None
        answer = tr(f"card.fit.{'smaller' if smaller else memory.fits}", lang, precision=smaller or "", **sizes)
        if memory.fits == "yes" and memory.room_tokens and memory.kv_bytes_per_token and self.cache_known == "needed":
            answer += " " + tr("card.fit.room", lang, count=memory.room_tokens)
        notes = [tr("card.fit.layers_guessed", lang)] if memory.layers_guessed else []
        if memory.state_bytes != 0 and not memory.layers_guessed:
            state = size(memory.state_bytes or 0, lang)
            notes.append(
                tr(f"card.fit.state_{'unknown' if memory.state_bytes is None else 'known'}", lang, state=state)
            )
        return " ".join([needed, *notes, answer])


@dataclass(frozen=True)
class Card(Sheet):
    """A model at a glance. ``vocabulary_size`` is the rows of its table; ``vocabulary_tokens``
    and ``vocabulary_base`` are its tokenizer's, with and without added tokens."""

    vocabulary_size: int
    vocabulary_tokens: int | None
    vocabulary_base: int | None
    context_length: int | None
    layers: int
    width: int
    heads: int  # 0 where there is no attention (Mamba)
    kv_heads: int
    head_dim: int
    latent_width: int | None  # where keys and values are kept as fewer numbers (DeepSeek)
    mlp_width: int
    tied: bool
    experts: int
    active_experts: int
    structure: Sequence[NetworkPart]
    memory: Fit
    source: str | None = None  # where the shape is published, for a known model
    known: Sequence[KnownModel] = ()
    shared_experts: int = 0  # of the active ones, those that every token goes through
    dense_layers: int = 0  # with one MLP and no experts
    engine: str | None = None  # that will open it
    obstacle: str | None = None  # what it still lacks: family, device, extra, untried, version or code
    published: Published | None = None  # for a model of the hub
    loaded: Loaded | None = None  # what opening its engine took, once it is open
    decode_plan: DecodePlan | None = None  # how the weights are read while a text is written, as was found best here
    unused_layers: int = 0  # that the file holds beyond those that config.json gives

    def view(self, lang: str | None = None) -> list[Block]:
        """Return what the model is, where its parameters are, what it weighs, whether it fits."""
        blocks: list[Block] = [
            Heading(tr("card.title", lang)),
            self._facts(lang),
            self._blocks(lang),
            self.size_table(self.memory, lang),
            Text(
                self.fit_sentence(self.memory, lang),
                tone="plain" if self.memory.fits in ("yes", "unknown") else "warning",
            ),
        ]
        if self.published:
            blocks += [self.disk_text(self.published, lang)]
        if self.known:
            blocks += [Heading(tr("card.known.heading", lang), level=2), self._known(lang)]
        return blocks

    def _facts(self, lang: str | None) -> Facts:
        rows = self.name_rows(lang)
        rows += [
            (tr("card.facts.shape", lang), self._shape(lang)),
            (tr("card.facts.attention", lang), self._attention(lang)),
        ]
        if self.mlp_width:
            rows += [(tr("card.facts.mlp", lang), self._mlp(lang))]
        rows += [(tr("card.facts.vocabulary", lang), self._vocabulary(lang))]
        if self.context_length:
            rows += [(tr("card.facts.context", lang), tr("card.facts.tokens", lang, count=self.context_length))]
        if self.parameters.with_prediction:
            rows += [(tr("card.facts.with_prediction", lang), in_full(self.parameters.with_prediction, lang))]
        if self.engine:
            note = tr(f"card.engine.{self.obstacle}", lang, engine=self.engine) if self.obstacle else self.engine
            note = self.loaded.words(lang) if self.loaded else note
            rows += [(tr("card.facts.engine", lang), note)]
        if self.decode_plan:
            rows += [(tr("card.facts.decode_plan", lang), self.decode_plan.words(lang))]
        return Facts([*rows, *(self.hub_rows(self.published, lang) if self.published else ())])

    def _shape(self, lang: str | None) -> str:
        shape = tr("card.facts.shape_value", lang, layers=self.layers, width=self.width)
        unused = tr("card.facts.unused_layers", lang, count=self.unused_layers) if self.unused_layers else ""
        return f"{shape}{unused}"

    def _attention(self, lang: str | None) -> str:
        if not self.heads:
            return tr("card.facts.no_attention", lang)
        key = "card.facts.latent_value" if self.latent_width else "card.facts.attention_value"
        shape = {"heads": self.heads, "kv_heads": self.kv_heads, "head_dim": self.head_dim}
        return tr(key, lang, latent=self.latent_width or 0, **shape)

    def _mlp(self, lang: str | None) -> str:
        if not self.experts:
            return tr("card.facts.mlp_value", lang, width=self.mlp_width)
        active = amount_of(self.parameters.active or self.parameters.total, lang)
        facts = {"experts": self.experts, "chosen": self.active_experts - self.shared_experts, "active": active}
        shared = tr("card.facts.shared", lang, count=self.shared_experts) if self.shared_experts else ""
        dense = tr("card.facts.dense", lang, count=self.dense_layers) if self.dense_layers else ""
        return tr("card.facts.experts", lang, shared=shared, dense=dense, **facts)

    def _vocabulary(self, lang: str | None) -> str:
        if self.vocabulary_tokens is None or self.vocabulary_tokens == self.vocabulary_base == self.vocabulary_size:
            return tr("card.facts.rows", lang, rows=self.vocabulary_size)
        sizes = {"rows": self.vocabulary_size, "tokens": self.vocabulary_tokens, "base": self.vocabulary_base}
        same = self.vocabulary_tokens == self.vocabulary_size
        return tr("card.facts.vocabulary_value" if same else "card.facts.vocabulary_padded", lang, **sizes)

    def _blocks(self, lang: str | None) -> Bars:
        total = self.parameters.total
        rows = [
            Bar(
                self._block(row.block, lang),
                row.parameters / total if total else 0.0,
                f"{number(row.parameters, lang)}  {percent(row.parameters / total if total else 0.0, lang)}",
            )
            for row in self.parameters.by_block
        ]
        largest = max(self.parameters.by_block, key=lambda row: row.parameters)
        first = tr(
            "card.blocks.caption",
            lang,
            total=amount_of(total, lang),
            block=self._block(largest.block, lang),
            share=percent(largest.parameters / total if total else 0.0, lang, 0),
        )
        head = next((row.parameters for row in self.parameters.by_block if row.block == "head"), 0)
        second = tr("card.blocks.tied" if self.tied and not head else "card.blocks.untied", lang)
        return Bars(rows, title=tr("card.blocks.title", lang), caption=f"{first} {second}")

    def _block(self, block: str, lang: str | None) -> str:
        """Return the name of a block; what is none of the usual ones mixes tokens where layers keep a state."""
        state = block == "other" and self.memory.state_bytes != 0
        return tr("card.blocks.state" if state else f"card.blocks.{block}", lang)

    def _known(self, lang: str | None) -> Table:
        names = ("name", "parameters", "active", "bfloat16", "int8", "int4", "kv")
        rows = [
            (
                model.name,
                short(model.parameters, lang),
                "–" if model.active == model.parameters else short(model.active, lang),
                *(size(model.file_bytes[name], lang) for name in ("bfloat16", "int8", "int4")),
                size(model.kv_bytes_per_token, lang),
            )
            for model in self.known
        ]
        columns = [tr(f"card.known.{name}", lang) for name in names]
        return Table(columns, rows, title=tr("card.known.title", lang), caption=self._known_caption(lang))

    def _known_caption(self, lang: str | None) -> str:
        largest = max(self.known, key=lambda model: model.parameters)
        times = number(round(largest.parameters / self.parameters.total), lang)
        facts = {
            "largest": largest.name,
            "total": amount_of(largest.parameters, lang),
            "times": times,
            "name": self.name,
        }
        facts |= {"active": amount(largest.active, lang), "more": amount(largest.with_prediction or 0, lang)}
        sparse = largest.active < largest.parameters and largest.with_prediction
        first = tr("card.known.sparse" if sparse else "card.known.dense", lang, **facts)
        return f"{first} {tr('card.known.scales', lang)}"


def _memory_sizes(memory: Fit) -> list[tuple[str, int | None]]:
    return [("available", memory.available_bytes), ("total", memory.total_bytes)]


def amount(count: float, lang: str | None = None) -> str:
    """Return a number of parameters as one says it: ``1.24 billion``, ``1,24 milliard``."""
    unit, scaled, written = _in_units(count, lang)
    return written if unit == "plain" else tr(f"card.amount.{unit}", lang, count=scaled, amount=written)


def in_full(count: int, lang: str | None = None) -> str:
    """Return a number in all its digits, and in words where they differ: ``7,881,216 (7.88 million)``."""
    digits, said = number(count, lang), amount(count, lang)
    return digits if said == digits else f"{digits} ({said})"


def amount_of(count: float, lang: str | None = None) -> str:
    """Return the same with the noun: ``1.24 billion parameters``, ``1,24 milliard de paramètres``."""
    unit, scaled, written = _in_units(count, lang)
    return tr(f"card.amount_of.{unit}", lang, count=scaled, amount=written)


def short(count: float, lang: str | None = None) -> str:
    """Return the same as short as a table wants it: ``1.24B``, ``1,24 Md``."""
    unit, _, written = _in_units(count, lang)
    return written if unit == "plain" else tr(f"card.short.{unit}", lang, amount=written)


def _in_units(count: float, lang: str | None) -> tuple[str, float, str]:
    for name, scale in (("billion", 1e9), ("million", 1e6)):
        if count >= scale:
            scaled = count / scale
            return name, scaled, number(scaled, lang, 2 if scaled < 10 else 1)
    return "plain", count, number(count, lang)


def bits(precision: str, lang: str | None = None) -> str:
    """Return bits of one number."""
    return number({"float32": 32, "bfloat16": 16, "int8": 8, "int4": 4}[precision], lang)
