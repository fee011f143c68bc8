"""The journal of a run: lines of its log, and curves for TensorBoard, while it is trained."""

from __future__ import annotations

import csv
import dataclasses
import io
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flexpool.lab.checkpoints import Place
from flexpool.lab.files import storing, write_atomically
from flexpool.lab.record import Epoch, ValidatedEpoch
from flexpool.lab.recording import Recording

__all__ = ["Journal", "Line", "read_log"]


@dataclass(frozen=True)
class Line:
    """A line of the log: the batches since the line before.

    Attributes:
        epoch: the first is 1.
        batch: how many batches of the epoch are done.
        train_loss: mean loss of the images since the line before.
        train_accuracy: the share of those that was right.
        seconds: that the epoch has taken so far.
    """

    epoch: int
    batch: int
    train_loss: float
    train_accuracy: float
    seconds: float


def read_log(path: Path) -> list[Line]:
    """Read a log; of one whose last line is not whole, the lines before it."""
    lines = []
    for row in csv.reader(io.StringIO(path.read_text())):
        try:
            lines.append(Line(int(row[0]), int(row[1]), *map(float, row[2:])))
        except (ValueError, TypeError, IndexError):
            continue  # the heading, or what a crash left of a line
    return lines


class Journal:
    """What is written down while a run is trained, beside its checkpoints.

    Args:
        folder: of the run.
        recording: what is wanted.
        start: where the run goes on; what was written beyond it is taken back.
        batches: of an epoch.
    """

    def __init__(self, folder: Path, recording: Recording, start: Place, batches: int) -> None:
        self._path, self._batches = folder / "log.csv", batches
        self._wanted = recording.log_every is not None
        self._rewind(start)
        self._board: Any = None
        if recording.tensorboard:
            from torch.utils.tensorboard import SummaryWriter  # a second or so: only if wanted

            step = self._step(start.epoch, start.batch)
            events = folder / "tensorboard"
            with storing(events):
                if not step:
                    shutil.rmtree(events, ignore_errors=True)
                self._board = SummaryWriter(str(events), purge_step=step + 1 if step else None)

    def line(self, line: Line, rate: float) -> None:
        """Write down a line of the log, and the learning rate it was trained with."""
        if self._wanted:
            text = ",".join(map(repr, dataclasses.astuple(line)))
            with storing(self._path), self._path.open("a") as file:
                file.write(f"{text}\n")
        values = {
            "train_loss": line.train_loss,
            "train_accuracy": line.train_accuracy,
            "learning_rate": rate,
        }
        self._draw("batches", values, self._step(line.epoch, line.batch))

    def epoch(self, row: Epoch, rate: float) -> None:
        """Write down what an epoch came to."""
        values = {
            "train_loss": row.train_loss,
            "test_loss": row.test_loss,
            "train_accuracy": row.train_accuracy,
            "test_accuracy": row.test_accuracy,
            "learning_rate": rate,
        }
        if isinstance(row, ValidatedEpoch):
            values["validation_loss"] = row.validation_loss
            values["validation_accuracy"] = row.validation_accuracy
        self._draw("epochs", values, self._step(row.epoch, self._batches))

    def close(self) -> None:
        """Let go of the files."""
        if self._board is not None:
            self._board.close()

    def _draw(self, group: str, values: dict[str, float], step: int) -> None:
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(f"{group}/{name}", value, step)
            self._board.flush()

    def _step(self, epoch: int, batch: int) -> int:
        """Count batches from the beginning of the run: TensorBoard's horizontal axis."""
        return (epoch - 1) * self._batches + batch

    def _rewind(self, start: Place) -> None:
        if not self._wanted and not self._path.exists():
            return
        kept = read_log(self._path) if self._path.exists() else []
        rows = [
            dataclasses.astuple(line)
            for line in kept
            if (line.epoch, line.batch) <= (start.epoch, start.batch)
        ]
        heading = ",".join(field.name for field in dataclasses.fields(Line))
        text = "\n".join([heading, *(",".join(map(repr, row)) for row in rows)])
        write_atomically(self._path, f"{text}\n".encode())
