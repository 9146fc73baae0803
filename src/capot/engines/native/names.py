"""What the file of a Llama's weights calls them, and which of them the network has.

As transformers reads them: what config.json says of biases goes before what the file holds, and what the file
holds of a head goes before what config.json says of it.
"""

from __future__ import annotations

from dataclasses import dataclass

from capot.sources.checkpoint import HEAD, Checkpoint
from capot.sources.fields import read_bool, text_config


@dataclass(frozen=True)
class Names:
    """``prefix`` of all names but the head's, the ``table`` of embeddings, and whether it is the head as well."""

    prefix: str
    table: str
    tied: bool


@dataclass(frozen=True)
class Biases:
    """Which matrices of a layer have a bias: those of queries, keys and values, attention's output, the MLP's."""

    queries: bool = False
    output: bool = False
    mlp: bool = False


def names(checkpoint: Checkpoint) -> Names:
    """Look how the names begin: ``model.`` is missing where the network was saved without a head.

    A tied model may keep its one matrix by either name. Where it has both, they may differ: both are used.
    """
    there = checkpoint.tensors
    tied = checkpoint.config.tied
    # ``LlamaModel`` and others of the base classes save themselves without the prefix of the class with a head.
    prefix = "" if "embed_tokens.weight" in there and "model.embed_tokens.weight" not in there else "model."
    table = f"{prefix}embed_tokens.weight"
    if tied and HEAD in there and table not in there:
        return Names(prefix, HEAD, tied=True)
    return Names(prefix, table, tied=tied and HEAD not in there)


def biases(checkpoint: Checkpoint) -> Biases:
    """Return the biases that config.json, or else the family, gives to a layer; others in the file belong to no part of
    it.

    Raises: ModelError ``config_value``.
    """
    raw = text_config(checkpoint.raw_config)
    architecture = checkpoint.config.architecture
    # Qwen2 has these biases whatever its config says: transformers' code has ``bias=True`` written out.
    if architecture == "Qwen2ForCausalLM":
        return Biases(queries=True)
    if architecture not in ("LlamaForCausalLM", "Qwen3ForCausalLM"):
        return Biases()
    attention = read_bool(raw, "attention_bias", default=False)
    mlp = architecture == "LlamaForCausalLM" and read_bool(raw, "mlp_bias", default=False)
    return Biases(queries=attention, output=attention, mlp=mlp)
