"""A training run from its beginning, or its last checkpoint, to its record in the store."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from flexpool.errors import FlexpoolError, StorageError
from flexpool.lab.checkpoints import Checkpoint, Place, Sums, read
from flexpool.lab.confusion import Confusion
from flexpool.lab.data import Dataset
from flexpool.lab.environment import describe
from flexpool.lab.journal import Journal, Line
from flexpool.lab.loop import TrainingRun, hold_out, rate
from flexpool.lab.recipe import RunConfig
from flexpool.lab.record import Epoch, Record, ValidatedEpoch, best_epoch
from flexpool.lab.recording import Recording
from flexpool.lab.store import Store

__all__ = ["OnProgress", "Progress", "failed", "run"]

_SECONDS_BETWEEN_REPORTS = 0.2
_SECONDS_BETWEEN_CHECKPOINTS = 5.0
_TRAINING_PER_SAVING = 50  # so that checkpoints by time cost at most 2 %


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes:
        config: the run.
        epochs: epochs done, a fraction of the present one included.
        loss: mean training loss of the present epoch so far.
        accuracy: test accuracy after the last full epoch; before that, of training so far.
        line: a line of the log, if there is a new one.
        warning: what the user must know, if there is something.
    """

    config: RunConfig
    epochs: float
    loss: float
    accuracy: float
    line: str = ""
    warning: str = ""


OnProgress = Callable[[Progress], None]


