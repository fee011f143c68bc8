"""The pooling layers: every operator has them, and where teaching code goes wrong, they do not."""

import inspect
import pickle

import numpy as np
import pytest
import torch

import flexpool
import flexpool.numpy as zero
from flexpool.declare import (
    OnInput,
    OnOutput,
    Param,
    Random,
    Weight,
    camel_case,
    find,
    operator,
    operators,
)
from flexpool.errors import ArgumentError, ShapeError
from from_zero.differences import check

KINDS = ("", "Adaptive", "Global")


def apart(shape, seed=0):
    """Different numbers of either sign, farther apart than differences reach."""
    n = int(np.prod(shape))
    # No two at the same distance of a window's mean: there some operators have kinks.
    values = np.linspace(-1.5, 2.5, n) + 0.3 / n * np.sin(7 * np.arange(n))
    return np.random.default_rng(seed).permutation(values).reshape(shape)


def given(name, kernel):
    """What an operator cannot do without."""
    found = {}
    for key, argument in find(name).arguments.items():
        if isinstance(argument, Param) and argument.required:
            found[key] = next(n for n in (1.0, 0.5, 2.0) if argument.holds(n))
        if isinstance(argument, Weight) and kernel is None:
            found[key] = np.ones(argument.shape((2, 3)))
    return found


def brought(name, x, output):
    """What a call brings besides x."""
    shapes = {OnInput: x.shape, OnOutput: (*x.shape[:2], *output)}
    arguments = find(name).arguments.values()
    return [apart(shapes[type(a)], 5) for a in arguments if type(a) in shapes]


def test_every_operator_has_every_class():
    own = {camel_case(name) for name in operators()} | {""}
    expected = {f"{kind}{name}Pool{n}d" for kind in KINDS for name in own for n in (1, 2, 3)}
    assert expected <= set(zero.__all__)
    assert len(zero.__all__) == len(set(zero.__all__))
    assert set(zero.__all__) <= set(dir(zero))
    for name in sorted(expected):
        made = getattr(zero, name)
        assert (made.__module__, made.__qualname__) == ("flexpool.numpy", name)
        assert made.__doc__
        assert pickle.loads(pickle.dumps(made)) is made  # noqa: S301
    with pytest.raises(AttributeError, match="^module 'flexpool.numpy' has no attribute 'Sofa'$"):
        _ = zero.Sofa


