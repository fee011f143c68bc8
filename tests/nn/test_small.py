"""Small inputs are left to PyTorch where it computes the same, and nothing else is."""

import copy
import itertools
import pickle

import pytest
import torch

import flexpool
from flexpool import nn, sooner, torch_quick, torch_small
from flexpool.errors import ArgumentError, DtypeError, ShapeError
from flexpool.torch_small import Theirs, by_torch
from flexpool.window import adaptive_window, window

SMALL = (1, 2, 4, 6)


@pytest.fixture(autouse=True)
def limits(monkeypatch):
    monkeypatch.setattr(torch_small, "FEW", 400)
    monkeypatch.setattr(torch_small, "FEW_ROUNDED", 800)
    monkeypatch.setattr(torch_small, "MOST", 100_000)


@pytest.fixture
def handed(monkeypatch):
    """List the calls that PyTorch got."""
    calls, original = [], Theirs.__init__

    def noted(self, operator, window, options, function, arguments):
        def call(*given):
            calls.append(operator)
            return function(*given)

        original(self, operator, window, options, call, arguments)

    monkeypatch.setattr(Theirs, "__init__", noted)
    cached = (
        *(torch_small.by_torch, torch_quick._sliding, torch_quick._adaptive),
        torch_quick._with_indices,
    )
    for function in cached:
        function.cache_clear()
    torch_quick.RECENT.clear()
    yield calls
    torch_quick.RECENT.clear()
    for function in cached:
        function.cache_clear()


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
        ("AdaptiveAvgPool1d", {}),
        ("AdaptiveAvgPool2d", {}),
        ("AdaptiveAvgPool3d", {}),
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
    assert handed == [name.removeprefix("Adaptive")[:3].lower()]


@pytest.mark.parametrize(
    "module",
    [
        nn.MaxPool2d(2, backend="numba"),
        nn.MaxPool2d(2, backend="eager"),
        nn.MaxPool2d(2, return_indices=True, backend="numba"),
        nn.MaxPool2d(2, padding="same", return_indices=True),
        nn.MaxPool2d(2, padding="same"),
        nn.AvgPool2d(2, padding=((0, 1), (0, 1))),
        nn.AvgPool2d(2, dilation=2),
        nn.AvgPool1d(2, divisor_override=3),
        nn.SoftPool2d(2),
        nn.MinPool2d(2),
        nn.AdaptiveAvgPool2d((2, None)),
        nn.AdaptiveMaxPool2d(2),
    ],
    ids=repr,
)
def test_what_was_asked_for_or_torch_lacks_stays_here(handed, module):
    module(torch.randn(SMALL[: module.dimensions + 2]))
    with torch.no_grad():
        module(torch.randn(SMALL[: module.dimensions + 2]))
    assert not any(handed)


def test_nothing_is_handed_over_where_that_is_asked_for(handed):
    module, x = nn.MaxPool2d(2), torch.zeros(SMALL)
    with torch_small.nothing_handed_over():
        module(x)
        flexpool.max_pool(x, 2)
        assert not handed
    module(x)
    flexpool.max_pool(x, 2)
    assert handed == ["max", "max"]


def test_what_may_be_handed_over():
    theirs = by_torch("max", window(2, 2), ())
    assert theirs.is_sooner(torch.zeros(SMALL))
    assert not theirs.is_sooner(torch.zeros(0, 2, 4, 4))
    assert theirs.is_sooner(torch.zeros(SMALL, dtype=torch.bfloat16))
    assert theirs.is_sooner(torch.zeros(SMALL, dtype=torch.int32))
    assert not theirs.is_sooner(torch.zeros(SMALL, dtype=torch.bool))
    assert theirs.is_sooner(torch.zeros(SMALL, device="meta"))
    assert not theirs.is_sooner(torch.zeros(2, 3, 64, 64, device="meta"))
    assert not theirs.is_sooner(torch.nn.Parameter(torch.zeros(SMALL)))
    assert not theirs.is_sooner("x")


