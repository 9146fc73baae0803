"""Write a checkpoint as standard Hugging Face files, bfloat16 safetensors.

Run: python -m training.export --checkpoint RUN/checkpoint.pt --out src/capot/boxed
"""

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from training.model import SHAPES, Shape


def config(shape: Shape) -> dict[str, Any]:
    """Return config.json in the spelling that every version of transformers reads."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": 0,
        "eos_token_id": 0,
        "head_dim": shape.head,
        "hidden_act": "silu",
        "hidden_size": shape.width,
        "initializer_range": 0.02,
        "intermediate_size": shape.feed,
        "max_position_embeddings": shape.context,
        "mlp_bias": False,
        "model_type": "llama",
        "num_attention_heads": shape.heads,
        "num_hidden_layers": shape.layers,
        "num_key_value_heads": shape.kv_heads,
        "rms_norm_eps": shape.epsilon,
        "rope_scaling": None,
        "rope_theta": shape.theta,
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
        "use_cache": True,
        "vocab_size": shape.vocabulary,
    }


GENERATION = {"bos_token_id": 0, "do_sample": True, "eos_token_id": 0, "temperature": 0.7}


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file as the hub's tools do: two spaces, a last newline."""
    path.write_text(json.dumps(content, indent=2) + "\n", "utf-8")


def weights(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the tensors in bfloat16 under their Hugging Face names; the head is tied."""
    return {f"model.{name}": w.to(torch.bfloat16).contiguous() for name, w in state.items()}


def export(checkpoint: Path | None, recipe: str, out: Path) -> None:
    """Write config.json, generation_config.json and, given a checkpoint, model.safetensors."""
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "config.json", config(SHAPES[recipe]))
    write_json(out / "generation_config.json", GENERATION)
    if checkpoint:
        state = torch.load(checkpoint, map_location="cpu", weights_only=True)
        save_file(weights(state["model"]), out / "model.safetensors", metadata={"format": "pt"})
        (out / "model.safetensors").chmod(0o644)  # the library writes it for its owner alone


def run_facts(checkpoint: Path, shards: Path) -> dict[str, Any]:
    """Return what a run was: its settings, what it spent, and the share of sequences a source gave, in per cent."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    names = [row["name"] for row in json.loads((shards / "index.json").read_text("utf-8"))]
    counts = state["batches"]["counts"]
    drawn = {name: round(100 * c / sum(counts), 2) for name, c in zip(names, counts, strict=True)}
    kept = {k: state[k] for k in ("step", "tokens", "spent_s", "unlikelihood") if k in state}
    return {"settings": state["settings"], **kept, "drawn": drawn}


def main() -> None:
    """Export; without --checkpoint, the two JSON files only."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--recipe", choices=list(SHAPES), default="cpu")
    parser.add_argument("--out", type=Path, default=Path("src/capot/boxed"))
    parser.add_argument("--shards", type=Path, help="the run's shards: its facts then go to --run")
    parser.add_argument("--run", type=Path, default=Path("training/run.json"))
    args = parser.parse_args()
    export(args.checkpoint, args.recipe, args.out)
    if args.checkpoint and args.shards:
        write_json(args.run, run_facts(args.checkpoint, args.shards))


if __name__ == "__main__":
    main()
