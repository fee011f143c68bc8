"""Fused kernels for the CPU: a graph printed as plain loops and compiled by Numba.

``run`` takes arrays of any strides: contiguous ones and those with the channels last are worked on
as they are, others are copied. Results have the layout of the input. Half floats and whole numbers
are converted a piece at a time.
"""

from __future__ import annotations

from flexpool.backends.numba_cpu.launch import adds_in_order, available, prepared, source
from flexpool.backends.numba_cpu.staged import run

__all__ = ["adds_in_order", "available", "prepared", "run", "source"]
