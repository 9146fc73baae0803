"""``capot`` whose native engine takes no more steps than a file allows, however fast the machine is.

``python braked_lab.py FILE serve ...``. FILE holds a number of steps and the name of this leave; without it nothing is
held. A text under way is then as long as a test wants it, and does not end before the test has stopped or killed it.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from capot.cli import run
from capot.engines.native.llama import NativeEngine


class Brake:
    """How many steps are left of the last leave."""

    def __init__(self, path: Path) -> None:
        self.path, self.leave, self.left = path, "", 0

    def __call__(self) -> None:
        """Wait for leave to take one step more."""
        while not self._may():
            time.sleep(0.005)
        self.left -= 1

    def _may(self) -> bool:
        try:
            leave = self.path.read_text()
        except FileNotFoundError:
            return True
        if leave != self.leave:
            self.leave, self.left = leave, int(leave.split()[0])
        return self.left > 0


def main(path: str, *arguments: str) -> int:
    brake, step = Brake(Path(path)), NativeEngine.step

    def held(engine: NativeEngine, feeds: list[Any]) -> Any:
        brake()
        return step(engine, feeds)

    NativeEngine.step = held
    return run(list(arguments))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
