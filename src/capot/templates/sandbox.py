"""A Jinja environment for templates that come with models: no reach, no endless loop, no flood.

Jinja's own sandbox keeps a template from the interpreter's insides. It does not keep
it from computing for ever or from filling the memory, so here everything that makes
data pays for it out of a budget that each rendering opens anew: turns of loops,
calls, filters, sums and slices, and what is printed.
"""

from __future__ import annotations

import contextvars
import datetime
import functools
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment, SecurityError
from jinja2.utils import Namespace
from jinja2.visitor import NodeTransformer

from capot.errors import CapotError, InputError, ModelError

MAX_SOURCE = 500_000  # characters of a template; the longest known ones have 30,000
MAX_SECONDS = 5.0
ROOM = 1_000_000  # characters or items that one value may have, beside four times the messages
UNITS = 10_000_000  # what one rendering may make in all, beside a hundred times the messages

FILTERS = {
    "abs", "capitalize", "count", "d", "default", "dictsort", "e", "escape", "first", "float", "format", "groupby",
    "indent", "int", "items", "join", "last", "length", "list", "lower", "map", "max", "min", "reject", "rejectattr",
    "replace", "reverse", "round", "safe", "select", "selectattr", "sort", "string", "title", "tojson", "trim",
    "unique", "upper", "wordcount",
}  # fmt: skip
METHODS_DENIED = {"center", "encode", "expandtabs", "format_map", "ljust", "rjust", "translate", "zfill"}
_WIDE = re.compile(r"%[^a-zA-Z%]*(\d{4}|\*)|\{[^{}]*(\d{4}|\{)")  # a width that a format string would pad to


class _Refused(jinja2.TemplateError):
    """The template itself called ``raise_exception``."""


class Budget:
    """What one rendering may still make, and until when."""

    def __init__(self, size: int) -> None:
        self.room = ROOM + 4 * size
        self.units = UNITS + 100 * size
        self.deadline = time.monotonic() + MAX_SECONDS

    def spend(self, units: int) -> None:
        """Pay. Raises: ModelError ``template_too_costly``."""
        self.units -= units
        if self.units < 0 or time.monotonic() > self.deadline:
            raise ModelError("template_too_costly")

    def hold(self, size: int) -> None:
        """Pay for one value of ``size`` characters or items, which must also fit in itself."""
        if size > self.room:
            raise ModelError("template_too_costly")
        self.spend(1 + size)


_budget: contextvars.ContextVar[Budget] = contextvars.ContextVar("capot_template_budget")


