"""Servers that speak OpenAI's protocol: vLLM, Ollama, llama.cpp's server, LM Studio.

``address`` reads where a server is and which key is sent there, ``client`` sends requests and reads streams,
``refusals`` translates what goes wrong, ``probe`` finds out what a server can do, ``completions`` reads a text as it
grows, with what is told of each token.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from capot.errors import MissingExtraError

if TYPE_CHECKING:
    from capot.engines.openai.client import ServerClient


def connect(text: str) -> ServerClient:
    """Return a client for the address in ``text``, with the key that the environment holds. Nothing is sent yet.

    Only for an address that the owner of this process gave: the key goes there.

    Raises: as ``parse_address`` and ``api_key``; MissingExtraError ``missing_extra``.
    """
    from capot.engines.openai.address import api_key, parse_address

    address = parse_address(text)
    if importlib.util.find_spec("httpx2") is None:
        raise MissingExtraError("missing_extra", package="httpx2", extra="openai")
    from capot.engines.openai.client import ServerClient

    return ServerClient(address, key=api_key())
