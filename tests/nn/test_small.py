"""Small inputs are left to PyTorch where it computes the same, and nothing else is."""

import copy

import pytest
import torch

import flexpool
from flexpool import nn, torch_small
from flexpool.errors import ArgumentError, ShapeError
from flexpool.torch_small import by_torch, is_small
from flexpool.window import window

SMALL, LARGE = (1, 2, 4, 6), (2, 8, 32, 32)


@pytest.fixture(autouse=True)
def limits(monkeypatch):
    monkeypatch.setattr(torch_small, "MOST", 8_192)
    monkeypatch.setattr(torch_small, "MOST_CHANNELS_LAST", 65_536)


@pytest.fixture
def handed(monkeypatch):
    """Count the calls that PyTorch got."""
    calls, original = [], torch_small.by_torch

    def noted(*arguments):
        theirs = original(*arguments)
        return theirs and (lambda x: calls.append(arguments[0]) or theirs(x))

    monkeypatch.setattr(torch_small, "by_torch", noted)
    return calls


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("MaxPool2d", {}),
        ("MaxPool2d", {"stride": 1, "padding": 1, "dilation": 2}),
        ("MaxPool2d", {"ceil_mode": True, "stride": (2, 3)}),
        ("AvgPool2d", {"padding": 1}),
        ("AvgPool2d", {"padding": 1, "count_include_pad": False, "ceil_mode": True}),
        ("AvgPool2d", {"divisor_override": 3}),
        ("MaxPool1d", {"padding": 1}),
        ("AvgPool1d", {"padding": 1, "count_include_pad": False}),
        ("MaxPool3d", {}),
        ("AvgPool3d", {"divisor_override": 2}),
    ],
)
def test_the_same_whoever_computes_it(handed, name, given):
    dimensions = int(name[-2])
    x = torch.randn(1, 3, *(5, 6, 4)[:dimensions], generator=torch.Generator().manual_seed(0))
    module = getattr(nn, name)(2, **given)
    ours = getattr(nn, name)(2, **given, backend="eager")
    first, second = x.clone().requires_grad_(), x.clone().requires_grad_()
    y, wanted = module(first), ours(second)
    torch.testing.assert_close(y, wanted)
    weights = torch.arange(1.0, y.numel() + 1).view(y.shape)
    (y * weights).sum().backward()
    (wanted * weights).sum().backward()
    torch.testing.assert_close(first.grad, second.grad)
    assert handed == [name[:3].lower()]


@pytest.mark.parametrize(
    "module",
    [
        nn.MaxPool2d(2, backend="numba"),
        nn.MaxPool2d(2, backend="eager"),
        nn.MaxPool2d(2, return_indices=True),
        nn.MaxPool2d(2, padding="same"),
        nn.AvgPool2d(2, padding=((0, 1), (0, 1))),
        nn.AvgPool2d(2, dilation=2),
        nn.AvgPool1d(2, divisor_override=3),
        nn.SoftPool2d(2),
        nn.MinPool2d(2),
    ],
    ids=repr,
)
def test_what_was_asked_for_or_torch_lacks_stays_here(handed, module):
    module(torch.randn(SMALL[: module.dimensions + 2]))
    with torch.no_grad():
        module(torch.randn(SMALL[: module.dimensions + 2]))
    assert not any(handed)


def test_what_is_small():
    assert is_small(torch.zeros(SMALL))
    assert not is_small(torch.zeros(LARGE))
    assert is_small(torch.zeros(LARGE).to(memory_format=torch.channels_last))
    assert not is_small(torch.zeros(64, 8, 32, 32).to(memory_format=torch.channels_last))
    assert not is_small(torch.zeros(0, 2, 4, 4))
    assert not is_small(torch.zeros(SMALL, dtype=torch.bfloat16))
    assert not is_small(torch.zeros(SMALL, dtype=torch.int32))
    assert not is_small(torch.zeros(SMALL, device="meta"))
    assert not is_small(torch.nn.Parameter(torch.zeros(SMALL)))
    assert not is_small("x")


