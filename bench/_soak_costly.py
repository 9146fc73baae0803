"""One learner's most costly requests, a line each of what a lab must bear: templates, texts, conversations, tables."""

from __future__ import annotations

from typing import Any

PAIRS = (
    "{% set ns = namespace(a=[], b=[]) %}{% for i in range(60) %}"
    "{% set ns.a = [ns.a, ns.a] %}{% set ns.b = [ns.b, ns.b] %}{% endfor %}"
)
HUGE = "{% set x = ('f'*900000)|int(0,16) %}{% set y = ('f'*450000)|int(0,16) %}"
TEMPLATES = {
    "equal lists": PAIRS + "{{ ns.a == ns.b }}",
    "a list in a list": PAIRS + "{{ ns.a in [ns.b] }}",
    "sorted lists": PAIRS + "{{ [ns.a, ns.b]|sort|length }}",
    "hashed tuples": "{% set ns = namespace(a=()) %}{% for i in range(60) %}{% set ns.a = (ns.a, ns.a) %}"
    "{% endfor %}{{ {ns.a: 1}|length }}",
    "printed lists": PAIRS + "{{ ns.a }}",
    "division": HUGE + "{{ (x // y) > 1 }}",
    "number of base 7": "{{ ('6'*900000)|int(0,7) > 1 }}",
    "10,000 comparisons": "{% set a = 'a'*990000 %}{% set b = 'b' %}" + "{% if b in a %}{% endif %}" * 10_000,
    "4,500 macros": "".join(f"{{% macro m{i}(a) %}}{{{{ a }}}}{{% endmacro %}}" for i in range(4_500)),
    "wide format": "{{ ('{0:999}'*100000).format('a')|length }}",
    "nested loops": "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
    "recursive macro": "{% macro f(n) %}{{ f(n+1) }}{% endmacro %}{{ f(0) }}",
}
EVERY_TOKENIZER = ["bilingual", "english", "french", "o200k_base", "cl100k_base", "gpt2"]
TURN = {
    "user": "a " * 20,
    "assistant": "b " * 20,
    "sent_tokens": 1,
    "computed_tokens": 1,
    "generated_tokens": 1,
    "first_token_s": 1,
    "total_s": 1,
}


def chat(**more: Any) -> tuple[str, dict[str, Any]]:
    return "/api/chat", {"messages": ["hi"], "max_new_tokens": 1} | more


def texts(count: int) -> tuple[str, dict[str, Any]]:
    """So many texts on one response, each step with all its alternatives."""
    asked = {"prompt": "Once upon a time", "max_new_tokens": 1000, "temperature": 2.0, "alternatives": 100}
    parts = [{"tag": f"t{i}", "verb": "generate", "arguments": asked | {"seed": i}} for i in range(count)]
    return "/api/stream", {"name": "costly-texts", "streams": parts}


