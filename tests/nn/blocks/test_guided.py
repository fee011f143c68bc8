"""Poolings that the whole map has a say in."""

import numpy as np
import pytest
import torch

from flexpool.errors import ArgumentError
from flexpool.nn import GFGPPool2d, GuidedGaussianPool2d
from nn.blocks import by_hand

X = np.random.default_rng(0).normal(size=(4, 3, 7, 6))


def random(module):
    torch.manual_seed(0)
    for name, value in module.state_dict().items():
        if value.is_floating_point():
            torch.nn.init.uniform_(value, 0.5 if name.endswith("var") else -1, 2)
    return module.double()


def layer(seen, state, conv, norm):
    """A matrix and a normalisation, of (N, C)."""
    mixed = seen @ state[f"{conv}.weight"][:, :, 0, 0].T + state[f"{conv}.bias"]
    scale = state[f"{norm}.weight"] / np.sqrt(state[f"{norm}.running_var"] + 1e-5)
    return (mixed - state[f"{norm}.running_mean"]) * scale + state[f"{norm}.bias"]


def softplus(x):
    return np.log1p(np.exp(x))


@pytest.mark.parametrize("activation", ["sigmoid", "softplus"])
@pytest.mark.parametrize("window", [(2, 2, 0), (3, 2, 1)])
def test_gfgp_by_hand(activation, window):
    pool = random(GFGPPool2d(3, *window, activation=activation, hidden=2)).eval()
    state = by_hand.arrays(pool.to_beta)
    hidden = np.maximum(layer(X.mean((2, 3)), state, 1, 2), 0)
    number = layer(hidden, state, 4, 5)
    beta = by_hand.sigmoid(number) if activation == "sigmoid" else softplus(number)
    y = pool(torch.from_numpy(X)).detach().numpy()
    for (n, c, u, v), values in by_hand.each_window(X, *window):
        weights = np.exp(beta[n, c] * values)
        assert y[n, c, u, v] == pytest.approx(np.sum(weights * values) / np.sum(weights), rel=1e-10)


def test_gfgp_of_values_far_below_zero():
    """Where every e^(beta x) underflows, weights relative to the largest do not."""
    pool = random(GFGPPool2d(3)).eval().float()
    low = torch.tensor([-2000.0, -1000.0]).view(1, 1, 1, 2).expand(1, 3, 2, 2)
    torch.testing.assert_close(pool(low), torch.full((1, 3, 1, 1), -1000.0))


def gaussian(pool, noise, window):
    state = by_hand.arrays(pool)
    average = X.mean((2, 3))
    hidden = np.maximum(layer(average, state, "to_hidden.1", "to_hidden.2"), 0)
    mu = layer(hidden, state, "to_mean.0", "to_mean.1")
    sigma = by_hand.sigmoid(layer(hidden, state, "to_scale.0", "to_scale.1"))
    eta = softplus(mu[..., None, None] + sigma[..., None, None] * noise)
    mean = by_hand.pool(X, np.mean, *window)
    spread = by_hand.pool(X, lambda v: np.sqrt(max(v.var(), 1e-6)), *window)
    return mean + eta * spread


@pytest.mark.parametrize("window", [(2, 2, 0), (3, 2, 1)])
def test_gaussian_in_evaluation_by_hand(window):
    pool = random(GuidedGaussianPool2d(3, *window)).eval()
    y = pool(torch.from_numpy(X)).detach().numpy()
    np.testing.assert_allclose(y, gaussian(pool, 0, window), rtol=1e-10)


@pytest.mark.parametrize("noise", ["window", "map"])
def test_gaussian_in_training_by_hand_from_torchs_numbers(noise):
    pool = random(GuidedGaussianPool2d(3, noise=noise)).train()
    for module in pool.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()  # the oracle has running statistics
    torch.manual_seed(5)
    y = pool(torch.from_numpy(X)).detach().numpy()
    torch.manual_seed(5)
    z = torch.randn((4, 3, 3, 3) if noise == "window" else (4, 3, 1, 1), dtype=torch.float64)
    np.testing.assert_allclose(y, gaussian(pool, z.numpy(), (2, 2, 0)), rtol=1e-10)


def test_deviation_of_large_values_keeps_its_digits():
    """E[x^2] - m^2 has none left at 1e4 in float32."""
    pool = random(GuidedGaussianPool2d(1)).eval().float()
    with torch.no_grad():
        pool.to_mean[1].weight.zero_()
        pool.to_mean[1].bias.fill_(np.log(np.e - 1))  # softplus of it is 1
    x = torch.tensor([[[[1e4, 1e4 + 2], [1e4, 1e4 + 2]]]])
    assert pool(x).item() == pytest.approx(1e4 + 2, abs=2e-3)


def test_equal_values_have_a_gradient_and_one_channel_a_hidden_layer():
    pool = GuidedGaussianPool2d(1)
    assert pool.hidden == 1
    x = torch.ones(2, 1, 2, 2, requires_grad=True)
    pool(x).sum().backward()
    assert x.grad.isfinite().all()


@pytest.mark.parametrize(
    ("build", "text"),
    [
        (
            lambda: GFGPPool2d(3, activation="relu"),
            "GFGPPool2d: expected activation to be 'sigmoid' or 'softplus', got 'relu'.",
        ),
        (
            lambda: GuidedGaussianPool2d(3, noise="HWCN"),
            "GuidedGaussianPool2d: expected noise to be 'window' or 'map', got 'HWCN'.",
        ),
        (
            lambda: GuidedGaussianPool2d(3, hidden=0),
            "GuidedGaussianPool2d: expected hidden to be an int > 0, got 0.",
        ),
    ],
)
def test_refused(build, text):
    with pytest.raises(ArgumentError) as caught:
        build()
    assert str(caught.value) == text


@pytest.mark.parametrize("module", [GFGPPool2d, GuidedGaussianPool2d])
def test_a_single_image_is_trained_with_the_statistics_so_far(module):
    pool = random(module(3)).train()
    before = {name: value.clone() for name, value in pool.named_buffers()}
    y = pool(torch.from_numpy(X[:1]))
    assert all(torch.equal(value, before[name]) for name, value in pool.named_buffers())
    if module is GFGPPool2d:
        torch.testing.assert_close(y, pool.eval()(torch.from_numpy(X[:1])))
