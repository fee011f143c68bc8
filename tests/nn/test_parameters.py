"""Numbers and weights of a formula as parameters and buffers: training, state, kinds of number."""

import copy

import numpy as np
import pytest
import torch

from flexpool import nn
from flexpool.ops.blur import binomial


def x_of(*shape, dtype=torch.float32):
    return torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=dtype)


def test_what_is_declared_learnable_is_a_parameter_and_the_rest_a_buffer():
    assert [n for n, _ in nn.BoltzmannPool2d(2).named_parameters()] == ["beta"]
    assert [n for n, _ in nn.BlurPool2d(3).named_buffers()] == ["weight"]
    assert list(nn.BlurPool2d(3).parameters()) == []


@pytest.mark.parametrize(
    ("learnable", "learned"),
    [(True, True), (False, False), (["weight"], True), ((), False), ({"weight"}, True)],
)
def test_learnable_overrides_the_declaration(learnable, learned):
    pool = nn.BlurPool1d(3, learnable=learnable)
    assert isinstance(pool.weight, torch.nn.Parameter) == learned
    assert list(pool.state_dict()) == ["weight"]


def test_one_number_for_all_channels_or_one_each():
    assert nn.BoltzmannPool2d(2).beta.shape == ()
    each = nn.BoltzmannPool2d(2, channels=3, beta=2.0)
    assert each.beta.tolist() == [2, 2, 2]
    given = nn.BoltzmannPool2d(2, beta=torch.tensor([0.0, 1.0, 2.0]))
    assert given.beta.tolist() == [0, 1, 2]
    x = x_of(2, 3, 4, 4)
    for channel in range(3):
        alone = nn.BoltzmannPool2d(2, beta=float(channel))
        torch.testing.assert_close(given(x)[:, channel], alone(x)[:, channel])


def test_weights_take_the_kernels_shape_or_one_kernel_per_channel():
    assert np.allclose(nn.BlurPool2d((3, 2)).weight, binomial((3, 2)))
    assert nn.BlurPool2d((3, 2), channels=4).weight.shape == (4, 3, 2)
    weights = torch.rand(2, 3)
    pool = nn.BlurPool1d(3, 1, weight=weights, learnable=True)
    x = x_of(1, 2, 3)
    expected = (weights * x[0]).sum(1) / weights.sum(1)
    torch.testing.assert_close(pool(x)[0, :, 0], expected)
    assert nn.GlobalBlurPool1d(weight=[1, 0, 0])(x).tolist() == x[:, :, :1].tolist()


def test_parameters_get_gradients_and_train():
    pool = nn.BoltzmannPool2d(2, channels=3, beta=0.0)
    x = x_of(4, 3, 8, 8)
    wanted = nn.BoltzmannPool2d(2, beta=[1.0, 2.0, -1.0])(x).detach()
    optimiser = torch.optim.Adam(pool.parameters(), lr=0.1)
    for _ in range(150):
        optimiser.zero_grad()
        ((pool(x) - wanted) ** 2).mean().backward()
        optimiser.step()
    torch.testing.assert_close(pool.beta.data, torch.tensor([1.0, 2, -1]), atol=0.02, rtol=0)


def test_buffers_get_no_gradient():
    pool = nn.BoltzmannPool2d(2, learnable=False)
    x = x_of(1, 1, 4, 4).requires_grad_()
    pool(x).sum().backward()
    assert pool.beta.grad is None
    assert x.grad is not None


def test_state_goes_from_one_module_to_another():
    trained = nn.BoltzmannPool2d(2, channels=2, beta=[3.0, -1.0])
    fresh = nn.BoltzmannPool2d(2, channels=2, learnable=False)
    fresh.load_state_dict(trained.state_dict())
    x = x_of(1, 2, 4, 4)
    assert torch.equal(fresh(x), trained(x))


