"""What is said: captions tell this very run, examples show what they are there to show, one thing has one name."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT
from puppet_helpers import puppet

import capot
from capot.chapters.card.verb import describe_known
from capot.chapters.embeddings.lens_result import Depth, Guess, Lens
from capot.i18n import LANGUAGES, bits, tr
from capot.model import Model
from capot.view.blocks import Bars

WORDS = sorted((ROOT / "src" / "capot").glob("**/words/*/*.toml"))
MATES = {"en": [2, 3, 3], "fr": [2, 3, 3]}  # how many words of one kind stand together in the first examples


@pytest.fixture(scope="module")
def boxed() -> Iterator[Model]:
    with capot.open("boxed") as model:
        yield model


def sentences(table: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    """Every sentence of a catalogue with its key."""
    for key, value in table.items():
        name = f"{path}.{key}"
        if isinstance(value, str):
            yield name, value
        else:
            yield from sentences(value, name)


def said(lang: str) -> Iterator[tuple[str, str]]:
    for file in WORDS:
        if file.parent.name == lang:
            table = tomllib.loads(file.read_text(encoding="utf-8"))
            yield from ((f"{file.stem}{key}", text) for key, text in sentences(table))


# Examples, on the model in the box.


@pytest.mark.parametrize("lang", LANGUAGES)
def test_words_that_point_apart_in_the_plane_may_have_a_positive_cosine(boxed: Model, lang: str) -> None:
    """The caption says so, and the words that the page begins with show it."""
    found = boxed.embed(tr("web.embeddings.sample.words", lang).split("|")[0].split(","))
    places = [(word.x, word.y) for word in found.words]
    apart = [
        (a, b) for a, b in combinations(range(len(places)), 2)
        if places[a][0] * places[b][0] + places[a][1] * places[b][1] < 0 < found.cosine[a][b]
    ]  # fmt: skip
    assert apart
    said = {"en": "two words may point apart here", "fr": "deux mots peuvent pointer ici dans des sens opposés"}
    assert said[lang] in found.to_text(lang, width=400).replace("\n", " ")


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_word_of_two_meanings_has_them_told_apart(boxed: Model, lang: str) -> None:
    lines = tr("web.embeddings.sample.sentences", lang).splitlines()
    found = boxed.context(tr("web.embeddings.sample.word", lang), sentences=lines)
    assert len(lines) == 4 and all(place.end == len(line) for place, line in zip(found.occurrences, lines, strict=True))
    cosine = found.layers[found.layer].cosine  # of the layer that is drawn
    one = [cosine[a][b] for a, b in combinations(range(4), 2) if a // 2 == b // 2]
    two = [cosine[a][b] for a, b in combinations(range(4), 2) if a // 2 != b // 2]
    assert min(one) > max(two), "each meaning's own pair is closer than any of the two"


@pytest.mark.parametrize("lang", LANGUAGES)
def test_words_of_one_kind_stand_together(boxed: Model, lang: str) -> None:
    for sample, mates in zip(tr("web.embeddings.sample.words", lang).split("|"), MATES[lang], strict=False):
        words = sample.split(",")
        cosine = np.array(boxed.embed(words, near=0).cosine, float)
        np.fill_diagonal(cosine, -2)
        nearest = cosine.argmax(axis=1)
        assert [place // mates for place in nearest] == [place // mates for place in range(len(words))], sample
    assert tr("embed.default", lang).split() == tr("web.embeddings.sample.words", lang).split("|")[0].split(",")


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_lens_example_has_an_answer_that_comes_late(boxed: Model, lang: str) -> None:
    found = boxed.lens(tr("web.embeddings.sample.prompt", lang))
    assert found.final.text == " Paris" and found.settled > 0


@pytest.mark.parametrize("question", ["What is the capital of France?", "Quelle est la capitale de la France ?"])
def test_the_end_marker_gives_an_answer_that_ends(boxed: Model, question: str) -> None:
    found = {answer.kind: answer for answer in boxed.assistant(question, temperature=0, max_new_tokens=40).answers}
    assert "Paris" in found["stopped"].text and found["stopped"].stop_reason == "stop_string"
    assert len(found["few_shot"].text) > len(found["stopped"].text)


# Captions, of this very run.


def test_at_temperature_0_one_token_alone_can_be_drawn(boxed: Model) -> None:
    cold, plain = boxed.next("Once upon a time", temperature=0), boxed.next("Once upon a time")
    first = cold.candidates[0].label
    for lang, alone, every in (("en", "only one token", "Every one of the"), ("fr", "un seul token", "Chacun des")):
        assert alone in cold.to_text(lang) and every not in cold.to_text(lang) and f" {first} " in cold.to_text(lang)
        assert every in plain.to_text(lang) and alone not in plain.to_text(lang)


@pytest.mark.parametrize(
    "moved", [{"temperature": 0.5}, {"top_k": 5}, {"min_p": 0.2}, {"temperature": 1.5, "top_p": 0.7}]
)
def test_the_models_entropy_and_the_draws_are_told_apart(boxed: Model, moved: dict[str, float]) -> None:
    plain, drawn = boxed.next("Once upon a time"), boxed.next("Once upon a time", **moved)
    assert plain.model_entropy_bits == plain.entropy_bits == drawn.model_entropy_bits != drawn.entropy_bits
    for lang, model, draw in (("en", "Entropy of the model", "draw"), ("fr", "Entropie du modèle", "tirage")):
        told = drawn.to_text(lang)
        caption = next(block.caption for block in drawn.view(lang) if isinstance(block, Bars))
        assert bits(drawn.entropy_bits, lang) in caption and bits(plain.entropy_bits, lang) in caption
        assert model in told and draw in told
        assert model in plain.to_text(lang) and draw not in plain.to_text(lang)


def test_what_an_answer_did_is_said_where_it_did_it() -> None:
    with puppet("Paris.\nFIN\nUSER: And of Spain?\nASSISTANT: Madrid.") as model:
        found = {answer.kind: answer for answer in model.assistant("Which?", temperature=0, max_new_tokens=60).answers}
    assert (found["few_shot"].marker, found["few_shot"].next_turn) == ("FIN", "USER: And of Spain?")
    assert (found["stopped"].marker, found["stopped"].next_turn) == ("", ""), "its prompt has the marker, which cut it"
    told = " ".join(str(found["few_shot"]).split())
    assert "learnt in training" in told and "USER: And of Spain?" in told
    with puppet("Paris.") as model:
        quiet = model.assistant("Which?", temperature=0, max_new_tokens=60)
    for lang in LANGUAGES:
        for answer in quiet.answers:
            chat = answer.view(lang)[-1]
            assert (
                not answer.marker and not answer.next_turn and "FIN" not in chat.caption and "USER" not in chat.caption
            )


def test_an_echo_is_explained_by_the_head_where_the_head_is_the_table() -> None:
    echo, answer = Guess(7, " is", 0.9, "·is"), Guess(9, " Paris", 0.5, "·Paris")
    layers = (Depth(0, echo, 5, 0.1, 1.0), Depth(1, answer, 1, 0.5, 0.93))
    for tied, said_so in ((True, "embedding table itself"), (False, "")):
        text = " ".join(Lens("a", (1, 7), answer, layers, 1, tied).to_text("en").split())
        assert ("embedding table itself" in text) == bool(said_so) and "nothing else to go by" not in text
    assert "0,9\u00a0bit;" in Lens("a", (1, 7), answer, layers, 1).to_text("fr").replace("\u202f;", ";").replace(
        "\n", " "
    )


def test_boxed_says_that_its_head_is_its_table(boxed: Model) -> None:
    assert boxed.lens("The capital of France is").tied == boxed.card().tied


def test_the_card_tells_routed_experts_from_shared_ones() -> None:
    card = describe_known("DeepSeek-R1")
    assert (card.experts, card.active_experts, card.shared_experts, card.dense_layers) == (256, 9, 1, 3)
    told = " ".join(card.to_text("en").split())
    assert "256 experts a layer (but 3 layers), 8 for each token and 1 that all share" in told


# One thing, one name.

FORBIDDEN = {
    "fr": {
        r"modèles? de langue\b": "modèle de langage",
        r"\baddition\b": "facture",
        r"\busagers?\b": "utilisateurs",
        r"gabarits? de dialogue|modèles? de dialogue": "gabarit de conversation",
        r"table(s)? de(s)? vecteurs": "table des plongements",
        r"change de main": "change d’interlocuteur",
        r"(?<![\w`])FILE\b": "FICHIER",
        r"(?<=[a-zà-ÿ])'(?=[a-zà-ÿ])": "’",
    },
    "en": {
        r"nobody can type": "",
        r"never plans": "",
        r"a few per ?cent": "an eighth (Q4_0)",
        r"\bhad back\b": "rebuilt",
    },
}
PLAIN = re.compile(r"tour\.(french|prompts|words|begin)")  # texts to be read by a model


@pytest.mark.parametrize("lang", LANGUAGES)
def test_one_name_for_one_thing(lang: str) -> None:
    wrong = [
        f"{key}: {text} ({pattern} -> {right})"
        for key, text in said(lang)
        for pattern, right in FORBIDDEN[lang].items()
        if re.search(pattern, text) and not PLAIN.match(key)
    ]
    assert not wrong, "\n".join(wrong)


def test_jeton_is_what_gives_access_alone() -> None:
    spoken = [key for key, text in said("fr") if re.search(r"\bjetons?\b", text)]
    assert all(key.startswith("error.hub_") or key == "web.glossary.token.said" for key in spoken), spoken


def test_a_french_plural_begins_at_two() -> None:
    assert (
        bits(0.93, "fr") == "0,93\u00a0bit"
        and bits(1.99, "fr") == "1,99\u00a0bit"
        and bits(2, "fr") == "2,00\u00a0bits"
    )
    assert tr("next.facts.tokens", "fr", count=0) == "0 token" and tr("next.facts.tokens", "en", count=0) == "0 tokens"
    fixed = [
        f"{key}: {text}"
        for key, text in said("fr")
        if re.search(r"\{(count|value|entropy|n)\}[ \u00a0](bits|tokens|tours|fichiers)\b", text)
        and not key.endswith(".other") and not PLURAL_ANYWAY.search(key)
    ]  # fmt: skip
    assert not fixed, "\n".join(fixed)


# more than one of it whenever it is said: words of several tokens, chunks, two occurrences
PLURAL_ANYWAY = re.compile(r"asked\.first|rank_first|note\.chunk|facts\.reused|speed_value|too_")


def test_the_pages_are_held_to_it_too() -> None:
    pages = [
        *(ROOT / "docs" / "fr").glob("*.md"),
        *ROOT.glob("*.fr.md"),
        *(ROOT / "src" / "capot" / "lessons" / "fr").glob("*.md"),
        *(ROOT / "notebooks").glob("*.fr.ipynb"),
        ROOT / "src" / "capot" / "boxed" / "CARD.fr.md",
    ]
    patterns = [
        r"\bla softmax\b",
        r"modèles? de (langue|texte|prompt)\b",
        r"textes? d[’']arrêt",
        r"modèle de la boîte",
        r"\baddition\b",
        r"[Uu]sagers?\b",
        r"(modèle|gabarit) de dialogue",
        r"quelques pour cent",
    ]
    wrong = [f"{page.name}: {found}" for page in pages for found in _found(page, patterns)]
    assert not wrong, "\n".join(wrong)


def _found(page: Path, patterns: list[str]) -> Iterator[str]:
    text = page.read_text(encoding="utf-8")
    for pattern in patterns:
        for match in re.finditer(pattern, text):
            yield text[max(0, match.start() - 30) : match.end() + 30].replace("\n", " ")


def test_the_french_card_is_set_as_french() -> None:
    card = (ROOT / "src" / "capot" / "boxed" / "CARD.fr.md").read_text(encoding="utf-8")
    before, _, after = card.partition("## Ce qu’il dit")  # what the model says stays as it was drawn
    wrong = re.findall(r"\w'\w+", before + after.partition("## Limites")[2])
    assert after and not wrong, wrong
