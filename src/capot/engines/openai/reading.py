"""Ask a server what comes after a prompt, and how probable the prompt itself is: one request each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from capot.engines.openai.client import ServerClient
from capot.engines.openai.completions import CompletionReader, first_choice, named_token, request_body
from capot.engines.seen import ChosenToken, Top, TopToken


async def after(client: ServerClient, prompt: str | Sequence[int], *, count: int) -> Top:
    """Return the most probable tokens after a prompt, ``count`` at most.

    Raises: as ``ServerClient.post``; NetworkError ``server_malformed``.
    """
    reader = CompletionReader(client.address.host, count)
    body = request_body(client, prompt, logprobs=count) | {"max_tokens": 1, "temperature": 0}
    found = reader.text(await _choice(client, body, reader))
    if not found.tokens:
        raise reader.malformed("logprobs")
    return found.tokens[0].top


async def scored(client: ServerClient, ids: Sequence[int], *, count: int) -> tuple[ChosenToken, ...]:
    """Return each token of a prompt but the first, with its log-probability and its rank (vLLM's ``prompt_logprobs``).

    Raises: as ``after``.
    """
    reader = CompletionReader(client.address.host, count)
    body = request_body(client, ids) | {"max_tokens": 1, "temperature": 0, "prompt_logprobs": count}
    rows = (await _choice(client, body, reader)).get("prompt_logprobs")
    if not isinstance(rows, list) or len(rows) != len(ids):
        raise reader.malformed("prompt_logprobs")
    try:
        return tuple(_row(row, token, count) for row, token in zip(rows[1:], ids[1:], strict=True))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise reader.malformed("prompt_logprobs") from None


def _row(row: dict[str, Any], token: int, count: int) -> ChosenToken:
    """Return a token of the prompt. Raises: KeyError and the like for what is not as vLLM has it."""
    # vLLM names rows by ids, as text: JSON has no other keys.
    by_id = {int(name): (_text(each), named_token("", each["logprob"]).logprob) for name, each in row.items()}
    ordered = sorted(by_id.items(), key=lambda entry: (-entry[1][1], entry[0]))
    top = Top(tuple(TopToken(each, text, logprob) for each, (text, logprob) in ordered[: max(1, count)]))
    rank = row[str(token)].get("rank")
    return ChosenToken(token, *by_id[token], top, rank if isinstance(rank, int) and rank > 0 else None)


def _text(row: dict[str, Any]) -> str:
    text = row.get("decoded_token")
    return text if isinstance(text, str) else ""


async def echoed(client: ServerClient, prompt: str, *, count: int, tokens: int) -> tuple[ChosenToken, ...]:
    """Return each token of a prompt but the first, as a server repeats them: by their texts, without a rank.

    ``tokens`` are those of the prompt; where the server repeats another number, it cuts the text in another way.

    Raises: as ``after``.
    """
    reader = CompletionReader(client.address.host, count)
    body = request_body(client, prompt, logprobs=count) | {"max_tokens": 1, "temperature": 0, "echo": True}
    logprobs = (await _choice(client, body, reader)).get("logprobs")
    try:
        assert isinstance(logprobs, dict)
        # llama-cpp-python repeats one token more, the one that it drew.
        rows = list(zip(logprobs["tokens"], logprobs["token_logprobs"], logprobs["top_logprobs"], strict=True))
        if len(logprobs["tokens"]) not in (tokens, tokens + 1):
            raise ValueError(tokens)
        return tuple(reader.token(*row) for row in rows[1:tokens])
    except (AssertionError, KeyError, TypeError, ValueError, AttributeError):
        raise reader.malformed("logprobs") from None


async def _choice(client: ServerClient, body: dict[str, Any], reader: CompletionReader) -> dict[str, Any]:
    answer = await client.ask("POST", f"{client.address.base}/completions", body)
    found = first_choice(answer)
    if found is None:
        raise reader.malformed("choices")
    return found
