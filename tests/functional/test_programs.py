"""torch.compile, torch.export and ONNX."""

import io

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

import flexpool
from flexpool import calls, torch_calls  # noqa: F401 - torch_calls registers the operators
from flexpool.errors import ArgumentError
from flexpool.functional import apply
from flexpool.window import window
from functional.cases import OPERATORS, apart, arrays_for, seed_for, tensors

# PyTorch warns about the deprecated parts that its own exporter uses.
pytestmark = [
    pytest.mark.usefixtures("eager"),  # what is tested lies above the backends
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*training mode.*:UserWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

LP3 = flexpool.operators()["lp"](p=3.0)
LP_PER_CHANNEL = flexpool.operators()["lp"](p=torch.tensor([2.0, 3.0, 4.0]))


def own(x, p=2.0):
    return (x * x).sum() * p


CALLS = {
    "name": lambda x: flexpool.pool(x, "soft", 2),
    "kernels": lambda x: flexpool.pool(x, "max", 2, backend="numba"),
    "function": lambda x: flexpool.soft_pool(x, 2, 2, 0),
    "bound": lambda x: flexpool.pool(x, LP3, 2),
    "bound array": lambda x: flexpool.pool(x, LP_PER_CHANNEL, 2),
    "own": lambda x: flexpool.pool(x, own, (2, 2), p=3),
    "lambda": lambda x: flexpool.pool(x, lambda x: x.max(), [2, 2]),
    "weight": lambda x: flexpool.blur_pool(x, 2),
    "seed": lambda x: flexpool.stochastic_pool(x, 2, seed=3),
    "global": lambda x: flexpool.global_pool(x, "avg"),
    "unbatched": lambda x: flexpool.max_pool(x[0], (2, 2)),
    "half": lambda x: flexpool.max_pool(x.half(), 2).float(),
    "indices": lambda x: flexpool.max_pool(x, 2, return_indices=True)[0],
    "layout": lambda x: flexpool.max_pool(x.to(memory_format=torch.channels_last), 2),
}


@pytest.fixture(autouse=True)
def _forget():
    torch._dynamo.reset()


def compiled(function, **options):
    return torch.compile(function, fullgraph=True, backend="aot_eager", **options)


@pytest.mark.parametrize("name", CALLS)
def test_compiled_calls_equal_plain_ones(name):
    plain, compiled_ = CALLS[name], compiled(CALLS[name])
    ours, theirs = (torch.randn(2, 3, 8, 8, requires_grad=True) for _ in range(2))
    theirs.data.copy_(ours.data)
    y, want = compiled_(ours), plain(theirs)
    assert torch.equal(y, want)
    assert y.stride() == want.stride()
    grad = torch.randn_like(y)
    y.backward(grad)
    want.backward(grad)
    assert torch.equal(ours.grad, theirs.grad)


def test_a_compiled_module():
    class Block(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.operator, self.window = flexpool.operators()["boltzmann"], window(2, 2)
            self.beta = torch.nn.Parameter(torch.ones(3))

        def forward(self, x):
            values = {"beta": self.beta}
            return apply(x, self.operator, self.window, options={}, values=values)

    block, x = Block(), torch.randn(2, 3, 8, 8)
    compiled(block)(x).sum().backward()
    slope, block.beta.grad = block.beta.grad, None
    block(x).sum().backward()
    torch.testing.assert_close(slope, block.beta.grad)


def test_settings_that_change_are_not_stuck():
    pooled = compiled(lambda x, k, p: flexpool.lp_pool(x, k, p=p))
    by_operator = compiled(lambda x, o: flexpool.pool(x, o, 2))
    adaptive = compiled(lambda x, k: flexpool.adaptive_pool(x, "max", k))
    for n in (2, 3, 4):
        x = torch.randn(n, 3, 8, 8)
        p = n + 0.5
        assert torch.equal(pooled(x, n, p), flexpool.lp_pool(x, n, p=p))
        assert torch.equal(adaptive(x, n), flexpool.adaptive_pool(x, "max", n))
        operator = LP3(p=p)
        assert torch.equal(by_operator(x, operator), flexpool.pool(x, operator, 2))


def test_a_dynamic_batch_is_compiled_once():
    seen = []

    def backend(graph, inputs):
        seen.append(graph)
        return graph.forward

    pooled = torch.compile(
        lambda x: flexpool.soft_pool(x, 2), fullgraph=True, backend=backend, dynamic=True
    )
    for n in (2, 3, 4, 5):
        x = torch.randn(n, 3, 8, 8)
        assert torch.equal(pooled(x), flexpool.soft_pool(x, 2))
    assert len(seen) == 1


def test_random_numbers_drawn_in_a_compiled_program_differ():
    pooled = compiled(lambda x: flexpool.stochastic_pool(x, 2))
    x = torch.rand(4, 3, 8, 8)
    assert not torch.equal(pooled(x), pooled(x))


def test_inductor():
    x = torch.randn(2, 3, 8, 8, requires_grad=True)
    pooled = torch.compile(lambda x: flexpool.soft_pool(x.relu(), 2) * 2, fullgraph=True)
    (slope,) = torch.autograd.grad(pooled(x).sum(), x)
    (want,) = torch.autograd.grad((flexpool.soft_pool(x.relu(), 2) * 2).sum(), x)
    torch.testing.assert_close(slope, want)


# Each call is compiled in several ways, so most operators are left to `make test-all`.
CHECKED = {"max", "boltzmann", "stochastic", "opened", "weighted"}


@pytest.mark.parametrize(
    ("name", "layout"),
    [
        pytest.param(name, layout, marks=[] if name in names else pytest.mark.heavy)
        for layout, names in (
            (torch.contiguous_format, CHECKED),
            (torch.channels_last, {"boltzmann"}),
        )
        for name in OPERATORS
    ],
)
def test_opcheck(name, layout):
    made = OPERATORS[name]
    x = torch.tensor(apart((2, 3, 4, 4), np.float32)).to(memory_format=layout)
    arrays = tensors(arrays_for(made, x, (2, 2), (2, 2), True), torch.float32)
    seed = torch.tensor(3) if seed_for(made) else None
    spec = calls.sliding_spec(made, 2, (2, None, 0, 1, False), (), tuple(arrays), "auto")
    values = [a.reshape(3, 4) if a.shape == (3, 2, 2) else a for a in arrays.values()]
    values = [v.detach().requires_grad_() for v in values]
    torch.library.opcheck(torch.ops.flexpool.pool, (x.requires_grad_(), values, seed, spec))


def test_opcheck_of_indices_and_gradient():
    x = torch.randn(2, 3, 4, 4, requires_grad=True)
    spec = calls.sliding_spec("max", 2, (2, None, 0, 1, False), (), (), "auto")
    torch.library.opcheck(torch.ops.flexpool.pool_with_indices, (x, spec))
    arguments = (torch.randn(2, 3, 2, 2), [x.detach()], None, [2, 3, 4, 4], False, spec, "x", "x")
    torch.library.opcheck(torch.ops.flexpool.pool_backward, arguments)


class Wrapped(torch.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


EXPORTED = {
    "max": lambda x: flexpool.max_pool(x, 3, 2, 1),
    "max one-sided": lambda x: flexpool.max_pool(x, 3, 2, ((0, 1), (0, 1))),
    "indices": lambda x: flexpool.max_pool(x, 3, 2, 1, return_indices=True)[1],
    "avg": lambda x: flexpool.avg_pool(x, 3, 2, 1, ceil_mode=True),
    "global avg": lambda x: flexpool.global_pool(x, "avg"),
    "adaptive max": lambda x: flexpool.adaptive_pool(x, "max", (3, None)),
    "soft": lambda x: flexpool.soft_pool(x, 2, 2, 0),
    "stochastic": lambda x: flexpool.stochastic_pool(x, 2, seed=3),
    "module": lambda x: apply(
        x, flexpool.operators()["median"], window(2, 3), options={}, values={}
    ),
}


@pytest.mark.parametrize("name", EXPORTED)
def test_exported_programs_need_no_flexpool(name):
    function = EXPORTED[name]
    shapes = ({0: torch.export.Dim("n")},)
    x = torch.randn(2, 3, 8, 8)
    program = torch.export.export(Wrapped(function), (x,), dynamic_shapes=shapes)
    assert not [node for node in program.graph.nodes if "flexpool" in str(node.target)]
    other = torch.randn(5, 3, 8, 8)
    torch.testing.assert_close(program.module()(other), function(other))


def test_strict_export_keeps_the_operators():
    x = torch.randn(2, 3, 8, 8)
    program = torch.export.export(Wrapped(EXPORTED["soft"]), (x,), strict=True)
    assert [n for n in program.graph.nodes if "flexpool.pool" in str(n.target)]
    torch.testing.assert_close(program.module()(x), EXPORTED["soft"](x))


@pytest.mark.parametrize(
    ("name", "operator"), [("max", "MaxPool"), ("avg", "AveragePool"), ("soft", None)]
)
def test_onnx(name, operator):
    x, target = torch.randn(2, 3, 8, 8), io.BytesIO()
    torch.onnx.export(Wrapped(EXPORTED[name]), (x,), dynamo=True, verbose=False).save(target)
    model = onnx.load_from_string(target.getvalue())
    if operator is not None:
        assert [node.op_type for node in model.graph.node] == [operator]
    session = onnxruntime.InferenceSession(target.getvalue())
    (y,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    np.testing.assert_allclose(y, EXPORTED[name](x), atol=1e-6)


def test_a_program_with_an_operator_of_another_process():
    spec = calls.sliding_spec(own, 2, (2, None, 0, 1, False), (), (), "auto")
    elsewhere = spec.replace("own@", "own@0")
    name = elsewhere.split('"')[3]
    with pytest.raises(ArgumentError) as caught:
        torch.ops.flexpool.pool(torch.randn(1, 1, 2, 2), [], None, elsewhere)
    assert str(caught.value) == (
        f"this program was compiled or saved with the operator {name!r}, which is not known here. "
        "Compile it again, or export it with torch.export, which needs no flexpool."
    )
