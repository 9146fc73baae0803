"""A Jinja environment for templates that come with models: no reach, no endless loop, no flood.

Jinja's own sandbox keeps a template from the interpreter's insides. It does not keep
it from computing for ever or from filling the memory, so here everything that makes
data pays for it out of a budget that each rendering opens anew: turns of loops,
calls, filters, sums and slices, and what is printed.
"""

from __future__ import annotations

import datetime
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace
from jinja2.visitor import NodeTransformer

from capot.errors import CapotError, InputError, ModelError
from capot.text.templates import budget, filters
from capot.text.templates.budget import (
    allocate,
    charge_value,
    check_binop,
    check_format,
    check_replace,
    check_search,
    measure,
    spend,
)

MAX_SOURCE = 500_000  # characters of a template; the longest known ones have 30,000
MAX_NODES = 20_000  # parts of a template: compiling is work in C as well, and takes memory
MAX_SECONDS = 5.0
METHODS_DENIED = {"center", "encode", "expandtabs", "format_map", "ljust", "rjust", "translate", "zfill"}
STRIPPING = {"strip", "lstrip", "rstrip", "rfind", "rindex", "rsplit", "rpartition"}
FUNCTIONS = nodes.Macro | nodes.CallBlock | nodes.For  # each is a function of Python, ten times the work of a name


class _Refused(jinja2.TemplateError):
    """The template itself called ``raise_exception``."""


def render(source: str, variables: Mapping[str, Any], *, size: int) -> str:
    """Render a template; ``size`` is how many characters the messages have.

    Raises: ModelError ``template_syntax`` with its line, ``template_failed`` with the reason,
    ``template_too_costly``; InputError ``template_refused`` where the template itself says no.
    """
    try:
        with budget.use_budget(size, seconds=MAX_SECONDS):
            return "".join(_each(compiled(source).generate(dict(variables))))
    except CapotError:
        raise
    except _Refused as error:
        raise InputError("template_refused", reason=str(error.message)[:300]) from None
    except (jinja2.TemplateError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # A template is a program of somebody else's: what it may raise in Python is an error of the template.
        raise ModelError("template_failed", reason=str(error)[:300] or type(error).__name__) from None
    except (RecursionError, MemoryError):
        raise ModelError("template_too_costly") from None


def _each(parts: Iterator[str]) -> Iterator[str]:
    for part in parts:
        allocate(len(part))
        yield part


# Compiling a template takes longer than rendering it, and a conversation renders the same one at each turn.
@functools.lru_cache(maxsize=32)
def compiled(source: str) -> jinja2.Template:
    """Return the template as code. Raises: ModelError ``template_syntax``, ``template_too_costly``."""
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

    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%", "**"})

    def __init__(self) -> None:
        # As transformers sets its environment, so that a template written for it renders alike.
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=[loopcontrols, _Generation],
            optimized=False,  # nothing is computed before a budget is open
            finalize=filters.printed,
            # Jinja's cache holds the environment's templates; ours is by source, above.
            cache_size=0,
        )
        self.globals = {
            "range": self.globals["range"], "dict": _dict,
            "namespace": _Namespace, "raise_exception": _raise_exception, "strftime_now": _strftime_now,
        }  # fmt: skip
        self.filters = filters.filters(self.filters)
        self.tests = filters.tests(self.tests)

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        template = super()._parse(source, name, filename)
        if sum(10 if isinstance(node, FUNCTIONS) else 1 for node in template.find_all(nodes.Node)) > MAX_NODES:
            raise ModelError("template_too_costly")
        # After Jinja's own parser and before its compiler, so that no code is generated that does not pay.
        guarded: nodes.Template = _Guard(self).visit(template)
        return guarded

    def tick(self, weight: int) -> str:
        """Pay for one turn of a loop or of a macro whose own text has ``weight`` characters."""
        spend(weight)
        return ""

    def concat_values(self, *values: Any) -> str:
        """Return what the operator ``~`` makes of its values."""
        parts = [str(filters.printed(value)) for value in values]
        allocate(sum(map(len, parts)))
        return "".join(parts)

    def cut(self, value: Any, *bounds: Any) -> Any:
        """Return a slice, ``value[a:b:c]``."""
        return charge_value(value[slice(*bounds)])

    def held(self, value: Any) -> Any:
        """Return a list, a tuple or a table that the template wrote down."""
        return charge_value(value)

    def weighed(self, value: Any) -> Any:
        """Pay for one side of a comparison, and return it."""
        return budget.charge_read(value)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(argument, tuple):  # it is hashed
            budget.charge_read(argument)
        return super().getitem(obj, argument)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        # Methods of numbers reach types (``(1).__class__`` is refused by Jinja, ``int.from_bytes`` is not).
        if isinstance(obj, int | float | bytes) or (isinstance(obj, str) and attr in METHODS_DENIED):
            return False
        return super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        wrapped = super().wrap_str_format(value)
        if wrapped is None:
            return None

        def call(*args: Any, **named: Any) -> str:
            check_format(value.__self__, (*args, *named.values()), style="{")
            return wrapped(*args, **named)

        return call

    def call(self, context: Any, function: Any, /, *args: Any, **named: Any) -> Any:
        owner, name = getattr(function, "__self__", None), getattr(function, "__name__", "")
        # The guard's own calls are found by the sandbox as methods of itself, and must not pay twice.
        if owner is self:  # what the guard wrote
            return function(*args)
        spend(1)
        measure(args)
        measure(named)
        if isinstance(owner, str):
            allocate(len(owner))
            if name == "replace" and len(args) > 1:
                check_replace(owner, *args[:2])
            if name == "join" and args:
                return filters.join(args[0], owner)
            if name in STRIPPING:
                check_search(owner, args)
        elif isinstance(owner, list | tuple) or (owner is not None and name == "changed"):  # it compares
            budget.charge_read(owner if isinstance(owner, list | tuple) else args)
        return charge_value(super().call(context, function, *args, **named))

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        check_binop(operator, left, right)
        return charge_value(super().call_binop(context, operator, left, right))


