"""Images and volumes without any network: axes, whole numbers, blocks of dask."""

import re

import numpy as np
import pytest
import scipy.ndimage
import torch

import flexpool
from flexpool.errors import ArgumentError, DtypeError, ShapeError

pytestmark = pytest.mark.usefixtures("eager")  # what is tested lies above the backends

RNG = np.random.default_rng(0)
WHOLE = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"]


def whole(shape, dtype):
    info = np.iinfo(dtype)
    return RNG.integers(max(info.min, -(2**53)), min(info.max, 2**53), shape, dtype, endpoint=True)


@pytest.mark.parametrize("axes", [(0, 1), (1, 0), (-3, -2), [0, 1]])
def test_an_image_with_colours_last(axes):
    image = RNG.normal(size=(6, 9, 3))
    y = flexpool.pool(image, "max", (2, 3), axes=axes)
    if axes[0] == 1:
        assert y.shape == (2, 4, 3)
        want = flexpool.max_pool(image.transpose(2, 1, 0), (2, 3)).transpose(2, 1, 0)
    else:
        want = image.reshape(3, 2, 3, 3, 3).max(axis=(1, 3))
    np.testing.assert_array_equal(y, want)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_one_to_four_axes_alone_and_among_others(n):
    sizes = (4, 2, 6, 4)[:n]
    x = RNG.normal(size=sizes)
    blocks = x.reshape([part for size in sizes for part in (size // 2, 2)])
    want = blocks.mean(axis=tuple(range(1, 2 * n, 2)))
    alone = flexpool.pool(x, "avg", 2, axes=tuple(range(n)), backend="eager")
    np.testing.assert_allclose(alone, want, rtol=1e-12)
    for rest in ((3,), (2, 3), (2, 1, 3), (2, 0)):
        among = np.broadcast_to(x.reshape(*(1,) * len(rest), *sizes), (*rest, *sizes))
        y = flexpool.pool(among, "avg", 2, axes=tuple(range(-n, 0)), backend="eager")
        np.testing.assert_allclose(y, np.broadcast_to(want, (*rest, *want.shape)), rtol=1e-12)


def test_all_functions_take_axes():
    x = RNG.normal(size=(4, 6, 3))
    turned = x.transpose(2, 0, 1)
    y = flexpool.lp_pool(x, 2, p=np.array([1.0, 2.0, 3.0]), axes=(0, 1))
    want = flexpool.lp_pool(turned, (2, 2), p=np.array([1.0, 2.0, 3.0]))
    np.testing.assert_array_equal(y, want.transpose(1, 2, 0))
    np.testing.assert_array_equal(flexpool.global_pool(x, "max", axes=1), x.max(1, keepdims=True))
    np.testing.assert_array_equal(
        flexpool.adaptive_pool(x, "max", 2, axes=(0, 1)),
        flexpool.adaptive_pool(turned, "max", (2, 2)).transpose(1, 2, 0),
    )
    y, indices = flexpool.max_pool(x, 2, axes=(0, 1), return_indices=True)
    np.testing.assert_array_equal(x.reshape(24, 3)[indices[..., 0].ravel(), 0], y[..., 0].ravel())
    grad = RNG.normal(size=(2, 3, 3))
    logits = RNG.normal(size=x.shape)
    found = flexpool.pool_backward(
        grad, x, "lip", 2, axes=(0, 1), wanted=("x", "logits"), logits=logits
    )
    want = flexpool.pool_backward(
        grad.transpose(2, 0, 1),
        turned,
        "lip",
        (2, 2),
        wanted=("x", "logits"),
        logits=logits.transpose(2, 0, 1),
    )
    for name, gradient in found.items():
        np.testing.assert_allclose(gradient, want[name].transpose(1, 2, 0), rtol=1e-12)


def test_tensors_take_axes():
    x = torch.randn(4, 6, 3, requires_grad=True)
    y = flexpool.soft_pool(x, 2, axes=(0, 1))
    want = flexpool.soft_pool(x.permute(2, 0, 1), (2, 2)).permute(1, 2, 0)
    assert torch.equal(y, want)
    y.sum().backward()
    assert x.grad.shape == x.shape


@pytest.mark.parametrize("dtype", [*WHOLE, "bool"])
def test_whole_numbers_that_are_selected_stay_what_they_are(dtype):
    x = RNG.random((6, 8)) < 0.5 if dtype == "bool" else whole((6, 8), dtype)
    blocks = x.reshape(3, 2, 4, 2).transpose(0, 2, 1, 3).reshape(3, 4, 4)
    for name, want in (
        ("max", blocks.max(-1)),
        ("min", blocks.min(-1)),
        ("median", np.sort(blocks, axis=-1)[..., 1]),
    ):
        y = flexpool.pool(x, name, 2, axes=(0, 1))
        assert y.dtype == dtype
        np.testing.assert_array_equal(y, want)


@pytest.mark.parametrize("dtype", [*WHOLE, "bool"])
def test_other_operators_give_float64_as_numpys_mean(dtype):
    x = RNG.random((6, 8)) < 0.5 if dtype == "bool" else whole((6, 8), dtype)
    y = flexpool.pool(x, "avg", 2, axes=(0, 1))
    assert y.dtype == np.float64
    np.testing.assert_allclose(y, x.reshape(3, 2, 4, 2).mean(axis=(1, 3)), rtol=1e-14)


def test_a_window_without_elements_among_whole_numbers():
    x = np.ones((1, 1), np.int16)
    window = {"kernel_size": 2, "stride": 1, "padding": 1, "dilation": 2, "axes": (0, 1)}
    assert flexpool.pool(x, "max", **window).tolist() == [[-(2**15)]]
    assert flexpool.pool(x, "min", **window).tolist() == [[2**15 - 1]]


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(20, 30), (8, 10, 12)])
def test_scipys_filters_are_these_windows_with_stride_one(dtype, shape):
    x = (RNG.random(shape) * 200).astype(dtype)
    axes = tuple(range(x.ndim))
    inner = (slice(1, -1),) * x.ndim  # where no window reaches over the edge
    for name, theirs in (
        ("max", scipy.ndimage.maximum_filter(x, 3)),
        ("min", scipy.ndimage.minimum_filter(x, 3)),
        ("avg", scipy.ndimage.uniform_filter(x.astype("f8"), 3)),
    ):
        y = flexpool.pool(x, name, 3, 1, axes=axes, backend="eager")
        tolerance = {"float32": 1e-5, "float64": 1e-12}.get(dtype, 0 if name != "avg" else 1e-12)
        np.testing.assert_allclose(y, theirs[inner], rtol=tolerance)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(20, 30), (8, 10, 12)])
