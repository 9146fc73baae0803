"""Translate the answers of the hub and the errors of the network into errors with a hint.

The hub says more than a status: ``X-Error-Code`` is ``RepoNotFound``, ``RevisionNotFound``,
``EntryNotFound`` or ``GatedRepo``. To someone without a token, a private model and one that
does not exist answer alike (401), so that nobody learns which it is.
"""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from urllib.error import URLError
from urllib.parse import urlsplit

from capot.errors import AccessError, BusyError, CapotError, NetworkError, NotFoundError, local_path, os_reason
from capot.sources.hub import settings
from capot.sources.hub.connection import Response, proxy_for, proxy_without_credentials
from capot.sources.hub.store import name_words, similar_names

# Refusals that who sends no token does not meet.
WRONG_TOKEN = ("hub_wrong_token", "hub_wrong_token_file", "hub_token_malformed")


LONGEST_WAIT = 7 * 86_400.0  # seconds that are told where a hub asks for more: a number of any length may stand there


@dataclass(frozen=True)
class Subject:
    """What is asked about: a model at a revision, or nothing by name (a search)."""

    name: str = ""
    revision: str = "main"


def response_error(answer: Response, subject: Subject, *, token: str | None) -> CapotError:
    """Return the error for a status that is no success."""
    code = answer.header("x-error-code") or ""
    status = answer.status
    page = f"{settings.endpoint()}/{subject.name}"
    if status == 429:
        return BusyError("hub_rate_limited", seconds=round(retry_after(answer) or 60))
    if status == 407:
        return NetworkError("hub_proxy", host=_host(answer.url), reason=status)
    if not answer.ours:  # a server of files, which knows nothing of models or of tokens
        return NetworkError("hub_failing", host=_host(answer.url), status=status)
    if status == 401 and token:  # to a token that it knows the hub says 403 or 404
        return _wrong_token()
    if code == "GatedRepo" and status in (401, 403):
        return _gated(answer, subject.name, page, token=token)
    if status == 403:
        return _forbidden(answer, page, token=token)
    if code == "RevisionNotFound":
        return NotFoundError("hub_unknown_revision", name=subject.name, revision=subject.revision)
    if status in (401, 404) and subject.name:
        return unknown_model(subject.name)
    return NetworkError("hub_failing", host=_host(answer.url), status=status)


def _wrong_token() -> CapotError:
    place = settings.token_source()
    url = f"{settings.endpoint()}/settings/tokens"
    if place == str(settings.token_path()):
        return AccessError("hub_wrong_token_file", path=local_path(place, settings.token_path().name), url=url)
    return AccessError("hub_wrong_token", variable=place, url=url)


def _gated(answer: Response, name: str, page: str, *, token: str | None) -> CapotError:
    if token is None:
        return AccessError("hub_gated", name=name, page=page, url=f"{settings.endpoint()}/settings/tokens")
    if "fine-grained" in _hub_message(answer, token):
        return AccessError("hub_token_scope", url=f"{settings.endpoint()}/settings/tokens")
    return AccessError("hub_no_access", name=name, page=page)


def _forbidden(answer: Response, page: str, *, token: str | None) -> CapotError:
    if "fine-grained" in _hub_message(answer, token):
        return AccessError("hub_token_scope", url=f"{settings.endpoint()}/settings/tokens")
    return AccessError("hub_forbidden", page=page, reason=_hub_message(answer, token) or "403")


def unknown_model(name: str) -> CapotError:
    """Return the error for a name that the hub does not know, with similar names of this machine."""
    alike = similar_names(name)
    if alike:
        return NotFoundError("hub_unknown_near", name=name, near=alike[0], others=", ".join(alike))
    return NotFoundError("hub_unknown", name=name, words=name_words(name))


def _hub_message(answer: Response, token: str | None) -> str:
    """Return the hub's own message, shortened and without control characters."""
    said = re.sub(r"[^\x20-\x7e]+", " ", answer.header("x-error-message") or "")
    return (said.replace(token, "…") if token else said)[:200]


def retry_after(answer: Response) -> float | None:
    """Return how many seconds the hub asks to wait: ``Retry-After: 30`` or a date, or ``RateLimit: "api";r=0;t=30``."""
    after = (answer.header("retry-after") or "").strip()
    if after.isdecimal():
        return _seconds(after)
    with contextlib.suppress(ValueError, OverflowError):  # no date, or one that no calendar has
        return min(max(0.0, parsedate_to_datetime(after).timestamp() - time.time()), LONGEST_WAIT)
    limit = re.search(r"\bt=(\d+)", answer.header("ratelimit") or "")
    return _seconds(limit[1]) if limit else None


def _seconds(digits: str) -> float:
    return min(float(digits), LONGEST_WAIT)


def unreachable_error(error: Exception, url: str) -> CapotError:
    """Return the error for a request that got no answer."""
    cause = error.reason if isinstance(error, URLError) else error
    host, through = _host(url), proxy_for(url)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return NetworkError("hub_certificate", host=host, reason=cause.verify_message)
    if isinstance(cause, socket.gaierror | ConnectionRefusedError):
        if through:
            return NetworkError(
                "hub_no_proxy", host=host, proxy=proxy_without_credentials(through), reason=os_reason(error)
            )
        return NetworkError("hub_unreachable", host=host, reason=os_reason(error))
    if "Tunnel connection failed" in str(cause):
        return NetworkError("hub_proxy", host=host, reason=os_reason(error))
    return NetworkError("hub_broken", host=host, reason=os_reason(error))


def _host(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2]
