"""What mixes the tokens in a layer of a hybrid, counted: attention, or one of the kinds that keep a state.

Of a layer with a state what mixes tokens is counted as "other". With D the width, E the channels, N the numbers that
each keeps, H heads, G groups, K the taps of a convolution and R the rank of a step:

    Mamba            2·D·E + E·K + E·(R + 2·N) + R·E + E·N + E·D, and biases       arXiv:2312.00752
    Mamba 2          D·(2·E + 2·G·N + H) + (E + 2·G·N)·K + 3·H + E + E·D           arXiv:2405.21060
    mLSTM            D·(2·Q + 3·P + 2·H) + 2·H + P, and biases                     arXiv:2405.04517
    RWKV 4           4·D·A + 2·A + 3·D                                             arXiv:2305.13048
    gated delta      D·(2·Q + 2·P + 2·H) + (2·Q + P)·K + P·D, Q keys, P values     arXiv:2412.06464
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from capot.sources.configuration import Config
from capot.sources.fields import Raw, first_set, read_bool, read_count, read_float, read_int
from capot.sources.layer_kinds import HEADLESS

Blocks = dict[str, int]  # attention, other (what keeps a state), mlp, norms


def attention(config: Config, *, bias: int = 0, gate: bool = False, normed: bool = False) -> Blocks:
    """Return a Llama's attention; ``gate``: queries come twice, ``normed``: each head's query and key have a norm."""
    queries = config.heads * config.head_dim
    keys = config.kv_heads * config.head_dim
    # A gate doubles the queries' projection (Qwen3-Next); with the output it makes three.
    matrices = config.width * (queries * (3 if gate else 2) + 2 * keys)
    return {"attention": matrices + bias, "norms": 2 * config.head_dim * normed}


def attention_biases(raw: Raw, config: Config) -> int:
    """Return the biases of queries, keys, values and output, where config.json asks for them."""
    sizes = (config.heads + 2 * config.kv_heads) * config.head_dim + config.width
    return sizes * read_bool(raw, "attention_bias", default=False)


def mlp(config: Config, width: int, *, bias: bool = False) -> int:
    return 3 * config.width * width + bias * (2 * width + config.width)


def layer_blocks(*parts: Blocks, norms: int, mlp: int = 0) -> Blocks:
    found = {"attention": 0, "mlp": mlp, "norms": norms}
    for part in parts:
        for block, size in part.items():
            found[block] = found.get(block, 0) + size
    return found


def mamba(raw: Raw, config: Config, *, normed: bool) -> Blocks:
    width = config.width
    kept = read_int(raw, "mamba_d_state", "state_size", default=16)
    inner = mamba_inner(raw, config)
    kernel = read_int(raw, "mamba_d_conv", "conv_kernel", default=4)
    named, given = first_set(raw, "mamba_dt_rank", "time_step_rank")
    # "auto" is the paper's choice, a sixteenth of the width.
    rank = math.ceil(width / 16) if given in (None, "auto") else read_int(raw, named)
    size = 3 * width * inner + inner * (kernel + rank + 2 * kept + rank + 1 + kept + 1)
    size += inner * read_bool(raw, "mamba_conv_bias", "use_conv_bias", default=True)
    size += (2 * inner + width) * read_bool(raw, "mamba_proj_bias", "use_bias", default=False)
    return {"other": size, "norms": (rank + 2 * kept) * normed}


def mamba_inner(raw: Raw, config: Config) -> int:
    """Return the channels of a Mamba, by its name in hybrids, else as families without attention write it."""
    if raw.get("mamba_expand") is not None or config.model_type not in HEADLESS:
        return read_int(raw, "mamba_expand", default=2) * config.width
    given = config.model_type != "mamba2" and read_count(raw, "intermediate_size")
    return given or int(read_float(raw, "expand", default=2, most=1000) * config.width)


@dataclass(frozen=True)
class MLstm:
    """``keys`` and ``values``: numbers of all ``heads`` together; ``inner``: of the MLP after it."""

    heads: int
    keys: int
    values: int
    inner: int
    bias: bool

    @property
    def state(self) -> int:
        """Return how many numbers a text leaves in one layer: for each head its sums, their norm, their maximum."""
        return self.heads * ((self.keys // self.heads) * (self.values // self.heads + 1) + 1)

    def blocks(self, width: int) -> Blocks:
        size = width * (2 * self.keys + 3 * self.values + 2 * self.heads) + 2 * self.heads + self.values
        biases = 2 * self.keys + 3 * self.values + width
        mlp = 3 * width * self.inner + self.bias * (2 * self.inner + width)
        return {"other": size + self.bias * biases, "mlp": mlp, "norms": (2 + 2 * self.bias) * width}


def mlstm(raw: Raw, config: Config) -> MLstm:
    """Return an xLSTM's layer, whose widths are shares of the model's, the MLP's rounded up."""

    def part(name: str, usual: float, step: int = 1) -> int:
        share = read_float(raw, name, default=usual, most=1000)
        return -(-int(config.width * share) // step) * step

    step = read_int(raw, "ffn_round_up_to_multiple_of", default=64)
    return MLstm(
        heads=read_int(raw, "num_heads", default=8),
        keys=part("qk_dim_factor", 0.5),
        values=part("v_dim_factor", 1.0),
        inner=part("ffn_proj_factor", 2.667, step),
        bias=read_bool(raw, "use_bias", default=False),
    )


def rwkv(raw: Raw, config: Config) -> Blocks:
    """Return a layer of RWKV 4: what mixes tokens, and its MLP, which has a gate of the width."""
    width = config.width
    inner = read_count(raw, "attention_hidden_size", default=width)
    mixed = 4 * width * inner + 2 * inner + 3 * width
    hidden = read_count(raw, "intermediate_size", default=4 * width)
    return {"other": mixed, "mlp": 2 * width * hidden + width * width + 2 * width, "norms": 4 * width}


@dataclass(frozen=True)
class Mamba2:
    inner: int
    kept: int
    groups: int
    heads: int
    kernel: int = 4
    conv_bias: bool = True
    bias_in: bool = False
    bias_out: bool = False
    normed: bool = True

    @property
    def state(self) -> int:
        """Return how many numbers a text leaves in one layer: each channel's sums, the convolution's last inputs."""
        return self.inner * self.kept + (self.inner + 2 * self.groups * self.kept) * self.kernel

    def blocks(self, width: int) -> Blocks:
        convolved = self.inner + 2 * self.groups * self.kept
        entering = self.inner + convolved + self.heads
        # Three numbers for each head: step bias, decay, and the weight of the skip.
        size = width * (entering + self.inner) + convolved * (self.kernel + self.conv_bias) + 3 * self.heads
        size += entering * self.bias_in + width * self.bias_out
        return {"other": size, "norms": self.inner * self.normed}


def bamba_mixer(raw: Raw, config: Config, *, inner: int | None = None, normed: bool = True) -> Mamba2:
    bias = read_bool(raw, "mamba_proj_bias", default=False)
    return Mamba2(
        inner=inner or read_int(raw, "mamba_expand", default=2) * config.width,
        kept=read_int(raw, "mamba_d_state", default=256),
        groups=read_int(raw, "mamba_n_groups", default=1),
        heads=read_int(raw, "mamba_n_heads", default=128),
        kernel=read_int(raw, "mamba_d_conv", default=4),
        conv_bias=read_bool(raw, "mamba_conv_bias", default=True),
        bias_in=bias,
        bias_out=bias,
        normed=normed,
    )


def gated_delta_net(raw: Raw, config: Config) -> Blocks:
    """Return a gated delta net, of Qwen3-Next and after."""
    values = read_int(raw, "linear_num_value_heads", default=32)
    value_dim = read_int(raw, "linear_value_head_dim", default=128)
    keys = read_int(raw, "linear_num_key_heads", default=16) * read_int(raw, "linear_key_head_dim", default=128)
    out = values * value_dim
    kernel = read_int(raw, "linear_conv_kernel_dim", default=4)
    size = config.width * (2 * keys + 3 * out + 2 * values) + (2 * keys + out) * kernel + 2 * values
    return {"other": size, "norms": value_dim}


def falcon_mixer(raw: Raw, config: Config) -> Mamba2:
    default = None if "mamba_d_ssm" in raw and raw["mamba_d_ssm"] is None else 1024
    inner = None if default is None else read_int(raw, "mamba_d_ssm", default=default)
    return bamba_mixer(raw, config, inner=inner, normed=read_bool(raw, "mamba_rms_norm", default=False))


def nemotron_mixer(raw: Raw) -> Mamba2:
    heads = read_int(raw, "mamba_num_heads", default=128)
    bias = read_bool(raw, "use_bias", default=False) or read_bool(raw, "mamba_proj_bias", default=False)
    return Mamba2(
        inner=heads * read_int(raw, "mamba_head_dim", default=64),
        kept=read_int(raw, "ssm_state_size", default=128),
        groups=read_int(raw, "n_groups", "mamba_n_groups", default=8),
        heads=heads,
        kernel=read_int(raw, "conv_kernel", "mamba_d_conv", default=4),
        conv_bias=read_bool(raw, "use_conv_bias", default=True),
        bias_in=bias,
        bias_out=bias,
    )


def mamba2_mixer(raw: Raw, config: Config) -> Mamba2:
    bias = read_bool(raw, "use_bias", default=False)
    return Mamba2(
        inner=mamba_inner(raw, config),
        kept=read_int(raw, "state_size", default=128),
        groups=read_int(raw, "n_groups", default=8),
        heads=read_int(raw, "num_heads", default=128),
        kernel=read_int(raw, "conv_kernel", default=4),
        conv_bias=read_bool(raw, "use_conv_bias", default=True),
        bias_in=bias,
        bias_out=bias,
    )


def zamba2_mixer(raw: Raw, config: Config) -> Mamba2:
    return Mamba2(
        inner=read_int(raw, "mamba_expand", default=2) * config.width,
        kept=read_int(raw, "mamba_d_state", default=64),
        groups=read_int(raw, "mamba_ngroups", default=1),
        heads=read_int(raw, "n_mamba_heads", default=8),
        kernel=read_int(raw, "mamba_d_conv", default=4),
    )
