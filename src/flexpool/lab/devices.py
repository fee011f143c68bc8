"""Devices: what a name such as ``auto`` stands for on this machine."""

from __future__ import annotations

import torch

from flexpool.errors import ArgumentError

__all__ = ["resolve_device"]


def resolve_device(name: str) -> str:
    """Turn ``auto``, ``cpu``, ``cuda`` or ``cuda:N`` into the device that is there.

    Raises:
        ArgumentError: if torch does not know the device or does not find it on this machine.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in ("cpu", "cuda"):
        raise ArgumentError(f"expected device to be auto, cpu, cuda or cuda:N, got {name!r}.")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ArgumentError(
            f"expected device to be one that torch finds, got {name!r}, and torch finds "
            f"{torch.cuda.device_count()} CUDA devices here. Use device 'cpu'."
        )
    return str(device)
