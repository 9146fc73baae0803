"""The one loop."""

from __future__ import annotations

import dataclasses
import math
import operator
import time
from collections.abc import Callable, Sequence

import numpy as np

from capot.chapters.generate.result import (
    Alternative,
    Event,
    Finished,
    GeneratedToken,
    Generation,
    Progress,
    Started,
    Step,
    StopReason,
)
from capot.chapters.generate.text import GrowingText
from capot.chapters.protocols import Opened
from capot.config import Plan, Sampling
from capot.engines.cancellation import check_cancelled
from capot.engines.protocol import MAX_CHUNK, Output
from capot.engines.scheduler import Job, PassResult
from capot.errors import InterruptedByUser, NotFoundError
from capot.text import sampling as choosing
from capot.text.tokenizer import Tokenizer

_ROOM = 1024  # tokens for which memory is set aside; few texts are longer, and those may grow


class Loop(Job):
    """The loop: each ``advance`` draws one token from the logits and asks for the next ones."""

    def __init__(
        self,
        model: Opened,
        ids: list[int],
        *,
        prompt: str,
        sampling: Sampling,
        plan: Plan,
        emit: Callable[[Event | Exception], None],
    ) -> None:
        super().__init__(
            ids,
            owner=model.owner,
            # Memory set aside for thousands of tokens that most texts never reach would keep others waiting.
            room=min(sampling.max_new_tokens + plan.after_stop, _ROOM),
            progress=self._read,
        )
        assert sampling.seed is not None  # see Sampling.seeded
        self.seed = sampling.seed
        self.name = model.name
        self.prompt = prompt
        self.sampling = sampling
        self.plan = plan
        self.emit = emit
        self.context = model.scheduler.engine.info.context_length
        self.ends = end_ids(model)
        self.chooser = _Chooser(model.tokenizer, sampling, seed=self.seed, alternatives=plan.alternatives)
        # A text that is taken up again: its last tokens were made before, and may hold half a stop string.
        made = ids[len(ids) - plan.made :]
        self.text = self._text_so_far(ids[: len(ids) - plan.made], made)
        self.after: GrowingText | None = None  # what follows a stop string
        self.after_left = plan.after_stop
        self.tokens: list[GeneratedToken] = []
        self.reason: StopReason | None = self._end(made[-1]) if made else None
        self.reused: int | None = 0
        self.prefill_s, self.decode_s, self.last = 0.0, 0.0, 0.0

    def _text_so_far(self, prompt: list[int], made: list[int]) -> GrowingText:
        """Return the text of the tokens made before: what may begin a stop string is held back, the rest was shown
        then.
        """
        text = GrowingText(self.chooser.tokenizer, prompt, stops=self.sampling.stop)
        for token in made:
            check_cancelled()
            if token not in self.ends and text.found is None:
                text.push(token)
        # What those tokens wrote was told then; only what is held back counts now.
        text.text = ""
        return text

    def _read(self, done: int, total: int) -> None:
        if total > MAX_CHUNK:  # shorter prompts are read at once
            self.emit(Progress(done, total))

    def advance(self, output: Output, pass_: PassResult) -> Sequence[int] | None:
        """Take one step: draw, note, release what may be shown, see whether it ends."""
        now = time.perf_counter()
        logits = output.logits
        assert logits is not None  # a job wants those of the last position
        if self.after is not None:
            return self._advance_after(logits, self.after)
        if not self.tokens:
            self.reused = pass_.reused_tokens
            # Engine time for the first token, wall time between the others: their waits are what a reader feels.
            self.prefill_s = pass_.seconds
            seconds = pass_.seconds
            self.emit(Started(self.ids, len(self.ids), self.reused, self.prefill_s, self.seed))
            if self.reason is not None:  # the text to take up again had ended
                return self._ended(logits)
        else:
            seconds = now - self.last
            self.decode_s += seconds
        self.last = now
        token = self.chooser.draw(logits, self.plan.first_draw + len(self.tokens), seconds=seconds)
        self.note(token, "" if token.id in self.ends else self.text.push(token.id))
        self.reason = self._reason(token.id)
        if self.reason is None or self._goes_on_after():
            return [token.id]
        self.finish()
        return None

    def note(self, token: GeneratedToken, released: str) -> None:
        """Keep a token, and tell it with the text that may be shown now."""
        self.tokens.append(token)
        self.emit(_step(token, released))

    def _ended(self, logits: np.ndarray) -> Sequence[int] | None:
        """Return a text that had ended before it was taken up.

        What follows its stop string comes where that is asked for.
        """
        if self._goes_on_after() and self.after is not None:
            return self._advance_after(logits, self.after)
        self.finish()
        return None

    def _goes_on_after(self) -> bool:
        """Return whether tokens beyond the stop string are wanted; from here on they are kept apart."""
        if self.reason != "stop_string" or self.after_left == 0 or not self._room():
            return False
        self.after = GrowingText(self.chooser.tokenizer, [*self.ids, *(each.id for each in self.tokens)])
        return True

    def _end(self, token: int) -> StopReason | None:
        """Return whether the text itself is over with this token."""
        if self.text.found is not None:
            return "stop_string"
        return "end_token" if token in self.ends else None

    def _reason(self, token: int) -> StopReason | None:
        end = self._end(token)
        if end is not None:
            return end
        if len(self.tokens) >= self.sampling.max_new_tokens:
            return "max_new_tokens"
        return None if self._room() else "context_full"

    def _room(self, more: int = 0) -> bool:
        """Return whether the context holds the tokens so far: the last one drawn needs no place until it is read."""
        # The token drawn last is in no cache: it needs a place only if another follows it.
        return len(self.ids) + len(self.tokens) + more <= self.context

    def _advance_after(self, logits: np.ndarray, after: GrowingText) -> Sequence[int] | None:
        """Draw on after the stop string, and keep that apart."""
        used = self.plan.after_stop - self.after_left
        token, _ = self.chooser.choose(logits, self.plan.first_draw + len(self.tokens) + used)
        self.after_left -= 1
        if token not in self.ends:
            self.text.after += after.push(token)
            if self.after_left > 0 and self._room(used + 1):
                return [token]
        self.finish()
        return None

    def failed(self, error: Exception) -> None:
        """Report an error; a text that was cancelled is a text all the same."""
        if isinstance(error, InterruptedByUser):
            self.reason = self.reason or "interrupted"
            self.finish()
        else:
            self.emit(error)

    def finish(self) -> None:
        """Tell the whole: there is a reason by now."""
        held = self.text.finish()
        self.emit(Finished(held, self.generation()))

    def counts(self) -> tuple[int, int | None]:
        """Return the tokens of the prompt, and how many of them a cache had; None where nobody knows."""
        return len(self.ids), self.reused

    def generation(self) -> Generation:
        """Return the text as it is, with what it took."""
        assert self.reason is not None  # there is one by the end
        made = len(self.tokens)
        prompt_tokens, reused = self.counts()
        # The seed is told by itself, as the one that was used where none was given.
        settings = {name: value for name, value in dataclasses.asdict(self.sampling).items() if name != "seed"}
        return Generation(
            prompt=self.prompt,
            text=self.text.text,
            stop_reason=self.reason,
            prompt_tokens=prompt_tokens,
            reused_tokens=reused,
            prefill_s=self.prefill_s,
            decode_s=self.decode_s,
            # The first token's time is the prompt's.
            tokens_per_s=(made - 1) / self.decode_s if made > 1 and self.decode_s > 0 else None,
            tokens=tuple(self.tokens),
            stop_string=self.text.found,
            after_stop=self.text.after if self.plan.after_stop else "",
            seed=self.seed,
            sampling=settings,
            prompt_ids=tuple(self.ids),
            model=self.name,
            opening=self.chooser.tokenizer.before(self.ids),
        )