@pytest.mark.parametrize("size", [4, 64])
def test_a_layout_of_torchs_own_is_left_to_it(size):
    x = torch.randn(1, 2, size, size)
    y = nn.MaxPool2d(2)(x.to_mkldnn())
    assert torch.equal(y.to_dense(), nn.MaxPool2d(2)(x))
    with pytest.raises(DtypeError, match="to be a dense tensor"):
        nn.MaxPool2d(2)(x.to_sparse())


@pytest.mark.filterwarnings("ignore:`torch.jit.trace:DeprecationWarning")
def test_what_is_traced_does_for_larger_inputs():
    traced = torch.jit.trace(nn.MaxPool2d(2), torch.zeros(SMALL))
    assert "flexpool::pool" in str(traced.graph)


PLAIN = (("count_include_pad", True), ("divisor_override", None))


@pytest.mark.parametrize(
    ("operator", "slid", "options", "x", "equal"),
    [
        ("max", window(2, 2), (), torch.zeros(4, 4, 8, 8), True),
        ("max", window(2, 3, 2, 1), (), torch.zeros(4, 4, 8, 8), True),
        ("avg", window(2, 2), PLAIN, torch.zeros(4, 4, 8, 8), True),
        ("avg", window(2, 3, 2, 1), PLAIN, torch.zeros(4, 4, 8, 8), False),
        ("avg", window(2, 6), PLAIN, torch.zeros(4, 4, 12, 12), False),
        ("avg", adaptive_window(2, 2), PLAIN, torch.zeros(4, 4, 8, 8), False),
        ("max", window(2, 2), (), torch.zeros(4, 4, 8, 16)[..., ::2], False),
    ],
)
def test_more_are_handed_over_by_rule_if_equal_to_the_bit(
    monkeypatch, operator, slid, options, x, equal
):
    theirs = by_torch(operator, slid, options)
    for worth in (True, False):
        monkeypatch.setattr(sooner, "is_worth", lambda *_, worth=worth: worth)
        theirs._known.clear()
        assert theirs.is_sooner(x) == (equal and not worth)
    monkeypatch.setattr(torch_small, "MOST", 500)
    assert not theirs.is_sooner(x)


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_half_floats_are_handed_over_where_gradients_are_rounded_alike(half):
    x = torch.zeros(SMALL, dtype=half)
    for operator, options in (("max", ()), ("avg", PLAIN)):
        apart, overlapping = window(2, 2), window(2, 2, 1)
        assert by_torch(operator, apart, options).is_sooner(x.clone().requires_grad_())
        assert by_torch(operator, overlapping, options).is_sooner(x)
        assert not by_torch(operator, overlapping, options).is_sooner(x.clone().requires_grad_())


@pytest.mark.parametrize("dimensions", [1, 2, 3])
@pytest.mark.parametrize("operator", ["max", "avg"])
def test_types_that_are_handed_over_are_types_that_torch_has(operator, dimensions):
    theirs = by_torch(operator, window(dimensions, 2), PLAIN if operator == "avg" else ())
    types = [torch.float16, torch.bfloat16, torch.uint8, torch.int8, torch.int16, torch.int32]
    handed_over = 0
    for dtype in [*types, torch.bool, torch.uint16]:
        x = (torch.arange(2 * 4**dimensions) % 7).view(1, 2, *[4] * dimensions).to(dtype)
        if theirs.is_sooner(x):
            assert torch.equal(theirs(x), flexpool.pool(x, operator, 2, backend="numba"))
            handed_over += 1
    assert handed_over == {"max": (2, 6, 6), "avg": (2, 2, 0)}[operator][dimensions - 1]


@pytest.mark.parametrize(
    ("dimensions", "given"),
    [
        *((dimensions, {"stride": 1, "padding": 1}) for dimensions in (1, 2, 3)),
        *((2, given) for given in ({}, {"ceil_mode": True})),
    ],
)
def test_places_too_are_left_to_torch(handed, dimensions, given):
    x = torch.arange(3.0 * 5**dimensions).sin().view(1, 3, *[5] * dimensions)
    x[0, 0], x[0, 1, 0], x[0, 2, 0] = 1.0, -float("inf"), float("nan")  # ties, too
    name, found = f"MaxPool{dimensions}d", []
    for backend in ("auto", "numba"):
        leaf = x.clone().requires_grad_()
        y, places = getattr(nn, name)(2, **given, return_indices=True, backend=backend)(leaf)
        y.nan_to_num(0.0).cumsum(-1).sum().backward()
        found.append((y, places, leaf.grad))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(theirs, ours, rtol=0, atol=1e-6, equal_nan=True)
    assert handed == ["max with indices"]


