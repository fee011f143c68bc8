r"""Correlation and convolution with one kernel, for NumPy arrays and PyTorch tensors.

$$ (x \star k)_{ij} = \sum_{u,v} x_{i+u,\,j+v}\, k_{uv}, \qquad
   (x * k)_{ij} = \sum_{u,v} x_{i-u,\,j-v}\, k_{uv} $$

Correlation lays the kernel on the image as it is; convolution turns it by 180 degrees first. What
is called a convolutional layer is a correlation. Arrays are left to :mod:`flexpool.numpy`.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from flexpool.errors import ArgumentError, DtypeError, ShapeError, called, expected
from flexpool.numpy import correlation as arrays
from flexpool.window import Window

__all__ = ["conv2d", "corr2d"]


def corr2d(x: Any, kernel: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1) -> Any:
    r"""Correlate every plane of an array or a tensor with one kernel.

    $$ y_{ij} = \sum_{u,v} x_{si + du - p,\; sj + dv - p}\, k_{uv} $$

    with stride s, padding p and dilation d; what lies outside counts as 0.

    Args:
        x: (..., H, W), a NumPy array or a tensor of any numbers.
        kernel: (KH, KW), of x's kind. A tensor may need a gradient, as x may.
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
        >>> import torch
        >>> corr2d(torch.tensor([[1, 1, 0, 0, 1]]), torch.tensor([[1, -1]]))
        tensor([[ 0,  1,  0, -1]])
    """
    with called("corr2d"):
        if _tensors(x, kernel):
            return _correlated(x, kernel, stride, padding, dilation)
        return arrays.corr2d(x, kernel, stride, padding, dilation)


def conv2d(x: Any, kernel: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1) -> Any:
    r"""Convolve every plane with one kernel: correlate with the kernel turned around.

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
        if _tensors(x, kernel):
            _check(x, kernel)
            return _correlated(x, kernel.flip(0, 1), stride, padding, dilation)
        return arrays.conv2d(x, kernel, stride, padding, dilation)


def _tensors(x: Any, kernel: Any) -> bool:
    """Tell whether both are tensors; of one kind they must be, and both none is for arrays."""
    torch: Any = sys.modules.get("torch")  # who has a tensor has loaded it
    both = [torch is not None and isinstance(item, torch.Tensor) for item in (x, kernel)]
    if both[0] != both[1]:
        for item, name in ((x, "x"), (kernel, "kernel")):
            if not isinstance(item, torch.Tensor | np.ndarray):
                raise DtypeError(expected(name, "to be a NumPy array or a tensor", item))
        kinds = [type(item).__name__ for item in (x, kernel)]
        raise DtypeError(expected("x and kernel", "to be both arrays or both tensors", kinds))
    return both[0]


def _check(x: Any, kernel: Any) -> None:
    for name, shape, fits in (
        ("x", "(..., H, W)", x.ndim >= 2),
        ("kernel", "(KH, KW)", kernel.ndim == 2),
    ):
        if not fits:
            got = tuple((x if name == "x" else kernel).shape)
            raise ShapeError(expected(name, f"to have the shape {shape}", got))
    if 0 in kernel.shape:
        rule = "to have at least one element"
        raise ArgumentError(expected("kernel", rule, tuple(kernel.shape)))
    if x.device != kernel.device:
        raise ArgumentError(
            expected("kernel", f"to be on x's device, {x.device}", str(kernel.device))
        )
    for name, item in (("x", x), ("kernel", kernel)):
        if str(item.dtype) == "torch.bool":
            instead = "Convert it, for example by .float()."
            raise DtypeError(expected(name, "to hold numbers", item.dtype, instead))


def _correlated(x: Any, kernel: Any, stride: Any, padding: Any, dilation: Any) -> Any:
    import torch
    from torch.nn import functional

    _check(x, kernel)
    where = arrays.sliding(tuple(kernel.shape), stride, padding, dilation)
    sizes = tuple(x.shape[-2:])
    rows, columns = where.output_shape(sizes)
    (top, bottom), (left, right) = where.padding_at(sizes)
    kind = torch.result_type(x, kernel)
    x, kernel = x.to(kind), kernel.to(kind)
    if top or bottom or left or right:
        x = functional.pad(x, (left, right, top, bottom))
    planes = x.numel() // max(1, x.shape[-2] * x.shape[-1])
    # One plane alone is slow as a layer of one channel on the CPU; integers have no layers.
    if not planes or not kind.is_floating_point or (planes == 1 and x.device.type == "cpu"):
        return _tap_by_tap(x, kernel, where, rows, columns)
    channels = x.reshape(1, planes, *x.shape[-2:])
    weight = kernel.expand(planes, 1, *kernel.shape)
    y = functional.conv2d(channels, weight, None, where.stride, 0, where.dilation, planes)
    return y.reshape(*x.shape[:-2], rows, columns)


def _tap_by_tap(x: Any, kernel: Any, where: Window, rows: int, columns: int) -> Any:
    """Add the image, moved and multiplied, for one number of the kernel after the other."""
    (sh, sw), (dh, dw) = where.stride, where.dilation
    y: Any = None
    for u, numbers in enumerate(kernel.unbind()):
        for v, number in enumerate(numbers.unbind()):
            seen = x[..., dh * u : dh * u + sh * rows : sh, dw * v : dw * v + sw * columns : sw]
            y = seen * number if y is None else y.add_(seen * number)
    return y
