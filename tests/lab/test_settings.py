"""What a recipe says of optimiser, schedule, initialisation and size is what is trained."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from torch.nn import functional

from flexpool import lab
from flexpool.lab import loop, nets, train_numpy
from flexpool.lab import train_torch as train
from flexpool.lab.recipe import RunConfig
from flexpool.lab.seeds import derive
from flexpool.lab.store import Store

DESCENT = {"optimiser": "sgd", "lr": 0.05, "momentum": 0.9, "weight_decay": 0.001}
STEPS = {"schedule": "steps", "milestones": (1, 3), "drop": 0.5}


class StopError(BaseException):
    """Stands for the end of the process."""


def numbers(record):
    return np.array([dataclasses.astuple(row)[1:-1] for row in record.curve])


def by_hand(config, dataset, rates, side=None):
    """Descent written out: the mean loss of each epoch."""
    x = torch.tensor(dataset.train_images).float()
    x = (x - x.double().mean().float()) / x.double().std(correction=0).float()
    if side is not None:
        x = functional.interpolate(x, (side, side), mode="bilinear")
    y = torch.tensor(dataset.train_labels)
    model = nets.build(config.net, image=x.shape[1:], initialisation=config.initialisation)
    weights = [*model.parameters()]
    velocities = [torch.zeros_like(weight) for weight in weights]
    curve = []
    for epoch, rate in enumerate(rates, 1):
        draw = torch.Generator().manual_seed(derive(config.seed, "epoch", epoch))
        losses = []
        for index in torch.randperm(len(x), generator=draw).split(config.batch_size):
            loss = functional.cross_entropy(model(x[index]), y[index])
            losses += [loss.item()] * len(index)
            gradients = torch.autograd.grad(loss, weights)
            with torch.no_grad():
                for w, v, g in zip(weights, velocities, gradients, strict=True):
                    v.mul_(config.momentum).add_(g + config.weight_decay * w)
                    w.sub_(rate * v)
        curve.append(np.mean(losses))
    return curve


@pytest.mark.parametrize(
    ("settings", "rates"),
    [
        (DESCENT, [0.05] * 3),
        (DESCENT | STEPS, [0.05, 0.025, 0.025]),
        (DESCENT | {"schedule": "cosine"}, [0.05, 0.0375, 0.0125]),
        (DESCENT | {"initialisation": "kaiming-uniform", "lr": 0.005}, [0.005] * 3),
    ],
)
def test_descent_by_hand(tmp_path, config, few, settings, rates):
    plan = config(epochs=3, **settings)
    found = [row.train_loss for row in train.run(plan, few, Store(tmp_path)).curve]
    assert found == pytest.approx(by_hand(plan, few, rates), rel=2e-3)


def test_resizing_by_hand(tmp_path, config, few):
    plan = config(epochs=1, resize=40, **DESCENT)
    record = train.run(plan, few, Store(tmp_path))
    assert record.curve[0].train_loss == pytest.approx(by_hand(plan, few, [0.05], 40)[0], rel=2e-3)
    assert record.macs == nets.multiply_adds(nets.build("lenet5", image=(1, 40, 40)), (1, 40, 40))


def test_images_are_resized_when_they_are_needed_and_not_stored(few):
    images = train.Images(
        few.test_images, few.test_labels, offset=0.0, scale=1 / 255, device="cpu", resize=224
    )
    assert images._pixels.shape == (100, 1, 28, 28)
    assert images._pixels.dtype == torch.uint8
    x, _ = images.batch(torch.tensor([3, 5]))
    pixels = torch.tensor(few.test_images[[3, 5]]).float() / 255
    wanted = functional.interpolate(pixels, (224, 224), mode="bilinear")
    torch.testing.assert_close(x, wanted, rtol=1e-5, atol=1e-6)
    assert images.evaluation_batch == 31


def test_ordinary_images_are_evaluated_as_before(few):
    images = train.Images(few.test_images, few.test_labels, offset=0.0, scale=1.0, device="cpu")
    assert images.evaluation_batch == loop.EVALUATION_BATCH == 250


@pytest.mark.parametrize(
    "settings",
    [DESCENT | STEPS, {"optimiser": "sgd", "lr": 0.1}, {"schedule": "cosine"}],
    ids=["momentum", "plain", "adam"],
)
@pytest.mark.parametrize("framework", ["torch", "numpy"])
def test_a_run_cut_short_goes_on_to_the_same_numbers(
    tmp_path, config, few, always_keep, settings, framework
):
    run = {"torch": train.run, "numpy": train_numpy.run}[framework]
    plan = config(epochs=4, framework=framework, **settings)
    whole = run(plan, few, Store(tmp_path / "whole"))
    store = Store(tmp_path / "cut")

    def stop(progress):
        if progress.epochs >= 3:
            raise StopError

    with pytest.raises(StopError):
        run(plan, few, store, stop)
    assert store.unfinished() == {plan.folder: 2}
    np.testing.assert_array_equal(numbers(run(plan, few, store)), numbers(whole))


def test_both_frameworks_follow_the_settings_alike(tmp_path, config, few):
    plan = config(
        net="lenet5-sigmoid", downsampling="avg", scaling="unit", epochs=3, **DESCENT | STEPS
    )
    ours = train_numpy.run(dataclasses.replace(plan, framework="numpy"), few, Store(tmp_path))
    theirs = train.run(plan, few, Store(tmp_path))
    np.testing.assert_allclose(numbers(ours), numbers(theirs), rtol=1e-4)


@pytest.mark.parametrize("net", ["resnet20", "lenet5-1998"])
def test_other_nets_train_and_resume(tmp_path, config, few, always_keep, net):
    """With normalisation, whose running means are part of the state; with partial connections."""
    tiny = dataclasses.replace(few, train_images=few.train_images[:64, :, ::2, ::2])
    tiny = dataclasses.replace(
        tiny, train_labels=few.train_labels[:64], test_images=few.test_images[:, :, ::2, ::2]
    )
    data = few if net == "lenet5-1998" else tiny
    plan = config(net=net, downsampling=nets.find(net).downsampling, epochs=3, batch_size=16)
    whole = train.run(plan, data, Store(tmp_path / "whole"))
    assert whole.status == "done"
    assert whole.curve[-1].train_loss < whole.curve[0].train_loss
    store = Store(tmp_path / "cut")

    def stop(progress):
        if progress.epochs >= 2:
            raise StopError

    with pytest.raises(StopError):
        train.run(plan, data, store, stop)
    np.testing.assert_array_equal(numbers(train.run(plan, data, store)), numbers(whole))


def test_settings_at_their_old_values_leave_the_id_as_it_was(config):
    plain = config()
    later = {
        **{"framework": "torch", "optimiser": "adam", "momentum": 0.0, "weight_decay": 0.0},
        **{"schedule": "constant", "milestones": (), "drop": 0.1, "initialisation": "own"},
        **{"resize": None, "precision": "float32", "validation": 0.0, "patience": None},
    }
    fields = {field.name for field in dataclasses.fields(RunConfig)}
    first = {"net", "downsampling", "data", "data_fingerprint", "seed", "epochs", "batch_size"}
    first |= {"lr", "scaling", "device", "threads", "torch", "procedure"}
    assert fields == first | {*later}
    assert config(**later).id == plain.id


def test_runs_from_before_these_settings_are_still_read(tmp_path, config, few):
    store = Store(tmp_path)
    record = train.run(config(epochs=1), few, store)
    path = store.runs / record.config.folder / "config.json"
    old = json.loads(path.read_text())
    for name in ("optimiser", "momentum", "weight_decay", "schedule", "milestones", "drop"):
        del old[name]
    del old["initialisation"], old["resize"], old["precision"], old["validation"], old["patience"]
    path.write_text(json.dumps(old))
    assert store.find(record.config) == record


def test_settings_come_back_from_the_store_as_they_were(tmp_path, config, few):
    store = Store(tmp_path)
    record = train.run(config(epochs=1, **DESCENT | STEPS), few, store)
    assert store.find(record.config).config == record.config


def test_the_laboratorys_functions_take_them(tmp_path):
    settings = {"epochs": 1, "batch_size": 200, "out": tmp_path, "progress": False, "lr": 0.1}
    given = {"optimiser": "sgd", "momentum": 0.5, "weight_decay": 0.01, "resize": 24}
    given |= {"schedule": "steps", "milestones": (1,), "drop": 0.5}
    given |= {"initialisation": "xavier-uniform", "precision": "bfloat16"}
    given |= {"validation": 0.25, "patience": 2}
    record = lab.train("lenet5", **settings, **given)
    assert {name: getattr(record.config, name) for name in given} == given
    comparison = lab.compare(net="lenet5", seeds=1, workers=1, **settings, **given)
    assert comparison.records == (record,)
    assert comparison.to_dict()["settings"]["optimiser"] == "SGD"
