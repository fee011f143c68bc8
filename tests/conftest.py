"""What holds in every test."""

import functools
import gc
import importlib.util

import numpy as np
import pytest

from flexpool.backends import choice, memory


def pytest_collection_finish(session):
    """Look for garbage among what tests make only, and more rarely than after 700 objects."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000)


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


@pytest.fixture(scope="module")
def eager():
    """Compute on the backend that compiles nothing, for what is the same on every backend.

    On one torch thread, since thousands of tiny calls would else mostly wait for each other.
    """
    torch = importlib.import_module("torch")
    torch_alone = importlib.import_module("flexpool.torch_alone")
    torch_ops = importlib.import_module("flexpool.torch_ops")
    # What is looked up once for each kind of call, the backend with it.
    caches = (choice.backend_for, torch_ops.ready_for, torch_alone._way)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(choice, "_FASTEST", {"cpu": "eager"})
        for cache in caches:
            cache.cache_clear()
        yield
    for cache in caches:
        cache.cache_clear()
    torch.set_num_threads(threads)
