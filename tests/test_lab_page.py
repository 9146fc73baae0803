"""Every figure that the page of the lab promises is the one that the lab holds to, in both languages."""

from __future__ import annotations

import re
from typing import Any

import pytest
from conftest import ROOT

from capot.chapters.embeddings import context
from capot.chapters.tokens.verb import packaged_names
from capot.config import SHORTEST_CODE, Sampling, Serving
from capot.engines.scheduler import MAX_BATCH
from capot.text.templates import worker as rendering
from capot.text.tokenizer import worker as cutting
from capot.web import bounds, credentials, guard, json_body, learners, worker_pool

IS = Serving()
FIGURES: list[tuple[Any, str, str]] = [
    (MAX_BATCH, "(up to {} at once)", "(jusqu’à {} à la fois)"),
    (learners.RECONNECT_S, "go back after {} seconds", "rendus au bout de {} secondes"),
    (IS.max_prompt_chars, "Texts: {} characters in each argument", "{} caractères par argument"),
    (IS.max_new_tokens, "{} new tokens, 8 texts", "{} nouveaux tokens, 8 textes"),
    (IS.max_streams, "new tokens, {} texts at once", "nouveaux tokens, {} textes à la fois"),
    (bounds.MAX_ITEMS_OF["messages"], "{} messages in a request", "{} messages par requête"),
    (bounds.MAX_ITEMS_OF["turns"], "{} turns in a conversation", "{} tours par conversation"),
    (bounds.MAX_ITEMS_OF["stop"], "{} stop strings of", "{} chaînes d’arrêt de"),
    (bounds.MAX_CHARS["stop"], "stop strings of {} characters", "chaînes d’arrêt de {} caractères"),
    (bounds.MAX_TOKENIZED, "Tokens: {} bytes of text", "Les tokens : {} octets de texte"),
    (
        bounds.MAX_ITEMS_OF["compare"],
        "and {} tokenizers beside the model's",
        "{} tokenizers en plus de celui du modèle",
    ),
    (bounds.MAX_ITEMS, "Lists: {} words, sentences or tokens to rank", "{} mots, phrases ou tokens à classer"),
    (context.MOST_READ, "{} tokens of sentences", "{} tokens de phrases"),
    (bounds.MAX_LENGTHS, "{} lengths in a table of memory", "{} longueurs dans un tableau de mémoire"),
    (bounds.MAX_MEASURED, "end at {} tokens", "s’arrêtent à {} tokens"),
    (bounds.MAX_MEASURED_ALL, "and at {} in all", "et à {} en tout"),
    (IS.max_cache_bytes // 10**6, "a learner has {} MB", "un élève dispose de {} Mo"),
    (rendering.SECONDS, "is ended after {} seconds", "il est arrêté au bout de {} secondes"),
    (worker_pool.REQUEST_BUDGET_S, "have {} seconds together", "ont ensemble {} secondes"),
    (cutting.SECONDS, "each text in {} seconds", "chaque texte en {} secondes"),
    (IS.stalled_s, "no byte is taken for {} seconds", "aucun octet n’est pris pendant {} secondes"),
    (IS.max_texts, "among the {} of the whole lab", "parmi les {} de tout le labo"),
    (IS.headers_s, "{} seconds for its head", "{} secondes pour son en-tête"),
    (IS.body_s, "{} for its body", "{} pour son corps"),
    (IS.idle_connection_s, "{} between two requests", "{} entre deux requêtes"),
    (IS.max_connections, "{} in all, fewer where", "{} en tout, moins si"),
    (IS.max_connections_of_address, "and {} from one address", "et {} par adresse"),
    (IS.max_learners_of_address, "{} learners of one address", "{} élèves d’une adresse"),
    (IS.max_upload_bytes // 10**6, "requests hold {} MB together", "occupe {} Mo en tout"),
    (guard.MAX_BODY // 10**6, "bounded at {} MB", "est borné à {} Mo"),
    (json_body.MAX_DEPTH, "lists nested {} deep", "à {} niveaux de listes"),
    (json_body.MAX_DIGITS, "numbers of {} digits", "nombres finis de {} chiffres"),
    (rendering.MEMORY // 2**20, "low priority, {} MB of memory", "priorité basse, {} Mo de mémoire"),
    (cutting.MEMORY // 2**30, "those that cut texts, {} GB", "découpent des textes ont {} Go"),
]
WORDS = {  # small ones are written as words
    credentials.MAX_FAILURES: ("after ten wrong ones a minute", "après dix erreurs en une minute"),
    credentials.MAX_NETWORK_FAILURES: ("after four hundred from an IPv6 network", "quatre cents"),
    credentials.MAX_TOTAL_FAILURES: ("After three hundred from everywhere", "trois cents"),
    credentials.MIN_FAILURES: ("has three tries a minute", "trois essais"),
    SHORTEST_CODE: ("six letters or digits at least", "six lettres ou chiffres au moins"),
}


def page(lang: str) -> str:
    """The page's words, each space a plain one."""
    text = (ROOT / "docs" / ("fr" if lang == "fr" else "") / "lab.md").read_text(encoding="utf-8")
    return re.sub(r"[\s\u00a0\u202f]+", " ", text)


def written(number: float, lang: str) -> str:
    return f"{int(number):,}".replace(",", " " if lang == "fr" else ",")


@pytest.mark.parametrize("lang", ["en", "fr"])
def test_every_figure_of_the_page_is_the_labs(lang: str) -> None:
    text = page(lang)
    said = [(french if lang == "fr" else english).format(written(value, lang)) for value, english, french in FIGURES]
    assert [phrase for phrase in said if phrase not in text] == []
    assert [words for words in (each[lang == "fr"] for each in WORDS.values()) if words not in text] == []


def test_the_guard_sees_another_figure() -> None:
    value, phrase, _ = FIGURES[2]
    assert phrase.format(written(value + 1, "en")) not in page("en")


def test_what_the_page_says_of_counting_is_so() -> None:
    """20,000 emoji in nine ways; one learner's share where they are eight at once; the other bounds of the address."""
    size, others = 20_000 * len("🤗".encode()), bounds.MAX_ITEMS_OF["compare"]
    assert (
        size + size * others // bounds.TOKENIZERS_PER_CUT <= bounds.MAX_TOKENIZED
        and bounds.TOKENIZERS_PER_CUT == 5
        and others == 8
    )
    assert IS.idle_s == 300 and credentials.WINDOW_S == 60 and len(packaged_names()) <= others
    assert Sampling().max_new_tokens <= IS.max_new_tokens
