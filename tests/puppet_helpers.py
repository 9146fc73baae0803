"""An engine that answers what a test tells it to, so that where an answer stops can be tested to the letter."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import capot
from capot.engines.protocol import Feed, Output
from capot.engines.scheduler import Scheduler
from capot.engines.scripted import CONTEXT, END, SPECIALS, ScriptedEngine, book_ids
from capot.model import Model

ASSISTANT = 256 + SPECIALS.index("<|assistant|>")


class Puppet(ScriptedEngine):
    """After the last cue of a prompt (``ASSISTANT:`` or ``<|assistant|>``) it says its reply, then ends the text.

    Answer number n of a conversation, from 0, is ``replies[n]``; the last one serves from then on.
    """

    def __init__(
        self, *replies: str, shots: int = 3, cue: str = "ASSISTANT:", context_length: int = CONTEXT,
        before_step: Callable[[list[Feed]], None] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(context_length=context_length, before_step=before_step)
        self.replies, self.shots, self.cue = [book_ids(reply) for reply in replies], shots, book_ids(cue)
        self.prompts: list[list[int]] = []  # what each pass began with, for those who ask what was computed

    def step(self, feeds: list[Feed]) -> list[Output | None]:
        outputs = super().step(feeds)
        for feed, output in zip(feeds, outputs):
            if output is not None and output.logits is not None:
                output.logits[:] = -50.0
                output.logits[self._next(feed.sequence.ids)] = 50.0
        return outputs

    def _next(self, ids: Sequence[int]) -> int:
        chat = ASSISTANT in ids
        cue, shots = ([ASSISTANT], 0) if chat else (self.cue, self.shots)
        places = [at for at in range(len(ids) - len(cue) + 1) if list(ids[at : at + len(cue)]) == cue]
        if not places:
            return END
        reply = self.replies[min(max(len(places) - shots - 1, 0), len(self.replies) - 1)]
        said = list(ids[places[-1] + len(cue) :])
        return reply[len(said)] if said == reply[: len(said)] and len(said) < len(reply) else END


def puppet(*replies: str, **options: object) -> Model:
    """An opened model with a :class:`Puppet` for its engine."""
    model = capot.open("scripted")
    model.shared.at_work = Scheduler(Puppet(*replies, **options))
    return model
