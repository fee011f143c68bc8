"""What the figures were measured with: recorded beside them."""

from __future__ import annotations

import hashlib
import importlib.resources
import os
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from flexpool.lab.environment import describe

__all__ = ["machine", "software"]

_PACKAGES = (
    "flexpool",
    "numpy",
    "numba",
    "llvmlite",
    "torch",
    "onnx",
    "onnxruntime",
    "jax",
    "jaxlib",
)


def machine() -> dict[str, Any]:
    """Describe the machine: processor, cores, caches, memory.

    Example:
        >>> machine()["cores"] > 0
        True
    """
    known = describe("cpu")
    return {
        "processor": known["processor"],
        "cores": known["cores"],
        "caches": _caches(),
        "memory_GiB": _memory(),
        "system": known["system"],
    }


def software() -> dict[str, str]:
    """Name the versions of all that takes part, flexpool's own source included.

    Example:
        >>> len(software()["flexpool source"])
        12
    """
    python = {"python": describe("cpu")["python"], "C++ compiler": _compiler()}
    return {**python, **{p: _version(p) for p in _PACKAGES}, "flexpool source": _source()}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _source() -> str:
    """Digest the package's files: figures of another state of it are not these."""
    digest = hashlib.sha256()
    root = Path(str(importlib.resources.files("flexpool")))
    for file in sorted(root.rglob("*.py")):
        digest.update(str(file.relative_to(root)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:12]


def _compiler() -> str:
    found = shutil.which(os.environ.get("CXX") or "g++")
    if found is None:
        return "none"
    done = subprocess.run([found, "--version"], capture_output=True, text=True, check=False)
    return done.stdout.split("\n")[0]


def _caches() -> dict[str, str]:
    """Read the sizes of one core's caches where Linux tells them."""
    folder = Path("/sys/devices/system/cpu/cpu0/cache")
    caches = {}
    for index in sorted(folder.glob("index*")):
        try:
            level, kind, size = (
                (index / name).read_text().strip() for name in ("level", "type", "size")
            )
        except OSError:
            continue
        caches[f"L{level} {kind.lower()}"] = size
    return caches


def _memory() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, ValueError, OSError):
        return None
