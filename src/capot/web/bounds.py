"""What one person may ask of a server, whatever the verb. Each limit has its own clear refusal.

A request costs what its arguments make together: a text times the tokenizers that cut it, new tokens times the
alternatives kept for each, messages times the tokens of their answers. So products are bounded as well, and
``price`` says beforehand what memory the whole may come to hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from capot.chapters.settings import takes
from capot.chapters.tokens import verb as tokens
from capot.config import Sampling, Serving
from capot.errors import InputError

MAX_ITEMS = 200  # words, sentences, tokens to rank, lengths: a page shows fewer
# Of these fewer, as each of them repeats the whole work; of what a conversation has come to, more.
ITEMS = {"compare": 8, "messages": 8, "stop": 16, "turns": 2000}
LETTERS = {"rank": 1000, "stop": 200}  # of one item: a token's text, what each new token is held against
MAX_CUT = 250_000  # bytes of a text that is cut and written token by token, of which one may stand for each
BESIDE = 5  # so many tokenizers beside the model's cost as much again: their tokens are counted, and few of them shown
MAX_LENGTHS = 40  # rows of a memory table
MAX_MEASURED = 8192  # tokens of one measured row: time grows as their square
MAX_MEASURED_ALL = 4 * MAX_MEASURED  # and of all rows together
LISTED = ("tokens", "gpu", "precision", "users_at")  # the verb memory takes these as one text, with commas

# Bytes held for each byte of a request's texts while it is answered, measured: its tokens as records, and as JSON.
BYTES = {"tokens": 500, "embed": 900, "context": 500, "assistant": 2000}
BYTES_BESIDE = 40  # and for each tokenizer beside the model's, as numbers alone
BYTES_OF_TEXT = 200
BYTES_OF_TOKEN = 200  # of a token made, and of each alternative to it
BYTES_OF_CANDIDATE = 1000
BYTES_OF_PROBABILITY = 100  # of a candidate at another temperature
WAYS = 4  # of the verb assistant, each a text of its own


def bounded(verb: str, arguments: dict[str, Any], *, serving: Serving, owner: bool) -> dict[str, Any]:
    """The same arguments, within what ``serving`` allows one person.

    Raises: InputError ``text_too_long``, ``too_many_items``, ``too_many_new_tokens``, ``out_of_range``,
    ``measured_too_long``, ``measured_too_long_in_all``, ``too_much_to_cut``.
    """
    for name, value in arguments.items():
        _texts("stop" if isinstance(value, Sampling) else name, value, limit=serving.max_prompt_chars)
        _lists(name, value)
        _numbers(verb, name, value, serving=serving)
    if verb == "memory":
        _lengths(arguments)
    if verb == "tokens":
        _cut(arguments)
        if not owner:
            return {**arguments, "compare": packaged_only(tokens.named_in(arguments.get("compare", ())))}
    return arguments


def price(verb: str, arguments: Mapping[str, Any]) -> int:
    """Bytes that answering may take besides caches, at most: what a learner's account holds until the end."""
    written = sum(len(text.encode()) for value in arguments.values() for text in _strings(value))
    bytes_of_texts: int = written * BYTES.get(verb, BYTES_OF_TEXT)
    if verb == "tokens":
        bytes_of_texts += written * BYTES_BESIDE * len(tokens.named_in(arguments.get("compare", ())))
    sampling = next((value for value in arguments.values() if isinstance(value, Sampling)), None)
    made: int = 0 if sampling is None else sampling.max_new_tokens + arguments.get("after_stop", 0)
    ways = WAYS if verb == "assistant" else max(1, len(arguments.get("messages", ())))
    kept: int = 1 + (min(max(arguments.get("alternatives", 5), 0), 100) if verb == "generate" else 0)
    each_candidate = BYTES_OF_CANDIDATE + BYTES_OF_PROBABILITY * len(arguments.get("beside", ()))
    return bytes_of_texts + ways * made * kept * BYTES_OF_TOKEN + int(arguments.get("k", 0)) * each_candidate


