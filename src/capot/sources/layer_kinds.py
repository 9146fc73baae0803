"""Find what each layer caches: all tokens, those of a window, or a state of a fixed size.

A layer with attention keeps a key and a value for each token it may look back at. A state space model's, a linear
attention's or a convolution's keeps as much after a million tokens as after one. Hybrids mix the two, and each
family writes down in its own way which layer is which; where it writes nothing, its classes have a habit.

    full_attention_interval 4        linear linear linear full   (Qwen3-Next)
    hybrid_override_pattern "M-M*"   mamba, MLP, mamba, full     (Nemotron-H)
    sliding_window_pattern 6         five windows, one full      (Gemma 3)

Source: the configuration classes of transformers 5, to which tests/test_layer_kinds.py holds this module.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from capot.errors import ModelError
from capot.sources.fields import (
    LONGEST,
    MAX_LAYERS,
    Raw,
    read_bool,
    read_count,
    read_dict,
    read_int,
    read_list,
    read_per_layer,
    read_str,
    value_error,
)

FULL, SLIDING, CHUNKED, STATE, UNKNOWN = "full", "sliding", "chunked", "state", "unknown"
MLP, MOE = "mlp", "moe"  # layers that do not mix tokens at all
# No attention, so no heads of it: a state of a fixed size.
HEADLESS = {"mamba", "mamba2", "falcon_mamba", "xlstm", "rwkv", "rwkv5", "rwkv6", "rwkv7"}

# What a name that a file gives a layer says of it; a layer may have attention and a state as well ("hybrid").
_NAMED = {
    "attention": FULL, "full_attention": FULL, "hybrid": FULL, "indexed_attention": FULL, "sliding_attention": SLIDING,
    "hybrid_sliding": SLIDING, "chunked_attention": CHUNKED, "linear_attention": STATE, "mamba": STATE,
    "mamba2": STATE, "conv": STATE, "recurrent": STATE, "moe": MOE, "mlp": MLP,
}  # fmt: skip
_STATES = ("linear", "mamba", "conv", "recurrent", "ssm")  # in a name that is not listed
_LETTERS = {"M": STATE, "*": FULL, "-": MLP, "E": MOE}  # Nemotron-H's
# How far back attention looks where config.json says nothing: of the families whose classes have a habit.
_WINDOW = {
    "mistral": 4096, "ministral": 4096, "gemma2": 4096, "gemma3": 4096, "gemma3_text": 4096, "vaultgemma": 4096,
    "cohere2": 4096, "exaone4": 4096, "exaone_moe": 4096, "olmo3": 4096, "gpt_oss": 128, "gemma3n": 512,
    "gemma3n_text": 512, "gemma4": 512, "gemma4_text": 512, "mimo_v2_flash": 129,
}  # fmt: skip
# One layer in so many looks at everything. Where the second is True, ``sliding_window_pattern`` may say another number.
_FULL_EVERY = {
    "gemma2": (2, False), "vaultgemma": (2, False), "gpt_oss": (2, False), "gemma3": (6, True),
    "gemma3_text": (6, True), "cohere2": (4, True), "exaone4": (4, True), "exaone_moe": (4, True), "olmo3": (4, False),
    "gemma3n": (5, False), "gemma3n_text": (5, False), "gemma4": (6, False), "gemma4_text": (6, False),
}  # fmt: skip
# Families whose classes know no pattern: all layers are alike, unless they are listed.
_ALIKE = {"mistral", "mixtral", "phi3", "starcoder2", "ministral", "ministral3", "phimoe"}
_IN_FOUR = ("qwen3_next", "qwen3_5", "qwen3_5_text", "qwen3_5_moe", "qwen3_5_moe_text")
# Fields of models with states whose layout this module does not read: a hint that not every layer has attention.
_HINTS = ("mamba_", "ssm_", "linear_attn", "linear_num_", "conv_L_cache", "lru_width", "rwkv")


@dataclass(frozen=True)
class LayerKinds:
    """One entry for each layer: how far back its attention looks (None: at all), and whether it keeps keys and values.

    ``guessed``: the file speaks of layers with a state in a way that is not understood here, or gives a layer a name
    that is not known; each is then counted as one with attention, which keeps the most.
    """

    windows: tuple[int | None, ...]
    keeps: tuple[bool, ...]
    kinds: tuple[str, ...]
    guessed: bool = False


def layer_kinds(raw: Raw, *, layers: int, family: str) -> LayerKinds:
    """Read the kinds of layers from config.json, or take the family's default.

    Raises: ModelError ``config_field``, ``config_value``, ``config_list``.

    >>> layer_kinds({"full_attention_interval": 2}, layers=4, family="qwen3_next").keeps
    (False, True, False, True)
    """
    kinds = _declared(raw, layers, family)
    guessed = kinds is None and family not in _FAMILIES and any(name.startswith(_HINTS) for name in raw)
    kinds = _family_default(raw, layers, family) if kinds is None else kinds
    if family in ("gemma4", "gemma4_text"):
        kinds = [*kinds[:-1], FULL]
    window = None if family == "llama" else _window(raw, family)  # Llama's classes know no window
    spans = {SLIDING: window, CHUNKED: _chunk(raw, family)}
    own = layers - min(layers, read_count(raw, "num_kv_shared_layers"))  # the last layers may read those below
    # The window of a layer that does not slide is None, whatever the config says of one.
    return LayerKinds(
        windows=tuple(spans.get(kind) for kind in kinds),
        keeps=tuple(place < own and kind not in (STATE, MLP, MOE) for place, kind in enumerate(kinds)),
        kinds=tuple(kinds),
        guessed=guessed or UNKNOWN in kinds,
    )


def layer_count(raw: Raw, *names: str) -> int:
    """Return the number of layers; Nemotron-H lists them instead. Raises: ModelError ``config_layers``."""
    pattern = read_str(raw, "hybrid_override_pattern", most=10 * MAX_LAYERS)
    listed_ = read_list(raw, "layers_block_type", str) if raw.get("model_type") == "nemotron_h" else None
    layers = len(listed_ or pattern) or read_int(raw, *names)
    if layers > MAX_LAYERS:
        raise ModelError("config_layers", layers=layers, most=MAX_LAYERS)
    return layers


def _declared(raw: Raw, layers: int, family: str) -> list[str] | None:
    """Return what the file says of each layer, or None if it says nothing."""
    if family in HEADLESS:
        return [STATE] * layers
    for field in ("layer_types", "layers_block_type"):
        # Mistral's files list a type that its classes do not read.
        if family != "mistral" and (named := read_per_layer(raw, field, str, layers=layers)) is not None:
            return [_kind_named(name) for name in named]
    for read in (_from_letters, _from_indices, _from_flags, _from_numbers, _from_pattern, _from_interval):
        if (kinds := read(raw, layers)) is not None:
            return kinds
    return None


def _kind_named(name: str) -> str:
    known = _NAMED.get(name) or next((STATE for part in _STATES if part in name), None)
    return known or (FULL if "attention" in name else UNKNOWN)


def _from_letters(raw: Raw, layers: int) -> list[str] | None:
    """Read Nemotron-H's letters: ``M`` mamba, ``*`` attention, ``-`` MLP, ``E`` experts."""
    pattern = read_str(raw, "hybrid_override_pattern", most=10 * MAX_LAYERS)
    if set(pattern) - set(_LETTERS):
        raise value_error("hybrid_override_pattern", pattern)
    return [_LETTERS[letter] for letter in pattern] or None


