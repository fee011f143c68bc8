"""Precision, images held out, and stopping early."""

import dataclasses

import numpy as np
import pytest

from flexpool import lab
from flexpool.errors import ArgumentError
from flexpool.lab import loop, train_numpy, train_torch
from flexpool.lab.record import Epoch, ValidatedEpoch, best_epoch, curve_from_csv, curve_to_csv
from flexpool.lab.recording import Recording
from flexpool.lab.store import Store
from forked import python


def test_images_held_out_are_a_share_that_no_step_sees(config, few):
    for share, count in ((0.1, 20), (0.25, 50), (0.001, None), (0.9999, None)):
        plan = config(validation=share)
        if count is None:
            with pytest.raises(ArgumentError, match="a share of 200 images that leaves some on"):
                loop.hold_out(plan, few)
            continue
        rest, (images, labels) = loop.hold_out(plan, few)
        assert (len(images), len(labels), len(rest.train_images)) == (count, count, 200 - count)
        both = np.concatenate([images, rest.train_images]).reshape(200, -1)
        everything = few.train_images.reshape(200, -1)
        np.testing.assert_array_equal(
            both[np.lexsort(both.T)], everything[np.lexsort(everything.T)]
        )
        assert rest.test_images is few.test_images


def test_which_are_held_out_depends_on_the_seed_alone(config, few):
    def held(**settings):
        return loop.hold_out(config(validation=0.1, **settings), few)[1][0].tobytes()

    assert held() == held(net="lenet5-nopool", downsampling="strided", lr=1.0, framework="numpy")
    assert held() != held(seed=1)


@pytest.mark.parametrize("run", [train_torch.run, train_numpy.run])
def test_each_epoch_is_measured_on_them(tmp_path, config, few, run):
    plan = config(epochs=2, validation=0.25)
    record = run(plan, few, Store(tmp_path))
    assert all(isinstance(row, ValidatedEpoch) for row in record.curve)
    # The same training on the rest alone, tested on what was held out.
    rest, (images, labels) = loop.hold_out(plan, few)
    other = dataclasses.replace(rest, test_images=images, test_labels=labels)
    alone = run(config(epochs=2), other, Store(tmp_path / "alone"))
    for row, twin in zip(record.curve, alone.curve, strict=True):
        assert row.validation_loss == twin.test_loss
        assert row.validation_accuracy == twin.test_accuracy
        assert row.train_loss == twin.train_loss
    assert Store(tmp_path).find(plan) == record


def test_the_best_epoch_is_judged_by_the_images_held_out():
    rows = [(0.9, 0.1), (0.7, 0.3), (0.8, 0.2)]
    plain = tuple(Epoch(n, 1.0, 0.5, 1.0, a, 1.0, 1.0) for n, (a, _) in enumerate(rows, 1))
    held = tuple(
        ValidatedEpoch(n, 1.0, 0.5, 1.0, a, 1.0, 1.0, 0.5, b) for n, (a, b) in enumerate(rows, 1)
    )
    assert (best_epoch(plain), best_epoch(held), best_epoch(())) == (1, 2, 0)
    assert curve_from_csv(curve_to_csv(held).decode()) == held
    assert curve_from_csv(curve_to_csv(plain).decode()) == plain


def accuracies(monkeypatch, values):
    """Let evaluation give these accuracies, epoch by epoch."""
    given = iter(values)
    monkeypatch.setattr(train_torch, "evaluate", lambda *_: (1.0, next(given), 1.0))


@pytest.mark.parametrize(("patience", "epochs"), [(1, 3), (2, 6), (3, 8), (None, 8)])
def test_training_stops_after_epochs_without_a_better_one(
    tmp_path, config, few, monkeypatch, patience, epochs
):
    accuracies(monkeypatch, [0.5, 0.6, 0.6, 0.7, 0.6, 0.7, 0.8, 0.7])
    plan = config(epochs=8, patience=patience, batch_size=200)
    record = train_torch.run(plan, few, Store(tmp_path))
    assert (record.status, len(record.curve)) == ("done", epochs)
    assert Store(tmp_path).find(plan) == record


def test_it_stops_at_the_same_epoch_after_a_crash(tmp_path, config, few, monkeypatch):
    class StopError(BaseException):
        pass

    def stop(progress):
        if progress.epochs >= 5:
            raise StopError

    store, plan = Store(tmp_path), config(epochs=9, patience=2, batch_size=200)
    accuracies(monkeypatch, [0.5, 0.6, 0.7, 0.6, 0.6, 0.6])
    with pytest.raises(StopError):
        train_torch.run(plan, few, store, stop, Recording(keep=1))
    accuracies(monkeypatch, [0.6, 0.9])
    assert len(train_torch.run(plan, few, store).curve) == 5


def test_bfloat16_trains_to_other_numbers_that_are_near(tmp_path, config, few):
    plain = train_torch.run(config(), few, Store(tmp_path))
    half = train_torch.run(config(precision="bfloat16"), few, Store(tmp_path))
    for row, other in zip(plain.curve, half.curve, strict=True):
        assert row.train_loss != other.train_loss
        assert row.train_loss == pytest.approx(other.train_loss, rel=0.03)
        assert row.test_loss == pytest.approx(other.test_loss, rel=0.03)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (
            {"precision": "float16", "device": "cpu"},
            "train: expected precision to be float32 or bfloat16 where the device is cpu, "
            "got 'float16'.",
        ),
        (
            {"precision": "bfloat16", "framework": "numpy"},
            "train: expected precision to be float32 where the framework is numpy, got 'bfloat16'.",
        ),
        (
            {"precision": "int8"},
            "train: unknown precision 'int8'. Known: float32, bfloat16, float16.",
        ),
        (
            {"validation": 1.0},
            "train: expected validation to be a finite number in [0, 1), got 1.0.",
        ),
        (
            {"validation": 0.0001},
            "train: expected validation to be a share of 1,257 images that leaves some on either "
            "side, got 0.0001.",
        ),
        ({"patience": 0}, "train: expected patience to be an int > 0, got 0."),
    ],
)
def test_errors(tmp_path, arguments, text):
    with pytest.raises(ArgumentError) as caught:
        lab.train(**arguments, out=tmp_path, progress=False)
    assert str(caught.value) == text


def test_the_command_says_what_stopped_it_and_by_which_images(tmp_path):
    def train(*arguments):
        done = python("-m", "flexpool", "train", "--out", tmp_path, *arguments)
        assert done.returncode == 0, done.stderr
        return " ".join(done.stdout.split())

    settings = ("--epochs", "9", "--lr", "1e-12", "--batch-size", "600", "--patience", "1")
    plain = train(*settings)
    assert "Best on test images: epoch 1, whose weights are kept too." in plain
    assert "Stopped after 1 epochs without a better one. Test images chose when" in plain
    held = train(*settings, "--validation", "0.1")
    assert "held out acc." in held
    assert "Best on images held out: epoch 1" in held
    assert "Test images chose when" not in held
