"""Bound what one person may ask of a server, whatever the verb. Each limit has its own clear refusal.

A request costs what its arguments cost together: a text times the tokenizers that encode it, new tokens times the
alternatives kept for each, messages times the tokens of their answers. So products are bounded as well, and
``memory_cost`` says beforehand how much memory the whole may need.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from capot.chapters.settings import takes
from capot.chapters.tokens import verb as tokens
from capot.config import Sampling, Serving, within
from capot.errors import InputError

MAX_ITEMS = 200  # words, sentences, tokens to rank, lengths: a page shows fewer
# Of these fewer, as each of them repeats the whole work; of what a conversation has come to, more.
MAX_ITEMS_OF = {"compare": 8, "messages": 8, "stop": 16, "turns": 2000}
MAX_CHARS = {"rank": 1000, "stop": 200}  # of one item: a token's text, what each new token is held against
MAX_TOKENIZED = 250_000  # bytes of a text that is cut and written token by token, of which one may stand for each
TOKENIZERS_PER_CUT = (
    5  # so many tokenizers beside the model's cost as much again: their tokens are counted, and few of them shown
)
MAX_LENGTHS = 40  # rows of a memory table
MAX_MEASURED = 8192  # tokens of one measured row: time grows as their square
MAX_MEASURED_ALL = 4 * MAX_MEASURED  # and of all rows together
COMMA_LISTS = ("tokens", "gpu", "precision", "users_at")  # the verb memory takes these as one text, with commas

# Bytes held for each byte of a request's texts while it is answered, measured: its tokens as records, and as JSON.
BYTES_PER_BYTE = {"tokens": 500, "embed": 900, "context": 500, "assistant": 2000}
BYTES_PER_TOKENIZER = 40  # and for each tokenizer beside the model's, as numbers alone
BYTES_PER_CHAR = 200
BYTES_PER_TOKEN = 200  # of a token made, and of each alternative to it
BYTES_PER_CANDIDATE = 1000
BYTES_OF_PROBABILITY = 100  # of a candidate at another temperature
ASSISTANT_TEXTS = 4  # of the verb assistant, each a text of its own


def check_bounds(verb: str, arguments: dict[str, Any], *, serving: Serving, owner: bool) -> dict[str, Any]:
    """Return the same arguments, if they are within what ``serving`` allows one person.

    Raises: InputError ``text_too_long``, ``too_many_items``, ``too_many_new_tokens``, ``out_of_range``,
    ``measured_too_long``, ``measured_too_long_in_all``, ``too_much_to_cut``.
    """
    for name, value in arguments.items():
        _check_texts("stop" if isinstance(value, Sampling) else name, value, limit=serving.max_prompt_chars)
        _check_lists(name, value)
        _check_numbers(verb, name, value, serving=serving)
    if verb == "memory":
        _check_lengths(arguments)
    if verb == "tokens":
        _check_tokenized(arguments)
        if not owner:
            return {**arguments, "compare": check_packaged(tokens.named_in(arguments.get("compare", ())))}
    return arguments


def memory_cost(verb: str, arguments: Mapping[str, Any]) -> int:
    """Return the most bytes that answering may need besides caches. The learner's account holds them."""
    written = sum(len(text.encode()) for value in arguments.values() for text in _strings(value))
    bytes_of_texts: int = written * BYTES_PER_BYTE.get(verb, BYTES_PER_CHAR)
    if verb == "tokens":
        bytes_of_texts += written * BYTES_PER_TOKENIZER * len(tokens.named_in(arguments.get("compare", ())))
    sampling = next((value for value in arguments.values() if isinstance(value, Sampling)), None)
    made: int = 0 if sampling is None else sampling.max_new_tokens + arguments.get("after_stop", 0)
    ways = ASSISTANT_TEXTS if verb == "assistant" else max(1, len(arguments.get("messages", ())))
    kept: int = 1 + (min(max(arguments.get("alternatives", 5), 0), 100) if verb == "generate" else 0)
    each_candidate = BYTES_PER_CANDIDATE + BYTES_OF_PROBABILITY * len(arguments.get("beside", ()))
    return bytes_of_texts + ways * made * kept * BYTES_PER_TOKEN + int(arguments.get("k", 0)) * each_candidate


def _check_texts(name: str, value: Any, *, limit: int) -> None:
    """Check each text in a value, and all of them together."""
    lengths = [len(text) for text in _strings(value)]
    # Together as well: eight texts at the limit cost eight times as much.
    longest = max(lengths, default=0)
    if longest > limit or sum(lengths) > limit:
        raise InputError("text_too_long", name=name, length=longest if longest > limit else sum(lengths), limit=limit)


def _strings(value: Any) -> Iterable[str]:
    """Yield every text in a value, however deep: a conversation holds turns that hold texts."""
    # A list and no recursion: the depth of a body is the visitor's choice.
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


def _check_lists(name: str, value: Any) -> None:
    if isinstance(value, Sampling):
        _check_lists("stop", value.stop)
    if name == "conversation" and isinstance(value, Mapping):
        name, value = "turns", value.get("turns", ())
    if isinstance(value, str):
        value = (value,)
    items = value if isinstance(value, (list, tuple)) else ()
    limit = MAX_ITEMS_OF.get(name, MAX_ITEMS)
    # Those two are bounded by what they cost (``_check_tokenized``, ``MAX_VALUES`` of a body).
    if name not in ("ids", "compare") and len(items) > limit:
        raise InputError("too_many_items", name=name, count=len(items), limit=limit)
    longest = max((len(each) for each in items if isinstance(each, str)), default=0)
    if longest > MAX_CHARS.get(name, longest):
        raise InputError("text_too_long", name=name, length=longest, limit=MAX_CHARS[name])


def _check_numbers(verb: str, name: str, value: Any, *, serving: Serving) -> None:
    # Tokens after a stop are made like any others.
    new_tokens = {"after_stop": value} if name == "after_stop" else {}
    if isinstance(value, Sampling):
        new_tokens["max_new_tokens"] = value.max_new_tokens
    for field, asked in new_tokens.items():
        if isinstance(asked, int) and asked > serving.max_new_tokens:
            raise InputError("too_many_new_tokens", name=field, asked=asked, limit=serving.max_new_tokens)
    bounds = takes(verb)[name].bounds if name in takes(verb) else {}
    if bounds and isinstance(value, int):
        within(name, value, bounds["minimum"], bounds["maximum"])


def _check_tokenized(arguments: Mapping[str, Any]) -> None:
    """Check that a text is cut by few tokenizers, each once, and by the fewer the longer it is."""
    names = tokens.named_in(arguments.get("compare", ()))
    if len(names) > MAX_ITEMS_OF["compare"]:
        raise InputError("too_many_items", name="compare", count=len(names), limit=MAX_ITEMS_OF["compare"])
    size = len(arguments["text"].encode("utf-8", "replace"))
    asked = size + size * len(names) // TOKENIZERS_PER_CUT
    if asked > MAX_TOKENIZED:
        raise InputError("too_much_to_cut", name="text", size=size, count=len(names), asked=asked, limit=MAX_TOKENIZED)


def _check_lengths(arguments: Mapping[str, Any]) -> None:
    """Bound the rows of a memory table, and the lengths that are measured."""
    for name in COMMA_LISTS:
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


def check_packaged(names: Iterable[str]) -> tuple[str, ...]:
    """Refuse tokenizers that not every machine has: no path of the server's is looked at for a learner."""
    known = tokens.packaged_names()
    return tuple(name if tokens.ALIASES.get(name, name) in known else tokens.UnknownName(name) for name in names)
