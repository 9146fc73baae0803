"""What does the transformers engine cost over transformers itself, and what does a kept prefix spare?

    python bench/hf.py [--repeats 7] [--family gpt2|gpt_neox|opt|gemma|phi] [--dtype float32|bfloat16]

On the processor, in the public shape of GPT-2 (124 million parameters, float32, random), or of a
model of another family (``SHAPES``): the whole way of ``capot generate`` against
``model.generate``, 72 tokens less 8, in turn; and the first token after one token was changed 20
before the end of 500, against the same text read from its beginning. With a GPU, in the shape of
Llama 3.2 1B in bfloat16: tokens a second, as they are and compiled, over the limit that reading
the weights once a token sets.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _common import HERE, OUT, ROOT, Missing, arguments, installed, model_folder, report

LONG, SHORT, BACK = 72, 8, 20
ENDLESS = {"bos_token_id": None, "eos_token_id": None}  # every text goes on as long as it is asked to


@dataclass(frozen=True)
class Shape:
    """The published sizes of a model; where ``name`` says so, of its first layers alone."""

    name: str
    config: str  # transformers' class
    sizes: dict[str, Any]


SHAPES = {
    "gpt2": Shape(
        "GPT-2",
        "GPT2Config",
        {"vocab_size": 50257, "n_embd": 768, "n_layer": 12, "n_head": 12, "n_positions": 1024},
    ),
    "gpt_neox": Shape(
        "Pythia 160M",
        "GPTNeoXConfig",
        {"vocab_size": 50304, "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12}
        | {"intermediate_size": 3072, "max_position_embeddings": 2048, "tie_word_embeddings": False},
    ),
    "opt": Shape(
        "OPT 125M",
        "OPTConfig",
        {"vocab_size": 50272, "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12}
        | {"ffn_dim": 3072, "max_position_embeddings": 2048, "word_embed_proj_dim": 768},
    ),
    "gemma": Shape(  # Gemma 2B's table of tokens alone has 524 million parameters, whatever layers are left out
        "Gemma 3 270M",
        "Gemma3TextConfig",
        {"vocab_size": 262144, "hidden_size": 640, "num_hidden_layers": 18, "num_attention_heads": 4}
        | {"num_key_value_heads": 1, "head_dim": 256, "intermediate_size": 2048, "max_position_embeddings": 32768}
        | {"sliding_window": 512, "query_pre_attn_scalar": 256},
    ),
    "phi": Shape(
        "Phi 1.5, 3 of its 24 layers",
        "PhiConfig",
        {"vocab_size": 51200, "hidden_size": 2048, "num_hidden_layers": 3, "num_attention_heads": 32}
        | {"intermediate_size": 8192, "max_position_embeddings": 2048, "tie_word_embeddings": False},
    ),
}


class Peer:
    """A process that answers ``_hf.py``'s questions."""

    def __init__(self, name: str, model: Path, *options: str) -> None:
        command = [sys.executable, str(HERE / "_hf.py"), name, str(model), *options]
        environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "HF_HUB_OFFLINE": "1"}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen(command, env=environment, text=True, **pipes)
        if not self.process.stdout.readline():
            raise Missing(f"{name} did not start")

    def ask(self, **question: Any) -> list[float]:
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())["seconds"]

    def token_s(self) -> float:
        """Seconds a token, what a start costs left out."""
        return (self.ask(do="decode", tokens=LONG)[0] - self.ask(do="decode", tokens=SHORT)[0]) / (LONG - SHORT)

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


def configuration(shape: Shape) -> Any:
    import transformers

    return getattr(transformers, shape.config)(**shape.sizes, **ENDLESS)


def random_model(folder: Path, shape: Shape) -> Path:
    """Random float32 weights in a public shape, and a tokenizer that has text for each id (0.5 to 1.5 GB)."""
    if not (folder / "tokenizer.json").is_file():
        import torch
        import transformers

        torch.manual_seed(0)
        transformers.AutoModelForCausalLM.from_config(configuration(shape)).save_pretrained(folder)
        tokenizer(folder / "tokenizer.json", shape.sizes["vocab_size"])
    return folder


