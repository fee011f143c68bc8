"""Every small window against torch: sizes, kernels, strides, paddings, dilations, ceil mode."""

import itertools

import pytest
import torch
import torch.nn.functional as F

import flexpool
from flexpool.errors import FlexpoolError
from turns import but_for

LARGEST = 6
ALL = list(itertools.product(("eager", "numba"), (1, 2, 3, 4), (1, 2, 3)))
QUICK = [case for case in ALL if case[0] == "eager" or case[1:] in ((2, 3), (3, 1))]


def windows(kernel_size, stride, dilations):
    """Yield all inputs' sizes and the rest of a window, those that torch refuses too."""
    paddings = range(kernel_size // 2 + 1)
    return itertools.product(range(1, LARGEST + 1), paddings, dilations, (False, True)), (
        kernel_size,
        stride,
    )


def outcome(function):
    try:
        return function()
    except (RuntimeError, FlexpoolError):
        return None


def same(ours, theirs):
    if theirs is None or ours is None:
        return ours is theirs
    return torch.equal(ours, theirs) if ours.shape == theirs.shape else False


def gradient(function, x):
    x = x.clone().requires_grad_()
    y = function(x)
    (y * torch.arange(1.0, y.numel() + 1).view_as(y)).sum().backward()
    return x.grad


@pytest.mark.parametrize(("backend", "kernel_size", "stride"), but_for(QUICK, ALL))
def test_max_and_its_gradient(kernel_size, stride, backend):
    wrong, seen = [], 0
    cases, _ = windows(kernel_size, stride, (1, 2))
    for size, padding, dilation, ceil_mode in cases:
        # Few different values, so that there are ties.
        x = torch.tensor([[[2.0, 1.0, 2.0, 2.0, 0.0, 3.0][:size], [-1.0] * size]])
        window = (kernel_size, stride, padding, dilation, ceil_mode)

        def ours(z, window=window):
            return flexpool.max_pool(z, *window, backend=backend)

        def theirs(z, window=window):
            return F.max_pool1d(z, *window)

        expected = outcome(lambda: theirs(x))  # noqa: B023 - called at once
        if not same(outcome(lambda: ours(x)), expected):  # noqa: B023
            wrong.append((size, *window))
        elif expected is not None and torch.isfinite(expected).all():
            seen += 1
            if not torch.equal(gradient(ours, x), gradient(theirs, x)):
                wrong.append(("gradient", size, *window))
    assert wrong == []
    assert seen > 5


@pytest.mark.parametrize(("backend", "kernel_size", "stride"), but_for(QUICK, ALL))
@pytest.mark.parametrize("counted", [True, False])
def test_avg(kernel_size, stride, counted, backend):
    wrong = []
    cases, _ = windows(kernel_size, stride, (1,))
    for size, padding, _, ceil_mode in cases:
        x = torch.tensor([[[2.0, 1.0, -2.0, 2.5, 0.0, 3.0][:size]]], dtype=torch.float64)
        window = (kernel_size, stride, padding)
        settings = {"ceil_mode": ceil_mode, "count_include_pad": counted}
        expected = outcome(lambda: F.avg_pool1d(x, *window, **settings))  # noqa: B023
        found = outcome(
            lambda: flexpool.avg_pool(x, *window, **settings, backend=backend)  # noqa: B023
        )
        if found is None or expected is None:
            agree = found is expected
        else:
            agree = torch.allclose(found, expected, rtol=1e-14, atol=1e-14)
        if not agree:
            wrong.append((size, *window, ceil_mode))
    assert wrong == []
