"""What every engine gives: ids go in, an array of numbers comes out.

Glossary of shapes, the field's letters, used in the whole project:

    B  sequences advanced together       D  width of the model
    T  new tokens of one sequence        H  query heads, K  key/value heads
    S  tokens in the cache after a step  L  layers
    V  size of the vocabulary (rows of the output head)

An engine owns the weights; a :class:`Sequence` owns one key/value cache. All
calls that compute come from one thread (see ``scheduler``); only
``Sequence.cancel`` may be called from any other. Engines never import a chapter.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

import numpy as np

from capot.engines.edits import Edit, Entry, Place, check_edits
from capot.engines.inside import BLOCK_BYTES, Inside, InsideFound
from capot.errors import CapabilityError, ContextError, InputError
from capot.i18n import Reason, tr

if TYPE_CHECKING:  # what servers tell: an engine on this machine gives all logits
    from capot.engines.seen import ChosenToken, Top

MAX_CHUNK = 256  # tokens of one sequence that one step may take
UNKNOWN = 2**31 - 1  # stands for a size that a server does not tell


class Capability(enum.Flag):
    """What an engine can give. Declared by each engine, never guessed by a face."""

    LOGITS = enum.auto()  # the raw logits of the last position
    ALL_LOGITS = enum.auto()  # the same for every position fed
    HIDDEN = enum.auto()  # the vector of every position after every layer
    ATTENTION = enum.auto()  # attention weights of every layer
    LAYER_LOGITS = enum.auto()  # the head applied after every layer (logit lens)
    PREFIX = enum.auto()  # a cache can be cropped and its prefix reused
    BATCH = enum.auto()  # several sequences in one pass over the weights
    EMBEDDINGS = enum.auto()  # rows of the embedding table
    ALLOCATIONS = enum.auto()  # the engine counts the bytes it allocates
    ADDITIONS = enum.auto()  # what attention and MLP add to the residual stream
    PARTS = enum.auto()  # what each of these adds to a logit
    HEADS = enum.auto()  # what each head adds to a logit
    EDITS = enum.auto()  # states read and changed on their way: the stream, with ADDITIONS attention and MLP too
    HEAD_EDITS = enum.auto()  # the same of a head's numbers
    BRANCHES = enum.auto()  # a text goes on from a copy of another's cache, and from what left any layer
    WHOLE = enum.auto()  # logits are those of the whole vocabulary; else the most probable tokens are told (``seen``)
    RANKS = enum.auto()  # without WHOLE: the log-probability and the rank of any token that is asked for
    WRITES = enum.auto()  # it draws the tokens of a text by itself: see ``scheduler.job.WrittenJob``


@dataclass(frozen=True)
class Want:
    """What a step must return besides advancing the cache. Costs nothing when not asked.

    ``on_logits``: is called on the engine thread with the logits of all positions, chunk by chunk, and the first
    position of each chunk, so that nobody holds those of a whole text. Shapes: (T, V).
    ``ranks``: tokens whose place after the last position is told, by an engine that does not give WHOLE logits;
    ``most``: how many tokens such an engine tells at a position, if it can.
    """

    logits: Literal["last", "all", "none"] = "last"
    hidden: bool = False
    attention: bool = False
    layer_logits: bool = False
    inside: Inside | None = None
    on_logits: Callable[[int, np.ndarray], None] | None = None
    ranks: tuple[int, ...] = ()
    most: int = 10

    def tokens(self, size: int, *, layers: int, vocabulary: int) -> int:
        """Return how many tokens of a text one step reads where it would read ``size``.

        >>> Want("all", on_logits=print).tokens(256, layers=16, vocabulary=128_256)
        46
        """
        if self.on_logits is not None:
            # Logits of V numbers for each token: fewer tokens at once keep the block below BLOCK_BYTES.
            size = min(size, max(1, BLOCK_BYTES // (4 * max(1, vocabulary))))  # a server may tell none
        return size if self.inside is None else self.inside.tokens(size, layers=layers)

    @property
    def capabilities(self) -> Capability:
        """Return the capabilities an engine needs to answer."""
        needs = {
            Capability.LOGITS: self.logits != "none",
            Capability.ALL_LOGITS: self.logits == "all",
            Capability.HIDDEN: self.hidden,
            Capability.ATTENTION: self.attention,
            Capability.LAYER_LOGITS: self.layer_logits or (self.inside is not None and self.inside.k > 0),
        }
        if self.inside is not None:
            needs |= {Capability.ADDITIONS: self.inside.moved, Capability.PARTS: self.inside.parts}
            needs[Capability.ATTENTION] |= self.inside.weighs
        # ``Flag`` has no sum of its own; a missing one is 0.
        found = Capability(sum(flag.value for flag, needed in needs.items() if needed))
        return found if self.inside is None else found | touching(self.inside.states)

    @property
    def positions(self) -> bool:
        """Return whether something is asked of every position, so that no prefix may be reused."""
        # A prefix that was computed for another job left none of these behind.
        return self.logits == "all" or self.hidden or self.attention or self.inside is not None


LAST = Want()
NOTHING = Want(logits="none")


def touching(places: Iterable[Place]) -> Capability:
    """Return what an engine needs to read or to change states at ``places``.

    >>> touching([Place("residual", 3)]), touching([])
    (<Capability.EDITS: 4096>, <Capability: 0>)
    """
    more = {"attention": Capability.ADDITIONS, "mlp": Capability.ADDITIONS, "head": Capability.HEAD_EDITS}
    found = Capability(0)
    for place in places:
        found |= Capability.EDITS | more.get(place.part, Capability(0))
    return found


@dataclass(frozen=True)
class Output:
    """What a step found for one sequence; host arrays in float32, owned by the caller.

    Shapes: ``logits`` (V,) for "last", (T, V) for "all"; ``hidden`` (L + 1, T, D), row 0
    what enters the first layer (the embeddings, scaled or with positions added where the family
    does so), row l what leaves layer l, before the final norm; ``attention``
    (L, H, T, S), softmaxed; ``layer_logits`` (L + 1, V), the final norm and the head
    applied to the last position of each row of ``hidden``; ``inside``: see there.

    Where the engine does not give WHOLE logits there are none: ``top`` has the most probable tokens after the last
    position, ``ranked`` those asked for by ``Want.ranks``, ``read`` the tokens fed, without the first one of a text.
    """

    logits: np.ndarray | None = None
    hidden: np.ndarray | None = None
    attention: np.ndarray | None = None
    layer_logits: np.ndarray | None = None
    inside: InsideFound | None = None
    top: Top | None = None
    ranked: tuple[ChosenToken, ...] = ()
    read: tuple[ChosenToken, ...] = ()


@dataclass(frozen=True)
class EngineInfo:
    """What is at work, for the line that every face shows."""

    engine: str  # native, transformers, openai, scripted
    model: str
    architecture: str
    device: str  # cpu, cuda:0, mps
    dtype: str  # of the weights as computed with
    vocabulary_size: int  # V: rows of the head; 0 where a server does not tell
    context_length: int
    layers: int
    width: int
    heads: int
    kv_heads: int


@dataclass(frozen=True)
class Allocations:
    """Bytes an engine holds beyond the weights, by part: ``kv_cache``, ``activations``, ``logits``."""

    current: Mapping[str, int] = field(default_factory=dict)
    peak: Mapping[str, int] = field(default_factory=dict)  # each part at the moment of the highest total

    @property
    def peak_bytes(self) -> int:
        return sum(self.peak.values())


@runtime_checkable
class Sequence(Protocol):
    """One text under way and its key/value cache.

    ``ids`` are the tokens whose keys and values are cached, in order; ``nbytes`` what
    the cache holds in memory. After ``close`` the memory is given back.
    """

    @property
    def ids(self) -> list[int]: ...

    @property
    def nbytes(self) -> int: ...

    @property
    def cancelled(self) -> bool:
        """Return whether somebody asked that no further step advance it."""

    def crop(self, length: int) -> None:
        """Forget everything after the first ``length`` tokens (needs ``Capability.PREFIX``)."""

    def cancel(self) -> None:
        """Ask that no further step advance it; the one call allowed from any thread."""

    def resume(self) -> None:
        """Take a cancellation back, before its cache is used again."""

    def close(self) -> None:
        """Give the cache's memory back. Closing twice is harmless."""


