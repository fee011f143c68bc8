"""corr2d and conv2d for arrays and tensors: definition, equal results, gradients, refusals."""

import itertools

import numpy as np
import pytest
import torch
from torch.nn import functional

import flexpool
from flexpool.errors import ArgumentError, DtypeError, ShapeError

DRAW = np.random.default_rng(0)

WINDOWS = [
    {},
    {"stride": 2},
    {"padding": 1, "dilation": (2, 1)},
    {"stride": (1, 3), "padding": ((0, 2), (1, 0))},
    {"padding": "same"},
]


def by_definition(x, kernel, turned, stride=1, padding=0, dilation=1):
    """The sum of the docstring, number by number, for one plane; what is outside counts as 0."""
    (sh, sw), (dh, dw) = (v if isinstance(v, tuple) else (v, v) for v in (stride, dilation))
    (kh, kw), (h, w) = kernel.shape, x.shape
    if padding == "same":
        before = [(k - 1) // 2 for k in (kh, kw)]
        padding = tuple((b, k - 1 - b) for b, k in zip(before, (kh, kw), strict=True))
    if isinstance(padding, int):
        padding = ((padding, padding), (padding, padding))
    (top, bottom), (left, right) = padding
    rows = (h + top + bottom - dh * (kh - 1) - 1) // sh + 1
    columns = (w + left + right - dw * (kw - 1) - 1) // sw + 1
    y = np.zeros((rows, columns), np.result_type(x, kernel))
    for i, j, u, v in itertools.product(*map(range, (rows, columns, kh, kw))):
        a, b = (kh - 1 - u, kw - 1 - v) if turned else (u, v)
        row, column = sh * i + dh * a - top, sw * j + dw * b - left
        if 0 <= row < h and 0 <= column < w:
            y[i, j] += x[row, column] * kernel[u, v]
    return y


@pytest.mark.parametrize("lead", [(), (2, 3), (1, 1)], ids=str)
@pytest.mark.parametrize("window", WINDOWS, ids=str)
@pytest.mark.parametrize("name", ["corr2d", "conv2d"])
def test_arrays_and_tensors_by_definition(name, window, lead):
    function = getattr(flexpool, name)
    x, kernel = DRAW.normal(size=(*lead, 6, 7)), DRAW.normal(size=(3, 2))
    planes = [by_definition(p, kernel, name == "conv2d", **window) for p in x.reshape(-1, 6, 7)]
    wanted = np.stack(planes).reshape(*lead, *planes[0].shape)
    np.testing.assert_allclose(function(x, kernel, **window), wanted, atol=1e-12)
    tensor = function(torch.from_numpy(x), torch.from_numpy(kernel), **window)
    np.testing.assert_allclose(tensor, wanted, atol=1e-12)


@pytest.mark.parametrize("lead", [(), (4,)])
def test_gradients_reach_image_and_kernel(lead):
    x = torch.rand(*lead, 5, 6, dtype=torch.float64, requires_grad=True)
    kernel = torch.rand(2, 3, dtype=torch.float64, requires_grad=True)
    for function in (flexpool.corr2d, flexpool.conv2d):
        assert torch.autograd.gradcheck(lambda x, k, f=function: f(x, k, 2, 1), (x, kernel))
        assert torch.autograd.gradgradcheck(lambda x, k, f=function: f(x, k), (x, kernel))


def test_a_convolutional_layer_correlates():
    x, kernel = torch.rand(2, 3, 5, 5), torch.rand(3, 3)
    wanted = torch.stack([functional.conv2d(plane[:, None], kernel[None, None]) for plane in x])
    torch.testing.assert_close(flexpool.corr2d(x, kernel), wanted[:, :, 0])
    torch.testing.assert_close(flexpool.conv2d(x, kernel.flip(0, 1)), wanted[:, :, 0])


@pytest.mark.parametrize(
    ("one", "other", "result"),
    [
        *(("int64", "int64", "int64"), ("int32", "float32", "float32")),
        *(("float32", "float64", "float64"), ("float16", "float16", "float16")),
        ("complex64", "float32", "complex64"),
    ],
)
def test_numbers_of_every_type(one, other, result):
    x, kernel = np.arange(12).reshape(3, 4), np.array([[1, -2], [3, 1]])
    wanted = by_definition(x, kernel, False)
    for shape in ((3, 4), (1, 3, 4), (2, 3, 4)):
        planes = torch.from_numpy(np.broadcast_to(x, shape).copy()).to(getattr(torch, one))
        y = flexpool.corr2d(planes, torch.from_numpy(kernel).to(getattr(torch, other)))
        assert y.dtype == getattr(torch, result)
        assert torch.equal(
            y.to(torch.complex64).real.double(),
            torch.from_numpy(np.broadcast_to(wanted, y.shape).astype(float)),
        )


def test_nothing_is_written_to_the_arguments():
    x, kernel = torch.rand(4, 4), torch.rand(1, 1)
    before = x.clone(), kernel.clone()
    flexpool.corr2d(x, kernel)
    flexpool.conv2d(x, kernel)
    assert torch.equal(x, before[0])
    assert torch.equal(kernel, before[1])


def test_no_planes_and_no_room():
    assert flexpool.corr2d(torch.zeros(0, 5, 5), torch.ones(2, 2)).shape == (0, 4, 4)
    for kind in (torch.zeros, np.zeros):
        with pytest.raises(ShapeError, match="^corr2d: "):
            flexpool.corr2d(kind((2, 2)), kind((3, 3)))


TENSOR, ARRAY = torch.zeros(3, 3), np.zeros((3, 3))


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        (
            (TENSOR, ARRAY),
            DtypeError,
            "corr2d: expected x and kernel to be both arrays or both tensors, "
            "got ['Tensor', 'ndarray'].",
        ),
        (
            (TENSOR, [[1]]),
            DtypeError,
            "corr2d: expected kernel to be a NumPy array or a tensor, got [[1]].",
        ),
        (
            (TENSOR[0], TENSOR),
            ShapeError,
            "corr2d: expected x to have the shape (..., H, W), got (3,).",
        ),
        (
            (TENSOR, TENSOR[0]),
            ShapeError,
            "corr2d: expected kernel to have the shape (KH, KW), got (3,).",
        ),
        (
            (TENSOR, TENSOR[:, :0]),
            ArgumentError,
            "corr2d: expected kernel to have at least one element, got (3, 0).",
        ),
        (
            (TENSOR, TENSOR.to("meta")),
            ArgumentError,
            "corr2d: expected kernel to be on x's device, cpu, got 'meta'.",
        ),
        (
            (TENSOR.bool(), TENSOR),
            DtypeError,
            "corr2d: expected x to hold numbers, got torch.bool. "
            "Convert it, for example by .float().",
        ),
        (
            (TENSOR, TENSOR, 0),
            ArgumentError,
            "corr2d: expected stride to be an int > 0 or a tuple of 2 such, got 0. "
            "Write stride=2 or stride=(2, 2).",
        ),
    ],
)
def test_refusals(arguments, error, text):
    with pytest.raises(error) as caught:
        flexpool.corr2d(*arguments)
    assert str(caught.value) == text
    with pytest.raises(error) as caught:
        flexpool.conv2d(*arguments)
    assert str(caught.value) == text.replace("corr2d", "conv2d")
