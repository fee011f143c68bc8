"""Derivatives of every order, and torch.func's transforms."""

import itertools

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck
from torch.func import grad, jacrev, vmap

import flexpool
from functional.cases import COMPILED, OPERATORS, apart, arrays_for, seed_for, tensors
from turns import but_for, in_turns

# Under vmap PyTorch loops where it cannot batch an operation, and says so.
pytestmark = pytest.mark.filterwarnings("ignore:There is a performance drop:UserWarning")


# Compiling takes seconds, as do derivatives of many numbers: the others are heavy.
ALL = list(itertools.product(OPERATORS, (False, True), ("auto", "eager")))
QUICK = [(*pair, "eager") for pair in in_turns(OPERATORS, (False, True))]
QUICK += [(*pair, "auto") for pair in in_turns(COMPILED, (True, False))]


def inputs_for(made, per_channel, where, shape):
    """Draw what the windows are given, all of which are to be differentiated."""
    x = apart(shape)
    kernel = (where[0],) * (len(shape) - 2)
    values = arrays_for(made, x, kernel, flexpool.max_pool(x, *where).shape[2:], per_channel)
    return {"x": torch.tensor(x, requires_grad=True), **tensors(values)}


@pytest.mark.parametrize(("name", "per_channel", "backend"), but_for(QUICK, ALL))
def test_first_and_second_derivatives(name, per_channel, backend):
    """Along a line, for which tests/ops compiles the same kernels."""
    made, where = OPERATORS[name], (4, 2, 2)
    leaves = inputs_for(made, per_channel, where, (2, 2, 7))

    def function(x, *values):
        given = dict(zip(list(leaves)[1:], values, strict=True))
        return flexpool.pool(x, made, *where, **seed_for(made), **given, backend=backend)

    assert gradcheck(function, tuple(leaves.values()))
    assert gradgradcheck(function, tuple(leaves.values()))


@pytest.mark.parametrize("name", ["soft", "lp"])
def test_third_derivatives(name):
    x = inputs_for(OPERATORS[name], False, (2, 1), (1, 1, 2, 3))["x"]

    def slope(x):
        (first,) = torch.autograd.grad(flexpool.pool(x, name, 2, 1).sum(), x, create_graph=True)
        return first

    assert gradgradcheck(slope, (x,))


def test_only_what_is_read_is_kept():
    x = torch.randn(2, 3, 4, 4, requires_grad=True)
    assert [t for t in flexpool.max_pool(x, 2).grad_fn.saved_tensors if t is not None] == [x]
    assert all(t is None for t in flexpool.avg_pool(x, 2).grad_fn.saved_tensors)


def test_a_gradient_that_nobody_wants_is_not_computed():
    x = torch.randn(2, 3, 4, 4)
    p = torch.tensor(2.0, requires_grad=True)
    flexpool.lp_pool(x, 2, p=p).sum().backward()
    assert x.grad is None
    assert p.grad.shape == ()


@pytest.mark.parametrize("shape", [(4,), (4, 1), (4, 2)])
def test_vmap_over_inputs_and_parameters(shape):
    x = torch.rand(4, 2, 2, 4, 4, dtype=torch.float64)
    p = torch.rand(shape, dtype=torch.float64) + 1

    def loss(x, p):
        return flexpool.lp_pool(x, 2, p=p).pow(2).sum()

    def alone(function):
        return torch.stack([function(*each) for each in zip(x, p, strict=True)])

    def pooled(x, p):
        return flexpool.lp_pool(x, 2, p=p)

    for function in (pooled, grad(loss), grad(loss, argnums=1)):
        torch.testing.assert_close(vmap(function)(x, p), alone(function))
    per_example = vmap(grad(loss, argnums=1), (0, None))(x, p[0])
    single = torch.stack([grad(loss, argnums=1)(each, p[0]) for each in x])
    torch.testing.assert_close(per_example, single)


def test_vmap_over_weights_and_other_axes():
    x = torch.rand(4, 2, 2, 4, 4, dtype=torch.float64)
    w = torch.rand(4, 2, 2, dtype=torch.float64)
    together = vmap(lambda x, w: flexpool.blur_pool(x, 2, weight=w))(x, w)
    alone = [flexpool.blur_pool(a, 2, weight=b) for a, b in zip(x, w, strict=True)]
    torch.testing.assert_close(together, torch.stack(alone))
    moved = vmap(lambda x: flexpool.soft_pool(x, 2), in_dims=2, out_dims=2)(x.movedim(0, 2))
    torch.testing.assert_close(moved.movedim(2, 0), vmap(lambda x: flexpool.soft_pool(x, 2))(x))
    logits = torch.rand(2, 2, 4, 4, dtype=torch.float64)
    together = vmap(lambda x: flexpool.lip_pool(x, 2, logits=logits))(x)
    torch.testing.assert_close(together[3], flexpool.lip_pool(x[3], 2, logits=logits))
    indices = vmap(lambda x: flexpool.max_pool(x, 2, return_indices=True)[1])(x)
    assert torch.equal(indices[1], flexpool.max_pool(x[1], 2, return_indices=True)[1])


def test_vmap_of_random_operators_draws_as_alone():
    x = torch.rand(4, 2, 2, 4, 4)
    together = vmap(lambda x: flexpool.stochastic_pool(x, 2, seed=5))(x)
    alone = torch.stack([flexpool.stochastic_pool(each, 2, seed=5) for each in x])
    assert torch.equal(together, alone)
    drawn = vmap(grad(lambda x: flexpool.stochastic_pool(x, 2).sum()), randomness="different")
    assert (drawn(x).sum((1, 2, 3, 4)) == 16).all()


def test_jacobian_and_hessian():
    x = torch.rand(1, 1, 2, 4, dtype=torch.float64)

    def pooled(x):
        return flexpool.soft_pool(x, 2)

    want = torch.autograd.functional.jacobian(pooled, x)
    torch.testing.assert_close(jacrev(pooled)(x), want)
    hessian = jacrev(jacrev(lambda x: pooled(x).sum()))(x)
    want = torch.autograd.functional.hessian(lambda x: pooled(x).sum(), x)
    torch.testing.assert_close(hessian, want)


@pytest.mark.parametrize(
    "pool",
    [
        lambda x: flexpool.soft_pool(x, 2, 1),
        lambda x: flexpool.soft_pool(x[0], 2, 1),
        lambda x: flexpool.lip_pool(x, 2, logits=x),
        lambda x: flexpool.stochastic_pool(x.exp(), 2, seed=1),
    ],
)
def test_many_gradients_at_once(pool):
    x, jacobian = torch.arange(12.0).sin().view(1, 1, 3, 4), torch.autograd.functional.jacobian
    torch.testing.assert_close(jacobian(pool, x, vectorize=True), jacobian(pool, x))
