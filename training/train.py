"""Train the model for a number of minutes of computing, on whatever device there is.

Run: python -m training.train --shards SHARDS --out RUN --recipe cpu --minutes 90

RUN/checkpoint.pt is written every ten minutes and when the process is asked to end; the same
command goes on from it. RUN/loss.csv has a line every ten steps.

The recipe `boxed` holds its rate to the end. To finish it, at any moment, fall from a checkpoint:
python -m training.train --shards SHARDS --out END --recipe boxed --branch RUN/checkpoint.pt --fall 60
"""

import argparse
import contextlib
import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from training.batches import Batches
from training.model import SHAPES, HeadLoss, Llama, block_loss
from training.muon import Muon
from training.schedule import PAUSE_S, PHASES, WARM_S, Budget, Phase, Plan, phase, rate

SAVE_S = 600.0
FALL = 60.0  # minutes in which a branch ends, where nothing is said
WEIGHTS = {"gpu": "weight_gpu", "boxed": "weight_long"}  # which shares of sources.json a recipe reads
COLUMNS = "step,spent_s,tokens,length,rate,loss_nats,tokens_per_s"


@dataclass
class Settings:
    """Everything that a run depends on; written into the checkpoint."""

    recipe: str = "cpu"
    minutes: float = 90.0
    seed: int = 0
    matrix_rate: float = 0.02  # Muon
    table_rate: float = 4e-3  # AdamW, embedding
    norm_rate: float = 2e-3  # AdamW, norms
    decay: float = 0.02
    compiled: bool = True
    steady: bool = False  # hold the rate until a branch ends the run


@dataclass
class Run:
    """The state of a run: model, optimisers, data, budget, counts."""

    settings: Settings
    device: torch.device
    model: Llama
    batches: Batches
    budget: Budget
    optimisers: list[torch.optim.Optimizer] = field(default_factory=list)
    step: int = 0
    tokens: int = 0
    forward: Callable[..., Any] | None = None  # the model, or its compiled form
    plan: Plan | None = None  # of a steady run

    def rate(self) -> float:
        """Return the share of the peak rate that the next step takes."""
        return self.plan.rate(self.budget.spent_s) if self.plan else rate(self.budget.fraction)


def optimisers(model: Llama, s: Settings) -> list[torch.optim.Optimizer]:
    """Return Muon for the matrices of the layers, AdamW for the table and the norms."""
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n]
    norms = [p for p in model.parameters() if p.ndim == 1]
    # Each has a peak of its own, of which the schedule gives the share.
    groups = [
        {"params": [model.embed_tokens.weight], "lr": s.table_rate, "peak": s.table_rate},
        {"params": norms, "lr": s.norm_rate, "peak": s.norm_rate},
    ]
    muon = Muon(matrices, lr=s.matrix_rate, decay=s.decay)
    muon.param_groups[0]["peak"] = s.matrix_rate
    # No decay for embeddings and norms: rare tokens have gradients seldom, and would decay between them.
    return [muon, torch.optim.AdamW(groups, betas=(0.9, 0.95), eps=1e-10, weight_decay=0.0)]


def start(settings: Settings, shards: Path, device: torch.device) -> Run:
    """Build a fresh run."""
    model = Llama(SHAPES[settings.recipe], settings.seed).to(device)
    batches = Batches(shards, weight=WEIGHTS.get(settings.recipe, "weight_cpu"), seed=settings.seed)
    # On a processor the clock counts processor time, which stands still in a pause.
    budget = Budget(settings.minutes, pause_s=float("inf") if device.type == "cpu" else PAUSE_S)
    run = Run(settings, device, model, batches, budget)
    run.optimisers = optimisers(model, settings)
    run.plan = Plan() if settings.steady else None
    # Static shapes: there are as many as phases, compiled before the clock starts.
    run.forward = torch.compile(model, dynamic=False) if settings.compiled else model
    HeadLoss.block = torch.compile(block_loss, dynamic=False) if settings.compiled else None
    HeadLoss.ROWS, HeadLoss.SPAN = (256, 2048) if device.type == "cpu" else (8192, 8192)
    return run


def loss_of(run: Run, ids: torch.Tensor) -> torch.Tensor:
    """Return the mean loss (nats a token) of ids (B, T + 1), with gradients to come."""
    mixed = run.settings.compiled or run.device.type != "cpu"
    low = torch.autocast(run.device.type, dtype=torch.bfloat16) if mixed else contextlib.nullcontext()
    with low:
        # A compiled module has no truth value: PyTorch asks the module for its length.
        forward = run.model if run.forward is None else run.forward
        hidden = forward(ids[:, :-1])
    hidden = hidden.reshape(-1, hidden.shape[-1])
    hidden = hidden.to(torch.bfloat16) if mixed else hidden
    apply: Callable[..., torch.Tensor] = HeadLoss.apply
    return apply(hidden, run.model.embed_tokens.weight, ids[:, 1:].reshape(-1))


