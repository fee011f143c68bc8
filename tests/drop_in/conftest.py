"""What the tests of replacing PyTorch's pooling share."""

import pytest
import torch

from flexpool import sooner
from flexpool.drop_in import functions, rules


class Everything(dict):
    """Rules that give flexpool every call that it can compute."""

    def get(self, kind, default=None):
        return sooner.Least(0, 0, 0, 0)

    def __iter__(self):
        poolings = ["max", "max with indices", "avg", "adaptive max", "adaptive avg"]
        return iter([sooner.Kind(p, d, "planes") for p in poolings for d in (1, 2, 3)])


@pytest.fixture(scope="module")
def everything():
    """Take over small calls too, and those that PyTorch does faster."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sooner, "LEAST_WORK", Everything())
        patch.setattr(rules, "LEAST_ELEMENTS", 0)
        functions._settled.cache_clear()
        yield
    functions._settled.cache_clear()


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def taken(monkeypatch):
    """List the calls that flexpool takes over, by the name of the operator."""
    found = []

    def noted(name):
        run = getattr(functions.torch_calls, name)

        def call(input, spec, *rest):
            found.append(functions.calls.call_of(spec).operator.name)
            return run(input, spec, *rest)

        return call

    for name in ("pool", "pool_with_indices"):
        monkeypatch.setattr(functions.torch_calls, name, noted(name))
    return found
