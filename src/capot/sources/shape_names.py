"""The names that people give to published models, and the nearest of them to a name that is none."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence

MOST = 3  # near names that are proposed
ALIKE = 0.6  # of 1: how much of a name it shares
# Models that everybody names and of which no shape was published, as ``plain`` writes them, and what follows.
UNPUBLISHED = ("gpt35", "gpt4", "gpt5", "chatgpt", "o1", "o3", "claude", "gemini", "grok")
KINDS = "o|turbo|mini|nano|pro|preview|instruct|opus|sonnet|haiku|flash|ultra|[2-9][0-9]?"


def plain(name: str) -> str:
    """A name without its organisation, its capitals and its separators.

    >>> plain("meta-llama/Meta-Llama-3-70B"), plain("gpt2_xl")
    ('metallama370b', 'gpt2xl')
    """
    return re.sub(r"[^a-z0-9]", "", name.rpartition("/")[2].casefold())


def named(name: str, spellings: Mapping[str, Sequence[str]]) -> str | None:
    """The one of ``spellings`` that ``name`` means: each stands there with the other ways to write it.

    >>> named("llama 3 70b", {"Llama-3-70B": ["Meta-Llama-3-70B"]})
    'Llama-3-70B'
    """
    wanted = plain(name)
    return next((known for known, others in spellings.items() if wanted in map(plain, (known, *others))), None)


def near(name: str, spellings: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """The names nearest to ``name``, the nearest first.

    >>> near("Llama-3.1-8B-Instruct", {"Llama-3.1-8B": [], "GPT-2": []})
    ('Llama-3.1-8B',)
    """
    of = {plain(spelling): known for known, others in spellings.items() for spelling in (known, *others)}
    found = difflib.get_close_matches(plain(name), of, n=2 * MOST, cutoff=ALIKE)
    return tuple(dict.fromkeys(of[spelling] for spelling in found))[:MOST]


def unpublished(name: str) -> bool:
    """Whether it is one that everybody names and nobody but its makers knows the shape of.

    >>> unpublished("GPT-3.5-turbo"), unpublished("gpt-4o-mini"), unpublished("GPT4All-J"), unpublished("o11")
    (True, True, False, False)
    """
    return re.fullmatch(rf"(?:{'|'.join(UNPUBLISHED)})(?:{KINDS})*", plain(name)) is not None