def advance(run: Run, now: Phase) -> float:
    """Do one optimiser step of `now.times` batches; return the mean loss."""
    share = run.rate()
    total = 0.0
    for _ in range(now.times):
        ids = torch.from_numpy(run.batches.next(now.rows, now.length)).to(run.device)
        # Divided here, so that several batches add up to the mean of their tokens.
        loss = loss_of(run, ids) / now.times
        loss.backward()
        total += loss.item()
    for optimiser in run.optimisers:
        for group in optimiser.param_groups:
            group["lr"] = group["peak"] * share
        optimiser.step()
        # None instead of zeros: the next backward writes instead of adding.
        optimiser.zero_grad(set_to_none=True)
    run.step += 1
    run.tokens += now.times * now.rows * now.length
    return total


def save(run: Run, path: Path) -> None:
    """Write the checkpoint beside its place, then move it: an interruption leaves the old one."""
    state = {
        # What draws the data is in the checkpoint too: a run that goes on reads what it would have read.
        "settings": vars(run.settings),
        "model": run.model.state_dict(),
        "optimisers": [o.state_dict() for o in run.optimisers],
        "batches": run.batches.state(),
        "spent_s": run.budget.spent_s,
        "typical_s": run.budget.typical_s,
        "step": run.step,
        "tokens": run.tokens,
        "plan": vars(run.plan) if run.plan else None,
    }
    partial = path.with_suffix(".partial")
    # Renamed in one step: power may fail while gigabytes are being written.
    torch.save(state, partial)
    os.replace(partial, path)


def restore(run: Run, path: Path) -> None:
    """Go on from a checkpoint; the number of minutes may have changed."""
    # ``weights_only``: a checkpoint is a pickle, which could run code.
    state = torch.load(path, map_location=run.device, weights_only=True)
    run.model.load_state_dict(state["model"])
    for optimiser, held in zip(run.optimisers, state["optimisers"], strict=True):
        optimiser.load_state_dict(held)
    run.batches.restore(state["batches"])
    run.budget.spent_s, run.budget.typical_s = state["spent_s"], state["typical_s"]
    run.step, run.tokens = state["step"], state["tokens"]
    if run.plan and state.get("plan"):
        run.plan = Plan(**state["plan"])
        if run.plan.decay_from_s is not None:
            run.budget.minutes = run.plan.end_s / 60


def branch(run: Run, path: Path, minutes: float, *, peak: float = 1) -> None:
    """Start the end of a steady run: from its checkpoint the rate falls to zero in so many minutes.

    It falls from `peak` of the run's rate; less than 1 is for one that has fallen before.
    """
    restore(run, path)
    fall(run, run.budget.spent_s, minutes, peak=peak)


def fall(run: Run, from_s: float, minutes: float, *, peak: float) -> None:
    """Let the rate of a steady run fall to zero in so many minutes, from a moment (seconds of computing) on."""
    for group in (group for optimiser in run.optimisers for group in optimiser.param_groups):
        group["peak"] *= peak
    # Another run has a schedule by its budget, and ends by itself.
    assert run.plan is not None  # `resume_or_start` refuses another run
    run.plan = Plan(run.plan.warm_from_s, from_s, from_s + 60 * minutes)
    run.budget.minutes = run.plan.end_s / 60


def start_from_weights(
    run: Run, folder: Path, facts: dict[str, Any], *, minutes: float | None = None, peak: float = 1
) -> None:
    """Go on from exported weights where the checkpoint is lost: the optimiser is fresh, the rate rises again.

    `facts` is what `export` wrote into run.json. Give another seed, so that other sequences come first.
    With `minutes`, the rate falls to zero after it has risen: the run ends there.
    """
    weights = load_file(folder / "model.safetensors")
    run.model.load_state_dict({k.removeprefix("model."): w.float() for k, w in weights.items()})
    run.step, run.tokens, run.budget.spent_s = (facts[k] for k in ("step", "tokens", "spent_s"))
    if run.plan:
        run.plan.warm_from_s = run.budget.spent_s
    if minutes is not None:
        fall(run, run.budget.spent_s + WARM_S, minutes, peak=peak)


def warm_up(run: Run) -> None:
    """Compile for every length that will come, before the clock starts."""
    for length, rows in {(p.length, p.rows) for p in PHASES[run.settings.recipe]}:
        ids = torch.zeros(rows, length + 1, dtype=torch.long, device=run.device)
        loss_of(run, ids).backward()
    run.model.zero_grad(set_to_none=True)


