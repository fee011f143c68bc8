"""Receptive fields against following the covered elements through the layers one by one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flexpool.errors import ShapeError
from flexpool.window import ReceptiveField, receptive_fields, window

INPUT = 70
small = st.integers(1, 4)
layers = st.builds(
    lambda kernel, stride, before, after, dilation, ceil: window(
        1, kernel, stride, ((before, after),), dilation, ceil, any_padding=True
    ),
    small,
    small,
    st.integers(0, 4),
    st.integers(0, 4),
    st.integers(1, 3),
    st.booleans(),
)


def dependence(layer, size):
    """Table of (outputs, size): does the output depend on the input element? Counted by hand."""
    ((before, _),) = layer.padding_at((size,))
    (outputs,) = layer.output_shape((size,))
    table = np.zeros((outputs, size), dtype=bool)
    for output, tap in np.ndindex(outputs, layer.kernel_size[0]):
        element = output * layer.stride[0] - before + tap * layer.dilation[0]
        if 0 <= element < size:
            table[output, element] = True
    return table


def check_against_dependence(chain, size):
    """Compare each output whose field lies inside the input, after each layer; count them."""
    compared = 0
    through = np.eye(size, dtype=bool)
    for layer, field in zip(chain, receptive_fields(chain, (size,)), strict=True):
        through = dependence(layer, len(through)) @ through
        for output, depends in enumerate(through):
            first = field.start[0] + output * field.jump[0]
            last = first + field.size[0] - 1
            if first >= 0 and last < size:
                compared += 1
                assert np.flatnonzero(depends)[[0, -1]].tolist() == [first, last]
    return compared


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.lists(layers, min_size=1, max_size=4))
def test_fields_are_what_the_outputs_depend_on(chain):
    try:
        receptive_fields(chain, (INPUT,))
    except ShapeError:
        return
    check_against_dependence(chain, INPUT)


@pytest.mark.parametrize("size", [30, 31, 32, 33])
def test_same_padding_in_a_chain(size):
    convolution, pooling = window(1, 4, 1, "same"), window(1, 3, 2, "same")
    assert check_against_dependence([convolution, pooling, convolution, pooling], size) > 20


def test_lenet_5():
    chain = [window(2, 5, 1, 2), window(2, 2), window(2, 5, 1), window(2, 2)]
    fields = receptive_fields(chain, sizes=(28, 28))
    assert fields == receptive_fields(chain)
    assert [field.size for field in fields] == [(5, 5), (6, 6), (14, 14), (16, 16)]
    assert [field.jump for field in fields] == [(1, 1), (2, 2), (2, 2), (4, 4)]
    assert [field.start for field in fields] == [(-2, -2)] * 4
    assert [field.centre for field in fields] == [(0, 0), (0.5, 0.5), (4.5, 4.5), (5.5, 5.5)]


def test_dimensions_do_not_mix():
    chain = [window(2, (3, 1), (2, 1), (1, 0), (1, 1)), window(2, (1, 4), (1, 3), (0, 2), (1, 2))]
    assert receptive_fields(chain)[-1] == ReceptiveField(size=(3, 7), jump=(2, 3), start=(-1, -2))


def test_given_sizes_must_fit_every_layer():
    with pytest.raises(ShapeError, match="at least 3 elements in spatial dimension 0"):
        receptive_fields([window(1, 4), window(1, 3)], sizes=(8,))
