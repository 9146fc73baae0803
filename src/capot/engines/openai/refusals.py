"""Translate what a server or the network answers into errors with a hint. Nothing shown here holds the key."""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Mapping
from typing import Any

import httpx2

from capot.engines.openai.address import KEY, ServerAddress
from capot.errors import (
    AccessError,
    BusyError,
    CapotError,
    ContextError,
    InputError,
    NetworkError,
    NotFoundError,
    os_reason,
)
from capot.errors import library_message as said_by_server

LONGEST_WAIT = 3600.0  # seconds that are told where a server asks for more
_CONTEXT = re.compile(r"context[ _](length|size|window)|maximum model length|max_model_len", re.IGNORECASE)


def status_error(
    status: int, body: bytes, *, address: ServerAddress, headers: Mapping[str, str], key: str | None
) -> CapotError:
    """Return the error for a status that is no success."""
    host = address.host
    refusal = _error_object(body)
    reason = said_by_server(_message(refusal, key) or str(status))
    if 300 <= status < 400:
        return NetworkError("server_redirects", host=host)
    if status in (401, 403):
        if key is None:
            return AccessError("server_no_key", host=host, variable=KEY)
        return AccessError("server_wrong_key", host=host, variable=KEY)
    if status == 404:
        return _not_found(refusal, address)
    if status in (400, 413, 422):
        if _is_context(refusal):
            return ContextError("server_context", host=host, reason=reason)
        return InputError("server_refused", host=host, reason=reason)
    if status in (429, 503):
        return BusyError("server_busy", host=host, seconds=round(retry_after(headers) or 5))
    return NetworkError("server_failing", host=host, status=status, reason=reason)


def event_error(error: Any, *, address: ServerAddress, key: str | None) -> CapotError:
    """Return the error that a server sends as an event, once its answer has begun."""
    body = json.dumps({"error": error}).encode()
    found = _error_object(body)
    status = found.get("code")
    if not isinstance(status, int) or not 400 <= status < 600:
        status = 400 if _is_context(found) else 500
    return status_error(status, body, address=address, headers={}, key=key)


def _not_found(refusal: Mapping[str, Any], address: ServerAddress) -> CapotError:
    """Return the error for a model that is not served, or for a server without such a path."""
    if address.model and "model" in str(refusal.get("message", "")).lower():
        return NotFoundError("server_no_model", host=address.host, name=address.model, base=address.base)
    return NetworkError("server_other_kind", host=address.host)


def _is_context(refusal: Mapping[str, Any]) -> bool:
    """Return whether a text was too long: OpenAI and llama.cpp say it by a code or a type, vLLM in a sentence."""
    marks = (refusal.get("code"), refusal.get("type"), refusal.get("message"))
    return any(isinstance(mark, str) and _CONTEXT.search(mark) for mark in marks)


def _error_object(body: bytes) -> dict[str, Any]:
    """Return ``error`` of an answer: an object, a text (Ollama's), or the object itself (an older vLLM's)."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    inner = answer.get("error", answer.get("detail", answer)) if isinstance(answer, dict) else {}
    return inner if isinstance(inner, dict) else {"message": str(inner)}


def _message(refusal: Mapping[str, Any], key: str | None) -> str:
    """Return the server's own sentence in one line, the key left out, should it repeat it."""
    said = str(refusal.get("message") or "")
    said = said.replace(key, "…") if key else said
    return "".join(letter if letter.isprintable() else " " for letter in said)[:200].strip()


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return how many seconds a server asks to wait.

    >>> retry_after({"retry-after": "2"}), retry_after({"retry-after": "Wed, 21 Oct 2026"}), retry_after({})
    (2.0, None, None)
    """
    after = headers.get("retry-after", "").strip()
    if not re.fullmatch(r"\d{1,9}(\.\d{1,9})?", after, re.ASCII):
        return None
    return min(float(after), LONGEST_WAIT)


def transport_error(error: Exception, *, host: str, seconds: float) -> NetworkError:
    """Return the error for a request that got no answer, or half of one."""
    causes = _causes(error)
    if isinstance(error, httpx2.TimeoutException | TimeoutError):
        return NetworkError("server_slow", host=host, seconds=round(seconds))
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return NetworkError("server_certificate", host=host, reason=cause.verify_message)
    if isinstance(error, httpx2.ConnectError):
        for cause in causes:
            if isinstance(cause, ssl.SSLError):
                return NetworkError("server_encryption", host=host, reason=os_reason(cause))
    system = next((cause for cause in reversed(causes) if isinstance(cause, OSError)), error)
    if isinstance(error, httpx2.ConnectError | httpx2.ProxyError):
        return NetworkError("server_unreachable", host=host, reason=os_reason(system))
    if isinstance(error, httpx2.DecodingError | httpx2.SSEError):
        return NetworkError("server_other_kind", host=host)
    return NetworkError("server_cut", host=host, reason=os_reason(system))


def _causes(error: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found
