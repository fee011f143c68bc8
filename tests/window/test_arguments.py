"""What the constructors accept, and every message in full."""

import dataclasses

import numpy as np
import pytest

from flexpool.errors import ArgumentError, ShapeError
from flexpool.window import (
    adaptive_window,
    divisors,
    global_window,
    receptive_fields,
    window,
)


def test_ints_stand_for_all_dimensions_and_stride_defaults_to_the_kernel():
    plain = window(2, 3, padding=1)
    assert plain.kernel_size == plain.stride == (3, 3)
    assert plain.padding == ((1, 1), (1, 1))
    assert plain.dilation == (1, 1)
    assert plain == window(2, [3, 3], (), (1, 1)) == window(2, (3, 3), [], [[1, 1], (1, 1)])


def test_numpy_numbers_become_plain_ones():
    numbers = window(
        np.int64(1), np.int8(3), np.uint16(2), np.int32(1), np.int64(1), np.bool_(True)
    )
    assert repr(numbers) == repr(window(1, 3, 2, 1, 1, True))
    assert numbers.output_shape((np.int64(7),)) == (4,)
    assert repr(adaptive_window(1, np.int64(3))) == "AdaptiveWindow(output_size=(3,))"
    assert divisors(numbers, (7,), np.bool_(False), np.int64(5)).tolist() == [5] * 4


def test_windows_are_values():
    assert len({window(1, 3), window(1, 3, 3), window(1, 3, 2), adaptive_window(1, 3)}) == 3
    with pytest.raises(dataclasses.FrozenInstanceError):
        window(1, 3).ceil_mode = True


