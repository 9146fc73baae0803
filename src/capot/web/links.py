"""Where the lab is, as links and as a picture of one: for its owner's terminal and for a projector."""

from __future__ import annotations

import dataclasses
import io
import socket
from urllib.parse import quote

from capot.config import Serving
from capot.view.result import Result

EVERYWHERE = ("0.0.0.0", "::")
QUIET = 4  # modules of margin that a QR code needs around it


def loopback(host: str) -> bool:
    return host in ("localhost", "127.0.0.1", "::1")


def address_of_this_machine() -> str:
    """The address others on the local network would use; no packet is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # a documentation address: UDP connect only picks a route
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"


@dataclasses.dataclass(frozen=True)
class Links:
    """Where the lab is: for anybody here, for its owner, and for a class where there is one.

    ``learners`` is a path alone where a proxy has the address.
    """

    own: str
    owner: str | None
    learners: str | None

    @classmethod
    def to(cls, serving: Serving, port: int, *, owner_key: str | None) -> Links:
        shown = address_of_this_machine() if serving.host in EVERYWHERE else serving.host
        near = "127.0.0.1" if serving.host == "0.0.0.0" else "::1" if serving.host == "::" else serving.host
        own = f"http://{bracket(near)}:{port}{serving.root_path}/"
        code = serving.access_code
        path = f"{serving.root_path}/?code={quote(code)}" if code else None
        before = "" if proxied(serving) else f"http://{bracket(shown)}:{port}"
        return cls(own, f"{own}?code={owner_key}" if owner_key else None, path and before + path)


def proxied(serving: Serving) -> bool:
    """Whether learners come by a proxy, whose address it alone knows."""
    return bool(serving.trusted_proxies or serving.root_path)


def bracket(host: str) -> str:
    """A host as an address holds it."""
    return f"[{host}]" if ":" in host else host


def qr_code(link: str) -> str:
    """The link as a QR code of half blocks, two modules to a character."""
    import segno

    out = io.StringIO()
    segno.make(link, error="m").terminal(out, compact=True, border=2)
    return out.getvalue()


@dataclasses.dataclass(frozen=True)
class Invitation(Result):
    """What a class needs to come in. ``qr``: the link's modules and a margin, row after row, 1 for a dark one."""

    link: str
    code: str
    qr: tuple[str, ...]


def invitation(serving: Serving, port: int, *, seen: str) -> Invitation | None:
    """The class's link, for a lab that has a code; ``seen`` is where its owner sees it, for one behind a proxy."""
    import segno

    path = Links.to(serving, port, owner_key=None).learners
    if path is None or serving.access_code is None:
        return None
    link = seen + path if path.startswith("/") else path
    rows = segno.make(link, error="m").matrix_iter(border=QUIET)
    return Invitation(link, serving.access_code, tuple("".join("01"[bool(module)] for module in row) for row in rows))