class CancellableSequence:
    """The cancellation of a sequence: one attribute, written from any thread and read at each step, without a lock."""

    cancelled = False

    def cancel(self) -> None:
        self.cancelled = True

    def resume(self) -> None:
        self.cancelled = False


@dataclass(frozen=True)
class Feed:
    """The next ``ids`` (at most MAX_CHUNK) of one sequence, what is wanted of them, and what is changed on the way.

    What an edited pass leaves in a cache is the edited text's: nobody else may go on from it. One with an ``entry``
    computes the layers behind it alone (BRANCHES), and leaves nothing in the cache of those before it.
    """

    sequence: Sequence
    ids: list[int]
    want: Want = LAST
    edits: tuple[Edit, ...] = ()
    entry: Entry | None = None


@runtime_checkable
class Engine(Protocol):
    """The weights at work."""

    @property
    def info(self) -> EngineInfo: ...

    @property
    def capabilities(self) -> Capability: ...

    def open_sequence(self) -> Sequence:
        """Return an empty sequence."""

    def step(self, feeds: list[Feed]) -> list[Output | None]:
        """Advance several sequences, in one pass over the weights where BATCH is declared.

        A cancelled sequence is left as it is and answers None. Each feed may have its
        own number of tokens and its own want. An exception leaves every cache as before.
        """

    def embed(self, ids: list[int]) -> np.ndarray:
        """Return rows of the embedding table. Shapes: (len(ids), D) float32."""

    def cache_bytes(self, tokens: int) -> int:
        """Return the bytes a sequence of ``tokens`` tokens will hold, allocation granularity included."""

    def allocations(self, *, reset_peak: bool = False) -> Allocations:
        """Return what is allocated now and at the peak since the last reset (ALLOCATIONS)."""

    def close(self) -> None:
        """Give weights and caches back."""


