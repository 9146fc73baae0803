"""Fixtures shared by the tests. Nothing here reaches outside this machine."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from web_helpers import browser, doomed, mortal, server, visit  # noqa: F401 - fixtures of the browser tests

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("CAPOT_SHARED", ROOT.parent / "shared"))

# On a busy machine examples are made slowly, which says nothing of what is tested.
settings.register_profile("busy", deadline=None, suppress_health_check=list(HealthCheck))
settings.load_profile("busy")

# A suite started in the background of a script inherits a Ctrl-C that is ignored, and so would what it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def steady_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    """English, no colour, no model from the environment, no hub and no servers nearby, whoever runs the tests."""
    monkeypatch.setattr("capot.sources.nearby.USUAL", {})
    for name in ("CAPOT_MODEL", "LC_ALL", "LC_MESSAGES", "LANG", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CAPOT_LANG", "en")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="session")
def shared_tokenizers() -> Path:
    """Real vocabularies, never committed; tests that need them are skipped, by name, without them."""
    folder = SHARED / "tokenizers"
    if not folder.is_dir():
        pytest.skip(f"real vocabularies are not at {folder}")
    return folder
