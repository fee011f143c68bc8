"""The nets beyond the LeNets: shapes as published, sizes by hand, layer by layer."""

import math

import pytest
import torch
from torch import nn

from flexpool.errors import ArgumentError, ShapeError
from flexpool.lab import nets
from flexpool.lab.nets.lenet1998 import C3
from flexpool.nn import MaxPool2d


def rows_of(name, downsampling=None, depth=1):
    net = nets.find(name)
    return {r.name: r for r in nets.layers(nets.build(name, downsampling), net.image, depth)}


def test_nin_has_the_published_shapes():
    rows = rows_of("nin")
    assert [(row.kind, row.shape) for row in rows.values()] == [
        ("Sequential", (96, 55, 55)),
        ("MaxPool2d", (96, 27, 27)),
        ("Sequential", (256, 27, 27)),
        ("MaxPool2d", (256, 13, 13)),
        ("Sequential", (384, 13, 13)),
        ("MaxPool2d", (384, 6, 6)),
        ("Sequential", (10, 6, 6)),
        ("GlobalAvgPool2d", (10, 1, 1)),
        ("Flatten", (10,)),
    ]
    # A convolution 11 x 11, then two across the channels of each pixel.
    assert rows["mlpconv1"].parameters == 96 * (121 + 1) + 2 * 96 * (96 + 1)
    assert rows["mlpconv1"].multiply_adds == 55 * 55 * 96 * (121 + 2 * 96)
    sizes = [row.receptive_field[0] for row in rows.values()]
    # k + (k - 1) * jump at each step, the jumps 4, 8, 16, 32: by hand.
    assert sizes[:7] == [11, 19, 51, 67, 99, 131, 195]


def test_lenet5_of_1998_has_the_published_number_of_parameters():
    rows = rows_of("lenet5-1998")
    published = {"conv1": 156, "down2": 12, "conv3": 1516, "down4": 32, "fc5": 48_120}
    assert {name: rows[name].parameters for name in published} == published
    assert rows["fc6"].parameters == 10_164
    # The paper's 60,000 are without its output layer, whose numbers were fixed; ours is linear.
    assert sum(row.parameters for row in rows.values()) == 60_000 + 84 * 10 + 10
    # Its 151,600 connections of C3 have a bias each: a multiply-add is a connection without.
    assert rows["conv3"].multiply_adds == 151_600 - 16 * 100


def test_a_full_c3_has_2416_parameters_and_not_the_printed_2496():
    assert nets.parameters(nn.Conv2d(6, 16, 5)) == 16 * (6 * 25 + 1) == 2416
    assert nets.parameters(nets.PartialConv2d(6, C3, 5)) == 60 * 25 + 16 == 1516
    assert nets.parameters(nets.PartialConv2d(6, [range(6)] * 16, 5)) == 2416


def test_every_map_of_s2_is_seen_by_ten_maps_of_c3():
    counts = [sum(c in maps for maps in C3) for c in range(6)]
    assert counts == [10] * 6
    assert [len(maps) for maps in C3] == [3] * 6 + [4] * 9 + [6]
    assert len({*C3}) == 16


def test_a_partial_convolution_is_a_sum_over_the_maps_of_its_table():
    table = [(0, 2), (1,), (0, 1, 2)]
    layer = nets.PartialConv2d(3, table, 3).double()
    x = torch.rand(2, 3, 6, 5, dtype=torch.float64, requires_grad=True)
    y = layer(x)
    weights = iter(layer.weight)
    for o, maps in enumerate(table):
        whole = sum(nn.functional.conv2d(x[:, c : c + 1], next(weights)[None, None]) for c in maps)
        torch.testing.assert_close(y[:, o : o + 1], whole + layer.bias[o])
    assert torch.autograd.gradcheck(layer, x)
    y.square().sum().backward()
    assert layer.weight.grad.abs().flatten(1).sum(1).min() > 0


def test_a_partial_convolution_starts_within_its_maps_own_bounds():
    layer = nets.PartialConv2d(4, [(0,), (0, 1, 2, 3)] * 50, 3)
    few, many = (layer.weight[layer.outputs % 2 == parity].abs().max() for parity in (0, 1))
    assert 0.9 / 3 < few <= 1 / 3
    assert 0.9 / 6 < many <= 1 / 6
    assert layer.bias[0::2].abs().max() > 1 / 6 >= layer.bias[1::2].abs().max()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((0, [(0,)], 5), "PartialConv2d: expected in_channels to be an int > 0, got 0."),
        ((1, [(0,)], 1.5), "PartialConv2d: expected kernel_size to be an int > 0, got 1.5."),
        *(
            (
                (2, table, 5),
                "PartialConv2d: expected table to name for each result map input maps in 0..1, "
                f"none twice, got {table}.",
            )
            for table in ([], [(0,), ()], [(0, 2)], [(1, 1)])
        ),
    ],
)
def test_partial_convolutions_refuse(arguments, text):
    with pytest.raises(ArgumentError) as caught:
        nets.PartialConv2d(*arguments)
    assert str(caught.value) == text


