"""The kinds of devices that PyTorch computes on, by their names, and a first look at which may be here."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

from capot.errors import InputError

# As ``torch.device`` takes them: whether a name is one is known without PyTorch.
KINDS = (
    "cpu", "cuda", "ipu", "xpu", "opengl", "opencl", "ideep", "hip", "ve", "fpga", "maia", "xla", "lazy",
    "vulkan", "mps", "meta", "hpu", "mtia", "privateuseone",
)  # fmt: skip
DRIVERS = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/dxg", "/dev/kfd")  # NVIDIA's, Windows' for Linux, AMD's


def check_device_name(name: str | None) -> None:
    """Refuse what names no kind of device. Raises: InputError ``unknown_device``.

    >>> check_device_name("cuda:1"), check_device_name("auto")
    (None, None)
    """
    if name in (None, "auto"):
        return
    kind, colon, index = name.partition(":")
    if kind not in KINDS or (colon and not (index.isascii() and index.isdecimal())):
        here = [*(["mps" if sys.platform == "darwin" else "cuda"] if driver_present() else []), "cpu"]
        raise InputError("unknown_device", name=name[:80], known=", ".join(here))


def driver_present() -> bool:
    """Return whether the system shows the driver of a GPU."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):  # the user's wish
        return False
    if sys.platform == "darwin":
        return platform.machine() == "arm64"
    if sys.platform == "win32":
        return (Path(os.environ.get("SYSTEMROOT", "C:/Windows")) / "System32" / "nvcuda.dll").is_file()
    # A driver's device file is there before any library is loaded, and does not mean that the GPU works.
    return any(Path(driver).exists() for driver in DRIVERS)
