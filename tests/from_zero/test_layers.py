"""Every layer: its gradients against differences, its results against PyTorch's."""

import numpy as np
import pytest
import torch

import flexpool.numpy as zero
from flexpool.errors import ArgumentError, DtypeError, ShapeError
from from_zero.differences import check

RNG = np.random.default_rng(0)
X = RNG.normal(size=(2, 4, 6, 5))

LAYERS = {
    "conv": lambda: zero.Conv2d(4, 3, 3),
    "conv-all": lambda: zero.Conv2d(4, 6, (3, 2), (2, 1), (1, 2), (2, 1), 2),
    "conv-depthwise": lambda: zero.Conv2d(4, 4, 2, stride=2, groups=4, bias=False),
    "conv-pairs": lambda: zero.Conv2d(4, 2, 3, padding=((0, 2), (1, 0))),
    "conv-same": lambda: zero.Conv2d(4, 2, (3, 5), padding="same"),
    "conv-even": lambda: zero.Conv2d(4, 2, (4, 3), padding="same"),
    "conv-gaps": lambda: zero.Conv2d(4, 2, 1, stride=3),
    "relu": zero.ReLU,
    "sigmoid": zero.Sigmoid,
    "tanh": zero.Tanh,
    "flatten": zero.Flatten,
    "dropout": lambda: zero.Dropout(0.3),
    "dropout-none": lambda: zero.Dropout(0),
    "norm": lambda: zero.BatchNorm2d(4),
    "norm-plain": lambda: zero.BatchNorm2d(4, affine=False),
    "norm-used": lambda: zero.BatchNorm2d(4).eval(),
    "slice": lambda: zero.nets.Slice2d(2, 2),
    "sequential": lambda: zero.Sequential(
        zero.Conv2d(4, 3, 3), zero.Tanh(), zero.AvgPool2d(2), zero.Flatten(), zero.Linear(6, 2)
    ),
}


@pytest.mark.parametrize("name", LAYERS)
def test_gradients_are_the_differences(name):
    layer = LAYERS[name]()
    for array in layer.parameters.values():
        array += np.random.default_rng(2).normal(size=array.shape).astype(np.float32)
    check(layer, X.copy())


@pytest.mark.parametrize("bias", [True, False])
def test_gradients_of_linear(bias):
    check(zero.Linear(5, 3, bias), RNG.normal(size=(4, 5)))


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_gradients_of_the_losses(reduction):
    from from_zero.differences import numerical

    z, t, y = RNG.normal(size=(4, 3)), np.array([0, 2, 1, 1]), RNG.normal(size=(4, 3))
    for loss, target in ((zero.CrossEntropyLoss(reduction), t), (zero.MSELoss(reduction), y)):
        assert isinstance(loss(z, target), float)
        found = loss.backward().copy()
        wanted = numerical(lambda loss=loss, target=target: loss(z, target), z)
        np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-9)


TORCH = {
    "conv": lambda: torch.nn.Conv2d(4, 3, 3),
    "conv-all": lambda: torch.nn.Conv2d(4, 6, (3, 2), (2, 1), (1, 2), (2, 1), 2),
    "conv-depthwise": lambda: torch.nn.Conv2d(4, 4, 2, stride=2, groups=4, bias=False),
    "conv-same": lambda: torch.nn.Conv2d(4, 2, (3, 5), padding="same"),
    "conv-gaps": lambda: torch.nn.Conv2d(4, 2, 1, stride=3),
    "relu": torch.nn.ReLU,
    "sigmoid": torch.nn.Sigmoid,
    "tanh": torch.nn.Tanh,
    "norm": lambda: torch.nn.BatchNorm2d(4),
    "norm-plain": lambda: torch.nn.BatchNorm2d(4, affine=False),
}


