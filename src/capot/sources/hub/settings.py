"""Read the hub's settings from the environment: address, cache folder, token.

The names are those of Hugging Face's own tools, read each time they are needed, so that
both find the same models and the same token:

    HF_ENDPOINT                              another hub, or a company's mirror
    HF_HOME, HF_HUB_CACHE, XDG_CACHE_HOME    where downloads are kept
    HF_TOKEN, HF_TOKEN_PATH                  the token, or the file that holds it
    HF_HUB_OFFLINE, TRANSFORMERS_OFFLINE     1: ask no network
    HF_HUB_DOWNLOAD_TIMEOUT                  seconds of silence before trying again
    CAPOT_HUB_PAUSE                          seconds before trying again the first time (1)
    HTTPS_PROXY, HTTP_PROXY, NO_PROXY        the way out (``connection.py``)
    REQUESTS_CA_BUNDLE, SSL_CERT_FILE        a company's certificates (``connection.py``)
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from urllib.parse import urlsplit

from capot.errors import AccessError, InputError

PUBLIC = "https://huggingface.co"
_nobody: ContextVar[bool] = ContextVar("nobody", default=False)
_TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
_SENDABLE = re.compile(r"[\x21-\x7e]+")  # what a header may hold; anything else would be shown in an error


def endpoint() -> str:
    """Return the hub's address, without a slash at its end.

    Raises: InputError ``hub_endpoint`` where HF_ENDPOINT is no http address.
    """
    address = (os.environ.get("HF_ENDPOINT") or PUBLIC).strip().rstrip("/")
    try:
        parts = urlsplit(address)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc
        sound = sound and bool(_SENDABLE.fullmatch(address)) and (parts.port or 1) > 0
    except ValueError:
        sound = False
    if not sound:  # a password before the host is not repeated
        raise InputError("hub_endpoint", value=re.sub(r"//[^/]*@", "//…@", address)[:200])
    return address


def hf_home() -> Path:
    """Return the folder of Hugging Face's tools (``HF_HOME``): token, cache."""
    around = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return _expanded(os.environ.get("HF_HOME") or os.path.join(around, "huggingface"))


def cache_folder() -> Path:
    """Return the cache folder, shared with every tool that uses the same layout."""
    named = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    return _expanded(named) if named else hf_home() / "hub"


def _expanded(path: str) -> Path:
    return Path(os.path.expandvars(os.path.expanduser(path)))


def is_offline() -> bool:
    """Return whether the network must not be used."""
    said = os.environ.get("HF_HUB_OFFLINE") or os.environ.get("TRANSFORMERS_OFFLINE") or ""
    return said.upper() in ("1", "ON", "YES", "TRUE")


def timeout() -> float:
    """Return the seconds of silence after which a connection counts as broken."""
    try:
        # Bounded on both sides: 0 would break every connection, a day would hang.
        return min(3600.0, max(1.0, float(os.environ.get("HF_HUB_DOWNLOAD_TIMEOUT") or 20)))
    except ValueError:
        return 20.0


def retry_delays() -> tuple[float, ...]:
    """Return the seconds to wait before each of three retries, each twice as long as the one before."""
    try:
        first = min(60.0, max(0.0, float(os.environ.get("CAPOT_HUB_PAUSE") or 1)))
    except ValueError:
        first = 1.0
    return (first, 2 * first, 4 * first)


@contextlib.contextmanager
def anonymous() -> Iterator[None]:
    """Send no token inside the block, so that a wrong token does not hide what is public."""
    before = _nobody.set(True)
    try:
        yield
    finally:
        _nobody.reset(before)


def token() -> str | None:
    """Return the user's token. It belongs into one header and nowhere else.

    Raises: AccessError ``hub_token_malformed`` where it could not be sent, without showing it.
    """
    if _nobody.get():
        return None
    variable = _token_variable()
    found = (os.environ[variable] if variable else _read(token_path())).strip()
    if found and not _SENDABLE.fullmatch(found):
        raise AccessError("hub_token_malformed")
    return found or None


def token_source() -> str:
    """Return where the token comes from: a variable's name, or a file."""
    return _token_variable() or str(token_path())


def _token_variable() -> str | None:
    """Return the variable that holds a token; a blank one holds none."""
    return next((name for name in _TOKENS if os.environ.get(name, "").strip()), None)


def token_path() -> Path:
    """Return the file where Hugging Face's own tools keep the token."""
    return _expanded(os.environ.get("HF_TOKEN_PATH") or str(hf_home() / "token"))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