@pytest.mark.parametrize("name", operators())
def test_gradients_are_the_differences(name):
    """Of x, of what the call brings, and of every number and weight, learned or not by default."""
    x = apart((1, 2, 2, 3))
    made = getattr(zero, f"{camel_case(name)}Pool2d")
    numbers = any(isinstance(a, Param | Weight) for a in find(name).arguments.values())
    more = {"learnable": True, "channels": 2} if numbers else {}
    layer = made(2, 1, backend="eager", **given(name, (2, 2)), **more)
    check(layer, x, *brought(name, x, (1, 2)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", operators())
def test_layers_compute_what_the_functions_compute(name, kind):
    x = apart((2, 2, 2, 3)).astype(np.float32)
    arguments = {"": (2,), "Adaptive": (1,), "Global": ()}[kind]
    made = getattr(zero, f"{kind}{camel_case(name)}Pool2d")
    layer = made(*arguments, backend="eager", **given(name, None if kind else (2, 2)))
    others = brought(name, x.astype(np.float64), (1, 1))
    brings = [k for k, a in find(name).arguments.items() if isinstance(a, OnInput | OnOutput)]
    values = {**layer.parameters, **layer.buffers, **dict(zip(brings, others, strict=True))}
    options = {k: o.default for k, o in find(name).options.items()} | layer.options
    random = any(isinstance(a, Random) for a in find(name).arguments.values())
    layer.reseed(4)
    seed = int(np.random.default_rng([4, 0]).integers(2**63)) if random else None
    if kind:
        want = flexpool.adaptive_pool(x, name, 1, **values, **options, backend="eager", seed=seed)
    else:
        want = flexpool.pool(x, name, 2, **values, **options, backend="eager", seed=seed)
    y = layer(x, *others)
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y, want)


def test_layers_of_ones_own_formula():
    @operator
    def spread(x, factor=Param(2.0)):
        return factor * (x.max() - x.min())

    layer = zero.Pool1d(spread, 2, factor=3)
    assert layer(np.array([[[1.0, 2.0, 6.0, 7.0]]])).tolist() == [[[3, 3]]]
    layer.backward(np.array([[[1.0, 10.0]]]))
    assert layer.gradients["factor"] == 11
    assert zero.GlobalPool2d("max")(np.eye(3)[None]).tolist() == [[[1]]]
    assert zero.Pool1d(lambda x: x.min(), 2)(np.array([[[3.0, 4.0]]])).tolist() == [[[3]]]


def test_what_an_operator_learns_is_trained():
    """A p-norm with p = 1 learns from examples that the norm wanted is the Euclidean one."""
    x = np.random.default_rng(0).random((20, 1, 4, 4)) + 0.1
    wanted = flexpool.lp_pool(x, 2, p=2.0)
    layer, loss = zero.LpPool2d(2, p=1.0).astype(np.float64), zero.MSELoss()
    optimiser = zero.Adam(layer, lr=0.05)
    losses = []
    for _ in range(100):
        losses.append(loss(layer(x), wanted))
        layer.backward(loss.backward())
        optimiser.step()
    assert layer.parameters["p"] == pytest.approx(2.0, abs=0.05)
    assert losses[-1] < losses[0] / 1000


def test_signatures_and_repr():
    assert list(inspect.signature(zero.BoltzmannPool2d).parameters) == [
        *("kernel_size", "stride", "padding", "dilation", "ceil_mode"),
        *("beta", "channels", "learnable", "backend"),
    ]
    assert repr(zero.BoltzmannPool2d(2, beta=0.5)) == (
        "BoltzmannPool2d(boltzmann, kernel_size=(2, 2), stride=(2, 2), padding=((0, 0), (0, 0)), "
        "dilation=(1, 1), ceil_mode=False, beta=0.5 learned)"
    )
    assert repr(zero.GlobalMinPool1d()) == "GlobalMinPool1d(min, output_size=(1,))"


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (
            lambda: zero.MinPool2d(2, beta=1),
            ArgumentError,
            "MinPool2d: unknown argument 'beta'. Known: backend.",
        ),
        (
            lambda: zero.StochasticPool2d(2, training=False),
            ArgumentError,
            "StochasticPool2d: training is not given: it follows train() and eval().",
        ),
        (
            lambda: zero.LipPool2d(2, logits=1),
            ArgumentError,
            "LipPool2d: logits is given to the call, as in layer(x, logits).",
        ),
        (
            lambda: zero.LipPool2d(2)(np.ones((1, 1, 2, 2))),
            ArgumentError,
            "LipPool2d: expected the call to bring x and logits, got 1.",
        ),
        (
            lambda: zero.LpPool2d(2, p=-1),
            ArgumentError,
            "LpPool2d: expected p to be a number > 0, got -1.",
        ),
        (
            lambda: zero.LpPool2d(2, p=[1, 2, 3], channels=2),
            ShapeError,
            "LpPool2d: expected p to be of shape () or (2,), got (3,).",
        ),
        (
            lambda: zero.BlurPool2d(2, weight=np.ones((3, 3))),
            ShapeError,
            "BlurPool2d: expected weight to be of shape (2, 2), got (3, 3).",
        ),
        (
            lambda: zero.MaxPool2d(2)(np.ones((2, 2))),
            ShapeError,
            "MaxPool2d: expected x to have the axes (N, C, H, W) or (C, H, W), got (2, 2). "
            "Give dimensions, or reshape x.",
        ),
        (
            lambda: zero.Pooling("p", 2, 2, "maxi"),
            ArgumentError,
            "Pooling: unknown type 'maxi'. Did you mean 'max'? Known: average, maximum, minimum, "
            + ", ".join(operators())
            + ".",
        ),
    ],
)
def test_errors(call, error, text):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == text


# What teaching code is known to get wrong, one test each.

DOCUMENT = np.array(
    [[1, 3, 2, 1, 3], [2, 9, 1, 1, 5], [1, 3, 2, 3, 2], [8, 3, 5, 1, 0], [5, 6, 1, 2, 9.0]]
)[None, None]


def slow(x, ksize, stride, one, ceil=False):
    """Pool by loops, as one would by hand."""
    rows = range(0, x.shape[2] - ksize + 1, stride)
    columns = range(0, x.shape[3] - ksize + 1, stride)
    return [[one(x[0, 0, i : i + ksize, j : j + ksize]) for j in columns] for i in rows]


