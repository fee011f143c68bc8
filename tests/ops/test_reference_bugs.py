"""Faults that implementations of these operators have had; each test is one, and fails with it."""

import numpy as np
import pytest
import torch

import flexpool
from flexpool import nn
from flexpool.declare import find

BACKENDS = ["eager", pytest.param("numba", marks=pytest.mark.heavy)]
both = pytest.mark.parametrize("backend", BACKENDS)


def line(values, name, backend, dtype=torch.float32, **parameters):
    """Pool one window that holds the values; return the result and the gradients by name."""
    x = torch.tensor([[values]], dtype=dtype, requires_grad=True)
    leaves = {"x": x}
    for key, value in parameters.items():
        if isinstance(value, float):
            leaves[key] = torch.tensor([value], requires_grad=True)
        elif isinstance(value, list):
            leaves[key] = torch.tensor([[value]], dtype=dtype, requires_grad=True)
    given = parameters | {key: leaf for key, leaf in leaves.items() if key != "x"}
    y = flexpool.pool(x, name, len(values), **given, backend=backend)
    slopes = torch.autograd.grad(y.sum(), list(leaves.values()))
    return y.item(), {k: s.flatten().tolist() for k, s in zip(leaves, slopes, strict=True)}


def by_hand(x, kernel, stride, reduce):
    """Slide a window over the last axes, in Python."""
    view = np.lib.stride_tricks.sliding_window_view(x, kernel, tuple(range(2, x.ndim)))
    view = view[(slice(None),) * 2 + (slice(None, None, stride),) * (x.ndim - 2)]
    return np.apply_along_axis(reduce, -1, view.reshape(*view.shape[: x.ndim], -1))


def softly(window):
    return np.average(window, weights=np.exp(window))


@both
def test_soft_does_not_mix_channels(backend):
    """Weights that are summed over the channels first: each channel then is nearly averaged."""
    x = np.random.default_rng(0).normal(size=(2, 8, 4, 4))
    together = flexpool.soft_pool(x, 2, backend=backend)
    alone = [flexpool.soft_pool(x[:, c : c + 1], 2, backend=backend) for c in range(8)]
    np.testing.assert_allclose(together, np.concatenate(alone, axis=1), rtol=1e-13)


@both
def test_soft_gives_negative_results(backend):
    """Results that are clamped to be positive: of a negative map nothing is left."""
    y, _ = line([-2.0, -2.0, -1.0, -3.0], "soft", backend)
    assert -3 < y < -1


@both
def test_soft_has_the_whole_gradient_or_on_request_the_one_of_constant_weights(backend):
    """A backward pass without the derivative of the weights, with no word about it."""
    values = np.array([1.0, 0.0, -2.0])
    w = np.exp(values) / np.exp(values).sum()
    y, exact = line(values.tolist(), "soft", backend)
    _, detached = line(values.tolist(), "soft", backend, gradient="detached")
    np.testing.assert_allclose(exact["x"], w * (1 + values - y), rtol=1e-5)
    np.testing.assert_allclose(detached["x"], w, rtol=1e-5)
    assert exact["x"][2] < 0 < detached["x"][2]


@both
@pytest.mark.parametrize(("kernel", "stride"), [(3, 2), (2, 1), (3, 3), (1, 2)])
def test_soft_with_a_stride_that_is_not_the_kernel(kernel, stride, backend):
    """Output places computed from size / stride: wrong values, and writes outside the array."""
    for size in (7, 8, 9):
        x = np.random.default_rng(size).normal(size=(2, 3, size, size + 1))
        y = flexpool.soft_pool(x, kernel, stride, backend=backend)
        np.testing.assert_allclose(y, by_hand(x, (kernel,) * 2, stride, softly), rtol=1e-12)


@both
def test_soft_in_three_dimensions_has_the_strides_of_three(backend):
    """A plane's size taken for a row's, and a gradient for other windows than the result's."""
    x = np.random.default_rng(1).normal(size=(1, 2, 5, 6, 7))
    y = flexpool.soft_pool(x, 3, 2, backend=backend)
    np.testing.assert_allclose(y, by_hand(x, (3, 3, 3), 2, softly), rtol=1e-12)
    slopes = flexpool.pool_backward(np.ones_like(y), x, "soft", 3, 2, backend=backend)["x"]
    moved = x.copy()
    moved[0, 1, 2, 3, 4] += 1e-6
    change = (flexpool.soft_pool(moved, 3, 2, backend=backend) - y).sum() / 1e-6
    assert slopes[0, 1, 2, 3, 4] == pytest.approx(change, abs=1e-6)


