"""Weights per position and rank: what modules start with, limits, and what is refused."""

import numpy as np
import pytest
import torch

import flexpool
from flexpool import nn
from flexpool.declare import RankWeight
from flexpool.errors import ArgumentError, ShapeError, TraceError
from running import along_a_line

X = np.random.default_rng(3).normal(size=(2, 2, 6))
FIRST, LAST = np.array([1.0, 0.0, 0.0]), np.array([0.0, 0.0, 1.0])


@pytest.mark.parametrize(
    ("name", "weights", "other", "settings"),
    [
        ("ordinal", {"weight": FIRST}, "max", {}),
        ("ordinal", {"weight": LAST}, "min", {}),
        ("ordinal", {"weight": 1 - FIRST - LAST}, "median", {}),
        ("ordinal", {"weight": -np.ones(3)}, "avg", {}),
        ("ordinal", {"weight": np.ones(3), "form": "softmax"}, "avg", {}),
        ("ordinal", {"weight": 99 * FIRST, "form": "softmax"}, "max", {}),
        ("ordinal", {"weight": 0.25 ** np.arange(3)}, "rank_weighted", {"a": 0.75}),
        ("gated", {"gate": np.zeros(3)}, "mixed", {"a": 0.5}),
        ("morph", {"b": np.zeros(3)}, "max", {}),
        ("erode", {"b": np.zeros(3)}, "min", {}),
        ("position_weighted_max", {"weight": np.ones(3)}, "max", {}),
        ("position_weighted_max", {"weight": -np.ones(3)}, "max", {"negated": True}),
        ("tree", {k: np.ones(3) for k in ("leaf_1", "leaf_2", "gate")}, "sum", {}),
        ("dpp", {"lambda_": 9.0, "alpha": -99.0, "symmetric": False}, "max", {}),
    ],
)
def test_limits(name, weights, other, settings):
    x = -X if settings.pop("negated", False) else X
    want = flexpool.pool(x, other, 3, backend="interpret", **settings)
    np.testing.assert_allclose(
        flexpool.pool(X, name, 3, backend="interpret", **weights), want, rtol=1e-9, atol=1e-9
    )


def test_erosion_is_dilation_of_the_negative():
    b = np.array([0.5, -1.0, 2.0])
    turned = -flexpool.pool(-X, "morph", 3, b=b, backend="interpret")
    np.testing.assert_array_equal(flexpool.pool(X, "erode", 3, b=b, backend="interpret"), turned)


def test_a_tree_of_three_levels_is_three_of_two():
    draw = np.random.default_rng(0)
    names = ["leaf_1", "leaf_2", "leaf_3", "leaf_4", "gate_1", "gate_2", "gate_3"]
    w = {name: draw.normal(size=3) for name in names}
    left, right = (
        flexpool.pool(X, "tree", 3, leaf_1=w[a], leaf_2=w[b], gate=w[g], backend="interpret")
        for a, b, g in [("leaf_1", "leaf_2", "gate_1"), ("leaf_3", "leaf_4", "gate_2")]
    )
    p = 1 / (1 + np.exp(-(X.reshape(2, 2, 2, 3) @ w["gate_3"])))
    got = flexpool.pool(X, "tree3", 3, **w, backend="interpret")
    np.testing.assert_allclose(got, p * left + (1 - p) * right, rtol=1e-12)


def test_a_guide_that_is_the_mean():
    means = flexpool.pool(X, "avg", 3, backend="interpret")
    guided = flexpool.pool(X, "dpp_guided", 3, guide=means, backend="interpret")
    np.testing.assert_allclose(guided, flexpool.pool(X, "dpp", 3, backend="interpret"), rtol=1e-12)


def test_a_weight_below_0_counts_as_0_and_can_come_back():
    call = along_a_line("ordinal", [4.0, 1.0], {"weight": np.array([1.0, -0.5])})
    assert call.value("interpret").item() == 4
    slopes = call.gradient("interpret", np.ones((1, 1, 1)))
    assert slopes["weight"].tolist() == [[0, -3]]  # (x - y) / 1, as at 0


def test_at_the_border_the_last_ranks_are_missing():
    """The window (2, absent, absent) and (absent, 3, 1) whatever place they lie at."""
    x, weight = np.array([[[3.0, 1.0, 2.0]]]), np.array([3.0, 1.0, 5.0])
    y = flexpool.pool(x, "ordinal", 3, 2, 1, weight=weight, backend="interpret")
    np.testing.assert_allclose(y, [[[(3 * 3 + 1) / 4, (3 * 2 + 1) / 4]]])


