"""Types of number, memory layouts, and where PyTorch's tensors come from."""

import itertools

import numpy as np
import pytest
import torch

import flexpool
from functional.cases import apart
from turns import but_for


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", ["soft", "lp", "max", "lip"])
def test_half_types_are_computed_in_float32(name, dtype):
    x = torch.randn(2, 3, 8, 8).to(dtype)
    values = {"logits": torch.randn(2, 3, 8, 8).to(dtype)} if name == "lip" else {}
    wide = {n: v.float() for n, v in values.items()}
    ours, theirs = x.clone().requires_grad_(), x.float().requires_grad_()
    y = flexpool.pool(ours, name, 3, 2, 1, **values)
    want = flexpool.pool(theirs, name, 3, 2, 1, **wide)
    assert y.dtype == dtype
    assert torch.equal(y, want.to(dtype))
    y.sum().backward()
    want.sum().backward()
    assert torch.equal(ours.grad, theirs.grad.to(dtype))


def test_numpys_half_type():
    x = apart((2, 3, 4, 4), np.float16)
    y = flexpool.soft_pool(x, 2)
    assert y.dtype == np.float16
    np.testing.assert_array_equal(y, flexpool.soft_pool(x.astype("f4"), 2).astype("f2"))


def test_autocast():
    x = torch.randn(2, 3, 8, 8, requires_grad=True)
    p = torch.full((3,), 2.0, requires_grad=True)
    weight = torch.randn(3, 3, 1, 1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = flexpool.lp_pool(torch.nn.functional.conv2d(x, weight), 2, p=p)
    assert y.dtype == torch.bfloat16
    y.sum().backward()
    assert p.grad.dtype == x.grad.dtype == torch.float32


SHAPES = [(2, 3, 8), (2, 3, 6, 8), (2, 3, 4, 6, 8)]
QUICK = [("soft", SHAPES[0]), ("avg", SHAPES[1])]


@pytest.mark.parametrize(
    ("name", "shape"), but_for(QUICK, itertools.product(("soft", "max", "avg"), SHAPES))
)
def test_channels_last_stays(name, shape):
    last = torch.randn(shape[0], *shape[2:], shape[1]).movedim(-1, 1)
    plain = last.contiguous()
    x, z = (t.clone().requires_grad_() for t in (last, plain))
    assert not x.is_contiguous()
    y, want = (flexpool.pool(t, name, 2) for t in (x, z))
    torch.testing.assert_close(y, want, rtol=1e-6, atol=1e-6)
    assert y.movedim(1, -1).is_contiguous()
    assert want.is_contiguous()
    grad = torch.randn(want.shape)
    y.backward(grad)
    want.backward(grad)
    torch.testing.assert_close(x.grad, z.grad, rtol=1e-6, atol=1e-6)
    assert x.grad.movedim(1, -1).is_contiguous()


def test_any_strides():
    x = torch.randn(4, 5, 14, 6).permute(1, 0, 3, 2)[:, 1:, :, ::2].requires_grad_()
    want = flexpool.soft_pool(x.contiguous(), 2)
    torch.testing.assert_close(flexpool.soft_pool(x, 2), want)
    np.testing.assert_allclose(flexpool.soft_pool(x.detach().numpy(), 2), want.detach(), rtol=1e-6)
    assert flexpool.soft_pool(x, 2).is_contiguous()


def test_gradients_with_expanded_strides():
    x = torch.randn(2, 3, 4, 4, requires_grad=True)
    for name in ("avg", "soft", "max"):
        x.grad = None
        flexpool.pool(x, name, 2).sum().backward()
        (want,) = torch.autograd.grad(flexpool.pool(x, name, 2), x, torch.ones(2, 3, 2, 2))
        assert torch.equal(x.grad, want)


def test_numpy_arrays_of_any_kind():
    x = apart((2, 3, 4, 4))
    want = flexpool.soft_pool(x, 2)
    readonly = x.copy()
    readonly.flags.writeable = False
    turned = x.astype(">f8")
    for array in (readonly, turned, np.asfortranarray(x)):
        got = flexpool.soft_pool(array, 2)
        assert got.dtype == np.float64
        np.testing.assert_allclose(got, want, rtol=1e-14)


@pytest.mark.parametrize("name", ["max", "avg", "sum", "soft"])
def test_what_flexpool_gives_back_is_writable_and_its_own(name):
    x = apart((1, 1, 2, 2))
    kept = x.copy()
    y = flexpool.pool(x, name, 1)
    y += 1
    np.testing.assert_array_equal(x, kept)


def test_inference_mode_and_other_devices():
    x = torch.randn(2, 3, 4, 4)
    with torch.inference_mode():
        assert torch.equal(flexpool.soft_pool(x, 2), flexpool.soft_pool(x, 2))
    assert flexpool.soft_pool(x.to("meta"), 2).shape == (2, 3, 2, 2)


@pytest.mark.parametrize("name", ["soft", "max"])
def test_tensors_that_are_not_what_they_look_like(name):
    x = apart((2, 3, 4, 4), np.float64)
    want = torch.from_numpy(flexpool.pool(-x, name, 2))
    negative = torch._neg_view(torch.from_numpy(x))
    assert torch.equal(flexpool.pool(negative, name, 2), want)
    parameter = torch.nn.Parameter(torch.from_numpy(-x))
    y = flexpool.pool(parameter, name, 2)
    assert torch.equal(y.detach(), want)
    assert y.requires_grad
    (slope,) = torch.autograd.grad(y.sum(), parameter)
    y = flexpool.pool(parameter, name, 2)
    (again,) = torch.autograd.grad(y, parameter, torch._neg_view(-torch.ones_like(y)))
    assert torch.equal(again, slope)
