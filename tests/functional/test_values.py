"""NumPy and PyTorch, every operator and kind of argument, against the definition."""

import itertools

import numpy as np
import pytest
import torch

import flexpool
from functional.cases import COMPILED, OPERATORS, apart, arrays_for, seed_for, tensors
from tolerance import assert_close
from turns import but_for, in_turns

WINDOWS = {
    "k2": (2,),
    "k3s2p1": (3, 2, 1),
    "asymmetric": ((3, 2), (1, 2), ((0, 1), (1, 0)), 1, True),
    "dilated": (2, 1, 0, 2),
    "same": (3, 2, "same"),
}
# Compiling takes seconds: other pairs are left to `make test-all`.
PAIRS = but_for(in_turns(COMPILED, WINDOWS), itertools.product(OPERATORS, WINDOWS))


@pytest.mark.parametrize(("name", "where"), PAIRS)
@pytest.mark.parametrize("per_channel", [False, True], ids=["one", "per channel"])
def test_numpy_and_torch_equal_the_definition(name, where, per_channel):
    made, window = OPERATORS[name], WINDOWS[where]
    x = apart((2, 3, 6, 5))
    outputs = flexpool.max_pool(x, *window).shape[2:]
    kernel = window[0] if isinstance(window[0], tuple) else (window[0],) * 2
    values = arrays_for(made, x, kernel, outputs, per_channel)
    settings = seed_for(made)
    want = flexpool.pool(x, made, *window, **settings, **values, backend="interpret")
    got = flexpool.pool(x, made, *window, **settings, **values)
    assert isinstance(got, np.ndarray)
    assert got.dtype == np.float64
    assert_close(got, want, "float64", 1)
    given = {name: torch.tensor(value) for name, value in values.items()}
    for backend in ("auto", "eager", "interpret"):
        y = flexpool.pool(torch.tensor(x), made, *window, **settings, **given, backend=backend)
        assert_close(y, want, "float64", 1)


@pytest.mark.parametrize("name", but_for(COMPILED, OPERATORS))
def test_gradients_equal_the_definition(name):
    made, x = OPERATORS[name], apart((2, 3, 6, 5))
    values = arrays_for(made, x, (2, 2), (5, 4), per_channel=True)
    grad_y = apart((2, 3, 5, 4))
    wanted = ("x", *values)
    settings = dict(wanted=wanted, **seed_for(made), **values)
    want = flexpool.pool_backward(grad_y, x, made, 2, 1, backend="interpret", **settings)
    got = flexpool.pool_backward(grad_y, x, made, 2, 1, **settings)
    assert list(got) == list(wanted)
    leaves = {"x": torch.tensor(x, requires_grad=True), **tensors(values)}
    given = {n: leaf for n, leaf in leaves.items() if n != "x"}
    y = flexpool.pool(leaves["x"], made, 2, 1, **seed_for(made), **given)
    y.backward(torch.tensor(grad_y))
    direct = flexpool.pool_backward(
        torch.tensor(grad_y), leaves["x"], made, 2, 1, wanted=wanted, **seed_for(made), **given
    )
    for n in wanted:
        assert_close(got[n], want[n], "float64", 10)
        gradient = leaves[n].grad
        assert_close(
            0 * leaves[n].detach() if gradient is None else gradient, want[n], "float64", 10
        )
        assert_close(direct[n].detach(), want[n], "float64", 10)


def test_gradients_of_numbers_and_defaults_and_what_was_broadcast():
    x, grad_y = apart((2, 3, 4, 4)), apart((2, 3, 2, 2))
    one = flexpool.pool_backward(grad_y, x, "lp", 2, p=3.0, wanted=("p",))
    each = flexpool.pool_backward(grad_y, x, "lp", 2, p=np.full(3, 3.0), wanted=("p",))
    assert one["p"].shape == ()
    assert each["p"].shape == (3,)
    assert_close(one["p"], each["p"].sum(), "float64", 1)
    weights = flexpool.pool_backward(grad_y, x, "blur", 2, wanted=("weight",))["weight"]
    assert weights.shape == (2, 2)
    one_image = apart((1, 3, 4, 4))
    both = np.broadcast_to(one_image, x.shape)
    short = flexpool.pool_backward(grad_y, x, "lip", 2, logits=one_image, wanted=("logits",))
    long = flexpool.pool_backward(grad_y, x, "lip", 2, logits=both, wanted=("logits",))
    assert_close(short["logits"][0], long["logits"].sum(0), "float64", 1)
    row = apart((4,))
    whole = np.broadcast_to(row, x.shape)
    short = flexpool.pool_backward(grad_y, x, "lip", 2, logits=row, wanted=("logits",))
    long = flexpool.pool_backward(grad_y, x, "lip", 2, logits=whole, wanted=("logits",))
    assert_close(short["logits"], long["logits"].sum((0, 1, 2)), "float64", 1)