def test_lenet5_of_1998_squashes_and_subsamples_as_published():
    x = torch.rand(1, 1, 28, 28)
    model = nets.build("lenet5-1998")
    squashed = model[:2](x)
    assert torch.equal(squashed, 1.7159 * torch.tanh(2 / 3 * model.conv1(x)))
    down = model.down2
    with torch.no_grad():
        down.coefficient.copy_(torch.arange(1.0, 7.0).view_as(down.coefficient))
        down.bias.fill_(0.5)
    means = nn.functional.avg_pool2d(squashed, 2) * torch.arange(1.0, 7.0).view(6, 1, 1) + 0.5
    torch.testing.assert_close(down(squashed), 1.7159 * torch.tanh(2 / 3 * means))
    assert isinstance(nets.build("lenet5-1998", "max").down2, MaxPool2d)


def test_resnet20_by_hand():
    rows = rows_of("resnet20")
    stages = 6 * (2 * 16 * 16 * 9) // 2, 16 * 32 * 9 + 5 * 32 * 32 * 9, 32 * 64 * 9 + 5 * 64**2 * 9
    norms = 2 * 16 * 7 + 2 * 32 * 6 + 2 * 64 * 6
    whole = 3 * 16 * 9 + sum(stages) + norms + 64 * 10 + 10
    assert sum(row.parameters for row in rows.values()) == whole == 269_722
    blocks = [row.shape for row in rows.values() if row.kind == "Residual"]
    assert blocks == [(16, 32, 32)] * 3 + [(32, 16, 16)] * 3 + [(64, 8, 8)] * 3
    convolutions = [row for row in rows_of("resnet20", depth=None).values() if row.kind == "Conv2d"]
    assert len(convolutions) + 1 == 20


def test_a_shortcut_adds_the_input_itself():
    block = nets.build("resnet20").eval().block2_1
    nn.init.zeros_(block.main.norm2.weight)  # the convolutions add nothing
    x = torch.rand(2, 16, 8, 8)
    y = block(x)
    assert torch.equal(y[:, :16], x[:, :, ::2, ::2])
    assert not y[:, 16:].any()


@pytest.mark.parametrize("name", ["resnet20", "cnn-c", "allcnn-c"])
def test_slicing_is_a_stride_here_too(name):
    x = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    strided, sliced = (nets.build(name, down).eval() for down in ("strided", "slice"))
    torch.testing.assert_close(strided(x), sliced(x), rtol=1e-4, atol=1e-5)


def test_the_all_convolutional_net_by_hand():
    convolutions = [(3, 96, 9), (96, 96, 9), (96, 96, 9), (96, 192, 9), (192, 192, 9)]
    convolutions += [(192, 192, 9), (192, 192, 9), (192, 192, 1), (192, 10, 1)]
    sizes = [32, 32, 16, 16, 16, 8, 6, 6, 6]
    rows = [row for row in rows_of("allcnn-c").values() if row.kind == "Conv2d"]
    for row, (before, after, taps), size in zip(rows, convolutions, sizes, strict=True):
        assert row.shape == (after, size, size)
        assert row.parameters == after * (before * taps + 1)
        assert row.multiply_adds == after * before * taps * size**2
    assert nets.parameters(nets.build("allcnn-c")) == 1_369_738


def test_the_four_all_cnns_are_two_nets_with_two_downsamplings():
    for pooled, strided in (("cnn-c", "strided-cnn-c"), ("convpool-cnn-c", "allcnn-c")):
        one, other = nets.build(pooled, "strided"), nets.build(strided)
        assert repr(one) == repr(other)
        assert nets.parameters(nets.build(pooled)) == nets.parameters(other)
        assert not any("Pool2d" in type(layer).__name__ for layer in other[:-2])
    layers = {n: len(rows_of(n)) for n in ("cnn-c", "convpool-cnn-c")}
    assert layers["convpool-cnn-c"] == layers["cnn-c"] + 2 * 2


def test_poolings_of_3_halve_as_with_ceil_mode():
    model = nets.build("cnn-c")
    x = torch.rand(1, 96, 32, 32)
    wanted = nn.functional.max_pool2d(x, 3, 2, ceil_mode=True)
    assert torch.equal(model.down1(model.edge1(x)), wanted)
    shapes = [row.shape[1:] for row in rows_of("cnn-c").values() if row.name.startswith("down")]
    assert shapes == [(16, 16), (8, 8)]


