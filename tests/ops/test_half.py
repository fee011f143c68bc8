"""Half precision: what is finite and has a place in the type comes out, on inputs that overflow.

Compared with the definition in float64, on the inputs as the half type rounds them.
"""

import numpy as np
import pytest
import torch

import flexpool
from flexpool.declare import OnInput, OnOutput, Param, Random, Weight, find, operators

WINDOW = {"kernel_size": 4, "stride": 2, "padding": 2}  # as "line" of the conformance tests
INPUTS = {
    "zeros": [0.0] * 8,
    "squares": [200.0, 220.0, 200.0, 1.0, 0.0, -200.0, 190.0, 250.0],
    "exponentials": [90.0, 1.0, 1.0, 1.0, 88.0, 88.5, 87.0, 60.0],
    "negative": [-90.0, -1.0, -200.0, -88.5, -12.0, -11.0, -3.0, -0.5],
    "small": [1e-4, 3e-5, 0.0, 2e-4, 1e-3, 0.0, 6e-5, 1e-4],
    "wide": [3e4, -3e4, 1.0, 0.0, 1e-4, 12.0, -2e4, 2.5e4],
    "equal": [300.0] * 8,
    "probabilities": [0.5, 0.999, 1.0, 0.0, 0.25, 0.125, 1.0, 0.75],
}
VAST = [1e30, -2e30, 1e30, 5e29, 0.0, 3e30, 1.0, 1e30]  # bfloat16 reaches as far as float32
QUICK = {"gem", "lip", "lp", "soft"}  # the others compile for minutes
CASES = [
    pytest.param(
        *(name, backend, dtype),
        marks=[pytest.mark.heavy] if backend == "numba" and name not in QUICK else [],
    )
    for name in operators()
    for backend in ("eager", "numba")
    for dtype in (torch.float16, torch.bfloat16)
]


def arguments(name, x):
    """Give each argument that is learned: the default, or 12 where there is none."""
    found = {}
    for key, argument in find(name).arguments.items():
        if isinstance(argument, Param):
            found[key] = torch.tensor([float(argument.default)])
        elif isinstance(argument, Weight):
            weight = torch.full((4,), 0.25)
            if not argument.required:
                weight = torch.as_tensor(argument.default((4,)), dtype=torch.float32)
            found[key] = weight
        elif isinstance(argument, OnInput):
            found[key] = torch.where(x > 0, 12.0, 11.0).to(x.dtype)
        elif isinstance(argument, OnOutput):
            found[key] = torch.full((*x.shape[:2], 5), 0.5, dtype=x.dtype)
    return found


def expected(name, x, given, gy):
    """Ask the definition for the result and all gradients."""
    values = {key: value.detach().double().numpy() for key, value in given.items()}
    common = WINDOW | values | seeded(name) | {"backend": "interpret"}
    inputs = (x.double().numpy(), name)
    slopes = flexpool.pool_backward(gy.double().numpy(), *inputs, **common, wanted=("x", *values))
    return {"y": flexpool.pool(*inputs, **common), **slopes}


def seeded(name):
    drawn = [a for a in find(name).arguments.values() if isinstance(a, Random)]
    return {"seed": 3} if drawn else {}


@pytest.mark.parametrize(("name", "backend", "dtype"), CASES)
def test_what_has_a_place_in_the_type_comes_out(name, backend, dtype):
    inputs = INPUTS | ({"vast": VAST} if dtype == torch.bfloat16 else {})
    for label, numbers in inputs.items():
        x = torch.tensor([[numbers]], dtype=dtype)
        given = arguments(name, x)
        leaves = {"x": x, **given}
        for leaf in leaves.values():
            leaf.requires_grad_()
        y = flexpool.pool(x, name, **WINDOW, **given, **seeded(name), backend=backend)
        gy = torch.full_like(y, 0.5)
        slopes = torch.autograd.grad(y, list(leaves.values()), gy)
        got = {"y": y.detach(), **dict(zip(leaves, slopes, strict=True))}
        want = expected(name, x.detach(), given, gy)
        for key, value in got.items():
            assert value.dtype == (dtype if key in ("x", "y") else leaves[key].dtype)
            exact = torch.from_numpy(np.asarray(want[key])).reshape(value.shape)
            fits = exact.abs() < torch.finfo(value.dtype).max
            assert value[fits].isfinite().all(), (label, key, value, exact)
            size = 1 + x.detach().double().abs().max() * (label == "vast")
            near = (value.double() - exact).abs() <= 0.02 * (exact.abs() + size)
            assert near[fits].all(), (label, key, value, exact)
