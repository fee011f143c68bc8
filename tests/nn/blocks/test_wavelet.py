"""The step of the wavelet transform, against sums typed by hand."""

import numpy as np
import pytest
import torch

from flexpool.errors import ArgumentError, ShapeError
from flexpool.nn import HWD2d, WaveletPool2d
from flexpool.nn.wavelets import WAVELETS, high_pass, low_pass

ROOT2, ROOT3 = np.sqrt(2), np.sqrt(3)
# In closed form where there is one, else as printed by others; symlets up to reversal.
PUBLISHED = {
    "haar": [1 / ROOT2, 1 / ROOT2],
    "db2": [(1 + ROOT3), (3 + ROOT3), (3 - ROOT3), (1 - ROOT3)] / (4 * ROOT2),
    "db4": [
        *(0.23037781330885523, 0.7148465705525415, 0.6308807679295904, -0.02798376941698385),
        *(-0.18703481171888114, 0.030841381835986965, 0.032883011666982945, -0.010597401784997278),
    ],
    "sym4": [
        *(-0.07576571478927333, -0.02963552764599851, 0.49761866763201545, 0.8037387518059161),
        *(0.29785779560527736, -0.09921954357684722, -0.012603967262037833, 0.032223100604042702),
    ],
    "sym5": [
        *(0.027333068345077982, 0.029519490925774643, -0.039134249302383094, 0.1993975339773936),
        *(0.72340769040242059, 0.63397896345821192, 0.016602105764522319, -0.17532808990845047),
        *(-0.021101834024758855, 0.019538882735286728),
    ],
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_filters(name):
    taps, wanted = np.array(low_pass(name)), np.array(PUBLISHED[name])
    off = min(np.abs(taps - wanted).max(), np.abs(taps[::-1] - wanted).max())
    assert off < 1e-11 if name.startswith("sym") else np.abs(taps - wanted).max() < 1e-12


@pytest.mark.parametrize("name", WAVELETS)
def test_filters_are_orthonormal_with_vanishing_moments(name):
    low = np.array(low_pass(name))
    high = np.array(high_pass(low_pass(name)))
    moments = len(low) // 2
    for shift in range(moments):
        a, b = slice(0, len(low) - 2 * shift), slice(2 * shift, None)
        assert low[a] @ low[b] == pytest.approx(float(shift == 0), abs=1e-12)
        assert high[a] @ low[b] == pytest.approx(0, abs=1e-12)
        assert low[a] @ high[b] == pytest.approx(0, abs=1e-12)
    position = np.arange(len(low)) / len(low)
    for power in range(moments):
        assert high @ position**power == pytest.approx(0, abs=1e-12)


def outside(line, position, boundary):
    n = len(line)
    if 0 <= position < n:
        return line[position]
    if boundary == "zero":
        return 0.0
    if boundary == "periodic":
        return line[position % n]
    while not 0 <= position < n:
        position = -1 - position if position < 0 else 2 * n - 1 - position
    return line[position]


def step(line, taps, boundary, ceil_mode):
    """One filter along one line."""
    line = list(line)
    if len(line) % 2:
        line = [*line, line[-1]] if ceil_mode else line[:-1]
    reach = len(taps) // 2 - 1
    return [
        sum(t * outside(line, 2 * k + i - reach, boundary) for i, t in enumerate(taps))
        for k in range(len(line) // 2)
    ]


def transform(x, vertical, horizontal, boundary, ceil_mode):
    rows = np.apply_along_axis(step, 0, x, vertical, boundary, ceil_mode)
    return np.apply_along_axis(step, 1, rows, horizontal, boundary, ceil_mode)


@pytest.mark.parametrize("wavelet", ["haar", "db2", "db4"])
@pytest.mark.parametrize("boundary", ["periodic", "symmetric", "zero"])
@pytest.mark.parametrize("ceil_mode", [False, True])
def test_bands_are_the_sums_by_hand(wavelet, boundary, ceil_mode):
    x = np.random.default_rng(0).normal(size=(2, 7, 4))
    block = WaveletPool2d(
        wavelet, bands="all", boundary=boundary, unit_gain=False, ceil_mode=ceil_mode
    )
    got = block(torch.from_numpy(x)[None])[0].numpy()
    low = np.array(PUBLISHED[wavelet])
    high = low[::-1] * (-1.0) ** np.arange(len(low))
    pairs = [(low, low), (low, high), (high, low), (high, high)]
    wanted = [transform(plane, *pair, boundary, ceil_mode) for pair in pairs for plane in x]
    np.testing.assert_allclose(got, np.stack(wanted), atol=1e-12)


@pytest.mark.parametrize("wavelet", WAVELETS)
@pytest.mark.parametrize("size", [(2, 4), (6, 10), (16, 8)])
def test_nothing_is_lost_of_even_sizes(wavelet, size):
    """Also of maps much smaller than the filter."""
    x = torch.randn(1, 2, *size, dtype=torch.float64, requires_grad=True)
    y = WaveletPool2d(wavelet, bands="all", unit_gain=False)(x)
    assert y.square().sum().item() == pytest.approx(x.square().sum().item(), rel=1e-12)
    (back,) = torch.autograd.grad(y, x, y.detach())  # the transposed matrix is the inverse
    torch.testing.assert_close(back, x.detach(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("wavelet", WAVELETS)
def test_gain_is_one_or_two(wavelet):
    x = torch.full((1, 1, 7, 6), 3.0)
    y = WaveletPool2d(wavelet, ceil_mode=True)(x)
    torch.testing.assert_close(y, torch.full((1, 1, 4, 3), 3.0))
    y = WaveletPool2d(wavelet, boundary="symmetric", unit_gain=False)(x)
    torch.testing.assert_close(y, torch.full((1, 1, 3, 3), 6.0))


def test_haar_averages():
    x = torch.randn(2, 3, 9, 6)
    torch.testing.assert_close(WaveletPool2d()(x), torch.nn.functional.avg_pool2d(x, 2))


def test_two_steps_there_and_one_back_are_the_low_band():
    """What the paper computes: the inverse of the second level, details of the first dropped."""
    x = torch.randn(1, 1, 8, 8, dtype=torch.float64)
    first = WaveletPool2d(unit_gain=False)(x).requires_grad_()
    second = WaveletPool2d(bands="all", unit_gain=False)(first)
    (back,) = torch.autograd.grad(second, first, second.detach())
    torch.testing.assert_close(back, WaveletPool2d(unit_gain=False)(x))


def test_hwd_is_its_parts():
    torch.manual_seed(0)
    block, x = HWD2d(2, 3).double(), torch.randn(2, 2, 4, 6, dtype=torch.float64)
    a, b, c, d = (x[..., i::2, j::2] for i in (0, 1) for j in (0, 1))
    bands = torch.cat([a + b + c + d, a - b + c - d, a + b - c - d, a - b - c + d], 1) / 2
    conv, norm, _ = block.choose
    mixed = torch.einsum("oc,nchw->nohw", conv.weight[..., 0, 0], bands)
    mixed = mixed + conv.bias[:, None, None]
    mean = mixed.mean((0, 2, 3), keepdim=True)
    spread = (mixed.var((0, 2, 3), keepdim=True, correction=0) + norm.eps).sqrt()
    torch.testing.assert_close(block(x), ((mixed - mean) / spread).relu())


@pytest.mark.parametrize(
    ("build", "error", "text"),
    [
        (
            lambda: WaveletPool2d("db11"),
            ArgumentError,
            "WaveletPool2d: unknown wavelet 'db11'. Did you mean 'db10'? Known: haar, db2, ",
        ),
        (
            lambda: WaveletPool2d(bands="LL"),
            ArgumentError,
            "WaveletPool2d: expected bands to be one of low, all, got 'LL'.",
        ),
        (
            lambda: WaveletPool2d(boundary="same"),
            ArgumentError,
            "WaveletPool2d: expected boundary to be one of periodic, symmetric, zero, got 'same'.",
        ),
        (
            lambda: WaveletPool2d()(torch.zeros(1, 1, 1, 4)),
            ShapeError,
            "WaveletPool2d: expected the input to have at least 2 x 2 pixels, got (1, 1, 1, 4). "
            "Use ceil_mode=True.",
        ),
        (lambda: HWD2d(0), ArgumentError, "HWD2d: expected channels to be an int > 0"),
    ],
)
def test_what_does_not_fit(build, error, text):
    with pytest.raises(error) as caught:
        build()
    assert str(caught.value).startswith(text)
