"""The blocks that turn pixels into channels, and ADown, pixel by pixel."""

import numpy as np
import pytest
import torch

from flexpool.errors import ArgumentError, ShapeError
from flexpool.nn import ADown2d, PatchMerging2d, SpaceToDepth2d, SPDConv2d


def by_hand(x, stride, order):
    n, channels, height, width = x.shape
    down, across = stride
    y = np.full((n, channels * down * across, height // down, width // across), np.nan)
    for c in range(channels):
        for i in range(down):
            for j in range(across):
                at = {
                    "channels": (c * down + i) * across + j,
                    "positions": (i * across + j) * channels + c,
                    "columns": (j * down + i) * channels + c,
                }[order]
                for u in range(y.shape[2]):
                    for v in range(y.shape[3]):
                        y[:, at, u, v] = x[:, c, u * down + i, v * across + j]
    return y


def zeros_added(x, stride):
    more = [-size % s for size, s in zip(x.shape[2:], stride, strict=True)]
    return np.pad(x, ((0, 0), (0, 0), (0, more[0]), (0, more[1])))


@pytest.mark.parametrize("order", ["channels", "positions"])
@pytest.mark.parametrize("stride", [(2, 2), (3, 2), (1, 4)])
@pytest.mark.parametrize("ceil_mode", [False, True])
def test_every_pixel_has_its_channel(order, stride, ceil_mode):
    x = np.random.default_rng(0).normal(size=(2, 3, 7, 9))
    got = SpaceToDepth2d(stride, order=order, ceil_mode=ceil_mode)(torch.from_numpy(x))
    whole = zeros_added(x, stride) if ceil_mode else x
    np.testing.assert_array_equal(got.numpy(), by_hand(whole, stride, order))


def test_torch_says_the_same_and_undoes_it():
    x = torch.arange(2 * 3 * 6 * 9).view(2, 3, 6, 9)
    y = SpaceToDepth2d(3)(x)
    assert torch.equal(y, torch.nn.functional.pixel_unshuffle(x, 3))
    assert torch.equal(torch.nn.functional.pixel_shuffle(y, 3), x)
    assert y.dtype == torch.int64


def test_spd_convolves_what_was_rearranged():
    torch.manual_seed(0)
    block = SPDConv2d(2, 3).double()
    x = np.random.default_rng(0).normal(size=(2, 2, 6, 8))
    deep = np.pad(by_hand(x, (2, 2), "channels"), ((0, 0), (0, 0), (1, 1), (1, 1)))
    w, b = block.conv.weight.detach().numpy(), block.conv.bias.detach().numpy()
    wanted = sum(
        np.einsum("oc,nchw->nohw", w[..., i, j], deep[:, :, i : i + 3, j : j + 4])
        for i in range(3)
        for j in range(3)
    )
    got = block(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(got, wanted + b[:, None, None], atol=1e-13)


def test_spd_of_any_kernel_keeps_the_size():
    for size in (1, 3, 5):
        assert SPDConv2d(2, 5, size, (2, 3), bias=False)(torch.zeros(1, 2, 8, 9)).shape == (
            *(1, 5, 4, 3),
        )


@pytest.mark.parametrize("ceil_mode", [False, True])
def test_merging_normalises_and_mixes(ceil_mode):
    torch.manual_seed(0)
    block = PatchMerging2d(2, 3, ceil_mode=ceil_mode).double()
    with torch.no_grad():
        block.norm.weight.uniform_()
        block.norm.bias.uniform_()
    x = np.random.default_rng(0).normal(size=(2, 2, 5, 6))
    deep = by_hand(zeros_added(x, (2, 2)) if ceil_mode else x, (2, 2), "columns")
    centred = deep - deep.mean(1, keepdims=True)
    normal = centred / np.sqrt((centred**2).mean(1, keepdims=True) + 1e-5)
    scale, bias = block.norm.weight.detach().numpy(), block.norm.bias.detach().numpy()
    normal = normal * scale[:, None, None] + bias[:, None, None]
    wanted = np.einsum("oc,nchw->nohw", block.reduction.weight.detach().numpy(), normal)
    got = block(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(got, wanted, atol=1e-13)


def test_merging_doubles_channels_and_has_the_names_of_its_authors():
    block = PatchMerging2d(4)
    assert block(torch.zeros(1, 4, 4, 4)).shape == (1, 8, 2, 2)
    assert list(block.state_dict()) == ["norm.weight", "norm.bias", "reduction.weight"]


@pytest.mark.parametrize("size", [(2, 3), (7, 8), (28, 5)])
def test_adown_is_its_parts(size):
    torch.manual_seed(0)
    block = ADown2d(4, 6).double().eval()
    x = np.random.default_rng(0).normal(size=(2, 4, *size))
    small = (x[..., 1:, 1:] + x[..., 1:, :-1] + x[..., :-1, 1:] + x[..., :-1, :-1]) / 4
    frame = ((0, 0), (0, 0), (1, 2), (1, 2))
    zeros = np.pad(small[:, :2], frame)
    absent = np.pad(small[:, 2:], frame, constant_values=-np.inf)
    rows, columns = size[0] // 2, size[1] // 2
    taken = [
        (slice(i, i + 2 * rows - 1, 2), slice(j, j + 2 * columns - 1, 2))
        for i in range(3)
        for j in range(3)
    ]
    w = block.strided[0].weight.detach().numpy().reshape(3, 2, 9)
    first = sum(
        np.einsum("oc,nchw->nohw", w[..., k], zeros[:, :, i, j]) for k, (i, j) in enumerate(taken)
    )
    largest = np.max([absent[:, :, i, j] for i, j in taken], axis=0)
    second = np.einsum("oc,nchw->nohw", block.mixed[0].weight.detach().numpy()[..., 0, 0], largest)
    z = np.concatenate([first, second], 1) / np.sqrt(1 + 1e-5)
    got = block(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(got, z / (1 + np.exp(-z)), atol=1e-13)


@pytest.mark.parametrize(
    ("build", "error", "text"),
    [
        (
            lambda: SpaceToDepth2d(2, order="nhwc"),
            ArgumentError,
            "SpaceToDepth2d: expected order to be one of channels, positions, got 'nhwc'.",
        ),
        (
            lambda: SpaceToDepth2d(3)(torch.zeros(1, 1, 2, 4)),
            ShapeError,
            "SpaceToDepth2d: expected the input to have at least 3 x 3 pixels, got (1, 1, 2, 4). "
            "Use ceil_mode=True for smaller ones.",
        ),
        (lambda: SPDConv2d(0), ArgumentError, "SPDConv2d: expected channels to be an int > 0"),
        (
            lambda: SPDConv2d(2, kernel_size=4),
            ArgumentError,
            "SPDConv2d: expected kernel_size to be odd, got 4.",
        ),
        (
            lambda: PatchMerging2d(2)(torch.zeros(1, 3, 4, 4)),
            ShapeError,
            "PatchMerging2d: expected the input to have 2 channels, got (1, 3, 4, 4). "
            "Make the module with channels=3.",
        ),
        (lambda: ADown2d(3), ArgumentError, "ADown2d: expected channels to be even, got 3."),
        (
            lambda: ADown2d(2)(torch.zeros(1, 2, 1, 4)),
            ShapeError,
            "ADown2d: expected the input to have at least 2 x 2 pixels, got (1, 2, 1, 4).",
        ),
    ],
)
def test_what_does_not_fit(build, error, text):
    with pytest.raises(error) as caught:
        build()
    assert str(caught.value).startswith(text)
