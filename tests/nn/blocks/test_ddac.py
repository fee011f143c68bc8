"""Filters that are found anew for each place."""

import numpy as np
import pytest
import torch

from flexpool.errors import ArgumentError
from flexpool.nn import DDACPool2d
from nn.blocks import by_hand

X = np.random.default_rng(0).normal(size=(2, 4, 7, 6))


def random(module):
    torch.manual_seed(0)
    for name, value in module.state_dict().items():
        if value.is_floating_point():
            torch.nn.init.uniform_(value, 0.5 if name.endswith("var") else -1, 2)
    return module.double()


def by_windows(x, state, kernel, stride, groups, mode):
    wide = by_hand.beyond(x, (kernel - 1) // 2, kernel // 2, mode)
    found = by_hand.convolve(wide, state["filter.weight"], stride=stride)
    shift = found - state["norm.running_mean"][:, None, None]
    scale = state["norm.weight"] / np.sqrt(state["norm.running_var"] + 1e-5)
    logits = shift * scale[:, None, None] + state["norm.bias"][:, None, None]
    y = np.empty((*x.shape[:2], *found.shape[2:]))
    for n, c, u, v in np.ndindex(y.shape):
        group = c // (x.shape[1] // groups)
        own = logits[n, group * kernel**2 : (group + 1) * kernel**2, u, v]
        weights = by_hand.softmax(own, 0).reshape(kernel, kernel)
        here = wide[n, c, u * stride : u * stride + kernel, v * stride : v * stride + kernel]
        y[n, c, u, v] = np.sum(weights * here)
    return y


@pytest.mark.parametrize(
    ("kernel", "stride", "groups", "mode"),
    [(3, 2, 2, "reflect"), (2, 2, 4, "zeros"), (3, 1, 1, "circular"), (4, 3, 2, "replicate")],
)
def test_values_by_hand(kernel, stride, groups, mode):
    pool = random(DDACPool2d(4, kernel, stride, groups=groups, padding_mode=mode)).eval()
    wanted = by_windows(X, by_hand.arrays(pool), kernel, stride, groups, mode)
    y = pool(torch.from_numpy(X)).detach().numpy()
    np.testing.assert_allclose(y, wanted, rtol=1e-11, atol=1e-14)
    assert y.shape[2:] == tuple(-(-size // stride) for size in X.shape[2:])


def test_weights_of_each_group_add_up_to_one():
    """So constants stay, channel by channel; one softmax over all groups would shrink them."""
    pool = random(DDACPool2d(4, groups=4)).train()
    constants = torch.tensor([1.0, -2, 3, 4]).double().view(4, 1, 1).expand(2, 4, 5, 5)
    torch.testing.assert_close(pool(constants), constants[..., :3, :3])


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"channels": 3}, "expected groups to divide channels, 3, got 2."),
        ({"channels": 4, "stride": 0}, "expected stride to be an int > 0, got 0."),
    ],
)
def test_refused(given, text):
    with pytest.raises(ArgumentError) as caught:
        DDACPool2d(**given)
    assert str(caught.value) == f"DDACPool2d: {text}"