# What is sent at once.
REQUESTS: dict[str, list[tuple[str, dict[str, Any]]]] = {
    **{f"template, {name}": [chat(chat_template=text)] for name, text in TEMPLATES.items()},
    "TOML, a dotted key": [chat(template="a." * 90_000 + "b=1")],
    "TOML, nested arrays": [chat(template="a=" + "[" * 90_000)],
    "TOML, many tables": [chat(template="[[shots]]\n" * 19_000)],
    "TOML, a long number": [chat(template="a=1" + "_1" * 90_000)],
    "compare, one text of 20,000 names": [
        (
            "/api/tokens",
            {"text": "le gestionnaire du " * 105, "compare": "english," * 20_000},
        )
    ],
    "compare, 200 names": [("/api/tokens", {"text": "le gestionnaire du " * 9_000, "compare": ["english"] * 200})],
    "tokens, 190,000 emoji": [("/api/tokens?view=1", {"text": "🤗" * 190_000})],
    "tokens, 20,000 emoji in nine ways": [
        ("/api/tokens?view=1", {"text": each * 20_000}) for each in "🤗👍🦆🐝🧀🚗🎈🌧🏠"
    ],
    "chat, 800 turns": [chat(conversation={"turns": [TURN] * 800})],
    "chat, 9,900 turns": [chat(conversation={"turns": [TURN] * 9_900})],
    "generate, 200 long stop strings": [
        (
            "/api/generate",
            {"prompt": "Once", "max_new_tokens": 1000, "stop": ["a" * 15_000 + str(i) for i in range(200)]},
        )
    ],
    "next, ranks of long literals": [("/api/next", {"prompt": "a", "rank": ["''" + "<1" * 90_000 + "<''"] * 18})],
    "embed, 180 long words": [("/api/embed?view=1", {"words": [f"x{i} " * 4000 for i in range(180)], "near": 100})],
    "context, 200 sentences": [("/api/context?view=1", {"word": "a", "sentences": ["a b c " * 150] * 200})],
    "context, all that is read": [
        ("/api/context?view=1", {"word": "a", "sentences": ["a b c d e f g h i j" * 9] * 200})
    ],
    "next, three of 10,000": [("/api/next?view=1", {"prompt": "a", "k": 10_000})] * 3,
    "tokens, 200,000 characters": [("/api/tokens?view=1", {"text": ("le gestionnaire du réseau " * 8_000)[:200_000]})],
    "tokens, three of 200,000 characters": [("/api/tokens?view=1", {"text": "xq" * 100_000})] * 3,
    "compare, every packaged tokenizer": [
        ("/api/tokens?view=1", {"text": "le gestionnaire du " * 1_870, "compare": EVERY_TOKENIZER})
    ],
    "embed, all that is taken": [
        ("/api/embed?view=1", {"words": [f"x{i} " * 200 for i in range(190)], "near": 100, "dimensions": 3})
    ],
    "next, ranks of 200 texts": [
        ("/api/next?view=1", {"prompt": "a", "rank": ["ab " * 330 + str(i) for i in range(190)]})
    ],
    "network, all that is taken": [("/api/network?view=1", {"prompt": "a b c d " * 100, "k": 20})],
    "network, every attention": [
        ("/api/network?view=1", {"prompt": "a b c d " * 100, "k": 5, "attention": f"{i}.1"}) for i in (1, 2, 3)
    ],
    "ablate, all that is taken": [
        (
            "/api/ablate?view=1",
            {"prompt": "a b c d " * 100, "layers": [1, 2, 3], "by": "mean", "k": 100, "max_new_tokens": 60},
        )
    ],
    "patch, all that is taken": [
        ("/api/patch?view=1", {"prompt": "a b c d " * 40, "source": "b a c d " * 40, "layer": 1, "k": 100})
    ],
    "patch, three grids": [
        ("/api/patch?view=1", {"prompt": "a b c d " * 10, "source": "b a c d " * 10, "part": part})
        for part in ("residual", "attention", "mlp")
    ],
    "steer, all that is taken": [
        (
            "/api/steer?view=1",
            {"prompt": "a b c d " * 100, "toward": "a " * 400, "away": "b " * 400, "max_new_tokens": 60},
        )
    ],
    "score, all that is read": [("/api/score?view=1", {"text": "a b c d " * 100})],
    "score, 200,000 characters": [("/api/score?view=1", {"text": ("le gestionnaire du réseau " * 8_000)[:200_000]})],
    "assistant, a long question": [("/api/assistant", {"question": "a b " * 45_000, "max_new_tokens": 1})],
    "chat, 2,000 turns": [chat(conversation={"turns": [TURN | {"user": "a", "assistant": "b"}] * 2_000})],
    "generate, eight texts": [texts(8)],
    "tokens, as a page": [("/api/page/tokens", {"text": "le gestionnaire du " * 10_500})],
    "memory, measured": [("/api/memory", {"tokens": [8192 - i for i in range(40)], "mode": "all"})],
    "memory, all that is measured": [("/api/memory", {"tokens": [8192, 8191, 8190]})],
}

# What is asked of a model whose tokenizer reads the rest of the text again for each "a".
SLOW_EXPRESSION = "a(?=.*z)"
OF_A_SLOW_TOKENIZER: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "slow expression, tokens": [("/api/tokens?view=1", {"text": "a" * 200_000})],
    "slow expression, next": [("/api/next?view=1", {"prompt": "a" * 200_000})],
    "slow expression, three at once": [("/api/generate", {"prompt": "a" * 200_000, "max_new_tokens": 1})] * 3,
    "slow expression, conversation": [chat(messages=["a" * 190_000])],
}
