"""Whatever can go wrong, a page tells nobody to type into a terminal that they have not."""

from __future__ import annotations

import ast
import re
import tomllib

import pytest
from conftest import ROOT
from web_helpers import Visits

from capot.cli import commands
from capot.errors import InputError

COMMANDS = "|".join(commands())
# A line to paste, an option of the command line, or a word that sends the reader to where such lines are typed.
COMMAND = re.compile(
    rf"\bcapot (?:{COMMANDS})\b|(?<![\w-])--[a-z]|\bpip |\b(?:export|unset|iconv|rm|read) [-A-Z\"]|python -c|"
    r"capot\.open|@F[A-Z]|command line|ligne de commande|terminal"
)
ELSEWHERE = ("cli/", "web/serve.py", "web/serving_options.py")  # what is raised here alone is told by a terminal
SAID = """async ([told, owner]) => {
  const { fault } = await import("/static/parts/fault.js");
  const { visitor } = await import("/static/lib/api.js");
  visitor.owner = owner;
  return told.map(([code, message]) => [...fault({ code, message }).children].map((each) => each.textContent));
}"""


def raised() -> dict[str, set[str]]:
    """Each code of the source with the files that name it."""
    found: dict[str, set[str]] = {}
    for path in (ROOT / "src" / "capot").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.setdefault(node.value, set()).add(path.relative_to(ROOT / "src" / "capot").as_posix())
    return found


def messages(lang: str) -> list[tuple[str, str]]:
    """Every error that may reach a page, as the server tells it: what happened, then the terminal's hint."""
    table = tomllib.loads((ROOT / f"src/capot/i18n/words/{lang}/error.toml").read_text(encoding="utf-8"))
    files = raised()
    reaching = [code for code in table if not all(path.startswith(ELSEWHERE) for path in files[code])]
    told = {code: [table[code][name] for name in ("what", "hint") if name in table[code]] for code in reaching}
    return [(code, "\n".join(lines).replace("{command}", "capot next")) for code, lines in told.items()]


@pytest.mark.parametrize("lang", ["en", "fr"])
def test_no_page_sends_a_learner_to_a_terminal(visit: Visits, lang: str) -> None:
    page, told = visit("/tokens", lang=lang), messages(lang)
    assert len(told) > 120
    with_commands = {code for code, message in told if COMMAND.search(message)}
    assert {"empty_prompt", "hub_gated", "no_words", "missing_extra"} <= with_commands, "the guard sees commands"
    shown = dict(zip(told, page.evaluate(SAID, [told, False]), strict=True))
    wrong = {code: said for (code, _), said in shown.items() if COMMAND.search("\n".join(said)) and code != "internal"}
    assert wrong == {}, "give it words in faults.hint of web.toml, or its family to OWNERS in parts/fault.js"
    assert all(said[0][1:] == message.split("\n")[0][1:] for (_, message), said in shown.items()), "what happened stays"
    lead = tomllib.loads((ROOT / f"src/capot/i18n/words/{lang}/web.toml").read_text(encoding="utf-8"))["faults"][
        "terminal"
    ]
    for (code, message), said in zip(told, page.evaluate(SAID, [told, True]), strict=True):
        if code != "internal" and COMMAND.search("\n".join(said)):
            assert said[1:] == [lead, message.split("\n", 1)[1]], "only under the words that say where to type it"


def test_what_a_learner_meets_is_said_in_the_pages_words(visit: Visits) -> None:
    visit.forgive("status of 4")
    page = visit("/next#prompt=a", lang="fr")
    page.get_by_label("Rang de", exact=True).fill("id:x")
    page.locator("main .tools + .troubles .fault").wait_for()
    assert "id:x" in page.inner_text(".fault .hint") and "--" not in page.inner_text(".fault")
    assert "--rank" in InputError("not_an_id", id="x", option="rank").message("fr", face="command"), (
        "a terminal has its own"
    )
