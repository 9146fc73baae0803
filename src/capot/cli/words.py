"""click's commands and options with their words in the catalogues instead of in Python."""

from __future__ import annotations

from typing import Any

import click

from capot.i18n import tr


def heading(name: str) -> str:
    return tr(f"cli.heading.{name}")


class Option(click.Option):
    """An option whose help is the sentence ``words``, looked up when it is shown."""

    def __init__(self, *args: Any, words: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.words = words

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        self.help = tr(self.words)
        return super().get_help_record(ctx)


class Argument(click.Argument):
    """An argument; ``metavar`` names it in usage lines, ``words`` explains it."""

    def __init__(self, *args: Any, words: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.words = words

    def get_help_record(self, ctx: click.Context) -> tuple[str, str]:
        return self.make_metavar(ctx), tr(self.words)


class WordedCommand(click.Command):
    """A command that explains itself in the reader's language."""

    def __init__(self, *args: Any, words: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.words = words
        self.context_settings.setdefault("max_content_width", 100)

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        option = super().get_help_option(ctx)
        if option is not None:
            option.help = tr("cli.help_option")
        return option

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        pieces = " ".join(self.collect_usage_pieces(ctx))
        formatter.write_usage(ctx.command_path, pieces, prefix=f"{heading('usage')} ")

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(tr(self.words))

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        records = [(p, p.get_help_record(ctx)) for p in self.get_params(ctx)]
        for name, kind in (("arguments", Argument), ("options", click.Option)):
            rows = [record for p, record in records if record and isinstance(p, kind)]
            if rows:
                with formatter.section(heading(name)):
                    formatter.write_dl(rows)
        if isinstance(self, click.Group):
            self.format_commands(ctx, formatter)


class Command(WordedCommand):
    """A worded command that takes arguments in any order with its options."""
