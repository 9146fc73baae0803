"""What to type for a word that is no command or no option: a name of other programs, or a slip of the fingers."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence

import click

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

# What to type, by what Python, the lab and other programs call it.
OPTIONS = {
    "--model": "known published shape name checkpoint hf-model repo",
    "--template": "chat-template kind",
    "--max-new-tokens": "max-tokens num-tokens n-predict new-tokens length max-length",
    "--temperature": "temp temperatures beside",
    "--top-p": "nucleus",
    "-k": "top count candidates number",
    "--rank": "ranks target token",
    "--target": "rank token",
    "--script": "messages conversation",
    "--dtype": "precision torch-dtype",
    "--engine": "backend",
    "--trust-remote-code": "trust remote-code",
    "--layer": "layers",
    "--layers": "layer",
    "--heads": "head",
    "--head": "heads",
    "--compare": "tokenizer tokenizers with",
    "--gpu": "vram gpus memory",
    "--users-at": "users batch",
    "--near": "neighbours neighbors voisins",
    "--json": "format output as-json",
    "--html": "page",
    "--lang": "language langue",
}


def near_option(word: str, params: Sequence[click.Parameter], *, command: str, metavar: Callable[..., str]) -> str:
    """Return what to type for ``word`` among a command's options: by its other names, else the nearest, else help.

    An argument, which takes no name, is shown where it stands.
    """
    said = word.lstrip("-").replace("_", "-").casefold()
    options = {name: _plain(name) for param in params if isinstance(param, click.Option) for name in param.opts}
    place = next((param for param in params if isinstance(param, click.Argument) and param.name == said), None)
    if place is not None:
        return f"{command} {metavar(place)}"
    same = [name for name, plain in options.items() if plain == _plain(word)]
    called = [name for name, others in OPTIONS.items() if name in options and said in others.split()]
    alike = difflib.get_close_matches(f"--{said}", [name for name in options if name.startswith("--")], n=3, cutoff=0.8)
    return ", ".join(same or called or alike) or "--help"


def _plain(name: str) -> str:
    return name.replace("-", "").replace("_", "").casefold()


def near(word: str, commands: Sequence[str]) -> str:
    """Return what to type for ``word``: the one of ``commands`` that others call by it, else the nearest of them, else
    help.

    >>> near("decode", ["tokens", "help"]), near("Tokns", ["tokens", "help"]), near("xyz", ["tokens", "help"])
    ('tokens --decode', 'tokens', 'help')
    """
    said = word.casefold()
    called = next((command for command, names in CALLED.items() if said in names.split()), None)
    return called or next(iter(difflib.get_close_matches(said, commands, n=1)), "help")
