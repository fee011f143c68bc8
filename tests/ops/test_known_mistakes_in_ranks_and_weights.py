"""Mistakes that were found in programs for these operators, one test for each."""

import copy

import numpy as np
import pytest
import torch

import flexpool
from flexpool import nn
from running import along_a_line

DEVIATION = ["edscw", "idw", "ada", "dpp"]


def value_and_slopes(name, values, settings=None, backend="interpret", **keywords):
    call = along_a_line(name, values, settings, **keywords)
    return call.value(backend).item(), call.gradient(backend, np.ones((1, 1, 1)))


@pytest.mark.parametrize("name", DEVIATION)
@pytest.mark.parametrize("value", [0.0, 2.0, -2.0])
def test_equal_values(name, value):
    """A weight of 0 / 0 or 1 / 0 made NaN or 1e38 of equal values, or lost their slope."""
    y, slopes = value_and_slopes(name, [value] * 4)
    assert y == pytest.approx(value, abs=1e-15)
    np.testing.assert_allclose(slopes["x"], 0.25, rtol=1e-12)


def test_a_value_that_is_the_mean():
    """An inverse distance without an epsilon is infinite there."""
    y, slopes = value_and_slopes("idw", [1.0, 3.0, 2.0, 2.0])
    assert y == pytest.approx(2)
    assert np.isfinite(slopes["x"]).all()


@pytest.mark.parametrize("value", [90.0, -200.0])
def test_exponentials_do_not_overflow(value):
    """exp(90) is infinite in float32, exp(-200) is 0: the result was clamped to what is left."""
    call = along_a_line("ada", [value, value - 1, value - 1, value - 1], {"beta": 0.0})
    want = value - 3 / (3 + np.e)
    np.testing.assert_allclose(call.value("eager-torch", "float32"), want, rtol=1e-6)


@pytest.mark.parametrize("name", DEVIATION)
def test_overlapping_windows(name):
    """Windows were counted as the size over the stride, which is right for few kernels only."""
    x = np.random.default_rng(0).normal(size=(1, 2, 8, 9))
    y = flexpool.pool(x, name, 3, 2, backend="eager")
    assert y.shape == (1, 2, 3, 4)
    for i, j in np.ndindex(3, 4):
        one = flexpool.pool(x[:, :, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3], name, 3, backend="eager")
        np.testing.assert_allclose(y[:, :, i, j], one[:, :, 0, 0], rtol=1e-12)


@pytest.mark.parametrize("name", [*DEVIATION, "gated", "ordinal"])
def test_the_weights_are_differentiated_too(name):
    """Weights that depend on the values were taken for constants."""
    values = np.array([0.5, -1.0, 2.0, 1.25])
    _, slopes = value_and_slopes(name, values)
    for i, slope in enumerate(slopes["x"].ravel()):
        step = 1e-6 * np.eye(4)[i]
        moved = (along_a_line(name, values + s) for s in (step, -step))
        rise = [call.value("interpret").item() for call in moved]
        assert slope == pytest.approx((rise[0] - rise[1]) / 2e-6, abs=1e-8)


def test_beta_gets_its_gradient_in_every_channel_and_image():
    """It was read out of bounds, and in one mode its gradient was never written."""
    beta = torch.full((3,), 0.5, requires_grad=True)
    x = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    flexpool.pool(x, "ada", 2, beta=beta, backend="eager").sum().backward()
    parts = [flexpool.pool(x, part, 2, backend="eager") for part in ("edscw", "soft")]
    torch.testing.assert_close(beta.grad, (parts[0] - parts[1]).sum((0, 2, 3)))


def test_beta_stays_between_0_and_1_and_comes_back():
    """A clamp that was not in place let beta leave [0, 1] in training."""
    pool, x = nn.AdaPool1d(4, beta=1.0, backend="eager"), torch.tensor([[[1.0, 2.0, 3.0, 7.0]]])
    with torch.no_grad():
        pool.beta.fill_(1.25)
    assert torch.equal(pool(x), nn.AdaPool1d(4, beta=1.0, backend="eager")(x))
    optimiser = torch.optim.SGD(pool.parameters(), lr=0.02)
    for _ in range(100):
        optimiser.zero_grad()
        ((pool(x) - 6) ** 2).sum().backward()
        optimiser.step()
    assert 0 < pool.beta.item() < 1
    assert pool(x).item() == pytest.approx(6, abs=1e-3)


def test_beta_need_not_be_trained():
    """A module that was told not to train it could not be made."""
    pool = nn.AdaPool2d(2, channels=3, learnable=False)
    assert list(pool.parameters()) == []
    assert pool.beta.shape == (3,)


