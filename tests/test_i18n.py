"""Both catalogues hold the same keys and placeholders; numbers are written as each language writes them."""

from __future__ import annotations

import re
import string
import tomllib
from pathlib import Path

import pytest
from conftest import ROOT

from capot import i18n

HOUSE = ROOT / "src" / "capot"
TOPICS = sorted({path.stem for path in HOUSE.rglob("words/*/*.toml")})


def flat(lang: str, topic: str) -> dict[str, str]:
    (path,) = HOUSE.rglob(f"words/{lang}/{topic}.toml")  # each topic stands in one place
    entries: dict[str, str] = {}

    def walk(prefix: str, value: object) -> None:
        if isinstance(value, dict):
            for key, item in value.items():
                walk(f"{prefix}.{key}", item)
        else:
            assert isinstance(value, str), f"{prefix} is not a sentence"
            entries[prefix] = value

    walk(topic, tomllib.loads(path.read_text(encoding="utf-8")))
    return entries


def placeholders(sentence: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name is not None}


@pytest.mark.parametrize("topic", TOPICS)
def test_both_languages_say_the_same_things(topic: str) -> None:
    french, english = flat("fr", topic), flat("en", topic)
    assert set(french) == set(english)
    for key in french:
        assert placeholders(french[key]) == placeholders(english[key]), key
        assert french[key].strip() and english[key].strip(), key


@pytest.mark.parametrize("path", sorted(HOUSE.rglob("words/fr/*.toml")), ids=lambda path: path.stem)
def test_french_is_set_as_french(path: Path) -> None:
    """No plain space before ``: ; ! ?`` or inside guillemets, and no typewriter apostrophe."""
    for key, sentence in flat("fr", path.stem).items():
        for wrong in (" :", " ;", " !", " ?", "« ", " »"):
            assert wrong not in sentence.replace("--", ""), f"{key}: plain space in {wrong!r}: {sentence}"
        prose = sentence.replace("'-'", "")
        assert "'" not in prose or "`" in prose or "--" in prose or "python" in prose.lower(), f"{key}: {sentence}"


@pytest.mark.parametrize(
    ("value", "english", "french"),
    [
        (0, "0", "0"),
        (1234567, "1,234,567", "1\u202f234\u202f567"),
        (0.5, "0.5", "0,5"),
        (-2.25, "\u22122.25", "\u22122,25"),
        (1e-9, "0", "0"),
        (-1e-9, "0", "0"),
        (-0.0, "0", "0"),
    ],
)
def test_numbers(value: float, english: str, french: str) -> None:
    assert i18n.number(value, "en") == english
    assert i18n.number(value, "fr") == french


@pytest.mark.parametrize("digits", [0, 1, 2, 4])
def test_what_is_rounded_to_nothing_has_no_sign(digits: int) -> None:
    assert i18n.number(-1e-9, "fr", digits) == i18n.number(0.0, "fr", digits)
    assert i18n.number(-1.0, "fr", digits).startswith("\u2212"), "and any other keeps it"


def test_units() -> None:
    assert i18n.percent(0.5, "fr") == "50,0\u00a0%"
    assert i18n.percent(0.5, "en") == "50.0%"
    assert i18n.size(2_471_645_608, "fr") == "2,47\u00a0Go"
    assert i18n.size(2_471_645_608, "en") == "2.47\u00a0GB"
    assert i18n.size(999, "en") == "999\u00a0B"
    assert i18n.duration(0.0123, "fr") == "12,3\u00a0ms"
    assert i18n.duration(125, "en") == "2\u00a0min\u00a005\u00a0s"


