"""The blocks that cut frequencies off, against NumPy's FFT."""

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from flexpool.errors import ArgumentError, DtypeError, ShapeError
from flexpool.nn import ASAPPool2d, FLCPool2d, HartleyPool2d, SpectralPool2d, fourier

BLOCKS = [SpectralPool2d, FLCPool2d, ASAPPool2d, HartleyPool2d]
SIZES = [
    *(((8, 6), (4, 3)), ((8, 6), (4, 4)), ((7, 9), (3, 4)), ((10, 7), (4, 6)), ((9, 11), (5, 3))),
    *(((14, 14), (7, 7)), ((8, 8), (8, 8)), ((5, 4), (1, 2)), ((1, 6), (1, 3)), ((6, 10), (2, 6))),
]


def kept(count):
    return [k for k in range(-count, count) if -count / 2 <= k < count / 2]


def fourier_crop(x, size, weight=lambda f: 1.0):
    """The cut, frequency by frequency, with the complex transform."""
    spectrum = np.fft.fft2(x, norm="forward")
    small = np.zeros(size, complex)
    for k in kept(size[0]):
        for m in kept(size[1]):
            w = weight(k / x.shape[0]) * weight(m / x.shape[1])
            small[k, m] = spectrum[k, m] * w
    return np.fft.ifft2(small, norm="forward").real


def hartley_crop(x, size):
    def transform(values):
        spectrum = np.fft.fft2(values)
        return spectrum.real - spectrum.imag

    large, small = transform(x), np.zeros(size)
    for k in kept(size[0]):
        for m in kept(size[1]):
            small[k, m] = large[k, m]
    return transform(small) / x.size


ORACLES = {
    SpectralPool2d: fourier_crop,
    FLCPool2d: fourier_crop,
    ASAPPool2d: lambda x, size: fourier_crop(
        x, size, lambda f: np.sqrt(0.54 + 0.46 * np.cos(2 * np.pi * f))
    ),
    HartleyPool2d: hartley_crop,
}


def apply(block, x):
    return block(torch.from_numpy(x)[None, None])[0, 0].numpy()


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize(("size", "small"), SIZES)
def test_equals_the_transform_cut_by_hand(block, size, small):
    x = np.random.default_rng(0).normal(size=size)
    got = apply(block(output_size=small), x)
    np.testing.assert_allclose(got, ORACLES[block](x, small), rtol=0, atol=1e-14)


@pytest.mark.parametrize("block", BLOCKS)
def test_gradient_is_the_transposed_map(block):
    """The blocks are linear: with the oracle applied to unit vectors, their matrix is known."""
    size, small = (6, 5), (4, 3)
    unit = np.eye(30).reshape(30, *size)
    columns = np.stack([ORACLES[block](x, small).ravel() for x in unit], 1)
    gy = np.random.default_rng(1).normal(size=small)
    x = torch.zeros(1, 1, *size, dtype=torch.float64, requires_grad=True)
    block(output_size=small)(x).backward(torch.from_numpy(gy)[None, None])
    np.testing.assert_allclose(x.grad.numpy().ravel(), columns.T @ gy.ravel(), atol=1e-14)


