"""The root of the channels' covariance as the description of a map."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from flexpool.errors import called
from flexpool.nn.block import block
from flexpool.nn.checks import check_numbers
from flexpool.nn.map_block import MapBlock
from flexpool.window.arguments import checked_flag, checked_ints

__all__ = ["CovariancePool2d"]


def _sample() -> tuple[nn.Module, tuple[Tensor, ...]]:
    return CovariancePool2d(), (torch.arange(72.0).square().view(2, 3, 3, 4).sin(),)


@block(
    paper="Li, Xie, Wang, Gao (2018), Towards faster training of global covariance pooling "
    "networks by iterative matrix square root normalization, CVPR, arXiv:1712.01034",
    family="encoding",
    sample=_sample,
    apart="It gives one vector for a whole map.",
)
class CovariancePool2d(MapBlock):
    r"""Take the matrix square root of the channels' covariance, by products of matrices alone.

    $$ \Sigma = \frac{1}{HW} \sum_{u,v} (x_{u,v} - \bar x)(x_{u,v} - \bar x)^T, \qquad
    y = \sqrt{\operatorname{tr} \Sigma}\; Y_T $$

    with $Y_0 = \Sigma / \operatorname{tr} \Sigma$, $Z_0 = I$ and the steps of Newton and Schulz,
    $Y_{t+1} = Y_t M_t$ and $Z_{t+1} = M_t Z_t$ with $M_t = (3 I - Z_t Y_t) / 2$, so that $Y_t$ goes
    to the root of $Y_0$.

    Args:
        iterations: the number of steps T, an int > 0. Default 5, that of the paper.
        vector: whether only the upper triangle is returned, row by row, since the matrix is
            symmetric. Default True.

    Shape:
        (N, C, H, W) -> (N, C (C + 1) / 2), or (N, C, C) if not ``vector``.

    Raises:
        ArgumentError: if one of them is outside its domain.
        ShapeError: if x is not (N, C, H, W).
        DtypeError: if x holds no floating-point numbers.

    Note:
        Half types are computed in float32. Five steps are far from the root where variances differ
        by orders of magnitude, which the paper finds no disadvantage. Of a constant map it is 0.

    Example:
        >>> import torch
        >>> x = torch.tensor([[3.0, -3.0, 3.0, -3.0], [4.0, 4.0, -4.0, -4.0]]).view(1, 2, 2, 2)
        >>> CovariancePool2d(iterations=12)(x).round(decimals=3)  # of the variances 9 and 16
        tensor([[3., 0., 4.]])

    Reference:
        Li, Xie, Wang, Gao (2018), Towards faster training of global covariance pooling networks by
        iterative matrix square root normalization, CVPR, arXiv:1712.01034.
    """

    def __init__(self, iterations: int = 5, *, vector: bool = True) -> None:
        super().__init__()
        with called("CovariancePool2d"):
            (self.iterations,) = checked_ints("iterations", iterations, 1)
            self.vector = checked_flag("vector", vector)

    def _downsampled(self, x: Tensor) -> Tensor:
        """Compute the covariance and its root."""
        check_numbers(self, x)
        exact = torch.promote_types(x.dtype, torch.float32)
        with torch.autocast(x.device.type, enabled=False):
            pixels = x.to(exact).flatten(2)
            pixels = pixels - pixels.mean(2, keepdim=True)
            covariance = pixels @ pixels.mT / pixels.shape[2]
            root = self._root(covariance).to(x.dtype)
        if not self.vector:
            return root
        row, column = torch.triu_indices(x.shape[1], x.shape[1], device=x.device)
        return root.flatten(1).index_select(1, row * x.shape[1] + column)

    def _root(self, matrix: Tensor) -> Tensor:
        trace = matrix.diagonal(dim1=1, dim2=2).sum(1)[:, None, None]
        trace = torch.where(trace > 0, trace, 1)  # the root's slope at 0 is infinite
        unit = torch.eye(matrix.shape[1], dtype=matrix.dtype, device=matrix.device)
        y, z = matrix / trace, unit
        for _ in range(self.iterations):
            step = 1.5 * unit - 0.5 * (z @ y)
            y, z = y @ step, step @ z
        return y * trace.sqrt()

    def extra_repr(self) -> str:
        """Show the number of steps."""
        return f"iterations={self.iterations}, vector={self.vector}"
