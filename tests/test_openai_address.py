"""Addresses of servers of models, and the key for them: what is read, what is refused, what is never shown."""

from __future__ import annotations

import pytest

import capot
from capot.engines.openai.address import KEY, api_key, is_address, parse_address
from capot.errors import CapotError, InputError

SECRET = "s3cret-t0ken"


@pytest.mark.parametrize(
    ("text", "base", "model", "host", "root"),
    [
        ("http://127.0.0.1:8000/v1", "http://127.0.0.1:8000/v1", "", "127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("https://GPU.example/v1/#org/a b", None, None, None, None),
        (
            "https://GPU.example/v1/#org/name",
            "https://gpu.example/v1",
            "org/name",
            "gpu.example",
            "https://gpu.example",
        ),
        (
            "http://[::1]:8000/api#qwen:0.5b",
            "http://[::1]:8000/api",
            "qwen:0.5b",
            "[::1]:8000",
            "http://[::1]:8000/api",
        ),
        (" HTTP://host#a%20b@q4 ", "http://host", "a b@q4", "host", "http://host"),
    ],
)
def test_an_address_is_read_in_its_parts(text, base, model, host, root) -> None:
    assert is_address(text)
    if base is None:
        with pytest.raises(InputError, match="address"):
            parse_address(text)
        return
    found = parse_address(text)
    assert (found.base, found.model, found.host, found.root) == (base, model, host, root)
    assert parse_address(str(found).replace(" ", "%20")) == found


@pytest.mark.parametrize("name", ["boxed", "org/name", "/a/folder", "C:\\http", "httpx/model", "ftp://host/v1", ""])
def test_other_names_of_models_are_no_addresses(name: str) -> None:
    assert not is_address(name)


@pytest.mark.parametrize(
    "text",
    [
        "http://", "http:/host/v1", "http:host", "https://:8000/v1", "http://host:99999/v1", "http://host:0/v1",
        "http://host:port/v1", "http://host/v1?api-key=" + SECRET, "http://ho st/v1", "http://host/v1\nX-Key: a",
        "http://host\\evil/v1", "http://[::1/v1", "http://host/\x7fv1",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused_without_its_query(text: str) -> None:
    with pytest.raises(InputError) as refused:
        parse_address(text)
    assert refused.value.code == "server_address"
    assert SECRET not in refused.value.message("en") + repr(refused.value.params)


@pytest.mark.parametrize(
    "text",
    [
        f"http://me:{SECRET}@host:8000/v1", f"http://{SECRET}@host/v1", f"https://me:{SECRET}/x@host/v1#name",
        f"http://me:{SECRET}@host:99999/v1", "http://@host/v1", f"http://me:12#{SECRET}@host/v1",
        f"http://me:a#{SECRET}@host/v1", f"http://me:?{SECRET}@host/v1",
    ],
)  # fmt: skip
def test_a_password_in_an_address_is_refused_and_never_shown(text: str) -> None:
    with pytest.raises(InputError) as refused:
        parse_address(text)
    assert refused.value.code == "server_password" and KEY in refused.value.message("en")
    for told in (refused.value.message("en"), refused.value.message("fr"), repr(refused.value.params)):
        assert SECRET not in told


def test_the_key_comes_from_one_variable_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The key of another program is for another host."""
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    monkeypatch.setenv("HF_TOKEN", SECRET)
    monkeypatch.delenv(KEY, raising=False)
    assert api_key() is None
    monkeypatch.setenv(KEY, f" {SECRET}\n")
    assert api_key() == SECRET


@pytest.mark.parametrize("key", [f"{SECRET}\r\nX-Other: 1", f"two {SECRET}", f"clé-{SECRET}", f"\x00{SECRET}"])
def test_a_key_that_no_header_holds_is_refused_unseen(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("capot.engines.openai.address.os.environ", {KEY: key})
    with pytest.raises(InputError) as refused:
        api_key()
    assert refused.value.code == "server_key_malformed"
    assert SECRET not in refused.value.message("en") + repr(refused.value.params)


@pytest.mark.parametrize("text", [f"http://me:{SECRET}@host:8000/v1", f"https://{SECRET}@huggingface.co/org/name"])
def test_no_error_of_opening_shows_a_password(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for given in ("argument", "environment"):
        monkeypatch.setenv("CAPOT_MODEL", text)
        with pytest.raises(CapotError) as refused:
            capot.open(text if given == "argument" else None)
        assert refused.value.code == "server_password"
        assert SECRET not in refused.value.message("en") + repr(refused.value.params)


@pytest.mark.parametrize("name", ["/home/ann@work/nothing", "nobody@host/v1", "a#b@c/d"])
def test_other_names_with_an_at_sign_are_models_that_are_not_there(name: str) -> None:
    with pytest.raises(CapotError) as refused:
        capot.open(name)
    assert refused.value.code.startswith("unknown_model")