class _Training:
    """One run: a net that is trained, and what is said and kept of it on the way.

    Args:
        net: what is trained, as it is before its first epoch.
        images: how many there are to train on.
        store: where the result goes; the caller holds the claim.
        on_progress: called a few times a second.
        recording: what to write down.
    """

    def __init__(
        self,
        net: TrainingRun,
        images: int,
        store: Store,
        on_progress: OnProgress,
        recording: Recording,
    ) -> None:
        self.net, self.config, self.images = net, net.config, images
        self.store, self.on_progress, self.recording = store, on_progress, recording
        self.checkpoints = store.checkpoints(self.config)
        self.batches = math.ceil(images / self.config.batch_size)
        self.curve: tuple[Epoch, ...] = ()
        self.best: dict[str, Any] = {}
        self.place = Place(1, 0)
        self._saving = 0.0  # seconds that the last checkpoint took

    def finish(self) -> Record:
        """Train the epochs that are left, and keep the result."""
        self._go_back()
        self._reported = self._kept = time.monotonic()
        folder = self.store.partial(self.config)
        self.journal = Journal(folder, self.recording, self.place, self.batches)
        try:
            status, message = self._train_remaining_epochs()
        finally:
            self.journal.close()
        record = Record(
            self.config,
            status,
            message,
            self.net.params,
            self.net.macs,
            self.curve,
            describe(self.config.device),
            self.net.inputs,
        )
        confusion = Confusion.of(self.net.inputs.classes, self.net.confusion)
        self.checkpoints.thin(self.recording.keep, best_epoch(self.curve))
        return self._publish(record, confusion)

    def _publish(self, record: Record, confusion: Confusion) -> Record:
        """Put the run in its place; one that is there already is not replaced."""
        found = self.store.find(self.config)
        there = found is not None and found.status != "error"
        if found and there and _numbers(found) == _numbers(record):
            self.store.discard(self.config)
            self._warn("It came to the same numbers as the run that is there, to the last digit.")
            return found
        folder = self.store.publish(record, self.net.weights(), self.best, confusion, aside=there)
        if there:
            self._warn(
                "It did not come to the numbers of the run that is there, which stays. "
                f"This one is in {folder}."
            )
        return record

    def _go_back(self) -> None:
        """Take over the state of the checkpoint asked for, or of the newest that is whole."""
        if self.recording.resume is not None:
            checkpoint: Checkpoint | None = read(self.recording.resume)
        else:
            checkpoint, complaints = self.checkpoints.newest(self._check)
            for complaint in complaints:
                self._warn(complaint)
            if complaints:
                where = "from the beginning" if checkpoint is None else f"from {checkpoint.name}"
                self._warn(f"{self.config.label} goes on {where}.")
        if checkpoint is not None:
            self._take(checkpoint)
        # What is of later than this would be taken for newer than what is trained from here on.
        self.checkpoints.drop_after(checkpoint.place if checkpoint else None)

    def _check(self, checkpoint: Checkpoint) -> None:
        """Refuse a checkpoint that is of another run, or cannot have been written by this one."""
        if checkpoint.config != self.config:
            raise StorageError(f"the checkpoint {checkpoint.name} is of another run.")
        self.net.check(checkpoint.tensors)

    def _take(self, checkpoint: Checkpoint) -> None:
        try:
            self.net.check(checkpoint.tensors)
            self.net.restore(
                {n: a for n, a in checkpoint.tensors.items() if not n.startswith("best.")}
            )
        except (FlexpoolError, ValueError, TypeError, KeyError, RuntimeError) as error:
            raise StorageError(f"the checkpoint {checkpoint.name} is not usable: {error}") from None
        self.curve, self.place = checkpoint.curve, checkpoint.place
        self.best = {n[5:]: a for n, a in checkpoint.tensors.items() if n.startswith("best.")}
        if self.curve and not self.best:
            self.best = self.net.weights()  # those of the epoch just done
        if not checkpoint.amid_epoch:
            self.place = Place(checkpoint.place.epoch + 1, 0)

    def _train_remaining_epochs(self) -> tuple[Any, str]:
        if self._over() and self.curve:
            self.net.evaluate()  # for the confusion matrix: there is no epoch left that does it
        while not self._over():
            row = self._train_one_epoch()
            self.curve += (row,)
            self.place = Place(row.epoch + 1, 0)
            learning_rate = rate(self.config, row.epoch)
            self.journal.epoch(row, learning_rate)
            self._report(row.epoch, row.train_loss, row.test_accuracy, line=_epoch_line(row, self))
            if not math.isfinite(row.train_loss):
                return "diverged", f"the training loss became {row.train_loss} in epoch {row.epoch}"
            if best_epoch(self.curve) == row.epoch:
                self.best = self.net.weights()
            self._keep_after_epoch(row)
        return "done", ""

    def _over(self) -> bool:
        done, patience = len(self.curve), self.config.patience
        stale = done - best_epoch(self.curve)
        return done >= self.config.epochs or (patience is not None and stale >= patience)

    def _train_one_epoch(self) -> Epoch:
        begin, batch = self.place, self.place.batch
        logged, log_every = begin.logged, self.recording.log_every
        started, saving = time.perf_counter() - begin.seconds, 0.0

        def on_batch(done: int, loss: Any, correct: Any) -> None:
            nonlocal batch, logged, saving
            batch += 1
            if log_every and (batch % log_every == 0 or done == self.images):
                sums = Sums(done, float(loss), int(correct))
                self._log(batch, logged, sums, time.perf_counter() - started - saving)
                logged = sums
            now = time.monotonic()
            if now - self._reported > _SECONDS_BETWEEN_REPORTS:
                accuracy = self.curve[-1].test_accuracy if self.curve else float(correct) / done
                progress = begin.epoch - 1 + done / self.images
                self._report(progress, float(loss) / done, accuracy)
            if self._due(batch, now):
                seconds = time.perf_counter() - started - saving
                sums = Sums(done, float(loss), int(correct))
                self._keep(Place(begin.epoch, batch, sums, logged, seconds))
                saving += self._saving

        loss, correct = self.net.train_epoch(begin.epoch, begin.sums, on_batch)
        seconds = time.perf_counter() - started - saving
        n = self.images
        row = Epoch(begin.epoch, loss / n, correct / n, *self.net.evaluate(), seconds)
        if self.net.held is None:
            return row
        loss, accuracy = self.net.validate()
        return ValidatedEpoch(**vars(row), validation_loss=loss, validation_accuracy=accuracy)

    def _log(self, batch: int, before: Sums, sums: Sums, seconds: float) -> None:
        """Write down what the batches since the last line came to."""
        images = sums.images - before.images
        line = Line(
            self.place.epoch,
            batch,
            (sums.loss - before.loss) / images,
            (sums.correct - before.correct) / images,
            seconds,
        )
        self.journal.line(line, rate(self.config, line.epoch))
        text = (
            f"epoch {line.epoch}/{self.config.epochs}  batch {batch}/{self.batches}  "
            f"loss {line.train_loss:.4f}  accuracy {line.train_accuracy:.4f}  {seconds:.1f} s"
        )
        progress = line.epoch - 1 + sums.images / self.images
        self._report(progress, line.train_loss, line.train_accuracy, line=text)

    def _report(self, epochs: float, loss: float, accuracy: float, line: str = "") -> None:
        self._reported = time.monotonic()
        self.on_progress(Progress(self.config, epochs, loss, accuracy, line))

    def _warn(self, text: str) -> None:
        self.on_progress(Progress(self.config, 0.0, math.nan, math.nan, warning=text))

    def _due(self, batch: int, now: float) -> bool:
        """Whether a checkpoint is due amid an epoch."""
        every = self.recording.checkpoint_every
        if every is not None:
            return batch % every == 0
        return now - self._kept > max(
            _SECONDS_BETWEEN_CHECKPOINTS, _TRAINING_PER_SAVING * self._saving
        )

    def _keep_after_epoch(self, row: Epoch) -> None:
        recording = self.recording
        if recording.keep or recording.checkpoint_every or self._due(0, time.monotonic()):
            sums = Sums(self.images, row.train_loss * self.images)
            self._keep(Place(row.epoch, self.batches, sums, sums, row.train_seconds))

    def _keep(self, place: Place) -> None:
        began = time.perf_counter()
        tensors = self.net.state()
        if place.epoch == len(self.curve) + 1 or best_epoch(self.curve) != place.epoch:
            tensors |= {f"best.{name}": array for name, array in self.best.items()}
        checkpoint = Checkpoint(self.config, place, self.curve, tensors, self.net.inputs)
        # Two at least, so that there is one to go back to where the newest is damaged.
        self.checkpoints.save(checkpoint, max(2, self.recording.keep))
        self._saving, self._kept = time.perf_counter() - began, time.monotonic()


