"""What one rendering may make: a budget that everything pays for, and the sizes that are paid.

A value is measured as it would be written out: a list that holds the same list twice is as
long as two. No value may pass the room there is, so no comparison, sort or hash of one
takes longer than its room, though the work is one call in C that nothing interrupts.
"""

from __future__ import annotations

import contextlib
import contextvars
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from jinja2.exceptions import SecurityError

from capot.errors import ModelError

ROOM = 1_000_000  # characters or items that one value may have, beside four times the messages
UNITS = 10_000_000  # what one rendering may make in all, beside a hundred times the messages
MAX_DEPTH = 100  # of lists in lists: Python's hash of a tuple goes down without looking how deep
MAX_BITS = 16_384  # of a whole number: longer ones take the square of their length to divide
LISTS = (list, tuple, set, frozenset)

_WIDE = re.compile(r"%[^a-zA-Z%]*(\d{4}|\*)|\{[^{}]*(\d{4}|\{)")  # a width that a format string would pad to
_FIELDS = {"%": re.compile(r"%(?:\(([^()]*)\))?[^a-zA-Z%]*"), "{": re.compile(r"\{([^{}:!.\[]*)[^{}]*\}")}
_NUMBER = re.compile(r"\d+")


class Budget:
    """What one rendering may still make, and until when."""

    def __init__(self, size: int, *, seconds: float) -> None:
        # A value may repeat the conversation (a template that trims, then joins), hence the share that grows with it.
        self.room = ROOM + 4 * size
        self.units = UNITS + 100 * size
        self.deadline = time.monotonic() + seconds

    def spend(self, units: int) -> None:
        """Pay. Raises: ModelError ``template_too_costly``."""
        self.units -= units
        # The deadline is read at each payment: counting units alone says little where one unit is a slow call.
        if self.units < 0 or time.monotonic() > self.deadline:
            raise ModelError("template_too_costly")

    def hold(self, size: int) -> None:
        """Pay for one value of ``size`` characters or items, which must also fit in itself."""
        if size > self.room:
            raise ModelError("template_too_costly")
        self.spend(1 + size)


_budget: contextvars.ContextVar[Budget] = contextvars.ContextVar("capot_template_budget")


@contextlib.contextmanager
def use_budget(size: int, *, seconds: float) -> Iterator[Budget]:
    """Let everything inside the block pay out of one new budget."""
    mark = _budget.set(Budget(size, seconds=seconds))
    try:
        yield _budget.get()
    finally:
        _budget.reset(mark)


def spend(units: int) -> None:
    _budget.get().spend(units)


def allocate(size: int) -> None:
    _budget.get().hold(size)


def measure(value: Any, depth: int = 0) -> int:
    """Return how many characters and items ``value`` has when it is written out; looking at it is paid for.

    Raises: ModelError ``template_too_costly`` for more than one value may have.
    """
    # Recursive by hand, with the depth carried along: Python's own limit would end in a RecursionError much later.
    if isinstance(value, str):
        return 1 + len(value)
    if isinstance(value, int):
        check_int(value)
    if isinstance(value, Mapping):
        parts: Iterable[Any] = (part for pair in value.items() for part in pair)
    elif isinstance(value, LISTS):
        parts = value
    else:
        # What is no text and no list (a number, None, an undefined value) is written in a few characters.
        return 8
    budget = _budget.get()
    total = 8
    budget.spend(1 + len(value))
    for part in parts:
        total += measure(part, depth + 1)
        if total > budget.room or depth >= MAX_DEPTH:
            raise ModelError("template_too_costly")
    return total


def check_int(value: int) -> int:
    """Return ``value``, if it is no longer than a number may be."""
    if value.bit_length() > MAX_BITS:
        raise ModelError("template_too_costly")
    return value


def charge_value(value: Any) -> Any:
    """Return ``value``, which was just made, paid for if it has a size."""
    if isinstance(value, str):
        allocate(len(value))
    elif isinstance(value, Mapping | list | tuple | set | frozenset):
        allocate(len(value))
        measure(value)
    elif isinstance(value, int):
        check_int(value)
    return value


def charge_read(value: Any) -> Any:
    """Return ``value``, which is about to be written, compared or hashed: its whole size is paid for."""
    spend(measure(value))
    return value


def check_binop(operator: str, left: Any, right: Any) -> None:
    """Pay for what an operator is about to make of two values."""
    sized = (str, list, tuple)
    spend(1)
    for value in (left, right):
        if isinstance(value, int):
            check_int(value)
    # Before the operator runs: the call that makes a text of a million widths is one that nothing interrupts.
    if operator == "%" and isinstance(left, str):
        check_format(left, right if isinstance(right, tuple) else (right,))
    elif operator == "*" and isinstance(left, sized) != isinstance(right, sized):
        text, times = (left, right) if isinstance(left, sized) else (right, left)
        allocate(len(text) * max(0, times))
    elif operator == "*" and isinstance(left, int) and isinstance(right, int):
        # Long multiplication and division take about the square of the bits.
        allocate((left.bit_length() + right.bit_length()) ** 2)
    elif operator == "**" and isinstance(left, int) and isinstance(right, int):
        allocate((left.bit_length() * abs(right)) ** 2)
    elif operator == "+" and isinstance(left, sized) and isinstance(right, sized):
        allocate(len(left) + len(right))


def check_format(pattern: str, values: Any, *, style: str = "%") -> None:
    """Pay for a format string, its widths, and each value as often as a field names it."""
    allocate(len(pattern))
    # A width of four digits, or one out of a value: no template pads by thousands.
    if _WIDE.search(pattern):
        raise SecurityError(pattern[:80])
    names = Counter[str]()
    widths = 0
    for field in _FIELDS[style].finditer(pattern):
        names[field[1] or ""] += 1
        widths += sum(int(number) for number in _NUMBER.findall(field[0]))
    # A named field may stand a thousand times in a pattern and write the same long value each time.
    del names[""]  # those without a name take one value each
    allocate(widths + max(names.values(), default=1) * sum(map(measure, values)))


def check_replace(text: str, old: str, new: str) -> None:
    """Pay for a text with another in the place of each ``old``."""
    # Python puts ``new`` before each letter and at the end where ``old`` is empty.
    times = text.count(old) if old else len(text) + 1
    allocate(len(text) + times * len(new))


def check_search(text: str, sought: Iterable[Any]) -> None:
    """Pay for a search from the end, or of any of some letters: at worst each letter of one meets each of the other."""
    longest = max((len(each) for each in sought if isinstance(each, str)), default=0)
    # rfind and strip compare from the end, letter by letter; 16 letters at C speed cost about one unit.
    spend(len(text) * longest // 16)
