"""Derivatives carried forward agree with those carried back."""

import pytest
import torch

import flexpool

# PyTorch's own forward derivatives are scripts of a kind that PyTorch itself calls outdated.
pytestmark = [
    pytest.mark.usefixtures("eager"),  # what is tested lies above the backends
    pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:There is a performance drop:UserWarning"),
]

OPERATORS = ["max", "avg", "lp", "soft", "boltzmann", "mixed", "median", "blur"]


@pytest.mark.parametrize("name", OPERATORS)
def test_forward_and_backward_mode_agree(name):
    x = torch.randn(1, 2, 5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))

    def function(z):
        return flexpool.pool(z, name, 3, 2, 1)

    forward = torch.func.jacfwd(function)(x)
    assert forward.abs().sum() > 0
    torch.testing.assert_close(forward, torch.func.jacrev(function)(x))


def test_a_dual_number_keeps_its_tangent():
    with torch.autograd.forward_ad.dual_level():
        x = torch.tensor([[[1.0, 3.0]]])
        dual = torch.autograd.forward_ad.make_dual(x, torch.tensor([[[5.0, 7.0]]]))
        tangent = torch.autograd.forward_ad.unpack_dual(flexpool.max_pool(dual, 2)).tangent
    assert tangent.tolist() == [[[7.0]]]


def test_hessian():
    def total(z):
        return flexpool.soft_pool(z, 2).sum()

    x = torch.tensor([[[0.3, -1.0, 0.5, 2.0]]], dtype=torch.float64)
    both = torch.func.hessian(total)(x), torch.func.jacrev(torch.func.jacrev(total))(x)
    assert both[0].abs().sum() > 0
    torch.testing.assert_close(*both)