def test_scikit_images_block_reduce_is_these_windows_side_by_side(dtype, shape):
    measure = pytest.importorskip("skimage.measure")
    x = (RNG.random(shape) * 200).astype(dtype)
    axes = tuple(range(x.ndim))
    for name, function in (("max", np.max), ("min", np.min), ("avg", np.mean), ("sum", np.sum)):
        y = flexpool.pool(x, name, 2, axes=axes, backend="eager")
        want = measure.block_reduce(x, 2, function)
        assert y.dtype == want.dtype or name in ("avg", "sum")
        np.testing.assert_allclose(y, want, rtol=1e-5 if dtype == "float32" else 1e-13)


WINDOWS = [
    {"kernel_size": 2},
    {"kernel_size": 3, "stride": 2, "padding": 1},
    {"kernel_size": 3, "stride": 1, "padding": "same"},
    {"kernel_size": 2, "stride": 3, "ceil_mode": True},
    {"kernel_size": (3, 2), "stride": (2, 3), "padding": (1, 0), "ceil_mode": True},
    {"kernel_size": 2, "stride": 1, "dilation": 3, "padding": 1},
]


@pytest.mark.parametrize("window", WINDOWS, ids=range(len(WINDOWS)))
@pytest.mark.parametrize("chunks", [(5, 4, 2), (1, 100, 3), ((3, 1, 1, 8), (7, 2, 4), 1)])
@pytest.mark.parametrize("name", ["max", "avg", "blur"])
def test_blocks_of_dask_give_what_the_whole_gives(name, chunks, window):
    array = pytest.importorskip("dask.array")
    x = RNG.normal(size=(13, 13, 3))
    blocks = array.from_array(x, chunks=chunks)
    y = flexpool.pool(blocks, name, **window, axes=(0, 1), backend="eager")
    want = flexpool.pool(x, name, **window, axes=(0, 1), backend="eager")
    assert isinstance(y, array.Array)
    assert (y.shape, y.dtype) == (want.shape, want.dtype)
    np.testing.assert_allclose(y.compute(scheduler="sync"), want, rtol=1e-13)


