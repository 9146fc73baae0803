"""Running the lab: a free port, the link, the browser, and a clean stop."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import secrets
import socket
import threading
import urllib.request
import webbrowser
from collections.abc import Callable
from typing import Any

import uvicorn

from capot.config import Serving
from capot.errors import InputError, NetworkError
from capot.model import Model
from capot.web.app import access_code, create_app

Say = Callable[..., None]


def loopback(host: str) -> bool:
    return host in ("localhost", "127.0.0.1", "::1")


def bind(serving: Serving) -> socket.socket:
    """A listening socket; where the default port is taken, the next free one.

    Raises: InputError ``cannot_listen`` with the system's reason.
    """
    family = socket.AF_INET6 if ":" in serving.host else socket.AF_INET
    reason: OSError | None = None
    for port in (serving.port, *range(serving.port + 1, serving.port + 10)) if serving.port else (0,):
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((serving.host, port))
            listener.listen(128)
            return listener
        except (OSError, OverflowError) as error:
            listener.close()
            reason = error if isinstance(error, OSError) else OSError(str(error))
    raise InputError("cannot_listen", host=serving.host, port=str(serving.port), reason=str(reason))


def address_of_this_machine() -> str:
    """The address others on the local network would use; no packet is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # a documentation address: UDP connect only picks a route
            return probe.getsockname()[0]
        except OSError:
            return "127.0.0.1"


def serve(model: Model, serving: Serving, *, say: Say) -> None:
    """Serve until Ctrl-C. ``say(key, **params)`` prints the link and what else is worth knowing."""
    listener = bind(serving)
    port = listener.getsockname()[1]
    public = not loopback(serving.host)
    if public and serving.access_code is None:
        serving = dataclasses.replace(serving, access_code=access_code())
    owner_key = secrets.token_urlsafe(18) if public else None
    shown = address_of_this_machine() if serving.host in ("0.0.0.0", "::") else serving.host
    own = (
        f"http://127.0.0.1:{port}/" if serving.host in ("0.0.0.0", "127.0.0.1") else f"http://{_bracket(shown)}:{port}/"
    )
    _announce(say, own=own, shown=shown, port=port, code=serving.access_code)
    app = create_app(model, serving, owner_key=owner_key)
    if serving.open_browser:
        link = f"{own}?code={owner_key}" if owner_key else own
        threading.Timer(0.3, webbrowser.open, [link]).start()
    try:
        asyncio.run(_run(app, listener))
    finally:
        listener.close()
        say("serve.stopped")


def _bracket(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _announce(say: Say, *, own: str, shown: str, port: int, code: str | None) -> None:
    say("serve.here", link=own)
    if code is not None:
        link = f"http://{_bracket(shown)}:{port}/?code={code}"
        say("serve.class_link", link=link, code=code)
        say("serve.qr", qr=qr_code(link))
    say("serve.stop_hint")


def qr_code(link: str) -> str:
    """The link as a QR code of half blocks, two modules to a character."""
    import io

    import segno

    out = io.StringIO()
    segno.make(link, error="m").terminal(out, compact=True, border=2)
    return out.getvalue()


async def _run(app: Any, listener: socket.socket) -> None:
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=2,
        timeout_keep_alive=30,
        server_header=False,
    )
    await uvicorn.Server(config).serve(sockets=[listener])


def status_of(host: str, port: int, code: str | None) -> dict[str, Any]:
    """The load of a server already running.

    Raises: NetworkError ``no_server``.
    """
    query = f"?code={code}" if code else ""
    request = urllib.request.Request(f"http://{_bracket(host)}:{port}/api/status{query}")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor())
    try:
        with opener.open(request, timeout=5) as answer:
            return json.load(answer)["result"]
    except (OSError, ValueError, KeyError) as error:
        raise NetworkError("no_server", host=host, port=str(port), reason=str(error)) from None