def test_modules_start_as_the_papers_say():
    torch.manual_seed(0)
    tree = nn.TreePool2d(8, channels=4)
    for weight in tree.parameters():
        assert weight.shape == (4, 8, 8)
        assert abs(weight.mean().item()) < 0.03
        assert weight.std().item() == pytest.approx(0.1, abs=0.02)
    assert not torch.equal(tree.leaf_1, tree.leaf_2)
    assert nn.OrdinalPool2d(2).weight.tolist() == [0.25] * 4
    assert nn.MorphPool1d(3).b.tolist() == [0, 0, 0]
    assert nn.PositionWeightedMaxPool1d(2).weight.tolist() == [1, 1]
    assert nn.PowerWeightedMaxPool1d(2).exponent.tolist() == [0.5, 0.5]


def test_weights_are_drawn_by_torchs_seed_and_anew_when_reset():
    made = []
    for _ in range(2):
        torch.manual_seed(7)
        made.append(nn.GatedPool2d(2))
    assert torch.equal(made[0].gate, made[1].gate)
    before = made[0].gate.clone()
    made[0].reset_parameters()
    assert not torch.equal(made[0].gate, before)
    given = nn.GatedPool1d(2, gate=[1.0, 2.0])
    given.reset_parameters()
    assert given.gate.tolist() == [1, 2]
    with torch.device("meta"):
        empty = nn.GatedPool2d(2)
    filled = empty.to_empty(device="cpu")
    torch.manual_seed(7)
    filled.reset_parameters()
    assert torch.equal(filled.gate, made[1].gate)


@pytest.mark.parametrize("op", ["argmax", "argmin"])
def test_a_place_is_looked_for_among_values_that_differ(op):
    with pytest.raises(TraceError) as caught:
        flexpool.pool(X, lambda x: getattr(x.max(), op)(), 2)
    message = f"{op} looks for an element of the window, got one value for all of them: max(x)."
    assert message in str(caught.value)


def test_a_weight_per_rank_is_read_by_rank_only():
    cases = {
        "w holds one weight per rank. Read it as w.by_rank_of(x).": lambda x, w=RankWeight(): (
            w * x
        ).sum(),
        "by_rank_of belongs to a RankWeight, got x.": lambda x, w=RankWeight(): x.by_rank_of(
            x
        ).sum(),
        "w is read by rank(x) and by rank(neg(x)). Take two weights.": lambda x, w=RankWeight(): (
            w.by_rank_of(x) * w.by_rank_of(-x)
        ).sum(),
    }
    for message, formula in cases.items():
        with pytest.raises(TraceError) as caught:
            flexpool.pool(X, formula, 2, w=np.ones(2))
        assert f"in <lambda>: {message} A formula may use" in str(caught.value)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: flexpool.ordinal_pool(np.ones((1, 3, 4, 4)), 2, weight=np.ones((2, 2))),
            ShapeError,
            "ordinal_pool: expected weight to hold one number per rank, (4,), or (3, 4), "
            "got (2, 2).",
        ),
        (
            lambda: flexpool.gated_pool(X, 2),
            ArgumentError,
            "gated_pool: argument 'gate' is missing. Give gate, an array of the kernel's shape, or "
            "of (channels, *kernel).",
        ),
        (
            lambda: nn.GlobalOrdinalPool2d(),
            ArgumentError,
            "GlobalOrdinalPool2d: argument 'weight' is missing. Give weight, an array of one "
            "number per element of the kernel, or of (channels, elements).",
        ),
        (
            lambda: nn.OrdinalPool2d(2, weight=[1.0, 2.0, 3.0]),
            ArgumentError,
            "OrdinalPool2d: expected weight to be of shape (4,), got (3,).",
        ),
        (
            lambda: flexpool.idw_pool(X, 2, epsilon=0.0),
            ArgumentError,
            "idw_pool: expected epsilon to be a number > 0, got 0.0.",
        ),
        (
            lambda: flexpool.ada_pool(X, 2, beta=1.5),
            ArgumentError,
            "ada_pool: expected beta to be a number >= 0 and <= 1, got 1.5.",
        ),
        (
            lambda: flexpool.rank_average_pool(X, 2, t=0),
            ArgumentError,
            "rank_average_pool: expected t to be an int > 0, got 0.",
        ),
        (
            lambda: flexpool.ordinal_pool(X, 2, weight=np.ones(2), form="none"),
            ArgumentError,
            "ordinal_pool: expected form to be 'projection' or 'softmax', got 'none'.",
        ),
    ],
)
def test_what_is_refused(call, error, message):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == message
