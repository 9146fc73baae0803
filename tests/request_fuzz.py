"""Random requests on the API's own schema, for the suite (a few hundred) and for ``make soak`` (ten thousand).

Each body begins as the schema, or its own example, has it; then some of its values are put in
the place of others: odd numbers, half characters, nests, wrong types, huge texts, names that are
not there, one key twice. What is drawn depends on the seed and the schema alone.
"""

from __future__ import annotations

import random
import string
from collections.abc import Iterator
from json import JSONEncoder
from typing import Any, NamedTuple
from urllib.parse import quote

LONG = "9" * 400
NUMBERS = [
    "0", "-0", "-0.0", "1", "-1", "0.5", "1e308", "-1e308", "1e999", "5e-324", LONG, f"-{LONG}", f"{LONG}.5",
    f"1e{LONG}",
    "NaN", "Infinity", "-Infinity", str(2**31), str(2**53 + 1), str(2**63), str(2**64), str(2**64 - 1), str(10**24),
    "9" * 5000, "1E-400", "0.1e1", "3.0", "1000000",
]  # fmt: skip
TEXTS = [
    "", " ", "a", "le gestionnaire du réseau", "🤗", "\x00", "\ud800", "a\udfffb", "\udbff\udc00",
    "\u202eabc", "\x1b[31mred",
    "\n" * 50, "a," * 500, "x" * 5000, "9" * 400, "{{ 1/0 }}", "{% for a in range(9) %}a{% endfor %}",
    "[roles]\nuser='Q'",
    "a." * 300 + "b=1", "a=" + "[" * 300, "a=1" + "_1" * 3000, "id:0", "id:" + LONG, "id:" + "9" * 5000, "id:-1",
    "''+" + "-" * 900 + "''",
    "'" + "\\ud800" + "'", "'\\N{DIGIT ONE}'", '"\\q"', "24GB", LONG + "GB", "1" + " " * 500 + "x", "1,2,4", "1;;2",
    "1.5", "boxed", "english,french", "english," * 300, "../../etc/passwd", "/etc/passwd", "org/name", "Llama-3.2-1B",
    "last", "all",
    "text", "strict", "allow", "auto", "bare", "raw", "few_shot", "stopped", "chat_template", "bf16", "fr", "en", "NaN",
]  # fmt: skip
LARGEST = 8_000_000  # letters of a list repeated: one bent four times would be 70^4 times as long, more than any memory
KEYS = ["unknown", "owner", "emit", "template_path", "\ud800", "", "x" * 3000, "__class__", "prompt", "turns", "é"]
QUERIES = [
    "?view=1", "?view=true", "?view=\ud800", "?view=" + "1" * 400, "?logits=1", "?logits=2&view=0", "?%ff%fe",
    "?call=" + "x" * 99,
]  # fmt: skip
BROKEN = [
    b"", b"{", b"null", b"[]", b"\xff\xfe", b"[" * 5000, b'{"a":' * 3000, b"\x00", b'{"prompt": "\xed\xa0\x80"}',
]  # fmt: skip
TAME = ["0", "-0.0", "1", "-1", "0.5", "1e308", "5e-324", str(2**63), str(2**64), "3.0", "1000000", "1E-400"]
QUICK = (
    "max_new_tokens",
    "after_stop",
    "alternatives",
)  # small, mostly: the engine's time is not tried


class Raw(str):
    """JSON as it stands."""


class Twice(dict[str, Any]):
    """An object that holds its first key once more."""


class Drawn(NamedTuple):
    method: str
    path: str
    body: bytes | None


def requests(schema: dict[str, Any], *, count: int, seed: int) -> Iterator[Drawn]:
    """``count`` requests: method, path with its query, and body.

    ``schema`` is the OpenAPI document. Opening another model is left out: it is another request's lab after it.
    """
    drawer = _Drawer(schema, random.Random(seed))
    for _ in range(count):
        yield drawer.request()


