"""Memory of results: used again only when nobody can see it any more."""

import gc
import threading

import numpy as np
import pytest
import torch

import flexpool
from flexpool.backends import memory

SIZE = memory.LEAST_BYTES // 4
array = memory.array  # the fixture of all tests puts arrays of NaN in its place


@pytest.fixture(autouse=True)
def nothing_idle():
    gc.collect()
    memory.release()
    yield
    memory.release()


def test_small_arrays_are_numpys():
    made = array((3, 4), "float64")
    assert made.shape == (3, 4)
    assert made.dtype == np.float64
    del made
    assert memory.idle_bytes() == 0


def test_a_dropped_array_lends_its_memory_to_the_next_of_its_size():
    first = array((SIZE,), "float32")
    place = first.ctypes.data
    del first
    assert memory.idle_bytes() == 4 * SIZE
    other = array((SIZE + 1,), "float32")
    assert other.ctypes.data != place
    again = array((SIZE // 2, 2), "float32")
    assert again.ctypes.data == place
    assert memory.idle_bytes() == 0


@pytest.mark.parametrize(
    "view",
    [
        lambda a: a[1:].reshape(-1)[::2].T,
        lambda a: torch.from_numpy(a)[1:],
        lambda a: torch.from_numpy(a).numpy(),
        lambda a: memoryview(a)[1:],
        lambda a: np.from_dlpack(a),
    ],
    ids=["array", "tensor", "array of a tensor", "memoryview", "dlpack"],
)
def test_a_view_keeps_the_memory(view):
    seen = view(array((SIZE,), "float32"))
    gc.collect()
    assert memory.idle_bytes() == 0
    del seen
    gc.collect()
    assert memory.idle_bytes() == 4 * SIZE


def test_what_is_kept_has_a_bound(monkeypatch):
    monkeypatch.setenv("FLEXPOOL_KEEP_MEMORY", "2")
    several = [array((SIZE,), "float32") for _ in range(5)]
    several.clear()
    assert memory.idle_bytes() == 2 << 20


def test_nothing_is_kept_where_that_is_asked_for(monkeypatch):
    monkeypatch.setenv("FLEXPOOL_KEEP_MEMORY", "0")
    array((SIZE,), "float32")
    assert memory.idle_bytes() == 0


def test_results_do_not_meet_each_other(monkeypatch):
    """Whatever order results are made and dropped in, by however many threads."""
    monkeypatch.setattr(memory, "array", array)
    x = torch.randn(8, 8, 128, 128)
    wrong = []

    def work(offset):
        for i in range(20):
            y = flexpool.max_pool(x + offset + i, 2)
            z = flexpool.max_pool(x - offset, 2)
            if not torch.equal(y, torch.max_pool2d(x + offset + i, 2)):
                wrong.append((offset, i))
            if not torch.equal(z, torch.max_pool2d(x - offset, 2)):
                wrong.append((offset, i))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
