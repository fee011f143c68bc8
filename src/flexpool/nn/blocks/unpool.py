"""The way back: values of windows spread over the elements they came from."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flexpool.errors import ArgumentError, ShapeError, called, expected
from flexpool.nn.block import block
from flexpool.nn.map_block import MapBlock, checked_share
from flexpool.window import window

__all__ = ["AdaUnpool2d", "MaxUnpool2d"]


def _sample_of_max() -> tuple[nn.Module, tuple[Tensor, ...]]:
    places = torch.tensor([[0, 6], [9, 10]]).expand(2, 3, 2, 2).contiguous()
    return MaxUnpool2d(2), (torch.arange(24.0).view(2, 3, 2, 2), places)


def _sample_of_ada() -> tuple[nn.Module, tuple[Tensor, ...]]:
    like = torch.linspace(-9, 9, 100).view(2, 2, 5, 5).sin()
    return AdaUnpool2d(2), (torch.arange(16.0).view(2, 2, 2, 2), like)


@block(
    paper="Zeiler, Fergus (2014), Visualizing and understanding convolutional networks, ECCV, "
    "arXiv:1311.2901",
    family="unpooling",
    sample=_sample_of_max,
    apart="It makes maps larger, and takes the indices of a pooling.",
)
class MaxUnpool2d(MapBlock):
    r"""Put each maximum back where it was found, and 0 elsewhere.

    $$ x_j = y_{\max \{ i \,:\, k_i = j \}} \ \text{ or } 0 \text{ if there is none} $$

    with the maxima $y_i$ in row-major order and their indices $k_i$ in the map.

    Args:
        kernel_size: of the pooling, an int > 0 or a tuple of two.
        stride: of the pooling; None for kernel_size. Default None.
        padding: of the pooling. Default 0.

    Shape:
        (N, C, rows, columns), indices alike -> (N, C, H, W), without N alike; H is (rows - 1)
        stride - 2 padding + kernel_size unless the call gives output_size.

    Raises:
        ArgumentError: if an argument is outside its domain, or output_size is not that of a map
            with so many windows.
        ShapeError: if indices have another shape, or, on the CPU, lie outside of the map.

    Note:
        Indices are those of ``MaxPool2d(..., return_indices=True)``, ours or torch's. Where windows
        overlap, several may have found the same element: the last of them is put there, always, and
        it alone gets the gradient. Undoing a pooling gives every maximum its own place again.

    Use:
        In decoders that put features back where the encoder found them.

    Disagreement:
        Where several maxima were found in one element, torch's result depends on the order in which
        its threads write.

    Example:
        >>> import torch
        >>> from flexpool.nn import MaxPool2d
        >>> y, places = MaxPool2d(2, return_indices=True)(torch.tensor([[[1.0, 5.0], [3.0, 2.0]]]))
        >>> MaxUnpool2d(2)(y, places)
        tensor([[[0., 5.],
                 [0., 0.]]])

    Reference:
        Zeiler, Fergus (2014), Visualizing and understanding convolutional networks, ECCV,
        arXiv:1311.2901.
    """

    shown = ("kernel_size", "stride", "padding")

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0) -> None:
        super().__init__()
        with called(type(self).__name__):
            self.window = window(2, kernel_size, stride, padding)
            if self.window.padding == "same":
                rule = "to be a number here"
                raise ArgumentError(expected("padding", rule, padding, "Write padding=1, say."))
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding

    def forward(self, input: Tensor, indices: Tensor, output_size: Any = None) -> Tensor:
        """Put maxima back.

        Args:
            input: the maxima, (N, C, rows, columns) or (C, rows, columns).
            indices: flat indices in the map, of the same shape, int64.
            output_size: sizes of the map, the last two count; None for the smallest that has so
                many windows. Default None.
        """
        unpooled: Tensor = super().forward(input, indices, output_size)
        return unpooled

    def _downsampled(self, x: Tensor, *others: Any) -> Tensor:
        indices, output_size = others
        if indices.shape != x.shape:
            rule = f"to have the shape {tuple(x.shape)} of the input"
            raise ShapeError(expected("indices", rule, tuple(indices.shape)))
        sizes = self._sizes(tuple(int(size) for size in x.shape[2:]), output_size)
        places = indices.flatten(2)
        positions = sizes[0] * sizes[1]
        if not torch.compiler.is_compiling() and x.device.type == "cpu" and x.numel():
            low, high = int(places.min()), int(places.max())
            if low < 0 or high >= positions:
                rule = f"to lie in [0, {positions}), the map being {sizes[0]} x {sizes[1]}"
                instead = "Give output_size, the size of what was pooled."
                raise ShapeError(expected("indices", rule, (low, high), instead))
        values = x.flatten(2)
        order = torch.arange(values.shape[2], device=x.device).expand_as(places)
        nobody = places.new_full((*places.shape[:2], positions), -1)
        winner = nobody.scatter_reduce(2, places, order, "amax")  # of integers: any order will do
        found = values.gather(2, winner.clamp(min=0))
        return torch.where(winner < 0, 0, found).reshape(*x.shape[:2], *sizes)

    def _sizes(self, counts: tuple[int, ...], output_size: Any) -> tuple[int, ...]:
        smallest = tuple(
            (count - 1) * self.window.stride[d]
            + self.window.kernel_size[d]
            - sum(self.window.padding[d])  # type: ignore[arg-type]
            for d, count in enumerate(counts)
        )
        if output_size is None:
            return smallest
        sizes = tuple(int(size) for size in output_size)[-2:]
        pairs = zip(sizes, smallest, self.window.stride, strict=False)
        if len(sizes) < 2 or not all(abs(size - least) < step for size, least, step in pairs):
            rule = f"to be less than stride away from {smallest}"
            raise ArgumentError(expected("output_size", rule, tuple(output_size)))
        return sizes


@block(
    paper="Stergiou, Poppe (2023), AdaPool: Exponential adaptive pooling for information-retaining "
    "downsampling, IEEE TIP 32, arXiv:2111.00772",
    family="unpooling",
    sample=_sample_of_ada,
    apart="It makes maps larger, and takes what was pooled.",
)
class AdaUnpool2d(MapBlock):
    r"""Share each value among the elements of its window, by the weights of AdaPool.

    $$ \hat{x}_i = \sum_{W \ni i} \bigl( \beta\, d_{W,i} + (1 - \beta)\, e_{W,i} \bigr)\, y_W,
       \qquad d_{W,i} = \underset{j \in W}{\mathrm{softmax}}\,
       \frac{2 |x_j m_W|}{x_j^2 + m_W^2} \Big|_i, \qquad
       e_{W,i} = \underset{j \in W}{\mathrm{softmax}}\; x_j \Big|_i $$

    with the values $y_W$ of the windows $W$, the map $x$ that was pooled, and $m_W$ the mean of a
    window of it.

    Args:
        kernel_size: of the pooling, an int > 0 or a tuple of two.
        stride: of the pooling; None for kernel_size. Default None.
        beta: $\beta$, a number >= 0 and <= 1; the call may give a tensor instead. Default 0.5.

    Shape:
        (N, C, rows, columns) and what was pooled, (N, C, H, W) -> (N, C, H, W), without N alike.

    Raises:
        ArgumentError: if an argument is outside its domain.
        ShapeError: if the two shapes do not belong together.

    Note:
        Weights of a window add up to 1: unpooled values keep each window's value as their sum.
        Where windows overlap, an element gets its share of each; what no window covers is 0.
        Where $x_j = m_W = 0$ the similarity is 1. Weights are computed from the map that the call
        brings, for each image and channel; nothing is kept between calls. Gradients reach both
        inputs and a beta that is a tensor.

    Use:
        In decoders, in the place of interpolation, where the map that was pooled is still at hand.

    Disagreement:
        The authors' program keeps the weights on the class, so that layers overwrite each other's;
        here they come from the map that the call brings.

    Example:
        >>> import torch
        >>> like = torch.tensor([[[0.0, 0.0], [0.0, 3.0]]]).log1p()  # of e: weights 1 1 1 4
        >>> AdaUnpool2d(2, beta=0.0)(torch.tensor([[[7.0]]]), like)
        tensor([[[1., 1.],
                 [1., 4.]]])

    Reference:
        Stergiou, Poppe (2023), AdaPool: Exponential adaptive pooling for information-retaining
        downsampling, IEEE TIP 32, arXiv:2111.00772.
    """

    shown = ("kernel_size", "stride", "beta")

    def __init__(self, kernel_size: Any, stride: Any = None, beta: float = 0.5) -> None:
        super().__init__()
        with called(type(self).__name__):
            self.window = window(2, kernel_size, stride)
            self.beta = checked_share("beta", beta)
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride

    def forward(self, input: Tensor, like: Tensor, beta: Tensor | None = None) -> Tensor:
        """Share values.

        Args:
            input: one value per window, (N, C, rows, columns) or (C, rows, columns).
            like: what was pooled, (N, C, H, W) or (C, H, W).
            beta: takes the place of the module's; a tensor that broadcasts to input, such as what
                the pooling learned. Default None.
        """
        unpooled: Tensor = super().forward(input, like, beta)
        return unpooled

    def _downsampled(self, y: Tensor, *others: Any) -> Tensor:
        x, beta = others
        sizes = tuple(int(size) for size in x.shape[2:])
        wanted = (*x.shape[:2], *self.window.output_shape(sizes))
        if tuple(y.shape) != wanted:
            rule = f"to have the shape {wanted} of what was pooled"
            raise ShapeError(expected("the input", rule, tuple(y.shape)))
        kernel, stride = self.window.kernel_size, self.window.stride
        values = F.unfold(x, kernel, stride=stride).unflatten(1, (x.shape[1], -1))
        share: Any = self.beta
        if beta is not None:
            share = beta.expand_as(y).flatten(2)[:, :, None]
        similar, large = _similarity(values).softmax(2), values.softmax(2)
        spread = (share * similar + (1 - share) * large) * y.flatten(2)[:, :, None]
        return F.fold(spread.flatten(1, 2), sizes, kernel, stride=stride)


def _similarity(values: Tensor) -> Tensor:
    """Compare each value with its window's mean, by Dice's coefficient; values along axis 2."""
    scale = values.detach().abs().amax(2, keepdim=True)
    values = values / torch.where(scale > 0, scale, 1)  # so that no square overflows
    mean = values.mean(2, keepdim=True)
    squares = values * values + mean * mean
    there = squares > 0
    return torch.where(there, 2 * (values * mean).abs() / torch.where(there, squares, 1), 1)
