"""Runs of flexpool.numpy: the procedure of PyTorch's runs, number by number."""

import dataclasses
import os

import numpy as np
import pytest
from safetensors.numpy import load_file

from flexpool import lab
from flexpool.errors import ArgumentError
from flexpool.lab import train_numpy, train_torch
from flexpool.lab.recipe import RunConfig
from flexpool.lab.store import Store
from flexpool.numpy import nets


class StopError(BaseException):
    """Stands for the end of the process."""


def numbers(record):
    return np.array([dataclasses.astuple(row)[1:-1] for row in record.curve])


@pytest.fixture
def from_zero(config):
    return lambda **changes: config(framework="numpy", torch=np.__version__, **changes)


def test_the_curve_is_torchs(tmp_path, config, from_zero, few):
    ours = train_numpy.run(from_zero(epochs=2), few, Store(tmp_path))
    theirs = train_torch.run(config(epochs=2), few, Store(tmp_path))
    assert (ours.status, ours.params, ours.macs) == ("done", theirs.params, theirs.macs)
    np.testing.assert_allclose(numbers(ours), numbers(theirs), rtol=1e-4)
    assert len(Store(tmp_path).records()) == 2
    mine, other = (
        load_file(tmp_path / "runs" / r.config.folder / "weights.safetensors")
        for r in (ours, theirs)
    )
    for name, array in other.items():
        np.testing.assert_allclose(mine[name], array, atol=1e-4)
    net = nets.build("lenet5")
    net.load_state_dict(other)


def test_a_run_that_was_cut_goes_on_to_the_same_numbers(tmp_path, from_zero, few, always_keep):
    settings = from_zero(epochs=3, downsampling="stochastic")

    def stop(progress):
        if progress.epochs >= 2:
            raise StopError

    whole = train_numpy.run(settings, few, Store(tmp_path / "whole"))
    store = Store(tmp_path / "cut")
    with pytest.raises(StopError):
        train_numpy.run(settings, few, store, stop)
    assert store.unfinished() == {settings.folder: 1}
    np.testing.assert_array_equal(numbers(train_numpy.run(settings, few, store)), numbers(whole))


def test_a_run_that_diverges_says_so(tmp_path, from_zero, few):
    with np.errstate(all="ignore"):
        record = train_numpy.run(from_zero(lr=1e30), few, Store(tmp_path))
    assert record.status == "diverged"


def test_threads_are_set_for_the_run_and_given_back(tmp_path, from_zero, few, monkeypatch):
    from flexpool.backends import threads

    inside = []
    evaluate = train_numpy._Run.evaluate
    monkeypatch.setattr(
        train_numpy._Run, "evaluate", lambda run: inside.append(threads.limit()) or evaluate(run)
    )
    before = threads.limit()
    train_numpy.run(from_zero(epochs=1, threads=before + 2), few, Store(tmp_path))
    assert inside == [before + 2]
    assert threads.limit() == before


def test_runs_of_torch_keep_the_name_they_had():
    settings = {
        **{"net": "lenet5", "downsampling": "max", "data": "digits", "seed": 0, "epochs": 1},
        **{"data_fingerprint": "f", "batch_size": 64, "lr": 0.001, "scaling": "standard"},
        **{"device": "cpu", "threads": 1, "torch": "2.13.0"},
    }
    assert RunConfig(**settings).folder == "lenet5-max-digits-seed0-483c1b6738cf"
    numpy = RunConfig(**settings, framework="numpy")
    assert numpy.folder.startswith("numpy-lenet5-max-digits-seed0-")
    assert numpy.id != RunConfig(**settings).id
    assert numpy.label == "lenet5/max seed 0 in numpy"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (
            {"framework": "jax"},
            "train: unknown framework 'jax'. Known: torch, numpy.",
        ),
        (
            {"framework": "numpy", "device": "cuda"},
            "train: expected device to be auto or cpu where the framework is numpy, got 'cuda'.",
        ),
        (
            {"net": "lenet6", "framework": "numpy"},
            "train: unknown net 'lenet6'. Did you mean 'lenet5'? Known: lenet5, lenet5-nopool, "
            "lenet5-control, lenet5-sigmoid, nin.",
        ),
    ],
)
def test_errors(arguments, text, tmp_path):
    with pytest.raises(ArgumentError) as caught:
        lab.train(**arguments, out=tmp_path)
    assert str(caught.value) == text
    assert lab.train is lab.train  # a function, each time


@pytest.mark.heavy
def test_lenet5_learns_mnist_in_three_epochs(tmp_path):
    if "FLEXPOOL_DATA_DIR" not in os.environ:
        pytest.skip("no MNIST here: name its folder in FLEXPOOL_DATA_DIR")
    record = lab.train(
        "lenet5", data="mnist", epochs=3, framework="numpy", out=tmp_path, progress=False
    )
    assert record.curve[-1].test_accuracy >= 0.98
