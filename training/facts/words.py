"""Small tables of words: opposites, kinds, colours of things, homes, young, translations.

The words of the evaluation's groups stay out of `KINDS`: what the embedding says of them it
learnt from ordinary text.
"""

import random
from collections.abc import Iterator

from training.facts.fact import Fact

OPPOSITES = {
    "en": "big small,hot cold,high low,long short,old young,good bad,fast slow,rich poor,hard soft,light heavy,"
          "open closed,full empty,wet dry,clean dirty,strong weak,day night,up down,left right,early late,"
          "easy difficult,true false,near far,thick thin,deep shallow,loud quiet,first last,inside outside,"
          "above below,before after,win lose,buy sell,come go,begin end,love hate,friend enemy,alive dead,"
          "brave cowardly,sweet bitter,smooth rough,tall short,wide narrow,bright dark,noisy silent,summer winter",
    "fr": "grand petit,chaud froid,haut bas,long court,vieux jeune,bon mauvais,rapide lent,riche pauvre,dur mou,"
          "léger lourd,ouvert fermé,plein vide,mouillé sec,propre sale,fort faible,jour nuit,gauche droite,tôt tard,"
          "facile difficile,vrai faux,près loin,épais mince,profond superficiel,bruyant silencieux,premier dernier,"
          "dedans dehors,dessus dessous,avant après,gagner perdre,acheter vendre,venir partir,commencer finir,"
          "aimer détester,ami ennemi,vivant mort,courageux lâche,doux amer,lisse rugueux,clair sombre,été hiver,"
          "beau laid,monter descendre,entrer sortir,rire pleurer,toujours jamais,tout rien",
}
KINDS = {
    "en": {
        "animal": "tiger wolf bear fox deer goat pig duck elephant giraffe mouse rat snake frog camel donkey zebra eagle owl whale",
        "fruit": "apple pear plum peach cherry grape lemon banana melon strawberry",
        "vegetable": "carrot potato onion cabbage bean pea leek turnip spinach lettuce",
        "tool": "hammer saw axe spade knife needle nail rake drill screwdriver",
        "musical instrument": "piano violin flute drum guitar trumpet harp organ cello clarinet",
        "tree": "oak pine maple birch willow elm ash poplar cedar beech",
        "flower": "rose lily tulip daisy violet poppy iris orchid",
        "metal": "iron gold silver copper lead zinc tin steel",
        "country": "France Spain Italy Germany Japan Canada Mexico Egypt India Greece",
        "language": "French English Spanish German Italian Russian Arabic Chinese Latin Greek",
        "sport": "football tennis rugby swimming boxing golf hockey cricket",
        "planet": "Mercury Venus Mars Jupiter Saturn Uranus Neptune Earth",
    },
    "fr": {
        "un animal": "chat chien cheval vache oiseau poisson lion lapin singe mouton tigre loup ours renard cerf canard souris grenouille chameau âne",
        "un fruit": "pomme poire prune pêche cerise raisin citron banane melon fraise",
        "un légume": "carotte oignon chou haricot poireau navet épinard laitue radis",
        "un outil": "marteau hache pelle couteau aiguille râteau tournevis scie",
        "un instrument de musique": "piano violon flûte tambour guitare trompette harpe orgue",
        "un arbre": "chêne pin érable bouleau saule orme peuplier cèdre hêtre",
        "une fleur": "rose tulipe marguerite violette jonquille orchidée pivoine",
        "un métal": "fer argent cuivre plomb zinc étain acier",
        "une couleur": "rouge bleu vert jaune noir blanc rose gris violet orange",
        "une pièce de la maison": "cuisine chambre salon cave grenier",
        "un vêtement": "chemise robe manteau chapeau jupe veste chaussette gant",
        "un métier": "boulanger médecin maçon avocat juge menuisier peintre cuisinier",
        "un véhicule": "voiture autobus train bateau camion avion vélo",
        "une planète": "Mercure Vénus Mars Jupiter Saturne Uranus Neptune",
    },
}
COLOURS_OF = {
    "en": "sky blue,grass green,snow white,coal black,banana yellow,lemon yellow,blood red,strawberry red,"
          "carrot orange,chocolate brown,elephant grey,leaf green,salt white,sun yellow,raven black,cherry red",
    "fr": "le ciel bleu,l'herbe verte,la neige blanche,le charbon noir,la banane jaune,le citron jaune,le sang rouge,"
          "la fraise rouge,la carotte orange,le chocolat brun,l'éléphant gris,la feuille verte,le sel blanc,"
          "le soleil jaune,le corbeau noir,la cerise rouge",
}
YOUNG = {
    "en": "dog puppy,cat kitten,cow calf,horse foal,pig piglet,hen chick,duck duckling,lion cub,goat kid,deer fawn,frog tadpole,goose gosling",
    "fr": "le chien chiot,le chat chaton,la vache veau,la jument poulain,la truie porcelet,la poule poussin,la cane caneton,"
          "la lionne lionceau,la chèvre chevreau,la biche faon,l'ours ourson,le loup louveteau",
}
SOUNDS = {
    "en": "dog barks,cat meows,horse neighs,pig grunts,duck quacks,lion roars,sheep bleats,frog croaks,bee buzzes,owl hoots,wolf howls,snake hisses",
    "fr": "le chien aboie,le chat miaule,le cheval hennit,le cochon grogne,le lion rugit,le mouton bêle,la grenouille coasse,"
          "l'abeille bourdonne,le loup hurle,le serpent siffle,le coq chante,l'âne brait",
}
TRANSLATIONS = (
    "house maison,water eau,fire feu,bread pain,book livre,tree arbre,sun soleil,moon lune,dog chien,cat chat,door porte,"
    "window fenêtre,table table,child enfant,man homme,woman femme,king roi,queen reine,friend ami,school école,"
    "town ville,sea mer,mountain montagne,river rivière,bird oiseau,fish poisson,flower fleur,night nuit,day jour,"
    "hand main,head tête,heart cœur,eye œil,milk lait,apple pomme,car voiture,ship bateau,road route,garden jardin,"
    "black noir,white blanc,red rouge,blue bleu,green vert,big grand,small petit,to eat manger,to drink boire,to sleep dormir,"
    "to read lire,to write écrire,thank_you merci,hello bonjour,goodbye au_revoir,yes oui,no non,please s'il_vous_plaît"
)


