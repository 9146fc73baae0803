"""Tell French from English by the small words that every text has."""

import re

SMALL = {
    "en": """the of and to in is was he that it his her with as for had you not be she at by they from this have were
        my all one said so we are him but there what when who which an or if would could do did has its their""",
    "fr": """le la les de des du et un une est que qui il elle dans en au aux pour pas ce cette ces se sa son ses ne
        sur avec plus par je tu nous vous ils mais ou où était sont été fut leur lui mon ma mes si comme tout bien""",
}  # "on", "me" and letters cut off by an apostrophe are of both
WINDOW, STEP = 16, 4  # words
SETS = {lang: frozenset(words.split()) for lang, words in SMALL.items()}


def counts(text: str) -> dict[str, int]:
    """Return how many small words of each language a text has.

    >>> counts("The cat is on the mat. Le chat.")
    {'en': 3, 'fr': 1}
    """
    words = re.findall(r"[^\W\d_]+", text.lower())
    return {lang: sum(w in small for w in words) for lang, small in SETS.items()}


def language(text: str) -> str:
    """Return "en" or "fr", whichever has more small words; English where they tie.

    >>> language("Il était une fois un roi."), language("Once there was a king.")
    ('fr', 'en')
    """
    found = counts(text)
    return "fr" if found["fr"] > found["en"] else "en"


def mixed(text: str, lang: str) -> bool:
    """True where a text leaves its language, for good or for a while.

    Some window of `WINDOW` words has three small words of the other language, and more of them than of its own.

    >>> mixed("He said that il est dans la maison.", "en"), mixed("He was in the town of La Paz.", "en")
    (True, False)
    >>> mixed("The king was in the wood and saw that it was good. " * 9 + "Il est dans la maison et il dort.", "en")
    True
    """
    words = text.split()
    other = "fr" if lang == "en" else "en"
    for at in range(0, max(1, len(words) - WINDOW + STEP), STEP):
        found = counts(" ".join(words[at : at + WINDOW]))
        if found[other] >= 3 and found[other] > found[lang]:
            return True
    return False
