"""Run the lab: find a free port, print the link, open the browser, and stop cleanly."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import dataclasses
import json
import logging
import os
import socket
import sys
import threading
import urllib.error
import urllib.request
import webbrowser
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from capot.config import Serving
from capot.errors import AccessError, CapotError, InputError, NetworkError, os_reason
from capot.model import Model
from capot.web import descriptors, protocol, safe_logging
from capot.web.app import create_app
from capot.web.connections import Connections
from capot.web.credentials import access_code, derived, lab_secret, owner_key
from capot.web.forwarded import Proxies
from capot.web.garbage_collection import collect_all, deferred_collection
from capot.web.links import Links, is_loopback_host, qr_code, url_host
from capot.web.opening import warm
from capot.web.serving_options import check_access_code, check_serving

Say = Callable[..., None]


def bind(serving: Serving) -> socket.socket:
    """Return a listening socket; if the default port is taken, one on the next free port.

    Raises: InputError ``cannot_listen`` with the system's reason.
    """
    family = socket.AF_INET6 if ":" in serving.host else socket.AF_INET
    refused: Exception = OSError()
    # Only where the port was not chosen: whoever names another port wants that one or an error.
    for port in (serving.port, *range(serving.port + 1, serving.port + 10)) if serving.port else (0,):
        listener = socket.socket(family, socket.SOCK_STREAM)
        if os.name != "nt":  # there it would let two programs listen on one port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((serving.host, port))
            listener.listen(128)
            return listener
        except (OSError, OverflowError) as error:
            listener.close()
            refused = error
    raise InputError("cannot_listen", host=serving.host, port=str(serving.port), reason=os_reason(refused))


def with_access_code(serving: Serving) -> Serving:
    """Return the options with an access code, drawn if others can reach the lab and none was given.

    Raises: as ``check_access_code`` and ``check_serving``.
    """
    code = check_access_code(serving.access_code) if serving.access_code else None
    if code is None and not is_loopback_host(serving.host):
        code = access_code()
    return check_serving(dataclasses.replace(serving, access_code=code))


def serve(model: Model, serving: Serving, *, say: Say) -> None:
    """Serve until Ctrl-C. ``say(key, **params)`` prints the link and what else is worth knowing."""
    serving = with_access_code(serving)
    secret = lab_secret()
    model.shared.at_once = serving.max_served_texts
    app = create_app(model, serving, owner_key=owner_key(secret), cookie_secret=derived(secret, "cookies"))
    listener = bind(serving)  # once nothing can be refused any more: a link that is printed is open
    port = listener.getsockname()[1]
    links = Links.for_server(serving, port, owner_key=owner_key(secret))
    if serving.port not in (0, port):
        say("serve.taken", asked=str(serving.port), port=str(port))
    announce(say, links, serving.access_code)
    try:
        with (
            deferred_collection(),
            safe_logging.safe_logs(),
            contextlib.suppress(KeyboardInterrupt),
        ):  # which is how a lab is closed
            _start_background(model, serving, links, say=say)
            asyncio.run(_run(app, serving, listener, say=say))
    finally:
        listener.close()
        say("serve.stopped")


def _start_background(model: Model, serving: Serving, links: Links, *, say: Say) -> None:
    """Read the model and open the browser beside the server."""
    _start_thread("capot-warm", _warm_model, model)
    if serving.open_browser:
        _start_thread("capot-show", show_lab, links.owner or links.own, say)


def _start_thread(name: str, function: Callable[..., None], *given: Any) -> None:
    """Run a function on a daemon thread that keeps the language of this one."""
    speaking = contextvars.copy_context()
    # The language is in a context variable, and threads begin with an empty context.
    threading.Thread(target=speaking.run, args=[function, *given], name=name, daemon=True).start()


def show_lab(link: str, say: Say) -> None:
    """Open the browser on the lab, or say that nothing here can."""
    if not (has_display() and webbrowser.open(link)):
        say("serve.no_browser")


def _warm_model(model: Model) -> None:
    """Read the model while the browser opens. An error is left to the first request, which reports it."""
    with contextlib.suppress(CapotError):
        warm(model)
    collect_all()  # what a lab is made of need not be looked at again


def has_display() -> bool:
    """Return whether a browser can be shown. Without a display a text browser would take the terminal over."""
    if sys.platform in ("win32", "darwin"):
        return True
    return any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))


def announce(say: Say, links: Links, code: str | None) -> None:
    """Print where the lab is; for a class, also the link with its code, as text and as a QR code."""
    say("serve.here", link=links.own)
    say("serve.owner_link", link=links.owner)
    if links.learners is not None and links.learners.startswith("/"):
        say("serve.class_path", path=links.learners, code=code)
    elif links.learners is not None:
        say("serve.class_link", link=links.learners, code=code)
        say("serve.qr", qr=qr_code(links.learners))
    say("serve.stop_hint")


async def _run(app: Any, serving: Serving, listener: socket.socket, *, say: Say) -> None:
    asyncio.get_running_loop().set_exception_handler(descriptors.exhaustion_handler(say))
    outward = 0 if app.state.learners.model.shared.served is None else serving.max_served_texts
    most, backlog = descriptors.connection_limit(serving.max_connections, outward=outward)
    room = Connections(serving, most=most, trusted=Proxies(serving.trusted_proxies).trusts)
    server = protocol.server(app, serving, connections=room, backlog=backlog)
    sparing = descriptors.RepeatFilter()
    for name in ("uvicorn.error", "asyncio"):
        logging.getLogger(name).addFilter(sparing)
    await server.serve(sockets=[listener])


def server_status(host: str, port: int, code: str | None) -> dict[str, Any]:
    """Return the load of a running server.

    Raises: NetworkError ``no_server``; AccessError ``access_code``, ``wrong_code`` if it asks for one.
    """
    query = f"?code={quote(code)}" if code else ""
    request = urllib.request.Request(f"http://{url_host(host)}:{port}/api/status{query}")
    # No proxy: the lab is on this machine, whatever the environment says of proxies.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor())
    try:
        with opener.open(request, timeout=5) as answer:
            load: dict[str, Any] = json.load(answer)["result"]
            return load
    except (OSError, ValueError, KeyError) as error:
        if (refused := _error_code(error)) in ("access_code", "wrong_code"):
            raise AccessError(refused) from None
        raise NetworkError("no_server", host=host, port=str(port), reason=os_reason(error)) from None


def _error_code(error: Exception) -> str:
    """Return the code of a lab's refusal; empty for anything else."""
    try:
        return json.load(error)["error"]["code"] if isinstance(error, urllib.error.HTTPError) else ""
    except (OSError, ValueError, KeyError, TypeError):
        return ""
