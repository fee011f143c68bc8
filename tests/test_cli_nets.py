"""The command `net`: the layers of a net as people and as programs read them."""

import json

import pytest
from typer.testing import CliRunner

from flexpool.cli.app import app
from flexpool.lab import nets


def flexpool(*arguments):
    return CliRunner().invoke(app, arguments, catch_exceptions=False)


def test_the_layers_of_nin():
    lines = flexpool("net", "nin", "--input", "1,224,224").stdout.splitlines()
    rows = {line.split()[0]: line.split()[1:] for line in lines if line.strip()}
    assert lines[0] == "nin/max, input 1 × 224 × 224"
    assert " ".join(rows["mlpconv2"]) == "Sequential 256 × 27 × 27 746,240 543,449,088 51 × 51"
    assert " ".join(rows["down3"]) == "MaxPool2d 384 × 6 × 6 131 × 131"
    assert " ".join(rows["in"]) == "all 1,992,166 834,956,160"


def test_json_says_the_same_as_python():
    found = json.loads(flexpool("net", "lenet5-1998/max", "--classes", "7", "--json").stdout)
    model = nets.build("lenet5-1998", "max", classes=7)
    rows = nets.layers(model, (1, 28, 28))
    assert found["parameters"] == nets.parameters(model)
    assert found["multiply_adds"] == nets.multiply_adds(model, (1, 28, 28))
    assert (found["net"], found["downsampling"]) == ("lenet5-1998", "max")
    assert [layer["name"] for layer in found["layers"]] == [row.name for row in rows]
    assert [tuple(layer["shape"]) for layer in found["layers"]] == [row.shape for row in rows]
    (third,) = (layer for layer in found["layers"] if layer["name"] == "conv3")
    assert (third["parameters"], third["receptive_field"]) == (1516, [14, 14])


def test_blocks_open():
    names = [
        [layer["name"] for layer in json.loads(flexpool(*arguments, "--json").stdout)["layers"]]
        for arguments in (
            ("net", "resnet20"),
            ("net", "resnet20", "--depth", "2"),
            ("net", "resnet20", "--depth", "0"),
        )
    ]
    assert "block2_1" in names[0]
    assert {"block2_1.main", "block2_1.shortcut", "block2_1.relu"} <= {*names[1]}
    assert {"block2_1.main.conv1", "block2_1.shortcut.down"} <= {*names[2]}


def test_what_windows_do_not_tell_is_unknown():
    assert "unknown" in flexpool("net", "lenet5/spectral").stdout


def test_without_a_name_all_nets_are_listed():
    found = json.loads(flexpool("net", "--json").stdout)
    assert [net["name"] for net in found] == [*nets.NETS]
    printed = flexpool("net").stdout
    assert all(name in printed for name in nets.NETS)
    assert "269,722" in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("ninn",), "net: unknown net 'ninn'. Did you mean 'nin'?"),
        (("nin/maxx",), "net: unknown downsampling 'maxx'. Did you mean 'max'?"),
        (
            ("nin", "--input", "1,28"),
            "net: expected --input to be three ints > 0, channels, height and width, got '1,28'. "
            "Write --input 1,28,28.",
        ),
        (("nin", "--input", "0,28,28"), "got '0,28,28'"),
        (
            ("nin", "--input", "1,28,28"),
            "net: expected images large enough for this net, got 28 x 28 pixels. "
            "Use images of at least 63 x 63; a recipe's resize enlarges smaller ones.",
        ),
        (("nin", "--classes", "0"), "net: expected --classes to be an int >= 1, got 0."),
        (("nin", "--depth", "-1"), "net: expected --depth to be an int >= 0, got -1."),
    ],
)
def test_bad_input_is_refused(arguments, message):
    done = flexpool("net", *arguments)
    assert done.exit_code == 2
    assert message in done.stderr
    assert done.stdout == ""
