"""What the questions about the engine share: contestants, a random model, hardware, tables.

Contestants run in processes of their own and answer in turn, so that a minute in which the
machine is slow is slow for all; the result is the ratio. Nothing is guessed: a contestant
that cannot be had is named as missing.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
OUT = HERE / "out"
BOXED = ROOT / "src" / "capot" / "boxed"
PEERS = ("native", "llama.cpp", "transformers")

# The public shape of Llama 3.2 1B.
SHAPE = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": 128256,
    "hidden_size": 2048,
    "intermediate_size": 8192,
    "num_hidden_layers": 16,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 64,
    "hidden_act": "silu",
    "max_position_embeddings": 131072,
    "rms_norm_eps": 1e-5,
    "rope_theta": 500000.0,
    "rope_scaling": {
        "rope_type": "llama3",
        "factor": 32.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    },
    "tie_word_embeddings": True,
    "torch_dtype": "bfloat16",
    "bos_token_id": 128000,
    "eos_token_id": 128001,
}


def arguments(
    question: str, *, repeats: int, more: Callable[[argparse.ArgumentParser], object] | None = None
) -> argparse.Namespace:
    """The options of every script here, those of other scripts ignored; ``more`` adds a script's own."""
    parser = argparse.ArgumentParser(description=question)
    asked = os.environ.get
    parser.add_argument("--model", default=asked("CAPOT_BENCH_MODEL"), help="a folder; else a random one is made")
    parser.add_argument("--gguf", default=asked("CAPOT_BENCH_GGUF"), help="the same for llama.cpp; else made")
    parser.add_argument("--venv", default=asked("CAPOT_BENCH_VENV", str(OUT / "venv")), help="where llama.cpp is")
    parser.add_argument("--repeats", type=int, default=repeats)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    if more is not None:
        more(parser)
    given, _ = parser.parse_known_args()
    OUT.mkdir(exist_ok=True)
    return given


# ---------------------------------------------------------------- models


def shapes(shape: dict) -> dict[str, tuple[int, ...]]:
    """Every tensor of a Llama of this shape, by its name in the file."""
    width, inner, head = shape["hidden_size"], shape["intermediate_size"], shape["head_dim"]
    queries, keys = shape["num_attention_heads"] * head, shape["num_key_value_heads"] * head
    found = {"model.embed_tokens.weight": (shape["vocab_size"], width), "model.norm.weight": (width,)}
    for layer in range(shape["num_hidden_layers"]):
        at = f"model.layers.{layer}."
        found |= {at + "input_layernorm.weight": (width,), at + "post_attention_layernorm.weight": (width,)}
        for name, rows in (("q", queries), ("k", keys), ("v", keys)):
            found[at + f"self_attn.{name}_proj.weight"] = (rows, width)
        found |= {at + "self_attn.o_proj.weight": (width, queries), at + "mlp.down_proj.weight": (width, inner)}
        found |= {at + f"mlp.{name}_proj.weight": (inner, width) for name in ("gate", "up")}
    return found


def random_model(folder: Path) -> Path:
    """Random bfloat16 weights in the public shape of Llama 3.2 1B, as a Hugging Face folder (2.5 GB)."""
    if (folder / "config.json").is_file():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    header = {}
    end = 0
    for name, shape in shapes(SHAPE).items():
        start, end = end, end + 2 * int(np.prod(shape))
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with (folder / "model.safetensors").open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for shape in shapes(SHAPE).values():
            values = np.ones(shape, np.float32) if len(shape) == 1 else random.standard_normal(shape, np.float32) * 0.02
            file.write((values.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16).tobytes())
    (folder / "config.json").write_text(json.dumps(SHAPE, indent=1))  # last: its presence says that all is there
    return folder


def model_folder(given: argparse.Namespace) -> Path:
    return Path(given.model) if given.model else random_model(OUT / "llama-1b")


def with_tokenizer(folder: Path) -> Path:
    """The same model beside a tokenizer: the boxed one where it has none, whose tokens are the first of its table."""
    if (folder / "tokenizer.json").is_file():
        return folder
    other = OUT / f"{folder.resolve().name}-with-tokenizer"
    other.mkdir(parents=True, exist_ok=True)
    for file in [*folder.resolve().iterdir(), BOXED / "tokenizer.json"]:
        link = other / file.name
        if not link.exists():
            try:  # the same file under another name: a link that leads out of a model's folder is not followed
                link.hardlink_to(file)
            except OSError:  # on another disk
                shutil.copyfile(file, link)
    return other


# ---------------------------------------------------------------- contestants


