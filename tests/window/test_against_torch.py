"""Every window of size, kernel, stride, padding, dilation up to 7, both ceil modes, against torch.

The input holds one channel per element, 1 at that element and 0 elsewhere. So max pooling says of
every window and every element whether the one covers the other, and is -inf in an empty window.
"""

from itertools import product

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from flexpool.errors import ArgumentError, ShapeError
from flexpool.window import divisors, element_counts, window
from window.reference import covered

UP_TO_7 = range(1, 8)
sampled = settings(max_examples=200, deadline=None, derandomize=True)

MAX_POOLS = {
    "max_pool1d": lambda x, k, s, p, d, c: F.max_pool1d(x, k, s, p, d, c),
    "max_pool2d": lambda x, k, s, p, d, c: F.max_pool2d(
        x[:, :, None], (1, k), (1, s), (0, p), (1, d), c
    )[:, :, 0],
    "max_pool3d": lambda x, k, s, p, d, c: F.max_pool3d(
        x[:, :, None, None], (1, 1, k), (1, 1, s), (0, 0, p), (1, 1, d), c
    )[:, :, 0, 0],
}


def arguments(dilations=UP_TO_7):
    """All kernels, strides, dilations and ceil modes, each with the paddings around its limits."""
    for kernel, stride, dilation, ceil in product(UP_TO_7, UP_TO_7, dilations, (False, True)):
        half, effective_half = kernel // 2, (dilation * (kernel - 1) + 1) // 2
        for padding in {*range(-1, half + 2), effective_half, effective_half + 1}:
            yield kernel, stride, padding, dilation, ceil


def one_hot(size):
    return torch.eye(size, dtype=torch.float64)[None]


def or_refused(pool, *given_arguments):
    try:
        return pool(*given_arguments)
    except RuntimeError:
        return None


def place_or_refused(size, given_arguments):
    try:
        return window(1, *given_arguments).place((size,))[0]
    except (ArgumentError, ShapeError):
        return None


@pytest.mark.parametrize("size", UP_TO_7)
def test_max_pool_covers_the_same_elements_and_refuses_the_same(size):
    x = one_hot(size)
    pools = {name: pool for name, pool in MAX_POOLS.items() if name != "max_pool3d" or size == 4}
    for case in arguments():
        placement = place_or_refused(size, case)
        table = None if placement is None else covered(placement, size)
        for name, pool in pools.items():
            pooled = or_refused(pool, x, *case)
            assert (pooled is None) == (placement is None), (name, case)
            if placement is not None:
                values = pooled[0].numpy().T
                assert np.array_equal(values == 1, table), (name, case)
                assert np.array_equal(np.isneginf(values).all(1), placement.empty), (name, case)


@pytest.mark.parametrize("size", UP_TO_7)
def test_counts_ends_and_interior_follow_from_the_covered_elements(size):
    for kernel, *others in arguments(dilations=[1, 2, 7]):
        placement = place_or_refused(size, (kernel, *others))
        if placement is not None:
            table = covered(placement, size)
            last = size - table[:, ::-1].argmax(1)
            begin, end = placement.interior
            inside = np.arange(len(table))
            assert placement.count.tolist() == table.sum(1).tolist()
            assert placement.end.tolist() == np.where(table.any(1), last, 0).tolist()
            assert ((begin <= inside) & (inside < end) == (table.sum(1) == kernel)).all()
            assert 0 <= begin <= end <= len(table)


@pytest.mark.parametrize("include_pad", [True, False])
@pytest.mark.parametrize("size", UP_TO_7)
def test_avg_pool_divides_by_the_same_and_refuses_the_same(size, include_pad):
    x = one_hot(size)
    for case in arguments(dilations=[1]):
        kernel, stride, padding, _, ceil = case
        pooled = or_refused(F.avg_pool1d, x, kernel, stride, padding, ceil, include_pad)
        placement = place_or_refused(size, case)
        assert (pooled is None) == (placement is None), case
        if placement is not None:
            by = divisors(window(1, *case), (size,), count_include_pad=include_pad)
            assert by.dtype == np.int64
            assert np.array_equal(pooled[0].numpy().T, covered(placement, size) / by[:, None]), case


