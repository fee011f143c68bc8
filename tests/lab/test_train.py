"""Training: the numbers are those of a plain loop, the same every time, and survive anything."""

import dataclasses

import numpy as np
import pytest
import torch
from torch.nn import functional

from flexpool.errors import ArgumentError, StorageError
from flexpool.lab import nets
from flexpool.lab import train_torch as train
from flexpool.lab.seeds import derive
from flexpool.lab.store import Store


def without_time(record):
    return [dataclasses.replace(row, train_seconds=0.0) for row in record.curve]


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path)


class StopError(BaseException):
    """Stands for the end of the process."""


def stopping_after(epochs):
    def on_progress(progress):
        if progress.epochs >= epochs:
            raise StopError

    return on_progress


def plain_loop(config, dataset):
    """The same training written the ordinary way, in float32 images made beforehand."""
    pixels = dataset.train_images.astype(np.float64)
    mean, deviation = pixels.mean(), pixels.std()
    x, x_test = (
        torch.from_numpy(((images - mean) / deviation).astype(np.float32))
        for images in (pixels, dataset.test_images)
    )
    y, y_test = torch.tensor(dataset.train_labels), torch.tensor(dataset.test_labels)
    model = nets.build(config.net, config.downsampling, seed=config.seed)
    optimiser = torch.optim.Adam(model.parameters(), lr=config.lr)
    curve = []
    for epoch in range(1, config.epochs + 1):
        generator = torch.Generator().manual_seed(derive(config.seed, "epoch", epoch))
        order = torch.randperm(len(x), generator=generator)
        losses = []
        for i in range(0, len(x), config.batch_size):
            index = order[i : i + config.batch_size]
            loss = functional.cross_entropy(model(x[index]), y[index])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses += [loss.item()] * len(index)
        with torch.no_grad():
            scores = model(x_test)
            first, second = scores.topk(2).indices.T
            top1 = (first == y_test).float().mean().item()
            top2 = ((first == y_test) | (second == y_test)).float().mean().item()
            test_loss = functional.cross_entropy(scores, y_test).item()
        curve.append((np.mean(losses), test_loss, top1, top2))
    return curve


@pytest.mark.parametrize("net", ["lenet5", "lenet5-nopool"])
def test_the_numbers_are_those_of_a_plain_loop(store, config, few, net):
    downsampling = nets.find(net).downsampling
    settings = config(net=net, downsampling=downsampling, epochs=3)
    record = train.run(settings, few, store)
    for row, (loss, test_loss, top1, top2) in zip(
        record.curve, plain_loop(settings, few), strict=True
    ):
        # Adam divides small gradients by their own size, which magnifies rounding.
        assert row.train_loss == pytest.approx(loss, rel=1e-3)
        assert row.test_loss == pytest.approx(test_loss, rel=1e-3)
        assert row.test_accuracy == pytest.approx(top1, abs=0.011)  # one image of a hundred
        assert row.test_top2 == pytest.approx(top2, abs=0.011)


def test_training_accuracy_counts_every_image_once(few, config, store):
    record = train.run(config(epochs=1), few, store)
    hits = record.curve[0].train_accuracy * len(few.train_images)
    assert hits == pytest.approx(round(hits), abs=1e-9)
    assert 0 < hits < len(few.train_images)


def test_the_same_run_twice_gives_the_same_curve_to_the_last_digit(tmp_path, config, few):
    one = train.run(config(), few, Store(tmp_path / "one"))
    other = train.run(config(), few, Store(tmp_path / "other"))
    assert without_time(one) == without_time(other)


@pytest.mark.parametrize("change", [{"seed": 1}, {"lr": 0.002}, {"scaling": "raw"}])
def test_what_determines_a_run_changes_its_curve(store, config, few, change):
    plain, other = train.run(config(), few, store), train.run(config(**change), few, store)
    assert without_time(plain) != without_time(other)


