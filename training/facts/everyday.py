"""Common knowledge in plain questions, and small talk, written by hand in both languages."""

import random
from collections.abc import Iterator

from training.facts.fact import Fact

EN = """
What do cows give us?|milk|Cows give us milk.
What do hens lay?|eggs|Hens lay eggs.
What does a teacher do?|A teacher teaches children.|A teacher teaches children at school.
What does a doctor do?|A doctor looks after sick people.|A doctor looks after sick people.
What does a farmer do?|A farmer grows food.|A farmer grows food and keeps animals.
What is a knife for?|It is for cutting.|A knife is for cutting.
What is a pen for?|It is for writing.|A pen is for writing.
What is a bed for?|It is for sleeping.|A bed is for sleeping.
What is a school for?|It is for learning.|Children go to school to learn.
Where do fish live?|in water|Fish live in water.
Where do camels live?|in the desert|Camels live in the desert.
Where do birds build their nests?|in trees|Many birds build their nests in trees.
How many legs has a spider?|eight|A spider has eight legs.
How many legs has a dog?|four|A dog has four legs.
How many days are there in a week?|seven|There are seven days in a week.
How many months are there in a year?|twelve|There are twelve months in a year.
How many sides has a square?|four|A square has four equal sides.
How many sides has a triangle?|three|A triangle has three sides.
How many fingers are there on one hand?|five|There are five fingers on one hand.
What is the largest planet?|Jupiter|Jupiter is the largest planet of the solar system.
What is the longest river in Africa?|the Nile|The Nile is the longest river in Africa.
What is the highest mountain in the world?|Mount Everest|Mount Everest is the highest mountain in the world.
What is the largest country in the world?|Russia|Russia is the largest country in the world.
Who wrote Romeo and Juliet?|William Shakespeare|William Shakespeare wrote Romeo and Juliet.
Who painted the Mona Lisa?|Leonardo da Vinci|Leonardo da Vinci painted the Mona Lisa.
Who discovered penicillin?|Alexander Fleming|Alexander Fleming discovered penicillin.
Who was the first man on the Moon?|Neil Armstrong|Neil Armstrong was the first man on the Moon.
Who was Albert Einstein?|Albert Einstein was a physicist.|Albert Einstein was a famous physicist.
Who was Mozart?|Mozart was a composer.|Mozart was a composer from Austria.
Is fire hot or cold?|Fire is hot.|Fire is hot.
Is snow hot or cold?|Snow is cold.|Snow is cold.
Can birds fly?|Yes, most birds can fly.|Most birds can fly.
Can a stone swim?|No, a stone sinks.|A stone cannot swim; it sinks.
Can dogs talk?|No, dogs cannot talk.|Dogs cannot talk.
Why do we eat?|We eat to live.|We eat to live.
Why do we drink water?|We drink because the body needs water.|The body needs water.
What do we hear with?|our ears|We hear with our ears.
What do we smell with?|our nose|We smell with our nose.
What do you wear on your head?|a hat|You wear a hat on your head.
What do you wear on your hands?|gloves|You wear gloves on your hands.
What is bread made of?|flour and water|Bread is made of flour and water.
What is a window made of?|glass|A window is made of glass.
What is the Sun?|The Sun is a star.|The Sun is a star.
What is the Moon?|The Moon goes round the Earth.|The Moon goes round the Earth.
What is a dictionary?|It is a book of words.|A dictionary is a book that explains words.
Which season comes after winter?|spring|Spring comes after winter.
Which season is the hottest?|summer|Summer is the hottest season.
What language do people speak in Spain?|Spanish|People speak Spanish in Spain.
What language do people speak in Germany?|German|People speak German in Germany.
What language do people speak in France?|French|People speak French in France.
What river runs through Paris?|the Seine|The Seine runs through Paris.
What river runs through Cairo?|the Nile|The Nile runs through Cairo.
What gas do we breathe?|air|We breathe air, which has oxygen in it.
At what temperature does water boil?|at 100 degrees|Water boils at 100 degrees.
At what temperature does water freeze?|at 0 degrees|Water freezes at 0 degrees.
What is the last letter of the alphabet?|Z|The last letter of the alphabet is Z.
How are you?|I am very well, thank you.|I am very well, thank you.
What is your name?|I am a language model.|I am a small language model.
Good morning!|Good morning! How can I help you?|Good morning! How can I help you?
Thank you very much.|You are welcome.|You are welcome.
Can you help me?|Yes, of course. What do you need?|Yes, of course.
I am hungry.|You should eat something.|I am hungry; I should eat something.
I am tired.|You should sleep.|I am tired; I should sleep.
"""
FR = """
Que donnent les vaches ?|du lait|Les vaches donnent du lait.
Que pondent les poules ?|des œufs|Les poules pondent des œufs.
Que fait un maître d'école ?|Il instruit les enfants.|Le maître d'école instruit les enfants.
Que fait un médecin ?|Il soigne les malades.|Le médecin soigne les malades.
Que fait un paysan ?|Il cultive la terre.|Le paysan cultive la terre.
À quoi sert un couteau ?|à couper|Un couteau sert à couper.
À quoi sert un stylo ?|à écrire|Un stylo sert à écrire.
À quoi sert un lit ?|à dormir|Un lit sert à dormir.
À quoi sert une clef ?|à ouvrir une porte|Une clef sert à ouvrir une porte.
Où vivent les poissons ?|dans l'eau|Les poissons vivent dans l'eau.
Où vivent les chameaux ?|dans le désert|Les chameaux vivent dans le désert.
Où les oiseaux font-ils leur nid ?|dans les arbres|Beaucoup d'oiseaux font leur nid dans les arbres.
Combien de pattes a une araignée ?|huit|Une araignée a huit pattes.
Combien de pattes a un chien ?|quatre|Un chien a quatre pattes.
Combien y a-t-il de jours dans une semaine ?|sept|Il y a sept jours dans une semaine.
Combien y a-t-il de mois dans une année ?|douze|Il y a douze mois dans une année.
Combien de côtés a un carré ?|quatre|Un carré a quatre côtés égaux.
Combien de côtés a un triangle ?|trois|Un triangle a trois côtés.
Combien de doigts a une main ?|cinq|Une main a cinq doigts.
Quelle est la plus grande planète ?|Jupiter|Jupiter est la plus grande planète du système solaire.
Quel est le plus long fleuve d'Afrique ?|le Nil|Le Nil est le plus long fleuve d'Afrique.
Quelle est la plus haute montagne du monde ?|l'Everest|L'Everest est la plus haute montagne du monde.
Quel est le plus grand pays du monde ?|la Russie|La Russie est le plus grand pays du monde.
Qui a écrit Le Tour du monde en quatre-vingts jours ?|Jules Verne|Jules Verne a écrit Le Tour du monde en quatre-vingts jours.
Qui a écrit Les Malheurs de Sophie ?|la comtesse de Ségur|La comtesse de Ségur a écrit Les Malheurs de Sophie.
Qui a peint La Joconde ?|Léonard de Vinci|Léonard de Vinci a peint La Joconde.
Qui a découvert le radium ?|Marie Curie|Marie Curie a découvert le radium avec son mari.
Qui était Louis Pasteur ?|Louis Pasteur était un savant français.|Louis Pasteur était un savant français.
Qui était Mozart ?|Mozart était un compositeur.|Mozart était un compositeur né en Autriche.
Le feu est-il chaud ou froid ?|Le feu est chaud.|Le feu est chaud.
La neige est-elle chaude ou froide ?|La neige est froide.|La neige est froide.
Les oiseaux volent-ils ?|Oui, presque tous les oiseaux volent.|Presque tous les oiseaux volent.
Une pierre flotte-t-elle ?|Non, une pierre coule.|Une pierre ne flotte pas, elle coule.
Pourquoi mange-t-on ?|On mange pour vivre.|On mange pour vivre.
Pourquoi boit-on de l'eau ?|Parce que le corps a besoin d'eau.|Le corps a besoin d'eau.
Avec quoi entend-on ?|avec les oreilles|On entend avec les oreilles.
Avec quoi sent-on une odeur ?|avec le nez|On sent une odeur avec le nez.
Que met-on sur la tête ?|un chapeau|On met un chapeau sur la tête.
Que met-on aux mains quand il fait froid ?|des gants|Quand il fait froid, on met des gants.
De quoi est fait le pain ?|de farine et d'eau|Le pain est fait de farine et d'eau.
De quoi est faite une vitre ?|de verre|Une vitre est faite de verre.
Qu'est-ce que le Soleil ?|Le Soleil est une étoile.|Le Soleil est une étoile.
Qu'est-ce que la Lune ?|La Lune tourne autour de la Terre.|La Lune tourne autour de la Terre.
Qu'est-ce qu'un dictionnaire ?|C'est un livre qui explique les mots.|Un dictionnaire est un livre qui explique les mots.
Quelle saison vient après l'hiver ?|le printemps|Le printemps vient après l'hiver.
Quelle est la saison la plus chaude ?|l'été|L'été est la saison la plus chaude.
Quelle langue parle-t-on en Espagne ?|l'espagnol|On parle espagnol en Espagne.
Quelle langue parle-t-on en Allemagne ?|l'allemand|On parle allemand en Allemagne.
Quelle langue parle-t-on en Angleterre ?|l'anglais|On parle anglais en Angleterre.
Quel fleuve traverse Paris ?|la Seine|La Seine traverse Paris.
Quel fleuve traverse Le Caire ?|le Nil|Le Nil traverse Le Caire.
À quelle température l'eau bout-elle ?|à 100 degrés|L'eau bout à 100 degrés.
À quelle température l'eau gèle-t-elle ?|à 0 degré|L'eau gèle à 0 degré.
Quelle est la dernière lettre de l'alphabet ?|Z|La dernière lettre de l'alphabet est Z.
Comment vas-tu ?|Je vais très bien, merci.|Je vais très bien, merci.
Comment t'appelles-tu ?|Je suis un modèle de langue.|Je suis un petit modèle de langue.
Bonjour !|Bonjour ! Que puis-je faire pour vous ?|Bonjour ! Que puis-je faire pour vous ?
Merci beaucoup.|Je vous en prie.|Je vous en prie.
Peux-tu m'aider ?|Oui, bien sûr. De quoi as-tu besoin ?|Oui, bien sûr.
J'ai faim.|Il faut manger quelque chose.|J'ai faim ; il faut que je mange.
Je suis fatigué.|Il faut dormir.|Je suis fatigué, je vais dormir.
"""


def _read(text: str) -> list[Fact]:
    return [Fact(*line.split("|")) for line in text.strip().split("\n")]


TABLE = {"en": _read(EN), "fr": _read(FR)}


def everyday(rng: random.Random, lang: str) -> Iterator[Fact]:
    """Yield the table over and over, in a new order each time."""
    while True:
        yield from rng.sample(TABLE[lang], len(TABLE[lang]))
