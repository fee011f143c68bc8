"""Small things that the laboratory's tests share."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
import torch

from flexpool.lab import data, training
from flexpool.lab.data import Dataset
from flexpool.lab.recipe import RunConfig


@pytest.fixture(scope="session")
def digits() -> Dataset:
    return data.load("digits")


@pytest.fixture(scope="session")
def few(digits: Dataset) -> Dataset:
    """A handful of digits: an epoch in a few hundredths of a second."""
    return dataclasses.replace(
        digits,
        train_images=digits.train_images[:200],
        train_labels=digits.train_labels[:200],
        test_images=digits.test_images[:100],
        test_labels=digits.test_labels[:100],
        fingerprint="few",
    )


@pytest.fixture
def config(few: Dataset) -> Callable[..., RunConfig]:
    """Make a run's configuration; any field can be given."""

    def make(**changes: object) -> RunConfig:
        plain = RunConfig(
            net="lenet5",
            downsampling="max",
            data="digits",
            data_fingerprint=few.fingerprint,
            seed=0,
            epochs=2,
            batch_size=64,
            lr=0.001,
            scaling="standard",
            device="cpu",
            threads=1,
            torch=torch.__version__,
        )
        return dataclasses.replace(plain, **changes)  # type: ignore[arg-type]

    return make


@pytest.fixture
def always_keep(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let runs keep a checkpoint after each batch, not only when some seconds have passed."""
    monkeypatch.setattr(training, "_SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    monkeypatch.setattr(training, "_TRAINING_PER_SAVING", 0.0)
