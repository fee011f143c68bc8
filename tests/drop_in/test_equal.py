"""Any call, any input: results, layouts, gradients and errors are PyTorch's."""

import math
import warnings

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

import flexpool

pytestmark = pytest.mark.usefixtures("everything", "eager")

drawn = settings(max_examples=300, deadline=None, derandomize=True)
dimensions = st.sampled_from([1, 2, 3])
SPECIAL = [math.nan, math.inf, -math.inf, -0.0, 0.0]


@st.composite
def per_dimension(draw, n, low, high):
    """An int, or a tuple or list of one, of as many as there are dimensions, or too many."""
    each = st.integers(low, high)
    count = draw(st.sampled_from([1, n, n, n, n + 1]))
    many = st.lists(each, min_size=count, max_size=count)
    return draw(each | many.map(tuple) | many)


@st.composite
def modules(draw, n):
    family = draw(st.sampled_from(["MaxPool", "AvgPool", "LPPool", "AdaptiveMax", "AdaptiveAvg"]))
    if family.startswith("Adaptive"):
        size = st.integers(0, 5) if n == 1 else st.none() | st.integers(0, 5)
        given = {"output_size": draw(st.integers(0, 5) | st.tuples(*[size] * n))}
        if family == "AdaptiveMax":
            given["return_indices"] = draw(st.booleans())
        return f"{family}Pool{n}d", given
    given = {"kernel_size": draw(per_dimension(n, 1, 3)), "ceil_mode": draw(st.booleans())}
    if draw(st.booleans()):
        given["stride"] = draw(per_dimension(n, 0, 3))
    if family == "LPPool":
        given["norm_type"] = draw(st.sampled_from([1, 2, 3.0, 2.5, 0, -1, math.inf, -math.inf]))
        return f"{family}{n}d", given
    given["padding"] = draw(per_dimension(n, 0, 1))
    if family == "AvgPool":
        given["count_include_pad"] = draw(st.booleans())
        if n > 1:
            given["divisor_override"] = draw(st.sampled_from([None, None, 3, -2, 0]))
    else:
        given["dilation"] = draw(per_dimension(n, 1, 2))
        given["return_indices"] = draw(st.booleans())
    return f"{family}{n}d", given


@st.composite
def inputs(draw, n):
    """A tensor of any layout and type, with or without images, with ties and special values."""
    outer = draw(st.sampled_from([0, 1, 2, 2, 2, 2, 3]))
    shape = [draw(st.integers(1, 3)) for _ in range(outer)]
    shape += [draw(st.sampled_from([0, 1, 2, 3, 4, 5, 6, 7, 5, 6])) for _ in range(n)]
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    values = torch.randint(-3, 4, shape, generator=generator)
    dtypes = [torch.float32, torch.float32, torch.float64, torch.bfloat16, torch.int64]
    x = values.to(draw(st.sampled_from(dtypes)))
    if x.is_floating_point() and draw(st.booleans()):
        places = torch.rand(shape, generator=generator) < 0.2
        x[places] = draw(st.sampled_from(SPECIAL))
    order = ["plain", "plain", "last", "last", "every second", "turned", "negative"]
    return laid_out(x, draw(st.sampled_from(order)))


def laid_out(x, order):
    if order == "last" and x.ndim in (4, 5):
        last = torch.channels_last if x.ndim == 4 else torch.channels_last_3d
        return x.to(memory_format=last)
    if order == "every second":
        return x.repeat_interleave(2, -1)[..., ::2]
    if order == "turned":
        return x.transpose(0, -1).contiguous().transpose(0, -1)
    if order == "negative" and x.is_floating_point():
        return torch._neg_view(-x)
    return x


def outcome(pool, x, trained):
    """All that a call does, or its error."""
    x = x.detach()
    if trained and x.is_floating_point():
        x.requires_grad_()
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            return *done(pool, x), [str(w.message) for w in warned]
    except (RuntimeError, TypeError, ValueError, IndexError, ArithmeticError) as error:
        return type(error), str(error)


def done(pool, x):
    found = pool(x)
    results = found if isinstance(found, tuple) else (found,)
    gradients = ()
    if x.requires_grad and results[0].requires_grad:
        y = results[0]
        weights = torch.arange(1.0, y.numel() + 1).to(y.dtype).reshape(y.shape)
        gradients = torch.autograd.grad(y, x, weights)
    return type(found), (*results, *gradients), [result.requires_grad for result in results]


