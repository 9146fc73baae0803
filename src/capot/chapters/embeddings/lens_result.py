"""The guess after every layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from capot.i18n import bits, number, percent, tr
from capot.view.blocks import Block, Curves, Heading, Series, Table, Text
from capot.view.result import Result, text_tail

LONG = 300  # characters of the prompt that are repeated: its end, which the guess follows


@dataclass(frozen=True)
class Guess:
    """A token and its probability; ``text`` is empty where its bytes are no whole character."""

    id: int
    text: str
    probability: float
    shown: str


@dataclass(frozen=True)
class Depth:
    """What the model would say after ``layer``, and where its final answer stands there.

    Units: ``final_rank`` from 1; ``entropy_bits`` of the whole distribution, in bits
    """

    layer: int
    top: Guess
    final_rank: int
    final_probability: float
    entropy_bits: float


@dataclass(frozen=True)
class Lens(Result):
    """The next-token guess after every layer; ``layers[0]`` is before any of them.

    ``final`` is the answer of the last layer, ``settled`` the first layer from which on
    the guess is that answer; ``tied`` says that the head is the embedding table itself.
    """

    prompt: str
    ids: Sequence[int]
    final: Guess
    layers: Sequence[Depth]
    settled: int
    tied: bool = False

    table = "layers"

    def brief(self, lang: str | None = None) -> str:
        share = percent(self.final.probability, lang)
        facts = {"token": self.final.shown, "share": share, "layer": self.settled}
        return tr("lens.brief", lang, prompt=text_tail(self.prompt), **facts)

    def view(self, lang: str | None = None) -> list[Block]:
        """Return the guesses by layer, then the final answer's way up in probability and in rank."""
        shown = self.prompt if len(self.prompt) <= LONG else "…" + self.prompt[-LONG:]
        prompt = Text(tr("lens.prompt", lang, prompt=shown, count=len(self.ids)))
        return [Heading(tr("lens.title", lang)), prompt, self._table(lang), self._probability(lang), self._ranks(lang)]

    def _table(self, lang: str | None) -> Table:
        names = ("layer", "guess", "probability", "rank", "final")
        columns = [tr(f"lens.table.{name}", lang, final=self.final.shown) for name in names]
        rows = [
            (
                str(depth.layer), depth.top.shown, percent(depth.top.probability, lang),
                number(depth.final_rank, lang), percent(depth.final_probability, lang),
            )
            for depth in self.layers
        ]  # fmt: skip
        heat = [(None, None, depth.top.probability, None, depth.final_probability) for depth in self.layers]
        return Table(
            columns, rows, title=tr("lens.table.title", lang), caption=self._caption(lang), align="rlrrr", heat=heat
        )

    def _caption(self, lang: str | None) -> str:
        last = len(self.layers) - 1
        count = last - self.settled
        shown = {"final": self.final.shown, "layers": last, "settled": self.settled, "first": self.layers[0].top.shown}
        echo = self.layers[0].top.id == self.ids[-1]
        form = "early" if self.settled else "always"
        form = form if count else "late"
        before = "echo" if self.tied else "echo_apart"
        before = before if echo else "other"
        before = "same" if form == "always" else before
        return f"{tr(f'lens.caption.{form}', lang, **shown)} {tr(f'lens.before.{before}', lang, **shown)}"

    def _curve(self, values: Sequence[float], label: str, *, dashed: bool = False) -> Series:
        return Series(label, [depth.layer for depth in self.layers], values, dashed=dashed)

    def _probability(self, lang: str | None) -> Curves:
        lines = [
            self._curve(
                [d.final_probability for d in self.layers], tr("lens.curve.final", lang, final=self.final.shown)
            ),
            self._curve([d.top.probability for d in self.layers], tr("lens.curve.top", lang), dashed=True),
        ]
        low = self.layers[0]
        caption = tr(
            "lens.curve.caption", lang, final=self.final.shown, layers=len(self.layers) - 1,
            start=percent(low.final_probability, lang), end=percent(self.final.probability, lang),
            bits=number(low.entropy_bits, lang, 1), left=bits(self.layers[-1].entropy_bits, lang, 1),
        )  # fmt: skip
        axes = tr("lens.curve.layer", lang), tr("lens.curve.probability", lang)
        return Curves(lines, *axes, y_kind="percent", title=tr("lens.curve.title", lang), caption=caption)

    def _ranks(self, lang: str | None) -> Curves:
        line = self._curve(
            [depth.final_rank for depth in self.layers], tr("lens.rank.line", lang, final=self.final.shown)
        )
        steepest = max(range(1, len(self.layers)), key=self._gain, default=0)
        before = self.layers[max(steepest - 1, 0)].final_rank
        after = self.layers[steepest].final_rank
        shown = {"final": self.final.shown, "layer": steepest, "before": before, "after": after}
        caption = tr("lens.rank.caption" if before > after else "lens.rank.flat", lang, **shown)
        axes = tr("lens.curve.layer", lang), tr("lens.rank.axis", lang)
        return Curves([line], *axes, log_y=True, title=tr("lens.rank.title", lang), caption=caption)

    def _gain(self, layer: int) -> float:
        """Return how many times better a layer makes the final answer's rank."""
        return self.layers[layer - 1].final_rank / self.layers[layer].final_rank
