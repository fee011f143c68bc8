"""The sizes: valid poolings, and the selection that is measured by default."""

import pytest

from flexpool.bench.cases import CASES, FIRST, REPRESENTATIVES, choose, find
from flexpool.bench.problem import DIRECTIONS, problem
from flexpool.declare import operators
from flexpool.errors import ArgumentError
from flexpool.window import window


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_every_case_is_a_pooling(case):
    placed = window(case.dimensions, case.kernel, case.steps, case.padding, 1, case.ceil_mode)
    assert all(size > 0 for size in placed.output_shape(case.shape[2:]))
    assert case.about
    assert len(case.kernel) == len(case.steps) == case.dimensions


def test_the_default_has_some_operators_on_large_maps_and_fewer_on_all_sizes():
    chosen = choose()
    assert len(set(chosen)) == len(chosen)
    contiguous = {(c.operator, c.case.name) for c in chosen if c.layout == "contiguous"}
    assert {name for name, case in contiguous if case == "maps-k2"} == set(FIRST)
    floats = [name for name, case in CASES.items() if case.dtype != "uint8"]
    assert {(name, case) for name in REPRESENTATIVES for case in floats} <= contiguous
    assert {(n, "image") for n in ("max", "min", "median")} <= contiguous
    last = {(c.operator, c.case.name) for c in chosen if c.layout == "channels_last"}
    assert last == {(name, case) for name in REPRESENTATIVES for case in ("maps-k2", "resnet")}


def test_all_is_every_operator_on_every_size_in_both_layouts():
    floats = [c for c in choose(everything=True) if c.case.dtype != "uint8"]
    assert len(floats) == len(operators()) * (len(CASES) - 1) * 2


def test_one_size_alone_is_measured_with_all_operators():
    assert [(c.operator, c.case.name) for c in choose(sizes=["vgg-4"])] == [
        (name, "vgg-4") for name in operators()
    ]


def test_what_is_named_is_measured_and_nothing_else():
    chosen = choose(["lp"], ["vgg", "1x2x8:k2"], layouts=["channels_last"], dtype="float64")
    assert [(c.operator, c.case.shape, c.layout, c.case.dtype) for c in chosen] == [
        ("lp", (8, 64, 224, 224), "channels_last", "float64"),
        ("lp", (1, 2, 8), "channels_last", "float64"),
    ]
    assert choose(["soft"], ["image"]) == []  # of 8-bit images there is no soft


@pytest.mark.parametrize(
    ("text", "kernel", "steps", "padding"),
    [
        ("2x3x8x8:k3s2p1", (3, 3), (2, 2), 1),
        ("2x3x8:k2", (2,), (2,), 0),
        ("2x3x4x5x6:global", (4, 5, 6), (4, 5, 6), 0),
    ],
)
def test_a_size_written_by_hand(text, kernel, steps, padding):
    case = find(text)
    assert (case.kernel, case.steps, case.padding) == (kernel, steps, padding)


@pytest.mark.parametrize("text", ["8x8:k2", "2x3x8x8:k", "2x0x8x8:k2", "2x3x8x8:s2", "2x3x8x8:"])
def test_a_size_that_cannot_be_read(text):
    with pytest.raises(ArgumentError) as caught:
        find(text)
    assert str(caught.value) == (
        "expected --sizes to be a name or written as 8x64x56x56:k3s2p1 or 8x64x7x7:global, one to "
        f"three sizes, got {text!r}."
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"operators": ["maxx"]}, "unknown operator 'maxx'. Did you mean 'max'?"),
        ({"sizes": ["vvg"]}, "unknown size 'vvg'. Did you mean 'vgg'?"),
        ({"layouts": ["nhwc"]}, "unknown layout 'nhwc'. Known: contiguous, channels_last."),
        ({"dtype": "int8"}, "unknown dtype 'int8'."),
    ],
)
def test_unknown_names(arguments, message):
    with pytest.raises(ArgumentError) as caught:
        choose(**arguments)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("operator", "direction", "moved"),
    [
        ("max", "forward", 4 * (64 + 16)),
        ("max", "backward", 4 * (64 + 16 + 64)),  # the input is read to find the maximum
        ("avg", "backward", 4 * (16 + 64)),  # and here it is not
        ("lip", "forward", 4 * (2 * 64 + 16)),
        ("lip", "backward", 4 * (2 * 64 + 16 + 2 * 64)),
    ],
)
def test_bytes_that_must_move(operator, direction, moved):
    (choice,) = choose([operator], ["1x1x8x8:k2"])
    assert problem(choice, direction, 1).bytes == moved


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_problem_is_the_same_each_time_in_the_layout_asked_for(direction):
    (choice,) = choose(["lip"], ["2x3x4x4:k2"], layouts=["channels_last"])
    one, other = problem(choice, direction, 1), problem(choice, direction, 1)
    assert one.x.equal(other.x)
    assert not one.x.equal(one.others["logits"])
    for array in (one.x, one.grad_y, one.others["logits"]):
        assert array.movedim(1, -1).is_contiguous()
