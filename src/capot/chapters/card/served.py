"""The card of a model that a server has: what it says of the model, and what it was seen to do."""

from __future__ import annotations

from dataclasses import dataclass

from capot.engines.seen import ServerFacts
from capot.i18n import tr
from capot.view.blocks import Block, Facts, Heading, Table, Text
from capot.view.result import Result


@dataclass(frozen=True)
class ServedCard(Result):
    """A server's model: ``server`` is what was found out by asking."""

    name: str
    server: ServerFacts

    def brief(self, lang: str | None = None) -> str:
        return tr("card.served.brief", lang, name=self.name, host=self.server.host)

    def view(self, lang: str | None = None) -> list[Block]:
        """Return where it is, and each chapter with what the server gives for it."""
        columns = [tr(f"card.served.column.{name}", lang) for name in ("question", "answer")]
        table = Table(columns, self._abilities(lang), title=tr("card.served.abilities", lang), align="ll")
        return [Heading(tr("card.title", lang)), self._facts(lang), table, Text(tr("card.served.asked", lang))]

    def _facts(self, lang: str | None) -> Facts:
        server = self.server
        rows = [("model", self.name), ("host", server.host)]
        if server.source and server.source != self.name:
            rows.append(("source", server.source))
        key = "untold" if server.context_length is None else "tokens"
        rows.append(("context", tr(f"card.served.{key}", lang, tokens=server.context_length or 0)))
        return Facts([(tr(f"card.served.{name}", lang), value) for name, value in rows])

    def _abilities(self, lang: str | None) -> list[tuple[str, str]]:
        server = self.server
        score = "repeated" if server.echo else "no"
        if server.prompt_logprobs is not None and server.ids:
            score = "ranks"
        stop = "cut" if server.stop else "ours"
        answers = {
            "tokens": f"tokenizer_{server.tokenizer or 'none'}",
            "prompt": "as_ids" if server.ids else "as_text",
            "next": "first" if server.logprobs else "no",
            "score": score,
            "stop": "named" if server.names_stop else stop,
            "seed": "yes" if server.seed else "unseen",
            "inside": "no",
        }
        return [
            (tr(f"card.served.ask.{name}", lang), tr(f"card.served.{key}", lang, count=server.logprobs))
            for name, key in answers.items()
        ]
