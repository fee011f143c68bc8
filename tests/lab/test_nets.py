"""The nets: published sizes, any downsampling, shared initial values."""

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from flexpool.errors import ArgumentError, ShapeError
from flexpool.lab import nets
from flexpool.lab.downsampling import DOWNSAMPLINGS
from flexpool.nn import MaxPool2d

LENETS = ["lenet5", "lenet5-control", "lenet5-nopool"]
EVERY_DOWNSAMPLING = sorted(DOWNSAMPLINGS)


@pytest.fixture
def images():
    return torch.rand(3, 1, 28, 28, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("name", "count"), [("lenet5", 61_706), ("lenet5-nopool", 66_346)])
def test_nets_have_exactly_the_published_number_of_parameters(name, count):
    assert sum(p.numel() for p in nets.build(name).parameters()) == count


@pytest.mark.parametrize("downsampling", EVERY_DOWNSAMPLING)
def test_lenet5_takes_every_downsampling(downsampling):
    model = nets.build("lenet5", downsampling)
    with FakeTensorMode(allow_non_fake_inputs=True):  # the numbers are other tests' matter
        assert model(torch.zeros(3, 1, 28, 28)).shape == (3, 10)
    assert model.get_submodule("fc1").in_features == 400  # 16 maps of 5 x 5


@pytest.mark.parametrize("name", sorted({*nets.NETS} - {"lenet5"}))
def test_every_net_takes_other_downsamplings(name):
    """One of each kind: by rule, learned, dropping, drawn, in place of a convolution's stride."""
    net = nets.find(name)
    for downsampling in ("avg", "lp", "slice", "stochastic", "strided", "lip_net", "spectral"):
        model = nets.build(name, downsampling)
        with FakeTensorMode(allow_non_fake_inputs=True):
            assert model(torch.zeros(2, *net.image)).shape == (2, 10), downsampling


def test_lenet5_is_built_as_published(images):
    model = nets.build("lenet5")
    kinds = [type(layer).__name__ for layer in model]
    assert kinds == [
        *("Conv2d", "ReLU", "MaxPool2d", "ReLU", "Conv2d", "MaxPool2d", "Flatten"),
        *("Linear", "ReLU", "Linear", "ReLU", "Linear"),
    ]
    assert model.get_submodule("conv1").padding == (2, 2)


def test_lenet5_nopool_has_two_strided_convolutions_and_no_pooling():
    model = nets.build("lenet5-nopool")
    strides = [layer.stride[0] for layer in model if isinstance(layer, nn.Conv2d)]
    assert strides == [1, 2, 1, 2]
    assert not any("Pool" in type(layer).__name__ for layer in model)


def test_the_control_has_the_layers_of_nopool_with_pooling_for_strides():
    control = nets.build("lenet5-control")
    nopool = nets.build("lenet5-nopool")
    shapes = {name: p.shape for name, p in control.named_parameters()}
    assert shapes == {name: p.shape for name, p in nopool.named_parameters()}
    assert [layer.stride for layer in control if isinstance(layer, nn.Conv2d)] == [(1, 1)] * 4
    assert sum(isinstance(layer, MaxPool2d) for layer in control) == 2


def test_slicing_after_a_convolution_is_that_convolution_with_a_stride(images):
    strided = nets.build("lenet5-nopool", "strided")
    sliced = nets.build("lenet5-nopool", "slice")
    assert torch.allclose(strided(images), sliced(images), rtol=1e-5, atol=1e-6)


def test_shared_layers_start_equal_whatever_else_differs():
    reference = dict(nets.build("lenet5", seed=3).named_parameters())
    for name in LENETS:
        for downsampling in EVERY_DOWNSAMPLING:
            for layer, value in nets.build(name, downsampling, seed=3).named_parameters():
                if layer in reference:
                    assert torch.equal(value, reference[layer]), (name, downsampling, layer)


def test_another_seed_starts_elsewhere():
    one, other = nets.build("lenet5", seed=0), nets.build("lenet5", seed=1)
    assert not torch.equal(one.get_parameter("conv1.weight"), other.get_parameter("conv1.weight"))


def test_layers_of_one_net_do_not_share_their_random_numbers():
    model = nets.build("lenet5", "strided")
    # A weight is uniform within 1 / sqrt(inputs): scaled, equal streams would give equal numbers.
    first = model.get_parameter("fc1.weight").flatten()[:10] * 400**0.5
    second = model.get_parameter("fc2.weight").flatten()[:10] * 120**0.5
    assert not torch.allclose(first, second)


def test_building_a_net_leaves_torchs_random_numbers_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    nets.build("lenet5")
    assert torch.equal(torch.rand(3), expected)


def test_multiply_adds_of_lenet5_by_hand():
    convolutions = 6 * 28 * 28 * 25 + 16 * 10 * 10 * 6 * 25
    linear = 400 * 120 + 120 * 84 + 84 * 10
    assert nets.multiply_adds(nets.build("lenet5"), (1, 28, 28)) == convolutions + linear


@pytest.mark.parametrize(
    ("downsampling", "learned"),
    [("max", 0), ("soft", 0), ("boltzmann", 1), ("lp", 1), ("mixed", 1), ("subsampling", 2)],
)
def test_pooling_counts_no_multiply_adds_and_only_what_it_learns(downsampling, learned):
    model, plain = nets.build("lenet5", downsampling), nets.build("lenet5", "slice")
    assert nets.parameters(model) == nets.parameters(plain) + 2 * learned
    assert nets.multiply_adds(model, (1, 28, 28)) == nets.multiply_adds(plain, (1, 28, 28))


def test_nets_fit_other_images_and_classes():
    model = nets.build("lenet5", image=(3, 32, 32), classes=7)
    assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 7)


def test_too_small_images_are_refused_with_a_remedy():
    with pytest.raises(ShapeError) as caught:
        nets.build("lenet5", image=(1, 8, 8))
    assert str(caught.value) == (
        "expected images large enough for this net, got 8 x 8 pixels. "
        "Use images of at least 16 x 16, such as those of digits or mnist."
    )


def test_unknown_names_suggest_the_nearest():
    with pytest.raises(ArgumentError, match="unknown net 'lenet6'. Did you mean 'lenet5'"):
        nets.build("lenet6")
    with pytest.raises(ArgumentError, match="unknown downsampling 'maxx'. Did you mean 'max'"):
        nets.build("lenet5", "maxx")


@pytest.mark.parametrize("downsampling", ["ddac", "guided_gaussian"])
def test_counting_leaves_no_trace(downsampling):
    """Neither in running statistics nor in the random numbers that are drawn next."""
    model = nets.build("lenet5", downsampling)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    torch.manual_seed(0)
    nets.multiply_adds(model, (1, 28, 28))
    drawn = torch.rand(3)
    torch.manual_seed(0)
    assert torch.equal(drawn, torch.rand(3))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model.training
