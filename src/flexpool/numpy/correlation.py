r"""Correlation and convolution of arrays, and the matrix that turns both into one product.

$$ (x \star k)_{ij} = \sum_{u,v} x_{i+u,\,j+v}\, k_{uv}, \qquad
   (x * k)_{ij} = \sum_{u,v} x_{i-u,\,j-v}\, k_{uv} $$

Correlation lays the kernel on the image as it is, convolution turns it by 180 degrees first. What
the literature calls a convolutional layer is a correlation: its kernel is learned, so nobody misses
the turn.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from flexpool.errors import ArgumentError, DtypeError, ShapeError, called, expected
from flexpool.numpy.layer import Array
from flexpool.window import Window
from flexpool.window.arguments import checked_ints, checked_padding

__all__ = ["col2im", "conv2d", "corr2d", "im2col", "sliding"]


def corr2d(x: Array, kernel: Array, stride: Any = 1, padding: Any = 0, dilation: Any = 1) -> Array:
    r"""Correlate every plane of an array with one kernel.

    $$ y_{ij} = \sum_{u,v} x_{si + du - p,\; sj + dv - p}\, k_{uv} $$

    with stride s, padding p and dilation d; what lies outside counts as 0.

    Args:
        x: (..., H, W), any numbers.
        kernel: (KH, KW), any numbers.
        stride: distance of neighbouring positions, an int > 0 or a pair. Default 1.
        padding: zeros around x: an int >= 0, a pair, two pairs (before, after), or "same".
            Default 0.
        dilation: distance of the kernel's neighbouring numbers in x, an int > 0 or a pair.
            Default 1.

    Shape:
        (..., H, W) -> (..., (H - d(KH - 1) - 1 + 2p) // s + 1, W alike).

    Raises:
        ArgumentError, ShapeError, DtypeError: if an argument does not fit.

    Example:
        >>> image = np.array([[1.0, 1.0, 0.0, 0.0, 1.0]])
        >>> corr2d(image, np.array([[1.0, -1.0]]))  # 1 where it gets darker, -1 where brighter
        array([[ 0.,  1.,  0., -1.]])
    """
    with called("corr2d"):
        return _correlated(x, kernel, stride, padding, dilation)


def conv2d(x: Array, kernel: Array, stride: Any = 1, padding: Any = 0, dilation: Any = 1) -> Array:
    r"""Convolve every plane of an array with one kernel: correlate with the kernel turned around.

    $$ y_{ij} = \sum_{u,v} x_{si + d(K_H - 1 - u) - p,\; sj + d(K_W - 1 - v) - p}\, k_{uv} $$

    Args:
        x, kernel, stride, padding, dilation: as for :func:`corr2d`.

    Shape:
        as :func:`corr2d`: only positions where the kernel lies inside the padded x.

    Raises:
        ArgumentError, ShapeError, DtypeError: if an argument does not fit.

    Example:
        >>> conv2d(np.array([[0.0, 0.0, 1.0, 0.0, 0.0]]), np.array([[1.0, 2.0, 3.0]]))
        array([[1., 2., 3.]])
        >>> corr2d(np.array([[0.0, 0.0, 1.0, 0.0, 0.0]]), np.array([[1.0, 2.0, 3.0]]))
        array([[3., 2., 1.]])
    """
    with called("conv2d"):
        return _correlated(x, kernel, stride, padding, dilation, turned=True)


def im2col(
    x: Array, kernel_size: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1
) -> Array:
    """Write the windows of an array as the columns of a matrix.

    Column l holds the C · KH · KW numbers that the kernel meets at its l-th position, so a
    correlation with O kernels is one product: a matrix (O, C · KH · KW) times this one.

    Args:
        x: (N, C, H, W).
        kernel_size: KH and KW: an int > 0 for both or a pair.
        stride, padding, dilation: as for :func:`corr2d`.

    Shape:
        (N, C, H, W) -> (N, C · KH · KW, OH · OW), with OH, OW as for :func:`corr2d`.

    Raises:
        ArgumentError, ShapeError, DtypeError: if an argument does not fit.

    Example:
        >>> im2col(np.arange(6.0).reshape(1, 1, 2, 3), (2, 2))[0]
        array([[0., 1.],
               [1., 2.],
               [3., 4.],
               [4., 5.]])
    """
    with called("im2col"):
        _check_planes(x)
        where = sliding(kernel_size, stride, padding, dilation)
        return columns(x, where)


def col2im(
    cols: Array,
    sizes: tuple[int, int],
    kernel_size: Any,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
) -> Array:
    """Add each column's numbers to the places :func:`im2col` took them from.

    It is im2col's transpose, not its inverse: where windows overlap, numbers add up. That makes it
    the backward pass: an element's gradient is the sum over all windows that it lies in.

    Args:
        cols: (N, C · KH · KW, OH · OW).
        sizes: H and W.
        kernel_size, stride, padding, dilation: as for :func:`im2col`.

    Shape:
        (N, C · KH · KW, OH · OW) -> (N, C, H, W).

    Raises:
        ArgumentError, ShapeError, DtypeError: if an argument does not fit.

    Example:
        >>> col2im(np.ones((1, 2, 3)), (1, 4), (1, 2))  # windows of 2: inner elements are in two
        array([[[[1., 2., 2., 1.]]]])
    """
    with called("col2im"):
        where = sliding(kernel_size, stride, padding, dilation)
        sizes = (sizes[0], sizes[1])
        taps, places = np.prod(where.kernel_size), np.prod(where.output_shape(sizes))
        if cols.ndim != 3 or cols.shape[1] % taps or cols.shape[2] != places:
            rule = f"to have the shape (N, C * {taps}, {places})"
            raise ShapeError(expected("cols", rule, cols.shape))
        return summed(cols, sizes, where)


def sliding(kernel_size: Any, stride: Any, padding: Any, dilation: Any) -> Window:
    """Check the geometry of a kernel; unlike a pooling's, its padding may be of any size."""
    return Window(
        kernel_size=checked_ints("kernel_size", kernel_size, 2),
        stride=checked_ints("stride", stride, 2),
        padding=checked_padding(padding, 2),
        dilation=checked_ints("dilation", dilation, 2),
        ceil_mode=False,
    )


def windows(x: Array, where: Window) -> Array:
    """Give a view of the windows, (N, C, KH, KW, OH, OW): no number is copied but for padding."""
    (top, bottom), (left, right) = where.padding_at(x.shape[2:])
    where.output_shape(x.shape[2:])  # refuses inputs that are too small
    if top or bottom or left or right:
        n, c, h, w = x.shape
        padded = np.zeros((n, c, top + h + bottom, left + w + right), x.dtype)
        padded[:, :, top : top + h, left : left + w] = x
        x = padded
    view = np.lib.stride_tricks.sliding_window_view(x, where.effective_kernel, axis=(2, 3))
    (sh, sw), (dh, dw) = where.stride, where.dilation
    return view[:, :, ::sh, ::sw, ::dh, ::dw].transpose(0, 1, 4, 5, 2, 3)


def columns(x: Array, where: Window) -> Array:
    """Write the windows as columns, (N, C · KH · KW, OH · OW)."""
    view = windows(x, where)
    n, c, kh, kw, oh, ow = view.shape
    return view.reshape(n, c * kh * kw, oh * ow)


def summed(cols: Array, sizes: tuple[int, int], where: Window) -> Array:
    """Add the columns to the places they come from, (N, C, H, W)."""
    (top, bottom), (left, right) = where.padding_at(sizes)
    (kh, kw), (sh, sw), (dh, dw) = where.kernel_size, where.stride, where.dilation
    oh, ow = where.output_shape(sizes)
    parts = cols.reshape(len(cols), -1, kh, kw, oh, ow)
    n, c = parts.shape[:2]
    x = np.zeros((n, c, top + sizes[0] + bottom, left + sizes[1] + right), cols.dtype)
    for u in range(kh):  # all windows at once, one kernel position after the other
        for v in range(kw):
            rows = slice(dh * u, dh * u + sh * oh, sh)
            x[:, :, rows, dw * v : dw * v + sw * ow : sw] += parts[:, :, u, v]
    return x[:, :, top : top + sizes[0], left : left + sizes[1]]


def _correlated(
    x: Array, kernel: Array, stride: Any, padding: Any, dilation: Any, turned: bool = False
) -> Array:
    for name, array, least in (("x", x, 2), ("kernel", kernel, 2)):
        if not isinstance(array, np.ndarray):
            raise DtypeError(expected(name, "to be a NumPy array", array))
        if array.ndim < least or (name == "kernel" and array.ndim != 2):
            shape = "(KH, KW)" if name == "kernel" else "(..., H, W)"
            raise ShapeError(expected(name, f"to have the shape {shape}", array.shape))
    if 0 in kernel.shape:
        raise ArgumentError(expected("kernel", "to have at least one element", kernel.shape))
    if turned:
        kernel = kernel[::-1, ::-1]
    where = sliding(kernel.shape, stride, padding, dilation)
    view = windows(x.reshape(1, -1, *x.shape[-2:]), where)[0]
    y: Array = np.einsum("cuvij,uv->cij", view, kernel)
    return y.reshape(*x.shape[:-2], *y.shape[1:])


def _check_planes(x: Any) -> None:
    if not isinstance(x, np.ndarray):
        raise DtypeError(expected("x", "to be a NumPy array", x))
    if x.ndim != 4:
        raise ShapeError(expected("x", "to have the shape (N, C, H, W)", x.shape))
