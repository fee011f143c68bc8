"""The modules are the same on every backend, so here they run on the one that compiles nothing.

On one torch thread, since thousands of tiny calls would else mostly wait for each other.
"""

import pytest
import torch

from flexpool.backends import choice


@pytest.fixture(scope="module", autouse=True)
def eager():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(choice, "_FASTEST", {"cpu": "eager"})
        choice.backend_for.cache_clear()
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        yield
        torch.set_num_threads(threads)
    choice.backend_for.cache_clear()
