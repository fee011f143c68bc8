"""One vector per map that frequent and rare features agree with equally."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from flexpool.errors import called
from flexpool.nn.block import block
from flexpool.nn.checks import check_numbers, checked_choice, checked_number
from flexpool.nn.map_block import MapBlock
from flexpool.window.arguments import checked_flag

__all__ = ["GeneralizedMaxPool2d"]


def _sample() -> tuple[nn.Module, tuple[Tensor, ...]]:
    return GeneralizedMaxPool2d(0.5), (torch.arange(36.0).view(2, 3, 2, 3).sin(),)


@block(
    paper="Murray, Perronnin (2014), Generalized max pooling, CVPR, arXiv:1406.0312",
    family="encoding",
    sample=_sample,
    apart="It gives one vector for a whole map.",
    unexported="ONNX has no operator that solves linear equations.",
)
class GeneralizedMaxPool2d(MapBlock):
    r"""Weigh the pixels so that all of them are equally similar to their weighted sum.

    $$ y = \operatorname*{argmin}_\xi \lVert \Phi^T \xi - 1 \rVert^2 + \lambda \lVert \xi \rVert^2
    = (\Phi \Phi^T + \lambda I)^{-1} \Phi 1 = \Phi (\Phi^T \Phi + \lambda I)^{-1} 1 $$

    with $\Phi$ the matrix of C rows whose columns are the pixels. Of vectors with one 1 and zeros
    it is, as $\lambda$ goes to 0, their largest values; as $\lambda$ grows, it becomes the sum of
    the pixels over $\lambda$.

    Args:
        ridge: lambda, a number > 0. Default 1.
        form: "primal" to solve equations of the size C x C, "dual" for HW x HW, "auto" for the
            smaller of both. Default "auto".
        learned: whether the ridge is learned, as its logarithm. Default False.

    Shape:
        (N, C, H, W) -> (N, C, 1, 1).

    Raises:
        ArgumentError: if one of them is outside its domain.
        ShapeError: if x is not (N, C, H, W).
        DtypeError: if x holds no floating-point numbers.

    Note:
        Half types are computed in float32. The smaller the ridge beside the squares of the values,
        the more digits are lost; where equations cannot be solved at all, the result is not finite.

    Example:
        >>> import torch
        >>> x = torch.tensor([[1.0, 1.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]]).view(1, 2, 2, 2)
        >>> GeneralizedMaxPool2d(1.0)(x).flatten()  # 3 / (3 + 1) and 1 / (1 + 1); the sums: 3, 1
        tensor([0.7500, 0.5000])

    Reference:
        Murray, Perronnin (2014), Generalized max pooling, CVPR, arXiv:1406.0312.
    """

    log_ridge: Tensor

    def __init__(self, ridge: float = 1.0, *, form: str = "auto", learned: bool = False) -> None:
        super().__init__()
        with called("GeneralizedMaxPool2d"):
            logarithm = torch.tensor(math.log(checked_number("ridge", ridge, above=0)))
            self.form = checked_choice("form", form, ("auto", "primal", "dual"))
            self.learned = checked_flag("learned", learned)
        if learned:
            self.log_ridge = nn.Parameter(logarithm)
        else:
            self.register_buffer("log_ridge", logarithm)

    def _downsampled(self, x: Tensor) -> Tensor:
        """Solve the smaller system, unless the form is given."""
        check_numbers(self, x)
        exact = torch.promote_types(x.dtype, torch.float32)
        with torch.autocast(x.device.type, enabled=False):
            pixels = x.to(exact).flatten(2)
            ridge = self.log_ridge.to(exact).exp()
            primal = self.form == "primal"
            if self.form == "auto":
                primal = pixels.shape[1] <= pixels.shape[2]
            if primal:
                y = _solved(pixels @ pixels.mT, ridge, pixels.sum(2, keepdim=True))
            else:
                ones = torch.ones_like(pixels[:, :1]).mT
                y = pixels @ _solved(pixels.mT @ pixels, ridge, ones)
        return y[..., None].to(x.dtype)

    def extra_repr(self) -> str:
        """Show the ridge."""
        shown = f"ridge={self.log_ridge.exp().item():.4g}, form={self.form!r}"
        return shown + (", learned=True" if self.learned else "")


def _solved(products: Tensor, ridge: Tensor, right: Tensor) -> Tensor:
    unit = torch.eye(products.shape[-1], dtype=products.dtype, device=products.device)
    # Not solve: it waits for the device to find out whether an image has no solution, and raises.
    solution: Tensor = torch.linalg.solve_ex(products + ridge * unit, right)[0]
    return solution
