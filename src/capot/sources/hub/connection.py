"""Send one HTTP request to the hub with the standard library: proxies, certificates, redirects.

A token is for the hub alone: it is sent to the address it was meant for (scheme, host and
port) and left out of every redirect that leads elsewhere, such as the servers that hold
the large files.

``HTTPS_PROXY``, ``HTTP_PROXY``, ``ALL_PROXY`` and ``NO_PROXY`` are obeyed; this machine
itself is never asked for through a proxy, which would look for it elsewhere. Certificates
are those of the system, with those of ``REQUESTS_CA_BUNDLE``, ``CURL_CA_BUNDLE`` or
``SSL_CERT_FILE`` added: a company that looks into its traffic has one of its own.
"""

from __future__ import annotations

import functools
import http.client
import importlib.util
import ipaddress
import os
import ssl
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urljoin, urlsplit

from capot.errors import InputError, NetworkError, local_path
from capot.sources.hub import settings

REDIRECTS = (301, 302, 303, 307, 308)
HOPS = 8
_AGENT = "capot"
_BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")

BROKEN = (OSError, http.client.HTTPException)  # what a network may do to a request or to its answer


@dataclass
class Response:
    """An answer of the hub, or of a server that it pointed to. Close it, or use it in a ``with`` block.

    ``headers`` are those of every hop, the first value of each name: the hub tells of a file while it points to where
    the file lies.
    """

    status: int
    headers: Mapping[str, str]
    stream: Any  # read1(count) -> bytes
    url: str
    ours: bool  # whether the hub itself answered, and no server it pointed to

    def header(self, name: str) -> str | None:
        return self.headers.get(name.lower())

    def read(self, count: int = -1) -> bytes:
        found: bytes = self.stream.read(count) if count >= 0 else self.stream.read()
        return found

    def close(self) -> None:
        self.stream.close()

    def __enter__(self) -> Response:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follow no redirect: ``send`` checks each address before it sends anything there."""

    # urllib would carry the token along to wherever a redirect leads.
    def _nowhere(self, req: Any, fp: Any, code: int, msg: str, headers: Any) -> None:
        return None

    http_error_301 = http_error_302 = http_error_303 = http_error_307 = http_error_308 = _nowhere


def send(url: str, *, token: str | None, headers: Mapping[str, str] | None = None, method: str = "GET") -> Response:
    """Request ``url`` and follow its redirects. Any status is an answer.

    Raises: OSError and http.client.HTTPException as the network has them (``BROKEN``); NetworkError
    ``hub_redirect``; as ``proxy_for``.
    """
    merged: dict[str, str] = {}
    first = url
    for _ in range(HOPS):
        opener = _opener(urlsplit(url).scheme, proxy_for(url), _ca_bundles())
        asked = urllib.request.Request(url, method=method, headers={"User-Agent": _AGENT, **(headers or {})})
        asked.add_header("Accept-Encoding", "identity")  # bytes as they are: ranges count them
        # Unredirected, and only to the origin it is meant for: storage servers get signed addresses and no token.
        if token and origin(url) == origin(first):
            asked.add_unredirected_header("Authorization", f"Bearer {token}")
        try:
            stream: Any = opener.open(asked, timeout=settings.timeout())
        except HTTPError as refused:
            stream = refused
        except UnicodeError:  # a name that no host can have
            raise http.client.InvalidURL(origin(url)[1]) from None
        # The first server to say a thing is believed: the hub tells hash and commit, storage knows neither.
        merged |= {name.lower(): value for name, value in stream.headers.items() if name.lower() not in merged}
        onward = stream.headers.get("Location")
        if stream.status not in REDIRECTS or not onward:
            merged |= {name.lower(): value for name, value in stream.headers.items() if name.lower() in _LAST}
            return Response(stream.status, merged, stream, url, ours=origin(url) == origin(first))
        stream.close()
        url = _redirect_target(url, onward)
    raise _redirect_refused(first, url)


_LAST = ("content-length", "content-range", "content-type", "retry-after", "etag")  # of the server that answers


def _redirect_target(url: str, onward: str) -> str:
    """Return where a redirect leads: only HTTP addresses, and never from HTTPS to HTTP.

    Raises: NetworkError ``hub_redirect``.
    """
    # Once encrypted, always encrypted: a redirect to HTTP would let anybody on the way answer.
    schemes = ("https",) if urlsplit(url).scheme == "https" else ("http", "https")
    try:
        target = urljoin(url, onward)
        sound = origin(target)[0] in schemes
    except ValueError:  # no address at all
        target = onward
        sound = False
    if not sound:
        raise _redirect_refused(url, target)
    return target


def _redirect_refused(url: str, target: str) -> NetworkError:
    """Return the error for a redirect. It shows neither the credentials nor the path of an address."""
    scheme, _, rest = target.partition("://")
    shown = f"{scheme}://{rest.partition('/')[0].rpartition('@')[2]}" if rest else "…"
    return NetworkError("hub_redirect", host=origin(url)[1], target=shown[:80])


def origin(url: str) -> tuple[str, str, int]:
    """Return scheme, host and port: a token is sent to one origin only.

    >>> origin("https://Hub.example/x") == origin("https://hub.example:443/y")
    True
    """
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or {"https": 443, "http": 80}.get(parts.scheme, 0)


def is_loopback(url: str) -> bool:
    """Return whether an address is this machine's own.

    >>> is_loopback("http://127.0.0.1:8080/x"), is_loopback("https://huggingface.co")
    (True, False)
    """
    host = (urlsplit(url).hostname or "").lower()
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def proxy_for(url: str) -> str | None:
    """Return the proxy for ``url`` that the environment names, or None.

    Raises: InputError ``hub_proxy_address`` where it is none that HTTP leads through, its password left out.
    """
    parts = urlsplit(url)
    proxies = {} if is_loopback(url) else urllib.request.getproxies()
    found = proxies.get(parts.scheme) or proxies.get("all")
    if not found or urllib.request.proxy_bypass(parts.netloc):
        return None
    shown = proxy_without_credentials(found)
    try:
        address = urlsplit(shown)
        sound = address.scheme in ("http", "https") and bool(address.hostname) and (address.port or 1) > 0
    except ValueError:
        sound = False
    if not sound:
        raise InputError("hub_proxy_address", proxy=shown[:200])
    return found


def proxy_without_credentials(address: str) -> str:
    """Return a proxy's address without user name and password.

    >>> [proxy_without_credentials(proxy) for proxy in ("http://me:my/secret@proxy.example:3128", "proxy.example:3128")]
    ['http://proxy.example:3128', 'http://proxy.example:3128']
    """
    scheme, _, rest = address.rpartition("://")
    # A password may hold "@" and "/": what is shown begins after the last "@".
    return f"{scheme.partition('://')[0] or 'http'}://{rest.rpartition('@')[2]}"


def trusted_certificates() -> ssl.SSLContext:
    """Return a TLS context with the system's certificates and those that the environment names.

    Raises: InputError ``hub_certificates``.
    """
    return _certificates(_ca_bundles())


def _ca_bundles() -> tuple[str, ...]:
    return tuple(filter(None, (os.environ.get(name) for name in _BUNDLES)))


# One opener for each way out: making one loads all certificates, a tenth of a second each time.
@functools.lru_cache(maxsize=4)
def _opener(scheme: str, through: str | None, bundles: tuple[str, ...]) -> urllib.request.OpenerDirector:
    tls = urllib.request.HTTPSHandler(context=_certificates(bundles))
    return urllib.request.build_opener(
        urllib.request.ProxyHandler({scheme: through} if through else {}), tls, _NoRedirect()
    )


def _certificates(bundles: tuple[str, ...]) -> ssl.SSLContext:
    """Return a TLS context with the system's certificates and those of ``bundles``, files or folders.

    Raises: InputError ``hub_certificates`` where one is no file of certificates.
    """
    context = ssl.create_default_context()
    paths = ssl.get_default_verify_paths()
    # Some builds of Python have no certificates of their own; certifi is often there with other packages.
    if not (paths.cafile or paths.capath or context.get_ca_certs()) and importlib.util.find_spec("certifi"):
        import certifi  # a Python that came without the system's

        context.load_verify_locations(certifi.where())
    for bundle in bundles:
        try:
            context.load_verify_locations(**{"capath" if os.path.isdir(bundle) else "cafile": bundle})
        except (OSError, ssl.SSLError):
            raise InputError("hub_certificates", path=local_path(bundle, os.path.basename(bundle))) from None
    return context