@pytest.mark.parametrize(
    ("count", "french", "english"), [(0, "one", "other"), (1, "one", "one"), (2, "other", "other")]
)
def test_plurals_are_counted_in_each_language(
    count: int, french: str, english: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(i18n, "catalogue", lambda lang, topic: {"key": {"one": "one", "other": "other"}})
    assert i18n.tr("topic.key", "fr", count=count) == french
    assert i18n.tr("topic.key", "en", count=count) == english


NOUNS = {
    "en": "tokens words characters bytes layers heads ids rows numbers texts users lengths entries seconds requests "
    "generations experts positions temperatures candidates learners ways",
    "fr": "tokens mots caractères octets couches têtes ids lignes nombres textes utilisateurs longueurs entrées "
    "secondes requêtes générations experts positions températures candidats élèves façons",
}
# Where ``count`` has chosen the sentence, and where there are never fewer than two: no more is left out.
SEVERAL = {"shown", "value", "n", "amount"}


@pytest.mark.parametrize("lang", ["en", "fr"])
def test_a_word_after_a_count_agrees_with_it(lang: str) -> None:
    counted = re.compile(rf"\{{(\w+)\}} (?:[\w’]+ )?(?:{'|'.join(NOUNS[lang].split())})\b(?!/)")
    wrong = [
        (key, found[0])
        for topic in TOPICS
        for key, sentence in flat(lang, topic).items()
        for found in counted.finditer(sentence)
        if found[1] not in SEVERAL and not (found[1] == "count" and key.endswith((".one", ".other", ".more")))
        and not key.startswith(("context.between", "context.picture", "error.safetensors_format", "error.too_deep"))
        and not (found[1] == "name" or key == "error.too_many.what")
    ]  # fmt: skip
    assert wrong == []


@pytest.mark.parametrize("lang", ["en", "fr"])
@pytest.mark.parametrize("count", [0, 1, 2])
def test_every_sentence_with_a_count_is_written_for_none_one_and_many(lang: str, count: int) -> None:
    numbers = f"{count} (?:new |nouveaux |nouveau )?"
    single = count == 1 or (count == 0 and lang == "fr")
    several, seen = re.compile(rf"{numbers}(?:{'|'.join(NOUNS[lang].split())})\b"), 0
    for topic in TOPICS:
        for key, sentence in flat(lang, topic).items():
            agreeing = re.findall(r"\{(\w+):([^{}|]*)\|([^{}|]*)\}", sentence)
            if agreeing:
                seen += 1
                names = placeholders(sentence) - {name for name, _, _ in agreeing}
                told = i18n.fill(sentence, lang, dict.fromkeys(names, "…") | {name: count for name, _, _ in agreeing})
                assert all(f"{count} {one if single else other}" in told for _, one, other in agreeing), key
                assert not single or not several.search(told), (key, told)
    assert seen > 60


def test_a_number_that_is_written_already_agrees_too() -> None:
    assert i18n.tr("next.caption.entropy", "fr", entropy="x", alike="1,5").endswith("1,5 token était équiprobable.")
    assert i18n.tr("next.caption.entropy", "en", entropy="x", alike="1.5").endswith("1.5 tokens were equally likely.")
    assert i18n.tr("next.caption.entropy", "en", entropy="x", alike="1,001").endswith(
        "1,001 tokens were equally likely."
    )


def test_language_is_chosen_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAPOT_LANG", "fr_FR.UTF-8")
    assert i18n.language() == "fr"
    assert i18n.language("en") == "en"
    with i18n.use_language("en"):
        assert i18n.language() == "en"
    monkeypatch.delenv("CAPOT_LANG")
    monkeypatch.setenv("LANG", "de_DE")
    assert i18n.language() == "en"


def test_a_missing_sentence_is_our_bug() -> None:
    with pytest.raises(KeyError):
        i18n.tr("cli.no_such_sentence")


def test_the_lists_of_words_are_sorted_and_a_word_out_of_place_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("spellchecker", reason="make check brings the spelling checker")
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import spell

    assert [spell.unsorted(path) for path in spell.lists()] == [None] * 3
    listed = tmp_path / "words.txt"
    for text, line in (("a\nc\nb\n", 3), ("a\na\n", 2), ("b\na\nc\n", 2)):
        listed.write_text(text)
        assert spell.unsorted(listed).startswith(f"words.txt:{line}: ")
        spell.sort(listed)
        assert spell.unsorted(listed) is None and set(listed.read_text().split()) == set(text.split())
