"""The chapters, in one list: the house's floors, the verbs of ``Model``, commands, routes and pages come from it."""

from __future__ import annotations

from capot.chapters import assistant, card, embeddings, generate, memory, models, network, next, score, tokens
from capot.chapters.called import called
from capot.chapters.chapter import Chapter, ModelVerb

CHAPTERS: tuple[Chapter, ...] = (
    card.CHAPTER,
    models.CHAPTER,
    tokens.CHAPTER,
    embeddings.CHAPTER,
    network.CHAPTER,
    next.CHAPTER,
    score.CHAPTER,
    generate.CHAPTER,
    memory.CHAPTER,
    assistant.CHAPTER,
)


class Verbs(
    card.CardVerbs,
    tokens.TokensVerbs,
    embeddings.EmbeddingsVerbs,
    network.NetworkVerbs,
    next.NextVerbs,
    score.ScoreVerbs,
    generate.GenerateVerbs,
    memory.MemoryVerbs,
    assistant.AssistantVerbs,
):
    """The verbs of an opened model. A type checker and an editor read them here, so they are written out."""


def verbs() -> dict[str, tuple[Chapter, ModelVerb]]:
    """Return every verb of ``Model`` by its name, with the chapter that it belongs to."""
    return {name: (chapter, verb) for chapter in CHAPTERS for name, verb in chapter.verbs.items()}


def command_of(name: str) -> str:
    """Return the command line that does what a verb does: its own, else its chapter's first."""
    commands = verbs()[name][0].commands
    return f"capot {name if name in commands else commands[0]}"


# Methods are wrapped here, where each verb's call and command are known for its errors.
for _name, (_, _verb) in verbs().items():
    _call = f"model.{_name}"
    _command = command_of(_name)
    setattr(Verbs, _name, called(getattr(Verbs, _name), call=_call, command=_command, behind=_verb))


def rail() -> list[Chapter]:
    """Return the chapters that have a page, in the order of the lab's rail."""
    return sorted((chapter for chapter in CHAPTERS if chapter.page), key=lambda chapter: chapter.aside)
