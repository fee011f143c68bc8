"""Images on the device, from which batches are made on the fly."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from flexpool.lab.loop import EVALUATION_BATCH

__all__ = ["Images", "evaluation_batch", "net_input"]

_EVALUATION_PIXELS = 250 * 80 * 80


def net_input(pixels: Tensor, offset: float, scale: float, resize: int | None) -> Tensor:
    """Make what a net takes from bytes: scaled, of float32, of another size if asked for.

    Args:
        pixels: uint8 of shape (N, C, H, W).
        offset: subtracted from each pixel.
        scale: then multiplied with it.
        resize: height and width to bring images to, by linear interpolation; None leaves them.

    Example:
        >>> net_input(torch.tensor([[[[0, 4]]]], dtype=torch.uint8), 2.0, 0.5, None)
        tensor([[[[-1.,  1.]]]])
    """
    x = pixels.float()
    if offset:
        x.sub_(offset)
    if scale != 1.0:
        x.mul_(scale)
    if resize is not None:
        # Linear, with the sources of each pixel weighted down where images become smaller.
        x = functional.interpolate(x, (resize, resize), mode="bilinear", antialias=True)
    return x


def evaluation_batch(height: int, width: int) -> int:
    """Give how many images to evaluate at once: fewer of large ones, which fill the memory."""
    return max(1, min(EVALUATION_BATCH, _EVALUATION_PIXELS // (height * width)))


class Images:
    """Labelled images on the device, kept as bytes and scaled batch by batch.

    Args:
        images: uint8 array of shape (N, C, H, W).
        labels: int64 array of shape (N,).
        offset: subtracted from each pixel.
        scale: then multiplied with it.
        device: torch's name of the device.
        resize: height and width to which each batch is brought, by linear interpolation, on the
            device and not before; None leaves images as they are.
    """

    def __init__(
        self,
        images: np.ndarray[Any, np.dtype[np.uint8]],
        labels: np.ndarray[Any, np.dtype[np.int64]],
        *,
        offset: float,
        scale: float,
        device: str,
        resize: int | None = None,
    ) -> None:
        # Data sets are shared within the process and read-only: hence the copies.
        self._pixels = torch.from_numpy(images.copy()).to(device)
        self._labels = torch.from_numpy(labels.copy()).to(device)
        self._offset, self._scale = offset, scale
        self.device, self._resize = device, resize

    def __len__(self) -> int:
        return len(self._labels)

    @property
    def evaluation_batch(self) -> int:
        """How many of them to evaluate at once."""
        side = self._resize
        height, width = self._pixels.shape[2:] if side is None else (side, side)
        return evaluation_batch(height, width)

    def batch(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Return the images of the given numbers, scaled, as float32, with their labels."""
        pixels = self._pixels.index_select(0, index)
        x = net_input(pixels, self._offset, self._scale, self._resize)
        return x, self._labels.index_select(0, index)