_figures = operator.attrgetter(*GeneratedToken.__slots__)


def _step(token: GeneratedToken, released: str) -> Step:
    identity, text, *figures = _figures(token)
    made: Callable[..., Step] = Step
    return made(identity, released, *figures, text)


def end_ids(model: Opened) -> frozenset[int]:
    """Return the tokens that end a text: those of the tokenizer and those of the model's own files."""
    try:
        named = model.checkpoint.eos_ids
    except NotFoundError:  # an engine without files
        named = ()
    return frozenset(model.tokenizer.eos_ids) | frozenset(named)


class _Chooser:
    """The drawing of tokens, and of what else they could have been."""

    def __init__(self, tokenizer: Tokenizer, sampling: Sampling, *, seed: int, alternatives: int) -> None:
        self.tokenizer = tokenizer
        self.sampling = sampling
        self.count = alternatives
        self.draws = choosing.Draws(seed)

    def choose(self, logits: np.ndarray, draw: int) -> tuple[int, float]:
        """Return the id of draw ``draw``, and the chance it had."""
        # Draws are numbered from the beginning of the text, so that one taken up again goes on as it would have.
        uniform = 0.0 if self.sampling.temperature == 0 else self.draws.uniform(draw)
        return choosing.sample_token(logits, self.sampling, uniform=uniform)

    def draw(self, logits: np.ndarray, number: int, *, seconds: float) -> GeneratedToken:
        """Return a token with its probability and its alternatives."""
        chosen, chance = self.choose(logits, number)
        others = choosing.top_tokens(logits, self.count).tolist() if self.count else []
        shares = choosing.softmax(logits)  # the very probabilities that ``next`` and ``lens`` tell
        # log of the softmax's sum from the largest share: no second pass over V numbers.
        total = float(logits.max()) - math.log(shares.max())
        alternatives = tuple(
            Alternative(token, *self.tokenizer.face(token), share)
            for token, share in zip(others, shares[others].tolist(), strict=True)
        )
        text, label = self.tokenizer.face(chosen)
        rank = others.index(chosen) + 1 if chosen in others else choosing.rank_of(logits, chosen)
        probability = float(shares[chosen])
        logprob = float(logits[chosen]) - total
        return GeneratedToken(chosen, text, label, probability, logprob, rank, chance, alternatives, seconds, number)
