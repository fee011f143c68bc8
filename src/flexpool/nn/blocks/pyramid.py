"""Poolings with windows of several sizes, side by side."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from flexpool import functional
from flexpool.declare import as_operator
from flexpool.errors import ArgumentError, called, expected
from flexpool.nn.block import block
from flexpool.nn.map_block import MAX, MapBlock, checked_count
from flexpool.window import adaptive_window, window

__all__ = ["SPPFPool2d", "SPPPool2d", "StripPool2d"]


def _wave() -> tuple[Tensor, ...]:
    return (torch.linspace(-9, 9, 32).view(1, 2, 4, 4).sin(),)


def _sample_of_bins() -> tuple[nn.Module, tuple[Tensor, ...]]:
    return SPPPool2d((1, 2)), _wave()


def _sample_of_cascade() -> tuple[nn.Module, tuple[Tensor, ...]]:
    return SPPFPool2d(3, 2), _wave()


def _sample_of_strips() -> tuple[nn.Module, tuple[Tensor, ...]]:
    return StripPool2d(), _wave()


@block(
    paper="He, Zhang, Ren, Sun (2014), Spatial pyramid pooling in deep convolutional networks for "
    "visual recognition, ECCV, arXiv:1406.4729",
    family="pyramid",
    sample=_sample_of_bins,
    apart="It gives a vector, whatever the size of the map.",
)
class SPPPool2d(MapBlock):
    r"""Divide the map into bins, finer from level to level, pool each bin, and make one vector.

    $$ y = \bigl( y^{(1)}, \dots, y^{(L)} \bigr), \qquad
       y^{(l)}_{c,u,v} = \max_{(i,j) \in B_l(u,v)} x_{c,i,j} $$

    with the $n_l \times n_l$ bins $B_l$ of level $l$, those of adaptive pooling.

    Args:
        levels: bins per dimension of each level, a tuple of ints > 0. Default (1, 2, 4).
        operator: a name such as "avg", or what else takes nothing but the window. Default "max".

    Shape:
        (N, C, H, W) -> (N, C * sum of levels squared), without N alike. Level comes before channel,
        channel before bin.

    Raises:
        ArgumentError: if an argument is outside its domain.

    Use:
        Before a fully connected layer, so that images of all sizes give vectors of one size.

    Disagreement:
        Detectors call something else SPP: see :class:`SPPFPool2d`.

    Example:
        >>> import torch
        >>> SPPPool2d((1, 2))(torch.arange(16.0).view(1, 1, 4, 4))
        tensor([[15.,  5.,  7., 13., 15.]])

    Reference:
        He, Zhang, Ren, Sun (2014), Spatial pyramid pooling in deep convolutional networks for
        visual recognition, ECCV, arXiv:1406.4729.
    """

    def __init__(self, levels: tuple[int, ...] = (1, 2, 4), operator: Any = "max") -> None:
        super().__init__()
        with called(type(self).__name__):
            if not isinstance(levels, tuple | list) or not levels:
                rule = "to be a tuple of ints > 0"
                raise ArgumentError(expected("levels", rule, levels, "Write levels=(1, 2, 4)."))
            self.levels = tuple(checked_count("levels", level) for level in levels)
            self.operator = as_operator(operator)
        self.bins = tuple(adaptive_window(2, level) for level in self.levels)

    def _downsampled(self, x: Tensor) -> Tensor:
        pooled = [functional.apply(x, self.operator, b, options={}, values={}) for b in self.bins]
        return torch.cat([part.flatten(1) for part in pooled], 1)

    def extra_repr(self) -> str:
        """Show levels and operator."""
        return f"levels={self.levels}, operator={self.operator.name}"


@block(
    paper="Bochkovskiy, Wang, Liao (2020), YOLOv4: Optimal speed and accuracy of object detection, "
    "arXiv:2004.10934",
    family="pyramid",
    sample=_sample_of_cascade,
    apart="It keeps the size of the map and gives several times as many channels.",
)
class SPPFPool2d(MapBlock):
    r"""Put maxima of ever larger windows around each pixel beside the map, as detectors do.

    $$ y = \bigl( x,\, M x,\, M^2 x,\, \dots,\, M^r x \bigr), \qquad
       (M x)_{u,v} = \max_{|i|, |j| \le (k-1)/2} x_{u+i,\, v+j} $$

    with the kernel size $k$. $M^r$ is the maximum of a window of size $r (k - 1) + 1$.

    Args:
        kernel_size: $k$, an odd int > 0. Default 5.
        repeats: $r$, an int > 0. Default 3, which gives the windows 5, 9 and 13.

    Shape:
        (N, C, H, W) -> (N, (repeats + 1) C, H, W), without N alike.

    Raises:
        ArgumentError: if an argument is outside its domain.

    Note:
        What networks of the YOLO family call SPP and, computed as here one from the other, SPPF;
        they have a convolution before and after. Padding is never the maximum.

    Use:
        At the end of a detector's backbone, to see each pixel with surroundings of several sizes.

    Disagreement:
        The name SPP also means vectors of bins: see :class:`SPPPool2d`.

    Example:
        >>> import torch
        >>> SPPFPool2d(3, 2)(torch.tensor([[[1.0, 0.0, 0.0, 0.0]]]))[:, 0]
        tensor([[1., 0., 0., 0.],
                [1., 1., 0., 0.],
                [1., 1., 1., 0.]])

    Reference:
        Bochkovskiy, Wang, Liao (2020), YOLOv4: Optimal speed and accuracy of object detection,
        arXiv:2004.10934.
    """

    shown = ("kernel_size", "repeats")

    def __init__(self, kernel_size: int = 5, repeats: int = 3) -> None:
        super().__init__()
        with called(type(self).__name__):
            self.kernel_size = checked_count("kernel_size", kernel_size)
            if self.kernel_size % 2 == 0:
                rule = "to be odd"
                raise ArgumentError(expected("kernel_size", rule, kernel_size, "Write 5, say."))
            self.repeats = checked_count("repeats", repeats)
            self.window = window(2, self.kernel_size, 1, self.kernel_size // 2)

    def _downsampled(self, x: Tensor) -> Tensor:
        maps = [x]
        for _ in range(self.repeats):
            maps.append(functional.apply(maps[-1], MAX, self.window, options={}, values={}))
        return torch.cat(maps, 1)


@block(
    paper="Hou, Zhang, Cheng, Feng (2020), Strip pooling: Rethinking spatial pooling for scene "
    "parsing, CVPR, arXiv:2003.13328",
    family="pyramid",
    sample=_sample_of_strips,
    apart="It gives two results, one value per row and one per column.",
)
class StripPool2d(MapBlock):
    r"""Pool each row and, apart from that, each column, as coordinate attention does too.

    $$ r_{u} = \frac{1}{W} \sum_j x_{u,j}, \qquad c_{v} = \frac{1}{H} \sum_i x_{i,v} $$

    Args:
        operator: a name such as "max", or what else takes nothing but the window. Default "avg".

    Shape:
        (N, C, H, W) -> (N, C, H, 1) and (N, C, 1, W), without N alike.

    Raises:
        ArgumentError: if there is no such operator.

    Note:
        The pooling alone: the paper's module goes on with convolutions along the strips.

    Use:
        Where structures are long and thin, or the position along one axis matters.

    Example:
        >>> import torch
        >>> rows, columns = StripPool2d()(torch.tensor([[[1.0, 2.0], [3.0, 6.0]]]))
        >>> rows.flatten(), columns.flatten()
        (tensor([1.5000, 4.5000]), tensor([2., 4.]))

    Reference:
        Hou, Zhang, Cheng, Feng (2020), Strip pooling: Rethinking spatial pooling for scene parsing,
        CVPR, arXiv:2003.13328.
    """

    def __init__(self, operator: Any = "avg") -> None:
        super().__init__()
        with called(type(self).__name__):
            self.operator = as_operator(operator)
        self.strips = adaptive_window(2, (None, 1)), adaptive_window(2, (1, None))

    def _downsampled(self, x: Tensor) -> tuple[Tensor, Tensor]:
        rows, columns = (
            functional.apply(x, self.operator, strip, options={}, values={})
            for strip in self.strips
        )
        return rows, columns

    def extra_repr(self) -> str:
        """Show the operator."""
        return f"operator={self.operator.name}"
