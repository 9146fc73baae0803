"""The engine that asks a server: texts go there as ids where it takes them, else as they were written."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from capot.engines.openai import reading
from capot.engines.openai.client import ServerClient
from capot.engines.openai.completions import STREAMED, CompletionReader, ServedText, request_body
from capot.engines.openai.probe import Abilities
from capot.engines.openai.vocabulary import ServedVocabulary
from capot.engines.protocol import (
    Allocations,
    CancellableSequence,
    Capability,
    EngineInfo,
    Feed,
    MissingNames,
    Output,
    Want,
    check_feed,
    commit_step,
)
from capot.engines.scheduler.job import WrittenJob
from capot.engines.seen import Bill, ChosenToken, Top, TopToken
from capot.errors import CapabilityError, NetworkError

_SEEDS = 2**31 - 1  # llama.cpp's are 32 bits, vLLM's 64 with a sign
_EXPECTED = 10  # tokens at each place of a text that is scored


class ServedSequence(CancellableSequence):
    """A text as the server was sent it. Its cache is the server's own."""

    nbytes = 0

    def __init__(self) -> None:
        self.ids: list[int] = []

    def crop(self, length: int) -> None:
        """Forget everything after the first ``length`` tokens."""
        del self.ids[length:]

    def close(self) -> None:
        self.crop(0)


