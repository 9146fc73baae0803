"""What must be so before a lab listens: a code wherever others than this machine's own may come, and no odd setting."""

from __future__ import annotations

import dataclasses
import shlex

from capot.config import SHORTEST_CODE, Serving
from capot.errors import InputError
from capot.web import forwarded, paths
from capot.web.addresses import is_loopback
from capot.web.credentials import access_code, folded


def checked(serving: Serving) -> Serving:
    """The same, written as the lab reads it. Raises: InputError ``bad_proxy``, ``bad_root_path``, ``needs_code``."""
    for named in serving.trusted_proxies:
        if forwarded.network(named) is None:
            raise InputError("bad_proxy", value=named[:80])
    root = paths.normal(serving.root_path)
    if root is None:
        raise InputError("bad_root_path", value=serving.root_path[:80])
    serving = dataclasses.replace(serving, root_path=root)
    opens = opening_options(serving)
    if opens and serving.access_code is None:
        raise InputError("needs_code", option=opens[0].split()[0], options=" ".join(opens), example=access_code())
    return serving


def chosen_code(given: str) -> str:
    """The access code that somebody chose. Raises: InputError ``code_too_short``."""
    if len(folded(given)) < SHORTEST_CODE:
        raise InputError("code_too_short", least=SHORTEST_CODE, example=access_code())
    return given


def opening_options(serving: Serving) -> list[str]:
    """The options through which others than this machine's own may come, a lab that listens to it alone included."""
    foreign = [name for name in serving.allowed_hosts if not own_name(name)]
    named = [f"--allow-host {shlex.quote(name)}" for name in foreign]
    named += [f"--trusted-proxy {each.strip()}" for each in serving.trusted_proxies]
    return named + ([f"--root-path {serving.root_path}"] if serving.root_path else [])


def own_name(host: str) -> bool:
    """Whether a name means this machine wherever it is used."""
    name = host.lower().strip("[]").removesuffix(".")
    return name == "localhost" or name.endswith(".localhost") or is_loopback(name)