def pairs(table: str) -> list[tuple[str, str]]:
    """Split "a b,c d" into pairs at the last space of each; an underscore stands for a space."""
    split = (item.strip().rsplit(" ", 1) for item in table.split(","))
    return [(a.replace("_", " "), b.replace("_", " ")) for a, b in split]


def opposites(rng: random.Random, lang: str) -> Iterator[Fact]:
    """Yield opposites, both ways round."""
    while True:
        a, b = rng.choice(pairs(OPPOSITES[lang]))
        if rng.random() < 0.5 and a not in ("long", "court", "short"):
            a, b = b, a
        if lang == "en":
            yield Fact(f"What is the opposite of {a}?", b, f"The opposite of {a} is {b}.")
            yield Fact(f"Give the opposite of {a}.", b, f"{a.capitalize()} is the opposite of {b}.")
        else:
            yield Fact(f"Quel est le contraire de « {a} » ?", b, f"Le contraire de « {a} » est « {b} ».")
            yield Fact(f"Donne le contraire du mot {a}.", b, f"{b.capitalize()} est le contraire de {a}.")


def _article(noun: str) -> str:
    if noun[0].isupper() or noun in ("iron", "gold", "silver", "copper", "lead", "zinc", "tin", "steel", "football",
                                     "tennis", "rugby", "swimming", "boxing", "golf", "hockey", "cricket", "spinach", "lettuce"):
        return noun
    return ("an " if noun[0] in "aeio" else "a ") + noun


def kinds(rng: random.Random, lang: str) -> Iterator[Fact]:
    """Yield what kind of thing a word names, and lists of one kind."""
    while True:
        kind = rng.choice(list(KINDS[lang]))
        words = KINDS[lang][kind].split()
        word, *more = rng.sample(words, 4)
        if lang == "en":
            a_kind = ("an " if kind[0] in "aeio" else "a ") + kind
            x = _article(word)
            yield Fact(f"What is {x}?", a_kind, f"{x[0].upper()}{x[1:]} is {a_kind}.")
            plural = kind[:-1] + "ies" if kind.endswith("y") else kind + "s"
            yield Fact(f"Name three {plural}.", ", ".join(more), f"Some {plural}: {word}, {', '.join(more)}.")
        else:
            yield Fact(f"Que désigne le mot « {word} » ?", kind, f"Le mot « {word} » désigne {kind}.")
            yield Fact(f"Cite {kind}.", word, f"{kind.capitalize()} : {word} ; par exemple aussi {', '.join(more)}.")


def qualities(rng: random.Random, lang: str) -> Iterator[Fact]:
    """Yield colours of things, young of animals, their cries."""
    while True:
        thing, colour = rng.choice(pairs(COLOURS_OF[lang]))
        beast, young = rng.choice(pairs(YOUNG[lang]))
        caller, cry = rng.choice(pairs(SOUNDS[lang]))
        if lang == "en":
            the = "a " if thing in ("banana", "lemon", "strawberry", "carrot", "leaf", "raven", "cherry") else "the "
            the = "an " if thing == "elephant" else "" if thing in ("snow", "coal", "blood", "chocolate", "salt", "grass") else the
            yield Fact(f"What colour is {the}{thing}?", colour, f"{(the + thing).capitalize()} is {colour}.")
            yield Fact(f"What do you call the young of a {beast}?", f"a {young}", f"The young of a {beast} is called a {young}.")
            yield Fact(f"Which animal {cry}?", f"the {caller}", f"{'An' if caller == 'owl' else 'A'} {caller} {cry}.")
        else:
            yield Fact(f"De quelle couleur est {thing} ?", colour, f"{thing[0].upper()}{thing[1:]} est {colour}.")
            of = ("du " + beast[3:]) if beast.startswith("le ") else "de " + beast
            yield Fact(f"Comment appelle-t-on le petit {of} ?", f"le {young}", f"Le petit {of} est le {young}.")
            yield Fact(f"Quel animal {cry} ?", caller, f"{caller[0].upper()}{caller[1:]} {cry}.")


def translations(rng: random.Random, lang: str) -> Iterator[Fact]:
    """Yield words in the other language."""
    while True:
        en, fr = rng.choice(pairs(TRANSLATIONS))
        if lang == "en":
            yield Fact(f"How do you say \"{en}\" in French?", fr, f"The French word for \"{en}\" is \"{fr}\".")
            yield Fact(f"What does \"{fr}\" mean?", en, f"\"{fr.capitalize()}\" means \"{en}\" in French.")
        else:
            yield Fact(f"Comment dit-on « {fr} » en anglais ?", en, f"En anglais, « {fr} » se dit « {en} ».")
            yield Fact(f"Que veut dire « {en} » ?", fr, f"« {en.capitalize()} » veut dire « {fr} ».")
