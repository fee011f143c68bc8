"""Downsampling that loses nothing: pixels become channels."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from flexpool.errors import ArgumentError, called, expected
from flexpool.nn.block import block
from flexpool.nn.checks import check_numbers, checked_choice
from flexpool.nn.map_block import MapBlock
from flexpool.nn.polyphase import grid, whole_blocks
from flexpool.window.arguments import checked_flag, checked_ints

__all__ = ["PatchMerging2d", "SPDConv2d", "SpaceToDepth2d"]


def _sample() -> tuple[nn.Module, tuple[Tensor, ...]]:
    return SpaceToDepth2d(2), (torch.arange(48.0).view(1, 2, 4, 6),)


@block(
    paper="Shi, Caballero, Huszár, Totz, Aitken, Bishop, Rueckert, Wang (2016), Real-time single "
    "image and video super-resolution using an efficient sub-pixel convolutional neural network, "
    "CVPR, arXiv:1609.05158",
    family="rearrangement",
    sample=_sample,
    apart="It makes more channels, which the next layer would have to expect: SPDConv2d and "
    "PatchMerging2d bring them back.",
)
class SpaceToDepth2d(MapBlock):
    r"""Turn the pixels of each block into channels of one pixel.

    $$ y_{(c, i, j),\, u, v} = x_{c,\, su+i,\, sv+j} $$

    with $s$ the stride. It is the inverse of the paper's rearrangement, torch's ``PixelUnshuffle``.

    Args:
        stride: height and width of a block, an int > 0 or one per dimension. Default 2.
        order: how channels are numbered: "channels" with (c s + i) s + j, as torch does;
            "positions" with (i s + j) C + c, as TensorFlow does. Default "channels".
        ceil_mode: whether rows and columns that lack to a whole block are added as zeros, instead
            of dropping those that are too many. Default False.

    Shape:
        (N, C, H, W) -> (N, stride^2 C, H // stride, W // stride), in ceil mode rounded up.

    Raises:
        ArgumentError: if one of them is outside its domain.
        ShapeError: if x is not (N, C, H, W), or has fewer pixels than a block.

    Example:
        >>> import torch
        >>> SpaceToDepth2d(2)(torch.arange(8.0).view(1, 1, 2, 4)).shape
        torch.Size([1, 4, 1, 2])
        >>> SpaceToDepth2d(2)(torch.arange(8.0).view(1, 1, 2, 4))[0, :, 0, 0]
        tensor([0., 1., 4., 5.])

    Reference:
        Shi, Caballero, Huszár, Totz, Aitken, Bishop, Rueckert, Wang (2016), Real-time single image
        and video super-resolution using an efficient sub-pixel convolutional neural network, CVPR,
        arXiv:1609.05158.
    """

    def __init__(
        self,
        stride: int | tuple[int, int] = 2,
        *,
        order: str = "channels",
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        with called("SpaceToDepth2d"):
            vertical, horizontal = checked_ints("stride", stride, 2)
            self.order = checked_choice("order", order, ("channels", "positions"))
            self.ceil_mode = checked_flag("ceil_mode", ceil_mode)
        self.stride = (vertical, horizontal)

    def _downsampled(self, x: Tensor) -> Tensor:
        """Rearrange."""
        check_numbers(self, x, integers=True)
        parts = grid(whole_blocks(x, self.stride, self.ceil_mode, self, zeros=True), self.stride)
        if self.order == "channels":
            parts = parts.permute(0, 3, 1, 2, 4, 5)
        return parts.flatten(1, 3)

    def extra_repr(self) -> str:
        """Show the block."""
        shown = f"stride={self.stride}, order={self.order!r}"
        return shown + (", ceil_mode=True" if self.ceil_mode else "")


def _sample_spd() -> tuple[nn.Module, tuple[Tensor, ...]]:
    return SPDConv2d(2, 3), (torch.arange(96.0).view(2, 2, 4, 6).sin(),)


@block(
    paper="Sunkara, Luo (2022), No more strided convolutions or pooling: A new CNN building block "
    "for low-resolution images and small objects, ECML PKDD, arXiv:2208.03641",
    family="rearrangement",
    sample=_sample_spd,
    layer=lambda channels, kernel_size, stride: SPDConv2d(channels, channels, stride=stride),
)
class SPDConv2d(MapBlock):
    r"""Turn pixels into channels, then convolve without a stride.

    $$ y_{o,u,v} = b_o + \sum_{c,i,j,m,n} w_{o,(c,i,j),m,n}\, x_{c,\, s(u+m-a)+i,\, s(v+n-a)+j} $$

    with $s$ the stride, weights of $k \times k$ and $a = (k-1)/2$: no pixel is left
    out before the weights are learned.

    Args:
        channels: of the input, an int > 0.
        out_channels: of the result, an int > 0. Default None: as many as ``channels``.
        kernel_size: k, an odd int > 0. Default 3.
        stride: an int > 0 or one per dimension. Default 2.
        bias: whether b is learned, else it is 0. Default True.
        ceil_mode: whether rows and columns that lack to a whole block are added as zeros, instead
            of dropping those that are too many. Default False.

    Shape:
        (N, channels, H, W) -> (N, out_channels, H // stride, W // stride), in ceil mode rounded up.

    Raises:
        ArgumentError: if one of them is outside its domain.
        ShapeError: if x is not (N, channels, H, W), or has fewer pixels than a block.
        DtypeError: if x holds no floating-point numbers.

    Note:
        Outside of the map are zeros. The authors follow it with normalisation and an activation.

    Example:
        >>> import torch
        >>> SPDConv2d(16, 32)(torch.randn(4, 16, 28, 28)).shape
        torch.Size([4, 32, 14, 14])

    Reference:
        Sunkara, Luo (2022), No more strided convolutions or pooling: A new CNN building block for
        low-resolution images and small objects, ECML PKDD, arXiv:2208.03641.
    """

    def __init__(
        self,
        channels: int,
        out_channels: int | None = None,
        kernel_size: int = 3,
        stride: int | tuple[int, int] = 2,
        *,
        bias: bool = True,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        with called("SPDConv2d"):
            (self.channels,) = checked_ints("channels", channels, 1)
            wanted = channels if out_channels is None else out_channels
            (out,) = checked_ints("out_channels", wanted, 1)
            (size,) = checked_ints("kernel_size", kernel_size, 1)
            if size % 2 == 0:
                raise ArgumentError(expected("kernel_size", "to be odd", size))
            down, across = checked_ints("stride", stride, 2)
            with_bias = checked_flag("bias", bias)
            self.rearrange = SpaceToDepth2d((down, across), ceil_mode=ceil_mode)
        self.conv = nn.Conv2d(
            self.channels * down * across, out, size, padding=size // 2, bias=with_bias
        )

    def _downsampled(self, x: Tensor) -> Tensor:
        """Rearrange, then convolve."""
        check_numbers(self, x)
        result: Tensor = self.conv(self.rearrange(x))
        return result


def _sample_merging() -> tuple[nn.Module, tuple[Tensor, ...]]:
    return PatchMerging2d(2), (torch.arange(60.0).view(1, 2, 5, 6).sin(),)


@block(
    paper="Liu, Lin, Cao, Hu, Wei, Zhang, Lin, Guo (2021), Swin transformer: Hierarchical vision "
    "transformer using shifted windows, ICCV, arXiv:2103.14030",
    family="rearrangement",
    sample=_sample_merging,
    layer=lambda channels, kernel_size, stride: PatchMerging2d(
        channels, channels, stride, ceil_mode=False
    ),
)
class PatchMerging2d(MapBlock):
    r"""Turn pixels into channels, normalise them and mix them by one matrix.

    $$ y_{u,v} = W \operatorname{norm}\bigl( [x_{su,\,sv},\, x_{su+1,\,sv},\, \dots,\,
    x_{su+s-1,\,sv+s-1}] \bigr) $$

    with $s$ the stride and $\operatorname{norm}$ the layer normalisation of the $s^2 C$ numbers
    of a block.

    Args:
        channels: of the input, an int > 0.
        out_channels: of the result, an int > 0. Default None: twice as many as ``channels``.
        stride: an int > 0 or one per dimension. Default 2.
        ceil_mode: whether rows and columns that lack to a whole block are added as zeros, instead
            of dropping those that are too many. Default True, as in the paper's code.

    Shape:
        (N, channels, H, W) -> (N, out_channels, H // stride, W // stride), rounded up in ceil mode.

    Raises:
        ArgumentError: if one of them is outside its domain.
        ShapeError: if x is not (N, channels, H, W), or has fewer pixels than a block.
        DtypeError: if x holds no floating-point numbers.

    Note:
        The pixels of a block come column by column, and the parameters are named ``norm`` and
        ``reduction``, as in the authors' code, so that their weights fit.

    Example:
        >>> import torch
        >>> PatchMerging2d(96)(torch.randn(1, 96, 7, 8)).shape
        torch.Size([1, 192, 4, 4])

    Reference:
        Liu, Lin, Cao, Hu, Wei, Zhang, Lin, Guo (2021), Swin transformer: Hierarchical vision
        transformer using shifted windows, ICCV, arXiv:2103.14030.
    """

    def __init__(
        self,
        channels: int,
        out_channels: int | None = None,
        stride: int | tuple[int, int] = 2,
        *,
        ceil_mode: bool = True,
    ) -> None:
        super().__init__()
        with called("PatchMerging2d"):
            (self.channels,) = checked_ints("channels", channels, 1)
            wanted = 2 * self.channels if out_channels is None else out_channels
            (out,) = checked_ints("out_channels", wanted, 1)
            down, across = checked_ints("stride", stride, 2)
            self.ceil_mode = checked_flag("ceil_mode", ceil_mode)
        self.stride = (down, across)
        self.norm = nn.LayerNorm(self.channels * down * across)
        self.reduction = nn.Linear(self.channels * down * across, out, bias=False)

    def _downsampled(self, x: Tensor) -> Tensor:
        """Rearrange, normalise and mix."""
        check_numbers(self, x)
        whole = whole_blocks(x, self.stride, self.ceil_mode, self, zeros=True)
        by_column = grid(whole, self.stride).permute(0, 4, 5, 2, 1, 3)
        mixed: Tensor = self.reduction(self.norm(by_column.flatten(3)))
        return mixed.permute(0, 3, 1, 2)

    def extra_repr(self) -> str:
        """Show the block."""
        return f"stride={self.stride}, ceil_mode={self.ceil_mode}"