def tokenizer(path: Path, size: int) -> None:
    """Bytes, then as many made-up words as it takes."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    names = [*sorted(pre_tokenizers.ByteLevel.alphabet()), *(f"w{index}" for index in range(size - 256))]
    made = Tokenizer(models.BPE(vocab={name: index for index, name in enumerate(names)}, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.save(str(path))


def on_the_processor(given: argparse.Namespace) -> list[tuple]:
    folder = random_model(OUT / f"{given.family}-random", SHAPES[given.family])
    repeats = given.repeats
    options = ("--dtype", given.dtype) if given.dtype else ()
    ours, theirs = Peer("capot", folder, *options), Peer("generate", folder, *options)
    for peer in (ours, theirs):
        peer.ask(do="decode", tokens=SHORT)
    turns = [(ours.token_s(), theirs.token_s()) for _ in range(repeats)]
    theirs.close()
    ours.ask(do="edit", back=BACK)
    edits = [ours.ask(do="edit", back=BACK) for _ in range(repeats)]
    ours.close()
    return [
        ("decode, capot generate", 1 / statistics.median(mine for mine, _ in turns), "tokens/s", None),
        ("decode, model.generate", 1 / statistics.median(other for _, other in turns), "tokens/s", None),
        ("decode, over model.generate", statistics.median(other / mine for mine, other in turns), "x", 0.95),
        ("first of 500 tokens, from scratch", 1000 * statistics.median(scratch for scratch, _ in edits), "ms", None),
        ("the same after an edit", 1000 * statistics.median(edit for _, edit in edits), "ms", None),
        ("first token after an edit, over from scratch", statistics.median(a / b for a, b in edits), "x", 10.0),
    ]


def on_a_gpu(given: Any) -> list[tuple]:
    """Shares of the limit that the card's own copying sets; a pass cannot be faster than its weights are read."""
    folder = model_folder(given)
    if not (folder / "tokenizer.json").is_file():
        tokenizer(folder / "tokenizer.json", json.loads((folder / "config.json").read_text())["vocab_size"])
    rate = copy_rate()
    weights = (folder / "model.safetensors").stat().st_size
    rows: list[tuple] = [("copying on the GPU", rate / 1e9, "GB/s", None)]
    options = ("--device", "cuda", "--dtype", "bfloat16")
    for name, more in (("as it is", ()), ("compiled", ("--compiled",))):
        peer = Peer("capot", folder, *options, *more)
        peer.ask(do="decode", tokens=LONG)
        token = statistics.median(peer.token_s() for _ in range(given.repeats))
        peer.close()
        rows.append((f"decode on the GPU, {name}", 1 / token, "tokens/s", None))
        asked = 0.6 if name == "compiled" else None
        rows.append((f"decode on the GPU, {name}, share of the bandwidth", weights / rate / token, "", asked))
    return rows


def copy_rate() -> float:
    """Bytes read and written a second when a gigabyte is copied, the best of ten."""
    import torch

    source = torch.empty(2**30, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    best = float("inf")
    for _ in range(10):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        target.copy_(source)
        end.record()
        torch.cuda.synchronize()
        best = min(best, start.elapsed_time(end) / 1000)
    del source, target
    torch.cuda.empty_cache()
    return 2 * 2**30 / best


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--family", choices=SHAPES, default="gpt2", help="whose shape, on the processor")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], help="of both, on the processor; else as stored")


def main() -> None:
    given = arguments(__doc__, repeats=7, more=options)
    shape = f"{SHAPES[given.family].name}{f', {given.dtype}' if given.dtype else ''}"
    question = f"the transformers engine over transformers, random weights in the shape of {shape}"
    if not installed("torch", "transformers", "accelerate"):
        report(question, [], missing=["transformers is not installed here"])
        return
    import torch

    gpu = torch.cuda.is_available()
    rows = [*on_the_processor(given), *(on_a_gpu(given) if gpu else [])]
    report(question, rows, missing=[] if gpu else ["no GPU here: tokens/s over the bandwidth"])


if __name__ == "__main__":
    main()
