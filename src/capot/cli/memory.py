"""``capot memory``: what a prompt costs, row by row as it is measured."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from capot.cli.common import Command, Option, emit, loading_options, notice, open_model, output_options
from capot.i18n import duration, size

if TYPE_CHECKING:
    from capot.results.memory import Row


def run(model: str, engine: str | None, device: str | None, as_json: bool, html: Path | None, **given: Any) -> None:
    """Measure or simulate; a name that is no folder is that of a published shape."""
    given.pop("lang")
    asked = {name: value for name, value in given.items() if value}
    if given["simulate"] and model != "boxed" and not Path(model).expanduser().is_dir():
        model, asked["known"] = "boxed", model
    with open_model(model=model, engine=engine, device=device) as opened:
        emit(opened.memory(**asked, progress=tell), as_json=as_json, html=html)


def tell(row: Row) -> None:
    """One line on standard error for each row, as soon as it is there."""
    notice("memory.progress.row", count=row.tokens, bytes=size(row.measured_bytes), time=duration(row.seconds))


command = Command(
    "memory",
    words="memory.cli.help",
    callback=run,
    params=[
        Option(["--tokens"], words="memory.cli.tokens", metavar="N,N"),
        Option(["--mode"], words="memory.cli.mode", metavar="last|all", default="last"),
        Option(["--simulate"], words="memory.cli.simulate", is_flag=True),
        Option(["--gpu"], words="memory.cli.gpu", metavar="SIZE,SIZE"),
        Option(["--precision"], words="memory.cli.precision", metavar="A,B"),
        Option(["--kv-precision"], words="memory.cli.kv_precision", metavar="A"),
        Option(["--users-at"], words="memory.cli.users_at", metavar="N,N"),
        Option(["--device"], words="memory.cli.device", metavar="DEVICE"),
        *loading_options(),
        *output_options(),
    ],
)
