"""Detail-preserving pooling with a learned guide."""

import numpy as np
import pytest
import torch

from flexpool.errors import ArgumentError
from flexpool.nn import DPPPool2d
from nn.blocks import by_hand

X = np.random.default_rng(0).normal(size=(2, 3, 7, 6))


def random(module, spread=0.5):
    torch.manual_seed(0)
    for weight in module.parameters():
        torch.nn.init.normal_(weight, std=spread)
    return module.double()


def average(values, guide, lambda_, alpha, symmetric):
    """The formula as it stands: relative distances, to a power, plus a constant."""
    h = values - guide if symmetric else np.maximum(values - guide, 0)
    d = h**2 + 1e-3
    w = (d / d.mean()) ** (np.exp(lambda_) / 2) + np.exp(alpha)
    return np.sum(w * values) / np.sum(w)


def by_windows(x, pool, kernel, stride, padding, first):
    """Pool by hand; ``first`` is how far the guide's filter begins before the window."""
    state = by_hand.arrays(pool)
    size = pool.guide_size
    wide = by_hand.beyond(x, 9, 9, "replicate")
    y = np.empty(pool(torch.from_numpy(x)).shape)
    for (n, c, u, v), values in by_hand.each_window(x, kernel, stride, padding):
        top, left = 9 + u * stride - padding - first, 9 + v * stride - padding - first
        around = wide[n, c, top : top + size, left : left + size]
        guide = np.sum(state["guide.weight"][c, 0] * around) + state["guide.bias"][c]
        numbers = state["lambda_"][c], state["alpha"][c]
        y[n, c, u, v] = average(values, guide, *numbers, pool.symmetric)
    return y


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize(
    ("window", "size", "first"),
    [
        ((2, 2, 0), 3, 1),
        ((3, 2, 1), 3, 0),
        ((2, 1, 0), 1, 0),
        ((3, 3, 0), 1, -1),
        ((2, 2, 1), 5, 2),
    ],
)
def test_values_by_hand(symmetric, window, size, first):
    kernel, stride, padding = window
    pool = random(DPPPool2d(3, kernel, stride, padding, symmetric=symmetric, guide_size=size))
    wanted = by_windows(X, pool, kernel, stride, padding, first)
    np.testing.assert_allclose(pool(torch.from_numpy(X)).detach().numpy(), wanted, rtol=1e-10)


def test_ceil_mode_keeps_the_guide_inside():
    pool = random(DPPPool2d(3, 2, ceil_mode=True))
    y, whole = (pool(torch.from_numpy(part)) for part in (X, X[:, :, :6]))
    assert y.shape == (2, 3, 4, 3)
    torch.testing.assert_close(y[:, :, :2], whole[:, :, :2])


@pytest.mark.parametrize("symmetric", [True, False])
def test_known_values_of_the_lite_form(symmetric):
    """With the window's average as guide: worked out for (1, 2, 3, 4) and (-1, 2, 3, -4)."""
    pool = DPPPool2d(1, symmetric=symmetric, guide_size=2).double()  # binomial of 2: the average
    x = torch.tensor([[1.0, 2, 3, 4], [-1, 2, 3, -4], [0, 0, 0, 4]], dtype=torch.float64)
    wanted = [2.5, -0.190874, 1.46392] if symmetric else [2.96616, 1.04619, 1.97903]
    y = pool(x.view(3, 1, 2, 2)).flatten()
    np.testing.assert_allclose(y.detach().numpy(), wanted, rtol=1e-5)


def test_starts_with_a_smoothed_guide_and_keeps_constants():
    pool = DPPPool2d(2)
    for module in random(pool).float().modules():
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()
    pascal = np.outer([1, 2, 1], [1, 2, 1]) / 16
    np.testing.assert_allclose(pool.guide.weight.detach().numpy(), [[pascal]] * 2)
    assert not pool.lambda_.any()
    assert not pool.alpha.any()
    assert not pool.guide.bias.any()
    constant = torch.full((1, 2, 5, 5), 7.0)
    torch.testing.assert_close(pool(constant), constant[..., :2, :2])


@pytest.mark.parametrize(
    ("lambda_", "alpha", "wanted"),
    [(7.0, 0.0, 9.0), (0.0, 95.0, 3.0), (7.0, 95.0, 9.0), (-99.0, -99.0, 3.0)],
)
def test_no_weight_overflows(lambda_, alpha, wanted):
    """4 to the power e^7 / 2, and e^95, are no numbers of float32; the limits are max and mean."""
    pool = DPPPool2d(1)
    with torch.no_grad():
        pool.lambda_.fill_(lambda_)
        pool.alpha.fill_(alpha)
    x = torch.tensor([[[[0.0, 1.0], [2.0, 9.0]]]], requires_grad=True)
    y = pool(x)
    y.sum().backward()
    assert y.item() == pytest.approx(wanted, rel=1e-5)
    assert all(t.grad.isfinite().all() for t in (x, *pool.parameters()))


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"channels": 0}, "expected channels to be an int > 0, got 0."),
        ({"channels": 2, "guide_size": 1.5}, "expected guide_size to be an int > 0, got 1.5."),
        (
            {"channels": 2, "symmetric": None},
            "expected symmetric to be True or False, got None. "
            "Write symmetric=True or symmetric=False.",
        ),
    ],
)
def test_refused(given, text):
    with pytest.raises(ArgumentError) as caught:
        DPPPool2d(**given)
    assert str(caught.value) == f"DPPPool2d: {text}"
