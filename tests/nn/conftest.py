"""The modules are the same on every backend, so here they run on the one that compiles nothing.

On one torch thread, since thousands of tiny calls would else mostly wait for each other.
"""

import pytest
import torch

from flexpool import torch_alone, torch_ops
from flexpool.backends import choice

# What is looked up once for each kind of call, the backend with it.
CACHES = (choice.backend_for, torch_ops.ready_for, torch_alone._way)


@pytest.fixture(scope="module", autouse=True)
def eager():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(choice, "_FASTEST", {"cpu": "eager"})
        for cache in CACHES:
            cache.cache_clear()
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        yield
        torch.set_num_threads(threads)
    for cache in CACHES:
        cache.cache_clear()
