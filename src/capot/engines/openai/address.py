"""Read the address of a server, and find the key that is sent there."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit, urlunsplit

from capot.errors import InputError

KEY = "CAPOT_API_KEY"  # of the environment; no other place is read, nor is another program's key
_SCHEME = re.compile(r"https?:", re.IGNORECASE)
_SHOWN = 200  # characters of an address in an error


@dataclass(frozen=True)
class ServerAddress:
    """Where a server answers, and which of its models is meant; ``model`` is "" where the address names none.

    ``base`` has no slash at its end. ``root`` is the same without the ``/v1``, where vLLM and llama.cpp cut texts.
    """

    base: str
    model: str = ""

    @property
    def host(self) -> str:
        """Return the host, with its port where the address has one: what an error shows."""
        return urlsplit(self.base).netloc

    @property
    def root(self) -> str:
        return self.base.removesuffix("/v1")

    def __str__(self) -> str:
        return f"{self.base}#{self.model}" if self.model else self.base


def is_address(text: str) -> bool:
    """Return whether a model's name is the address of a server.

    >>> is_address("HTTP://127.0.0.1:8000/v1"), is_address("org/name"), is_address("httpie/model")
    (True, False, False)
    """
    return _SCHEME.match(text.strip()) is not None


def names_server(text: str) -> bool:
    """Return whether a model's name is the address of a server, and not that of a model's page on the hub.

    Raises: InputError ``server_password``, as any other error would show the address.
    """
    if not is_address(text):
        return False
    from capot.sources.hub.listing import name_from_url

    refuse_password(text)
    return name_from_url(text) is None


def parse_address(text: str) -> ServerAddress:
    """Return the address in ``text``; what follows ``#`` is the name of a model.

    Raises: InputError ``server_password`` where it holds a name or a password, ``server_address`` where it is none.

    >>> parse_address("http://127.0.0.1:8000/v1/#org/name")
    ServerAddress(base='http://127.0.0.1:8000/v1', model='org/name')
    """
    text = text.strip()
    refuse_password(text)
    try:
        parts = urlsplit(text)
        host = parts.hostname
        port = parts.port  # raises where there is none such
    except ValueError:
        raise InputError("server_address", address=shown(text)) from None
    sound = parts.scheme in ("http", "https") and host and port != 0 and not parts.query
    if not sound or not _is_printable(text) or "\\" in parts.netloc:
        raise InputError("server_address", address=shown(text))
    whole = urlunsplit((parts.scheme, parts.netloc.lower(), parts.path.rstrip("/"), "", ""))
    return ServerAddress(whole, unquote(parts.fragment))


def refuse_password(text: str) -> None:
    """Refuse an address that holds a name or a password. Raises: InputError ``server_password``."""
    base, _, name = text.partition("#")
    # A model may be called a@q4; where a password holds a #, a path follows the host.
    if is_address(text) and ("@" in base or re.search("@.*/", name)):
        raise InputError("server_password", address=shown(text), variable=KEY)


def _is_printable(text: str) -> bool:
    return text.isprintable() and not any(letter.isspace() for letter in text)


def shown(text: str) -> str:
    """Return an address as an error shows it: without what stands before an ``@``, and without a query.

    >>> shown("http://me:s3cret@host:8000/v1?key=s3cret"), shown("http://me:a/b@host/v1")
    ('http://…@host:8000/v1', 'http://…@host/v1')
    """
    scheme, slashes, rest = text.partition("//")
    place = rest.rpartition("@")
    safe = f"…@{place[2]}" if place[1] else rest
    return f"{scheme}{slashes}{safe.partition('?')[0]}"[:_SHOWN]


def api_key() -> str | None:
    """Return the key for the server that the owner named, or None.

    Raises: InputError ``server_key_malformed`` where it holds what no header may; the error shows none of it.
    """
    key = os.environ.get(KEY, "").strip()
    if not key:
        return None
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise InputError("server_key_malformed", variable=KEY)
    return key