@pytest.mark.parametrize("name", TORCH)
def test_results_and_gradients_are_torchs(name):
    ours, theirs = LAYERS[name](), TORCH[name]().double()
    state = {key: tensor.numpy() for key, tensor in theirs.state_dict().items()}
    ours.astype(np.float64).load_state_dict(state)
    x = torch.tensor(X, requires_grad=True)
    for training in (True, False):
        y, want = ours.train(training)(X), theirs.train(training)(x)
        np.testing.assert_allclose(y, want.detach(), rtol=1e-12, atol=1e-13)
        weights = torch.randn(want.shape, dtype=torch.float64)
        x.grad = None
        theirs.zero_grad()
        want.backward(weights)
        np.testing.assert_allclose(ours.backward(weights.numpy()), x.grad, rtol=1e-10, atol=1e-12)
        for key, parameter in theirs.named_parameters():
            np.testing.assert_allclose(ours.gradients[key], parameter.grad, rtol=1e-10, atol=1e-12)
    for key, tensor in theirs.state_dict().items():  # what batch normalisation collected
        np.testing.assert_allclose(ours.state_dict()[key], tensor, rtol=1e-12)


def test_losses_are_torchs():
    z, t, y = RNG.normal(size=(4, 3)) * 100, np.array([0, 2, 1, 1]), RNG.normal(size=(4, 3))
    f, tensor = torch.nn.functional, torch.from_numpy
    for reduction in ("mean", "sum"):
        want = f.cross_entropy(tensor(z), tensor(t), reduction=reduction).item()
        assert zero.CrossEntropyLoss(reduction)(z, t) == pytest.approx(want, rel=1e-13)
        want = f.mse_loss(tensor(z), tensor(y), reduction=reduction).item()
        assert zero.MSELoss(reduction)(z, y) == pytest.approx(want, rel=1e-13)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (lambda n: zero.SGD(n, 0.1), lambda p: torch.optim.SGD(p, 0.1)),
        (
            lambda n: zero.SGD(n, 0.1, momentum=0.9, weight_decay=0.01),
            lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, weight_decay=0.01),
        ),
        (
            lambda n: zero.SGD(n, 0.1, momentum=0.5, nesterov=True),
            lambda p: torch.optim.SGD(p, 0.1, momentum=0.5, nesterov=True),
        ),
        (lambda n: zero.Adam(n, 0.01), lambda p: torch.optim.Adam(p, 0.01)),
        (
            lambda n: zero.Adam(n, 0.01, (0.8, 0.95), 1e-3, 0.1),
            lambda p: torch.optim.Adam(p, 0.01, (0.8, 0.95), 1e-3, 0.1),
        ),
    ],
)
def test_optimisers_are_torchs(ours, theirs):
    net, model = zero.Linear(3, 2).astype(np.float64), torch.nn.Linear(3, 2).double()
    net.load_state_dict({name: p.detach().numpy() for name, p in model.named_parameters()})
    mine, other = ours(net), theirs(model.parameters())
    x, t = RNG.normal(size=(5, 3)), np.array([0, 1, 1, 0, 1])
    loss = zero.CrossEntropyLoss()
    for _ in range(5):
        loss(net(x), t)
        net.backward(loss.backward())
        mine.step()
        other.zero_grad()
        logits = model(torch.from_numpy(x))
        torch.nn.functional.cross_entropy(logits, torch.from_numpy(t)).backward()
        other.step()
        for name, parameter in model.named_parameters():
            np.testing.assert_allclose(net.parameters[name], parameter.detach(), rtol=1e-11)


def test_dropout_keeps_the_mean_and_draws_what_it_is_told():
    layer, x = zero.Dropout(0.25), np.ones((100, 100), np.float32)
    layer.reseed(3)
    y = layer(x)
    assert y.dtype == np.float32
    assert abs(y.mean() - 1) < 0.02
    assert abs((y == 0).mean() - 0.25) < 0.02
    layer.reseed(3)
    np.testing.assert_array_equal(layer(x), y)
    assert not np.array_equal(layer(x), y)
    np.testing.assert_array_equal(layer.backward(x), layer.backward(x))
    assert zero.Dropout(1.0)(x).max() == 0


