"""What a model says of itself: whether it answers, and under which licence it may be used."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from capot.chapters.card.source import Source

_INSTRUCT = re.compile(r"instruct|chat|[-_]it\b|assistant|dialog|[-_](sft|dpo|rlhf)\b|\br1\b", re.I)
_BASE = re.compile(r"[-_](base|pt)\b", re.I)


def base_or_instruct(source: Source, front: Mapping[str, Any]) -> tuple[str, str]:
    """Return whether a model continues texts or answers, and what says so.

    A name that says it is believed first. A chat template alone is not enough: some base
    models carry one. It counts where it writes the token at which generation stops.
    """
    # Before the base pattern: "base-instruct" answers.
    if _INSTRUCT.search(source.name):
        return "instruct", "name"
    if _BASE.search(source.name):
        return "base", "name"
    template = source.chat_template
    if template and ("eos_token" in template or any(end in template for end in source.ends)):
        return "instruct", "template"
    if template:
        return "base", "unused_template"
    if "conversational" in front.get("tags", ()):
        return "instruct", "tags"
    return "base", "no_template"


def front_matter(readme: str) -> dict[str, Any]:
    """Return the fields at the head of a model's README: ``key: value`` and lists of ``- item``.

    >>> front_matter("---\\nlicense: mit\\ntags:\\n- fr\\n---\\n# Model")
    {'license': 'mit', 'tags': ['fr']}
    """
    found: dict[str, Any] = {}
    # Two forms of YAML that every README uses; a parser of all of it would be a dependency for two fields.
    head = re.match(r"---\r?\n(.*?)\r?\n---", readme, re.DOTALL)
    key = ""
    for line in head[1].splitlines() if head else ():
        if (item := re.match(r"\s*- (.+)", line)) and isinstance(found.get(key), list):
            found[key].append(item[1].strip().strip("\"'"))
        elif pair := re.match(r"([\w-]+):\s*(.*)", line):
            key = pair[1]
            value = pair[2].strip().strip("\"'")
            found[key] = value or []
    return found


def licence(front: Mapping[str, Any], config: Mapping[str, Any]) -> str | None:
    stated = front.get("license")
    # The hub knows a few licences by name; "other" says that the name stands in a field of its own.
    if stated == "other" and front.get("license_name"):
        stated = front["license_name"]
    stated = stated or config.get("license")
    return stated if isinstance(stated, str) else None