class _Drawer:
    """Half of what it draws is ``tame``: what is wrong with it is not seen before the chapter itself is asked."""

    tame = False

    def __init__(self, schema: dict[str, Any], dice: random.Random) -> None:
        self.schemas, self.dice = schema.get("components", {}).get("schemas", {}), dice
        self.routes = [
            (method, path, operation)
            for path, operations in sorted(schema["paths"].items())
            for method, operation in sorted(operations.items())
            if path != "/api/open"
        ]
        self.posts = [each for each in self.routes if each[0] == "post" and not each[1].endswith(("/stop", "/card"))]
        self.bodies = {path.rpartition("/")[2]: self._content(each) for _, path, each in self.routes}
        self.verbs = [name for name, content in self.bodies.items() if "examples" in content]

    @staticmethod
    def _content(operation: dict[str, Any]) -> dict[str, Any]:
        return operation.get("requestBody", {}).get("content", {}).get("application/json", {})

    def request(self) -> Drawn:
        """Nine of ten are posts: that is where there is something to say."""
        self.tame = self.dice.random() < 0.5
        method, path, operation = self.dice.choice(self.posts if self.dice.random() < 0.9 else self.routes)
        for name in ("name", "lang"):
            path = path.replace(f"{{{name}}}", quote(self._name(name), safe="", errors="replace"))
        query = self.dice.choice(QUERIES) if self.dice.random() < 0.3 else ""
        path += quote(query, safe="?=&%", errors="surrogatepass")
        return Drawn(method.upper(), path, self._bytes(path, operation) if method == "post" else None)

    def _odd(self) -> Raw:
        return Raw(self.dice.choice(TAME if self.tame else NUMBERS))

    def _text(self) -> str:
        text = self.dice.choice(TEXTS)
        return text.encode("utf-8", "ignore").decode() if self.tame else text

    def _key(self) -> str:
        return self.dice.choice(["unknown", "owner", "é"] if self.tame else KEYS)

    def _name(self, kind: str) -> str:
        known = self.verbs if kind == "name" else ["fr", "en"]
        return self.dice.choice(known) if self.dice.random() < 0.8 else self._text() or "-"

    def _bytes(self, path: str, operation: dict[str, Any]) -> bytes:
        if self.dice.random() < 0.03:
            return self.dice.choice(BROKEN)
        return _written(self._body(path.partition("?")[0], self._content(operation))).encode("utf-8", "surrogatepass")

    def _body(self, path: str, content: dict[str, Any]) -> Any:
        if path.startswith("/api/page/"):
            content = self.bodies.get(path.rpartition("/")[2], {})
        if path == "/api/stream":
            return self._bent({"name": f"fuzz-{self.dice.randrange(10**6):06}", "streams": self._parts()})
        examples = [each["value"] for each in content.get("examples", {}).values()]
        drawn = self._of(content.get("schema", {}), 0)
        begun = dict(self.dice.choice(examples)) if examples and self.dice.random() < 0.7 else drawn
        if isinstance(begun, dict) and isinstance(drawn, dict):
            begun |= {name: drawn[name] for name in drawn if self.dice.random() < 0.25}
        return self._bent(self._small(begun, self._properties(content)))

    def _parts(self) -> list[Any]:
        parts = []
        for place in range(self.dice.choice([0, 1, 1, 1, 2, 9])):
            verb = self.dice.choice([*self.verbs, "nothing"])
            arguments = self._body(f"/api/{verb}", self.bodies.get(verb, {}))
            more = {flag: True for flag in ("view", "prompt") if self.dice.random() < 0.3}
            parts.append({"tag": f"t{place}", "verb": verb, "arguments": arguments, **more})
        return parts

    def _properties(self, content: dict[str, Any]) -> dict[str, Any]:
        return self.schemas.get(content.get("schema", {}).get("$ref", "").rpartition("/")[2], {}).get("properties", {})

    def _small(self, body: Any, properties: dict[str, Any]) -> Any:
        if isinstance(body, dict):
            for name in QUICK:
                if name in body or (name == "max_new_tokens" and name in properties):
                    body[name] = self.dice.randint(1, 4)
            if "tokens" in properties and not body.get("simulate") and not body.get("known"):
                body["tokens"] = [1, 40]
        return body

    # ------------------------------------------------------------ a value that the schema allows

    def _of(self, schema: dict[str, Any], depth: int) -> Any:
        if "$ref" in schema:
            return self._of(self.schemas[schema["$ref"].rpartition("/")[2]], depth)
        if "anyOf" in schema:
            return self._of(self.dice.choice(schema["anyOf"]), depth)
        if "enum" in schema or "const" in schema:
            return self.dice.choice(schema.get("enum") or [schema["const"]])
        drawn = getattr(self, f"_{schema.get('type')}", self._anything)
        return drawn(schema, depth)

    def _object(self, schema: dict[str, Any], depth: int) -> Any:
        properties, required = schema.get("properties", {}), schema.get("required", ())
        if not properties:
            return {self._key(): self._anything(schema, depth + 1) for _ in range(self.dice.randrange(3))}
        chosen = {name for name in properties if name in required or self.dice.random() < 0.4}
        return {name: self._of(each, depth + 1) for name, each in properties.items() if name in chosen}

    def _array(self, schema: dict[str, Any], depth: int) -> Any:
        return [self._of(schema.get("items", {}), depth + 1) for _ in range(self.dice.choice([0, 1, 1, 2, 3]))]

    def _integer(self, schema: dict[str, Any], depth: int) -> Any:
        return self.dice.randint(int(schema.get("minimum", 0)), int(min(schema.get("maximum", 12), 12)))

    def _number(self, schema: dict[str, Any], depth: int) -> Any:
        return round(self.dice.uniform(schema.get("minimum", 0), min(schema.get("maximum", 2), 2)), 3)

    def _string(self, schema: dict[str, Any], depth: int) -> Any:
        few = "".join(self.dice.choices(string.printable + "éœ🤗猫", k=self.dice.randrange(30)))
        return self.dice.choice([few, self._text()])

    def _boolean(self, schema: dict[str, Any], depth: int) -> Any:
        return self.dice.random() < 0.5

    def _null(self, schema: dict[str, Any], depth: int) -> Any:
        return None

    # ------------------------------------------------------------ and one that it does not

    def _anything(self, schema: dict[str, Any] | None = None, depth: int = 0) -> Any:
        kinds = [
            lambda: None, lambda: self.dice.random() < 0.5, self._odd, self._text, list, dict, self._nest, self._turns,
            lambda: [self._odd() for _ in range(self.dice.choice([1, 3, 300]))],
            lambda: [self._text() for _ in range(self.dice.choice([1, 3, 300]))],
            lambda: {self._key(): self._text() for _ in range(3)},
        ]  # fmt: skip
        return self.dice.choice(kinds)()

    def _alike(self, value: Any) -> Any:
        """An odd value of the same type, so that it is not its type that it is refused for."""
        if isinstance(value, bool) or value is None:
            return self._anything()
        if isinstance(value, str):
            return self._text()
        if isinstance(value, int | float):
            return self._odd()
        if isinstance(value, dict):
            return {name: self._alike(each) if self.dice.random() < 0.3 else each for name, each in value.items()}
        alike = [self._alike(each) if self.dice.random() < 0.5 else each for each in value] or [self._text()]
        times = self.dice.choice([1, 1, 1, 2, 70])
        return alike * times if times * len(_written(alike)) <= LARGEST else alike

    def _nest(self) -> Any:
        depth, found = self.dice.choice([3] if self.tame else [3, 20, 120, 900]), Raw("1")
        opened, closed = ("[", "]") if self.dice.random() < 0.5 else ('{"a":', "}")
        return Raw(opened * depth + found + closed * depth)

    def _turns(self) -> Any:
        """A conversation that comes back, some of its fields wrong."""
        numbers = ("sent_tokens", "computed_tokens", "generated_tokens", "first_token_s", "total_s", "dropped_turns")
        turn = {"user": self._text(), "assistant": "b"} | dict.fromkeys(numbers, 1)
        for _ in range(self.dice.randrange(3)):
            turn[self.dice.choice(list(turn))] = self._odd()
        if self.dice.random() < 0.5:
            turn[self.dice.choice(["stop_reason", "indented", self._key()])] = self._text()
        more = self.dice.choice(["kind", "price_in", "system", "model"])
        few = [turn] * self.dice.choice([0, 1, 2, 40])
        return {"turns": few, more: self.dice.choice([self._odd(), "raw", self._text()])}

    def _bent(self, body: Any) -> Any:
        """The same body with none, one or several values put wrong, a key added, or its first key twice."""
        if self.dice.random() < 0.03:
            return self._anything()
        for _ in range(self.dice.choice([0, 0, 0, 1, 1, 2] if self.tame else [0, 1, 1, 2, 4])):
            if not isinstance(body, dict) or not body:
                return body
            if "conversation" in body or ("messages" in body and self.dice.random() < 0.4):
                body["conversation"] = self._turns()
            name = self.dice.choice(list(body)) if self.dice.random() < 0.95 else self._key()
            body[name] = self._alike(body.get(name)) if self.dice.random() < 0.8 else self._anything()
        if isinstance(body, dict) and self.dice.random() < 0.05:
            return Twice(body)
        return body


def _written(value: Any) -> str:
    """A value as JSON, with what no encoder would write."""
    if isinstance(value, Raw):
        return value
    if isinstance(value, dict):
        pairs = [f"{_written(key)}:{_written(each)}" for key, each in value.items()]
        return "{" + ",".join(pairs + pairs[:1] * isinstance(value, Twice)) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_written, value)) + "]"
    return JSONEncoder().encode(value)
