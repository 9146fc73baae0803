"""What a template's TOML may look like, read off its text before it is parsed.

The parser keeps every beginning of a dotted key, so one key of n parts takes n² of memory, and it calls
itself for each bracket. No template needs either: ``[[shots]]`` and ``roles.user`` are as deep as they get.
"""

from __future__ import annotations

import re

from capot.errors import InputError

MAX_CHARACTERS = 1_000_000
MAX_DOTS = 4  # of one line, strings and comments aside
MAX_BRACKETS = 4  # one inside the other
MAX_DIGITS = 40

# Strings and comments are passed over; what stays open runs to the end. Nothing is ever tried twice.
_PARTS = re.compile(
    r'"""(?:[^"\\]|\\.|"{1,2}+(?!"))*+(?:"{3,5}|\Z)'
    r"|'''(?:[^']|'{1,2}+(?!'))*+(?:'{3,5}|\Z)"
    r'|"(?:[^"\\\n]|\\[^\n])*+(?:"|(?=\n)|\Z|\\)'
    r"|'[^'\n]*+'?"
    r"|#[^\n]*+"
    r"|(?P<digits>\d[\d_]*+)|(?P<mark>[\[\]{}.\n])|[^\"'#\d\[\]{}.\n]++",
    re.DOTALL,
)


def check_form(text: str, *, source: str) -> None:
    """Refuse what is no template whatever it says. Raises: InputError ``template_long``, ``template_form``."""
    if len(text) > MAX_CHARACTERS:
        raise InputError("template_long", path=source, length=len(text), limit=MAX_CHARACTERS)
    dots = depth = 0
    line = 1
    # By hand and before the parser: what is refused here is what would make the parser itself slow.
    for part in _PARTS.finditer(text):
        mark = part["mark"]
        if mark == "\n":
            line, dots = line + 1, 0
        elif mark == ".":
            dots += 1
        elif mark:
            depth += 1 if mark in "[{" else -1
        else:
            line += part[0].count("\n")
        if dots > MAX_DOTS or depth > MAX_BRACKETS or len(part["digits"] or "") > MAX_DIGITS:
            raise InputError("template_form", path=source, line=line)
