"""What happens between the vectors and the probabilities, layer by layer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from capot.chapters.network.bounds import ENOUGH
from capot.chapters.token_texts import TokenShare, label_of
from capot.i18n import number, percent, tr
from capot.view.blocks import Bar, Bars, Block, Curves, Heading, Piece, Series, Strip, Table, Text
from capot.view.result import Result, flatten, text_tail

SHOWN = 300  # characters of the prompt that a view repeats
MOST_COLUMNS = 128  # positions beside each other; the last ones are those a guess follows from
HEADS_SHOWN = 16
READ_SHOWN = 3  # tokens that a head reads most
MATRIX = 12  # tokens up to which all of a head's weights are shown


@dataclass(frozen=True)
class LayerToken:
    """A token of the prompt. ``text`` is empty where its bytes are no whole character."""

    id: int
    text: str


@dataclass(frozen=True)
class PlaceGuess:
    """What would come after a position, were this layer the last: the first of ``candidates``."""

    position: int
    id: int
    text: str
    probability: float
    candidates: Sequence[TokenShare]


@dataclass(frozen=True)
class LayerInside:
    """What leaves a layer, or for ``layer`` 0 enters the first, at the positions of ``guesses``.

    The other numbers are one for each of these positions: the length of what attention and the MLP added, and its
    cosine with what it was added to. None for layer 0, and for a family of another build.
    """

    layer: int
    guesses: Sequence[PlaceGuess]
    attention_norm: Sequence[float] | None
    mlp_norm: Sequence[float] | None
    attention_cosine: Sequence[float] | None
    mlp_cosine: Sequence[float] | None


@dataclass(frozen=True)
class HeadScores:
    """Shares of a head's attention, from 0 to 1; None where a text of fewer than three tokens tells nothing."""

    itself: float | None
    previous: float | None
    first: float | None
    induction: float | None


@dataclass(frozen=True)
class HeadMeasured:
    """A head, by layer and number from 1.

    ``kind`` is the name of a high score, ``mixed`` where none is high; None where that is not known of a short text.
    """

    layer: int
    head: int
    kind: str | None
    scores: HeadScores


@dataclass(frozen=True)
class TargetToken:
    """The token whose logit is taken apart: the first of the ``tokens`` that what was asked for has."""

    id: int
    text: str
    logit: float
    tokens: int


@dataclass(frozen=True)
class Contribution:
    """What one part gave to the target's logit; ``head`` is None where the part is no single head's."""

    layer: int
    part: Literal["embedding", "attention", "mlp"]
    head: int | None
    logit: float


@dataclass(frozen=True)
class HeadWeights:
    """How much each token (a row) attends to each token (a column); a row sums to 1."""

    layer: int
    head: int
    weights: Sequence[Sequence[float]]


@dataclass(frozen=True)
class HeadReads:
    """How much a head takes from each token up to the reader; the sum of ``weights`` is 1."""

    layer: int
    head: int
    weights: Sequence[float]


@dataclass(frozen=True)
class TokenReads:
    """What the token at ``position`` reads, head by head."""

    position: int
    heads: Sequence[HeadReads]


