"""What evaluation asks, written before training: words, countries, phrasings, questions.

Nothing here may appear in the generated training text in the same form; a test says so.
"""

WORD_GROUPS = {
    "animals": "cat dog horse cow bird fish lion rabbit monkey sheep",
    "colours": "red blue green yellow black white brown pink grey purple",
    "rooms": "kitchen bedroom bathroom hall garage office library cellar classroom attic",
    "family": "mother father brother sister son daughter uncle aunt cousin grandmother",
    "body": "head hand foot arm leg eye nose mouth ear finger",
    "food": "bread meat rice soup cheese cake egg butter milk sugar",
    "clothes": "shirt dress coat hat shoes trousers gloves skirt socks jacket",
    "jobs": "teacher doctor farmer nurse lawyer engineer judge driver soldier artist",
    "vehicles": "car bus train boat ship truck plane bicycle taxi wagon",
    "days": "Monday Tuesday Wednesday Thursday Friday Saturday Sunday",
    "months": "January February March April June July August September October November",
    "numbers": "two three four five six seven eight nine ten twelve",
    "feelings": "happy sad angry afraid proud jealous lonely tired glad worried",
}
WORD_GROUPS = {name: words.split() for name, words in WORD_GROUPS.items()}

COUNTRIES = [
    {"names": ["Portugal"], "capitals": ["Lisbon", "Lisbonne"]},
    {"names": ["Kenya"], "capitals": ["Nairobi"]},
    {"names": ["Peru", "Pérou"], "capitals": ["Lima"]},
    {"names": ["Thailand", "Thaïlande"], "capitals": ["Bangkok"]},
    {"names": ["Hungary", "Hongrie"], "capitals": ["Budapest"]},
    {"names": ["Finland", "Finlande"], "capitals": ["Helsinki"]},
    {"names": ["Cuba"], "capitals": ["Havana", "La Havane"]},
    {"names": ["Iraq", "Irak"], "capitals": ["Baghdad", "Bagdad"]},
    {"names": ["Nepal", "Népal"], "capitals": ["Kathmandu", "Katmandou"]},
    {"names": ["Zambia", "Zambie"], "capitals": ["Lusaka"]},
    {"names": ["Fiji", "Fidji"], "capitals": ["Suva"]},
    {"names": ["Jordan", "Jordanie"], "capitals": ["Amman"]},
]

# {c} a country as it follows "of" or "de"; {C} as it begins a sentence.
PHRASINGS = {
    "en": [
        "The city that serves as the capital of {c} is called",
        "At school we learnt that {c} has one capital city, and it is",
        "{C}'s seat of government, its capital, is the city of",
    ],
    "fr": [
        "La ville qui sert de capitale {de} s'appelle",
        "À l'école, on apprend que {le} n'a qu'une capitale :",
        "{Le} est gouverné depuis sa capitale, la ville de",
    ],
}

FEW_SHOT = {
    "en": [
        "What do bees make?", "What is the opposite of narrow?", "How many wheels has a tricycle?",
        "Which animal says moo?", "What do you use to cut paper?", "What is 6 plus 8?",
        "Where do penguins live?", "What colour is a ripe tomato?", "Who wrote Hamlet?",
        "What is the tallest animal in the world?", "In which month is Christmas?",
        "What do you drink in the morning?", "How do you say good night in French?",
        "What is the largest ocean?", "What is the plural of tooth?", "What is the past tense of swim?",
        "How many sides does a hexagon have?", "What do you wear on your feet?",
        "What is the first letter of the alphabet?", "Which planet do we live on?",
        "How many months are there in half a year?", "What is ice made of?", "Who was Napoleon?",
        "How to remove an item from a list in python?", "How do I open a file in python?",
        "What does a baker make?", "What is the river that runs through London?",
        "Is the sun hot or cold?", "How many legs has a beetle?", "What is a library for?",
        "Which day is before Sunday?", "What is the name of a young sheep?",
        "Can a fish live out of water?", "What is 9 times 3?", "How many metres are in two kilometres?",
        "What do we see with?", "What is a triangle?", "Why do people sleep?",
        "Which season is the coldest?", "What language is spoken in Brazil?",
    ],
    "fr": [
        "Que fabriquent les abeilles ?", "Quel est le contraire de étroit ?",
        "Combien de roues a un tricycle ?", "Quel animal meugle ?",
        "Avec quoi coupe-t-on du papier ?", "Combien font 6 et 8 ?", "Où vivent les manchots ?",
        "De quelle couleur est une tomate mûre ?", "Qui a écrit Les Misérables ?",
        "Quel est l'animal le plus haut du monde ?", "En quel mois est Noël ?",
        "Que boit-on le matin ?", "Comment dit-on bonne nuit en anglais ?",
        "Quel est le plus grand océan ?", "Quel est le pluriel de cheval ?",
        "Quel est le participe passé de boire ?", "Combien de côtés a un hexagone ?",
        "Que met-on aux pieds ?", "Quelle est la première lettre de l'alphabet ?",
        "Sur quelle planète vivons-nous ?", "Combien de mois y a-t-il dans un semestre ?",
        "De quoi est faite la glace ?", "Qui était Napoléon ?",
        "Comment supprimer un élément d'une liste en python ?", "Comment ouvrir un fichier en python ?",
        "Que fait un boulanger ?", "Quel fleuve traverse Londres ?", "Le soleil est-il chaud ou froid ?",
        "Combien de pattes a un scarabée ?", "À quoi sert une bibliothèque ?",
        "Quel jour vient avant dimanche ?", "Comment s'appelle le petit de la brebis ?",
        "Un poisson peut-il vivre hors de l'eau ?", "Combien font 9 fois 3 ?",
        "Combien de mètres font deux kilomètres ?", "Avec quoi voit-on ?",
        "Qu'est-ce qu'un triangle ?", "Pourquoi dort-on ?", "Quelle est la saison la plus froide ?",
        "Quelle langue parle-t-on au Brésil ?",
    ],
}
