"""Whole nets, with the kernels that are used: a training step and inference stay the same."""

import itertools

import pytest
import torch
import torch.nn.functional as F

import flexpool
from drop_in.nets_to_accelerate import NETS, made
from turns import but_for

pytestmark = pytest.mark.usefixtures("everything")

LAYOUTS = {"planes": torch.contiguous_format, "channels last": torch.channels_last}
WINDOWS = [(2, 2, 0), (3, 2, 1), (3, 1, 1)]


def images(layout, requires_grad=False):
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    return x.contiguous(memory_format=LAYOUTS[layout]).requires_grad_(requires_grad)


def train(net, x):
    """A step of training: its loss, all gradients, and what the net became."""
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    loss = F.cross_entropy(net(x), torch.tensor([3, 7]))
    loss.backward()
    optimizer.step()
    gradients = {name: parameter.grad for name, parameter in net.named_parameters()}
    return {"loss": loss, "x": x.grad, **gradients} | net.state_dict(prefix="after.")


@pytest.mark.parametrize(
    ("name", "layout"),
    but_for(
        [*itertools.product(NETS, ("planes",)), ("vgg", "channels last")],
        itertools.product(NETS, LAYOUTS),
    ),
)
def test_a_step_of_training_is_the_same(name, layout, taken):
    nets = [made(name, 4, 64).to(memory_format=LAYOUTS[layout]) for _ in range(3)]
    theirs = train(nets[0], images(layout, requires_grad=True))
    assert not taken
    ours = train(flexpool.accelerate(nets[1]), images(layout, requires_grad=True))
    assert taken
    with flexpool.accelerated():
        inside = train(nets[2], images(layout, requires_grad=True))
    assert ours.keys() == inside.keys() == theirs.keys()
    for name in theirs:
        for found in (ours, inside):
            torch.testing.assert_close(found[name], theirs[name], rtol=1e-4, atol=1e-5, msg=name)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", NETS)
def test_inference_is_the_same(name, layout, taken):
    net = made(name, 4, 64).eval().to(memory_format=LAYOUTS[layout])
    with torch.inference_mode():
        theirs = net(images(layout))
        with flexpool.accelerated():
            inside = net(images(layout))
        ours = flexpool.accelerate(net)(images(layout))
    assert taken
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(inside, theirs)


def test_a_net_that_takes_maxima_is_the_same_to_the_bit():
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.MaxPool2d(3, 2, 1))
    ours = flexpool.accelerate(net, inplace=False)
    x, mine = images("planes", requires_grad=True), images("planes", requires_grad=True)
    y, our_y = net(x), ours(mine)
    y.square().sum().backward()
    our_y.square().sum().backward()
    assert torch.equal(our_y, y)
    assert torch.equal(mine.grad, x.grad)
    assert torch.equal(ours[0].weight.grad, net[0].weight.grad)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("window", WINDOWS)
def test_maxima_their_places_and_gradients_are_the_same_to_the_bit(window, layout, taken):
    x, mine = images(layout, requires_grad=True), images(layout, requires_grad=True)
    size, stride, padding = window
    with torch.no_grad():
        x[0, 0, 3:9, 3:9] = mine[0, 0, 3:9, 3:9] = 5.0  # ties
        x[1, 1, 5, 5] = mine[1, 1, 5, 5] = torch.nan
    for keywords in ({}, {"return_indices": True}):
        found = []
        for one, mode in ((x, torch.enable_grad()), (mine, flexpool.accelerated())):
            with mode:
                results = F.max_pool2d(one, size, stride, padding, **keywords)
            y, *index = results if keywords else (results,)
            weights = torch.randn(y.shape, generator=torch.Generator().manual_seed(2))
            (gradient,) = torch.autograd.grad(y, one, weights)
            found.append([y.detach(), gradient, *index])
        for a, b in zip(*found, strict=True):
            assert torch.equal(a.nan_to_num(77.0), b.nan_to_num(77.0))
            assert a.stride() == b.stride()
    assert taken == ["max", "max"]


@pytest.mark.parametrize(("size", "stride"), [(3, 2), (8, 2), (9, 2), (9, 5)])
def test_maxima_that_flexpool_adds_in_torchs_order_keep_no_indices(size, stride):
    with flexpool.accelerated():
        y = F.max_pool2d(images("planes", requires_grad=True), size, stride)
    kept = [array.dtype for array in y.grad_fn.saved_tensors if array is not None]
    assert (torch.int64 in kept) == (stride == 5)


def test_a_view_that_is_yet_to_be_negated(taken):
    x = torch._neg_view(-images("planes"))
    with flexpool.accelerated():
        y = F.max_pool2d(x, 2)
    assert torch.equal(y, F.max_pool2d(images("planes"), 2))
    assert not taken
