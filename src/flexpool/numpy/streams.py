"""PyTorch's random numbers, drawn by NumPy: the same initial weights, the same order of images.

PyTorch's generator on the CPU is the Mersenne Twister that NumPy has too (Matsumoto, Nishimura
1998). What differs is how its 32-bit numbers become uniform ones and permutations.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from flexpool.numpy.layer import Array

__all__ = ["TorchStream"]


class TorchStream:
    """The numbers that follow ``torch.manual_seed(seed)``, for float32.

    Args:
        seed: an int >= 0; as in PyTorch, only its last 32 bits count.

    Example:
        >>> TorchStream(0).permutation(5)  # torch.manual_seed(0); torch.randperm(5)
        array([4, 0, 1, 3, 2])
    """

    def __init__(self, seed: int) -> None:
        self._twister = np.random.RandomState(seed & 0xFFFFFFFF)

    def uniform(self, low: float, high: float, size: Any) -> Array:
        """Draw as ``torch.empty(size).uniform_(low, high)`` does.

        Args:
            low, high: the limits.
            size: the shape.

        Returns:
            float32 array of that shape.

        Note:
            24 random bits r give low + r 2^-24 (high - low), rounded once: PyTorch's compiler fuses
            the multiplication and the addition.
        """
        first, last = np.float32(low), np.float32(high)
        bits = self._raw(int(np.prod(size))) & 0xFFFFFF
        drawn = bits * 2.0**-24 * np.float64(last - first) + np.float64(first)
        return drawn.astype(np.float32).reshape(size)

    def permutation(self, n: int) -> Array:
        """Draw as ``torch.randperm(n)`` does, for n below 2^32 / 20: each place changes with one
        drawn from those not yet settled.

        Returns:
            int64 array of shape (n,).
        """
        order = list(range(n))
        left = np.arange(n, 1, -1, dtype=np.uint32)
        steps = self._raw(len(left)) % left
        for place, step in enumerate(steps.tolist()):
            other = place + step
            order[place], order[other] = order[other], order[place]
        return np.array(order, dtype=np.int64)

    def _raw(self, count: int) -> Array:
        """Take the next numbers of 32 bits."""
        return np.frombuffer(self._twister.bytes(4 * count), dtype="<u4")
