"""A text that the engine writes by itself: a server draws the tokens, and tells its most probable ones."""

from __future__ import annotations

from collections.abc import Sequence

from capot.chapters.generate.loop import Loop
from capot.chapters.generate.result import Alternative, Finished, GeneratedToken, Started
from capot.chapters.generate.text import GrowingText
from capot.chapters.sampling_from_top import draw_probability
from capot.chapters.token_texts import Face, face
from capot.engines.scheduler import Drawing, WrittenJob
from capot.engines.seen import Bill, ChosenToken
from capot.text.tokenizer import Tokenizer


class ServedLoop(Loop, WrittenJob):
    """The same events as :class:`Loop`'s, from what a server tells.

    The server's seeds are its own: a text taken up again in the middle draws what it draws, not what it would have.
    """

    bill: Bill | None = None
    late = ""  # text that came after its tokens

    @property
    def drawing(self) -> Drawing:
        asked = self.sampling
        return Drawing(
            temperature=asked.temperature, top_k=asked.top_k, top_p=asked.top_p, min_p=asked.min_p,
            seed=self.seed + self.plan.first_draw, tokens=asked.max_new_tokens + self.plan.after_stop,
            stop=() if self.plan.after_stop else tuple(asked.stop), top=self.plan.alternatives,
        )  # fmt: skip

    @property
    def tokenizer(self) -> Tokenizer:
        return self.chooser.tokenizer

    def begun(self, seconds: float) -> None:
        self.prefill_s = seconds
        self.reused = None  # until the bill comes, at the end
        self.emit(Started(self.ids, len(self.ids), None, seconds, self.seed))

    def took(self, text: str, tokens: Sequence[ChosenToken], *, seconds: float, last: bool) -> bool:
        """Note the tokens, each with its part of the text; end at a stop text where the server does not."""
        if self.reason is not None and self.after is None:  # the text to take up again had ended
            self.finish()
            return False
        self.decode_s += seconds if self.tokens else 0.0
        if not tokens:
            return self._took_text(text)
        faces = [face(self.tokenizer, token.id, token.text) for token in tokens]
        pieces = parted(text, [own for _, own, _ in faces])
        for token, shown, piece in zip(tokens, faces, pieces, strict=True):
            ends = last and token is tokens[-1]
            if not self._took_one(token, shown, piece, seconds=seconds / len(tokens), last=ends):
                return False
        return True

    def _took_one(self, token: ChosenToken, shown: Face, text: str, *, seconds: float, last: bool) -> bool:
        """Note a token with its text, and return whether the text goes on."""
        if self.after is not None:
            return self._took_after(text, self.after)
        released, self.late = self.late + self.text.write(text), ""
        self.note(self._noted(token, shown, seconds), released)
        return last or self._goes_on_behind()

    def _took_text(self, text: str) -> bool:
        """Take a text whose tokens are not told; it is shown with the next one that is."""
        if self.after is not None:
            return self._took_after(text, self.after)
        self.late += self.text.write(text)
        return self._goes_on_behind()

    def _goes_on_behind(self) -> bool:
        """Return whether more is wanted: not behind a stop text, unless what follows it is asked for."""
        if self.text.found is None:
            return True
        if self.after_left == 0:
            return self._stopped()
        self.after = GrowingText(self.tokenizer, ())
        return True

    def _took_after(self, text: str, after: GrowingText) -> bool:
        """Keep what comes after the stop text apart."""
        self.text.after += after.write(text)
        self.after_left -= 1
        return True if self.after_left > 0 else self._stopped()

    def _stopped(self) -> bool:
        """End the text at its stop text; it does not go on."""
        self.reason = "stop_string"
        self.finish()
        return False

    def ended(self, finish: str, *, stop: str | None, bill: Bill | None) -> None:
        """Finish the text: the server has ended it."""
        self.bill = bill
        if stop is not None and self.text.found is None:
            self.text.found = stop
        if self.text.found is not None:
            self.reason = "stop_string"
        elif finish == "length":
            self.reason = "max_new_tokens" if len(self.tokens) >= self.drawing.tokens else "context_full"
        else:
            self.reason = "end_token"
        self.finish()

    def finish(self) -> None:
        """Tell the whole, and what text had not been told with a token."""
        held, self.late = self.late + self.text.finish(), ""
        self.emit(Finished(held, self.generation()))

    def counts(self) -> tuple[int, int | None]:
        """Return the counts of the server's own bill, where it has sent one."""
        return super().counts() if self.bill is None else (self.bill.prompt, self.bill.cached)

    def _noted(self, token: ChosenToken, shown: Face, seconds: float) -> GeneratedToken:
        number = self.plan.first_draw + len(self.tokens)
        rank = token.rank or token.top.rank_of(token.id, token.text)
        cuts = self.tokenizer
        alternatives = tuple(
            [
                Alternative(*face(cuts, other.id, other.text), other.probability)
                for other in token.top.tokens[: self.plan.alternatives]
            ]
        )
        chance = draw_probability(token, self.sampling)
        return GeneratedToken(
            *shown, token.probability, token.logprob, rank, chance, alternatives, seconds, number
        )  # fmt: skip


def parted(text: str, spelled: Sequence[str]) -> list[str]:
    """Return which part of a text came with each token. A server under load tells several tokens at once.

    Where a token's own text does not go on from those before, all that is left is the last token's.

    >>> parted(" Tokyo.", [" Tok", "yo", "."]), parted("œuf", ["\ufffd", "\ufffd", "uf"])
    ([' Tok', 'yo', '.'], ['', '', 'œuf'])
    """
    parts = []
    for own in spelled[:-1]:
        sound = text.startswith(own)
        parts.append(own if sound else "")
        text = text[len(own) :] if sound else text
        if not sound:
            break
    return [*parts, *[""] * (len(spelled) - 1 - len(parts)), text]
