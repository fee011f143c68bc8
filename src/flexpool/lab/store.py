"""The store: one folder a run, there in full or not at all.

A run is prepared under ``runs/.partial/`` and moved into place by one rename, so whoever reads
``runs/`` never sees half a run. While a run is being trained it is locked: a second process that
wants the same run waits and then finds it finished.

    runs/lenet5-max-digits-seed0-1f3a.../
        config.json  inputs.json  environment.json  curve.csv  result.json  confusion.csv
        weights.safetensors  best.safetensors  checkpoints/  log.csv  tensorboard/
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from flexpool.errors import StorageError
from flexpool.lab.checkpoints import Checkpoints
from flexpool.lab.confusion import Confusion
from flexpool.lab.files import storing, write_atomically
from flexpool.lab.inputs import Inputs
from flexpool.lab.recipe import RunConfig
from flexpool.lab.record import (
    Epoch,
    Record,
    Status,
    best_epoch,
    curve_from_csv,
    curve_to_csv,
    facts,
)

__all__ = ["Epoch", "Record", "Status", "Store", "facts"]


class Store:
    """The runs under one folder. Looking into it writes nothing.

    Args:
        root: the folder given as ``--out``.
    """

    def __init__(self, root: Path) -> None:
        self.runs = root / "runs"
        self._partial = self.runs / ".partial"
        self._locks = self.runs / ".locks"

    def prepare(self) -> None:
        """Make the folder ready for runs, and sure that it takes files: before hours of training.

        Raises:
            StorageError: if the folder cannot be made or written.
        """
        with storing(self.runs):
            self._partial.mkdir(parents=True, exist_ok=True)
            self._locks.mkdir(exist_ok=True)
        write_atomically(self._partial / ".writable", b"")

    def find(self, config: RunConfig) -> Record | None:
        """Return the run of this configuration if it came to an end, else None."""
        folder = self.runs / config.folder
        return _read(folder) if folder.exists() else None

    def records(self) -> list[Record]:
        """Return every run that came to an end, by name of its folder."""
        return [_read(folder) for folder in sorted(self.runs.glob("[!.]*")) if folder.is_dir()]

    def confusion(self, config: RunConfig) -> Confusion | None:
        """Return the confusion matrix of a finished run; None where none was kept.

        Raises:
            StorageError: if it is damaged.
        """
        path = self.runs / config.folder / "confusion.csv"
        if not path.exists():
            return None
        try:
            return Confusion.from_csv(path.read_bytes())
        except (OSError, ValueError) as error:
            raise _damaged(path.parent, error) from None

    def partial(self, config: RunConfig) -> Path:
        """Give the folder in which a run is prepared."""
        return self._partial / config.folder

    def checkpoints(self, config: RunConfig) -> Checkpoints:
        """Give the checkpoints of a run that is not finished."""
        return Checkpoints(self.partial(config) / "checkpoints")

    def unfinished(self) -> dict[str, int]:
        """Return the folders of runs that were cut short, with the epochs each has kept."""
        found = {}
        for folder in sorted(self._partial.glob("*/checkpoints")):
            checkpoints = Checkpoints(folder)
            ended = (self.runs / folder.parent.name).exists()  # it broke, or is trained again
            if checkpoints.paths() and not ended:
                newest, _ = checkpoints.newest()
                found[folder.parent.name] = len(newest.curve) if newest else 0
        return found

    @contextmanager
    def claim(self, config: RunConfig) -> Iterator[None]:
        """Hold a run for this process; wait while another holds it.

        Raises:
            StorageError: if the store cannot be written.
        """
        self.prepare()
        folder = self.partial(config)
        # Not inside the run's own folder: that one goes away while others may still wait.
        lock = FileLock(self._locks / f"{config.folder}.lock")
        with storing(folder):
            lock.acquire()
        try:
            with storing(folder):
                folder.mkdir(exist_ok=True)
            yield
        finally:
            with suppress(OSError):
                folder.rmdir()  # unless it holds a checkpoint
            lock.release()

    def publish(
        self,
        record: Record,
        weights: dict[str, Any] | None = None,
        best: dict[str, Any] | None = None,
        confusion: Confusion | None = None,
        *,
        aside: bool = False,
    ) -> Path:
        """Put a run that came to an end in its place; the caller holds the claim.

        Args:
            record: what it came to.
            weights, best: of the net after the last epoch and after the best one.
            confusion: the confusion matrix.
            aside: whether to leave the run that is in its place there, and put this one under
                ``runs/.again/``.

        Returns:
            Its folder. What was prepared for it, such as its checkpoints, comes along; but what
            broke is tried again from its checkpoints, so those stay behind.
        """
        partial = self.partial(record.config)
        fresh = partial / "broken" if record.status == "error" else partial
        final = (self.runs / ".again" if aside else self.runs) / record.config.folder
        files = {
            "config.json": _json(dataclasses.asdict(record.config)),
            "environment.json": _json(record.environment),
            "curve.csv": curve_to_csv(record.curve),
            "result.json": _json(
                {
                    "status": record.status,
                    "message": record.message,
                    "params": record.params,
                    "macs": record.macs,
                }
            ),
        }
        if record.inputs is not None:
            files["inputs.json"] = f"{record.inputs.to_json()}\n".encode()
        if confusion is not None:
            files["confusion.csv"] = confusion.to_csv()
        metadata = facts(record.config, record.inputs)
        if weights:
            files["weights.safetensors"] = _tensors(weights, metadata)
        if best:
            metadata = metadata | {"epoch": str(best_epoch(record.curve))}
            files["best.safetensors"] = _tensors(best, metadata)
        with storing(final):
            fresh.mkdir(parents=True, exist_ok=True)
            final.parent.mkdir(exist_ok=True)
            for name, content in files.items():
                write_atomically(fresh / name, content)
            with suppress(OSError):
                (fresh / "checkpoints").rmdir()  # if none is kept
            old = self._partial / f".{record.config.folder}.replaced"
            shutil.rmtree(old, ignore_errors=True)
            if final.exists():  # a run that broke and was tried again, or an older one aside
                final.rename(old)
            fresh.rename(final)
            shutil.rmtree(old, ignore_errors=True)
        return final

    def discard(self, config: RunConfig) -> None:
        """Remove what was prepared for a run; the caller holds the claim."""
        shutil.rmtree(self.partial(config), ignore_errors=True)


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=2) + "\n").encode()


def _tensors(tensors: dict[str, Any], metadata: dict[str, str] | None = None) -> bytes:
    if all(isinstance(tensor, np.ndarray) for tensor in tensors.values()):
        from safetensors.numpy import save as save_arrays

        return save_arrays({n: np.asarray(a, order="C") for n, a in tensors.items()}, metadata)
    from safetensors.torch import save

    return save({name: t.detach().cpu().contiguous() for name, t in tensors.items()}, metadata)


def _damaged(folder: Path, error: Exception) -> StorageError:
    return StorageError(
        f"the run {folder} is damaged ({error}). "
        "Remove that folder and start again: only this run is trained anew."
    )


def _read(folder: Path) -> Record:
    try:
        result = json.loads((folder / "result.json").read_text())
        return Record(
            config=RunConfig(**json.loads((folder / "config.json").read_text())),
            curve=curve_from_csv((folder / "curve.csv").read_text()),
            environment=json.loads((folder / "environment.json").read_text()),
            inputs=_inputs(folder / "inputs.json"),
            **result,
        )
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise _damaged(folder, error) from None


def _inputs(path: Path) -> Inputs | None:
    return Inputs.from_json(path.read_text()) if path.exists() else None
