"""Which backend computes a call: the one asked for by name, or the fastest that can."""

from __future__ import annotations

import functools
import importlib
import logging
from typing import Any

from flexpool.errors import BackendUnavailable

__all__ = ["BACKENDS", "backend_for"]

BACKENDS = {
    "interpret": "flexpool.backends.interpret",
    "eager": "flexpool.backends.eager",
    "numba": "flexpool.backends.numba_cpu",
    "triton": "flexpool.backends.triton_gpu",
}
_DEVICES = {"numba": "cpu", "triton": "cuda"}
_FASTEST = {"cpu": "numba", "cuda": "triton"}

_log = logging.getLogger("flexpool")


@functools.cache
def backend_for(name: str, device: str) -> Any:
    """Return the module of a backend.

    Args:
        name: of a backend, or "auto".
        device: where the arrays are, in torch's words, such as "cpu" or "cuda".

    Raises:
        BackendUnavailable: if the one asked for cannot run here, or not on this device.
    """
    if name == "auto":
        return _chosen(device)
    needs = _DEVICES.get(name, device)
    if needs != device:
        raise BackendUnavailable(
            f"backend {name!r} computes on device {needs!r}, but x is on {device!r}. "
            "Use backend='auto', or move x."
        )
    reason = _reason(name)
    if reason is not None:
        raise BackendUnavailable(f"backend {name!r} cannot run here: {reason}")
    return importlib.import_module(BACKENDS[name])


def _chosen(device: str) -> Any:
    fastest = _FASTEST.get(device, "eager")
    reason = _reason(fastest)
    name = fastest if reason is None else "eager"
    note = "" if reason is None else f" ({fastest!r} cannot run here: {reason})"
    _log.debug("backend %r computes on device %r%s", name, device, note)
    return importlib.import_module(BACKENDS[name])


def _reason(name: str) -> str | None:
    """Tell why a backend cannot run, or None."""
    try:
        module = importlib.import_module(BACKENDS[name])
    except ImportError as error:
        return f"{error}."
    reason: str | None = module.available()
    return reason