@pytest.mark.parametrize("override", [1, 3, -2, 2**40])
def test_divisor_override_replaces_every_divisor(override):
    for case, include_pad in product(arguments(dilations=[1]), (True, False)):
        kernel, stride, padding, _, ceil = case
        geometry = (1, kernel), (1, stride), (0, padding), ceil, include_pad, override
        pooled = or_refused(F.avg_pool2d, one_hot(5)[:, :, None], *geometry)
        placement = place_or_refused(5, case)
        if placement is not None:
            by = divisors(window(1, *case), (5,), include_pad, override)
            assert np.array_equal(pooled[0, :, 0].numpy().T, covered(placement, 5) / by[:, None])


def axes(dimensions, most_dilation):
    """One (size, kernel, stride, padding, dilation) per dimension, padding within its limit."""
    up_to_5 = st.integers(1, 5)
    axis = up_to_5.flatmap(
        lambda kernel: st.tuples(
            st.integers(1, 6),
            st.just(kernel),
            up_to_5,
            st.integers(0, kernel // 2),
            st.integers(1, most_dilation),
        )
    )
    return st.lists(axis, min_size=dimensions, max_size=dimensions)


def pooled_by_hand(x, placements):
    shape = [len(placement.start) for placement in placements]
    y = np.full(shape, -np.inf)
    for output in np.ndindex(*shape):
        elements = [each.elements(i) for each, i in zip(placements, output, strict=True)]
        y[output] = x[np.ix_(*elements)].max(initial=-np.inf)
    return y


@pytest.mark.parametrize(("dimensions", "pool"), [(2, F.max_pool2d), (3, F.max_pool3d)])
def test_max_pool_in_more_dimensions(dimensions, pool):
    @sampled
    @given(axes(dimensions, most_dilation=3), st.booleans(), st.integers(0, 2**32 - 1))
    def check(chosen, ceil, seed):
        sizes, *geometry = map(tuple, zip(*chosen, strict=True))
        x = np.random.default_rng(seed).standard_normal(sizes)
        pooled = or_refused(pool, torch.from_numpy(x)[None, None], *geometry, ceil)
        if pooled is None:
            with pytest.raises(ShapeError):
                window(dimensions, *geometry, ceil).output_shape(sizes)
        else:
            placements = window(dimensions, *geometry, ceil).place(sizes)
            assert np.array_equal(pooled[0, 0].numpy(), pooled_by_hand(x, placements))

    check()


@pytest.mark.parametrize(("dimensions", "pool"), [(2, F.avg_pool2d), (3, F.avg_pool3d)])
def test_avg_pool_in_more_dimensions(dimensions, pool):
    @sampled
    @given(axes(dimensions, most_dilation=1), st.booleans(), st.booleans())
    def check(chosen, ceil, include_pad):
        sizes, kernel, stride, padding, _ = map(tuple, zip(*chosen, strict=True))
        assume(dimensions < 3 or all(n >= k for n, k in zip(sizes, kernel, strict=True)))
        x = torch.ones(1, 1, *sizes, dtype=torch.float64)
        pooled = or_refused(pool, x, kernel, stride, padding, ceil, include_pad)
        average = window(dimensions, kernel, stride, padding, 1, ceil)
        if pooled is None:
            with pytest.raises(ShapeError):
                divisors(average, sizes, include_pad)
        else:
            ones = element_counts(average.place(sizes))
            by = divisors(average, sizes, include_pad)
            assert np.array_equal(pooled[0, 0].numpy(), ones / by)

    check()


def test_only_avg_pool3d_refuses_inputs_smaller_than_the_kernel():
    with pytest.raises(RuntimeError, match="smaller than kernel size"):
        F.avg_pool3d(torch.ones(1, 1, 2, 2, 2), 3, 1, 1)
    assert F.max_pool3d(torch.ones(1, 1, 2, 2, 2), 3, 1, 1).shape[2:] == (2, 2, 2)
    assert F.avg_pool2d(torch.ones(1, 1, 2, 2), 3, 1, 1).shape[2:] == (2, 2)
    assert window(3, 3, 1, 1).output_shape((2, 2, 2)) == (2, 2, 2)


def test_the_known_divisors_of_a_padded_average_in_ceil_mode():
    by = divisors(window(2, kernel_size=3, stride=2, padding=1, ceil_mode=True), (4, 4))
    assert by.tolist() == [[9, 9, 6], [9, 9, 6], [6, 6, 4]]
