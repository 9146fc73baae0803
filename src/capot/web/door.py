"""The page that a learner without the code sees: what is missing, and a field to type it in."""

from __future__ import annotations

from html import escape

from capot.errors import CapotError
from capot.i18n import tr

ANSWERS = ("access_code", "too_many_codes")
STYLES = "/static/theme.css"

_PAGE = """<!doctype html>
<html lang="{lang}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>capot</title>
<link rel="stylesheet" href="{styles}">
</head>
<body>
<main>
<h1>{title}</h1>
<p role="alert">{message}</p>
<form method="get" action="/">
<p><label for="code">{field}</label>
<input id="code" name="code" required autofocus autocomplete="off" autocapitalize="none" spellcheck="false"></p>
<p><button>{enter}</button></p>
</form>
</main>
</body>
</html>
"""


def page(error: CapotError, lang: str) -> str:
    """The page in one language."""
    words = {name: escape(tr(f"serve.door.{name}", lang)) for name in ("title", "field", "enter")}
    return _PAGE.format(lang=lang, styles=STYLES, message=escape(error.message(lang)), **words)


def policy(whole: str) -> str:
    """The lab's policy, and leave to send this one form to the lab itself."""
    return whole.replace("form-action 'none'", "form-action 'self'")