@pytest.mark.parametrize("net", ["lenet5", "lenet5-nopool"])
def test_a_run_cut_short_goes_on_to_the_same_numbers(tmp_path, config, few, always_keep, net):
    settings = config(net=net, epochs=4)
    whole = train.run(settings, few, Store(tmp_path / "whole"))
    store = Store(tmp_path / "cut")
    for epochs in (1.0, 2.0, 3.0):
        with pytest.raises(StopError):
            train.run(settings, few, store, stopping_after(epochs))
        assert store.find(settings) is None
    seen = []
    resumed = train.run(settings, few, store, lambda progress: seen.append(progress.epochs))
    assert min(seen) > 2.0, "it began anew instead of going on"
    assert without_time(resumed) == without_time(whole)
    assert store.unfinished() == {}


def test_a_finished_run_is_not_trained_again(store, config, few):
    first = train.run(config(), few, store)
    seen = []
    assert train.run(config(), few, store, seen.append) == first
    assert seen == []


def test_a_run_that_diverges_is_kept_as_such_and_not_tried_again(store, config, few):
    settings = config(lr=1e30, epochs=3)
    record = train.run(settings, few, store)
    assert record.status == "diverged"
    assert record.message.startswith("the training loss became ")
    seen = []
    assert train.run(settings, few, store, seen.append).status == "diverged"
    assert seen == []


def test_a_run_that_breaks_is_kept_and_tried_again(store, config, few, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("no such kernel")

    with monkeypatch.context() as patch:
        patch.setattr(train, "train_epoch", broken)
        record = train.run(config(), few, store)
    assert (record.status, record.message) == ("error", "RuntimeError: no such kernel")
    assert store.find(config()) == record
    assert train.run(config(), few, store).status == "done"
    assert [r.status for r in store.records()] == ["done"]


def test_what_the_user_must_mend_is_not_kept_as_a_failure(store, config, few, monkeypatch):
    def full(*_, **__):
        raise StorageError("cannot write x: No space left on device.")

    monkeypatch.setattr(Store, "publish", full)
    with pytest.raises(StorageError):
        train.run(config(), few, store)
    assert store.records() == []


def test_threads_are_set_for_the_run_and_given_back(store, config, few, monkeypatch):
    inside = []
    monkeypatch.setattr(
        train, "evaluate", lambda *_: inside.append(torch.get_num_threads()) or (0.0, 0.0, 0.0)
    )
    before = torch.get_num_threads()
    train.run(config(epochs=1, threads=3), few, store)
    assert (inside, torch.get_num_threads()) == ([3], before)


def test_scaling(few):
    pixels = few.train_images
    assert train.scaling("raw", pixels) == (0.0, 1.0)
    assert train.scaling("unit", pixels) == (0.0, 1 / 255)
    offset, scale = train.scaling("standard", pixels)
    assert offset == pytest.approx(pixels.mean(), rel=1e-12)
    assert scale == pytest.approx(1 / pixels.std(), rel=1e-9)


def test_weights_are_kept_without_pickle(store, config, few, tmp_path):
    from safetensors.torch import load_file

    train.run(config(), few, store)
    (path,) = tmp_path.glob("runs/*/weights.safetensors")
    model = nets.build("lenet5", "max")
    model.load_state_dict(load_file(path))
    images = train.Images(
        few.test_images,
        few.test_labels,
        offset=train.scaling("standard", few.train_images)[0],
        scale=train.scaling("standard", few.train_images)[1],
        device="cpu",
    )
    accuracy = train.evaluate(model, images)[1]
    assert accuracy == store.find(config()).curve[-1].test_accuracy


@pytest.mark.parametrize("name", ["tpu0", "meta", "", "cpu:x"])
def test_unknown_devices_are_refused(name):
    with pytest.raises(ArgumentError, match="expected device to be auto, cpu, cuda or cuda:N, got"):
        train.resolve_device(name)


def test_a_gpu_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(ArgumentError, match="torch finds 0 CUDA devices here. Use device 'cpu'"):
        train.resolve_device("cuda")
    assert train.resolve_device("auto") == "cpu"
