"""Whole nets: the same start, the same losses and the same weights as PyTorch's; no PyTorch."""

import subprocess
import sys

import numpy as np
import pytest
import safetensors.torch
import torch

import flexpool.numpy as zero
from flexpool.errors import ArgumentError, DataError, ShapeError
from flexpool.lab import data
from flexpool.lab import nets as torch_nets
from flexpool.lab.seeds import derive

NETS = ["lenet5", "lenet5-nopool", "lenet5-control"]


def pair(name, seed=0, downsampling=None):
    """The same net in NumPy and in PyTorch."""
    net = zero.nets.build(
        name, downsampling, rng=lambda layer: zero.TorchStream(derive(seed, "weights", layer))
    )
    return net, torch_nets.build(name, downsampling, seed=seed)


@pytest.fixture(scope="module")
def batches():
    """200 batches of 16: digits, in a new order when all were seen."""
    digits = data.load("digits")
    x = digits.train_images.astype(np.float32)
    x = (x - x.mean()) / x.std()
    draw = np.random.default_rng(0)
    indices = np.concatenate([draw.permutation(len(x)) for _ in range(3)])[: 200 * 16]
    return [(x[i], digits.train_labels[i]) for i in indices.reshape(200, 16)]


@pytest.mark.parametrize(
    ("name", "downsampling"),
    [*((n, None) for n in (*NETS, "lenet5-sigmoid")), ("lenet5", "lp"), ("lenet5", "strided")],
)
def test_weights_start_as_torchs_to_the_last_bit(name, downsampling):
    net, model = pair(name, 3, downsampling)
    theirs = model.state_dict()
    assert net.state_dict().keys() == theirs.keys()
    for key, array in net.state_dict().items():
        np.testing.assert_array_equal(array, theirs[key], key, strict=True)
    assert zero.nets.parameters(net) == torch_nets.parameters(model)
    image = (1, 28, 28)
    assert zero.nets.multiply_adds(net, image) == torch_nets.multiply_adds(model, image)


@pytest.mark.parametrize("rule", ["standard", "xavier-uniform", "kaiming-uniform"])
def test_other_rules_start_as_torchs_too(rule):
    net = zero.nets.build(
        "nin",
        image=(1, 64, 64),
        rng=lambda layer: zero.TorchStream(derive(0, "weights", layer)),
        initialisation=rule,
    )
    theirs = torch_nets.build("nin", image=(1, 64, 64), initialisation=rule).state_dict()
    assert net.state_dict().keys() == theirs.keys()
    for key, array in net.state_dict().items():
        np.testing.assert_array_equal(array, theirs[key], key, strict=True)
    with pytest.raises(ArgumentError, match="unknown initialisation 'xavier'. Did you mean"):
        zero.nets.build("lenet5", initialisation="xavier")


def test_the_order_of_images_is_torchs():
    for seed in (0, 7, 2**62 + 5):
        for n in (0, 1, 2, 1000):
            want = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
            np.testing.assert_array_equal(zero.TorchStream(seed).permutation(n), want)


def losses(net, model, optimisers, batches, dtype, same_start=False):
    """Train both; give the losses of each."""
    net.astype(dtype)
    model.to(getattr(torch, dtype))
    ours, theirs = optimisers(net, model.parameters())
    loss, found = zero.CrossEntropyLoss(), []
    for x, t in batches:
        if same_start:
            net.load_state_dict({k: v.numpy() for k, v in model.state_dict().items()})
        x = x.astype(dtype)
        wanted = torch.nn.functional.cross_entropy(model(torch.from_numpy(x)), torch.tensor(t))
        theirs.zero_grad()
        wanted.backward()
        theirs.step()
        found.append((loss(net(x), t), wanted.item()))
        net.backward(loss.backward())
        ours.step()
    return np.array(found).T


def adam(net, parameters):
    return zero.Adam(net, 0.001), torch.optim.Adam(parameters, 0.001)


def descent(net, parameters):
    return zero.SGD(net, 0.01), torch.optim.SGD(parameters, 0.01)


@pytest.mark.parametrize("name", NETS[:2])
def test_losses_are_torchs_over_200_steps(name, batches):
    """In float64 with Adam; the losses fall meanwhile, so much is learned from them."""
    ours, theirs = losses(*pair(name), adam, batches, "float64")
    assert ours[-10:].mean() < ours[:10].mean() / 4
    np.testing.assert_allclose(ours, theirs, rtol=1e-10)


@pytest.mark.parametrize("name", NETS[:2])
def test_losses_are_torchs_over_200_steps_in_float32(name, batches):
    """By SGD: rounding has not yet turned a maximum or a ReLU the other way."""
    ours, theirs = losses(*pair(name), descent, batches, "float32")
    assert ours[-10:].mean() < ours[:10].mean() * (0.5 if name == "lenet5" else 0.997)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)


