"""The transformers engine at work: what the scheduler talks to.

One sequence at a time goes through the model's own code with a cache of ours (``cache``);
several at once as one row (``batch``), where the family allows it and the first such pass
was seen to give what one sequence alone gives.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import gc
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from capot.config import Loading
from capot.engines import openmp
from capot.engines.inside import joined
from capot.engines.protocol import Allocations, Capability, EngineInfo, Feed, Output, check_feed, commit_step
from capot.engines.transformers import batch, compiled, hidden_states, load, memory, packed, placement, probe, states
from capot.engines.transformers.cache import TransformersSequence, own_sequence
from capot.engines.transformers.edited import EditedPass, EditedText
from capot.engines.transformers.network import Network, cache_argument, learned_positions
from capot.engines.transformers.watched import WatchedPass
from capot.engines.transformers.whole_texts import WholeTexts
from capot.errors import ContextError
from capot.sources.checkpoint import Checkpoint

EVERYTHING = 2**40  # a context that no text fills
ALWAYS = Capability.LOGITS | Capability.ALL_LOGITS | Capability.WHOLE | Capability.EMBEDDINGS | Capability.ALLOCATIONS


class TransformersEngine:
    """The weights at work (see ``protocol.Engine``)."""

    def __init__(self, checkpoint: Checkpoint, loading: Loading, *, notice: Callable[..., Any]) -> None:
        def report(where: placement.Placement) -> None:
            notice("engines.transformers", model=checkpoint.name, device=str(where.device), dtype=where.dtype_name)

        self.checkpoint = checkpoint
        model, self.place = load.load_model(checkpoint, loading, notice=report)
        self.network = Network(model) if cache_argument(type(model)) else WholeTexts(model)
        self.network.stored_row = self._stored_row
        self.positions = learned_positions(self.network)
        self.meter = memory.DeviceMeter(self.network)
        with load.quiet(), load.translated_errors(checkpoint, self.place), torch.inference_mode():
            self._probe = self._first_pass(compiled=loading.compiled)
        openmp.release_threads()  # what was computed here, the thread that steps will not compute
        self.capabilities = ALWAYS | self._probe.capabilities
        self._rows_seen = False
        self._notice = notice
        self.lane = self._lane() if loading.compiled else None

    def _first_pass(self, *, compiled: bool) -> probe.Probe:
        """Return what the model shows of itself, on packed weights where the processor computes."""
        see = functools.partial(probe.Probe, self.network)
        return (
            packed.first_packed_pass(self.network.model, see) if packed.can_pack(self.place) and not compiled else see()
        )

    def _lane(self) -> compiled.CompiledDecoder | None:
        if compiled.can_compile(self.network, self.network.new_cache().layers):
            return compiled.CompiledDecoder(self.network)
        self._notice("engines.not_compiled", reason=type(self.network.model).__name__)
        return None

    @functools.cached_property
    def info(self) -> EngineInfo:
        config = self.network.config
        heads = getattr(config, "num_attention_heads", None) or 1
        # Falcon's first generation: one key for all heads, whatever its configuration says of them.
        # Attributes and not the config's class: each family has a class of its own, with these names where it has the
        # thing.
        kv = 1 if getattr(config, "multi_query", False) else getattr(config, "num_key_value_heads", None) or heads
        new_falcon = getattr(config, "new_decoder_architecture", False)
        return EngineInfo(
            engine="transformers",
            model=self.checkpoint.name,
            architecture=type(self.network.model).__name__,
            device=str(self.network.device),
            dtype=self.place.dtype_name,
            vocabulary_size=self._probe.vocabulary,
            context_length=getattr(config, "max_position_embeddings", None) or EVERYTHING,
            layers=config.num_hidden_layers,
            width=config.hidden_size,
            heads=heads,
            kv_heads=getattr(config, "num_kv_heads", kv) if new_falcon else kv,
        )

    def open_sequence(self) -> TransformersSequence:
        sequence = TransformersSequence(self.network.new_cache)
        self.meter.sequences.add(sequence)
        return sequence

    def embed(self, ids: list[int]) -> np.ndarray:
        weight = self.network.table
        return hidden_states.to_numpy(weight[torch.tensor(ids, device=weight.device)])

    def _stored_row(self, name: str, row: int) -> np.ndarray | None:
        """Return one row of a weight as its file has it; None where no file has it by that name."""
        return self.checkpoint.rows(name, [row])[0] if name in self.checkpoint.tensors else None

    def cache_bytes(self, tokens: int) -> int:
        return self._probe.cache_bytes(tokens)

    def allocations(self, *, reset_peak: bool = False) -> Allocations:
        return self.meter.read(reset_peak=reset_peak)

    def close(self) -> None:
        """Give weights and caches back, to the system as well where a GPU's allocator would keep them."""
        for sequence in list(self.meter.sequences):
            sequence.close()
        device = self.network.device
        if self.lane is not None:
            self.lane.close()
        self.lane = None
        del self.network, self.meter.network
        gc.collect()  # a model holds itself in circles
        if device.type == "cuda":
            torch._C._cuda_clearCublasWorkspaces()  # of the multiplying library; another model's come again
            torch.cuda.empty_cache()
        elif device.type == "mps":
            torch.mps.empty_cache()

    # ------------------------------------------------------------ a step

    def step(self, feeds: list[Feed]) -> list[Output | None]:
        """Advance several sequences (see ``protocol.Engine.step``).

        Raises: InputError ``no_such_id``; ContextError ``prompt_too_long``; ResourceError ``out_of_memory``;
        ModelError ``weights_cut``.
        """
        live = [feed for feed in feeds if not feed.sequence.cancelled]
        for feed in live:
            self._check(feed)
        if not live:
            return [None] * len(feeds)
        if self.network.device.type == "cpu":  # where weights stay the files' own pages
            self.checkpoint.hold()
        # What keeps a state writes over it: without a copy a step that fails half-way could not be undone.
        marks = [own_sequence(feed).mark() for feed in live]
        short = None
        try:
            # Inference mode: no gradients are kept, and no version counters, which costs less than ``no_grad``.
            with torch.inference_mode(), self.meter.watching(self._logits_bytes(live)):
                outputs = self._whatever_the_weights(live, marks)
        except BaseException as error:  # every cache as it was
            for feed, mark in zip(live, marks, strict=True):
                own_sequence(feed).back(mark)
            short = memory.out_of_memory(error, live, device=self.network.device, cache_bytes=self.cache_bytes)
            if short is None:
                raise
        if short is not None:  # raised here, where the failed pass and its tensors are gone
            gc.collect()
            raise short
        done = [(feed, output) for feed, output in zip(live, outputs, strict=True) if output is not None]
        return commit_step(feeds, [feed for feed, _ in done], [output for _, output in done])

    # Positions are a table in such a family, and an index beyond it is an assertion on the GPU.
    def _check(self, feed: Feed) -> None:
        check_feed(feed, size=self.network.table.shape[0], info=self.info)
        tokens = len(feed.sequence.ids) + len(feed.ids)
        if self.positions is not None and tokens > self.positions:  # on a GPU this would end the process's use of it
            raise ContextError("prompt_too_long", tokens=tokens, context_length=self.positions)

    def _logits_bytes(self, feeds: list[Feed]) -> int:
        """Return what the head makes, and its copy in float32 where the processor makes it in 16 bits."""
        rows = sum({"last": 1, "all": len(feed.ids), "none": 0}[feed.want.logits] for feed in feeds)
        number: int = self.place.dtype.itemsize
        copied = 4 if number < 4 and self.network.device.type == "cpu" else 0
        return rows * self._probe.vocabulary * (number + copied)

    def _whatever_the_weights(self, feeds: list[Feed], marks: list[list[Any]]) -> list[Output | None]:
        """Return the outputs; with every weight as it was stored from now on, should a packed one meet code that the
        first pass did not reach (a long text's, say) and that has another use for it.
        """
        try:
            return self._outputs(feeds)
        # Only what may come of a packed weight: everything else is a ModelError or an error of memory by now.
        except RuntimeError as error:
            if memory.requested_bytes(error) is not None or not packed.unpack(self.network.model):
                raise
        for place_, feed in enumerate(feeds):
            own_sequence(feed).back(marks[place_])
            marks[place_] = own_sequence(feed).mark()
        return self._outputs(feeds)

    def _outputs(self, feeds: list[Feed]) -> list[Output | None]:
        if len(feeds) == 1 and self.lane is not None and self.lane.takes(feeds[0]):
            compiled = self._compiled(self.lane, feeds[0])
            if compiled is not None:
                return [compiled]
        # Attention and the inside of a pass are watched by hooks on one sequence.
        plain = [feed for feed in feeds if not feed.want.attention and feed.want.inside is None]
        if len(plain) > 1 and Capability.BATCH in self.capabilities and self._rows_agree(plain):
            found = dict(zip(map(id, plain), self._row(plain), strict=True))
            return [found.get(id(feed)) or self._alone(feed) for feed in feeds]
        # A family that begins anew when several tokens follow others takes them one by one, as the probe found.
        return [
            self._one_by_one(feed) if self._goes_on(feed) == probe.ONE_BY_ONE else self._alone(feed) for feed in feeds
        ]

    def _compiled(self, lane: compiled.CompiledDecoder, feed: Feed) -> Output | None:
        """Compute one token in the lane; None, and no lane any more, where it cannot be compiled here."""
        try:
            return Output(logits=hidden_states.to_numpy(lane.logits(feed)))
        except Exception as error:
            if memory.requested_bytes(error) is not None:
                raise
            own_sequence(feed).settle()
            self.lane = None
            self._notice("engines.not_compiled", reason=type(error).__name__)
            return None

    # ------------------------------------------------------------ one sequence

    def _goes_on(self, feed: Feed) -> str:
        """Return how several tokens that follow others are computed; a first or single one goes by itself."""
        return self._probe.goes_on if len(feed.ids) > 1 and len(feed.sequence.ids) > 0 else probe.BY_ITSELF

    def _one_by_one(self, feed: Feed) -> Output | None:
        """Return what a chunk gives, token by token, in a family whose code begins anew when given several tokens.

        Where the sequence is cancelled on the way the answer is None, and the state is the one before the chunk.
        """
        want = feed.want
        outputs = []
        mark = own_sequence(feed).mark()
        for place_, token in enumerate(feed.ids, start=1):
            if feed.sequence.cancelled:
                own_sequence(feed).back(mark)
                return None
            last = place_ == len(feed.ids)
            kept = want.logits if want.logits == "all" or last else "none"
            seen = want.inside if last or want.inside is None else want.inside.before_last()
            one = dataclasses.replace(want, logits=kept, layer_logits=want.layer_logits and last, inside=seen)
            outputs.append(self._alone(Feed(feed.sequence, [token], one, feed.edits)))
        return Output(
            logits=np.concatenate([one.logits for one in outputs]) if want.logits == "all" else outputs[-1].logits,
            hidden=np.concatenate([one.hidden for one in outputs], axis=1) if want.hidden else None,
            layer_logits=outputs[-1].layer_logits,
            inside=joined([one.inside for one in outputs if one.inside is not None]) if want.inside else None,
        )

    def _watched(self, feed: Feed) -> WatchedPass | None:
        """Return what watches a pass whose inside is asked for, attention weights known before it begins."""
        asked = feed.want.inside
        start = len(feed.sequence.ids)
        tokens = len(feed.ids)
        if asked is None:
            return None
        found = WatchedPass(self.network, self._probe.anatomy, asked, start=start, tokens=tokens)
        if found.weighs:
            network = self.network
            mark = own_sequence(feed).mark()
            span = found.span(self.info.heads)
            with hidden_states.attention_implementation(network, "eager"):
                for at in range(0, tokens, span):
                    ids = torch.tensor([feed.ids[at : at + span]], device=network.device)
                    places = network.positions(start + at, ids.shape[1])
                    answer = network.run(ids, "last", own_sequence(feed).cache, output_attentions=True, **places)
                    found.weighed(answer.attentions, at, ids.shape[1])
            own_sequence(feed).back(mark)
        return found

    def _edited(self, feeds: list[Feed], spans: list[slice] | None = None) -> EditedPass:
        """Return what changes and reads the states of a pass; nothing where nobody asked."""
        places = [None] * len(feeds) if spans is None else spans
        texts = [
            EditedText(feed.edits, feed.want.inside, len(feed.sequence.ids), len(feed.ids), span)
            for feed, span in zip(feeds, places, strict=True)
        ]
        return EditedPass(self.network, self._probe.anatomy, texts)

    def _alone(self, feed: Feed) -> Output:
        watched = self._watched(feed)
        edited = self._edited([feed])
        want = feed.want
        network = self.network
        cache = own_sequence(feed).cache
        span = slice(0, len(feed.ids))
        levels = hidden_states.HiddenStates(network, [span])
        levels.watch(0, hidden=want.hidden, lasts=want.layer_logits)
        attentions = None
        more: dict[str, Any] = {}
        with contextlib.ExitStack() as stack:
            stack.enter_context(edited.listening())  # first, so that what is listened to is what the edits left
            if levels.asked:
                stack.enter_context(levels.listening())
            if watched is not None:
                stack.enter_context(watched.listening())
            if want.attention:
                stack.enter_context(hidden_states.attention_implementation(network, "eager"))
                more["output_attentions"] = True
            if self._goes_on(feed) == probe.WITH_STATE:
                stack.enter_context(states.with_past_states(network, cache))
            ids = torch.tensor([feed.ids], device=network.device)
            more |= network.positions(len(feed.sequence.ids), len(feed.ids))
            answer = network.run(ids, want.logits, cache, **more)
        if want.attention:
            attentions = hidden_states.stack_attention(
                answer.attentions, len(feed.sequence.ids) + len(feed.ids), rows=len(feed.ids)
            )
        output = self._output(want, answer.logits[0], levels, 0, attentions)
        if watched is None:
            return output
        seen = watched.found(answer.logits[0, -1] if want.logits != "none" else None)
        return dataclasses.replace(output, inside=dataclasses.replace(seen, states=edited.states(0)))

    def _output(
        self,
        want: Any,
        logits: torch.Tensor,
        levels: hidden_states.HiddenStates,
        index: int,
        attentions: np.ndarray | None = None,
    ) -> Output:
        """Shapes: logits (rows asked for, V)."""
        lasts = levels.lasts[index]
        rows = (
            None if want.logits == "none" else hidden_states.to_numpy(logits[-1] if want.logits == "last" else logits)
        )
        return Output(
            logits=rows,
            hidden=levels.hidden[index],
            attention=attentions,
            layer_logits=None
            if lasts is None
            else hidden_states.to_numpy(hidden_states.head_logits(self.network, lasts)),
        )

    # ------------------------------------------------------------ several

    def _row(self, feeds: list[Feed]) -> list[Output]:
        """Compute all in one pass: see ``batch``."""
        network = self.network
        ends = np.cumsum([len(feed.ids) for feed in feeds]).tolist()
        spans = [slice(end - len(feed.ids), end) for feed, end in zip(feeds, ends, strict=True)]
        row = batch.BatchCache([own_sequence(feed).cache for feed in feeds], spans)
        levels = hidden_states.HiddenStates(network, spans)
        # Rows of logits that nobody asked for would go through the head all the same.
        wanted: list[int] = []
        counts: list[int] = []
        for place_, (feed, span) in enumerate(zip(feeds, spans, strict=True)):
            levels.watch(place_, hidden=feed.want.hidden, lasts=feed.want.layer_logits)
            rows = {"last": [span.stop - 1], "all": range(span.start, span.stop), "none": []}[feed.want.logits]
            wanted.extend(rows)
            counts.append(len(rows))
        ids = torch.tensor([[token for feed in feeds for token in feed.ids]], device=network.device)
        keep = torch.tensor(wanted, dtype=torch.long, device=network.device)
        with contextlib.ExitStack() as stack:
            stack.enter_context(hidden_states.attention_implementation(network, batch.KIND))
            stack.enter_context(row.at_work())
            stack.enter_context(self._edited(feeds, spans).listening())
            if levels.asked:
                stack.enter_context(levels.listening())
            logits = network.run(ids, keep, row, position_ids=row.positions(network.device)).logits[0]
        parts = logits.split(counts)
        return [self._output(feed.want, parts[i], levels, i) for i, feed in enumerate(feeds)]

    def _rows_agree(self, feeds: list[Feed]) -> bool:
        """Return whether a row gives what one sequence gives alone: tried once, on the first that come.

        A family may do with its keys what nobody can foresee; then several are computed in turn.
        """
        if self._rows_seen:
            return True
        # Nothing but logits, and no edits: what is compared are two ways through the same code.
        pair = [Feed(feed.sequence, feed.ids) for feed in feeds[:2]]
        marks = [own_sequence(feed).mark() for feed in pair]

        def tried(compute: Callable[[], list[Output]]) -> list[np.ndarray]:
            try:
                return [output.logits for output in compute() if output.logits is not None]
            finally:
                for feed, mark in zip(pair, marks, strict=True):
                    own_sequence(feed).back(mark)

        alone = tried(lambda: [self._alone(feed) for feed in pair])
        try:
            together = tried(lambda: self._row(pair))
        except (RuntimeError, TypeError, ValueError, AttributeError, IndexError) as error:
            if memory.requested_bytes(error) is not None:
                raise
            # A family that raises on a row cannot be batched: infinity is as far off as can be.
            together = [np.full_like(one, np.inf) for one in alone]
        bound = probe.CLOSE[self.place.dtype]
        self._rows_seen = all(
            np.abs(a - b).max() <= bound * max(1.0, np.abs(a).max()) for a, b in zip(alone, together, strict=True)
        )
        if not self._rows_seen:
            self.capabilities &= ~Capability.BATCH
        return self._rows_seen
