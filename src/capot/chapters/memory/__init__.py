"""What a prompt of N tokens costs in memory and time: computed, simulated, measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

from capot.chapters.chapter import Chapter, ModelVerb

if TYPE_CHECKING:
    from capot.chapters.memory.result import Memory
    from capot.chapters.protocols import Opened
    from capot.view.event import ProgressEvent

EXAMPLE = {"simulate": True, "known": "Llama-3.2-1B", "tokens": [1, 512, 8192]}
BESIDE = dict.fromkeys(("gpu", "precision", "kv_precision", "users_at"), "simulate")
BESIDE |= {"mode": "tokens", "progress": "tokens"}  # a line to paste that measures little
VERB = ModelVerb("memory.verb:weigh", EXAMPLE, in_turn=True, beside=BESIDE)
CHAPTER = Chapter("memory", {"memory": VERB}, ("memory",))


class MemoryVerbs:
    """The verb of the chapter ``memory``."""

    def memory(
        self: Opened, tokens: str | Sequence[int] = (), *, mode: Literal["last", "all"] = "last",
        simulate: bool = False, known: str = "", gpu: str | Sequence[str] = "24GB,80GB",
        precision: str | Sequence[str] = "bf16,int8,int4", kv_precision: str = "bf16",
        users_at: str | Sequence[int] = "2048,8192", progress: Callable[[ProgressEvent], None] | None = None,
    ) -> Memory:  # fmt: skip
        """Say what prompts of ``tokens`` tokens cost beyond the weights, in memory and in time.

        They are measured by running them; what was measured before Ctrl-C, or before memory would run out, is
        answered.
        ``tokens``: lengths; none takes 1, 2, 4... to 8,192.
        ``mode``: ``last`` keeps the logits of the last position, ``all`` those of every position.
        ``simulate``: compute from config.json alone, and say what fits on 1, 2 and 8 GPUs.
        ``known``: the name of a published model whose shape to take instead of this model's; simulates.
        ``gpu``: sizes of a GPU's memory, where it simulates.
        ``precision``: precisions of the weights, where it simulates.
        ``kv_precision``: precision of the key/value cache, where it simulates.
        ``users_at``: lengths of texts for which to say how many users there can be at once, where it simulates.
        ``progress``: hears each row as soon as it is measured, the ``value`` of a :class:`capot.ProgressEvent`.

        Units: bytes, seconds, tokens.
        Raises: InputError ``bad_length``, ``out_of_range``, ``bad_size``, ``unknown_precision``, ``unknown_mode``,
        ``needs_simulate`` for what only a simulation heeds;
        NotFoundError ``unknown_shape``; CapabilityError where the engine cannot; ResourceError ``memory_short``
        and BusyError ``too_much_memory`` before the first row.

        >>> import capot
        >>> answer = capot.open("scripted").memory("1,64")
        >>> [row.computed.kv_cache for row in answer.rows] == [row.measured.kv_cache for row in answer.rows]
        True
        """
        from capot.chapters.memory.verb import weigh

        return weigh(
            self, tokens, mode=mode, simulate=simulate, known=known, gpu=gpu, precision=precision,
            kv_precision=kv_precision, users_at=users_at, progress=progress,
        )  # fmt: skip