def test_reset_puts_the_first_values_back_in_copies_too():
    pool = nn.BoltzmannPool2d(2, channels=2, beta=[3.0, -1.0])
    with torch.no_grad():
        pool.beta.add_(1)
    for each in (copy.deepcopy(pool), pool):
        assert each.beta.tolist() == [4, 0]
        each.reset_parameters()
        assert each.beta.tolist() == [3, -1]
    nn.SoftPool2d(2).reset_parameters()


def test_a_first_value_is_copied():
    first = torch.nn.Parameter(torch.ones(2))
    pool = nn.BoltzmannPool2d(2, beta=first)
    assert pool.beta is not first
    with torch.no_grad():
        first.zero_()
    assert pool.beta.tolist() == [1, 1]


@pytest.mark.parametrize("name", ["BoltzmannPool2d", "BlurPool2d", "SoftPool2d"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_half_and_double(name, dtype):
    pool = getattr(nn, name)(2)
    x = x_of(1, 2, 4, 4)
    expected = pool(x)
    y = copy.deepcopy(pool).to(dtype)(x.to(dtype))
    assert y.dtype == dtype
    torch.testing.assert_close(y.float(), expected, rtol=0.02, atol=0.02)
    assert all(p.dtype == dtype for p in copy.deepcopy(pool).to(dtype).state_dict().values())


def test_the_default_type_of_number_is_torchs():
    torch.set_default_dtype(torch.float64)
    try:
        assert nn.BoltzmannPool2d(2).beta.dtype == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


def test_modules_can_be_built_without_memory_and_filled_later():
    with torch.device("meta"):
        pool = nn.BoltzmannPool2d(2, beta=3.0)
    assert pool.beta.is_meta
    assert "beta=()" in repr(pool)
    pool.to_empty(device="cpu").reset_parameters()
    assert pool.beta.item() == 3


def test_training_follows_the_module():
    pool = nn.StochasticPool1d(4)
    x = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    assert pool.eval()(x).item() == pytest.approx(3)
    torch.manual_seed(0)
    pool.train()
    drawn = [pool(x).item() for _ in range(60)]
    assert set(drawn) == {1, 2, 3, 4}
    torch.manual_seed(0)
    assert [pool(x).item() for _ in range(60)] == drawn


def test_evaluation_draws_nothing():
    before = torch.get_rng_state()
    nn.StochasticPool1d(2).eval()(x_of(1, 1, 4))
    assert torch.equal(torch.get_rng_state(), before)
    nn.StochasticPool1d(2)(x_of(1, 1, 4))
    assert not torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("module", "arrays"),
    [
        (lambda: nn.BoltzmannPool2d(3, 2, 1, channels=2, beta=[0.5, 2.0]), 0),
        (lambda: nn.LipPool2d(2), 1),
        (lambda: nn.MaxPool2d(2, return_indices=True), 0),
        (lambda: nn.AvgPool2d(2, padding=1, count_include_pad=False), 0),
        (lambda: nn.LPPool2d(3, 2), 0),
        (lambda: nn.LPPool2d(3, 2, mode="torch"), 0),
        (lambda: nn.AdaptiveAvgPool2d((3, None)), 0),
        (lambda: nn.GlobalSoftPool2d(), 0),
        (lambda: nn.StochasticPool2d(2).eval(), 0),
        (lambda: nn.Pool2d(lambda x: x.max() - x.min(), 2), 0),
    ],
)
def test_modules_compile_as_one_graph(module, arrays):
    torch.compiler.reset()
    pool = module()
    x = x_of(1, 2, 5, 5).requires_grad_()
    given = [x_of(1, 2, 5, 5) for _ in range(arrays)]
    compiled = torch.compile(pool, fullgraph=True, backend="aot_eager")
    for got, expected in zip(_results(compiled(x, *given)), _results(pool(x, *given)), strict=True):
        torch.testing.assert_close(got, expected, equal_nan=True)
    (ours,) = torch.autograd.grad(_results(compiled(x, *given))[0].sum(), x)
    (theirs,) = torch.autograd.grad(_results(pool(x, *given))[0].sum(), x)
    torch.testing.assert_close(ours, theirs, equal_nan=True)


def _results(result):
    return result if isinstance(result, tuple) else (result,)
