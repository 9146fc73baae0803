"""What a server of models can do is found out by asking it, whatever its name and version say."""

from __future__ import annotations

import pytest
from openai_server import CONTEXT, MOST, NAME, Fault, OpenAIServer, connected, serving

from capot.engines.openai.address import parse_address
from capot.engines.openai.client import ServerClient
from capot.engines.openai.probe import Abilities, abilities, choose, models
from capot.errors import CapotError
from capot.sources.nearby import ServedModel

WHOLE = Abilities(ids=True, logprobs=MOST, prompt_logprobs=MOST, echo=True, stop=True, names_stop=True, seed=True)

server = pytest.fixture(serving)
client = pytest.fixture(connected)


def test_a_server_that_can_do_all(server: OpenAIServer, client: ServerClient) -> None:
    assert models(client) == (ServedModel(NAME, CONTEXT, NAME),)
    assert abilities(client) == WHOLE
    assert len(server.seen) <= 14


@pytest.mark.parametrize(
    ("without", "changes"),
    [
        ({"return_token_ids"}, {"ids": False}),
        ({"prompt ids"}, {"ids": False}),  # it reads the list as a text
        ({"logprobs"}, {"logprobs": 0, "echo": False}),
        ({"prompt_logprobs"}, {"prompt_logprobs": None}),
        ({"stop"}, {"stop": False, "names_stop": False}),
        ({"seed"}, {"seed": False}),
        ({"echo"}, {"echo": False}),
    ],
    ids=lambda value: next(iter(value)),
)
def test_what_a_server_ignores_is_not_taken_for_done(server, client, without: set[str], changes: dict) -> None:
    server.without = without
    found = abilities(client)
    assert found == Abilities(**{**vars(WHOLE), **changes})


def test_a_server_that_declines_without_saying_how_many(server: OpenAIServer, client: ServerClient) -> None:
    """Fewer are asked for, until it answers."""
    no = Fault(400, b'{"error": {"message": "too many"}}')
    answers = [Fault(), Fault(), no, no, Fault()]  # a text, one that stops, 1000, 20, then 5 log-probabilities
    server.faults += answers
    assert abilities(client).logprobs == 5
    asked = [seen.body["logprobs"] for seen in server.seen if seen.body and "logprobs" in seen.body]
    assert asked == [1000, 20, 5, 1, 1]  # the last two are for the prompt repeated


def test_a_prompt_repeated_with_the_wrong_probabilities_is_not_taken(server: OpenAIServer, client, monkeypatch) -> None:
    """As llama-cpp-python 0.3 does: each token has one, and it is another's."""
    import openai_server as module

    right = module.echoed

    def wrong(ids: list[int], body: dict) -> dict:
        told = right(ids, body)
        values = told["choices"][0]["logprobs"]["token_logprobs"]
        values[1:] = [value - 3.0 for value in values[1:]]
        return told

    assert abilities(client).echo
    monkeypatch.setattr(module, "echoed", wrong)
    assert not abilities(client).echo


@pytest.mark.parametrize("status", [401, 429, 302])
def test_a_server_that_cannot_be_asked_is_an_error_and_no_ability(server, client, status: int) -> None:
    server.faults += [Fault(), Fault(), Fault(status)]
    with pytest.raises(CapotError) as raised:
        abilities(client)
    assert raised.value.code in ("server_no_key", "server_busy", "server_redirects")


def test_the_model_is_the_one_that_is_named_or_the_only_one(server: OpenAIServer, client: ServerClient) -> None:
    assert choose(parse_address(server.url), models(client)).name == NAME
    server.models = [NAME, "other"]
    served = models(client)
    assert choose(parse_address(f"{server.url}#other"), served).name == "other"
    server.models = []
    for address, listed, code in [
        (server.url, served, "server_which_model"),
        (f"{server.url}#nothing", served, "server_no_model"),
        (server.url, models(client), "server_empty"),
    ]:
        with pytest.raises(CapotError) as raised:
            choose(parse_address(address), listed)
        assert raised.value.code == code
    assert "#org/scripted" in _told(server, served) and "org/scripted, other" in _told(server, served)


def _told(server: OpenAIServer, served: tuple[ServedModel, ...]) -> str:
    with pytest.raises(CapotError) as raised:
        choose(parse_address(server.url), served)
    return raised.value.message("en")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"data": [{"id": "a", "meta": {"n_ctx": 512}}, {"id": "b", "max_model_len": "9", "root": 1}]}', [512, None]),
        (b'{"data": [{"name": "no id"}]}', []),
        (b'{"data": ["a"]}', None),
        (b'{"models": []}', None),
        (b"[]", None),
    ],
)
def test_lists_of_other_servers(server: OpenAIServer, client: ServerClient, body: bytes, expected) -> None:
    server.faults.append(Fault(200, body))
    if expected is None:
        with pytest.raises(CapotError) as raised:
            models(client)
        assert raised.value.code == "server_other_kind"
    else:
        assert [model.context_length for model in models(client)] == expected