def test_dask_computes_nothing_before_it_is_asked_and_reads_little():
    array = pytest.importorskip("dask.array")
    read = []

    def block(index):
        read.append(index)
        return np.full((10, 10), index[0] * 4 + index[1], np.uint8)

    x = array.map_blocks(
        lambda block_info=None: block(block_info[None]["chunk-location"]),
        chunks=((10,) * 4, (10,) * 4),
        dtype=np.uint8,
        meta=np.empty((0, 0), np.uint8),
    )
    y = flexpool.max_pool(x, 2, axes=(0, 1))
    assert (read, y.shape, y.dtype, y.chunks) == ([], (20, 20), np.uint8, ((5,) * 4, (5,) * 4))
    assert y[:5, 5:10].compute(scheduler="sync").max() == 1
    assert read == [(0, 1)]


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (
            lambda x: flexpool.pool(x, "max", 2, axes=(0, 0)),
            ArgumentError,
            "pool: expected axes to name different axes of x, ints from -2 to 1, got (0, 0).",
        ),
        (
            lambda x: flexpool.max_pool(x, 2, axes=(0, 2)),
            ArgumentError,
            "max_pool: expected axes to name different axes of x, ints from -2 to 1, got (0, 2).",
        ),
        (
            lambda x: flexpool.pool(x, "max", 2, axes=(0, 1), dimensions=1),
            ArgumentError,
            "pool: expected dimensions to be left out or 2, the number of axes, got 1.",
        ),
        (
            lambda x: flexpool.pool(x * 1j, "max", 2, axes=(0, 1)),
            DtypeError,
            "pool: expected x to hold real numbers, got complex128. "
            "Convert it: x.astype(np.float32).",
        ),
        (
            lambda x: flexpool.pool(x.astype(int) + 2**60, "max", 2, axes=(0, 1)),
            DtypeError,
            "pool: expected x to hold whole numbers of at most 2**53, got 1152921504606846977.",
        ),
        (
            lambda x: flexpool.pool_backward(x, x.astype(int), "max", 1, axes=(0, 1)),
            DtypeError,
            "pool_backward: expected x to be floating point, got int64. "
            "Convert it: x.astype(np.float32).",
        ),
        (
            lambda x: flexpool.pool(x, "lip", 2, axes=(0, 1), logits=x[0]),
            ShapeError,
            "pool: expected the array to have 2 axes as x, got (4,).",
        ),
    ],
)
def test_errors(call, error, text):
    with pytest.raises(error, match=f"^{re.escape(text)}$"):
        call(np.ones((4, 4)))


def test_errors_of_blocks():
    array = pytest.importorskip("dask.array")
    x = array.ones((4, 4), chunks=2)
    for call, text in (
        (lambda: flexpool.global_pool(x, "max", axes=(0, 1)), "where windows depend on its size"),
        (lambda: flexpool.stochastic_pool(x, 2, axes=(0, 1)), "where random numbers count"),
        (lambda: flexpool.pool(x, "max", 2, axes=(0, 1), p=2), "takes no argument 'p'"),
        (lambda: flexpool.pool(x, "lp", 2, axes=(0, 1), p=np.ones(1)), "to be a number where x"),
        (lambda: flexpool.pool(x, "max", 9, axes=(0, 1)), "at least 9 elements"),
    ):
        with pytest.raises((ArgumentError, DtypeError, ShapeError), match=re.escape(text)):
            call()
