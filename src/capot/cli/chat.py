"""``capot chat``: a conversation in the terminal, and the bill of each turn."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from capot.cli.assistant import from_file, sampling, sampling_options
from capot.cli.common import (
    FILE,
    STDOUT,
    Option,
    chapter,
    colored,
    decoded,
    read_path,
    read_text,
    terminal_width,
    write_file,
)
from capot.cli.settings import option
from capot.cli.streams import notice
from capot.engines.cancellation import INTERRUPTED
from capot.errors import CapotError, InputError
from capot.i18n import find, tr
from capot.view.visible import paragraph, visible

if TYPE_CHECKING:
    from capot.chapters.assistant.chat_result import Conversation
    from capot.config import Sampling
    from capot.model import Model
    from capot.text.templates import Template

COMMANDS = {"prompt": "", "template": "NAME|FILE", "undo": "", "save": "FILE", "bill": "", "help": "", "quit": ""}


def chat(model: Model, *, template: str | None, script: Path | None, **given: Any) -> Conversation | None:
    """Play a script and answer the conversation, or talk until the person leaves."""
    settings = sampling(given)
    asked = named(template)
    if script is not None:
        # Lines without a word are layout of the script, and no messages.
        lines = (read_text("-") if str(script) == "-" else read_path(script)).splitlines()
        return model.chat([line for line in lines if line.strip()], sampling=settings, **asked, **given)
    output = click.get_current_context().params
    if output["as_json"] or output["html"] == STDOUT:  # what is said would stand in the midst of it
        raise InputError("missing_argument", name="--script")
    terminal = Terminal(model, settings, asked, given)
    terminal.run()
    return terminal.state if output["html"] else None


def named(template: str | None) -> dict[str, Any]:
    """Return what ``--template`` or ``/template`` stands for: a kind by its name, else a file.

    Raises: NotFoundError ``no_template``.
    """
    from capot.chapters.assistant.ways import KINDS

    if template is None or template in KINDS:
        return {"kind": template or ""}
    return from_file(Path(template))


class Terminal:
    """One person, one model, one conversation kept in ``self.state``."""

    def __init__(self, model: Model, settings: Sampling, asked: dict[str, str], given: dict[str, Any]) -> None:
        from capot.chapters.assistant import chat as conversation

        self.model = model
        self.settings = settings
        self.chapter = conversation
        options: dict[str, Any] = {**given, **asked}
        self.state = conversation.opened(model, **options)
        self.texts: dict[str, str] = {}  # of the template files named so far
        self.template = self._template(asked)

    def _template(self, asked: dict[str, str]) -> Template:
        texts = {name: text for name, text in asked.items() if name != "kind"}
        kind = asked.get("kind") or self.chapter.kind_of(self.model, **texts)
        template = self.chapter.chosen(self.model, kind, **(self.texts | texts))
        self.texts |= texts
        return template

    def run(self) -> None:
        """Read, answer, until Ctrl-D or /quit."""
        self.say("chat.welcome", model=self.state.model, kind=tr(f"chat.kind.{self.state.kind}"))
        for line in lines():
            try:
                # A message that begins with a slash is typed with two.
                if line.startswith("/") and not line.startswith("//"):
                    if not self.command(*line[1:].split(maxsplit=1)):
                        break
                elif line.strip():
                    self.answer(decoded(line.removeprefix("/") if line.startswith("//") else line))
            except CapotError as error:  # a message too long, a file that is not there: said, and on we go
                click.echo(click.style(f"{tr('cli.error')} {paragraph(error.message())}", fg="red"), err=True)
            except KeyboardInterrupt:  # asked twice: the answer is given up, the program is not
                self.say("chat.leave")
        self.say("chat.bye")

    def say(self, key: str, **params: Any) -> None:
        click.echo(click.style(visible(tr(key, **params), lines=True), dim=True))

    def show(self, blocks: list[Any]) -> None:
        from capot.view.text import to_text

        click.echo(to_text(blocks, width=terminal_width(), color=colored()))

    def answer(self, message: str) -> None:
        """Answer one turn, letter by letter; Ctrl-C stops the answer and keeps what there is of it."""
        from capot.chapters.assistant.chat import TurnFinished
        from capot.chapters.assistant.chat_result import note, notices
        from capot.chapters.generate.result import Step
        from capot.engines.scheduler import cancel_on_ctrl_c

        before = self.state.turns[-1] if self.state.turns else None
        shown = ""
        events = self.chapter.Events(self.model, self.state, message, template=self.template, sampling=self.settings)
        with cancel_on_ctrl_c(events.cancel):
            for event in events:
                text = event.text if isinstance(event, Step | TurnFinished) else ""
                # The space that follows the template's last word is no part of what is shown.
                text = text if shown else text.lstrip()
                shown += text
                click.echo(visible(text, lines=True), nl=False)
        INTERRUPTED.clear()  # it ended the answer and not the talk
        click.echo("" if shown else "∅")
        if event.conversation is self.state:  # interrupted before its first token
            self.say("chat.cut.nothing")
            return
        self.state = event.conversation
        turn = event.conversation.turns[-1]
        click.echo(click.style(note(turn), dim=True))
        for text in notices(turn, before):
            click.echo(click.style(f"! {text}", fg="yellow"))
        if find(f"chat.at_the_prompt.{turn.stop_reason}"):  # what to do about it here, where a page has a slider
            self.say(f"chat.at_the_prompt.{turn.stop_reason}")

    def command(self, name: str = "help", argument: str = "") -> bool:
        """Do what a slash asks; whether to go on."""
        if name not in COMMANDS:
            near = difflib.get_close_matches(name, COMMANDS, n=1)
            self.say("chat.unknown", name=f"/{name}" + (f" (/{near[0]}?)" if near else ""))
        elif name == "quit":
            return False
        else:
            getattr(self, f"do_{name}")(argument.strip())
        return True

    def do_help(self, _: str) -> None:
        for name, word in COMMANDS.items():
            click.echo(f"  {f'/{name} {word}'.strip():<24}{tr(f'chat.help.{name}')}")
        self.say("chat.leave")

    def do_prompt(self, _: str) -> None:
        from capot.chapters.assistant.ways import cut
        from capot.chapters.tokens.result import pieces
        from capot.view.blocks import Strip

        if not self.state.turns or not self.state.turns[-1].prompt_ids:
            self.say("chat.nothing_sent")
            return
        turn = self.state.turns[-1]
        tokens = cut(turn.prompt_ids, self.model.tokenizer)
        text = b"".join(token.bytes for token in tokens).decode(errors="replace")
        computed = turn.computed_tokens
        if computed is None:
            caption = tr("chat.prompt.caption_untold", count=turn.sent_tokens)
        else:
            reused = turn.sent_tokens - computed
            caption = tr("chat.prompt.caption", count=turn.sent_tokens, computed=computed, reused=reused)
        self.show([Strip(pieces(text, tokens, limit=None), label=tr("chat.prompt.title"), caption=caption)])

    def do_template(self, name: str) -> None:
        import dataclasses

        if not name:
            self.say("chat.takes", name="/template", usage="raw, few_shot, stopped, chat_template, FILE")
            return
        self.template = self._template(named(name))
        self.state = dataclasses.replace(self.state, kind=self.template.kind)
        self.say("chat.now", kind=tr(f"chat.kind.{self.state.kind}"))

    def do_undo(self, _: str) -> None:
        self.say("chat.undone" if self.state.turns else "chat.nothing_to_undo")
        self.state = self.chapter.undo(self.state)

    def do_bill(self, _: str) -> None:
        self.show(self.state.bill())

    def do_save(self, name: str) -> None:
        path = Path(name).expanduser()
        if not name:
            self.say("chat.takes", name="/save", usage="FILE")
        elif path.exists():
            self.say("chat.kept", path=name)
        else:
            write_file(path, self._written(path.suffix.lower()))
            self.say("chat.saved", path=name)

    def _written(self, suffix: str) -> str:
        if suffix in (".html", ".htm"):
            return self.state.to_html()
        if suffix == ".json":
            return json.dumps(self.state.to_dict(), ensure_ascii=False, indent=2, allow_nan=False) + "\n"
        return self.state.to_text() + "\n"


def lines() -> Iterator[str]:
    """Yield what a person types, line by line. Ctrl-C forgets the line, Ctrl-D ends."""
    import contextlib
    import io
    import sys

    if isinstance(sys.stdin, io.TextIOWrapper):  # bytes that are no text are told apart later, line by line
        # The module gives ``input`` history and cursor keys, just by being imported.
        sys.stdin.reconfigure(errors="surrogateescape")
    if sys.stdin.isatty():
        with contextlib.suppress(ImportError):
            import readline  # noqa: F401 - arrows and history at the prompt
    while True:
        try:
            yield input("› " if sys.stdin.isatty() else "")
        except EOFError:
            click.echo("", nl=sys.stdin.isatty())
            return
        except KeyboardInterrupt:
            click.echo("")
            notice("chat.leave")


command = chapter(
    "chat",
    Option(["--template"], words="chat.cli.template", metavar="NAME|FILE"),
    option("chat", "system", default="", metavar="TEXT"),
    Option(["--script"], words="chat.cli.script", metavar="FILE", type=FILE),
    option("chat", "price_in", metavar="P"),
    option("chat", "price_out", metavar="P"),
    *sampling_options("chat"),
    call=chat,
)