class OpenAIEngine:
    """See :class:`capot.engines.protocol.Engine`. ``vocabulary`` is the server's own, None where files tell of it."""

    def __init__(
        self, client: ServerClient, info: EngineInfo, *, abilities: Abilities, vocabulary: ServedVocabulary | None
    ) -> None:
        self.client = client
        self.info = info
        self.abilities = abilities
        self.vocabulary = vocabulary

    @property
    def capabilities(self) -> Capability:
        given = {
            Capability.LOGITS: self.abilities.logprobs > 0,
            Capability.ALL_LOGITS: self._scores or self.abilities.echo,
            Capability.RANKS: self._scores,
            Capability.PREFIX | Capability.BATCH | Capability.WRITES: True,
        }
        return Capability(sum(flag.value for flag, here in given.items() if here))

    @property
    def _scores(self) -> bool:
        return self.abilities.ids and self.abilities.prompt_logprobs is not None

    def open_sequence(self) -> ServedSequence:
        return ServedSequence()

    def step(self, feeds: list[Feed]) -> list[Output | None]:
        """See :class:`capot.engines.protocol.Engine`; the scheduler of this engine asks by ``look`` instead."""
        for feed in feeds:
            check_feed(feed, size=self.info.vocabulary_size, info=self.info)
        live = [feed for feed in feeds if not feed.sequence.cancelled]
        outputs = self.client.wait(self._looks(live))
        return commit_step(feeds, live, outputs)

    async def _looks(self, feeds: list[Feed]) -> list[Output]:
        return list(await asyncio.gather(*(self._look(feed) for feed in feeds)))

    async def _look(self, feed: Feed) -> Output:
        if feed.want.logits == "none":
            return Output()
        return await self.look([*feed.sequence.ids, *feed.ids], feed.want)

    async def look(self, ids: list[int], want: Want) -> Output:
        """Return what the server tells of a prompt. Raises: CapabilityError ``server_no_ids``; as ``reading.after``."""
        if want.logits == "all":
            read = await self._read(ids)
            return Output(read=tuple([await self._with_ids(token) for token in read]))
        # What a server allows bounds what is asked of it: more would be refused, and the prompt with it.
        count = max(1, min(want.most, self.abilities.logprobs))
        top = await reading.after(self.client, await self._prompt(ids), count=count)
        # A question for each rank: the rank of a token is told where it stands in a prompt.
        ranked = await asyncio.gather(
            *(reading.scored(self.client, [*ids, token], count=0) for token in want.ranks if self._scores)
        )
        return Output(top=await self._known(top), ranked=tuple(rows[-1] for rows in ranked))

    async def _read(self, ids: list[int]) -> tuple[ChosenToken, ...]:
        if self._scores:
            most = self.abilities.prompt_logprobs or 0
            return await reading.scored(self.client, ids, count=min(most, _EXPECTED))
        count = min(self.abilities.logprobs, _EXPECTED)
        read = await reading.echoed(self.client, str(await self._prompt(ids, text=True)), count=count, tokens=len(ids))
        return tuple(
            ChosenToken(token, each.text, each.logprob, each.top) for token, each in zip(ids[1:], read, strict=True)
        )

    async def _prompt(self, ids: Sequence[int], *, text: bool = False) -> str | Sequence[int]:
        """Return a prompt as the server takes it. Raises: CapabilityError ``server_no_ids``."""
        if self.abilities.ids and not text:
            return ids
        found = None if self.vocabulary is None else self.vocabulary.text_of(ids)
        if found is None:
            raise CapabilityError("server_no_ids", host=self.client.address.host)
        return found

    async def _with_ids(self, token: ChosenToken) -> ChosenToken:
        """Return a token with its id, and with those of the tokens told beside it, as far as they can be known."""
        top = await self._known(token.top)
        known = token.id
        if self.vocabulary is not None and known is not None:
            await self.vocabulary.learn([known])
        if self.vocabulary is not None and known is None:
            known = self.vocabulary.id_of(token.text)
        return ChosenToken(known, token.text, token.logprob, top, token.rank)

    async def _known(self, top: Top) -> Top:
        """Return the tokens with their ids: by a question for each text where ids are not told."""
        vocabulary = self.vocabulary
        if vocabulary is None:
            return top
        await vocabulary.learn(token.id for token in top.tokens if token.id is not None)
        ids = [await vocabulary.find(token.text) if token.id is None else token.id for token in top.tokens]
        return Top(tuple(TopToken(known, one.text, one.logprob) for known, one in zip(ids, top.tokens, strict=True)))

    # A text that the server writes.

    async def write(self, job: WrittenJob) -> None:
        """Have a text written, and tell the job as it grows.

        Raises: CapabilityError ``server_no_ids``; as ``completions.complete``.
        """
        host = self.client.address.host
        count = max(1, min(job.drawing.top, self.abilities.logprobs))
        body = request_body(self.client, await self._prompt(job.ids), logprobs=count) | STREAMED | self._asked(job)
        reader = CompletionReader(host, count if job.drawing.top else 0)
        writing = _Writing(job)
        events = self.client.events(f"{self.client.address.base}/completions", body)
        async with contextlib.aclosing(events):
            async for event in events:
                for part in reader.read(**event):
                    if isinstance(part, ServedText):
                        part = ServedText(part.text, await self._learnt(part.tokens), part.finish, stop=part.stop)
                    if not writing.take(part):
                        return
        if writing.finish is None:
            raise NetworkError("server_cut", host=host, reason="finish_reason")
        job.ended(writing.finish, stop=writing.stop, bill=writing.bill)

    async def _learnt(self, tokens: Sequence[ChosenToken]) -> tuple[ChosenToken, ...]:
        """Return the tokens of an event with what is known of them; a text under way is no time for many questions."""
        if self.vocabulary is None:
            return tuple(tokens)
        ids = [each.id for token in tokens for each in token.top.tokens] + [token.id for token in tokens]
        await self.vocabulary.learn(token for token in ids if token is not None)
        if None not in ids:
            return tuple(tokens)
        return tuple(
            ChosenToken(token.id if token.id is not None else self.vocabulary.id_of(token.text), token.text,
                        token.logprob, token.top)
            for token in tokens
        )  # fmt: skip

    def _asked(self, job: WrittenJob) -> dict[str, Any]:
        """Return the settings of the protocol; what a server would set by itself is always said."""
        drawing = job.drawing
        # A server would refuse a text that cannot fit; the loop ends it with ``context_full`` instead.
        room = self.info.context_length - len(job.ids)
        asked: dict[str, Any] = {
            "max_tokens": max(1, min(drawing.tokens, room)), "temperature": drawing.temperature,
            "top_k": drawing.top_k, "top_p": drawing.top_p, "min_p": drawing.min_p, "seed": drawing.seed % _SEEDS,
            # llama.cpp's default is 1.1, which is a filter that nobody asked for.
            "repeat_penalty": 1.0,
        }  # fmt: skip
        if drawing.stop and self.abilities.names_stop:  # else whoever asked cuts the text
            asked |= {"stop": list(drawing.stop), "include_stop_str_in_output": True}
        return asked

    def embed(self, ids: list[int]) -> np.ndarray:
        raise CapabilityError("server_cannot", host=self.client.address.host, missing=MissingNames("EMBEDDINGS"))

    def cache_bytes(self, tokens: int) -> int:
        return 0

    def allocations(self, *, reset_peak: bool = False) -> Allocations:
        return Allocations()

    def close(self) -> None:
        self.client.close()


class _Writing:
    """What has come of a text that is being written."""

    def __init__(self, job: WrittenJob) -> None:
        self.job = job
        self.finish: str | None = None
        self.stop: str | None = None
        self.bill: Bill | None = None
        self._last: float | None = None
        self._began = time.perf_counter()

    def take(self, part: ServedText | Bill) -> bool:
        """Tell the job, and return whether the text goes on."""
        if isinstance(part, Bill):
            self.bill = part
            return True
        now = time.perf_counter()
        if self._last is None:
            self.job.begun(now - self._began)
        seconds, self._last = now - (self._last or self._began), now
        goes_on = self.job.took(part.text, part.tokens, seconds=seconds, last=part.finish is not None)
        self.finish, self.stop = part.finish or self.finish, part.stop or self.stop
        return goes_on