@both
@pytest.mark.parametrize("name", ["soft", "boltzmann", "auto", "max_entropy"])
def test_softmax_weights_neither_overflow_nor_vanish(name, backend):
    """Exponentials of the values themselves: inf above 88, and 0 / 0 below -88."""
    sharp = {} if name == "soft" else {"beta": 1.0}
    for values, want in [
        ([90.0, 1.0, 1.0, 1.0], 90.0),
        ([88.0, 88.5, 87.0, 60.0], 88.15132),
        ([-200.0] * 4, -200.0),
        ([-1000.0, -1000.0, -2000.0, -3000.0], -1000.0),
    ]:
        y, slopes = line(values, name, backend, **sharp)
        assert y == pytest.approx(want, rel=1e-5)
        assert sum(slopes["x"]) == pytest.approx(1, rel=1e-4)


def test_soft_leaves_the_callers_tensor_as_it_is():
    """An axis added in place to the tensor that was handed over."""
    x = torch.randn(3, 6, 6)
    kept = x.clone()
    nn.SoftPool2d(2)(x)
    assert x.shape == (3, 6, 6)
    assert torch.equal(x, kept)


@both
def test_lip_has_logits_of_twelve_in_half_precision(backend):
    """exp(12), which float16 does not hold: infinity over infinity."""
    for logits in ([12.0, 12.0], [12.0, 11.0], [-12.0, -11.0]):
        y, slopes = line([1.0, 3.0], "lip", backend, torch.float16, logits=logits)
        share = 1 / (1 + np.exp(logits[0] - logits[1]))
        assert y == pytest.approx(1 + 2 * share, rel=2e-3)
        assert np.isfinite(slopes["logits"]).all()


@both
def test_lip_has_logits_that_are_all_negative(backend):
    """A running maximum that starts at 0: all weights vanish."""
    y, _ = line([1.0, 3.0], "lip", backend, logits=[-1000.0, -1000.0])
    assert y == 2


@both
def test_lip_pads_and_counts_its_windows(backend):
    """An output of size // stride, and an argument ``padding`` that does nothing."""
    x = np.ones((1, 1, 7, 7))
    y = flexpool.lip_pool(x, 3, 2, 1, logits=x, backend=backend)
    assert y.shape == (1, 1, 4, 4)
    np.testing.assert_allclose(y, 1.0, rtol=1e-13)


@both
def test_stochastic_draws_something_where_nothing_is_positive(backend):
    """No draw in some windows of negative values, which keep what memory held; or a 0."""
    x = np.tile([-1.0, -2.0, -3.0, -4.0], 500)[None, None]
    y = flexpool.stochastic_pool(x, 4, seed=1, backend=backend)
    assert set(np.unique(y)) == {-1.0, -2.0, -3.0, -4.0}


@both
def test_stochastic_draws_by_size_and_never_what_is_negative(backend):
    """Draws that are uniform, and draws that always hit the first element of mixed signs."""
    x = np.tile([1.0, -3.0, 1.0, 6.0], 500)[None, None]
    y = flexpool.stochastic_pool(x, 4, seed=1, backend=backend)
    assert set(np.unique(y)) == {1.0, 6.0}
    assert 0.7 < (y == 6).mean() < 0.8


@both
def test_stochastic_in_evaluation_has_weights_that_add_up(backend):
    """Signed values as weights: their sum is near 0, and the mean anything up to 1e38."""
    for values, want in [([1.0, -1.0, 0.0, 0.0], 1.0), ([3.0, -2.999, 0.0, 0.0], 3.0)]:
        y, _ = line(values, find("stochastic")(training=False), backend)
        assert y == want
    assert line([0.0] * 4, find("stochastic")(training=False), backend)[0] == 0


@both
def test_lp_takes_absolute_values(backend):
    """Powers of signed values: NaN where their sum is negative, or where p is no whole number."""
    for p in (3.0, 2.5, 1.0):
        y, slopes = line([-3.0, 1.0, -2.0, 0.0], "lp", backend, p=p)
        assert y == pytest.approx((3**p + 1 + 2**p) ** (1 / p), rel=1e-5)
        assert np.isfinite(slopes["x"] + slopes["p"]).all()


def test_lp_counts_what_is_there_in_ceil_mode():
    """The mean of what is there times the whole kernel: too large where a window overhangs."""
    y = flexpool.lp_pool(np.ones((1, 1, 3, 3)), 2, ceil_mode=True, p=1, backend="eager")
    assert y.tolist() == [[[[4, 2], [2, 1]]]]


@both
def test_lp_of_zeros_has_the_gradient_zero(backend):
    """NaN or infinity for p < 1, and for the gradient with respect to p."""
    for p in (0.5, 1.5, 2.0):
        y, slopes = line([0.0] * 4, "lp", backend, p=p)
        assert (y, slopes["x"], slopes["p"]) == (0, [0] * 4, [0])
        _, slopes = line([0.0, 2.0, 0.0, 0.0], "lp", backend, p=p)
        assert slopes["x"] == [0, 1, 0, 0]