class BranchingEngine(Engine, Protocol):
    """One that declares BRANCHES."""

    def branch(self, sequence: Sequence, tokens: int, *, level: int) -> Sequence:
        """Return a sequence that holds what another has of its first tokens, in the layers behind ``level``."""


def check_ids(ids: SequenceOf[int], *, size: int, option: str = "") -> None:
    """Hold ids to a vocabulary of ``size``, 0 being unknown. Raises: InputError ``no_such_id`` naming the first one."""
    size = size or UNKNOWN
    # Two passes at C speed over ids that are nearly always right; the slow search names the first wrong one.
    if ids and not 0 <= min(ids) <= max(ids) < size:
        wrong = next(token for token in ids if not 0 <= token < size)
        raise InputError("no_such_id", id=wrong, size=size, option=option)


def check_prompt(ids: SequenceOf[int], *, context: int) -> None:
    """Hold a prompt to the tokens that a model takes.

    Raises: InputError ``empty_prompt``; ContextError ``prompt_too_long``.
    """
    if not ids:
        raise InputError("empty_prompt")
    if len(ids) > context:
        raise ContextError("prompt_too_long", tokens=len(ids), context_length=context)


def check_feed(feed: Feed, *, size: int, info: EngineInfo) -> None:
    """Check a feed as every engine must, so that no caller's slip reads rows that are not there.

    Raises: InputError ``no_such_id``; ValueError for a number of tokens that no step takes, for an edit of what is
    not there, and for the parts of an edited pass: what an edit adds is no part's.
    """
    if not 0 < len(feed.ids) <= MAX_CHUNK:
        raise ValueError(f"a feed of {len(feed.ids)} tokens")
    # A kernel reads the row of whatever id it is given, and an id beyond the table is memory of something else.
    check_ids(feed.ids, size=size)
    asked = feed.want.inside
    reads = () if asked is None else tuple(Edit(place) for place in asked.states)
    check_edits((*feed.edits, *reads), layers=info.layers, heads=info.heads)
    # With an edit the stream is no sum of its parts any more, so the numbers would not add up to the logit.
    if feed.edits and asked is not None and (asked.moved or asked.parts or asked.weighs):
        raise ValueError("an edited pass of which parts or attention are asked")
    if feed.entry is not None:
        feed.entry.check(len(feed.ids), layers=info.layers, width=info.width)
        if feed.want.hidden or feed.want.attention or feed.want.layer_logits or asked is not None:
            raise ValueError("a pass from a layer of which every layer is asked")


def commit_step(feeds: list[Feed], live: list[Feed], outputs: Iterable[Output]) -> list[Output | None]:
    """End a step: what was fed is in the caches now; each feed gets its output, None if it was not ``live``."""
    # Ids come last: until here an exception leaves each sequence saying what its cache truly holds.
    for feed in live:
        feed.sequence.ids.extend(feed.ids)
    found = dict(zip(map(id, live), outputs, strict=True))
    return [found.get(id(feed)) for feed in feeds]


class MissingNames(Reason):
    """The names of abilities, separated by commas; a sentence says in words what they are.

    >>> MissingNames("ALL_LOGITS, ATTENTION").sentence("en")
    'the logits at every position, and attention weights'
    """

    def sentence(self, lang: str | None) -> str:
        *first, last = [tr(f"engines.ability.{name}", lang) for name in self.split(", ")]
        return tr("engines.abilities", lang, first=", ".join(first), last=last) if first else last


def require(engine: Engine, needed: Capability) -> None:
    """Refuse politely what an engine cannot give.

    Raises: CapabilityError ``capability`` naming the engine and what is missing; of a server ``server_cannot``, or
    ``server_no_logprobs`` where it lacks what all else needs.
    """
    missing = needed & ~engine.capabilities
    if missing:
        names = MissingNames(", ".join(sorted(flag.name or "" for flag in missing)))
        if engine.info.engine == "openai":
            if missing == Capability.LOGITS:
                raise CapabilityError("server_no_logprobs", host=engine.info.device)
            raise CapabilityError("server_cannot", host=engine.info.device, missing=names)
        raise CapabilityError("capability", engine=engine.info.engine, missing=names)