@pytest.mark.parametrize(
    "shape", [(2, 3, 9), (2, 3, 5, 4), (1, 2, 4, 5, 3)], ids=["1d", "2d", "3d"]
)
def test_unbatched_adaptive_and_global(shape):
    x, d = apart(shape), len(shape) - 2
    whole = flexpool.soft_pool(x, 2)
    np.testing.assert_array_equal(flexpool.soft_pool(x[0], 2, dimensions=d), whole[0])
    np.testing.assert_array_equal(flexpool.soft_pool(x[0], (2,) * d), whole[0])
    assert flexpool.adaptive_pool(x, "avg", 2).shape == (*shape[:2], *(2,) * d)
    axes = tuple(range(2, d + 2))
    np.testing.assert_allclose(flexpool.global_pool(x, "avg"), x.mean(axes, keepdims=True))
    tensor = torch.tensor(x[0])
    torch.testing.assert_close(flexpool.soft_pool(tensor, (2,) * d), torch.tensor(whole[0]))
    mean = x[0].mean(tuple(range(1, d + 1)), keepdims=True)
    np.testing.assert_allclose(flexpool.global_pool(tensor, "avg", dimensions=d), mean)


def test_values_broadcast_and_belong_to_unbatched_inputs():
    x = apart((2, 3, 4, 4))
    row = apart((4,))
    want = flexpool.lip_pool(x, 2, logits=np.broadcast_to(row, x.shape))
    np.testing.assert_array_equal(flexpool.lip_pool(x, 2, logits=row), want)
    np.testing.assert_array_equal(flexpool.lip_pool(x[0], (2, 2), logits=row), want[0])
    tensor, logits = torch.tensor(x), torch.tensor(row, requires_grad=True)
    flexpool.lip_pool(tensor[0], (2, 2), logits=logits).sum().backward()
    assert logits.grad.shape == (4,)


def test_bound_arguments_are_defaults():
    x = apart((2, 3, 4, 4))
    third = flexpool.operators()["lp"](p=3.0)
    per_channel = flexpool.operators()["lp"](p=np.full(3, 3.0))
    want = flexpool.lp_pool(x, 2, p=3)
    np.testing.assert_array_equal(flexpool.pool(x, third, 2), want)
    # A number is part of the compiled formula, x * x * x; an array is read: pow(x, p).
    np.testing.assert_allclose(flexpool.pool(x, per_channel, 2), want, rtol=1e-14)
    np.testing.assert_array_equal(flexpool.pool(x, third, 2, p=1.0), flexpool.lp_pool(x, 2, p=1))
    np.testing.assert_array_equal(
        flexpool.pool(x, per_channel, 2, p=1.0), flexpool.lp_pool(x, 2, p=1)
    )


def test_a_users_own_function():
    x = apart((2, 3, 4, 4))
    got = flexpool.pool(x, lambda x, a=2.0: a * x.max(), 2, a=3)
    np.testing.assert_allclose(got, 3 * flexpool.max_pool(x, 2))


@pytest.mark.parametrize("empty", [(0, 3, 4, 4), (2, 0, 4, 4)])
def test_an_empty_batch(empty):
    x = np.zeros(empty, np.float32)
    assert flexpool.soft_pool(x, 2).shape == (*empty[:2], 2, 2)
    assert flexpool.pool_backward(x[..., ::2, ::2], x, "soft", 2)["x"].shape == empty
    tensor = torch.tensor(x, requires_grad=True)
    p = torch.ones((), requires_grad=True)
    y = flexpool.lp_pool(tensor, 2, p=p)
    y.sum().backward()
    assert y.shape == (*empty[:2], 2, 2)
    assert tensor.grad.shape == empty
    assert p.grad == 0
    assert flexpool.max_pool(tensor, 2, return_indices=True)[1].shape == y.shape


def test_seeds_repeat_and_are_drawn_when_left_out():
    x = apart((4, 8, 8, 8))
    first = flexpool.stochastic_pool(x, 2, seed=3)
    np.testing.assert_array_equal(first, flexpool.stochastic_pool(x, 2, seed=3))
    assert (first != flexpool.stochastic_pool(x, 2, seed=4)).any()
    assert (flexpool.stochastic_pool(x, 2) != flexpool.stochastic_pool(x, 2)).any()
    tensor = torch.tensor(x)
    np.testing.assert_array_equal(flexpool.stochastic_pool(tensor, 2, seed=3), first)
    torch.manual_seed(1)
    one = flexpool.stochastic_pool(tensor, 2)
    assert not torch.equal(one, flexpool.stochastic_pool(tensor, 2))
    torch.manual_seed(1)
    assert torch.equal(one, flexpool.stochastic_pool(tensor, 2))
    quiet = flexpool.stochastic_pool(x, 2, training=False)
    np.testing.assert_array_equal(quiet, flexpool.stochastic_pool(x, 2, training=False))


def test_the_gradient_belongs_to_the_draw():
    x = torch.tensor(apart((2, 3, 4, 4)), requires_grad=True)
    y = flexpool.stochastic_pool(x, 2)
    y.sum().backward()
    assert torch.equal((x * x.grad).sum(), y.sum())