class LossLog:
    """The loss curve as CSV, and a line on the screen."""

    def __init__(self, path: Path, every: int = 10):
        self.path = path
        self.every = every
        self.losses: list[float] = []
        self.seconds, self.tokens = 0.0, 0
        if not path.exists():
            path.write_text(COLUMNS + "\n")

    def note(self, run: Run, now: Phase, loss: float, seconds: float) -> None:
        """Add a step; every so many, write their mean."""
        self.losses.append(loss)
        self.seconds += seconds
        self.tokens += now.times * now.rows * now.length
        if run.step % self.every:
            return
        mean = sum(self.losses) / len(self.losses)
        speed = self.tokens / self.seconds
        share = run.rate()
        row = f"{run.step},{run.budget.spent_s:.1f},{run.tokens},{now.length},{share:.4f},{mean:.4f},{speed:.0f}"
        with self.path.open("a") as file:
            file.write(row + "\n")
        print(row, flush=True)
        self.losses = []
        self.seconds = 0.0
        self.tokens = 0


def compute_clock(device: torch.device) -> float:
    """Return a clock of computing: processor seconds of a thread, so that a busy machine costs no budget."""
    return time.process_time() / torch.get_num_threads() if device.type == "cpu" else time.monotonic()


def train(
    run: Run,
    out: Path,
    *,
    steps: int | None = None,
    wall_s: float = float("inf"),
    clock: Callable[[torch.device], float] = compute_clock,
) -> None:
    """Step until the budget, `steps` or `wall_s` (seconds by the clock) is spent; save on the way."""
    asked = {"end": False}
    # A signal ends the run after the step: half a step would leave momentum and weights apart.
    before = {n: signal.signal(n, lambda *_: asked.update(end=True)) for n in (signal.SIGTERM, signal.SIGINT)}
    first = saved = time.monotonic()
    diary = LossLog(out / "loss.csv")
    while run.budget.fraction < 1 and not asked["end"] and (steps is None or run.step < steps):
        # For a machine that is lent for an hour: what counts there is the clock on the wall.
        if time.monotonic() - first > wall_s:
            break
        now = phase(run.settings.recipe, run.budget.fraction)
        begun = clock(run.device)
        loss = advance(run, now)
        seconds = clock(run.device) - begun
        run.budget.add(seconds)
        diary.note(run, now, loss, seconds)
        if time.monotonic() - saved > SAVE_S:
            save(run, out / "checkpoint.pt")
            saved = time.monotonic()
    save(run, out / "checkpoint.pt")
    for name, handler in before.items():
        signal.signal(name, handler)


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--shards", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--recipe", choices=list(SHAPES), default="cpu")
    parser.add_argument("--minutes", type=float, default=90)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, help="stop at this step, for a throughput test")
    parser.add_argument("--wall", type=float, default=float("inf"), help="stop after so many seconds by the clock")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=NUMBER", help="change a rate")
    parser.add_argument("--branch", type=Path, metavar="CHECKPOINT", help="end the steady run of this checkpoint")
    parser.add_argument(
        "--fall", type=float, help="minutes in which a branch, or a run from weights, falls to a rate of zero"
    )
    parser.add_argument("--peak", type=float, default=1, help="share of the rate from which a branch falls")
    parser.add_argument("--weights", type=Path, metavar="FOLDER", help="go on from exported weights and run.json")
    parser.add_argument("--device", help="cpu, cuda; by default cuda where there is one")
    parser.add_argument("--eager", action="store_true", help="do not compile")
    return parser.parse_args()


def resume_or_start(run: Run, args: argparse.Namespace) -> None:
    """Take up what there is: the run's own checkpoint, else one to branch from, else weights, else nothing."""
    if (args.out / "checkpoint.pt").exists():
        restore(run, args.out / "checkpoint.pt")
    elif args.branch:
        if run.plan is None:
            raise SystemExit("Only a steady run, of the recipe boxed, can be ended by a branch.")
        branch(run, args.branch, FALL if args.fall is None else args.fall, peak=args.peak)
    elif args.weights:
        if args.fall is not None and run.plan is None:
            raise SystemExit("Only a steady run, of the recipe boxed, can fall.")
        facts = json.loads((args.weights / "run.json").read_text("utf-8"))
        start_from_weights(run, args.weights, facts, minutes=args.fall, peak=args.peak)


def main() -> None:
    """Train, from the start or from the checkpoint in --out."""
    args = parse_args()
    changes = {k: float(v) for k, v in (item.split("=") for item in args.set)}
    steady = args.recipe == "boxed"
    settings = Settings(args.recipe, args.minutes, args.seed, compiled=not args.eager, steady=steady, **changes)
    device = torch.device(args.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    args.out.mkdir(parents=True, exist_ok=True)
    run = start(settings, args.shards, device)
    resume_or_start(run, args)
    print(json.dumps(vars(settings)), f"{run.model.count():,} parameters on {device}", flush=True)
    if settings.compiled:
        warm_up(run)
    train(run, args.out, steps=args.steps, wall_s=args.wall)


if __name__ == "__main__":
    main()
