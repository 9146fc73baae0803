"""Conjugations: regular French verbs by rule, a few irregular ones by table, English pasts."""

import random
from collections.abc import Iterator

from training.facts.fact import Fact

REGULAR = ("aimer parler chanter marcher donner trouver regarder travailler jouer demander montrer porter "
           "passer tomber rester penser fermer laver danser dessiner cuisiner visiter raconter").split()
SUBJECTS = ["je", "tu", "il", "nous", "vous", "elles"]
ENDINGS = {
    "présent": ["e", "es", "e", "ons", "ez", "ent"],
    "imparfait": ["ais", "ais", "ait", "ions", "iez", "aient"],
    "futur": ["erai", "eras", "era", "erons", "erez", "eront"],
}
IRREGULAR = {
    "être": "suis es est sommes êtes sont", "avoir": "ai as a avons avez ont",
    "aller": "vais vas va allons allez vont", "faire": "fais fais fait faisons faites font",
    "dire": "dis dis dit disons dites disent", "venir": "viens viens vient venons venez viennent",
    "pouvoir": "peux peux peut pouvons pouvez peuvent", "vouloir": "veux veux veut voulons voulez veulent",
    "voir": "vois vois voit voyons voyez voient", "prendre": "prends prends prend prenons prenez prennent",
    "finir": "finis finis finit finissons finissez finissent", "savoir": "sais sais sait savons savez savent",
}
PAST = ("go went gone,see saw seen,eat ate eaten,drink drank drunk,write wrote written,read read read,"
        "take took taken,give gave given,come came come,run ran run,know knew known,speak spoke spoken,"
        "make made made,find found found,buy bought bought,think thought thought,begin began begun,"
        "sing sang sung,break broke broken,fly flew flown,grow grew grown,sleep slept slept,tell told told,"
        "teach taught taught,catch caught caught,keep kept kept,leave left left,lose lost lost,win won won")
PLURALS = ("child children,man men,woman women,foot feet,mouse mice,goose geese,sheep sheep,wolf wolves,"
           "leaf leaves,knife knives,city cities,box boxes,dog dogs,baby babies,bus buses,tomato tomatoes")
PLURIELS = ("journal journaux,animal animaux,oiseau oiseaux,bateau bateaux,chou choux,œil yeux,nez nez,"
            "prix prix,chien chiens,jeu jeux,canal canaux,travail travaux,gâteau gâteaux,bijou bijoux")


def _joined(subject: str, form: str) -> str:
    return f"j'{form}" if subject == "je" and form[0] in "aeéiouêh" else f"{subject} {form}"


def conjugated(verb: str, tense: str) -> list[str]:
    """Return the six persons of a verb in a tense, with their subjects.

    >>> conjugated("aimer", "présent")[0], conjugated("être", "présent")[3]
    ("j'aime", 'nous sommes')
    """
    if verb in IRREGULAR:
        forms = IRREGULAR[verb].split()
    else:
        forms = [verb[:-2] + end for end in ENDINGS[tense]]
    return [_joined(s, f) for s, f in zip(SUBJECTS, forms, strict=True)]


def conjugations(rng: random.Random, lang: str) -> Iterator[Fact]:
    """Yield conjugated forms, plurals and participles."""
    while True:
        yield from _english(rng) if lang == "en" else _french(rng)


def _french(rng: random.Random) -> Iterator[Fact]:
    verb = rng.choice([*REGULAR, *IRREGULAR])
    tense = "présent" if verb in IRREGULAR else rng.choice(list(ENDINGS))
    forms = conjugated(verb, tense)
    at = "au" if tense != "imparfait" else "à l'"
    tense_at = f"{at}{tense}" if at.endswith("'") else f"{at} {tense}"
    person = rng.randrange(6)
    whole = ", ".join(forms)
    yield Fact(f"Conjugue le verbe {verb} {tense_at}.", whole, f"Le verbe {verb} {tense_at} : {whole}.")
    yield Fact(f"Verbe {verb}, {tense}, avec « {SUBJECTS[person]} » ?", forms[person], f"{forms[person].capitalize()} : verbe {verb}, {tense}.")
    one, many = rng.choice([p.split() for p in PLURIELS.split(",")])
    yield Fact(f"Quel est le pluriel de « {one} » ?", many, f"Le pluriel de « {one} » est « {many} ».")


def _english(rng: random.Random) -> Iterator[Fact]:
    base, past, participle = rng.choice([p.split() for p in PAST.split(",")])
    yield Fact(f"What is the past tense of {base}?", past, f"The past tense of \"{base}\" is \"{past}\".")
    yield Fact(f"What is the past participle of {base}?", participle, f"To {base}: {base}, {past}, {participle}.")
    one, many = rng.choice([p.split() for p in PLURALS.split(",")])
    yield Fact(f"What is the plural of {one}?", many, f"One {one}, two {many}.")
