"""Uniform random numbers from a counter: the number of a window depends on seed and place alone.

So every backend, on any number of threads, draws the same. Each backend prints these ten rounds in
its own language; this one is for arrays (NumPy or PyTorch, 64-bit signed integers).

Reference:
    Salmon, Moraes, Dror, Shaw (2011), Parallel random numbers: as easy as 1, 2, 3, SC'11
    (Philox2x32-10).
"""

from __future__ import annotations

from typing import Any, TypeVar

__all__ = ["INCREMENT", "MASK", "MULTIPLIER", "ROUNDS", "bits", "split_seed", "uniform"]

MULTIPLIER = 0xD256D193
INCREMENT = 0x9E3779B9
MASK = 0xFFFFFFFF
ROUNDS = 10

Integers = TypeVar("Integers")


def split_seed(seed: Integers) -> tuple[Integers, Integers]:
    """Split a seed into the key and what is added to the counter's upper half, 32 bits each."""
    whole: Any = seed
    return whole & MASK, (whole >> 32) & MASK


def uniform(seed: Any, index: Integers) -> Integers:
    """Draw for each index a number in [0, 1), a multiple of 2**-24: exact in float32.

    Args:
        seed: an int in [0, 2**63), or a 0-d int64 array of one.
        index: int64 array of the windows' numbers, row-major over (N, C, *output_shape).

    Example:
        >>> import numpy as np
        >>> uniform(7, np.arange(3)).tolist() == uniform(7, np.arange(1000))[:3].tolist()
        True
    """
    whole: Any = bits(seed, index)
    drawn: Integers = whole * 2.0**-24
    return drawn


def bits(seed: Any, index: Integers) -> Integers:
    """Draw for each index an integer in [0, 2**24); arguments as for :func:`uniform`."""
    key, offset = split_seed(seed)
    low: Any = index & MASK  # type: ignore[operator]
    high: Any = ((index >> 32) + offset) & MASK  # type: ignore[operator]
    for _ in range(ROUNDS):
        # The product of two 32-bit numbers wraps into 64 signed bits; masking recovers both halves.
        product = low * MULTIPLIER
        low, high = ((product >> 32) & MASK) ^ key ^ high, product & MASK
        key = (key + INCREMENT) & MASK
    drawn: Integers = low >> 8
    return drawn
