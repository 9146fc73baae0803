"""Open an exported folder for evaluation: model in float32, tokenizer, next-token rows."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer

from training.model import Llama, Shape


@dataclass
class Reader:
    """A model and its tokenizer. Token 0 begins every text."""

    model: Llama
    tokenizer: Tokenizer

    def ids(self, text: str, *, begins: bool = True) -> list[int]:
        """Return the ids of a text, the document mark first if it `begins` a document."""
        return self.tokenizer.encode(text, add_special_tokens=begins).ids

    @torch.inference_mode()
    def last_logits(self, rows: list[list[int]]) -> torch.Tensor:
        """Return the logits (n, V) after each row of ids.

        Rows are padded on the right: attention is causal, so the padding is never read.
        """
        longest = max(map(len, rows))
        ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows])
        hidden = self.model(ids)  # (n, T, D)
        ends = torch.tensor([len(row) - 1 for row in rows])
        logits: torch.Tensor = hidden[torch.arange(len(rows)), ends] @ self.model.embed_tokens.weight.T
        return logits

    @torch.inference_mode()
    def log_probs(self, ids: list[int]) -> torch.Tensor:
        """Return log-probabilities (T, V), in nats, after every id."""
        logits = self.model.logits(torch.tensor([ids]))[0]
        return torch.log_softmax(logits.float(), dim=-1)


def shape_of(config: dict[str, Any]) -> Shape:
    """Return the sizes that a config.json of the Llama family tells."""
    return Shape(
        vocabulary=config["vocab_size"],
        width=config["hidden_size"],
        layers=config["num_hidden_layers"],
        heads=config["num_attention_heads"],
        kv_heads=config["num_key_value_heads"],
        feed=config["intermediate_size"],
        context=config["max_position_embeddings"],
        theta=config["rope_theta"],
        epsilon=config["rms_norm_eps"],
    )


def open_folder(folder: Path) -> Reader:
    """Open config.json, model.safetensors and tokenizer.json of a folder."""
    model = Llama(shape_of(json.loads((folder / "config.json").read_text())))
    state = load_file(folder / "model.safetensors")
    model.load_state_dict({k.removeprefix("model."): v.float() for k, v in state.items()})
    return Reader(model.eval(), Tokenizer.from_file(str(folder / "tokenizer.json")))


def generate(reader: Reader, prompts: list[list[int]], *, count: int, temperature: float, seed: int) -> list[list[int]]:
    """Return `count` new ids for each prompt; temperature 0 takes the most probable.

    A row stops at the document mark. The cache that a real engine keeps is left out: a few
    hundred short rows are quick enough without.
    """
    rng = torch.Generator().manual_seed(seed)
    rows = [list(p) for p in prompts]
    open_rows = list(range(len(prompts)))
    for _ in range(count):
        if not open_rows:
            break
        logits = reader.last_logits([rows[i] for i in open_rows])
        if temperature == 0:
            chosen = logits.argmax(dim=-1)
        else:
            chosen = torch.multinomial(torch.softmax(logits / temperature, dim=-1), 1, generator=rng)[:, 0]
        for i, token in zip(open_rows, chosen.tolist(), strict=True):
            rows[i].append(token)
        open_rows = [i for i in open_rows if rows[i][-1] != 0]
    return [row[len(p) :] for row, p in zip(rows, prompts, strict=True)]
