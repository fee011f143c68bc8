"""Run a graph on a GPU: print it as Triton source, keep that in a file, launch it.

A graph becomes at most two kernels. The first goes over the windows, one window per lane, and
stores the results of windows. The second goes over the elements of the input and gathers what the
windows that hold an element add to it; what it needs to know of a window, the first has stored. So
nothing is added atomically, and the same input gives the same bits.

With ``TRITON_INTERPRET=1`` in the environment when Triton is first imported, the same source runs
on the CPU, slowly: that is how it is tested without a GPU.
"""

from __future__ import annotations

import importlib.util
import os

from flexpool.backends.triton_gpu.launch import run, source

__all__ = ["available", "run", "source"]


def available() -> str | None:
    """Tell why this backend cannot run here, and what to install."""
    if importlib.util.find_spec("torch") is None:
        return "PyTorch is not installed: pip install flexpool[torch]"
    if importlib.util.find_spec("triton") is None:
        return "Triton is not installed: pip install triton"
    import torch

    if torch.cuda.is_available() or os.environ.get("TRITON_INTERPRET") == "1":
        return None
    return "there is no GPU that PyTorch can use"