def _from_indices(raw: Raw, layers: int) -> list[str] | None:
    """Read the list of Bamba and LFM2 of the layers that attend, from 0 on."""
    for field in ("attn_layer_indices", "full_attn_idxs"):
        if (attending := read_list(raw, field, int)) is not None:
            return [FULL if place in attending else STATE for place in range(layers)]
    return None


def _from_flags(raw: Raw, layers: int) -> list[str] | None:
    """Read MiniMax's flags: 1 for a layer with attention, 0 for a linear one."""
    flags = read_per_layer(raw, "attn_type_list", int, layers=layers)
    return flags and [FULL if flag_ else STATE for flag_ in flags]


def _from_numbers(raw: Raw, layers: int) -> list[str] | None:
    """Read Kimi Linear's list of the layers that attend, from 1 on."""
    inside = read_dict(raw, "linear_attn_config")
    attending = read_list(inside, "full_attn_layers", int)
    if attending is None:
        return None
    return [FULL if place + 1 in attending else STATE for place in range(layers)]


def _from_pattern(raw: Raw, layers: int) -> list[str] | None:
    """Read RecurrentGemma's few kinds of layers, over and over. Its attention has a window."""
    kinds = read_list(raw, "block_types", str)
    if not kinds:
        return None
    return [SLIDING if kinds[place % len(kinds)] == "attention" else STATE for place in range(layers)]


def _from_interval(raw: Raw, layers: int) -> list[str] | None:
    """Read Qwen3-Next's interval: the last layer of so many attends."""
    if raw.get("full_attention_interval") is None:
        return None
    every = read_int(raw, "full_attention_interval")
    return [STATE if (place + 1) % every else FULL for place in range(layers)]


def _from_offset(raw: Raw, layers: int, *, period: int, offset: int) -> list[str]:
    """Read Jamba's offset, from which one layer in so many attends."""
    period = read_int(raw, "attn_layer_period", default=period)
    offset = read_int(raw, "attn_layer_offset", default=offset, least=0)
    return [FULL if place % period == offset else STATE for place in range(layers)]


def _family_default(raw: Raw, layers: int, family: str) -> list[str]:
    """Return the layers of a family whose file says nothing of them."""
    if family in _FAMILIES:
        return _FAMILIES[family](raw, layers)
    if family in ("smollm3", "llama4", "llama4_text"):
        return _without_positions(raw, layers, family)
    if raw.get("attn_layer_period") is not None:
        return _from_offset(raw, layers, period=8, offset=4)
    # Without a window there is nothing to slide.
    if not _window(raw, family):
        return [FULL] * layers
    if family.startswith("qwen"):
        return _qwen(raw, layers, family)
    if family in _ALIKE:
        return [SLIDING] * layers
    every, heeds = _FULL_EVERY.get(family, (layers + 1, True))
    return _by_pattern(raw.get("sliding_window_pattern") if heeds else None, every, layers)


