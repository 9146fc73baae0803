"""Write a request for a text that goes on from a prompt, and read the events that answer it."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from capot.engines.openai.client import ServerClient
from capot.engines.seen import Bill, ChosenToken, Top, TopToken
from capot.errors import NetworkError

LEAST = -9999.0  # what vLLM writes for a logarithm that JSON cannot hold
_ID = "token_id:"  # how vLLM names a token where ``return_tokens_as_token_ids`` is asked for


@dataclass(frozen=True)
class ServedText:
    """What one event adds to the text. ``finish`` is why it ends, None while it goes on.

    A server may hold back the text of a token until its characters are whole: ``tokens`` and ``text`` need not spell
    each other in one event. ``tokens`` is empty where no log-probabilities were asked for.
    """

    text: str
    tokens: tuple[ChosenToken, ...]
    finish: str | None
    prompt_ids: tuple[int, ...] | None = None
    stop: str | None = None  # the stop text that ended it, where the server says


STREAMED = {"stream": True, "stream_options": {"include_usage": True}}


def request_body(client: ServerClient, prompt: str | Sequence[int], *, logprobs: int | None = None) -> dict[str, Any]:
    """Return a request for the model that the client's address names."""
    body = {"model": client.address.model, "prompt": prompt if isinstance(prompt, str) else list(prompt)}
    if logprobs is None:
        return body
    # Servers other than vLLM leave out what they do not know
    return body | {"logprobs": logprobs, "return_tokens_as_token_ids": True, "return_token_ids": True}


def first_choice(answer: Any) -> dict[str, Any] | None:
    """Return the first text of an answer, None where it has none."""
    choices = answer.get("choices") if isinstance(answer, dict) else None
    found = choices[0] if isinstance(choices, list) and choices else None
    return found if isinstance(found, dict) else None


class CompletionReader:
    """The reader of events, which names the field that is not as the protocol has it."""

    def __init__(self, host: str, count: int) -> None:
        self.host = host
        self.count = count

    def read(self, /, *, choices: Any = None, usage: Any = None, **_: Any) -> Iterator[ServedText | Bill]:
        """Yield what an event tells, whose fields are the arguments."""
        if not isinstance(choices, list):
            raise self.malformed("choices")
        for choice in choices:
            yield self.text(choice)
        if usage is not None and not choices:  # some repeat with every token what was used so far
            yield self._usage(usage)

    # Field by field: an answer of another shape is refused by the name of what is wrong with it.
    def text(self, choice: Any) -> ServedText:
        """Return what one choice of an answer, or of an event, tells. Raises: NetworkError ``server_malformed``."""
        if not isinstance(choice, dict) or not isinstance(choice.get("text"), str):
            raise self.malformed("text")
        finish = choice.get("finish_reason")
        if finish is not None and not isinstance(finish, str):
            raise self.malformed("finish_reason")
        ids = choice.get("prompt_token_ids")
        if ids is not None and not (isinstance(ids, list) and all(map(_is_count, ids))):
            raise self.malformed("prompt_token_ids")
        stop = choice.get("stop_reason")
        return ServedText(
            choice["text"],
            self._tokens(choice),
            finish,
            None if ids is None else tuple(ids),
            stop if isinstance(stop, str) else None,
        )

    def _tokens(self, choice: Mapping[str, Any]) -> tuple[ChosenToken, ...]:
        logprobs = choice.get("logprobs")
        if logprobs is None:
            return ()
        try:
            rows = list(zip(logprobs["tokens"], logprobs["token_logprobs"], logprobs["top_logprobs"], strict=True))
            # Three lists side by side, of one length or malformed.
            return tuple(self.token(*row) for row in rows)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise self.malformed("logprobs") from None

    def token(self, name: str, logprob: float, top: Mapping[str, float]) -> ChosenToken:
        chosen = named_token(name, logprob)
        # Sorted here, as some servers list the drawn token first and others by id.
        ordered = sorted([named_token(*pair) for pair in (top or {}).items()], key=_logprob_of, reverse=True)
        # The token that was drawn is told beside the most probable ones, whether it is among them or not.
        return ChosenToken(chosen.id, chosen.text, chosen.logprob, Top(tuple(ordered[: self.count])))

    def _usage(self, usage: Any) -> Bill:
        try:
            prompt, completion, total = (usage[f"{name}_tokens"] for name in ("prompt", "completion", "total"))
            cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens")
        except (KeyError, TypeError, AttributeError):
            raise self.malformed("usage.total_tokens") from None
        counts = (prompt, completion, total, 0 if cached is None else cached)
        # A bill that does not add up is none: the lab shows it as what a text costs.
        if not all(map(_is_count, counts)) or prompt + completion != total or counts[-1] > prompt:
            raise self.malformed("usage.total_tokens")
        return Bill(prompt, completion, cached)

    def malformed(self, name: str) -> NetworkError:
        """Return the error for an answer whose field ``name`` is not as the protocol has it."""
        return NetworkError("server_malformed", host=self.host, field=name)


def named_token(name: str, logprob: float) -> TopToken:
    """Return a token by its id where the server tells it. Raises: ValueError for what is no log-probability."""
    value = logprob if type(logprob) is float else float(logprob)
    if not value <= 1e-3 or isinstance(logprob, bool):  # half precision rounds 0 up; NaN is no number
        raise ValueError(name)
    if value > 0.0:
        value = 0.0
    elif value <= LEAST:  # JSON has no -infinity: servers write a number that is as good
        value = -math.inf
    return TopToken(*_named(name), value)


@functools.lru_cache(maxsize=10_000)
def _named(name: str) -> tuple[int | None, str]:
    """Return the id of a token, or its text where that is how it is named."""
    digits = name.removeprefix(_ID)
    if digits != name and digits.isascii() and digits.isdecimal():
        return int(digits), ""
    return None, name


_logprob_of = operator.attrgetter("logprob")


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
