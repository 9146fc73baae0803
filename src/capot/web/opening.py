"""What is at work, and putting another model in its place: the server's owner only, with progress."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from capot.chapters.card.gated import before_the_gate
from capot.config import Loading
from capot.errors import AccessError, CapotError, told
from capot.i18n import Bytes, language, tr
from capot.model import Model, open_loading
from capot.sources.hub.events import DownloadProgress
from capot.view.result import Result
from capot.web.collecting import everything
from capot.web.events import NamedEvent
from capot.web.learners import Learners
from capot.web.shown import view_of
from capot.web.verbs import Verb, schema

EVERY_S = 0.2  # between two words about a download
STAGES = ("config", "vocabulary", "weights", "first_token")


@dataclass(frozen=True)
class AtWork(Result):
    """The line that every page shows. ``parameters`` None where the model has no files to count them in."""

    model: str
    engine: str
    architecture: str
    device: str
    dtype: str
    parameters: int | None
    vocabulary_size: int
    context_length: int
    layers: int
    width: int
    heads: int
    kv_heads: int


def at_work(model: Model) -> AtWork:
    """What is at work; opens the engine where it is not open yet."""
    info = model.scheduler.engine.info
    facts = {name: getattr(info, name) for name in info.__dataclass_fields__}
    return AtWork(**facts, parameters=_parameters(model))


_counted: weakref.WeakKeyDictionary[Model, int | None] = weakref.WeakKeyDictionary()


def _parameters(model: Model) -> int | None:
    if model not in _counted:
        try:
            _counted[model] = model.card().parameters.total
        except CapotError:  # the scripted engine has no weights
            _counted[model] = None
    return _counted[model]


class OpenRequest(BaseModel):
    """Which model: ``boxed``, ``scripted``, a folder of the server's machine or a name on the hub."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"model": "scripted"}]})
    model: str = Field(min_length=1, max_length=1000, pattern=r"^[^\x00]+$")
    engine: str | None = Field(default=None, max_length=40)


def verb(learners: Learners) -> Verb:
    """Opening as a work like the others: progress while it lasts, what is at work at its end."""

    def replace(_: Model, model: str, engine: str | None = None, *, progress: Callable[[NamedEvent], None]) -> AtWork:
        try:
            found = opened(Loading(model=model, engine=engine), tell=progress)
        except CapotError as error:
            if isinstance(error, AccessError):
                _tell_card(model, error, tell=progress)
            raise _for_owner(error) from error
        before = learners.replace(found)
        threading.Thread(target=_given_back, args=[before], name="capot-closing").start()  # waits for the last step
        return at_work(found)

    return Verb("open", "", replace, OpenRequest, schema(AtWork))


def _tell_card(name: str, refusal: AccessError, *, tell: Callable[[NamedEvent], None]) -> None:
    """The card of a model that the hub does not hand out: what it tells everyone, where it tells anything."""
    try:
        told = before_the_gate(name, refusal)
    except CapotError:  # the refusal itself says more
        return
    tell(NamedEvent("card", {"result": told.to_dict(), "view": view_of(told, language())}))


def _for_owner(error: CapotError) -> CapotError:
    """The same error with its paths: who opens a model has typed them, and must find what to mend."""
    params = {name: str(value) if _kept(value) else value for name, value in error.params.items()}
    return type(error)(error.code, **params)


def _kept(value: Any) -> bool:
    """Whether others than the owner would be told something else."""
    return bool(told(value) != value)


def _given_back(model: Model) -> None:
    """Close a model and let go of its files now: its parts know each other, and would wait for the collector."""
    model.close()
    del model
    everything()


def opened(loading: Loading, *, tell: Callable[[NamedEvent], None]) -> Model:
    """The model, all of it read and one token computed, so that the first learner does not wait.

    Raises: what opening raises; InterruptedByUser where ``tell`` does.
    """

    def stage(name: str) -> None:
        told: dict[str, Any] = {"done": STAGES.index(name), "total": len(STAGES), "stage": name}
        tell(NamedEvent("progress", {**told, "message": tr(f"serve.opening.{name}", lang)}))

    lang = language()
    stage("config")
    page = _Page(tell, lang)
    try:
        model = open_loading(loading, notice=page.noticed, watch=page.followed)
        try:
            stage("vocabulary")
            model.tokenizer  # noqa: B018 - read it now
            stage("weights")
            warm(model, lambda: stage("first_token"))
        except BaseException:
            model.close()
            raise
    finally:
        page.tell = None
    return model


class _Page:
    """Whom an opening is told to, and nobody once it is over.

    A model keeps the two that it was opened with. A page holds the model that was there before, and that one its
    own page: through them each model would keep all before it.
    """

    def __init__(self, tell: Callable[[NamedEvent], None], lang: str) -> None:
        self.tell: Callable[[NamedEvent], None] | None = tell
        self.lang = lang

    def noticed(self, key: str, **params: Any) -> None:
        if self.tell is not None:
            self.tell(NamedEvent("notice", {"message": tr(key, self.lang, **params)}))

    def followed(self, events: Iterator[DownloadProgress]) -> None:
        """A download told a few times a second, in bytes; ``tell`` raises where its page stopped it."""
        told = 0.0
        for event in events:
            now = time.monotonic()
            if self.tell is not None and event.total and (now - told > EVERY_S or event.step == "done"):
                told = now
                message = tr("serve.opening.download", self.lang, done=Bytes(event.done), total=Bytes(event.total))
                body = {"done": event.done, "total": event.total, "stage": "download", "message": message}
                self.tell(NamedEvent("progress", body))


def warm(model: Model, ready: Callable[[], None] = lambda: None) -> None:
    """Open the engine and compute one token, so that kernels are compiled and files are mapped."""
    scheduler = model.shared.scheduler
    ready()
    scheduler.run([0], owner="warm")
    scheduler.forget("warm")
