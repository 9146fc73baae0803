"""Make the pages outside the lab: the one that asks a learner for the code, and the 404 page."""

from __future__ import annotations

from html import escape

from capot.errors import CapotError
from capot.i18n import tr
from capot.view.visible import visible
from capot.web import assets

CODE_ERRORS = ("access_code", "wrong_code", "too_many_codes")
STYLES = ("/static/theme.css", "/static/code_page.css")

_PAGE = """<!doctype html>
<html lang="{lang}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>capot</title>
{icon}
{styles}
</head>
<body class="capot">
<main>
<h1>{title}</h1>
<p role="alert">{message}</p>
{rest}
</main>
</body>
</html>
"""
_FORM = """<form method="get" action="{root}/">
<p><label for="code">{field}</label>
<input id="code" name="code" required autofocus autocomplete="off" autocapitalize="none" spellcheck="false"></p>
<p><button>{enter}</button></p>
</form>"""
_BACK_LINK = '<p><a class="back" href="{root}/">{back}</a></p>'


def page(error: CapotError, lang: str, *, root: str = "") -> str:
    """Return the page in one language: a form if a code is missing, else a link to the lab under ``root``."""
    asks = error.code in CODE_ERRORS
    words = {name: escape(tr(f"serve.code_page.{name}", lang)) for name in ("title", "lost", "field", "enter", "back")}
    said = visible(error.message(lang, face="command"), lines=True)
    links = "\n".join(f'<link rel="stylesheet" href="{escape(root)}{path}">' for path in STYLES)
    rest = (_FORM if asks else _BACK_LINK).format(**words, root=escape(root))
    title = words["title" if asks else "lost"]
    message = escape(said[:1].upper() + said[1:])
    return _PAGE.format(lang=lang, icon=assets.icon(), styles=links, rest=rest, title=title, message=message)


def policy(whole: str) -> str:
    """Return the lab's content security policy, which also lets this one form be sent to the lab itself."""
    return whole.replace("form-action 'none'", "form-action 'self'")
