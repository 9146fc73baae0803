"""Check how a lab is to be served before it listens: an access code if it can be reached from elsewhere."""

from __future__ import annotations

import dataclasses
import shlex

from capot.config import SHORTEST_CODE, Serving
from capot.errors import InputError
from capot.web import forwarded, paths
from capot.web.addresses import is_loopback
from capot.web.credentials import access_code, normalize_code


def check_serving(serving: Serving) -> Serving:
    """Return the options in the form that the lab reads.

    Raises: InputError ``bad_proxy``, ``bad_root_path``, ``needs_code``.
    """
    for named in serving.trusted_proxies:
        if forwarded.network(named) is None:
            raise InputError("bad_proxy", value=named[:80])
    root = paths.normalize_root(serving.root_path)
    if root is None:
        raise InputError("bad_root_path", value=serving.root_path[:80])
    serving = dataclasses.replace(serving, root_path=root)
    opens = opening_options(serving)
    if opens and serving.access_code is None:
        raise InputError("needs_code", option=opens[0].split()[0], options=" ".join(opens), example=access_code())
    return serving


def check_access_code(given: str) -> str:
    """Return an access code that somebody chose. Raises: InputError ``code_too_short``."""
    if len(normalize_code(given)) < SHORTEST_CODE:
        raise InputError("code_too_short", least=SHORTEST_CODE, example=access_code())
    return given


def opening_options(serving: Serving) -> list[str]:
    """Return the options that let others in than this machine's own users.

    A lab that listens on loopback alone is reachable too if a proxy or another host name leads to it.
    """
    foreign = [name for name in serving.allowed_hosts if not is_own_name(name)]
    named = [f"--allow-host {shlex.quote(name)}" for name in foreign]
    named += [f"--trusted-proxy {each.strip()}" for each in serving.trusted_proxies]
    return named + ([f"--root-path {serving.root_path}"] if serving.root_path else [])


def is_own_name(host: str) -> bool:
    """Return whether a host name means this machine wherever it is used."""
    name = host.lower().strip("[]").removesuffix(".")
    return name == "localhost" or name.endswith(".localhost") or is_loopback(name)
