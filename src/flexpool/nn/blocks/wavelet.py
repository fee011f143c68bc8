"""Downsampling by a step of the wavelet transform."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flexpool.errors import ShapeError, called, expected
from flexpool.nn.block import block
from flexpool.nn.checks import check_numbers, checked_choice
from flexpool.nn.constants import constant
from flexpool.nn.map_block import MapBlock
from flexpool.nn.wavelets import high_pass, low_pass
from flexpool.window.arguments import checked_flag, checked_ints

__all__ = ["HWD2d", "WaveletPool2d"]


def _sample() -> tuple[nn.Module, tuple[Tensor, ...]]:
    return WaveletPool2d("db2", bands="all"), (torch.arange(168.0).view(1, 2, 7, 12).sin(),)


def _layer(channels: int, kernel_size: int, stride: int) -> nn.Module:
    return WaveletPool2d()


@block(
    paper="Williams, Li (2018), Wavelet pooling for convolutional neural networks, ICLR",
    family="wavelet",
    sample=_sample,
    layer=_layer,
)
class WaveletPool2d(MapBlock):
    r"""Keep the low frequencies of a step of the wavelet transform, or all four bands of it.

    $$ y_{u,v} = g \sum_{i,j} h_i h_j\, x_{2u+i-a,\, 2v+j-a} $$

    with $h$ the scaling filter of the wavelet, $2N$ taps long, $a = N - 1$ and the gain $g$. In the
    other three bands one or both filters are the wavelet's, $(-1)^i h_{2N-1-i}$.

    Args:
        wavelet: "haar", "db2" to "db10" (Daubechies) or "sym4" to "sym8" (symlets). Default
            "haar".
        bands: "low" for the low frequencies, "all" for four times as many channels: first all
            channels low-pass in both directions, then those high-pass along rows, along columns and
            in both. Default "low".
        boundary: what lies outside of the map: "periodic" for its other side, "symmetric" for its
            mirror image, "zero". Haar's filter does not reach outside. Default "periodic".
        unit_gain: whether g is 1/2, so that a constant keeps its value; else g is 1, the transform
            orthonormal and a constant doubled. Default True.
        ceil_mode: whether an odd last row or column is repeated instead of dropped. Default False.

    Shape:
        (N, C, H, W) -> (N, C, H // 2, W // 2), with all bands 4 C; in ceil mode rounded up.

    Raises:
        ArgumentError: if one of them is outside its domain.
        ShapeError: if x is not (N, C, H, W), or has less than 2 x 2 pixels without ceil mode.
        DtypeError: if x holds no floating-point numbers.

    Note:
        The paper transforms twice and goes back once, which leaves exactly this low band; with
        Haar's wavelet and unit gain it is the average of 2 x 2 pixels. With all bands, even sizes,
        a periodic boundary and ``unit_gain=False`` the sum of squares is that of the input.

    Use:
        Where a transform with an exact inverse is wanted, or smoother filters than the average.

    Disagreement:
        The gain and the border: a much used program doubles constants and takes zeros beyond the
        map, see ``unit_gain`` and ``boundary``.

    Example:
        >>> import torch
        >>> x = torch.tensor([[1.0, 3.0], [5.0, 7.0]]).view(1, 1, 2, 2)
        >>> WaveletPool2d(bands="all")(x).flatten()  # mean, differences of columns, rows, both
        tensor([ 4., -1., -2.,  0.])

    Reference:
        Williams, Li (2018), Wavelet pooling for convolutional neural networks, ICLR.
    """

    def __init__(
        self,
        wavelet: str = "haar",
        *,
        bands: str = "low",
        boundary: str = "periodic",
        unit_gain: bool = True,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        with called("WaveletPool2d"):
            self.low = low_pass(wavelet)
            self.bands = checked_choice("bands", bands, ("low", "all"))
            self.boundary = checked_choice("boundary", boundary, ("periodic", "symmetric", "zero"))
            self.unit_gain = checked_flag("unit_gain", unit_gain)
            self.ceil_mode = checked_flag("ceil_mode", ceil_mode)
        self.wavelet = wavelet

    def _downsampled(self, x: Tensor) -> Tensor:
        """Filter rows and columns, one of two results each."""
        check_numbers(self, x)
        filters = (self.low,) if self.bands == "low" else (self.low, high_pass(self.low))
        gain = 0.5**0.5 if self.unit_gain else 1.0
        taps = tuple(gain * tap for filter in filters for tap in filter)
        weights = constant(taps, x).view(len(filters), 1, len(self.low), 1)
        n, channels = x.shape[:2]
        for dimension in (-2, -1):
            x = self._extended(x, dimension)
            kernel = weights if dimension == -2 else weights.mT
            stride = (2, 1) if dimension == -2 else (1, 2)
            groups = x.shape[1]
            x = F.conv2d(x, kernel.repeat(groups, 1, 1, 1), stride=stride, groups=groups)
        by_band = x.view(n, channels, len(filters) ** 2, *x.shape[2:])
        return by_band.transpose(1, 2).flatten(1, 2)

    def _extended(self, x: Tensor, dimension: int) -> Tensor:
        """Make a size even, then add on both sides what the filter reaches."""
        size = x.shape[dimension]
        if size == 1 and not self.ceil_mode:
            with called("WaveletPool2d"):
                rule = "to have at least 2 x 2 pixels"
                raise ShapeError(expected("the input", rule, tuple(x.shape), "Use ceil_mode=True."))
        if size % 2 and self.ceil_mode:
            x = torch.cat([x, x.narrow(dimension, size - 1, 1)], dimension)
        elif size % 2:
            x = x.narrow(dimension, 0, size - 1)
        size = x.shape[dimension]
        reach = len(self.low) // 2 - 1
        if reach == 0:
            return x
        if self.boundary == "zero":
            return F.pad(x, (0, 0, reach, reach) if dimension == -2 else (reach, reach))
        positions = torch.arange(-reach, size + reach, device=x.device)
        if self.boundary == "periodic":
            positions = positions % size
        else:
            positions = positions % (2 * size)
            positions = torch.minimum(positions, 2 * size - 1 - positions)
        return x.index_select(dimension, positions)

    def extra_repr(self) -> str:
        """Show the wavelet."""
        shown = f"{self.wavelet!r}, bands={self.bands!r}, boundary={self.boundary!r}"
        return f"{shown}, unit_gain={self.unit_gain}, ceil_mode={self.ceil_mode}"


def _sample_hwd() -> tuple[nn.Module, tuple[Tensor, ...]]:
    return HWD2d(2, 3), (torch.arange(96.0).view(2, 2, 4, 6).sin(),)


@block(
    paper="Xu, Liao, Zhang, Li, He, Wu (2023), Haar wavelet downsampling: A simple but effective "
    "downsampling module for semantic segmentation, Pattern Recognition 143, 109819",
    family="wavelet",
    sample=_sample_hwd,
    layer=lambda channels, kernel_size, stride: HWD2d(channels, channels),
)
class HWD2d(MapBlock):
    r"""Transform by Haar's wavelet, which loses nothing, and let a 1 x 1 convolution choose.

    $$ y = \max \bigl( 0,\, \operatorname{norm}(w * [x_{LL}, x_{LH}, x_{HL}, x_{HH}]) \bigr) $$

    with the four bands of :class:`WaveletPool2d` as channels, $w$ a convolution with 1 x 1 weights
    and $\operatorname{norm}$ batch normalisation.

    Args:
        channels: of the input, an int > 0.
        out_channels: of the result, an int > 0. Default None: as many as ``channels``.
        ceil_mode: whether an odd last row or column is repeated instead of dropped. Default False.

    Shape:
        (N, channels, H, W) -> (N, out_channels, H // 2, W // 2), in ceil mode rounded up.

    Raises:
        ArgumentError: if one of them is outside its domain.
        ShapeError: if x is not (N, channels, H, W), or has less than 2 x 2 pixels without ceil
            mode.
        DtypeError: if x holds no floating-point numbers.

    Note:
        The transform is orthonormal: a constant is doubled in the low band, which the convolution
        and the normalisation make up for.

    Use:
        Where downsampling should lose nothing before the net has chosen, as in segmentation.

    Example:
        >>> import torch
        >>> HWD2d(16, 32)(torch.randn(4, 16, 28, 28)).shape
        torch.Size([4, 32, 14, 14])

    Reference:
        Xu, Liao, Zhang, Li, He, Wu (2023), Haar wavelet downsampling: A simple but effective
        downsampling module for semantic segmentation, Pattern Recognition 143, 109819.
    """

    def __init__(
        self, channels: int, out_channels: int | None = None, *, ceil_mode: bool = False
    ) -> None:
        super().__init__()
        with called("HWD2d"):
            (self.channels,) = checked_ints("channels", channels, 1)
            wanted = channels if out_channels is None else out_channels
            (out,) = checked_ints("out_channels", wanted, 1)
            self.transform = WaveletPool2d(bands="all", unit_gain=False, ceil_mode=ceil_mode)
        self.choose = nn.Sequential(
            nn.Conv2d(4 * self.channels, out, 1), nn.BatchNorm2d(out), nn.ReLU()
        )

    def _downsampled(self, x: Tensor) -> Tensor:
        """Transform, then choose."""
        check_numbers(self, x)
        chosen: Tensor = self.choose(self.transform(x))
        return chosen
