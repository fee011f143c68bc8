"""Check what the user typed and bring it into one form: ints, pairs and flags per dimension.

A bool is not an int here, and a NumPy integer is; the results hold plain Python ints only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeGuard

import numpy as np

from flexpool.errors import ArgumentError, ShapeError, expected

__all__ = [
    "Ints",
    "Padding",
    "Pairs",
    "check_padding_is_at_most_half",
    "checked_dimensions",
    "checked_divisor_override",
    "checked_flag",
    "checked_ints",
    "checked_output_size",
    "checked_padding",
    "checked_sizes",
]

Ints = int | tuple[int, ...] | list[int]
Pairs = tuple[tuple[int, int], ...]
Padding = Ints | Pairs | str

LARGEST = 2**31 - 1  # torch counts windows in 32 bits; products of two such numbers fit int64


def is_int(value: object) -> TypeGuard[int | np.integer[Any]]:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def checked_dimensions(dimensions: object) -> int:
    """Return the number of spatial dimensions, an int > 0."""
    if not is_int(dimensions) or dimensions < 1:
        rule = "to be an int > 0"
        raise ArgumentError(expected("dimensions", rule, dimensions, "Use 1, 2 or 3."))
    return int(dimensions)


def checked_ints(argument: str, value: object, dimensions: int) -> tuple[int, ...]:
    """Return one int > 0 per dimension; a single int stands for all dimensions."""
    items = value if isinstance(value, tuple | list) else (value,) * dimensions
    ints = tuple(int(item) for item in items if is_int(item))
    if not len(ints) == len(items) == dimensions or min(ints) < 1:
        rule = f"to be an int > 0 or a tuple of {dimensions} such"
        example = f"{argument}={(2,) * dimensions}"
        raise ArgumentError(expected(argument, rule, value, f"Write {argument}=2 or {example}."))
    _check_not_too_large(argument, value, ints)
    return ints


def checked_padding(value: object, dimensions: int) -> Pairs | Literal["same"]:
    """Return (before, after) per dimension, or "same", whose pairs depend on the input's size."""
    if isinstance(value, str) and value == "same":
        return "same"
    items = value if isinstance(value, tuple | list) else (value,) * dimensions
    if all(is_int(item) for item in items):
        items = [(item, item) for item in items]
    pairs = tuple((int(item[0]), int(item[1])) for item in items if _is_pair(item))
    if not len(pairs) == len(items) == dimensions or min(map(min, pairs)) < 0:
        rule = (
            f"to be an int >= 0, a tuple of {dimensions} such, a tuple of {dimensions} pairs "
            "(before, after) of such, or 'same'"
        )
        instead = f"Write padding=1 for one on both sides or padding={((0, 1),) * dimensions}."
        raise ArgumentError(expected("padding", rule, value, instead))
    _check_not_too_large("padding", value, [amount for pair in pairs for amount in pair])
    return pairs


def check_padding_is_at_most_half(
    value: object, pairs: Pairs, kernel_size: tuple[int, ...]
) -> None:
    """Refuse padding above half of kernel_size on any side, as torch's pooling does.

    torch 2.13 also compares with half of the *effective* kernel, and its messages speak of that;
    but half of kernel_size itself, which it checks too, is never more, and so decides alone.
    """
    limits = tuple(kernel // 2 for kernel in kernel_size)
    if any(max(pair) > limit for pair, limit in zip(pairs, limits, strict=True)):
        rule = f"to be at most kernel_size // 2 = {limits} on each side"
        instead = "Use a larger kernel_size, padding='same', or pad the input before pooling."
        raise ArgumentError(expected("padding", rule, value, instead))


def checked_flag(argument: str, value: object) -> bool:
    """Return a bool; 0, 1 and None are refused, as torch refuses them."""
    if not isinstance(value, bool | np.bool_):
        instead = f"Write {argument}=True or {argument}=False."
        raise ArgumentError(expected(argument, "to be True or False", value, instead))
    return bool(value)


def checked_divisor_override(value: object) -> int | None:
    """Return None or an int other than 0; negative divisors are allowed, as in torch."""
    if value is None:
        return None
    if not is_int(value) or value == 0:
        instead = "Leave it None to divide by the number of elements, or use 1 to sum."
        rule = "to be None or an int other than 0"
        raise ArgumentError(expected("divisor_override", rule, value, instead))
    _check_not_too_large("divisor_override", value, [abs(int(value))], 2**63 - 1)
    return int(value)


def checked_output_size(value: object, dimensions: int) -> tuple[int | None, ...]:
    """Return an int >= 0 or None per dimension; a single int or None stands for all of them."""
    items = value if isinstance(value, tuple | list) else (value,) * dimensions
    numbers = [0 if item is None else item for item in items]
    ints = tuple(int(number) for number in numbers if is_int(number))
    if not len(ints) == len(items) == dimensions or min(ints) < 0:
        rule = f"to be an int >= 0, None, or a tuple of {dimensions} of these"
        instead = "Use None for a dimension that keeps the input's size."
        raise ArgumentError(expected("output_size", rule, value, instead))
    _check_not_too_large("output_size", value, ints)
    return tuple(None if item is None else number for item, number in zip(items, ints, strict=True))


def checked_sizes(sizes: Sequence[int], dimensions: int) -> tuple[int, ...]:
    """Return the input's spatial sizes: as many as there are dimensions, none of them 0."""
    if not isinstance(sizes, tuple | list) or not all(is_int(size) for size in sizes):
        instead = "Give the input's spatial shape."
        raise ArgumentError(expected("sizes", "to be a tuple of ints", sizes, instead))
    plain = tuple(int(size) for size in sizes)
    if len(plain) != dimensions:
        instead = "Reshape the input, or use the window for its number of dimensions."
        rule = f"to have {dimensions} spatial dimension{'s' if dimensions > 1 else ''}"
        raise ShapeError(expected("the input", rule, plain, instead))
    if min(plain) < 1:
        instead = "Leave out empty inputs; only the batch may be empty."
        raise ShapeError(expected("the input", "to have spatial sizes >= 1", plain, instead))
    return plain


def _is_pair(item: object) -> TypeGuard[tuple[int, int]]:
    return isinstance(item, tuple | list) and len(item) == 2 and all(map(is_int, item))


def _check_not_too_large(
    argument: str, value: object, ints: Sequence[int], largest: int = LARGEST
) -> None:
    if max(ints) > largest:
        instead = "Use a smaller number."
        raise ArgumentError(expected(argument, f"to be at most {largest}", value, instead))
