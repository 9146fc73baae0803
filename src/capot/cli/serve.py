"""``capot serve``: the lab in a browser, for oneself or for a class."""

from __future__ import annotations

import json
from typing import Any

import click

from capot.cli.common import Command, Option, colored, loading_options, open_model, output_options, terminal_width
from capot.config import Serving
from capot.errors import AccessError, Audience
from capot.i18n import number, size, tr, use_language

# What a server of its own size may want otherwise; their bounds are those of ``Serving``.
BOUNDS = {
    name: getattr(Serving, name)
    for name in (
        "max_streams", "max_texts", "max_learners", "max_served_texts", "max_connections",
        "max_connections_of_address", "max_learners_of_address",
    )
}  # fmt: skip


def say(key: str, **params: Any) -> None:
    """Print one thing about the server; a QR code dark on light, whatever the terminal's colours."""
    if "qr" in params and colored():
        lines = params["qr"].splitlines()
        params["qr"] = "\n".join(click.style(line, fg="bright_white", bg="black") for line in lines)
    click.echo(tr(key, **params))


class StatusRefused(AccessError):
    """A lab's refusal of ``--status``, in words for its owner: a page tells a learner of the teacher's link instead."""

    def message(self, lang: str | None = None, *, face: Audience | None = None) -> str:
        return tr(f"serve.refused.{self.code}", lang)


def status_of(host: str, port: int, code: str | None) -> dict[str, Any]:
    """Return what ``capot.web.serve.server_status`` does. Raises: NetworkError ``no_server``; StatusRefused."""
    from capot.web import serve as web

    try:
        return web.server_status(host, port, code)
    except AccessError as refusal:
        raise StatusRefused(refusal.code) from None


def serve(
    host: str, port: int, no_open: bool, allow_host: tuple[str, ...], access_code: str | None,
    trusted_proxy: tuple[str, ...], root_path: str, lessons: str | None, status: bool, as_json: bool, lang: str | None,
    **more: Any,
) -> None:  # fmt: skip
    """Serve the lab, or with --status say how a running one is doing. ``more`` are bounds, and how to open a model."""
    from capot.web import serve as web

    if status:
        report(status_of("127.0.0.1" if host == "0.0.0.0" else host, port, access_code), as_json=as_json)
        return
    serving = web.with_access_code(
        Serving(
            host=host, port=port, open_browser=not no_open, allowed_hosts=allow_host, access_code=access_code,
            trusted_proxies=trusted_proxy, root_path=root_path, lessons=lessons,
            **{name: more.pop(name) for name in BOUNDS},
        )
    )  # fmt: skip
    with open_model(watched=False, **more) as model, use_language(lang):
        if model.obstacle:
            model.scheduler  # noqa: B018 - refused here, once, rather than on every page
        web.serve(model, serving, say=say)


def report(load: dict[str, Any], *, as_json: bool) -> None:
    """Print the load as JSON, or as figures with their names."""
    if as_json:
        click.echo(json.dumps(load, ensure_ascii=False))
        return
    from capot.view.blocks import Facts
    from capot.view.text import to_text

    flat = {**load, "ended": sum(load["ended"].values()), **load["scheduler"]}
    figures = {name: value for name, value in flat.items() if isinstance(value, int)}
    facts = [(tr(f"serve.status.{name}"), figure(name, value)) for name, value in figures.items()]
    click.echo(to_text([Facts(facts)], width=terminal_width(), color=colored()))


def figure(name: str, value: int) -> str:
    """Return a figure of the load: bytes where its name says so, else a count."""
    return size(value) if name.startswith("cache_b") else number(value)


def bound(name: str) -> Option:
    """Return the option of a bound, which every help shows with its default."""
    flag = f"--{name.replace('_', '-')}"
    return Option([flag], words=f"serve.cli.{name}", type=int, default=BOUNDS[name], show_default=True)


command = Command(
    "serve",
    words="serve.cli.help",
    params=[
        Option(["--host"], words="serve.cli.host", default=Serving.host, show_default=True),
        Option(["--port"], words="serve.cli.port", type=int, default=Serving.port, show_default=True),
        Option(["--no-open"], words="serve.cli.no_open", is_flag=True),
        Option(["--allow-host"], words="serve.cli.allow_host", multiple=True, metavar="NAME"),
        Option(["--access-code"], words="serve.cli.access_code", metavar="CODE"),
        Option(["--trusted-proxy"], words="serve.cli.trusted_proxy", multiple=True, metavar="ADDRESS"),
        Option(["--root-path"], words="serve.cli.root_path", default="", metavar="PATH"),
        Option(["--lessons"], words="serve.cli.lessons", metavar="DIR"),
        *map(bound, BOUNDS),
        Option(["--status"], words="serve.cli.status", is_flag=True),
        *loading_options(),
        *(option for option in output_options() if option.name != "html"),
    ],
    callback=serve,
)