class _Guard(NodeTransformer):
    """Rewrites a parsed template so that what Jinja compiles to bare Python pays as well."""

    def __init__(self, environment: Sandbox) -> None:
        self.environment = environment

    def _call(self, name: str, arguments: list[nodes.Expr], like: nodes.Node) -> nodes.Call:
        call = nodes.Call(nodes.EnvironmentAttribute(name), arguments, [], None, None)
        call.set_lineno(like.lineno, override=True)
        call.set_environment(self.environment)
        return call

    def _ticking(self, node: Any) -> Any:
        # A turn that writes a long literal costs more than one that compares two names.
        weight = 1 + sum(len(data.data) for data in node.find_all(nodes.TemplateData))
        weight += 8 * sum(1 for _ in node.find_all(nodes.Expr))
        self.generic_visit(node)
        tick = nodes.ExprStmt(self._call("tick", [nodes.Const(weight)], node))
        tick.set_lineno(node.lineno).set_environment(self.environment)
        node.body.insert(0, tick)
        return node

    visit_For = visit_Macro = visit_CallBlock = _ticking

    def _through(self, name: str, node: Any) -> Any:
        return node if isinstance(node, nodes.Const) else self._call(name, [node], node)

    def _written(self, node: Any) -> Any:
        self.generic_visit(node)
        # Targets of assignments are lists too, and hold no values; constants were measured with the source.
        if getattr(node, "ctx", "load") != "load" or all(isinstance(item, nodes.Const) for item in node.items):
            return node
        return self._through("held", node)

    visit_List = visit_Tuple = visit_Dict = _written

    def visit_Const(self, node: nodes.Const) -> nodes.Node:
        if isinstance(node.value, int):
            budget.check_int(node.value)
        return node

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:
        self.generic_visit(node)
        node.expr = self._through("weighed", node.expr)
        for operand in node.ops:
            operand.expr = self._through("weighed", operand.expr)
        return node

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

    # Templates for training have it; without the tag they would not even parse.
    tags = {"generation"}

    def parse(self, parser: Any) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.Scope(body).set_lineno(line)


class _Namespace(Namespace):
    """Jinja's ``namespace`` without names that begin with an underscore."""

    def __init__(*given: Any, **named: Any) -> None:
        # The first parameter has no name that a keyword of the template could take.
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
    check_format(pattern, ())
    return datetime.datetime.now().strftime(pattern)
