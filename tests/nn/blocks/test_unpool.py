"""The way back."""

import numpy as np
import pytest
import torch

from flexpool.errors import ArgumentError, ShapeError
from flexpool.nn import AdaUnpool2d, MaxPool2d, MaxUnpool2d
from nn.blocks import by_hand

X = np.random.default_rng(0).normal(size=(2, 3, 7, 6))


@pytest.mark.parametrize("window", [(2, 2, 0), (3, 2, 1), (3, 1, 0)])
def test_undoes_our_maximum(window):
    """Every maximum is back in its place, all else is 0; also where windows share a maximum."""
    x = torch.from_numpy(X)
    y, places = MaxPool2d(*window, return_indices=True)(x)
    back = MaxUnpool2d(*window)(y, places, output_size=x.shape)
    taken = np.zeros((2, 3, 42), dtype=bool)
    for n, c in np.ndindex(2, 3):
        taken[n, c, places[n, c].flatten()] = True
    np.testing.assert_array_equal(back, np.where(taken.reshape(X.shape), X, 0))
    again, _ = MaxPool2d(*window, return_indices=True)(back)
    torch.testing.assert_close(torch.where(y > 0, again, y), y, rtol=0, atol=0)


@pytest.mark.parametrize("window", [(2, 2, 0), (3, 2, 1), (4, 3, 0)])
def test_sizes_are_torchs(window):
    y, places = MaxPool2d(*window, return_indices=True)(torch.from_numpy(X))
    theirs = torch.nn.MaxUnpool2d(*window)
    wide = torch.zeros_like(places)  # within any map
    assert MaxUnpool2d(*window)(y, wide).shape == theirs(y, wide).shape


def test_of_several_values_for_a_place_the_last_one_wins_and_gets_the_gradient():
    y = torch.tensor([[[1.0, 2.0, 3.0]]], requires_grad=True)
    places = torch.tensor([[[1, 1, 0]]])
    x = MaxUnpool2d((1, 2), 1)(y, places)
    assert x.flatten().tolist() == [3, 2, 0, 0]
    x.backward(torch.tensor([[[10.0, 20, 30, 40]]]))
    assert y.grad.flatten().tolist() == [0, 20, 10]


def test_empty_batch_and_no_batch():
    unpool = MaxUnpool2d(2)
    empty = torch.zeros(0, 3, 2, 2)
    assert unpool(empty, empty.long()).shape == (0, 3, 4, 4)
    y, places = MaxPool2d(2, return_indices=True)(torch.from_numpy(X))
    assert torch.equal(unpool(y[1], places[1], (7, 6)), unpool(y, places, (7, 6))[1])


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (
            lambda: MaxUnpool2d(2, padding="same"),
            ArgumentError,
            "expected padding to be a number here, got 'same'. Write padding=1, say.",
        ),
        (
            lambda: MaxUnpool2d(2)(torch.zeros(1, 1, 2), torch.zeros(1, 2, 2).long()),
            ShapeError,
            "expected indices to have the shape (1, 1, 1, 2) of the input, got (1, 1, 2, 2).",
        ),
        (
            lambda: MaxUnpool2d(2)(torch.zeros(1, 1, 2), torch.tensor([[[0, 8]]])),
            ShapeError,
            "expected indices to lie in [0, 8), the map being 2 x 4, got (0, 8). Give "
            "output_size, the size of what was pooled.",
        ),
        (
            lambda: MaxUnpool2d(2)(torch.zeros(1, 1, 1), torch.zeros(1, 1, 1).long(), (4, 2)),
            ArgumentError,
            "expected output_size to be less than stride away from (2, 2), got (4, 2).",
        ),
    ],
)
def test_refused(call, error, text):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == f"MaxUnpool2d: {text}"


def shared_out(y, x, kernel, stride, beta):
    """Each window's value times its weights, added where it came from."""
    back = np.zeros_like(x)
    for (n, c, u, v), values in by_hand.each_window(x, kernel, stride):
        m = values.mean()
        similar = 2 * np.abs(values * m) / (values**2 + m**2)
        weights = beta[n, c, u, v] * np.exp(similar) / np.exp(similar).sum()
        weights += (1 - beta[n, c, u, v]) * np.exp(values) / np.exp(values).sum()
        across = slice(v * stride, v * stride + kernel)
        back[n, c, u * stride : u * stride + kernel, across] += weights * y[n, c, u, v]
    return back


@pytest.mark.parametrize(("kernel", "stride"), [(2, 2), (3, 2), (2, 3)])
def test_ada_by_hand(kernel, stride):
    y = by_hand.pool(X, np.max, kernel, stride)
    beta = np.full(y.shape, 0.3)
    back = AdaUnpool2d(kernel, stride, beta=0.3)(torch.from_numpy(y), torch.from_numpy(X))
    np.testing.assert_allclose(back, shared_out(y, X, kernel, stride, beta), rtol=1e-11, atol=1e-14)


def test_ada_with_a_map_of_beta_that_learns():
    """One beta per place, as AdaPool learns it; each image and channel has weights of its own."""
    y = by_hand.pool(X, np.max, 2, 2)
    beta = torch.linspace(0, 1, 9, dtype=torch.float64).view(3, 3).requires_grad_()
    back = AdaUnpool2d(2)(torch.from_numpy(y), torch.from_numpy(X), beta)
    whole = np.broadcast_to(beta.detach().numpy(), y.shape)
    np.testing.assert_allclose(back.detach(), shared_out(y, X, 2, 2, whole), rtol=1e-11, atol=1e-14)
    back.square().sum().backward()
    assert (beta.grad != 0).all()
    torch.testing.assert_close(
        AdaUnpool2d(2)(torch.from_numpy(y[0]), torch.from_numpy(X[0]), beta), back[0]
    )


def test_ada_keeps_sums_of_windows_and_is_no_identity():
    y = by_hand.pool(X, np.mean, 2, 2)
    back = AdaUnpool2d(2)(torch.from_numpy(y), torch.from_numpy(X)).numpy()
    np.testing.assert_allclose(by_hand.pool(back, np.sum, 2, 2), y, rtol=1e-12)
    assert not back[:, :, 6].any()  # no window reaches the seventh row


@pytest.mark.parametrize("value", [0.0, 3.0, 1e30, 1e-30])
def test_ada_of_equal_values_has_neither_nan_nor_zero(value):
    x = torch.full((1, 1, 2, 2), value, requires_grad=True)
    back = AdaUnpool2d(2)(torch.ones(1, 1, 1, 1), x)
    assert back.flatten().tolist() == pytest.approx([0.25] * 4)
    back.square().sum().backward()
    assert x.grad.isfinite().all()


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (
            lambda: AdaUnpool2d(2, beta=2),
            ArgumentError,
            "expected beta to be a number >= 0 and <= 1, got 2.",
        ),
        (
            lambda: AdaUnpool2d(2)(torch.zeros(1, 2, 2), torch.zeros(1, 6, 4)),
            ShapeError,
            "expected the input to have the shape (1, 1, 3, 2) of what was pooled, got "
            "(1, 1, 2, 2).",
        ),
    ],
)
def test_ada_refuses(call, error, text):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == f"AdaUnpool2d: {text}"
