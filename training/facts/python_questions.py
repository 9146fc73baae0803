"""Questions on Python with answers that run; written by hand in both languages."""

import random
from collections.abc import Iterator

from training.facts.fact import Fact

# (how to ... in English, comment ... in French, code)
TASKS = [
    ("add an item to a list", "ajouter un élément à une liste", "items.append(item)"),
    ("insert an item at the start of a list", "insérer un élément au début d'une liste", "items.insert(0, item)"),
    ("delete an element of a list", "effacer un élément d'une liste", "items.remove(item)"),
    ("remove the last item of a list", "retirer le dernier élément d'une liste", "items.pop()"),
    ("remove all items from a list", "vider une liste", "items.clear()"),
    ("delete an item of a list by its index", "supprimer un élément d'une liste par son indice", "del items[index]"),
    ("sort a list", "trier une liste", "items.sort()"),
    ("reverse a list", "renverser une liste", "items.reverse()"),
    ("get the length of a list", "obtenir la longueur d'une liste", "len(items)"),
    ("find the largest number of a list", "trouver le plus grand nombre d'une liste", "max(items)"),
    ("find the smallest number of a list", "trouver le plus petit nombre d'une liste", "min(items)"),
    ("sum the numbers of a list", "additionner les nombres d'une liste", "sum(items)"),
    ("copy a list", "copier une liste", "copy = items.copy()"),
    ("join two lists", "réunir deux listes", "both = first + second"),
    ("count an item in a list", "compter un élément dans une liste", "items.count(item)"),
    ("find the index of an item in a list", "trouver l'indice d'un élément dans une liste", "items.index(item)"),
    ("check that an item is in a list", "vérifier qu'un élément est dans une liste", "item in items"),
    ("make a list of the first ten numbers", "faire la liste des dix premiers nombres", "list(range(10))"),
    ("loop over a list", "parcourir une liste", "for item in items:\n    print(item)"),
    ("remove duplicates from a list", "enlever les doublons d'une liste", "list(set(items))"),
    ("split a string into words", "découper une chaîne en mots", "text.split()"),
    ("join a list of strings", "assembler une liste de chaînes", "\" \".join(words)"),
    ("put a string in upper case", "mettre une chaîne en majuscules", "text.upper()"),
    ("put a string in lower case", "mettre une chaîne en minuscules", "text.lower()"),
    ("replace a word in a string", "remplacer un mot dans une chaîne", "text.replace(\"old\", \"new\")"),
    ("get the length of a string", "obtenir la longueur d'une chaîne", "len(text)"),
    ("reverse a string", "renverser une chaîne", "text[::-1]"),
    ("strip the spaces around a string", "enlever les espaces autour d'une chaîne", "text.strip()"),
    ("turn a string into a number", "changer une chaîne en nombre", "int(text)"),
    ("turn a number into a string", "changer un nombre en chaîne", "str(number)"),
    ("read a text file", "lire un fichier texte", "with open(\"file.txt\") as f:\n    text = f.read()"),
    ("write to a file", "écrire dans un fichier", "with open(\"file.txt\", \"w\") as f:\n    f.write(text)"),
    ("read a file line by line", "lire un fichier ligne par ligne", "for line in open(\"file.txt\"):\n    print(line)"),
    ("print a message", "afficher un message", "print(\"hello\")"),
    ("ask the user for a name", "demander un nom à l'utilisateur", "name = input(\"Name: \")"),
    ("define a function", "définir une fonction", "def double(x):\n    return 2 * x"),
    ("write a loop from 0 to 9", "écrire une boucle de 0 à 9", "for i in range(10):\n    print(i)"),
    ("make a dictionary", "créer un dictionnaire", "ages = {\"Ann\": 7, \"Bob\": 9}"),
    ("add a key to a dictionary", "ajouter une clé à un dictionnaire", "ages[\"Tom\"] = 8"),
    ("delete a key of a dictionary", "supprimer une clé d'un dictionnaire", "del ages[\"Tom\"]"),
    ("loop over a dictionary", "parcourir un dictionnaire", "for key, value in ages.items():\n    print(key, value)"),
    ("make a set", "créer un ensemble", "numbers = {1, 2, 3}"),
    ("import a module", "importer un module", "import math"),
    ("compute a square root", "calculer une racine carrée", "math.sqrt(x)"),
    ("round a number", "arrondir un nombre", "round(x)"),
    ("draw a random number", "tirer un nombre au hasard", "random.randint(1, 6)"),
    ("catch an error", "rattraper une erreur", "try:\n    run()\nexcept ValueError:\n    print(\"wrong value\")"),
    ("test that a number is even", "tester qu'un nombre est pair", "number % 2 == 0"),
    ("get today's date", "obtenir la date du jour", "datetime.date.today()"),
    ("wait for one second", "attendre une seconde", "time.sleep(1)"),
    ("square the numbers of a list", "élever au carré les nombres d'une liste", "[x * x for x in items]"),
    ("keep the even numbers of a list", "garder les nombres pairs d'une liste", "[x for x in items if x % 2 == 0]"),
]
ASK = {
    "en": ["How to {} in python?", "How do I {} in Python?", "How can I {} in Python?", "In Python, how do you {}?", "python: {}"],
    "fr": ["Comment {} en python ?", "Comment {} en Python ?", "En Python, comment {} ?", "Comment faire pour {} en Python ?"],
}


def python_tasks(rng: random.Random, lang: str) -> Iterator[Fact]:
    """Yield small tasks; the answer is code, alone or behind a few words."""
    lead = {"en": ["Use {}", "You can write {}", "{}"], "fr": ["Utilisez {}", "On écrit {}", "{}"]}[lang]
    while True:
        en, fr, code = rng.choice(TASKS)
        words = en if lang == "en" else fr
        question = rng.choice(ASK[lang]).format(words)
        form = rng.choice(lead) if "\n" not in code else "{}"
        comment = f"# {words}\n{code}"
        yield Fact(question, form.format(code), comment)
