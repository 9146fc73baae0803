"""The vocabulary of a server that cuts texts: ids and texts, asked for as they are needed and kept.

A server tells the text of a token, never its bytes. So a token that is part of a character has none here, and the
token that completes the character stands for all of it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence

from capot.engines.openai import probe
from capot.engines.openai.client import ServerClient
from capot.errors import CapabilityError

_KEPT = 256  # texts whose ids are remembered
_LETTERS = 1_000_000  # in all of them
_TOGETHER = 16  # questions at once
_HALF = "\ufffd"  # what servers write for a part of a character


class ServedVocabulary:
    """As :class:`capot.text.tokenizer.vocabulary.Vocabulary`; ``path`` is where the server cuts texts, None nowhere."""

    base = 0
    drops_space = False
    lossless = False
    has_bytes = False
    is_linear = True  # the server's own work
    chat_template: str | None = None
    special: Mapping[int, str] = {}
    added: Mapping[int, str] = {}
    eos_ids: tuple[int, ...] = ()

    def __init__(self, client: ServerClient, path: str | None, *, opening: tuple[int, ...] = (), size: int = 0) -> None:
        self._client = client
        self._path = path
        self.opening = opening
        self.size = size
        self.bos_id = opening[0] if opening else None
        self._texts: dict[int, str] = {}
        self._ids: dict[str, int] = {}
        self._asking: dict[int, asyncio.Task[None]] = {}
        self._sent: OrderedDict[tuple[int, ...], str] = OrderedDict()

    def encode(self, text: str, specials: str) -> list[int]:
        """Return the server's ids. Names of tokens in a text count as the server reads them, whatever ``specials``.

        Raises: CapabilityError ``server_no_tokenizer``; as ``ServerClient.post``.
        """
        ids = self._client.wait(self._cut(text))
        if ids is None:
            raise CapabilityError("server_no_tokenizer", host=self._client.address.host)
        self._remember(ids, text)
        if not self._client.here:
            self._client.wait(self.learn(ids))
        return ids

    async def _cut(self, text: str) -> list[int] | None:
        """Return the ids of a text without those that open a prompt; None where the server does not tell them."""
        ids = None if self._path is None else await probe.cut(self._client, self._path, text=text)
        # llama-cpp-python's route always puts the opening before a text; the others were asked not to.
        if ids is not None and self._path != probe.TOKENIZE[0] and tuple(ids[: len(self.opening)]) == self.opening:
            return ids[len(self.opening) :]
        return ids

    def _remember(self, ids: Sequence[int], text: str) -> None:
        self._sent[tuple(ids)] = text
        while len(self._sent) > _KEPT or (len(self._sent) > 1 and sum(map(len, self._sent.values())) > _LETTERS):
            self._sent.popitem(last=False)

    def text_of(self, ids: Sequence[int]) -> str | None:
        """Return the text that ids were cut from, what opens a prompt left out; None where it is not known.

        A text that goes on from it is known too, if the text of each further token is.
        """
        listed = tuple(ids)
        opened = len(self.opening) if listed[: len(self.opening)] == self.opening else 0
        # The longest beginning that was sent as a text; what follows it must be known token by token.
        for end in range(len(listed), opened - 1, -1):
            text = self._sent.get(listed[opened:end])
            if text is not None:
                rest = [self._texts.get(token) for token in listed[end:]]
                return text + "".join(map(str, rest)) if all(rest) else None
        return None

    async def learn(self, ids: Iterable[int]) -> None:
        """Ask for the texts of those ids that are not known yet."""
        wanted = [token for token in dict.fromkeys(ids) if token not in self._texts and token >= 0]
        for at in range(0, len(wanted), _TOGETHER):
            await asyncio.gather(*map(self._asked_once, wanted[at : at + _TOGETHER]))

    async def _asked_once(self, token: int) -> None:
        """Ask for one, or wait for the answer that another text waits for; whoever leaves does not end it."""
        asking = self._asking.get(token)
        if asking is None:
            asking = self._asking[token] = asyncio.create_task(self._ask(token))
            asking.add_done_callback(lambda done: self._answered(token, done))
        await asyncio.shield(asking)

    def _answered(self, token: int, done: asyncio.Task[None]) -> None:
        self._asking.pop(token, None)
        if not done.cancelled():
            done.exception()  # raised where it is waited for, if anybody still does

    async def _ask(self, token: int) -> None:
        assert self._path is not None  # where no text is cut there are no ids
        # A token that is part of a character is written as U+FFFD: its text is not told.
        text = await probe.spelled(self._client, self._path, ids=[token])
        self.note(token, "" if text is None or _HALF in text else text)

    def note(self, token: int, text: str) -> None:
        """Keep what a token stands for."""
        self._texts[token] = text
        if text:
            self._ids.setdefault(text, token)

    def id_of(self, text: str) -> int | None:
        """Return the token of a text, as far as one was seen."""
        return self._ids.get(text)

    async def find(self, text: str) -> int | None:
        """Return the token that is this very text, None where the server cuts it into several."""
        if text and text not in self._ids:
            ids = await self._cut(text) or []
            if len(ids) == 1:
                self._ids[text] = ids[0]
                self._texts.setdefault(ids[0], text)
        return self._ids.get(text)

    def token_bytes(self, token: int) -> bytes:
        """Return the bytes of a token's text; none where it is a part of a character."""
        if token not in self._texts and self._path is not None and not self._client.here:
            self._client.wait(self.learn([token]))
        return self._texts.get(token, "").encode()

    def joined(self, tokens: Sequence[int]) -> str | None:
        return None

    def places(self, text: str, specials: str) -> list[tuple[int, int]]:
        """Return where each token lies. What no token's text says falls to the last of those that have none."""
        ids = self.encode(text, specials)
        places: list[tuple[int, int]] = []
        at, waiting = 0, 0  # characters placed, tokens without a text before this one
        for token in ids:
            piece = self._texts.get(token, "")
            found = text.find(piece, at) if piece else -1
            # SentencePiece's first word is told with a space that the text does not have.
            if found < 0 and piece[:1] == " ":
                piece = piece[1:]
                found = text.find(piece, at) if piece else -1
            if found < 0:
                waiting += 1
                continue
            places += _shared(waiting, at, found) or []
            start = found if waiting else at
            places.append((start, found + len(piece)))
            at = found + len(piece)
            waiting = 0
        return [*places, *_shared(waiting, at, len(text))]


def _shared(count: int, start: int, end: int) -> list[tuple[int, int]]:
    """Return the places of ``count`` tokens without a text: all of it is the last one's."""
    return [] if not count else [*[(start, start)] * (count - 1), (start, end)]
