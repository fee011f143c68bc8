"""Training with flexpool's pooling: torch's numbers to the last digit, and nothing kept in vain."""

import dataclasses
import time

import pytest
import torch
from torch import nn

import flexpool.nn
from flexpool.lab import data, nets
from flexpool.lab import train_torch as train
from flexpool.lab.downsampling import DOWNSAMPLINGS, Downsampling
from flexpool.lab.seeds import derive
from flexpool.lab.store import Store

TORCH = {
    "max": lambda kernel_size, stride: nn.MaxPool2d(kernel_size, stride),
    "avg": lambda kernel_size, stride: nn.AvgPool2d(kernel_size, stride),
    "sum": lambda kernel_size, stride: nn.AvgPool2d(kernel_size, stride, divisor_override=1),
}


def with_torchs(monkeypatch, name):
    """Let the laboratory build its nets with torch's pooling."""
    make = TORCH[name]
    layer = Downsampling(name, "", lambda channels, *window: make(*window))
    monkeypatch.setitem(DOWNSAMPLINGS, name, layer)


def trained(config, dataset, layer):
    """Train as the laboratory does; return the loss after each step, the weights and the time."""
    torch.set_num_threads(config.threads)
    model = nets.build(config.net, config.downsampling, seed=config.seed)
    assert type(model.get_submodule("down2")) is layer
    model.to(memory_format=nets.find(config.net).memory_format)
    optimiser = torch.optim.Adam(model.parameters(), lr=config.lr, fused=True)
    pixels = dataset.train_images
    offset, scale = train.scaling(config.scaling, pixels)
    images = train.Images(pixels, dataset.train_labels, offset=offset, scale=scale, device="cpu")
    sums, seconds = [], 0.0
    for epoch in range(1, config.epochs + 1):
        generator = torch.Generator().manual_seed(derive(config.seed, "epoch", epoch))
        order = torch.randperm(len(images), generator=generator)
        begin = time.perf_counter()
        train.train_epoch(
            model, optimiser, images, order, config.batch_size, lambda *now: sums.append(now[1] + 0)
        )
        seconds += time.perf_counter() - begin
    return torch.stack(sums), model.state_dict(), seconds


@pytest.fixture
def keep_threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def assert_equal_to_the_last_digit(ours, torchs):
    assert len(ours[0]) > 2
    assert torch.isfinite(torchs[0]).all()
    assert torch.equal(ours[0], torchs[0])
    assert ours[1].keys() == torchs[1].keys()
    for name, weights in ours[1].items():
        assert torch.equal(weights, torchs[1][name]), name


@pytest.mark.usefixtures("keep_threads")
@pytest.mark.parametrize(
    ("net", "scaling", "threads", "images"),
    [
        ("lenet5", "standard", 1, "digits"),
        ("lenet5", "standard", 2, "few"),
        ("lenet5-control", "raw", 1, "few"),
    ],
)
def test_max_trains_to_torchs_numbers(monkeypatch, request, config, net, scaling, threads, images):
    dataset = request.getfixturevalue(images)
    settings = config(net=net, threads=threads, scaling=scaling, epochs=1)
    ours = trained(settings, dataset, flexpool.nn.MaxPool2d)
    with_torchs(monkeypatch, "max")
    assert_equal_to_the_last_digit(ours, trained(settings, dataset, nn.MaxPool2d))


@pytest.mark.usefixtures("keep_threads")
@pytest.mark.parametrize("scaling", ["standard", "raw"])
@pytest.mark.parametrize(
    ("name", "layer"), [("avg", flexpool.nn.AvgPool2d), ("sum", flexpool.nn.SumPool2d)]
)
def test_so_do_avg_and_sum(monkeypatch, config, few, name, layer, scaling):
    """If this changes, PROCEDURE in ``lab/run_config.py`` has to be raised."""
    settings = config(downsampling=name, scaling=scaling)
    ours = trained(settings, few, layer)
    with_torchs(monkeypatch, name)
    assert_equal_to_the_last_digit(ours, trained(settings, few, nn.AvgPool2d))


@pytest.mark.parametrize("name", sorted(TORCH))
def test_a_run_has_the_record_it_had_with_torchs(monkeypatch, tmp_path, config, few, name):
    def curve(store):
        record = train.run(config(downsampling=name), few, store)
        return (
            record.params,
            record.macs,
            [dataclasses.replace(row, train_seconds=0.0) for row in record.curve],
        )

    ours = curve(Store(tmp_path / "ours"))
    with_torchs(monkeypatch, name)
    assert ours == curve(Store(tmp_path / "torchs"))


@pytest.mark.heavy
@pytest.mark.usefixtures("keep_threads")
@pytest.mark.parametrize("threads", [1, 2])
def test_max_trains_mnist_to_torchs_numbers(monkeypatch, config, threads):
    (where,) = (row.where for row in data.available() if row.name == "mnist")
    if where.startswith("to be downloaded"):
        pytest.skip("no MNIST here: name its folder in FLEXPOOL_DATA_DIR")
    mnist = data.load("mnist")
    settings = config(threads=threads, epochs=1)
    ours = trained(settings, mnist, flexpool.nn.MaxPool2d)
    with_torchs(monkeypatch, "max")
    torchs = trained(settings, mnist, nn.MaxPool2d)
    print(
        f"\n{threads} threads: {ours[2]:.2f} s, torch {torchs[2]:.2f} s, {ours[2] / torchs[2]:.3f}"
    )
    assert len(ours[0]) == 938
    assert_equal_to_the_last_digit(ours, torchs)


@pytest.mark.parametrize("name", ["boltzmann", "stochastic"])
def test_numbers_learned_and_numbers_drawn_survive_an_interruption(
    always_keep, tmp_path, config, few, name
):
    class StopError(BaseException):
        pass

    def stop(progress):
        if progress.epochs >= 2:
            raise StopError

    settings = config(downsampling=name, epochs=3)
    whole, store = train.run(settings, few, Store(tmp_path / "whole")), Store(tmp_path / "cut")
    with pytest.raises(StopError):
        train.run(settings, few, store, stop)
    resumed = train.run(settings, few, store)
    for one, other in zip(whole.curve, resumed.curve, strict=True):
        assert dataclasses.replace(one, train_seconds=other.train_seconds) == other


def test_what_can_be_learned_is_learned(config, few):
    settings = config(downsampling="boltzmann", epochs=1)
    _, weights, _ = trained(settings, few, flexpool.nn.BoltzmannPool2d)
    for layer in ("down1", "down2"):
        assert weights[f"{layer}.beta"].item() not in (0.0, 1.0)


def saved_by(layer, x):
    """Run a layer's forward pass and return what autograd keeps for its gradient."""
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t):
        y = layer(x)
    y.sum().backward()
    assert x.grad is not None
    return saved


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("window", [(2, 2), (3, 2)])
def test_max_keeps_its_input_and_nothing_else(layout, window):
    x = torch.rand(2, 3, 8, 8).to(memory_format=layout).requires_grad_()
    (kept,) = saved_by(flexpool.nn.MaxPool2d(*window), x)
    assert kept.untyped_storage().data_ptr() == x.untyped_storage().data_ptr()
    assert kept.shape == x.shape
    # torch keeps an index for each result besides: the hooks see such things.
    assert torch.int64 in {t.dtype for t in saved_by(nn.MaxPool2d(*window), x)}


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("name", ["AvgPool2d", "SumPool2d"])
def test_avg_and_sum_keep_nothing(layout, name):
    x = torch.rand(2, 3, 8, 8).to(memory_format=layout).requires_grad_()
    assert saved_by(getattr(flexpool.nn, name)(2), x) == []
