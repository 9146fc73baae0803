"""The Llama family, layer by layer, on NumPy arrays.

    x = embedding of the tokens                             (T, D)
    for each layer:
        x += attention(norm(x)) @ output.T                  tokens look at one another
        x += (silu(n @ gate.T) * (n @ up.T)) @ down.T       n = norm(x); each token by itself
    logits = norm(x) @ head.T                               (T, V)

Mistral looks back a limited way, Qwen2 adds biases to queries, keys and values, Qwen3
normalises each head's query and key: the differences are three lines of ``_attention``.
Several sequences go through as the rows of one x, so the weights are read once; only
attention looks at each sequence's own cache.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from capot.engines.decode_plan import DecodePlan
from capot.engines.native import kernels, rope
from capot.engines.native.cache import ArrayAllocator, NativeSequence, block_shape
from capot.engines.native.linear import Linear, Linears
from capot.engines.native.names import biases, names
from capot.engines.native.plans import DEFAULT, KernelPlan, place_of, plan_of
from capot.engines.native.sequence_pass import EMPTY, SequencePass
from capot.engines.native.threads import ThreadChoice
from capot.engines.protocol import (
    Allocations,
    Capability,
    EngineInfo,
    Feed,
    Output,
    Sequence,
    check_feed,
    commit_step,
)
from capot.errors import UnsupportedError
from capot.sources.checkpoint import Checkpoint, to_float32

# How a stored number is handed to the kernels (see there); float16 goes as int16.
VIEWS = {"F32": np.float32, "BF16": np.uint16, "F16": np.int16}
NAMES = {"F32": "float32", "BF16": "bfloat16", "F16": "float16"}
NO_WINDOW = 2**40  # a window that no text fills


@dataclass(frozen=True)
class LayerWeights:
    """The weights of one layer, D width, H heads of size S, K of them with keys, M width of the MLP."""

    attention_norm: np.ndarray  # (D,)
    query: Linear  # (H S, D)
    key: Linear  # (K S, D)
    value: Linear  # (K S, D)
    query_norm: np.ndarray | None  # (S,), Qwen3
    key_norm: np.ndarray | None
    output: Linear  # (D, H S)
    mlp_norm: np.ndarray  # (D,)
    gate: Linear  # (M, D)
    up: Linear  # (M, D)
    down: Linear  # (D, M)
    window: int  # tokens back that attention sees

    @functools.cached_property
    def heads(self) -> Linears:
        return Linears(self.query, self.key, self.value)

    @functools.cached_property
    def halves(self) -> Linears:
        return Linears(self.gate, self.up)


class Buffers:
    """Where the values of one step live, made for T columns and used again by each layer.

    Shapes: x (T, D); heads, queries, keys and values one after the other; halves, gates and ups.
    """

    def __init__(self, columns: int, engine: NativeEngine) -> None:
        c = engine.checkpoint.config
        query_width = c.heads * c.head_dim
        heads = columns * (query_width + 2 * c.kv_heads * c.head_dim)
        # One allocation for all buffers: the peak is counted once, and a step of the same width reuses it.
        floats = engine.allocator.array("activations", (columns * (c.width + 2 * c.mlp_width) + heads,))
        x, self.heads, self.halves = np.split(floats, [columns * c.width, columns * c.width + heads])
        self.x = x.reshape(columns, c.width)
        self.queries, self.keys, self.values = engine.layers[0].heads.matrices.split(self.heads, columns)
        self.gates, self.ups = engine.layers[0].halves.matrices.split(self.halves, columns)
        self.columns = columns
        # Products run one after the other, so one buffer of the widest serves all their inputs.
        widest = max(c.width, query_width, c.mlp_width)
        self._product_input = engine.allocator.array("activations", (columns * widest,), engine.product_dtype)

    def product_input(self, width: int) -> np.ndarray:
        """Return what the next product takes, in the type that its weights ask for. The last one's is overwritten."""
        return self._product_input[: self.columns * width].reshape(self.columns, width)