@dataclass(frozen=True)
class NetworkInside(Result):
    """A prompt on its way through the layers.

    ``contributions`` and ``remainder`` add up to the logit of ``target``. What a family's build does not allow is
    empty, or None; ``attention`` and ``reads`` are None where they were not asked for.
    """

    prompt: str
    tokens: Sequence[LayerToken]
    layers: Sequence[LayerInside]
    heads: Sequence[HeadMeasured]
    target: TargetToken | None
    contributions: Sequence[Contribution]
    remainder: float | None
    attention: HeadWeights | None
    reads: TokenReads | None
    labels: Mapping[int, str] = field(repr=False, compare=False, metadata={"json": False})
    model: str = field(metadata={"json": False})

    def brief(self, lang: str | None = None) -> str:
        return tr("network.brief", lang, prompt=text_tail(self.prompt), count=len(self.tokens))

    def to_rows(self) -> list[dict[str, Any]]:
        """Return a row a layer and a token: the guess that follows it there."""
        return [{"layer": layer.layer, **flatten(guess)} for layer in self.layers for guess in layer.guesses]

    def view(self, lang: str | None = None) -> list[Block]:
        """Return the guesses as a picture, how far each part moved the last token, what gave its logit, what heads look
        at.
        """
        shown = self.prompt if len(self.prompt) <= SHOWN else "…" + self.prompt[-SHOWN:]
        blocks: list[Block] = [Heading(tr("network.title", lang)), Text(shown), self._picture(lang)]
        if any(layer.attention_norm is not None for layer in self.layers):
            blocks.append(self._moved(lang))
        if self.target is not None:
            blocks += [self._bars(self.target, lang), *first_of(self._label(self.target.id), self.target.tokens, lang)]
            blocks += self._best_heads(lang)
        if self.heads:
            blocks.append(self._kinds(lang))
        if self.attention is not None:
            blocks += self._attention(self.attention, lang)
        if self.reads is not None:
            blocks.append(self._reads(self.reads, lang))
        missing = [name for name, there in (("parts", self.target), ("heads", self.heads)) if not there]
        return blocks + [Text(tr(f"network.missing.{name}", lang), tone="quiet") for name in missing]

    # ------------------------------------------------------------ the picture

    def _picture(self, lang: str | None) -> Table:
        """Return the layers as rows, the last on top; tokens as columns, the last ones of a long text."""
        guessed = self.layers[0].guesses
        chosen = range(max(0, len(guessed) - MOST_COLUMNS), len(guessed))
        named = [self._label(self.tokens[guessed[place].position].id) for place in chosen]
        rows, heat = [], []
        for layer in reversed(self.layers):
            here = [layer.guesses[place] for place in chosen]
            rows.append((str(layer.layer), *(self._label(guess.id) for guess in here)))
            heat.append((None, *(guess.probability for guess in here)))
        caption = self._settling(lang)
        if len(chosen) < len(guessed):
            caption += " " + tr("network.picture.last", lang, count=len(chosen), all=len(guessed))
        return Table(
            (tr("network.layer", lang), *named), rows, title=tr("network.picture.title", lang), caption=caption,
            align="r" + "l" * len(named), heat=heat, grid=True,
        )  # fmt: skip

    def _label(self, token: int) -> str:
        return label_of(self.labels, token)

    def _settling(self, lang: str | None) -> str:
        """Return the first of the layers shown from which the last guess no longer changes."""
        final = self.layers[-1].guesses[-1]
        settled = len(self.layers) - 1
        while settled and self.layers[settled - 1].guesses[-1].id == final.id:
            settled -= 1
        shown: dict[str, Any] = {"guess": self._label(final.id), "share": percent(final.probability, lang)}
        shown |= {"token": self._label(self.tokens[final.position].id), "layer": self.layers[-1].layer}
        alone = 0 < settled == len(self.layers) - 1
        first = tr(
            "network.picture." + ("alone" if alone else "from"), lang, settled=self.layers[settled].layer, **shown
        )
        return f"{first} {tr('network.picture.caption', lang)}"

    # ------------------------------------------------------------ what moved it

    def _moved(self, lang: str | None) -> Curves:
        """Return the lengths of what was added at the last position shown, layer by layer."""
        known = [layer for layer in self.layers if layer.attention_norm and layer.mlp_norm]
        depths = [layer.layer for layer in known]
        attention, mlp = ([(norms or (0.0,))[-1] for norms in each] for each in (
            [layer.attention_norm for layer in known], [layer.mlp_norm for layer in known],
        ))  # fmt: skip
        lines = [Series(tr("network.part.attention", lang), depths, attention)]
        lines.append(Series(tr("network.part.mlp", lang), depths, mlp, dashed=True))
        most = max(known, key=lambda layer: (layer.mlp_norm or (0.0,))[-1])
        last = self.layers[0].guesses[-1].position
        caption = tr(
            "network.moved.caption", lang, token=self._label(self.tokens[last].id), layer=most.layer,
            norm=number((most.mlp_norm or (0.0,))[-1], lang, 1),
            cosine=number((most.mlp_cosine or (0.0,))[-1], lang, 2),
        )  # fmt: skip
        axes = tr("network.layer", lang), tr("network.moved.axis", lang)
        return Curves(lines, *axes, title=tr("network.moved.title", lang), caption=caption)

    # ------------------------------------------------------------ what gave the logit

    def _bars(self, target: TargetToken, lang: str | None) -> Bars:
        """Return each layer's attention and MLP; the length is the size, the number says the sign."""
        totals: dict[tuple[int, str], float] = {}
        for each in self.contributions:
            totals[each.layer, each.part] = totals.get((each.layer, each.part), 0.0) + each.logit
        named = [(self._part(layer, part, lang), logit) for (layer, part), logit in totals.items()]
        named.append((tr("network.part.remainder", lang), self.remainder or 0.0))
        most = max((abs(logit) for _, logit in named), default=0.0) or 1.0
        rows = [
            Bar(name, abs(logit) / most, number(logit, lang, 2), marked=round(logit, 2) < 0) for name, logit in named
        ]
        shown = {"token": self._label(target.id), "logit": number(target.logit, lang, 2)}
        best = max(named, key=lambda pair: pair[1])
        caption = tr("network.bars.caption", lang, part=best[0], share=number(best[1], lang, 2), **shown)
        return Bars(rows, title=tr("network.bars.title", lang, **shown), caption=caption)

    def _part(self, layer: int, part: str, lang: str | None) -> str:
        if part == "embedding":
            return tr("network.part.embedding", lang)
        return tr("network.part.of_layer", lang, layer=layer, part=tr(f"network.part.{part}", lang))

    def _best_heads(self, lang: str | None) -> Iterator[Table]:
        """Yield the heads that gave most, for or against."""
        apart = [each for each in self.contributions if each.head is not None]
        kinds: dict[tuple[int, int | None], str | None] = {(each.layer, each.head): each.kind for each in self.heads}
        if not apart:
            return
        best = sorted(apart, key=lambda each: -abs(each.logit))[: HEADS_SHOWN // 3]
        named = [self._kind(kinds.get((each.layer, each.head)), lang) for each in best]
        rows = [
            (f"{each.layer}.{each.head}", number(each.logit, lang, 2), kind)
            for each, kind in zip(best, named, strict=True)
        ]
        columns = [tr(f"network.heads.{name}", lang) for name in ("head", "logit", "kind")]
        caption = tr("network.best.caption", lang)
        yield Table(columns, rows, title=tr("network.best.title", lang), caption=caption, align="lrl")

    # ------------------------------------------------------------ what heads look at

    def _kinds(self, lang: str | None) -> Table:
        """Return the heads whose name a measure gives, the highest measure first."""

        def measure(each: HeadMeasured) -> float:
            return float(getattr(each.scores, each.kind or "itself") or 0.0)

        named = sorted((each for each in self.heads if each.kind not in (None, "mixed")), key=lambda h: -measure(h))
        rows, heat = [], []
        for each in named[:HEADS_SHOWN]:
            scores = scores_of(each)
            cells = ["–" if score is None else percent(score, lang, 0) for score in scores]
            rows.append((f"{each.layer}.{each.head}", *cells, self._kind(each.kind, lang)))
            heat.append((None, *scores, None))
        names = ("head", "itself", "previous", "first", "induction", "kind")
        columns = [tr(f"network.heads.{name}", lang) for name in names]
        shown: dict[str, Any] = {"count": len(named), "all": len(self.heads), "mixed": len(self.heads) - len(named)}
        shown["share"] = percent(ENOUGH, lang, 0)
        key = "caption" if named else "none"
        if all(each.scores.previous is None for each in self.heads):
            key = "short"
        caption = f"{tr(f'network.heads.{key}', lang, **shown)} {tr('network.heads.measured', lang)}"
        return Table(columns, rows, title=tr("network.heads.title", lang), caption=caption, align="lrrrrl", heat=heat)

    def _kind(self, kind: str | None, lang: str | None) -> str:
        return "–" if kind is None else tr(f"network.kind.{kind}", lang)

    def _attention(self, found: HeadWeights, lang: str | None) -> Iterator[Block]:
        """Yield what the last token attends to; of a short text, what each token does."""
        last = found.weights[-1]
        pieces = [
            Piece(self._label(token.id), hint=percent(weight, lang), weight=weight)
            for token, weight in zip(self.tokens, last, strict=True)
        ]
        most = max(range(len(last)), key=lambda place: last[place])
        shown = {"name": f"{found.layer}.{found.head}", "token": self._label(self.tokens[-1].id)}
        shown |= {"other": self._label(self.tokens[most].id), "share": percent(last[most], lang)}
        yield Strip(
            pieces,
            label=tr("network.attention.label", lang, **shown),
            caption=tr("network.attention.caption", lang, **shown),
        )
        if len(self.tokens) <= MATRIX:
            names = [self._label(token.id) for token in self.tokens]
            rows = [
                (name, *(number(100 * w, lang, 0) if w else "" for w in row)) for name, row in zip(names, found.weights)
            ]
            heat = [(None, *row) for row in found.weights]
            yield Table(
                ("", *names), rows, title=tr("network.attention.title", lang, **shown),
                caption=tr("network.attention.rows", lang), align="l" + "r" * len(names), heat=heat, grid=True,
            )  # fmt: skip

    def _reads(self, found: TokenReads, lang: str | None) -> Table:
        """Return what a token reads most in each head, the surest heads first."""
        reader = self._label(self.tokens[found.position].id)
        rows = []
        for head in sorted(found.heads, key=lambda head: -max(head.weights))[:HEADS_SHOWN]:
            best = sorted(range(len(head.weights)), key=lambda place: -head.weights[place])[:READ_SHOWN]
            read = [f"{self._label(self.tokens[place].id)} {percent(head.weights[place], lang, 0)}" for place in best]
            rows.append((f"{head.layer}.{head.head}", *read, *[""] * (READ_SHOWN - len(read))))
        columns = (tr("network.heads.head", lang), *(str(place + 1) for place in range(READ_SHOWN)))
        title = tr("network.reads.title", lang, token=reader)
        caption = tr("network.reads.caption", lang, shown=len(rows), all=len(found.heads))
        return Table(columns, rows, title=title, caption=caption, align="l" * len(columns))


def first_of(label: str, tokens: int, lang: str | None) -> list[Text]:
    """Return what is said where one token of several that were asked for is meant, the first one."""
    if tokens == 1:
        return []
    return [Text(tr("network.first_of", lang, token=label, tokens=tokens), tone="warning")]


def scores_of(head: HeadMeasured) -> tuple[float | None, ...]:
    scores = head.scores
    return scores.itself, scores.previous, scores.first, scores.induction
