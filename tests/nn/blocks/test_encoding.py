"""The blocks that describe a whole map by one vector, against NumPy."""

import numpy as np
import pytest
import torch

from flexpool.errors import ArgumentError, ShapeError
from flexpool.nn import (
    AttentionPool2d,
    CovariancePool2d,
    GeneralizedMaxPool2d,
    RMACPool2d,
    SimPool2d,
    WildcatPool2d,
)


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def weights(module, *names):
    state = {name: value.numpy() for name, value in module.state_dict().items()}
    return [state[name] for name in names]


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


@pytest.mark.parametrize("form", ["auto", "primal", "dual"])
@pytest.mark.parametrize("size", [(2, 3), (5, 4)])
def test_generalized_max_solves_its_equations(form, size):
    """Both forms, and by the singular values, from which the ridge's effect is plain."""
    x, ridge = draw(2, 8, *size), 0.3
    got = GeneralizedMaxPool2d(ridge, form=form)(torch.from_numpy(x))[..., 0, 0].numpy()
    for pixels, y in zip(x.reshape(2, 8, -1), got, strict=True):
        u, s, v = np.linalg.svd(pixels, full_matrices=False)
        wanted = u @ (s / (s**2 + ridge) * (v @ np.ones(pixels.shape[1])))
        np.testing.assert_allclose(y, wanted, atol=1e-6)  # the ridge's logarithm is float32