def test_the_first_layers_input_has_no_gradient_unless_wanted():
    for layer, x in ((zero.Conv2d(4, 2, 3), X), (zero.Linear(5, 2), X[0, 0])):
        y = layer(x)
        assert layer.backward(y) is not None
        kept = {name: gradient.copy() for name, gradient in layer.gradients.items()}
        layer.wants_input_gradient = False
        assert layer.backward(y) is None
        for name, gradient in layer.gradients.items():
            np.testing.assert_array_equal(gradient, kept[name])


def test_initial_values_follow_their_rules():
    shape = (50, 40, 3, 3)
    fan_in, fan_out = 360, 450
    for function, deviation in (
        (zero.initial.xavier_uniform, np.sqrt(2 / (fan_in + fan_out))),
        (zero.initial.xavier_normal, np.sqrt(2 / (fan_in + fan_out))),
        (zero.initial.kaiming_uniform, np.sqrt(2 / fan_in)),
        (zero.initial.kaiming_normal, np.sqrt(2 / fan_in)),
    ):
        drawn = function(shape, np.random.default_rng(0))
        assert drawn.dtype == np.float32
        assert drawn.std() == pytest.approx(deviation, rel=0.02)
        assert abs(drawn.mean()) < deviation * 0.03
        if "uniform" in function.__name__:
            assert abs(drawn).max() == pytest.approx(deviation * np.sqrt(3), rel=1e-3)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (
            lambda: zero.Conv2d(4, 6, 3, groups=3),
            ArgumentError,
            "Conv2d: expected groups to divide in_channels 4 and out_channels 6, got 3.",
        ),
        (
            lambda: zero.Conv2d(3, 6, 3)(X),
            ShapeError,
            "Conv2d: expected x to have the shape (N, 3, H, W), got (2, 4, 6, 5).",
        ),
        (
            lambda: zero.Linear(3, 2)([1, 2, 3]),
            DtypeError,
            "Linear: expected x to be a NumPy array, got [1, 2, 3].",
        ),
        (
            lambda: zero.ReLU().backward(X),
            ArgumentError,
            "ReLU.backward: there was no forward pass. Call forward first.",
        ),
        (
            lambda: (layer := zero.ReLU(), layer(X), layer.backward(X[0])),
            ShapeError,
            "ReLU.backward: expected grad_y to have the shape (2, 4, 6, 5) of the result, "
            "got (4, 6, 5).",
        ),
        (
            lambda: zero.Dropout(1.5),
            ArgumentError,
            "Dropout: expected p to be a number in [0, 1], got 1.5.",
        ),
        (
            lambda: zero.BatchNorm2d(1)(np.ones((1, 1, 1, 1))),
            ShapeError,
            "BatchNorm2d: expected x to have more than one number per channel in training, got 1. "
            "Use a larger batch, or eval().",
        ),
        (
            lambda: zero.CrossEntropyLoss()(np.ones((2, 3)), np.array([0, 3])),
            ArgumentError,
            "CrossEntropyLoss: expected target to lie in [0, 3), got (0, 3).",
        ),
        (
            lambda: zero.MSELoss("none"),
            ArgumentError,
            "MSELoss: unknown reduction 'none'. Known: mean, sum.",
        ),
        (
            lambda: zero.SGD(zero.ReLU(), lr=0),
            ArgumentError,
            "SGD: expected lr to be a finite number > 0, got 0.",
        ),
        (
            lambda: zero.Adam(zero.Linear(1, 1)).step(),
            ArgumentError,
            "Adam.step: there is no gradient of 'weight'. Run backward first.",
        ),
        (
            lambda: zero.Sequential(zero.ReLU(), "pool"),
            ArgumentError,
            "Sequential: expected layer 1 to be a Layer, got 'pool'.",
        ),
        (
            lambda: zero.Linear(1, 1).load_state_dict({"weight": np.ones((1, 1))}),
            ArgumentError,
            "load_state_dict: expected state to hold 'bias', got ['weight'].",
        ),
    ],
)
def test_errors(call, error, text):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == text
