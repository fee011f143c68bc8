"""Weights in safetensors files: a net's from PyTorch can be loaded here, and the other way round.

Names, shapes and meaning are PyTorch's: ``conv1.weight`` is (out, in, height, width) in both.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from flexpool.errors import DataError, StorageError, called
from flexpool.numpy.layer import Layer

__all__ = ["load", "save"]


def save(net: Layer, path: str | os.PathLike[str]) -> None:
    """Write a net's parameters and buffers to a safetensors file.

    Args:
        net: the net.
        path: the file; an existing one is replaced.

    Raises:
        StorageError: if the file cannot be written.
        ModuleNotFoundError: without the package safetensors.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from flexpool.numpy import Linear
        >>> with TemporaryDirectory() as folder:
        ...     one, two = Linear(3, 2), Linear(3, 2)
        ...     save(one, f"{folder}/weights.safetensors")
        ...     load(two, f"{folder}/weights.safetensors")
        >>> bool((one.parameters["weight"] == two.parameters["weight"]).all())
        True
    """
    content = _safetensors().save({n: array.copy() for n, array in net.state_dict().items()})
    try:
        Path(path).write_bytes(content)
    except OSError as error:
        with called("save"):
            raise StorageError(f"cannot write {path}: {error.strerror}.") from error


def load(net: Layer, path: str | os.PathLike[str]) -> None:
    """Take a net's parameters and buffers from a safetensors file.

    Args:
        net: the net; it keeps its types of number.
        path: the file.

    Raises:
        DataError: if the file is missing, or no safetensors file.
        ArgumentError, ShapeError: if the file is another net's.
        ModuleNotFoundError: without the package safetensors.
    """
    with called("load"):
        try:
            state = _safetensors().load(Path(path).read_bytes())
        except (OSError, ValueError) as error:
            raise DataError(f"cannot read {path}: {error}.") from None
        except Exception as error:
            if type(error).__name__ != "SafetensorError":
                raise
            raise DataError(f"{path} is no safetensors file: {error}.") from None
        net.load_state_dict(state)


def _safetensors() -> Any:
    try:
        import safetensors.numpy
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "weights in files need the package 'safetensors': pip install safetensors",
            name="safetensors",
        ) from error
    return safetensors.numpy
