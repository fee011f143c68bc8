"""The modules that take torch's place, over drawn windows and inputs: results, gradients, repr."""

import math

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from flexpool import nn
from flexpool.errors import ArgumentError, FlexpoolError, ShapeError

drawn = settings(max_examples=60, deadline=None, derandomize=True)
dimensions = st.sampled_from([1, 2, 3])
SPECIAL = [float("nan"), math.inf, -math.inf, -0.0]


@st.composite
def windows(draw, n, dilated=False, padded=True):
    each = [draw(st.integers(1, 4)) for _ in range(n)]
    kernel = each[0] if draw(st.booleans()) else tuple(each)
    steps = tuple(draw(st.integers(1, 4)) for _ in range(n))
    keywords = {"kernel_size": kernel, "ceil_mode": draw(st.booleans())}
    keywords["stride"] = draw(st.sampled_from([None, (), steps[0], steps]))
    sizes = [each[0]] * n if isinstance(kernel, int) else each
    if padded:
        keywords["padding"] = tuple(draw(st.integers(0, k // 2)) for k in sizes)
    if dilated:
        keywords["dilation"] = tuple(draw(st.integers(1, 3)) for _ in range(n))
    return keywords


@st.composite
def inputs(draw, n, special=False):
    shape = [draw(st.integers(1, 2)) for _ in range(draw(st.integers(1, 2)))]
    shape += [draw(st.integers(1, 7)) for _ in range(n)]
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    x = torch.randint(-3, 4, shape, generator=generator).double()  # many ties
    if special and draw(st.booleans()):
        places = torch.rand(shape, generator=generator) < 0.2
        x[places] = draw(st.sampled_from(SPECIAL))
    return x


def outcome(pool, x):
    """The results, and the gradients of their weighted sum."""
    x = x.clone().requires_grad_()
    results = pool(x)
    y, *indices = results if isinstance(results, tuple) else (results,)
    weights = torch.arange(1.0, y.numel() + 1, dtype=y.dtype).reshape(y.shape)
    (gradient,) = torch.autograd.grad(y, x, weights)
    return y.detach(), indices, gradient


def compare(name, x, arguments, mode="stable"):
    keywords = {"mode": mode} if mode == "torch" else {}
    theirs = getattr(torch.nn, name)(**arguments)
    try:
        y, indices, gradient = outcome(theirs, x)
    except RuntimeError:
        with pytest.raises(RuntimeError if mode == "torch" else FlexpoolError):
            getattr(nn, name)(**arguments, **keywords)(x)
        return
    ours = getattr(nn, name)(**arguments, **keywords)
    our_y, our_indices, our_gradient = outcome(ours, x)
    if "Max" in name:
        assert torch.equal(our_y.nan_to_num(77), y.nan_to_num(77))
        assert all(map(torch.equal, our_indices, indices))
        assert len(our_indices) == len(indices)
    else:
        torch.testing.assert_close(our_y, y, equal_nan=True)
    torch.testing.assert_close(our_gradient, gradient, equal_nan=True)


@drawn
@given(st.data())
def test_max(data):
    n = data.draw(dimensions)
    arguments = data.draw(windows(n, dilated=True))
    arguments["return_indices"] = data.draw(st.booleans())
    compare(f"MaxPool{n}d", data.draw(inputs(n, special=True)), arguments)


@drawn
@given(st.data())
def test_avg(data):
    n = data.draw(dimensions)
    x = data.draw(inputs(n))
    arguments = data.draw(windows(n))
    arguments["count_include_pad"] = data.draw(st.booleans())
    if n > 1:
        arguments["divisor_override"] = data.draw(st.sampled_from([None, 1, 3, -2]))
    if n == 3:  # torch's avg_pool3d refuses inputs smaller than the kernel, padded or not
        kernel = arguments["kernel_size"]
        kernel = (kernel,) * 3 if isinstance(kernel, int) else kernel
        assume(all(size >= k for size, k in zip(x.shape[-3:], kernel, strict=True)))
    compare(f"AvgPool{n}d", x, arguments)


def usable_by_lp(arguments):
    """torch's LPPool1d multiplies by kernel_size, and so fails if that is a tuple."""
    kernel = arguments["kernel_size"]
    alone = isinstance(kernel, tuple) and len(kernel) == 1
    return arguments | {"kernel_size": kernel[0] if alone else kernel}


@drawn
@given(st.data())
def test_lp_of_what_is_not_negative(data):
    n = data.draw(dimensions)
    arguments = data.draw(windows(n, padded=False)) | {"ceil_mode": False}
    arguments = usable_by_lp(arguments)
    arguments["norm_type"] = data.draw(st.sampled_from([1, 2, 3.0, 2.5, math.inf, -math.inf]))
    x = data.draw(inputs(n)).abs() + 0.5
    compare(f"LPPool{n}d", x, arguments)


@drawn
@given(st.data())
def test_lp_in_the_mode_torch_is_torch(data):
    n = data.draw(dimensions)
    arguments = usable_by_lp(data.draw(windows(n, padded=False)))
    arguments["norm_type"] = data.draw(st.sampled_from([1, 2, 3, 0.5, -1, math.inf]))
    compare(f"LPPool{n}d", data.draw(inputs(n)), arguments, mode="torch")


@drawn
@given(st.data())
def test_adaptive(data):
    n = data.draw(dimensions)
    size = st.integers(1, 8)
    one, each = size, st.tuples(*[size] * n)
    if n > 1:
        each = st.tuples(*[st.none() | size] * n)
    arguments = {"output_size": data.draw(one | each)}
    x = data.draw(inputs(n, special=True))
    indices = {"return_indices": data.draw(st.booleans())}
    compare(f"AdaptiveMaxPool{n}d", x, arguments | indices)
    compare(f"AdaptiveAvgPool{n}d", data.draw(inputs(n)), arguments)


@pytest.mark.parametrize("p", [1, 2, 3, 0.5])
def test_the_stable_norm_of_negative_numbers_takes_their_size(p):
    x = torch.tensor([[-1.0, 2.0, 3.0, -4.0]], dtype=torch.float64)
    expected = (x.abs() ** p).sum() ** (1 / p)
    torch.testing.assert_close(nn.LPPool1d(p, 4)(x), expected.reshape(1, 1))
    torch.testing.assert_close(nn.LPPool1d(p, 4)(x.abs()), expected.reshape(1, 1))


def test_the_stable_norm_neither_overflows_nor_scales_what_overhangs():
    assert nn.LPPool1d(2, 2)(torch.full((1, 2), 1e30)).item() == pytest.approx(1.4142135e30)
    assert math.isinf(nn.LPPool1d(2, 2, mode="torch")(torch.full((1, 2), 1e30)).item())
    ones = torch.ones(1, 3, 3)
    assert nn.LPPool2d(1, 2, ceil_mode=True)(ones).tolist() == [[[4, 2], [2, 1]]]
    assert nn.LPPool2d(1, 2, ceil_mode=True, mode="torch")(ones).tolist() == [[[4, 4], [4, 4]]]


def test_norms_without_end():
    x = torch.tensor([[-5.0, 2.0, 3.0]])
    assert nn.LPPool1d(math.inf, 3)(x).item() == 5
    assert nn.LPPool1d(-math.inf, 3)(x).item() == 2


def test_what_ours_takes_besides():
    x = torch.arange(5.0).reshape(1, 5)
    assert nn.MaxPool1d(2, 2, padding="same")(x).tolist() == [[1, 3, 4]]
    assert nn.AvgPool1d(2, 1, dilation=3)(x).tolist() == [[1.5, 2.5]]
    assert nn.AvgPool1d(2, divisor_override=1)(x).tolist() == [[1, 5]]
    assert nn.LPPool1d(1, 2, padding=1)(x).tolist() == [[0, 3, 7]]
    assert nn.LPPool1d(1, 2, 1, dilation=4)(x).tolist() == [[4]]


def test_repr_shows_what_torch_lacks_only_where_it_is_used():
    assert repr(nn.AvgPool2d(2)) == "AvgPool2d(kernel_size=2, stride=2, padding=0)"
    assert repr(nn.AvgPool2d(2, dilation=(1, 2), backend="eager")) == (
        "AvgPool2d(kernel_size=2, stride=2, padding=0, dilation=(1, 2), backend=eager)"
    )
    assert repr(nn.LPPool1d(2, 3, mode="torch")) == (
        "LPPool1d(norm_type=2, kernel_size=3, stride=None, ceil_mode=False, mode=torch)"
    )


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("MaxPool2d", (3, 2, 1, 1, True, True)),
        ("MaxPool1d", ((3,),)),
        ("AvgPool1d", (3, 2)),
        ("AvgPool1d", (3, ())),
        ("AvgPool2d", ((3, 2), (), (1,), True, False, 2)),
        ("LPPool2d", (2, 3)),
        ("AdaptiveMaxPool2d", ((None, 2),)),
        ("AdaptiveAvgPool3d", (2,)),
    ],
)
def test_attributes_repr_and_state_are_those_of_torch(name, arguments):
    ours, theirs = getattr(nn, name)(*arguments), getattr(torch.nn, name)(*arguments)
    for attribute in theirs.__constants__:
        assert getattr(ours, attribute) == getattr(theirs, attribute), attribute
    assert repr(ours) == repr(theirs)
    assert ours.state_dict() == theirs.state_dict() == {}


def test_attributes_can_be_set_later():
    x = torch.randn(1, 1, 5, 5)
    pool = nn.MaxPool2d(2)
    pool.ceil_mode = True  # as torchvision's SSD does
    assert torch.equal(pool(x), torch.nn.MaxPool2d(2, ceil_mode=True)(x))
    pool.return_indices = True
    assert torch.equal(pool(x)[1], torch.nn.MaxPool2d(2, 2, 0, 1, True, True)(x)[1])
    mean = nn.AvgPool2d(2, padding=1)
    mean.count_include_pad = False
    torch.testing.assert_close(mean(x), torch.nn.AvgPool2d(2, 2, 1, False, False)(x))


def test_an_attribute_outside_its_domain_is_not_set():
    pool = nn.MaxPool2d(2)
    with pytest.raises(ArgumentError, match="^MaxPool2d: expected stride to be an int > 0"):
        pool.stride = 0
    assert pool.stride == 2
    assert pool.window.stride == (2, 2)


def test_indices_undo_with_torchs_unpooling():
    x = torch.randn(1, 2, 6, 6)
    y, indices = nn.MaxPool2d(2, return_indices=True)(x)
    spread = torch.nn.MaxUnpool2d(2)(y, indices)
    assert torch.equal(nn.MaxPool2d(2)(spread.where(spread != 0, x)), y)
    assert indices.dtype == torch.int64


@pytest.mark.parametrize("name", ["MaxPool2d", "AvgPool2d"])
@pytest.mark.parametrize("shape", [(4,), (4, 4), (1, 1, 1, 4, 4)])
def test_inputs_of_another_rank_are_refused(name, shape):
    with pytest.raises(ShapeError, match=f"^{name}: "):
        getattr(nn, name)(2)(torch.zeros(shape))
