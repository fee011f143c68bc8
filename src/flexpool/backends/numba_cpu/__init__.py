"""Fused kernels for the CPU: a graph printed as plain loops and compiled by Numba.

``run`` takes arrays of any strides: contiguous ones and those with the channels last are worked on
as they are, others are copied. Results have the layout of the input.
"""

from __future__ import annotations

from flexpool.backends.numba_cpu.launch import available, run, source

__all__ = ["available", "run", "source"]
