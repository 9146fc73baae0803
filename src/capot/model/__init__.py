"""An opened model. Its verbs are methods that the chapters write (``capot.chapters.registry``).

>>> import capot
>>> capot.open("scripted").tokens("œuf").bytes
4
"""

from __future__ import annotations

import dataclasses
import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, TypeVar

from capot import engines
from capot.chapters.arguments import Arguments
from capot.chapters.registry import Verbs
from capot.config import Loading
from capot.errors import ArgumentTypeError, BusyError, NotFoundError, check_lang, use_language
from capot.i18n import tr
from capot.model.shared import SharedModel
from capot.sources.hub.events import log_progress
from capot.view.event import ProgressEvent, download_progress
from capot.view.visible import paragraph

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

BOXED = Path(__file__).parent.parent / "boxed"
VARIABLE = "CAPOT_MODEL"  # of the environment: the model that is opened where none is named


_P = ParamSpec("_P")
_T = TypeVar("_T")


def _bound(function: Callable[_P, _T]) -> Callable[_P, _T]:
    """Return ``function`` with its arguments checked first: Python would tell a stray one in its own words."""

    @functools.wraps(function)
    def checked(*args: _P.args, **given: _P.kwargs) -> _T:
        held: Callable[..., _T] = function
        return held(**_opening().bind(*args, **given))

    return checked


@_bound
def open(
    model: str | Path | None = None, *, engine: str | None = None, device: str | None = None,
    dtype: str | None = None, revision: str | None = None, trust_remote_code: bool = False, compiled: bool = False,
    lang: str | None = None, progress: Callable[[ProgressEvent], None] | None = None,
) -> Model:  # fmt: skip
    """Open a model by name or folder; nothing is read but its config, and ``load`` opens the rest.

    ``model``: ``boxed``, ``scripted``, a folder in Hugging Face's layout, or ``org/name``, a model of the hub,
    of which only the small files come before more is needed; the address of a server (``http://127.0.0.1:8000/v1``,
    with ``#name`` and ``CAPOT_API_KEY`` as it needs); None takes ``CAPOT_MODEL``, else ``boxed``.
    ``engine``: ``native``, ``transformers`` or ``scripted``; None lets capot choose.
    ``device``: where to compute (``cpu``, ``cuda``, ``cuda:1``, ``mps``); None lets the engine choose.
    ``dtype``: the precision to compute in (``float32``, ``bfloat16``, ``float16``); None lets the engine choose.
    ``revision``: a branch, a tag or a commit of a model of the hub.
    ``trust_remote_code``: let Python files of the model's authors run with all your rights.
    ``compiled``: compile the passes that decode one text (transformers alone).
    ``lang``: the language in which answers and errors show themselves, ``fr`` or ``en``; None is the one in use
    when they do.
    ``progress``: hears of downloads, now and later, and of the engine's opening, as :class:`capot.ProgressEvent`; None
    tells of downloads in a few lines on standard error.

    Raises: ArgumentTypeError; NotFoundError ``unknown_model``, ``model_address``; InputError ``unknown_language``,
    ``unknown_device``, ``unknown_precision``, ``revision_of_folder``, ``server_setting``; ModelError for a damaged
    config; for a model of the hub, as ``HubCheckpoint.of``; for one of a server, as ``open_served``.

    >>> import capot
    >>> capot.open("scripted").name
    'scripted'
    """
    settings: dict[str, Any] = {
        "engine": engine, "device": device, "dtype": dtype, "revision": revision,
        "trust_remote_code": trust_remote_code, "compiled": compiled,
    }  # fmt: skip
    named = os.environ.get(VARIABLE) or Loading.model if model is None else str(model)
    with use_language(check_lang(lang)):
        watch = None if progress is None else download_progress(progress)
        opened = open_loading(Loading(model=named, **settings), notice=_say, watch=watch, lang=lang)
    opened.shared.on_progress = progress
    return opened


@functools.cache
def _opening() -> Arguments:
    return Arguments(open, call="capot.open", example={"model": "boxed"})


def _say(key: str, **params: Any) -> None:
    """Tell a program's user on standard error: of downloads, of what trusting code means, of layers left out."""
    if key.startswith(("hub.", "engines.unused")):
        print(paragraph(tr(key, **params)), file=sys.stderr)


