"""What all who use an opened model share."""

from __future__ import annotations

import functools
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from capot import engines
from capot.config import Loading, Serving
from capot.engines.loaded import Loaded, weights_bytes
from capot.errors import ArgumentTypeError, BusyError, NetworkError
from capot.sources.hub.events import drain
from capot.view.event import ProgressCallback, ProgressEvent

if TYPE_CHECKING:
    from capot.engines.openai.served import Served
    from capot.engines.protocol import Engine
    from capot.engines.scheduler import Scheduler
    from capot.engines.scheduler.job import PromptProgress
    from capot.sources.checkpoint import Checkpoint
    from capot.sources.hub.checkpoint import HubCheckpoint
    from capot.sources.hub.events import Watch
    from capot.text.tokenizer import Tokenizer


class SharedModel:
    """What all who use an opened model share: its files, its vocabulary, its engine; each comes at first need.

    The engine ends with the last of them: its thread would keep it, weights and all, when whoever opened the model
    has let go of it unclosed.
    """

    def __init__(
        self,
        loading: Loading,
        *,
        checkpoint: Checkpoint | None,
        notice: engines.Notice = engines.no_notice,
        watch: Watch = drain,
        served: Served | None = None,
    ) -> None:
        self.loading = loading
        self.checkpoint = checkpoint
        self.watch = watch
        self.served = served  # what a server says of the model, where one computes
        self.at_once = Serving.max_served_texts  # texts that it is asked for together
        self.reading: PromptProgress | None = None  # hears, on the engine thread, how far each prompt has been read
        self.at_work: Scheduler | None = None  # once the engine is open
        self.notice = notice
        self.closed = False
        self.on_progress: ProgressCallback | None = None  # how far the engine's opening has come
        self.loaded: Loaded | None = None  # what opening the engine took
        self._end: weakref.finalize[..., SharedModel] | None = None
        self._opening = threading.RLock()

    @functools.cached_property
    def tokenizer(self) -> Tokenizer:
        from capot.text.tokenizer import Tokenizer

        if self.served is not None and self.checkpoint is None:
            # Without files, all that is known of the vocabulary is what the server says of it.
            return Tokenizer(self.served.vocabulary, name=self.served.model.name)
        if self.checkpoint is None:
            return Tokenizer.bytes()
        self.checkpoint.fetch("tokenizer")
        return Tokenizer.from_file(self.checkpoint.path, name=self.checkpoint.name)

    @functools.cached_property
    def published(self) -> HubCheckpoint | None:
        """Return what the hub has of a server's model that goes by a hub's name, its small files fetched.

        Raises: as ``HubCheckpoint.of``; NetworkError ``published_unreachable``.
        """
        from capot.sources.hub.checkpoint import HubCheckpoint
        from capot.sources.hub.listing import is_name

        if self.served is None or self.checkpoint is not None:
            return None
        served = self.served.model
        name = next((name for name in (served.source, served.name) if name and is_name(name)), None)
        try:
            return None if name is None else HubCheckpoint.of(name, watch=self.watch)
        except NetworkError as error:
            if error.code != "hub_unreachable":
                raise
            # Whoever asks a server in this room would not know why the hub is spoken of.
            given = error.params
            raise NetworkError("published_unreachable", name=name, host=given["host"], reason=given["reason"]) from None

    @property
    def scheduler(self) -> Scheduler:
        """Return what computes; opens the engine where it is not open. Raises: BusyError ``closed``."""
        found = self.at_work
        if found is None:
            # Those who come while it opens wait for it: each would read the weights for itself.
            with self._opening:
                found = self.at_work = self.at_work or self._opened()
        return found

    def _opened(self) -> Scheduler:
        if self.closed:
            raise BusyError("closed")
        from capot.engines.scheduler import Scheduler

        scheduler = Scheduler(self._engine()) if self.served is None else self._served_scheduler(self.served)
        scheduler.reading = self.reading
        # The engine thread holds the scheduler, never this: so this can be collected, and the thread told to end.
        self._end = weakref.finalize(self, scheduler.leave)
        # At the interpreter's end the scheduler stops its own thread.
        self._end.atexit = False
        return scheduler

    def _engine(self) -> Engine:
        """Return the engine, opened now; what that took is noted."""
        from capot.chapters.memory.process import sizes

        self._tell("opening", 0, None)
        # Resident memory before and after: what the process has grown by, its libraries included.
        before = sizes()
        began = time.perf_counter()
        engine = engines.open_engine(self.loading, self.checkpoint, notice=self._notice)
        seconds = time.perf_counter() - began
        after = sizes()
        info = engine.info
        grown = max(0, after.resident - before.resident) if before and after else None
        weights = weights_bytes(self.checkpoint, info.dtype)
        self.loaded = Loaded(info.engine, info.device, info.dtype, seconds, weights, grown)
        self._tell("opening", weights, weights)
        return engine

    def _served_scheduler(self, served: Served) -> Scheduler:
        """Return what asks the server; nothing is opened here but connections."""
        began = time.perf_counter()
        scheduler = served.scheduler(self.checkpoint, at_once=self.at_once)
        info = scheduler.engine.info
        self.loaded = Loaded(info.engine, info.device, info.dtype, time.perf_counter() - began, 0, None)
        return scheduler

    def _notice(self, key: str, **params: Any) -> None:
        if key == "native.compiling":
            self._tell("compiling", 0, None)
        self.notice(key, **params)

    def _tell(self, step: Literal["opening", "compiling"], done: int, total: int | None) -> None:
        if self.on_progress is not None:
            self.on_progress(ProgressEvent(step, done, total, "bytes", self.loading.model, self.loaded))

    def close(self) -> None:
        """Stop the engine and give its memory back. Closing twice is harmless."""
        self.closed, self.loaded = True, None
        # Taken out first: no text that arrives meanwhile finds a scheduler that is ending.
        scheduler, self.at_work = self.at_work, None
        if self._end is not None:
            self._end.detach()  # it holds the scheduler
            self._end = None
        if scheduler is not None:
            scheduler.close()
        elif self.served is not None:
            self.served.client.close()

    def __reduce_ex__(self, _: Any) -> NoReturn:
        raise ArgumentTypeError("not_copied", kind=type(self).__name__, name=self.loading.model)
