"""Tell which model is at work, and put another in its place: the server's owner only, with progress."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from capot import engines
from capot.chapters.card.gated import before_the_gate
from capot.config import Loading
from capot.engines.protocol import UNKNOWN, Capability
from capot.errors import AccessError, CapotError, InputError, redact
from capot.i18n import Bytes, language, tr
from capot.model import Model, open_loading
from capot.sources.hub.events import DownloadProgress
from capot.view.result import Result
from capot.web.events import NamedEvent
from capot.web.garbage_collection import collect_all
from capot.web.learners import Learners
from capot.web.verbs import Verb, json_schema
from capot.web.view_data import view_of

PROGRESS_S = 0.2  # between two words about a download
STAGES = ("config", "vocabulary", "weights", "first_token")


@dataclass(frozen=True)
class ModelAtWork(Result):
    """What every page shows of the model.

    ``parameters`` is None if no file says how many there are, ``context_length`` if a server does not tell it.
    """

    model: str
    engine: str
    architecture: str
    device: str
    dtype: str
    parameters: int | None
    vocabulary_size: int
    context_length: int | None
    layers: int
    width: int
    heads: int
    kv_heads: int


def at_work(model: Model) -> ModelAtWork:
    """Describe the model at work. Opens the engine if it is not open yet."""
    info = model.scheduler.engine.info
    facts = {name: getattr(info, name) for name in info.__dataclass_fields__}
    if facts["context_length"] == UNKNOWN:
        facts["context_length"] = None
    return ModelAtWork(**facts, parameters=_count_parameters(model))


_parameter_counts: weakref.WeakKeyDictionary[Model, int | None] = weakref.WeakKeyDictionary()


def _count_parameters(model: Model) -> int | None:
    if model not in _parameter_counts:
        try:
            _parameter_counts[model] = model.card().parameters.total
        except CapotError:  # the scripted engine has no weights
            _parameter_counts[model] = None
    return _parameter_counts[model]


class OpenRequest(BaseModel):
    """A model to open: ``boxed``, ``scripted``, a folder of the server's machine or a name on the hub."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"model": "scripted"}]})
    model: str = Field(min_length=1, max_length=1000, pattern=r"^[^\x00]+$")
    engine: str | None = Field(default=None, max_length=40)


def verb(learners: Learners) -> Verb:
    """Return opening as a verb like the others, which reports its progress and answers what is at work."""

    def replace(
        _: Model, model: str, engine: str | None = None, *, progress: Callable[[NamedEvent], None]
    ) -> ModelAtWork:
        try:
            if engines.is_server(Loading(model=model)):  # the owner's key would go where a page says
                raise InputError("server_in_lab", address=model)
            found = open_warm(Loading(model=model, engine=engine), tell=progress)
        except CapotError as error:
            if isinstance(error, AccessError):
                _tell_card(model, error, tell=progress)
            raise _with_paths(error) from error
        before = learners.replace(found)
        threading.Thread(
            target=_close_and_collect, args=[before], name="capot-closing"
        ).start()  # waits for the last step
        return at_work(found)

    return Verb("open", "", replace, OpenRequest, json_schema(ModelAtWork))


def _tell_card(name: str, refusal: AccessError, *, tell: Callable[[NamedEvent], None]) -> None:
    """Send the card of a model that the hub does not hand out: what it tells everyone, where it tells anything."""
    try:
        preview = before_the_gate(name, refusal)
    except CapotError:  # the refusal itself says more
        return
    tell(NamedEvent("card", {"result": preview.to_dict(), "view": view_of(preview, language())}))


def _with_paths(error: CapotError) -> CapotError:
    """Return the same error with its paths: who opens a model has typed them, and must find what to mend."""
    params = {name: str(value) if _is_private(value) else value for name, value in error.params.items()}
    return error.with_params(params)


def _is_private(value: Any) -> bool:
    """Return whether others than the owner would be shown something else."""
    return bool(redact(value) != value)


def _close_and_collect(model: Model) -> None:
    """Close a model and free its files now.

    Its parts refer to each other, so they would stay mapped until the garbage collector finds them.
    """
    model.close()
    del model
    collect_all()


def open_warm(loading: Loading, *, tell: Callable[[NamedEvent], None]) -> Model:
    """Open a model, read all of it and compute one token, so that the first learner does not wait.

    Raises: what opening raises; InterruptedByUser if ``tell`` does.
    """

    def stage(name: str) -> None:
        progress: dict[str, Any] = {"done": STAGES.index(name), "total": len(STAGES), "stage": name}
        tell(NamedEvent("progress", {**progress, "message": tr(f"serve.opening.{name}", lang)}))

    lang = language()
    stage("config")
    page = _ProgressSink(tell, lang)
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


class _ProgressSink:
    """Pass on an opening's progress, and nothing once the opening is over.

    A model keeps the two callbacks that it was opened with. A page holds the model before its own, and that one its
    own page: without this sink each model would keep all those before it in memory.
    """

    def __init__(self, tell: Callable[[NamedEvent], None], lang: str) -> None:
        self.tell: Callable[[NamedEvent], None] | None = tell
        self.lang = lang

    def noticed(self, key: str, **params: Any) -> None:
        if self.tell is not None:
            self.tell(NamedEvent("notice", {"message": tr(key, self.lang, **params)}))

    def followed(self, events: Iterator[DownloadProgress]) -> None:
        """Report a download a few times a second. ``tell`` raises if its page stopped it."""
        last = 0.0
        for event in events:
            now = time.monotonic()
            if self.tell is not None and event.total and (now - last > PROGRESS_S or event.step == "done"):
                last = now
                message = tr("serve.opening.download", self.lang, done=Bytes(event.done), total=Bytes(event.total))
                body = {"done": event.done, "total": event.total, "stage": "download", "message": message}
                self.tell(NamedEvent("progress", body))


def warm(model: Model, ready: Callable[[], None] = lambda: None) -> None:
    """Open the engine and compute one token, so that kernels are compiled and files are mapped."""
    scheduler = model.shared.scheduler
    ready()
    if Capability.WRITES in scheduler.engine.capabilities:  # a server is warm, and its tokens cost
        return
    scheduler.run([0], owner="warm")
    scheduler.forget("warm")