def llama_python(given: argparse.Namespace) -> Path:
    """A Python that has llama.cpp, built for this very machine at the first call (some minutes)."""
    python = Path(given.venv) / "bin" / "python"
    if not python.exists():
        try:
            venv.create(given.venv, with_pip=True)
        except subprocess.CalledProcessError:
            raise Missing("no environment could be made for llama.cpp") from None
    has = subprocess.run([python, "-c", "import llama_cpp, gguf"], capture_output=True, check=False).returncode == 0
    if not has:
        print("building llama.cpp for this machine, once: some minutes", file=sys.stderr, flush=True)
        install = [python, "-m", "pip", "install", "--quiet"]
        built = subprocess.run(
            [*install, "gguf", "--no-binary", "llama-cpp-python", "llama-cpp-python"],
            env=os.environ | {"CMAKE_ARGS": "-DGGML_NATIVE=ON"},
            check=False,
        )
        if built.returncode:
            raise Missing("llama.cpp could not be built")
    return python


def gguf_model(given: argparse.Namespace) -> Path:
    """The random model in llama.cpp's own file format."""
    if given.gguf:
        return Path(given.gguf)
    path = OUT / "llama-1b-bf16.gguf"
    if not path.is_file():
        command = [llama_python(given), HERE / "_gguf.py", model_folder(given), path]
        if subprocess.run(command, check=False).returncode:
            path.unlink(missing_ok=True)  # half a file would be taken for a whole one
            raise Missing("the model could not be written in llama.cpp's format")
    return path


class Missing(Exception):
    """A contestant that cannot be had here."""


class Contestant:
    """A process that answers ``_worker.py``'s questions; ``source``: the folder that capot is taken from."""

    def __init__(
        self, peer: str, given: argparse.Namespace, model: Path | None = None, *, source: Path = ROOT / "src"
    ) -> None:
        self.peer = peer
        python = Path(sys.executable)
        if peer == "llama.cpp":
            python, model = llama_python(given), gguf_model(given)
        if peer == "transformers" and not installed("torch", "transformers"):
            raise Missing("transformers is not installed here")
        command = [python, HERE / "_worker.py", peer, model or model_folder(given), "--threads", str(given.threads)]
        environment = os.environ | {"PYTHONPATH": str(source), "NUMBA_NUM_THREADS": str(given.threads)}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen([str(part) for part in command], env=environment, text=True, **pipes)
        if not self.process.stdout.readline():
            raise Missing(f"{peer} did not start")

    def ask(self, do: str, tokens: int) -> float:
        return self.tell(do, tokens)["seconds"]

    def tell(self, do: str, tokens: int) -> dict:
        """All that the worker answers."""
        self.process.stdin.write(json.dumps({"do": do, "tokens": tokens}) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


def installed(*names: str) -> bool:
    from importlib.util import find_spec

    return all(find_spec(name) for name in names)


def contestants(peers: tuple[str, ...], given: argparse.Namespace, model: Path | None = None) -> tuple[list, list[str]]:
    """Those that could be had, and the names of those that could not."""
    present, missing = [], []
    for peer in peers:
        try:
            present.append(Contestant(peer, given, model))
        except Missing as reason:
            missing.append(f"{peer}: {reason}")
    return present, missing


def duel(present: list, repeats: int, ask: Callable[[Contestant], float]) -> dict[str, list[float]]:
    """Every contestant in turn, ``repeats`` times, after one turn that does not count."""
    found: dict[str, list[float]] = {one.peer: [] for one in present}
    for turn in range(repeats + 1):
        for one in present:
            seconds = ask(one)
            if turn:
                found[one.peer].append(seconds)
    return found


def ratios(found: dict[str, list[float]]) -> dict[str, float]:
    """How many times faster ours is than each other: the median over the turns."""
    mine = found["native"]
    return {
        peer: statistics.median(theirs / ours for ours, theirs in zip(mine, seconds, strict=True))
        for peer, seconds in found.items()
        if peer != "native"
    }


# ---------------------------------------------------------------- reports


@functools.cache
def surroundings() -> dict[str, str]:
    """Hardware, versions and commit, for a row that can be read in a year."""
    from importlib.metadata import PackageNotFoundError, version

    from capot.sources.machine import processor

    def known(name: str) -> str:
        try:
            return version(name)
        except PackageNotFoundError:
            return "absent"

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()

    commit = git("rev-parse", "--short", "HEAD") + ("+" if git("status", "--porcelain", "--", "src") else "")
    versions = {name: known(name) for name in ("numpy", "numba", "torch", "transformers")}
    about = {
        "cpu": processor(),
        "cores": str(len(os.sched_getaffinity(0))),
        "system": f"{platform.system()} {platform.machine()}",
    }
    return about | {"python": platform.python_version(), "commit": commit} | versions


def report(question: str, rows: list[tuple[str, float | None, str, float | None]], *, missing: list[str] = ()) -> None:
    """A table for people, then one line of JSON. Each row: name, value, unit, the least asked for."""
    print(question)
    for name, value, unit, least in rows:
        asked = "" if least is None else f"   asked: {least:g}"
        print(f"  {name:<58} {'missing' if value is None else format(value, '.4g'):>9} {unit:<9}{asked}")
    for reason in missing:
        print(f"  missing: {reason}")
    body = [{"name": n, "value": v, "unit": u, "asked": a} for n, v, u, a in rows]
    print(json.dumps({"question": question, "rows": body, "missing": list(missing), **surroundings()}), flush=True)