def test_the_exponent_of_dpp():
    """e^lambda was taken for e^lambda / 2, and the sum for the mean; each by its own formula."""
    x, lambda_, alpha = np.array([1.0, 2.0, 4.0, 9.0]), 0.5, -0.25
    d = (x - x.mean()) ** 2 + 1e-3
    w = (d / d.mean()) ** (np.exp(lambda_) / 2) + np.exp(alpha)
    y, _ = value_and_slopes("dpp", x, {"lambda_": lambda_, "alpha": alpha})
    assert y == pytest.approx(np.average(x, weights=w), rel=1e-12)
    w = (d / d.sum()) ** (np.exp(lambda_) / 2) + np.exp(alpha)
    shifted = alpha + np.exp(lambda_) / 2 * np.log(4)
    y, _ = value_and_slopes("dpp", x, {"lambda_": lambda_, "alpha": shifted})
    assert y == pytest.approx(np.average(x, weights=w), rel=1e-12)


def test_a_gradient_grows_with_the_gradient_of_the_result():
    """The factor of the chain rule was missing in one."""
    call = along_a_line("dpp", [1.0, 2.0, 4.0, 9.0])
    once, thrice = (call.gradient("interpret", np.full((1, 1, 1), g)) for g in (1.0, 3.0))
    for name in ("x", "lambda_", "alpha"):
        np.testing.assert_allclose(thrice[name], 3 * once[name], rtol=1e-12)


@pytest.mark.parametrize("alpha", [-200.0, 50.0, 200.0])
def test_a_large_alpha_is_neither_changed_nor_infinite(alpha):
    """e^alpha overflowed, so the forward pass limited the parameter itself."""
    pool = nn.DppPool1d(4, alpha=alpha, backend="eager")
    y = pool(torch.tensor([[[0.0, 0.0, 0.0, 4.0]]]))
    assert torch.isfinite(y).all()
    assert pool.alpha.item() == alpha
    if alpha > 0:
        assert y.item() == pytest.approx(1)


def test_weights_of_ranks_add_up_to_1():
    """As printed they add up to 1 - (1 - a)^n, so that equal values shrink."""
    assert value_and_slopes("rank_weighted", [8.0] * 3)[0] == 8
    assert value_and_slopes("rank_weighted", [8.0] * 3, {"literal": True})[0] == 7


def test_some_rank_is_always_drawn():
    """With probability (1 - a)^n none was, and the result was whatever lay in memory."""
    x = np.tile([-1.0, -2.0], 2000)[None, None]
    y = flexpool.pool(x, "rank_stochastic", 2, a=0.125, seed=1, backend="eager")
    assert set(np.unique(y)) == {-1.0, -2.0}
    share = 1 / (2 - 0.125)
    assert abs((y == -1).mean() - share) < 4 * np.sqrt(share * (1 - share) / 2000)


def test_evaluation_draws_nothing_and_is_not_0():
    """The code for evaluation had been left out."""
    pool, x = nn.RankStochasticPool1d(2).eval(), torch.tensor([[[-4.0, -1.0]]])
    assert pool(x).item() == flexpool.rank_weighted_pool(x, 2).item() == -2


def test_negative_values_can_be_drawn():
    """A maximum over products with 0 and 1 turned them into 0."""
    y = flexpool.pool(-np.ones((1, 1, 64)), "rank_stochastic", 4, seed=0, backend="eager")
    assert (y == -1).all()


def test_one_of_several_maxima_gets_the_gradient():
    """Each of them got all of it."""
    _, slopes = value_and_slopes("gated", [3.0, 1.0, 3.0, 3.0], {"gate": np.zeros(4)})
    np.testing.assert_allclose(slopes["x"], [[[0.625, 0.125, 0.125, 0.125]]], rtol=1e-12)


def test_the_gain_of_haar():
    """Twice the average, which nobody had said; and odd sizes lost their last row."""
    x = np.arange(15.0).reshape(1, 1, 3, 5)
    y = flexpool.pool(x, "haar", 2, ceil_mode=True, backend="eager")
    assert y.shape == (1, 1, 2, 3)
    means = flexpool.pool(x, "avg", 2, ceil_mode=True, backend="eager")
    counts = np.array([[4, 4, 2], [2, 2, 1]])
    np.testing.assert_allclose(y, means * np.sqrt(counts), rtol=1e-12)


def test_weights_follow_their_module():
    """They were kept beside it, and stayed in float32, on another device and out of the state."""
    pool = nn.OrdinalPool1d(3, channels=2)
    assert list(pool.state_dict()) == ["weight"]
    assert copy.deepcopy(pool).double().weight.dtype == torch.float64
