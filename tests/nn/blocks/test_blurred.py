"""Low-pass filters before the stride."""

import numpy as np
import pytest
import torch

from flexpool.errors import ArgumentError, ShapeError
from flexpool.nn import BlurConv2d, MaxBlurPool2d, PaddedBlurPool2d
from nn.blocks import by_hand

X = np.random.default_rng(0).normal(size=(2, 3, 8, 9))
TAPS = {  # rows of Pascal's triangle, typed from the paper
    1: [1],
    2: [1, 1],
    3: [1, 2, 1],
    4: [1, 3, 3, 1],
    5: [1, 4, 6, 4, 1],
    6: [1, 5, 10, 10, 5, 1],
    7: [1, 6, 15, 20, 15, 6, 1],
}


def blur(x, taps, stride, mode):
    row = np.array(TAPS[taps]) / np.sum(TAPS[taps])
    before, after = (taps - 1) // 2, int(np.ceil((taps - 1) / 2))
    wide = by_hand.beyond(x, before, after, mode)
    return by_hand.pool(wide, lambda values: row @ values @ row, taps, stride)


@pytest.mark.parametrize("taps", TAPS)
def test_values_of_all_filters_by_hand(taps):
    y = PaddedBlurPool2d(taps)(torch.from_numpy(X)).numpy()
    np.testing.assert_allclose(y, blur(X, taps, 2, "reflect"), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("mode", ["reflect", "zeros", "replicate", "circular"])
@pytest.mark.parametrize("stride", [1, 3])
def test_values_of_all_paddings_by_hand(mode, stride):
    y = PaddedBlurPool2d(4, stride, mode)(torch.from_numpy(X)).numpy()
    np.testing.assert_allclose(y, blur(X, 4, stride, mode), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("taps", TAPS)
@pytest.mark.parametrize(("size", "result"), [(32, 16), (31, 16)])
def test_sizes_are_the_papers_for_even_filters_too(taps, size, result):
    x = torch.zeros(1, 1, size, size)
    assert PaddedBlurPool2d(taps)(x).shape == (1, 1, result, result)
    assert BlurConv2d(1, 1, 3, padding=1, taps=taps)(x).shape == (1, 1, result, result)


def test_a_constant_stays_a_constant_to_the_border():
    ones = torch.ones(1, 1, 9, 9, dtype=torch.float64)
    for taps in TAPS:
        torch.testing.assert_close(PaddedBlurPool2d(taps)(ones), ones[..., :5, :5])
    assert PaddedBlurPool2d(3, padding_mode="zeros")(ones)[0, 0, 0, 0] == 0.5625


def test_the_filter_follows_type_and_is_no_state():
    pool = PaddedBlurPool2d(3)
    assert not pool.state_dict()
    assert pool(torch.ones(1, 1, 4, 4, dtype=torch.float64)).dtype == torch.float64


@pytest.mark.parametrize(("kernel", "padding"), [(2, 0), (3, 1)])
@pytest.mark.parametrize("taps", [3, 4])
def test_max_blur_by_hand(kernel, padding, taps):
    largest = by_hand.pool(X, np.max, kernel, 1, padding)
    y = MaxBlurPool2d(kernel, 2, padding, taps=taps)(torch.from_numpy(X)).numpy()
    np.testing.assert_allclose(y, blur(largest, taps, 2, "reflect"), rtol=1e-12, atol=1e-15)
    assert y.shape == torch.nn.MaxPool2d(kernel, 2, padding)(torch.from_numpy(X)).shape


def test_blurred_convolution_by_hand_and_with_the_weights_of_a_strided_one():
    torch.manual_seed(0)
    strided = torch.nn.Conv2d(3, 4, 3, stride=2, padding=1, dtype=torch.float64)
    conv = BlurConv2d(3, 4, 3, padding=1, taps=3, activation=torch.nn.ReLU(), dtype=torch.float64)
    conv.load_state_dict(strided.state_dict())
    state = by_hand.arrays(strided)
    filtered = by_hand.convolve(by_hand.beyond(X, 1, 1, "zeros"), state["weight"], state["bias"])
    y = conv(torch.from_numpy(X)).detach().numpy()
    wanted = blur(np.maximum(filtered, 0), 3, 2, "reflect")
    np.testing.assert_allclose(y, wanted, rtol=1e-12, atol=1e-14)
    assert y.shape == strided(torch.from_numpy(X)).shape
    assert repr(conv).startswith("BlurConv2d(\n  3, 4, kernel_size=(3, 3), stride=(1, 1), padding")
    assert "taps=3, blur_stride=2, blur_padding_mode='reflect'" in repr(conv)
    torch.testing.assert_close(conv(torch.from_numpy(X[0])), conv(torch.from_numpy(X))[0])


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (
            lambda: PaddedBlurPool2d(0),
            ArgumentError,
            "PaddedBlurPool2d: expected taps to be an int > 0, got 0.",
        ),
        (
            lambda: PaddedBlurPool2d(padding_mode="same"),
            ArgumentError,
            "PaddedBlurPool2d: expected padding_mode to be 'zeros' or 'reflect' or 'replicate' or "
            "'circular', got 'same'.",
        ),
        (
            lambda: BlurConv2d(1, 1, 3, stride=(2, 2)),
            ArgumentError,
            "BlurConv2d: expected stride to be an int > 0, got (2, 2).",
        ),
        (
            lambda: MaxBlurPool2d()(torch.zeros(1, 1, 3, 3)),
            ShapeError,
            "MaxBlurPool2d: expected the input to have at least 3 rows and columns, got "
            "(1, 1, 2, 2). Use fewer taps, or padding_mode='replicate'.",
        ),
        (
            lambda: BlurConv2d(1, 1, 1)(torch.zeros(1, 1, 2, 2)),
            ShapeError,
            "BlurConv2d: expected the input to have at least 3 rows and columns, got "
            "(1, 1, 2, 2). Use fewer taps, or padding_mode='replicate'.",
        ),
    ],
)
def test_refused(call, error, text):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == text
