"""Tasks that are prepared give what `run` gives, and only those are that a call can repeat."""

import numpy as np
import pytest

from flexpool import calls
from flexpool.backends import numba_cpu
from flexpool.backends.numba_cpu import launch
from flexpool.backends.task import Task
from flexpool.window import global_window, window

SHAPE = (2, 3, 5, 6)
X = np.random.default_rng(0).normal(size=SHAPE)


def _task(operator, where, gradient=None, **numbers):
    call = calls.call_of(calls.spec(operator, where, tuple(numbers.items()), (), "numba"))
    plan = call.gradient(gradient) if gradient else call.forward
    task = calls.task(call, plan, SHAPE, "float64")
    return task, plan, calls.constants(call, plan, SHAPE[2:], "float64")


@pytest.mark.parametrize("where", [window(2, 2), window(2, 3, 2, 1), global_window(2)], ids=repr)
@pytest.mark.parametrize("gradient", [None, ("x",)])
def test_as_run(where, gradient):
    task, plan, fixed = _task("lp", where, gradient, p=2.5)
    read = ("grad_y", *plan.read) if gradient else plan.read
    gy = np.random.default_rng(1).normal(size=(*SHAPE[:2], *task.geometry.output_shape))
    arrays = {"x": X, "grad_y": gy}
    found = numba_cpu.prepared(task, read, fixed)(*[arrays[name] for name in read])
    (wanted,) = numba_cpu.run(task, {**fixed, **{n: arrays[n] for n in read}}).values()
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("batch", [(0, 3), (2, 0)])
def test_nothing_is_compiled_for_nothing(monkeypatch, batch):
    monkeypatch.setattr(launch, "_launch", None)
    task, _, fixed = _task("boltzmann", window(2, 2), ("x", "beta"))
    empty = Task(task.graph, task.geometry, batch, "float64")
    arrays = {"x": np.zeros((*batch, 5, 6)), "grad_y": np.zeros((*batch, 2, 3))}
    found = numba_cpu.run(empty, {**fixed, **arrays})
    assert {name: a.shape for name, a in found.items()} == {"x": (*batch, 5, 6), "beta": batch[1:]}
    assert not found["beta"].any()


@pytest.mark.parametrize(
    ("operator", "gradient"),
    [("stochastic", None), ("boltzmann", ("x", "beta")), ("boltzmann", ("beta",))],
)
def test_what_takes_more_is_not_prepared(operator, gradient):
    task, plan, fixed = _task(operator, window(2, 2), gradient)
    assert numba_cpu.prepared(task, plan.read, fixed) is None
