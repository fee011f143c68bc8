"""The phases of an image: the s x s smaller images that a stride s can choose from.

Phase (i, j) holds the pixels of the rows i, i + s, i + 2 s, ... and the columns j, j + s, ...; it
has the number i s_W + j.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flexpool.errors import ShapeError, called, expected
from flexpool.nn.constants import constant

__all__ = ["blurred", "choose", "grid", "phases", "whole_blocks"]

Pair = tuple[int, int]


def whole_blocks(
    x: Tensor, stride: Pair, ceil_mode: bool, module: nn.Module, zeros: bool = False
) -> Tensor:
    """Make both sizes multiples of the stride.

    Rows and columns that are too many are dropped; in ceil mode those that lack are taken from the
    other side, as if the image were a torus, or are zeros.
    """
    height, width = x.shape[-2:]
    missing = [-height % stride[0], -width % stride[1]]
    if ceil_mode and zeros:
        return F.pad(x, (0, missing[1], 0, missing[0])) if any(missing) else x
    if ceil_mode and any(missing):
        # Not F.pad: it takes at most as many rows as there are.
        rows = torch.arange(height + missing[0], device=x.device) % height
        columns = torch.arange(width + missing[1], device=x.device) % width
        return x.index_select(-2, rows).index_select(-1, columns)
    if height < stride[0] or width < stride[1]:
        with called(type(module).__name__):
            instead = "Use ceil_mode=True for smaller ones."
            rule = f"to have at least {stride[0]} x {stride[1]} pixels"
            raise ShapeError(expected("the input", rule, tuple(x.shape), instead))
    return x[..., : height - height % stride[0], : width - width % stride[1]]


def grid(x: Tensor, stride: Pair) -> Tensor:
    """View (N, C, H, W) as (N, s_H, s_W, C, H / s_H, W / s_W): one image per phase."""
    n, channels, height, width = x.shape
    split = x.reshape(n, channels, height // stride[0], stride[0], width // stride[1], stride[1])
    return split.permute(0, 3, 5, 1, 2, 4)


def phases(x: Tensor, stride: Pair) -> Tensor:
    """Copy (N, C, H, W) into (N, s_H s_W, C, H / s_H, W / s_W)."""
    return grid(x, stride).flatten(1, 2)


def choose(x: Tensor, stride: Pair, phase: Tensor) -> Tensor:
    """Take one phase per image, of (N, C, H, W) and (N,)."""
    images = torch.arange(x.shape[0], device=x.device)
    i = torch.div(phase, stride[1], rounding_mode="floor")
    return grid(x, stride)[images, i, phase - i * stride[1]]


def blurred(x: Tensor, taps: int) -> Tensor:
    """Filter with binomial weights on a torus; one tap leaves the input as it is."""
    if taps == 1:
        return x
    weights = tuple(math.comb(taps - 1, i) / 2 ** (taps - 1) for i in range(taps))
    line = constant(weights, x).expand(x.shape[1], 1, taps)
    for dimension, kernel in ((-2, line[..., None]), (-1, line[..., None, :])):
        size = x.shape[dimension]
        first = -((taps - 1) // 2)
        positions = torch.arange(first, first + size + taps - 1, device=x.device) % size
        x = F.conv2d(x.index_select(dimension, positions), kernel, groups=x.shape[1])
    return x