def test_what_changes_after_construction_counts(handed):
    module, x = nn.MaxPool2d(2), torch.arange(24.0).view(1, 1, 4, 6)
    assert module(x).shape == (1, 1, 2, 3)
    module.stride = 1
    assert module(x).shape == (1, 1, 3, 5)
    average = nn.AvgPool2d(2)
    average.divisor_override = 1
    assert average(torch.ones(1, 1, 2, 2)).item() == 4
    assert handed == ["max", "max", "avg"]
    assert torch.equal(copy.deepcopy(module)(x), module(x))


def test_errors_stay_ours():
    with pytest.raises(ShapeError, match="^MaxPool2d: "):
        nn.MaxPool2d(5)(torch.zeros(1, 1, 3, 3))


def test_one_line_of_windows_with_a_divisor_is_not_torchs():
    options = (("count_include_pad", True), ("divisor_override", 2))
    assert by_torch("avg", window(1, 2), options) is None
    assert by_torch("max", window(4, 2), ()) is None


def _largest(x):
    return x.max()


@pytest.fixture
def handed_by_functions(handed):
    torch_small.called_with.cache_clear()
    yield handed
    torch_small.called_with.cache_clear()


@pytest.mark.parametrize(
    ("call", "who"),
    [
        (lambda x, **k: flexpool.max_pool(x, 2, **k), ["max"]),
        (lambda x, **k: flexpool.max_pool(x, (2, 3), (1, 2), 1, 1, True, **k), ["max"]),
        (lambda x, **k: flexpool.avg_pool(x, 2, padding=1, count_include_pad=False, **k), ["avg"]),
        (lambda x, **k: flexpool.pool(x[0], "avg", 2, dimensions=1, **k), ["avg"]),
        (lambda x, **k: flexpool.pool(x[0, 0], "max", 3, axes=(0, 1), **k), ["max"]),
        (lambda x, **k: flexpool.max_pool(x, [2, 2], **k), []),  # a list cannot be looked up
        (lambda x, **k: flexpool.soft_pool(x, 2, **k), []),
        (lambda x, **k: flexpool.avg_pool(x, 2, dilation=2, **k), []),
        (lambda x, **k: flexpool.max_pool(x, 2, padding="same", **k), []),
        (lambda x, **k: flexpool.max_pool(x, 2, return_indices=True, **k)[0], []),
        (lambda x, **k: flexpool.pool(x, _largest, 2, **k), []),
    ],
)
def test_functions_leave_small_tensors_too(handed_by_functions, call, who):
    x = torch.randn(1, 3, 5, 6, generator=torch.Generator().manual_seed(0))
    wanted = call(x, backend="eager")
    assert handed_by_functions == []
    torch.testing.assert_close(call(x), wanted)
    torch.testing.assert_close(call(x), wanted)
    assert handed_by_functions == who * 2


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ({"kernel_size": 2, "padding": 0}, {"kernel_size": 2, "padding": False}),
        ({"kernel_size": 2, "ceil_mode": False}, {"kernel_size": 2, "ceil_mode": 0}),
    ],
)
def test_what_equals_an_argument_is_not_taken_for_it(first, then):
    x = torch.zeros(1, 1, 4, 4)
    flexpool.max_pool(x, **first)
    with pytest.raises(ArgumentError, match=r"^max_pool: expected"):
        flexpool.max_pool(x, **then)


def test_refused_small_or_not():
    with pytest.raises(ArgumentError, match="avg_pool: unknown argument 'p'"):
        flexpool.avg_pool(torch.zeros(1, 1, 4, 4), 2, p=3)
    with pytest.raises(ShapeError, match="max_pool: expected"):
        flexpool.max_pool(torch.zeros(1, 1, 4, 4), 9)
