"""Maximum or average, drawn."""

import numpy as np
import pytest
import torch

from flexpool.errors import ArgumentError
from flexpool.nn import RandomMixedPool2d
from nn.blocks import by_hand

X = np.random.default_rng(0).normal(size=(5, 4, 7, 6))
MAX, AVG = (by_hand.pool(X, reduce, 3, 2, 1) for reduce in (np.max, np.mean))


@pytest.mark.parametrize("p", [0, 0.25, 1])
def test_evaluation_is_the_expectation(p):
    y = RandomMixedPool2d(3, 2, 1, p=p).eval()(torch.from_numpy(X)).numpy()
    np.testing.assert_allclose(y, p * MAX + (1 - p) * AVG, rtol=1e-12)


@pytest.mark.parametrize("per", ["call", "map", "window"])
def test_training_takes_one_or_the_other(per):
    torch.manual_seed(0)
    y = RandomMixedPool2d(3, 2, 1, per=per)(torch.from_numpy(X)).numpy()
    largest, average = np.isclose(y, MAX, rtol=1e-12), np.isclose(y, AVG, rtol=1e-12)
    assert (largest ^ average).all()
    shared = {"call": None, "map": (2, 3), "window": ()}[per]
    assert (largest.all(shared) | average.all(shared)).all()
    if per != "call":
        assert 0.2 < largest.mean() < 0.8
    if per == "window":
        assert not (largest.all((2, 3)) | average.all((2, 3))).any()


def test_the_share_of_maxima_is_p():
    torch.manual_seed(0)
    pool = RandomMixedPool2d(2, p=0.2)
    x = torch.tensor([0.0, 0.0, 0.0, 4.0]).view(1, 1, 2, 2).expand(1, 3000, 2, 2)
    assert (pool(x) == 4).double().mean().item() == pytest.approx(0.2, abs=0.03)


def test_what_was_not_drawn_gets_no_gradient():
    x = torch.arange(4.0).view(1, 1, 2, 2).requires_grad_()
    (of_max,) = torch.autograd.grad(RandomMixedPool2d(2, p=1)(x).sum(), x)
    (of_avg,) = torch.autograd.grad(RandomMixedPool2d(2, p=0)(x).sum(), x)
    assert of_max.flatten().tolist() == [0, 0, 0, 1]
    assert of_avg.flatten().tolist() == [0.25] * 4


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"p": 1.5}, "expected p to be a number >= 0 and <= 1, got 1.5."),
        ({"p": True}, "expected p to be a number >= 0 and <= 1, got True."),
        ({"per": "net"}, "expected per to be 'call' or 'map' or 'window', got 'net'."),
    ],
)
def test_refused(given, text):
    with pytest.raises(ArgumentError) as caught:
        RandomMixedPool2d(2, **given)
    assert str(caught.value) == f"RandomMixedPool2d: {text}"
