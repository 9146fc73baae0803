"""Make the lab's links and their QR codes: for its owner's terminal and for a projector."""

from __future__ import annotations

import dataclasses
import io
import socket
from urllib.parse import quote

from capot.config import Serving
from capot.view.result import Result

WILDCARD_HOSTS = ("0.0.0.0", "::")
QUIET_ZONE = 4  # modules of margin that a QR code needs around it


def is_loopback_host(host: str) -> bool:
    return host in ("localhost", "127.0.0.1", "::1")


def address_of_this_machine() -> str:
    """Return the address others on the local network would use. No packet is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # a documentation address: UDP connect only picks a route
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"


@dataclasses.dataclass(frozen=True)
class Links:
    """The lab's links: for this machine, for its owner, and for a class if there is one.

    ``learners`` is a path alone if only a proxy knows the address.
    """

    own: str
    owner: str | None
    learners: str | None

    @classmethod
    def for_server(cls, serving: Serving, port: int, *, owner_key: str | None) -> Links:
        shown = address_of_this_machine() if serving.host in WILDCARD_HOSTS else serving.host
        # A browser of this machine cannot open a wildcard address.
        near = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(serving.host, serving.host)
        own = f"http://{url_host(near)}:{port}{serving.root_path}/"
        code = serving.access_code
        path = f"{serving.root_path}/?code={quote(code)}" if code else None
        before = "" if is_proxied(serving) else f"http://{url_host(shown)}:{port}"
        return cls(own, f"{own}?code={owner_key}" if owner_key else None, path and before + path)


def is_proxied(serving: Serving) -> bool:
    """Return whether learners come through a proxy, which alone knows its address."""
    return bool(serving.trusted_proxies or serving.root_path)


def url_host(host: str) -> str:
    """Return a host as a URL writes it."""
    return f"[{host}]" if ":" in host else host


def qr_code(link: str) -> str:
    """Return the link as a QR code of half blocks, two modules to a character."""
    import segno

    out = io.StringIO()
    segno.make(link, error="m").terminal(out, compact=True, border=2)
    return out.getvalue()


@dataclasses.dataclass(frozen=True)
class Invitation(Result):
    """What a class needs to come in. ``qr`` has the modules and a margin, row after row, 1 for a dark one."""

    link: str
    code: str
    qr: tuple[str, ...]


def invitation(serving: Serving, port: int, *, base_url: str) -> Invitation | None:
    """Return the class's link, or None without a code. ``base_url`` is where the owner sees the lab."""
    import segno

    path = Links.for_server(serving, port, owner_key=None).learners
    if path is None or serving.access_code is None:
        return None
    link = base_url + path if path.startswith("/") else path
    rows = segno.make(link, error="m").matrix_iter(border=QUIET_ZONE)
    return Invitation(link, serving.access_code, tuple("".join("01"[bool(module)] for module in row) for row in rows))