def test_averages_that_are_rounded_otherwise_are_left_by_size_alone():
    small, large = torch.zeros(4, 4, 6, 8), torch.zeros(4, 4, 8, 8)  # above FEW
    overlapping, parts = window(2, 3, 2, 1), adaptive_window(2, 2)
    for threads in (1, 2):
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            for x, few in ((small, True), (large, False)):
                trained = x.clone().requires_grad_()
                assert by_torch("avg", overlapping, PLAIN).is_sooner(trained) == few
                assert not by_torch("avg", overlapping, PLAIN).is_sooner(x)
                assert by_torch("avg", parts, PLAIN).is_sooner(x) == few
        finally:
            torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("operator", "slid", "elements"),
    [
        ("max", window(2, 2), 100),  # each element is read once
        ("max", window(2, 4, 8), 100),  # a quarter is
        ("max", window(2, 3, 1), 22),  # nine times
        ("avg", window(2, (3, 4), 2), 66),  # three times
        ("max with indices", window(2, 2), 100),
    ],
)
def test_what_is_too_little_on_one_thread_is_left_without_a_question(
    monkeypatch, operator, slid, elements
):
    asked, ours = [], []
    kind = sooner.Kind(operator, 2, "planes")
    monkeypatch.setattr(sooner, "LEAST_WORK", {kind: sooner.Least(100, 300, 400, 200)})
    monkeypatch.setattr(Theirs, "is_sooner", lambda self, x: asked.append(x))
    theirs = by_torch.__wrapped__(operator, slid, PLAIN if operator == "avg" else ())
    pool = theirs.or_else(ours.append)
    for count in (elements, elements + 1):
        pool(torch.zeros(1, count, 1, 1))
    assert [x.numel() for x in asked] == [elements + 1]


def test_the_rule_is_asked_once_for_each_shape(monkeypatch):
    """Modules of one net that are alike share what is known, and take turns."""
    asked = []
    monkeypatch.setattr(sooner, "is_worth", lambda *about: asked.append(about) or True)
    theirs = by_torch("max", window(2, 2), ())
    theirs._known.clear()
    for _ in range(3):
        for size in (8, 10):
            theirs.is_sooner(torch.zeros(4, 4, size, size))
    assert len(asked) == 2


def test_averages_of_whole_maps_are_handed_over_whatever_the_rule(monkeypatch):
    monkeypatch.setattr(sooner, "is_worth", lambda *_: True)
    assert by_torch("avg", adaptive_window(2, 1), PLAIN).is_sooner(torch.zeros(4, 4, 8, 8))
    assert not by_torch("avg", adaptive_window(2, 1), PLAIN).is_sooner(torch.zeros(20, 80, 8, 8))


@pytest.mark.parametrize("size", [2, pytest.param(4, marks=pytest.mark.heavy)])
def test_averages_handed_over_by_rule_have_the_same_order(handed, size):
    x = torch.randn(3, 4, 15, 15, generator=torch.Generator().manual_seed(0))
    for input in (x, x.to(memory_format=torch.channels_last)):
        ours, module = nn.AvgPool2d(size, backend="numba"), nn.AvgPool2d(size)
        first, second = input.clone().requires_grad_(), input.clone().requires_grad_()
        y, wanted = module(first), ours(second)
        assert torch.equal(y, wanted)
        weights = torch.arange(1.0, y.numel() + 1).view(y.shape).sin()
        (y * weights).sum().backward()
        (wanted * weights).sum().backward()
        assert torch.equal(first.grad, second.grad)
    assert handed == ["avg"] * 2


