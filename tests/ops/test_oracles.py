"""The oracles themselves: their derivatives against differences, their windows against torch."""

from dataclasses import fields

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from flexpool.declare import operators
from ops.settings import SETTINGS, spelled
from oracles import Given, apply
from running import Call, Windows

CASES = [
    pytest.param(name, settings, id=f"{name}-{spelled(settings)}")
    for name in operators()
    for settings in SETTINGS.get(name, [{}])
    if settings.get("gradient") != "detached"  # which is none, on purpose
]
STEP = 1e-6


@pytest.mark.parametrize(("name", "settings"), CASES)
def test_derivatives_are_the_limits_of_differences(name, settings):
    x = np.random.default_rng(5).normal(size=(1, 2, 3, 4))
    call = Call(name, x, Windows(2, 2, 1, (1, 0), ceil_mode=True), settings)
    gy = call.gy()
    _, derivatives = call.expected(gy)
    given = call.given
    groups = {"x": x} | given.numbers | given.positions | given.elements | given.windows
    groups |= given.ranks
    for key, values in groups.items():
        expected = np.zeros(np.shape(values))
        for at in np.ndindex(np.shape(values)):
            losses = []
            for step in (STEP, -STEP):
                moved = np.array(values, dtype=np.float64)
                moved[at] += step
                losses.append(np.sum(gy * moved_result(call, key, moved)))
            expected[at] = (losses[0] - losses[1]) / (2 * STEP)
        got = derivatives[key]
        if got.size > expected.size:  # one value for all channels
            got = got.sum(axis=0)
        np.testing.assert_allclose(got.reshape(expected.shape), expected, rtol=1e-6, atol=1e-6)


def moved_result(call, key, moved):
    given = call.given
    groups = {field.name: dict(getattr(given, field.name)) for field in fields(Given)}
    for group in groups.values():
        group |= {key: moved} if key in group else {}
    changed = Given(**groups)
    x = moved if key == "x" else call.x
    return apply(call.operator, x, *call.windows.spelled_out, changed)[0]


@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kernel", [2, 3])
@pytest.mark.parametrize("size", [3, 4, 5, 6])
def test_windows_are_torchs(size, kernel, stride, padding, ceil_mode):
    x = torch.tensor(np.random.default_rng(size).normal(size=(1, 1, size, 5)), requires_grad=True)
    place = ((kernel,) * 2, (stride,) * 2, ((padding,) * 2,) * 2, (1, 1), ceil_mode)
    common = {"stride": stride, "padding": padding, "ceil_mode": ceil_mode}
    for name, options, torchs in [
        ("max", {}, F.max_pool2d(x, kernel, **common)),
        ("avg", {}, F.avg_pool2d(x, kernel, **common)),
        (
            "avg",
            {"count_include_pad": False},
            F.avg_pool2d(x, kernel, **common, count_include_pad=False),
        ),
        ("sum", {}, F.avg_pool2d(x, kernel, **common, divisor_override=1)),
    ]:
        gy = torch.arange(1.0, torchs.numel() + 1, dtype=torch.float64).reshape(torchs.shape)
        (slopes,) = torch.autograd.grad(torchs, x, gy)
        given = Given(options=options)
        y, derivatives = apply(name, x.detach().numpy(), *place, given, gy.numpy())
        np.testing.assert_allclose(y, torchs.detach(), rtol=1e-13, atol=1e-13)
        np.testing.assert_allclose(derivatives["x"], slopes, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("values", [[4, 1, 3, 2], [2, 1, 2, 2], [1, np.nan, 3], [5], [-1, 7]])
def test_median_is_torchs(values):
    x = np.array(values, dtype=np.float64)[None, None]
    y, _ = apply("median", x, (len(values),), (1,), ((0, 0),), (1,), False)
    np.testing.assert_equal(y.item(), torch.tensor(values, dtype=torch.float64).median().item())