def open_loading(
    loading: Loading, *, notice: engines.Notice = engines.no_notice, watch: Watch | None = None, lang: str | None = None
) -> Model:
    """Open what ``loading`` names; ``notice`` hears, by key, what is being waited for.

    ``watch`` follows the downloads, of which ``notice`` hears in a few lines where there is none. ``lang`` is the
    model's language.
    """
    watch = watch or log_progress(notice)
    chosen = engines.choose_engine(loading)
    engines.check_names(loading)
    # Imported only here: whoever opens a folder pays for no client of servers.
    if chosen == "openai":
        from capot.engines.openai.served import with_files
        from capot.text.tokenizer import Tokenizer

        served, files = with_files(loading.model, cut=lambda path, text: Tokenizer.from_file(path).encode(text))
        shared = SharedModel(loading, checkpoint=files, notice=notice, watch=watch, served=served)
        return Model(shared, lang=lang)
    if chosen == "scripted":
        return Model(SharedModel(loading, checkpoint=None, notice=notice, watch=watch), lang=lang)
    from capot.sources.located import located

    remote_code = loading.trust_remote_code
    checkpoint = located(loading.model, boxed=BOXED, revision=loading.revision, remote_code=remote_code, watch=watch)
    if loading.trust_remote_code:
        _warn(loading, checkpoint, notice)
    return Model(SharedModel(loading, checkpoint=checkpoint, notice=notice, watch=watch), lang=lang)


def _warn(loading: Loading, checkpoint: Checkpoint, notice: engines.Notice) -> None:
    """Say what trusting a model's own code means, or that it has none."""
    from capot.sources.hub.listing import code_files

    runs = engines.choose_engine(loading, checkpoint) == "transformers"
    files = ", ".join(code_files(checkpoint.raw_config)) if runs else ""
    notice("hub.remote_code" if files else "hub.no_remote_code", name=checkpoint.name, files=files)


