"""Rows and columns picked at random from a maximum without stride."""

from __future__ import annotations

from math import comb
from typing import Any

import torch
from torch import Tensor, nn

from flexpool import functional
from flexpool.errors import ArgumentError, called, expected
from flexpool.nn.block import block
from flexpool.nn.map_block import MAX, MapBlock
from flexpool.window import window
from flexpool.window.arguments import checked_ints

__all__ = ["S3Pool2d"]


def _sample() -> tuple[nn.Module, tuple[Tensor, ...]]:
    return S3Pool2d(2, grid_size=4), (torch.linspace(-9, 9, 98).view(1, 2, 7, 7).sin(),)


@block(
    paper="Zhai, Wu, Kumar, Cheng, Lu, Zhang, Feris (2017), S3Pool: Pooling with stochastic "
    "spatial sampling, CVPR, arXiv:1611.05138",
    family="random",
    name="s3",
    sample=_sample,
    layer=lambda channels, kernel_size, stride: S3Pool2d(kernel_size, stride),
    random=True,
)
class S3Pool2d(MapBlock):
    r"""Take the maximum around every pixel, then keep rows and columns drawn within each grid.

    $$ y_{u,v} = z_{r_u,\, c_v}, \qquad z_{u,v} = \max_{0 \le i,j < k} x_{u+i,\, v+j} $$

    with the kernel size $k$. Of each grid of $g$ neighbouring rows of $z$, $g/s$ are drawn without
    replacement and kept in order, with the stride $s$; of columns likewise. Evaluation takes the
    expectation over all draws.

    Args:
        kernel_size: $k$, an int > 0 or a tuple of two.
        stride: $s$, an int > 0 or a tuple of two; None for kernel_size. Default None.
        grid_size: $g$, a multiple of stride, an int or a tuple of two; the larger, the stronger the
            distortion. Default None: stride.

    Shape:
        (N, C, H, W) -> (N, C, (H - kernel_size) // stride + 1, (W - kernel_size) // stride + 1),
        without N alike, in training and evaluation.

    Raises:
        ArgumentError: if an argument is outside its domain.
        ShapeError: if no window fits.

    Note:
        A call draws the same rows and columns for all images and channels, by torch, so
        ``torch.manual_seed`` decides them. Windows at the end are cut off at the edge, so z is as
        large as x and every grid has all of its g rows to choose from; a rest that is smaller than
        a grid is a grid of its own.

    Use:
        To regularise by small distortions of the map, the stronger the larger the grids.

    Disagreement:
        The last grid: the authors' maxima have no padding, so it has fewer rows to choose from. The
        authors' evaluation averages padded windows of z.

    Example:
        >>> import torch
        >>> x = torch.tensor([[[[1.0, 2.0, 3.0, 4.0]] * 4]])  # z has 2 3 4 4
        >>> S3Pool2d(2).eval()(x)[0, 0, 0], S3Pool2d(2, grid_size=4).eval()(x)[0, 0, 0]
        (tensor([2.5000, 4.0000]), tensor([2.6667, 3.8333]))

    Reference:
        Zhai, Wu, Kumar, Cheng, Lu, Zhang, Feris (2017), S3Pool: Pooling with stochastic spatial
        sampling, CVPR, arXiv:1611.05138.
    """

    shown = ("kernel_size", "stride", "grid_size")

    def __init__(self, kernel_size: Any, stride: Any = None, grid_size: Any = None) -> None:
        super().__init__()
        with called(type(self).__name__):
            self.outputs = window(2, kernel_size, stride)
            self.grid = self.outputs.stride
            if grid_size is not None:
                self.grid = checked_ints("grid_size", grid_size, 2)
            if any(g % s for g, s in zip(self.grid, self.outputs.stride, strict=True)):
                rule = f"to be a multiple of stride, {self.outputs.stride}"
                raise ArgumentError(expected("grid_size", rule, grid_size))
            behind = tuple((0, size - 1) for size in self.outputs.kernel_size)
            self.everywhere = window(2, kernel_size, 1, behind, any_padding=True)
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.grid_size = self.stride if grid_size is None else grid_size

    def _downsampled(self, x: Tensor) -> Tensor:
        sizes = tuple(int(size) for size in x.shape[2:])
        outputs = self.outputs.output_shape(sizes)
        largest: Tensor = functional.apply(x, MAX, self.everywhere, options={}, values={})
        for d in (0, 1):
            grids = _grids(sizes[d], outputs[d], self.outputs.stride[d], self.grid[d])
            if self.training:
                largest = largest.index_select(2 + d, _drawn(grids, x.device))
            else:
                largest = _expected(largest, 2 + d, grids)
        return largest


def _grids(size: int, outputs: int, stride: int, grid: int) -> tuple[tuple[int, int, int], ...]:
    """List groups of equal grids: how many, rows of each, rows kept of each."""
    kept = grid // stride
    whole, rest = divmod(outputs, kept)
    if whole * grid > size:  # a stride larger than the kernel, and no row behind it
        whole, rest = whole - 1, rest + kept
    groups = [(whole, grid, kept), (1, min(rest * stride, size - whole * grid), rest)]
    return tuple(group for group in groups if group[0] and group[2])


def _drawn(grids: tuple[tuple[int, int, int], ...], device: torch.device) -> Tensor:
    """Draw the rows to keep, in order."""
    picks, start = [], 0
    for count, rows, kept in grids:
        order = torch.rand(count, rows, device=device).argsort(1)
        first = start + rows * torch.arange(count, device=device)[:, None]
        picks.append((order[:, :kept].sort(1).values + first).flatten())
        start += count * rows
    return torch.cat(picks)


def _expected(z: Tensor, axis: int, grids: tuple[tuple[int, int, int], ...]) -> Tensor:
    """Average over all draws; an infinity reaches its own grid only."""
    parts, start = [], 0
    for count, rows, kept in grids:
        part = z.narrow(axis, start, count * rows).movedim(axis, -1).unflatten(-1, (count, rows))
        chances = torch.tensor(_chances(rows, kept), dtype=z.dtype, device=z.device)
        parts.append((part @ chances).flatten(-2).movedim(-1, axis))
        start += count * rows
    return torch.cat(parts, axis)


def _chances(rows: int, kept: int) -> list[list[float]]:
    """Tell how probable it is that a row (first axis) is the n-th of those that are kept."""
    ways = comb(rows, kept)
    return [
        [comb(row, n) * comb(rows - 1 - row, kept - 1 - n) / ways for n in range(kept)]
        for row in range(rows)
    ]
