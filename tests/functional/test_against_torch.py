"""max and avg are torch's, to the bit or nearly so."""

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import flexpool
from turns import but_for, in_turns

WINDOWS = [(2, 2, 0, 1, False), (3, 2, 1, 1, True), (3, 1, 1, 2, False), (2, 3, 1, 1, True)]
SHAPES = {1: (2, 3, 11), 2: (2, 3, 9, 8), 3: (1, 2, 7, 8, 9)}
MAX = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
AVG = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}


ALL = list(itertools.product(itertools.product(MAX, WINDOWS), ("auto", "eager")))
QUICK = [(at, "auto") for at in [*in_turns(MAX, WINDOWS), (2, WINDOWS[0])]]
QUICK += [case for case in ALL if case[1] == "eager"]


@pytest.mark.parametrize(("at", "backend"), but_for(QUICK, ALL))
@pytest.mark.parametrize("ties", [False, True])
def test_max_is_torchs_to_the_bit(at, ties, backend):
    d, where = at
    x = torch.randn(SHAPES[d])
    x = x.round() if ties else x
    x[0, 0].view(-1)[7] = torch.nan
    ours, theirs = (x.clone().requires_grad_() for _ in range(2))
    y, index = flexpool.max_pool(ours, *where, return_indices=True, backend=backend)
    want, places = MAX[d](theirs, *where, return_indices=True)
    grad = torch.randn(y.shape)
    torch.testing.assert_close(y, want, rtol=0, atol=0, equal_nan=True)
    assert torch.equal(index, places)
    y.backward(grad)
    want.backward(grad)
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-6, atol=1e-6)
    plain = flexpool.max_pool(x, *where, backend=backend)
    torch.testing.assert_close(plain, want, rtol=0, atol=0, equal_nan=True)
    array, indices = flexpool.max_pool(x.numpy(), *where, return_indices=True, backend=backend)
    np.testing.assert_array_equal(array, want.detach())
    np.testing.assert_array_equal(indices, places)


def test_gradients_of_windows_apart_are_torchs_to_the_bit():
    ours, theirs = (torch.randn(2, 3, 8, 8).requires_grad_() for _ in range(2))
    theirs.data.copy_(ours.data)
    grad = torch.randn(2, 3, 4, 4)
    flexpool.max_pool(ours, 2).backward(grad)
    F.max_pool2d(theirs, 2).backward(grad)
    assert torch.equal(ours.grad, theirs.grad)


@pytest.mark.parametrize("where", [(2, 2, 1, 4), (3, 5, 1, 4, True)])
def test_windows_without_elements_have_torchs_indices(where):
    x = torch.randn(1, 2, 3, 3)
    y, index = flexpool.max_pool(x, *where, return_indices=True)
    want, places = F.max_pool2d(x, *where, return_indices=True)
    assert torch.equal(y, want)
    assert torch.equal(index, places)
    assert (y == -torch.inf).any()


def test_indices_of_the_minimum_and_of_adaptive_windows():
    from flexpool.functional import apply_with_indices
    from flexpool.window import adaptive_window, window

    x = torch.randn(2, 3, 7, 5)
    found = flexpool.operators()
    y, index = apply_with_indices(x, found["min"], window(2, 3, 2, 1))
    want, places = F.max_pool2d(-x, 3, 2, 1, return_indices=True)
    assert torch.equal(y, -want)
    assert torch.equal(index, places)
    y, index = apply_with_indices(x, found["max"], adaptive_window(2, (3, 2)))
    want, places = F.adaptive_max_pool2d(x, (3, 2), return_indices=True)
    assert torch.equal(y, want)
    assert torch.equal(index, places)
    assert torch.equal(
        apply_with_indices(x[0], found["max"], window(2, 3))[1],
        apply_with_indices(x, found["max"], window(2, 3))[1][0],
    )


@pytest.mark.parametrize(
    ("d", "include", "backend"),
    but_for(
        [*itertools.product(AVG, (True, False), ("eager",)), (1, True, "auto"), (2, False, "auto")],
        itertools.product(AVG, (True, False), ("eager", "auto")),
    ),
)
def test_avg_is_torchs(d, include, backend):
    x = torch.randn(SHAPES[d], dtype=torch.float64)
    ours, theirs = (x.clone().requires_grad_() for _ in range(2))
    options = {"ceil_mode": True, "count_include_pad": include, "backend": backend}
    y = flexpool.avg_pool(ours, 3, 2, 1, **options)
    want = AVG[d](theirs, 3, 2, 1, True, include)
    torch.testing.assert_close(y, want, rtol=1e-12, atol=1e-12)
    y.sum().backward()
    want.sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32, torch.bool])
def test_integers_are_selected_exactly(dtype):
    top = 2 if dtype == torch.bool else torch.iinfo(dtype).max
    x = torch.randint(0, top, (2, 3, 6, 6)).to(dtype)
    y = flexpool.max_pool(x, 2)
    assert y.dtype == dtype
    assert torch.equal(y.long(), x.long().unfold(2, 2, 2).unfold(3, 2, 2).amax((-1, -2)))
    array = flexpool.max_pool(x.numpy(), 2)
    assert array.dtype == x.numpy().dtype
    np.testing.assert_array_equal(array, y)
