"""accelerated(): which calls it sees, where it begins and where it ends."""

import re
import threading

import pytest
import torch
import torch.nn.functional as F
from torch import fx, nn

import flexpool
from drop_in.heard import Heard
from flexpool.drop_in import block

CALLS = {
    "F": lambda x: F.max_pool2d(x, 2),
    "F with indices": lambda x: F.max_pool2d(x, 2, return_indices=True)[0],
    "F.max_pool2d_with_indices": lambda x: F.max_pool2d_with_indices(x, 2)[0],
    "torch": lambda x: torch.max_pool2d(x, 2),
    "a module": lambda x: nn.MaxPool2d(2)(x),
    "by name": lambda x: F.max_pool2d(input=x, kernel_size=2, stride=None),
    "a list": lambda x: F.max_pool2d(x, [2, 2]),
}


@pytest.fixture(scope="module")
def x():
    return torch.randn(8, 4, 256, 256, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_all_ways_to_call(call, x, taken):
    expected = call(x)
    assert not taken
    with flexpool.accelerated():
        assert torch.equal(call(x), expected)
    assert taken == ["max"]
    call(x)
    assert taken == ["max"]


def test_every_function_of_torch_is_known():
    names = {
        name
        for home in (torch, F)
        for name in dir(home)
        if "pool" in name and not name.startswith(("_", "mkldnn", "quantized", "fractional"))
        if "unpool" not in name and not ("adaptive_max" in name and "indices" in name)
        if not (home is torch and "adaptive_max" in name)  # with indices
    }
    known = {function.__name__ for function in flexpool.drop_in.functions.FUNCTIONS}
    assert names <= known | {"adaptive_avg_pool1d"}


def test_as_a_decorator(x, taken):
    @flexpool.accelerated()
    def pool(x, size):
        """Pool."""
        return F.max_pool2d(x, size)

    assert torch.equal(pool(x, 2), F.max_pool2d(x, 2))
    assert torch.equal(pool(x, size=2), F.max_pool2d(x, 2))
    assert taken == ["max", "max"]
    assert (pool.__name__, pool.__doc__) == ("pool", "Pool.")


def test_blocks_in_blocks_and_again(x, taken):
    block = flexpool.accelerated()
    with block, flexpool.accelerated():
        with block:
            F.max_pool2d(x, 2)
        F.max_pool2d(x, 2)
    F.max_pool2d(x, 2)
    assert taken == ["max", "max"]


def test_an_error_ends_the_block(x, taken):
    with pytest.raises(RuntimeError, match="pad should be at most half"), flexpool.accelerated():
        F.max_pool2d(x, 2, padding=2)
    with pytest.raises(ZeroDivisionError), flexpool.accelerated():
        1 / 0  # noqa: B018
    F.max_pool2d(x, 2)
    assert not taken


def test_another_thread_is_not_in_the_block(x, taken):
    with flexpool.accelerated():
        thread = threading.Thread(target=lambda: F.max_pool2d(x, 2))
        thread.start()
        thread.join()
    assert not taken


def test_the_backward_pass_may_come_later(x, taken):
    one, other = x.clone().requires_grad_(), x.clone().requires_grad_()
    with flexpool.accelerated():
        y = F.max_pool2d(one, 2)
    y.square().sum().backward()
    F.max_pool2d(other, 2).square().sum().backward()
    assert taken == ["max"]
    assert torch.equal(one.grad, other.grad)


def test_programs_that_are_compiled_inside_or_around(x):
    pool = nn.Sequential(nn.Conv2d(4, 4, 3), nn.MaxPool2d(2))
    expected = pool(x)

    def block(x):
        with flexpool.accelerated():
            return pool(x)

    torch.testing.assert_close(
        torch.compile(block, backend="aot_eager", fullgraph=True)(x), expected
    )
    with flexpool.accelerated():
        torch.testing.assert_close(
            torch.compile(pool, backend="aot_eager", fullgraph=True)(x), expected
        )
        program = torch.export.export(pool, (x,))
    assert "flexpool" not in str(program.graph)


def test_a_function_that_takes_another_argument_raises_torchs_error(x):
    for wrong in ({"colour": 1}, {"divisor_override": 2}):
        messages = []
        for where in (torch.enable_grad(), flexpool.accelerated()):
            with where, pytest.raises(TypeError) as raised:
                F.avg_pool1d(x[0], 2, **wrong)
            messages.append(str(raised.value))
        assert messages[0] == messages[1]


class Marked(torch.Tensor):
    """A subclass that rules over its own functions."""


def test_subclasses_of_tensors_keep_their_say(x, taken):
    with flexpool.accelerated():
        assert type(F.max_pool2d(x.as_subclass(Marked), 2)) is Marked
    assert not taken


def pool_in_all_ways(x):
    """Pool by functions in C, by functions in Python that call those, and by one with a flag."""
    return (
        *(torch.max_pool2d(x, 2), F.avg_pool2d(x, 2), F.avg_pool1d(x[0], 2)),
        *(F.max_pool2d(x, 2), F.lp_pool2d(x, 2.0, 2), F.adaptive_avg_pool2d(x, 3)),
        *(F.adaptive_max_pool2d(x, 3), F.max_pool2d(x, 2, return_indices=True)[1]),
    )


def test_modes_of_functions_are_told_what_they_are_told_outside(x, taken):
    outside, inside = Heard(), Heard()
    with outside:
        pool_in_all_ways(x)
    with flexpool.accelerated():
        with inside:
            pool_in_all_ways(x)
        taken.clear()
        F.avg_pool2d(x, 2)
    assert inside.functions == outside.functions
    assert taken == ["avg"]


# What a graph calls, in TorchScript's words and in those of torch.fx.
CALLED = re.compile(r"aten::\w+|%\w+ : .*=.*target=.*")


def net_of_functions():
    """Make a net that pools in every way, of a class that TorchScript has not seen before."""

    class Net(nn.Module):
        def forward(self, x):
            a, b = torch.max_pool2d(x, 2), F.avg_pool2d(x, 2)
            c, d = F.max_pool2d(x, 2), F.lp_pool2d(x, 2.0, 2)
            e, f = F.adaptive_avg_pool2d(x, 3), F.adaptive_max_pool2d(x, 3)
            return a, b, c, d, e, f, F.max_pool2d(x, 2, return_indices=True)[1]

    return Net()


@pytest.mark.filterwarnings("ignore:.*TorchScript|.*torch.jit:DeprecationWarning")
@pytest.mark.parametrize(
    "recorded",
    [
        lambda net, _: torch.jit.script(net),
        lambda net, x: torch.jit.trace(net, x, check_trace=False),
        lambda net, _: fx.symbolic_trace(net),
    ],
    ids=["script", "trace", "fx"],
)
def test_programs_that_are_recorded_inside_are_those_of_outside(recorded, x, taken):
    outside = recorded(net_of_functions(), x)
    with flexpool.accelerated():
        inside = recorded(net_of_functions(), x)
    assert CALLED.findall(str(inside.graph)) == CALLED.findall(str(outside.graph))
    for found, expected in zip(inside(x), net_of_functions()(x), strict=True):
        torch.testing.assert_close(found, expected)
    assert not taken


def test_a_block_in_a_compiled_program_that_breaks(x):
    def pool(x):
        with flexpool.accelerated():
            y = F.max_pool2d(x, 2)
            torch._dynamo.graph_break()
            return F.max_pool2d(y, 2)

    found = torch.compile(pool, backend="aot_eager")(x)
    assert torch.equal(found, pool(x))
    assert not block._here.blocks
    assert not block._inside


def functions():
    return [getattr(home, name) for home, name, *_ in block._PLACES]


def test_every_function_is_back_when_the_last_thread_has_left(x, taken):
    before = functions()
    entered, leave = threading.Event(), threading.Event()

    def work():
        with flexpool.accelerated():
            entered.set()
            leave.wait(30)

    thread = threading.Thread(target=work)
    thread.start()
    assert entered.wait(30)
    with flexpool.accelerated():
        pass
    assert not set(functions()) & set(before)  # the other is still inside
    F.max_pool2d(x, 2)
    assert not taken
    leave.set()
    thread.join()
    assert functions() == before


def test_a_function_that_somebody_else_put_there_stays(x, monkeypatch):
    def other(*args, **kwargs):
        return "another"

    with flexpool.accelerated():
        monkeypatch.setattr(F, "avg_pool2d", other)
    assert F.avg_pool2d is other
    with flexpool.accelerated():
        assert F.avg_pool2d(x, 2) == "another"
    assert F.avg_pool2d is other
    monkeypatch.undo()


def test_a_function_kept_from_inside_pools_outside_as_pytorchs(x, taken):
    with flexpool.accelerated():
        kept = F.avg_pool2d
    assert torch.equal(kept(x, 2), F.avg_pool2d(x, 2))
    assert not taken