def test_the_rule_is_asked_with_the_work_of_each_thread(monkeypatch):
    asked = []
    monkeypatch.setattr(sooner, "is_worth", lambda *about: asked.append(about) or True)
    theirs, threads = by_torch("max", window(2, 3, 1), ()), torch.get_num_threads()
    x = torch.zeros(2, 10, 6, 6)
    work = 2 * 10 * 4 * 4 * 9
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            assert not theirs.is_sooner(x)
    finally:
        torch.set_num_threads(threads)
    theirs.is_sooner(x.clone().requires_grad_())
    with torch.no_grad():
        theirs.is_sooner(x.clone(memory_format=torch.channels_last).requires_grad_())
    planes, last = sooner.Kind("max", 2, "planes"), sooner.Kind("max", 2, "channels last")
    assert asked[:2] == [(planes, False, False, work), (planes, False, False, work / 2)]
    assert [about[:3] for about in asked[2:]] == [(planes, True, False), (last, False, False)]


def test_arrays_beside_the_input_are_not_printed(monkeypatch):
    """An error that nobody reads had their text: eight milliseconds for a large one."""

    def printed(*_, **__):
        raise AssertionError

    monkeypatch.setattr(torch.Tensor, "__repr__", printed)
    x = torch.arange(16.0).view(1, 1, 4, 4)
    assert flexpool.pool(x, "lip", 2, logits=x).shape == (1, 1, 2, 2)
    assert flexpool.adaptive_pool(x, "lip", 1, logits=x).shape == (1, 1, 1, 1)


def test_what_changes_after_construction_counts(handed):
    module, x = nn.MaxPool2d(2), torch.arange(24.0).view(1, 1, 4, 6)
    assert module(x).shape == (1, 1, 2, 3)
    module.stride = 1
    assert module(x).shape == (1, 1, 3, 5)
    average = nn.AvgPool2d(2)
    average.divisor_override = 1
    assert average(torch.ones(1, 1, 2, 2)).item() == 4
    assert torch.equal(copy.deepcopy(module)(x), module(x))
    again = pickle.loads(pickle.dumps(module))  # noqa: S301 - our own bytes
    assert torch.equal(again(x), module(x))
    module.backend = "eager"
    assert torch.equal(module(x), copy.deepcopy(module)(x))
    assert handed == ["max", "max", "avg", "max", "max", "max", "max"]


def test_errors_stay_ours():
    with pytest.raises(ShapeError, match="^MaxPool2d: "):
        nn.MaxPool2d(5)(torch.zeros(1, 1, 3, 3))


def test_one_line_of_windows_with_a_divisor_is_not_torchs():
    options = (("count_include_pad", True), ("divisor_override", 2))
    assert by_torch("avg", window(1, 2), options) is None
    assert by_torch("max", window(4, 2), ()) is None


def _largest(x):
    return x.max()


@pytest.mark.parametrize(
    ("call", "who"),
    [
        (lambda x, **k: flexpool.max_pool(x, 2, **k), ["max"]),
        (lambda x, **k: flexpool.max_pool(x, (2, 3), (1, 2), 1, 1, True, **k), ["max"]),
        (lambda x, **k: flexpool.avg_pool(x, 2, padding=1, count_include_pad=False, **k), ["avg"]),
        (lambda x, **k: flexpool.pool(x[0], "avg", 2, dimensions=1, **k), ["avg"]),
        (lambda x, **k: flexpool.pool(x[0, 0], "max", 3, axes=(0, 1), **k), []),
        (lambda x, **k: flexpool.global_pool(x, "avg", **k), ["avg"]),
        (lambda x, **k: flexpool.adaptive_pool(x, "avg", (2, 1), **k), ["avg"]),
        (lambda x, **k: flexpool.adaptive_pool(x, "avg", (2, None), **k), []),
        (lambda x, **k: flexpool.global_pool(x, "max", **k), []),
        (lambda x, **k: flexpool.max_pool(x, [2, 2], **k), []),  # a list cannot be looked up
        (lambda x, **k: flexpool.soft_pool(x, 2, **k), []),
        (lambda x, **k: flexpool.avg_pool(x, 2, dilation=2, **k), []),
        (lambda x, **k: flexpool.max_pool(x, 2, padding="same", **k), []),
        (lambda x, **k: flexpool.max_pool(x, 2, return_indices=True, **k)[0], ["max with indices"]),
        (lambda x, **k: flexpool.pool(x, _largest, 2, **k), []),
    ],
)
def test_functions_leave_small_tensors_too(handed, call, who):
    x = torch.randn(1, 3, 5, 6, generator=torch.Generator().manual_seed(0))
    wanted = call(x, backend="eager")
    assert handed == []
    torch.testing.assert_close(call(x), wanted)
    torch.testing.assert_close(call(x), wanted)
    assert handed == who * 2


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ({"kernel_size": 2, "padding": 0}, {"kernel_size": 2, "padding": False}),
        ({"kernel_size": 2, "ceil_mode": False}, {"kernel_size": 2, "ceil_mode": 0}),
    ],
)
def test_what_equals_an_argument_is_not_taken_for_it(first, then):
    x = torch.zeros(1, 1, 4, 4)
    for _ in range(2):
        flexpool.max_pool(x, **first)
    with pytest.raises(ArgumentError, match=r"^max_pool: expected"):
        flexpool.max_pool(x, **then)