def render(source: str, variables: Mapping[str, Any], *, size: int) -> str:
    """Render a template; ``size`` is how many characters the messages have.

    Raises: ModelError ``template_syntax`` with its line, ``template_failed`` with the reason,
    ``template_too_costly``; InputError ``template_refused`` where the template itself says no.
    """
    mark = _budget.set(Budget(size))
    try:
        parts = []
        for part in compiled(source).generate(dict(variables)):
            _budget.get().hold(len(part))
            parts.append(part)
        return "".join(parts)
    except CapotError:
        raise
    except _Refused as error:
        raise InputError("template_refused", reason=str(error.message)[:300]) from None
    except (jinja2.TemplateError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise ModelError("template_failed", reason=str(error)[:300] or type(error).__name__) from None
    except (RecursionError, MemoryError):
        raise ModelError("template_too_costly") from None
    finally:
        _budget.reset(mark)


@functools.lru_cache(maxsize=32)
def compiled(source: str) -> jinja2.Template:
    """The template as code. Raises: ModelError ``template_syntax``, ``template_too_costly``."""
    if len(source) > MAX_SOURCE:
        raise ModelError("template_too_costly")
    try:
        return Sandbox().from_string(source)
    except jinja2.TemplateSyntaxError as error:
        raise ModelError("template_syntax", line=error.lineno, reason=str(error.message)[:300]) from None
    except (RecursionError, MemoryError, SyntaxError):  # nested deeper than Python's own parser goes
        raise ModelError("template_too_costly") from None


class Sandbox(ImmutableSandboxedEnvironment):
    """The environment. Lists and tables given to a template cannot be changed by it."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=[loopcontrols, _Generation],
            optimized=False,  # nothing is computed before a budget is open
            finalize=_printed,
            cache_size=0,
        )
        self.globals = {
            "range": self.globals["range"], "dict": _dict,
            "namespace": _Namespace, "raise_exception": _raise_exception, "strftime_now": _strftime_now,
        }  # fmt: skip
        kept = {name: function for name, function in self.filters.items() if name in FILTERS}
        kept |= {"tojson": _tojson, "join": _join, "replace": _replace, "string": _string, "indent": _indent}
        kept["format"] = _format
        self.filters = {name: _paid(function) for name, function in kept.items()}

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        return _Guard(self).visit(super()._parse(source, name, filename))

    def tick(self, weight: int) -> str:
        """One turn of a loop or of a macro whose own text has ``weight`` characters."""
        _budget.get().spend(weight)
        return ""

    def concat_values(self, *values: Any) -> str:
        """The operator ``~``."""
        parts = [str(_printed(value)) for value in values]
        _budget.get().hold(sum(map(len, parts)))
        return "".join(parts)

    def cut(self, value: Any, *bounds: Any) -> Any:
        """A slice, ``value[a:b:c]``."""
        return _held(value[slice(*bounds)])

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        if isinstance(obj, int | float | bytes) or (isinstance(obj, str) and attr in METHODS_DENIED):
            return False
        return super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        wrapped = super().wrap_str_format(value)
        if wrapped is None:
            return None

        def call(*args: Any, **named: Any) -> str:
            _check_format(value.__self__, (*args, *named.values()))
            return wrapped(*args, **named)

        return call

    def call(self, context: Any, function: Any, /, *args: Any, **named: Any) -> Any:
        owner, name = getattr(function, "__self__", None), getattr(function, "__name__", "")
        if isinstance(owner, str):
            _budget.get().hold(len(owner))
            if name == "replace" and len(args) > 1:
                _check_replace(owner, *args[:2])
            if name == "join" and args:
                return _join(args[0], owner)
        return _held(super().call(context, function, *args, **named))

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        _check_binop(operator, left, right)
        return _held(super().call_binop(context, operator, left, right))


class _Guard(NodeTransformer):
    """Rewrites a parsed template so that what Jinja compiles to bare Python pays as well."""

    def __init__(self, environment: Sandbox) -> None:
        self.environment = environment

    def _call(self, name: str, arguments: list[nodes.Expr], like: nodes.Node) -> nodes.Call:
        call = nodes.Call(nodes.EnvironmentAttribute(name), arguments, [], None, None)
        call.set_lineno(like.lineno, override=True)
        return call.set_environment(self.environment)

    def _ticking(self, node: Any) -> Any:
        weight = 1 + sum(len(data.data) for data in node.find_all(nodes.TemplateData))
        weight += 8 * sum(1 for _ in node.find_all(nodes.Expr))
        self.generic_visit(node)
        tick = nodes.ExprStmt(self._call("tick", [nodes.Const(weight)], node))
        tick.set_lineno(node.lineno).set_environment(self.environment)
        node.body.insert(0, tick)
        return node

    visit_For = visit_Macro = visit_CallBlock = _ticking

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        return self._call("concat_values", node.nodes, node)

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:
        self.generic_visit(node)
        if not isinstance(node.arg, nodes.Slice):
            return node
        bounds = [bound or nodes.Const(None) for bound in (node.arg.start, node.arg.stop, node.arg.step)]
        return self._call("cut", [node.node, *bounds], node)


class _Generation(Extension):
    """``{% generation %}``: marks the model's own text for training; here it changes nothing."""

    tags = {"generation"}

    def parse(self, parser: Any) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.Scope(body).set_lineno(line)


class _Namespace(Namespace):
    """Jinja's ``namespace`` without names that begin with an underscore."""

    def __init__(*given: Any, **named: Any) -> None:
        self, *rest = given
        Namespace.__init__(self)
        for name, value in dict(*rest, **named).items():
            self[name] = value

    def __setitem__(self, name: str, value: Any) -> None:
        if name.startswith("_"):
            raise SecurityError(name)
        super().__setitem__(name, value)


def _dict(*given: Any, **named: Any) -> dict[Any, Any]:
    return dict(*given, **named)  # a function, so that the class itself stays out of reach


def _raise_exception(message: Any = "") -> None:
    raise _Refused(str(message))


def _strftime_now(pattern: str) -> str:
    _check_format(pattern, ())
    return datetime.datetime.now().strftime(pattern)


def _held(value: Any) -> Any:
    """``value``, paid for if it has a size."""
    if isinstance(value, str | list | tuple | dict | set | frozenset):
        _budget.get().hold(len(value))
    return value


def _printed(value: Any) -> Any:
    """``value`` about to be written as text: a list of lists of lists is measured before it is."""
    _budget.get().spend(_measure(value))
    return value


def _measure(value: Any) -> int:
    if isinstance(value, str):
        return 1 + len(value)
    if isinstance(value, Mapping):
        value = [part for pair in value.items() for part in pair]
    if isinstance(value, list | tuple | set | frozenset):
        _budget.get().spend(8 + len(value))
        return sum(map(_measure, value))
    return 8


def _check_binop(operator: str, left: Any, right: Any) -> None:
    sized = str | list | tuple
    if operator == "%" and isinstance(left, str):
        _check_format(left, right if isinstance(right, tuple) else (right,))
    elif operator == "*" and isinstance(left, sized) != isinstance(right, sized):
        text, times = (left, right) if isinstance(left, sized) else (right, left)
        _budget.get().hold(len(text) * max(0, times))
    elif operator == "*" and isinstance(left, int) and isinstance(right, int):
        _budget.get().hold((left.bit_length() + right.bit_length()) ** 2)
    elif operator == "**" and isinstance(left, int) and isinstance(right, int):
        _budget.get().hold((left.bit_length() * abs(right)) ** 2)
    elif operator == "+" and isinstance(left, sized) and isinstance(right, sized):
        _budget.get().hold(len(left) + len(right))


def _check_format(pattern: str, values: Any) -> None:
    _budget.get().hold(len(pattern) + sum(map(_measure, values)))
    if _WIDE.search(pattern):
        raise SecurityError(pattern[:80])


def _check_replace(text: str, old: str, new: str) -> None:
    times = text.count(old) if old else len(text) + 1
    _budget.get().hold(len(text) + times * len(new))


def _join(value: Any, separator: str = "", attribute: Any = None) -> str:
    parts = []
    for item in value:
        if attribute is not None:
            item = item[attribute] if isinstance(item, Mapping) else ""
        parts.append(str(_printed(item)))
    _budget.get().hold(sum(map(len, parts)) + len(separator) * len(parts))
    return separator.join(parts)


def _replace(text: Any, old: str, new: str, count: int = -1) -> str:
    text = str(_printed(text))
    _check_replace(text, old, new)
    return text.replace(old, new, -1 if count is None else count)


def _string(value: Any) -> str:
    return str(_printed(value))


def _indent(text: str, width: int | str = 4, first: bool = False, blank: bool = False) -> str:
    gap = width if isinstance(width, str) else " " * min(max(width, 0), 80)
    lines = text.split("\n")
    _budget.get().hold(len(text) + len(gap) * len(lines))
    kept = [gap + line if (line or blank) else line for line in lines[1:]]
    return "\n".join([gap + lines[0] if first else lines[0], *kept])


def _format(pattern: str, *values: Any, **named: Any) -> str:
    _check_format(str(pattern), (*values, *named.values()))
    return str(pattern) % (named or values)


def _tojson(
    value: Any, ensure_ascii: bool = False, indent: Any = None, separators: Any = None, sort_keys: bool = False
) -> str:
    """As transformers': not the one of Jinja, which escapes for HTML."""
    if indent is not None and not (isinstance(indent, int) and indent <= 16):
        raise SecurityError("tojson")
    _budget.get().spend(_measure(value))
    encoder = json.JSONEncoder(
        ensure_ascii=ensure_ascii, indent=indent, separators=separators and tuple(separators), sort_keys=sort_keys
    )
    return "".join(_each_held(encoder.iterencode(value)))


def _each_held(parts: Iterator[str]) -> Iterator[str]:
    for part in parts:
        _budget.get().spend(len(part))
        yield part


def _paid(function: Callable[..., Any]) -> Callable[..., Any]:
    """A filter that pays for what it reads and for what it makes."""
    place = 1 if hasattr(function, "jinja_pass_arg") else 0

    @functools.wraps(function)
    def call(*args: Any, **named: Any) -> Any:
        value = args[place] if len(args) > place else None
        _budget.get().spend(1 + (len(value) if isinstance(value, str | list | tuple | Mapping) else 0))
        return _held(function(*args, **named))

    return call
