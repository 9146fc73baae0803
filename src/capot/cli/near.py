"""What to type for a word that is no command: other programs call ours by other names, and fingers slip."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

# What to type, by what others call it, in English and in French.
CALLED = {
    "tokens": "tokenize tokenise tokenizer token encode cut count ids jetons jeton découper compter encoder coder",
    "tokens --decode": "decode detokenize detokenise untokenize décoder decoder",
    "next": "predict prediction probabilities probability logits logprobs suivant prochain prédire prédiction",
    "generate": "complete completion run write continue text sample générer generer écrire compléter continuer texte",
    "embed": "embedding embeddings vector vectors plongement plongements vecteur vecteurs",
    "context": "contexts contexte",
    "lens": "logitlens logit-lens lentille",
    "memory": "mem ram vram gpu simulate mémoire",
    "assistant": "ask instruct question demander",
    "chat": "talk conversation repl discuter parler",
    "card": "info show describe inspect model carte fiche décrire montrer modèle",
    "models": "list ls search modèles liste lister chercher",
    "models get": "get pull download fetch install télécharger obtenir",
    "models remove": "remove rm delete uninstall supprimer effacer retirer",
    "serve": "lab start open web ui gui server labo laboratoire ouvrir lancer servir serveur",
    "lesson": "lessons course leçon leçons cours",
    "tour": "demo tutorial example examples visite démo",
    "--version": "version",
    "help": "man usage aide",
}


def near(word: str, commands: Sequence[str]) -> str:
    """What to type for ``word``: what others call one of ``commands`` by it, else the nearest of them, else help.

    >>> near("decode", ["tokens", "help"]), near("Tokns", ["tokens", "help"]), near("xyz", ["tokens", "help"])
    ('tokens --decode', 'tokens', 'help')
    """
    said = word.casefold()
    called = next((command for command, names in CALLED.items() if said in names.split()), None)
    return called or next(iter(difflib.get_close_matches(said, commands, n=1)), "help")