def _by_pattern(pattern: object, every: int, layers: int) -> list[str]:
    """Read ``sliding_window_pattern``: a number, letters (EXAONE 4, whose last layer looks at all), or flags."""
    if isinstance(pattern, str) and pattern and not set(pattern) - {"L", "G"}:
        kinds = [SLIDING if pattern[place % len(pattern)] == "L" else FULL for place in range(layers)]
        return [*kinds[:-1], FULL]
    if isinstance(pattern, list) and pattern and all(item in (0, 1) for item in pattern):
        return [SLIDING if pattern[place % len(pattern)] else FULL for place in range(layers)]
    every = read_int({"sliding_window_pattern": pattern}, "sliding_window_pattern", default=every)
    return [SLIDING if (place + 1) % every else FULL for place in range(layers)]


def _qwen(raw: Raw, layers: int, family: str) -> list[str]:
    """Return a window only where it is asked for, from ``max_window_layers`` on.

    The mixtures of experts have other rules.
    """
    usual = 80 if "vl" in family else 28
    first = read_int(raw, "max_window_layers", default=usual, least=-MAX_LAYERS)
    if family == "qwen3_moe":
        return [SLIDING] * layers
    if family == "qwen2_moe":
        return [SLIDING if (place + 1) % 2 and place < first else FULL for place in range(layers)]
    return [SLIDING if place >= first else FULL for place in range(layers)]


def _without_positions(raw: Raw, layers: int, family: str) -> list[str]:
    """Read SmolLM3 and Llama 4, where a layer without rotary positions looks at all, or has the window."""
    every = read_int(raw, "no_rope_layer_interval", default=4)
    rotated = read_per_layer(raw, "no_rope_layers", int, layers=layers) if raw.get("no_rope_layers") else None
    rotated = rotated or [int((place + 1) % every != 0) for place in range(layers)]
    if family == "smollm3":
        bare = SLIDING if read_bool(raw, "use_sliding_window", default=False) and _window(raw, family) else FULL
        return [FULL if turned else bare for turned in rotated]
    return [CHUNKED if turned else FULL for turned in rotated]


def _plamo2(raw: Raw, layers: int) -> list[str]:
    """Let one layer in so many attend, in the middle of each run of them."""
    step = read_int(raw, "mamba_step", default=2)
    if layers <= step // 2:
        return [*[STATE] * (layers - 1), FULL]
    return [FULL if place % step == step // 2 else STATE for place in range(layers)]


def _zamba(raw: Raw, layers: int) -> list[str]:
    return [STATE, STATE, FULL, *_from_offset(raw, max(0, layers - 3), period=6, offset=4)][:layers]


_ZAMBA2 = "M" + "MMMMM*" * 7 + "MMMM*MMM*MM"  # the layers of the models that were published
_FAMILIES: dict[str, Callable[[Raw, int], list[str]]] = {
    "zamba": _zamba,
    "zamba2": lambda raw, layers: [_LETTERS[letter] for letter in (_ZAMBA2 * (layers // 54 + 1))[:layers]],
    "plamo2": _plamo2,
    "jamba": lambda raw, layers: _from_offset(raw, layers, period=8, offset=4),
    "bamba": lambda raw, layers: [STATE] * layers,
    "granitemoehybrid": lambda raw, layers: [STATE] * layers,
    "falcon_h1": lambda raw, layers: [FULL] * layers,
    "lfm2": lambda raw, layers: [FULL] * layers,
    "minimax": lambda raw, layers: [STATE if place % 2 else FULL for place in range(layers)],
    "kimi_linear": lambda raw, layers: [FULL if place and place % 4 == 0 else STATE for place in range(layers)],
    "recurrent_gemma": lambda raw, layers: [STATE if (place + 1) % 3 else SLIDING for place in range(layers)],
    "mimo_v2_flash": lambda raw, layers: [SLIDING if place and (place + 1) % 6 else FULL for place in range(layers)],
    **{
        family: lambda raw, layers: [STATE if (place + 1) % 4 else FULL for place in range(layers)]
        for family in _IN_FOUR
    },
}


def _window(raw: Raw, family: str) -> int | None:
    """Return the size of the attention window, the token itself included, or None if no layer has one."""
    if family == "recurrent_gemma":
        return read_int(raw, "attention_window_size", "sliding_window", default=2048, most=LONGEST)
    asked = read_bool(raw, "use_sliding_window", default=not family.startswith("qwen"))
    if not asked:
        return None
    usual = 4096 if family.startswith("qwen") else _WINDOW.get(family)
    if raw.get("sliding_window", usual) is None:
        return None
    return read_int(raw, "sliding_window", default=usual, least=0, most=LONGEST) or None


def _chunk(raw: Raw, family: str) -> int | None:
    usual = 8192 if family.startswith("llama4") else None
    if raw.get("attention_chunk_size", usual) is None:
        return None
    return read_int(raw, "attention_chunk_size", default=usual, least=0, most=LONGEST) or None
