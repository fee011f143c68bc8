"""What a run came to: its curve, epoch by epoch, and the record that is kept of it."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from dataclasses import dataclass, field
from typing import Any, Literal

from flexpool.lab.inputs import Inputs
from flexpool.lab.recipe import RunConfig

__all__ = [
    "Epoch",
    "Record",
    "Status",
    "ValidatedEpoch",
    "best_epoch",
    "curve_from_csv",
    "curve_to_csv",
    "facts",
]

Status = Literal["done", "diverged", "error"]


@dataclass(frozen=True)
class Epoch:
    """What one epoch of training came to: a row of the curve. Losses are means per image."""

    epoch: int
    train_loss: float
    train_accuracy: float
    test_loss: float
    test_accuracy: float
    test_top2: float
    train_seconds: float

    @property
    def judged(self) -> float:
        """The accuracy by which epochs are compared: which is best, and when to stop."""
        return self.test_accuracy


@dataclass(frozen=True)
class ValidatedEpoch(Epoch):
    """The same of a run that holds training images out, and measures on those too."""

    validation_loss: float
    validation_accuracy: float

    @property
    def judged(self) -> float:
        """The accuracy on the images held out, so that test images have no part in choosing."""
        return self.validation_accuracy


@dataclass(frozen=True)
class Record:
    """A run that came to an end, well or badly.

    Attributes:
        config: what was run.
        status: ``done``; ``diverged`` if the loss left the finite numbers; ``error`` if it broke.
        message: what went wrong, empty if nothing did.
        params: trainable numbers of the net.
        macs: multiply-adds of one image's forward pass.
        curve: one row per epoch; fewer than ``config.epochs`` where it stopped early.
        environment: machine and versions.
        inputs: what the net takes and gives; None of a run that broke, or that is of before
            this was kept.
    """

    config: RunConfig
    status: Status
    message: str = ""
    params: int = 0
    macs: int = 0
    curve: tuple[Epoch, ...] = ()
    environment: dict[str, Any] = field(default_factory=dict)
    inputs: Inputs | None = None


def best_epoch(curve: tuple[Epoch, ...]) -> int:
    """Give the number of the epoch with the highest accuracy, the first of several; 0 of none.

    Example:
        >>> curve = tuple(Epoch(n, 1, 0.5, 1, a, 1, 1) for n, a in ((1, 0.8), (2, 0.9), (3, 0.9)))
        >>> best_epoch(curve)
        2
    """
    return max(curve, key=lambda row: row.judged).epoch if curve else 0


def facts(config: RunConfig, inputs: Inputs | None) -> dict[str, str]:
    """Give the metadata by which a file of weights alone can be made a net again."""
    found = {"config": json.dumps(dataclasses.asdict(config))}
    if inputs is not None:
        found["inputs"] = inputs.to_json()
    return found


def curve_to_csv(curve: tuple[Epoch, ...]) -> bytes:
    """Write a curve with a heading, every number to its last digit."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(f.name for f in dataclasses.fields(curve[0] if curve else Epoch))
    writer.writerows(dataclasses.astuple(row) for row in curve)
    return text.getvalue().encode()


def curve_from_csv(text: str) -> tuple[Epoch, ...]:
    """Read what :func:`curve_to_csv` wrote.

    Raises:
        ValueError, TypeError, KeyError: if it is not that.
    """
    rows = list(csv.DictReader(io.StringIO(text)))
    kind = ValidatedEpoch if rows and "validation_loss" in rows[0] else Epoch
    return tuple(
        kind(int(row.pop("epoch")), **{name: float(value) for name, value in row.items()})
        for row in rows
    )
