"""A text answered twice, as it is and with something changed on the way: two jobs, which share their passes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from capot.chapters.generate.loop import end_ids
from capot.chapters.generate.result import StopReason
from capot.chapters.generate.text import GrowingText
from capot.chapters.network.bounds import BYTES_OF_STATES, MOST_STATES, Comparing
from capot.chapters.network.edited_result import Shift, Side
from capot.chapters.next.verb import best
from capot.chapters.protocols import Opened
from capot.chapters.token_texts import TokenTexts
from capot.config import within
from capot.engines.cancellation import check_cancelled
from capot.engines.edits import Edit, Place
from capot.engines.inside import Inside
from capot.engines.protocol import Capability, EngineInfo, Output, Want, check_prompt, require
from capot.engines.scheduler import Job, PassResult, Ticket, cancel_on_ctrl_c
from capot.errors import InputError
from capot.text import sampling


class Continuation(Job):
    """A prompt, what comes next, and the text that follows when the most probable token is taken each time."""

    def __init__(self, model: Opened, ids: Sequence[int], *, most: int, edits: Sequence[Edit] = ()) -> None:
        super().__init__(ids, owner=model.owner, room=most, edits=edits)
        self._most = most
        self._ends = end_ids(model)
        self._context = model.scheduler.engine.info.context_length
        self.made: list[int] = []
        self.reason: StopReason = "max_new_tokens"
        self.logits: np.ndarray | None = None  # of what comes next

    def advance(self, output: Output, pass_: PassResult) -> Sequence[int] | None:
        assert output.logits is not None  # a job wants those of the last position
        if self.logits is None:
            self.logits = output.logits
        # Greedy, so that both sides differ by the edit alone and by no draw.
        token = int(output.logits.argmax())
        if len(self.made) == self._most:
            return None
        if token in self._ends:
            self.reason = "end_token"
            return None
        self.made.append(token)
        if len(self.ids) + len(self.made) < self._context:
            return [token]
        if len(self.made) < self._most:
            self.reason = "context_full"
        return None

    def text(self, model: Opened) -> str:
        """Return the text that follows."""
        text = GrowingText(model.tokenizer, self.ids)
        for token in self.made:
            text.push(token)
        text.finish()
        return text.text


class BothSides:
    """The two answers of one prompt. Shapes: ``before`` and ``after`` of ``shares`` (V,)."""

    def __init__(self, model: Opened, ids: Sequence[int], *, edits: Sequence[Edit], showing: Comparing) -> None:
        self.model = model
        self.showing = showing
        most = showing.max_new_tokens
        self.jobs = [Continuation(model, ids, most=most), Continuation(model, ids, most=most, edits=edits)]
        finish(model, self.jobs)
        self.shares = [sampling.softmax(logits) for logits in self._logits()]

    def _logits(self) -> Iterator[np.ndarray]:
        for job in self.jobs:
            assert job.logits is not None  # it has ended
            yield job.logits

    def sides(self) -> tuple[Side, Side]:
        """Return candidates and text, before and after."""
        sides = []
        for job, logits in zip(self.jobs, self._logits(), strict=True):
            check_cancelled()
            sides.append(Side(best(self.model.tokenizer, logits, k=self.showing.k), job.text(self.model), job.reason))
        return sides[0], sides[1]

    def compared(self, prompt: str) -> dict[str, Any]:
        """Return the fields that every ``Compared`` has."""
        before, after = self.sides()
        return {
            "prompt": prompt, "before": before, "after": after, "changed": self.changed, "moved": self.moved(),
            "model": self.model.name,
        }  # fmt: skip

    @property
    def changed(self) -> float:
        """Return the probability that is another token's afterwards: half the sum of all differences."""
        before, after = self.shares
        # Total variation distance: how much probability has gone elsewhere.
        return float(np.abs(after.astype(np.float64) - before).sum() / 2)

    def moved(self) -> tuple[Shift, ...]:
        """Return the tokens whose probability changed most, as many as candidates are shown."""
        before, after = self.shares
        text = TokenTexts(self.model.tokenizer)
        most = sampling.top_tokens(np.abs(after - before), self.showing.k)
        return tuple(
            Shift(token, text(token), text.labels[token], float(before[token]), float(after[token]))
            for token in most.tolist()
        )


def read_texts(model: Opened, prompt: str, **others: str) -> Iterator[list[int]]:
    """Yield the ids of a prompt and of the texts beside it.

    Raises: InputError ``empty_prompt``, ``empty_text``, by name.
    """
    for name, text in {"prompt": prompt, **others}.items():
        if not text and name != "prompt":
            raise InputError("empty_text", name=name)
        ids = model.tokenizer.encode_prompt(text)
        check_prompt(ids, context=model.scheduler.engine.info.context_length)
        yield ids


def finish(model: Opened, jobs: Sequence[Job]) -> None:
    """Queue jobs and wait for them all; where one fails the others are not wanted any more.

    Raises: InterruptedByUser after Ctrl-C; what ``submit`` raises; the engine's errors.
    """
    tickets: list[Ticket] = []

    def cancel() -> None:
        for ticket in tickets:
            ticket.cancel()

    with cancel_on_ctrl_c(cancel):
        try:
            # All are queued before any is waited for, so that the scheduler can put them in one pass.
            for job in jobs:
                tickets.append(model.scheduler.submit(job))
            for ticket in tickets:
                ticket.wait()
                if ticket.error is not None:
                    raise ticket.error
        except BaseException:
            cancel()
            raise


def states(
    model: Opened, ids: Sequence[int], places: Sequence[Place], *, positions: tuple[int, ...] | None = None
) -> list[np.ndarray]:
    """Return what is at some places of the network in a text, a few places a pass. Shapes: (P, N) each.

    Raises: InputError ``network_too_much``, before anything is computed.
    """
    each = model.scheduler.engine.info.width * len(ids if positions is None else positions)
    # Before the first pass: what is held is the number of places times the width of the network.
    if len(places) * each > MOST_STATES:
        raise InputError("network_too_much", name="by", asked=len(places) * each, limit=MOST_STATES)
    count = max(1, BYTES_OF_STATES // (4 * each))
    found = list[np.ndarray]()
    for first in range(0, len(places), count):
        asked = Inside(states=tuple(places[first : first + count]), positions=positions)
        inside = model.scheduler.run(ids, want=Want("none", inside=asked), owner=model.owner).output.inside
        assert inside is not None  # it was asked for
        found += inside.states
    return found


def network_of(model: Opened) -> EngineInfo:
    """Return what is known of the network. Raises: CapabilityError where nobody knows its layers."""
    engine = model.scheduler.engine
    # A server's network has no layers to anybody: an engine that declares edits has.
    if not engine.info.layers:
        require(engine, Capability.EDITS)
    return engine.info


def layer_within(name: str, layer: int, *, low: int, layers: int) -> int:
    """Return a layer of the network. Raises: InputError ``out_of_range``."""
    within(name, layer, low, layers)
    return layer