class Model(Verbs):
    """A model opened for one person: ``shared`` is everybody's, ``owner`` says on whose behalf it computes.

    It is a context manager; leaving it gives weights and caches back.
    """

    def __init__(
        self,
        shared: SharedModel,
        *,
        owner: str = "local",
        scheduler: SchedulerLike | None = None,
        renderer: Renderer | None = None,
        remote_encoder: RemoteEncoder | None = None,
        lang: str | None = None,
    ) -> None:
        """Open nothing yet. ``scheduler``, ``renderer`` and ``remote_encoder`` replace the usual ones."""
        self.shared = shared
        self.owner = owner
        self.lang = lang
        self._scheduler = scheduler
        self._renderer = renderer
        self._remote_encoder = remote_encoder

    @property
    def loading(self) -> Loading:
        return self.shared.loading

    @property
    def watch(self) -> Watch:
        return self.shared.watch

    @property
    def closed(self) -> bool:
        """Return whether it was closed: every verb says so from then on."""
        return self.shared.closed

    @property
    def loaded(self) -> Loaded | None:
        """Return engine, device, precision, time and memory of the model at work; None before it is loaded and once
        closed.

        Units: seconds, bytes.
        """
        return self.shared.loaded

    def load(self) -> Loaded:
        """Open the engine now, which the first verb that needs it does otherwise, and say what that took.

        A model that is loaded stays as it is.

        Units: seconds, bytes.
        Raises: BusyError ``closed``; the engine's errors.

        >>> import capot
        >>> capot.open("scripted").load().engine
        'scripted'
        """
        with use_language(self.lang):
            self.shared.scheduler  # noqa: B018 - it opens what is not open
        assert self.loaded is not None
        return self.loaded

    def tune(self) -> DecodePlan:
        """Time the ways in which the native engine can read the weights of one token's products, and keep the
        quickest for this machine.

        It is done where the kernels are compiled, once; again after memory or processor have changed. Takes two
        seconds, and changes no answer.

        Units: bytes, bytes a second.
        Raises: CapabilityError ``not_tuned`` for another engine; ResourceError ``tuning_room``; as ``load``.
        """
        with use_language(self.lang):
            engines.check_tuned(self.engine_name)
            engine = self.shared.scheduler.engine
            self.shared.notice("native.tuning")
            return engines.tune(engine)

    def decode_plan(self, *, dtype: str | None, weights_bytes: int) -> DecodePlan | None:
        """Return how such weights were found to be read best, where the native engine is the one that computes."""
        return engines.kept_plan(self.loading, self.shared.checkpoint, dtype=dtype, weights_bytes=weights_bytes)

    @property
    def name(self) -> str:
        if self.shared.served is not None:
            return self.shared.served.model.name
        return self.shared.checkpoint.name if self.shared.checkpoint else "scripted"

    @property
    def checkpoint(self) -> Checkpoint:
        """Return the model's folder. Raises: NotFoundError ``no_checkpoint`` (scripted, and most of servers)."""
        if self.shared.checkpoint is None:
            with use_language(self.lang):
                raise NotFoundError("no_checkpoint", name=self.name)
        return self.shared.checkpoint

    @property
    def published(self) -> HubCheckpoint | None:
        """Return what the hub has of a model that a server has, None for any other. Raises: as ``HubCheckpoint.of``."""
        with use_language(self.lang):
            return self.shared.published

    @property
    def server(self) -> ServerFacts | None:
        """Return what a server was seen to do, where one computes; None on this machine.

        Raises: as ``probe.abilities``.
        """
        with use_language(self.lang):
            served = self.shared.served
            return None if served is None else served.facts(files=self.shared.checkpoint is not None)

    @property
    def engine_name(self) -> str:
        """Return the engine that will compute, or that computes; naming it opens nothing."""
        return engines.choose_engine(self.loading, self.shared.checkpoint)

    @property
    def obstacle(self) -> str | None:
        """Return what that engine still lacks, as ``engines.obstacle`` has it; None where it is open."""
        # An engine at work lacks nothing, and one of a lab's own is none of this process's to judge.
        if self._scheduler is not None or self.shared.at_work is not None or self.shared.checkpoint is None:
            return None
        return engines.obstacle(self.loading, self.shared.checkpoint)

    @property
    def tokenizer(self) -> Tokenizer:
        with use_language(self.lang):
            return self.shared.tokenizer if self._remote_encoder is None else self._remote_tokenizer

    @functools.cached_property
    def _remote_tokenizer(self) -> Tokenizer:
        return self.shared.tokenizer.with_remote_encoder(self._remote_encoder)

    @property
    def renderer(self) -> Renderer:
        """Return what renders chat templates: this process; a lab puts another in its place."""
        from capot.text.templates import sandbox

        return self._renderer or sandbox.render

    @property
    def remote_encoder(self) -> RemoteEncoder | None:
        """Return None, as every text is cut in this process; a lab puts another in its place."""
        return self._remote_encoder

    @property
    def scheduler(self) -> SchedulerLike:
        """Return what computes for this person; opens the engine where it is not open."""
        with use_language(self.lang):
            return self._scheduler or self.shared.scheduler

    def on_behalf_of(
        self,
        owner: str,
        *,
        scheduler: SchedulerLike | None = None,
        renderer: Renderer | None = None,
        remote_encoder: RemoteEncoder | None = None,
    ) -> Model:
        """Return the same model for another person: shared weights, caches never shared."""
        return Model(
            self.shared,
            owner=owner,
            scheduler=scheduler or self.scheduler,
            renderer=renderer or self._renderer,
            remote_encoder=remote_encoder or self._remote_encoder,
            lang=self.lang,
        )

    def close(self) -> None:
        """Stop the engine and give its memory back, whoever uses it. Closing twice is harmless."""
        self.shared.close()

    def __enter__(self) -> Model:
        if self.closed:
            with use_language(self.lang):
                raise BusyError("closed")
        return self

    def __reduce_ex__(self, _: Any) -> NoReturn:
        """Refuse to be copied or pickled. Raises: ArgumentTypeError ``not_copied``."""
        with use_language(self.lang):
            raise ArgumentTypeError("not_copied", kind=type(self).__name__, name=self.loading.model)

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        fields = dataclasses.asdict(self.loading)
        set_by_user = ", ".join(f"{name}={value!r}" for name, value in fields.items() if value)
        state = tr("python.closed", self.lang) if self.closed else self.loaded and self.loaded.words(self.lang)
        return f"Model({set_by_user})" + (f" # {state}" if state else "")
