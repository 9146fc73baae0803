"""What a chapter works on: an opened model, seen through the parts a chapter may use.

Everything behind it is fetched at first need: ``checkpoint`` reads config.json
alone, ``tokenizer`` the vocabulary, ``scheduler`` opens the engine. A chapter that
touches only ``tokenizer`` therefore never loads a weight.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

# For a checker alone: a text that is continued needs no template, and a first token waits for every import.
if TYPE_CHECKING:
    from capot.engines.decode_plan import DecodePlan
    from capot.engines.loaded import Loaded
    from capot.engines.scheduler import SchedulerLike
    from capot.engines.seen import ServerFacts
    from capot.sources.checkpoint import Checkpoint
    from capot.sources.hub.checkpoint import HubCheckpoint
    from capot.sources.hub.events import Watch
    from capot.text.templates.message import Renderer
    from capot.text.tokenizer import RemoteEncoder, Tokenizer


class Opened(Protocol):
    """Implemented by ``model.Model``; tests may use anything of this shape."""

    @property
    def name(self) -> str:
        """Return ``boxed``, ``scripted``, a folder's name or one of the hub's."""

    @property
    def engine_name(self) -> str:
        """Return the engine that will compute, or that computes; naming it opens nothing."""

    @property
    def obstacle(self) -> str | None:
        """Return what that engine still lacks: family, device, extra, untried, version, code.

        None as far as is known.
        """

    @property
    def loaded(self) -> Loaded | None:
        """Return what opening the engine took; None where it is not open."""

    def decode_plan(self, *, dtype: str | None, weights_bytes: int) -> DecodePlan | None:
        """Return how the engine was found to read such weights best here; None where it was not tried."""

    @property
    def server(self) -> ServerFacts | None:
        """Return what a server was seen to do, where one computes; it is asked now. None on this machine."""

    @property
    def checkpoint(self) -> Checkpoint:
        """Return the model's folder, its config read and its weights not."""

    @property
    def published(self) -> HubCheckpoint | None:
        """Return what the hub has of a model that a server has, its weights not here; None for any other."""

    @property
    def tokenizer(self) -> Tokenizer:
        """Return what turns text into ids and back."""

    @property
    def scheduler(self) -> SchedulerLike:
        """Return the one thread that computes; ``scheduler.engine.info`` names what is at work."""

    @property
    def renderer(self) -> Renderer:
        """Return what renders chat templates: this process, or in a lab one that can be ended."""

    @property
    def remote_encoder(self) -> RemoteEncoder | None:
        """Return what cuts texts with a tokenizer whose time is not known; None where this process does."""

    @property
    def watch(self) -> Watch:
        """Return what follows a download that a chapter begins, another model's tokenizer for instance."""

    @property
    def owner(self) -> str:
        """Return on whose behalf it computes: caches are never reused across owners."""
