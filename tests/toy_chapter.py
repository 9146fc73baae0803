"""A chapter that is none: the files of its folder, and what is written of it in the registry."""

from __future__ import annotations

import shutil
from pathlib import Path

from conftest import ROOT

FOLDER = {
    "__init__.py": '''"""What does it sound like when it is said again?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from capot.chapters.chapter import Chapter, ModelVerb
from capot.chapters.echo.bounds import Repeats

if TYPE_CHECKING:
    from capot.chapters.echo.result import Echo
    from capot.chapters.protocols import Opened

CHAPTER = Chapter("echo", {"echo": ModelVerb("echo.verb:repeat", {"text": "Ho!"}, (Repeats,))}, ("echo",))


class EchoVerbs:
    """The verb of the chapter ``echo``."""

    def echo(
        self: Opened, text: str, *, times: int = 2, tone: Literal["calm", "wild"] = "calm", marks: bool = False
    ) -> Echo:
        """Say ``text`` again.

        ``times``: how often, 1 to 9.
        ``tone``, ``marks``: in which way.

        Units: ``tokens`` of the text as a count.
        Raises: InputError ``out_of_range``.

        >>> import capot
        >>> capot.open("scripted").echo("Ho").said
        'Ho Ho'
        """
        from capot.chapters.echo.verb import repeat

        return repeat(self, text, times=times, tone=tone, marks=marks)
''',
    "bounds.py": '''"""How often it is said."""

from __future__ import annotations

from dataclasses import dataclass

from capot.config import bounded, check


@dataclass(frozen=True)
class Repeats:
    """How often it is said."""

    times: int = bounded(2, 1, 9)

    def __post_init__(self) -> None:
        check(self)
''',
    "verb.py": '''"""Saying it again."""

from __future__ import annotations

from typing import Literal

from capot.chapters.echo.bounds import Repeats
from capot.chapters.echo.result import Echo
from capot.chapters.protocols import Opened


def repeat(
    model: Opened, text: str, *, times: int = 2, tone: Literal["calm", "wild"] = "calm", marks: bool = False
) -> Echo:
    """The same again."""
    said = text.upper() if tone == "wild" else text
    return Echo(" ".join([said + "!" * marks] * Repeats(times).times), len(model.tokenizer.encode(text)))
''',
    "result.py": '''"""What was said."""

from __future__ import annotations

from dataclasses import dataclass

from capot.i18n import tr
from capot.view.blocks import Block, Heading, Text
from capot.view.result import Result


@dataclass(frozen=True)
class Echo(Result):
    """A text that was said again."""

    said: str
    tokens: int

    def view(self, lang: str | None = None) -> list[Block]:
        return [Heading(tr("echo.chapter.question", lang)), Text(tr("echo.told", lang, said=self.said))]
''',
    "words/en/echo.toml": """told = "One hears: {said}"

[chapter]
name = "Echo"
question = "What does it sound like when it is said again?"

[cli]
short = "A text, said again"
help = "Say TEXT again."
text = "What is said."
times = "How often it is said."
tone = "How it is said."
marks = "With a mark at the end."
""",
    "words/fr/echo.toml": """told = "Il a dit\u00a0: {said}"

[chapter]
name = "Écho"
question = "Que devient un texte redit\u202f?"

[cli]
short = "Un texte redit"
help = "Redit TEXT."
text = "Ce qui est dit."
times = "Combien de fois."
tone = "De quel ton."
marks = "Avec une marque à la fin."
""",
}
REGISTRY = {
    "import assistant, card, embeddings,": "import assistant, card, echo, embeddings,",
    "    assistant.CHAPTER,\n)": "    assistant.CHAPTER,\n    echo.CHAPTER,\n)",
    "    assistant.AssistantVerbs,\n)": "    assistant.AssistantVerbs,\n    echo.EchoVerbs,\n)",
}


def house_with_it(top: Path) -> Path:
    """A copy of the package, of its tools and tests, with the chapter; answers where it is imported from."""
    source = top / "src"
    ours = ROOT / "src" / "capot"
    shutil.copytree(ours, source / "capot", ignore=shutil.ignore_patterns("__pycache__", "boxed"))
    (source / "capot" / "boxed").symlink_to(ours / "boxed")
    for name in ("tools", "tests"):
        shutil.copytree(ROOT / name, top / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name, text in FOLDER.items():
        path = source / "capot" / "chapters" / "echo" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    registry = source / "capot" / "chapters" / "registry.py"
    text = registry.read_text(encoding="utf-8")
    for before, after in REGISTRY.items():
        assert text.count(before) == 1, before
        text = text.replace(before, after)
    registry.write_text(text, encoding="utf-8")
    return source