def _numbers(record: Record) -> list[Epoch]:
    return [dataclasses.replace(row, train_seconds=0.0) for row in record.curve]


def _epoch_line(row: Epoch, training: _Training) -> str:
    held = ""
    if isinstance(row, ValidatedEpoch):
        held = f", held out {row.validation_accuracy:.4f}"
    return (
        f"epoch {row.epoch}/{training.config.epochs}  training loss {row.train_loss:.4f}, "
        f"accuracy {row.train_accuracy:.4f}{held}, test {row.test_accuracy:.4f}  "
        f"{row.train_seconds:.1f} s"
    )


def run(
    kind: type[TrainingRun],
    threads: Callable[[int], AbstractContextManager[None]],
    config: RunConfig,
    dataset: Dataset,
    store: Store,
    on_progress: OnProgress,
    recording: Recording,
) -> Record:
    """Train one net to the end and keep the result, unless the store has it already.

    A run that was cut short goes on from its last checkpoint, to the same numbers as if it had
    never stopped. What a run breaks with is kept as its result; broken runs are tried again the
    next time, from their last checkpoint too.

    Args:
        kind: the framework's kind of run.
        threads: lets the framework use a number of threads inside a block.
        config: what to train.
        dataset: the data of ``config.data``.
        store: where the result goes.
        on_progress: called a few times a second.
        recording: what to write down on the way, and from which checkpoint to go on.

    Raises:
        StorageError: if the result cannot be written, or the checkpoint asked for is unusable.
    """
    with store.claim(config):
        found = store.find(config)
        if found and found.status != "error" and recording.resume is None:
            return found
        try:
            with threads(config.threads):
                rest, held = hold_out(config, dataset)
                net = kind(config, rest, held)
                images = len(rest.train_images)
                return _Training(net, images, store, on_progress, recording).finish()
        except FlexpoolError:
            raise  # the user's to mend: another run would meet the same
        except Exception as error:
            return failed(config, store, f"{type(error).__name__}: {error}")


def failed(config: RunConfig, store: Store, message: str) -> Record:
    """Keep the record of a run that broke."""
    record = Record(config, "error", message, environment=describe(config.device))
    store.publish(record)
    return record
