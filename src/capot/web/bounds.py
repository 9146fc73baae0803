"""What one person may ask of a server, whatever the verb. Each limit has its own clear refusal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from capot import tokens
from capot.config import Sampling, Serving
from capot.errors import InputError, NotFoundError

MAX_ITEMS = 200  # words, sentences, stop strings, lengths: a page shows fewer
MAX_LENGTHS = 40  # rows of a memory table
MAX_MEASURED = 8192  # tokens of one measured row: time grows as their square
MOST = {"k": 10_000, "near": 100, "dimensions": 3}  # candidates, neighbours, axes
LISTED = ("tokens", "gpu", "precision", "users_at")  # the verb memory takes these as one text, with commas


def bounded(verb: str, arguments: dict[str, Any], *, serving: Serving, owner: bool) -> dict[str, Any]:
    """The same arguments, within what ``serving`` allows one person.

    Raises: InputError ``text_too_long``, ``too_many_items``, ``too_many_new_tokens``, ``out_of_range``,
    ``measured_too_long``; NotFoundError ``unknown_tokenizer`` for a learner's path or hub name.
    """
    for name, value in arguments.items():
        _texts(name, value, limit=serving.max_prompt_chars)
        _lists(name, value)
        _numbers(name, value, serving)
    if verb == "memory":
        _lengths(arguments)
    if verb == "tokens" and not owner:
        packaged_only(arguments.get("compare", ()))
    return arguments


def _texts(name: str, value: Any, *, limit: int) -> None:
    longest = max((len(text) for text in _strings(value)), default=0)
    if longest > limit:
        raise InputError("text_too_long", name=name, length=longest, limit=limit)


def _strings(value: Any) -> Iterable[str]:
    """Every text in a value, however deep: a conversation holds turns that hold texts."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, str):
            yield each
        elif isinstance(each, Mapping):
            waiting.extend(each.values())
        elif isinstance(each, (list, tuple)):
            waiting.extend(each)


def _lists(name: str, value: Any) -> None:
    if name != "ids" and isinstance(value, (list, tuple)) and len(value) > MAX_ITEMS:
        raise InputError("too_many_items", name=name, count=len(value), limit=MAX_ITEMS)
    if isinstance(value, Sampling):
        _lists("stop", value.stop)


def _numbers(name: str, value: Any, serving: Serving) -> None:
    asked = value.max_new_tokens if isinstance(value, Sampling) else value if name == "after_stop" else 0
    if isinstance(asked, int) and asked > serving.max_new_tokens:
        field = name if name == "after_stop" else "max_new_tokens"
        raise InputError("too_many_new_tokens", name=field, asked=asked, limit=serving.max_new_tokens)
    if name in MOST and isinstance(value, int) and value > MOST[name]:
        raise InputError("out_of_range", name=name, value=value, low=1, high=MOST[name])


def _lengths(arguments: dict[str, Any]) -> None:
    """A memory table has a bounded number of rows, and a measured one a bounded length."""
    for name in LISTED:
        given = arguments.get(name, ())
        count = given.replace(";", ",").count(",") + 1 if isinstance(given, str) else len(given)
        if count > MAX_LENGTHS:
            raise InputError("too_many_items", name=name, count=count, limit=MAX_LENGTHS)
    if arguments.get("simulate") or arguments.get("known"):
        return
    from capot.memory.sizes import lengths

    asked = arguments.get("tokens") or ()
    longest = lengths(asked)[-1] if asked else 0
    if longest > MAX_MEASURED:
        raise InputError("measured_too_long", asked=longest, limit=MAX_MEASURED)


def packaged_only(compare: str | Iterable[str]) -> None:
    """A learner compares the tokenizers that every machine has: no path of the server's is looked at.

    Raises: NotFoundError ``unknown_tokenizer``.
    """
    names = compare.split(",") if isinstance(compare, str) else compare
    known = tokens.packaged_names()
    for name in (each.strip() for each in names):
        if name and tokens.ALIASES.get(name, name) not in known:
            raise NotFoundError("unknown_tokenizer", name=name[:80], known=", ".join(known))