@pytest.mark.parametrize("block", BLOCKS)
def test_a_constant_stays_one_at_every_size(block):
    """A cut from H/4 to 3H/4 of the shifted spectrum loses it for 6, 10, 14, 18, ..."""
    for size in range(4, 41):
        y = block()(torch.full((1, 1, size, size + 1), 3.0, dtype=torch.float64))
        assert y.shape == (1, 1, size // 2, (size + 1) // 2)
        torch.testing.assert_close(y, torch.full_like(y, 3.0), rtol=0, atol=1e-13)


@pytest.mark.parametrize("size", [7, 8, 14, 9])
def test_flc_shows_slow_waves_and_no_fast_ones(size):
    m = np.arange(size)
    small = size // 2
    for k in range(size // 2):
        wave = np.cos(2 * np.pi * k * m / size + 0.3)[None] * np.ones((size, 1))
        got = apply(FLCPool2d(), wave)
        slow = np.cos(2 * np.pi * k * np.arange(small) / small + 0.3) * (k < small / 2)
        if 2 * k != small:
            np.testing.assert_allclose(got, np.tile(slow, (small, 1)), atol=1e-13)


@pytest.mark.parametrize("size", [8, 12])
def test_flc_follows_shifts_by_whole_strides(size):
    x = torch.randn(1, 2, size, size, dtype=torch.float64)
    shifted = FLCPool2d()(x.roll((2, -4), (2, 3)))
    torch.testing.assert_close(shifted, FLCPool2d()(x).roll((1, -2), (2, 3)))


def test_hartley_of_odd_sizes_is_fourier():
    x = torch.randn(1, 1, 10, 7, dtype=torch.float64)
    torch.testing.assert_close(
        HartleyPool2d(output_size=(5, 3))(x), SpectralPool2d(output_size=(5, 3))(x)
    )
    other = SpectralPool2d(output_size=(4, 3))(x)
    assert (HartleyPool2d(output_size=(4, 3))(x) - other).abs().max() > 0.01


def test_sizes_follow_stride_and_rounding():
    x = torch.randn(2, 3, 9, 7)
    assert SpectralPool2d()(x).shape == (2, 3, 4, 3)
    assert SpectralPool2d(ceil_mode=True)(x).shape == (2, 3, 5, 4)
    assert SpectralPool2d((1.5, 1))(x).shape == (2, 3, 6, 7)
    assert SpectralPool2d(output_size=3)(x).shape == (2, 3, 3, 3)
    assert SpectralPool2d(20)(x).shape == (2, 3, 1, 1)
    torch.testing.assert_close(SpectralPool2d(20)(x), x.mean((2, 3), keepdim=True))
    torch.testing.assert_close(SpectralPool2d(1)(x), x)


def test_shown_as_built():
    assert repr(FLCPool2d(ceil_mode=True)) == "FLCPool2d(stride=(2, 2), ceil_mode=True)"
    assert repr(SpectralPool2d(1.5)) == "SpectralPool2d(stride=(1.5, 1.5))"
    assert repr(SpectralPool2d(output_size=3)) == "SpectralPool2d(output_size=(3, 3))"


def test_matrices_are_kept_only_when_they_are_plain():
    """One that was made in a mode of its own would break every later call."""
    fourier._kept.cache_clear()
    layer, x = ASAPPool2d(), torch.randn(1, 1, 10, 6)
    with FakeTensorMode(allow_non_fake_inputs=True):
        layer(torch.empty(1, 1, 10, 6))
    torch.func.vmap(layer)(x[None])
    torch.func.grad(lambda x: layer(x).sum())(x)
    assert fourier._kept.cache_info().currsize == 0
    with torch.inference_mode():
        layer(x)
    assert fourier._kept.cache_info().currsize == 2
    layer(x.requires_grad_()).sum().backward()
    assert fourier._kept.cache_info().hits == 2
    assert not layer.state_dict()


def test_compiles_without_breaks():
    layer, x = SpectralPool2d(), torch.randn(1, 2, 8, 6)
    compiled = torch.compile(layer, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), layer(x))


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"stride": 0.5}, "expected stride to be a finite number >= 1, got 0.5."),
        ({"stride": (2, 2, 2)}, "expected stride to be a number or a pair of them, got (2, 2, 2)."),
        ({"stride": True}, "expected stride to be a finite number >= 1, got True."),
        (
            {"stride": 3, "output_size": 4},
            "expected output_size to be None where stride or ceil_mode is given, got 4.",
        ),
        (
            {"output_size": 0},
            "expected output_size to be an int > 0 or a tuple of 2 such, got 0. "
            "Write output_size=2 or output_size=(2, 2).",
        ),
    ],
)
def test_arguments_outside_their_domain(given, text):
    with pytest.raises(ArgumentError) as caught:
        SpectralPool2d(**given)
    assert str(caught.value) == f"SpectralPool2d: {text}"


@pytest.mark.parametrize(
    ("x", "error", "text"),
    [
        (
            torch.zeros(8, 8),
            ShapeError,
            "expected the input to have the axes (N, C, H, W) or (C, H, W), got (8, 8).",
        ),
        (
            torch.zeros(1, 1, 0, 4),
            ShapeError,
            "expected the input to have pixels, got (1, 1, 0, 4).",
        ),
        (
            torch.zeros(1, 1, 4, 4, dtype=torch.int64),
            DtypeError,
            "expected the input to hold floating-point numbers, got torch.int64. Use x.float().",
        ),
        (
            torch.zeros(1, 1, 4, 4),
            ShapeError,
            "expected the input to have at least the sizes (5, 5), got 4. "
            "Frequencies are left out, never added: ask for a smaller output_size.",
        ),
    ],
)
def test_inputs_that_do_not_fit(x, error, text):
    with pytest.raises(error) as caught:
        SpectralPool2d(output_size=5)(x)
    assert str(caught.value) == f"SpectralPool2d: {text}"
