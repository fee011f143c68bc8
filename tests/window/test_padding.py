"""Padding that torch's pooling lacks, "same" and asymmetric: as padding first, then pooling."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from flexpool.errors import ShapeError
from flexpool.window import divisors, element_counts, window
from window.reference import covered

sampled = settings(max_examples=400, deadline=None, derandomize=True)
sizes = st.integers(1, 9)
small = st.integers(1, 5)
with_sides = small.flatmap(
    lambda kernel: st.tuples(
        st.just(kernel), st.tuples(st.integers(0, kernel // 2), st.integers(0, kernel // 2))
    )
)


def one_hot(size):
    return torch.eye(size, dtype=torch.float64)[None]


def pad_then_max(size, sides, kernel, stride, dilation, ceil):
    padded = F.pad(one_hot(size), sides, value=-torch.inf)
    return F.max_pool1d(padded, kernel, stride, 0, dilation, ceil)[0].numpy().T


def tensorflow_same(size, kernel, stride):
    """Padding before and after, in the words of tf.nn's "Notes on padding"."""
    along = max(kernel - (stride if size % stride == 0 else size % stride), 0)
    return along // 2, along - along // 2


@sampled
@given(sizes, with_sides, small, small, st.booleans())
def test_asymmetric_padding_is_padding_first(size, kernel_and_sides, stride, dilation, ceil):
    kernel, sides = kernel_and_sides
    asymmetric = window(1, kernel, stride, (sides,), dilation, ceil)
    try:
        values = pad_then_max(size, sides, kernel, stride, dilation, ceil)
    except RuntimeError:
        with pytest.raises(ShapeError):
            asymmetric.output_shape((size,))
        return
    starts_before_the_padding_after = np.arange(len(values)) * stride < size + sides[0]
    values = values[starts_before_the_padding_after]
    (placement,) = asymmetric.place((size,))
    assert asymmetric.output_shape((size,)) == (len(values),)
    assert np.array_equal(values == 1, covered(placement, size))


@sampled
@given(sizes, with_sides, small, small, st.booleans(), st.booleans())
def test_divisors_with_asymmetric_padding_and_dilation_count_elements(
    size, kernel_and_sides, stride, dilation, ceil, include_pad
):
    kernel, sides = kernel_and_sides
    average = window(1, kernel, stride, (sides,), dilation, ceil)
    counted = F.pad(torch.ones(1, 1, size), sides, value=float(include_pad))
    overhang = F.pad(counted, (0, dilation * kernel + stride))
    counts = F.conv1d(overhang, torch.ones(1, 1, kernel), stride=stride, dilation=dilation)[0, 0]
    try:
        outputs = average.output_shape((size,))[0]
    except ShapeError:
        return
    by = divisors(average, (size,), include_pad)
    assert by.tolist() == counts[:outputs].int().tolist()


@sampled
@given(st.tuples(sizes, sizes), st.tuples(small, small), st.tuples(small, small), small)
def test_same_is_tensorflows_padding_in_two_dimensions(chosen, kernel, stride, dilation):
    same = window(2, kernel, stride, "same", dilation)
    assert same.output_shape(chosen) == tuple(
        -(-n // s) for n, s in zip(chosen, stride, strict=True)
    )
    axes = zip(chosen, kernel, stride, same.place(chosen), same.padding_at(chosen), strict=True)
    for size, k, s, placement, resolved in axes:
        sides = tensorflow_same(size, dilation * (k - 1) + 1, s)
        assert resolved == sides
        values = pad_then_max(size, sides, k, s, dilation, ceil=False)
        assert np.array_equal(values == 1, covered(placement, size))


@pytest.mark.filterwarnings("ignore:Using padding='same':UserWarning")
@pytest.mark.parametrize("dilation", [1, 2, 3])
@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("size", [1, 2, 5, 8])
def test_same_at_stride_one_is_that_of_torch_convolutions(size, kernel, dilation):
    same = window(1, kernel, stride=1, padding="same", dilation=dilation)
    ones = torch.ones(1, 1, size), torch.ones(1, 1, kernel)
    convolved = F.conv1d(*ones, padding="same", dilation=dilation)[0, 0]
    assert element_counts(same.place((size,))).tolist() == convolved.int().tolist()


def test_ceil_mode_could_not_change_what_same_gives():
    for size, kernel, stride, dilation in np.ndindex(9, 7, 7, 3):
        geometry = kernel + 1, stride + 1
        same = window(1, *geometry, "same", dilation + 1)
        pairs = same.padding_at((size + 1,))
        ceil = window(1, *geometry, pairs, dilation + 1, ceil_mode=True, any_padding=True)
        assert same.output_shape((size + 1,)) == ceil.output_shape((size + 1,))


@sampled
@given(sizes, small, small, small, st.integers(0, 9), st.integers(0, 9))
def test_any_padding_is_that_of_convolutions(size, kernel, stride, dilation, before, after):
    layer = window(1, kernel, stride, ((before, after),), dilation, any_padding=True)
    padded = F.pad(torch.ones(1, 1, size), (before, after))
    try:
        ones = F.conv1d(padded, torch.ones(1, 1, kernel), stride=stride, dilation=dilation)
    except RuntimeError:
        with pytest.raises(ShapeError):
            layer.output_shape((size,))
    else:
        assert element_counts(layer.place((size,))).tolist() == ones[0, 0].int().tolist()