def test_vgg_small_by_hand():
    pairs = [(3, 128), (128, 128), (128, 256), (256, 256), (256, 512), (512, 512)]
    whole = sum(9 * a * b + 2 * b for a, b in pairs) + 512 * 16 * 10 + 10
    assert nets.parameters(nets.build("vgg-small")) == whole


def test_sigmoid_lenet_starts_by_xaviers_rule_and_others_by_torchs():
    model = nets.build("lenet5-sigmoid")
    kinds = [type(layer).__name__ for layer in model]
    assert kinds[:6] == ["Conv2d", "Sigmoid", "AvgPool2d"] * 2
    for layer, fans in ((model.conv1, 25 + 150), (model.conv2, 150 + 400), (model.fc2, 204)):
        bound = math.sqrt(6 / fans)
        assert 0.95 * bound < layer.weight.abs().max() <= bound
    plain = nets.build("lenet5-sigmoid", initialisation="standard")
    assert torch.equal(plain.conv1.bias, model.conv1.bias)
    assert plain.conv1.weight.abs().max() <= 1 / 5 < model.conv2.weight.abs().max() * 2
    other = nets.build("lenet5", initialisation="xavier-uniform")
    assert torch.equal(other.conv1.weight, model.conv1.weight)
    he = nets.build("lenet5", initialisation="kaiming-uniform").fc1.weight.abs().max()
    assert 0.95 * math.sqrt(6 / 400) < he <= math.sqrt(6 / 400)
    partial = nets.build("lenet5-1998", initialisation="xavier-uniform").conv3.weight.abs().max()
    assert 0.9 * math.sqrt(6 / 550) < partial <= math.sqrt(6 / 550)
    with pytest.raises(ArgumentError, match="unknown initialisation 'xavier'. Did you mean"):
        nets.build("lenet5", initialisation="xavier")


@pytest.mark.parametrize("name", sorted(nets.NETS))
def test_rows_add_up(name):
    net = nets.find(name)
    model = nets.build(name)
    for depth in (1, None):
        rows = nets.layers(model, net.image, depth)
        assert sum(row.parameters for row in rows) == nets.parameters(model)
        assert sum(row.multiply_adds for row in rows) == nets.multiply_adds(model, net.image)
        assert rows[-1].shape == (10,)
    assert model.training
    assert not any(module._forward_hooks for module in model.modules())


def test_the_receptive_field_is_what_an_output_depends_on():
    """By perturbing pixels, with linear layers between: nothing is cut off by a rectifier."""
    model = nets.build("allcnn-c", "strided", image=(1, 64, 64)).double().eval()
    for name, module in model.named_children():
        if isinstance(module, nn.ReLU):
            setattr(model, name, nn.Identity())
    rows = nets.layers(model, (1, 64, 64))
    x = torch.rand(1, 1, 64, 64, dtype=torch.float64, requires_grad=True)
    y = x
    for row, module in zip(rows[:15], model, strict=False):
        y = module(y)
        middle = y[0, 0, y.shape[2] // 2, y.shape[3] // 2]
        (gradient,) = torch.autograd.grad(middle, x, retain_graph=True)
        reached = gradient[0, 0].nonzero()
        extent = (reached.max(0).values - reached.min(0).values + 1).tolist()
        assert tuple(extent) == row.receptive_field, row.name


def test_where_windows_do_not_say_the_receptive_field_none_is_given():
    rows = list(rows_of("lenet5", "spectral").values())
    assert [row.receptive_field for row in rows[:2]] == [(5, 5), (5, 5)]
    assert {row.receptive_field for row in rows[2:]} == {None}


@pytest.mark.parametrize(
    ("name", "image", "least"),
    [
        ("nin", (1, 62, 62), "63 x 63; a recipe's resize enlarges smaller ones"),
        ("vgg-small", (3, 7, 7), "8 x 8"),
        ("resnet20", (3, 3, 3), "4 x 4"),
        ("cnn-c", (3, 11, 11), "12 x 12"),
        ("lenet5-1998", (1, 8, 8), "16 x 16"),
    ],
)
def test_too_small_images_are_refused(name, image, least):
    downsampling = "max"
    with pytest.raises(ShapeError) as caught:
        nets.build(name, downsampling, image=image)
    assert str(caught.value) == (
        f"expected images large enough for this net, got {image[1]} x {image[1]} pixels. "
        f"Use images of at least {least}."
    )
    larger = (image[0], image[1] + 1, image[2] + 1)
    nets.build(name, downsampling, image=larger if name != "lenet5-1998" else (1, 16, 16))
