"""What a run was made with: recorded beside every result."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from loky import cpu_count

__all__ = ["describe"]

_PACKAGES = ("flexpool", "torch", "numpy", "scipy", "scikit-learn", "statsmodels")


def describe(device: str) -> dict[str, Any]:
    """Describe machine and versions.

    Args:
        device: torch's name of the device in use.

    Example:
        >>> describe("cpu")["device"]
        'cpu'
    """
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processor": _processor(),
        "cores": cpu_count(),
        "device": device,
        "device_name": _name_of(device) if device.startswith("cuda") else "",
        "versions": {name: _version(name) for name in _PACKAGES},
    }


def _name_of(device: str) -> str:
    import torch  # only here: runs of NumPy need none

    return torch.cuda.get_device_name(device)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or os.environ.get("PROCESSOR_IDENTIFIER", "unknown")