@both
@pytest.mark.parametrize("name", ["lp", "gem"])
def test_powers_leave_no_type(name, backend):
    """200 squared in float16, 300 cubed, and a power of 200 in float32: infinity."""
    for values, p, dtype in [
        ([200.0] * 4, 2.0, torch.float16),
        ([300.0] * 4, 3.0, torch.float16),
        ([3.0, 1.0, 2.0, 3.0], 200.0, torch.float32),
    ]:
        y, slopes = line(values, name, backend, dtype, p=p)
        raised = np.power(np.array(values), p)
        want = (raised.sum() if name == "lp" else raised.mean()) ** (1 / p)
        assert y == pytest.approx(want, rel=2e-3)
        assert np.isfinite(slopes["x"] + slopes["p"]).all()


@both
def test_gem_of_zeros_has_a_finite_gradient_in_half_precision(backend):
    """eps that float16 rounds to 0, and with it 0 times the logarithm of 0."""
    for values in ([0.0] * 4, [0.0, 1.0, 0.0, 0.0], [-1.0, -2.0, 0.0, -3.0]):
        _, slopes = line(values, "gem", backend, torch.float16, p=3.0)
        assert np.isfinite(slopes["x"] + slopes["p"]).all()


@both
def test_lse_of_a_small_sharpness_is_the_mean(backend):
    """r = 0 divides by 0, and a logarithm near 1 loses its digits, divided by a small r."""
    values = [0.3, -1.2, 0.9, -0.116]
    for r in (0.0, 1e-7, -1e-7, 1e-3):
        y, slopes = line(values, "lse", backend, r=r)
        assert y == pytest.approx(np.mean(values) + r * np.var(values) / 2, abs=3e-7)
        assert slopes["r"][0] == pytest.approx(np.var(values) / 2, rel=2e-3)


@both
def test_lse_of_a_negative_sharpness_is_near_the_minimum(backend):
    """A shift by the maximum where r < 0: all exponentials vanish or overflow."""
    y, _ = line([5.0, -3.0, 2.0, 8.0], "lse", backend, r=-50.0)
    assert y == pytest.approx(-3 + np.log(4) / 50, rel=1e-5)


@both
def test_gaussian_keeps_the_deviation_under_a_large_offset(backend):
    """The mean of the squares less the square of the mean: at 1e7 nothing is left in float32."""
    values = np.array([1.0, 2.0, 3.0, 4.0])
    near, far = (line((values + c).tolist(), "gaussian", backend, eta=1.0) for c in (0, 1e7))
    assert far[0] == pytest.approx(near[0] + 1e7, abs=1)
    np.testing.assert_allclose(far[1]["x"], near[1]["x"], rtol=1e-5)
    np.testing.assert_allclose(far[1]["eta"], near[1]["eta"], rtol=1e-5)


@both
def test_gaussian_leaves_the_padding_out(backend):
    """Padding counted as zeros by one implementation of an operator and left out by another."""
    y = flexpool.gaussian_pool(np.full((1, 1, 4), 3.0), 2, padding=1, eps=1e-30, backend=backend)
    np.testing.assert_allclose(y, 3.0, rtol=1e-12)


@both
def test_topk_divides_by_what_is_there(backend):
    """A sum over fewer than k elements, at the border, divided by k."""
    y = flexpool.topk_pool(np.full((1, 1, 4), 6.0), 2, padding=1, k=2, backend=backend)
    assert y.tolist() == [[[6, 6, 6]]]


@both
def test_t_max_avg_has_both_readings(backend):
    """One of the two readings under the name of both."""
    x = np.array([[[9.0, 1.0, 0.0]]])
    both_readings = [
        flexpool.t_max_avg_pool(x, 3, threshold=2.0, reached_by=which, backend=backend).item()
        for which in ("all", "largest")
    ]
    assert both_readings == [5, 9]


@both
@pytest.mark.parametrize("name", ["max", "mixed", "range", "mam", "t_max_avg"])
def test_tied_maxima_share_one_gradient(name, backend):
    """The whole gradient for each of several equal maxima, or an equal share for each."""
    _, slopes = line([3.0, 3.0, 0.0, 3.0], name, backend)
    assert slopes["x"][0] > slopes["x"][1] == slopes["x"][3]


@both
def test_product_neither_underflows_on_its_way_nor_loses_its_gradient(backend):
    """A running product that leaves float32 in the middle; y / x as the gradient, at zeros too."""
    y, _ = line([1e-30, 1e-30, 1e30, 1e30], "product", backend)
    assert y == pytest.approx(1, rel=1e-5)
    y, slopes = line([-2.0, 0.0, 3.0, 5.0], "product", backend)
    assert (y, slopes["x"]) == (0, [0, pytest.approx(-30, rel=1e-6), 0, 0])
    y, slopes = line([0.0, 0.0, 1e30, 1e30], "product", backend)
    assert (y, slopes["x"]) == (0, [0, 0, 0, 0])