def _texts(name: str, value: Any, *, limit: int) -> None:
    """Each text in a value, and all of them together."""
    lengths = [len(text) for text in _strings(value)]
    longest = max(lengths, default=0)
    if longest > limit or sum(lengths) > limit:
        raise InputError("text_too_long", name=name, length=longest if longest > limit else sum(lengths), limit=limit)


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
        elif isinstance(each, Sampling):
            waiting.extend(each.stop)


def _lists(name: str, value: Any) -> None:
    if isinstance(value, Sampling):
        _lists("stop", value.stop)
    if name == "conversation" and isinstance(value, Mapping):
        name, value = "turns", value.get("turns", ())
    items = (value,) if isinstance(value, str) else value if isinstance(value, (list, tuple)) else ()
    limit = ITEMS.get(name, MAX_ITEMS)
    if name not in ("ids", "compare") and len(items) > limit:
        raise InputError("too_many_items", name=name, count=len(items), limit=limit)
    longest = max((len(each) for each in items if isinstance(each, str)), default=0)
    if longest > LETTERS.get(name, longest):
        raise InputError("text_too_long", name=name, length=longest, limit=LETTERS[name])


def _numbers(verb: str, name: str, value: Any, *, serving: Serving) -> None:
    asked = value.max_new_tokens if isinstance(value, Sampling) else value if name == "after_stop" else 0
    if isinstance(asked, int) and asked > serving.max_new_tokens:
        field = name if name == "after_stop" else "max_new_tokens"
        raise InputError("too_many_new_tokens", name=field, asked=asked, limit=serving.max_new_tokens)
    bounds = takes(verb)[name].bounds if name in takes(verb) else {}
    if bounds and isinstance(value, int) and value > bounds["maximum"]:
        raise InputError("out_of_range", name=name, value=value, low=bounds["minimum"], high=bounds["maximum"])


def _cut(arguments: Mapping[str, Any]) -> None:
    """A text is cut by few tokenizers, each once, and the longer it is by the fewer."""
    names = tokens.named_in(arguments.get("compare", ()))
    if len(names) > ITEMS["compare"]:
        raise InputError("too_many_items", name="compare", count=len(names), limit=ITEMS["compare"])
    size = len(arguments["text"].encode("utf-8", "replace"))
    asked = size + size * len(names) // BESIDE
    if asked > MAX_CUT:
        raise InputError("too_much_to_cut", name="text", size=size, count=len(names), asked=asked, limit=MAX_CUT)


def _lengths(arguments: Mapping[str, Any]) -> None:
    """A memory table has a bounded number of rows, and measured ones a bounded length."""
    for name in LISTED:
        given = arguments.get(name, ())
        count = given.replace(";", ",").count(",") + 1 if isinstance(given, str) else len(given)
        if count > MAX_LENGTHS:
            raise InputError("too_many_items", name=name, count=count, limit=MAX_LENGTHS)
    if arguments.get("simulate") or arguments.get("known"):
        return
    from capot.chapters.memory.sizes import lengths

    asked = lengths(arguments["tokens"]) if arguments.get("tokens") else (0,)
    if asked[-1] > MAX_MEASURED:
        raise InputError("measured_too_long", asked=asked[-1], limit=MAX_MEASURED)
    if sum(asked) > MAX_MEASURED_ALL:
        raise InputError("measured_too_long_in_all", name="tokens", asked=sum(asked), limit=MAX_MEASURED_ALL)


def packaged_only(names: Iterable[str]) -> tuple[str, ...]:
    """A learner compares the tokenizers that every machine has: no path of the server's is looked at."""
    known = tokens.packaged_names()
    return tuple(name if tokens.ALIASES.get(name, name) in known else tokens.Unlooked(name) for name in names)