class NativeEngine:
    """The weights at work (see ``protocol.Engine``)."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        notice: Callable[[], None] | None = None,
        warn: Callable[..., None] | None = None,
    ) -> None:
        self.checkpoint = checkpoint
        self.allocator = ArrayAllocator()
        config = checkpoint.config
        self.names = names(checkpoint)
        self._map_weights(DEFAULT)
        self.rope_frequencies = rope.frequencies(config)
        self._like = np.zeros(1, self.layers[0].key.weight.dtype)  # the cache keeps the type of the weights
        self.product_dtype = kernels.product_dtype(self.embedding.dtype)
        scratch = kernels.scratch_shape(config.heads // config.kv_heads, config.head_dim)
        self._scratch = self.allocator.array("activations", scratch)
        self._buffers: Buffers | None = None
        self._threads = ThreadChoice()
        # After the weights: what is damaged is told before anybody waits for kernels.
        found = kernels.prepare(self.embedding.dtype, notice, warn=warn)
        self._map_weights(found[self._place])

    # ------------------------------------------------------------ opening

    @property
    def _place(self) -> str:
        """Return where the weights are read while a text is written: in the cache, where all of them fit."""
        return place_of(sum(tensor.nbytes for tensor in self.checkpoint.tensors.values()))

    def _map_weights(self, plan: KernelPlan) -> None:
        config = self.checkpoint.config
        self.plan = plan
        self.embedding = self._tensor(self.names.table, config.vocabulary_size, config.width)
        self.layers = [self._layer(index) for index in range(config.layers)]
        self.norm = self._tensor(f"{self.names.prefix}norm.weight", config.width)
        tied = Linear(self.embedding, plan=plan)
        self.head = tied if self.names.tied else self._linear("lm_head", config.vocabulary_size, config.width)

    def _tensor(self, name: str, *shape: int) -> np.ndarray:
        tensor = self.checkpoint.tensor(name, shape)
        dtype = self.checkpoint.tensors[name].dtype
        if dtype not in VIEWS:
            raise UnsupportedError("weights_dtype", dtype=dtype, tensor=name, engine="transformers")
        return tensor.view(VIEWS[dtype])

    def _linear(self, name: str, rows: int, columns: int, *, biased: bool = False) -> Linear:
        # A checkpoint may hold biases that its family does not use; ``biases`` says which count.
        bias = None
        if biased:
            stored = self.checkpoint.tensor(f"{name}.bias", (rows,))
            bias = to_float32(stored, self.checkpoint.tensors[f"{name}.bias"].dtype)  # a few numbers: made float32 once
        return Linear(self._tensor(f"{name}.weight", rows, columns), bias, self.plan)

    def _layer(self, index: int) -> LayerWeights:
        c = self.checkpoint.config
        at = f"{self.names.prefix}layers.{index}."
        queries = c.heads * c.head_dim
        keys = c.kv_heads * c.head_dim
        biased = biases(self.checkpoint)
        normed = c.architecture == "Qwen3ForCausalLM"
        return LayerWeights(
            attention_norm=self._tensor(f"{at}input_layernorm.weight", c.width),
            query=self._linear(f"{at}self_attn.q_proj", queries, c.width, biased=biased.queries),
            key=self._linear(f"{at}self_attn.k_proj", keys, c.width, biased=biased.queries),
            value=self._linear(f"{at}self_attn.v_proj", keys, c.width, biased=biased.queries),
            query_norm=self._tensor(f"{at}self_attn.q_norm.weight", c.head_dim) if normed else None,
            key_norm=self._tensor(f"{at}self_attn.k_norm.weight", c.head_dim) if normed else None,
            output=self._linear(f"{at}self_attn.o_proj", c.width, queries, biased=biased.output),
            mlp_norm=self._tensor(f"{at}post_attention_layernorm.weight", c.width),
            gate=self._linear(f"{at}mlp.gate_proj", c.mlp_width, c.width, biased=biased.mlp),
            up=self._linear(f"{at}mlp.up_proj", c.mlp_width, c.width, biased=biased.mlp),
            down=self._linear(f"{at}mlp.down_proj", c.width, c.mlp_width, biased=biased.mlp),
            window=c.sliding_window[index] or NO_WINDOW,
        )

    capabilities = ~(Capability.RANKS | Capability.WRITES)  # whoever asks has all logits, and draws

    @functools.cached_property
    def info(self) -> EngineInfo:
        c = self.checkpoint.config
        return EngineInfo(
            engine="native",
            model=self.checkpoint.name,
            architecture=c.architecture,
            device="cpu",
            dtype=NAMES[self.checkpoint.tensors[self.names.table].dtype],
            vocabulary_size=c.vocabulary_size,
            context_length=c.context_length or NO_WINDOW,
            layers=c.layers,
            width=c.width,
            heads=c.heads,
            kv_heads=c.kv_heads,
        )

    def open_sequence(self) -> NativeSequence:
        return NativeSequence(self.checkpoint.config, self._like.dtype, self.allocator)

    def branch(self, sequence: Sequence, tokens: int, *, level: int) -> NativeSequence:
        """Return a sequence that holds what another has of its first tokens, in the layers behind ``level``."""
        assert isinstance(sequence, NativeSequence)  # an engine is given its own sequences
        found = self.open_sequence()
        found.copy_from(sequence, tokens, level=level)
        return found

    def embed(self, ids: list[int]) -> np.ndarray:
        return self.checkpoint.rows(self.names.table, ids)

    def cache_bytes(self, tokens: int) -> int:
        blocks = -(-tokens // kernels.BLOCK)
        return blocks * int(np.prod(block_shape(self.checkpoint.config))) * self._like.itemsize

    def allocations(self, *, reset_peak: bool = False) -> Allocations:
        return self.allocator.read(reset_peak=reset_peak)

    # Views into the mapped file keep it open: they go first.
    def close(self) -> None:
        self._buffers = None
        self._scratch = EMPTY
        self.layers = []
        self.embedding = EMPTY
        self.head = Linear(EMPTY)

    def tune(self) -> DecodePlan | None:
        """Choose anew how one token's products read the weights (see ``kernels.tune``), and go by it."""
        found = next((plan for plan in kernels.tune(self.embedding.dtype) if plan.place == self._place), None)
        if found is not None:
            with kernels.launch_lock:
                self._map_weights(plan_of(found))
        return found

    # ------------------------------------------------------------ a step

    def step(self, feeds: list[Feed]) -> list[Output | None]:
        """Advance several sequences in one pass over the weights (see ``protocol.Engine.step``).

        Raises: InputError ``no_such_id`` for an id that the vocabulary does not have; ModelError ``weights_cut``.
        """
        live = [feed for feed in feeds if not feed.sequence.cancelled]
        for feed in live:
            check_feed(feed, size=self.checkpoint.config.vocabulary_size, info=self.info)
        self.checkpoint.hold()
        if not live:
            return [None] * len(feeds)
        with kernels.launch_lock:
            try:
                with self._threads.step(sum(len(feed.ids) for feed in live)):
                    outputs = self._forward(live)
            except BaseException:  # out of memory, Ctrl-C: every cache as it was
                for feed in live:
                    feed.sequence.crop(len(feed.sequence.ids))
                raise
        return commit_step(feeds, live, outputs)

    def _forward(self, feeds: list[Feed]) -> list[Output]:
        # All sequences are rows of one x, so each weight is read once whatever their number. This is what makes many
        # learners cheap: decoding is bound by memory bandwidth.
        columns = sum(len(feed.ids) for feed in feeds)
        if self._buffers is None or self._buffers.columns != columns:
            self._buffers = None  # given back before the next is asked for
            self._buffers = Buffers(columns, self)
        buffers = self._buffers
        level = entry_level(feeds)
        passes = []
        first = 0
        for feed in feeds:
            passes.append(SequencePass(self, feed, first))
            first += len(feed.ids)
        if level is None:
            # What begins at a later level brings its own states instead (``Feed.entry``).
            buffers.x[...] = self.embed([token for feed in feeds for token in feed.ids])
        for one in passes:
            if one.feed.entry is not None:
                buffers.x[one.rows] = one.feed.entry.states
            one.keep(level or 0, buffers.x)
        for index, layer in enumerate(self.layers[level or 0 :], start=level or 0):
            mixed = self._attention(index, layer, buffers, passes)
            for one in passes:
                one.attended(index, buffers.x, mixed)
            for one in passes:
                one.edited.before("mlp", index + 1, x=buffers.x)
            self._mlp(layer, buffers)
            for one in passes:
                one.edited.added("mlp", index + 1, x=buffers.x)
                one.keep(index + 1, buffers.x)
        return self._outputs(buffers.x, passes)

    def _attention(self, index: int, layer: LayerWeights, b: Buffers, passes: list[SequencePass]) -> np.ndarray:
        """Add to x what attention brings; answers the heads that it is made of. Shapes: (T, H S)."""
        c = self.checkpoint.config
        normed = self._normed(b.x, layer.attention_norm, b.product_input(c.width))
        layer.heads.write(normed, b.heads)
        queries = b.queries  # (T, H S)
        keys = b.keys  # (T, K S)
        values = b.values  # (T, K S)
        # Qwen3 normalises before the rotation; after it, the norm's weights would no longer belong to the pairs that
        # turn.
        if layer.query_norm is not None and layer.key_norm is not None:  # each head by itself: rows of S numbers
            for array, weight in ((queries, layer.query_norm), (keys, layer.key_norm)):
                by_head = array.reshape(-1, c.head_dim)
                self._normed(by_head, weight, by_head)
        grouped = (-1, c.kv_heads, c.heads // c.kv_heads, c.head_dim)  # (T, K, H / K, S)
        mixed = b.product_input(c.heads * c.head_dim)
        for one in passes:
            rows = one.rows
            # Attention is the one step where sequences are apart: each has its own cache and its own positions.
            blocks = one.sequence.addresses
            start = one.start
            cache = (blocks, self._like, index, start)
            kernels.rotate_and_store(queries[rows], keys[rows], values[rows], one.cosines, one.sines, *cache)
            mine, theirs = queries[rows].reshape(grouped), mixed[rows].reshape(grouped)
            for span, weights in one.spans(index):
                cache = (blocks, self._like, index, start + span.start)
                kernels.attend(mine[span], *cache, layer.window, self._scratch, theirs[span], weights)
                one.weighed(index, span, weights)
            one.edited.before("attention", index + 1, x=b.x)
            one.edited.heads(index + 1, mixed)
        layer.output.add(mixed, b.x)
        for one in passes:
            one.edited.added("attention", index + 1, x=b.x)
        return mixed

    def _mlp(self, layer: LayerWeights, b: Buffers) -> None:
        c = self.checkpoint.config
        normed = self._normed(b.x, layer.mlp_norm, b.product_input(c.width))
        layer.halves.write(normed, b.halves)
        gated = b.product_input(c.mlp_width)
        kernels.swiglu(b.gates, b.ups, gated)
        layer.down.add(gated, b.x)

    def _normed(self, x: np.ndarray, weight: np.ndarray, out: np.ndarray) -> np.ndarray:
        kernels.rms_norm(x, weight, self.checkpoint.config.norm_eps, out)
        return out

    def head_of(self, rows: np.ndarray, logits: np.ndarray) -> np.ndarray:
        """Return the logits of rows of x: the final norm, then the head. Shapes: rows (R, D), logits (R, V)."""
        normed = self.allocator.array("activations", rows.shape, self.product_dtype)
        return self.head.write(self._normed(rows, self.norm, normed), logits)

    def _outputs(self, x: np.ndarray, passes: list[SequencePass]) -> list[Output]:
        """Return the outputs: the head goes over the rows asked for, of all sequences in one product."""
        asked = [one.for_head(x) for one in passes]  # each (R, D)
        counts = [len(rows) for rows in asked]
        # The head is the largest matrix: only the rows somebody wants go through it.
        ends = np.cumsum(counts)
        logits = self.allocator.array("logits", (sum(counts), self.checkpoint.config.vocabulary_size))
        if len(logits):
            normed = self.allocator.array("activations", (len(logits), x.shape[1]), self.product_dtype)
            for rows, count, end in zip(asked, counts, ends, strict=True):
                self._normed(rows, self.norm, normed[end - count : end])
            self.head.write(normed, logits)
        return [one.output(logits[end - count : end], x) for one, count, end in zip(passes, counts, ends, strict=True)]


def entry_level(feeds: list[Feed]) -> int | None:
    """Return the level at which a step begins, all its feeds at once; None where they begin at their embeddings."""
    levels = {None if feed.entry is None else feed.entry.level for feed in feeds}
    if len(levels) > 1:
        raise ValueError(f"a step from levels {levels}")
    return levels.pop()
