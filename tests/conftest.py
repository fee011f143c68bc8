"""What holds in every test."""

import functools
import gc
import importlib.util

import numpy as np
import pytest

from flexpool.backends import memory


def pytest_collection_finish(session):
    """Look for garbage among what tests make only, not among what was there before, each time."""
    gc.collect()
    gc.freeze()


def empty(shape, dtype):
    """Make an array that shows what nobody wrote: NaN, or the last of whole numbers."""
    made = np.empty(shape, dtype)
    made.reshape(-1).view(np.uint8)[...] = 255
    return made


@pytest.fixture(scope="session", autouse=True)
def results_start_as_nan():
    """Kernels get arrays of NaN to write to, so that an element left out is no lucky zero."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory, "array", empty)
        patch.setattr(memory, "maker", lambda *about: functools.partial(empty, *about))
        yield


@pytest.fixture(scope="session", autouse=True)
def nothing_is_left_to_torch():
    """What is tested is flexpool, however small; tests/nn/test_small.py tests the handing over."""
    if importlib.util.find_spec("torch") is None:
        yield
        return
    torch_small = importlib.import_module("flexpool.torch_small")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch_small, "FEW", 0)
        patch.setattr(torch_small, "MOST", 0)
        yield