def test_generalized_max_has_its_limits():
    x = np.zeros((1, 3, 5, 2))
    for n, channel in enumerate([0, 0, 0, 0, 1, 1, 2, 0, 1, 0]):
        x[0, channel, n // 2, n % 2] = 1
    x = torch.from_numpy(x)
    largest = GeneralizedMaxPool2d(1e-9)(x)
    torch.testing.assert_close(largest, x.amax((2, 3), keepdim=True))
    total = GeneralizedMaxPool2d(1e6)(x) * 1e6
    torch.testing.assert_close(total, x.sum((2, 3), keepdim=True), rtol=1e-4, atol=0)


def test_generalized_max_of_half_types_has_their_digits():
    x = torch.randn(1, 4, 6, 6)
    exact = GeneralizedMaxPool2d(0.1)(x.half().double())
    got = GeneralizedMaxPool2d(0.1)(x.half())
    assert got.dtype == torch.float16
    torch.testing.assert_close(got.double(), exact, rtol=1e-3, atol=1e-5)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(GeneralizedMaxPool2d(0.1)(x.half()), got)


def test_generalized_max_learns_its_ridge():
    block, x = GeneralizedMaxPool2d(0.5, learned=True), torch.from_numpy(draw(2, 3, 4, 4))
    block.double()(x).sum().backward()
    e = 1e-5
    high, low = (GeneralizedMaxPool2d(0.5 * np.exp(d))(x).sum().item() for d in (e, -e))
    assert block.log_ridge.grad.item() == pytest.approx((high - low) / (2 * e), rel=1e-2)
    assert repr(block) == "GeneralizedMaxPool2d(ridge=0.5, form='auto', learned=True)"


def newton_schulz(covariance, steps):
    trace, unit = np.trace(covariance), np.eye(len(covariance))
    y, z = covariance / trace, unit
    for _ in range(steps):
        middle = (3 * unit - z @ y) / 2
        y, z = y @ middle, middle @ z
    return y * np.sqrt(trace)


@pytest.mark.parametrize("steps", [1, 5, 8])
def test_covariance_takes_the_published_steps(steps):
    x = draw(2, 4, 3, 5) * 3 + 1
    matrices = CovariancePool2d(steps, vector=False)(torch.from_numpy(x)).numpy()
    triangles = CovariancePool2d(steps)(torch.from_numpy(x)).numpy()
    for pixels, matrix, triangle in zip(x.reshape(2, 4, 15), matrices, triangles, strict=True):
        wanted = newton_schulz(np.cov(pixels, bias=True), steps)
        np.testing.assert_allclose(matrix, wanted, atol=1e-12)
        upper = [wanted[i, j] for i in range(4) for j in range(i, 4)]
        np.testing.assert_allclose(triangle, upper, atol=1e-12)


def test_covariance_goes_to_the_root():
    x = draw(1, 4, 6, 6)
    root = CovariancePool2d(20, vector=False)(torch.from_numpy(x))[0].numpy()
    np.testing.assert_allclose(root @ root, np.cov(x.reshape(4, 36), bias=True), atol=1e-10)


def test_covariance_of_a_constant_map_is_zero_with_a_gradient():
    x = torch.full((1, 3, 4, 4), 2.0, requires_grad=True)
    y = CovariancePool2d()(x)
    y.sum().backward()
    assert (y == 0).all()
    assert x.grad.isfinite().all()


def test_attention_by_hand():
    torch.manual_seed(0)
    block = AttentionPool2d(6, (2, 3), 2, 4).double()
    x = draw(2, 6, 2, 3)
    (e,) = weights(block, "positional_embedding")
    parts = [f"{p}_proj.{k}" for p in "qkvc" for k in ("weight", "bias")]
    wq, bq, wk, bk, wv, bv, wc, bc = weights(block, *parts)
    got = block(torch.from_numpy(x)).detach().numpy()
    for pixels, y in zip(x.reshape(2, 6, 6), got, strict=True):
        tokens = np.concatenate([pixels.mean(1)[None], pixels.T]) + e
        q, k, v = tokens[0] @ wq.T + bq, tokens @ wk.T + bk, tokens @ wv.T + bv
        heads = [softmax(k[:, h] @ q[h] / np.sqrt(3)) @ v[:, h] for h in (slice(0, 3), slice(3, 6))]
        np.testing.assert_allclose(y, wc @ np.concatenate(heads) + bc, atol=1e-13)


def test_attention_is_torchs_for_the_first_query():
    torch.manual_seed(0)
    block = AttentionPool2d(8, 3, 4)
    x = torch.randn(2, 8, 3, 3)
    pixels = x.flatten(2).permute(2, 0, 1)
    tokens = torch.cat([pixels.mean(0, keepdim=True), pixels]) + block.positional_embedding[:, None]
    wanted, _ = torch.nn.functional.multi_head_attention_forward(
        *(tokens[:1], tokens, tokens, 8, 4, None),
        torch.cat([block.q_proj.bias, block.k_proj.bias, block.v_proj.bias]),
        *(None, None, False, 0.0, block.c_proj.weight, block.c_proj.bias),
        use_separate_proj_weight=True,
        q_proj_weight=block.q_proj.weight,
        k_proj_weight=block.k_proj.weight,
        v_proj_weight=block.v_proj.weight,
    )
    torch.testing.assert_close(block(x), wanted[0])


@pytest.mark.parametrize("gamma", [None, 1.0, 1.25, 3.0])
def test_sim_pool_by_hand(gamma):
    torch.manual_seed(0)
    block = SimPool2d(5, gamma=gamma).double()
    x = draw(3, 5, 2, 4)
    wq, wk = weights(block, "wq.weight", "wk.weight")
    got = block(torch.from_numpy(x)).detach().numpy()
    for pixels, y in zip(x.reshape(3, 5, 8), got, strict=True):
        spread = pixels.std(0) ** 2
        v = (pixels - pixels.mean(0)) / np.sqrt(spread + 1e-6)
        a = softmax((wq @ pixels.mean(1)) @ (wk @ v) / np.sqrt(5))
        wanted = v @ a
        if gamma is not None:
            wanted = ((v - v.min() + 1e-6) ** gamma @ a) ** (1 / gamma)
        np.testing.assert_allclose(y, wanted, atol=1e-12)


def test_sim_pool_of_an_image_depends_on_no_other():
    torch.manual_seed(0)
    block, x = SimPool2d(5, gamma=1.25), torch.randn(3, 5, 4, 4)
    torch.testing.assert_close(block(x)[1:2], block(x[1:2]))


REGIONS = {
    (4, 4, 1): [(0, 0, 4)],
    (6, 6, 2): [(0, 0, 6), (0, 0, 4), (0, 2, 4), (2, 0, 4), (2, 2, 4)],
    # 10 x 16: two squares overlap by 4 of 10 columns, three by 7; of level 2: sides of 6.
    (10, 16, 2): [
        *((0, 0, 10), (0, 6, 10)),
        *((0, 0, 6), (0, 5, 6), (0, 10, 6), (4, 0, 6), (4, 5, 6), (4, 10, 6)),
    ],
    (16, 10, 1): [(0, 0, 10), (6, 0, 10)],
    # 4 x 12: 4 squares overlap by 1/3 of a side, five by one half
    (4, 12, 1): [(0, 0, 4), (0, 2, 4), (0, 5, 4), (0, 8, 4)],
}


@pytest.mark.parametrize("case", REGIONS)
def test_regions_are_squares_spread_evenly(case):
    height, width, levels = case
    assert RMACPool2d(levels).regions(height, width) == REGIONS[case]


@pytest.mark.parametrize("case", REGIONS)
def test_rmac_adds_unit_vectors(case):
    height, width, levels = case
    x = draw(2, 3, height, width)
    wanted = 0
    for top, left, side in REGIONS[case]:
        largest = x[:, :, top : top + side, left : left + side].max((2, 3))
        wanted = wanted + largest / np.linalg.norm(largest, axis=1, keepdims=True)
    got = RMACPool2d(levels)(torch.from_numpy(x))
    np.testing.assert_allclose(got[..., 0, 0].numpy(), wanted, atol=1e-14)


def test_rmac_of_zeros_is_zero():
    assert (RMACPool2d()(torch.zeros(1, 2, 5, 5)) == 0).all()


@pytest.mark.parametrize(
    ("largest", "smallest", "counts"),
    [(3, None, (3, 3)), (2, 5, (2, 5)), (0.25, 0.1, (3, 1)), (0.01, 12, (1, 12))],
)
def test_wildcat_sorts(largest, smallest, counts):
    x = draw(2, 3, 3, 4)
    got = WildcatPool2d(largest, smallest, alpha=0.7)(torch.from_numpy(x))[..., 0, 0].numpy()
    ordered = np.sort(x.reshape(2, 3, 12), 2)
    wanted = ordered[..., -counts[0] :].mean(2) + 0.7 * ordered[..., : counts[1]].mean(2)
    np.testing.assert_allclose(got, wanted, atol=1e-14)


@pytest.mark.parametrize(
    ("build", "error", "text"),
    [
        (
            lambda: GeneralizedMaxPool2d(0),
            ArgumentError,
            "GeneralizedMaxPool2d: expected ridge to be a finite number > 0, got 0.",
        ),
        (
            lambda: GeneralizedMaxPool2d(form="fast"),
            ArgumentError,
            "GeneralizedMaxPool2d: expected form to be one of auto, primal, dual, got 'fast'.",
        ),
        (
            lambda: CovariancePool2d(0),
            ArgumentError,
            "CovariancePool2d: expected iterations to be an int > 0",
        ),
        (
            lambda: AttentionPool2d(6, 3, 4),
            ArgumentError,
            "AttentionPool2d: expected heads to divide 6 channels, got 4.",
        ),
        (
            lambda: AttentionPool2d(6, 3, 2)(torch.zeros(1, 6, 3, 4)),
            ShapeError,
            "AttentionPool2d: expected the input to have maps of 3 x 3, got (1, 6, 3, 4). "
            "Build AttentionPool2d for the size of the maps.",
        ),
        (
            lambda: SimPool2d(4, gamma=-1.0),
            ArgumentError,
            "SimPool2d: expected gamma to be a finite number > 0, got -1.0.",
        ),
        (
            lambda: RMACPool2d(overlap=1.0),
            ArgumentError,
            "RMACPool2d: expected overlap to be less than 1, got 1.0.",
        ),
        (
            lambda: RMACPool2d(4)(torch.zeros(1, 1, 2, 9)),
            ShapeError,
            "RMACPool2d: expected the input to have at least 3 x 3 pixels for 4 levels, "
            "got (1, 1, 2, 9). Use fewer levels.",
        ),
        (
            lambda: WildcatPool2d(1.5),
            ArgumentError,
            "WildcatPool2d: expected largest to be an int > 0 or a number between 0 and 1, "
            "got 1.5.",
        ),
        (
            lambda: WildcatPool2d(1, 9)(torch.zeros(1, 1, 2, 2)),
            ShapeError,
            "WildcatPool2d: expected the input to have at least 9 pixels, got 4. "
            "Ask for a share, such as 0.2.",
        ),
    ],
)
def test_what_does_not_fit(build, error, text):
    with pytest.raises(error) as caught:
        build()
    assert str(caught.value).startswith(text)
