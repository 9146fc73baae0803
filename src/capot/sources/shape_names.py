"""Match the names that people use for published models, and suggest similar ones."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence

MAX_MATCHES = 3  # near names that are proposed
MIN_RATIO = 0.6  # of 1: how much of a name it shares
# Models that everybody names and of which no shape was published, as ``normalize`` writes them, and what follows.
UNPUBLISHED = ("gpt35", "gpt4", "gpt5", "chatgpt", "o1", "o3", "claude", "gemini", "grok")
KINDS = "o|turbo|mini|nano|pro|preview|instruct|opus|sonnet|haiku|flash|ultra|[2-9][0-9]?"


def normalize(name: str) -> str:
    """Return a name without its organisation, in lower case, without separators.

    >>> normalize("meta-llama/Meta-Llama-3-70B"), normalize("gpt2_xl")
    ('metallama370b', 'gpt2xl')
    """
    return re.sub(r"[^a-z0-9]", "", name.rpartition("/")[2].casefold())


def match(name: str, spellings: Mapping[str, Sequence[str]]) -> str | None:
    """Return the key of ``spellings`` that ``name`` means: each has its other spellings.

    >>> match("llama 3 70b", {"Llama-3-70B": ["Meta-Llama-3-70B"]})
    'Llama-3-70B'
    """
    wanted = normalize(name)
    return next((known for known, others in spellings.items() if wanted in map(normalize, (known, *others))), None)


def close_matches(name: str, spellings: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Return the names most similar to ``name``, the most similar first.

    >>> close_matches("Llama-3.1-8B-Instruct", {"Llama-3.1-8B": [], "GPT-2": []})
    ('Llama-3.1-8B',)
    """
    of = {normalize(spelling): known for known, others in spellings.items() for spelling in (known, *others)}
    found = difflib.get_close_matches(normalize(name), of, n=2 * MAX_MATCHES, cutoff=MIN_RATIO)
    return tuple(dict.fromkeys(of[spelling] for spelling in found))[:MAX_MATCHES]


def is_unpublished(name: str) -> bool:
    """Return whether a model is well known and its shape was never published.

    >>> [is_unpublished(name) for name in ("GPT-3.5-turbo", "gpt-4o-mini", "GPT4All-J", "o11")]
    [True, True, False, False]
    """
    return re.fullmatch(rf"(?:{'|'.join(UNPUBLISHED)})(?:{KINDS})*", normalize(name)) is not None
