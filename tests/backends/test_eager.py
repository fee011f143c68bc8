"""Array operations give what the definition gives, for any graph, window, library and dtype."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx

from backends.samples import ALL, FORMULAS, WINDOWS, arrays, gradient, special
from flexpool.backends import eager, interpret
from flexpool.backends.task import Geometry, Task, geometry
from flexpool.declare import Operator, find
from flexpool.ir import Graph
from flexpool.window import adaptive_window, window

LIBRARIES = {"numpy": np.asarray, "torch": torch.tensor}
SMOOTH = ["avg", "boltzmann", "lip", "lp", "mixed", "soft", "smooth", "running", "placed"]


def given(leaves: dict, library: str, dtype: str) -> dict:
    def convert(array):
        return LIBRARIES[library](array.astype(dtype)) if isinstance(array, np.ndarray) else array

    return {name: convert(array) for name, array in leaves.items()}


def compare(graph: Graph, where: Geometry, leaves: dict, library: str, dtype: str) -> None:
    task = Task(graph, where, leaves["x"].shape[:2], dtype)
    leaves = {
        n: a.astype(dtype).astype(np.float64) if isinstance(a, np.ndarray) else a
        for n, a in leaves.items()
    }
    wanted = interpret.run(task, leaves)
    got = eager.run(task, given(leaves, library, dtype))
    assert got.keys() == wanted.keys()
    tolerance = 1e-12 if dtype == "float64" else 2e-5
    for name, array in got.items():
        assert isinstance(array, np.ndarray if library == "numpy" else torch.Tensor)
        assert str(array.dtype).removeprefix("torch.") == dtype
        scale = np.nanmax(np.abs(wanted[name]), where=np.isfinite(wanted[name]), initial=1)
        np.testing.assert_allclose(
            np.asarray(array), wanted[name], rtol=tolerance, atol=tolerance * scale, err_msg=name
        )


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("case", WINDOWS)
@pytest.mark.parametrize("name", ALL)
def test_equals_the_definition(name, case, library):
    op, where = ALL[name], geometry(*WINDOWS[case])
    leaves = arrays(op, where, (2, 2))
    compare(op.graph(), where, leaves, library, "float64")
    compare(gradient(op), where, leaves, library, "float64")


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("case", ["1d-k3s2p1d2-ceil", "2d-k2", "2d-k3s2p1", "adaptive-uneven"])
@pytest.mark.parametrize("name", ALL)
def test_equals_the_definition_at_ties_infinities_and_nan(name, case, library):
    op, where = ALL[name], geometry(*WINDOWS[case])
    leaves = arrays(op, where, (3, 2))
    leaves["x"] = special(leaves["x"])
    compare(op.graph(), where, leaves, library, "float64")
    compare(gradient(op), where, leaves, library, "float64")


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("name", sorted(ALL))
def test_float32_stays_float32(name, library):
    op, where = ALL[name], geometry(*WINDOWS["2d-k3s2p1"])
    leaves = arrays(op, where, (2, 2))
    compare(op.graph(), where, leaves, library, "float32")
    compare(gradient(op), where, leaves, library, "float32")


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize(
    ("batch", "placed"),
    [
        ((0, 2), WINDOWS["2d-k2"]),
        ((0, 2), WINDOWS["2d-k3s2p1"]),
        ((0, 2), WINDOWS["global"]),
        ((2, 2), (adaptive_window(2, (0, 3)), (4, 5))),
    ],
)
@pytest.mark.parametrize("name", ALL)
def test_nothing_to_do(name, batch, placed, library):
    op, where = ALL[name], geometry(*placed)
    leaves = given(arrays(op, where, batch), library, "float64")
    for graph in (op.graph(), gradient(op)):
        task = Task(graph, where, batch, "float64")
        results = eager.run(task, leaves)
        for output in graph.outputs:
            assert tuple(results[output.name].shape) == task.shape_of(output)
            assert not np.any(np.asarray(results[output.name]))


@pytest.mark.parametrize("library", LIBRARIES)
def test_one_number_may_serve_all_channels(library):
    op, where = FORMULAS["placed"], geometry(*WINDOWS["2d-k3s2p1"])
    leaves = arrays(op, where, (2, 3))
    leaves["w"], leaves["v"] = leaves["w"][:1], leaves["v"][1:2]
    compare(op.graph(), where, leaves, library, "float64")
    compare(gradient(op), where, leaves, library, "float64")


def test_results_share_no_memory_with_the_leaves():
    where = geometry(window(1, 1), (4,))
    identity = find("max").graph()
    for convert in LIBRARIES.values():
        x = convert(np.arange(8.0).reshape(1, 2, 4))
        y = eager.run(Task(identity, where, (1, 2), "float64"), {"x": x})["y"]
        y[...] = -1
        assert np.array_equal(np.asarray(x).ravel(), np.arange(8.0))


def test_torch_seed_may_be_a_tensor():
    op, where = FORMULAS["noisy"], geometry(*WINDOWS["2d-k2"])
    leaves = arrays(op, where, (2, 2))
    task = Task(op.graph(), where, (2, 2), "float32")
    number = given(leaves, "torch", "float32")
    tensor = {**number, "u": torch.tensor(leaves["u"])}
    assert torch.equal(eager.run(task, number)["y"], eager.run(task, tensor)["y"])


def test_channels_last_and_strided_inputs():
    where = geometry(window(2, 3, 2, 1), (6, 5))
    task = Task(find("soft").graph(), where, (2, 3), "float64")
    x = torch.randn(2, 3, 6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    wanted = eager.run(task, {"x": x})["y"]
    assert torch.equal(
        eager.run(task, {"x": x.contiguous(memory_format=torch.channels_last)})["y"], wanted
    )
    assert np.allclose(eager.run(task, {"x": x.numpy().T.copy().T})["y"], wanted.numpy())


def test_numpy_arrays_need_no_torch():
    program = (
        "import sys; sys.modules['torch'] = None\n"
        "import numpy as np\n"
        "from flexpool.backends import eager\n"
        "from flexpool.backends.task import Task, geometry\n"
        "from flexpool.declare import find\n"
        "from flexpool.window import window\n"
        "task = Task(find('max').graph(), geometry(window(1, 2), (4,)), (1, 1), 'float64')\n"
        "print(eager.run(task, {'x': np.arange(4.0).reshape(1, 1, 4)})['y'].tolist())\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "[[[1.0, 3.0]]]\n", done.stderr


class Differentiable:
    """A graph as a function of its floating leaves alone, as torch's tools want it."""

    def __init__(self, op: Operator, graph: Graph, case: str) -> None:
        where = geometry(*WINDOWS[case])
        leaves = given(arrays(op, where, (1, 2)), "torch", "float64")
        read = [name for name in graph.leaves() if isinstance(leaves[name], torch.Tensor)]
        self.names = sorted({"x", *read})
        self.inputs = tuple(leaves[name].requires_grad_() for name in self.names)
        self.numbers = {n: a for n, a in leaves.items() if isinstance(a, int)}
        self.task = Task(graph, where, (1, 2), "float64")

    def __call__(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        leaves = dict(zip(self.names, inputs, strict=True))
        return tuple(eager.run(self.task, {**leaves, **self.numbers}).values())


@pytest.mark.parametrize("case", ["1d-k2", "2d-k(3,2)-same", "adaptive-uneven"])
@pytest.mark.parametrize("name", SMOOTH)
def test_autograd_differentiates_both_graphs(name, case):
    for graph in (ALL[name].graph(), gradient(ALL[name])):
        function = Differentiable(ALL[name], graph, case)
        assert torch.autograd.gradcheck(function, function.inputs)


@pytest.mark.parametrize("name", ALL)
def test_autograd_of_the_formula_is_the_gradient_graph(name):
    op = ALL[name]
    for case in ("2d-k2", "2d-k3s2p1"):
        where = geometry(*WINDOWS[case])
        leaves = arrays(op, where, (2, 2))
        leaves["x"] = np.round(leaves["x"] * 2) / 2 + 0.25  # ties, but no number on a limit
        tensors = given(leaves, "torch", "float64")
        x = tensors["x"].requires_grad_()
        y = eager.run(Task(op.graph(), where, (2, 2), "float64"), tensors)["y"]
        wanted = eager.run(Task(gradient(op), where, (2, 2), "float64"), tensors)["x"]
        got = torch.zeros_like(x)
        if y.requires_grad:
            got = torch.autograd.grad(y, x, tensors["grad_y"], materialize_grads=True)[0]
        torch.testing.assert_close(got, wanted)


def test_absent_elements_bring_no_nan_into_second_derivatives():
    for case in ("2d-k3s2p1", "1d-k3s2p1d2-ceil", "1d-without-elements"):
        function = Differentiable(ALL["soft"], gradient(ALL["soft"]), case)
        x = function.inputs[function.names.index("x")]
        x.data[..., 0] = 1000  # exp overflows if it meets the values of another window
        (dx,) = function(*function.inputs)
        second = torch.autograd.grad(dx.sum(), x)[0]
        assert torch.isfinite(second).all()


@pytest.mark.parametrize("case", ["2d-k2", "2d-k3s2p1"])
@pytest.mark.parametrize("name", FORMULAS)
def test_torch_can_batch_and_trace(name, case):
    for graph in (ALL[name].graph(), gradient(ALL[name])):
        function = Differentiable(ALL[name], graph, case)
        inputs = tuple(leaf.detach() for leaf in function.inputs)
        wanted = function(*inputs)
        traced = make_fx(function, tracing_mode="fake")(*inputs)(*inputs)
        torch.testing.assert_close(traced, wanted)
        stacked = tuple(torch.stack([leaf, leaf / 2]) for leaf in inputs)
        batched = torch.func.vmap(function)(*stacked)
        torch.testing.assert_close(tuple(result[0] for result in batched), wanted)
        _, pull = torch.func.vjp(function, *inputs)
        pull(tuple(torch.ones_like(result) for result in wanted))


@pytest.mark.parametrize("name", ["soft", "stochastic"])
def test_torch_compiles_and_exports_it(name):
    for graph in (ALL[name].graph(), gradient(ALL[name])):
        function = Differentiable(ALL[name], graph, "2d-k3s2p1")
        inputs = tuple(leaf.detach() for leaf in function.inputs)
        wanted = function(*inputs)

        class Module(torch.nn.Module):
            def forward(self, *inputs):
                return function(*inputs)  # noqa: B023 -- used up before the next round

        exported = torch.export.export(Module(), inputs, strict=False)
        torch.testing.assert_close(exported.module()(*inputs), wanted)

        torch.compiler.reset()  # or it may take this function for that of the round before

        @torch.compiler.allow_in_graph  # the walk is traced through, not read by Dynamo
        def opaque(*inputs):
            return function(*inputs)  # noqa: B023

        compiled = torch.compile(lambda *a: opaque(*a), fullgraph=True, backend="aot_eager")
        torch.testing.assert_close(compiled(*inputs), wanted)
