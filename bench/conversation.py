"""How long until the first word of turn 10 of a conversation of 2,000 tokens, with and without what is in the cache?

    python bench/conversation.py [--model FOLDER] [--repeats 5] [--tokens 2000]

The conversation is the plain dialogue with an end marker, nine turns of a short question and a
long answer; turn 10 asks one line more. "With": the caches hold what turn 9 sent and what was
answered, as they do while one talks. "Without": the same turn on behalf of somebody else, whose
caches are never shared. Both go through the chapter itself, in turn, and its own clock: from the
message handed over to the first token, template and tokenizer included.
"""

from __future__ import annotations

import dataclasses
import statistics
from typing import Any

from _common import arguments, model_folder, report, with_tokenizer

TURNS = 10
FIRST_WORDS = ("Why", "When", "Where", "How", "So", "But", "And", "Then", "Later", "Now")  # so that no two begin alike
QUESTION = "{first} did the fleet of {year} come home so late, and who in the town had to pay for it?"
ANSWER = "The merchants of the town built ships of oak and sailed them far beyond the cape each spring. "
PLAIN = 'end = "FIN"\n'  # no examples: all 2,000 tokens are the conversation's own


def question(number: int) -> str:
    return QUESTION.format(first=FIRST_WORDS[number % len(FIRST_WORDS)], year=1700 + number)


def exchange(number: int, sentences: int) -> Any:
    """A turn that was; nobody looks at its counts."""
    from capot.chapters.assistant.chat_result import Exchange

    return Exchange(question(number), (ANSWER * sentences).strip(), 1, 1, 1, 0.0, 0.0)


def begun(model: Any, tokens: int) -> Any:
    """A conversation of nine turns such that the prompt of turn 10 has about ``tokens`` tokens, at least as many."""
    from capot.chapters.assistant import chat as conversation

    state = conversation.opened(model, kind="stopped")
    template = conversation.chosen(model, "stopped", template=PLAIN)
    for sentences in range(1, 1000):
        state = dataclasses.replace(state, turns=tuple(exchange(number, sentences) for number in range(TURNS - 1)))
        prompt, dropped = conversation.fitted(model, state, question(TURNS), template=template, room=1)
        if len(prompt.ids) >= tokens or dropped:
            return state
    raise AssertionError("no conversation is that long")


def turn(model: Any, state: Any, number: int) -> Any:
    """Turn 10, of one token; its bill."""
    options = {"template": PLAIN, "temperature": 0, "max_new_tokens": 1}
    return model.chat([question(number)], conversation=state.to_dict(), **options).turns[-1]


def main() -> None:
    given = arguments(__doc__, repeats=5, more=lambda p: p.add_argument("--tokens", type=int, default=2000))
    import capot

    found: dict[str, list[Any]] = {"without": [], "with": []}
    with capot.open(with_tokenizer(model_folder(given))) as model:
        state = begun(model, given.tokens)
        turn(model, state, 0)  # kernels are compiled, files read; and the caches hold the nine turns
        for number in range(1, given.repeats + 2):
            found["without"].append(turn(model.on_behalf_of(f"somebody else {number}"), state, number))
            found["with"].append(turn(model, state, number))
    pairs = list(zip(found["without"][1:], found["with"][1:], strict=True))
    ratio = statistics.median(one.first_token_s / other.first_token_s for one, other in pairs)
    last, spared = pairs[-1]
    rows = [
        ("tokens sent at turn 10", last.sent_tokens, "", None),
        ("tokens computed, without", last.computed_tokens, "", None),
        ("tokens computed, with", spared.computed_tokens, "", None),
        ("first token, without", statistics.median(one.first_token_s for one, _ in pairs), "s", None),
        ("first token, with", statistics.median(one.first_token_s for _, one in pairs), "s", None),
        ("first token of turn 10, without over with", ratio, "x", 15.0),
    ]
    report("a conversation, random weights in the shape of Llama 3.2 1B", rows)


if __name__ == "__main__":
    main()