def assert_equal(ours, theirs, exact):
    if not isinstance(theirs[1], tuple):
        assert ours == theirs
        return
    assert (ours[0], *ours[2:]) == (theirs[0], *theirs[2:])
    assert len(ours[1]) == len(theirs[1])
    for a, b in zip(ours[1], theirs[1], strict=True):
        assert (a.dtype, a.shape, a.stride()) == (b.dtype, b.shape, b.stride())
        a, b = a.detach(), b.detach()
        if exact:
            assert torch.equal(a.isnan(), b.isnan())
            assert torch.equal(a.nan_to_num(77.0), b.nan_to_num(77.0))
            assert torch.equal(a.signbit(), b.signbit())
        else:
            torch.testing.assert_close(a, b, equal_nan=True)


@drawn
@given(st.data())
def test_modules(data):
    n = data.draw(dimensions)
    name, arguments = data.draw(modules(n))
    x, trained = data.draw(inputs(n)), data.draw(st.booleans())
    try:
        theirs = getattr(torch.nn, name)(**arguments)
    except TypeError:
        return
    ours = flexpool.accelerate(theirs, inplace=False)
    assert type(ours) is not type(theirs)
    exact = "Max" in name
    assert_equal(outcome(ours, x, trained), outcome(theirs, x, trained), exact)


def function_of(name):
    words = name.replace("LP", "Lp").replace("Adaptive", "adaptive_")
    return getattr(F, words.replace("Pool", "_pool").lower())


@drawn
@given(st.data())
def test_functions(data):
    n = data.draw(dimensions)
    name, arguments = data.draw(modules(n))
    x, trained = data.draw(inputs(n)), data.draw(st.booleans())
    function = function_of(name)
    theirs = outcome(lambda x: function(x, **arguments), x, trained)
    with flexpool.accelerated():
        ours = outcome(lambda x: function(x, **arguments), x, trained)
    assert_equal(ours, theirs, "max" in function.__name__)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_the_drawn_calls_are_not_all_left_to_torch(n, taken):
    x = torch.randn(2, 3, *[6] * n)
    norm = torch.nn.functional.lp_pool1d if n == 1 else getattr(F, f"lp_pool{n}d")
    with flexpool.accelerated():
        getattr(F, f"max_pool{n}d")(x, 3, 2, 1, 2, True)
        getattr(F, f"max_pool{n}d")(x, [2] * n, return_indices=True)
        getattr(F, f"avg_pool{n}d")(x, (2,) * n, padding=1)
        norm(x, 2, 2)
        getattr(F, f"adaptive_avg_pool{n}d")(x, (2,) * n)
    assert taken == ["max", "max", "avg", "avg", "avg"]


def both(pool, x):
    """What PyTorch gives, and flexpool in its place."""
    theirs = outcome(pool, x, True)
    with flexpool.accelerated():
        return outcome(pool, x, True), theirs


def test_avg_pool3d_wants_one_whole_window():
    x = torch.ones(1, 1, 2, 3, 3)
    ours, theirs = both(lambda x: F.avg_pool3d(x, 3, padding=1), x)
    assert ours == theirs
    assert theirs[0] is RuntimeError


@pytest.mark.parametrize("shape", [(2, 1, 4, 4), (2, 3, 1, 1), (2, 1, 1, 1), (1, 3, 4, 1)])
def test_layouts_that_could_be_either_stay_what_they_are(shape):
    for last in (False, True):
        x = torch.randn(shape)
        x = x.to(memory_format=torch.channels_last) if last else x
        for pool in (lambda x: F.max_pool2d(x, 1), lambda x: F.avg_pool2d(x, 1)):
            assert_equal(*both(pool, x), exact=True)


def test_the_norm_of_a_window_that_sums_to_zero_has_no_gradient():
    x = torch.tensor([[[1.0, -1.0, 2.0, 3.0]]])
    ours, theirs = both(lambda x: F.lp_pool1d(x, 1, 2), x)
    assert_equal(ours, theirs, exact=True)
    assert ours[1][1].tolist() == [[[0, 0, 2, 2]]]  # the weight of the second window