def test_each_of_200_steps_of_adam_is_torchs_in_float32(batches):
    """From equal weights before each step: one after the other, PyTorch differs from itself too."""
    ours, theirs = losses(*pair("lenet5"), adam, batches, "float32", same_start=True)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-7)


def test_weights_travel_between_the_frameworks(tmp_path, batches):
    net, _ = pair("lenet5", 1)
    model = torch_nets.build("lenet5", seed=2)
    x, _ = batches[0]
    zero.weights.save(net, tmp_path / "ours.safetensors")
    model.load_state_dict(safetensors.torch.load_file(tmp_path / "ours.safetensors"))
    np.testing.assert_allclose(model(torch.from_numpy(x)).detach(), net(x), rtol=1e-4, atol=1e-5)
    safetensors.torch.save_file(
        torch_nets.build("lenet5", seed=5).state_dict(), tmp_path / "theirs.safetensors"
    )
    zero.weights.load(net, tmp_path / "theirs.safetensors")
    for key, array in pair("lenet5", 5)[0].state_dict().items():
        np.testing.assert_array_equal(net.state_dict()[key], array)
    (tmp_path / "broken.safetensors").write_bytes(b"12345678901")
    with pytest.raises(DataError, match=r"^load: .*broken.safetensors is no safetensors file: "):
        zero.weights.load(net, tmp_path / "broken.safetensors")
    with pytest.raises(DataError, match=r"^load: cannot read "):
        zero.weights.load(net, tmp_path / "absent.safetensors")
    with pytest.raises(ArgumentError, match=r"^load_state_dict: unknown array"):
        zero.weights.load(zero.Linear(2, 2), tmp_path / "ours.safetensors")


def test_network_in_network_has_the_shapes_that_are_known():
    net = zero.nets.build("nin", image=(1, 224, 224))
    assert [shape for _, shape in net.shapes((1, 1, 224, 224))] == [
        (1, 96, 55, 55),
        (1, 96, 27, 27),
        (1, 256, 27, 27),
        (1, 256, 13, 13),
        (1, 384, 13, 13),
        (1, 384, 6, 6),
        (1, 10, 6, 6),
        (1, 10, 1, 1),
        (1, 10),
    ]


def test_a_small_network_in_network_can_be_trained():
    net, loss = zero.nets.build("nin", image=(1, 63, 63), classes=3), zero.CrossEntropyLoss()
    x = np.random.default_rng(0).normal(size=(2, 1, 63, 63)).astype(np.float32)
    before = loss(net(x), np.array([0, 2]))
    net.backward(loss.backward())
    zero.SGD(net, 0.1).step()
    assert loss(net(x), np.array([0, 2])) < before


def test_lenet5_sigmoid_starts_by_xaviers_rule_and_learns(batches):
    net = zero.nets.build("lenet5-sigmoid", rng=0)
    assert zero.nets.parameters(net) == 61706
    weight = net.parameters["fc1.weight"]
    bound = np.sqrt(6 / (400 + 120))
    assert abs(weight).max() == pytest.approx(bound, rel=1e-3)
    loss, optimiser = zero.CrossEntropyLoss(), zero.Adam(net, 0.01)
    found = []
    x, t = batches[0]
    for _ in range(150):
        found.append(loss(net(x), t))
        net.backward(loss.backward())
        optimiser.step()
    assert np.mean(found[-5:]) < np.mean(found[:5]) / 2


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (
            lambda: zero.nets.build("lenet"),
            ArgumentError,
            "unknown net 'lenet'. Did you mean 'lenet5'? Known: lenet5, lenet5-nopool, "
            "lenet5-control, lenet5-sigmoid, nin.",
        ),
        (
            lambda: zero.nets.build("nin", image=(1, 62, 62)),
            ShapeError,
            "expected images large enough for this net, got 62 x 62 pixels. "
            "Use images of at least 16 x 16 for the LeNets, of 63 x 63 for nin.",
        ),
        (
            lambda: zero.nets.build("lenet5", rng=-1),
            ArgumentError,
            "expected rng to be an int >= 0 or a function of a name, got -1.",
        ),
    ],
)
def test_errors(call, error, text):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == text


WITHOUT_TORCH = """
import sys
class NotInstalled:
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")
sys.meta_path.insert(0, NotInstalled)
{program}
assert "torch" not in sys.modules
"""


@pytest.mark.parametrize(
    "program",
    [
        "import flexpool.numpy",
        "import flexpool.numpy as zero\nfor name in zero.__all__: getattr(zero, name)",
        "from flexpool.lab import train\n"
        "r = train('lenet5/avg', framework='numpy', epochs=1, out='runs', progress=False)\n"
        "assert r.status == 'done', r.message",
        "from flexpool.cli.app import app\n"
        "app(['train', '--framework', 'numpy', '--net', 'lenet5/avg', '--epochs', '1'], "
        "standalone_mode=False)",
    ],
    ids=["import", "everything", "train", "command"],
)
def test_without_torch(program, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH.format(program=program)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
