"""Find out what a server can do, by asking it. Nothing is taken from its name or its version."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from capot.engines.openai.address import ServerAddress
from capot.engines.openai.client import ServerClient
from capot.engines.openai.completions import first_choice
from capot.errors import CapotError, InputError, NetworkError, NotFoundError
from capot.sources.nearby import ServedModel, read_models

_MANY = 1000  # log-probabilities, more than servers allow: the refusal says how many they do
_COUNTS = (20, 5, 1)  # where it says nothing
_ALLOWED = re.compile(r"max(?:imum)? allowed:? (\d{1,6})", re.IGNORECASE)
_PROBE = "a b"
_SAME = 0.1  # between two log-probabilities that are the same: a server may round them
_FEW = 4  # tokens, one of which at least is a character
_DECLINED = ("server_other_kind", "server_refused", "server_failing")  # to one request, by a server that is there


@dataclass(frozen=True)
class Abilities:
    """What a server was seen to do.

    ``ids``: it takes a prompt as ids, and tells the ids that it chose.
    ``logprobs``: of so many of its most probable tokens it tells the log-probability, 0 where of none.
    ``prompt_logprobs``: the same of the tokens of a prompt, None where it tells not even those of the prompt itself.
    ``echo``: it repeats a prompt with the log-probabilities of its tokens, by their texts and without ranks.
    ``stop``: it ends at a text. ``names_stop``: it says at which. ``seed``: a seed gives back its text, another
    seed another one.
    """

    ids: bool = False
    logprobs: int = 0
    prompt_logprobs: int | None = None
    echo: bool = False
    stop: bool = False
    names_stop: bool = False
    seed: bool = False


def models(client: ServerClient) -> tuple[ServedModel, ...]:
    """Return the models that a server lists. Raises: NetworkError ``server_other_kind``; as ``ServerClient.get``."""
    found = read_models(client.get(f"{client.address.base}/models"))
    if found is None:
        raise NetworkError("server_other_kind", host=client.address.host)
    return found


def choose(address: ServerAddress, served: tuple[ServedModel, ...]) -> ServedModel:
    """Return the model that an address names, or the only one that is served.

    Raises: NotFoundError ``server_no_model``, ``server_empty``; InputError ``server_which_model``.
    """
    if address.model:
        for model in served:
            if model.name == address.model:
                return model
        raise NotFoundError("server_no_model", host=address.host, name=address.model, base=address.base)
    if not served:
        raise NotFoundError("server_empty", host=address.host)
    if len(served) > 1:
        names = ", ".join(model.name for model in served[:10])
        raise InputError("server_which_model", host=address.host, base=address.base, names=names, first=served[0].name)
    return served[0]


def abilities(client: ServerClient) -> Abilities:
    """Return what a server does when it is asked for it; its address names the model. It makes a few tokens for that.

    Raises: as ``ServerClient.post``, where it does not even go on from a text.
    """
    # A plain completion comes first: a server that cannot do that is refused with its own error.
    text = _choice(client, _completed(client, max_tokens=_FEW)).get("text")
    stopped = _stopped(client, text) if isinstance(text, str) else {}
    count, answer = _most_logprobs(client, "logprobs", return_token_ids=True)
    seen, read = _most_logprobs(client, "prompt_logprobs")
    scores = isinstance(read.get("prompt_logprobs"), list)
    return Abilities(
        ids=_takes_ids(client, answer),
        # Never more than was truly told: some servers accept a number and answer fewer.
        logprobs=min(count, _logprob_count(answer)),
        prompt_logprobs=seen if scores else None,
        echo=_echoes(client, min(count, 1)),
        stop=bool(stopped),
        names_stop=isinstance(text, str) and bool(text) and stopped.get("stop_reason") == text[-1],
        seed=_keeps_seeds(client),
    )


TOKENIZE = ("/tokenize", "/extras/tokenize")  # of vLLM and llama.cpp; of llama-cpp-python


async def cut(client: ServerClient, path: str, *, text: str, opening: bool = False) -> list[int] | None:
    """Return the ids of ``text``, after those that open a prompt where ``opening``; None for no answer.

    vLLM reads ``prompt``, llama.cpp ``content``, llama-cpp-python ``input``, which always has its opening.
    """
    body = {
        # One body for three servers: each leaves out the fields that it does not know.
        "model": client.address.model, "prompt": text, "content": text, "input": text,
        "add_special_tokens": opening, "add_special": opening, "return_token_strs": False,
    }  # fmt: skip
    answer = await declined(client, path, body)
    ids = answer.get("tokens") if isinstance(answer, dict) else None
    return ids if ids == [] or _are_ids(ids) else None


async def spelled(client: ServerClient, path: str, *, ids: list[int]) -> str | None:
    """Return the text of ids, None where the server does not tell it."""
    answer = await declined(
        client, path.replace("tokenize", "detokenize"), {"model": client.address.model, "tokens": ids}
    )
    texts = [answer.get(name) for name in ("prompt", "content", "text")] if isinstance(answer, dict) else []
    return next((text for text in texts if isinstance(text, str)), None)


async def declined(client: ServerClient, path: str, body: Any) -> Any:
    """Return an answer, None where a server that is there has none. Raises: as ``ServerClient.post``."""
    try:
        return await client.ask("POST", f"{client.address.root}{path}", body)
    except CapotError as error:
        if error.code not in _DECLINED:
            raise
        return None


def _completed(client: ServerClient, **more: Any) -> Any:
    body = {"model": client.address.model, "prompt": _PROBE, "max_tokens": 1, "temperature": 0, **more}
    return client.post(f"{client.address.base}/completions", body)


def _choice(client: ServerClient, answer: Any) -> dict[str, Any]:
    """Return the one text of an answer. Raises: NetworkError ``server_other_kind``."""
    found = first_choice(answer)
    if found is None:
        raise NetworkError("server_other_kind", host=client.address.host)
    return found


def _most_logprobs(client: ServerClient, name: str, **more: Any) -> tuple[int, dict[str, Any]]:
    """Return how many log-probabilities a server tells when it is asked for many, and what it answers; 0 for none."""
    # From many to few: the refusal of the first usually says how many are allowed.
    counts = [_MANY, *_COUNTS]
    while counts:
        count = counts.pop(0)
        try:
            return count, _choice(client, _completed(client, **{name: count}, **more))
        except CapotError as error:
            if error.code not in _DECLINED:
                raise
            allowed = _ALLOWED.search(str(error.params.get("reason", "")))
            counts = [int(allowed[1])] if allowed and int(allowed[1]) < count else counts
    return 0, {}


def _logprob_count(choice: dict[str, Any]) -> int:
    """Return of how many tokens a step tells the log-probability."""
    logprobs = choice.get("logprobs")
    rows = logprobs.get("top_logprobs") if isinstance(logprobs, dict) else None
    return len(rows[0]) if isinstance(rows, list) and rows and isinstance(rows[0], dict) else 0


def _takes_ids(client: ServerClient, answer: dict[str, Any]) -> bool:
    """Return whether a server tells ids, and reads those of its own prompt as the same prompt."""
    made = answer.get("token_ids")
    prompt = answer.get("prompt_token_ids")
    # Both lists are tried: a server may echo ids in an answer and refuse them as a prompt.
    if not (_are_ids(made) and _are_ids(prompt)):
        return False
    again = _tried(client, prompt=prompt, return_token_ids=True)
    return again.get("token_ids") == made and again.get("prompt_token_ids") == prompt


def _stopped(client: ServerClient, text: str) -> dict[str, Any]:
    """Return the text of a server that was asked to stop at the end of what it writes, {} where it goes on."""
    if not text:
        return {}
    found = _tried(client, max_tokens=_FEW, stop=[text[-1]])
    # Stopped at its own last letter: a server that ignores ``stop`` writes it.
    ended = found.get("finish_reason") == "stop" and text[-1] not in str(found.get("text"))
    return found if ended else {}


def _echoes(client: ServerClient, count: int) -> bool:
    """Return whether a server repeats a prompt with the log-probabilities that its tokens have.

    Some repeat others (llama-cpp-python 0.3): what a token had when it was drawn tells.
    """
    drawn = _logprobs_of(_tried(client, logprobs=count)) if count else []
    if not drawn:
        return False
    token, logprob = drawn[0]
    repeated = _logprobs_of(_tried(client, prompt=_PROBE + token, echo=True, logprobs=count))[1:]
    # The numbers must be the token's own: what it had when it was drawn is compared, rounding left out.
    return any(each == token and abs(value - logprob) < _SAME for each, value in repeated)


def _logprobs_of(choice: dict[str, Any]) -> list[tuple[str, float]]:
    """Return the tokens of an answer with their log-probabilities, NaN for none; [] where they are not told."""
    logprobs = choice.get("logprobs")
    names, values = ((logprobs or {}).get(name) for name in ("tokens", "token_logprobs"))
    if not (isinstance(names, list) and isinstance(values, list) and all(isinstance(name, str) for name in names)):
        return []
    return [(name, value if isinstance(value, float) else math.nan) for name, value in zip(names, values, strict=False)]


def _keeps_seeds(client: ServerClient) -> bool:
    """Return whether one seed gave one text twice, and others other texts."""
    # A high temperature, so that equal texts of different seeds would be a rare chance.
    hot = {"max_tokens": 3 * _FEW, "temperature": 1.5}
    first, again, *others = (_tried(client, **hot, seed=seed).get("text") for seed in (1, 1, 2, 3))
    return bool(first) and first == again and any(text != first for text in others)


def _tried(client: ServerClient, **more: Any) -> dict[str, Any]:
    """Return the one text of an answer, {} where the server declines."""
    try:
        return _choice(client, _completed(client, **more))
    except CapotError as error:
        if error.code not in _DECLINED:
            raise
        return {}


def _are_ids(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(type(each) is int and each >= 0 for each in value)
