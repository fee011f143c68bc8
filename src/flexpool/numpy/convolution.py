"""The convolutional layer: a correlation, written as the product of two matrices."""

from __future__ import annotations

from typing import Any

from flexpool.errors import ArgumentError, called, expected
from flexpool.numpy import initial
from flexpool.numpy.correlation import columns, sliding, summed
from flexpool.numpy.layer import Array, Layer
from flexpool.window.arguments import checked_flag, checked_ints

__all__ = ["Conv2d"]


class Conv2d(Layer):
    r"""Correlate the input with kernels that are learned.

    $$ y_{noij} = b_o + \sum_{c,u,v} w_{ocuv}\; x_{n,\,c,\,si+du-p,\,sj+dv-p} $$

    With the windows of x as the columns of a matrix X (:func:`flexpool.numpy.im2col`) and the
    kernels as the rows of a matrix W it reads $Y = W X + b$, and so

    $$ \frac{\partial L}{\partial W} = \frac{\partial L}{\partial Y}\, X^T, \qquad
       \frac{\partial L}{\partial b} = \sum \frac{\partial L}{\partial Y}, \qquad
       \frac{\partial L}{\partial X} = W^T \frac{\partial L}{\partial Y}, $$

    the last of which is added up where windows overlap (:func:`flexpool.numpy.col2im`).

    Args:
        in_channels: C, an int > 0.
        out_channels: O, an int > 0.
        kernel_size: KH and KW: an int > 0 for both, or a pair.
        stride: s, an int > 0 or a pair. Default 1.
        padding: p, zeros around the input: an int >= 0, a pair, two pairs (before, after), or
            "same". Default 0.
        dilation: d, an int > 0 or a pair. Default 1.
        groups: G, which divides C and O: channels in G groups that do not see each other; with
            G = C each has kernels of its own (depthwise). Default 1.
        bias: whether there is a b. Default True.
        rng: what draws the initial values, as for :func:`flexpool.numpy.initial.standard`.

    Shape:
        x (N, C, H, W) -> y (N, O, OH, OW) with OH = (H - d(KH - 1) - 1 + 2p) // s + 1;
        weight (O, C / G, KH, KW), bias (O,).

    Raises:
        ArgumentError: if an argument lies outside its domain.
        ShapeError: in forward, if x has another shape, or the kernel does not fit.

    Example:
        >>> import numpy as np
        >>> layer = Conv2d(1, 1, (1, 2), bias=False)
        >>> layer.parameters["weight"][...] = [1, -1]
        >>> y = layer(np.array([[[[0.0, 0.0, 1.0, 1.0]]]]))
        >>> y, layer.backward(np.ones((1, 1, 1, 3)))
        (array([[[[ 0., -1.,  0.]]]]), array([[[[ 1.,  0.,  0., -1.]]]]))
        >>> layer.gradients["weight"]  # sums of the first three and of the last three inputs
        array([[[[1., 2.]]]])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        rng: Any = None,
    ) -> None:
        super().__init__()
        with called("Conv2d"):
            (self.in_channels,) = checked_ints("in_channels", in_channels, 1)
            (self.out_channels,) = checked_ints("out_channels", out_channels, 1)
            (self.groups,) = checked_ints("groups", groups, 1)
            if self.in_channels % self.groups or self.out_channels % self.groups:
                rule = f"to divide in_channels {in_channels} and out_channels {out_channels}"
                raise ArgumentError(expected("groups", rule, groups))
            self.window = sliding(kernel_size, stride, padding, dilation)
            self.bias = checked_flag("bias", bias)
        self.reset_parameters(rng)

    def reset_parameters(self, rng: Any = None) -> None:
        """Draw weight and bias anew, as PyTorch does; see :func:`initial.standard`."""
        per_group = self.in_channels // self.groups
        shape = (self.out_channels, per_group, *self.window.kernel_size)
        weight, bias = initial.standard(shape, rng)
        self._parameters = {"weight": weight, "bias": bias} if self.bias else {"weight": weight}

    def forward(self, x: Array) -> Array:
        """Compute y = W X + b.

        Shape:
            (N, C, H, W) -> (N, O, OH, OW).
        """
        self._check(x, "NCHW", C=self.in_channels)
        with called("Conv2d"):
            out = self.window.output_shape(x.shape[2:])
        cols = columns(x, self.window)
        cols = cols.reshape(len(x), self.groups, -1, cols.shape[2])  # (N, G, K, L)
        y = self._kernels() @ cols  # (N, G, O / G, L)
        y = y.reshape(len(x), self.out_channels, *out)
        if self.bias:
            y += self._parameters["bias"][:, None, None]
        return self._remember(y, cols, x.shape[2:])

    def backward(self, grad_y: Array) -> Array | None:
        """Compute the gradients of weight, bias and x.

        Shape:
            (N, O, OH, OW) -> (N, C, H, W).
        """
        cols, sizes = self._recall(grad_y)
        n, _, _, places = cols.shape
        grad = grad_y.reshape(n, self.groups, -1, places)
        weight = self._parameters["weight"]
        grad_w = (grad @ cols.transpose(0, 1, 3, 2)).sum(axis=0)
        self._gradients = {"weight": grad_w.reshape(weight.shape)}
        if self.bias:
            self._gradients["bias"] = grad_y.sum(axis=(0, 2, 3))
        if not self.wants_input_gradient:
            return None
        grad_cols = self._kernels().transpose(0, 2, 1) @ grad
        return summed(grad_cols.reshape(n, -1, places), sizes, self.window)

    def _kernels(self) -> Array:
        """Give the kernels as the rows of one matrix per group, (G, O / G, K)."""
        return self._parameters["weight"].reshape(self.groups, self.out_channels // self.groups, -1)

    def extra_repr(self) -> str:
        """Show the channels and the window."""
        w = self.window
        return (
            f"{self.in_channels}, {self.out_channels}, kernel_size={w.kernel_size}, "
            f"stride={w.stride}, padding={w.padding}, dilation={w.dilation}, "
            f"groups={self.groups}, bias={self.bias}"
        )