def test_refused_small_or_not():
    with pytest.raises(ArgumentError, match="avg_pool: unknown argument 'p'"):
        flexpool.avg_pool(torch.zeros(1, 1, 4, 4), 2, p=3)
    with pytest.raises(ShapeError, match="max_pool: expected"):
        flexpool.max_pool(torch.zeros(1, 1, 4, 4), 9)


def test_a_call_like_the_last_in_all_but_one_thing_is_another():
    x = torch.arange(48.0).sin().view(1, 3, 4, 4)
    calls = [
        lambda x, **k: flexpool.avg_pool(x, 2, **k),
        lambda x, **k: flexpool.avg_pool(x, 3, **k),
        lambda x, **k: flexpool.avg_pool(x, 2, 1, **k),
        lambda x, **k: flexpool.avg_pool(x, 2, None, 1, **k),
        lambda x, **k: flexpool.avg_pool(x, 2, None, 0, 2, **k),
        lambda x, **k: flexpool.avg_pool(x, 3, 2, 0, 1, True, **k),
        lambda x, **k: flexpool.avg_pool(x, 2, padding=1, count_include_pad=False, **k),
        lambda x, **k: flexpool.avg_pool(x[0], 2, **k),  # one dimension
        lambda x, **k: flexpool.avg_pool(x.double(), 2, **k),
        lambda x, **k: flexpool.avg_pool(x[..., ::2], 2, **k),
        lambda x, **k: torch.from_numpy(flexpool.avg_pool(x.numpy(), 2)),
        lambda x, **k: flexpool.max_pool(x, 2, **k),
        lambda x, **k: flexpool.soft_pool(x, 2, **k),
        lambda x, **k: flexpool.max_pool(x, 2, return_indices=True, **k)[1],
    ]
    wanted = [call(x, backend="eager") for call in calls]
    for one, other in itertools.product(range(len(calls)), repeat=2):
        for which in (one, other, other):
            torch.testing.assert_close(calls[which](x), wanted[which], rtol=1e-5, atol=1e-6)


def test_errors_name_the_function_after_a_call_that_went_well():
    flexpool.max_pool(torch.zeros(1, 1, 9, 9), 9)
    for _ in range(2):
        with pytest.raises(ShapeError, match="^max_pool: expected"):
            flexpool.max_pool(torch.zeros(1, 1, 4, 4), 9)
        with pytest.raises(ShapeError, match="^soft_pool: expected"):
            flexpool.soft_pool(torch.zeros(1, 1, 4, 4), 9)
        with pytest.raises(DtypeError, match="^max_pool: expected"):
            flexpool.max_pool([[1.0]], 9)


def test_a_program_compiled_after_a_call_holds_flexpools_operator():
    x, programs = torch.arange(16.0).view(1, 1, 4, 4), []

    def noted(program, _):
        programs.append(program)
        return program.forward

    wanted = flexpool.avg_pool(x, 2)
    compiled = torch.compile(lambda x: flexpool.avg_pool(x, 2), backend=noted, fullgraph=True)
    assert torch.equal(compiled(x), wanted)
    assert "flexpool.pool" in str(programs[0].graph)