def test_huge_strides_and_dilations_do_not_overflow():
    largest = 2**31 - 1
    assert window(1, 2, largest).place((5,))[0].start.tolist() == [0]
    placement = window(1, largest, 1, largest // 2, 1).place((5,))[0]
    assert placement.count.tolist() == [5] * 5


AN_INT = "to be an int > 0 or a tuple of 2 such, got"
PADDING = (
    "expected padding to be an int >= 0, a tuple of 2 such, a tuple of 2 pairs (before, after) of "
    "such, or 'same', got"
)
WRITE_PADDING = "Write padding=1 for one on both sides or padding=((0, 1), (0, 1))."
KEEPS = "Use None for a dimension that keeps the input's size."
NO_DIVISOR = "Leave it None to divide by the number of elements, or use 1 to sum."


@pytest.mark.parametrize("argument", ["kernel_size", "stride", "dilation"])
@pytest.mark.parametrize(
    "value", [0, -1, True, 2.0, "2", (2,), (2, 2, 2), (2, 0), (2, True), (2, None), np.bool_(True)]
)
def test_kernel_stride_and_dilation_are_ints_above_zero(argument, value):
    with pytest.raises(ArgumentError) as caught:
        window(**{"dimensions": 2, "kernel_size": 2, argument: value})
    write = f"Write {argument}=2 or {argument}=(2, 2)."
    assert str(caught.value) == f"expected {argument} {AN_INT} {value!r}. {write}"


@pytest.mark.parametrize("argument", ["kernel_size", "dilation"])
@pytest.mark.parametrize("value", [None, ()])
def test_only_stride_may_be_left_out(argument, value):
    with pytest.raises(ArgumentError) as caught:
        window(**{"dimensions": 2, "kernel_size": 2, argument: value})
    assert str(caught.value).startswith(f"expected {argument} {AN_INT} {value!r}.")


@pytest.mark.parametrize(
    "value",
    [-1, True, 1.0, None, "valid", "SAME", (1,), (1, 1, 1), ((0, 1),), ((0, 1), 1), ((0, 1), (1,)),
     ((0, 1), (0, -1)), ((0, 1), (0, 1.0)), (), b"same"],
)  # fmt: skip
def test_padding_is_ints_pairs_or_same(value):
    with pytest.raises(ArgumentError) as caught:
        window(2, 3, padding=value)
    assert str(caught.value) == f"{PADDING} {value!r}. {WRITE_PADDING}"


@pytest.mark.parametrize("value", [2, (0, 2), ((0, 0), (0, 2)), ((2, 0), (0, 0))])
def test_padding_is_at_most_half_of_the_kernel_whatever_the_dilation(value):
    with pytest.raises(ArgumentError) as caught:
        window(2, 3, padding=value, dilation=4)
    assert str(caught.value) == (
        f"expected padding to be at most kernel_size // 2 = (1, 1) on each side, got {value}. "
        "Use a larger kernel_size, padding='same', or pad the input before pooling."
    )


@pytest.mark.parametrize("value", [0, 1, None, "True"])
@pytest.mark.parametrize("argument", ["ceil_mode", "any_padding"])
def test_flags_are_bools(argument, value):
    with pytest.raises(ArgumentError) as caught:
        window(1, 2, **{argument: value})
    write = f"Write {argument}=True or {argument}=False."
    assert str(caught.value) == f"expected {argument} to be True or False, got {value!r}. {write}"


MESSAGES = {
    "dimensions": (
        lambda: window(0, 2),
        "expected dimensions to be an int > 0, got 0. Use 1, 2 or 3.",
    ),
    "dimensions of a global window": (
        lambda: global_window(2.0),
        "expected dimensions to be an int > 0, got 2.0. Use 1, 2 or 3.",
    ),
    "ceil_mode with same": (
        lambda: window(1, 2, padding="same", ceil_mode=True),
        "expected ceil_mode to be False with padding='same', got True. "
        "Leave it out: 'same' gives ceil(size / stride) outputs already.",
    ),
    "too large": (
        lambda: window(1, 2**31),
        "expected kernel_size to be at most 2147483647, got 2147483648. Use a smaller number.",
    ),
    "padding too large": (
        lambda: window(1, 2, padding=2**31, any_padding=True),
        "expected padding to be at most 2147483647, got 2147483648. Use a smaller number.",
    ),
    "output_size too large": (
        lambda: adaptive_window(1, 2**31),
        "expected output_size to be at most 2147483647, got 2147483648. Use a smaller number.",
    ),
    "divisor too large": (
        lambda: divisors(window(1, 2), (4,), divisor_override=-(2**63)),
        "expected divisor_override to be at most 9223372036854775807, got -9223372036854775808. "
        "Use a smaller number.",
    ),
    "count_include_pad": (
        lambda: divisors(window(1, 2), (4,), count_include_pad=1),
        "expected count_include_pad to be True or False, got 1. "
        "Write count_include_pad=True or count_include_pad=False.",
    ),
    "layers": (
        lambda: receptive_fields([]),
        "expected layers to be one or more Windows of the same number of dimensions, got []. "
        "Make each with window(dimensions, ...).",
    ),
    "layers of two kinds": (
        lambda: receptive_fields([adaptive_window(1, 2)]),
        "expected layers to be one or more Windows of the same number of dimensions, "
        "got [AdaptiveWindow(output_size=(2,))]. Make each with window(dimensions, ...).",
    ),
    "same without sizes": (
        lambda: receptive_fields([window(1, 2, padding="same")]),
        "expected sizes to be given where a layer has padding='same', got None. "
        "Give the spatial sizes of the chain's input.",
    ),
    "sizes": (
        lambda: window(1, 2).place((4.0,)),
        "expected sizes to be a tuple of ints, got (4.0,). Give the input's spatial shape.",
    ),
}


@pytest.mark.parametrize(("call", "message"), MESSAGES.values(), ids=MESSAGES)
def test_messages_of_argument_errors(call, message):
    with pytest.raises(ArgumentError) as caught:
        call()
    assert str(caught.value) == message


@pytest.mark.parametrize("value", [0, 2.0, True, "2", (2,)])
def test_messages_of_divisor_override(value):
    with pytest.raises(ArgumentError) as caught:
        divisors(window(1, 2), (4,), divisor_override=value)
    rule = "expected divisor_override to be None or an int other than 0, got"
    assert str(caught.value) == f"{rule} {value!r}. {NO_DIVISOR}"


@pytest.mark.parametrize("value", [-1, 2.0, True, "2", (2,), (2, -1), (2, 2, 2), ()])
def test_messages_of_output_size(value):
    with pytest.raises(ArgumentError) as caught:
        adaptive_window(2, value)
    rule = "expected output_size to be an int >= 0, None, or a tuple of 2 of these, got"
    assert str(caught.value) == f"{rule} {value!r}. {KEEPS}"


SHAPES = {
    "too small": (
        lambda: window(2, 3, (2, 1), (1, 0), dilation=(1, 4)).output_shape((5, 7)),
        "expected the input to have at least 9 elements in spatial dimension 1 (kernel_size 3 with "
        "dilation 4 spans 9, padding is 0 + 0), got (5, 7). "
        "Use a smaller kernel_size or dilation, more padding, or a larger input.",
    ),
    "too small in ceil mode": (
        lambda: window(1, 7, 2, ((1, 2),), ceil_mode=True).place((2,)),
        "expected the input to have at least 3 elements in spatial dimension 0 (kernel_size 7 with "
        "dilation 1 spans 7, padding is 1 + 2), got (2,). "
        "Use a smaller kernel_size or dilation, more padding, or a larger input.",
    ),
    "dimensions": (
        lambda: divisors(window(2, 3), (5, 5, 5)),
        "expected the input to have 2 spatial dimensions, got (5, 5, 5). "
        "Reshape the input, or use the window for its number of dimensions.",
    ),
    "one dimension": (
        lambda: global_window(1).place((5, 5)),
        "expected the input to have 1 spatial dimension, got (5, 5). "
        "Reshape the input, or use the window for its number of dimensions.",
    ),
    "empty": (
        lambda: window(2, 1).output_shape((0, 3)),
        "expected the input to have spatial sizes >= 1, got (0, 3). "
        "Leave out empty inputs; only the batch may be empty.",
    ),
    "empty and adaptive": (
        lambda: adaptive_window(1, 3).output_shape((0,)),
        "expected the input to have spatial sizes >= 1, got (0,). "
        "Leave out empty inputs; only the batch may be empty.",
    ),
}


@pytest.mark.parametrize(("call", "message"), SHAPES.values(), ids=SHAPES)
def test_messages_of_shape_errors(call, message):
    with pytest.raises(ShapeError) as caught:
        call()
    assert str(caught.value) == message


@pytest.mark.parametrize("ceil", [False, True])
def test_the_size_a_message_asks_for_is_the_smallest_that_works(ceil):
    for kernel, stride in np.ndindex(9, 4):
        small = window(1, kernel + 3, stride + 1, 1, 2, ceil)
        try:
            small.output_shape((1,))
        except ShapeError as error:
            least = int(str(error).split("at least ")[1].split()[0])
            assert small.output_shape((least,)) == (1,)
            with pytest.raises(ShapeError):
                small.output_shape((least - 1,))
