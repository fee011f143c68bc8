"""LIP with its networks of logits."""

import numpy as np
import pytest
import torch

from flexpool.errors import ArgumentError, ShapeError
from flexpool.nn import LIPPool2d
from nn.blocks import by_hand

X = np.random.default_rng(0).normal(size=(2, 3, 7, 6))


def random(module):
    """Give every weight a random value: a fresh module only averages."""
    torch.manual_seed(0)
    for weight in module.parameters():
        torch.nn.init.normal_(weight)
    return module.double()


def norm(x, state, layer):
    return by_hand.normalise(x, state[f"{layer}.weight"], state[f"{layer}.bias"], (2, 3))


def weighted(x, logits, kernel, stride, padding):
    both = np.stack([x, logits], -1)
    y = np.empty_like(by_hand.pool(x, np.max, kernel, stride, padding))
    for place in np.ndindex(y.shape):
        corner = np.array(place[2:]) * stride - padding
        rows, columns = (slice(max(at, 0), at + kernel) for at in corner)
        values, ell = np.moveaxis(both[place[0], place[1], rows, columns], -1, 0)
        y[place] = np.sum(np.exp(ell) * values) / np.sum(np.exp(ell))
    return y


@pytest.mark.parametrize("gain", [None, 3.0])
def test_simplified_by_hand(gain):
    pool = random(LIPPool2d(3, gain=gain))
    state = by_hand.arrays(pool.logits)
    found = by_hand.convolve(by_hand.beyond(X, 1, 1, "zeros"), state["0.weight"])
    logits = (gain or 12) * by_hand.sigmoid(norm(found, state, 1))
    y = pool(torch.from_numpy(X)).detach().numpy()
    np.testing.assert_allclose(y, weighted(X, logits, 3, 2, 1), rtol=1e-10)


def test_bottleneck_by_hand():
    pool = random(LIPPool2d(3, 2, 2, 0, logits="bottleneck", hidden=5))
    state = by_hand.arrays(pool.logits)
    trunk = np.maximum(norm(by_hand.convolve(X, state["0.weight"]), state, 1), 0)
    wide = by_hand.beyond(trunk, 1, 1, "zeros")
    trunk = np.maximum(norm(by_hand.convolve(wide, state["3.weight"]), state, 4), 0)
    logits = 12 * by_hand.sigmoid(norm(by_hand.convolve(trunk, state["6.weight"]), state, 7))
    y = pool(torch.from_numpy(X)).detach().numpy()
    np.testing.assert_allclose(y, weighted(X, logits, 2, 2, 0), rtol=1e-10)


@pytest.mark.parametrize("logits", ["simplified", "bottleneck"])
def test_starts_as_the_average_of_what_is_there(logits):
    pool = LIPPool2d(3, logits=logits).double()
    average = by_hand.pool(X, np.mean, 3, 2, 1)
    np.testing.assert_allclose(pool(torch.from_numpy(X)).detach().numpy(), average, rtol=1e-12)


def test_starts_so_again_when_all_weights_are_drawn_anew():
    pool = random(LIPPool2d(3))
    for module in pool.modules():
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()
    average = by_hand.pool(X, np.mean, 3, 2, 1)
    np.testing.assert_allclose(pool(torch.from_numpy(X)).detach().numpy(), average, rtol=1e-12)


def test_half_precision_survives_logits_of_twelve():
    """e^12 is no number of float16: weights must be relative to the largest."""
    pool = LIPPool2d(1, 2, 2, 0, logits=torch.nn.Identity()).half()
    x = torch.tensor([[[[12.0, 0.0], [12.0, 0.0]]]], dtype=torch.float16)
    assert torch.isinf(x.exp()).any()
    assert pool(x).item() == 12
    assert random(LIPPool2d(2)).half()(torch.randn(1, 2, 6, 6).half()).isfinite().all()


def test_maps_of_one_pixel_and_of_one_image():
    pool = random(LIPPool2d(3)).train()
    x = torch.from_numpy(X)
    assert torch.equal(pool(x[:1, :, :1, :1]), x[:1, :, :1, :1])
    torch.testing.assert_close(pool(x[0]), pool(x)[0])


def test_logits_of_your_own():
    pool = LIPPool2d(3, 2, 2, 0, logits=torch.nn.Identity())
    y = pool(torch.from_numpy(X)).numpy()
    np.testing.assert_allclose(y, weighted(X, X, 2, 2, 0), rtol=1e-12)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (
            {"logits": "large"},
            "expected logits to be 'simplified', 'bottleneck' or a module, got 'large'.",
        ),
        (
            {"hidden": 4},
            "expected hidden to be None without a bottleneck, got 4. Write logits='bottleneck', "
            "or leave it out.",
        ),
        (
            {"logits": torch.nn.Identity(), "gain": 3},
            "expected gain to be None with a module, got 3. Let the module multiply.",
        ),
        ({"gain": 0}, "expected gain to be a number > 0, got 0."),
    ],
)
def test_refused(given, text):
    with pytest.raises(ArgumentError) as caught:
        LIPPool2d(3, **given)
    assert str(caught.value) == f"LIPPool2d: {text}"


def test_other_channels_are_refused():
    with pytest.raises(ShapeError) as caught:
        LIPPool2d(3)(torch.zeros(1, 2, 4, 4))
    assert str(caught.value) == (
        "LIPPool2d: expected the input to have 3 channels, got (1, 2, 4, 4). Make the module with "
        "channels=2."
    )
