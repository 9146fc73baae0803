"""French typography by program: the corpus has straight quotes and plain spaces, books do not.

Rules set here (Lexique des règles typographiques en usage à l'Imprimerie nationale):
apostrophes are curly; double quotes become guillemets with no-break spaces inside;
`; ! ?` take a narrow no-break space before them, `:` and `»` a full one.
Lines that look like code are left alone, because a curly quote breaks a program.
"""

import re

NBSP = "\u00a0"
NNBSP = "\u202f"

_CODE = re.compile(r"^(?: {4}|\t|>>> |\.\.\. |\$ |#!)|[{}=<>`\\]|://|\w\(\)|::")
_APOSTROPHE = re.compile(r"(?<=[^\W\d_])'(?=[^\W\d_])")
_QUOTED = re.compile(r'"([^"\n]{1,400})"')
_OPEN = re.compile(r"«[ \u00a0]?")
_CLOSE = re.compile(r"[ \u00a0]?»")
_HIGH = re.compile(r"(?<=[^\W_]) ?([;!?]+)(?=\s|$|»|\))|(?<=[»…).]) ([;!?]+)")
_COLON = re.compile(r"(?<=[^\W\d_]|[»)\d]) :(?=\s|$)")


def set_line(line: str) -> str:
    """Set one line of French prose; a line that looks like code comes back unchanged.

    >>> set_line("L'eau, dit-il, c'est la mer !")
    'L’eau, dit-il, c’est la mer\\u202f!'
    >>> set_line('Il dit : "oui".')
    'Il dit\\xa0: «\\xa0oui\\xa0».'
    """
    if _CODE.search(line):
        return line
    line = _APOSTROPHE.sub("’", line)
    line = _QUOTED.sub(lambda m: f"« {m[1].strip()} »", line)
    line = _OPEN.sub("«" + NBSP, line)
    line = _CLOSE.sub(NBSP + "»", line)
    line = _HIGH.sub(lambda m: NNBSP + (m[1] or m[2]), line)
    return _COLON.sub(NBSP + ":", line)


def set_text(text: str) -> str:
    """Set a French text line by line.

    >>> set_text("Qu'est-ce ?\\nprint('ça')")
    "Qu’est-ce\\u202f?\\nprint('ça')"
    """
    return "\n".join(set_line(line) for line in text.split("\n"))
