"""Each downsampling against the same thing written by hand in NumPy."""

import math

import numpy as np
import pytest
import torch

import flexpool
from flexpool import OnInput, OnOutput, Param, Random, Weight, nn
from flexpool.declare import operator
from flexpool.errors import ArgumentError
from flexpool.lab import downsampling
from flexpool.lab.downsampling import DOWNSAMPLINGS, find
from flexpool.nn.block import blocks

BY_HAND = {
    "max": lambda window: window.max(),
    "min": lambda window: window.min(),
    "avg": lambda window: window.mean(),
    "sum": lambda window: window.sum(),
    "lp": lambda window: math.sqrt((window**2).sum()),
    "mixed": lambda window: (window.max() + window.mean()) / 2,
    "median": lambda window: np.sort(window, axis=None)[(window.size - 1) // 2],
    "soft": lambda window: np.average(window, weights=np.exp(window)),
    "boltzmann": lambda window: np.average(window, weights=np.exp(window)),
    "range": lambda window: window.max() - window.min(),
    "topk": lambda window: np.sort(window, axis=None)[-2:].mean(),
    "product": lambda window: window.prod(),
    "lehmer": lambda window: np.average(window, weights=window.clip(0) + (window.max() <= 0)),
    "lse": lambda window: np.log(np.exp(window).mean()),
    "gaussian": lambda window: window.mean() + window.std(),
    "gem": lambda window: (window.clip(1e-6) ** 3).mean() ** (1 / 3),
    "auto": lambda window: window.mean(),
    "max_entropy": lambda window: np.average(window, weights=np.exp(window / 2)),
    "slice": lambda window: window[0, 0],
}


TAKE_MORE = {"lip", "dpp_guided"}  # than their input


def by_hand(x, reduce, kernel, stride):
    n, c, h, w = x.shape
    rows, columns = (h - kernel) // stride + 1, (w - kernel) // stride + 1
    y = np.empty((n, c, rows, columns))
    for i, j, u, v in np.ndindex(n, c, rows, columns):
        top, left = u * stride, v * stride
        y[i, j, u, v] = reduce(x[i, j, top : top + kernel, left : left + kernel])
    return y


def assert_as_by_hand(name, kernel, stride, size):
    x = np.random.default_rng(0).normal(size=(2, 3, *size))
    layer = find(name).layer(3, kernel, stride)
    expected = by_hand(x, BY_HAND[name], kernel, stride)
    with torch.no_grad():
        y = layer(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(y, expected, rtol=1e-12)


@pytest.mark.parametrize("name", sorted(BY_HAND))
def test_the_nets_window_by_hand(name):
    assert_as_by_hand(name, 2, 2, (5, 7))


@pytest.mark.parametrize("name", ["max", "slice"])
@pytest.mark.parametrize(("kernel", "stride"), [(2, 2), (3, 2), (2, 1), (3, 3), (1, 2)])
@pytest.mark.parametrize("size", [(4, 4), (5, 7), (3, 8)])
def test_other_windows_by_hand(name, kernel, stride, size):
    assert_as_by_hand(name, kernel, stride, size)


def test_every_operator_that_needs_only_its_input_is_a_downsampling():
    layers = {name for name, block in blocks().items() if block.layer}
    assert {"strided", "slice"} <= layers
    assert {*DOWNSAMPLINGS} == {*flexpool.operators()} - TAKE_MORE | layers


@pytest.mark.parametrize("name", sorted({*DOWNSAMPLINGS} - {*blocks()}))
def test_a_pooling_is_the_module_of_its_name(name):
    layer = find(name).layer(3, 2, 2)
    assert isinstance(layer, nn.Pooling)
    assert type(layer) is getattr(nn, f"{name.title().replace('_', '')}Pool2d")
    assert layer.operator is flexpool.operators()[name]
    assert (layer.kernel_size, layer.stride) == (2, 2)


@pytest.mark.parametrize(("name", "learned"), [("boltzmann", "beta"), ("lp", "p"), ("mixed", "a")])
def test_a_pooling_that_learns_has_one_number_for_all_channels(name, learned):
    ((found, value),) = find(name).layer(16, 2, 2).named_parameters()
    assert (found, value.shape) == (learned, ())


def test_an_operator_with_a_second_input_is_refused_with_the_layer_that_takes_it():
    with pytest.raises(ArgumentError) as caught:
        find("lip")
    assert str(caught.value) == (
        "expected downsampling to need nothing besides its input, got 'lip'. It takes logits, an "
        "array of the input's shape: use flexpool.nn.LipPool2d in a net of your own."
    )
    assert hasattr(nn, "LipPool2d")


@pytest.mark.parametrize(
    ("argument", "needed"),
    [
        (OnInput(), ["a, an array of the input's shape"]),
        (OnOutput(), ["a, an array of the output's shape"]),
        (Param(), ["a, a finite number"]),
        (Weight(), ["a, an array of the kernel's shape, or of (channels, *kernel)"]),
        (Param(1.0), []),
        (Weight(np.ones), []),
        (Weight(first=0.1), []),
        (Random(), []),
    ],
)
def test_what_cannot_be_left_to_defaults_is_needed(argument, needed):
    def formula(x, a=argument):
        return (x * a).sum()

    assert downsampling._needs(operator(formula)) == needed


def test_strided_is_a_convolution_of_the_windows_own_size():
    layer = find("strided").layer(6, 2, 2)
    assert layer.weight.shape == (6, 6, 2, 2)
    assert layer(torch.zeros(1, 6, 28, 28)).shape == (1, 6, 14, 14)