@pytest.mark.parametrize(
    ("type", "one"), [("max", np.max), ("average", np.mean), ("sum", np.sum), ("min", np.min)]
)
def test_overlapping_windows(type, one):
    layer = zero.Pooling("pool", ksize=3, stride=1, type=type)
    np.testing.assert_allclose(layer(DOCUMENT)[0, 0], slow(DOCUMENT, 3, 1, one), rtol=1e-14)


def test_the_gradient_of_overlapping_averages_counts_the_windows():
    layer = zero.Pooling("pool", ksize=3, stride=1, type="average")
    layer(DOCUMENT)
    counts = np.multiply.outer([1, 2, 3, 2, 1], [1, 2, 3, 2, 1]) / 9
    np.testing.assert_allclose(layer.backward(np.ones((1, 1, 3, 3)))[0, 0], counts, rtol=1e-14)


@pytest.mark.parametrize(("ksize", "stride"), [(3, 2), (2, 3), (1, 2), (3, 1)])
def test_windows_larger_and_smaller_than_the_stride(ksize, stride):
    x = apart((1, 1, 7, 7))
    for type, one in (("max", np.max), ("average", np.mean)):
        layer = zero.Pooling("pool", ksize, stride, type)
        y = layer(x)
        np.testing.assert_allclose(y[0, 0], slow(x, ksize, stride, one), rtol=1e-13)
        check(layer, x)


def test_rows_and_columns_beyond_the_last_window_count_for_nothing():
    x = apart((1, 1, 5, 5))
    layer = zero.Pooling("pool", 2, 2, "max")
    assert layer(x).shape == (1, 1, 2, 2)
    gradient = layer.backward(np.ones((1, 1, 2, 2)))[0, 0]
    assert gradient[4].sum() == gradient[:, 4].sum() == 0
    assert gradient.sum() == 4


def test_of_equal_maxima_one_gets_the_whole_gradient():
    x = np.full((1, 1, 4, 4), 7.0)
    layer = zero.Pooling("pool", 2, 2, "max")
    layer(x)
    gradient = layer.backward(np.array([[[[1.0, 2.0], [3.0, 4.0]]]]))
    assert gradient[0, 0].tolist() == [[1, 0, 2, 0], [0] * 4, [3, 0, 4, 0], [0] * 4]


def test_channels_are_pooled_by_themselves_and_the_input_stays():
    x = apart((2, 3, 4, 4))
    kept = x.copy()
    layer = zero.Pooling("pool", 2, 2, "max")
    y = layer(x)
    for n in range(2):
        for c in range(3):
            np.testing.assert_array_equal(y[n, c], layer(x[n : n + 1, c : c + 1])[0, 0])
    np.testing.assert_array_equal(x, kept)


def test_a_pooling_is_a_convolution_without_parameters():
    """Averages are a depthwise convolution whose kernels are all 1 / n."""
    x = apart((2, 3, 6, 6))
    conv = zero.Conv2d(3, 3, 2, stride=2, groups=3, bias=False).astype(np.float64)
    conv.parameters["weight"][...] = 1 / 4
    pool = zero.Pooling("pool", 2, 2, "average")
    np.testing.assert_allclose(conv(x), pool(x), rtol=1e-13, atol=1e-15)
    grad = apart((2, 3, 3, 3), 1)
    np.testing.assert_allclose(conv.backward(grad), pool.backward(grad), rtol=1e-13, atol=1e-15)
    assert pool.parameters == {}


def test_pooling_is_torchs_where_torch_has_it():
    x = apart((2, 3, 7, 9))
    for layer, theirs in (
        (zero.MaxPool2d(3, 2, 1, ceil_mode=True), torch.nn.MaxPool2d(3, 2, 1, ceil_mode=True)),
        (zero.AvgPool2d(3, 2, 1), torch.nn.AvgPool2d(3, 2, 1)),
    ):
        tensor = torch.tensor(x, requires_grad=True)
        want = theirs(tensor)
        np.testing.assert_allclose(layer(x), want.detach(), rtol=1e-13)
        want.sum().backward()
        np.testing.assert_allclose(layer.backward(np.ones(want.shape)), tensor.grad, rtol=1e-13)
