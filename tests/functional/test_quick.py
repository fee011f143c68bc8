"""Calls that bring a tensor alone take a shorter way, to the same results and errors."""

import itertools
import pickle

import pytest
import torch

import flexpool
from flexpool import nn, torch_alone
from flexpool.errors import ArgumentError, ShapeError
from turns import but_for, in_turns


@pytest.fixture
def alone(monkeypatch):
    """List the calls that took the shorter way."""
    taken, original = [], torch_alone._way

    def noted(*about):
        way = original(*about)
        taken.extend(["alone"] if way is not None else [])
        return way

    monkeypatch.setattr(torch_alone, "_way", noted)
    return taken


def _input(*shape, dtype=torch.float32):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(
        dtype
    )


def _step(pool, x, weights):
    leaf = x.clone().requires_grad_()
    y = pool(leaf)
    return y, torch.autograd.grad(y, leaf, weights(y))[0]


ALONE = (
    nn.SoftPool2d(2),
    nn.SoftPool2d(3, stride=2, padding=1, ceil_mode=True),
    nn.LPPool2d(3, 2),
    nn.GlobalSoftPool2d(),  # a plane that is worked off as one line
    nn.AdaptiveSoftPool2d((2, 3)),
    nn.MedianPool2d(3),
)
DTYPES = (torch.float32, torch.float64, torch.bfloat16)


@pytest.mark.parametrize(
    "gradient",
    [
        lambda y: torch.arange(1.0, y.numel() + 1, dtype=y.dtype).view(y.shape),
        lambda y: torch.ones((), dtype=y.dtype).expand_as(y),
        lambda y: torch.arange(1.0, 2 * y.numel() + 1, dtype=y.dtype).view(*y.shape, 2)[..., 0],
    ],
    ids=["plain", "one number for all", "every second"],
)
@pytest.mark.parametrize(
    ("module", "dtype"),
    but_for(in_turns(ALONE, DTYPES), itertools.product(ALONE, DTYPES)),
    ids=str,
)
def test_the_same_as_the_general_way(alone, module, gradient, dtype):
    x = _input(2, 3, 6, 7, dtype=dtype)
    y, grad_x = _step(module, x, gradient)
    assert alone == ["alone"]
    alone.clear()
    wanted = _step(_by("eager", module), x, gradient)
    torch.testing.assert_close(y, wanted[0])
    torch.testing.assert_close(grad_x, wanted[1])


def _by(backend, module):
    other = pickle.loads(pickle.dumps(module))  # noqa: S301 - our own bytes
    other.backend = backend
    return other


def test_functions_take_it_too(alone):
    x = _input(1, 2, 4, 6)
    for call in (
        lambda x, **k: flexpool.soft_pool(x, 2, **k),
        lambda x, **k: flexpool.soft_pool(x, (2, 3), 1, dimensions=2, **k),
        lambda x, **k: flexpool.lp_pool(x, 2, p=3, **k),
        lambda x, **k: flexpool.pool(x, "soft", 2, **k),
        lambda x, **k: flexpool.global_pool(x, "soft", **k),
        lambda x, **k: flexpool.adaptive_pool(x, "soft", (2, None), **k),
    ):
        alone.clear()
        y = call(x)
        assert alone == ["alone"]
        torch.testing.assert_close(y, call(x, backend="eager"))


@pytest.mark.parametrize(
    "call",
    [
        lambda x: nn.SoftPool2d(2)(x[0]),
        lambda x: nn.SoftPool2d(2)(x[..., ::2]),
        lambda x: nn.SoftPool2d(2)(x.contiguous(memory_format=torch.channels_last)),
        lambda x: nn.SoftPool2d(2)(torch.nn.Parameter(x)),
        lambda x: nn.SoftPool2d(2)(x[:0]),
        lambda x: nn.SoftPool2d(2, backend="eager")(x),
        lambda x: nn.GemPool2d(2)(x),
        lambda x: nn.LipPool2d(2)(x, x),
        lambda x: nn.MaxPool2d(2, return_indices=True, backend="numba")(x),
        lambda x: nn.StochasticPool2d(2)(x.abs()),
        lambda x: flexpool.stochastic_pool(x.abs(), 2, seed=1),
        lambda x: torch.func.vmap(nn.SoftPool2d(2))(x[None]),
    ],
)
def test_whoever_brings_more_goes_the_general_way(alone, call):
    call(_input(1, 2, 4, 6))
    assert not alone


def test_second_derivatives():
    x = _input(1, 1, 3, 4, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradgradcheck(nn.SoftPool2d(2, 1), (x,))


def test_results_of_equal_calls_are_their_own():
    module = nn.SoftPool2d(2)
    first = module(torch.zeros(1, 1, 4, 4))
    second = module(torch.ones(1, 1, 4, 4))
    assert first.unique().tolist() == [0.0]
    assert second.unique().tolist() == [1.0]


def test_calls_that_differ_in_a_number_only():
    x = torch.tensor([[[[1.0, 2.0, 0.0]]]])
    first, second = nn.LPPool2d(2.5, (1, 2)), nn.LPPool2d(3.5, (1, 2))
    for norm in (first, second, first):
        p = norm.norm_type
        assert norm(x)[..., 0].item() == pytest.approx((1 + 2**p) ** (1 / p))


def test_what_is_set_later_counts():
    x = torch.tensor([[[[3.0, 4.0]]]])
    norm = nn.LPPool2d(2, (1, 2))
    assert norm(x).item() == pytest.approx(5)
    norm.norm_type = 1
    assert norm(x).item() == 7
    norm.norm_type = float("inf")
    assert norm(x).item() == 4
    chance = nn.StochasticPool2d((1, 2))
    chance.eval()
    assert chance(x).item() == pytest.approx(25 / 7)
    chance.train()
    assert {chance(x).item() for _ in range(50)} == {3.0, 4.0}


def test_what_was_looked_up_is_not_kept_with_a_module():
    module = nn.SoftPool2d(2)
    before = pickle.dumps(module)
    module(torch.zeros(1, 1, 4, 4))
    assert pickle.dumps(module) == before


def test_errors_name_the_call():
    for _ in range(2):
        with pytest.raises(ShapeError, match="^soft_pool: expected"):
            flexpool.soft_pool(torch.zeros(1, 1, 3, 3), 4)
        with pytest.raises(ShapeError, match="^SoftPool2d: expected"):
            nn.SoftPool2d(4)(torch.zeros(1, 1, 3, 3))
        with pytest.raises(ArgumentError, match="^global_pool: expected p"):
            flexpool.global_pool(torch.zeros(1, 1, 3, 3), "lp", p=-1)
